"""Providers that are away, each in another way, all at once: it says so, recovers by itself, and makes no storm."""

import json
import math
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import httpx
import pytest

from receiver.models import Schedule
from receiver.store import Store
from receiver.store.base import JobFilter
from tests.circumstances import Circumstances
from tests.proof.certificates import Authority
from tests.proof.load import every
from tests.proof.serving import Serving, forms, processes
from tests.scripted import Answer, Asked, Scripted, always, job
from tests.watch import eventually

EVERY = timedelta(milliseconds=500)
SCHEDULE = Schedule(first=timedelta(0), every={timedelta(0): timedelta(seconds=3)}, deadline=timedelta(hours=1))
# The wait after the first poll of a young job that failed, in seconds: CreativeAI's own interval, less the jitter.
FIRST_WAIT = {"voice": 3 * 0.8, "video": 10 * 0.8}
PER_SECOND = 10
# How many requests one pass has on their way at once.
AT_ONCE = 8
RETRY_AFTER = 3
SKEW = timedelta(minutes=10)
DAY = timedelta(days=1)
LOOK_EVERY = 0.2
RECOVERED_WITHIN = 90.0

TOO_MANY = "rate limit"
FINISHED = job("completed", output_url="https://cdn.example/speech.mp3")


@dataclass
class Outage:
    """A provider that is away."""

    url: str
    words: str
    """What the errors of its jobs say, as a pattern."""
    servers: list[Scripted]
    mend: Callable[[], None]

    @property
    def asked(self) -> list[Asked]:
        """The requests that reached it."""
        return [asked for server in self.servers for asked in server.asked]


@dataclass
class Size:
    """Which outages, how long they last, and how many jobs of which kind each keeps waiting."""

    names: Sequence[str]
    seconds: float
    jobs: int
    kind: str


@dataclass
class Aftermath:
    """What was to be seen of an outage."""

    outage: Outage
    lasted: float
    first_wait: float
    """How long is waited at least after a job's first poll, in seconds."""
    jobs: set[str]
    errors: set[str]
    """What was said of jobs meanwhile."""
    polls: list[int]
    """How often each was asked about meanwhile."""
    log: str
    readiness: set[int]
    """What `/readyz` was answered meanwhile."""
    called_back: int
    """What a webhook was answered meanwhile."""
    effects: dict[str, int]
    """How many effects each job's end has had,"""
    runs: dict[str, int]
    """and how many runs of the handler."""
    recovery: float
    """How many seconds after its end all jobs had ended."""
    mended_at: float
    same_processes: bool


NAMES = ("refused", "errors", "limited", "fast-clock", "slow-clock", "no-name", "expired-certificate")
FORMS = forms(
    short=Size(NAMES, seconds=1, jobs=2, kind="voice"),
    # Until a request is given up that nobody answers, half a minute passes.
    full=Size([*NAMES, "hanging"], seconds=40, jobs=40, kind="video"),
)
pytestmark = pytest.mark.parametrize(
    ("store_url", "form", "seen"),
    [
        # With the store's name, lest outages of the same name come together, and with them one store after another.
        pytest.param(store, form, (store, name), id=f"{id}-{name}", marks=marks)
        for (store, form), marks, id in FORMS
        for name in form[1].names
    ],
    indirect=True,
)


class Broken:
    """Makes the outages. A context manager, until whose end they or their providers last."""

    def __init__(self, circumstances: Circumstances, authority: Authority) -> None:
        self._circumstances, self._authority = circumstances, authority
        self._opened = ExitStack()

    def __enter__(self) -> "Broken":
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def make(self, name: str) -> Outage:
        make: Callable[[], Outage] = getattr(self, f"_{name.replace('-', '_')}")
        return make()

    def _refused(self) -> Outage:
        with Scripted() as gone:
            outage = Outage(gone.url, "the call to 127.0.0.1 failed: .*Connection refused", [], lambda: None)
        outage.mend = lambda: outage.servers.append(self._serving(FINISHED, port=int(gone.url.rpartition(":")[2])))
        return outage

    def _hanging(self) -> Outage:
        over = threading.Event()
        self._opened.callback(over.set)

        def hang(path: str) -> None:
            over.wait()

        return self._answering(hang, "127.0.0.1 took too long")

    def _errors(self) -> Outage:
        return self._answering(always(Answer({"error": {"message": "no luck"}}, status=500)), "HTTP 500.*no luck")

    def _limited(self) -> Outage:
        return self._answering(always(_too_many({"Retry-After": str(RETRY_AFTER)})), TOO_MANY)

    def _fast_clock(self) -> Outage:
        return self._answering(lambda path: _too_many(_by_clock(SKEW)), TOO_MANY)

    def _slow_clock(self) -> Outage:
        return self._answering(lambda path: _too_many(_by_clock(-SKEW)), TOO_MANY)

    def _no_name(self) -> Outage:
        server = self._serving(FINISHED)
        self._circumstances.be(names_resolve=False)
        return Outage(
            server.url.replace("127.0.0.1", "localhost"),
            "the name localhost cannot be resolved",
            [server],
            lambda: self._circumstances.be(names_resolve=True),
        )

    def _expired_certificate(self) -> Outage:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.certify(tls, ends_in=-DAY)
        server = self._serving(FINISHED, tls=tls)
        words = "the call to 127.0.0.1 failed: .*certificate has expired"
        return Outage(server.url, words, [server], lambda: self._authority.certify(tls, ends_in=DAY))

    def _answering(self, answer: Callable[[str], Answer | None], words: str) -> Outage:
        server = self._serving(answer)

        def mend() -> None:
            server.answer = FINISHED

        return Outage(server.url, words, [server], mend)

    def _serving(self, answer: Callable[[str], Answer | None], **settings: Any) -> Scripted:
        return self._opened.enter_context(Scripted(answer, **settings))


def _too_many(headers: dict[str, str]) -> Answer:
    return Answer({"error": {"code": "rate_limit_exceeded"}}, status=429, headers=headers)


def _by_clock(ahead: timedelta) -> dict[str, str]:
    """When to come again, as a date by a clock that is wrong."""
    now = datetime.now(UTC) + ahead
    then = now + timedelta(seconds=RETRY_AFTER)
    return {"Date": format_datetime(now, usegmt=True), "Retry-After": format_datetime(then, usegmt=True)}


@pytest.fixture(scope="module")
def aftermath(form, tmp_path_factory, store_url):
    """Of each outage by its name."""
    folder = tmp_path_factory.mktemp("outages")
    circumstances, authority = Circumstances(folder), Authority(folder)
    with Broken(circumstances, authority) as broken:
        outages = {name: broken.make(name) for name in form.names}
        sources = {name: {"base_url": away.url, "budget": f"{PER_SECOND}/s"} for name, away in outages.items()}
        variables = {**circumstances.variables, "SSL_CERT_FILE": str(authority.file)}
        receiver = Serving(folder, store_url, sources, every=f"{EVERY.total_seconds():g}s", variables=variables)
        with receiver.serving() as process, receiver.store() as store:
            return _gone_through(receiver, process.pid, store, outages, form)


def _gone_through(
    receiver: Serving, pid: int, store: Store, outages: dict[str, Outage], size: Size
) -> dict[str, Aftermath]:
    before, began = processes(pid), time.monotonic()
    jobs = {name: {f"{name}_{size.jobs}_{number}" for number in range(size.jobs)} for name in outages}
    for name in outages:
        for job_id in jobs[name]:
            store.track(name, job_id, kind=size.kind, schedule=SCHEDULE)
    called_back = {name: receiver.post(name, f"{name}_{size.jobs}_told").status_code for name in outages}
    readiness = set(_readiness(receiver, until=began + size.seconds))
    eventually(lambda: all(any(row["last_error"] for row in _jobs(store, name)) for name in outages), within=60)
    said = _said(receiver)
    asked = {name: [row for row in said if row["source"] == name and row["job"] in jobs[name]] for name in outages}
    log, mended_at = receiver.log, time.monotonic()
    for outage in outages.values():
        outage.mend()
    recovery = {name: _recovered(receiver, name, jobs[name]) - mended_at for name in outages}
    effects, runs = receiver.effects, Counter((run["source"], run["job"]) for run in receiver.runs)
    ends = {name: [*jobs[name], f"{name}_{size.jobs}_told"] for name in outages}
    return {
        name: Aftermath(
            outage=outage,
            lasted=mended_at - began,
            first_wait=FIRST_WAIT[size.kind],
            jobs=jobs[name],
            errors={row["last_error"] for row in asked[name]} - {None},
            polls=[row["poll_count"] for row in asked[name]],
            log=log,
            readiness=readiness,
            called_back=called_back[name],
            effects={job_id: effects[name, job_id] for job_id in ends[name]},
            runs={job_id: runs[name, job_id] for job_id in ends[name]},
            recovery=recovery[name],
            mended_at=mended_at,
            same_processes=processes(pid) == before,
        )
        for name, outage in outages.items()
    }


def _readiness(receiver: Serving, *, until: float) -> Iterator[int]:
    """What it is answered again and again."""
    while True:
        yield httpx.get(f"{receiver.url}/readyz", timeout=10, trust_env=False).status_code
        if time.monotonic() > until:
            return
        time.sleep(LOOK_EVERY)


def _jobs(store: Store, source: str) -> list[dict[str, Any]]:
    return list(every(partial(store.list_jobs, JobFilter(source=source))))


def _said(receiver: Serving) -> list[dict[str, Any]]:
    """What the command says of all jobs."""
    told = receiver.run("jobs", "--limit", "1000", "--json")
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def _recovered(receiver: Serving, source: str, jobs: set[str]) -> float:
    """When the last of these jobs' ends had its effect."""
    eventually(lambda: {job for name, job in receiver.effects if name == source} >= jobs, within=RECOVERED_WITHIN)
    return max(run["at"] for run in receiver.runs if run["source"] == source and run["job"] in jobs)


@pytest.fixture(scope="module")
def seen(request, aftermath):
    """The aftermath of one outage."""
    _, name = request.param
    return aftermath[name]


@pytest.fixture
def tell(request, seen, store_name, record_property):
    """Tell a figure of an outage."""
    record_property("drill", f"provider: {request.node.callspec.params['seen'][1]}")
    record_property("store", store_name)
    return record_property


def test_its_jobs_and_the_log_say_what_is_wrong(seen, tell):
    [said, *_] = sorted(seen.errors)
    tell("said", f"“{said}”")

    assert all(re.search(seen.outage.words, error) for error in seen.errors)
    assert re.search(f"poll failed .*{seen.outage.words}", seen.log)


def test_webhooks_are_taken_meanwhile(seen, tell):
    assert (seen.readiness, seen.called_back) == ({200}, 202)


def test_it_recovers_by_itself(seen, tell):
    tell("jobs", len(seen.jobs))
    tell("lasted", f"{seen.lasted:.0f} s")
    tell("recovered after", f"{seen.recovery:.0f} s")
    tell("effects", sum(seen.effects.values()))
    tell("runs", sum(seen.runs.values()))

    assert set(seen.effects.values()) == set(seen.runs.values()) == {1}
    assert seen.same_processes


def test_it_is_not_asked_again_and_again_meanwhile(seen, tell):
    """Each wait is twice as long as the one before, or as long as was asked for, and then for all jobs."""
    tell("polls meanwhile", sum(seen.polls))
    limited = seen.outage.words == TOO_MANY
    waits = math.ceil(seen.lasted / RETRY_AFTER if limited else math.log2(1 + seen.lasted / seen.first_wait))

    assert max(seen.polls) <= 1 + waits
    assert not limited or sum(seen.polls) <= AT_ONCE * (1 + waits)


def test_there_is_no_storm_afterwards(seen, tell):
    after = [asked.at for asked in seen.outage.asked if asked.at >= seen.mended_at]
    most = max(sum(at <= other < at + 1 for other in after) for at in after)
    tell("polls afterwards", len(after))
    tell("most in a second", most)

    assert len(after) <= len(seen.jobs) + AT_ONCE
    assert most <= PER_SECOND + AT_ONCE
