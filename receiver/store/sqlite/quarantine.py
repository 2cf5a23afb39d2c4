"""Deliveries that were turned away."""

from collections.abc import Sequence

from receiver.store.base import Refusal
from receiver.store.rows import refusal_values
from receiver.store.sqlite.connection import Connection


def quarantine(db: Connection, refusals: Sequence[Refusal], max_count: int) -> None:
    for refusal in refusals:
        db.execute(
            """
            INSERT INTO quarantine (source, reason, hint, path, headers, body, received_at)
            VALUES (:source, :reason, :hint, :path, :headers, :body, :received_at)
            """,
            refusal_values(refusal, db.seal),
        )
    for source in {refusal.delivery.source for refusal in refusals}:
        db.execute(
            """
            DELETE FROM quarantine WHERE source = :source AND id <= (
                SELECT id FROM quarantine WHERE source = :source ORDER BY id DESC LIMIT 1 OFFSET :most)
            """,
            {"source": source, "most": max_count},
        )
