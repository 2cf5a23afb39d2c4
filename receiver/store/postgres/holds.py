"""What keeps handlers from being run: failures in a row, and limits."""

from datetime import datetime, timedelta

from receiver.clock import from_text, to_text
from receiver.models import Budget, Claim
from receiver.store.postgres.connection import Connection
from receiver.store.rules import parked_for


def parked_of(db: Connection, handlers: list[str]) -> dict[str, str]:
    """Until when those are parked that are."""
    rows = db.execute(
        "SELECT name, parked_until FROM handlers WHERE name = ANY(%s::text[]) AND parked_until IS NOT NULL",
        (handlers,),
    ).fetchall()
    return {row["name"]: row["parked_until"] for row in rows}


def left_of(db: Connection, handler: str, limit: Budget, now: datetime) -> int:
    """How many more the limit allows; if none, when there will be one is noted, so that nobody looks before."""
    db.execute("DELETE FROM starts WHERE handler = %s AND started_at <= %s", (handler, to_text(now - limit.per)))
    begun = db.execute(
        "SELECT started_at FROM starts WHERE handler = %s ORDER BY started_at DESC LIMIT %s", (handler, limit.count)
    ).fetchall()
    if len(begun) == limit.count:
        until = from_text(begun[-1]["started_at"]) + limit.per
        db.execute(
            """
            INSERT INTO handlers (name, limited_until) VALUES (%s, %s)
            ON CONFLICT (name) DO UPDATE SET limited_until = excluded.limited_until
            """,
            (handler, to_text(until)),
        )
    return limit.count - len(begun)


def begun(
    db: Connection, handler: str, count: int, now: datetime, *, probing_for: timedelta | None, limited: bool
) -> None:
    """Note what has begun, as far as something counts it."""
    if limited:
        db.execute(
            "INSERT INTO starts (handler, started_at) SELECT %s, %s::timestamptz FROM generate_series(1, %s)",
            (handler, to_text(now), count),
        )
    if probing_for is not None:
        _park(db, handler, now + probing_for)


def judge(db: Connection, claim: Claim, park_after: int | None, now: datetime) -> None:
    """Count a failure, and park the handler after too many in a row. What frees it is `dispatches.finish`."""
    [row] = db.execute(
        """
        INSERT INTO handlers (name, failure_count) VALUES (%s, 1)
        ON CONFLICT (name) DO UPDATE SET failure_count = handlers.failure_count + 1
        RETURNING failure_count, park_count, parked_until
        """,
        (claim.handler,),
    ).fetchall()
    too_many = park_after is not None and row["failure_count"] >= park_after and row["parked_until"] is None
    if claim.probe or too_many:
        db.execute("UPDATE handlers SET park_count = park_count + 1 WHERE name = %s", (claim.handler,))
        _park(db, claim.handler, now + parked_for(row["park_count"]))


def _park(db: Connection, handler: str, until: datetime) -> None:
    db.execute(
        """
        INSERT INTO handlers (name, parked_until) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET parked_until = excluded.parked_until
        """,
        (handler, to_text(until)),
    )
