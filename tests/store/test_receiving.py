"""Deliveries that come in together: as if one had come after the other, and with as few statements as one."""

import random
from contextlib import closing
from dataclasses import replace

import pytest

from receiver.models import Status, Trust, Via
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import a_hint, a_record, all_deliveries, all_events, an_event, incomplete, unreadable

STATUSES = [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, None]


@pytest.fixture
def database(tmp_path):
    return lambda name: closing(SQLiteStore(tmp_path / f"{name}.db", max_hints=3))


def together(store, records):
    """Receive them all in one transaction."""
    return store._writer.run(lambda db: store._receive(db, records))


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


@pytest.mark.parametrize("seed", range(30))
def test_is_as_if_one_had_come_after_the_other(database, seed):
    generator = random.Random(seed)  # noqa: S311
    records = [made_up(generator) for _ in range(40)]

    with database("together") as one, database("apart") as other:
        assert told(together(one, records)) == told(one_by_one(other, records))
        assert kept(one) == kept(other)


def statements(store, records):
    seen = []
    store._writer._connection.set_trace_callback(seen.append)
    together(store, records)
    store._writer._connection.set_trace_callback(None)
    return len(seen)


def test_many_take_as_many_statements_as_one(database):
    with database("store") as store:
        one = statements(store, [a_record(an_event("first"))])
        many = statements(store, [a_record(an_event(f"job_{number}")) for number in range(32)])

    assert many == one


def test_ids_go_up_in_the_order_of_a_delivery(database):
    events = [an_event(f"clip_{number}") for number in range(3)] + [an_event("batch")]

    with database("store") as store:
        [receipt] = together(store, [a_record(*events)])

    assert [event.job_id for event in receipt.events] == ["clip_0", "clip_1", "clip_2", "batch"]
    assert [event.id for event in receipt.events] == [1, 2, 3, 4]
