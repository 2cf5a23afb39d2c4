"""Group commit into a file that other processes write to as well."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from receiver import signals
from receiver.errors import StoreUnavailable
from receiver.signals import announce
from receiver.store.group import GroupCommit, Ticket, Together, by_kind, unavailable
from receiver.store.sqlite.connection import Connection

T = TypeVar("T")
Work = Callable[[Connection], T]

_LOCK_POLL = 0.0005


class Writer(GroupCommit[Connection]):
    """Runs pieces of work, each all or nothing, in transactions shared between the threads of this process.

    Between processes an `flock` is asked for every half millisecond. That is no queue, but shares turns far more evenly
    than SQLite's own waiting: among saturating writers one may commit thousands of times while another waits out its
    whole time.
    """

    def __init__(
        self,
        connection: Connection,
        lock_file: Path,
        *,
        timeout: float,
        gather: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(timeout=timeout, gather=gather)
        self._connection = connection
        # SQLite would wait where no greenlet can go on; `_begin` waits instead.
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

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

    def _commit(self, batch: Sequence[Ticket], deadline: float) -> None:
        began = time.monotonic()
        self._take_lock(deadline)
        try:
            self._begin(deadline)
            try:
                for together, tickets in by_kind(batch).items():
                    self._run_all(together, tickets)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        if any(ticket.error is None for ticket in batch):
            announce(signals.store_committed, None, seconds=time.monotonic() - began)

    def _run_all(self, together: Together[Connection, Any, Any], tickets: Sequence[Ticket]) -> None:
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
                tickets[0].error = unavailable(error) if isinstance(error, sqlite3.Error) else error
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


def _each(db: Connection, pieces: Sequence[Work[Any]]) -> list[Any]:
    return [work(db) for work in pieces]
