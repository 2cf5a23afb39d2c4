"""What is old goes: months of deliveries as a whole, everything else a few rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString

from receiver.clock import from_text, to_text
from receiver.store.base import Prunable
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.partitions import Month, Partitions
from receiver.store.postgres.pool import Pool

_LOOKED_AT = 5000
_AT_ONCE = 500


@dataclass(frozen=True)
class _Rule:
    """What may go of one kind of data. Rows with higher ids are taken to be younger."""

    oldest: LiteralString
    """The first row after an id, and since when it has been there."""
    old: LiteralString
    """Those of the rows after one id and up to another that may go."""
    locked: LiteralString
    """Keeps the rows of some ids as they are until the transaction ends."""
    removals: Sequence[LiteralString]


def prune(pool: Pool, partitions: Partitions, what: Prunable, older_than: timedelta, *, dry_run: bool) -> Iterator[int]:
    """Remove what may go, and say after each step how much that was; with `dry_run` only say how much it would be."""
    [now] = pool.read("SELECT statement_timestamp() - %s::interval AS before", (older_than,))
    if what is Prunable.DELIVERIES:
        for month in partitions.over_before(from_text(now["before"])):
            yield from _prune_month(pool, partitions, month, dry_run=dry_run)
    else:
        yield from _prune_rows(pool, _RULES[what], {"before": now["before"]}, dry_run=dry_run)


def _prune_month(pool: Pool, partitions: Partitions, month: Month, *, dry_run: bool) -> Iterator[int]:
    """Drop the month; if something in it is to be kept for longer, remove only the rest."""
    within = {"begins_at": to_text(month.begins_at), "ends_at": to_text(month.ends_at)}
    if pool.read(_KEPT_FOR_LONGER, within) and not dry_run:
        yield from _prune_rows(pool, _READABLE, within, dry_run=False)
        return
    [row] = pool.read(_READABLE_COUNT, within, patient=True)
    if not dry_run:
        partitions.drop(month)
    yield row["count"]


def _prune_rows(pool: Pool, rule: _Rule, bounds: Mapping[str, Any], *, dry_run: bool) -> Iterator[int]:
    after = 0
    while rows := pool.read(rule.oldest, {"after": after, **bounds}):
        [row] = rows
        if "before" in bounds and row["since"] >= bounds["before"]:
            return
        window = {"after": row["id"] - 1, "upto": row["id"] + _LOOKED_AT, "most": _AT_ONCE, **bounds}
        ids = [found["id"] for found in pool.read(rule.old, window)]
        if dry_run or not ids:
            yield len(ids)
        else:
            yield pool.run(lambda db, window=window, ids=ids: _remove(db, rule, window, ids))  # type: ignore[misc]
        after = ids[-1] if len(ids) == _AT_ONCE else window["upto"]


def _remove(db: Connection, rule: _Rule, window: Mapping[str, Any], ids: Sequence[int]) -> int:
    """Remove those that may still go once nobody can change them."""
    locked = {row["id"] for row in db.execute(rule.locked, {"ids": ids}).fetchall()}
    old = [row["id"] for row in db.execute(rule.old, window).fetchall() if row["id"] in locked]
    for statement in rule.removals:
        db.execute(statement, {"ids": old})
    return len(old)


_KEPT_FOR_LONGER: LiteralString = """
    SELECT 1 FROM deliveries
    WHERE received_at >= %(begins_at)s AND received_at < %(ends_at)s AND verdict = 'unreadable' LIMIT 1
    """

_READABLE_COUNT: LiteralString = """
    SELECT count(*) AS count FROM deliveries
    WHERE received_at >= %(begins_at)s AND received_at < %(ends_at)s AND verdict <> 'unreadable'
    """

_LOCKED_DELIVERIES: LiteralString = """
    SELECT id FROM deliveries WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE
    """

_REMOVE_DELIVERIES: Sequence[LiteralString] = (
    # Of hints only so many are kept, with their fingerprints; all others' outlive them.
    """
    DELETE FROM fingerprints USING deliveries
    WHERE fingerprints.delivery_id = deliveries.id AND trust = 'hint' AND deliveries.id = ANY(%(ids)s::bigint[])
    """,
    "DELETE FROM deliveries WHERE id = ANY(%(ids)s::bigint[])",
)

_READABLE = _Rule(
    oldest="""
        SELECT id FROM deliveries
        WHERE id > %(after)s AND received_at >= %(begins_at)s AND received_at < %(ends_at)s ORDER BY id LIMIT 1
        """,
    old="""
        SELECT id FROM deliveries
        WHERE id > %(after)s AND id <= %(upto)s AND received_at >= %(begins_at)s AND received_at < %(ends_at)s
            AND verdict <> 'unreadable'
        ORDER BY id LIMIT %(most)s
        """,
    locked=_LOCKED_DELIVERIES,
    removals=_REMOVE_DELIVERIES,
)

_RULES = {
    Prunable.UNREADABLE: _Rule(
        oldest="""
            SELECT id, received_at AS since FROM deliveries WHERE id > %(after)s AND verdict = 'unreadable'
            ORDER BY id LIMIT 1
            """,
        old="""
            SELECT id FROM deliveries
            WHERE id > %(after)s AND id <= %(upto)s AND received_at < %(before)s AND verdict = 'unreadable'
            ORDER BY id LIMIT %(most)s
            """,
        locked=_LOCKED_DELIVERIES,
        removals=_REMOVE_DELIVERIES,
    ),
    Prunable.DISPATCHES: _Rule(
        oldest="SELECT id, created_at AS since FROM dispatches WHERE id > %(after)s ORDER BY id LIMIT 1",
        old="""
            SELECT id FROM dispatches
            WHERE id > %(after)s AND id <= %(upto)s AND finished_at < %(before)s AND state IN ('done', 'cancelled')
            ORDER BY id LIMIT %(most)s
            """,
        locked="SELECT id FROM dispatches WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE",
        removals=(
            "DELETE FROM attempts WHERE dispatch_id = ANY(%(ids)s::bigint[])",
            "DELETE FROM dispatches WHERE id = ANY(%(ids)s::bigint[])",
        ),
    ),
    Prunable.EVENTS: _Rule(
        oldest="""
            SELECT id, recorded_at AS since FROM events WHERE id > %(after)s AND emptied_at IS NULL
            ORDER BY id LIMIT 1
            """,
        old="""
            SELECT id FROM events
            WHERE id > %(after)s AND id <= %(upto)s AND recorded_at < %(before)s AND emptied_at IS NULL
                AND routed_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id)
            ORDER BY id LIMIT %(most)s
            """,
        # A replay takes a lock on its event that this one waits for, and the other way round.
        locked="SELECT id FROM events WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE",
        removals=(
            """
            UPDATE events SET data = '{}', outputs = '[]', failure = NULL, emptied_at = statement_timestamp()
            WHERE id = ANY(%(ids)s::bigint[])
            """,
        ),
    ),
    Prunable.JOBS: _Rule(
        oldest="SELECT id, created_at AS since FROM jobs WHERE id > %(after)s ORDER BY id LIMIT 1",
        old="""
            SELECT id FROM jobs
            WHERE id > %(after)s AND id <= %(upto)s AND finished_at < %(before)s
                AND NOT EXISTS (
                    SELECT 1 FROM dispatches WHERE dispatches.source = jobs.source
                        AND dispatches.job_id = jobs.job_id AND state IN ('pending', 'running'))
                AND (source, job_id) NOT IN (
                    SELECT source, job_id FROM dispatches WHERE state = 'dead' AND job_id IS NOT NULL)
                AND (source, job_id) NOT IN (
                    SELECT source, job_id FROM events WHERE routed_at IS NULL AND job_id IS NOT NULL)
            ORDER BY id LIMIT %(most)s
            """,
        locked="SELECT id FROM jobs WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE",
        removals=("DELETE FROM jobs WHERE id = ANY(%(ids)s::bigint[])",),
    ),
    Prunable.QUARANTINE: _Rule(
        oldest="SELECT id, received_at AS since FROM quarantine WHERE id > %(after)s ORDER BY id LIMIT 1",
        old="""
            SELECT id FROM quarantine WHERE id > %(after)s AND id <= %(upto)s AND received_at < %(before)s
            ORDER BY id LIMIT %(most)s
            """,
        locked="SELECT id FROM quarantine WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE",
        removals=("DELETE FROM quarantine WHERE id = ANY(%(ids)s::bigint[])",),
    ),
}
