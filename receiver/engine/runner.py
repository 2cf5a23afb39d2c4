"""Run the dispatch that a broker's message names, in the thread that asks for it."""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from receiver.engine.attempts import Attempts, Ended
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.models import Claim, State
from receiver.outcomes import Outcome
from receiver.routing import Handler
from receiver.store.base import Store

_log = logging.getLogger(__name__)

_RENEW_EVERY = timedelta(seconds=1)
_RENEWALS_PER_LEASE = 4
_RENEWALS_MISSED = 3
_LOOK_EVERY = timedelta(milliseconds=100)
_MOST_ABANDONED = 20


class Runner:
    """Claims a dispatch, makes the attempt and records it. Threads may share one; open it after a fork.

    An attempt that takes too long is recorded as failed; Python cannot end its thread, which goes on unheard until it
    returns.
    """

    def __init__(
        self,
        store: Store,
        handlers: Sequence[Handler],
        sources: Mapping[str, Source],
        *,
        lease: timedelta,
        isolate: Callable[[Claim, Handler], Outcome] | None = None,
    ) -> None:
        """`isolate` makes an attempt in a process of its own, for handlers that want that."""
        self._store = store
        self._attempts = Attempts(store, handlers, sources, isolate=isolate)
        self._lease = lease
        self._renew_every = min(_RENEW_EVERY, lease / _RENEWALS_PER_LEASE)
        self._abandoned: list[threading.Thread] = []

    @property
    def worn_out(self) -> bool:
        """Whether so many abandoned attempts still go on that a new process should be started."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        return len(self._abandoned) >= _MOST_ABANDONED

    def run(self, dispatch_id: int, *, message_id: str, again: bool) -> State | None:
        """Run a dispatch, if it can be claimed. None if it cannot: it is over, or its time will come again.

        `again` says that the broker has handed out this message before, to a worker that died or lost its connection.

        Raises:
            StoreUnavailable: nothing was claimed.
        """
        claim = self._claim(dispatch_id, f"celery:{message_id}", again)
        if claim is None:
            return None
        began = time.monotonic()
        outcome = self._outcome(claim)
        ended = Ended(claim=claim, outcome=outcome, seconds=time.monotonic() - began)
        self._attempts.record([ended], patience=self._lease)
        # What it held back can be put into a queue now.
        self._store.wake()
        return outcome.decision.state

    def _claim(self, dispatch_id: int, worker: str, again: bool) -> Claim | None:
        row = self._store.dispatch(dispatch_id)
        if row is None:
            return None
        if row["handler"] not in self._attempts.handlers:
            _log.warning(
                "a dispatch came whose handler is not configured here",
                extra={"handler": row["handler"], "dispatch": dispatch_id},
            )
            self._store.dequeue([dispatch_id])
            return None
        if again:
            self._outlive(dispatch_id, worker)
        return self._store.claim_one(dispatch_id, lease=self._lease, worker=worker, limits=self._attempts.limits)

    def _outlive(self, dispatch_id: int, worker: str) -> None:
        """Free what died with the worker that had this message before; one that lives renews its lease meanwhile.

        Only the time counts in which the store could be written to: in any other nobody could renew.
        """
        leased_until = self._store.leased_until(dispatch_id, worker=worker)
        for _ in range(math.ceil(_RENEWALS_MISSED * self._renew_every / _LOOK_EVERY)):
            if leased_until is None or self._store.leased_until(dispatch_id, worker=worker) != leased_until:
                return
            self._store.prove()
            time.sleep(_LOOK_EVERY.total_seconds())
        if leased_until is not None:
            self._store.rescue(dispatch_id, worker=worker, leased_until=leased_until)

    def _outcome(self, claim: Claim) -> Outcome:
        """What the attempt led to, in its handler's time. Its lease is renewed meanwhile."""
        made: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        name = f"{claim.handler}-{claim.id}"
        thread = threading.Thread(target=lambda: made.put(self._attempts.make(claim)), name=name, daemon=True)
        deadline = time.monotonic() + self._attempts.handlers[claim.handler].timeout.total_seconds()
        thread.start()
        while (left := deadline - time.monotonic()) > 0:
            try:
                return made.get(timeout=min(left, self._renew_every.total_seconds()))
            except queue.Empty:
                self._renew(claim)
        self._abandoned.append(thread)
        return self._attempts.overran(claim)

    def _renew(self, claim: Claim) -> None:
        try:
            self._store.renew([claim], lease=self._lease)
        except StoreUnavailable as error:
            _log.warning("lease not renewed", extra={"dispatch": claim.id, "error": str(error)})
