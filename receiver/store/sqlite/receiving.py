"""Deliveries come in: what the threads of a process hand over at once is stored with a few statements in all.

Each statement lets go of Python's lock, and whoever takes it meanwhile has to be waited for: what counts is how many
statements there are, not how many rows.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from receiver.clock import to_text
from receiver.models import Event, Origin, Status, Trust, Via
from receiver.store.base import Receipt, Record, Verdict
from receiver.store.rows import delivery_values, event_values, recorded, told_end
from receiver.store.rules import SECOND_CHANCE
from receiver.store.sqlite import intents
from receiver.store.sqlite.connection import insert_rows, next_id, now_in
from receiver.store.sqlite.jobs import insert_jobs, job_row, new_job, open_again

_T = TypeVar("_T")
_SEEN_AT = {Via.WEBHOOK: "webhook_at", Via.POLL: "poll_at"}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much is kept of what anybody may send, for each source."""

    max_hints: int
    max_hint_body: int


@dataclass
class _Arrival:
    """A new event on its way in."""

    event: Event
    record: Record
    delivery_id: int
    unknown: bool = False
    """Its status is a word not seen for the job before."""


def receive(db: sqlite3.Connection, records: Sequence[Record], bounds: Bounds) -> list[Receipt]:
    """Store deliveries, their events and what they mean for their jobs."""
    now = now_in(db)
    receipts: dict[int, Receipt] = {}
    for apart in _apart(list(enumerate(records)), _names):
        proven = []
        for index, record in apart:
            if record.verdict is Verdict.RECORDED and record.events:
                proven.append((index, record))
            else:
                receipts[index] = _keep_unproven(db, record, now, bounds)
        if proven:
            receipts |= _keep_proven(db, proven, now)
        for _, record in apart:
            if record.intent is not None:
                intents.fulfil(db, record.intent, record.events)
    return [receipts[index] for index in range(len(records))]


def _names(item: tuple[int, Record]) -> Iterable[Hashable]:
    """What a record has to do with: of two that share any of it, the second has to find what the first left."""
    _, record = item
    source = record.delivery.source
    for event in record.events:
        yield "key", source, event.key
        yield "job", source, event.job_id or event.key
    if record.verdict is not Verdict.RECORDED or not record.events:
        yield "body", source, record.delivery.body
    if record.trust is Trust.HINT:
        yield "hints", source
    if record.intent is not None:
        yield "intent", record.intent


def _keep_proven(db: sqlite3.Connection, records: Sequence[tuple[int, Record]], now: datetime) -> dict[int, Receipt]:
    """Keep what is proven; no two of the records have to do with each other."""
    receipts: dict[int, Receipt] = {}
    fresh: list[tuple[int, Record, list[Event]]] = []
    again = Counter[int]()
    known = _known_events(db, [event for _, record in records for event in record.events])
    for index, record in records:
        rows = [known.get((event.source, event.key)) for event in record.events]
        for event, row in zip(record.events, rows, strict=True):
            if row is not None:
                _see_again(db, event, row, record.delivery.via, now)
        new = [event for event, row in zip(record.events, rows, strict=True) if row is None]
        if new:
            fresh.append((index, record, new))
        else:
            # A batch's own event is its last; those of its clips may have come in on their own before.
            first = next(row["delivery_id"] for row in reversed(rows) if row is not None)
            again[first] += 1
            receipts[index] = Receipt(delivery_id=first, repeated=True)
    _count_again(db, again, now)
    if fresh:
        receipts |= _keep_fresh(db, fresh, now)
    return receipts


def _keep_fresh(
    db: sqlite3.Connection, fresh: Sequence[tuple[int, Record, Sequence[Event]]], now: datetime
) -> dict[int, Receipt]:
    """Keep deliveries with their new events."""
    ids = _insert_deliveries(db, [record for _, record, _ in fresh], now)
    arrivals = {
        index: [_Arrival(event, record, delivery_id) for event in events]
        for (index, record, events), delivery_id in zip(fresh, ids, strict=True)
    }
    # A delivery may tell several events of one job: what the first makes of it, the next has to find.
    everything = [arrival for own in arrivals.values() for arrival in own]
    for apart in _apart(everything, lambda arrival: _job_of(arrival.event)):
        _keep_events(db, apart, now)
    return {
        index: Receipt(
            delivery_id=own[0].delivery_id,
            repeated=False,
            events=tuple(arrival.event for arrival in own),
            unknown_statuses=tuple(arrival.event for arrival in own if arrival.unknown),
        )
        for index, own in arrivals.items()
    }


def _keep_events(db: sqlite3.Connection, arrivals: Sequence[_Arrival], now: datetime) -> None:
    """Insert new events, no two about the same job, and bring their jobs to where they say these are."""
    jobs = _known_jobs(db, [arrival.event for arrival in arrivals])
    for event_id, arrival in enumerate(arrivals, start=next_id(db, "events")):
        job = jobs.get((arrival.event.source, arrival.event.job_id))
        known = job["status"] if job else None
        arrival.event = recorded(arrival.event, arrival.record, known, now, id=event_id)
    insert_rows(db, "events", [_event_row(arrival, now) for arrival in arrivals])
    new = []
    for arrival in arrivals:
        event = arrival.event
        if event.job_id is None or event.kind is None:
            continue
        job = jobs.get((event.source, event.job_id))
        if job is None:
            schedule = arrival.record.schedules[event.kind]
            told = {"status": event.status, "raw_status": event.raw_status}
            new.append(new_job(event.source, event.job_id, event.kind, schedule, Origin.EVENT, now, **told))
            arrival.unknown = event.status is None
        elif event.standing.dispatched:
            _move_job(db, event, job["id"], now)
            arrival.unknown = event.status is None and event.raw_status != job["raw_status"]
    insert_jobs(db, new)


def _event_row(arrival: _Arrival, now: datetime) -> dict[str, object]:
    event = arrival.event
    values = event_values(event, arrival.delivery_id, now)
    at, dispatched = values.pop("now"), values.pop("dispatched")
    return {
        "id": event.id,
        **values,
        "recorded_at": at,
        "webhook_at": at if event.via is Via.WEBHOOK else None,
        "poll_at": at if event.via is Via.POLL else None,
        "routed_at": None if dispatched else at,
    }


def _job_of(event: Event) -> list[tuple[str, str]]:
    return [(event.source, event.job_id)] if event.job_id is not None else []


def _move_job(db: sqlite3.Connection, event: Event, job: int, now: datetime) -> None:
    """Bring a job to where the event says it is."""
    db.execute(
        """
        UPDATE jobs SET status = coalesce(:status, status), raw_status = :raw_status, updated_at = :now,
            finished_at = iif(:terminal, :now, finished_at), next_poll_at = iif(:terminal, NULL, next_poll_at),
            ended_at = iif(:terminal, :ended, ended_at)
        WHERE id = :id
        """,
        {
            "id": job,
            "status": event.status,
            "raw_status": event.raw_status,
            "terminal": bool(event.status and event.status.terminal),
            "ended": told_end(event, now),
            "now": to_text(now),
        },
    )


def _see_again(db: sqlite3.Connection, event: Event, row: sqlite3.Row, via: Via, now: datetime) -> None:
    """Note by which way a known event came, too, and close its job, should it be open: an end told stays told."""
    column = _SEEN_AT.get(via)
    if column is not None and row[column] is None:
        db.execute(f"UPDATE events SET {column} = ? WHERE id = ?", (to_text(now), row["id"]))  # noqa: S608 - ours
    if row["is_open"] and event.status is not None and event.status.terminal:
        db.execute(
            """
            UPDATE jobs SET status = :status, raw_status = :raw_status, updated_at = :now, finished_at = :now,
                next_poll_at = NULL
            WHERE source = :source AND job_id = :job_id AND finished_at IS NULL
            """,
            {
                "status": event.status,
                "raw_status": event.raw_status,
                "now": to_text(now),
                "source": event.source,
                "job_id": event.job_id,
            },
        )


def _known_events(db: sqlite3.Connection, events: Iterable[Event]) -> Mapping[tuple[str, str], sqlite3.Row]:
    wanted = json.dumps([[event.source, event.key] for event in events])
    rows = db.execute(
        """
        SELECT events.source, events.key, events.id, delivery_id, webhook_at, poll_at,
            jobs.id IS NOT NULL AND jobs.finished_at IS NULL AS is_open
        FROM json_each(?) AS wanted
            CROSS JOIN events ON events.source = wanted.value ->> 0 AND events.key = wanted.value ->> 1
            LEFT JOIN jobs ON jobs.source = events.source AND jobs.job_id = events.job_id
        """,
        (wanted,),
    )
    return {(row["source"], row["key"]): row for row in rows}


def _known_jobs(db: sqlite3.Connection, events: Iterable[Event]) -> Mapping[tuple[str, str | None], sqlite3.Row]:
    wanted = json.dumps([[event.source, event.job_id] for event in events if event.job_id is not None])
    rows = db.execute(
        """
        SELECT jobs.source, jobs.job_id, jobs.id, status, raw_status
        FROM json_each(?) AS wanted CROSS JOIN jobs
            ON jobs.source = wanted.value ->> 0 AND jobs.job_id = wanted.value ->> 1
        """,
        (wanted,),
    )
    return {(row["source"], row["job_id"]): row for row in rows}


def _apart(items: Sequence[_T], names: Callable[[_T], Iterable[Hashable]]) -> Iterable[list[_T]]:
    """The items in groups in which no two share a name, in their order."""
    while items:
        group, later = list[_T](), list[_T]()
        taken, blocked = set[Hashable](), set[Hashable]()
        for item in items:
            own = set(names(item))
            if own & (taken | blocked):
                later.append(item)
                blocked |= own
            else:
                group.append(item)
                taken |= own
        yield group
        items = later


# What is not proven, or says nothing


def _keep_unproven(db: sqlite3.Connection, record: Record, now: datetime, bounds: Bounds) -> Receipt:
    """Keep a hint, what is incomplete, an unreadable body or one without events, told apart by its bytes.

    The jobs that the first two speak of become due.
    """
    fingerprint = hashlib.sha256(record.delivery.body).hexdigest()
    row = db.execute(
        "SELECT delivery_id FROM fingerprints WHERE source = ? AND fingerprint = ?",
        (record.delivery.source, fingerprint),
    ).fetchone()
    if row is None:
        [delivery_id] = _insert_deliveries(db, [_bounded(record, bounds)], now)
        _insert_fingerprint(db, record, fingerprint, delivery_id)
    else:
        delivery_id = row["delivery_id"]
        _count_again(db, {delivery_id: 1}, now)
    if record.trust is Trust.HINT:
        _bound_hints(db, record.delivery.source, bounds.max_hints)
    turned_away = sum(not _make_due(db, event, record, now, bounds) for event in record.events)
    return Receipt(delivery_id=delivery_id, repeated=row is not None, turned_away=turned_away)


def _insert_fingerprint(db: sqlite3.Connection, record: Record, fingerprint: str, delivery_id: int) -> None:
    db.execute(
        "INSERT INTO fingerprints (source, fingerprint, delivery_id, received_at) VALUES (?, ?, ?, ?)",
        (record.delivery.source, fingerprint, delivery_id, to_text(record.delivery.received_at)),
    )


def _bound_hints(db: sqlite3.Connection, source: str, max_count: int) -> None:
    """Of a source's hints keep the newest."""
    gone = db.execute(
        """
        DELETE FROM deliveries WHERE source = :source AND trust = 'hint' AND id <= (
            SELECT id FROM deliveries WHERE source = :source AND trust = 'hint'
            ORDER BY id DESC LIMIT 1 OFFSET :most)
        RETURNING id
        """,
        {"source": source, "most": max_count},
    ).fetchall()
    db.executemany("DELETE FROM fingerprints WHERE delivery_id = ?", [(row["id"],) for row in gone])


def _bounded(record: Record, bounds: Bounds) -> Record:
    if record.trust is not Trust.HINT:
        return record
    return replace(record, delivery=replace(record.delivery, body=record.delivery.body[: bounds.max_hint_body]))


def _make_due(db: sqlite3.Connection, event: Event, record: Record, now: datetime, bounds: Bounds) -> bool:
    """Poll the job at once, but no more often than its schedule asks anyway. False if there is no room for it."""
    if event.job_id is None or event.kind is None:
        return True
    schedule, origin = record.schedules[event.kind], Origin.HINT if record.trust is Trust.HINT else Origin.EVENT
    job = job_row(db, event.source, event.job_id)
    if job is None:
        [hinted] = db.execute(
            "SELECT count(*) FROM jobs WHERE source = ? AND origin = 'hint' AND finished_at IS NULL", (event.source,)
        ).fetchone()
        if origin is Origin.HINT and hinted >= bounds.max_hints:
            return False
        at_once = new_job(event.source, event.job_id, event.kind, schedule, origin, now, first_poll=timedelta(0))
        insert_jobs(db, [at_once])
        return True
    lately = job["last_poll_at"] is not None and job["last_poll_at"] >= to_text(now - schedule.shortest)
    if Status(job["status"]).ours and not lately and event.status is not None and event.status.terminal:
        # We gave it up, and are told that it ended after all. Should that prove to be untrue, it is given up once more.
        open_again(db, job["id"], replace(schedule, first=timedelta(0), deadline=SECOND_CHANCE), now)
    db.execute(
        """
        UPDATE jobs SET origin = iif(origin = 'hint', :origin, origin),
            next_poll_at = iif(:lately, next_poll_at, min(next_poll_at, :now))
        WHERE id = :id AND finished_at IS NULL
        """,
        {"id": job["id"], "now": to_text(now), "lately": lately, "origin": origin},
    )
    return True


def _insert_deliveries(db: sqlite3.Connection, records: Sequence[Record], now: datetime) -> Sequence[int]:
    first = next_id(db, "deliveries")
    ids = range(first, first + len(records))
    rows = []
    for delivery_id, record in zip(ids, records, strict=True):
        values = delivery_values(record, now)
        at = values.pop("now")
        rows.append({"id": delivery_id, **values, "last_seen_at": at})
    insert_rows(db, "deliveries", rows)
    return ids


def _count_again(db: sqlite3.Connection, counts: Mapping[int, int], now: datetime) -> None:
    """Note that deliveries came again: how often, by their ids."""
    if counts:
        db.execute(
            """
            UPDATE deliveries SET seen_count = seen_count + (again.value ->> 1), last_seen_at = ?
            FROM json_each(?) AS again WHERE deliveries.id = again.value ->> 0
            """,
            (to_text(now), json.dumps(list(counts.items()))),
        )
