"""PostgreSQL: the contract of all stores, then what is its own."""

import contextlib
import math
import os
import re
import signal
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from receiver.config import from_tables
from receiver.errors import ConfigError, StoreUnavailable
from receiver.models import Failure, State
from receiver.store import migrate as migrate_configured
from receiver.store import open_store as open_configured
from receiver.store.postgres import PostgresStore, migrate, schema
from receiver.store.postgres.locks import job_lock, lock, lock_for_long
from receiver.store.postgres.receiving import goes_together
from tests import aging, postgres
from tests.store.access import AccessContract
from tests.store.contract import (
    AT,
    DONE,
    HANDLER,
    HOUR,
    LAPSED,
    SOURCE,
    StoreContract,
    a_delivery,
    a_hint,
    a_record,
    all_deliveries,
    all_events,
    all_refusals,
    an_event,
    at_once,
    claim,
    dispatch,
    incomplete,
    refusals,
    replay,
    track,
)
from tests.trouble import child, said, tell
from tests.watch import eventually

IMPATIENT = timedelta(milliseconds=300)
SOON = timedelta(seconds=20)

OPEN = """
import sys
from receiver.store.postgres import PostgresStore

print("ready", flush=True)
sys.stdin.readline()
PostgresStore(sys.argv[1]).prove()
print("opened", flush=True)
"""

HOLD = """
import sys, time
from datetime import timedelta
from receiver.store.postgres import PostgresStore
from receiver.store.postgres.locks import job_lock, lock

def hold(db):
    lock(db, job_lock("creative", "job_1"))
    db.execute("INSERT INTO proofs VALUES (7, clock_timestamp())")
    print("held", flush=True)
    time.sleep(60)

PostgresStore(sys.argv[1], timeout=timedelta(seconds=float(sys.argv[2])))._pool.run(hold)
"""

RECEIVE = """
import sys
from receiver.store.postgres import PostgresStore
from tests.store.contract import a_record, an_event

store = PostgresStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(100_000):
    store.receive(a_record(an_event(f"job_{number}")))
    print(number, flush=True)
"""


@contextlib.contextmanager
def opened(url, **settings):
    with contextlib.closing(PostgresStore(url, **settings)) as store:
        yield store


@pytest.fixture
def store(postgres_url):
    with opened(postgres_url) as found:
        yield found


@pytest.fixture
def impatient(postgres_url):
    with opened(postgres_url, timeout=IMPATIENT) as found:
        yield found


@contextlib.contextmanager
def psql(url):
    """A connection of somebody else's."""
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
        yield connection


def rows(url, statement):
    with psql(url) as connection:
        return connection.execute(statement).fetchall()


class TestPostgresStore(AccessContract, StoreContract):
    @pytest.fixture
    def open_store(self, postgres_url):
        with contextlib.ExitStack() as stack:
            yield lambda **settings: stack.enter_context(opened(postgres_url, **settings))

    @pytest.fixture
    def let_pass(self, postgres_url):
        """Makes everything so much older."""
        return lambda time: aging.let_pass_in_postgres(postgres_url, time.total_seconds())


# What is kept comes back as it was


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("\0 \ud800 \x1a \x1a0000 夜 \\u0000", id="what PostgreSQL keeps nowhere"),
        pytest.param('{"a,b",\\"c\\\\"}', id="what an array is written with"),
        pytest.param("NULL", id="NULL"),
        pytest.param("\t\r\n ", id="blanks"),
    ],
)
def test_any_text_is_kept(store, odd):
    delivery = replace(a_delivery(), path=f"/webhooks/{odd}", headers={"x-odd": odd}, body=odd.encode(errors="replace"))
    event = an_event(f"job {odd}", raw_status=odd, type=odd, failure=Failure(odd, code=odd), data={odd: odd})

    [stored] = store.receive(replace(a_record(event), delivery=delivery, note=odd)).events

    [row] = all_deliveries(store)
    assert (row["path"], row["headers"], row["note"]) == (delivery.path, dict(delivery.headers), odd)
    assert row["body"] == delivery.body
    assert store.event(stored.id) == replace(stored, trust=stored.trust)
    assert store.job(SOURCE, f"job {odd}").raw_status == odd
    assert store.receive(a_record(event)).repeated


def test_a_refusal_of_any_text_is_kept(store):
    [refusal] = refusals(1)
    odd = replace(refusal, hint="\0\udfff", delivery=replace(refusal.delivery, path="/\0", body=b"\0\xff"))

    store.quarantine([odd], max_count=10)

    [row] = all_refusals(store)
    assert (row["hint"], row["path"], row["body"]) == ("\0\udfff", "/\0", b"\0\xff")


def test_numbers_and_the_order_of_names_are_kept(store):
    data = {"z": 2**63, "a": -(2**80), "f": 0.1 + 0.2, "e": 1e-320, "i": math.inf, "zero": -0.0, "": [1.0, 1]}

    [stored] = store.receive(a_record(an_event(data=data))).events

    kept = store.event(stored.id).data
    assert repr(kept) == repr(data)


@pytest.mark.parametrize("year", [1, 9999])
def test_a_time_at_the_end_of_the_calendar_is_kept(store, year):
    moment = datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, tzinfo=UTC)

    [stored] = store.receive(a_record(an_event(occurred_at=moment))).events

    assert store.event(stored.id).occurred_at == moment
    assert [event.occurred_at for event in store.unrouted(10)] == [moment]


# Tables


def test_an_empty_database_gets_its_tables(postgres):
    with postgres.empty() as url, opened(url) as store:
        assert store.receive(a_record(an_event())).events


def test_nodes_that_open_an_empty_database_at_once_all_succeed(postgres):
    with postgres.empty() as url, contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child(OPEN, url)) for _ in range(4)]
        for process in processes:
            said(process, "ready")
        for process in processes:
            tell(process)

        for process in processes:
            said(process, "opened")


def test_nodes_that_migrate_at_once_take_each_step_once(postgres):
    with postgres.empty() as url:
        taken = at_once(*[lambda: migrate(url)] * 4)

    names = [migration.name for migration in schema.MIGRATIONS]
    assert sorted(taken) == [[], [], [], names]


def test_tables_are_made_in_the_schema_that_the_connection_names(postgres):
    with postgres.empty() as url:
        with psql(url) as connection:
            connection.execute("CREATE SCHEMA ours")
        with opened(f"{url}&options=-csearch_path%3Dours") as store:
            store.receive(a_record(an_event()))

        assert rows(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_refuses_tables_of_a_newer_version(store, postgres_url):
    with psql(postgres_url) as connection:
        connection.execute("INSERT INTO receiver_migrations (name) VALUES ('in_2030')")

    with pytest.raises(StoreUnavailable, match=r"newer Receiver \(in_2030\)"):
        PostgresStore(postgres_url)
    with pytest.raises(StoreUnavailable, match=r"newer Receiver \(in_2030\)"):
        migrate(postgres_url)


def test_refuses_tables_of_an_older_version_until_somebody_migrates(store, postgres_url, monkeypatch):
    newer = schema.Migration("add_a_table", ("CREATE TABLE added (id integer)",))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, newer))

    with pytest.raises(StoreUnavailable, match="run `receiver migrate`"):
        PostgresStore(postgres_url)
    assert migrate(postgres_url) == ["add_a_table"]
    with opened(postgres_url) as upgraded:
        upgraded.prove()


def test_a_migration_that_fails_leaves_nothing(store, postgres_url, monkeypatch):
    broken = schema.Migration("break", ("CREATE TABLE added (id integer)", "SELECT nonsense"))
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))

    with pytest.raises(StoreUnavailable, match="nonsense"):
        migrate(postgres_url)
    assert rows(postgres_url, "SELECT to_regclass('added')") == [(None,)]


def test_refuses_a_database_that_cannot_hold_every_text(postgres):
    with (
        postgres.created("receiver_latin", encoding="LATIN1") as url,
        pytest.raises(StoreUnavailable, match="encoding is LATIN1"),
    ):
        PostgresStore(url)


# The setting


def test_the_setting_names_it(postgres_url):
    config = from_tables({"store": postgres_url, "quarantine": {"max_body": 10}}, file=Path("receiver.toml"))

    with contextlib.closing(open_configured(config)) as store:
        assert isinstance(store, PostgresStore)
        assert store._bounds.max_hint_body == 10
    assert migrate_configured(config) == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush-hush@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=me&password=hush-hush",
        "postgresql://me:hush-hush@127.0.0.1:1,127.0.0.1:2/db?connect_timeout=2",
    ],
)
def test_a_server_that_is_not_there_is_named_without_the_password(url):
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as raised:
        open_configured(from_tables({"store": url}))

    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("password", ["hu@sh", "hu/sh", "hu?sh", "hu#sh", "hu%sh", "hu:sh/@", "hu%zzsh"])
def test_a_password_that_is_not_quoted_is_not_shown_either(password):
    with pytest.raises((ConfigError, StoreUnavailable)) as raised:
        open_configured(from_tables({"store": f"postgresql://me:{password}@127.0.0.1:1/db"}))

    shown = "".join(traceback.format_exception(raised.value))
    assert not any(part in shown for part in (password, "sh@", "hu%"))


@pytest.mark.parametrize("url", ["postgresql://me:a@b@c/db", "postgresql://me:a/b@c/db", "postgresql://me:%zz@c/db"])
def test_says_how_to_quote_a_password(url):
    with pytest.raises(ConfigError, match=r": store: .*%40"):
        open_configured(from_tables({"store": url}))


def test_a_password_that_the_server_refuses_is_not_shown(server, server_databases):
    with server.asking_for_passwords(), server_databases.copied() as url:
        wrong = url.replace(f"{postgres.USER}@", f"{postgres.USER}:hush-hush@")

        with pytest.raises(StoreUnavailable, match="password authentication failed") as raised:
            PostgresStore(wrong)

    assert "hush" not in str(raised.value)


# When nothing can be written


def test_what_takes_too_long_is_ended_by_the_server(impatient):
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        impatient._pool.run(lambda db: db.execute("SELECT pg_sleep(60)"))

    assert time.monotonic() - began < 5
    impatient.prove()


def test_a_question_that_takes_too_long_is_given_up(impatient, postgres_url):
    with pytest.raises(StoreUnavailable, match="timeout"):
        impatient._pool.read("SELECT pg_sleep(60)")

    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    assert eventually(lambda: rows(postgres_url, busy) == [(0,)])


def test_a_lock_that_others_hold_is_waited_for_no_longer_than_allowed(impatient, postgres_url):
    track(impatient, "job_1")
    with psql(postgres_url) as other, other.transaction():
        other.execute("SELECT * FROM jobs FOR UPDATE")

        with pytest.raises(StoreUnavailable):
            impatient.receive(a_record(an_event()))

    assert all_events(impatient) == all_deliveries(impatient) == []
    assert not impatient.receive(a_record(an_event())).repeated


def test_when_every_connection_is_in_use_a_thread_waits_no_longer_than_allowed(impatient):
    def sleep():
        with pytest.raises(StoreUnavailable):
            impatient._pool.run(lambda db: db.execute("SELECT pg_sleep(60)"))
        return True

    assert all(at_once(*[sleep] * 20))
    impatient.prove()


def test_a_commit_that_a_standby_does_not_confirm_in_time_is_none(server, server_databases):
    with server_databases.copied() as url, opened(url, timeout=IMPATIENT) as store:
        with server.awaiting_a_standby(), pytest.raises(StoreUnavailable, match="timeout expired"):
            store.receive(a_record(an_event()))

        # Nobody knows what became of it: the sender sends again, which is harmless.
        store.receive(a_record(an_event()))
        assert len(all_events(store)) == 1


def test_a_connection_lost_while_it_commits_is_no_commit(server, server_databases):
    with server_databases.copied() as url, opened(url) as store:
        with server.awaiting_a_standby():
            receiving = at_once(lambda: attempt(store), lambda: end_whoever_commits(server.url("postgres")))

        assert receiving[0] == "unavailable"
        store.receive(a_record(an_event()))
        assert len(all_events(store)) == 1


def attempt(store):
    try:
        store.receive(a_record(an_event()))
    except StoreUnavailable:
        return "unavailable"
    return "stored"


def end_whoever_commits(url):
    waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    eventually(lambda: rows(url, waiting))


def test_a_database_that_commits_without_a_sync_is_made_to_sync(postgres_url):
    with psql(postgres_url) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off")

    with opened(postgres_url) as store:
        [row] = store._pool.run(lambda db: db.execute("SHOW synchronous_commit").fetchall())

    assert row == {"synchronous_commit": "on"}


# When somebody dies, or freezes


@pytest.fixture(scope="module")
def server():
    """A server that may be stopped, frozen and set up otherwise."""
    with postgres.running() as found:
        yield found


@pytest.fixture(scope="module")
def server_databases(server):
    databases = postgres.Databases(server.url("postgres"))
    with databases.prepared():
        yield databases


def test_goes_on_after_the_server_was_restarted(server, server_databases):
    with server_databases.copied() as url, opened(url) as store:
        at_once(*[store.prove] * 8)
        server.stop()
        with pytest.raises(StoreUnavailable):
            store.receive(a_record(an_event()))
        server.start()

        assert not store.receive(a_record(an_event())).repeated


def test_hears_others_again_after_the_server_was_restarted(server, server_databases):
    with server_databases.copied() as url, opened(url) as store, opened(url) as other:
        store.wait(timedelta(0))
        server.stop()
        server.start()

        assert eventually(lambda: listeners(url))
        assert wakes(store, other)


def test_a_worker_whose_listening_connection_is_cut_listens_again(store, postgres_url):
    store.wait(timedelta(0))
    [cut] = eventually(lambda: listeners(postgres_url))
    rows(postgres_url, f"SELECT pg_terminate_backend({cut})")

    assert eventually(lambda: listeners(postgres_url) not in ([], [cut]))
    with opened(postgres_url) as other:
        assert wakes(store, other)


def listeners(url):
    """The server processes that listen for a store in this database."""
    ours = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    return [pid for [pid] in rows(url, ours)]


def wakes(waiting, other):
    """Whether the one wakes the other before its time is up."""
    waiting.wait(timedelta(0))
    time.sleep(0.05)
    waiting.wait(timedelta(0))
    began = time.monotonic()
    other.wake()
    waiting.wait(SOON)
    return time.monotonic() - began < SOON.total_seconds() / 2


def test_a_server_that_freezes_is_given_up_in_time_and_has_stored_nothing(postgres_url):
    with opened(postgres_url, timeout=IMPATIENT) as store:
        pid = store._pool.run(lambda db: db.execute("SELECT pg_backend_pid() AS pid").fetchall())[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="timeout"):
                store.receive(a_record(an_event()))
            assert time.monotonic() - began < 3
        finally:
            os.kill(pid, signal.SIGCONT)

        assert all_events(store) == []
        assert not store.receive(a_record(an_event())).repeated


def test_what_a_node_held_when_it_was_killed_is_free_at_once(store, postgres_url):
    with child(HOLD, postgres_url, 60) as process:
        said(process, "held")
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert store.receive(a_record(an_event())).events
    assert rows(postgres_url, "SELECT * FROM proofs") == []


def test_what_a_node_holds_when_it_freezes_is_free_after_its_time(store, postgres_url):
    with child(HOLD, postgres_url, 0.5) as process:
        said(process, "held")
        process.send_signal(signal.SIGSTOP)

        assert store.receive(a_record(an_event())).events
    assert rows(postgres_url, "SELECT * FROM proofs") == []


def test_what_was_acknowledged_survives_the_end_of_the_server(server, server_databases):
    with server_databases.copied() as url:
        with child(RECEIVE, url) as process:
            said(process, "ready")
            tell(process)
            for number in range(50):
                said(process, str(number))
            server.kill()
            acknowledged = 50 + len(process.stdout.read().split())
        server.start()

        with opened(url) as store:
            known = store.list_events(limit=10_000).rows
    assert len(known) in (acknowledged, acknowledged + 1)


# Many nodes at once


def test_what_two_nodes_receive_at_once_is_one_event(postgres_url):
    batch = [an_event(f"job_{number}") for number in range(5)]
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(opened(postgres_url)) for _ in range(4)]
        for turn in range(10):
            told = [replace(event, key=f"{event.key}:{turn}") for event in batch]
            orders = [told, told[::-1], told[2:] + told[:2], told[3:]]

            receipts = at_once(
                *[
                    lambda store=store, order=order: store.receive(a_record(*order))
                    for store, order in zip(stores, orders, strict=True)
                ]
            )

            counts = Counter(event.key for receipt in receipts for event in receipt.events)
            assert counts == {event.key: 1 for event in told}


def test_different_ends_of_one_job_at_once_stand_to_each_other(postgres_url):
    words = ["succeeded", "failed", "cancelled"]
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(opened(postgres_url)) for _ in words]
        for number in range(10):
            at_once(
                *[
                    lambda store=store, word=word, number=number: store.receive(
                        a_record(an_event(f"job_{number}", word, raw_status=word))
                    )
                    for store, word in zip(stores, map(type_of, words), strict=True)
                ]
            )

        standings = [row["standing"] for row in all_events(stores[0])]
        assert standings.count("current") == 10


def type_of(word):
    from receiver.models import Status

    return Status(word)


def test_the_dispatches_of_a_job_run_one_at_a_time_and_in_order_whoever_routes_and_claims(postgres_url):
    jobs, steps = 4, 6
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(opened(postgres_url)) for _ in range(3)]
        running, ran = Counter(), []

        def send():
            for step in range(steps):
                for job in range(jobs):
                    told = an_event(f"job_{job}", None, key=f"job_{job}:{step}", raw_status=f"step {step}")
                    stores[0].receive(a_record(told))

        def work(store):
            def done():
                store.route({event.id: [HANDLER] for event in store.unrouted(5)})
                for claimed in claim(store, 2):
                    job = claimed.event.job_id
                    running[job] += 1
                    assert running[job] == 1
                    ran.append((job, claimed.event.raw_status))
                    running[job] -= 1
                    store.finish(claimed, DONE)
                return len(ran) == jobs * steps

            eventually(done, within=30)

        at_once(send, *[lambda store=store: work(store) for store in stores * 2])

    for job in range(jobs):
        assert [step for name, step in ran if name == f"job_{job}"] == [f"step {step}" for step in range(steps)]


def test_no_two_of_a_job_run_even_if_neither_claim_sees_the_other(store, postgres_url):
    [event] = dispatch(store, an_event(), handlers=()).events
    [replayed] = replay(store, event)
    with psql(postgres_url) as other, other.transaction():
        # Another worker claims the replayed one, and has not committed yet as a live one comes in.
        other.execute(
            "UPDATE dispatches SET state = 'running', token = 't', leased_until = now() + '1h', started_at = now() "
            "WHERE id = %s",
            (replayed,),
        )
        dispatch(store, an_event(status=None, raw_status="next"))
        claiming, committing = lambda: claim(store, 5), lambda: (time.sleep(0.2), other.execute("COMMIT"))

        claims, _ = at_once(claiming, committing)

    assert claims == []


def test_workers_skip_what_another_is_taking(store, postgres_url):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    with psql(postgres_url) as other, other.transaction():
        other.execute("SELECT * FROM dispatches ORDER BY id LIMIT 1 FOR UPDATE")

        assert [claimed.event.job_id for claimed in claim(store, 5)] == ["job_2"]


def test_a_sweep_and_a_finish_at_once_record_one_attempt(store):
    for number in range(10):
        dispatch(store, an_event(f"job_{number}"))
        [claimed] = claim(store, lease=LAPSED)

        swept, state = at_once(store.sweep, lambda claimed=claimed: store.finish(claimed, DONE))

        assert (swept, state) in [(1, None), (0, State.DONE)]
        assert len(store.list_attempts(claimed.id)) == 1
        store.discard([claimed.id], reason="over")
        for left in claim(store):
            store.finish(left, DONE)


def test_locks_are_had_before_the_clock_is_read(store, postgres_url):
    with psql(postgres_url) as other, other.transaction():
        store._pool.run(lambda db: lock(db, "a", "b"))
        [[held]] = other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchall()

        def both(db):
            lock(db, "a", "b")
            return other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchall()

        assert held == 0
        # A share of the one for everything is the third.
        assert store._pool.run(both) == [(3,)]


# Months


@pytest.mark.parametrize(
    "first", [pytest.param(2, id="few"), pytest.param(1000, id="more-than-the-server-has-room-for")]
)
@pytest.mark.parametrize("second", [pytest.param(2, id="few"), pytest.param(1000, id="many")])
def test_who_wants_any_of_the_same_locks_waits(postgres_url, first, second):
    with opened(postgres_url) as one, opened(postgres_url, timeout=IMPATIENT) as other:

        def held(db):
            lock(db, "shared", *(f"one {number}" for number in range(first)))
            with pytest.raises(StoreUnavailable, match="cannot commit"):
                other._pool.run(lambda db: lock(db, "shared", *(f"other {number}" for number in range(second))))

        one._pool.run(held)


def test_who_wants_other_locks_does_not_wait(postgres_url):
    with opened(postgres_url) as one, opened(postgres_url, timeout=IMPATIENT) as other:

        def held(db):
            lock(db, *(f"one {number}" for number in range(200)))
            return other._pool.run(lambda db: lock(db, *(f"other {number}" for number in range(200))))

        assert one._pool.run(held)


def test_work_that_takes_long_keeps_nobody_from_any_lock(postgres_url):
    with opened(postgres_url) as one, opened(postgres_url, timeout=IMPATIENT) as other:

        def held(db):
            lock_for_long(db, "migrate")
            return other._pool.run(lambda db: lock(db, *(f"other {number}" for number in range(1000))))

        assert one._pool.run(held)


def test_once_nobody_answers_no_other_of_several_is_tried(postgres_url):
    def together(db, items):
        tried.append(items)
        if len(items) > 1:
            raise ValueError("together they cannot")
        raise StoreUnavailable("no answer")

    def refused(number):
        with pytest.raises(StoreUnavailable, match="no answer"):
            store._writer.run_together(together, number)

    tried = []
    with opened(postgres_url, gather=lambda: eventually(lambda: len(store._writer._waiting) != 1)) as store:
        at_once(lambda: refused(1), lambda: refused(2))

    assert [len(items) for items in tried] == [2, 1]


def test_a_delivery_that_needs_many_locks_is_stored_alone():
    clips = [an_event(f"clip_{number}") for number in range(5)]

    assert goes_together(a_record(*clips[:4]))
    assert not goes_together(a_record(*clips))


def test_what_the_database_refuses_of_several_harms_only_itself(postgres_url):
    def both_wait():
        eventually(lambda: len(store._writer._waiting) != 1)

    good, bad = a_record(an_event("good")), a_record(replace(an_event("bad"), type=None))
    with opened(postgres_url, gather=both_wait) as store:

        def refused():
            with pytest.raises(StoreUnavailable, match="not-null"):
                store.receive(bad)

        receipt, _ = at_once(lambda: store.receive(good), refused)

        assert [event.job_id for event in receipt.events] == ["good"]
        assert [row["job"] for row in store.list_events(limit=10).rows] == ["good"]


@contextlib.contextmanager
def held(url, name):
    """Another node has a lock, and keeps it until the block ends."""
    has_it, over = threading.Event(), threading.Event()

    def hold(db):
        lock(db, name)
        has_it.set()
        over.wait(60)

    with opened(url) as other, ThreadPoolExecutor(1) as thread:
        holding = thread.submit(other._pool.run, hold)
        assert has_it.wait(10)
        yield
        over.set()
        holding.result()


def test_a_lock_that_one_of_several_needs_keeps_no_other_waiting(postgres_url):
    def both_wait():
        eventually(lambda: len(store._writer._waiting) != 1)

    def refused():
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.receive(a_record(an_event("held")))

    with opened(postgres_url, gather=both_wait) as store, held(postgres_url, job_lock("creative", "held")):
        receipt, _ = at_once(lambda: store.receive(a_record(an_event("free"))), refused)

        assert [event.job_id for event in receipt.events] == ["free"]
        assert [row["job"] for row in store.list_events(limit=10).rows] == ["free"]


def test_nobody_genuine_waits_for_hints(postgres_url):
    with opened(postgres_url) as store, ThreadPoolExecutor(20) as strangers:
        with held(postgres_url, "hints creative"):
            hints = [strangers.submit(store.receive, a_hint(an_event(f"hinted_{number}"))) for number in range(20)]
            eventually(lambda: store._hints._value == 0)

            genuine = store.receive(a_record(an_event("genuine")))
            store.receive(incomplete(an_event("incomplete")))

            assert [event.job_id for event in genuine.events] == ["genuine"]
            assert not any(hint.done() for hint in hints)
        assert not any(hint.result().repeated for hint in hints)


def test_hints_that_find_no_place_in_time_are_to_come_again(postgres_url):
    def refused():
        with pytest.raises(StoreUnavailable, match=r"too many hints|cannot commit"):
            store.receive(a_hint(an_event("hinted")))

    with opened(postgres_url, timeout=IMPATIENT) as store, held(postgres_url, "hints creative"):
        at_once(*[refused] * 5)


def partitions(url):
    statement = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'deliveries'::regclass ORDER BY 1"
    return [name for [name] in rows(url, statement)]


def received_at(store, moment, job_id):
    record = a_record(an_event(job_id))
    return store.receive(replace(record, delivery=replace(record.delivery, received_at=moment)))


def test_a_month_has_its_partition_before_it_begins(store, postgres_url):
    received_at(store, datetime(2026, 12, 20, tzinfo=UTC), "job_1")
    before = partitions(postgres_url)

    received_at(store, datetime(2026, 12, 31, tzinfo=UTC), "job_2")

    assert before == ["deliveries_2026_12"]
    assert partitions(postgres_url) == ["deliveries_2026_12", "deliveries_2027_01"]


def test_nodes_that_need_a_month_at_once_make_it_once(postgres_url):
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(opened(postgres_url)) for _ in range(4)]

        receipts = at_once(
            *[
                lambda store=store, number=number: received_at(store, AT, f"job_{number}")
                for number, store in enumerate(stores)
            ]
        )

    assert all(receipt.events for receipt in receipts)


def test_a_month_is_made_while_somebody_reads_for_long(store, postgres_url):
    received_at(store, AT, "job_1")
    with psql(postgres_url) as reader, reader.transaction():
        reader.execute("SELECT * FROM deliveries")

        assert received_at(store, AT + timedelta(days=40), "job_2").events


def test_what_takes_a_delivery_in_is_planned_once(store):
    for number in range(3):
        store.receive(a_record(an_event(f"job_{number}")))

    assert len(prepared(store)) == 6


def prepared(store):
    """The statements that the server has planned for the connection that is lent next."""
    return [row["statement"] for row in store._pool.read("SELECT statement FROM pg_prepared_statements")]


# Through a pooler


@pytest.fixture
def pooled_url(server, server_databases):
    with postgres.pooled(server) as pooler, server_databases.copied() as url:
        yield pooler.url(url)


def test_works_through_a_pooler_that_lends_connections_for_a_transaction(pooled_url):
    with opened(pooled_url) as store, opened(pooled_url) as other:
        for turn in range(10):
            at_once(
                *[
                    lambda turn=turn, opened=opened, number=number: dispatch(opened, an_event(f"{turn} {number}"))
                    for number, opened in enumerate([store, other] * 4)
                ]
            )
            for claimed in claim(store, 20) + claim(other, 20):
                store.finish(claimed, DONE)

        states = Counter(row["state"] for row in store.list_dispatches(limit=99).rows)
        assert prepared(store) == []
    assert states == {"done": 80}


def test_who_hears_nothing_through_a_pooler_looks_when_the_time_is_up(pooled_url):
    with opened(pooled_url) as store, opened(pooled_url) as other:
        other.receive(a_record(an_event()))

        store.wait(IMPATIENT)
        store.wait(IMPATIENT)

        assert len(store.unrouted(10)) == 1


def test_frees_what_a_whole_cluster_left_behind_by_and_by(store, postgres_url):
    receipt = store.receive(a_record(*(an_event(f"job_{number}") for number in range(510))))
    store.route({event.id: [HANDLER] for event in receipt.events})
    claim(store, 510)
    aging.let_pass_in_postgres(postgres_url, HOUR.total_seconds() + 1)

    assert [store.sweep(), store.sweep(), store.sweep()] == [500, 10, 0]


def test_the_size_of_a_lease_is_told_by_the_databases_clock(store, postgres_url):
    dispatch(store, an_event())
    claim(store, lease=HOUR)

    [[left]] = rows(postgres_url, "SELECT leased_until - clock_timestamp() FROM dispatches")
    assert HOUR - timedelta(seconds=10) < left <= HOUR


def test_nothing_is_left_open(postgres_url):
    with opened(postgres_url) as store:
        store.wait(timedelta(0))
        store.receive(a_record(an_event()))

    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'receiver'"
    assert eventually(lambda: rows(postgres_url, ours) == [(0,)])


def test_the_text_of_where_it_is_holds_no_secret():
    from receiver.store.postgres.connection import Address

    shown = str(Address("postgresql://me:hush-hush@db.example:5433/receiver?sslmode=require"))

    assert re.fullmatch(r"host=db\.example port=5433 dbname=receiver", shown)


def test_renewing_waits_for_nobody(postgres_url):
    with contextlib.closing(PostgresStore(postgres_url)) as store, psycopg.connect(postgres_url) as other:
        dispatch(store, an_event("job_1"), an_event("job_2"))
        first, second = claim(store, 2)
        other.execute("SELECT FROM dispatches WHERE id = %s FOR UPDATE", (second.id,))

        assert store.renew([second, first], lease=HOUR) == {first.id}
