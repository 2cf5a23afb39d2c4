"""A table in a SQLite database."""

import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

from sqlite_utils import Database

from receiver.clock import to_text
from receiver.outbound.tables.base import COLUMNS, EVENT, KEY, Row, Table, is_ours, named, new_columns, number
from receiver.outbound.tables.files import MODE
from receiver.outcomes import PermanentError


class SQLiteTable(Table):
    """A table in a file that SQLite keeps."""

    def __init__(self, path: Path, *, name: str, lock_timeout: timedelta) -> None:
        self._path = path
        self._name = name
        self._patience = lock_timeout.total_seconds()

    def update(self, row: Row) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            self._path.touch(MODE, exist_ok=False)
        try:
            # Closed before a commit, it is as it was.
            with closing(sqlite3.connect(self._path, timeout=self._patience, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                _update(Database(connection, recursive_triggers=False, execute_plugins=False), self._name, row)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


def _update(database: Database, name: str, row: Row) -> None:
    _check(database, name)
    jobs = database.table(name)
    if not jobs.exists():
        jobs.create({column: int if column == EVENT else str for column in COLUMNS}, pk=KEY)
    for known in jobs.rows_where("source = ? AND job = ?", [row["source"], row["job"]], select=EVENT):
        if number(known[EVENT]) > number(row[EVENT]):
            return
    cells = named([*jobs.columns_dict, *new_columns(jobs.columns_dict, row)], row)
    # Numbers stay numbers: a column of SQLite's takes whatever comes.
    plain = {
        column: cell if cell is None or isinstance(cell, str | int | float) else to_text(cell)
        for column, cell in cells.items()
    }
    jobs.upsert(plain, pk=KEY, alter=True)


def _check(database: Database, name: str) -> None:
    """Keep away from tables that are not ours, above all from Receiver's own, one of which is named `jobs`."""
    tables = set(database.table_names())
    if {"deliveries", "dispatches", "jobs"} <= tables:
        raise PermanentError("to: that is Receiver's own database; choose another file")
    if name in database.view_names():
        raise PermanentError(f"name: {name} is a view; choose another name")
    if name not in tables:
        return
    table = database.table(name)
    if not is_ours(table.columns_dict) or set(table.pks) != set(KEY):
        raise PermanentError(
            f"name: there is a table {name} of somebody else's, without the columns of this one; choose another name"
        )
