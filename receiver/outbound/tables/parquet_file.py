"""A table in a Parquet file, as notebooks read it. Needs pyarrow.

Every column is text, but for the times and the event's id: one job's `17` may be another's `seventeen`, and a column of
numbers could not take that any more.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from receiver.outbound.tables.base import (
    COLUMNS,
    EVENT,
    KEY,
    TIMES,
    Cell,
    Row,
    is_ours,
    named,
    new_columns,
    number,
    text,
)
from receiver.outbound.tables.files import FileTable, not_ours
from receiver.outcomes import PermanentError

# It has no types that mypy can read.
_arrow: Any = import_module("pyarrow")
_compute: Any = import_module("pyarrow.compute")
_parquet: Any = import_module("pyarrow.parquet")

_TYPES = {EVENT: _arrow.int64(), **dict.fromkeys(TIMES, _arrow.timestamp("ms", tz="UTC"))}


class ParquetTable(FileTable):
    """A table in a Parquet file. Columns that are there keep the type they have."""

    def rewrite(self, old: Path | None, new: Path, row: Row) -> bool:
        try:
            jobs = _read(old) if old else _schema(COLUMNS).empty_table()
        except (_arrow.ArrowException, OSError) as error:
            raise OSError(f"{self._path.name} cannot be read as Parquet: {error}") from error
        if not is_ours(jobs.column_names):
            raise not_ours(self._path)
        place = _place(jobs, row)
        known = jobs.slice(place, 1)
        if any(number(event) > number(row[EVENT]) for event in known[EVENT].to_pylist()):
            return False
        changed = _changed(known, row)
        parts = [jobs.slice(0, place), changed, jobs.slice(place + 1)]
        _parquet.write_table(_arrow.concat_tables(parts, promote_options="default"), new)
        return True


def _read(path: Path) -> Any:
    # Not `read_table`, which takes names of folders such as `year=2026` for columns.
    with path.open("rb") as file:
        # What pandas notes there would not be true of the new one.
        return _parquet.ParquetFile(file).read().replace_schema_metadata(None)


def _schema(columns: Iterable[str], *, after: Any = ()) -> Any:
    new = [_arrow.field(column, _TYPES.get(column, _arrow.string())) for column in columns]
    return _arrow.schema([*after, *new])


def _place(jobs: Any, row: Row) -> int:
    """Where the job's row is, or will be."""
    same = [_compute.equal(jobs[column].cast(_arrow.string()), row[column]) for column in KEY]
    place: int = _compute.index(_compute.and_(*same), True).as_py()
    return place if place >= 0 else len(jobs)


def _changed(known: Any, row: Row) -> Any:
    """The job's row brought up to date, as a table of one; `known` is the row as it was, if there was one."""
    schema = _schema(new_columns(known.column_names, row), after=known.schema)
    cells = named(schema.names, row)
    columns = []
    for field in schema:
        if field.name in cells:
            columns.append(_column(field, cells[field.name]))
        else:
            columns.append(known[field.name] if len(known) else _arrow.nulls(1, field.type))
    return _arrow.table(columns, schema=schema)


def _column(field: Any, cell: Cell) -> Any:
    """The cell as a column of one, of the type that its column has."""
    written = _arrow.array([None if cell is None else text(cell)], _arrow.string())
    try:
        return written.cast(field.type)
    except _arrow.ArrowException as error:
        told = f"the column {field.name} of your file takes {field.type}; make it text: {error}"
        raise PermanentError(f"to: {told}") from None
