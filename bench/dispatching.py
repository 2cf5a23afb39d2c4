"""Handlers: how soon and how many, and what acknowledging costs meanwhile; and the memory all that takes."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from bench import processes
from bench.load import Portion, Requests, job_id, post, post_steadily
from bench.plan import Plan
from bench.receivers import Receiver
from bench.table import Row, Target
from bench.tools import FOLDER, BenchError

_STEADY = 300
_IDLE_EVENTS = 100
_BEGUN_WITHIN = 2.0
_IDLE_SECONDS = 8.0
_CONNECTIONS = 16
_PAUSE = 0.010
_DONE_WITHIN = 120.0
_LOOK_EVERY = 0.05
NOOP = f'[handlers.noop]\npath = "{FOLDER / "noop.py"}"\n'
"""The table of a handler that does nothing."""
STAMP = f'[handlers.stamp]\npath = "{FOLDER / "stamp.py"}"\n'
"""The table of a handler that notes when it was started."""


def measure(plan: Plan) -> list[Row]:
    """All rows about handlers, and the one about memory."""
    return [*_idle(plan), *_steady(plan), *_sustained(plan), *_stored(plan)]


@dataclass(frozen=True)
class Starts:
    """How soon handlers started after the answers, and what it cost to wait for something to do."""

    milliseconds: Sequence[float]
    idle_percent: float
    """The share of a core that web and worker took with nothing to do."""

    def percentile(self, percent: int) -> float:
        """In milliseconds."""
        return quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


def starts(receiver: Receiver, requests: Requests) -> Starts:
    """Post to a receiver that has the handler `stamp`, one delivery at a time."""
    stamps = receiver.folder / "stamps"
    acknowledged = dict[str, int]()
    with receiver.web() as web, receiver.running("work", environment={"BENCH_STAMPS": str(stamps)}) as work:
        _post_one(receiver, requests.portion(1))
        _wait_for(stamps, 1)
        # One process of the endpoint answers while others are still importing.
        time.sleep(_BEGUN_WITHIN)
        pids, before = [*web.pids, *work.pids], time.monotonic()
        spent = processes.cpu_seconds(pids)
        time.sleep(_IDLE_SECONDS)
        share = 100 * (processes.cpu_seconds(pids) - spent) / (time.monotonic() - before)
        for _ in range(_IDLE_EVENTS):
            portion = requests.portion(1)
            acknowledged[job_id(portion.first)] = _post_one(receiver, portion)
            time.sleep(random.uniform(0.02, 0.1))
        _wait_for(stamps, 1 + _IDLE_EVENTS)
    lines = [line.split() for line in stamps.read_text().splitlines()]
    return Starts([(int(at) - acknowledged[job]) / 1e6 for job, at in lines if job in acknowledged], share)


def _idle(plan: Plan) -> list[Row]:
    """From the answer to the start of the handler, with nothing else to do."""
    found = starts(Receiver("idle", STAMP), plan.requests("idle"))
    settings = f"{_IDLE_EVENTS} events, a tenth of a second apart"
    return [
        Row(key="start-p50", what="ack → handler starts, idle: p50", settings=settings, unit="ms",
            figures=[found.percentile(50)], target=Target(at_most=20)),
        Row(key="start-p99", what="ack → handler starts, idle: p99", settings=settings, unit="ms",
            figures=[found.percentile(99)], target=Target(at_most=100)),
        Row(key="idle-cpu", what="web and worker with nothing to do", settings=f"{_IDLE_SECONDS:g} s",
            unit="% of a core", figures=[found.idle_percent], target=Target(at_most=2)),
    ]  # fmt: skip


def _steady(plan: Plan) -> list[Row]:
    """Acknowledgements at a rate that a busy site has, while a worker runs handlers."""
    receiver, requests = Receiver("steady", NOOP), plan.requests("steady")
    with receiver.web(), receiver.running("work"):
        post_steadily(receiver.port, requests.portion(_STEADY), rate=_STEADY)
        runs = [
            post_steadily(receiver.port, requests.portion(int(_STEADY * plan.seconds)), rate=_STEADY)
            for _ in range(plan.rounds)
        ]
    failed = sum(run.lost + run.wrong for run in runs)
    if failed:
        raise BenchError(f"{failed} deliveries at a steady {_STEADY}/s were not acknowledged")
    settings = "open loop, counted from when each was due; no-op handler runs"
    return [
        Row(key=f"steady-p{percent}", what=f"ack at a steady {_STEADY}/s: p{percent}", settings=settings, unit="ms",
            figures=[run.percentile(percent) for run in runs], target=Target(at_most=at_most))
        for percent, at_most in ((50, 4), (99, 25))
    ]  # fmt: skip


def _sustained(plan: Plan) -> list[Row]:
    """Events through a handler, with more of them coming in all the time."""
    receiver, requests = Receiver("sustained", NOOP), plan.requests("sustained")
    rates, ingest = list[float](), list[float]()
    with receiver.web() as web, receiver.running("work") as work:
        _post(receiver, requests.portion(plan.count(2)), 2)
        for _ in range(plan.rounds):
            # Made before: to sign so many takes a second.
            portion = requests.portion(plan.count(plan.seconds))
            done, began = _done(receiver), time.monotonic()
            ingest.append(_post(receiver, portion, plan.seconds))
            rates.append((_done(receiver) - done) / (time.monotonic() - began))
        both = [max(web.children, key=lambda pid: processes.rss([pid])), work.process.pid]
        resident, shared, events = processes.rss(both), processes.pss(both), receiver.event_count
    settings = f"default concurrency; {sum(ingest) / len(ingest):,.0f}/s come in"
    load = f"after {events:,} events; {shared:.0f} MiB if shared pages are shared out"
    return [
        Row(key="noop", what="events through one no-op handler", settings=settings, unit="/s",
            figures=rates, target=Target(at_least=1000)),
        Row(key="memory", what="RSS of one web worker and the worker", settings=load, unit="MiB",
            figures=[resident], target=Target(at_most=150)),
    ]  # fmt: skip


def _stored(plan: Plan) -> list[Row]:
    """Events that are stored before the worker starts, with none coming in."""
    receiver, requests = Receiver("drain", NOOP), plan.requests("drain")
    with receiver.web():
        post(receiver.port, requests.portion(plan.count(plan.seconds)), connections=_CONNECTIONS, seconds=plan.seconds)
    count = receiver.event_count
    with receiver.running("work"):
        rate = drained(receiver, count)
    return [
        Row(key="noop-drain", what="events through one no-op handler, none coming in", unit="/s", figures=[rate],
            settings=f"default concurrency; {count:,} events stored before the worker starts"),
    ]  # fmt: skip


def drained(receiver: Receiver, count: int) -> float:
    """How many dispatches a second end, from the first tenth of so many to the last tenth.

    Raises:
        BenchError: they do not end.
    """
    began, first = when_done(receiver, count // 10)
    ended, last = when_done(receiver, count * 9 // 10)
    return (last - first) / (ended - began)


def when_done(receiver: Receiver, count: int) -> tuple[float, int]:
    """The moment at which at least so many dispatches had ended, and how many.

    Raises:
        BenchError: they do not end.
    """
    deadline = time.monotonic() + _DONE_WITHIN
    while time.monotonic() < deadline:
        now, done = time.monotonic(), _done(receiver)
        if done >= count:
            return now, done
        time.sleep(_LOOK_EVERY)
    raise BenchError(f"{count} dispatches did not end within {_DONE_WITHIN:g} s; see {receiver.folder}/receiver.log")


def _post(receiver: Receiver, portion: Portion, seconds: int) -> float:
    """Post at some eleven hundred a second, if it can take that many; how many it took a second."""
    return post(receiver.port, portion, connections=_CONNECTIONS, seconds=seconds, pause=_PAUSE).rate


def _post_one(receiver: Receiver, portion: Portion) -> int:
    """When it was acknowledged, in nanoseconds."""
    moments = list[int]()
    posted = post_steadily(receiver.port, portion, rate=1, told=lambda _: moments.append(time.monotonic_ns()))
    if posted.wrong or posted.lost:
        raise BenchError("a delivery was not acknowledged")
    return moments[0]


def _done(receiver: Receiver) -> int:
    return receiver.count("SELECT count(*) FROM dispatches WHERE state = 'done'")


def _wait_for(stamps: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if stamps.exists() and len(stamps.read_text().splitlines()) >= count:
            return
        time.sleep(0.02)
    raise BenchError("handlers were not started within 30 s")
