"""The store is away: nothing is acknowledged, it says so, and goes on by itself, without a storm."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import httpx
import pytest

from receiver.models import Schedule
from tests.postgres import Databases, Server
from tests.postgres import running as running_postgres
from tests.proof.serving import SLOTS, Serving, processes
from tests.scripted import Scripted, job
from tests.trouble import database_locked, flock_held
from tests.watch import eventually

SOURCE = "provider"
EVERY = timedelta(milliseconds=500)
# Due while the store is away.
SCHEDULE = Schedule(first=timedelta(seconds=3), every={timedelta(0): timedelta(seconds=3)}, deadline=timedelta(hours=1))
COMMIT_TIMEOUT = 1
PER_SECOND = 10
AT_ONCE = 8
JOBS = 20
PROVIDERS = 4
POST_EVERY = 0.1
AGAIN_AFTER = 0.5
READY_WITHIN = 15.0
# What was being asked about when the store went away is asked about again when its lease of two minutes ends.
RECOVERED_WITHIN = 150.0


@dataclass
class Posted:
    """What providers posted until it was acknowledged."""

    acknowledged: dict[str, float] = field(default_factory=dict)
    """When each job's was, on the monotonic clock."""
    answers: Counter[int] = field(default_factory=Counter)


@dataclass
class Aftermath:
    """What was to be seen of an outage."""

    kind: str
    words: str
    lasted: float
    command: tuple[int, str]
    """What a command that writes did and said meanwhile."""
    readiness: set[int]
    answered: tuple[int, str | None]
    """What a webhook was answered meanwhile, and when it may come again."""
    log: str
    posted: Posted
    acknowledged: int
    """How many were acknowledged meanwhile."""
    effects: Counter[str]
    runs: int
    """How many runs of the handler those took."""
    jobs: set[str]
    """Those that were to be asked about meanwhile."""
    polls: list[float]
    """When, after the end of the outage."""
    ready: float
    recovery: float
    """Both in seconds after its end."""
    same_processes: bool


# Whoever comes first waits for the store itself, the others of the same machine for whoever waits.
KINDS = {
    "locked": ("SQLite", "the store (is busy|cannot commit)"),
    "written-by-another": ("SQLite", "the store (is busy|cannot commit)"),
    "stopped": ("PostgreSQL", "the store (is busy|cannot)"),
    "frozen": ("PostgreSQL", "the store (is busy|cannot)"),
}


CASES = [
    pytest.param(("locked", 1.0), id="locked-short"),
    pytest.param(("stopped", 1.0), id="stopped-short"),
    *(pytest.param((kind, 30.0), id=kind, marks=pytest.mark.drill) for kind in KINDS),
]


@pytest.fixture(scope="module", params=CASES)
def aftermath(request, tmp_path_factory):
    folder, (kind, length) = tmp_path_factory.mktemp("store-outages"), request.param
    with ExitStack() as until_then:
        if KINDS[kind][0] == "SQLite":
            file = folder / "receiver.db"
            lock = database_locked if kind == "locked" else flock_held
            url, outage = f"sqlite:///{file}", lambda: lock(file)
        else:
            server = until_then.enter_context(running_postgres())
            databases = Databases(server.url("postgres"))
            until_then.enter_context(databases.prepared())
            url = until_then.enter_context(databases.copied())
            outage = (lambda: _stopped(server)) if kind == "stopped" else server.frozen
        provider = until_then.enter_context(Scripted(job("completed", output_url="https://cdn.example/speech.mp3")))
        source = {"base_url": provider.url, "budget": f"{PER_SECOND}/s"}
        settings = {"commit_timeout": f"{COMMIT_TIMEOUT}s"}
        every = f"{EVERY.total_seconds():g}s"
        receiver = Serving(folder, url, {SOURCE: source}, every=every, settings=settings)
        process = until_then.enter_context(receiver.serving())
        return _gone_through(kind, receiver, process.pid, provider, outage, length)


@contextmanager
def _stopped(server: Server) -> Iterator[None]:
    server.stop()
    yield
    server.start()


def _gone_through(
    kind: str,
    receiver: Serving,
    pid: int,
    provider: Scripted,
    outage: Callable[[], AbstractContextManager[None]],
    length: float,
) -> Aftermath:
    before, over, posted = processes(pid), threading.Event(), Posted()
    with ThreadPoolExecutor(PROVIDERS + 2) as providers:
        numbers = count()
        posting = [providers.submit(_post_until, over, receiver, posted, numbers) for _ in range(PROVIDERS)]
        try:
            eventually(lambda: posted.acknowledged, within=30)
            jobs = {f"due_{number}" for number in range(JOBS)}
            with receiver.store() as store:
                for job_id in jobs:
                    store.track(SOURCE, job_id, kind="voice", schedule=SCHEDULE)
            began = time.monotonic()
            with outage():
                away = time.monotonic()
                asked = providers.submit(receiver.post, SOURCE, "meanwhile"), providers.submit(_ready, receiver)
                command = receiver.run("track", SOURCE, "meanwhile", "--kind", "voice")
                answered, ready = asked[0].result(), {asked[1].result()}
                eventually(lambda: time.monotonic() > began + length, within=length + 1)
                ready.add(_ready(receiver))
                log = receiver.log
                back = time.monotonic()
            # A server may need a while until it is there again.
            ended = time.monotonic()
            eventually(receiver.ready, within=READY_WITHIN)
            ready_after = time.monotonic() - ended
        finally:
            over.set()
        for poster in posting:
            poster.result()
    wanted = jobs | set(posted.acknowledged)
    eventually(lambda: {job_id for _, job_id in receiver.effects} >= wanted, within=RECOVERED_WITHIN)
    ends = {run["job"]: run["at"] for run in receiver.runs}
    return Aftermath(
        kind=kind,
        words=KINDS[kind][1],
        lasted=back - began,
        command=(command.returncode, command.stderr),
        readiness=ready,
        answered=(answered.status_code, answered.headers.get("retry-after")),
        log=log,
        posted=posted,
        # What was committed just before may be answered just after.
        acknowledged=sum(away + COMMIT_TIMEOUT < at < back for at in posted.acknowledged.values()),
        effects=Counter({job_id: count for (_, job_id), count in receiver.effects.items()}),
        runs=len(receiver.runs),
        jobs=jobs,
        polls=[asked.at - ended for asked in provider.asked if asked.at > ended],
        ready=ready_after,
        recovery=max(ends[job_id] for job_id in wanted) - ended,
        same_processes=processes(pid) == before,
    )


def _post_until(over: threading.Event, receiver: Serving, posted: Posted, numbers: Iterator[int]) -> None:
    """Post one webhook after another, each again until it is acknowledged, as patient providers do."""
    while not over.wait(POST_EVERY):
        job_id = f"posted_{next(numbers)}"
        while (status := receiver.post(SOURCE, job_id).status_code) not in (200, 202):
            posted.answers[status] += 1
            time.sleep(AGAIN_AFTER)
        posted.answers[status] += 1
        posted.acknowledged[job_id] = time.monotonic()


def _ready(receiver: Serving) -> int:
    return httpx.get(f"{receiver.url}/readyz", timeout=30, trust_env=False).status_code


@pytest.fixture
def tell(aftermath, record_property):
    """Tell a figure of an outage."""
    record_property("drill", f"store: {aftermath.kind}")
    record_property("store", KINDS[aftermath.kind][0])
    return record_property


def test_senders_and_balancers_are_told(aftermath, tell):
    tell("lasted", f"{aftermath.lasted:.0f} s")
    tell("answered 503 meanwhile", aftermath.posted.answers[503])
    tell("acknowledged meanwhile", aftermath.acknowledged)

    assert aftermath.answered == (503, "5")
    assert aftermath.readiness == {503}
    assert aftermath.acknowledged == 0
    assert set(aftermath.posted.answers) <= {200, 202, 503}


def test_people_are_told(aftermath, tell):
    status, said = aftermath.command
    tell("said", f"“{said.strip()}”")

    assert status == 1
    assert re.search(aftermath.words, said)
    assert len(said.splitlines()) == 1
    assert re.search(f"store unavailable .*{aftermath.words}", aftermath.log)
    assert "Traceback" not in aftermath.log


def test_it_recovers_by_itself(aftermath, tell):
    tell("ready after", f"{aftermath.ready:.1f} s")
    tell("all done after", f"{aftermath.recovery:.1f} s")

    assert aftermath.same_processes


def test_each_end_has_its_effect_once(aftermath, tell):
    tell("webhooks acknowledged", len(aftermath.posted.acknowledged))
    tell("jobs due meanwhile", len(aftermath.jobs))
    tell("effects", aftermath.effects.total())
    tell("runs", aftermath.runs)

    assert all(aftermath.effects[job_id] == 1 for job_id in [*aftermath.jobs, *aftermath.posted.acknowledged])
    # What ran as the store went away could not be recorded as done, and runs again.
    assert aftermath.runs <= aftermath.effects.total() + SLOTS


def test_there_is_no_storm_afterwards(aftermath, tell):
    most = max((sum(at <= other < at + 1 for other in aftermath.polls) for at in aftermath.polls), default=0)
    tell("polls afterwards", len(aftermath.polls))
    tell("most in a second", most)

    assert len(aftermath.polls) <= len(aftermath.jobs) + AT_ONCE
    assert most <= PER_SECOND + AT_ONCE
