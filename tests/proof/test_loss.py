"""Whatever share of webhooks is lost, and whatever becomes of others: each job's end has its effect once, in time."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise, product

import httpx
import pytest

from receiver.models import Schedule, Status
from receiver.sandbox import Conditions, Outcome, Posted, Sandbox
from receiver.store import Store
from tests.proof.load import every, settled
from tests.proof.serving import Serving, forms
from tests.running import API_KEY, SECRET
from tests.watch import eventually

DRILL = "webhooks lost, doubled, reordered and late"
LOST = (0.0, 0.1, 0.5, 1.0)
# Where a trouble is there, half of the webhooks have it.
SHARES = (0.0, 0.5)
PASS = timedelta(milliseconds=500)
DEADLINE = timedelta(seconds=20)
# A job ends within half a second, and is asked about after what is not late has come.
SCHEDULE = Schedule(first=timedelta(seconds=2), every={timedelta(0): timedelta(seconds=2)}, deadline=DEADLINE)
DURATION, SPREAD = timedelta(milliseconds=250), 0.9
LATE = timedelta(seconds=3)
SUBMITTERS = 8


@dataclass(frozen=True)
class Size:
    """How much of the matrix is tried, and with how many jobs each."""

    troubles: list[tuple[float, float, float]]
    jobs: int


@dataclass(frozen=True)
class Created:
    """One job, and when it was asked for, on the monotonic clock."""

    source: str
    job_id: str
    at: float


@dataclass(frozen=True)
class Aftermath:
    """What is to be seen when all webhooks are out and all work is done."""

    created: list[Created]
    posted: dict[str, list[Posted]]
    """By source."""
    runs: list[dict[str, object]]
    effects: Counter[tuple[str, str]]
    events: list[dict[str, object]]


pytestmark = pytest.mark.parametrize(
    ("store_url", "form"),
    forms(short=Size([(0.5, 0.5, 0.5)], 10), full=Size(list(product(SHARES, repeat=3)), 100)),
    indirect=True,
)


@pytest.fixture(scope="module")
def aftermath(form, tmp_path_factory, store_url):
    matrix = {
        f"lost{lost:.0%}-doubled{doubled:.0%}-reordered{reordered:.0%}-late{delayed:.0%}".replace("%", ""): Conditions(
            duration=DURATION,
            duration_spread=SPREAD,
            lost=lost,
            doubled=doubled,
            reordered=reordered,
            delayed=delayed,
            delay=LATE,
            seed=number,
        )
        for number, (lost, (doubled, reordered, delayed)) in enumerate(product(LOST, form.troubles))
    }
    with ExitStack() as open_until_then:
        providers = {
            name: open_until_then.enter_context(Sandbox(conditions, secret=SECRET, api_key=API_KEY))
            for name, conditions in matrix.items()
        }
        return _gone_through(tmp_path_factory.mktemp("loss"), store_url, providers, form.jobs)


def _gone_through(folder, store_url: str, providers: dict[str, Sandbox], jobs: int) -> Aftermath:
    sources = {
        name: {"base_url": provider.base_urls["creativeai"], "budget": "1000/s"} for name, provider in providers.items()
    }
    receiver = Serving(folder, store_url, sources, every=f"{PASS.total_seconds():g}s")
    with receiver.serving(), receiver.store() as store:
        with ThreadPoolExecutor(SUBMITTERS) as application, httpx.Client(trust_env=False, timeout=30) as client:
            created = list(
                application.map(
                    lambda name: _create(client, receiver, store, name, providers[name]), list(providers) * jobs
                )
            )
        wanted = {(job.source, job.job_id) for job in created}
        eventually(lambda: all(provider.idle for provider in providers.values()), within=60)
        eventually(lambda: set(receiver.effects) >= wanted, within=60)
        eventually(lambda: settled(store), within=30)
        events = list(every(store.list_events))
    posted = {name: provider.webhooks for name, provider in providers.items()}
    return Aftermath(created, posted, receiver.runs, receiver.effects, events)


def _create(client: httpx.Client, receiver: Serving, store: Store, source: str, provider: Sandbox) -> Created:
    """Create a job as an application would, and track it."""
    at = time.monotonic()
    answer = client.post(
        f"{provider.base_urls['creativeai']}/api/generate/voice",
        json={"text": "Welcome", "webhook_url": f"{receiver.url}/webhooks/{source}"},
        headers={"Authorization": f"Bearer {API_KEY}"},
    )
    job_id = answer.raise_for_status().json()["id"]
    store.track(source, job_id, kind="voice", schedule=SCHEDULE)
    return Created(source, job_id, at)


@pytest.fixture
def tell(store_name, record_property):
    """Tell a figure."""
    record_property("drill", DRILL)
    record_property("store", store_name)
    return record_property


def test_each_end_has_its_effect_once(aftermath, tell):
    outcomes = Counter(posted.outcome for posted in _all(aftermath))
    via = Counter(str(event["via"]) for event in aftermath.events)
    tell("combinations", len(aftermath.posted))
    tell("jobs", len(aftermath.created))
    tell("webhooks that arrived", outcomes[Outcome.DELIVERED])
    tell("dropped", outcomes[Outcome.LOST])
    tell("doubled", _doubled(aftermath))
    tell("told after a poll had", sum(_came_second(aftermath)))
    tell("events by webhook", via["webhook"])
    tell("by poll", via["poll"])
    tell("effects", sum(aftermath.effects.values()))
    tell("runs", len(aftermath.runs))
    runs = Counter((run["source"], run["job"]) for run in aftermath.runs)

    assert aftermath.effects == runs == Counter((job.source, job.job_id) for job in aftermath.created)
    assert {run["status"] for run in aftermath.runs} == {Status.SUCCEEDED}


def test_each_end_is_one_event(aftermath, tell):
    assert Counter((event["source"], event["job"], event["status"]) for event in aftermath.events) == Counter(
        (job.source, job.job_id, "succeeded") for job in aftermath.created
    )


def test_each_end_is_learned_in_time(aftermath, tell):
    ended = {(run["source"], run["job"]): run["at"] for run in aftermath.runs}
    slowest = max(ended[job.source, job.job_id] - job.at for job in aftermath.created)
    tell("slowest from creation to handler", f"{slowest:.1f} s")

    assert slowest <= (DEADLINE + PASS).total_seconds()


def test_the_trouble_was_felt(aftermath, tell):
    """Otherwise the drill shows nothing."""
    sources = [source for source in aftermath.posted if source.endswith("doubled50-reordered50-late50")]
    created = {(job.source, job.job_id): job.at for job in aftermath.created}
    late = sum(
        posted.at - created[source, posted.job_id] > LATE.total_seconds()
        for source in sources
        for posted in aftermath.posted[source]
        if _arrived(posted)
    )
    tell("of the worst sources, webhooks late by 3 s", late)

    assert _count(aftermath, "lost0-", Outcome.LOST) == _count(aftermath, "lost100-", Outcome.DELIVERED) == 0
    assert min(_count(aftermath, "lost50-", outcome) for outcome in (Outcome.LOST, Outcome.DELIVERED)) > 0
    assert any(earlier > later for source in sources for earlier, later in pairwise(_arrivals(aftermath, source)))
    assert any(_came_second(aftermath))
    assert _doubled(aftermath) > 0
    assert late > 0


def _all(aftermath: Aftermath) -> list[Posted]:
    return [posted for several in aftermath.posted.values() for posted in several]


def _count(aftermath: Aftermath, prefix: str, outcome: Outcome) -> int:
    """How many webhooks of sources whose names begin so had that outcome."""
    return sum(
        posted.outcome is outcome
        for source, several in aftermath.posted.items()
        for posted in several
        if source.startswith(prefix)
    )


def _doubled(aftermath: Aftermath) -> int:
    """How many webhooks arrived more than once."""
    arrivals = Counter((posted.url, posted.job_id) for posted in _all(aftermath) if _arrived(posted))
    return sum(count > 1 for count in arrivals.values())


def _arrived(posted: Posted) -> bool:
    return posted.outcome is Outcome.DELIVERED


def _came_second(aftermath: Aftermath) -> Iterator[bool]:
    """Of each event by poll: whether a webhook then told it, too."""
    arrived = {(source, job_id) for source in aftermath.posted for job_id in _arrivals(aftermath, source)}
    return ((event["source"], event["job"]) in arrived for event in aftermath.events if event["via"] == "poll")


def _arrivals(aftermath: Aftermath, source: str) -> list[str]:
    """The jobs in the order in which their webhooks came, by ids that rise with creation."""
    return [posted.job_id for posted in aftermath.posted[source] if _arrived(posted)]
