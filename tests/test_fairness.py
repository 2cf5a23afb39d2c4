"""A quick handler beside others that block, fail and leak threads: it goes on as if they were not there."""

import sys
import threading
from datetime import timedelta
from statistics import median

import pytest

from receiver import clock
from receiver.routing import Route
from receiver.store.base import DispatchFilter
from tests.store.contract import a_record, an_event
from tests.test_engine import a_handler, an_engine, working
from tests.watch import eventually

KINDS = ("quick", "blocks", "fails", "leaks")
SOON = timedelta(milliseconds=50)
SLOTS = 4
LONG = 30.0

ROUNDS, EVENTS = 10, 20
MOST = 1.5


class Handlers:
    """A quick handler that knows when it began, and its neighbours. Each gets the events of its own type."""

    def __init__(self, store):
        self.store = store
        self.latencies = {}
        self._let_go = threading.Event()

    @property
    def all(self):
        return [
            self._handler("quick", self._quick),
            self._handler("blocks", self._block),
            self._handler("fails", self._fail, max_attempts=1000, first_wait=SOON, longest_wait=SOON),
            self._handler("leaks", self._leak, max_attempts=1, timeout=SOON),
        ]

    def trouble(self, turn):
        """Keep all slots of the neighbours busy, until they are let go."""
        self._let_go.clear()
        for kind, count in {"blocks": 2 * SLOTS, "fails": SLOTS, "leaks": 5 * SLOTS}.items():
            for number in range(count):
                self._receive(kind, f"{kind}_{turn}_{number}")
        eventually(lambda: self.states("blocks").count("running") == SLOTS and "dead" in self.states("leaks"))

    def run_quick(self, job):
        """How long after its event was recorded the quick handler began."""
        self._receive("quick", job)
        return eventually(lambda: self.latencies.get(job))

    def let_go(self):
        """Let what blocks and what leaked end."""
        self._let_go.set()

    def states(self, kind):
        """Of all dispatches of one handler."""
        rows = self.store.list_dispatches(DispatchFilter(handler=kind), limit=10_000).rows
        return [row["state"] for row in rows]

    def idle(self):
        """Whether all have finished."""
        return not any(self.states(kind).count("running") + self.states(kind).count("pending") for kind in KINDS)

    def _receive(self, kind, job):
        self.store.receive(a_record(an_event(job, type=kind)))

    def _handler(self, kind, function, **changes):
        routes = (Route(type=kind),)
        return a_handler(function, kind, routes=routes, concurrency=SLOTS, **changes)

    def _quick(self, event):
        self.latencies[event.job_id] = clock.now() - event.recorded_at

    def _block(self, event):
        self._let_go.wait(LONG)

    def _fail(self, event):
        if not self._let_go.is_set():
            raise ConnectionError("down")

    def _leak(self, event):
        """Leave a thread behind, and run past the time limit."""
        threading.Thread(target=self._let_go.wait, args=(LONG,), daemon=True).start()
        self._let_go.wait(LONG)


@pytest.fixture
def handlers(store):
    """At work in an engine."""
    handlers = Handlers(store)
    with working(an_engine(store, *handlers.all)):
        yield handlers
        handlers.let_go()


def test_a_quick_handler_runs_while_its_neighbours_block_fail_and_leak(handlers):
    handlers.trouble(0)

    for number in range(EVENTS):
        handlers.run_quick(f"quick_{number}")
    eventually(lambda: handlers.states("quick") == ["done"] * EVENTS)

    assert handlers.states("blocks").count("running") == SLOTS
    assert "done" not in handlers.states("blocks") + handlers.states("fails") + handlers.states("leaks")


@pytest.mark.drill
def test_its_neighbours_make_a_quick_handler_wait_no_longer(handlers, capsys):
    alone, beside = [], []
    for turn in range(ROUNDS):
        alone += [handlers.run_quick(f"alone_{turn}_{number}") for number in range(EVENTS)]
        handlers.trouble(turn)
        beside += [handlers.run_quick(f"beside_{turn}_{number}") for number in range(EVENTS)]
        handlers.let_go()
        eventually(handlers.idle, within=LONG)

    before, after = (median(times) / timedelta(milliseconds=1) for times in (alone, beside))
    with capsys.disabled():
        sys.stdout.write(f"\na quick handler began after {before:.1f} ms alone, {after:.1f} ms beside others\n")
    assert after <= MOST * before
