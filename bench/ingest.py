"""How many deliveries a second are acknowledged, in turns with a bare server and with what people use instead."""

import os
import sqlite3
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from statistics import median

from bench import processes, tools
from bench.load import Portion, Posted, post
from bench.peers import programs
from bench.plan import Plan
from bench.processes import Running
from bench.receivers import Receiver, empty_folder
from bench.table import Row, Target, compared
from bench.tools import BenchError

_CONNECTIONS = 32
_MANY_CONNECTIONS = 64
_KNOWN = 500
_UNDER_WAY = 0.3
_PATIENCE = 10
_SLOWER_BY_MS = 4
_PEERS = {
    "node-red": (programs.node_red, "Node-RED: verify, append to a file"),
    "gateway": (programs.gateway, "FastAPI gateway, two workers of uvicorn[standard]: verify, append to a file"),
    "plain-gateway": (programs.plain_gateway, "the same, two workers of plain uvicorn (asyncio, h11)"),
}
_TARGETS = {"bare": 0.5, "node-red": 2, "gateway": 2, "plain-gateway": 2}
_SHORT = {
    "bare": "bare Flask",
    "node-red": "Node-RED",
    "gateway": "FastAPI, uvicorn[standard]",
    "plain-gateway": "FastAPI, plain uvicorn",
    "forged": "forgeries",
}
_WEBHOOK = "adnanh/webhook: verify, start a process; stores nothing"


def measure(plan: Plan) -> list[Row]:
    """All rows of ingest."""
    return [*_side_by_side(plan), *_peer_that_starts_processes(plan), *_slow_syncs(plan)]


def _side_by_side(plan: Plan) -> list[Row]:
    posted: Mapping[str, list[Posted]] = defaultdict(list)
    spent: Mapping[str, list[float]] = defaultdict(list)
    absent = dict[str, str]()
    receiver = Receiver("ingest")
    fresh, forged = plan.requests("fresh"), plan.requests("forged", forged=True)
    with ExitStack() as running:
        web = running.enter_context(receiver.web())
        bare, port_of_bare = running.enter_context(receiver.bare())
        peers = dict[str, int]()
        for name, (start, _) in _PEERS.items():
            try:
                peers[name] = running.enter_context(start(empty_folder(name)))
            except BenchError as error:
                absent[name] = str(error)
        known, wrong = fresh.portion(_KNOWN), forged.portion(_KNOWN)
        for port in [port_of_bare, *peers.values(), receiver.port]:
            _post_all(port, known, plan.warm_up)
        memory = list[float]()
        # In turns, so that whatever else happens on the machine happens to all.
        for _ in range(plan.rounds):
            with _spending(bare, spent["bare"], posted["bare"]):
                posted["bare"].append(post(port_of_bare, known, connections=_CONNECTIONS, seconds=plan.seconds))
            for name, port in peers.items():
                posted[name].append(post(port, known, connections=_CONNECTIONS, seconds=plan.seconds))
            portion = fresh.portion(plan.count(plan.seconds))
            with _spending(web, spent["new"], posted["new"]):
                posted["new"].append(_post_new(receiver, portion, plan.seconds))
            with _spending(web, spent["known"], posted["known"]):
                posted["known"].append(_post_known(receiver, known, plan.seconds))
            with _spending(web, spent["forged"], posted["forged"]):
                posted["forged"].append(_post_forged(receiver, wrong, plan.seconds))
            with _locked(receiver):
                posted["locked"].append(_post_forged(receiver, wrong, 1))
            memory.append(processes.rss(web.children))
    answers = sum(run.answers for name in ("new", "known", "forged", "locked") for run in posted[name][1:])
    flat = Row(
        key="flat",
        what="RSS of both web workers after the last round",
        settings=f"{answers:,} deliveries later than after the first",
        figures=[memory[-1]],
        unit="MiB",
        against=f"the first: {memory[0]:.0f}",
        ratios=[memory[-1] / memory[0]],
        target=Target(at_most=1.05),
    )
    return [
        *_rows(posted),
        *_costs(spent),
        flat,
        *(Row(key=name, what=_PEERS[name][1], absent=why) for name, why in absent.items()),
    ]


def _rows(posted: Mapping[str, Sequence[Posted]]) -> Iterator[Row]:
    rates = {name: [run.rate for run in runs] for name, runs in posted.items()}
    yield Row(key="bare", what="bare Flask 204, same gunicorn settings", figures=rates["bare"], unit="/s",
              settings=_latencies(posted["bare"]))  # fmt: skip
    for name, (_, what) in _PEERS.items():
        if name in rates:
            yield Row(key=name, what=what, figures=rates[name], unit="/s", settings=_latencies(posted[name]))
    for against, at_least in _TARGETS.items():
        if against in rates:
            yield Row(
                key=f"new/{against}",
                what="durable ack of a new delivery",
                settings=_latencies(posted["new"]),
                figures=rates["new"],
                unit="/s",
                against=_SHORT[against],
                ratios=compared(rates["new"], rates[against]),
                target=Target(at_least=at_least),
            )
    others = {
        "known": ("duplicates", "bare"),
        "forged": ("forgeries", "bare"),
        "locked": ("forgeries while another holds the write lock", "forged"),
    }
    for name, (what, against) in others.items():
        yield Row(
            key=name,
            what=what,
            settings=_latencies(posted[name]),
            figures=rates[name],
            unit="/s",
            against=_SHORT[against],
            ratios=compared(rates[name], rates[against]),
            target=Target(at_least=0.8),
        )


def _costs(spent: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    """What a delivery costs, which others on the machine change far less than how many there are a second."""
    for name, what in {"new": "a new delivery", "known": "a duplicate", "forged": "a forgery"}.items():
        yield Row(
            key=f"cost/{name}",
            what=f"processor time for {what}",
            settings=f"bare Flask: {median(spent['bare']):.0f} µs",
            figures=spent[name],
            unit="µs",
            against=_SHORT["bare"],
            ratios=compared(spent[name], spent["bare"]),
        )


@contextmanager
def _spending(server: Running, spent: list[float], posted: Sequence[Posted]) -> Iterator[None]:
    """Add the processor time, in microseconds, that the server spends for each answer of the run in the block."""
    before = processes.cpu_seconds(server.pids)
    yield
    spent.append(1e6 * (processes.cpu_seconds(server.pids) - before) / posted[-1].answers)


def _peer_that_starts_processes(plan: Plan) -> list[Row]:
    """Last and by itself: what it has answered goes on running when the load has ended."""
    requests = plan.requests("webhook").portion(plan.count(1))
    try:
        with programs.webhook(empty_folder("webhook")) as port:
            runs = [post(port, requests, connections=_CONNECTIONS, seconds=2) for _ in range(plan.rounds)]
    except BenchError as error:
        return [Row(key="webhook", what=_WEBHOOK, absent=str(error))]
    settings = f"by itself; {_latencies(runs)}"
    return [Row(key="webhook", what=_WEBHOOK, settings=settings, figures=[run.rate for run in runs], unit="/s")]


def _slow_syncs(plan: Plan) -> list[Row]:
    """The same with a disk that takes milliseconds."""
    receiver, requests = Receiver("slow"), plan.requests("slow")
    counter = receiver.folder / "syncs"
    counter.write_bytes(bytes(8))
    preloaded = {
        "LD_PRELOAD": str(tools.slow_sync()),
        "SLOW_SYNC_MS": str(_SLOWER_BY_MS),
        "SLOW_SYNC_COUNT": str(counter),
    }
    runs = list[Posted]()
    with receiver.web(preloaded):
        _post_new(receiver, requests.portion(plan.count(plan.warm_up)), plan.warm_up, _MANY_CONNECTIONS)
        before = _synced(counter)
        for _ in range(plan.rounds):
            portion = requests.portion(plan.count(plan.seconds))
            runs.append(_post_new(receiver, portion, plan.seconds, _MANY_CONNECTIONS))
        syncs = _synced(counter) - before
    answers = sum(run.answers for run in runs)
    if not syncs:
        raise BenchError("no sync came through the library that slows them down: is SQLite linked in another way?")
    settings = f"{_MANY_CONNECTIONS} connections; {answers / syncs:.1f} deliveries for each of {syncs} syncs"
    what = f"durable ack, each sync {_SLOWER_BY_MS} ms slower"
    return [
        Row(key="slow", what=what, settings=settings, unit="/s",
            figures=[run.rate for run in runs], target=Target(at_least=1500)),
        Row(key="slow-p99", what=f"{what}: p99", settings=settings, unit="ms",
            figures=[run.p99 for run in runs], target=Target(at_most=60)),
        Row(key="slow-timeouts", what=f"{what}: time-outs and 503s", settings=settings,
            figures=[sum(run.timeouts + run.refused + run.broken for run in runs)], target=Target(at_most=0)),
    ]  # fmt: skip


def _post_all(port: int, portion: Portion, seconds: int) -> None:
    """Post each of them at least once."""
    for _ in range(_PATIENCE):
        if post(port, portion, connections=_CONNECTIONS, seconds=seconds).wraps:
            return
    raise BenchError(f"{portion.count} requests were not answered in {_PATIENCE * seconds} s")


def _post_new(receiver: Receiver, portion: Portion, seconds: int, connections: int = _CONNECTIONS) -> Posted:
    """Post what was never posted; every acknowledged delivery must be an event in the database afterwards."""
    before = _settled(receiver)
    posted = post(receiver.port, portion, connections=connections, seconds=seconds)
    stored = _settled(receiver) - before
    if posted.wraps:
        raise BenchError("too few requests were written; raise `most` in bench/plan.py")
    # When wrk ends, each connection has one under way.
    acknowledged = posted.answers - posted.refused
    if not acknowledged <= stored <= posted.answers + connections + 1:
        raise BenchError(f"{acknowledged} deliveries were acknowledged, and {stored} are stored")
    return posted


def _post_known(receiver: Receiver, portion: Portion, seconds: int) -> Posted:
    before = _settled(receiver)
    posted = post(receiver.port, portion, connections=_CONNECTIONS, seconds=seconds)
    if _settled(receiver) != before or posted.refused:
        raise BenchError("duplicates were stored, or refused")
    return posted


def _settled(receiver: Receiver) -> int:
    """How many events are stored, once what was under way when wrk ended has come in."""
    time.sleep(_UNDER_WAY)
    return receiver.event_count


def _post_forged(receiver: Receiver, portion: Portion, seconds: int) -> Posted:
    posted = post(receiver.port, portion, connections=_CONNECTIONS, seconds=seconds)
    if posted.refused != posted.answers:
        raise BenchError(f"{posted.answers - posted.refused} forgeries were let in")
    return posted


@contextmanager
def _locked(receiver: Receiver) -> Iterator[None]:
    """Keep everybody from writing until the end of the block."""
    with closing(sqlite3.connect(receiver.store, timeout=30, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def _latencies(runs: Sequence[Posted]) -> str:
    connections = f"{_CONNECTIONS} connections"
    return f"{connections}; p50 {median(run.p50 for run in runs):.1f} ms, p99 {median(run.p99 for run in runs):.0f} ms"


def _synced(counter: os.PathLike[str]) -> int:
    with open(counter, "rb") as file:
        [count] = struct.unpack("@L", file.read(8))
    return int(count)
