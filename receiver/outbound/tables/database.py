"""A table in any database that SQLAlchemy speaks to. Needs SQLAlchemy, and the database's driver.

https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls

Each update has a connection of its own. That costs some milliseconds, and leaves nothing to keep alive, to share
between threads, or to mend when a database comes back.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any
from urllib.parse import quote, quote_plus

import sqlalchemy
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    MetaData,
    String,
    TableClause,
    Text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable, ExecutableDDLElement
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.types import TypeEngine

from receiver.masking import mask_urls, mask_values
from receiver.outbound.deadlines import in_time
from receiver.outbound.network import deadline_after
from receiver.outbound.tables.base import (
    COLUMNS,
    EVENT,
    KEY,
    TIMES,
    Cell,
    Row,
    Table,
    is_ours,
    named,
    new_columns,
    text,
)
from receiver.outcomes import PermanentError

Columns = Mapping[str, TypeEngine[Any]]

_MYSQL = ("mysql", "mariadb")
# A key of MySQL's has a longest length. An id is at most as long.
_KEY_TYPE = String(256)
_TEXT_TYPE = Text().with_variant(mysql.LONGTEXT(), *_MYSQL)
_TIME_TYPE = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=3), *_MYSQL)
_TYPES: Columns = {**dict.fromkeys(KEY, _KEY_TYPE), **dict.fromkeys(TIMES, _TIME_TYPE), EVENT: BigInteger()}
# In bytes, as PostgreSQL counts. MySQL has no rare letters in names, and SQLAlchemy reads its quotes wrongly.
_LONGEST_NAME = 63
_NOT_IN_NAMES = re.compile("[\U00010000-\U0010ffff`]")
# So that nothing goes on waiting there when we no longer do. PostgreSQL's end with the transaction: a pooler hands the
# session on to others.
_LIMITS = {
    "postgresql": "SELECT set_config('lock_timeout', '{lock:d}ms', true), "
    "set_config('statement_timeout', '{statement:d}ms', true)",
    **dict.fromkeys(_MYSQL, "SET innodb_lock_wait_timeout = {lock_seconds:d}, lock_wait_timeout = {lock_seconds:d}"),
}
# All letters, whatever the database is set up for, and `a` is not `A`.
_TABLE_OPTIONS: Mapping[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
_LONGEST_ERROR = 300
_EXAMPLE = "write a URL such as postgresql+psycopg://user:password@host/database"
_ENCODE = "percent-encode what is special in a user or password, such as %40 for @"


class DatabaseTable(Table):
    """A table in a database that others may write to at the same time."""

    def __init__(self, url: str, *, name: str, lock_timeout: timedelta, timeout: timedelta) -> None:
        """`timeout` is for connecting and writing together.

        Raises:
            ValueError: the URL cannot be one of a database, or the driver is missing. It is not in the text.
        """
        self._engine = _engine(url)
        self._name = name
        self._lock_timeout = lock_timeout
        self._timeout = timeout

    def update(self, row: Row) -> None:
        try:
            in_time(deadline_after(self._timeout), partial(self._update, row))
        except PermanentError:
            raise
        except TimeoutError:
            raise TimeoutError(f"the database took longer than {self._timeout.total_seconds():g} s") from None
        # Drivers raise whatever they like, with the values of the row in it.
        except Exception as error:
            raise OSError(self._told(error)) from None

    def _update(self, row: Row) -> None:
        row = {_column_name(column): cell for column, cell in row.items()}
        with self._engine.connect() as connection:
            columns = self._prepared(connection, row)
            jobs = sqlalchemy.table(self._name, *(sqlalchemy.column(name, type_) for name, type_ in columns.items()))
            cells = {name: _value(cell, columns[name]) for name, cell in named(columns, row).items()}
            if connection.dialect.name == "postgresql":
                with self._begun(connection):
                    _upsert(connection, jobs, cells)
            else:
                self._update_or_insert(connection, jobs, cells)

    def _update_or_insert(self, connection: Connection, jobs: TableClause, cells: Mapping[str, Any]) -> None:
        """The insert is a transaction of its own: with the locks of the update, two could wait for each other."""
        with self._begun(connection):
            if _update_row(connection, jobs, cells) or _is_there(connection, jobs, cells):
                return
        try:
            with self._begun(connection):
                connection.execute(sqlalchemy.insert(jobs).values(cells))
        except IntegrityError:
            with self._begun(connection):
                # Somebody else was faster; or else it is about something that trying again may not mend.
                if not _update_row(connection, jobs, cells) and not _is_there(connection, jobs, cells):
                    raise

    def _prepared(self, connection: Connection, row: Row) -> Columns:
        """The columns of the table. It is made if need be, and gets the columns that the row needs."""
        columns = self._columns(connection)
        if not columns:
            self._define(connection, CreateTable(self._new_table(COLUMNS)), lambda: bool(self._columns(connection)))
            columns = self._columns(connection)
        missing = new_columns(columns, row)
        for name in missing:
            [column] = self._new_table([name]).columns
            self._define(connection, _AddColumn(column), partial(self._has, connection, name))
        return self._columns(connection) if missing else columns

    def _define(self, connection: Connection, statement: ExecutableDDLElement, is_done: Callable[[], bool]) -> None:
        try:
            with self._begun(connection):
                connection.execute(statement)
        except DBAPIError:
            # Somebody else may have done it at the same moment.
            if not is_done():
                raise

    def _columns(self, connection: Connection) -> Columns:
        """The columns of the table, with their types; none if there is no table.

        Raises:
            PermanentError: it is not ours.
        """
        with self._begun(connection):
            known = sqlalchemy.inspect(connection)
            if not known.has_table(self._name):
                return {}
            columns = {column["name"]: column["type"] for column in known.get_columns(self._name)}
            if not is_ours(columns) or set(known.get_pk_constraint(self._name)["constrained_columns"]) != set(KEY):
                raise PermanentError(
                    f"name: there is a table {self._name} of somebody else's, "
                    "without the columns or the key of this one; choose another name"
                )
            return columns

    def _has(self, connection: Connection, column: str) -> bool:
        return column.lower() in map(str.lower, self._columns(connection))

    def _new_table(self, columns: Iterable[str]) -> sqlalchemy.Table:
        return sqlalchemy.Table(
            self._name,
            MetaData(),
            *(Column(name, _TYPES.get(name, _TEXT_TYPE), primary_key=name in KEY) for name in columns),
            **_TABLE_OPTIONS,
        )

    @contextmanager
    def _begun(self, connection: Connection) -> Iterator[None]:
        """A transaction in which no statement waits for ever."""
        with connection.begin():
            limits = _LIMITS.get(connection.dialect.name)
            if limits is not None:
                lock, statement = (int(limit.total_seconds() * 1000) for limit in (self._lock_timeout, self._timeout))
                connection.exec_driver_sql(
                    limits.format(lock=max(lock, 1), statement=max(statement, 1), lock_seconds=max(lock // 1000, 1))
                )
            yield

    def _told(self, error: Exception) -> str:
        """What the driver says, but for the details, which quote the row, and what is secret."""
        told = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        return mask_urls(mask_values(told, _secrets(self._engine.url)))[:_LONGEST_ERROR] or type(error).__name__


@cache
def _engine(url: str) -> Engine:
    if url.startswith("sqlite"):
        raise ValueError("for SQLite write sqlite:///FILE")
    # The rest of the password would be taken for the host.
    if url.count("@") > 1:
        raise ValueError(f"{_EXAMPLE}; {_ENCODE}")
    try:
        engine = sqlalchemy.create_engine(url, poolclass=NullPool, hide_parameters=True)
    except NoSuchModuleError:
        scheme = url.partition("://")[0]
        raise ValueError(f"SQLAlchemy knows no {scheme}://; {_EXAMPLE}") from None
    except ImportError as error:
        raise ValueError(f"install the driver of the database, or name another one: {error}") from None
    # Their texts may hold a part of it.
    except (ArgumentError, TypeError, ValueError):
        raise ValueError(f"{_EXAMPLE}; {_ENCODE}") from None
    if engine.dialect.is_async:
        raise ValueError(f"the driver {engine.dialect.driver} is asynchronous; name another one, such as psycopg")
    return engine


def _secrets(url: URL) -> list[str]:
    """What must not show, as it is meant and as it is written."""
    texts = [url.password or ""]
    for values in url.query.values():
        texts += [values] if isinstance(values, str) else values
    return [*texts, *map(quote, texts), *map(quote_plus, texts)]


class _AddColumn(ExecutableDDLElement):
    """`ALTER TABLE … ADD`, which SQLAlchemy leaves to migrations."""

    def __init__(self, column: Column[Any]) -> None:
        self.column = column


@compiles(_AddColumn)
def _add_column(element: _AddColumn, compiler: DDLCompiler, **_: object) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD {compiler.get_column_specification(element.column)}"


def _upsert(connection: Connection, jobs: TableClause, cells: Mapping[str, Any]) -> None:
    insert = postgresql.insert(jobs).values(cells)
    newer = sqlalchemy.func.coalesce(jobs.c[EVENT], 0) > insert.excluded[EVENT]
    connection.execute(insert.on_conflict_do_update(index_elements=KEY, set_=cells, where=~newer))


def _update_row(connection: Connection, jobs: TableClause, cells: Mapping[str, Any]) -> bool:
    """Whether there was a row that is not newer."""
    old = sqlalchemy.func.coalesce(jobs.c[EVENT], 0) <= cells[EVENT]
    return connection.execute(sqlalchemy.update(jobs).where(_is_job(jobs, cells), old).values(cells)).rowcount > 0


def _is_there(connection: Connection, jobs: TableClause, cells: Mapping[str, Any]) -> bool:
    return connection.execute(sqlalchemy.select(jobs.c[EVENT]).where(_is_job(jobs, cells))).first() is not None


def _is_job(jobs: TableClause, cells: Mapping[str, Any]) -> ColumnElement[bool]:
    return sqlalchemy.and_(*(jobs.c[column] == cells[column] for column in KEY))


def _column_name(column: str) -> str:
    return _NOT_IN_NAMES.sub("_", column).encode()[:_LONGEST_NAME].decode(errors="ignore").rstrip()


def _value(cell: Cell, column: TypeEngine[Any]) -> Any:
    """The cell as its column takes it."""
    if cell is not None and isinstance(column, String):
        return text(cell)
    if isinstance(cell, datetime) and not getattr(column, "timezone", False):
        return cell.astimezone(UTC).replace(tzinfo=None)
    return cell
