"""Files from a real server on this machine into a real directory."""

import hashlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from receiver_handlers.archive import Settings, archive, router

from receiver import Cancel, Context, Done, Event, Output, Snooze, Status
from receiver.errors import RequestFailed
from receiver.models import Access
from receiver.testing import make_job

FILM = b"film" * 50_000
FILM_HASH = hashlib.sha256(FILM).hexdigest()
PLAN = timedelta(minutes=1)


class Storage(ThreadingHTTPServer):
    """A storage server that knows parts and versions, and can break off."""

    daemon_threads = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {}
        self.requests = []
        self.keys = []
        self.cut = {}
        """How many bytes of a path to send before the connection breaks, once."""
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def put(self, path, body=FILM, *, content_type="video/mp4", etag='"v1"'):
        self.files[path] = (body, content_type, etag)
        return self.url(path)

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        asked = self.headers["Range"]
        self.server.requests.append((path, asked))
        self.server.keys.append(self.headers["Authorization"])
        self.server.asked.set()
        self.server.open.wait()
        if path not in self.server.files:
            self.send_error(404)
            return
        body, content_type, etag = self.server.files[path]
        start = int(asked[6:-1]) if asked and self.headers["If-Range"] == etag else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in [("Content-Type", content_type), ("ETag", etag)]:
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self.wfile.write(body[start:][: self.server.cut.pop(path, None)])

    def log_message(self, *args):
        pass


@pytest.fixture
def storage():
    with Storage() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.open.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def context(tmp_path):
    settings = Settings(directory=str(tmp_path / "media"), allow_private=True, download_timeout=PLAN)
    return Context(handler="archive", settings=settings, idempotency_key="key-1")


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "media"


def finished(*urls, authorized=False):
    return Event(
        source="creative",
        key="vgen_abc123:succeeded",
        type="video.generation.completed",
        data={},
        job_id="vgen_abc123",
        status=Status.SUCCEEDED,
        outputs=tuple(Output(url, authorized) for url in urls),
    )


def files(directory):
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.name != ".partial" and not path.name.endswith(".provenance.json")
    )


def partials(directory):
    return sorted(path.suffix for path in (directory / ".partial").iterdir())


def changed(context, **settings):
    return replace(context, settings=context.settings.model_copy(update=settings))


def fail(event, context):
    with pytest.raises(RequestFailed):
        archive(event, context)


def test_saves_an_output(storage, context, directory):
    archive(finished(storage.put("/a.mp4")), context)

    assert (directory / f"{FILM_HASH}.mp4").read_bytes() == FILM


def test_says_what_it_saved(storage, context):
    url = storage.put("/a.mp4")

    assert archive(finished(f"{url}?signature=b"), context) == Done(
        {
            "saved": [
                {
                    "url": url,
                    "file": f"{FILM_HASH}.mp4",
                    "bytes": len(FILM),
                    "sha256": FILM_HASH,
                    "content_type": "video/mp4",
                }
            ]
        }
    )


def test_what_it_says_can_be_json(storage, context):
    done = archive(finished(storage.put("/a.mp4")), context)

    assert json.loads(json.dumps(done.result)) == done.result


def test_saves_every_output(storage, context):
    urls = [storage.put(f"/{n}", body=bytes([n]), content_type="image/png") for n in range(3)]
    done = archive(finished(*urls), context)

    assert [saved["url"] for saved in done.result["saved"]] == urls


def test_the_same_content_is_one_file(storage, context, directory):
    archive(finished(storage.put("/a.mp4"), storage.put("/b.mp4")), context)

    assert files(directory) == [f"{FILM_HASH}.mp4"]


def test_leaves_nothing_but_the_files(storage, context, directory):
    archive(finished(storage.put("/a.mp4")), context)

    assert partials(directory) == []


def test_saving_twice_is_harmless(storage, context, directory):
    event = finished(storage.put("/a.mp4"))
    archive(event, context)
    archive(event, context)

    assert files(directory) == [f"{FILM_HASH}.mp4"]


def test_an_event_without_outputs_is_nothing_to_do(context):
    assert archive(finished(), context) is None


def test_wants_jobs_that_succeeded():
    [[route]] = router.routes.values()

    assert route.statuses == {Status.SUCCEEDED}


@pytest.mark.parametrize(
    ("path", "content_type", "extension"),
    [
        pytest.param("/a", "image/png", ".png", id="type"),
        pytest.param("/a", "Audio/MPEG; rate=1", ".mp3", id="type-with-parameters"),
        pytest.param("/a.exe", "video/mp4", ".mp4", id="type-before-url"),
        pytest.param("/a.psd", "application/octet-stream", ".psd", id="url"),
        pytest.param("/a.MP4", None, ".mp4", id="upper-case"),
        pytest.param("/a.b/c", None, "", id="dot-in-a-folder"),
        pytest.param("/a.", None, "", id="nothing-after-the-dot"),
        pytest.param("/a.toolong", None, "", id="too-long"),
        pytest.param("/a.%2e%2f", None, "", id="quoted"),
        pytest.param("/a.j%70g", None, "", id="quoted-letter"),
        pytest.param("/..", None, "", id="dots"),
        pytest.param("/", None, "", id="no-name"),
        pytest.param("/a", "../../etc/passwd", "", id="type-is-a-path"),
    ],
)
def test_chooses_the_extension(storage, context, directory, path, content_type, extension):
    storage.put(path if path != "/.." else "/", content_type=content_type)
    archive(finished(storage.url(path)), context)

    assert files(directory) == [FILM_HASH + extension]


def test_a_host_is_no_extension(storage, context, directory):
    storage.put("/", content_type=None)
    archive(finished(f"http://127.0.0.1:{storage.server_port}"), context)

    assert files(directory) == [FILM_HASH]


class TestRetry:
    def test_goes_on_where_it_stopped(self, storage, context):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert storage.requests[1] == ("/a.mp4", "bytes=100000-")

    def test_puts_the_parts_together(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]

    def test_starts_again_when_the_file_changed(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        storage.put("/a.mp4", body=b"new", etag='"v2"')
        archive(event, context)

        assert files(directory) == [hashlib.sha256(b"new").hexdigest() + ".mp4"]

    def test_starts_again_when_versions_have_no_name(self, storage, context, directory):
        event = finished(storage.put("/a.mp4", etag=None))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]

    def test_starts_again_when_its_notes_are_damaged(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        [notes] = (directory / ".partial").glob("*.json")
        notes.write_bytes(notes.read_bytes()[:10])
        archive(event, context)

        assert storage.requests[1] == ("/a.mp4", None)

    def test_does_not_fetch_again_what_is_saved(self, storage, context):
        event = finished(storage.put("/a.mp4"), storage.url("/b.mp4"))
        fail(event, context)
        storage.put("/b.mp4")
        archive(event, context)

        assert [path for path, _ in storage.requests] == ["/a.mp4", "/b.mp4", "/b.mp4"]

    def test_says_also_what_was_saved_before(self, storage, context):
        event = finished(storage.put("/a.mp4"), storage.url("/b.mp4"))
        fail(event, context)
        storage.put("/b.mp4")
        done = archive(event, context)

        assert [saved["url"] for saved in done.result["saved"]] == [storage.url("/a.mp4"), storage.url("/b.mp4")]

    def test_the_part_of_one_output_is_not_of_the_next(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"), storage.put("/b.mp4", body=b"other" * 50_000))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert len(files(directory)) == 2

    @pytest.mark.parametrize("key", ["key-2", ""])
    def test_a_replay_starts_afresh(self, storage, context, key):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, replace(context, idempotency_key=key))

        assert storage.requests[1] == ("/a.mp4", None)

    def test_another_event_starts_afresh(self, storage, context):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(replace(event, key="vgen_def456:succeeded"), context)

        assert storage.requests[1] == ("/a.mp4", None)

    def test_waits_for_an_attempt_that_goes_on_unheard(self, storage, context):
        event = finished(storage.put("/a.mp4"))
        storage.open.clear()
        with ThreadPoolExecutor(1) as pool:
            unheard = pool.submit(archive, event, context)
            storage.asked.wait(5)
            second = archive(event, context)
            storage.open.set()
            unheard.result()

        assert second == Snooze(timedelta(seconds=30))

    def test_the_time_limit_is_of_all_outputs_together(self, storage, context):
        event = finished(storage.put("/a.mp4"), storage.put("/b.mp4"))

        with pytest.raises(RequestFailed, match="took too long"):
            archive(event, changed(context, download_timeout=timedelta(microseconds=1)))

    def test_throws_away_what_nobody_came_back_for(self, storage, context, directory):
        storage.cut["/a.mp4"] = 100_000
        fail(finished(storage.put("/a.mp4")), context)
        for path in (directory / ".partial").iterdir():
            os.utime(path, (0, 0))
        archive(finished(storage.put("/b.mp4")), replace(context, idempotency_key="key-2"))

        assert partials(directory) == []

    def test_keeps_what_is_recent(self, storage, context, directory):
        storage.cut["/a.mp4"] = 100_000
        fail(finished(storage.put("/a.mp4")), context)
        archive(finished(storage.put("/b.mp4")), replace(context, idempotency_key="key-2"))

        assert partials(directory) == [".json", ".part"]


class TestRefusal:
    def test_a_private_address_cancels(self, storage, context):
        outcome = archive(finished(storage.put("/a.mp4")), changed(context, allow_private=False))

        assert outcome == Cancel(
            "[handlers.archive] 127.0.0.1 leads to 127.0.0.1, which is not a public address; "
            "set allow_private = true if it is one of yours"
        )

    def test_a_private_address_is_not_called(self, storage, context):
        archive(finished(storage.put("/a.mp4")), changed(context, allow_private=False))

        assert storage.requests == []

    def test_a_large_file_cancels(self, storage, context):
        outcome = archive(finished(storage.put("/a.mp4")), changed(context, max_bytes=1000))

        assert outcome == Cancel(
            "[handlers.archive] the file at 127.0.0.1 is larger than 1000 bytes; raise max_bytes if it is wanted"
        )

    def test_leaves_no_part_behind(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, changed(context, max_bytes=1000))

        assert partials(directory) == []

    def test_what_is_no_web_address_cancels(self, context):
        assert isinstance(archive(finished("data:image/png;base64,AA"), context), Cancel)


class TestAuthorized:
    """Outputs behind the provider's own API, at an address that may be private."""

    @pytest.fixture
    def context(self, context, storage):
        access = Access(base_url=storage.url(""), headers={"Authorization": "Bearer private-key"})
        return replace(changed(context, allow_private=False), access=access)

    def test_is_saved_with_the_key(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4"), authorized=True), context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]
        assert storage.keys == ["Bearer private-key"]

    def test_goes_on_where_it_stopped(self, storage, context):
        event = finished(storage.put("/a.mp4"), authorized=True)
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert storage.requests[1] == ("/a.mp4", "bytes=100000-")
        assert storage.keys == ["Bearer private-key"] * 2

    def test_what_it_says_has_no_key_in_it(self, storage, context):
        done = archive(finished(storage.put("/a.mp4"), authorized=True), context)

        assert "private-key" not in json.dumps(done.result)

    def test_an_output_that_is_not_is_fetched_without_the_key(self, storage, context):
        archive(finished(storage.put("/a.mp4")), changed(context, allow_private=True))

        assert storage.keys == [None]

    def test_an_output_that_is_not_may_not_be_private(self, storage, context):
        outcome = archive(finished(storage.put("/a.mp4")), context)

        assert isinstance(outcome, Cancel)
        assert storage.requests == []

    def test_each_output_is_fetched_as_it_says(self, storage, context):
        plain = finished(storage.put("/a.mp4"))
        own = finished(storage.put("/b.mp4"), authorized=True)
        event = replace(plain, outputs=(*plain.outputs, *own.outputs))
        archive(event, changed(context, allow_private=True))

        assert storage.keys == [None, "Bearer private-key"]

    def test_elsewhere_is_fetched_without_the_key(self, storage, context):
        elsewhere = replace(context.access, base_url=storage.url("/api"))
        archive(
            finished(storage.put("/a.mp4"), authorized=True),
            replace(changed(context, allow_private=True), access=elsewhere),
        )

        assert storage.keys == [None]

    def test_without_access_it_is_fetched_like_others(self, storage, context):
        archive(
            finished(storage.put("/a.mp4"), authorized=True),
            replace(changed(context, allow_private=True), access=None),
        )

        assert storage.keys == [None]


class TestContent:
    """What was promised, and what arrived in its place."""

    @pytest.mark.parametrize(
        ("path", "body", "content_type"),
        [
            pytest.param("/a.mp4", b"", "video/mp4", id="empty"),
            pytest.param("/a", b"", None, id="empty-without-a-type"),
            pytest.param("/a.mp4", b"<!DOCTYPE html><p>Busy", "text/html", id="page"),
            pytest.param("/a", b"<!-- busy -->", "text/html", id="page-told-by-its-type"),
            pytest.param("/a.mp4", b"\xef\xbb\xbf \n<HTML>", "video/mp4", id="page-called-a-video"),
            pytest.param("/a", b'{"error": "busy"}', "application/json", id="json"),
            pytest.param("/a.png", b'{\n "error": "busy"}', None, id="json-without-a-type"),
            pytest.param("/a.mp4", b"<?xml version='1.0'?><Error>", "application/xml", id="error-of-a-storage-server"),
        ],
    )
    def test_is_not_kept(self, storage, context, directory, path, body, content_type):
        event = replace(finished(storage.put(path, body=body, content_type=content_type)), kind="video")

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1 sent (an empty file|a page)"):
            archive(event, context)
        assert files(directory) == []

    def test_is_fetched_anew_after_a_page(self, storage, context, directory):
        event = finished(storage.put("/a.mp4", body=b"<html>", content_type="text/html"))
        fail(event, context)
        storage.put("/a.mp4")
        archive(event, context)

        assert storage.requests == [("/a.mp4", None)] * 2
        assert files(directory) == [f"{FILM_HASH}.mp4"]

    @pytest.mark.parametrize(
        ("path", "body", "content_type", "kind"),
        [
            pytest.param("/a.mp4", b"\0\0\0 ftypisom", "text/html", "video", id="video-called-a-page"),
            pytest.param("/a.png", b"\xff\xd8\xff", "image/png", "image", id="one-image-for-another"),
            pytest.param("/a.mp4", b"whatever", "application/odd", "video", id="unknown"),
            pytest.param("/a.json", b'{"words": []}', "application/json", "voice", id="text-was-promised"),
            pytest.param("/a", b"<?xml version='1.0'?><svg/>", "image/svg+xml", "image", id="drawing"),
            pytest.param("/a", b'{"words": []}', "application/json", "other", id="nothing-promised"),
            pytest.param("/a", b'{"words": []}', "application/json", None, id="kind-not-told"),
        ],
    )
    def test_is_kept(self, storage, context, path, body, content_type, kind):
        event = replace(finished(storage.put(path, body=body, content_type=content_type)), kind=kind)

        assert isinstance(archive(event, context), Done)


class TestProvenance:
    def noted(self, directory):
        return json.loads((directory / f"{FILM_HASH}.provenance.json").read_bytes())

    def test_says_where_a_file_came_from(self, storage, context, directory):
        url = storage.put("/a.mp4")
        job = replace(make_job("vgen_abc123", kind="video"), metadata={"user": "Zoë\n"})
        archive(replace(finished(f"{url}?signature=b"), id=7, kind="video"), replace(context, job=job))

        noted = self.noted(directory)
        [origin] = noted.pop("origins")
        assert noted == {"sha256": FILM_HASH, "bytes": len(FILM), "content_type": "video/mp4"}
        assert origin.pop("fetched_at")
        assert origin == {
            "source": "creative",
            "job": "vgen_abc123",
            "kind": "video",
            "event": 7,
            "key": "vgen_abc123:succeeded",
            "url": url,
            "metadata": {"user": "Zoë\n"},
        }

    def test_is_not_overwritten_by_a_replay(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        archive(event, context)
        first = self.noted(directory)
        archive(event, replace(context, idempotency_key="key-2"))

        assert self.noted(directory) == first

    def test_keeps_every_job_that_made_the_same(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        with ThreadPoolExecutor(8) as pool:
            for n in range(8):
                other = replace(event, key=f"job_{n}:succeeded")
                pool.submit(archive, other, replace(context, idempotency_key=f"key-{n}"))

        keys = {origin["key"] for origin in self.noted(directory)["origins"]}
        assert keys == {f"job_{n}:succeeded" for n in range(8)}

    def test_can_be_left_out(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4")), changed(context, provenance=False))

        assert not list(directory.glob("*.json"))

    @pytest.mark.parametrize("body", [b'{"words": []}', b"[]", b'{"origins": 1}', b"\xff"])
    def test_is_kept_apart_from_a_result_that_is_json(self, storage, context, directory, body):
        event = finished(storage.put("/a.json", body=body, content_type="application/json"))
        archive(event, context)
        archive(event, replace(context, idempotency_key="key-2"))

        [result] = [path for path in directory.glob("*.json") if not path.name.endswith(".provenance.json")]
        [provenance] = directory.glob("*.provenance.json")
        assert result.read_bytes() == body
        assert json.loads(provenance.read_bytes())["bytes"] == len(body)


class TestFiles:
    def test_a_link_in_the_place_of_the_file_is_not_followed(self, storage, context, directory, tmp_path):
        (tmp_path / "victim").write_bytes(b"precious")
        directory.mkdir()
        (directory / f"{FILM_HASH}.mp4").symlink_to(tmp_path / "victim")
        archive(finished(storage.put("/a.mp4")), context)

        assert (tmp_path / "victim").read_bytes() == b"precious"

    @pytest.mark.parametrize("suffix", [".json", ".part"])
    def test_a_link_in_the_place_of_a_part_is_not_followed(self, storage, context, directory, tmp_path, suffix):
        (tmp_path / "victim").write_bytes(b"precious")
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        [path] = (directory / ".partial").glob(f"*{suffix}")
        path.unlink()
        path.symlink_to(tmp_path / "victim")
        with pytest.raises(OSError, match="symbolic links"):
            archive(event, context)

        assert (tmp_path / "victim").read_bytes() == b"precious"

    def test_files_cannot_be_run(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4")), context)

        assert (directory / f"{FILM_HASH}.mp4").stat().st_mode & 0o137 == 0

    @pytest.mark.parametrize("folder", [".", ".partial"])
    def test_directories_are_ours_alone(self, storage, context, directory, folder):
        archive(finished(storage.put("/a.mp4")), context)

        assert stat.S_IMODE((directory / folder).stat().st_mode) == 0o700

    def test_a_directory_that_is_there_stays_as_it_is(self, storage, context, directory):
        directory.mkdir()
        directory.chmod(0o755)
        archive(finished(storage.put("/a.mp4")), context)

        assert stat.S_IMODE(directory.stat().st_mode) == 0o755

    def test_the_directory_is_relative_to_where_the_process_runs(self, storage, context, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        archive(finished(storage.put("/a.mp4")), changed(context, directory="here/there"))

        assert files(tmp_path / "here" / "there") == [f"{FILM_HASH}.mp4"]


def test_sizes_and_durations_are_written_for_people():
    settings = Settings(max_bytes="1GiB", download_timeout="90s")

    assert (settings.max_bytes, settings.download_timeout) == (2**30, timedelta(seconds=90))
