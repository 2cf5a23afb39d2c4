"""What is old goes, a few rows at a time, so that nobody waits long for a turn to write."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from receiver.store.base import Prunable
from receiver.store.sqlite.writer import Writer

Read = Callable[[str, Mapping[str, Any]], Sequence[sqlite3.Row]]

_LOOKED_AT = 5000
_AT_ONCE = 200


@dataclass(frozen=True)
class _Rule:
    """What may go of one kind of data. Rows with higher ids are taken to be younger."""

    oldest: str
    """The first row after an id, and since when it has been there."""
    old: str
    """Those of the rows after one id and up to another that may go."""
    removals: Sequence[str]


def prune(read: Read, writer: Writer, what: Prunable, older_than: timedelta, *, dry_run: bool) -> Iterator[int]:
    """Remove what may go, and say after each step how much that was; with `dry_run` only say how much it would be."""
    rule, after = _RULES[what], 0
    [now] = read(
        "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', :ago) AS before",
        {"ago": f"-{older_than.total_seconds()} seconds"},
    )
    while rows := read(rule.oldest, {"after": after}):
        [row] = rows
        if row["since"] >= now["before"]:
            return
        window = {
            "after": row["id"] - 1,
            "upto": row["id"] + _LOOKED_AT,
            "before": now["before"],
            "most": _AT_ONCE,
        }
        # Looking first keeps what has nothing to do from taking the write lock.
        ids = [found["id"] for found in read(rule.old, window)]
        if dry_run or not ids:
            yield len(ids)
        else:
            yield writer.run(lambda db, window=window: _remove(db, rule, window))  # type: ignore[misc]
        after = ids[-1] if len(ids) == _AT_ONCE else window["upto"]


def _remove(db: sqlite3.Connection, rule: _Rule, window: Mapping[str, Any]) -> int:
    ids = [row["id"] for row in db.execute(rule.old, window)]
    for statement in rule.removals:
        db.execute(statement, {"ids": json.dumps(ids)})
    return len(ids)


_OLDEST_DELIVERY = "SELECT id, received_at AS since FROM deliveries WHERE id > :after ORDER BY id LIMIT 1"

_REMOVE_DELIVERIES = (
    # Of hints only so many are kept, with their fingerprints; all others' outlive them.
    """
    DELETE FROM fingerprints WHERE delivery_id IN (
        SELECT id FROM deliveries WHERE id IN (SELECT value FROM json_each(:ids)) AND trust = 'hint')
    """,
    "DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(:ids))",
)

# What is not `recorded` has an index of its own, which SQLite takes only where a statement says so.
# The newest row stays: SQLite gives its id to the next, and events still name deliveries that are gone.
_RULES = {
    Prunable.DELIVERIES: _Rule(
        oldest=_OLDEST_DELIVERY,
        old="""
            SELECT id FROM deliveries
            WHERE id > :after AND id <= :upto AND received_at < :before AND verdict <> 'unreadable'
                AND id < (SELECT max(id) FROM deliveries)
            ORDER BY id LIMIT :most
            """,
        removals=_REMOVE_DELIVERIES,
    ),
    Prunable.UNREADABLE: _Rule(
        oldest="""
            SELECT id, received_at AS since FROM deliveries
            WHERE id > :after AND verdict = 'unreadable' AND verdict <> 'recorded' ORDER BY id LIMIT 1
            """,
        old="""
            SELECT id FROM deliveries
            WHERE id > :after AND id <= :upto AND received_at < :before AND verdict = 'unreadable'
                AND verdict <> 'recorded' AND id < (SELECT max(id) FROM deliveries)
            ORDER BY id LIMIT :most
            """,
        removals=_REMOVE_DELIVERIES,
    ),
    Prunable.DISPATCHES: _Rule(
        oldest="SELECT id, created_at AS since FROM dispatches WHERE id > :after ORDER BY id LIMIT 1",
        old="""
            SELECT id FROM dispatches
            WHERE id > :after AND id <= :upto AND finished_at < :before AND state IN ('done', 'cancelled')
                AND id < (SELECT max(id) FROM dispatches)
            ORDER BY id LIMIT :most
            """,
        removals=(
            "DELETE FROM attempts WHERE dispatch_id IN (SELECT value FROM json_each(:ids))",
            "DELETE FROM dispatches WHERE id IN (SELECT value FROM json_each(:ids))",
        ),
    ),
    Prunable.EVENTS: _Rule(
        oldest="""
            SELECT id, recorded_at AS since FROM events WHERE id > :after AND emptied_at IS NULL ORDER BY id LIMIT 1
            """,
        old="""
            SELECT id FROM events
            WHERE id > :after AND id <= :upto AND recorded_at < :before AND emptied_at IS NULL
                AND routed_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id)
            ORDER BY id LIMIT :most
            """,
        removals=(
            """
            UPDATE events SET data = '{}', outputs = '[]', failure = NULL,
                emptied_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            WHERE id IN (SELECT value FROM json_each(:ids))
            """,
        ),
    ),
    Prunable.JOBS: _Rule(
        oldest="SELECT id, created_at AS since FROM jobs WHERE id > :after ORDER BY id LIMIT 1",
        old="""
            SELECT id FROM jobs
            WHERE id > :after AND id <= :upto AND finished_at < :before
                AND NOT EXISTS (
                    SELECT 1 FROM dispatches WHERE dispatches.source = jobs.source
                        AND dispatches.job_id = jobs.job_id AND state IN ('pending', 'running'))
                AND (source, job_id) NOT IN (
                    SELECT source, job_id FROM dispatches INDEXED BY dispatches_dead
                    WHERE state = 'dead' AND job_id IS NOT NULL)
                AND (source, job_id) NOT IN (
                    SELECT source, job_id FROM events INDEXED BY events_unrouted
                    WHERE routed_at IS NULL AND job_id IS NOT NULL)
            ORDER BY id LIMIT :most
            """,
        removals=("DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))",),
    ),
    Prunable.QUARANTINE: _Rule(
        oldest="SELECT id, received_at AS since FROM quarantine WHERE id > :after ORDER BY id LIMIT 1",
        old="""
            SELECT id FROM quarantine WHERE id > :after AND id <= :upto AND received_at < :before
            ORDER BY id LIMIT :most
            """,
        removals=("DELETE FROM quarantine WHERE id IN (SELECT value FROM json_each(:ids))",),
    ),
}
