"""What is old goes, in every store."""

import contextlib
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlite_utils import Database

from receiver.errors import StoreUnavailable
from receiver.store.base import Prunable
from receiver.store.postgres import PostgresStore
from receiver.store.sqlite import SQLiteStore, connection, retention
from receiver.store.sqlite.schema import migrations
from tests import aging
from tests.store.contract import a_record, all_deliveries, an_event, unreadable
from tests.store.retention import OLD, RetentionContract, ago, prune
from tests.trouble import database_locked


class TestSQLite(RetentionContract):
    @pytest.fixture
    def let_pass(self, store, database):
        return lambda time: aging.let_pass(database, time.total_seconds())


class TestPostgres(RetentionContract):
    @pytest.fixture
    def store(self, postgres_url):
        with contextlib.closing(PostgresStore(postgres_url)) as store:
            yield store

    @pytest.fixture
    def let_pass(self, store, postgres_url):
        return lambda time: aging.let_pass_in_postgres(postgres_url, time.total_seconds())


# SQLite


def test_needs_no_turn_to_write_where_nothing_is_old(database):
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=100))) as store:
        store.receive(a_record(an_event()))
        with database_locked(database):
            assert [prune(store, what) for what in Prunable] == [0] * len(Prunable)


def test_says_when_it_gets_no_turn_to_write(database):
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=100))) as store:
        store.receive(ago(a_record(an_event()), OLD))
        store.receive(a_record(an_event("job_2")))
        with database_locked(database), pytest.raises(StoreUnavailable):
            prune(store, Prunable.DELIVERIES)


@pytest.mark.parametrize("what", Prunable)
def test_looks_through_no_table_for_what_is_old(store, database, what):
    rule = retention._RULES[what]
    values = {"after": 0, "upto": 0, "before": "", "most": 0, "ids": "[]"}
    with contextlib.closing(connection.connect(database)) as reader:
        plans = [
            step["detail"]
            for statement in (rule.oldest, rule.old, *rule.removals)
            for step in reader.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]

    few = ("json_each", "dispatches_dead", "events_unrouted")
    assert [step for step in plans if step.startswith("SCAN") and not any(name in step for name in few)] == []
    assert [step for step in plans if "events_job" in step] == []


def test_what_was_told_apart_by_its_bytes_before_an_upgrade_is_known_after(database):
    with contextlib.closing(connection.connect(database)) as old:
        migrations.apply(Database(old), stop_before="let_go")
        old.execute(
            """
            INSERT INTO deliveries (source, via, trust, verdict, path, headers, body, fingerprint, received_at,
                last_seen_at)
            VALUES ('creative', 'webhook', 'signed', 'unreadable', '/', '{}', ?, ?, '2026-03-09T16:13:00.000Z',
                '2026-03-09T16:13:00.000Z')
            """,
            (b"<html>", hashlib.sha256(b"<html>").hexdigest()),
        )

    with contextlib.closing(SQLiteStore(database)) as store:
        assert store.receive(unreadable(b"<html>")).repeated


# PostgreSQL


@pytest.fixture
def node(postgres_url):
    with contextlib.closing(PostgresStore(postgres_url)) as store:
        yield store


def received_in(store, month, job_id):
    return store.receive(
        replace(
            a_record(an_event(job_id)),
            delivery=replace(a_record().delivery, received_at=datetime(2020, month, 10, tzinfo=UTC)),
        )
    )


def partitions(url):
    with psycopg.connect(url) as connection:
        return [
            name
            for [name] in connection.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits "
                "WHERE inhparent = 'deliveries'::regclass AND inhrelid::regclass::text LIKE '%2020%' ORDER BY 1"
            )
        ]


def since(moment):
    return datetime.now(UTC) - moment


def test_old_months_are_dropped_whole(node, postgres_url):
    for month in (1, 2, 3):
        received_in(node, month, f"job_{month}")

    dropped = list(node.prune(Prunable.DELIVERIES, older_than=since(datetime(2020, 3, 1, tzinfo=UTC))))

    assert dropped == [1, 1]
    assert partitions(postgres_url) == ["deliveries_2020_03"]


def test_a_month_that_is_not_over_is_kept(node):
    received_in(node, 1, "job_1")

    assert prune(node, Prunable.DELIVERIES, older_than=since(datetime(2020, 1, 20, tzinfo=UTC))) == 0


def test_a_month_with_what_is_kept_for_longer_stays_until_that_is_gone(node, postgres_url):
    received_in(node, 1, "job_1")
    odd = unreadable()
    node.receive(replace(odd, delivery=replace(odd.delivery, received_at=datetime(2020, 1, 11, tzinfo=UTC))))
    prune(node, Prunable.DELIVERIES)
    before = partitions(postgres_url), [row["verdict"] for row in all_deliveries(node)]

    prune(node, Prunable.UNREADABLE)
    prune(node, Prunable.DELIVERIES)

    assert before == (["deliveries_2020_01"], ["unreadable"])
    assert partitions(postgres_url) == []


def test_a_month_that_another_node_dropped_is_made_again(node, postgres_url):
    received_in(node, 1, "job_1")
    with contextlib.closing(PostgresStore(postgres_url)) as other:
        prune(other, Prunable.DELIVERIES)

    assert received_in(node, 1, "job_2").events


def test_months_are_not_dropped_while_somebody_reads_for_long(node, postgres_url):
    received_in(node, 1, "job_1")
    with contextlib.closing(psycopg.connect(postgres_url)) as reader:
        reader.execute("SELECT * FROM deliveries")

        with pytest.raises(StoreUnavailable, match="lock timeout"):
            prune(node, Prunable.DELIVERIES)

    assert len(all_deliveries(node)) == 1


def test_what_was_received_this_month_is_kept(node):
    node.receive(ago(a_record(an_event()), timedelta(0)))

    assert prune(node, Prunable.DELIVERIES, older_than=timedelta(microseconds=1)) == 0
