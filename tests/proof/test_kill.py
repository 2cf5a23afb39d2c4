"""SIGKILL in the middle of everything: nothing acknowledged is lost, nothing runs twice at the same time."""

import contextlib
import math
import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from receiver import plugins, sandbox
from receiver.config import load
from receiver.models import Schedule
from receiver.outbound import ProviderClient
from receiver.store import Store, open_store
from tests.proof.load import Journal, Load, Posted, Run, every, overlapping, read_back, settled
from tests.proof.node import KINDS, RECONCILE, WEB, WEB_WORKER, WORKER, Node
from tests.proof.serving import forms
from tests.running import API_KEY, SECRET, Running
from tests.watch import eventually

_CLIPS = 10
_CONCURRENCY = 8
_BEGIN_WITHIN = 60
_SETTLED_WITHIN = 180
_LOOK_EVERY = 0.02
_LONGEST_WAIT = 5.0
_TAKEN_BETWEEN = 3
_AT_WORK_WITHIN = 10.0
_AT_ONCE = Schedule(first=timedelta(0), every={timedelta(0): timedelta(seconds=5)}, deadline=timedelta(hours=1))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is killed, in how many `receiver serve` over one store."""

    nodes: int
    kills: int
    generation: Counter[str]
    """What is killed before all of a node is: the supervisor waits longer after each death, up to half a minute."""
    pause: float
    """The longest time from one kill of a node to its next, in seconds."""
    unheard: int
    """Jobs whose webhooks never come."""
    lease: timedelta
    within: float
    """In how many seconds all must be over."""

    @property
    def kinds(self) -> set[str]:
        """What must be killed: once all of a node is, its supervisor too."""
        return set(KINDS if self.kills > self.generation.total() else self.generation)


SHORT = Size(
    nodes=1,
    kills=4,
    generation=Counter({WEB_WORKER: 1, WEB: 1, WORKER: 1, RECONCILE: 1}),
    pause=0.2,
    unheard=10,
    lease=timedelta(seconds=2),
    within=120,
)
FULL = Size(
    nodes=2,
    kills=1000,
    generation=Counter({WEB_WORKER: 11, WEB: 3, WORKER: 3, RECONCILE: 3}),
    pause=1.2,
    unheard=200,
    lease=timedelta(seconds=5),
    within=1200,
)

pytestmark = pytest.mark.parametrize(("store_url", "form"), forms(short=SHORT, full=FULL), indirect=True)


@dataclass
class Toll:
    """Who was killed, and when, in seconds of the monotonic clock."""

    deaths: dict[int, float] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    """Set where no more shall be killed."""

    def kill(self, kind: str, pid: int) -> None:
        # What died already shall not count twice.
        if pid not in self.deaths:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.deaths[pid] = time.monotonic()
                self.kinds[kind] += 1


def kill_one(node: Node, journal: Journal, kinds: Counter[str], toll: Toll) -> None:
    """Kill any process of one of these kinds, and strike that off; every other worker in the middle of a run."""
    living = node.processes()
    able = [kind for kind in kinds.elements() if kind in living]
    if not able:
        return
    kind = random.choice(able)  # noqa: S311 - any will do
    victim = random.choice(living[kind])  # noqa: S311
    if kind == WORKER and kinds[kind] % 2 == 1:
        _hold_at_work(journal, victim)
    toll.kill(kind, victim)
    kinds[kind] -= 1


def _hold_at_work(journal: Journal, pid: int) -> None:
    """Hold a worker still once it runs something; given up where there is nothing to run."""
    deadline = time.monotonic() + _AT_WORK_WITHIN
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            if journal.busy(pid):
                os.kill(pid, signal.SIGSTOP)
                if journal.busy(pid):
                    return
                os.kill(pid, signal.SIGCONT)
            time.sleep(_LOOK_EVERY)


def kill_all(node: Node, toll: Toll) -> None:
    """End everything at once, as a machine does that fails, and start it again."""
    for kind, pids in node.processes().items():
        for pid in pids:
            toll.kill(kind, pid)
    node.start_again()


@dataclass
class Aftermath:
    """What is to be seen once everything that was killed has been made up for."""

    posted: list[Posted]
    stored: Counter[str]
    unheard: set[str]
    events: Counter[str]
    dispatches: Counter[str]
    runs: dict[str, list[Run]]
    toll: Toll
    retried: int
    recovery: float

    @property
    def repeated(self) -> list[tuple[Run, Run]]:
        """Runs that came to their end, each with the one after it."""
        pairs = [pair for runs in self.runs.values() for pair in pairwise(runs)]
        return [(earlier, later) for earlier, later in pairs if not earlier.cut_short]


@pytest.fixture(scope="module")
def aftermath(form, store_url, tmp_path_factory):
    """Webhooks come in and jobs are asked about, while processes of every kind are killed."""
    conditions = sandbox.Conditions(duration=timedelta(milliseconds=10), lost=1)
    folder, began = tmp_path_factory.mktemp("kill"), time.monotonic()
    journal, toll = Journal(folder), Toll()
    with ExitStack() as running:
        provider = running.enter_context(sandbox.Sandbox(conditions, secret=SECRET, api_key=API_KEY))
        receivers = [_receiver(folder, str(number), form, store_url, provider) for number in range(form.nodes)]
        nodes = [Node(receiver) for receiver in receivers]
        for node in nodes:
            running.callback(node.end)
        store = running.enter_context(closing(open_store(load(receivers[0].config))))
        posting = running.enter_context(closing(Load([receiver.url for receiver in receivers])))
        eventually(posting.ready, within=_BEGIN_WITHIN)
        with posting.posting(), ThreadPoolExecutor(form.nodes) as killers:
            killing = [killers.submit(_kill, node, form, toll, posting, journal, began + form.within) for node in nodes]
            try:
                unheard = _expected(receivers[0], store, form, toll)
                for each in killing:
                    each.result()
            finally:
                toll.over.set()
        over = time.monotonic()
        eventually(lambda: settled(store), within=_SETTLED_WITHIN)
        recovery = time.monotonic() - over
        dead = _dispatches(store)["dead"]
        if dead:
            # By design: it lost its worker in each of its attempts.
            retry = receivers[0].run("retry", "--type", "*", "--yes")
            assert retry.returncode == 0, retry.stderr
            eventually(lambda: settled(store), within=_SETTLED_WITHIN)
        for node in nodes:
            node.stop()
        return Aftermath(
            posted=posting.posted,
            stored=read_back(store),
            unheard=unheard,
            events=Counter(row["job"] for row in every(store.list_events)),
            dispatches=_dispatches(store),
            runs=journal.runs(toll.deaths),
            toll=toll,
            retried=dead,
            recovery=recovery,
        )


def _receiver(folder: Path, name: str, size: Size, store_url: str, provider: sandbox.Sandbox) -> Running:
    (folder / name).mkdir()
    tables = f'budget = "1000/s"\n[handlers.work]\npath = "{folder}/work.py"\nconcurrency = {_CONCURRENCY}'
    return Running(
        folder / name,
        tables,
        base_url=provider.base_urls["creativeai"],
        lease=f"{size.lease.total_seconds():g}s",
        settings={"store": store_url},
    )


def _expected(receiver: Running, store: Store, size: Size, toll: Toll) -> set[str]:
    """Jobs that the provider has finished, and will not call back about; made known while the killing goes on."""
    provider = plugins.sources(load(receiver.config))["creativeai"].provider
    with ProviderClient() as client:
        bodies = [{"prompts": ["a lighthouse"] * _CLIPS} for _ in range(size.unheard // _CLIPS)]
        answers = [client.send(provider, provider.submit("batch", body, None)) for body in bodies]
    created = [found for answer in answers for found in provider.read_submission("batch", answer)]
    jobs = [found.job_id for found in created if found.kind != "batch"]
    for number, job in enumerate(jobs):
        # The variable of a loop is read when the condition is.
        share = size.kills * number // len(jobs)
        eventually(lambda share=share: toll.kinds.total() >= share, within=size.within)
        store.track("creativeai", job, kind="video", schedule=_AT_ONCE)
    return set(jobs)


def _kill(node: Node, size: Size, toll: Toll, posting: Load, journal: Journal, deadline: float) -> None:
    """Kill a node's processes until enough have been killed; then all of them shall live."""
    left = Counter(size.generation)
    while toll.kinds.total() < size.kills and not toll.over.is_set():
        assert time.monotonic() < deadline, f"only {toll.kinds.total()} of {size.kills} kills in time"
        taken = len(posting.posted)
        if left.total() > 0:
            kill_one(node, journal, left, toll)
        else:
            kill_all(node, toll)
            left = Counter(size.generation)
        time.sleep(random.uniform(0, size.pause))  # noqa: S311 - any moment will do
        _let_in(posting, taken + _TAKEN_BETWEEN)


def _let_in(posting: Load, count: int) -> None:
    """Wait, but not for long, until so many webhooks were acknowledged: a slow machine would never take any."""
    deadline = time.monotonic() + _LONGEST_WAIT
    while len(posting.posted) < count and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)


def _dispatches(store: Store) -> Counter[str]:
    """How many are in each state."""
    return Counter(row["state"] for row in every(store.list_dispatches))


@pytest.fixture
def figure(record_property, store_name):
    """Adds a figure to the drill's row."""
    record_property("drill", "kill -9")
    record_property("store", store_name)
    return record_property


def test_so_many_processes_were_killed_of_each_kind(aftermath, form, figure):
    figure("kills", aftermath.toll.kinds.total())
    for kind in KINDS:
        figure(f"of {kind}s", aftermath.toll.kinds[kind])

    assert aftermath.toll.kinds.total() >= form.kills
    assert all(aftermath.toll.kinds[kind] for kind in form.kinds)


def test_every_acknowledged_delivery_reads_back_with_the_same_body(aftermath, figure):
    lost = [posted for posted in aftermath.posted if posted.digest not in aftermath.stored]
    figure("deliveries acknowledged", len(aftermath.posted))
    figure("read back with an equal hash", len(aftermath.posted) - len(lost))

    assert aftermath.posted
    assert lost == []


def test_each_job_has_one_event(aftermath, figure):
    figure("jobs without a webhook, found by polls", len(aftermath.unheard & set(aftermath.events)))

    jobs = {posted.job for posted in aftermath.posted} | aftermath.unheard
    assert aftermath.events == Counter(dict.fromkeys(jobs, 1))


def test_every_event_reached_its_handler(aftermath, figure):
    figure("events handled", len(aftermath.runs))
    figure("dead letters after too many lost workers, retried", aftermath.retried)
    figure("all done", f"{aftermath.recovery:.0f} s after the last webhook was acknowledged")

    assert aftermath.dispatches == Counter(done=aftermath.events.total())
    assert len(aftermath.runs) == aftermath.events.total()


def test_no_dispatch_ran_twice_at_the_same_time(aftermath, figure):
    cut_short = [run for runs in aftermath.runs.values() for run in runs if run.cut_short]
    figure("runs cut short and run again", len(cut_short))
    figure("run twice at once", len(overlapping(aftermath.runs)))

    # Otherwise no kill was felt.
    assert cut_short
    assert overlapping(aftermath.runs) == []


def test_a_run_that_came_to_its_end_is_repeated_only_where_its_worker_died(aftermath, figure):
    deaths = aftermath.toll.deaths
    lived = [
        (earlier, later) for earlier, later in aftermath.repeated if later.started < deaths.get(earlier.pid, math.inf)
    ]
    died = len(aftermath.repeated) - len(lived)
    figure("whole runs repeated as their worker died before it had told of them", died)
    figure("whole runs repeated though it lived", len(lived))

    # Of what a worker ran at once, all may have come to its end and not been told of.
    assert died <= _CONCURRENCY * aftermath.toll.kinds[WORKER]
    # A lease lapses where a worker does not get its turn for so long, as more processes start than there are cores.
    assert len(lived) <= max(1, aftermath.events.total() // 100)
