"""The tables of a database, for the copy of a whole store. Their columns come from it, so that none is forgotten."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from receiver.clock import from_text
from receiver.errors import ConfigError, StoreUnavailable
from receiver.store.copying import NAMES, Changes, Kept, Table, Tables, key_of
from receiver.store.postgres import schema
from receiver.store.postgres.connection import Address, Connection
from receiver.store.postgres.partitions import Partitions
from receiver.store.postgres.pool import Pool

_TIMEOUT = timedelta(minutes=2)
_PATIENCE = 2.0
_LOOK_EVERY = 0.05
# Any number will do that is no lock of `locks.lock`.
_COPYING = 0x636F7079
_DERIVED = ("events", "delivered_at")


def refuse_unfinished_copy(db: Connection) -> None:
    """Have nobody work with a part of what there was.

    Raises:
        StoreUnavailable: a copy into it has begun and not finished.
    """
    begun = db.execute("SELECT to_regclass('copied') IS NOT NULL AS begun").fetchone() == {"begun": True}
    if begun and db.execute("SELECT 1 FROM copied WHERE NOT finished").fetchone():
        raise StoreUnavailable("a copy into it has not finished; run `receiver copy` again")


class PostgresTables(Tables):
    """A database that no receiver is connected to. One that is read cannot be written meanwhile."""

    def __init__(self, url: str, *, target: bool) -> None:
        """Open a database; a target may be empty, and then gets its tables.

        Raises:
            ConfigError: the URL cannot be read, or there is no store of ours.
            StoreUnavailable: somebody else uses it, or another version of Receiver made it.
        """
        self._address = Address(url)
        self._pool = Pool(self._address, timeout=_TIMEOUT)
        self._partitions = Partitions(self._pool)
        with self._unavailable("be opened"):
            self._db = self._address.connect(timeout=_TIMEOUT.total_seconds())
        try:
            self._refuse_users()
            self._refuse_versions(url, target=target)
            self._have_alone(target=target)
        except BaseException:
            self.close()
            raise

    def _refuse_users(self) -> None:
        """Those that have just been closed are there for a moment more."""
        deadline = time.monotonic() + _PATIENCE
        while self._all(_USERS):
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the store at {self._address} is in use: stop everything that uses it")
            time.sleep(_LOOK_EVERY)

    def _refuse_versions(self, url: str, *, target: bool) -> None:
        with self._unavailable("be read"):
            applied = schema.applied_in(self._db)
        if not applied and target:
            schema.migrate(url)
        elif not applied:
            raise ConfigError(f"there is no store at {self._address}")
        elif schema.pending(applied):
            raise StoreUnavailable("an older Receiver made its tables; run `receiver migrate`")

    def _have_alone(self, *, target: bool) -> None:
        """Keep out, until this connection ends, another copy into a target, and whoever would write to a source."""
        self._all("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", fetch=False)
        if target:
            [row] = self._all("SELECT pg_try_advisory_xact_lock(%s) AS locked", (_COPYING,))
            if not row["locked"]:
                raise StoreUnavailable(f"another copy into the store at {self._address} is running")
        else:
            self._all("SET LOCAL lock_timeout = '5s'", fetch=False)
            names = sql.SQL(", ").join(sql.Identifier(name) for name in NAMES)
            self._all(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(names), fetch=False)

    @property
    def origin(self) -> str:
        [row] = self._all("SELECT applied_at FROM receiver_migrations ORDER BY id LIMIT 1")
        return f"postgresql {row['applied_at']}"

    @cached_property
    def _tables(self) -> Mapping[str, Table]:
        described: dict[str, list[dict[str, Any]]] = {}
        for row in self._all(_COLUMNS, (list(NAMES),)):
            described.setdefault(row["table"], []).append(row)
        return {name: _described(name, rows) for name, rows in described.items()}

    @cached_property
    def _truths(self) -> frozenset[tuple[str, str]]:
        """The columns that hold true or false."""
        return frozenset(
            (row["table"], row["name"]) for row in self._all(_COLUMNS, (list(NAMES),)) if row["type"] == "boolean"
        )

    def tables(self) -> Mapping[str, Table]:
        return self._tables

    def count(self, table: Table) -> int:
        [row] = self._ask("SELECT count(*) AS count FROM {table}", table)
        return int(row["count"])

    def rows(self, table: Table) -> list[Kept]:
        # Only intents have an order that their columns do not tell.
        if table.name == "intents":
            return self._ask("SELECT {columns} FROM {table} ORDER BY number", table)
        return self._ask("SELECT {columns} FROM {table}", table)

    def page(self, table: Table, *, after: int, limit: int) -> list[Kept]:
        return self._ask(
            "SELECT {columns} FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s", table, (after, limit)
        )

    def between(self, table: Table, *, after: int, upto: int) -> list[Kept]:
        return self._ask("SELECT {columns} FROM {table} WHERE {key} > %s AND {key} <= %s", table, (after, upto))

    def keys(self, table: Table, *, after: int, limit: int) -> list[int]:
        rows = self._ask(
            "SELECT {key} AS key FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT %s", table, (after, limit)
        )
        return [row["key"] for row in rows]

    def keys_between(self, table: Table, *, after: int, upto: int) -> set[int]:
        rows = self._ask("SELECT {key} AS key FROM {table} WHERE {key} > %s AND {key} <= %s", table, (after, upto))
        return {row["key"] for row in rows}

    def leased_until(self) -> str | None:
        [row] = self._all(
            """
            SELECT max(leased_until) AS until FROM dispatches
            WHERE state = 'running' AND leased_until >= statement_timestamp()
            """
        )
        until: str | None = row["until"]
        return until

    # Of a target

    def copied_from(self) -> str | None:
        if self._all("SELECT to_regclass('copied') IS NULL AS missing") == [{"missing": True}]:
            return None
        [row] = self._all("SELECT DISTINCT origin FROM copied")
        return str(row["origin"])

    def is_as_left(self, table: Table) -> bool:
        [row] = self._all(
            _composed(
                """
                SELECT (SELECT max({key}) FROM {table}) IS NOT DISTINCT FROM
                    (SELECT highest_key FROM copied WHERE name = %s) AS as_left
                """,
                table,
            ),
            (table.name,),
        )
        return bool(row["as_left"])

    def begin(self, origin: str) -> None:
        def work(db: Connection) -> None:
            db.execute(
                """
                CREATE TABLE IF NOT EXISTS copied (
                    name text PRIMARY KEY, origin text NOT NULL, finished boolean NOT NULL, highest_key bigint)
                """
            )
            db.execute(
                """
                INSERT INTO copied (name, origin, finished) SELECT unnest(%s::text[]), %s, false
                ON CONFLICT (name) DO UPDATE SET finished = false
                """,
                (list(self._tables), origin),
            )

        self._pool.run(work)

    def kept(self, row: Kept) -> Kept:
        return row

    def change(self, table: Table, changes: Changes) -> None:
        if table.name == "deliveries":
            for row in changes.put:
                self._partitions.prepare(from_text(row["received_at"]))
        self._pool.run(lambda db: self._change(db, table, changes))

    def _change(self, db: Connection, table: Table, changes: Changes) -> None:
        if changes.whole:
            db.execute(_composed("DELETE FROM {table}", table))
        if changes.removed_keys:
            db.execute(
                _composed("DELETE FROM {table} WHERE {key} = ANY(%s::bigint[])", table), (list(changes.removed_keys),)
            )
        if changes.put:
            with db.cursor() as cursor:
                cursor.executemany(_upsert(table), [self._values(table, row) for row in changes.put])
        if table.name == "events":
            db.execute(
                """
                UPDATE events SET delivered_at = deliveries.received_at FROM deliveries
                WHERE events.id = ANY(%s::bigint[]) AND deliveries.id = events.delivery_id
                """,
                ([row["id"] for row in changes.put],),
            )
        if table.key is not None:
            statement = "UPDATE copied SET highest_key = (SELECT max({key}) FROM {table}) WHERE name = %s"
            db.execute(_composed(statement, table), (table.name,))

    def _values(self, table: Table, row: Kept) -> list[Any]:
        return [bool(row[name]) if (table.name, name) in self._truths else row[name] for name in table.columns]

    def finish(self) -> None:
        for table in self._tables.values():
            if table.key is not None:
                self._pool.run(lambda db, table=table: _go_on_after(db, table))  # type: ignore[misc]
        self._pool.run(lambda db: db.execute("UPDATE copied SET finished = true"))

    def close(self) -> None:
        self._db.close()
        self._pool.close()

    def _ask(self, statement: LiteralString, table: Table, parameters: Sequence[Any] = ()) -> list[Kept]:
        """Rows as they are kept."""
        rows = self._all(_composed(statement, table), parameters)
        return [{name: int(value) if isinstance(value, bool) else value for name, value in row.items()} for row in rows]

    def _all(self, statement: Any, parameters: Sequence[Any] = (), *, fetch: bool = True) -> list[dict[str, Any]]:
        with self._unavailable("be read"):
            self._db.deadline = time.monotonic() + _TIMEOUT.total_seconds()
            cursor = self._db.execute(statement, parameters)
            return cursor.fetchall() if fetch else []

    @contextmanager
    def _unavailable(self, what: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            told = str(error).strip().partition("\n")[0] or type(error).__name__
            raise StoreUnavailable(
                f"the store at {self._address} cannot {what}: {self._address.masked(told)}"
            ) from error


def _described(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    primary_key = tuple(row["name"] for row in rows if row["primary"])
    return Table(
        name,
        # What the database itself gives each row, and what `_change` derives, is nobody's to copy.
        columns=tuple(row["name"] for row in rows if not row["given"] and (name, row["name"]) != _DERIVED),
        primary_key=primary_key,
        key=key_of(name, {row["name"]: row["type"] for row in rows}, primary_key),
    )


def _go_on_after(db: Connection, table: Table) -> None:
    """Have the next number come after the highest there is."""
    db.execute(
        _composed(
            """
            SELECT setval(sequence, highest)
            FROM (SELECT coalesce(pg_get_serial_sequence(%(table)s, %(key)s), to_regclass(%(table)s || '_id')::text)
                AS sequence) AS sequences,
                (SELECT max({key}) AS highest FROM {table}) AS keys
            WHERE sequence IS NOT NULL AND highest IS NOT NULL
            """,
            table,
        ),
        {"table": table.name, "key": table.key},
    )


def _composed(statement: LiteralString, table: Table) -> sql.Composed:
    return sql.SQL(statement).format(
        table=sql.Identifier(table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, table.columns)),
        key=sql.Identifier(table.key or ""),
    )


def _upsert(table: Table) -> sql.Composed:
    insert = _composed("INSERT INTO {table} ({columns}) VALUES ", table)
    places = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(table.columns)))
    if not table.primary_key:
        return insert + places
    changed = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in table.columns]
    conflict = sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.SQL(", ").join(map(sql.Identifier, table.primary_key)), sql.SQL(", ").join(changed)
    )
    return insert + places + conflict


_USERS: LiteralString = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'receiver' AND pid <> pg_backend_pid()
    """

_COLUMNS: LiteralString = """
    SELECT relname::text AS table, attname::text AS name, format_type(atttypid, NULL) AS type,
        attidentity = 'a' AS given, coalesce(attnum = ANY(conkey), false) AS primary
    FROM unnest(%s::text[]) AS wanted (name) JOIN pg_class ON pg_class.oid = to_regclass(wanted.name)
    JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_constraint ON conrelid = pg_class.oid AND contype = 'p'
    ORDER BY relname, attnum
    """
