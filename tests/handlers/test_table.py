"""Rows in real files and databases, written by the handler `table`."""

import csv
import fcntl
import json
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from receiver_handlers.table import Settings, table

from receiver import Context, Event, Failure, Job, Output, PermanentError, Status
from receiver import config as configuration
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError
from receiver.inbox import Source
from receiver.models import Standing
from receiver.plugins import handlers
from receiver.providers.creativeai import CreativeAI
from tests.store.contract import DUE, SOURCE, a_record, an_event

AT = datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)
DONE = Event(
    id=7,
    source="creative",
    key="vgen_1:succeeded",
    type="video.generation.completed",
    data={"id": "vgen_1", "credits": 30, "model": {"name": "夜"}},
    kind="video",
    job_id="vgen_1",
    status=Status.SUCCEEDED,
    outputs=(Output("https://cdn.example/a.mp4?signature=b"), Output("https://cdn.example/b.png")),
    occurred_at=AT,
    recorded_at=AT.replace(second=44),
)
FAILED = replace(
    DONE,
    key="vgen_1:failed",
    type="video.generation.failed",
    status=Status.FAILED,
    outputs=(),
    failure=Failure("no", "e1"),
)
JOB = Job(
    source="creative",
    job_id="vgen_1",
    kind="video",
    metadata={"order": 17, "tags": ["a", "b"], "rush": True, "note": None},
    created_at=AT.replace(second=3),
    deadline_at=AT.replace(hour=20),
)
DATABASE, FILE = "sqlite:///tables/media.db", "tables/media.csv"
BOTH = pytest.mark.parametrize("to", [pytest.param(DATABASE, id="sqlite"), pytest.param(FILE, id="csv")])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the configuration, where a worker runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tell(to, event=DONE, *, job=JOB, metadata=None, **settings):
    """Have the handler told of an event."""
    job = replace(job, metadata=metadata) if metadata is not None else job
    context = Context(settings=Settings(to=to, **settings), job=job, handler="sheet")
    return table(event, context)


def rows(to, name="jobs"):
    """What anybody may read: of a file, all cells are text."""
    if to == FILE:
        with Path(FILE).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    with closing(sqlite3.connect("tables/media.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")]  # noqa: S608


def the_row(to):
    [row] = rows(to)
    return row


def write(text, encoding="utf-8-sig"):
    Path("tables").mkdir(exist_ok=True)
    Path(FILE).write_bytes(text.encode(encoding))


# What is in a row


@BOTH
def test_a_row_says_what_is_known(to):
    tell(to, data_columns=["credits", "model", "missing"])

    told = {column: str(cell) for column, cell in the_row(to).items()}
    assert told.pop("metadata_rush") in ("1", "True")
    assert told == {
        "source": "creative",
        "job": "vgen_1",
        "kind": "video",
        "status": "succeeded",
        "type": "video.generation.completed",
        "output": "https://cdn.example/a.mp4?signature=b",
        "outputs": '["https://cdn.example/a.mp4?signature=b", "https://cdn.example/b.png"]',
        "error": "None" if to == DATABASE else "",
        "created_at": "2026-03-09T16:12:03.000Z",
        "occurred_at": "2026-03-09T16:12:43.000Z",
        "recorded_at": "2026-03-09T16:12:44.000Z",
        "event_id": "7",
        "data_credits": "30",
        "data_model": '{"name": "夜"}',
        "metadata_order": "17",
        "metadata_tags": '["a", "b"]',
    }


def test_numbers_are_numbers_in_a_database():
    tell(DATABASE, data_columns=["credits"], metadata={"weight": 2.5})

    row = the_row(DATABASE)
    assert (row["event_id"], row["data_credits"], row["metadata_weight"]) == (7, 30, 2.5)


@BOTH
def test_a_row_says_why_a_job_failed(to):
    tell(to, FAILED)

    assert (the_row(to)["error"], the_row(to)["output"] or "") == ("e1: no", "")


@BOTH
def test_a_failure_may_have_no_code(to):
    tell(to, replace(FAILED, failure=Failure("no\nmore")))

    assert the_row(to)["error"] == "no\nmore"


@BOTH
def test_little_may_be_known(to):
    tell(to, Event(source="creative", key="k", type="t", data={}, job_id="vgen_1"), job=None, data_columns=["credits"])

    known = {column: str(cell) for column, cell in the_row(to).items() if cell not in (None, "")}
    assert known == {"source": "creative", "job": "vgen_1", "type": "t", "event_id": "0"}


@BOTH
def test_an_event_without_a_job_has_no_row(to, folder):
    tell(to, replace(DONE, job_id=None), job=None)

    assert list(folder.iterdir()) == []


@BOTH
def test_each_job_has_a_row(to):
    tell(to)
    tell(to, replace(DONE, job_id="vgen_2"))
    tell(to, replace(DONE, source="other"))

    assert [(row["source"], row["job"]) for row in rows(to)] == [
        ("creative", "vgen_1"),
        ("creative", "vgen_2"),
        ("other", "vgen_1"),
    ]


# Which event counts


@BOTH
def test_twice_is_as_once(to):
    tell(to)
    before = rows(to)
    tell(to)

    assert rows(to) == before


@BOTH
def test_a_newer_event_takes_the_row(to):
    tell(to, FAILED, data_columns=["credits"])
    tell(to, replace(DONE, id=8, standing=Standing.CORRECTION, data={}), data_columns=["credits"])

    row = the_row(to)
    assert (row["status"], row["error"] or "", row["data_credits"] or "") == ("succeeded", "", "")


@BOTH
def test_an_older_event_does_not(to):
    tell(to)
    tell(to, replace(FAILED, id=6), metadata={"order": 18})

    row = the_row(to)
    assert (row["status"], row["error"] or "", str(row["metadata_order"])) == ("succeeded", "", "17")


@BOTH
def test_ids_are_compared_as_numbers(to):
    tell(to, replace(FAILED, id=9))
    tell(to, replace(DONE, id=10))
    tell(to, replace(FAILED, id=9))

    assert the_row(to)["status"] == "succeeded"


@BOTH
@pytest.mark.parametrize("standing", [Standing.STALE, Standing.CONFLICT])
def test_a_replay_of_what_did_not_count_does_not_count(to, standing):
    tell(to)
    tell(to, replace(FAILED, id=8, standing=standing))

    assert the_row(to)["status"] == "succeeded"


@BOTH
def test_a_notice_about_a_job_empties_nothing(to):
    tell(to)
    tell(to, replace(DONE, id=8, type="video.stored", status=None, outputs=()))

    row = the_row(to)
    assert (row["type"], row["status"], row["output"]) == ("video.stored", "succeeded", DONE.outputs[0].url)


@BOTH
def test_a_row_that_somebody_has_spoilt_is_put_right(to):
    tell(to)
    if to == FILE:
        write(Path(FILE).read_text("utf-8-sig").replace(",7,", ",seven,"))
    else:
        with closing(sqlite3.connect("tables/media.db")) as connection, connection:
            connection.execute("UPDATE jobs SET event_id = 'seven', status = 'x'")
    tell(to)

    assert (the_row(to)["status"], str(the_row(to)["event_id"])) == ("succeeded", "7")


# Columns


@BOTH
def test_new_keys_add_columns(to):
    tell(to, metadata={"order": 17})
    tell(to, replace(DONE, job_id="vgen_2"), metadata={"user": "u1"})

    told = [(str(row["metadata_order"] or ""), row["metadata_user"] or "") for row in rows(to)]
    assert told == [("17", ""), ("", "u1")]


@BOTH
def test_a_column_waits_for_its_first_value(to):
    tell(to, replace(DONE, data={}), data_columns=["credits"])
    before = set(the_row(to))
    tell(to, replace(DONE, id=8), data_columns=["credits"])

    assert set(the_row(to)) - before == {"data_credits"}


@BOTH
def test_what_others_add_to_the_table_stays(to):
    tell(to)
    if to == FILE:
        first, second = Path(FILE).read_text("utf-8-sig").splitlines()
        write(f"mine,{first}\r\nyes,{second}\r\n\r\n")
    else:
        with closing(sqlite3.connect("tables/media.db")) as connection, connection:
            connection.execute("ALTER TABLE jobs ADD COLUMN mine")
            connection.execute("UPDATE jobs SET mine = 'yes'")
    tell(to, replace(FAILED, id=8))
    tell(to, replace(DONE, job_id="vgen_2"), metadata={"user": "u1"})

    assert [(row["mine"] or "", row["status"]) for row in rows(to)] == [("yes", "failed"), ("", "succeeded")]


@BOTH
@pytest.mark.parametrize(
    ("key", "column"),
    [
        pytest.param("夜 (x)", "metadata_夜 (x)", id="unicode"),
        pytest.param("a\n\0b\ud800", "metadata_a__b_", id="control"),
        pytest.param('"; DROP TABLE jobs; --', 'metadata_"; DROP TABLE jobs; --', id="sql"),
        pytest.param("[a]", "metadata_[a]", id="brackets"),
        pytest.param("", "metadata_", id="empty"),
        pytest.param("a" * 1000, "metadata_" + "a" * 91, id="long"),
    ],
)
def test_any_key_makes_a_column(to, key, column):
    tell(to, metadata={key: "value"})
    tell(to, metadata={key: "value"})

    assert the_row(to)[column] == "value"


@BOTH
def test_keys_that_differ_in_case_share_a_column(to):
    tell(to, metadata={"User": 1, "user": 2})
    tell(to, metadata={"USER": 3})

    row = the_row(to)
    assert [str(row[column]) for column in row if column.lower() == "metadata_user"] == ["3"]


@BOTH
def test_too_many_columns_are_refused(to):
    tell(to, metadata={"a": 1})
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: .*more than 1000 columns"):
        tell(to, replace(DONE, id=8), metadata={f"k{n}": 1 for n in range(1000)})

    assert "metadata_a" in the_row(to)


@BOTH
@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("夜\r\n\u2028\n\"',;", "夜\r\n\u2028\n\"',;", id="unicode-and-lines"),
        pytest.param("a\0b\ud800", "a\ufffdb?", id="no-text"),
        pytest.param(2**63, str(2**63), id="large"),
        pytest.param(-(2**63), str(-(2**63)), id="small"),
        pytest.param({"a": {"b": [1]}}, '{"a": {"b": [1]}}', id="deep"),
        pytest.param([], "[]", id="empty"),
    ],
)
def test_any_value_fits(to, value, told):
    tell(to, metadata={"x": value})

    assert str(the_row(to)["metadata_x"]) == told


# SQLite


def test_a_table_in_a_database_has_the_name_it_is_given():
    tell(DATABASE, name="results")

    assert len(rows(DATABASE, "results")) == 1


def test_a_database_keeps_huge_texts_whole():
    tell(DATABASE, metadata={"text": "x" * 2_000_000})

    assert len(the_row(DATABASE)["metadata_text"]) == 2_000_000


def test_other_tables_are_left_alone():
    tell(DATABASE, name="first")
    tell(DATABASE, name="second")
    tell(DATABASE, FAILED, name="first")

    assert [row["status"] for row in rows(DATABASE, "first") + rows(DATABASE, "second")] == ["failed", "succeeded"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        pytest.param("CREATE TABLE jobs (id INTEGER PRIMARY KEY, source, job)", "a table jobs of somebody", id="table"),
        pytest.param("CREATE TABLE jobs (source, job, event_id)", "a table jobs of somebody else's", id="other-key"),
        pytest.param("CREATE VIEW jobs AS SELECT 1", "jobs is a view", id="view"),
    ],
)
def test_what_is_somebody_elses_is_left_alone(folder, sql, told):
    (folder / "tables").mkdir()
    with closing(sqlite3.connect("tables/media.db")) as connection:
        connection.execute(sql)

    with pytest.raises(PermanentError, match=rf"^\[handlers\.sheet\] name: .*{told}"):
        tell(DATABASE)


@pytest.mark.parametrize("name", ["jobs", "results"])
def test_the_database_of_receiver_itself_is_left_alone(store, database, name):
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: that is Receiver's own database"):
        tell(f"sqlite:///{database}", name=name)

    assert store.list_jobs(source=None, status=None, open_only=False, limit=1) == []


def test_a_locked_database_is_tried_again():
    tell(DATABASE)
    with closing(sqlite3.connect("tables/media.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: database is locked$"):
            tell(DATABASE, FAILED, lock_timeout="10ms")


@BOTH
def test_what_cannot_be_written_is_tried_again(folder, to):
    (folder / "tables").write_text("")

    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: .*File exists"):
        tell(to)


# CSV


def test_a_file_is_made_for_spreadsheets():
    tell(FILE)

    assert Path(FILE).read_bytes().startswith(b"\xef\xbb\xbfsource,job,")


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_a_file_has_no_formulas(start):
    tell(FILE, replace(FAILED, failure=Failure(f"{start}cmd|' /C calc'!A0")), metadata={"x": start})

    row = the_row(FILE)
    assert (row["error"], row["metadata_x"]) == (f"'{start}cmd|' /C calc'!A0", f"'{start}")


def test_a_negative_number_is_no_formula():
    tell(FILE, metadata={"x": -5, "y": -0.5})

    assert (the_row(FILE)["metadata_x"], the_row(FILE)["metadata_y"]) == ("-5", "-0.5")


def test_the_row_of_a_job_that_looks_like_a_formula_is_found_again():
    tell(FILE, replace(DONE, job_id="=1+1"))
    tell(FILE, replace(FAILED, job_id="=1+1", id=8))

    assert (the_row(FILE)["job"], the_row(FILE)["status"]) == ("'=1+1", "failed")


def test_a_cell_is_no_longer_than_a_spreadsheet_takes():
    tell(FILE, metadata={"text": "x" * 2_000_000})
    tell(FILE, replace(DONE, job_id="vgen_2"))

    cell = rows(FILE)[0]["metadata_text"]
    assert (len(cell), cell[-2:]) == (32_767, "x…")


def test_a_file_is_replaced_never_changed():
    tell(FILE)
    with Path(FILE).open("rb") as reading:
        tell(FILE, FAILED)

        assert b"failed" not in reading.read()
    assert the_row(FILE)["status"] == "failed"


def test_nothing_stays_beside_a_file_but_its_lock(folder):
    tell(FILE)
    tell(FILE, replace(FAILED, id=1))

    assert sorted(path.name for path in (folder / "tables").iterdir()) == [".media.csv.lock", "media.csv"]


def test_what_an_attempt_left_that_died_does_no_harm(folder):
    tell(FILE)
    (folder / "precious").write_text("precious")
    (folder / "tables" / ".media.csv.partial").symlink_to(folder / "precious")
    tell(FILE, FAILED)

    assert (the_row(FILE)["status"], (folder / "precious").read_text()) == ("failed", "precious")


@pytest.mark.parametrize("path", ["media.db", "media.csv"])
def test_a_new_table_is_not_for_everybody(path):
    tell(DATABASE if path == "media.db" else FILE)

    assert (Path("tables") / path).stat().st_mode & 0o027 == 0


def test_a_file_keeps_its_permissions():
    tell(FILE)
    Path(FILE).chmod(0o664)
    tell(FILE, FAILED)

    assert stat.S_IMODE(Path(FILE).stat().st_mode) == 0o664


def test_a_link_stays_a_link(folder):
    (folder / "tables").mkdir()
    (folder / "tables" / "media.csv").symlink_to(folder / "elsewhere.csv")
    tell(FILE)
    tell(FILE, FAILED)

    assert (folder / "tables" / "media.csv").is_symlink()
    assert the_row(FILE)["status"] == "failed"


@pytest.mark.parametrize("text", ["name,price\r\na,1\r\n", "source;job;event_id\r\n"])
def test_a_file_of_somebody_else_is_left_alone(text):
    write(text)
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: there is a media\.csv of somebody else's"):
        tell(FILE)

    assert Path(FILE).read_bytes() == text.encode("utf-8-sig")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param('source,job,event_id\r\n"a,b', "utf-8", id="cut-off"),
        pytest.param("source,job,event_id\r\né,b,1\r\n", "latin-1", id="not-utf-8"),
        pytest.param(f"source,job,event_id\r\n{'x' * 200_000},b,1\r\n", "utf-8", id="huge-cell"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(text, encoding):
    write(text, encoding)
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: media\.csv cannot be read as CSV in UTF-8"):
        tell(FILE)

    assert Path(FILE).read_bytes() == text.encode(encoding)


def test_an_empty_file_is_a_new_one():
    write("", "utf-8")
    tell(FILE)

    assert the_row(FILE)["job"] == "vgen_1"


def test_a_locked_file_is_tried_again(folder):
    tell(FILE)
    with (folder / "tables" / ".media.csv.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: somebody else has .* locked$"):
            tell(FILE, FAILED, lock_timeout="10ms")
    assert the_row(FILE)["status"] == "succeeded"


# Many at once

WORKER = """
import sys
from receiver import Context, Event, Status
from receiver_handlers.table import Settings, table

to, worker = sys.argv[1:]
for number in range(20):
    context = Context(settings=Settings(to=to))
    for job in (f"{worker}-{number}", "shared"):
        event = Event(id=number, source="s", key="k", type=f"t{number}", data={}, job_id=job, status=Status.SUCCEEDED)
        table(event, context)
"""


@BOTH
def test_several_processes_may_write(to):
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, to, str(number)]) for number in range(4)]

    assert [worker.wait(120) for worker in workers] == [0] * 4
    found = {row["job"]: row["type"] for row in rows(to)}
    assert (len(rows(to)), len(found), found["shared"]) == (81, 81, "t19")


@BOTH
def test_several_threads_may_write(to):
    events = [replace(DONE, id=number, job_id=f"vgen_{number % 10}") for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda event: tell(to, event), events))

    assert sorted(int(row["event_id"]) for row in rows(to)) == list(range(50, 60))


# Settings


def load(folder, **settings):
    tables = {"handlers": {"sheet": {"module": "receiver_handlers.table", **settings}}}
    return handlers(configuration.from_tables(tables, file=folder / "receiver.toml"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({}, "to: Field required", id="missing"),
        *[
            pytest.param({"to": to}, 'to: write "sqlite:///media.db", or the name of a file that ends in .csv', id=to)
            for to in (
                "",
                "media",
                "media.db",
                "media.parquet",
                ".csv",
                "https://x.example/a.csv",
                "postgresql:///media",
                "sqlite:///",
                "sqlite:///:memory:",
                "sqlite:///tables/",
            )
        ],
        *[
            pytest.param({"to": FILE, "name": name}, "name: write a name of letters", id=f"name-{name}")
            for name in ("", "a b", '"', "1st", "sqlite_master", "SQLite_x")
        ],
        pytest.param({"to": FILE, "data_columns": "credits"}, "data_columns: ", id="text-for-a-list"),
    ],
)
def test_names_a_setting_that_is_wrong(folder, settings, told):
    with pytest.raises(ConfigError) as refused:
        load(folder, **settings)

    assert f"handlers.sheet.{told}" in str(refused.value)


@pytest.mark.parametrize("to", ["media.csv", "/srv/MEDIA.CSV", "sqlite:///media.db", "sqlite:////srv/media"])
def test_takes_files_and_databases(to):
    assert Settings(to=to).to == to


# From a store to a table


@BOTH
def test_dispatches_make_a_table(store, folder, to):
    store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"order": 17})
    for event in (
        an_event(status=Status.RUNNING),
        an_event(status=Status.FAILED, failure=Failure("no")),
        an_event(outputs=(Output("https://cdn.example/a.mp4"),), data={"credits": 3}),
        an_event(None, None, key="n1"),
    ):
        store.receive(a_record(event))

    engine = LocalEngine(store, load(folder, to=to, data_columns=["credits"]), {SOURCE: Source(SOURCE, CreativeAI())})
    engine.run_until_idle()

    row = the_row(to)
    assert (row["status"], row["output"], row["error"] or "") == ("succeeded", "https://cdn.example/a.mp4", "")
    assert (str(row["metadata_order"]), str(row["data_credits"]), json.loads(row["outputs"])) == (
        "17",
        "3",
        [row["output"]],
    )
    assert {dispatch["state"] for dispatch in dispatches(store)} == {"done"}


def dispatches(store):
    return store.list_dispatches(handler=None, state=None, event_id=None, limit=100)
