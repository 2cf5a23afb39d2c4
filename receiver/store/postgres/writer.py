"""Group commit to a server: what the threads of a process want written at once shares round trips and a sync."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from psycopg import OperationalError, errors

from receiver.errors import StoreUnavailable
from receiver.store.group import GroupCommit, Ticket, Together, by_kind, unavailable
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.pool import Pool

_LOCK_TIMEOUT = timedelta(milliseconds=500)


class Writer(GroupCommit[Connection]):
    """Runs pieces of work in transactions shared between the threads of this process."""

    def __init__(self, pool: Pool, *, timeout: float, gather: Callable[[], object]) -> None:
        super().__init__(timeout=timeout, gather=gather)
        self._pool = pool

    def _commit(self, batch: Sequence[Ticket], deadline: float) -> None:
        for together, tickets in by_kind(batch).items():
            if len(tickets) == 1:
                tickets[0].error = self._try(together, tickets, deadline)
            else:
                self._commit_several(together, tickets, deadline)

    def _commit_several(
        self, together: Together[Connection, Any, Any], tickets: Sequence[Ticket], deadline: float
    ) -> None:
        """Do it for all, or if that fails, for each alone, so that the one that is to blame harms only itself.

        For a lock that somebody has for long only the one that needs it waits, and not for all of its time: others
        wait behind it.
        """
        error = self._try(together, tickets, deadline, lock_timeout=_LOCK_TIMEOUT)
        if error is None:
            return
        left = deque(tickets)
        while left and not _is_nobodys_fault(error) and time.monotonic() < deadline:
            ticket = left.popleft()
            ticket.error = self._try(together, [ticket], deadline, lock_timeout=_LOCK_TIMEOUT)
            error = ticket.error or error
        for ticket in left:
            # Another try would only take as long.
            ticket.error = unavailable(error)

    def _try(
        self,
        together: Together[Connection, Any, Any],
        tickets: Sequence[Ticket],
        deadline: float,
        *,
        lock_timeout: timedelta | None = None,
    ) -> Exception | None:
        """Do it in one transaction. What went wrong, if anything did."""
        items = [ticket.item for ticket in tickets]
        try:
            results = self._pool.run(lambda db: together(db, items), deadline=deadline, lock_timeout=lock_timeout)
        except Exception as error:
            return error
        for ticket, result in zip(tickets, results, strict=True):
            ticket.result = result
        return None


def _is_nobodys_fault(error: BaseException) -> bool:
    """Whether there was no answer, or none in time, whoever asks."""
    if not isinstance(error, StoreUnavailable) or isinstance(error.__cause__, errors.LockNotAvailable):
        return False
    return error.__cause__ is None or isinstance(error.__cause__, OperationalError)
