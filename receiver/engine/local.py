"""The engine for one machine: claim, execute, record, until told to stop. Any number of these may run."""

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta

from receiver import executor, signals
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.models import Claim, Event, Hold
from receiver.outbound import HandlerClient
from receiver.outcomes import Outcome
from receiver.refresh import refresher
from receiver.routing import Handler
from receiver.signals import announce
from receiver.store.base import Store

_log = logging.getLogger(__name__)

_ROUTED_AT_ONCE = 500
_LOOK_ANYWAY = timedelta(seconds=1)
_AFTER_TROUBLE = 1.0
_RENEWALS_PER_LEASE = 4
_MOST_ABANDONED = 100


@dataclass(eq=False)
class _Run:
    """An attempt in progress, in a thread of its own."""

    claim: Claim
    handler: Handler
    started: float = field(default_factory=time.monotonic)
    thread: threading.Thread | None = None
    decided: bool = False
    """Its outcome is known, though perhaps not recorded yet."""

    @property
    def overdue(self) -> bool:
        return time.monotonic() > self.started + self.handler.timeout.total_seconds()


class LocalEngine:
    """Routes new events and runs their dispatches, each in its own thread, each handler in its own slots.

    An attempt that takes too long is recorded as failed and its slot given to the next; Python cannot end its thread,
    which goes on unheard until it returns. A dispatch whose worker died is run again once its lease ends.
    """

    def __init__(
        self,
        store: Store,
        handlers: Sequence[Handler],
        sources: Mapping[str, Source],
        *,
        lease: timedelta = timedelta(seconds=60),
        drain: timedelta = timedelta(seconds=30),
        isolate: Callable[[Claim, Handler], Outcome] | None = None,
    ) -> None:
        """`sources` are those that events come from: their providers' names, and what opens their outputs.

        `isolate` makes an attempt in a process of its own, for handlers that want that.
        """
        self._store = store
        self._handlers = {handler.name: handler for handler in handlers}
        self._limits = {handler.name: handler.limit for handler in handlers if handler.limit is not None}
        self._sources = sources
        self._client = HandlerClient()
        self._isolate = isolate
        self._lease = lease
        self._drain = drain
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._guard = threading.Lock()
        self._runs: set[_Run] = set()
        self._abandoned: list[threading.Thread] = []
        self.worn_out = False
        """Whether `run` returned because too many abandoned attempts still go on: start a new process."""
        self._stop = threading.Event()
        self._ended = threading.Event()

    def stop(self) -> None:
        """Take no more work, let what runs finish, and return from `run`. May be called by a signal handler."""
        self._stop.set()
        self._store.wake()

    def run(self) -> None:
        """Work until told to stop."""
        renewing = threading.Thread(target=self._renew, name="renew", daemon=True)
        renewing.start()
        self._warn_of_left_over()
        try:
            self._work_until_stopped()
            self._finish_running()
        finally:
            self._ended.set()
            renewing.join()

    def run_until_idle(self) -> None:
        """Work until nothing is due and nothing runs; for tests of handlers."""
        busy = False
        while self._work() or busy:
            self._store.wait(timedelta(milliseconds=20))
            # Looked at before the work: what a finished attempt made due is then found by it.
            busy = self._busy()

    def _warn_of_left_over(self) -> None:
        for name, count in self._store.waiting().items():
            if name not in self._handlers:
                _log.warning(
                    "dispatches wait for a handler that is not configured", extra={"handler": name, "count": count}
                )

    def _work_until_stopped(self) -> None:
        while not self._stop.is_set():
            try:
                if self._work():
                    continue
                self._store.wait(self._until_next())
            except StoreUnavailable as error:
                _log.warning("store unavailable; trying again", extra={"error": str(error)})
                self._stop.wait(_AFTER_TROUBLE)

    def _work(self) -> bool:
        """Do what can be done now. Whether anything was."""
        with self._guard:
            own = [run.claim for run in self._runs]
        self._store.sweep(spare=own)
        routed = self._route()
        self._abandon_overdue()
        claims = self._store.claim(self._free_slots(), lease=self._lease, worker=self._worker, limits=self._limits)
        for claim in claims:
            self._start(_Run(claim, self._handlers[claim.handler]))
        return bool(routed or claims)

    def _route(self) -> int:
        events = self._store.unrouted(_ROUTED_AT_ONCE)
        if not events:
            return 0
        self._store.route(
            {
                event.id: [
                    handler.name
                    for handler in self._handlers.values()
                    if handler.wants(event, self._provider_of(event))
                ]
                for event in events
                if event.id is not None
            }
        )
        return len(events)

    def _provider_of(self, event: Event) -> str:
        source = self._sources.get(event.source)
        return source.provider.name if source is not None else ""

    def _free_slots(self) -> dict[str, int]:
        running = Counter(run.handler.name for run in self._running())
        return {name: handler.concurrency - running[name] for name, handler in self._handlers.items()}

    def _start(self, run: _Run) -> None:
        with self._guard:
            self._runs.add(run)
        name = f"{run.claim.handler}-{run.claim.id}"
        run.thread = threading.Thread(target=self._attempt, args=(run,), name=name, daemon=True)
        run.thread.start()

    def _attempt(self, run: _Run) -> None:
        try:
            outcome = self._outcome(run.claim, run.handler)
        # The handler is not to blame: an adapter cannot sign with its key, or there is no process to be had.
        except Exception as error:
            outcome = executor.failed(run.claim, run.handler, f"could not be tried: {type(error).__name__}")
        self._record(run, outcome)

    def _outcome(self, claim: Claim, handler: Handler) -> Outcome:
        if handler.isolated and self._isolate is not None:
            return self._isolate(claim, handler)
        source = self._sources.get(claim.event.source)
        return executor.run(
            claim,
            handler,
            access=source.access if source else None,
            client=self._client,
            refresh=refresher(claim, source, lambda: nullcontext(self._store)),
        )

    def _abandon_overdue(self) -> None:
        for run in [run for run in self._running() if run.overdue]:
            self._record(run, executor.overran(run.claim, run.handler))
            self._abandoned += [run.thread] if run.thread is not None else []
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= _MOST_ABANDONED and not self.worn_out:
            _log.error("too many attempts ran past their time and still go on", extra={"count": len(self._abandoned)})
            self.worn_out = True
            self._stop.set()

    def _record(self, run: _Run, outcome: Outcome) -> None:
        """Record an attempt's outcome and free its slot: whoever comes first, the attempt or its time limit."""
        with self._guard:
            if run.decided:
                return
            run.decided = True
        try:
            self._finish(run, outcome)
        finally:
            with self._guard:
                self._runs.discard(run)

    def _finish(self, run: _Run, outcome: Outcome) -> None:
        seconds = time.monotonic() - run.started
        patience = time.monotonic() + self._lease.total_seconds()
        while True:
            try:
                state = self._store.finish(run.claim, outcome, park_after=run.handler.park_after)
                hold = self._store.hold(run.handler.name) if outcome.failed or run.claim.probe else Hold()
                break
            except StoreUnavailable as error:
                # Past the lease another worker has the dispatch, and will run it again.
                if time.monotonic() > patience:
                    _log.warning("outcome not recorded", extra={"dispatch": run.claim.id, "error": str(error)})
                    return
                time.sleep(_AFTER_TROUBLE)
        announce(
            signals.dispatch_finished,
            run.handler.name,
            claim=run.claim,
            outcome=outcome,
            state=state,
            seconds=seconds,
        )
        if outcome.failed and hold.parked_until is not None:
            announce(signals.handler_parked, run.handler.name, hold=hold)
        elif run.claim.probe and hold.parked_until is None:
            announce(signals.handler_resumed, run.handler.name)

    def _until_next(self) -> timedelta:
        waits = [_LOOK_ANYWAY]
        # What is due for a handler without a free slot waits for a running attempt, whose end wakes us.
        due = self._store.next_due([name for name, free in self._free_slots().items() if free > 0])
        waits += [due] if due is not None else []
        now = time.monotonic()
        waits += [
            timedelta(seconds=max(run.started + run.handler.timeout.total_seconds() - now, 0))
            for run in self._running()
        ]
        return min(waits)

    def _running(self) -> list[_Run]:
        with self._guard:
            return [run for run in self._runs if not run.decided]

    def _busy(self) -> bool:
        """Whether an attempt runs, or its outcome is not recorded yet."""
        with self._guard:
            return bool(self._runs)

    def _renew(self) -> None:
        while not self._ended.wait(self._lease.total_seconds() / _RENEWALS_PER_LEASE):
            with self._guard:
                claims = [run.claim for run in self._runs]
            try:
                self._store.renew(claims, lease=self._lease)
            except StoreUnavailable as error:
                _log.warning("leases not renewed", extra={"error": str(error)})

    def _finish_running(self) -> None:
        """Wait for what runs. What takes longer keeps its lease, and is run again after it ends."""
        patience = time.monotonic() + self._drain.total_seconds()
        while self._busy() and time.monotonic() < patience:
            self._abandon_overdue()
            self._store.wait(timedelta(milliseconds=50))
        left = self._running()
        if left:
            _log.warning("stopped before every handler had finished", extra={"count": len(left)})
