"""Several real processes that share a database on a server, as the nodes of a cluster do."""

import contextlib
import json
from collections import Counter
from contextlib import closing
from datetime import timedelta

import httpx
import psycopg
import pytest

from receiver import sandbox
from receiver.config import load
from receiver.models import Schedule
from receiver.store import open_store
from receiver.store.base import DispatchFilter
from tests import aging
from tests.circumstances import Circumstances
from tests.running import SECRET, Running
from tests.scripted import Answer, Scripted, always, job
from tests.store.contract import an_event, dead
from tests.watch import eventually

HANDLER = '''\
"""Notes what it was called for, and in which process."""
import os
from pathlib import Path
from receiver import Router
router = Router()
@router.on("creativeai")
def note(event):
    with open(Path(__file__).with_name("noted.txt"), "a") as file:
        file.write(f"{event.job_id} {os.getpid()}\\n")
'''
TABLES = """
[handlers.note]
path = "note.py"
"""


@pytest.fixture
def running(tmp_path, postgres_url, monkeypatch):
    monkeypatch.setenv("RECEIVER_STORE", postgres_url)
    (tmp_path / "note.py").write_text(HANDLER)
    return Running(tmp_path, TABLES)


@pytest.fixture
def store(running):
    with closing(open_store(load(running.config))) as opened:
        yield opened


def post(running, job_id):
    body = sandbox.webhook_body("video", job_id)
    return httpx.post(
        f"{running.url}/webhooks/creativeai", content=body, headers=sandbox.signed(body, SECRET), timeout=10
    )


def noted(running):
    """For which jobs the handler was called, and by which processes."""
    file = running.folder / "noted.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def test_a_webhook_reaches_the_handler(running):
    with running.serving():
        assert post(running, "job_1").status_code == 202
        assert post(running, "job_1").status_code == 200

        assert eventually(lambda: [job for job, _ in noted(running)]) == ["job_1"]


def test_workers_share_the_work_and_do_none_of_it_twice(running, store):
    jobs = [f"job_{number}" for number in range(60)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running.serving())
        for _ in range(2):
            stack.enter_context(running.running("work"))
        for job in jobs:
            post(running, job)

        eventually(lambda: len(noted(running)) >= len(jobs) and not store.waiting(), within=30)

    assert Counter(job for job, _ in noted(running)) == dict.fromkeys(jobs, 1)
    rows = store.list_dispatches(DispatchFilter(state="done"), limit=100).rows
    assert len(rows) == len(jobs)


def test_a_node_whose_clock_is_ahead_gives_up_no_job(tmp_path, running, store, monkeypatch):
    minutes = Schedule(first=timedelta(0), every={timedelta(0): timedelta(0)}, deadline=timedelta(minutes=5))
    for name, value in Circumstances(tmp_path, clock_ahead=600).variables.items():
        monkeypatch.setenv(name, value)
    with Scripted(job("processing")) as provider:
        ahead = Running(tmp_path, TABLES, base_url=provider.url)
        store.track("creativeai", "job_1", kind="video", schedule=minutes)

        ahead.run("reconcile")

        assert provider.paths == ["/v1/video/generations/job_1"]
    assert store.job("creativeai", "job_1").finished_at is None


def test_of_two_loops_one_tells_of_an_alert(tmp_path, running, store, postgres_url):
    dead(store, an_event())
    with Scripted(always(Answer())) as people:
        hook = f"json://{people.url.removeprefix('http://')}"
        alerted = Running(tmp_path, f'{TABLES}\n[alerts]\nurls = ["{hook}"]')
        with alerted.running("reconcile", "--every", "200ms"), alerted.running("reconcile", "--every", "200ms"):
            eventually(lambda: any(alert.told_at for alert in store.alerts()), within=30)
            looked_at = last_look(postgres_url)
            aging.let_pass_in_postgres(postgres_url, 61)
            eventually(lambda: last_look(postgres_url) > looked_at, within=30)

    [told] = [json.loads(asked.body)["message"] for asked in people.asked]
    assert told.startswith("archive has 1 dead letters")


def last_look(url):
    """When one of the loops took its turn to look for alerts, in seconds of the database's clock."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT extract(epoch FROM taken_at) FROM turns WHERE name = 'alerts'").fetchone()[0]


def test_nobody_is_shown_the_password(running, monkeypatch):
    monkeypatch.setenv("RECEIVER_STORE", "postgresql://me:hush-hush@127.0.0.1:1/receiver")

    checked = running.run("check", "--offline")

    assert checked.returncode == 1
    assert "127.0.0.1" in checked.stdout
    assert "hush" not in checked.stdout + checked.stderr
