"""SIGKILL in the middle of everything: nothing acknowledged is lost, nothing runs twice at the same time."""

import json
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from receiver import sandbox
from receiver.config import load
from receiver.store import Store, open_store
from receiver.store.base import DispatchFilter
from tests.running import SECRET, Running, descendants
from tests.watch import eventually

DELIVERIES = 500

HANDLER = """
import json, os, time
from pathlib import Path
from receiver import Router

router = Router()
journal = os.open(Path(__file__).with_name("journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what, context):
    line = json.dumps([what, context.idempotency_key, os.getpid(), time.monotonic()]) + "\\n"
    os.write(journal, line.encode())


@router.on()
def work(event, context):
    note("start", context)
    time.sleep(0.02)
    note("end", context)
"""


@dataclass
class Run:
    """One run of a dispatch, as the handler noted it; a killed one ends when its process did."""

    started: float
    ended: float


def post_until_acknowledged(url: str, job_id: str, deadline: float) -> str:
    """Do as a patient provider does. Returns the hash of the body that was acknowledged."""
    body = sandbox.webhook_body("video", job_id)
    while time.monotonic() < deadline:
        try:
            answer = httpx.post(
                f"{url}/webhooks/creativeai", content=body, headers=sandbox.signed(body, SECRET), timeout=10
            )
            if answer.is_success:
                return sha256(body).hexdigest()
            assert answer.status_code == 503
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{job_id} was never acknowledged")


def kill_one(pid: int, kind: str, deaths: dict[int, float]) -> None:
    victim = random.choice(found(pid, kind))  # noqa: S311 - any will do
    os.kill(victim, signal.SIGKILL)
    deaths[victim] = time.monotonic()


def kill_at_work(pid: int, store: Store, deaths: dict[int, float]) -> None:
    """Kill the worker in the middle of a dispatch: hold it still to look whether it is in one."""
    [victim] = found(pid, "receiver work")

    def held_at_work() -> bool:
        os.kill(victim, signal.SIGSTOP)
        running = store.list_dispatches(DispatchFilter(state="running"), limit=1).rows
        if not running:
            os.kill(victim, signal.SIGCONT)
        return bool(running)

    eventually(held_at_work, within=60)
    os.kill(victim, signal.SIGKILL)
    deaths[victim] = time.monotonic()


def found(pid: int, kind: str) -> list[int]:
    """The processes of that kind; waits until there is one."""
    return eventually(lambda: [child for child, command in descendants(pid).items() if kind in command], within=60)


def runs(journal: Path, deaths: dict[int, float]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    open_runs: dict[tuple[str, int], Run] = {}
    for line in journal.read_text().splitlines():
        what, key, pid, moment = json.loads(line)
        if what == "start":
            run = open_runs[key, pid] = Run(moment, deaths.get(pid, moment))
            found.setdefault(key, []).append(run)
        else:
            open_runs[key, pid].ended = moment
    return found


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """500 deliveries while web and worker processes are killed: what was acknowledged, and what ran when."""
    folder = tmp_path_factory.mktemp("kill")
    (folder / "work.py").write_text(HANDLER)
    receiver = Running(folder, '[handlers.work]\npath = "work.py"\nconcurrency = 8')
    deaths: dict[int, float] = {}
    jobs = [f"job-{number}" for number in range(DELIVERIES)]
    with (
        receiver.serving() as process,
        closing(open_store(load(receiver.config))) as store,
        ThreadPoolExecutor(8) as providers,
    ):
        deadline = time.monotonic() + 120
        acknowledged = providers.map(lambda job: post_until_acknowledged(receiver.url, job, deadline), jobs)
        for kind in ("receiver work", "gunicorn", "receiver work", "gunicorn", "receiver work"):
            heard = len(store.list_events(limit=DELIVERIES).rows)
            eventually(
                lambda heard=heard: len(store.list_events(limit=DELIVERIES).rows) >= min(heard + 40, DELIVERIES),
                within=60,
            )
            if kind == "receiver work":
                kill_at_work(process.pid, store, deaths)
            else:
                kill_one(process.pid, kind, deaths)
        hashes = dict(zip(jobs, acknowledged, strict=True))
        eventually(
            lambda: len(store.list_dispatches(DispatchFilter(state="done"), limit=1000).rows) == DELIVERIES,
            within=60,
        )
        deliveries = [store.delivery(row["id"]) for row in store.list_deliveries(limit=1000).rows]
    return hashes, deliveries, runs(folder / "journal", deaths)


def test_every_acknowledged_delivery_reads_back_with_the_same_body(aftermath):
    hashes, deliveries, _ = aftermath

    assert {sha256(row["body"]).hexdigest() for row in deliveries} >= set(hashes.values())


def test_every_event_reached_its_handler(aftermath):
    _, _, by_dispatch = aftermath

    assert len(by_dispatch) == DELIVERIES


def test_no_dispatch_ran_twice_at_the_same_time(aftermath):
    _, _, by_dispatch = aftermath

    overlapping = [
        key
        for key, all_runs in by_dispatch.items()
        for earlier, later in pairwise(all_runs)
        if later.started < earlier.ended
    ]

    assert overlapping == []


def test_killing_left_dispatches_that_were_rescued(aftermath):
    _, _, by_dispatch = aftermath

    assert any(len(all_runs) > 1 for all_runs in by_dispatch.values())
