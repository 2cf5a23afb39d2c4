"""What keeps handlers from being run: failures in a row, and limits."""

import sqlite3
from datetime import datetime, timedelta

from receiver.clock import from_text, to_text
from receiver.models import Budget, Claim
from receiver.outcomes import Decision, Outcome
from receiver.store.rules import parked_for


def allowed(db: sqlite3.Connection, handler: str, free: int, limit: Budget | None, now: datetime) -> tuple[int, bool]:
    """How many dispatches may begin now, and whether that is only to find out whether the handler works again."""
    row = db.execute("SELECT parked_until FROM handlers WHERE name = ?", (handler,)).fetchone()
    parked = row["parked_until"] if row is not None else None
    if parked is not None and parked > to_text(now):
        return 0, False
    if limit is not None:
        free = min(free, _left(db, handler, limit, now))
    return (min(free, 1), True) if parked is not None else (free, False)


def _left(db: sqlite3.Connection, handler: str, limit: Budget, now: datetime) -> int:
    """How many more the limit allows; if none, when there will be one is noted, so that nobody looks before."""
    db.execute("DELETE FROM starts WHERE handler = ? AND started_at <= ?", (handler, to_text(now - limit.per)))
    begun = db.execute(
        "SELECT started_at FROM starts WHERE handler = ? ORDER BY started_at DESC LIMIT ?", (handler, limit.count)
    ).fetchall()
    if len(begun) == limit.count:
        _note(db, handler, "limited_until", from_text(begun[-1]["started_at"]) + limit.per)
    return limit.count - len(begun)


def begun(
    db: sqlite3.Connection, handler: str, count: int, now: datetime, *, probing_for: timedelta | None, limited: bool
) -> None:
    """Note what has begun, as far as something counts it."""
    if limited:
        db.executemany("INSERT INTO starts (handler, started_at) VALUES (?, ?)", [(handler, to_text(now))] * count)
    if probing_for is not None:
        _note(db, handler, "parked_until", now + probing_for)


def judge(db: sqlite3.Connection, claim: Claim, outcome: Outcome, park_after: int | None, now: datetime) -> None:
    """Park the handler after too many failures in a row; free it once it works."""
    if outcome.failed:
        row = db.execute(
            """
            INSERT INTO handlers (name, failure_count) VALUES (?, 1)
            ON CONFLICT (name) DO UPDATE SET failure_count = failure_count + 1
            RETURNING failure_count, park_count, parked_until
            """,
            (claim.handler,),
        ).fetchone()
        too_many = park_after is not None and row["failure_count"] >= park_after and row["parked_until"] is None
        if claim.probe or too_many:
            db.execute("UPDATE handlers SET park_count = park_count + 1 WHERE name = ?", (claim.handler,))
            _note(db, claim.handler, "parked_until", now + parked_for(row["park_count"]))
    # A dead letter that the handler asked for says nothing of whether it works.
    elif outcome.decision is not Decision.DEAD:
        db.execute(
            """
            UPDATE handlers SET failure_count = 0, park_count = 0, parked_until = NULL
            WHERE name = ? AND failure_count > 0
            """,
            (claim.handler,),
        )


def _note(db: sqlite3.Connection, handler: str, column: str, until: datetime) -> None:
    statements = {
        "parked_until": """
            INSERT INTO handlers (name, parked_until) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET parked_until = excluded.parked_until
            """,
        "limited_until": """
            INSERT INTO handlers (name, limited_until) VALUES (?, ?)
            ON CONFLICT (name) DO UPDATE SET limited_until = excluded.limited_until
            """,
    }
    db.execute(statements[column], (handler, to_text(until)))
