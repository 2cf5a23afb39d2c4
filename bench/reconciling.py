"""Asking providers: how fast what is overdue is caught up, what that costs acknowledgements, and what it never does."""

import json
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from statistics import median

from bench.load import Requests, Steady, post_steadily
from bench.plan import Plan
from bench.processes import Running
from bench.receivers import Receiver
from bench.stand_in import API_KEY
from bench.table import Row, Target
from bench.tools import FOLDER, BenchError
from receiver.models import Schedule
from receiver.store.sqlite import SQLiteStore

_ACKS = 100
_ALONE_SECONDS = 5.0
_WARM_UP = 2.0
_LONGEST_CATCH_UP = 40.0
_BUDGET = 100
_STOP_WITHIN = 30.0
_BUDGET_SECONDS = 6.0
_AT_ONCE = Schedule(first=timedelta(0), every={timedelta(0): timedelta(seconds=10)}, deadline=timedelta(hours=1))

_SOURCE = """\
[sources.{name}]
provider = "{name}"
api_key = "{key}"
base_url = "{url}"
budget = "{budget}/s"
"""
_OF_CREATIVEAI = """\
api_key = "{key}"
base_url = "{url}"
budget = "{budget}/s"
"""


def measure(plan: Plan) -> list[Row]:
    """All rows about reconciling."""
    return [*_catching_up(plan), *_within_budget()]


class _StandIn:
    """The stand-in in its process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        told = json.loads(self._line())
        self.base_url: str = told["base_url"]
        self.jobs: list[str] = told["jobs"]

    @property
    def polls(self) -> list[float]:
        """When it was asked about a job, by its own count, in seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("polls\n")
        self._process.stdin.flush()
        return sorted(json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the stand-in for the providers ended")
        return line


@contextmanager
def _stand_in(name: str, kind: str, count: int, *, seconds: float) -> Iterator[_StandIn]:
    arguments = [name, kind, str(count), str(seconds)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stand_in", *arguments],
        cwd=FOLDER.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _StandIn(process)
    finally:
        try:
            # Its standard input ends, and so does it.
            process.communicate(timeout=_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _catching_up(plan: Plan) -> list[Row]:
    """Thousands of jobs ended while nobody listened; acknowledgements go on meanwhile."""
    with _stand_in("creativeai", "batch", plan.jobs, seconds=0.001) as stand_in:
        source = _OF_CREATIVEAI.format(key=API_KEY, url=stand_in.base_url, budget=100_000)
        receiver, requests = Receiver("overdue", creativeai=source), plan.requests("overdue")
        _track(receiver, "creativeai", "video", stand_in.jobs)
        with receiver.web():
            _acks(receiver, requests, _WARM_UP)
            before = _acks(receiver, requests, _ALONE_SECONDS)
            with receiver.running("reconcile") as reconcile:
                during = _acks_while(reconcile, receiver, requests)
            after = _acks(receiver, requests, _ALONE_SECONDS)
        polls = stand_in.polls
        caught_up = receiver.count("SELECT count(*) FROM jobs WHERE status = 'succeeded' AND origin = 'track'")
    failed = sum(posted.lost + posted.wrong for posted in (before, during, after))
    if failed:
        raise BenchError(f"{failed} deliveries beside the catch-up were not acknowledged")
    alone = median([before.percentile(99), after.percentile(99)])
    rate = len(polls) / (polls[-1] - polls[0])
    settings = f"{caught_up:,} of {plan.jobs:,} jobs in {polls[-1] - polls[0]:.0f} s; the stand-in shares the cores"
    return [
        Row(key="polls", what="polls while catching up", settings=settings, figures=[rate], unit="/s",
            target=Target(at_least=300)),
        Row(key="polls-acks", what=f"ack at a steady {_ACKS}/s meanwhile: p99", unit="ms",
            settings=f"without: {before.percentile(99):.1f} ms before, {after.percentile(99):.1f} ms after",
            figures=[during.percentile(99)], against="without", ratios=[during.percentile(99) / alone],
            target=Target(at_most=1.5)),
    ]  # fmt: skip


def _acks(receiver: Receiver, requests: Requests, seconds: float) -> Steady:
    return post_steadily(receiver.port, requests.portion(int(_ACKS * seconds)), rate=_ACKS)


def _acks_while(reconcile: Running, receiver: Receiver, requests: Requests) -> Steady:
    """Those until the pass has ended, second by second."""
    began, parts = time.monotonic(), list[Steady]()
    while reconcile.process.poll() is None and time.monotonic() - began < _LONGEST_CATCH_UP:
        parts.append(_acks(receiver, requests, 1))
    latencies = [latency for part in parts for latency in part.latencies]
    return Steady(latencies, lost=sum(part.lost for part in parts), wrong=sum(part.wrong for part in parts))


def _within_budget() -> list[Row]:
    """Two loops at once want to ask more than the budget allows, at a provider that does not say what is left."""
    jobs = int(_BUDGET * (_BUDGET_SECONDS + 4))
    with _stand_in("newapi", "generations", jobs, seconds=3600) as stand_in:
        tables = _SOURCE.format(name="newapi", key=API_KEY, url=stand_in.base_url, budget=_BUDGET)
        receiver = Receiver("budget", tables)
        _track(receiver, "newapi", "generations", stand_in.jobs)
        loop = ("reconcile", "--source", "newapi", "--every", "100ms")
        with receiver.running(*loop), receiver.running(*loop):
            time.sleep(_BUDGET_SECONDS)
        polls = stand_in.polls
    most = max(bisect_left(polls, at + 1) - number for number, at in enumerate(polls))
    settings = f"{len(polls)} polls by two loops in {_BUDGET_SECONDS:g} s, {jobs} jobs due; budget {_BUDGET}/s"
    return [
        Row(key="budget", what="most polls in any second, as the stand-in counts them", settings=settings,
            figures=[most], unit="", target=Target(at_most=_BUDGET)),
    ]  # fmt: skip


def _track(receiver: Receiver, source: str, kind: str, jobs: Sequence[str]) -> None:
    """Expect them, due at once."""
    with closing(SQLiteStore(receiver.store)) as store, ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda job: store.track(source, job, kind=kind, schedule=_AT_ONCE), jobs))
