"""Whose turn it is to do what is done once for the whole cluster."""

from datetime import timedelta
from typing import LiteralString

from receiver.clock import to_text
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock

TAKEN: LiteralString = """
    SELECT 1 FROM turns
    WHERE name = %s AND taken_at > statement_timestamp() - %s::interval AND taken_at <= statement_timestamp()
    """
"""Whether somebody has this turn."""


def claim(db: Connection, name: str, every: timedelta) -> bool:
    now = lock(db, f"turn {name}")
    taken = db.execute(
        """
        INSERT INTO turns (name, taken_at) VALUES (%(name)s, %(now)s)
        ON CONFLICT (name) DO UPDATE SET taken_at = excluded.taken_at
        -- One in the future was taken before the clock was set back.
        WHERE turns.taken_at <= %(since)s OR turns.taken_at > %(now)s
        """,
        {"name": name, "now": to_text(now), "since": to_text(now - every)},
    )
    return taken.rowcount == 1
