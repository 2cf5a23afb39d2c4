"""SQLite: the contract of all stores, then what is its own."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from receiver.config import from_tables
from receiver.errors import ConfigError, StoreUnavailable
from receiver.models import Output
from receiver.store import open_store as open_configured
from receiver.store.sqlite import SQLiteStore, connection, dispatches
from receiver.store.sqlite.schema import migrate, migrations
from receiver.store.sqlite.writer import Writer
from tests import aging
from tests.store.access import AccessContract
from tests.store.contract import (
    HANDLER,
    LAPSED,
    StoreContract,
    a_hint,
    a_record,
    all_deliveries,
    all_events,
    an_event,
    at_once,
    claim,
    dead,
    dispatch,
    replay,
)
from tests.trouble import child, database_locked, disk_full, flock_held, said, tell

IMPATIENT = timedelta(milliseconds=200)

OPEN = """
import sys
from pathlib import Path
from receiver.store.sqlite import SQLiteStore

print("ready", flush=True)
sys.stdin.readline()
SQLiteStore(Path(sys.argv[1])).prove()
print("opened", flush=True)
"""

WRITE = """
import sys
from datetime import timedelta
from pathlib import Path
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import a_record, an_event

store, name, count = SQLiteStore(Path(sys.argv[1]), timeout=timedelta(minutes=1)), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    store.receive(a_record(an_event(f"job_{number}", source=name)))
print("written", flush=True)
sys.stdin.readline()
"""

READ_AND_CLOSE = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1])
assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
connection.close()
"""


@contextlib.contextmanager
def opened(database, **settings):
    with contextlib.closing(SQLiteStore(database, **settings)) as store:
        yield store


def connections(store):
    return [store._reader, store._writer._connection]


class TestSQLiteStore(AccessContract, StoreContract):
    @pytest.fixture
    def open_store(self, database):
        with contextlib.ExitStack() as stack:
            yield lambda **settings: stack.enter_context(opened(database, **settings))

    @pytest.fixture
    def let_pass(self, database):
        """Makes everything so much older."""
        return lambda time: aging.let_pass(database, time.total_seconds())


# What makes it durable


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("journal_mode", "wal", id="write-ahead-log"),
        pytest.param("synchronous", 2, id="full"),
        pytest.param("foreign_keys", 1, id="foreign-keys"),
    ],
)
def test_every_connection_is_set_up(store, pragma, value):
    values = [connection.execute(f"PRAGMA {pragma}").fetchone()[0] for connection in connections(store)]

    assert values == [value, value]


def test_what_was_written_survives_a_kill(database):
    with child(WRITE, database, "creative", 5) as process:
        said(process, "ready")
        tell(process)
        said(process, "written")
        process.send_signal(signal.SIGKILL)
        process.wait()

    with opened(database) as store:
        assert len(all_events(store)) == 5


# Who else may touch it


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_nobody_else_may_read_what_it_keeps(store, database, suffix):
    store.receive(a_record(an_event()))

    assert stat.S_IMODE(os.stat(f"{database}{suffix}").st_mode) == 0o600


def test_opening_it_again_keeps_the_locks_so_that_no_other_process_thinks_it_is_the_last_and_deletes_the_wal(
    store, database
):
    store.receive(a_record(an_event("job_1")))
    with opened(database):
        subprocess.run([sys.executable, "-c", READ_AND_CLOSE, str(database)], check=True)

        assert Path(f"{database}-wal").stat().st_size > 0


def test_what_is_written_after_another_process_opened_and_closed_it_is_not_lost(store, database):
    store.receive(a_record(an_event("job_1")))
    with opened(database) as second:
        subprocess.run([sys.executable, "-c", READ_AND_CLOSE, str(database)], check=True)
        store.receive(a_record(an_event("job_2")))
        second.receive(a_record(an_event("job_3")))

    with opened(database) as after:
        assert sorted(row["job"] for row in all_events(after)) == ["job_1", "job_2", "job_3"]


# Opening


def test_processes_that_open_a_new_file_at_once_all_succeed(database):
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child(OPEN, database)) for _ in range(4)]
        for process in processes:
            said(process, "ready")
        for process in processes:
            tell(process)

        for process in processes:
            said(process, "opened")


def test_opens_again_what_it_made(database):
    with opened(database) as store:
        store.receive(a_record(an_event()))

    with opened(database) as store:
        assert len(all_events(store)) == 1


@pytest.fixture
def first_version(database):
    """A database as the first migration made it, with something in it; its rows."""
    links = ["https://cdn.example/a.mp4?x=%20&y=1", 'https://cdn.example/夜明け".png']
    with contextlib.closing(connection.connect(database)) as old:
        migrations.apply(Database(old), stop_before="submit_and_follow")
        old.execute(
            """
            INSERT INTO jobs (source, job_id, kind, status, raw_status, progress, metadata, origin, created_at,
                updated_at, deadline_at, next_poll_at, poll_count)
            VALUES ('creative', 'job_1', 'video', 'running', 'processing', 42.5, '{"user": 7}', 'track',
                '2026-03-09T16:13:00.000Z', '2026-03-09T16:14:00.000Z', '2026-03-09T17:13:00.000Z',
                '2026-03-09T16:15:00.000Z', 3)
            """
        )
        old.executemany(
            """
            INSERT INTO events (source, key, type, job_id, kind, status, standing, trust, via, outputs, data,
                recorded_at, delivery_id)
            VALUES ('creative', ?, 'video.generation.completed', 'job_2', 'video', 'succeeded', 'current', 'signed',
                'webhook', ?, '{"id": "job_2"}', '2026-03-09T16:13:00.000Z', 9)
            """,
            [("job_2:succeeded", json.dumps(links)), ("job_3:failed", "[]")],
        )
        return all_rows(old)


def all_rows(connection):
    """What is in the tables of ours, by table."""
    return {table.name: list(table.rows) for table in Database(connection).tables if not table.name.startswith("_")}


def test_an_upgrade_loses_nothing(database, first_version):
    with opened(database), contextlib.closing(sqlite3.connect(database)) as new:
        after = all_rows(new)

    [job] = after["jobs"]
    told_since = {"step": None, "reference": None, "incomplete_count": 0}
    learned_since = {"open_at": None, "ended_at": None, "unwatched": 0, "credits": None}
    assert job == first_version["jobs"][0] | told_since | learned_since
    kept = [row | {"outputs": None} for row in after["events"]]
    told_since = {"outputs": None, "emptied_at": None, "traceparent": None}
    assert kept == [row | told_since for row in first_version["events"]]
    assert len(kept) == 2


def test_what_was_recorded_before_an_upgrade_can_be_read_after(database, first_version):
    with opened(database) as store:
        links, nothing = store.event(1), store.event(2)
        job = store.job("creative", "job_1")

    assert links.outputs == (
        Output("https://cdn.example/a.mp4?x=%20&y=1"),
        Output('https://cdn.example/夜明け".png'),
    )
    assert nothing.outputs == ()
    assert (job.metadata, job.progress, job.incomplete_count) == ({"user": 7}, 42.5, 0)


def test_an_upgraded_database_knows_what_it_recorded_before(database, first_version):
    with opened(database) as store:
        assert store.receive(a_record(an_event("job_2"))).repeated


def test_a_dispatch_of_before_replays_had_ids_is_live_after_an_upgrade(database):
    with contextlib.closing(connection.connect(database)) as old:
        migrations.apply(Database(old), stop_before="rank_replays")
        old.execute(
            """
            INSERT INTO events (source, key, type, standing, trust, via, outputs, data, recorded_at, routed_at)
            VALUES ('creative', 'low', 'credits.low', 'current', 'signed', 'webhook', '[]', '{}',
                '2026-03-09T16:13:00.000Z', '2026-03-09T16:13:00.000Z')
            """
        )
        old.execute(
            """
            INSERT INTO dispatches (event_id, handler, source, state, idempotency_key, due_at, created_at)
            VALUES (1, 'archive', 'creative', 'pending', 'key', '2026-03-09T16:13:00.000Z', '2026-03-09T16:13:00.000Z')
            """
        )

    with opened(database) as store:
        replay(store, store.event(1))

        assert [claimed.idempotency_key for claimed in claim(store)] == ["key"]


def test_processes_that_upgrade_a_file_at_once_all_succeed(database, first_version):
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child(OPEN, database)) for _ in range(4)]
        for process in processes:
            said(process, "ready")
        for process in processes:
            tell(process)

        for process in processes:
            said(process, "opened")


def test_refuses_a_database_of_a_newer_version(database):
    with opened(database), contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('receiver', 'in_2030', '2030')"
        )

    with pytest.raises(StoreUnavailable, match=r"newer Receiver \(in_2030\)"):
        SQLiteStore(database)


def test_refuses_a_file_that_is_no_database(database):
    database.write_bytes(b"not a database, but long enough to have a header" * 100)

    with pytest.raises(StoreUnavailable, match=re.escape(str(database))):
        SQLiteStore(database)


def test_names_the_setting_where_the_folder_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=r"^store: .*/missing does not exist"):
        SQLiteStore(tmp_path / "missing" / "receiver.db")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_refuses_a_network_file_system(tmp_path, monkeypatch, kind):
    shared = tmp_path / "with space"
    shared.mkdir()
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/export {str(shared).replace(' ', chr(92) + '040')} {kind} rw 0 0\n"
    fake_mounts(monkeypatch, mounts)

    with pytest.raises(ConfigError, match=f"on {kind}"):
        SQLiteStore(shared / "receiver.db")


def test_takes_a_local_disk_below_a_network_file_system(database, monkeypatch):
    fake_mounts(monkeypatch, f"server:/export / nfs4 rw 0 0\n/dev/vda {database.parent} ext4 rw 0 0\n")

    with opened(database) as store:
        store.prove()


def test_takes_what_is_mounted_last(database, monkeypatch):
    fake_mounts(monkeypatch, "rootfs / rootfs rw 0 0\nserver:/export / nfs4 rw 0 0\n")

    with pytest.raises(ConfigError, match="on nfs4"):
        SQLiteStore(database)


def fake_mounts(monkeypatch, text):
    """Other contents of the system's table of mounts; all other files stay what they are."""
    read_text = Path.read_text
    monkeypatch.setattr(
        connection.Path,
        "read_text",
        lambda path, *rest: text if path == Path("/proc/self/mounts") else read_text(path, *rest),
    )


# The setting


def test_a_relative_path_starts_at_the_configuration_file(tmp_path):
    config = from_tables({"store": "sqlite:///here.db"}, file=tmp_path / "receiver.toml")

    with contextlib.closing(open_configured(config)):
        assert (tmp_path / "here.db").is_file()


def test_an_absolute_path_stays(tmp_path):
    config = from_tables({"store": f"sqlite:///{tmp_path}/there.db"}, file=Path("/elsewhere/receiver.toml"))

    with contextlib.closing(open_configured(config)):
        assert (tmp_path / "there.db").is_file()


def test_keeps_no_more_of_a_hint_than_of_a_refusal(tmp_path):
    config = from_tables({"quarantine": {"max_body": 10}}, file=tmp_path / "receiver.toml")

    with contextlib.closing(open_configured(config)) as store:
        store.receive(a_hint(an_event(), body=b"0123456789abcdef"))

        assert [row["body"] for row in all_deliveries(store)] == [b"0123456789"]


@pytest.mark.parametrize("url", ["receiver.db", "sqlite:receiver.db", "mysql://host/receiver", ""])
def test_refuses_another_kind_of_store(url):
    with pytest.raises(ConfigError, match=r": store: "):
        open_configured(from_tables({"store": url}))


# When nothing can be written


@pytest.fixture(
    params=[
        pytest.param(database_locked, id="database-locked"),
        pytest.param(flock_held, id="flock-held"),
    ]
)
def busy(request):
    return request.param


def test_a_store_that_is_busy_stores_nothing(database, busy):
    with opened(database, timeout=IMPATIENT) as store:
        with busy(database), pytest.raises(StoreUnavailable):
            store.receive(a_record(an_event()))

        assert all_events(store) == []


def test_to_look_for_what_a_paused_handler_may_run_writes_nothing(database, busy):
    with opened(database, timeout=IMPATIENT) as store:
        dispatch(store, an_event())
        store.pause_handler(HANDLER, paused=True)

        with busy(database):
            assert claim(store) == []


def test_a_store_that_is_busy_says_so_in_time(database, busy):
    with opened(database, timeout=IMPATIENT) as store, busy(database):
        began = time.monotonic()

        with pytest.raises(StoreUnavailable):
            store.prove()

        assert 0.1 < time.monotonic() - began < 2


def test_a_store_that_was_busy_recovers(database, busy):
    with opened(database, timeout=IMPATIENT) as store:
        with busy(database), pytest.raises(StoreUnavailable):
            store.receive(a_record(an_event()))

        assert not store.receive(a_record(an_event())).repeated


def test_every_thread_that_waits_for_a_busy_store_hears_it(database, busy):
    def fails():
        with pytest.raises(StoreUnavailable):
            store.receive(a_record(an_event()))
        return True

    with opened(database, timeout=IMPATIENT) as store:
        with busy(database):
            assert all(at_once(*[fails] * 8))

        assert all_events(store) == []


def test_a_busy_store_can_be_read(database, busy):
    with opened(database) as store:
        store.receive(a_record(an_event()))

        with busy(database):
            assert len(all_events(store)) == 1


def test_a_full_disk_stores_nothing(store):
    store.receive(a_record(an_event("job_1")))

    with disk_full(), pytest.raises(StoreUnavailable):
        store.receive(a_record(an_event("job_2")))

    assert [row["job"] for row in all_events(store)] == ["job_1"]


def test_a_disk_that_is_full_before_the_tables_are_made_is_the_error(database):
    with contextlib.closing(connection.connect(database)) as new:
        migrations.pending(Database(new))

        # It ends the transaction, so that there is nothing left to roll back.
        with disk_full(), pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            migrate(Database(new))


def test_recovers_from_a_full_disk(store):
    store.receive(a_record(an_event("job_1")))
    with disk_full(), pytest.raises(StoreUnavailable):
        store.receive(a_record(an_event("job_2")))

    assert not store.receive(a_record(an_event("job_2"))).repeated


def test_what_a_full_disk_refused_is_not_there_after_opening_again(database):
    with opened(database) as store:
        store.receive(a_record(an_event("job_1")))
        with disk_full(), pytest.raises(StoreUnavailable):
            store.receive(a_record(an_event("job_2")))

    with opened(database) as store:
        assert [row["job"] for row in all_events(store)] == ["job_1"]


# Turns


def test_no_process_keeps_the_others_from_writing(database):
    commits = 150
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child(WRITE, database, f"source-{n}", commits)) for n in range(4)]
        for process in processes:
            said(process, "ready")
        for process in processes:
            tell(process)
        for process in processes:
            said(process, "written")

    with opened(database) as store:
        rows = store.list_events(limit=4 * commits).rows
    sources = [row["source"] for row in reversed(rows)]
    when_the_first_was_done = sources[: max(positions(sources)[:1])]
    assert all(when_the_first_was_done.count(f"source-{n}") > commits / 10 for n in range(4))


def positions(sources):
    """Where the last commit of each source is, the earliest first."""
    return sorted(len(sources) - sources[::-1].index(source) for source in set(sources))


def test_leaves_no_socket_behind(database):
    with opened(database) as store:
        store.wait(timedelta(0))

    assert os.listdir(f"{database}-bell") == []


def test_one_dispatch_is_found_by_its_id(tmp_path):
    with contextlib.closing(connection.connect(tmp_path / "receiver.db")) as db:
        migrate(Database(db))
        values = {"id": 1, "now": "2026-03-09T16:13:00.000Z"}

        [first, *_] = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {dispatches.DUE_ONE}", values)]

    assert first == "SEARCH due USING INTEGER PRIMARY KEY (rowid=?)"


# Work that is done again, as another's share of its commit failed


@pytest.fixture
def done_again(monkeypatch):
    """Every work is done, undone and done again."""
    run = Writer.run

    def twice(self, work):
        def again(db):
            db.execute("SAVEPOINT before")
            work(db)
            db.execute("ROLLBACK TO before")
            return work(db)

        return run(self, again)

    return lambda: monkeypatch.setattr(Writer, "run", twice)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda store, ids: store.retry(ids), id="retry"),
        pytest.param(lambda store, ids: store.discard(ids, reason="too old"), id="discard"),
    ],
)
def test_letters_that_can_be_named_only_once_are_changed(store, done_again, change):
    letter = dead(store, an_event())
    done_again()

    assert change(store, iter([letter])) == [letter]


@pytest.mark.parametrize(
    "dequeue",
    [
        pytest.param(lambda store, ids: store.dequeue(ids), id="named"),
        pytest.param(lambda store, _: store.dequeue_lost(iter([HANDLER]), older_than=LAPSED, keep=0), id="lost"),
    ],
)
def test_what_can_be_named_only_once_is_dequeued(store, done_again, dequeue):
    dispatch(store, an_event())
    queued = store.enqueue({HANDLER: 1})
    done_again()

    dequeue(store, (dispatch_id for dispatch_id, _ in queued))

    assert store.enqueue({HANDLER: 1}) == queued
