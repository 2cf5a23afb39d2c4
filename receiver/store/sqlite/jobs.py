"""Jobs and their polls."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from receiver.clock import to_text
from receiver.models import Budget, Job, Listed, Origin, Schedule, Status
from receiver.store.base import PollResult
from receiver.store.rows import job_of, job_values, merged, object_text, poll_values
from receiver.store.rules import UNTIL_ASKED
from receiver.store.sqlite.budgets import requests_left, spend
from receiver.store.sqlite.connection import Connection, insert_rows, now_in
from receiver.store.sqlite.holds import source_paused


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
        "SELECT id, status, raw_status, metadata, last_poll_at FROM jobs WHERE source = ? AND job_id = ?",
        (source, job_id),
    ).fetchone()
    return row


def insert_jobs(db: sqlite3.Connection, rows: Sequence[Mapping[str, object]]) -> None:
    insert_rows(db, "jobs", rows)


def take_listed(db: sqlite3.Connection, source: str, listed: Listed, schedule: Schedule) -> bool:
    if job_row(db, source, listed.job_id) is not None:
        return False
    # It may wait long for its first poll, and has its own time from then on.
    patient = replace(schedule, first=timedelta(0), deadline=schedule.deadline + UNTIL_ASKED)
    job = job_values(source, listed.job_id, listed.kind, patient, Origin.LISTED, now_in(db), reference=listed.reference)
    insert_jobs(db, [job])
    return True


def track(
    db: Connection,
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
        own = db.seal.sealed(object_text(metadata))
        job = job_values(source, job_id, kind, schedule, Origin.TRACK, now, metadata=own, reference=reference)
        insert_jobs(db, [job])
        return True
    own = db.seal.sealed(merged(known["metadata"], object_text(metadata)))
    db.execute(
        """
        UPDATE jobs SET kind = ?, metadata = ?, reference = coalesce(?, reference), origin = 'track', updated_at = ?
        WHERE id = ?
        """,
        (kind, own, reference, to_text(now), known["id"]),
    )
    if Status(known["status"]).ours:
        open_again(db, known["id"], schedule, now)
    return False


def claim_polls(
    db: sqlite3.Connection, source: str, budget: Budget, learn: bool, limit: int, lease: timedelta
) -> list[Job]:
    """Take due jobs by moving their next poll past the lease: whoever looks meanwhile does not find them due."""
    if source_paused(db, source):
        return []
    now = now_in(db)
    left, count = requests_left(db, source, budget, learn, now)
    jobs = _take_due(db, source, min(left, limit), now, lease, last=False)
    left_for_last = min(left - count // 2, limit) - len(jobs)
    jobs += _take_due(db, source, left_for_last, now, lease, last=True)
    spend(db, source, len(jobs), now)
    return jobs


def _take_due(
    db: sqlite3.Connection, source: str, most: int, now: datetime, lease: timedelta, *, last: bool
) -> list[Job]:
    if most <= 0:
        return []
    rows = db.execute(
        """
        UPDATE jobs SET next_poll_at = :lease, last_poll_at = :now, poll_count = poll_count + 1,
            -- Late is what comes when the job is twice as old as it should be.
            unwatched = unwatched OR
                julianday(:now) - julianday(next_poll_at) > julianday(next_poll_at) - julianday(created_at)
        WHERE id IN (
            SELECT id FROM jobs
            WHERE source = :source AND next_poll_at <= :now AND (origin IN ('hint', 'listed')) = :last
            ORDER BY next_poll_at LIMIT :most)
        RETURNING *
        """,
        {"source": source, "now": to_text(now), "lease": to_text(now + lease), "most": most, "last": last},
    ).fetchall()
    return [job_of(row, asked_at=now) for row in rows]


def poll_soon(db: sqlite3.Connection, source: str, job_id: str) -> bool:
    """Make an open job due now."""
    now = now_in(db)
    return (
        db.execute(
            """
            UPDATE jobs SET next_poll_at = :now
            WHERE source = :source AND job_id = :job AND finished_at IS NULL
            """,
            {"source": source, "job": job_id, "now": to_text(now)},
        ).rowcount
        == 1
    )


def postpone(db: sqlite3.Connection, waits: Sequence[tuple[Job, timedelta]]) -> None:
    now = now_in(db)
    db.executemany(
        "UPDATE jobs SET next_poll_at = ? WHERE source = ? AND job_id = ? AND next_poll_at = ?",
        [
            (to_text(now + wait), job.source, job.job_id, job.next_poll_at and to_text(job.next_poll_at))
            for job, wait in waits
        ],
    )


def record_poll(db: sqlite3.Connection, job: Job, result: PollResult) -> bool:
    now = now_in(db)
    row = job_row(db, job.source, job.job_id)
    if row is None or Status(row["status"]).terminal:
        return False
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
            open_at = iif(:open, last_poll_at, open_at),
            unwatched = iif(:open, 0, unwatched OR :error IS NOT NULL),
            -- What the provider answers for is as good as told.
            origin = iif(origin IN ('hint', 'listed') AND :error IS NULL, 'event', origin)
        WHERE id = :id
        """,
        poll_values(result, now) | {"id": row["id"]},
    )
    return result.raw_status is not None and result.status is None and result.raw_status != row["raw_status"]
