"""Files from a real server on this machine into an object store on it, and into another file system."""

import json
import socket
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from receiver_handlers.archive import Settings, archive

from receiver import Context, Event, Output, Status, plugins
from receiver.cli import main
from receiver.config import load
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError, RequestFailed
from receiver.inbox import Source
from receiver.providers.creativeai import CreativeAI
from tests import media, s3
from tests.media import FILM, FILM_HASH
from tests.store.contract import SOURCE, a_record, an_event, the_dispatch

fsspec = pytest.importorskip("fsspec")

NAME = f"{FILM_HASH}.mp4"
SECRET = "a-secret-key"


@pytest.fixture(scope="session")
def s3_server():
    for package in ("s3fs", "boto3", "moto", "flask_cors"):
        pytest.importorskip(package)
    with s3.serving() as server:
        yield server


@pytest.fixture
def bucket(s3_server):
    """An S3 with one empty bucket."""
    s3_server.empty()
    s3_server.make("bucket")
    return s3_server


@pytest.fixture
def memory():
    """A file system that knows no whole-or-nothing; what is in it, by name."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


@pytest.fixture
def storage():
    with media.serving() as server:
        yield server


@pytest.fixture
def staging(tmp_path):
    return tmp_path / "staging"


@pytest.fixture
def context(staging):
    return a_context(staging, "memory://media/films")


@pytest.fixture
def on_s3(bucket, staging):
    return a_context(staging, "s3://bucket/films", bucket.options)


def a_context(staging, directory, options=None, **more):
    settings = Settings(directory=directory, options=options or {}, staging=str(staging), allow_private=True, **more)
    return Context(handler="archive", settings=settings, idempotency_key="key-1")


def finished(*urls):
    return Event(
        source=SOURCE,
        key="job_1:succeeded",
        type="video.generation.completed",
        data={},
        job_id="job_1",
        status=Status.SUCCEEDED,
        outputs=tuple(Output(url) for url in urls),
    )


def waiting(staging):
    return sorted(path.suffix for path in (staging / ".partial").iterdir())


def settings(**keys):
    with pytest.raises(ValidationError) as refusal:
        Settings(**keys)
    return str(refusal.value)


class TestS3:
    def test_gets_the_file(self, storage, on_s3, bucket):
        archive(finished(storage.put("/a.mp4")), on_s3)

        assert bucket.get("bucket", f"films/{NAME}") == FILM

    def test_is_told_what_the_file_is(self, storage, on_s3, bucket):
        archive(finished(storage.put("/a.mp4")), on_s3)

        assert bucket.content_type("bucket", f"films/{NAME}") == "video/mp4"

    def test_gets_the_provenance(self, storage, on_s3, bucket):
        archive(finished(storage.put("/a.mp4")), on_s3)

        [name] = [name for name in bucket.names("bucket") if name.endswith(".provenance.json")]
        assert json.loads(bucket.get("bucket", name))["sha256"] == FILM_HASH

    def test_gets_nothing_else(self, storage, on_s3, bucket):
        archive(finished(storage.put("/a.mp4")), on_s3)

        assert len(bucket.names("bucket")) == 2

    def test_needs_no_folder_in_the_bucket(self, storage, bucket, staging):
        archive(finished(storage.put("/a.mp4")), a_context(staging, "s3://bucket", bucket.options))

        assert NAME in bucket.names("bucket")

    def test_does_not_get_again_what_it_has(self, storage, on_s3, bucket):
        bucket.put("bucket", f"films/{NAME}", b"x" * len(FILM))

        archive(finished(storage.put("/a.mp4")), on_s3)

        # Of the same name and size, it counts as the same: that it is not, shows that it was left alone.
        assert bucket.get("bucket", f"films/{NAME}") == b"x" * len(FILM)

    def test_gets_what_it_has_in_another_size(self, storage, on_s3, bucket):
        bucket.put("bucket", f"films/{NAME}", FILM[:1000])

        archive(finished(storage.put("/a.mp4")), on_s3)

        assert bucket.get("bucket", f"films/{NAME}") == FILM

    def test_makes_no_bucket(self, storage, bucket, staging):
        context = a_context(staging, "s3://missing", bucket.options)

        with pytest.raises(RequestFailed, match=r"\[handlers.archive\] directory: cannot be written to: .*bucket"):
            archive(finished(storage.put("/a.mp4")), context)
        assert bucket.buckets() == ["bucket"]

    def test_gets_what_waited_without_another_download(self, storage, bucket, staging):
        context = a_context(staging, "s3://missing", bucket.options)
        with pytest.raises(RequestFailed):
            archive(finished(storage.put("/a.mp4")), context)
        bucket.make("missing")

        archive(finished(storage.url("/a.mp4")), context)

        assert len(storage.requests) == 1
        assert bucket.get("missing", NAME) == FILM

    def test_that_says_nothing_is_not_waited_for_without_end(self, storage, staging):
        pytest.importorskip("s3fs")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            options = {"key": "k", "secret": SECRET, "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
            context = a_context(staging, "s3://bucket", options, download_timeout="1s")
            began = time.monotonic()

            with pytest.raises(RequestFailed, match="cannot be written to: took too long"):
                archive(finished(storage.put("/a.mp4")), context)

        assert time.monotonic() - began < 10
        assert waiting(staging) == [".json", ".part"]

    def test_is_filled_by_an_engine(self, storage, store, bucket, staging, tmp_path):
        options = "\n".join(f'{name} = "{value}"' for name, value in bucket.options.items())
        (tmp_path / "receiver.toml").write_text(
            f'[handlers.archive]\ndirectory = "s3://bucket/films"\nstaging = "{staging}"\nallow_private = true\n'
            f"[handlers.archive.options]\n{options}\n"
        )
        store.receive(a_record(replace(an_event(), outputs=(Output(storage.put("/a.mp4")),))))

        handlers = plugins.handlers(load(tmp_path / "receiver.toml"))
        LocalEngine(store, handlers, {SOURCE: Source(SOURCE, CreativeAI())}).run_until_idle()

        assert the_dispatch(store)["state"] == "done"
        assert bucket.get("bucket", f"films/{NAME}") == FILM


class TestMemory:
    def test_gets_the_file(self, storage, context, memory):
        archive(finished(storage.put("/a.mp4")), context)

        assert memory.cat_file(f"/media/films/{NAME}") == FILM

    def test_gets_nothing_but_the_file_and_its_provenance(self, storage, context, memory):
        archive(finished(storage.put("/a.mp4")), context)

        names = sorted(memory.store)
        assert len(names) == 2
        assert names[1] == f"/media/films/{NAME}"
        assert names[0].endswith(".provenance.json")

    def test_leaves_nothing_on_this_machine(self, storage, context, memory, staging):
        archive(finished(storage.put("/a.mp4")), context)

        assert [path.name for path in staging.iterdir()] == [".partial"]
        assert waiting(staging) == []

    def test_gets_every_output(self, storage, context, memory):
        urls = [storage.put(f"/{n}.png", body=bytes([n]), content_type="image/png") for n in range(3)]

        archive(finished(*urls), context)

        assert len([name for name in memory.store if name.endswith(".png")]) == 3

    def test_gets_what_a_crash_left_to_be_put(self, storage, context, memory):
        in_the_way(memory)
        with pytest.raises(RequestFailed):
            archive(finished(storage.put("/a.mp4")), context)
        memory.store.clear()

        archive(finished(storage.url("/a.mp4")), context)

        assert len(storage.requests) == 1
        assert memory.cat_file(f"/media/films/{NAME}") == FILM

    def test_goes_on_with_the_next_output(self, storage, context, memory):
        event = finished(storage.put("/a.mp4"), storage.url("/b.png"))
        with pytest.raises(RequestFailed, match="404"):
            archive(event, context)
        storage.put("/b.png", body=b"other")

        archive(event, context)

        assert [path for path, _ in storage.requests] == ["/a.mp4", "/b.png", "/b.png"]

    def test_gets_the_file_again_where_what_waited_is_gone(self, storage, context, memory, staging):
        in_the_way(memory)
        with pytest.raises(RequestFailed):
            archive(finished(storage.put("/a.mp4")), context)
        memory.store.clear()
        for part in (staging / ".partial").glob("*.part"):
            part.unlink()

        archive(finished(storage.url("/a.mp4")), context)

        assert memory.cat_file(f"/media/films/{NAME}") == FILM

    def test_gets_the_provenance_that_a_crash_left_out(self, storage, context, memory):
        event = finished(storage.put("/a.mp4"))
        archive(event, context)
        [name] = [name for name in memory.store if name.endswith(".provenance.json")]
        memory.store.clear()
        # A folder of that name: the file can be put there, its provenance cannot.
        memory.mkdir(name)
        with pytest.raises(RequestFailed):
            archive(event, context)
        memory.rm(name, recursive=True)

        archive(event, context)

        assert sorted(memory.store) == sorted([f"/media/films/{NAME}", name])


def in_the_way(memory):
    """Put a file where the folder should be."""
    memory.pipe_file("/media/films", b"a file")


class TestSecrets:
    def test_do_not_show_when_the_configuration_is_checked(self, tmp_path, monkeypatch, capsys):
        file = tmp_path / "receiver.toml"
        file.write_text(
            f'[handlers.archive]\ndirectory = "memory://media"\n[handlers.archive.options]\nsecret = "{SECRET}"\n'
            f'client_kwargs = {{ aws_session_token = "{SECRET}" }}\n'
        )

        with pytest.raises(SystemExit):
            main(["check", "--offline", "--config", str(file)])

        printed = capsys.readouterr()
        assert "handlers.archive.options" in printed.out
        assert SECRET not in printed.out + printed.err

    def test_do_not_show_when_settings_are_printed(self):
        assert SECRET not in repr(Settings(directory="memory://media", options={"secret": SECRET}))

    def test_do_not_show_when_settings_are_wrong(self):
        assert SECRET not in settings(directory="media", options={"secret": SECRET})

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"unknown": SECRET, SECRET: 1}, id="unknown"),
            pytest.param({"endpoint_url": f"not-a-url-{SECRET}"}, id="no-url"),
            pytest.param({"key": "k", "secret": SECRET, "client_kwargs": {"region_name": f"{SECRET}!"}}, id="nested"),
        ],
    )
    def test_do_not_show_when_they_are_wrong(self, storage, staging, options):
        pytest.importorskip("s3fs")
        context = a_context(staging, "s3://bucket", {**options, "anon": False}, download_timeout="5s")

        with pytest.raises(RequestFailed) as failure:
            archive(finished(storage.put("/a.mp4")), context)
        assert SECRET not in str(failure.value)
        assert failure.value.__cause__ is None


class TestSettings:
    @pytest.mark.parametrize("directory", ["media", "/var/media", "./a:b", "memory://media", "memory://media/a/b/"])
    def test_take_a_folder_or_a_url(self, directory):
        assert Settings(directory=directory).directory == directory

    @pytest.mark.parametrize(
        ("directory", "told"),
        [
            pytest.param("file:///var/media", "write the folder itself, without file://", id="file"),
            pytest.param("local://media", "write the folder itself", id="local"),
            pytest.param("https://example.com/media", "the web cannot be written to", id="web"),
            pytest.param("nowhere://media", "fsspec knows no nowhere://", id="unknown"),
            pytest.param("memory://", "write a folder, or a URL", id="nothing"),
            pytest.param("://media", "write a folder, or a URL", id="no-scheme"),
            pytest.param("memory://media?versionId=1", "without a query", id="query"),
            pytest.param("memory://media#a", "without a query", id="fragment"),
            pytest.param("memory://media\nmore", "write a folder, or a URL", id="newline"),
            pytest.param("simplecache::s3://bucket", "write a folder, or a URL", id="chain"),
            pytest.param("sftp://user:private@host/media", "holds a password", id="password"),
            pytest.param("sftp://user:pri/vate@host/media", "holds a password", id="password-with-slash"),
        ],
    )
    def test_refuse_a_url(self, directory, told):
        refusal = settings(directory=directory).partition("[type=")[0]

        assert told in refusal

    def test_do_not_show_a_password_in_a_url(self, tmp_path):
        (tmp_path / "receiver.toml").write_text('[handlers.archive]\ndirectory = "sftp://user:private@host/media"\n')

        with pytest.raises(ConfigError, match=r"handlers\.archive\.directory: holds a password") as refusal:
            plugins.handlers(load(tmp_path / "receiver.toml"))
        assert "private" not in str(refusal.value)

    def test_name_what_is_to_be_installed(self, tmp_path):
        (tmp_path / "receiver.toml").write_text('[handlers.archive]\ndirectory = "gs://bucket/media"\n')

        with pytest.raises(ConfigError, match=r"handlers\.archive\.directory: gs:// needs another package: .*gcsfs"):
            plugins.handlers(load(tmp_path / "receiver.toml"))

    def test_refuse_options_for_a_folder(self):
        assert "are for a directory that is a URL" in settings(directory="media", options={"key": "k"})

    def test_are_read_from_a_file_with_references(self, tmp_path, monkeypatch):
        monkeypatch.setenv("S3_SECRET", SECRET)
        (tmp_path / "receiver.toml").write_text(
            '[handlers.archive]\ndirectory = "memory://media"\noptions = { secret = "${S3_SECRET}" }\n'
        )

        [handler] = plugins.handlers(load(tmp_path / "receiver.toml"))

        assert handler.settings.options.get_secret_value() == {"secret": SECRET}

    def test_wait_in_a_folder_beside_the_configuration(self):
        assert not Path(Settings().staging).is_absolute()


def test_a_folder_needs_nothing_installed(storage, tmp_path):
    context = a_context(tmp_path / "staging", str(tmp_path / "media"))

    archive(finished(storage.put("/a.mp4")), context)

    assert (tmp_path / "media" / NAME).exists()
    assert not (tmp_path / "staging").exists()


def test_the_time_limit_is_of_fetching_and_putting(storage, memory, staging):
    context = a_context(staging, "memory://media", download_timeout=timedelta(microseconds=1))

    with pytest.raises(RequestFailed, match="took too long"):
        archive(finished(storage.put("/a.mp4")), context)
