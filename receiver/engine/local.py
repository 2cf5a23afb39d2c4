"""The engine for one machine: claim, execute, record, until told to stop. Any number of these may run."""

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from receiver.engine.attempts import Attempts, Ended
from receiver.engine.base import Engine
from receiver.engine.threads import Threads
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.models import Claim
from receiver.outcomes import Outcome
from receiver.routing import Handler
from receiver.store.base import Store

_log = logging.getLogger(__name__)

_LOOK_ANYWAY = timedelta(seconds=1)
_SHORTEST_WAIT = timedelta(milliseconds=10)
_AFTER_TROUBLE = 1.0
_RENEWALS_PER_LEASE = 4
_MOST_ABANDONED = 100
# What is taken ahead is hidden from other workers, and waits for its lease to end if this one is killed.
_AHEAD_SECONDS = 0.1
_MOST_AHEAD = 32
_LONGEST_AHEAD = 1.0
_RECORDED_AT_ONCE = 256
# A round that took few is followed by a pause: what comes in meanwhile shares the commits of the next, each of which
# keeps deliveries waiting.
_FEW = 16
_ROUND_SECONDS = 0.015


@dataclass(eq=False)
class _Run:
    """A dispatch that is ours: it waits for a thread, then runs, then waits to be recorded."""

    claim: Claim
    taken: float
    """When it was claimed; as all moments here, of `time.monotonic`."""
    leased: float
    """When its lease began, or was renewed last."""
    began: float = math.inf
    thread: threading.Thread | None = None
    ended: Ended | None = None


class _Lane:
    """One handler: what runs, what waits for a thread, and how much more may be taken."""

    def __init__(self, handler: Handler, attempt: Callable[[list[_Run]], bool]) -> None:
        self.handler = handler
        self.threads = Threads(handler.name, attempt, most=handler.concurrency)
        self.running: set[_Run] = set()
        self._usual_seconds = math.inf

    @property
    def room(self) -> int:
        """How many more to take: the free slots, and as many as will begin within a moment.

        The latter only once half of them have begun, so that many are taken at a time.
        """
        waiting = self.threads.waiting_count
        taken, ahead = len(self.running) + waiting, self._ahead
        if taken >= self.handler.concurrency and 2 * waiting > ahead:
            return 0
        return max(self.handler.concurrency + ahead - taken, 0)

    @property
    def _ahead(self) -> int:
        # A limit counts what is taken, as if it began at once.
        if self.handler.limit is not None:
            return 0
        now = time.monotonic()
        seconds = max([self._usual_seconds, *(now - run.began for run in self.running)])
        return min(int(self.handler.concurrency * _AHEAD_SECONDS / max(seconds, 1e-6)), _MOST_AHEAD)

    def overdue(self) -> list[_Run]:
        """What has run for longer than it may."""
        latest = time.monotonic() - self.handler.timeout.total_seconds()
        return [run for run in self.running if run.began < latest]

    @property
    def until_overdue(self) -> timedelta:
        """How long until the first of those that run will have run for too long."""
        ran = time.monotonic() - min(run.began for run in self.running)
        return max(self.handler.timeout - timedelta(seconds=ran), timedelta(0))

    def learn(self, ended: Ended) -> None:
        """Remember how long attempts take: no less than the longest of late. After a failure nothing is foreseen."""
        if ended.outcome.failed:
            self._usual_seconds = math.inf
        elif ended.seconds > self._usual_seconds or math.isinf(self._usual_seconds):
            self._usual_seconds = ended.seconds
        else:
            self._usual_seconds += (ended.seconds - self._usual_seconds) / 4


class LocalEngine(Engine):
    """Routes new events and runs their dispatches, each handler in its own few threads.

    Many are claimed and recorded in one commit. Of quick handlers some more are claimed than they have slots; what then
    takes long to begin is given back.

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
        self._attempts = Attempts(store, handlers, sources, isolate=isolate)
        self._lease = lease
        self._drain = drain
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._guard = threading.Lock()
        self._runs: set[_Run] = set()
        """All that is ours, until it is recorded."""
        self._lanes = {handler.name: _Lane(handler, self._attempt) for handler in handlers}
        self._recorder = Threads("record", self._record, most=1, at_once=_RECORDED_AT_ONCE)
        self._swept = -math.inf
        self._taken_count = 0
        """How many the last round took."""
        self._abandoned: list[threading.Thread] = []
        self._worn_out = False
        self._stop = threading.Event()
        self._ended = threading.Event()

    def health(self) -> str | None:
        """Nothing does: all that it needs is the store."""
        return None

    def stop(self) -> None:
        """Take no more work, let what runs finish, and return from `run`. Any thread may call it."""
        self._stop.set()
        self._store.wake()

    def run(self) -> bool:
        """Work until told to stop. False if too many attempts go on that were given up: a new process ends them."""
        renewing = threading.Thread(target=self._renew, name="renew", daemon=True)
        renewing.start()
        self._attempts.warn_of_left_over()
        try:
            self._work_until_stopped()
            self._finish_running()
        finally:
            self._ended.set()
            renewing.join()
        return not self._worn_out

    def run_until_idle(self) -> None:
        """Work until nothing is due and nothing runs; for tests of handlers."""
        busy = False
        while self._work() or busy:
            self._store.wait(timedelta(milliseconds=20))
            # Looked at before the work: what a finished attempt made due is then found by it.
            busy = self._busy()

    def _work_until_stopped(self) -> None:
        while not self._stop.is_set():
            try:
                began = time.monotonic()
                if self._work():
                    if self._taken_count < _FEW:
                        self._stop.wait(max(began + _ROUND_SECONDS - time.monotonic(), 0))
                    continue
                # What is due may be what cannot be freed: a lease that ended while its dispatch still runs here.
                self._store.wait(max(self._until_next(), _SHORTEST_WAIT))
            except StoreUnavailable as error:
                _log.warning("store unavailable; trying again", extra={"error": str(error)})
                self._stop.wait(_AFTER_TROUBLE)

    def _work(self) -> bool:
        """Do what can be done now. Whether anything was."""
        routed = self._attempts.route()
        self._abandon_overdue()
        self._give_back_late()
        self._take()
        busy = bool(routed or self._taken_count)
        # The longest that leases which ended wait while there is other work.
        if not busy or time.monotonic() - self._swept > _LOOK_ANYWAY.total_seconds():
            busy = self._sweep() or busy
        return busy

    def _sweep(self) -> bool:
        with self._guard:
            own = [run.claim for run in self._runs]
        self._swept = time.monotonic()
        return self._store.sweep(spare=own) > 0

    def _take(self) -> None:
        slots = self._room()
        asked = time.monotonic()
        claims = self._store.claim(slots, lease=self._lease, worker=self._worker, limits=self._attempts.limits)
        runs = [_Run(claim, asked, asked) for claim in claims]
        with self._guard:
            self._runs.update(runs)
        for name, lane in self._lanes.items():
            own = [run for run in runs if run.claim.handler == name]
            if own:
                lane.threads.put(own)
        self._taken_count = len(runs)

    def _room(self) -> dict[str, int]:
        with self._guard:
            return {name: lane.room for name, lane in self._lanes.items()}

    def _attempt(self, runs: list[_Run]) -> bool:
        """Make one attempt. Whether its thread may make another: not if it took so long that it was replaced."""
        [run] = runs
        return not self._begin(run) or self._end(run, self._attempts.make(run.claim))

    def _begin(self, run: _Run) -> bool:
        """Note that it begins; not if the lease has or may have ended while it waited, and another worker have it."""
        with self._guard:
            run.began = time.monotonic()
            run.thread = threading.current_thread()
            if run not in self._runs or run.began > run.leased + self._lease.total_seconds():
                self._runs.discard(run)
                return False
            self._lanes[run.claim.handler].running.add(run)
        return True

    def _end(self, run: _Run, outcome: Outcome) -> bool:
        """Free the slot and have the attempt recorded. Whether this came first: the attempt, or its time limit."""
        now = time.monotonic()
        lane = self._lanes[run.claim.handler]
        with self._guard:
            if run.ended is not None:
                return False
            run.ended = Ended(claim=run.claim, outcome=outcome, seconds=now - run.began)
            lane.running.discard(run)
            lane.learn(run.ended)
        self._recorder.put([run])
        if outcome.failed:
            # The handler may get parked, and then what waits must not run.
            self._give_back(lane)
        return True

    def _give_back(self, lane: _Lane) -> None:
        self._recorder.put(lane.threads.take_back())

    def _record(self, runs: list[_Run]) -> bool:
        """Record what has ended, and give back what has not begun."""
        try:
            self._attempts.record([run.ended for run in runs if run.ended is not None], patience=self._lease)
            self._store.give_back([run.claim for run in runs if run.ended is None])
        except StoreUnavailable as error:
            _log.warning("dispatches not given back; they wait for their leases to end", extra={"error": str(error)})
        finally:
            with self._guard:
                self._runs.difference_update(runs)
        return True

    def _abandon_overdue(self) -> None:
        for lane in self._lanes.values():
            with self._guard:
                overdue = lane.overdue()
            for run in overdue:
                if self._end(run, self._attempts.overran(run.claim)):
                    lane.threads.replace()
                    self._abandoned += [run.thread] if run.thread is not None else []
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= _MOST_ABANDONED and not self._worn_out:
            _log.error("too many attempts ran past their time and still go on", extra={"count": len(self._abandoned)})
            self._worn_out = True
            self._stop.set()

    def _give_back_late(self) -> None:
        """Leave to other workers what was expected to begin at once, and did not."""
        with self._guard:
            latest = time.monotonic() - _LONGEST_AHEAD
            late = {run.claim.handler for run in self._runs if math.isinf(run.began) and run.taken < latest}
        for name in late:
            self._give_back(self._lanes[name])

    def _until_next(self) -> timedelta:
        waits = [_LOOK_ANYWAY]
        # What is due for a handler without a free slot waits for a running attempt, whose end wakes us.
        due = self._store.next_due([name for name, room in self._room().items() if room > 0])
        waits += [due] if due is not None else []
        with self._guard:
            waits += [lane.until_overdue for lane in self._lanes.values() if lane.running]
        return min(waits)

    def _running(self) -> list[_Run]:
        with self._guard:
            return [run for lane in self._lanes.values() for run in lane.running]

    def _busy(self) -> bool:
        """Whether anything is ours still: it waits, runs, or is not recorded yet."""
        with self._guard:
            return bool(self._runs)

    def _renew(self) -> None:
        while not self._ended.wait(self._lease.total_seconds() / _RENEWALS_PER_LEASE):
            with self._guard:
                runs = list(self._runs)
            asked = time.monotonic()
            try:
                renewed = self._store.renew([run.claim for run in runs], lease=self._lease)
            except StoreUnavailable as error:
                _log.warning("leases not renewed", extra={"error": str(error)})
            else:
                self._keep(runs, renewed, asked)

    def _keep(self, runs: Sequence[_Run], renewed: set[int], asked: float) -> None:
        """Note which leases were renewed. What lost its lease and has not begun is another worker's."""
        with self._guard:
            for run in runs:
                if run.claim.id in renewed:
                    run.leased = asked
                elif math.isinf(run.began):
                    self._runs.discard(run)

    def _finish_running(self) -> None:
        """Give back what has not begun, and wait for what runs. What takes longer is run again after its lease."""
        for lane in self._lanes.values():
            self._give_back(lane)
        patience = time.monotonic() + self._drain.total_seconds()
        while self._busy() and time.monotonic() < patience:
            self._abandon_overdue()
            self._store.wait(timedelta(milliseconds=50))
        left = self._running()
        if left:
            _log.warning("stopped before every handler had finished", extra={"count": len(left)})
