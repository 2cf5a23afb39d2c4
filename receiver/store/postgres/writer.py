"""Group commit to a server: what the threads of a process want written at once shares round trips and a sync."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from receiver.errors import StoreUnavailable
from receiver.store.group import GroupCommit, Ticket, Together, by_kind
from receiver.store.postgres.connection import Connection
from receiver.store.postgres.pool import Pool


class Writer(GroupCommit[Connection]):
    """Runs pieces of work in transactions shared between the threads of this process."""

    def __init__(self, pool: Pool, *, timeout: float, gather: Callable[[], object]) -> None:
        super().__init__(timeout=timeout, gather=gather)
        self._pool = pool

    def _commit(self, batch: Sequence[Ticket], deadline: float) -> None:
        for together, tickets in by_kind(batch).items():
            self._run_all(together, tickets, deadline)

    def _run_all(self, together: Together[Connection, Any, Any], tickets: Sequence[Ticket], deadline: float) -> None:
        """Do it for all, or if that fails, for each alone, so that the one that is to blame harms only itself."""
        try:
            results = self._pool.run(lambda db: together(db, [ticket.item for ticket in tickets]), deadline=deadline)
        except Exception as error:
            if len(tickets) == 1:
                tickets[0].error = error
            elif _is_nobodys_fault(error):
                raise
        else:
            for ticket, result in zip(tickets, results, strict=True):
                ticket.result = result
            return
        for ticket in tickets if len(tickets) > 1 else []:
            self._run_all(together, [ticket], deadline)


def _is_nobodys_fault(error: Exception) -> bool:
    """Whether there was no answer, or none in time, so that another try would only take as long."""
    cause = error.__cause__
    return isinstance(error, StoreUnavailable) and (cause is None or isinstance(cause, psycopg.OperationalError))
