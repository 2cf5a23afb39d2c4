"""Deliveries that were let in, and those that were not."""

from collections.abc import Sequence
from datetime import datetime

from receiver.clock import to_text
from receiver.store.base import Record, Refusal
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock
from receiver.store.rows import delivery_values, refusal_values


def insert_delivery(db: Connection, record: Record, now: datetime) -> int:
    [row] = db.execute(
        """
        INSERT INTO deliveries (source, via, trust, verdict, note, path, headers, body, received_at, last_seen_at)
        VALUES (%(source)s, %(via)s, %(trust)s, %(verdict)s, %(note)s, %(path)s, %(headers)s, %(body)s,
            %(received_at)s, %(now)s)
        RETURNING id
        """,
        delivery_values(record, now),
    ).fetchall()
    return int(row["id"])


def count_again(db: Connection, delivery_id: int, received_at: str, now: datetime) -> None:
    """Count a delivery once more, if it is still kept. When it was received says in which partition it is."""
    db.execute(
        "UPDATE deliveries SET seen_count = seen_count + 1, last_seen_at = %s WHERE id = %s AND received_at = %s",
        (to_text(now), delivery_id, received_at),
    )


def counted_by_fingerprint(db: Connection, source: str, fingerprint: str, now: datetime) -> int | None:
    """Count the delivery of these bytes once more, if it is still kept; None if there never was one."""
    row = db.execute(
        "SELECT delivery_id, received_at FROM fingerprints WHERE source = %s AND fingerprint = %s",
        (source, fingerprint),
    ).fetchone()
    if row is None:
        return None
    count_again(db, row["delivery_id"], row["received_at"], now)
    return int(row["delivery_id"])


def insert_fingerprint(db: Connection, source: str, fingerprint: str, delivery_id: int, received_at: datetime) -> None:
    db.execute(
        "INSERT INTO fingerprints (source, fingerprint, delivery_id, received_at) VALUES (%s, %s, %s, %s)",
        (source, fingerprint, delivery_id, to_text(received_at)),
    )


def bound_hints(db: Connection, source: str, max_count: int) -> None:
    """Of a source's hints keep the newest."""
    db.execute(
        """
        WITH gone AS (
            DELETE FROM deliveries WHERE source = %(source)s AND trust = 'hint' AND id <= (
                SELECT id FROM deliveries WHERE source = %(source)s AND trust = 'hint'
                ORDER BY id DESC LIMIT 1 OFFSET %(most)s)
            RETURNING id)
        DELETE FROM fingerprints USING gone WHERE delivery_id = gone.id
        """,
        {"source": source, "most": max_count},
    )


def quarantine(db: Connection, refusals: Sequence[Refusal], max_count: int) -> None:
    sources = {refusal.delivery.source for refusal in refusals}
    lock(db, *(f"quarantine {source}" for source in sources))
    for refusal in refusals:
        db.execute(
            """
            INSERT INTO quarantine (source, reason, hint, path, headers, body, received_at)
            VALUES (%(source)s, %(reason)s, %(hint)s, %(path)s, %(headers)s, %(body)s, %(received_at)s)
            """,
            refusal_values(refusal),
        )
    for source in sources:
        db.execute(
            """
            DELETE FROM quarantine WHERE source = %(source)s AND id <= (
                SELECT id FROM quarantine WHERE source = %(source)s ORDER BY id DESC LIMIT 1 OFFSET %(most)s)
            """,
            {"source": source, "most": max_count},
        )
