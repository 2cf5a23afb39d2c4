"""Jobs and their polls."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from receiver.clock import to_text
from receiver.models import Budget, Job, Schedule, Status
from receiver.store.base import PollResult
from receiver.store.sqlite.budgets import requests_left, spend
from receiver.store.sqlite.connection import now_in
from receiver.store.sqlite.rows import job_of


def open_again(db: sqlite3.Connection, job: int, schedule: Schedule, now: datetime) -> None:
    db.execute(
        """
        UPDATE jobs SET status = 'queued', finished_at = NULL, deadline_at = ?, next_poll_at = ?, error_count = 0,
            missing_count = 0, incomplete_count = 0
        WHERE id = ?
        """,
        (to_text(now + schedule.deadline), to_text(now + schedule.first), job),
    )


def job_row(db: sqlite3.Connection, source: str, job_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT id, status, raw_status, metadata FROM jobs WHERE source = ? AND job_id = ?", (source, job_id)
    ).fetchone()
    return row


def merged(known: str, told: str) -> str:
    """Two objects as one; where both have a name, the second's value. SQLite's `json_patch` drops what is null."""
    return json.dumps({**json.loads(known), **json.loads(told)})


def insert_job(
    db: sqlite3.Connection,
    source: str,
    job_id: str,
    kind: str,
    schedule: Schedule,
    origin: str,
    now: datetime,
    *,
    status: Status | None = None,
    raw_status: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    reference: str | None = None,
    first_poll: timedelta | None = None,
) -> None:
    status = status or Status.QUEUED
    first_poll = schedule.first if first_poll is None else first_poll
    db.execute(
        """
        INSERT INTO jobs (source, job_id, kind, status, raw_status, metadata, reference, origin, created_at,
            updated_at, finished_at, deadline_at, next_poll_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            source,
            job_id,
            kind,
            status,
            raw_status,
            json.dumps(dict(metadata or {}), allow_nan=False),
            reference,
            origin,
            to_text(now),
            to_text(now),
            to_text(now) if status.terminal else None,
            to_text(now + schedule.deadline),
            None if status.terminal else to_text(now + first_poll),
        ),
    )


def track(
    db: sqlite3.Connection,
    source: str,
    job_id: str,
    *,
    kind: str,
    schedule: Schedule,
    metadata: Mapping[str, Any] | None,
    reference: str | None,
) -> bool:
    now, known = now_in(db), job_row(db, source, job_id)
    if known is None:
        insert_job(db, source, job_id, kind, schedule, "track", now, metadata=metadata, reference=reference)
        return True
    told = json.dumps(dict(metadata or {}), allow_nan=False)
    db.execute(
        """
        UPDATE jobs SET kind = ?, metadata = ?, reference = coalesce(?, reference), origin = 'track', updated_at = ?
        WHERE id = ?
        """,
        (kind, merged(known["metadata"], told), reference, to_text(now), known["id"]),
    )
    if Status(known["status"]).ours:
        open_again(db, known["id"], schedule, now)
    return False


def claim_polls(
    db: sqlite3.Connection, source: str, budget: Budget, learn: bool, limit: int, lease: timedelta
) -> list[Job]:
    """Take due jobs by moving their next poll past the lease: whoever looks meanwhile does not find them due."""
    now = now_in(db)
    left, count = requests_left(db, source, budget, learn, now)
    jobs = _take_due(db, source, min(left, limit), now, lease, hinted=False)
    left_for_hints = min(left - count // 2, limit) - len(jobs)
    jobs += _take_due(db, source, left_for_hints, now, lease, hinted=True)
    spend(db, source, len(jobs), now)
    return jobs


def _take_due(
    db: sqlite3.Connection, source: str, most: int, now: datetime, lease: timedelta, *, hinted: bool
) -> list[Job]:
    if most <= 0:
        return []
    rows = db.execute(
        """
        UPDATE jobs SET next_poll_at = :lease, last_poll_at = :now, poll_count = poll_count + 1
        WHERE id IN (
            SELECT id FROM jobs
            WHERE source = :source AND next_poll_at <= :now AND (origin = 'hint') = :hinted
            ORDER BY next_poll_at LIMIT :most)
        RETURNING *
        """,
        {"source": source, "now": to_text(now), "lease": to_text(now + lease), "most": most, "hinted": hinted},
    ).fetchall()
    return [job_of(row) for row in rows]


def record_poll(db: sqlite3.Connection, job: Job, result: PollResult) -> bool:
    now = now_in(db)
    row = job_row(db, job.source, job.job_id)
    if row is None or Status(row["status"]).terminal:
        return False
    new_word = result.raw_status is not None and result.status is None and result.raw_status != row["raw_status"]
    # A terminal status arrives with its event; only that closes a job.
    status = result.status if result.status is not None and not result.status.terminal else None
    db.execute(
        """
        UPDATE jobs SET next_poll_at = :next, updated_at = :now, last_error = :error,
            status = coalesce(:status, status), raw_status = coalesce(:raw_status, raw_status),
            progress = coalesce(:progress, progress),
            step = iif(:error IS NULL, :step, step), reference = coalesce(:reference, reference),
            deadline_at = coalesce(:deadline, deadline_at),
            incomplete_count = iif(:error IS NULL, iif(:incomplete, incomplete_count + 1, 0), incomplete_count),
            error_count = iif(:error IS NULL, 0, error_count + 1),
            missing_count = iif(:missing, missing_count + 1, 0),
            -- A hint that the provider answers for is one no longer.
            origin = iif(origin = 'hint' AND :error IS NULL, 'event', origin)
        WHERE id = :id
        """,
        {
            "id": row["id"],
            "next": to_text(now + result.wait),
            "now": to_text(now),
            "error": result.error,
            "status": status,
            "raw_status": result.raw_status,
            "progress": result.progress,
            "step": result.step,
            "reference": result.reference,
            "deadline": result.deadline_at and to_text(result.deadline_at),
            "incomplete": result.incomplete,
            "missing": result.missing,
        },
    )
    return new_word
