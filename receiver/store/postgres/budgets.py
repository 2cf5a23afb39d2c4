"""The request budgets of sources: what polls and create calls spend, and what is left."""

from datetime import datetime

from receiver.clock import to_text
from receiver.models import Budget, Limits
from receiver.store import rules
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock, now_in
from receiver.store.rows import limit_values


def source_lock(source: str) -> str:
    """The lock of whoever spends from a source's budget."""
    return f"source {source}"


def requests_left(db: Connection, source: str, budget: Budget, learn: bool, now: datetime) -> tuple[int, int]:
    """How many requests may be sent now, so that no span of time ever holds more than the budget; and its size."""
    db.execute("DELETE FROM requests WHERE source = %s AND sent_at <= %s", (source, rules.counts_since(budget, now)))
    [row] = db.execute("SELECT count(*) AS sent FROM requests WHERE source = %s", (source,)).fetchall()
    told = db.execute("SELECT * FROM limits WHERE source = %s", (source,)).fetchone()
    return rules.requests_left(budget, row["sent"], told, learn=learn, now=now)


def spend(db: Connection, source: str, count: int, now: datetime) -> None:
    db.execute(
        "INSERT INTO requests (source, sent_at) SELECT %s, %s::timestamptz FROM generate_series(1, %s)",
        (source, to_text(now), count),
    )
    db.execute("UPDATE limits SET remaining = greatest(remaining - %s, 0) WHERE source = %s", (count, source))


def spend_one(db: Connection, source: str, budget: Budget, learn: bool) -> bool:
    """Spend one request, if there is one left."""
    now = lock(db, source_lock(source))
    left, _ = requests_left(db, source, budget, learn, now)
    if left <= 0:
        return False
    spend(db, source, 1, now)
    return True


def remember(db: Connection, source: str, limits: Limits) -> None:
    db.execute(
        """
        INSERT INTO limits (source, count, remaining, resets_at, paused_until)
        VALUES (%(source)s, %(count)s, %(remaining)s, %(resets_at)s, %(paused_until)s)
        ON CONFLICT (source) DO UPDATE SET
            count = coalesce(excluded.count, limits.count),
            -- Answers overtake each other: until the reset, what is left only ever becomes less.
            remaining = CASE WHEN limits.resets_at > %(now)s
                THEN least(limits.remaining, excluded.remaining) ELSE excluded.remaining END,
            resets_at = CASE WHEN limits.resets_at > %(now)s THEN limits.resets_at ELSE excluded.resets_at END,
            paused_until = coalesce(excluded.paused_until, limits.paused_until)
        """,
        limit_values(source, limits, now_in(db)),
    )
