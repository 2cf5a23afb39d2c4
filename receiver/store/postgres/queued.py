"""Dispatches that wait in a broker's queue: one row each, until somebody has tried to claim it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import LiteralString

from receiver.clock import to_text
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import now_in

RANKS = (0, 1)
"""Live, then replayed."""

ROOM: LiteralString = """
    SELECT CASE
            WHEN paused_at IS NOT NULL OR greatest(parked_until, limited_until) > statement_timestamp() THEN 0
            WHEN parked_until IS NOT NULL THEN least(%(most)s::integer, 1)
            ELSE %(most)s::integer END
        - (SELECT count(*) FROM queued WHERE handler = %(handler)s) AS room
    FROM (SELECT %(handler)s::text AS name) AS wanted LEFT JOIN handlers USING (name)
    """
"""How many more of a handler's dispatches may wait; of a parked one, one in all, to find out whether it works again."""

DUE: LiteralString = """
    SELECT id FROM dispatches AS due
    WHERE handler = %(handler)s AND rank = %(rank)s AND state = 'pending' AND due_at <= statement_timestamp()
        AND NOT EXISTS (SELECT 1 FROM queued WHERE dispatch_id = due.id OFFSET 0)
        AND NOT EXISTS (
            SELECT 1 FROM dispatches AS other
            WHERE other.source = due.source AND other.job_id = due.job_id AND other.handler = due.handler
                AND other.state IN ('pending', 'running')
                AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id))
            OFFSET 0)
    ORDER BY due_at, id LIMIT %(room)s
    """
"""What could be claimed now and is in no queue."""


def enqueue(db: Connection, due: Mapping[str, Sequence[int]]) -> list[tuple[int, str]]:
    """Note them as queued. Returns those that nobody else has queued meanwhile."""
    pairs = [(dispatch_id, handler) for handler, ids in due.items() for dispatch_id in ids]
    rows = db.execute(
        """
        INSERT INTO queued (dispatch_id, handler, queued_at)
        SELECT id, handler, %s::timestamptz FROM unnest(%s::bigint[], %s::text[]) AS due (id, handler)
        ON CONFLICT (dispatch_id) DO NOTHING
        RETURNING dispatch_id
        """,
        (to_text(now_in(db)), [dispatch_id for dispatch_id, _ in pairs], [handler for _, handler in pairs]),
    ).fetchall()
    new = {row["dispatch_id"] for row in rows}
    return [(dispatch_id, handler) for dispatch_id, handler in pairs if dispatch_id in new]


def dequeue(db: Connection, ids: Iterable[int]) -> None:
    db.execute("DELETE FROM queued WHERE dispatch_id = ANY(%s::bigint[])", (list(ids),))


def dequeue_lost(db: Connection, handlers: Iterable[str], older_than: timedelta, keep: int) -> int:
    return db.execute(
        """
        DELETE FROM queued WHERE queued_at <= %(before)s AND dispatch_id IN (
            SELECT dispatch_id FROM queued WHERE handler = ANY(%(handlers)s::text[])
            ORDER BY queued_at DESC, dispatch_id DESC OFFSET %(keep)s)
        """,
        {"before": to_text(now_in(db) - older_than), "handlers": list(handlers), "keep": keep},
    ).rowcount
