"""Dispatches that wait in a broker's queue: one row each, until somebody has tried to claim it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from receiver.clock import to_text
from receiver.store.sqlite.connection import now_in

RANKS = (0, 1)
"""Live, then replayed."""

ROOM = """
    SELECT CASE
            WHEN paused_at IS NOT NULL OR max(coalesce(parked_until, ''), coalesce(limited_until, ''))
                > strftime('%Y-%m-%dT%H:%M:%fZ', 'now') THEN 0
            WHEN parked_until IS NOT NULL THEN min(:most, 1)
            ELSE :most END
        - (SELECT count(*) FROM queued WHERE handler = :handler) AS room
    FROM (SELECT :handler AS name) LEFT JOIN handlers USING (name)
"""
"""How many more of a handler's dispatches may wait; of a parked one, one in all, to find out whether it works again."""

DUE = """
    SELECT id FROM dispatches AS due
    WHERE handler = :handler AND rank = :rank AND state = 'pending'
        AND due_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        AND NOT EXISTS (SELECT 1 FROM queued WHERE dispatch_id = due.id)
        AND NOT EXISTS (
            SELECT 1 FROM dispatches AS other
            WHERE other.source = due.source AND other.job_id = due.job_id AND other.handler = due.handler
                AND other.state IN ('pending', 'running')
                AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id)))
    ORDER BY due_at, id LIMIT :room
"""
"""What could be claimed now and is in no queue."""


def enqueue(db: sqlite3.Connection, due: Mapping[str, Sequence[int]]) -> list[tuple[int, str]]:
    """Note them as queued. Returns those that nobody else has queued meanwhile."""
    now = to_text(now_in(db))
    return [
        (dispatch_id, handler)
        for handler, ids in due.items()
        for dispatch_id in ids
        if db.execute(
            """
            INSERT INTO queued (dispatch_id, handler, queued_at) VALUES (?, ?, ?)
            ON CONFLICT (dispatch_id) DO NOTHING
            """,
            (dispatch_id, handler, now),
        ).rowcount
    ]


def dequeue(db: sqlite3.Connection, ids: Iterable[int]) -> None:
    db.execute("DELETE FROM queued WHERE dispatch_id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))


def dequeue_lost(db: sqlite3.Connection, handlers: Iterable[str], older_than: timedelta, keep: int) -> int:
    return db.execute(
        """
        DELETE FROM queued WHERE queued_at <= :before AND dispatch_id IN (
            SELECT dispatch_id FROM queued WHERE handler IN (SELECT value FROM json_each(:handlers))
            ORDER BY queued_at DESC, dispatch_id DESC LIMIT -1 OFFSET :keep)
        """,
        {"before": to_text(now_in(db) - older_than), "handlers": json.dumps(list(handlers)), "keep": keep},
    ).rowcount
