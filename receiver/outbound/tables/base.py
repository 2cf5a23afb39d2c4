"""What all tables with one row for each job have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from receiver.clock import to_text
from receiver.outcomes import PermanentError

KEY = ("source", "job")
EVENT = "event_id"
TIMES = ("created_at", "occurred_at", "recorded_at")
COLUMNS = (*KEY, "kind", "status", "type", "output", "outputs", "error", *TIMES, EVENT)
_MOST_COLUMNS = 1000

Cell = str | int | float | datetime | None
Row = Mapping[str, Cell]
"""The cells that are to change, by column; among them those of `KEY` and `EVENT`."""


class Table(ABC):
    """One row for each job, as the newest event told it. Columns that somebody else has added stay as they are."""

    @abstractmethod
    def update(self, row: Row) -> None:
        """Bring the row of that source and job up to date, unless a newer event has.

        Raises:
            OSError: it could not be written; later it may be.
            PermanentError: it cannot be. The text begins with the setting.
        """


def is_ours(columns: Iterable[str]) -> bool:
    """Whether a table that is there may be one of ours."""
    return set(columns) >= {*KEY, EVENT}


def new_columns(known: Iterable[str], row: Row) -> list[str]:
    """The columns that the table lacks. Those of an empty cell can wait until it is known what is in them.

    Raises:
        PermanentError: there would be too many.
    """
    present = {column.lower() for column in known}
    new = [column for column, cell in row.items() if column.lower() not in present and cell is not None]
    if len(present) + len(new) > _MOST_COLUMNS:
        raise PermanentError(
            f"to: there would be more than {_MOST_COLUMNS} columns; "
            "each key of a job's metadata gets one, so keys must not be different for each job"
        )
    return new


def named(columns: Iterable[str], row: Row) -> dict[str, Cell]:
    """The cells under the names that the table has for their columns, which may differ in case."""
    names = {column.lower(): column for column in columns}
    return {names[column.lower()]: cell for column, cell in row.items() if column.lower() in names}


def number(value: Any) -> int:
    """The id of an event; somebody may have written something else there."""
    try:
        return int(value or 0)
    except (ValueError, TypeError, OverflowError):
        return 0


def text(cell: str | float | datetime) -> str:
    """A cell for a column that holds any text."""
    match cell:
        case str():
            return cell
        case datetime():
            return to_text(cell)
        case _:
            return str(cell)
