"""The public keys of sources whose provider publishes them."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, LiteralString

from receiver.clock import to_text
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock, now_in

DUE: LiteralString = """
    SELECT 1 WHERE NOT EXISTS (
        SELECT 1 FROM keys WHERE source = %(source)s AND (
            (NOT wanted AND fetched_at > statement_timestamp() - %(every)s::interval)
            OR tried_at > statement_timestamp() - %(pause)s::interval))
    """
"""Whether the keys of a source are to be fetched."""


def due_parameters(source: str, every: timedelta, pause: timedelta) -> dict[str, Any]:
    return {"source": source, "every": every, "pause": pause}


def claim(db: Connection, source: str, every: timedelta, pause: timedelta) -> bool:
    now = lock(db, f"keys {source}")
    if db.execute(DUE, due_parameters(source, every, pause)).fetchone() is None:
        return False
    db.execute(
        """
        INSERT INTO keys (source, keys, wanted, tried_at) VALUES (%(source)s, '[]', true, %(now)s)
        ON CONFLICT (source) DO UPDATE SET tried_at = excluded.tried_at
        """,
        {"source": source, "now": to_text(now)},
    )
    return True


def keep(db: Connection, source: str, keys: Sequence[str]) -> None:
    db.execute(
        """
        INSERT INTO keys (source, keys, fetched_at) VALUES (%(source)s, %(keys)s, %(now)s)
        ON CONFLICT (source) DO UPDATE SET keys = excluded.keys, fetched_at = excluded.fetched_at, wanted = false
        """,
        {"source": source, "keys": json.dumps(list(keys)), "now": to_text(now_in(db))},
    )
