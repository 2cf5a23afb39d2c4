"""Dispatches and their attempts."""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.backoff import after_loss
from receiver.clock import to_text
from receiver.models import Budget, Claim, State
from receiver.outcomes import Outcome
from receiver.store.rows import claim_of, kept_error, outcome_values
from receiver.store.sqlite import holds, queued
from receiver.store.sqlite.connection import insert_rows, now_in

_LIVE, _REPLAYED = 0, 1

DUE = """
    SELECT id FROM dispatches AS due
    WHERE handler = :handler AND rank = :rank AND state = 'pending' AND due_at <= :now
        AND NOT EXISTS (
            SELECT 1 FROM dispatches AS other
            WHERE other.source = due.source AND other.job_id = due.job_id AND other.handler = due.handler
                AND other.state IN ('pending', 'running')
                AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id)))
    ORDER BY due_at, id LIMIT :free
"""

DUE_ONE = """
    SELECT id FROM dispatches AS due
    WHERE id = :id AND state = 'pending' AND due_at <= :now
        AND NOT EXISTS (
            SELECT 1 FROM dispatches AS other
            WHERE other.source = due.source AND other.job_id = due.job_id AND other.handler = due.handler
                AND other.state IN ('pending', 'running')
                AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id)))
"""
"""The same for one id. With `:id IS NULL OR` in the other it would be looked for among all that wait."""


def route(db: sqlite3.Connection, plan: Mapping[int, Sequence[str]]) -> int:
    now = to_text(now_in(db))
    rows = db.execute(
        """
        UPDATE events SET routed_at = ? WHERE id IN (SELECT value FROM json_each(?)) AND routed_at IS NULL
        RETURNING id
        """,
        (now, json.dumps(list(plan))),
    ).fetchall()
    pairs = [(event_id, handler) for event_id in sorted(row["id"] for row in rows) for handler in plan[event_id]]
    return db.execute(
        """
        INSERT INTO dispatches (event_id, handler, source, job_id, state, idempotency_key, due_at, created_at)
        SELECT events.id, json_extract(planned.value, '$[1]'), source, job_id, 'pending',
            lower(hex(randomblob(16))), :now, :now
        FROM json_each(:pairs) AS planned CROSS JOIN events ON events.id = json_extract(planned.value, '$[0]')
        ORDER BY planned.key
        """,
        {"pairs": json.dumps(pairs), "now": now},
    ).rowcount


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
            FROM events WHERE id = :event_id AND emptied_at IS NULL
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


def discard(db: sqlite3.Connection, ids: Iterable[int], reason: str, gone: Iterable[str]) -> list[int]:
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'cancelled', finished_at = :now, error = :error
        WHERE id IN (SELECT value FROM json_each(:ids))
            AND (state = 'dead' OR state = 'pending' AND handler IN (SELECT value FROM json_each(:gone)))
        RETURNING id
        """,
        {
            "ids": json.dumps(list(ids)),
            "gone": json.dumps(list(gone)),
            "now": to_text(now_in(db)),
            "error": kept_error(f"discarded: {reason}"),
        },
    ).fetchall()
    return sorted(row["id"] for row in rows)


def claim(
    db: sqlite3.Connection,
    handler: str,
    free: int,
    lease: timedelta,
    worker: str,
    limit: Budget | None,
    *,
    only: int | None = None,
) -> list[Claim]:
    """Claim what is due, or only the dispatch with that id."""
    now = now_in(db)
    free, probe = holds.allowed(db, handler, free, limit, now)
    if not free:
        return []
    ids = _due_one(db, only, now) if only is not None else _due(db, handler, free, now)
    rows = _take(db, ids, lease, worker, now)
    if rows:
        holds.begun(db, handler, len(rows), now, probing_for=lease if probe else None, limited=limit is not None)
    return _with_events(db, rows, probe=probe)


def claim_one(
    db: sqlite3.Connection, dispatch_id: int, lease: timedelta, worker: str, limits: Mapping[str, Budget]
) -> Claim | None:
    queued.dequeue(db, [dispatch_id])
    row = db.execute("SELECT handler FROM dispatches WHERE id = ?", (dispatch_id,)).fetchone()
    if row is None:
        return None
    handler = row["handler"]
    claims = claim(db, handler, 1, lease, worker, limits.get(handler), only=dispatch_id)
    return claims[0] if claims else None


def _due(db: sqlite3.Connection, handler: str, free: int, now: datetime) -> list[int]:
    """What may run now. Of one job, what is live comes before what is replayed, then what is older."""
    ids = list[int]()
    for rank in (_LIVE, _REPLAYED):
        if len(ids) < free:
            values = {"handler": handler, "rank": rank, "now": to_text(now), "free": free - len(ids)}
            ids += sorted(row["id"] for row in db.execute(DUE, values))
    return ids


def _due_one(db: sqlite3.Connection, dispatch_id: int, now: datetime) -> list[int]:
    return [row["id"] for row in db.execute(DUE_ONE, {"id": dispatch_id, "now": to_text(now)})]


def _take(
    db: sqlite3.Connection, ids: Sequence[int], lease: timedelta, worker: str, now: datetime
) -> list[sqlite3.Row]:
    """Mark them as running. Returned in the same order."""
    if not ids:
        return []
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'running', token = lower(hex(randomblob(16))), worker = :worker,
            started_at = :now, leased_until = :until, attempt_count = attempt_count + 1
        WHERE id IN (SELECT value FROM json_each(:ids))
        RETURNING id, token, event_id, handler, attempt_count, idempotency_key, source, job_id, due_at
        """,
        {"ids": json.dumps(ids), "worker": worker, "now": to_text(now), "until": to_text(now + lease)},
    ).fetchall()
    return sorted(rows, key=lambda row: ids.index(row["id"]))


def _with_events(db: sqlite3.Connection, rows: Sequence[sqlite3.Row], *, probe: bool) -> list[Claim]:
    if not rows:
        return []
    ids = json.dumps([row["id"] for row in rows])
    events = db.execute(
        """
        SELECT dispatches.id AS dispatch_id, events.* FROM dispatches JOIN events ON events.id = dispatches.event_id
        WHERE dispatches.id IN (SELECT value FROM json_each(?))
        """,
        (ids,),
    ).fetchall()
    jobs = db.execute(
        """
        SELECT dispatches.id AS dispatch_id, jobs.* FROM dispatches
        JOIN jobs ON jobs.source = dispatches.source AND jobs.job_id = dispatches.job_id
        WHERE dispatches.id IN (SELECT value FROM json_each(?))
        """,
        (ids,),
    ).fetchall()
    event_of = {row["dispatch_id"]: row for row in events}
    job_of = {row["dispatch_id"]: row for row in jobs}
    return [claim_of(row, event_of[row["id"]], job_of.get(row["id"]), probe=probe) for row in rows]


def renew(db: sqlite3.Connection, tokens: Mapping[int, str], lease: timedelta) -> set[int]:
    rows = db.execute(
        """
        UPDATE dispatches SET leased_until = ?
        WHERE id IN (SELECT value FROM json_each(?)) AND token IN (SELECT value FROM json_each(?))
        RETURNING id
        """,
        (to_text(now_in(db) + lease), json.dumps(list(tokens)), json.dumps(list(tokens.values()))),
    ).fetchall()
    return {row["id"] for row in rows}


def give_back(db: sqlite3.Connection, claims: Iterable[Claim]) -> None:
    db.executemany(
        """
        UPDATE dispatches SET state = 'pending', token = NULL, leased_until = NULL, worker = NULL, started_at = NULL,
            attempt_count = attempt_count - 1
        WHERE id = ? AND token = ?
        """,
        [(claim.id, claim.token) for claim in claims],
    )


def finish_all(
    db: sqlite3.Connection, ended: Sequence[tuple[Claim, Outcome]], park_after: Mapping[str, int]
) -> list[State | None]:
    now = now_in(db)
    rows = db.execute(
        """
        SELECT id, token, worker, started_at FROM dispatches
        WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running'
        """,
        (json.dumps([claim.id for claim, _ in ended]),),
    ).fetchall()
    running = {(row["id"], row["token"]): row for row in rows}
    own = [(claim, outcome) for claim, outcome in ended if (claim.id, claim.token) in running]
    values = [outcome_values(claim, outcome, now) for claim, outcome in own]
    db.executemany(
        """
        UPDATE dispatches SET state = :state, due_at = :due, token = NULL, leased_until = NULL, error = :error,
            result = :result, attempt_count = attempt_count - :snoozed, finished_at = iif(:over, :now, NULL)
        WHERE id = :id
        """,
        values,
    )
    insert_rows(db, "attempts", [_attempt(told, running[told["id"], told["token"]]) for told in values])
    holds.judge(db, own, park_after, now)
    return [outcome.decision.state if (claim.id, claim.token) in running else None for claim, outcome in ended]


def _attempt(told: Mapping[str, Any], row: sqlite3.Row) -> dict[str, Any]:
    """The row of an attempt, from its outcome's values and its dispatch."""
    return {
        "dispatch_id": row["id"],
        "number": told["number"],
        "worker": row["worker"],
        "started_at": row["started_at"],
        "ended_at": told["now"],
        "outcome": told["outcome"],
        "error": told["error"],
    }


def sweep(db: sqlite3.Connection, spared: set[str]) -> int:
    now = now_in(db)
    lapsed = db.execute(
        "SELECT id, token, attempt_count FROM dispatches WHERE state = 'running' AND leased_until < ?", (to_text(now),)
    ).fetchall()
    lapsed = [row for row in lapsed if row["token"] not in spared]
    for row in lapsed:
        _free(db, row["id"], row["attempt_count"], now)
    return len(lapsed)


def rescue(db: sqlite3.Connection, dispatch_id: int, worker: str, leased_until: datetime) -> bool:
    now = now_in(db)
    row = db.execute(
        "SELECT attempt_count FROM dispatches WHERE id = ? AND state = 'running' AND worker = ? AND leased_until = ?",
        (dispatch_id, worker, to_text(leased_until)),
    ).fetchone()
    if row is None:
        return False
    _free(db, dispatch_id, row["attempt_count"], now)
    return True


def _free(db: sqlite3.Connection, dispatch_id: int, attempt: int, now: datetime) -> None:
    db.execute(
        """
        INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
        SELECT id, attempt_count, worker, started_at, ?, 'lost', 'the worker died or froze: its lease ended'
        FROM dispatches WHERE id = ?
        """,
        (to_text(now), dispatch_id),
    )
    db.execute(
        "UPDATE dispatches SET state = 'pending', due_at = ?, token = NULL, leased_until = NULL WHERE id = ?",
        (to_text(now + after_loss(attempt)), dispatch_id),
    )
