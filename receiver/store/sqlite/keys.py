"""The public keys of sources whose provider publishes them."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from receiver.clock import to_text
from receiver.store.sqlite.connection import now_in

DUE = """
    SELECT 1 WHERE NOT EXISTS (
        SELECT 1 FROM keys WHERE source = :source AND (
            (NOT wanted AND fetched_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', :every))
            OR tried_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', :pause)))
    """
"""Whether the keys of a source are to be fetched."""


def due_parameters(source: str, every: timedelta, pause: timedelta) -> dict[str, str]:
    return {
        "source": source,
        "every": f"-{every.total_seconds()} seconds",
        "pause": f"-{pause.total_seconds()} seconds",
    }


def claim(db: sqlite3.Connection, source: str, every: timedelta, pause: timedelta) -> bool:
    if db.execute(DUE, due_parameters(source, every, pause)).fetchone() is None:
        return False
    db.execute(
        """
        INSERT INTO keys (source, keys, wanted, tried_at) VALUES (:source, '[]', 1, :now)
        ON CONFLICT (source) DO UPDATE SET tried_at = :now
        """,
        {"source": source, "now": to_text(now_in(db))},
    )
    return True


def keep(db: sqlite3.Connection, source: str, keys: Sequence[str]) -> None:
    db.execute(
        """
        INSERT INTO keys (source, keys, fetched_at) VALUES (:source, :keys, :now)
        ON CONFLICT (source) DO UPDATE SET keys = :keys, fetched_at = :now, wanted = 0
        """,
        {"source": source, "keys": json.dumps(list(keys)), "now": to_text(now_in(db))},
    )
