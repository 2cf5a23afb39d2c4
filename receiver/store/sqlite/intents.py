"""Create calls, from before they are made until it is known what they led to."""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from receiver.clock import to_text
from receiver.models import Created, Intent, Job, Schedule
from receiver.store.rows import job_of, object_text
from receiver.store.sqlite.budgets import spend
from receiver.store.sqlite.connection import Connection, now_in
from receiver.store.sqlite.jobs import track


def intend(db: Connection, source: str, kind: str, metadata: Mapping[str, Any]) -> Intent:
    now = now_in(db)
    intent = Intent(id=secrets.token_hex(11), source=source, kind=kind, metadata=metadata, created_at=now)
    db.execute(
        "INSERT INTO intents (id, source, kind, metadata, created_at) VALUES (?, ?, ?, ?, ?)",
        (intent.id, source, kind, db.seal.sealed(object_text(metadata)), to_text(now)),
    )
    # Polls forget what their budget no longer counts; a source may see none for long. No budget's span is longer.
    db.execute("DELETE FROM requests WHERE source = ? AND sent_at <= ?", (source, to_text(now - timedelta(hours=1))))
    spend(db, source, 1, now)
    return intent


def settle(db: Connection, intent: Intent, created: Sequence[Created], schedules: Mapping[str, Schedule]) -> list[Job]:
    jobs = []
    for job in created:
        track(
            db,
            intent.source,
            job.job_id,
            kind=job.kind,
            schedule=schedules[job.kind],
            metadata=intent.metadata,
            reference=job.reference,
        )
        row = db.execute("SELECT * FROM jobs WHERE source = ? AND job_id = ?", (intent.source, job.job_id)).fetchone()
        jobs.append(job_of(row))
    withdraw(db, intent.id)
    return jobs


def withdraw(db: sqlite3.Connection, intent_id: str) -> bool:
    return db.execute("DELETE FROM intents WHERE id = ?", (intent_id,)).rowcount == 1


def doubt(db: sqlite3.Connection, intent_id: str, error: str) -> bool:
    return db.execute("UPDATE intents SET error = ? WHERE id = ?", (error, intent_id)).rowcount == 1
