"""What is new, told to those who listen: one thread looks for all of them."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from receiver.errors import InvalidBody, StoreUnavailable
from receiver.store import Store
from receiver.store.base import Page, Row

_PAGE = 100
_MOST_AT_ONCE = 1000
_LOOK_BACK = 200
POSITION_HEADER = "Last-Event-ID"
POSITION_PATTERN = r"^([0-9]{1,18})-([0-9]{1,18})$"


@dataclass(frozen=True)
class Position:
    """What a listener has been told last: an event, and a dispatch."""

    event_id: int
    dispatch_id: int

    def __str__(self) -> str:
        return f"{self.event_id}-{self.dispatch_id}"

    @classmethod
    def parsed(cls, text: str) -> "Position":
        """What `str` wrote.

        Raises:
            InvalidBody: it did not write this.
        """
        found = re.fullmatch(POSITION_PATTERN, text)
        if found is None:
            raise InvalidBody(f"write {POSITION_HEADER} as the stream's ids are written, such as 17-42")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class News:
    """One thing to tell: `event` or `dispatch`; `gap` where too much was new at once to tell it all."""

    name: str
    position: Position
    row: Row


class Stream:
    """Tells events and dispatches as they come, oldest first."""

    def __init__(
        self,
        store: Store,
        *,
        most: int,
        every: timedelta = timedelta(seconds=1),
        silence: timedelta = timedelta(seconds=15),
    ) -> None:
        """`most` is how many may listen at once. Nothing is said for at most `silence`."""
        self._store = store
        self._every = every.total_seconds()
        self._silence = silence.total_seconds()
        self._places = threading.BoundedSemaphore(most)
        self._listening = 0
        self._looking = False
        self._newest = Position(0, 0)
        self._stopped = False
        self._changed = threading.Condition()
        self.stopping: Callable[[], bool] = lambda: False
        """Whether the process is about to end; asked every second while somebody listens."""

    def enter(self) -> bool:
        """Take a place. False if all are taken."""
        if not self._places.acquire(blocking=False):
            return False
        with self._changed:
            self._listening += 1
            # The last look may go on for a moment after everybody left: it serves whoever comes meanwhile.
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="stream", daemon=True).start()
        return True

    def leave(self) -> None:
        """Give the place back."""
        with self._changed:
            self._listening -= 1
        self._places.release()

    def news(self, after: Position | None, *, welcome: Callable[[], bool]) -> Iterator[News | None]:
        """What is new after that position, or after now; None whenever there is nothing to tell for a while.

        It ends when the process does, when the store cannot be read, or when the listener is no longer `welcome`.
        """
        try:
            position = after or self._find_newest()
            events = _Listing(self._store.list_events, position.event_id)
            dispatches = _Listing(self._store.list_dispatches, position.dispatch_id)
            while True:
                for news in _untold(events, dispatches, position):
                    position = news.position
                    yield news
                quiet = not self._wait_for_news(position)
                if self._stopped or not welcome():
                    return
                if quiet:
                    yield None
        except StoreUnavailable:
            return

    def _wait_for_news(self, told: Position) -> bool:
        """Until something is new after that position: whether it is, or only too much time has passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._is_news(told), timeout=self._silence)
            return self._is_news(told)

    def _look(self) -> None:
        """Until nobody listens any more."""
        pause = threading.Event()
        while True:
            pause.wait(self._every)
            try:
                newest = self._find_newest()
            except StoreUnavailable:
                newest = self._newest
            with self._changed:
                self._newest, self._stopped = newest, self.stopping()
                self._changed.notify_all()
                if not self._listening:
                    self._looking = False
                    return

    def _is_news(self, told: Position) -> bool:
        return self._newest.event_id > told.event_id or self._newest.dispatch_id > told.dispatch_id

    def _find_newest(self) -> Position:
        events, dispatches = self._store.list_events(limit=1).rows, self._store.list_dispatches(limit=1).rows
        return Position(events[0]["id"] if events else 0, dispatches[0]["id"] if dispatches else 0)


class _Listing:
    """One list, as a listener is told it.

    An id is taken before the commit, so on PostgreSQL a row may become visible when greater ids are told already.
    """

    def __init__(self, rows_before: Callable[..., Page], after: int) -> None:
        """`after` is the id that was told last."""
        self._rows_before = rows_before
        self._after = after
        self._told = {row["id"] for row in self._newest() if row["id"] <= after}

    def untold(self) -> tuple[list[Row], bool]:
        """What is new, oldest first, and whether there is so much that the oldest is left out."""
        rows = self._newest()
        left_out = len(rows) >= _MOST_AT_ONCE and rows[-1]["id"] > self._after
        untold = [row for row in rows if row["id"] not in self._told]
        self._after = max([self._after, *(row["id"] for row in untold)])
        self._told = {row["id"] for row in rows if row["id"] > self._after - _LOOK_BACK}
        return untold[::-1], left_out

    def _newest(self) -> list[Row]:
        """The rows after the id that was told last, and those shortly before it; newest first."""
        found, before = list[Row](), None
        while len(found) < _MOST_AT_ONCE:
            page = self._rows_before(limit=_PAGE, before=before)
            near = [row for row in page.rows if row["id"] > self._after - _LOOK_BACK]
            found += near
            before = page.next
            if before is None or len(near) < len(page.rows):
                break
        return found


def _untold(events: _Listing, dispatches: _Listing, position: Position) -> Iterator[News]:
    new_events, some = events.untold()
    new_dispatches, more = dispatches.untold()
    if some or more:
        yield News("gap", position, {"after": str(position)})
    for row in new_events:
        position = replace(position, event_id=max(row["id"], position.event_id))
        yield News("event", position, row)
    for row in new_dispatches:
        position = replace(position, dispatch_id=max(row["id"], position.dispatch_id))
        yield News("dispatch", position, row)
