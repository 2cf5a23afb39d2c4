"""How far back a list looks: what no index finds is searched for in a part of the table at a time."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = 10_000
"""So many ids are looked at for one page, where no index says which rows are wanted."""

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


def span(ids: Ids, *, since: datetime | None = None, until: datetime | None = None, indexed: bool) -> Span:
    """Which ids to look at for a page of rows that came in between two times.

    Rows come in by the order of their ids, as far as the clocks of those who wrote them agree.
    """
    known = range(ids.oldest, ids.newest + 1)
    end = len(known) if until is None else bisect_left(known, until + _CLOCKS_APART, key=ids.moment)
    start = 0 if since is None else bisect_left(known, since - _CLOCKS_APART, key=ids.moment)
    first = start if indexed else max(start, end - WINDOW)
    return Span(before=ids.oldest + end, floor=ids.oldest + first, more=first > start)
