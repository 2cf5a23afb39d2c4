"""Group commit: the thread that gets to write commits for all that wait, so that many share one sync."""

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from receiver import signals
from receiver.errors import StoreUnavailable
from receiver.signals import announce

T = TypeVar("T")
U = TypeVar("U")
Work = Callable[[sqlite3.Connection], T]
Together = Callable[[sqlite3.Connection, Sequence[U]], Sequence[T]]
Told = Callable[[Sequence[Any]], None]

_LARGEST_BATCH = 64
_LOCK_POLL = 0.0005


class _Ticket:
    """One thread's work, and what became of it: a piece of its own, or an item for one that is done for many."""

    def __init__(self, deadline: float, together: Together[Any, Any], item: Any, told: Told | None) -> None:
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


class Writer:
    """Runs pieces of work, each all or nothing, in transactions shared between the threads of this process.

    Between processes an `flock` decides whose turn it is, because SQLite's own waiting is unfair: among saturating
    writers one may commit thousands of times while another waits out its whole time.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock_file: Path,
        *,
        timeout: float,
        gather: Callable[[], object] = lambda: None,
    ) -> None:
        """`gather` is called before each commit: where threads only take turns, it gives the others theirs first."""
        self._connection = connection
        # SQLite would wait where no greenlet can go on; `_begin` waits instead.
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._timeout = timeout
        self._gather = gather
        self._guard = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._led = False

    def close(self) -> None:
        """Close the connection and the lock."""
        self._connection.close()
        os.close(self._lock)

    def run(self, work: Work[T]) -> T:
        """Do the work in a transaction and return its result once that is durable.

        Raises:
            StoreUnavailable: it could not be committed in time; nothing of it is stored.
        """
        result: T = self.run_together(_each, work)
        return result

    def run_together(self, together: Together[U, T], item: U, *, told: Told | None = None) -> T:
        """As `run`; what several threads want done of the same kind at the same time is done in one go.

        `together` gives a result for each item. If it fails, it is called again with each item alone. `told` is called
        once for all, with the results that are durable.

        Raises:
            StoreUnavailable: it could not be committed in time; nothing of it is stored.
        """
        ticket = _Ticket(time.monotonic() + self._timeout, together, item, told)
        with self._guard:
            self._waiting.append(ticket)
            ticket.leads = not self._led
            self._led = True
        if not ticket.leads:
            self._await(ticket)
        if ticket.leads:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[no-any-return]

    def _await(self, ticket: _Ticket) -> None:
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
                self._waiting.remove(ticket)
                raise StoreUnavailable("the store is busy: too many writers before this one")
        ticket.woken.acquire()

    def _lead(self, own: _Ticket) -> None:
        began, batch = time.monotonic(), [own]
        try:
            self._gather()
            with self._guard:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
            # The others came later and may wait longer.
            self._commit(batch, max(ticket.deadline for ticket in batch))
        except BaseException as error:
            for ticket in batch:
                ticket.error = _unavailable(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._hand_over(batch)
        _tell(batch)
        if any(ticket.error is None for ticket in batch):
            announce(signals.store_committed, None, seconds=time.monotonic() - began)

    def _hand_over(self, batch: list[_Ticket]) -> None:
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

    def _commit(self, batch: list[_Ticket], deadline: float) -> None:
        self._take_lock(deadline)
        try:
            self._begin(deadline)
            try:
                for together, tickets in _by_kind(batch).items():
                    self._run_all(together, tickets)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _run_all(self, together: Together[Any, Any], tickets: Sequence[_Ticket]) -> None:
        """Do it for all, or if that fails, for each alone, so that the one that is to blame harms only itself."""
        self._connection.execute("SAVEPOINT work")
        try:
            results = together(self._connection, [ticket.item for ticket in tickets])
            for ticket, result in zip(tickets, results, strict=True):
                ticket.result = result
        except Exception as error:
            # A full disk ends the whole transaction, savepoints included.
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO work")
            if len(tickets) == 1:
                tickets[0].error = _unavailable(error) if isinstance(error, sqlite3.Error) else error
        else:
            tickets = []
        self._connection.execute("RELEASE work")
        for ticket in tickets if len(tickets) > 1 else []:
            self._run_all(together, [ticket])

    def _take_lock(self, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreUnavailable("the store is busy: another process is writing") from None
                time.sleep(_LOCK_POLL)
            else:
                return

    def _begin(self, deadline: float) -> None:
        # Our own processes take turns by the flock; whoever else has the database open may still hold its lock.
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_POLL)
            else:
                return


def _tell(batch: Sequence[_Ticket]) -> None:
    """Tell those who want to know what is durable."""
    results: dict[Told, list[Any]] = {}
    for ticket in batch:
        if ticket.told is not None and ticket.error is None:
            results.setdefault(ticket.told, []).append(ticket.result)
    for told, known in results.items():
        told(known)


def _each(db: sqlite3.Connection, pieces: Sequence[Work[Any]]) -> list[Any]:
    return [work(db) for work in pieces]


def _by_kind(batch: Sequence[_Ticket]) -> dict[Together[Any, Any], list[_Ticket]]:
    """The tickets by what is to be done; pieces that are their threads' own stay apart."""
    kinds: dict[Together[Any, Any], list[_Ticket]] = {}
    for ticket in batch:
        kinds.setdefault(ticket.together, []).append(ticket)
    return kinds


def _unavailable(error: BaseException) -> StoreUnavailable:
    """One for each ticket: an exception collects the traceback of the thread that raises it."""
    told = str(error) if isinstance(error, StoreUnavailable) else f"the store cannot commit: {error}"
    unavailable = StoreUnavailable(told)
    unavailable.__cause__ = error
    return unavailable
