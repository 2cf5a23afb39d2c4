"""Dispatches and their attempts."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.backoff import after_loss
from receiver.clock import to_text
from receiver.models import Budget, Claim, State
from receiver.outcomes import Outcome
from receiver.store.postgres import holds, queued
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock, now_in
from receiver.store.rows import claim_of, kept_error, outcome_values

_LIVE, _REPLAYED = 0, 1
# After a whole cluster has died there may be thousands; those that do not fit into a transaction's time would never be.
_FREED_AT_ONCE = 500


def route(db: Connection, plan: Mapping[int, Sequence[str]]) -> int:
    """One at a time: of one job's events, those routed first must be there first, and have the lower ids."""
    now = lock(db, "route")
    rows = db.execute(
        "UPDATE events SET routed_at = %s WHERE id = ANY(%s::bigint[]) AND routed_at IS NULL RETURNING id",
        (to_text(now), list(plan)),
    ).fetchall()
    new = sorted(row["id"] for row in rows)
    pairs = [(event_id, handler) for event_id in new for handler in plan[event_id]]
    return db.execute(
        """
        INSERT INTO dispatches (event_id, handler, source, job_id, state, idempotency_key, due_at, created_at)
        SELECT events.id, planned.handler, source, job_id, 'pending', planned.key, %(now)s::timestamptz,
            %(now)s::timestamptz
        FROM unnest(%(events)s::bigint[], %(handlers)s::text[], %(keys)s::text[])
            WITH ORDINALITY AS planned (event_id, handler, key, number)
        JOIN events ON events.id = planned.event_id
        ORDER BY planned.number
        """,
        {
            "events": [event_id for event_id, _ in pairs],
            "handlers": [handler for _, handler in pairs],
            "keys": [secrets.token_hex(16) for _ in pairs],
            "now": to_text(now),
        },
    ).rowcount


def replay(
    db: Connection, plan: Mapping[int, Sequence[str]], replay_id: str, wait: timedelta, every: timedelta
) -> list[int]:
    now, ids = now_in(db), list[int]()
    for event_id, handler in [(event_id, handler) for event_id, handlers in plan.items() for handler in handlers]:
        due = now + wait + every * len(ids)
        row = db.execute(
            """
            INSERT INTO dispatches (event_id, handler, replay, source, job_id, state, idempotency_key, due_at,
                created_at, replay_id, rank)
            SELECT id, %(handler)s,
                -- 0 is taken, or will be when the event is routed.
                (SELECT coalesce(max(replay), 0) + 1 FROM dispatches
                 WHERE event_id = events.id AND handler = %(handler)s),
                source, job_id, 'pending', %(key)s, %(due)s::timestamptz, %(now)s::timestamptz, %(replay_id)s, %(rank)s
            FROM events WHERE id = %(event_id)s AND emptied_at IS NULL
            FOR KEY SHARE
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


def cancel_replay(db: Connection, replay_id: str, limit: int) -> int:
    return db.execute(
        """
        WITH waiting AS MATERIALIZED (
            SELECT id FROM dispatches WHERE replay_id = %(replay_id)s AND state = 'pending'
            ORDER BY id LIMIT %(limit)s FOR UPDATE)
        UPDATE dispatches SET state = 'cancelled', finished_at = %(now)s, error = 'the replay was cancelled'
        FROM waiting WHERE dispatches.id = waiting.id
        """,
        {"replay_id": replay_id, "limit": limit, "now": to_text(now_in(db))},
    ).rowcount


def retry(db: Connection, ids: Iterable[int]) -> list[int]:
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'pending', due_at = %(now)s, attempt_count = 0, finished_at = NULL
        WHERE id = ANY(%(ids)s::bigint[]) AND state IN ('dead', 'cancelled')
        RETURNING id
        """,
        {"ids": list(ids), "now": to_text(now_in(db))},
    ).fetchall()
    return sorted(row["id"] for row in rows)


def discard(db: Connection, ids: Iterable[int], reason: str, gone: Iterable[str]) -> list[int]:
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'cancelled', finished_at = %(now)s, error = %(error)s
        WHERE id = ANY(%(ids)s::bigint[])
            AND (state = 'dead' OR state = 'pending' AND handler = ANY(%(gone)s::text[]))
        RETURNING id
        """,
        {
            "ids": list(ids),
            "gone": list(gone),
            "now": to_text(now_in(db)),
            "error": kept_error(f"discarded: {reason}"),
        },
    ).fetchall()
    return sorted(row["id"] for row in rows)


def claim(
    db: Connection,
    slots: Mapping[str, int],
    lease: timedelta,
    worker: str,
    limits: Mapping[str, Budget],
    *,
    only: int | None = None,
) -> list[Claim]:
    """Claim what is due, or only the dispatch with that id.

    Claims of one handler wait for each other only where something counts them: a limit, or a trial.
    """
    parked = holds.parked_of(db, list(slots))
    counted = [name for name in slots if name in limits or name in parked]
    now = now_in(db)
    if counted:
        now = lock(db, *(f"handler {name}" for name in counted))
        # Somebody may have begun a trial while we waited.
        parked = holds.parked_of(db, counted)
    return [
        taken
        for handler, free in slots.items()
        for taken in _claim(db, handler, free, parked.get(handler), lease, worker, limits.get(handler), now, only)
    ]


def claim_one(
    db: Connection, dispatch_id: int, lease: timedelta, worker: str, limits: Mapping[str, Budget]
) -> Claim | None:
    row = db.execute("SELECT handler FROM dispatches WHERE id = %s", (dispatch_id,)).fetchone()
    claims = claim(db, {row["handler"]: 1}, lease, worker, limits, only=dispatch_id) if row is not None else []
    queued.dequeue(db, [dispatch_id])
    return claims[0] if claims else None


def _claim(
    db: Connection,
    handler: str,
    free: int,
    parked_until: str | None,
    lease: timedelta,
    worker: str,
    limit: Budget | None,
    now: datetime,
    only: int | None,
) -> list[Claim]:
    probe = parked_until is not None
    if parked_until is not None and parked_until > to_text(now):
        return []
    if limit is not None:
        free = min(free, holds.left_of(db, handler, limit, now))
    if probe:
        free = min(free, 1)
    rows = list[dict[str, Any]]()
    for rank in (_LIVE, _REPLAYED):
        rows += _take(db, handler, rank, free - len(rows), lease, worker, now, only)
    if rows:
        holds.begun(db, handler, len(rows), now, probing_for=lease if probe else None, limited=limit is not None)
    return _with_events(db, rows, probe=probe)


def _take(
    db: Connection,
    handler: str,
    rank: int,
    free: int,
    lease: timedelta,
    worker: str,
    now: datetime,
    only: int | None,
) -> list[dict[str, Any]]:
    """Mark what is due as running. Of one job, what is live comes before what is replayed, then what is older.

    What another worker takes at this moment is skipped. Where that would let a second one of a job go, which neither
    of them can see, the index of what runs refuses it, and the whole claim is made again.

    `OFFSET 0` has it look for each row by the index. Left to itself, PostgreSQL makes a join of it by what it last knew
    of a table that fills and empties all the time, and may read all that waits for each row.
    """
    if free <= 0:
        return []
    rows = db.execute(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM dispatches AS due
            WHERE handler = %(handler)s AND rank = %(rank)s AND state = 'pending' AND due_at <= %(now)s
                AND (%(only)s::bigint IS NULL OR id = %(only)s)
                AND NOT EXISTS (SELECT 1 FROM handlers WHERE name = %(handler)s AND paused_at IS NOT NULL)
                AND NOT EXISTS (
                    SELECT 1 FROM dispatches AS other
                    WHERE other.source = due.source AND other.job_id = due.job_id AND other.handler = due.handler
                        AND other.state IN ('pending', 'running')
                        AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id))
                    OFFSET 0)
            ORDER BY due_at, id LIMIT %(free)s FOR UPDATE SKIP LOCKED)
        UPDATE dispatches SET state = 'running', token = replace(gen_random_uuid()::text, '-', ''),
            worker = %(worker)s, started_at = %(now)s, leased_until = %(until)s, attempt_count = attempt_count + 1
        FROM due WHERE dispatches.id = due.id
        RETURNING dispatches.id, token, event_id, handler, attempt_count, idempotency_key, source, job_id, due_at
        """,
        {
            "handler": handler,
            "rank": rank,
            "free": free,
            "worker": worker,
            "now": to_text(now),
            "until": to_text(now + lease),
            "only": only,
        },
    ).fetchall()
    return sorted(rows, key=lambda row: int(row["id"]))


def _with_events(db: Connection, rows: Sequence[dict[str, Any]], *, probe: bool) -> list[Claim]:
    if not rows:
        return []
    events = db.execute(
        "SELECT * FROM events WHERE id = ANY(%s::bigint[])", ([row["event_id"] for row in rows],)
    ).fetchall()
    jobs = db.execute(
        """
        SELECT found.* FROM unnest(%s::text[], %s::text[]) AS wanted (source, job_id)
        CROSS JOIN LATERAL (
            SELECT * FROM jobs WHERE jobs.source = wanted.source AND jobs.job_id = wanted.job_id OFFSET 0) AS found
        """,
        ([row["source"] for row in rows], [row["job_id"] for row in rows]),
    ).fetchall()
    event_by_id = {event["id"]: event for event in events}
    job_by_name = {(job["source"], job["job_id"]): job for job in jobs}
    return [
        claim_of(row, event_by_id[row["event_id"]], job_by_name.get((row["source"], row["job_id"])), probe=probe)
        for row in rows
    ]


def renew(db: Connection, tokens: Mapping[int, str], lease: timedelta) -> set[int]:
    """What is being recorded or freed at this moment is skipped: to wait for it could be to wait for each other."""
    rows = db.execute(
        """
        WITH held AS MATERIALIZED (
            SELECT dispatches.id FROM unnest(%s::bigint[], %s::text[]) AS own (id, token)
            JOIN dispatches ON dispatches.id = own.id AND dispatches.token = own.token
            FOR UPDATE OF dispatches SKIP LOCKED)
        UPDATE dispatches SET leased_until = %s FROM held WHERE dispatches.id = held.id
        RETURNING dispatches.id
        """,
        (list(tokens), list(tokens.values()), to_text(now_in(db) + lease)),
    ).fetchall()
    return {row["id"] for row in rows}


def give_back(db: Connection, claims: Sequence[Claim]) -> None:
    db.execute(
        """
        UPDATE dispatches SET state = 'pending', token = NULL, leased_until = NULL, worker = NULL, started_at = NULL,
            attempt_count = attempt_count - 1
        FROM unnest(%s::bigint[], %s::text[]) AS own (id, token)
        WHERE dispatches.id = own.id AND dispatches.token = own.token
        """,
        ([claim.id for claim in claims], [claim.token for claim in claims]),
    )


def finish_all(
    db: Connection, ended: Sequence[tuple[Claim, Outcome]], park_after: Mapping[str, int]
) -> list[State | None]:
    now = now_in(db)
    values = [outcome_values(claim, outcome, now) for claim, outcome in ended]
    rows = db.execute(
        """
        WITH ended AS (
            UPDATE dispatches SET state = told.state, due_at = told.due, token = NULL, leased_until = NULL,
                error = told.error, result = told.result, attempt_count = attempt_count - told.snoozed,
                finished_at = CASE WHEN told.over THEN %(now)s::timestamptz END
            FROM unnest(%(id)s::bigint[], %(token)s::text[], %(number)s::bigint[], %(outcome)s::text[],
                    %(state)s::text[], %(due)s::timestamptz[], %(error)s::text[], %(result)s::text[],
                    %(snoozed)s::bigint[], %(over)s::boolean[])
                AS told (id, token, number, outcome, state, due, error, result, snoozed, over)
            WHERE dispatches.id = told.id AND dispatches.token = told.token
            RETURNING dispatches.id, told.token, worker, started_at, number, outcome, told.error),
        kept AS (
            INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
            SELECT id, number, worker, started_at, %(now)s::timestamptz, outcome, error FROM ended)
        SELECT token FROM ended
        """,
        {name: [told[name] for told in values] for name in values[0]} | {"now": to_text(now)},
    ).fetchall()
    recorded = {row["token"] for row in rows}
    holds.judge(db, [(claim, outcome) for claim, outcome in ended if claim.token in recorded], park_after, now)
    return [outcome.decision.state if claim.token in recorded else None for claim, outcome in ended]


def sweep(db: Connection, spared: Iterable[str]) -> int:
    now = now_in(db)
    lapsed = db.execute(
        """
        SELECT id, attempt_count, worker, started_at FROM dispatches
        WHERE state = 'running' AND leased_until < %s AND token <> ALL (%s::text[])
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        """,
        (to_text(now), list(spared), _FREED_AT_ONCE),
    ).fetchall()
    for row in lapsed:
        _free(db, row, now)
    return len(lapsed)


def rescue(db: Connection, dispatch_id: int, worker: str, leased_until: datetime) -> bool:
    now = now_in(db)
    row = db.execute(
        """
        SELECT id, attempt_count, worker, started_at FROM dispatches
        WHERE id = %s AND state = 'running' AND worker = %s AND leased_until = %s
        FOR UPDATE SKIP LOCKED
        """,
        (dispatch_id, worker, to_text(leased_until)),
    ).fetchone()
    if row is None:
        return False
    _free(db, row, now)
    return True


def _free(db: Connection, row: Mapping[str, Any], now: datetime) -> None:
    db.execute(
        """
        INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
        VALUES (%s, %s, %s, %s, %s, 'lost', 'the worker died or froze: its lease ended')
        """,
        (row["id"], row["attempt_count"], row["worker"], row["started_at"], to_text(now)),
    )
    db.execute(
        "UPDATE dispatches SET state = 'pending', due_at = %s, token = NULL, leased_until = NULL WHERE id = %s",
        (to_text(now + after_loss(row["attempt_count"])), row["id"]),
    )
