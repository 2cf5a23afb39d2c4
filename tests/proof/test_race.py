"""A webhook and a poll tell the same fact to two nodes at the same instant: it is one event, and one dispatch."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from receiver import clock, inbox, sandbox
from receiver.config import from_tables
from receiver.inbox import Source
from receiver.models import Delivery, Response, Schedule, Via
from receiver.providers.creativeai import CreativeAI
from receiver.store import open_store
from receiver.store.base import Store
from tests.proof.load import every
from tests.running import SECRET

SOURCE, HANDLER = "creativeai", "archive"
HOUR = timedelta(hours=1)
LATER = Schedule(first=HOUR, every={timedelta(0): HOUR}, deadline=HOUR)
PATIENCE = 60.0

RACES = [
    pytest.param(("short", 20), id="short"),
    pytest.param(("full", 10_000), id="full", marks=pytest.mark.drill),
]


@dataclass(frozen=True)
class Told:
    """One node's side of a race."""

    via: Via
    began: float
    ended: float
    """Both on the monotonic clock, which all processes share."""
    event_count: int
    """How many events were new to the store."""
    dispatch_count: int
    """How many dispatches it made of what it then found to be routed."""


@pytest.fixture
def store(store_url):
    with closing(open_store(from_tables({"store": store_url}))) as opened:
        yield opened


@pytest.fixture(autouse=True)
def tests_on_the_path(monkeypatch):
    """What is started here imports this module by its name; pytest itself needs none of that."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


@pytest.mark.parametrize("form", RACES, indirect=True)
def test_what_is_told_twice_at_once_is_one_event_and_one_dispatch(store, store_url, store_name, form, record_property):
    races = form
    jobs = [f"race_{number}" for number in range(races)]
    with ThreadPoolExecutor(8) as application:
        list(application.map(lambda job: store.track(SOURCE, job, kind="video", schedule=LATER), jobs))

    pairs = list(zip(*_run(store_url, jobs), strict=True))

    winners = Counter(told.via for pair in pairs for told in pair if told.event_count)
    overlapping = sum(max(one.began, other.began) < min(one.ended, other.ended) for one, other in pairs)
    events = Counter(row["job"] for row in every(store.list_events))
    dispatches = Counter(row["job"] for row in every(store.list_dispatches))
    record_property("drill", "webhook and poll at the same instant")
    record_property("store", store_name)
    record_property("races", races)
    record_property("overlapping", overlapping)
    record_property("won by the webhook", winners[Via.WEBHOOK])
    record_property("won by the poll", winners[Via.POLL])
    record_property("events doubled", sum(count > 1 for count in events.values()))
    record_property("dispatches doubled", sum(count > 1 for count in dispatches.values()))
    assert [sum(told.event_count for told in pair) for pair in pairs] == [1] * races
    assert [sum(told.dispatch_count for told in pair) for pair in pairs] == [1] * races
    assert events == dispatches == Counter(jobs)
    # Otherwise the drill shows nothing.
    assert overlapping >= races / 2
    assert min(winners[Via.WEBHOOK], winners[Via.POLL]) > 0


def _run(store_url: str, jobs: list[str]) -> list[list[Told]]:
    """Both nodes' sides of the races about these jobs."""
    # What is forked would share this process's connections.
    spawned = multiprocessing.get_context("spawn")
    barrier = spawned.Barrier(2, timeout=PATIENCE)
    with ProcessPoolExecutor(2, mp_context=spawned, initializer=_meet_at, initargs=(barrier,)) as nodes:
        sides = [nodes.submit(_node, number, store_url, jobs) for number in (0, 1)]
        return [side.result() for side in sides]


def _meet_at(barrier: Barrier) -> None:
    """Where the nodes wait for each other; only what makes a process can give it one."""
    global _together
    _together = barrier.wait


_together: Callable[[], int]


def _node(number: int, store_url: str, jobs: list[str]) -> list[Told]:
    """One node, which is told by webhook of each other job, and asks about the rest."""
    source = Source(SOURCE, CreativeAI(secrets=[SECRET], api_key="key"))
    with closing(open_store(from_tables({"store": store_url}))) as store:
        return [_side(source, store, job, by_webhook=turn % 2 == number) for turn, job in enumerate(jobs)]


def _side(source: Source, store: Store, job_id: str, *, by_webhook: bool) -> Told:
    body, job = sandbox.webhook_body("video", job_id), store.job(SOURCE, job_id)
    assert job is not None
    signed = sandbox.signed(body, SECRET)
    events = source.provider.read(job, Response(status_code=200, body=body)).events
    via = Via.WEBHOOK if by_webhook else Via.POLL
    delivery = Delivery(source=SOURCE, body=body, headers=_lower(signed), received_at=clock.now(), via=via)
    _together()
    began = time.monotonic()
    if by_webhook:
        receipt = inbox.accept(source, delivery, store=store, now=delivery.received_at)
    else:
        receipt = inbox.learn(source, delivery, events, store=store)
    ended = time.monotonic()
    assert receipt is not None
    _together()
    dispatch_count = store.route({event.id: [HANDLER] for event in store.unrouted(10) if event.id is not None})
    return Told(via, began, ended, len(receipt.events), dispatch_count)


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
