"""Group commit."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from receiver.errors import StoreUnavailable
from receiver.store.sqlite.writer import Writer
from tests.store.contract import at_once
from tests.trouble import database_locked
from tests.watch import eventually

IMPATIENT = 0.2


class Ledger:
    """One table, and the writer to it."""

    def __init__(self, database, *, timeout=5.0, gather=lambda: None):
        self.database = database
        self.connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE IF NOT EXISTS entries (name TEXT UNIQUE)")
        self.writer = Writer(self.connection, database.with_name("lock"), timeout=timeout, gather=gather)

    def add(self, *names):
        return self.writer.run(lambda db: [insert(db, name) for name in names])

    def entries(self):
        with contextlib.closing(sqlite3.connect(self.database)) as reader:
            return [name for (name,) in reader.execute("SELECT name FROM entries ORDER BY rowid")]


def insert(db, name):
    db.execute("INSERT INTO entries VALUES (?)", (name,))
    return name


@pytest.fixture
def open_ledger(database):
    with contextlib.ExitStack() as stack:

        def open_one(**settings):
            ledger = Ledger(database, **settings)
            stack.callback(ledger.writer.close)
            return ledger

        yield open_one


@pytest.fixture
def ledger(open_ledger):
    return open_ledger()


class Batch:
    """Work that others queue up behind, so that they share the next commit."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.threads = []
        self.results = {}

    def __enter__(self):
        self._hand_in("first", self._block)
        assert self.begun.wait(10)
        return self

    def __exit__(self, *_):
        self.go_on.set()
        for thread in self.threads:
            thread.join(10)

    def start(self, name, work, together=None):
        """Hand in work from a thread of its own; returns once it waits for its turn."""
        waiting = len(self.ledger.writer._waiting)
        self._hand_in(name, work, together)
        eventually(lambda: len(self.ledger.writer._waiting) > waiting)

    def _hand_in(self, name, work, together=None):
        thread = threading.Thread(target=self._run, args=(name, work, together), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _block(self, db):
        self.begun.set()
        assert self.go_on.wait(10)
        return insert(db, "first")

    def _run(self, name, work, together):
        writer = self.ledger.writer
        try:
            self.results[name] = writer.run_together(together, work) if together else writer.run(work)
        except Exception as error:
            self.results[name] = error


def fail(db):
    insert(db, "half")
    raise ValueError("on purpose")


def insert_all(db, names):
    """Several in one go, unless one of them is bad."""
    made = [insert(db, name) for name in names]
    if "bad" in names:
        raise ValueError("on purpose")
    return made


def test_does_in_one_go_what_is_of_the_same_kind(ledger):
    calls = []

    def together(db, names):
        calls.append(list(names))
        return insert_all(db, names)

    with Batch(ledger) as batch:
        for name in ("a", "b", "c"):
            batch.start(name, name, together)

    assert batch.results == {"first": "first", "a": "a", "b": "b", "c": "c"}
    assert calls == [["a", "b", "c"]]


def test_what_fails_together_is_done_one_by_one(ledger):
    with Batch(ledger) as batch:
        for name in ("a", "bad", "c"):
            batch.start(name, name, insert_all)

    assert [batch.results[name] for name in ("a", "c")] == ["a", "c"]
    assert isinstance(batch.results["bad"], ValueError)
    assert sorted(ledger.entries()) == ["a", "c", "first"]


def test_gives_what_the_work_returns(ledger):
    assert ledger.add("a", "b") == ["a", "b"]


def test_commits_before_it_returns(ledger):
    ledger.add("a")

    assert ledger.entries() == ["a"]


def test_passes_on_what_the_work_raises(ledger):
    with pytest.raises(ValueError, match="on purpose"):
        ledger.writer.run(fail)


def test_stores_nothing_of_work_that_fails(ledger):
    with pytest.raises(ValueError, match="on purpose"):
        ledger.writer.run(fail)

    assert ledger.entries() == []


def test_tells_a_database_error_as_its_own(ledger):
    ledger.add("a")

    with pytest.raises(StoreUnavailable, match="UNIQUE"):
        ledger.add("a")


def test_goes_on_after_work_that_fails(ledger):
    with pytest.raises(ValueError, match="on purpose"):
        ledger.writer.run(fail)

    ledger.add("a")

    assert ledger.entries() == ["a"]


def test_many_threads_are_all_served(ledger):
    at_once(*[lambda number=number: ledger.add(f"{number}") for number in range(32)])

    assert sorted(map(int, ledger.entries())) == list(range(32))


def test_what_waits_together_is_committed_together(ledger):
    with Batch(ledger) as batch:
        statements = []
        ledger.connection.set_trace_callback(statements.append)
        for name in "abc":
            batch.start(name, lambda db, name=name: insert(db, name))

    assert batch.results == {"first": "first", "a": "a", "b": "b", "c": "c"}
    assert statements.count("COMMIT") == 2


def test_more_than_one_batch_can_take_is_served_by_the_next(ledger):
    with Batch(ledger) as batch:
        for number in range(70):
            batch.start(number, lambda db, number=number: insert(db, str(number)))

    assert len(ledger.entries()) == 71


def test_work_that_fails_does_not_harm_the_others_of_its_batch(ledger):
    with Batch(ledger) as batch:
        batch.start("a", lambda db: insert(db, "a"))
        batch.start("bad", fail)
        batch.start("b", lambda db: insert(db, "b"))

    assert isinstance(batch.results["bad"], ValueError)
    assert (batch.results["a"], batch.results["b"]) == ("a", "b")
    assert ledger.entries() == ["first", "a", "b"]


def test_an_error_of_the_database_does_not_harm_the_others_of_its_batch(ledger):
    with Batch(ledger) as batch:
        batch.start("a", lambda db: insert(db, "a"))
        batch.start("again", lambda db: insert(db, "a"))
        batch.start("b", lambda db: insert(db, "b"))

    assert isinstance(batch.results["again"], StoreUnavailable)
    assert ledger.entries() == ["first", "a", "b"]


def test_who_gave_up_waiting_leaves_nothing_behind(open_ledger):
    ledger = open_ledger(timeout=IMPATIENT)
    with Batch(ledger) as batch:
        batch.start("late", lambda db: insert(db, "late"))
        eventually(lambda: "late" in batch.results)

    assert isinstance(batch.results["late"], StoreUnavailable)
    assert ledger.entries() == ["first"]


def test_who_gave_up_waiting_does_not_harm_those_who_come_later(open_ledger):
    ledger = open_ledger(timeout=IMPATIENT)
    with Batch(ledger) as batch:
        batch.start("late", lambda db: insert(db, "late"))
        eventually(lambda: "late" in batch.results)

    ledger.add("later")

    assert ledger.entries() == ["first", "later"]


def test_waits_for_somebody_else_who_writes(ledger, database):
    with database_locked(database):
        added = threading.Thread(target=ledger.add, args=("a",), daemon=True)
        added.start()
        eventually(lambda: ledger.writer._led)
    added.join(10)

    assert ledger.entries() == ["a"]


def test_gives_up_on_somebody_else_in_time(open_ledger, database):
    ledger = open_ledger(timeout=IMPATIENT)
    began = time.monotonic()

    with database_locked(database), pytest.raises(StoreUnavailable):
        ledger.add("a")

    assert time.monotonic() - began < 2


def test_a_batch_is_given_as_long_as_the_last_of_it_may_wait(open_ledger, database):
    ledger = open_ledger()
    batch = Batch(ledger)
    # As if the batch before were being committed.
    ledger.writer._led = True
    ledger.writer._timeout = 0.5
    batch.start("early", lambda db: insert(db, "early"))
    ledger.writer._timeout = 60
    batch.start("late", lambda db: insert(db, "late"))

    with database_locked(database):
        ledger.writer._hand_over([])
        end = time.monotonic() + 0.7
        eventually(lambda: time.monotonic() > end)
    for thread in batch.threads:
        thread.join(10)

    assert batch.results == {"early": "early", "late": "late"}


def test_two_writers_take_turns(open_ledger):
    first, second = open_ledger(), open_ledger()

    at_once(*[lambda n=n: (first, second)[n % 2].add(str(n)) for n in range(16)])

    assert len(first.entries()) == 16


def test_a_full_database_stores_nothing_of_a_batch(ledger):
    [pages] = ledger.connection.execute("PRAGMA page_count").fetchone()
    with Batch(ledger) as batch:
        ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
        batch.start("small", lambda db: insert(db, "small"))
        batch.start("large", lambda db: insert(db, "x" * 100_000))

    assert isinstance(batch.results["large"], StoreUnavailable)
    assert "x" * 100_000 not in ledger.entries()
    assert ("small" in ledger.entries()) == (batch.results["small"] == "small")


def test_recovers_from_a_full_database(ledger):
    [pages] = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable):
        ledger.add("x" * 100_000)

    ledger.connection.execute("PRAGMA max_page_count = 1000000")
    ledger.add("a")

    assert ledger.entries() == ["a"]


def test_an_interrupt_in_the_work_is_an_error_to_those_who_share_its_commit(ledger):
    def interrupt(db):
        insert(db, "interrupted")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.writer.run(interrupt)

    ledger.add("a")
    assert ledger.entries() == ["a"]


def test_who_is_interrupted_while_it_waits_keeps_nobody_back(ledger):
    waiter = threading.get_ident()

    def interrupt():
        eventually(lambda: len(ledger.writer._waiting) == 1)
        signal.pthread_kill(waiter, signal.SIGINT)

    with Batch(ledger):
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            ledger.add("interrupted")
        interrupting.join()

    ledger.add("later")
    assert ledger.entries() == ["first", "later"]


def test_what_is_handed_over_while_it_gathers_shares_the_commit(open_ledger):
    def hand_over():
        if not others:
            others.append(threading.Thread(target=ledger.add, args=("second",)))
            others[0].start()
            eventually(lambda: len(ledger.writer._waiting) == 2)

    others = []
    ledger = open_ledger(gather=hand_over)

    ledger.add("first")
    stored = ledger.entries()
    others[0].join()

    assert stored == ["first", "second"]


def test_who_is_ended_while_it_gathers_does_not_harm_those_who_come_later(open_ledger):
    def end_the_first():
        if not ended:
            ended.append(True)
            raise SystemExit

    ended = []
    ledger = open_ledger(gather=end_the_first)

    with pytest.raises(SystemExit):
        ledger.add("first")
    ledger.add("second")

    assert ledger.entries() == ["second"]


TAKING_TURNS = """
from gevent import monkey; monkey.patch_all()
import sqlite3, sys, time
import gevent
from pathlib import Path
from receiver.errors import StoreUnavailable
from receiver.store.sqlite.connection import connect
from receiver.store.sqlite.writer import Writer

database = Path(sys.argv[1])
writer = Writer(connect(database), database.with_name("lock"), timeout=1)
other = sqlite3.connect(database, isolation_level=None)
other.execute("BEGIN IMMEDIATE")
turns = []

def count():
    while True:
        turns.append(time.monotonic())
        gevent.sleep(0.01)

gevent.spawn(count)
try:
    writer.run(lambda db: None)
except StoreUnavailable:
    print(max(later - earlier for earlier, later in zip(turns, turns[1:])))
"""


def test_lets_other_greenlets_go_on_while_it_waits_for_somebody_else(database):
    ended = subprocess.run(
        [sys.executable, "-c", TAKING_TURNS, str(database)], capture_output=True, text=True, timeout=60, check=True
    )

    assert float(ended.stdout) < 0.5
