"""Dispatches and their attempts."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from receiver.backoff import after_loss
from receiver.clock import to_text
from receiver.models import Budget, Claim, State
from receiver.outcomes import Outcome
from receiver.store.rows import claim_of, kept_error, outcome_values
from receiver.store.sqlite import holds
from receiver.store.sqlite.connection import now_in

_LIVE, _REPLAYED = 0, 1


def route(db: sqlite3.Connection, plan: Mapping[int, Sequence[str]]) -> int:
    now, created = to_text(now_in(db)), 0
    for event_id, handlers in plan.items():
        marked = db.execute("UPDATE events SET routed_at = ? WHERE id = ? AND routed_at IS NULL", (now, event_id))
        if marked.rowcount == 0:
            continue
        for handler in handlers:
            db.execute(
                """
                INSERT INTO dispatches (event_id, handler, source, job_id, state, idempotency_key, due_at, created_at)
                SELECT id, :handler, source, job_id, 'pending', :key, :now, :now FROM events WHERE id = :event_id
                """,
                {"event_id": event_id, "handler": handler, "key": secrets.token_hex(16), "now": now},
            )
            created += 1
    return created


def replay(
    db: sqlite3.Connection, plan: Mapping[int, Sequence[str]], replay_id: str, wait: timedelta, every: timedelta
) -> list[int]:
    now, ids = now_in(db), list[int]()
    for event_id, handler in [(event_id, handler) for event_id, handlers in plan.items() for handler in handlers]:
        due = now + wait + every * len(ids)
        row = db.execute(
            """
            INSERT INTO dispatches (event_id, handler, replay, source, job_id, state, idempotency_key, due_at,
                created_at, replay_id, rank)
            SELECT id, :handler,
                -- 0 is taken, or will be when the event is routed.
                (SELECT coalesce(max(replay), 0) + 1 FROM dispatches
                 WHERE event_id = events.id AND handler = :handler),
                source, job_id, 'pending', :key, :due, :now, :replay_id, :rank
            FROM events WHERE id = :event_id
            RETURNING id
            """,
            {
                "event_id": event_id,
                "handler": handler,
                "key": secrets.token_hex(16),
                "due": to_text(due),
                "now": to_text(now),
                "replay_id": replay_id,
                "rank": _REPLAYED,
            },
        ).fetchone()
        ids += [row["id"]] if row is not None else []
    return ids


def cancel_replay(db: sqlite3.Connection, replay_id: str, limit: int) -> int:
    return db.execute(
        """
        UPDATE dispatches SET state = 'cancelled', finished_at = :now, error = 'the replay was cancelled'
        WHERE id IN (SELECT id FROM dispatches WHERE replay_id = :replay_id AND state = 'pending' LIMIT :limit)
        """,
        {"replay_id": replay_id, "limit": limit, "now": to_text(now_in(db))},
    ).rowcount


def retry(db: sqlite3.Connection, ids: Iterable[int]) -> list[int]:
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'pending', due_at = :now, attempt_count = 0, finished_at = NULL
        WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'cancelled')
        RETURNING id
        """,
        {"ids": json.dumps(list(ids)), "now": to_text(now_in(db))},
    ).fetchall()
    return sorted(row["id"] for row in rows)


def discard(db: sqlite3.Connection, ids: Iterable[int], reason: str) -> list[int]:
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'cancelled', finished_at = :now, error = :error
        WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'dead'
        RETURNING id
        """,
        {"ids": json.dumps(list(ids)), "now": to_text(now_in(db)), "error": kept_error(f"discarded: {reason}")},
    ).fetchall()
    return sorted(row["id"] for row in rows)


def claim(
    db: sqlite3.Connection, handler: str, free: int, lease: timedelta, worker: str, limit: Budget | None
) -> list[Claim]:
    now = now_in(db)
    free, probe = holds.allowed(db, handler, free, limit, now)
    if not free:
        return []
    rows = list[sqlite3.Row]()
    for rank in (_LIVE, _REPLAYED):
        rows += _take(db, handler, rank, free - len(rows), lease, worker, now)
    claims = []
    for row in rows:
        event = db.execute("SELECT * FROM events WHERE id = ?", (row["event_id"],)).fetchone()
        job = db.execute(
            "SELECT * FROM jobs WHERE source = ? AND job_id = ?", (row["source"], row["job_id"])
        ).fetchone()
        claims.append(claim_of(row, event, job, probe=probe))
    if claims:
        holds.begun(db, handler, len(claims), now, probing_for=lease if probe else None, limited=limit is not None)
    return claims


def _take(
    db: sqlite3.Connection, handler: str, rank: int, free: int, lease: timedelta, worker: str, now: datetime
) -> list[sqlite3.Row]:
    """Mark what is due as running. Of one job, what is live comes before what is replayed, then what is older."""
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'running', token = lower(hex(randomblob(16))), worker = :worker,
            started_at = :now, leased_until = :until, attempt_count = attempt_count + 1
        WHERE id IN (
            SELECT id FROM dispatches AS due
            WHERE handler = :handler AND rank = :rank AND state = 'pending' AND due_at <= :now AND NOT EXISTS (
                SELECT 1 FROM dispatches AS other
                WHERE other.source = due.source AND other.job_id = due.job_id AND other.handler = due.handler
                    AND other.state IN ('pending', 'running')
                    AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id)))
            ORDER BY due_at, id LIMIT :free)
        RETURNING id, token, event_id, handler, attempt_count, idempotency_key, source, job_id
        """,
        {
            "handler": handler,
            "rank": rank,
            "free": free,
            "worker": worker,
            "now": to_text(now),
            "until": to_text(now + lease),
        },
    ).fetchall()
    return sorted(rows, key=lambda row: row["id"])


def finish(db: sqlite3.Connection, claim: Claim, outcome: Outcome, park_after: int | None) -> State | None:
    now = now_in(db)
    parameters = outcome_values(claim, outcome, now)
    attempt = db.execute(
        """
        INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
        SELECT id, :number, worker, started_at, :now, :outcome, :error FROM dispatches WHERE id = :id AND token = :token
        """,
        parameters,
    )
    if attempt.rowcount == 0:
        return None
    db.execute(
        """
        UPDATE dispatches SET state = :state, due_at = :due, token = NULL, leased_until = NULL, error = :error,
            result = :result, attempt_count = attempt_count - :snoozed, finished_at = iif(:over, :now, NULL)
        WHERE id = :id AND token = :token
        """,
        parameters,
    )
    holds.judge(db, claim, outcome, park_after, now)
    return outcome.decision.state


def sweep(db: sqlite3.Connection, spared: set[str]) -> int:
    now = now_in(db)
    lapsed = db.execute(
        "SELECT id, token, attempt_count FROM dispatches WHERE state = 'running' AND leased_until < ?", (to_text(now),)
    ).fetchall()
    lapsed = [row for row in lapsed if row["token"] not in spared]
    for row in lapsed:
        db.execute(
            """
            INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
            SELECT id, attempt_count, worker, started_at, ?, 'lost', 'the worker died or froze: its lease ended'
            FROM dispatches WHERE id = ?
            """,
            (to_text(now), row["id"]),
        )
        db.execute(
            "UPDATE dispatches SET state = 'pending', due_at = ?, token = NULL, leased_until = NULL WHERE id = ?",
            (to_text(now + after_loss(row["attempt_count"])), row["id"]),
        )
    return len(lapsed)
