"""The months that deliveries are kept in: made before they are needed, and dropped as a whole."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from psycopg import sql

from receiver.clock import to_text
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.locks import lock_for_long
from receiver.store.postgres.pool import Pool

_AHEAD = timedelta(days=2)
_NAME = re.compile(r"deliveries_(\d{4})_(\d{2})")


@dataclass(frozen=True)
class Month:
    """One month in UTC."""

    begins_at: datetime

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """The month that a moment is in."""
        return cls(moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0))

    @property
    def ends_at(self) -> datetime:
        """When the next one begins."""
        return Month.of(self.begins_at + timedelta(days=31)).begins_at

    @property
    def partition(self) -> str:
        """The name of its table."""
        return f"deliveries_{self.begins_at:%Y_%m}"


class Partitions:
    """Remembers which months there are, so that hardly any delivery has to look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known = set[Month]()

    def prepare(self, moment: datetime) -> None:
        """Have a partition for what is received at this moment, and soon after it.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        for month in (Month.of(moment), Month.of(moment + _AHEAD)):
            # Several at once are told apart by the database: here one would wait for the other's whole time.
            if month not in self._known:
                self._pool.run(lambda db, month=month: _create(db, month))  # type: ignore[misc]
                self._known.add(month)

    def over_before(self, moment: datetime) -> list[Month]:
        """The months that had ended by then, oldest first. Partitions that somebody else made are left alone.

        Raises:
            StoreUnavailable: there was no answer in time.
        """
        matches = [_NAME.fullmatch(row["name"]) for row in self._pool.read(_PARTITIONS)]
        months = [Month(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)) for match in matches if match]
        return [month for month in months if month.ends_at <= moment]

    def drop(self, month: Month) -> None:
        """Drop all that was received in a month, but for the fingerprints that tell repetitions.

        Raises:
            StoreUnavailable: the table is in use for longer than everybody else can wait; try again.
        """
        self._pool.run(lambda db: _drop(db, month))
        self.forget()

    def forget(self) -> None:
        """Look again: another node has dropped one."""
        self._known.clear()


_PARTITIONS: LiteralString = """
    SELECT relname::text AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'deliveries'::regclass ORDER BY relname
    """


def _create(db: Connection, month: Month) -> None:
    lock_for_long(db, "partitions")
    if not _is_missing(db, month):
        return
    partition = sql.Identifier(month.partition)
    # To create it as a partition would need the table to itself, and wait for every reader; to attach it does not.
    db.execute(sql.SQL("CREATE TABLE {} (LIKE deliveries INCLUDING DEFAULTS INCLUDING INDEXES)").format(partition))
    db.execute(
        sql.SQL("ALTER TABLE deliveries ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            partition, to_text(month.begins_at), to_text(month.ends_at)
        )
    )


def _drop(db: Connection, month: Month) -> None:
    lock_for_long(db, "partitions")
    if _is_missing(db, month):
        return
    # Of hints only so many are kept, with their fingerprints; all others' outlive them.
    db.execute(
        """
        DELETE FROM fingerprints USING deliveries
        WHERE fingerprints.delivery_id = deliveries.id AND trust = 'hint'
            AND deliveries.received_at >= %s AND deliveries.received_at < %s
        """,
        (to_text(month.begins_at), to_text(month.ends_at)),
    )
    # Whoever wants the table meanwhile waits behind us; rather than keep them waiting, this is tried again later.
    db.execute("SET LOCAL lock_timeout = '1s'")
    db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(month.partition)))


def _is_missing(db: Connection, month: Month) -> bool:
    row = db.execute("SELECT to_regclass(%s) IS NULL AS missing", (month.partition,)).fetchone()
    return row == {"missing": True}
