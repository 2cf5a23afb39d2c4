"""Events, and what they do to their jobs."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime

from receiver.clock import to_text
from receiver.models import Event, Schedule, Status, Via, standing
from receiver.store.base import Record
from receiver.store.sqlite.jobs import insert_job, job_row


def known_event(db: sqlite3.Connection, event: Event) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT id, delivery_id FROM events WHERE source = ? AND key = ?", (event.source, event.key)
    ).fetchone()
    return row


def seen_again(db: sqlite3.Connection, event_id: int, via: Via, now: datetime) -> None:
    db.execute(
        """
        UPDATE events SET webhook_at = iif(:via = 'webhook', coalesce(webhook_at, :now), webhook_at),
            poll_at = iif(:via = 'poll', coalesce(poll_at, :now), poll_at)
        WHERE id = :id
        """,
        {"id": event_id, "via": via, "now": to_text(now)},
    )


def store_event(
    db: sqlite3.Connection, event: Event, record: Record, delivery_id: int, now: datetime
) -> tuple[Event, bool]:
    """Insert a new event and move its job. Also whether its status is a word not seen for the job before."""
    job = job_row(db, event.source, event.job_id) if event.job_id is not None else None
    # A status word we do not know is progress, as far as we can tell.
    told = event.status or (Status.RUNNING if event.raw_status is not None else None)
    recorded = replace(
        event,
        trust=record.trust,
        via=record.delivery.via,
        standing=standing(Status(job["status"]) if job else None, told),
        recorded_at=now,
    )
    row = db.execute(
        """
        INSERT INTO events (source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs,
            failure, data, occurred_at, recorded_at, webhook_at, poll_at, delivery_id, routed_at)
        VALUES (:source, :key, :type, :job_id, :kind, :status, :raw_status, :standing, :trust, :via, :outputs,
            :failure, :data, :occurred_at, :now, iif(:via = 'webhook', :now, NULL), iif(:via = 'poll', :now, NULL),
            :delivery_id, iif(:dispatched, NULL, :now))
        RETURNING id
        """,
        {
            "source": recorded.source,
            "key": recorded.key,
            "type": recorded.type,
            "job_id": recorded.job_id,
            "kind": recorded.kind,
            "status": recorded.status,
            "raw_status": recorded.raw_status,
            "standing": recorded.standing,
            "trust": recorded.trust,
            "via": recorded.via,
            "outputs": json.dumps([asdict(output) for output in recorded.outputs]),
            "failure": recorded.failure and json.dumps([recorded.failure.message, recorded.failure.code]),
            "data": json.dumps(recorded.data),
            "occurred_at": recorded.occurred_at and to_text(recorded.occurred_at),
            "now": to_text(now),
            "delivery_id": delivery_id,
            "dispatched": recorded.standing.dispatched,
        },
    ).fetchone()
    recorded = replace(recorded, id=row["id"])
    return recorded, _move_job(db, recorded, job, record.schedules, now)


def _move_job(
    db: sqlite3.Connection, event: Event, job: sqlite3.Row | None, schedules: Mapping[str, Schedule], now: datetime
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
        UPDATE jobs SET status = coalesce(:status, status), raw_status = :raw_status, updated_at = :now,
            finished_at = iif(:terminal, :now, finished_at), next_poll_at = iif(:terminal, NULL, next_poll_at)
        WHERE id = :id
        """,
        {
            "id": job["id"],
            "status": event.status,
            "raw_status": event.raw_status,
            "terminal": bool(event.status and event.status.terminal),
            "now": to_text(now),
        },
    )
    return event.status is None and event.raw_status != job["raw_status"]


def close_job(db: sqlite3.Connection, event: Event, now: datetime) -> None:
    """Close the job of an event that is known, should the job be open: an end that was told stays told."""
    if event.status is None or not event.status.terminal:
        return
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
