"""Deliveries that come in together: as if one had come after the other, and with as few statements as one."""

import random
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import permutations
from uuid import uuid4

import pytest

from receiver.models import Status, Trust, Via
from receiver.store.postgres import PostgresStore
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import (
    a_hint,
    a_record,
    all_deliveries,
    all_events,
    an_event,
    incomplete,
    the_job,
    track,
    unreadable,
)

STATUSES = [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, None]


@pytest.fixture(params=["sqlite", "postgres"])
def new_store(request, tmp_path):
    """Makes stores, each on a database of its own."""
    with ExitStack() as stack:

        def new():
            if request.param == "sqlite":
                return stack.enter_context(closing(SQLiteStore(tmp_path / f"{uuid4()}.db", max_hints=3)))
            url = stack.enter_context(request.getfixturevalue("postgres").copied())
            return stack.enter_context(closing(PostgresStore(url, max_hints=3)))

        yield new


def transaction(store, work):
    return (store._writer if isinstance(store, SQLiteStore) else store._pool).run(work)


def together(store, records):
    """Receive them all in one transaction."""
    for record in records if isinstance(store, PostgresStore) else []:
        store._partitions.prepare(record.delivery.received_at)
    return transaction(store, lambda db: store._receive(db, records))


def one_by_one(store, records):
    return [receipt for record in records for receipt in together(store, [record])]


def made_up(generator):
    """A record of anything, about few jobs, so that many have to do with each other."""
    events = []
    for _ in range(generator.choice([1, 1, 1, 2, 3])):
        status = generator.choice(STATUSES)
        word = "paused" if status is None else str(status)
        job = generator.choice(["a", "b", "c", None])
        changes = {
            "source": generator.choice(["one", "two"]),
            "raw_status": word,
            "key": f"{job}:{status or '?paused'}",
        }
        events.append(an_event(job, status, **changes))
    events = list({event.key: event for event in events}.values())
    events = [replace(event, source=events[0].source) for event in events]
    match generator.randrange(8):
        case 0:
            return a_hint(*events, body=generator.choice([b"1", b"2", b"3", b"4", b"5"]))
        case 1:
            return incomplete(*events)
        case 2:
            return unreadable(generator.choice([b"<html>", b"<p>"]))
        case 3:
            return replace(a_record(*events, via=Via.POLL), trust=Trust.CONFIRMED)
        case _:
            return a_record(*events)


def told(receipts):
    return [
        (
            receipt.repeated,
            [(event.key, event.standing, event.trust, event.via) for event in receipt.events],
            [event.key for event in receipt.unknown_statuses],
        )
        for receipt in receipts
    ]


def kept(store):
    """All that is known, but for ids and times."""
    jobs = store.list_jobs(limit=1000).rows
    events = {(row["source"], row["key"], row["standing"], row["via"], row["trust"]) for row in all_events(store)}
    deliveries = sorted(
        (row["source"], row["via"], row["trust"], row["verdict"], row["seen_count"], row["body"])
        for row in all_deliveries(store)
    )
    state = {(row["source"], row["job"], row["status"], row["raw_status"], row["finished_at"] is None) for row in jobs}
    return events, deliveries, state


@pytest.mark.parametrize("seed", range(10))
def test_is_as_if_one_had_come_after_the_other(new_store, seed):
    generator = random.Random(seed)  # noqa: S311
    records = [made_up(generator) for _ in range(40)]
    one, other = new_store(), new_store()

    assert told(together(one, records)) == told(one_by_one(other, records))
    assert kept(one) == kept(other)


@pytest.mark.parametrize("ends", list(permutations([Status.EXPIRED, Status.LOST])), ids="-".join)
def test_of_two_known_ends_in_one_delivery_the_first_closes_the_job(new_store, ends):
    store = new_store()
    for status in (Status.EXPIRED, Status.LOST):
        store.receive(a_record(an_event(status=status)))
        track(store, "job_1")

    store.receive(a_record(*(an_event(status=status) for status in ends)))

    assert the_job(store).status is ends[0]


@contextmanager
def counted(db):
    """What is executed on a connection of either database meanwhile."""
    seen = []
    if isinstance(db, sqlite3.Connection):
        db.set_trace_callback(seen.append)
        yield seen
        db.set_trace_callback(None)
        return
    usual = db.cursor_factory

    class Counting(usual):
        def execute(self, query, *args, **settings):
            seen.append(query)
            return super().execute(query, *args, **settings)

    db.cursor_factory = Counting
    yield seen
    db.cursor_factory = usual


def statement_count(store, records):
    def work(db):
        with counted(db) as seen:
            store._receive(db, records)
        return len(seen)

    together(store, [a_record(an_event("to have a partition"))])
    return transaction(store, work)


def test_many_take_as_many_statements_as_one(new_store):
    store = new_store()

    one = statement_count(store, [a_record(an_event("first"))])
    many = statement_count(store, [a_record(an_event(f"job_{number}")) for number in range(32)])

    assert many == one > 0


def test_ids_go_up_in_the_order_of_a_delivery(new_store):
    events = [an_event(f"clip_{number}") for number in range(3)] + [an_event("batch")]

    [receipt] = together(new_store(), [a_record(*events)])

    assert [event.job_id for event in receipt.events] == ["clip_0", "clip_1", "clip_2", "batch"]
    assert [event.id for event in receipt.events] == [1, 2, 3, 4]
