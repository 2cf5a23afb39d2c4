"""Two nodes under load, and every process in turn is killed, frozen past its lease and resumed; the database, too."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice, pairwise

import pytest

from receiver import plugins, sandbox
from receiver.config import load
from receiver.models import Schedule
from receiver.outbound import ProviderClient
from receiver.store.base import DispatchFilter, Row
from tests.brokers import RabbitMQ
from tests.circumstances import Circumstances
from tests.cluster.nodes import LEASE, Nodes, Program, Trouble
from tests.postgres import Databases, Server
from tests.postgres import running as running_postgres
from tests.proof.load import Run, overlapping
from tests.running import API_KEY, SECRET
from tests.watch import eventually

pytestmark = pytest.mark.drill

POSTERS = 8
FEWEST = 500
BOTH_AT_ONCE = 40
UNHEARD = 60
CLIPS = 20
_DRAINED_WITHIN = 240
_MANY = 10_000
_PAUSE = 0.1
# How long a job that is asked about is hidden from whoever else looks what is due, and how much later than that began
# its request may come in, where the reconciler was frozen in between.
_ASKED_FOR = 120.0
_ON_ITS_WAY = LEASE + 8
_TAKEN_OVER_WITHIN = LEASE + 1
# Less than the wrong clock is ahead.
_DEADLINE = timedelta(minutes=5)
_AT_ONCE = Schedule(first=timedelta(0), every={timedelta(0): timedelta(seconds=5)}, deadline=_DEADLINE)


@dataclass
class Aftermath:
    """What is to be seen when everything has ended."""

    expected: set[str]
    """Every job there was."""
    bodies: dict[str, bytes]
    """What was acknowledged, by job."""
    doubled: list[list[bool]]
    """Of what was sent to both nodes at once: whether each acknowledged it."""
    kept: set[bytes]
    events: list[tuple[str, str]]
    dispatches: list[Row]
    outcomes: dict[int, list[str]]
    """Of each dispatch's attempts."""
    runs: dict[str, list[Run]]
    polls: dict[str, list[float]]
    """When the provider was asked about each job, in seconds of the monotonic clock."""
    unheard: list[str]
    """The jobs whose webhooks never came."""
    trouble: Trouble


@pytest.fixture(scope="module", params=["local", "celery", "clock-ahead"])
def aftermath(request, tmp_path_factory):
    """Everything has been through its trouble, and all work is done: with either engine, and with a wrong clock."""
    ahead = request.param == "clock-ahead"
    second = Circumstances(tmp_path_factory.mktemp("clock"), clock_ahead=600).variables if ahead else {}
    conditions = sandbox.Conditions(duration=timedelta(milliseconds=10), lost=1)
    with ExitStack() as running:
        server = running.enter_context(running_postgres())
        provider = running.enter_context(sandbox.Sandbox(conditions, secret=SECRET, api_key=API_KEY))
        databases = Databases(server.url("postgres"))
        running.enter_context(databases.prepared())
        source = {"provider": "creativeai", "secrets": [SECRET], "api_key": API_KEY, "budget": "1000/s"}
        source["base_url"] = provider.base_urls["creativeai"]
        settings = {"store": running.enter_context(databases.copied()), "sources": {"creativeai": source}}
        servers: list[Server | RabbitMQ] = [server]
        if request.param == "celery":
            broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
            running.callback(broker.stop)
            broker.start()
            settings |= {"engine": "celery", "celery": {"broker": broker.url}}
            servers.append(broker)
        nodes = running.enter_context(Nodes(tmp_path_factory.mktemp("cluster"), settings, second=second).open())
        return _drilled(nodes, servers, _unheard_jobs(nodes), provider)


def _unheard_jobs(nodes: Nodes) -> list[str]:
    """Jobs that the provider has finished, and will not call back about."""
    config = load(nodes.nodes[0].config)
    provider = plugins.sources(config)["creativeai"].provider
    with ProviderClient() as client:
        bodies = [{"prompts": ["a lighthouse"] * CLIPS} for _ in range(UNHEARD // CLIPS)]
        answers = [client.send(provider, provider.submit("batch", body, None)) for body in bodies]
    created = [created for answer in answers for created in provider.read_submission("batch", answer)]
    return [found.job_id for found in created if found.kind != "batch"]


def _drilled(
    nodes: Nodes, servers: Sequence[Server | RabbitMQ], unheard: list[str], provider: sandbox.Sandbox
) -> Aftermath:
    trouble, over = Trouble(), threading.Event()
    still_unheard = iter(unheard)
    with ThreadPoolExecutor(POSTERS) as providers:
        numbers = count()
        posting = [providers.submit(_post_until, over, nodes, numbers) for _ in range(POSTERS)]
        try:
            programs = [(node, role) for role in nodes.nodes[0].programs for node in nodes.nodes]
            for node, role in programs:
                _expect(nodes, islice(still_unheard, len(unheard) // len(programs)))
                program = node.programs[role]
                program.kill(trouble)
                _await_recovery(nodes, program, trouble)
                program.freeze(trouble, LEASE + 1)
                _await_recovery(nodes, program, trouble)
            for server in servers:
                server.stop()
                server.start()
        finally:
            over.set()
        bodies = dict(posted for poster in posting for posted in poster.result())
    eventually(lambda: all(node.ready() for node in nodes.nodes), within=30)
    _expect(nodes, still_unheard)
    doubled = [nodes.post_to_both(f"both_{number}") for number in range(BOTH_AT_ONCE)]
    everything = {*bodies, *unheard, *(f"both_{number}" for number in range(BOTH_AT_ONCE))}
    eventually(lambda: len(_dispatches(nodes, "done")) >= len(everything), within=_DRAINED_WITHIN)
    return Aftermath(
        expected=everything,
        bodies=bodies,
        doubled=doubled,
        kept={nodes.store.delivery(row["id"])["body"] for row in nodes.store.list_deliveries(limit=_MANY).rows},
        events=[(row["job"], row["status"]) for row in nodes.store.list_events(limit=_MANY).rows],
        dispatches=_dispatches(nodes),
        outcomes={row["id"]: _outcomes(nodes, row["id"]) for row in _dispatches(nodes)},
        runs=nodes.runs(trouble),
        polls=_moments(provider.polls),
        unheard=unheard,
        trouble=trouble,
    )


def _await_recovery(nodes: Nodes, program: Program, trouble: Trouble) -> None:
    """What one trouble delays is not to be laid at the next one's door."""
    since = time.monotonic()
    eventually(lambda: nodes.recovered(program, trouble, since), within=60)


def _post_until(over: threading.Event, nodes: Nodes, numbers: Iterator[int]) -> list[tuple[str, bytes]]:
    """The jobs whose webhooks were acknowledged, with the bodies."""
    posted = []
    while not over.wait(_PAUSE):
        job = f"job_{next(numbers)}"
        posted.append((job, nodes.post_until_acknowledged(job, within=_DRAINED_WITHIN)))
    return posted


def _expect(nodes: Nodes, jobs: Iterable[str]) -> None:
    for job in jobs:
        nodes.store.track("creativeai", job, kind="video", schedule=_AT_ONCE)


def _dispatches(nodes: Nodes, state: str | None = None) -> list[Row]:
    return nodes.store.list_dispatches(DispatchFilter(state=state), limit=_MANY).rows


def _outcomes(nodes: Nodes, dispatch: int) -> list[str]:
    return [attempt["outcome"] for attempt in nodes.store.list_attempts(dispatch)]


def _moments(polls: Iterable[sandbox.Asked]) -> dict[str, list[float]]:
    moments: dict[str, list[float]] = {}
    for poll in sorted(polls, key=lambda poll: poll.at):
        moments.setdefault(poll.path.rsplit("/", 1)[-1], []).append(poll.at)
    return moments


def test_nothing_that_was_acknowledged_is_missing(aftermath):
    assert len(aftermath.bodies) >= FEWEST
    assert aftermath.kept >= set(aftermath.bodies.values())


def test_each_job_has_one_event(aftermath):
    assert Counter(aftermath.events) == dict.fromkeys([(job, "succeeded") for job in aftermath.expected], 1)


def test_each_event_has_one_dispatch_and_it_is_done(aftermath):
    assert Counter((row["job"], row["state"]) for row in aftermath.dispatches) == dict.fromkeys(
        [(job, "done") for job in aftermath.expected], 1
    )


def test_no_dispatch_completes_twice(aftermath):
    assert {dispatch for dispatch, outcomes in aftermath.outcomes.items() if outcomes.count("done") != 1} == set()


def test_none_runs_on_two_live_workers(aftermath):
    unexplained = [
        (earlier, later)
        for earlier, later in overlapping(aftermath.runs)
        if not aftermath.trouble.was_frozen(earlier.pid, later.started)
    ]

    assert unexplained == []


def test_what_a_killed_worker_ran_is_taken_over_soon(aftermath):
    waits = [
        later.started - earlier.ended
        for runs in aftermath.runs.values()
        for earlier, later in pairwise(runs)
        if earlier.cut_short
    ]

    assert waits
    assert max(waits) <= _TAKEN_OVER_WITHIN


def test_the_trouble_was_felt(aftermath):
    """Otherwise the drill shows nothing."""
    assert any("lost" in outcomes for outcomes in aftermath.outcomes.values())


def test_what_was_sent_to_both_nodes_at_once_is_acknowledged_by_both(aftermath):
    assert aftermath.doubled == [[True, True]] * BOTH_AT_ONCE


def test_no_job_is_asked_about_by_two_at_once(aftermath):
    """The first answer ends a job. If that is lost with the reconciler, the next waits for its claim to end."""
    too_soon = [
        (job, later - earlier)
        for job, moments in aftermath.polls.items()
        for earlier, later in pairwise(moments)
        if later - earlier < _ASKED_FOR - _ON_ITS_WAY
    ]

    assert aftermath.polls.keys() >= set(aftermath.unheard)
    assert too_soon == []
