"""A quick handler beside others that block, fail and leak threads: it begins about as soon after its event."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

import pytest

from receiver import clock
from receiver.config import from_tables
from receiver.models import Event
from receiver.routing import Handler, Route
from receiver.store import Store, open_store
from receiver.store.base import DispatchFilter
from tests.proof.load import every, settled
from tests.store.contract import a_record, an_event
from tests.test_engine import a_handler, an_engine, working
from tests.watch import eventually

SOON = timedelta(milliseconds=50)
SLOTS = 4
LONG = 30.0

EVENTS = 20
# How many rounds, and how many times as long it may take. Of twenty latencies the middle one says little.
FORMS = [
    pytest.param(("short", (1, 10.0)), id="short"),
    pytest.param(("full", (10, 2.0)), id="full", marks=pytest.mark.drill),
]


class Handlers:
    """A quick handler that knows when it began, and its neighbours. Each gets the events of its own type."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.latencies: dict[str, timedelta] = {}
        self.failed_count = 0
        self._let_go = threading.Event()

    @property
    def all(self) -> list[Handler]:
        return [
            self._handler("quick", self._quick),
            self._handler("blocks", self._block),
            self._handler("fails", self._fail, max_attempts=1000, first_wait=SOON, longest_wait=SOON),
            self._handler("leaks", self._leak, max_attempts=1, timeout=SOON),
        ]

    def trouble(self, turn: int) -> None:
        """Keep all slots of the neighbours busy, until they are let go."""
        self._let_go.clear()
        dead, failed = self.states("leaks").count("dead"), self.failed_count
        for kind, count in {"blocks": 2 * SLOTS, "fails": SLOTS, "leaks": 5 * SLOTS}.items():
            for number in range(count):
                self._receive(kind, f"{kind}_{turn}_{number}")
        eventually(lambda: self.blocked == SLOTS and self.states("leaks").count("dead") > dead)
        eventually(lambda: self.failed_count > failed)

    def run_quick(self, job: str) -> timedelta:
        """How long after its event was recorded the quick handler began."""
        self._receive("quick", job)
        eventually(lambda: job in self.latencies)
        return self.latencies[job]

    def let_go(self) -> None:
        """Let what blocks and what leaked end."""
        self._let_go.set()

    @property
    def blocked(self) -> int:
        """How many slots of the handler that blocks are taken."""
        return self.states("blocks").count("running")

    def states(self, kind: str) -> list[str]:
        """Of all dispatches of one handler."""
        return [row["state"] for row in every(partial(self.store.list_dispatches, DispatchFilter(handler=kind)))]

    def _receive(self, kind: str, job: str) -> None:
        self.store.receive(a_record(an_event(job, type=kind)))

    def _handler(self, kind: str, function: Callable[[Event], None], **changes: Any) -> Handler:
        routes = (Route(type=kind),)
        return a_handler(function, kind, routes=routes, concurrency=SLOTS, **changes)

    def _quick(self, event: Event) -> None:
        assert event.job_id is not None
        assert event.recorded_at is not None
        self.latencies[event.job_id] = clock.now() - event.recorded_at

    def _block(self, event: Event) -> None:
        self._let_go.wait(LONG)

    def _fail(self, event: Event) -> None:
        if not self._let_go.is_set():
            self.failed_count += 1
            raise ConnectionError("down")

    def _leak(self, event: Event) -> None:
        """Leave a thread behind, and run past the time limit."""
        threading.Thread(target=self._let_go.wait, args=(LONG,), daemon=True).start()
        self._let_go.wait(LONG)


@pytest.fixture
def handlers(store_url) -> Iterator[Handlers]:
    """At work in an engine."""
    with closing(open_store(from_tables({"store": store_url}))) as store:
        handlers = Handlers(store)
        with working(an_engine(store, *handlers.all)):
            yield handlers
            handlers.let_go()


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_a_quick_handler_begins_about_as_soon_beside_them(handlers, form, store_name, record_property):
    rounds, factor = form
    alone, beside, blocked = [], [], []
    for turn in range(rounds):
        alone += [handlers.run_quick(f"alone_{turn}_{number}") for number in range(EVENTS)]
        handlers.trouble(turn)
        beside += [handlers.run_quick(f"beside_{turn}_{number}") for number in range(EVENTS)]
        blocked.append(handlers.blocked)
        handlers.let_go()
        eventually(lambda: settled(handlers.store), within=LONG)

    usual, troubled = median(alone), median(beside)
    record_property("drill", "neighbours that block, fail and leak")
    record_property("store", store_name)
    record_property("events", len(alone + beside))
    record_property("quick handler begins alone after", f"{usual / timedelta(milliseconds=1):.1f} ms")
    record_property("beside them after", f"{troubled / timedelta(milliseconds=1):.1f} ms")
    record_property("failed beside them", handlers.failed_count)
    assert blocked == [SLOTS] * rounds
    assert set(handlers.states("quick")) == {"done"}
    assert troubled <= factor * usual
