"""Create calls, from before they are made until it is known what they led to."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from receiver.clock import to_text
from receiver.models import Created, Intent, Job, Schedule
from receiver.store.postgres.budgets import source_lock, spend
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.jobs import track
from receiver.store.postgres.locks import job_lock, lock
from receiver.store.rows import job_of, object_text


def intend(db: Connection, source: str, kind: str, metadata: Mapping[str, Any]) -> Intent:
    now = lock(db, source_lock(source))
    intent = Intent(id=secrets.token_hex(11), source=source, kind=kind, metadata=metadata, created_at=now)
    db.execute(
        "INSERT INTO intents (id, source, kind, metadata, created_at) VALUES (%s, %s, %s, %s, %s)",
        (intent.id, source, kind, db.seal.sealed(object_text(metadata)), to_text(now)),
    )
    # Polls forget what their budget no longer counts; a source may see none for long. No budget's span is longer.
    db.execute("DELETE FROM requests WHERE source = %s AND sent_at <= %s", (source, to_text(now - timedelta(hours=1))))
    spend(db, source, 1, now)
    return intent


def settle(db: Connection, intent: Intent, created: Sequence[Created], schedules: Mapping[str, Schedule]) -> list[Job]:
    now = lock(db, *(job_lock(intent.source, job.job_id) for job in created))
    jobs = []
    for job in created:
        track(
            db,
            intent.source,
            job.job_id,
            now,
            kind=job.kind,
            schedule=schedules[job.kind],
            metadata=intent.metadata,
            reference=job.reference,
        )
        [row] = db.execute(
            "SELECT * FROM jobs WHERE source = %s AND job_id = %s", (intent.source, job.job_id)
        ).fetchall()
        jobs.append(job_of(row))
    withdraw(db, intent.id)
    return jobs


def withdraw(db: Connection, intent_id: str) -> bool:
    return db.execute("DELETE FROM intents WHERE id = %s", (intent_id,)).rowcount == 1


def doubt(db: Connection, intent_id: str, error: str) -> bool:
    return db.execute("UPDATE intents SET error = %s WHERE id = %s", (error, intent_id)).rowcount == 1
