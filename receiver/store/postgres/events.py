"""Events, and what they do to their jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from receiver.clock import to_text
from receiver.models import Event, Schedule, Via
from receiver.store.base import Record
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.jobs import insert_job, job_row
from receiver.store.rows import event_values, recorded, told_end


def known_events(db: Connection, events: Sequence[Event]) -> list[dict[str, Any] | None]:
    """What is kept of each event; None for those that are new."""
    rows = db.execute(
        """
        SELECT found.* FROM unnest(%s::text[], %s::text[]) AS wanted (source, key)
        CROSS JOIN LATERAL (
            SELECT id, source, key, delivery_id, delivered_at FROM events
            WHERE events.source = wanted.source AND events.key = wanted.key OFFSET 0) AS found
        """,
        ([event.source for event in events], [event.key for event in events]),
    ).fetchall()
    known = {(row["source"], row["key"]): row for row in rows}
    return [known.get((event.source, event.key)) for event in events]


def seen_again(db: Connection, event_id: int, via: Via, now: datetime) -> None:
    db.execute(
        """
        UPDATE events SET webhook_at = CASE WHEN %(via)s = 'webhook' THEN %(now)s ELSE webhook_at END,
            poll_at = CASE WHEN %(via)s = 'poll' THEN %(now)s ELSE poll_at END
        WHERE id = %(id)s
            AND ((%(via)s = 'webhook' AND webhook_at IS NULL) OR (%(via)s = 'poll' AND poll_at IS NULL))
        """,
        {"id": event_id, "via": via, "now": to_text(now)},
    )


def store_event(db: Connection, event: Event, record: Record, delivery_id: int, now: datetime) -> tuple[Event, bool]:
    """Insert a new event and move its job. Also whether its status is a word not seen for the job before."""
    job = job_row(db, event.source, event.job_id) if event.job_id is not None else None
    new = recorded(event, record, job["status"] if job else None, now)
    [row] = db.execute(
        """
        INSERT INTO events (source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs,
            failure, data, occurred_at, recorded_at, webhook_at, poll_at, delivery_id, delivered_at, routed_at,
            traceparent)
        VALUES (%(source)s, %(key)s, %(type)s, %(job_id)s, %(kind)s, %(status)s, %(raw_status)s, %(standing)s,
            %(trust)s, %(via)s, %(outputs)s, %(failure)s, %(data)s, %(occurred_at)s, %(now)s,
            CASE WHEN %(via)s = 'webhook' THEN %(now)s::timestamptz END,
            CASE WHEN %(via)s = 'poll' THEN %(now)s::timestamptz END,
            %(delivery_id)s, %(delivered_at)s, CASE WHEN NOT %(dispatched)s THEN %(now)s::timestamptz END,
            %(traceparent)s)
        RETURNING id
        """,
        event_values(new, delivery_id, now) | {"delivered_at": to_text(record.delivery.received_at)},
    ).fetchall()
    new = replace(new, id=row["id"])
    return new, _move_job(db, new, job, record.schedules, now)


def _move_job(
    db: Connection, event: Event, job: dict[str, Any] | None, schedules: Mapping[str, Schedule], now: datetime
) -> bool:
    """Bring a job to where the event says it is. True for a status word that is unknown and new for the job."""
    if event.job_id is None or event.kind is None:
        return False
    if job is None:
        insert_job(
            db, event.source, event.job_id, event.kind, schedules[event.kind], "event", now, status=event.status,
            raw_status=event.raw_status,
        )  # fmt: skip
        return event.status is None
    if not event.standing.dispatched:
        return False
    db.execute(
        """
        UPDATE jobs SET status = coalesce(%(status)s, status), raw_status = %(raw_status)s, updated_at = %(now)s,
            finished_at = CASE WHEN %(terminal)s THEN %(now)s ELSE finished_at END,
            next_poll_at = CASE WHEN %(terminal)s THEN NULL ELSE next_poll_at END,
            ended_at = CASE WHEN %(terminal)s THEN %(ended)s ELSE ended_at END
        WHERE id = %(id)s
        """,
        {
            "id": job["id"],
            "status": event.status,
            "raw_status": event.raw_status,
            "terminal": bool(event.status and event.status.terminal),
            "ended": told_end(event, now),
            "now": to_text(now),
        },
    )
    return event.status is None and event.raw_status != job["raw_status"]


def close_job(db: Connection, event: Event, now: datetime) -> None:
    """Close the job of an event that is known, should the job be open: an end that was told stays told."""
    if event.status is None or not event.status.terminal:
        return
    db.execute(
        """
        UPDATE jobs SET status = %(status)s, raw_status = %(raw_status)s, updated_at = %(now)s, finished_at = %(now)s,
            next_poll_at = NULL
        WHERE source = %(source)s AND job_id = %(job_id)s AND finished_at IS NULL
        """,
        {
            "status": event.status,
            "raw_status": event.raw_status,
            "now": to_text(now),
            "source": event.source,
            "job_id": event.job_id,
        },
    )
