"""Tables with one row for each job: in SQLite, in a file, or in another database. One module for each kind of place."""

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType

from receiver.outbound.tables.base import Cell, Row, Table
from receiver.outbound.tables.csv_file import CSVTable
from receiver.outbound.tables.sqlite import SQLiteTable

__all__ = ["SQLITE", "Cell", "Row", "Table", "open_table"]

SQLITE = "sqlite:///"
_WRITE = (
    'write "sqlite:///media.db", the name of a file that ends in .csv or .parquet, '
    'or the URL of a database, such as "postgresql+psycopg://user:password@host/database"'
)


def open_table(
    to: str,
    *,
    name: str = "jobs",
    lock_timeout: timedelta = timedelta(seconds=10),
    database_timeout: timedelta = timedelta(seconds=30),
) -> Table:
    """The table at a place. Nothing is read or connected to yet.

    Raises:
        ValueError: there can be none, or something has to be installed. What `to` says is not in the text.
    """
    if to.startswith(SQLITE):
        file = to.removeprefix(SQLITE)
        if file in ("", ":memory:") or file.endswith("/"):
            raise ValueError(_WRITE)
        return SQLiteTable(Path(file), name=name, lock_timeout=lock_timeout)
    made: Table
    if "://" in to:
        module = _optional("database", extra="database")
        made = module.DatabaseTable(to, name=name, lock_timeout=lock_timeout, timeout=database_timeout)
        return made
    match Path(to).suffix.lower():
        case ".csv":
            return CSVTable(Path(to), lock_timeout=lock_timeout)
        case ".parquet":
            made = _optional("parquet_file", extra="parquet").ParquetTable(Path(to), lock_timeout=lock_timeout)
            return made
    raise ValueError(_WRITE)


def _optional(module: str, *, extra: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{module}")
    except ImportError:
        raise ValueError(f'needs the extra: pip install "ai-media-receiver[{extra}]"') from None
