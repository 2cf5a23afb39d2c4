"""PostgreSQL in place of SQLite: acknowledgements beside it, and dispatches by one worker, two and four."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from uuid import uuid4

import psycopg
import pytest

from bench import processes
from bench.dispatching import NOOP, STAMP, drained, starts, when_done
from bench.load import Posted, post
from bench.plan import Plan
from bench.receivers import Receiver
from bench.table import Row, Target, compared
from bench.tools import FOLDER, BenchError
from tests.brokers import RabbitMQ
from tests.postgres import Databases, Server, programs, temporary

_CONNECTIONS = 32
_PARKED = 100_000
_LEASE = 5.0
_RECOVERIES = 5
_STARTED_WITHIN = 5.0
# How long a Celery worker that gets a message again waits for one from whoever had it; see docs/celery.md.
_SIGN_OF_LIFE = 3.0
_JOBS = 200
_EVENTS_OF_A_JOB = 5
_RUN_SECONDS = 0.02
_SLOTS = 4
_DONE_WITHIN = 120.0
_LOOK_EVERY = 0.05

_EVENTS = """
    WITH numbers AS (SELECT n, n %% %(jobs)s AS job FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n)
    INSERT INTO events (source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs, data,
        recorded_at, webhook_at, routed_at)
    SELECT 'creativeai', 'bench_' || n, 'video.generation.completed', %(name)s || job, 'video', 'running',
        'processing', 'current', 'signed', 'webhook', '[]', '{}', now(), now(), %(routed_at)s::timestamptz
    FROM numbers ORDER BY n
"""
_PARK = """
    INSERT INTO dispatches (event_id, handler, source, job_id, state, idempotency_key, due_at, created_at)
    SELECT id, 'noop', source, job_id, 'pending', 'parked_' || id, now() + interval '2 days', now() FROM events
"""

_JOBS_OF_EVENTS = """
    INSERT INTO jobs (source, job_id, kind, status, raw_status, origin, created_at, updated_at, finished_at,
        deadline_at)
    SELECT source, job_id, kind, 'succeeded', 'completed', 'event', now(), now(), now(), now() FROM events ORDER BY id
"""


def measure(plan: Plan) -> list[Row]:
    """All rows about PostgreSQL but those about many events."""
    with _served() as databases:
        return [
            *_acks(databases, plan),
            *_starts(databases, plan),
            *_dispatches(databases, plan),
            *_order(databases),
            *_recovery(databases),
        ]


def measure_many(plan: Plan) -> list[Row]:
    """Whether ten million stored events make anything slower."""
    with _served() as databases:
        return _many(databases, plan)


@contextmanager
def _served() -> Iterator[Databases]:
    """Databases on a server of our own. Its settings are its own, `fsync` and `synchronous_commit` on."""
    with temporary() as folder:
        with _needed():
            found = programs()
        server = Server(folder, found, {"fsync": "on"})
        server.create()
        server.start()
        try:
            databases = Databases(server.url("postgres"))
            with databases.prepared():
                yield databases
        finally:
            server.kill()


@contextmanager
def _needed() -> Iterator[None]:
    """What the tests' servers skip or fail a test for is an error as others are.

    Raises:
        BenchError: something is not there.
    """
    try:
        yield
    # These are no `Exception`s, and would end the whole run.
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        raise BenchError(str(missing)) from None


class _Node(Receiver):
    """A receiver whose store is a database on the server."""

    def __init__(self, name: str, url: str, tables: str = "") -> None:
        super().__init__(name, tables, store=url)
        self.url = url

    def count(self, statement: str) -> int:
        """The number that a query finds."""
        with psycopg.connect(self.url) as db:
            [number] = db.execute(statement).fetchone() or [0]
        return int(number)

    def fill(self, count: int, *, jobs: int, first: int = 1, routed: bool = False, ended: bool = False) -> None:
        """Put events into the database, as many as that, of so many jobs in turn.

        `routed` ones have a dispatch that is due in two days; `ended` ones have none, and their jobs are there.
        """
        given = {
            "first": first,
            "last": first + count - 1,
            "jobs": jobs,
            "routed_at": "now" if routed or ended else None,
        }
        # Those of another call are about other jobs: for an older one of its job a dispatch would wait.
        given["name"] = f"bench_{first}_"
        with psycopg.connect(self.url) as db:
            db.execute(_EVENTS, given)
            if routed:
                db.execute(_PARK)
            if ended:
                db.execute(_JOBS_OF_EVENTS)
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute("ANALYZE")


_Worker = Callable[[_Node, Mapping[str, str]], AbstractContextManager[processes.Running]]


def _acks(databases: Databases, plan: Plan) -> list[Row]:
    """The same deliveries to two endpoints in turns."""
    posted: Mapping[str, list[Posted]] = {"sqlite": [], "postgresql": []}
    with databases.copied() as url, ExitStack() as running:
        receivers = {"sqlite": Receiver("cluster-sqlite"), "postgresql": _Node("cluster-postgresql", url)}
        requests = {name: plan.requests(f"cluster-{name}") for name in receivers}
        for name, receiver in receivers.items():
            running.enter_context(receiver.web())
            portion = requests[name].portion(plan.count(plan.warm_up))
            post(receiver.port, portion, connections=_CONNECTIONS, seconds=plan.warm_up)
        for _ in range(plan.rounds):
            for name, receiver in receivers.items():
                portion, before = requests[name].portion(plan.count(plan.seconds)), receiver.event_count
                posted[name].append(post(receiver.port, portion, connections=_CONNECTIONS, seconds=plan.seconds))
                if receiver.event_count - before < posted[name][-1].answers - posted[name][-1].refused:
                    raise BenchError(f"{name}: what was acknowledged is not stored")
    rates = {name: [run.rate for run in runs] for name, runs in posted.items()}
    p99 = {name: median(run.p99 for run in runs) for name, runs in posted.items()}
    return [
        Row(key="cluster/ack", what="durable ack on PostgreSQL, two web workers", unit="/s",
            settings=f"{_CONNECTIONS} connections; p99 {p99['postgresql']:.0f} ms, on SQLite {p99['sqlite']:.0f} ms",
            figures=rates["postgresql"], against="SQLite", ratios=compared(rates["postgresql"], rates["sqlite"]),
            target=Target(at_least=0.9)),
    ]  # fmt: skip


def _starts(databases: Databases, plan: Plan) -> list[Row]:
    with databases.copied() as url:
        waits = starts(_Node("cluster-idle", url, STAMP), plan.requests("cluster-idle"))
    settings = f"{len(waits.milliseconds)} events, a tenth of a second apart"
    return [
        Row(key=f"cluster/start-p{percent}", what=f"ack → handler starts, on PostgreSQL, idle: p{percent}",
            settings=settings, unit="ms", figures=[waits.percentile(percent)], target=Target(at_most=at_most))
        for percent, at_most in ((50, 10), (99, 50))
    ]  # fmt: skip


def _dispatches(databases: Databases, plan: Plan) -> Iterator[Row]:
    """What is stored already is routed and run by so many worker processes, which share the cores with it all."""
    count = plan.events // 50
    rates = {workers: _drained(databases, workers, count) for workers in (1, 2, 4)}
    for workers, rate in rates.items():
        yield Row(
            key=f"cluster/dispatches-{workers}", what=f"dispatches by {workers} worker(s), no-op handler", unit="/s",
            settings=f"{count:,} events, routed and run; default concurrency", figures=[rate],
            target=Target(at_least=3000) if workers == 2 else None,
        )  # fmt: skip
    parked = _drained(databases, 2, count, parked=_PARKED)
    yield Row(
        key="cluster/parked", what=f"the same by 2, with {_PARKED:,} retries parked for days", unit="/s",
        settings="", figures=[parked], against="none parked", ratios=[parked / rates[2]], target=Target(at_least=0.7),
    )  # fmt: skip


def _drained(databases: Databases, workers: int, count: int, *, parked: int = 0) -> float:
    """How many dispatches a second end between the first tenth and the last."""
    with databases.copied() as url, ExitStack() as running:
        node = _Node("cluster-workers", url, NOOP)
        if parked:
            node.fill(parked, jobs=parked, routed=True)
        node.fill(count, jobs=count, first=parked + 1)
        for _ in range(workers):
            running.enter_context(node.running("work"))
        return drained(node, count)


def _many(databases: Databases, plan: Plan) -> list[Row]:
    """Acknowledgements, and dispatches by two workers, beside an empty database."""
    many, few = 10 * plan.events, plan.events // 50
    posted: Mapping[str, list[float]] = {"full": [], "empty": []}
    with databases.copied() as full, databases.copied() as empty:
        nodes = {"full": _Node("many-full", full, NOOP), "empty": _Node("many-empty", empty, NOOP)}
        nodes["full"].fill(many, jobs=many, ended=True)
        size = nodes["full"].count("SELECT pg_database_size(current_database())")
        requests = {name: plan.requests(f"many-{name}") for name in nodes}
        with ExitStack() as serving:
            for node in nodes.values():
                serving.enter_context(node.web())
            for _ in range(plan.rounds):
                for name, node in nodes.items():
                    portion = requests[name].portion(plan.count(plan.seconds))
                    run = post(node.port, portion, connections=_CONNECTIONS, seconds=plan.seconds)
                    posted[name].append(run.rate)
        rates = {}
        for name, node in nodes.items():
            node.fill(few, jobs=few, first=many + 1)
            with ExitStack() as working:
                for _ in range(2):
                    working.enter_context(node.running("work"))
                waiting = node.count("SELECT count(*) FROM events WHERE routed_at IS NULL")
                rates[name] = drained(node, waiting)
    settings = f"{many:,} events with their jobs, {size / 2**30:.1f} GiB; empty: {median(posted['empty']):,.0f}/s"
    return [
        Row(key="many/ack", what=f"durable ack on PostgreSQL at {many:,} events", settings=settings, unit="/s",
            figures=posted["full"], against="empty", ratios=compared(posted["full"], posted["empty"])),
        Row(key="many/dispatches", what="dispatches by 2 workers there", settings="", unit="/s",
            figures=[rates["full"]], against=f"empty: {rates['empty']:,.0f}/s",
            ratios=[rates["full"] / rates["empty"]]),
    ]  # fmt: skip


def _order(databases: Databases) -> list[Row]:
    """Several events of each of many jobs: of one job one at a time, and all slots busy all the same."""
    count = _JOBS * _EVENTS_OF_A_JOB
    handler = f'[handlers.brief]\npath = "{FOLDER / "brief.py"}"\nconcurrency = {_SLOTS}\n'
    with databases.copied() as url, ExitStack() as running:
        node = _Node("cluster-order", url, handler)
        node.fill(count, jobs=_JOBS)
        for _ in range(2):
            running.enter_context(node.running("work"))
        rate = drained(node, count)
        when_done(node, count)
        late = node.count(_OUT_OF_ORDER)
    if late:
        raise BenchError(f"{late} times a dispatch ran before an older one of its job had ended")
    ideal = 2 * _SLOTS / _RUN_SECONDS
    return [
        Row(key="cluster/order", what=f"dispatches of {_JOBS} jobs, {_EVENTS_OF_A_JOB} each, in their order",
            settings=f"2 workers of {_SLOTS} slots, {_RUN_SECONDS * 1000:g} ms each", figures=[rate], unit="/s",
            against=f"ideal: {ideal:g}", ratios=[rate / ideal], target=Target(at_least=0.8)),
    ]  # fmt: skip


# An attempt takes 20 ms, so one that begins when another has ended ends 20 ms after it or later. Times are kept in
# milliseconds of the database's clock, which is not the one that the handler sleeps by: for that one is given away.
_OUT_OF_ORDER = """
    SELECT count(*) FROM dispatches AS later JOIN dispatches AS earlier
        ON earlier.job_id = later.job_id AND earlier.handler = later.handler AND earlier.id < later.id
    WHERE earlier.finished_at > later.finished_at - interval '19 milliseconds'
"""


def _recovery(databases: Databases) -> Iterator[Row]:
    """A worker is killed in mid-run while another one lives."""
    kills = f"{_RECOVERIES} kills, lease {_LEASE:g} s; the longest"
    delays = [_recovered_after(databases, _built_in) for _ in range(_RECOVERIES)]
    yield Row(
        key="cluster/recovery", what="a killed worker's dispatch runs again", settings=kills, unit="s",
        figures=[max(delays)], target=Target(at_most=_LEASE + 1),
    )  # fmt: skip
    on_celery = Row(key="cluster/recovery-celery", what="the same on Celery", settings=kills, unit="s")
    with temporary() as folder:
        try:
            with _needed():
                broker = RabbitMQ(folder)
        except BenchError as missing:
            yield replace(on_celery, absent=str(missing))
            return
        try:
            broker.start()
            worker = partial(_on_celery, broker=broker.url)
            delays = [_recovered_after(databases, worker) for _ in range(_RECOVERIES)]
        finally:
            broker.stop()
    yield replace(on_celery, figures=[max(delays)], target=Target(at_most=_SIGN_OF_LIFE + 1))


def _recovered_after(databases: Databases, worker: _Worker) -> float:
    """How long after the kill it was begun again, in seconds."""
    tables = f'[worker]\nlease = "{_LEASE:g}s"\n[handlers.held]\npath = "{FOLDER / "held.py"}"\n'
    with databases.copied() as url, ExitStack() as running:
        node = _Node("cluster-recovery", url, tables)
        begun = node.folder / "begun"
        node.fill(1, jobs=1)
        with worker(node, {"BENCH_BEGUN": str(begun)}) as victim:
            _wait_for_lines(begun, 1)
            running.enter_context(worker(node, {"BENCH_BEGUN": str(begun)}))
            # It has started once it listens for work.
            time.sleep(_STARTED_WITHIN)
            killed = time.monotonic_ns()
            processes.kill(victim)
            _wait_for_lines(begun, 2)
        return (int(begun.read_text().split()[1]) - killed) / 1e9


@contextmanager
def _built_in(node: _Node, environment: Mapping[str, str]) -> Iterator[processes.Running]:
    with node.running("work", environment=environment) as worker:
        yield worker


@contextmanager
def _on_celery(node: _Node, environment: Mapping[str, str], *, broker: str) -> Iterator[processes.Running]:
    """A Celery worker, with what feeds it."""
    environment = {**node.environment, **environment, "RECEIVER_ENGINE": "celery", "RECEIVER_CELERY__BROKER": broker}
    options = ["--concurrency", "1", "--loglevel", "WARNING", "--hostname", f"{uuid4().hex}@localhost"]
    command = [sys.executable, "-m", "celery", "-A", "receiver.engine.celery", "worker", *options]
    with (
        node.running("work", environment=environment),
        processes.started(command, log=node.folder / "celery.log", environment=environment) as worker,
    ):
        yield worker


def _wait_for_lines(file: Path, count: int) -> None:
    deadline = time.monotonic() + _DONE_WITHIN
    while time.monotonic() < deadline:
        if file.exists() and len(file.read_text().splitlines()) >= count:
            return
        time.sleep(_LOOK_EVERY)
    raise BenchError(f"{file} has no {count} lines within {_DONE_WITHIN:g} s")
