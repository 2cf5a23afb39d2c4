"""Whose turn it is to do what is done once for all processes."""

import sqlite3
from datetime import timedelta

from receiver.clock import to_text
from receiver.store.sqlite.connection import now_in

TAKEN = """
    SELECT 1 FROM turns
    WHERE name = ? AND taken_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)
        AND taken_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
"""
"""Whether somebody has this turn; the parameters are those of `taken_parameters`."""


def taken_parameters(name: str, every: timedelta) -> tuple[str, str]:
    return name, f"-{every.total_seconds():f} seconds"


def claim(db: sqlite3.Connection, name: str, every: timedelta) -> bool:
    now = now_in(db)
    taken = db.execute(
        """
        INSERT INTO turns (name, taken_at) VALUES (:name, :now)
        ON CONFLICT (name) DO UPDATE SET taken_at = excluded.taken_at
        -- One in the future was taken before the clock was set back.
        WHERE turns.taken_at <= :since OR turns.taken_at > :now
        """,
        {"name": name, "now": to_text(now), "since": to_text(now - every)},
    )
    return taken.rowcount == 1
