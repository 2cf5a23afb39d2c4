"""The request budgets of sources: what polls and create calls spend, and what is left."""

import sqlite3
from datetime import datetime

from receiver.clock import to_text
from receiver.models import Budget
from receiver.store import rules
from receiver.store.sqlite.connection import now_in


def requests_left(db: sqlite3.Connection, source: str, budget: Budget, learn: bool, now: datetime) -> tuple[int, int]:
    """How many requests may be sent now, so that no span of time ever holds more than the budget; and its size."""
    db.execute("DELETE FROM requests WHERE source = ? AND sent_at <= ?", (source, rules.counts_since(budget, now)))
    [sent] = db.execute("SELECT count(*) FROM requests WHERE source = ?", (source,)).fetchone()
    told = db.execute("SELECT * FROM limits WHERE source = ?", (source,)).fetchone()
    return rules.requests_left(budget, sent, told, learn=learn, now=now)


def spend(db: sqlite3.Connection, source: str, count: int, now: datetime) -> None:
    db.executemany("INSERT INTO requests (source, sent_at) VALUES (?, ?)", [(source, to_text(now))] * count)
    db.execute("UPDATE limits SET remaining = max(remaining - ?, 0) WHERE source = ?", (count, source))


def spend_one(db: sqlite3.Connection, source: str, budget: Budget, learn: bool) -> bool:
    """Spend one request, if there is one left."""
    now = now_in(db)
    left, _ = requests_left(db, source, budget, learn, now)
    if left <= 0:
        return False
    spend(db, source, 1, now)
    return True
