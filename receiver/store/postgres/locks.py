"""Turns between nodes, where there may be no row to lock yet; and the time, which is the database's."""

from datetime import datetime
from hashlib import blake2b
from typing import LiteralString

from receiver.clock import from_text
from receiver.store.postgres.connection import Connection

# Other applications may share the database, and its advisory locks.
_OURS, _LONG = 0x72656376, 0x72656377
# The server has room for some thousand locks, and a delivery may speak of as many jobs: one that needs more than
# these has the only other lock for itself, which everybody else shares.
_MOST = 256
_EVERYTHING = -1


def lock(db: Connection, *names: str) -> datetime:
    """Have these locks until the transaction ends, and then read the clock.

    To be called once in a transaction, before anything else is locked: each call takes its locks in the same order, so
    that no two transactions wait for each other.
    """
    numbers = sorted({_number(name) for name in names})
    if len(numbers) > _MOST:
        rows = db.execute(_LOCK_EVERYTHING, (_OURS, _EVERYTHING)).fetchall()
    else:
        rows = db.execute(_LOCK, (_OURS, _EVERYTHING, _OURS, numbers), prepare=True).fetchall()
    [row] = rows
    return from_text(row["now"])


def lock_for_long(db: Connection, name: str) -> None:
    """Have one lock until the transaction ends, for work that takes long: it keeps nobody from having other locks."""
    db.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LONG, _number(name)))


def now_in(db: Connection) -> datetime:
    """The present moment, for a transaction that has not waited for a lock."""
    return db.began_at


def job_lock(source: str, job_id: str) -> str:
    """The lock of whoever decides something by the state of a job, or by there being none."""
    return f"job {source} {job_id}"


_LOCK: LiteralString = """
    WITH shared AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%s, %s)),
    locked AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(%s, number) FROM shared CROSS JOIN unnest(%s::integer[]) AS number)
    SELECT date_trunc('milliseconds', clock_timestamp()) AS now FROM (SELECT count(*) FROM locked) AS counted
    """
_LOCK_EVERYTHING: LiteralString = """
    WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(%s, %s))
    SELECT date_trunc('milliseconds', clock_timestamp()) AS now FROM (SELECT count(*) FROM locked) AS counted
    """


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()) >> 1
