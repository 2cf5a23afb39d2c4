"""The months that deliveries are kept in: made before they are needed, and dropped as a whole."""

import re
import threading
from datetime import UTC, datetime, timedelta

from psycopg import sql

from receiver.clock import to_text
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock
from receiver.store.postgres.pool import Pool

_AHEAD = timedelta(days=2)
_NAME = re.compile(r"deliveries_(\d{4})_(\d{2})")


class Partitions:
    """Remembers which months there are, so that hardly any delivery has to look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._guard = threading.Lock()
        self._known = set[datetime]()

    def prepare(self, moment: datetime) -> None:
        """Have a partition for what is received at this moment, and soon after it.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        for month in (_month(moment), _month(moment + _AHEAD)):
            if month not in self._known:
                with self._guard:
                    self._pool.run(lambda db, month=month: _create(db, month))  # type: ignore[misc]
                    self._known.add(month)

    def forget(self) -> None:
        """Look again: another node has dropped one."""
        self._known.clear()


def drop_before(db: Connection, moment: datetime) -> list[str]:
    """Drop the partitions that hold only what was received before this moment. Returns their names."""
    lock(db, "partitions")
    rows = db.execute(
        """
        SELECT relname::text AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'deliveries'::regclass ORDER BY relname
        """
    ).fetchall()
    dropped = [row["name"] for row in rows if _end(row["name"]) <= moment]
    # Whoever wants the table meanwhile waits behind us; rather than keep them waiting, this is tried again later.
    db.execute("SET LOCAL lock_timeout = '1s'")
    for name in dropped:
        db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    if dropped:
        db.execute("DELETE FROM fingerprints WHERE received_at < %s::timestamptz", (to_text(max(map(_end, dropped))),))
    return dropped


def _create(db: Connection, month: datetime) -> None:
    lock(db, "partitions")
    name = f"deliveries_{month:%Y_%m}"
    if db.execute("SELECT to_regclass(%s) IS NULL AS missing", (name,)).fetchone() == {"missing": False}:
        return
    partition = sql.Identifier(name)
    # To create it as a partition would need the table to itself, and wait for every reader; to attach it does not.
    db.execute(sql.SQL("CREATE TABLE {} (LIKE deliveries INCLUDING DEFAULTS INCLUDING INDEXES)").format(partition))
    db.execute(
        sql.SQL("ALTER TABLE deliveries ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            partition, to_text(month), to_text(_next(month))
        )
    )


def _month(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return _month(month + timedelta(days=31))


def _end(name: str) -> datetime:
    """Until when a partition reaches; one that somebody else made has no end."""
    match = _NAME.fullmatch(name)
    return _next(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)) if match else datetime.max.replace(tzinfo=UTC)
