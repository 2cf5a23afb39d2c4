"""Deliveries that were refused."""

from collections.abc import Sequence

from receiver.store.base import Refusal
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock
from receiver.store.rows import refusal_values


def quarantine(db: Connection, refusals: Sequence[Refusal], max_count: int) -> None:
    sources = {refusal.delivery.source for refusal in refusals}
    lock(db, *(f"quarantine {source}" for source in sources))
    for refusal in refusals:
        db.execute(
            """
            INSERT INTO quarantine (source, reason, hint, path, headers, body, received_at)
            VALUES (%(source)s, %(reason)s, %(hint)s, %(path)s, %(headers)s, %(body)s, %(received_at)s)
            """,
            refusal_values(refusal, db.seal),
        )
    for source in sources:
        db.execute(
            """
            DELETE FROM quarantine WHERE source = %(source)s AND id <= (
                SELECT id FROM quarantine WHERE source = %(source)s ORDER BY id DESC LIMIT 1 OFFSET %(most)s)
            """,
            {"source": source, "most": max_count},
        )
