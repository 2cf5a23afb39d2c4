"""Whether a million stored events make anything slower, and how much room they take."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from os import environ
from statistics import median
from typing import cast

from bench import pages, processes
from bench.load import SECRET, Requests, post, request
from bench.plan import Plan
from bench.receivers import Receiver
from bench.table import Row, Target, compared
from bench.tools import BenchError
from receiver import clock, inbox
from receiver.inbox import Source
from receiver.models import Delivery
from receiver.outcomes import Decision, Outcome
from receiver.providers.creativeai import CreativeAI
from receiver.store.base import (
    DeliveryFilter,
    DispatchFilter,
    EventFilter,
    Filter,
    JobFilter,
    Page,
    Receipt,
    Record,
    RefusalFilter,
    Store,
)
from receiver.store.search import WINDOW
from receiver.store.sqlite import SQLiteStore

_CONNECTIONS = 32
_AT_ONCE = 5_000
_LIMIT = 50
_BODY_BYTES = 400
_ROUTED_WITHIN = 60.0
_TIMES = 3
_HANDLER = "noop"
_NOBODY = "vgen_of_nobody"


def measure(plan: Plan) -> list[Row]:
    """All rows about many events."""
    full, empty = Receiver("full"), Receiver("empty")
    per_event, per_dispatch, seconds = _fill(full, plan)
    rates = _rates(full, empty, plan)
    shown = [*_looking(full, empty), *pages.measure(full, plan)]
    return [*rates, *shown, *_bytes(per_event, per_dispatch, plan, seconds)]


def _rates(full: Receiver, empty: Receiver, plan: Plan) -> list[Row]:
    rates: dict[str, list[float]] = {"full": [], "empty": []}
    receivers = {"full": full, "empty": empty}
    requests = {name: plan.requests(name, first=2 * plan.events) for name in receivers}
    with full.web() as web_of_full, empty.web() as web_of_empty:
        for name, receiver in receivers.items():
            _post(receiver, requests[name], plan.warm_up, plan)
        for _ in range(plan.rounds):
            for name, receiver in receivers.items():
                rates[name].append(_post(receiver, requests[name], plan.seconds, plan))
        memory = [_memory(full, web_of_full), _memory(empty, web_of_empty)]
    what = f"at {plan.events:,} stored events"
    return [
        Row(key="full", what=f"durable ack {what}", figures=rates["full"], unit="/s",
            settings=f"{_CONNECTIONS} connections; empty: {median(rates['empty']):,.0f}/s", against="empty store",
            ratios=compared(rates["full"], rates["empty"]), target=Target(at_least=0.9)),
        Row(key="full-memory", what=f"RSS of one web worker and the worker {what}", figures=[memory[0]], unit="MiB",
            against=f"empty store: {memory[1]:.0f}", ratios=[memory[0] / memory[1]], target=Target(at_most=1.05)),
    ]  # fmt: skip


def _memory(receiver: Receiver, web: processes.Running) -> float:
    """What one web worker has, and a worker that has routed what came in."""
    with receiver.running("work") as work:
        deadline = time.monotonic() + _ROUTED_WITHIN
        while receiver.count("SELECT count(*) FROM events WHERE routed_at IS NULL"):
            if time.monotonic() > deadline:
                raise BenchError(f"what came in was not routed within {_ROUTED_WITHIN:g} s")
            time.sleep(0.1)
        return max(processes.rss([pid]) for pid in web.children) + processes.rss([work.process.pid])


def _bytes(per_event: float, per_dispatch: float, plan: Plan, seconds: float) -> list[Row]:
    filled = f"filled by the store's own code in {seconds:.0f} s, {plan.events / seconds:,.0f}/s"
    settings = f"{_BODY_BYTES} bytes of body; delivery, event, job: {per_event:,.0f}; dispatch: {per_dispatch:,.0f}"
    together = per_event + per_dispatch
    return [
        Row(
            key="bytes",
            what="bytes on disk for an event, a job and a dispatch",
            settings=f"{settings}; {filled}",
            figures=[together],
            unit="bytes",
            against="its body",
            ratios=[together / _BODY_BYTES],
            target=Target(at_most=2.5),
        )
    ]


def _looking(full: Receiver, empty: Receiver) -> list[Row]:
    """Lists, by their queries and by whole commands."""
    lists = _lists()
    with closing(SQLiteStore(full.store)) as store:
        first = {arguments: _times(partial(_ask, store, wanted, None)) for arguments, wanted in lists.items()}
        deep = {
            arguments: _times(partial(_ask, store, wanted, _middle(store, wanted)))
            for arguments, wanted in lists.items()
        }
    what = f"the query behind one page of a list, which looks at {WINDOW:,} rows at most"
    of_many = f"the slowest of {len(lists)} with a filter or without"
    slowest, deepest = _slowest(first), _slowest(deep)
    command, at_empty = _times(lambda: _run(full, ["events"])), _times(lambda: _run(empty, ["events"]))
    searched = _times(lambda: _run(full, ["events", "--text", _NOBODY]))
    return [
        Row(key="lists", what=f"{what}: the first page", settings=f"`{' '.join(slowest)}`, {of_many}",
            figures=first[slowest], unit="ms", target=Target(at_most=100)),
        Row(key="deep-lists", what=f"{what}: a page half-way down", settings=f"`{' '.join(deepest)}`, {of_many}",
            figures=deep[deepest], unit="ms", target=Target(at_most=100)),
        Row(key="commands", what="the whole command `events`",
            settings=f"on an empty store: {median(at_empty):.0f} ms", figures=command, unit="ms",
            target=Target(at_most=100)),
        Row(key="search", what="the whole command, looking in every event for what is in none",
            settings=f"`events --text {_NOBODY}`", figures=searched, unit="ms", target=Target(at_most=100)),
    ]  # fmt: skip


def _lists() -> Mapping[tuple[str, ...], Filter]:
    """What the commands of these arguments ask for; made when the store is filled, because some ask by the time."""
    minute_ago = clock.now() - timedelta(minutes=1)
    # What only a few rows have, or none, is the hardest to find.
    return {
        ("jobs",): JobFilter(),
        ("jobs", "--open"): JobFilter(open=True),
        ("jobs", "--overdue"): JobFilter(overdue=True),
        ("jobs", "--job", _NOBODY): JobFilter(job_id=_NOBODY),
        ("jobs", "--source", "other"): JobFilter(source="other"),
        ("jobs", "--kind", "image"): JobFilter(kind="image"),
        ("jobs", "--status", "succeeded"): JobFilter(status="succeeded"),
        ("jobs", "--status", "failed"): JobFilter(status="failed"),
        ("jobs", "--source", "other", "--status", "lost"): JobFilter(source="other", status="lost"),
        ("events",): EventFilter(),
        ("events", "--job", _NOBODY): EventFilter(job_id=_NOBODY),
        ("events", "--source", "other"): EventFilter(source="other"),
        ("events", "--type", "*.failed"): EventFilter(type="*.failed"),
        ("events", "--kind", "image"): EventFilter(kind="image"),
        ("events", "--status", "succeeded"): EventFilter(status="succeeded"),
        ("events", "--status", "failed"): EventFilter(status="failed"),
        ("events", "--source", "other", "--status", "succeeded"): EventFilter(source="other", status="succeeded"),
        ("events", "--state", "dead"): EventFilter(state="dead"),
        ("events", "--state", "pending"): EventFilter(state="pending"),
        ("events", "--state", "cancelled"): EventFilter(state="cancelled"),
        ("events", "--since", "1m"): EventFilter(since=minute_ago),
        ("events", "--until", "1m"): EventFilter(until=minute_ago),
        ("events", "--text", _NOBODY): EventFilter(text=_NOBODY),
        ("deliveries",): DeliveryFilter(),
        ("deliveries", "--source", "other"): DeliveryFilter(source="other"),
        ("deliveries", "--verdict", "hint"): DeliveryFilter(verdict="hint"),
        ("deliveries", "--via", "poll"): DeliveryFilter(via="poll"),
        ("deliveries", "--until", "1m"): DeliveryFilter(until=minute_ago),
        ("deliveries", "--rejected"): RefusalFilter(),
        ("dispatches",): DispatchFilter(),
        ("dispatches", "--state", "dead"): DispatchFilter(state="dead"),
        ("dispatches", "--state", "pending"): DispatchFilter(state="pending"),
        ("dispatches", "--state", "cancelled"): DispatchFilter(state="cancelled"),
        ("dispatches", "--handler", "nobody"): DispatchFilter(handler="nobody"),
        ("dispatches", "--source", "other"): DispatchFilter(source="other"),
        ("dispatches", "--event", "1"): DispatchFilter(event_id=1),
        ("dispatches", "--replay", "none"): DispatchFilter(replay_id="none"),
        ("dispatches", "--error", "nothing"): DispatchFilter(error="nothing"),
    }


def _middle(store: Store, wanted: Filter) -> int:
    """The id half-way down the table that is asked for."""
    newest = _ask(store, type(wanted)(), None).rows[:1]
    return int(newest[0]["id"]) // 2 if newest else 0


def _ask(store: Store, wanted: Filter, before: int | None) -> Page:
    match wanted:
        case JobFilter():
            return store.list_jobs(wanted, limit=_LIMIT, before=before)
        case EventFilter():
            return store.list_events(wanted, limit=_LIMIT, before=before)
        case DeliveryFilter():
            return store.list_deliveries(wanted, limit=_LIMIT, before=before)
        case RefusalFilter():
            return store.list_refusals(wanted, limit=_LIMIT, before=before)
        case DispatchFilter():
            return store.list_dispatches(wanted, limit=_LIMIT, before=before)


def _slowest(times: Mapping[tuple[str, ...], Sequence[float]]) -> tuple[str, ...]:
    return max(times, key=lambda arguments: median(times[arguments]))


def _times(work: Callable[[], object]) -> list[float]:
    """How long it takes, in milliseconds, a few times, when what it reads has been read before."""
    work()
    taken = list[float]()
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def _run(receiver: Receiver, arguments: Sequence[str]) -> None:
    command = receiver.command(*arguments, "--limit", str(_LIMIT))
    done = subprocess.run(command, env={**environ, **receiver.environment}, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(arguments)}` failed: {done.stderr.strip()}")


def _fill(receiver: Receiver, plan: Plan) -> tuple[float, float, float]:
    """Store as many events as the plan says; gives the bytes for each, those for each dispatch, and the seconds."""
    began, dispatched = time.monotonic(), max(plan.events // 50, _AT_ONCE)
    # One process verifies and parses what the other stores. It is started first: no database goes through a fork.
    with get_context("fork").Pool(1) as pool, closing(SQLiteStore(receiver.store)) as store:
        empty = receiver.bytes_on_disk
        coming = pool.apply_async(_records, (0,))
        for first in range(0, plan.events, _AT_ONCE):
            records = coming.get()
            coming = pool.apply_async(_records, (first + _AT_ONCE,))
            _store_all(store, records, routed=first < plan.events - dispatched)
        seconds, stored = time.monotonic() - began, receiver.bytes_on_disk
        _dispatch_rest(store)
        return (stored - empty) / plan.events, (receiver.bytes_on_disk - stored) / dispatched, seconds


class _Collector:
    """What the inbox takes for the store: it keeps the records, to be stored many at a time."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def receive(self, record: Record) -> Receipt:
        """Keep it."""
        self.records.append(record)
        return Receipt(delivery_id=0, repeated=False)


def _records(first: int) -> list[Record]:
    """What the endpoint would hand to the store for the requests of these numbers."""
    source, collector = Source("creativeai", CreativeAI(secrets=[SECRET])), _Collector()
    for number in range(first, first + _AT_ONCE):
        inbox.accept(source, _delivery(number), store=cast(Store, collector), now=clock.now())
    return collector.records


def _delivery(number: int) -> Delivery:
    head, _, body = request(number).partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    headers = {name.lower(): value for name, _, value in lines}
    return Delivery(
        source="creativeai", body=body, headers=headers, received_at=clock.now(), path="/webhooks/creativeai"
    )


def _store_all(store: SQLiteStore, records: Sequence[Record], *, routed: bool) -> None:
    """Store them in one commit, by the code that stores each; only here are there so many at once."""
    receipts = store._writer.run(lambda db: store._receive(db, records))
    if routed:
        store.route({event.id: [] for receipt in receipts for event in receipt.events if event.id is not None})


def _dispatch_rest(store: SQLiteStore) -> None:
    """Have a handler done with the events that are not routed yet."""
    while events := store.unrouted(_AT_ONCE):
        store.route({event.id: [_HANDLER] for event in events if event.id is not None})
    done = Outcome(decision=Decision.DONE)
    with ThreadPoolExecutor(32) as pool:
        while claims := store.claim({_HANDLER: 256}, lease=timedelta(minutes=1), worker="bench"):
            list(pool.map(lambda claim: store.finish(claim, done), claims))


def _post(receiver: Receiver, requests: Requests, seconds: int, plan: Plan) -> float:
    posted = post(receiver.port, requests.portion(plan.count(seconds)), connections=_CONNECTIONS, seconds=seconds)
    if posted.wraps or posted.refused:
        raise BenchError("too few requests were written, or some were refused")
    return posted.rate
