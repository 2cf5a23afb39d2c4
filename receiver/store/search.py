"""How far back a list looks: what no index finds is searched for in a part of the table, or of an index, at a time."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

_S = TypeVar("_S", bound=str)

WINDOW = 10_000
"""So many rows are looked at for one page, where no index says which are wanted."""

ABOVE_ALL = 2**63 - 1
"""The cursor of a first page."""

_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Span:
    """The ids that are looked at: from `floor` on, and below `before`."""

    before: int
    floor: int
    more: bool
    """Whether there may be wanted rows below the floor."""


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The ids of a table, from the oldest to the newest below the cursor, and when what they stand for came in."""

    oldest: int
    newest: int
    moment: Callable[[int], datetime]
    """When the row of an id came in, or of the next one, should that row be gone."""


NextAfter = Callable[[int, int], int | None]
"""Goes through rows below a cursor, newest first: the id of the next one after so many, None if there are no more."""


def span(
    ids: Ids, *, since: datetime | None = None, until: datetime | None = None, next_after: NextAfter | None
) -> Span:
    """Which ids to look at for a page of rows that came in between two times, if `next_after` goes through the rows.

    Rows come in by the order of their ids, as far as the clocks of those who wrote them agree.
    """
    known = range(ids.oldest, ids.newest + 1)
    end = len(known) if until is None else bisect_left(known, until + _CLOCKS_APART, key=ids.moment)
    start = 0 if since is None else bisect_left(known, since - _CLOCKS_APART, key=ids.moment)
    before, oldest = ids.oldest + end, ids.oldest + start
    left = next_after(WINDOW, before) if next_after is not None else None
    floor = oldest if left is None else max(oldest, left + 1)
    return Span(before=before, floor=floor, more=floor > oldest)


def asks_besides(values: Mapping[str, Any], columns: Collection[str]) -> bool:
    """Whether a filter with these values asks for more than the columns of an index, and for times, which ids tell."""
    asked = {name for name, value in values.items() if value is not None and value is not False}
    return not asked <= {*columns, "since", "until"}


def through(read: Callable[[_S, Mapping[str, Any]], Sequence[Any]], ids: _S, values: Mapping[str, Any]) -> NextAfter:
    """Goes through the rows that a statement finds with these values, and a `count` and `before`."""

    def next_after(count: int, before: int) -> int | None:
        rows = read(ids, {**values, "count": count, "before": before})
        return rows[0]["id"] if rows else None

    return next_after


def each_id(count: int, before: int) -> int:
    """Goes through all rows of a table, of which few are gone."""
    return before - count - 1
