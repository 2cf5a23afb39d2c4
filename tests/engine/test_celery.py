"""Celery workers: the contract of all engines, then what is their own."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from receiver.running import free_port
from tests.brokers import PASSWORD
from tests.engine.cluster import kill, start_worker
from tests.engine.contract import EngineContract, named
from tests.running import descendants
from tests.watch import eventually


class TestCelery(EngineContract):
    @pytest.fixture
    def cluster(self, fed):
        return fed

    def start_workers(self, cluster):
        return start_worker(cluster)


@pytest.mark.drill
def test_flower_shows_workers_and_what_they_ran(fed, rabbitmq):
    start_worker(fed, "--task-events")
    address = f"127.0.0.1:{free_port()}"
    host, _, port = address.partition(":")
    fed.start(
        "celery", "--broker", rabbitmq.url, "flower", f"--address={host}", f"--port={port}",
        environment={"FLOWER_UNAUTHENTICATED_API": "true"},
    )  # fmt: skip
    eventually(lambda: asked(f"http://{address}/api/workers?refresh=true"), within=30)

    fed.receive(*[named(f"event_{number}") for number in range(5)])
    fed.wait_for(5)

    shown = eventually(lambda: asked(f"http://{address}/api/tasks?state=SUCCESS"), within=30)
    assert {run["name"] for run in shown.values()} == {"receiver.run"}
    assert eventually(lambda: len(asked(f"http://{address}/api/tasks?state=SUCCESS")) == 5, within=30)


def asked(url):
    """What Flower's API answers; nothing before it listens."""
    try:
        return httpx.get(url, timeout=5).raise_for_status().json()
    except httpx.TransportError:
        return {}


# Those that die


@pytest.mark.parametrize("whole", [True, False], ids=["worker", "process"])
def test_what_a_killed_worker_ran_does_not_wait_for_its_lease(patient, whole):
    workers = [start_worker(patient, processes=1), start_worker(patient, processes=1)]
    patient.receive(named("event", waits=True))
    [note] = eventually(patient.notes, within=30)

    if whole:
        [worker] = [worker for worker in workers if note.pid in descendants(worker.pid)]
        kill(worker)
    else:
        os.kill(note.pid, signal.SIGKILL)
    killed_at = time.time()
    eventually(lambda: len(patient.notes()) == 2, within=30)
    patient.go()

    assert patient.notes()[1].at - killed_at < 20
    patient.wait_for(1)


@pytest.mark.drill
def test_a_broker_that_restarts_in_the_middle_of_the_work_loses_nothing(patient, rabbitmq):
    for _ in range(2):
        start_worker(patient)
    patient.receive(named("long", waits=True), *[named(f"event_{number}") for number in range(5)])
    eventually(lambda: "long" in {note.name for note in patient.notes()}, within=30)

    rabbitmq.stop()
    patient.receive(*[named(f"later_{number}") for number in range(5)])
    rabbitmq.start()
    patient.wait_for(10, within=60)
    patient.go()
    patient.wait_for(11)

    # The one that ran meanwhile was handed out again, and left to whoever had it.
    assert Counter(note.name for note in patient.notes())["long"] == 1
    assert len(patient.notes()) == 11


# What they are told


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--pool", "threads"], id="threads"),
        pytest.param(["--pool", "solo"], id="solo"),
        pytest.param(["--autoscale", "3,1"], id="autoscale"),
    ],
)
def test_other_pools_work(fed, options):
    start_worker(fed, *options)

    fed.receive(*[named(f"event_{number}") for number in range(5)])
    fed.wait_for(5)

    assert len(fed.notes()) == 5


def test_an_isolated_handler_is_killed_at_the_end_of_its_time(make_cluster, settings):
    isolated = make_cluster(**settings, handlers={"note": {"path": "note.py", "timeout": "3s", "isolated": True}})
    isolated.start("receiver", "work")
    start_worker(isolated)

    isolated.receive(named("event", waits=True))
    eventually(lambda: isolated.rows() and isolated.rows()[0]["error"], within=30)

    assert isolated.rows()[0]["error"] == "took longer than 3 s"
    [note] = isolated.notes()
    eventually(lambda: not Path(f"/proc/{note.pid}").exists())


@pytest.mark.drill
def test_a_worker_with_too_many_runs_that_never_end_is_replaced(make_cluster, settings):
    stuck = make_cluster(**settings, handlers={"note": {"path": "note.py", "timeout": "10ms", "park_after": 1000}})
    stuck.start("receiver", "work")
    start_worker(stuck, processes=1)

    stuck.receive(*[named(f"event_{number}", waits=True) for number in range(30)])

    eventually(lambda: len({note.pid for note in stuck.notes()}) == 2, within=60)


def test_nobody_is_shown_the_password(fed, rabbitmq):
    start_worker(fed)
    fed.receive(named("event"))
    fed.wait_for(1)

    assert PASSWORD not in fed.log
