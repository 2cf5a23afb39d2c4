"""A table in a CSV file, as spreadsheets read it."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import TextIO

from receiver.outbound.tables.base import COLUMNS, EVENT, KEY, Cell, Row, is_ours, named, new_columns, number, text
from receiver.outbound.tables.files import FileTable, not_ours

# What a cell of a spreadsheet holds. Python's own reader refuses a file with cells of 128 kB.
_LONGEST_CELL = 32_767
# What spreadsheets take for the beginning of a formula, some also in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - these are the wide ones
# With the mark at the beginning that spreadsheets want: without it they take UTF-8 for something else.
_ENCODING = "utf-8-sig"


class CSVTable(FileTable):
    """A table in a CSV file. It has no types: every cell is text."""

    def rewrite(self, old: Path | None, new: Path, row: Row) -> bool:
        with ExitStack() as files:
            was: Iterable[str] = files.enter_context(old.open(encoding=_ENCODING, newline="") if old else StringIO())
            becomes = files.enter_context(new.open("w", encoding=_ENCODING, newline=""))
            rows = csv.reader(was, strict=True)
            try:
                return _copy(rows, becomes, self._path, row)
            except (csv.Error, UnicodeDecodeError) as error:
                told = f"{self._path.name} cannot be read as CSV in UTF-8 after line {rows.line_num}: {error}"
                raise OSError(told) from error


def _copy(rows: Iterator[list[str]], new: TextIO, path: Path, row: Row) -> bool:
    """Copy the table with the row brought up to date. Whether it was older than the row."""
    columns = next(rows, None) or list(COLUMNS)
    if not is_ours(columns):
        raise not_ours(path)
    columns += new_columns(columns, row)
    places = {column: place for place, column in enumerate(columns)}
    written = {places[column]: _written(cell) for column, cell in named(columns, row).items()}
    key, event = [places[column] for column in KEY], places[EVENT]
    writer = csv.writer(new)
    writer.writerow(columns)
    found = False
    for cells in filter(None, rows):
        cells += [""] * (len(columns) - len(cells))
        if all(cells[place] == written[place] for place in key):
            if number(cells[event]) > number(written[event]):
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
    if cell is None:
        return ""
    shown = text(cell)
    if isinstance(cell, str) and shown.startswith(_FORMULA):
        shown = f"'{shown}"
    return shown if len(shown) <= _LONGEST_CELL else shown[: _LONGEST_CELL - 1] + "…"
