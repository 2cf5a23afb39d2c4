"""What keeps handlers from being run: failures in a row, and limits."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from receiver.clock import from_text, to_text
from receiver.models import Budget, Claim
from receiver.outcomes import Outcome
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import now_in
from receiver.store.rules import Trouble, by_handler, judged


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


def pause_handler(db: Connection, handler: str, paused: bool) -> None:
    """Keep it from being run, or let it run again; one that is paused already stays so since when it was."""
    db.execute(
        """
        INSERT INTO handlers (name, paused_at) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET paused_at = CASE WHEN excluded.paused_at IS NOT NULL
            THEN coalesce(handlers.paused_at, excluded.paused_at) END
        """,
        (handler, to_text(now_in(db)) if paused else None),
    )


def pause_source(db: Connection, source: str, paused: bool) -> None:
    """Keep it from being asked, or let it be asked again; one that is paused already stays so since when it was."""
    db.execute(
        """
        INSERT INTO sources (name, paused_at) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET paused_at = CASE WHEN excluded.paused_at IS NOT NULL
            THEN coalesce(sources.paused_at, excluded.paused_at) END
        """,
        (source, to_text(now_in(db)) if paused else None),
    )


def source_paused(db: Connection, source: str) -> bool:
    """Whether a person keeps it from being asked."""
    row = db.execute("SELECT 1 FROM sources WHERE name = %s AND paused_at IS NOT NULL", (source,)).fetchone()
    return row is not None


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


def judge(db: Connection, ended: Sequence[tuple[Claim, Outcome]], park_after: Mapping[str, int], now: datetime) -> None:
    """Park handlers after too many failures in a row; free those that work."""
    own = by_handler(ended)
    failing = [handler for handler, attempts in own.items() if any(outcome.failed for _, outcome in attempts)]
    if failing:
        db.execute("INSERT INTO handlers (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING", (failing,))
    rows = db.execute(
        """
        SELECT name, failure_count, park_count, parked_until FROM handlers
        WHERE name = ANY(%s::text[]) OR (name = ANY(%s::text[]) AND failure_count > 0)
        ORDER BY name FOR UPDATE
        """,
        (failing, list(own)),
    ).fetchall()
    for row in rows:
        before = Trouble(row["failure_count"], row["park_count"], row["parked_until"])
        after = judged(before, own[row["name"]], park_after.get(row["name"]), now)
        if after != before:
            db.execute(
                """
                UPDATE handlers SET failure_count = %s, park_count = %s, parked_until = %s::timestamptz
                WHERE name = %s
                """,
                (after.failure_count, after.park_count, after.parked_until, row["name"]),
            )


def _park(db: Connection, handler: str, until: datetime) -> None:
    db.execute(
        """
        INSERT INTO handlers (name, parked_until) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET parked_until = excluded.parked_until
        """,
        (handler, to_text(until)),
    )
