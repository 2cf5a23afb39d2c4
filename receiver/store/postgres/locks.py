"""Turns between nodes, where there may be no row to lock yet; and the time, which is the database's."""

from datetime import datetime
from hashlib import blake2b

from receiver.clock import from_text
from receiver.store.postgres.connection import Connection

# Other applications may share the database, and its advisory locks.
_OURS = 0x72656376
# The server has room for some thousand locks, and a delivery may speak of as many jobs.
_COUNT = 2**12


def lock(db: Connection, *names: str) -> datetime:
    """Have these locks until the transaction ends, and then read the clock.

    To be called once in a transaction and before anything else: each call takes its locks in the same order, so that
    no two transactions wait for each other.
    """
    numbers = sorted({_number(name) for name in names})
    [row] = db.execute(
        """
        SELECT date_trunc('milliseconds', clock_timestamp()) AS now
        FROM (SELECT count(pg_advisory_xact_lock(%s, number)) FROM unnest(%s::integer[]) AS number) AS locked
        """,
        (_OURS, numbers),
    ).fetchall()
    return from_text(row["now"])


def now_in(db: Connection) -> datetime:
    """The present moment, for a transaction that has not waited for a lock."""
    return db.began_at


def job_lock(source: str, job_id: str) -> str:
    """The lock of whoever decides something by the state of a job, or by there being none."""
    return f"job {source} {job_id}"


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()) % _COUNT
