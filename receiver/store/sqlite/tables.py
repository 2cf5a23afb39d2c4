"""The tables of a file, for the copy of a whole store. Their columns come from it, so that none is forgotten."""

# ruff: noqa: S608 - the names in statements are ours

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from receiver.errors import ConfigError, StoreUnavailable
from receiver.store.copying import NAMES, Changes, Kept, Table, Tables, key_of
from receiver.store.sqlite.connection import connect, refuse_network_file_system
from receiver.store.sqlite.schema import migrate

T = TypeVar("T")

_PATIENCE = 1.0
_UNUSED = ("deliveries", "fingerprint")


def refuse_unfinished_copy(db: sqlite3.Connection) -> None:
    """Have nobody work with a part of what there was.

    Raises:
        StoreUnavailable: a copy into it has begun and not finished.
    """
    begun = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'copied'").fetchone()
    if begun and db.execute("SELECT 1 FROM copied WHERE NOT finished").fetchone():
        raise StoreUnavailable("a copy into it has not finished; run `receiver copy` again")


class SQLiteTables(Tables):
    """A file of which this process has the whole use; another that has it open is refused, and keeps us out."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open a file; with `create` it need not be there.

        Raises:
            ConfigError: there is no such file or folder.
            StoreUnavailable: somebody else uses it, or a newer Receiver made it.
        """
        refuse_network_file_system(path)
        if not create and not path.is_file():
            raise ConfigError(f"there is no store at {path}")
        self._path = path
        with self._unavailable("be opened"):
            with closing(connect(path)) as first:
                migrate(Database(first))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
            self._db.row_factory = sqlite3.Row
        try:
            with self._unavailable("be opened"):
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._db.execute("PRAGMA synchronous = FULL")
                # Rows come in an order of their own; in the end they are those of the source.
                self._db.execute("PRAGMA foreign_keys = OFF")
                self._in_transaction(lambda: None)
        except StoreUnavailable:
            self._db.close()
            raise

    @property
    def origin(self) -> str:
        [row] = self._all(
            "SELECT min(applied_at) AS applied_at FROM _sqlite_migrations WHERE migration_set = 'receiver'"
        )
        return f"sqlite {row['applied_at']}"

    @cached_property
    def _tables(self) -> Mapping[str, Table]:
        return {name: self._described(name) for name in NAMES}

    def _described(self, name: str) -> Table:
        rows = self._all("SELECT name, type, pk FROM pragma_table_info(?)", (name,))
        primary_key = tuple(row["name"] for row in sorted(rows, key=lambda row: row["pk"]) if row["pk"])
        return Table(
            name,
            columns=tuple(row["name"] for row in rows if (name, row["name"]) != _UNUSED),
            primary_key=primary_key,
            key=key_of(name, {row["name"]: row["type"] for row in rows}, primary_key),
        )

    def tables(self) -> Mapping[str, Table]:
        return self._tables

    def count(self, table: Table) -> int:
        [row] = self._all(f"SELECT count(*) AS count FROM {table.name}")
        return int(row["count"])

    def rows(self, table: Table) -> list[Kept]:
        return self._kept(f"SELECT {_names(table)} FROM {table.name}")

    def page(self, table: Table, *, after: int, limit: int) -> list[Kept]:
        return self._kept(
            f"SELECT {_names(table)} FROM {table.name} WHERE {table.key} > ? ORDER BY {table.key} LIMIT ?",
            (after, limit),
        )

    def between(self, table: Table, *, after: int, upto: int) -> list[Kept]:
        return self._kept(
            f"SELECT {_names(table)} FROM {table.name} WHERE {table.key} > ? AND {table.key} <= ?", (after, upto)
        )

    def keys(self, table: Table, *, after: int, limit: int) -> list[int]:
        rows = self._all(
            f"SELECT {table.key} AS key FROM {table.name} WHERE {table.key} > ? ORDER BY {table.key} LIMIT ?",
            (after, limit),
        )
        return [row["key"] for row in rows]

    def keys_between(self, table: Table, *, after: int, upto: int) -> set[int]:
        rows = self._all(
            f"SELECT {table.key} AS key FROM {table.name} WHERE {table.key} > ? AND {table.key} <= ?", (after, upto)
        )
        return {row["key"] for row in rows}

    def leased_until(self) -> str | None:
        [row] = self._all(
            """
            SELECT max(leased_until) AS until FROM dispatches
            WHERE state = 'running' AND leased_until >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            """
        )
        until: str | None = row["until"]
        return until

    # Of a target

    def copied_from(self) -> str | None:
        if not self._all("SELECT 1 FROM sqlite_schema WHERE name = 'copied'"):
            return None
        [row] = self._all("SELECT DISTINCT origin FROM copied")
        return str(row["origin"])

    def is_as_left(self, table: Table) -> bool:
        [row] = self._all(
            f"""
            SELECT (SELECT max({table.key}) FROM {table.name})
                IS (SELECT highest_key FROM copied WHERE name = ?) AS as_left
            """,
            (table.name,),
        )
        return bool(row["as_left"])

    def begin(self, origin: str) -> None:
        def work() -> None:
            self._db.execute(
                """
                CREATE TABLE IF NOT EXISTS copied (
                    name TEXT PRIMARY KEY, origin TEXT NOT NULL, finished INTEGER NOT NULL, highest_key INTEGER) STRICT
                """
            )
            self._db.executemany(
                """
                INSERT INTO copied (name, origin, finished) VALUES (?, ?, 0)
                ON CONFLICT (name) DO UPDATE SET finished = 0
                """,
                [(name, origin) for name in self._tables],
            )

        with self._unavailable("be written"):
            self._in_transaction(work)

    def kept(self, row: Kept) -> Kept:
        # No text of SQLite's holds half of a surrogate pair.
        return {
            name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for name, value in row.items()
        }

    def change(self, table: Table, changes: Changes) -> None:
        with self._unavailable("be written"):
            self._in_transaction(lambda: self._change(table, changes))

    def _change(self, table: Table, changes: Changes) -> None:
        if changes.whole:
            self._db.execute(f"DELETE FROM {table.name}")
        if changes.removed_keys:
            self._db.execute(
                f"DELETE FROM {table.name} WHERE {table.key} IN (SELECT value FROM json_each(?))",
                (json.dumps(changes.removed_keys),),
            )
        self._db.executemany(_upsert(table), changes.put)
        if table.key is not None:
            self._db.execute(
                f"UPDATE copied SET highest_key = (SELECT max({table.key}) FROM {table.name}) WHERE name = ?",
                (table.name,),
            )

    def finish(self) -> None:
        with self._unavailable("be written"):
            self._in_transaction(lambda: self._db.execute("UPDATE copied SET finished = 1"))

    def close(self) -> None:
        self._db.close()

    def _in_transaction(self, work: Callable[[], T]) -> T:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _all(self, statement: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._unavailable("be read"):
            return self._db.execute(statement, parameters).fetchall()

    def _kept(self, statement: str, parameters: Sequence[Any] = ()) -> list[Kept]:
        return [dict(row) for row in self._all(statement, parameters)]

    @contextmanager
    def _unavailable(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise StoreUnavailable(f"the store at {self._path} is in use: stop everything that uses it") from error
            raise StoreUnavailable(f"the store at {self._path} cannot {what}: {error}") from error


def _names(table: Table) -> str:
    return ", ".join(table.columns)


def _upsert(table: Table) -> str:
    places = ", ".join(f":{column}" for column in table.columns)
    if not table.primary_key:
        return f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places})"
    changed = ", ".join(f"{column} = excluded.{column}" for column in table.columns)
    return f"""
        INSERT INTO {table.name} ({_names(table)}) VALUES ({places})
        ON CONFLICT ({", ".join(table.primary_key)}) DO UPDATE SET {changed}
        """
