"""Group commit: the thread that gets to write commits for all that wait, so that many share one sync."""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from receiver.errors import StoreUnavailable

C = TypeVar("C")
T = TypeVar("T")
U = TypeVar("U")
Together = Callable[[C, Sequence[U]], Sequence[T]]
Told = Callable[[Sequence[Any]], None]

_LARGEST_BATCH = 64


class Ticket:
    """What one thread wants done, of a kind that is done for many at once, and what became of it."""

    def __init__(self, deadline: float, together: Together[Any, Any, Any], item: Any, told: Told | None) -> None:
        self.deadline = deadline
        self.together = together
        self.item = item
        self.told = told
        # Locked until somebody has news: a lock is all that is needed of an event.
        self.woken = threading.Lock()
        self.woken.acquire()
        self.leads = False
        self.result: Any = None
        self.error: BaseException | None = None


class GroupCommit(ABC, Generic[C]):
    """Does what the threads of this process want written, in transactions that they share; `C` is a connection."""

    def __init__(self, *, timeout: float, gather: Callable[[], object] = lambda: None) -> None:
        """`gather` is called before each commit: where threads only take turns, it gives the others theirs first."""
        self._timeout = timeout
        self._gather = gather
        self._guard = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._led = False

    def run_together(self, together: Together[C, U, T], item: U, *, told: Told | None = None) -> T:
        """Have it done and return its result once that is durable.

        What several threads want done of the same kind at the same time is done in one go: `together` gives a result
        for each item. If it fails, it is called again with each item alone. `told` is called once for all, with the
        results that are durable.

        Raises:
            StoreUnavailable: it could not be committed in time; nothing of it is stored.
        """
        ticket = Ticket(time.monotonic() + self._timeout, together, item, told)
        with self._guard:
            self._waiting.append(ticket)
            ticket.leads = not self._led
            self._led = True
        if not ticket.leads:
            try:
                self._await(ticket)
            except BaseException:
                self._leave(ticket)
                raise
        if ticket.leads:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[no-any-return]

    @abstractmethod
    def _commit(self, batch: Sequence[Ticket], deadline: float) -> None:
        """Do what the tickets ask for and commit it; note their results, or the errors of those that are to blame."""

    def _await(self, ticket: Ticket) -> None:
        """Wait until a leader has decided the ticket, or made it the next leader.

        Work that a leader has taken is waited for past the deadline: it may yet be committed, and saying otherwise
        would be untrue. The leader's own time is limited.
        """
        if ticket.woken.acquire(timeout=max(ticket.deadline - time.monotonic(), 0)):
            return
        with self._guard:
            if ticket.leads:
                return
            if ticket in self._waiting:
                raise StoreUnavailable("the store is busy: too many writers before this one")
        ticket.woken.acquire()

    def _leave(self, ticket: Ticket) -> None:
        """Go on without a thread that gave up, or was ended, while it waited."""
        with self._guard:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        if ticket.leads:
            self._hand_over([])

    def _lead(self, own: Ticket) -> None:
        batch = [own]
        try:
            self._gather()
            with self._guard:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
            # The others came later and may wait longer; its own thread then waits as long as they may.
            self._commit(batch, max(ticket.deadline for ticket in batch))
        except BaseException as error:
            for ticket in batch:
                ticket.error = unavailable(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over(batch)
        _tell(batch)

    def _hand_over(self, batch: list[Ticket]) -> None:
        with self._guard:
            # It is still there if the leader was ended before it took anything.
            if batch and batch[0] in self._waiting:
                self._waiting.remove(batch[0])
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.release()
            else:
                self._led = False
        # The first of them is the leader itself.
        for ticket in batch[1:]:
            ticket.woken.release()


def by_kind(batch: Sequence[Ticket]) -> dict[Together[Any, Any, Any], list[Ticket]]:
    """The tickets by what is to be done."""
    kinds: dict[Together[Any, Any, Any], list[Ticket]] = {}
    for ticket in batch:
        kinds.setdefault(ticket.together, []).append(ticket)
    return kinds


def unavailable(error: BaseException) -> StoreUnavailable:
    """One for each ticket: an exception collects the traceback of the thread that raises it."""
    told = str(error) if isinstance(error, StoreUnavailable) else f"the store cannot commit: {error}"
    one = StoreUnavailable(told)
    one.__cause__ = error
    return one


def _tell(batch: Sequence[Ticket]) -> None:
    """Tell those who want to know what is durable."""
    results: dict[Told, list[Any]] = {}
    for ticket in batch:
        if ticket.told is not None and ticket.error is None:
            results.setdefault(ticket.told, []).append(ticket.result)
    for told, known in results.items():
        told(known)
