"""What keeps handlers from being run: failures in a row, and limits."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from receiver.clock import from_text, to_text
from receiver.models import Budget, Claim
from receiver.outcomes import Outcome
from receiver.store.rules import Trouble, by_handler, judged
from receiver.store.sqlite.connection import now_in


def allowed(db: sqlite3.Connection, handler: str, free: int, limit: Budget | None, now: datetime) -> tuple[int, bool]:
    """How many dispatches may begin now, and whether that is only to find out whether the handler works again."""
    row = db.execute("SELECT parked_until, paused_at FROM handlers WHERE name = ?", (handler,)).fetchone()
    if row is not None and row["paused_at"] is not None:
        return 0, False
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


def pause_handler(db: sqlite3.Connection, handler: str, paused: bool) -> None:
    """Keep it from being run, or let it run again; one that is paused already stays so since when it was."""
    db.execute(
        """
        INSERT INTO handlers (name, paused_at) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET paused_at = CASE WHEN excluded.paused_at IS NOT NULL
            THEN coalesce(handlers.paused_at, excluded.paused_at) END
        """,
        (handler, to_text(now_in(db)) if paused else None),
    )


def pause_source(db: sqlite3.Connection, source: str, paused: bool) -> None:
    """Keep it from being asked, or let it be asked again; one that is paused already stays so since when it was."""
    db.execute(
        """
        INSERT INTO sources (name, paused_at) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET paused_at = CASE WHEN excluded.paused_at IS NOT NULL
            THEN coalesce(sources.paused_at, excluded.paused_at) END
        """,
        (source, to_text(now_in(db)) if paused else None),
    )


def source_paused(db: sqlite3.Connection, source: str) -> bool:
    """Whether a person keeps it from being asked."""
    row = db.execute("SELECT 1 FROM sources WHERE name = ? AND paused_at IS NOT NULL", (source,)).fetchone()
    return row is not None


def begun(
    db: sqlite3.Connection, handler: str, count: int, now: datetime, *, probing_for: timedelta | None, limited: bool
) -> None:
    """Note what has begun, as far as something counts it."""
    if limited:
        db.executemany("INSERT INTO starts (handler, started_at) VALUES (?, ?)", [(handler, to_text(now))] * count)
    if probing_for is not None:
        _note(db, handler, "parked_until", now + probing_for)


def judge(
    db: sqlite3.Connection, ended: Sequence[tuple[Claim, Outcome]], park_after: Mapping[str, int], now: datetime
) -> None:
    """Park handlers after too many failures in a row; free those that work."""
    for handler, own in by_handler(ended).items():
        row = db.execute(
            "SELECT failure_count, park_count, parked_until FROM handlers WHERE name = ?", (handler,)
        ).fetchone()
        before = Trouble(*row) if row is not None else Trouble()
        after = judged(before, own, park_after.get(handler), now)
        if after != before:
            db.execute(
                """
                INSERT INTO handlers (name, failure_count, park_count, parked_until) VALUES (?, ?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET failure_count = excluded.failure_count,
                    park_count = excluded.park_count, parked_until = excluded.parked_until
                """,
                (handler, after.failure_count, after.park_count, after.parked_until),
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
