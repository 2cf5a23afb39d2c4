"""Jobs and their polls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from receiver.clock import to_text
from receiver.models import Budget, Job, Listed, Origin, Schedule, Status
from receiver.store.base import PollResult
from receiver.store.postgres.budgets import requests_left, source_lock, spend
from receiver.store.postgres.connection import Connection, columns
from receiver.store.postgres.holds import source_paused
from receiver.store.postgres.locks import job_lock, lock, now_in
from receiver.store.rows import job_of, job_values, merged, object_text, poll_values
from receiver.store.rules import UNTIL_ASKED


def open_again(db: Connection, job: int, schedule: Schedule, now: datetime) -> None:
    db.execute(
        """
        UPDATE jobs SET status = 'queued', finished_at = NULL, deadline_at = %s, next_poll_at = %s, error_count = 0,
            missing_count = 0, incomplete_count = 0
        WHERE id = %s
        """,
        (to_text(now + schedule.deadline), to_text(now + schedule.first), job),
    )


def job_row(db: Connection, source: str, job_id: str) -> dict[str, Any] | None:
    return db.execute(
        "SELECT id, status, raw_status, metadata, last_poll_at FROM jobs WHERE source = %s AND job_id = %s",
        (source, job_id),
    ).fetchone()


def insert_jobs(db: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert jobs, as `rows.job_values` makes them."""
    db.execute(
        """
        INSERT INTO jobs (source, job_id, kind, status, raw_status, metadata, reference, origin, created_at,
            updated_at, finished_at, deadline_at, next_poll_at, credits)
        SELECT * FROM unnest(
            %(source)s::text[], %(job_id)s::text[], %(kind)s::text[], %(status)s::text[], %(raw_status)s::text[],
            %(metadata)s::text[], %(reference)s::text[], %(origin)s::text[], %(created_at)s::timestamptz[],
            %(updated_at)s::timestamptz[], %(finished_at)s::timestamptz[], %(deadline_at)s::timestamptz[],
            %(next_poll_at)s::timestamptz[], %(credits)s::float8[])
        """,
        columns(rows),
        prepare=True,
    )


def track(
    db: Connection,
    source: str,
    job_id: str,
    now: datetime,
    *,
    kind: str,
    schedule: Schedule,
    metadata: Mapping[str, Any] | None,
    reference: str | None,
) -> bool:
    """To be called with the job's lock."""
    known = job_row(db, source, job_id)
    if known is None:
        own = db.seal.sealed(object_text(metadata))
        job = job_values(source, job_id, kind, schedule, Origin.TRACK, now, metadata=own, reference=reference)
        insert_jobs(db, [job])
        return True
    own = db.seal.sealed(merged(known["metadata"], object_text(metadata)))
    db.execute(
        """
        UPDATE jobs SET kind = %s, metadata = %s, reference = coalesce(%s, reference), origin = 'track',
            updated_at = %s
        WHERE id = %s
        """,
        (kind, own, reference, to_text(now), known["id"]),
    )
    if Status(known["status"]).ours:
        open_again(db, known["id"], schedule, now)
    return False


def take_listed(db: Connection, source: str, listed: Listed, schedule: Schedule, now: datetime) -> bool:
    """To be called with the job's lock."""
    if job_row(db, source, listed.job_id) is not None:
        return False
    # It may wait long for its first poll, and has its own time from then on.
    patient = replace(schedule, first=timedelta(0), deadline=schedule.deadline + UNTIL_ASKED)
    job = job_values(source, listed.job_id, listed.kind, patient, Origin.LISTED, now, reference=listed.reference)
    insert_jobs(db, [job])
    return True


def claim_polls(db: Connection, source: str, budget: Budget, learn: bool, limit: int, lease: timedelta) -> list[Job]:
    """Take due jobs by moving their next poll past the lease: whoever looks meanwhile does not find them due."""
    now = lock(db, source_lock(source))
    if source_paused(db, source):
        return []
    left, count = requests_left(db, source, budget, learn, now)
    jobs = _take_due(db, source, min(left, limit), now, lease, last=False)
    left_for_last = min(left - count // 2, limit) - len(jobs)
    jobs += _take_due(db, source, left_for_last, now, lease, last=True)
    spend(db, source, len(jobs), now)
    return jobs


def _take_due(db: Connection, source: str, most: int, now: datetime, lease: timedelta, *, last: bool) -> list[Job]:
    if most <= 0:
        return []
    rows = db.execute(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM jobs
            WHERE source = %(source)s AND next_poll_at <= %(now)s AND (origin IN ('hint', 'listed')) = %(last)s
            ORDER BY next_poll_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)
        UPDATE jobs SET next_poll_at = %(lease)s, last_poll_at = %(now)s, poll_count = poll_count + 1,
            -- Late is what comes when the job is twice as old as it should be.
            unwatched = unwatched OR %(now)s::timestamptz - next_poll_at > next_poll_at - created_at
        FROM due WHERE jobs.id = due.id
        RETURNING jobs.*
        """,
        {"source": source, "now": to_text(now), "lease": to_text(now + lease), "most": most, "last": last},
    ).fetchall()
    return [job_of(row, asked_at=now) for row in rows]


def poll_soon(db: Connection, source: str, job_id: str) -> bool:
    """Make an open job due now."""
    now = lock(db, job_lock(source, job_id))
    return (
        db.execute(
            """
            UPDATE jobs SET next_poll_at = %(now)s
            WHERE source = %(source)s AND job_id = %(job)s AND finished_at IS NULL
            """,
            {"source": source, "job": job_id, "now": to_text(now)},
        ).rowcount
        == 1
    )


def postpone(db: Connection, waits: Sequence[tuple[Job, timedelta]]) -> None:
    """What somebody else is just changing is left as it is, so that nobody waits for anybody."""
    now = now_in(db)
    db.execute(
        """
        WITH postponed AS MATERIALIZED (
            SELECT jobs.id, later FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
                AS wanted (source, job_id, due_at, later)
            JOIN jobs ON jobs.source = wanted.source AND jobs.job_id = wanted.job_id AND next_poll_at = due_at
            FOR UPDATE OF jobs SKIP LOCKED)
        UPDATE jobs SET next_poll_at = later FROM postponed WHERE jobs.id = postponed.id
        """,
        (
            [job.source for job, _ in waits],
            [job.job_id for job, _ in waits],
            [job.next_poll_at and to_text(job.next_poll_at) for job, _ in waits],
            [to_text(now + wait) for _, wait in waits],
        ),
    )


def record_poll(db: Connection, job: Job, result: PollResult) -> bool:
    now = lock(db, job_lock(job.source, job.job_id))
    row = job_row(db, job.source, job.job_id)
    if row is None or Status(row["status"]).terminal:
        return False
    db.execute(
        """
        UPDATE jobs SET next_poll_at = %(next)s, updated_at = %(now)s, last_error = %(error)s,
            status = coalesce(%(status)s, status), raw_status = coalesce(%(raw_status)s, raw_status),
            progress = coalesce(%(progress)s, progress),
            step = CASE WHEN %(error)s::text IS NULL THEN %(step)s ELSE step END,
            reference = coalesce(%(reference)s, reference), deadline_at = coalesce(%(deadline)s, deadline_at),
            incomplete_count = CASE WHEN %(error)s::text IS NOT NULL THEN incomplete_count
                WHEN %(incomplete)s THEN incomplete_count + 1 ELSE 0 END,
            error_count = CASE WHEN %(error)s::text IS NULL THEN 0 ELSE error_count + 1 END,
            missing_count = CASE WHEN %(missing)s THEN missing_count + 1 ELSE 0 END,
            open_at = CASE WHEN %(open)s THEN last_poll_at ELSE open_at END,
            unwatched = NOT %(open)s AND (unwatched OR %(error)s::text IS NOT NULL),
            -- What the provider answers for is as good as told.
            origin = CASE WHEN origin IN ('hint', 'listed') AND %(error)s::text IS NULL THEN 'event' ELSE origin END
        WHERE id = %(id)s
        """,
        poll_values(result, now) | {"id": row["id"]},
    )
    return result.raw_status is not None and result.status is None and result.raw_status != row["raw_status"]
