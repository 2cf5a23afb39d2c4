"""Deliveries that were let in, and those that were not."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from receiver.clock import to_text
from receiver.store.base import Record, Refusal


def insert_delivery(db: sqlite3.Connection, record: Record, now: datetime, fingerprint: str | None = None) -> int:
    delivery = record.delivery
    row = db.execute(
        """
        INSERT INTO deliveries (source, via, trust, verdict, note, path, headers, body, fingerprint, received_at,
            last_seen_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
        """,
        (
            delivery.source,
            delivery.via,
            record.trust,
            record.verdict,
            record.note,
            delivery.path,
            json.dumps(dict(delivery.headers)),
            delivery.body,
            fingerprint,
            to_text(delivery.received_at),
            to_text(now),
        ),
    ).fetchone()
    return int(row["id"])


def count_again(db: sqlite3.Connection, delivery_id: int, now: datetime) -> None:
    db.execute(
        "UPDATE deliveries SET seen_count = seen_count + 1, last_seen_at = ? WHERE id = ?", (to_text(now), delivery_id)
    )


def quarantine(db: sqlite3.Connection, refusals: Sequence[Refusal], max_count: int) -> None:
    for refusal in refusals:
        delivery = refusal.delivery
        db.execute(
            """
            INSERT INTO quarantine (source, reason, hint, path, headers, body, received_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            (
                delivery.source,
                refusal.reason,
                refusal.hint,
                delivery.path,
                json.dumps(dict(delivery.headers)),
                delivery.body,
                to_text(delivery.received_at),
            ),
        )
    for source in {refusal.delivery.source for refusal in refusals}:
        db.execute(
            """
            DELETE FROM quarantine WHERE source = :source AND id <= (
                SELECT id FROM quarantine WHERE source = :source ORDER BY id DESC LIMIT 1 OFFSET :most)
            """,
            {"source": source, "most": max_count},
        )
