"""Keep a table with one row for each job, in a SQLite database or a CSV file, for spreadsheets and notebooks.

A row says what the newest event said. Columns that somebody else has added are left as they are.
"""

import csv
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TextIO

from pydantic import field_validator
from sqlite_utils import Database

from receiver import Context, Event, Failure, HandlerSettings, Job, PermanentError, Router
from receiver.clock import to_text
from receiver.units import Duration
from receiver.files import sync_directory

_SQLITE = "sqlite:///"
_COLUMNS = (
    "source",
    "job",
    "kind",
    "status",
    "type",
    "output",
    "outputs",
    "error",
    "created_at",
    "occurred_at",
    "recorded_at",
    "event_id",
)
_NEEDED = {"source", "job", "event_id"}
_MOST_COLUMNS = 1000
_LONGEST_NAME = 100
_INTEGERS = range(-(2**63), 2**63)
# What a cell of a spreadsheet holds. Python's own reader refuses a file with cells of 128 kB.
_LONGEST_CELL = 32_767
# What spreadsheets take for the beginning of a formula, some also in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - these are the wide ones
# With the mark at the beginning that spreadsheets want: without it they take UTF-8 for something else.
_ENCODING = "utf-8-sig"
# URLs of results may open them: not for everybody.
_MODE = 0o640
_LOOK_EVERY = 0.01

Cell = str | int | float | None


class Settings(HandlerSettings):
    """`[handlers.table]`: where the table is, and what is in it besides the usual."""

    to: str
    """`sqlite:///FILE.db` or `FILE.csv`, relative to the configuration file."""
    name: str = "jobs"
    """The name of the table in the SQLite database."""
    data_columns: tuple[str, ...] = ()
    """Keys of the provider's own object whose values get a column each, `data_KEY`."""
    lock_timeout: Duration = timedelta(seconds=10)
    """How long to wait for others who write to it, before the attempt is given up and tried again later."""

    @field_validator("to")
    @classmethod
    def _is_known(cls, to: str) -> str:
        path = to.removeprefix(_SQLITE)
        is_database = path != to and path not in ("", ":memory:") and not path.endswith("/")
        if not is_database and ("://" in to or Path(to).suffix.lower() != ".csv"):
            raise ValueError('write "sqlite:///media.db", or the name of a file that ends in .csv')
        return to

    @field_validator("name")
    @classmethod
    def _can_be_a_table(cls, name: str) -> str:
        if not name.isidentifier() or name.lower().startswith("sqlite_"):
            raise ValueError("write a name of letters, digits and _, that does not begin with a digit or sqlite_")
        return name


router = Router(settings=Settings)


@router.on()
def table(event: Event, context: Context) -> None:
    """Bring the row of the event's job up to date, unless a newer event has."""
    # Late or contradicting news come here only when somebody replays them.
    if event.job_id is None or not event.standing.dispatched:
        return
    settings: Settings = context.settings
    row = _row(event, context.job, settings.data_columns)
    patience = settings.lock_timeout.total_seconds()
    try:
        if settings.to.startswith(_SQLITE):
            _update_database(Path(settings.to.removeprefix(_SQLITE)), settings.name, row, patience)
        else:
            _update_file(Path(settings.to), row, patience)
    except (sqlite3.Error, OSError) as error:
        raise RuntimeError(f"{context.table} to: {error}") from error
    except PermanentError as error:
        raise PermanentError(f"{context.table} {error}") from None


def _row(event: Event, job: Job | None, data_columns: Iterable[str]) -> dict[str, Cell]:
    urls = [output.url for output in event.outputs]
    values: dict[str, object] = {
        "source": event.source,
        "job": event.job_id,
        "kind": event.kind or (job.kind if job else None),
        "status": event.status,
        "type": event.type,
        "output": urls[0] if urls else None,
        "outputs": urls or None,
        "error": _error(event.failure),
        "created_at": job.created_at if job else None,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "event_id": event.id or 0,
    }
    values |= {f"data_{key}": event.data.get(key) for key in data_columns}
    values |= {f"metadata_{key}": value for key, value in (job.metadata if job else {}).items()}
    if event.status is None:
        # A notice about the job does not undo what an earlier event told of its end.
        values = {name: value for name, value in values.items() if value is not None}
    # Databases take columns that differ only in case for one.
    columns = {_column(name).lower(): (_column(name), _cell(value)) for name, value in values.items()}
    return dict(columns.values())


def _error(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return f"{failure.code}: {failure.message}" if failure.code else failure.message


def _column(name: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in name)[:_LONGEST_NAME]


def _cell(value: object) -> Cell:
    """A value as a table can hold it: what has parts as JSON."""
    match value:
        case str():
            text = value
        case datetime():
            text = to_text(value)
        case int() if value not in _INTEGERS:
            text = str(value)
        case None | int() | float():
            return value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    # JSON has half characters and zero bytes; files and databases do not.
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _new_columns(known: Iterable[str], row: Mapping[str, Cell]) -> list[str]:
    """The columns that the table lacks. Those of an empty cell can wait until it is known what is in them."""
    present = {column.lower() for column in known}
    new = [column for column, cell in row.items() if column.lower() not in present and cell is not None]
    if len(present) + len(new) > _MOST_COLUMNS:
        raise PermanentError(
            f"to: there would be more than {_MOST_COLUMNS} columns; "
            "each key of a job's metadata gets one, so keys must not be different for each job"
        )
    return new


# SQLite


def _update_database(path: Path, name: str, row: Mapping[str, Cell], patience: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.touch(_MODE, exist_ok=False)
    # Closed before a commit, it is as it was.
    with closing(sqlite3.connect(path, timeout=patience, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        database = Database(connection, recursive_triggers=False, execute_plugins=False)
        _update_table(database, name, row)
        connection.execute("COMMIT")


def _update_table(database: Database, name: str, row: Mapping[str, Cell]) -> None:
    _check_table(database, name)
    jobs = database.table(name)
    if not jobs.exists():
        jobs.create({column: int if column == "event_id" else str for column in _COLUMNS}, pk=("source", "job"))
    for known in jobs.rows_where("source = ? AND job = ?", [row["source"], row["job"]], select="event_id"):
        if _number(known["event_id"]) > _number(row["event_id"]):
            return
    columns = {column.lower() for column in [*jobs.columns_dict, *_new_columns(jobs.columns_dict, row)]}
    cells = {column: cell for column, cell in row.items() if column.lower() in columns}
    jobs.upsert(cells, pk=("source", "job"), alter=True)


def _check_table(database: Database, name: str) -> None:
    """Keep away from tables that are not ours, above all from Receiver's own, one of which is named `jobs`."""
    tables = set(database.table_names())
    if {"deliveries", "dispatches", "jobs"} <= tables:
        raise PermanentError("to: that is Receiver's own database; choose another file")
    if name in database.view_names():
        raise PermanentError(f"name: {name} is a view; choose another name")
    if name in tables and not _is_ours(database.table(name).columns_dict, database.table(name).pks):
        raise PermanentError(
            f"name: there is a table {name} of somebody else's, without the columns of this one; choose another name"
        )


def _is_ours(columns: Iterable[str], keys: Sequence[str]) -> bool:
    return set(columns) >= _NEEDED and set(keys) == {"source", "job"}


# CSV


def _update_file(path: Path, row: Mapping[str, Cell], patience: float) -> None:
    """Write the file anew beside the old one, and put it in its place: who reads it never finds half of it."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with _locked(path.with_name(f".{path.name}.lock"), patience):
        try:
            with _opened(path) as old, _made(partial, like=path) as new:
                changed = _copy(old, new, path.name, row)
                new.flush()
                os.fsync(new.fileno())
            if changed:
                partial.replace(path)
                sync_directory(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def _copy(old: TextIO, new: TextIO, name: str, row: Mapping[str, Cell]) -> bool:
    """Copy the table with the row brought up to date. Whether it was older than the row."""
    reader = csv.reader(old, strict=True)
    try:
        return _copy_rows(reader, new, name, row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise OSError(f"{name} cannot be read as CSV in UTF-8 after line {reader.line_num}: {error}") from error


def _copy_rows(rows: Iterator[list[str]], new: TextIO, name: str, row: Mapping[str, Cell]) -> bool:
    columns = next(rows, None) or list(_COLUMNS)
    if not set(columns) >= _NEEDED:
        raise PermanentError(
            f"to: there is a {name} of somebody else's, without the columns of this one; choose another file"
        )
    columns += _new_columns(columns, row)
    places = {column.lower(): place for place, column in enumerate(columns)}
    written = {places[column.lower()]: _written(cell) for column, cell in row.items() if column.lower() in places}
    key, event = [places["source"], places["job"]], places["event_id"]
    writer = csv.writer(new)
    writer.writerow(columns)
    found = False
    for cells in filter(None, rows):
        cells += [""] * (len(columns) - len(cells))
        if all(cells[place] == written[place] for place in key):
            if _number(cells[event]) > _number(written[event]):
                return False
            cells, found = _with(cells, written), True
        writer.writerow(cells)
    if not found:
        writer.writerow(_with([""] * len(columns), written))
    return True


def _with(cells: Sequence[str], written: Mapping[int, str]) -> list[str]:
    return [written.get(place, cell) for place, cell in enumerate(cells)]


def _written(cell: Cell) -> str:
    """The cell in a file. A text that a spreadsheet would run as a formula gets the sign that it is text."""
    if not isinstance(cell, str):
        return "" if cell is None else str(cell)
    text = f"'{cell}" if cell.startswith(_FORMULA) else cell
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def _number(cell: Cell) -> int:
    """The id of an event; somebody may have written something else there."""
    try:
        return int(cell or 0)
    except ValueError:
        return 0


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Alone among all threads and processes. The lock is a file that stays, since the table's own is replaced."""
    with open(path, "ab") as lock:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"somebody else has {path.name} locked") from None
                time.sleep(_LOOK_EVERY)
        yield


def _opened(path: Path) -> TextIO:
    """The table as it is; an empty one if there is none."""
    return path.open(encoding=_ENCODING, newline="") if path.exists() else StringIO()


def _made(path: Path, *, like: Path) -> TextIO:
    """A new file with the permissions of the old one."""
    path.unlink(missing_ok=True)
    path.touch(_MODE, exist_ok=False)
    if like.exists():
        path.chmod(like.stat().st_mode & 0o777)
    return path.open("w", encoding=_ENCODING, newline="")
