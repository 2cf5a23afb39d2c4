"""Rows in real files and databases, written by the handler `table`: what holds wherever they are."""

import fcntl
import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from receiver_handlers.table import Settings

from receiver import Event, Failure, Output, PermanentError, Status
from receiver import config as configuration
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError
from receiver.inbox import Source
from receiver.models import Standing
from receiver.plugins import handlers
from receiver.providers.creativeai import CreativeAI
from tests.handlers.tables import CSV, DONE, FAILED, MariaDB, Parquet, PostgreSQL, SQLite, tell
from tests.store.contract import DUE, SOURCE, a_record, an_event

FILES = [SQLite, CSV, Parquet]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the configuration, where a worker runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["sqlite", "csv", "parquet", "postgresql", "mariadb"])
def place(request):
    """A place without a table yet, of each kind."""
    match request.param:
        case "sqlite":
            return SQLite()
        case "csv":
            return CSV()
        case "parquet":
            return Parquet()
        case "postgresql":
            return PostgreSQL(request.getfixturevalue("empty_postgres"))
        case "mariadb":
            return MariaDB(request.getfixturevalue("mariadb"))


# What is in a row


def test_a_row_says_what_is_known(place):
    tell(place.to, data_columns=["credits", "model", "missing"])

    told = place.row()
    assert told.pop("metadata_rush") in ("1", "True")
    assert told == {
        "source": "creative",
        "job": "vgen_1",
        "kind": "video",
        "status": "succeeded",
        "type": "video.generation.completed",
        "output": "https://cdn.example/a.mp4?signature=b",
        "outputs": '["https://cdn.example/a.mp4?signature=b", "https://cdn.example/b.png"]',
        "error": "",
        "created_at": "2026-03-09T16:12:03.000Z",
        "occurred_at": "2026-03-09T16:12:43.000Z",
        "recorded_at": "2026-03-09T16:12:44.000Z",
        "event_id": "7",
        "data_credits": "30",
        "data_model": '{"name": "夜"}',
        "metadata_order": "17",
        "metadata_tags": '["a", "b"]',
    }


def test_a_row_says_why_a_job_failed(place):
    tell(place.to, FAILED)

    assert (place.row()["error"], place.row()["output"]) == ("e1: no", "")


def test_a_failure_may_have_no_code(place):
    tell(place.to, replace(FAILED, failure=Failure("no\nmore")))

    assert place.row()["error"] == "no\nmore"


def test_times_are_told_to_the_millisecond(place):
    tell(place.to, replace(DONE, occurred_at=DONE.occurred_at.replace(microsecond=123_999)))

    assert place.row()["occurred_at"] == "2026-03-09T16:12:43.123Z"


def test_times_are_in_utc(place):
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    tell(place.to, replace(DONE, occurred_at=DONE.occurred_at.astimezone(elsewhere)))

    assert place.row()["occurred_at"] == "2026-03-09T16:12:43.000Z"


def test_little_may_be_known(place):
    event = Event(source="creative", key="k", type="t", data={}, job_id="vgen_1")
    tell(place.to, event, job=None, data_columns=["credits"])

    known = {column: cell for column, cell in place.row().items() if cell}
    assert known == {"source": "creative", "job": "vgen_1", "type": "t", "event_id": "0"}


@pytest.mark.parametrize("to", [file.to for file in FILES])
def test_an_event_without_a_job_has_no_row(to, folder):
    tell(to, replace(DONE, job_id=None), job=None)

    assert list(folder.iterdir()) == []


def test_each_job_has_a_row(place):
    tell(place.to)
    tell(place.to, replace(DONE, job_id="vgen_2"))
    tell(place.to, replace(DONE, source="other"))

    assert [(row["source"], row["job"]) for row in place.rows()] == [
        ("creative", "vgen_1"),
        ("creative", "vgen_2"),
        ("other", "vgen_1"),
    ]


@pytest.mark.parametrize("jobs", [pytest.param(["A", "a"], id="case"), pytest.param(["é", "e"], id="accent")])
def test_jobs_that_look_alike_have_a_row_each(place, jobs):
    for job in jobs:
        tell(place.to, replace(DONE, job_id=job))

    assert sorted(row["job"] for row in place.rows()) == sorted(jobs)


def test_the_longest_ids_have_rows(place):
    for end in "ab":
        tell(place.to, replace(DONE, job_id="夜" * 255 + end))

    assert len(place.rows()) == 2


# Which event counts


def test_twice_is_as_once(place):
    tell(place.to)
    before = place.read()
    tell(place.to)

    assert place.read() == before


def test_a_newer_event_takes_the_row(place):
    tell(place.to, FAILED, data_columns=["credits"])
    tell(place.to, replace(DONE, id=8, standing=Standing.CORRECTION, data={}), data_columns=["credits"])

    row = place.row()
    assert (row["status"], row["error"], row["data_credits"]) == ("succeeded", "", "")


def test_an_older_event_does_not(place):
    tell(place.to)
    tell(place.to, replace(FAILED, id=6), metadata={"order": 18})

    row = place.row()
    assert (row["status"], row["error"], row["metadata_order"]) == ("succeeded", "", "17")


def test_ids_are_compared_as_numbers(place):
    tell(place.to, replace(FAILED, id=9))
    tell(place.to, replace(DONE, id=10))
    tell(place.to, replace(FAILED, id=9))

    assert place.row()["status"] == "succeeded"


@pytest.mark.parametrize("standing", [Standing.STALE, Standing.CONFLICT])
def test_a_replay_of_what_did_not_count_does_not_count(place, standing):
    tell(place.to)
    tell(place.to, replace(FAILED, id=8, standing=standing))

    assert place.row()["status"] == "succeeded"


def test_a_notice_about_a_job_empties_nothing(place):
    tell(place.to)
    tell(place.to, replace(DONE, id=8, type="video.stored", status=None, outputs=()))

    row = place.row()
    assert (row["type"], row["status"], row["output"]) == ("video.stored", "succeeded", DONE.outputs[0].url)


# Columns


def test_new_keys_add_columns(place):
    tell(place.to, metadata={"order": 17})
    tell(place.to, replace(DONE, job_id="vgen_2"), metadata={"user": "u1"})

    told = [(row["metadata_order"], row["metadata_user"]) for row in place.rows()]
    assert told == [("17", ""), ("", "u1")]


def test_a_column_waits_for_its_first_value(place):
    tell(place.to, replace(DONE, data={}), data_columns=["credits"])
    before = set(place.row())
    tell(place.to, replace(DONE, id=8), data_columns=["credits"])

    assert set(place.row()) - before == {"data_credits"}


@pytest.mark.parametrize(
    "values", [pytest.param([17, "x17"], id="text-after-a-number"), ["x", 2.5], [1, 2.5], [1, True]]
)
def test_a_column_takes_what_comes(place, values):
    for number, value in enumerate(values, 7):
        tell(place.to, replace(DONE, id=number, job_id=f"vgen_{number}"), metadata={"seed": value})

    told = [row["metadata_seed"] for row in place.rows()]
    assert told in ([str(value) for value in values], ["1", "1"])


def test_what_others_add_to_the_table_stays(place):
    tell(place.to)
    place.add_column("mine", "yes")
    tell(place.to, replace(FAILED, id=8))
    tell(place.to, replace(DONE, job_id="vgen_2"), metadata={"user": "u1"})

    assert [(row["mine"], row["status"]) for row in place.rows()] == [("yes", "failed"), ("", "succeeded")]


def test_a_column_that_others_have_made_is_used(place):
    tell(place.to)
    place.add_column("METADATA_mood", "calm")
    tell(place.to, replace(DONE, id=8), metadata={"Mood": "glad"})

    row = place.row()
    assert [row[column] for column in row if column.lower() == "metadata_mood"] == ["glad"]


@pytest.mark.parametrize(
    ("key", "column"),
    [
        pytest.param("夜 (x)", "metadata_夜 (x)", id="unicode"),
        pytest.param("a\n\0b\ud800", "metadata_a__b_", id="control"),
        pytest.param('"; DROP TABLE jobs; --', 'metadata_"; DROP TABLE jobs; --', id="sql"),
        pytest.param("'\"'", "metadata_'\"'", id="quotes"),
        pytest.param("[a]", "metadata_[a]", id="brackets"),
        pytest.param("100 %s %(x)s :y ?", "metadata_100 %s %(x)s :y ?", id="placeholders"),
        pytest.param("a.b\\", "metadata_a.b\\", id="dots"),
        pytest.param("", "metadata_", id="empty"),
        pytest.param("a" * 1000, "metadata_" + "a" * 91, id="long"),
    ],
)
def test_any_key_makes_a_column(place, key, column):
    tell(place.to, metadata={key: "value"})
    tell(place.to, metadata={key: "value"})

    assert place.row()[column[: place.longest_name]] == "value"


def test_keys_that_differ_in_case_share_a_column(place):
    tell(place.to, metadata={"User": 1, "user": 2})
    tell(place.to, metadata={"USER": 3})

    row = place.row()
    assert [row[column] for column in row if column.lower() == "metadata_user"] == ["3"]


def test_too_many_columns_are_refused(place):
    tell(place.to, metadata={"a": 1})
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: .*more than 1000 columns"):
        tell(place.to, replace(DONE, id=8), metadata={f"k{n}": 1 for n in range(1000)})

    assert "metadata_a" in place.row()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("夜🎬\r\n\u2028\n\"',;\\%s", "夜🎬\r\n\u2028\n\"',;\\%s", id="unicode-and-lines"),
        pytest.param("a\0b\ud800", "a\ufffdb?", id="no-text"),
        pytest.param(2**63, str(2**63), id="large"),
        pytest.param(-(2**63), str(-(2**63)), id="small"),
        pytest.param({"a": {"b": [1]}}, '{"a": {"b": [1]}}', id="deep"),
        pytest.param([], "[]", id="empty"),
    ],
)
def test_any_value_fits(place, value, told):
    tell(place.to, metadata={"x": value})

    assert place.row()["metadata_x"] == told


# Files of any kind


@pytest.mark.parametrize("file", FILES)
def test_what_cannot_be_written_is_tried_again(folder, file):
    (folder / "tables").write_text("")

    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*File exists"):
        tell(file.to)


@pytest.mark.parametrize("file", FILES)
def test_a_new_file_is_not_for_everybody(file):
    tell(file.to)

    assert Path(file.to.removeprefix("sqlite:///")).stat().st_mode & 0o027 == 0


@pytest.mark.parametrize("file", [CSV, Parquet])
class TestFilesThatAreReplaced:
    def test_are_never_changed(self, file):
        tell(file.to)
        before = file.path.read_bytes()
        with file.path.open("rb") as reading:
            tell(file.to, FAILED)

            assert reading.read() == before
        assert file().row()["status"] == "failed"

    def test_leave_nothing_beside_them_but_a_lock(self, file):
        tell(file.to)
        tell(file.to, replace(FAILED, id=1))

        assert sorted(path.name for path in file.path.parent.iterdir()) == [f".{file.path.name}.lock", file.path.name]

    def test_are_not_harmed_by_what_an_attempt_left_that_died(self, folder, file):
        tell(file.to)
        (folder / "precious").write_text("precious")
        (folder / "tables" / f".{file.path.name}.partial").symlink_to(folder / "precious")
        tell(file.to, FAILED)

        assert (file().row()["status"], (folder / "precious").read_text()) == ("failed", "precious")

    def test_keep_their_permissions(self, file):
        tell(file.to)
        file.path.chmod(0o664)
        tell(file.to, FAILED)

        assert stat.S_IMODE(file.path.stat().st_mode) == 0o664

    def test_stay_links(self, folder, file):
        file.path.parent.mkdir()
        file.path.symlink_to(folder / f"elsewhere{file.path.suffix}")
        tell(file.to)
        tell(file.to, FAILED)

        assert file.path.is_symlink()
        assert file().row()["status"] == "failed"

    def test_may_be_empty_at_first(self, file):
        file.path.parent.mkdir()
        file.path.touch()
        tell(file.to)

        assert file().row()["job"] == "vgen_1"

    def test_are_tried_again_when_they_are_locked(self, file):
        tell(file.to)
        with (file.path.parent / f".{file.path.name}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: somebody else has .* locked$"):
                tell(file.to, FAILED, lock_timeout="10ms")
        assert file().row()["status"] == "succeeded"


# Many at once

WORKER = """
import sys
from datetime import UTC, datetime
from receiver import Context, Event, Job, Status
from receiver_handlers.table import Settings, table

to, worker = sys.argv[1:]
at = datetime.now(UTC)
for number in range(10):
    for id in (f"{worker}-{number}", "shared"):
        metadata = {f"key{number // 2}": "x", f"worker{worker}": "y"}
        job = Job(source="s", job_id=id, kind="k", metadata=metadata, created_at=at, deadline_at=at)
        event = Event(id=number, source="s", key="k", type=f"t{number}", data={}, job_id=id, status=Status.SUCCEEDED)
        table(event, Context(settings=Settings(to=to), job=job))
"""


def test_several_processes_may_write(place):
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, place.to, str(number)]) for number in range(4)]

    assert [worker.wait(120) for worker in workers] == [0] * 4
    found = {row["job"]: row["type"] for row in place.rows()}
    assert (len(place.rows()), len(found), found["shared"]) == (41, 41, "t9")
    columns = {column for column in place.rows()[0] if column.startswith("metadata_")}
    assert columns == {f"metadata_{name}{n}" for name, count in (("key", 5), ("worker", 4)) for n in range(count)}


def test_several_threads_may_write(place):
    events = [replace(DONE, id=number, job_id=f"vgen_{number % 10}") for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda event: tell(place.to, event), events))

    assert sorted(int(row["event_id"]) for row in place.rows()) == list(range(50, 60))


# Settings


def load(folder, **settings):
    tables = {"handlers": {"sheet": {"module": "receiver_handlers.table", **settings}}}
    return handlers(configuration.from_tables(tables, file=folder / "receiver.toml"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({}, "to: Field required", id="missing"),
        *[
            pytest.param({"to": to}, 'to: write "sqlite:///media.db", the name of a file that ends in .csv', id=to)
            for to in ("", "media", "media.db", ".csv", "sqlite:///", "sqlite:///:memory:", "sqlite:///tables/")
        ],
        *[
            pytest.param({"to": "media.csv", "name": name}, "name: write a short name of letters", id=f"name-{name}")
            for name in ("", "a b", '"', "1st", "sqlite_master", "SQLite_x", "a" * 64)
        ],
        pytest.param({"to": "media.csv", "data_columns": "credits"}, "data_columns: ", id="text-for-a-list"),
    ],
)
def test_names_a_setting_that_is_wrong(folder, settings, told):
    with pytest.raises(ConfigError) as refused:
        load(folder, **settings)

    assert f"handlers.sheet.{told}" in str(refused.value)


@pytest.mark.parametrize(
    "to", ["media.csv", "/srv/MEDIA.CSV", "a/media.Parquet", "sqlite:///media.db", "sqlite:////srv/media"]
)
def test_shows_which_file_it_is(to):
    assert str(Settings(to=to).to) == to


# From a store to a table


def test_dispatches_make_a_table(store, folder, place):
    store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"order": 17})
    for event in (
        an_event(status=Status.RUNNING),
        an_event(status=Status.FAILED, failure=Failure("no")),
        an_event(outputs=(Output("https://cdn.example/a.mp4"),), data={"credits": 3}),
        an_event(None, None, key="n1"),
    ):
        store.receive(a_record(event))

    engine = LocalEngine(
        store, load(folder, to=place.to, data_columns=["credits"]), {SOURCE: Source(SOURCE, CreativeAI())}
    )
    engine.run_until_idle()

    row = place.row()
    assert (row["status"], row["output"], row["error"]) == ("succeeded", "https://cdn.example/a.mp4", "")
    assert (row["metadata_order"], row["data_credits"], json.loads(row["outputs"])) == (
        "17",
        "3",
        [row["output"]],
    )
    assert {dispatch["state"] for dispatch in dispatches(store)} == {"done"}


def dispatches(store):
    return store.list_dispatches(limit=100).rows
