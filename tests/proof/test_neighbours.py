"""A quick handler beside others that block, fail and leak threads: it goes on as if they were not there."""

import threading
from contextlib import closing
from datetime import timedelta
from statistics import median

import pytest

from receiver import clock
from receiver.config import from_tables
from receiver.routing import Route
from receiver.store import open_store
from receiver.store.base import DispatchFilter
from tests.store.contract import a_record, an_event
from tests.test_engine import a_handler, an_engine, working
from tests.watch import eventually

KINDS = ("quick", "blocks", "fails", "leaks")
SOON = timedelta(milliseconds=50)
SLOTS = 4
LONG = 30.0
MANY = 10_000

EVENTS = 20
# Of twenty latencies the middle one says little.
ROUNDS_AND_FACTOR = [
    pytest.param(1, 10.0, id="short"),
    pytest.param(10, 2.0, id="full", marks=pytest.mark.drill),
]


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
        dead = self.states("leaks").count("dead")
        for kind, count in {"blocks": 2 * SLOTS, "fails": SLOTS, "leaks": 5 * SLOTS}.items():
            for number in range(count):
                self._receive(kind, f"{kind}_{turn}_{number}")
        eventually(lambda: self.blocked == SLOTS and self.states("leaks").count("dead") > dead)

    def run_quick(self, job):
        """How long after its event was recorded the quick handler began."""
        self._receive("quick", job)
        return eventually(lambda: self.latencies.get(job))

    def let_go(self):
        """Let what blocks and what leaked end."""
        self._let_go.set()

    @property
    def blocked(self):
        """How many slots of the handler that blocks are taken."""
        return self.states("blocks").count("running")

    def states(self, kind):
        """Of all dispatches of one handler."""
        rows = self.store.list_dispatches(DispatchFilter(handler=kind), limit=MANY).rows
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
def handlers(store_url):
    """At work in an engine."""
    with closing(open_store(from_tables({"store": store_url}))) as store:
        handlers = Handlers(store)
        with working(an_engine(store, *handlers.all)):
            yield handlers
            handlers.let_go()


@pytest.mark.parametrize(("rounds", "factor"), ROUNDS_AND_FACTOR)
def test_a_quick_handler_waits_no_longer_beside_them(handlers, rounds, factor, store_name, record_property):
    alone, beside, blocked = [], [], []
    for turn in range(rounds):
        alone += [handlers.run_quick(f"alone_{rounds}_{turn}_{number}") for number in range(EVENTS)]
        handlers.trouble(f"{rounds}_{turn}")
        beside += [handlers.run_quick(f"beside_{rounds}_{turn}_{number}") for number in range(EVENTS)]
        blocked.append(handlers.blocked)
        handlers.let_go()
        eventually(handlers.idle, within=LONG)

    before, after = median(alone), median(beside)
    record_property("drill", "neighbours that block, fail and leak")
    record_property("store", store_name)
    record_property("events", len(alone + beside))
    record_property("quick handler begins alone after", f"{before / timedelta(milliseconds=1):.1f} ms")
    record_property("beside them after", f"{after / timedelta(milliseconds=1):.1f} ms")
    assert blocked == [SLOTS] * rounds
    assert set(handlers.states("quick")) == {"done"}
    assert after <= factor * before
