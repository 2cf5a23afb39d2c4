"""`receiver serve` from end to end: real processes, a stand-in for the provider, and handlers in files."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from datetime import timedelta

import httpx
import pytest

from receiver import sandbox
from receiver.config import load
from receiver.models import Schedule
from receiver.sandbox import Conditions, Sandbox
from receiver.store import open_store
from tests.postgres import running as running_postgres
from tests.running import API_KEY, SECRET, Running, descendants, eventually

NOTHING, HOUR = timedelta(0), timedelta(hours=1)
LATER = Schedule(first=HOUR, every={NOTHING: HOUR}, deadline=HOUR)
DUE = Schedule(first=NOTHING, every={NOTHING: HOUR}, deadline=HOUR)

ORDERS = '''\
"""A handler of ten lines."""
from pathlib import Path
from receiver import Router
router = Router()
@router.on("creativeai", "video.generation.completed")
def done(event, context):
    with open(Path(__file__).with_name("orders.txt"), "a") as file:
        file.write(f"{event.job_id} {event.via} {context.job.metadata.get('order')}\\n")
'''

SLOW = """
import os, time
from pathlib import Path
from receiver import Router

router = Router()
here = Path(__file__).parent


@router.on(kind="voice")
def wait(event):
    (here / f"{event.job_id}.started").write_text(str(os.getpid()))
    while not (here / f"{event.job_id}.go").exists():
        time.sleep(0.02)
"""

TABLES = """
[reconcile]
every = "200ms"

[handlers.orders]
path = "orders/orders.py"

[handlers.slow]
path = "orders/slow.py"
concurrency = 1
"""


@pytest.fixture(scope="module")
def provider():
    with Sandbox(Conditions(duration=NOTHING), secret=SECRET, api_key=API_KEY) as served:
        yield served


@pytest.fixture(scope="module")
def running(tmp_path_factory, provider):
    """A receiver that runs, with handlers in a folder that only its configuration knows; tests keep apart by jobs."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "orders").mkdir()
    (folder / "orders" / "orders.py").write_text(ORDERS)
    (folder / "orders" / "slow.py").write_text(SLOW)
    receiver = Running(folder, TABLES, base_url=provider.base_urls["creativeai"])
    with receiver.serving():
        yield receiver


@pytest.fixture
def served(running):
    """Its store."""
    with closing(open_store(load(running.config))) as opened:
        yield opened


def post(url, job_id, *, kind="video"):
    body = sandbox.webhook_body(kind, job_id)
    return httpx.post(f"{url}/webhooks/creativeai", content=body, headers=sandbox.signed(body, SECRET), timeout=10)


def create(provider, running, store, *, fate="", order=None):
    """Create a job as an application would, and track it."""
    answer = httpx.post(
        f"{provider.base_urls['creativeai']}/v1/video/generations",
        json={"prompt": "a scene", "webhook_url": f"{running.url}/webhooks/creativeai"},
        headers={"Authorization": f"Bearer {API_KEY}", "X-Sandbox": fate},
    ).json()
    store.track("creativeai", answer["id"], kind="video", schedule=DUE, metadata={"order": order})
    return answer["id"]


def orders(running, job_id):
    """What the handler wrote about a job."""
    file = running.folder / "orders" / "orders.txt"
    return [line for line in file.read_text().splitlines() if line.startswith(f"{job_id} ")] if file.exists() else []


def dispatches(store, job_id):
    rows = store.list_dispatches(limit=1000).rows
    return [row for row in rows if row["job"] == job_id]


def test_a_webhook_reaches_the_handler(running, served):
    served.track("creativeai", "from_webhook", kind="video", schedule=LATER, metadata={"order": 17})

    post(running.url, "from_webhook")

    eventually(lambda: orders(running, "from_webhook") == ["from_webhook webhook 17"])


def test_a_lost_webhook_reaches_the_handler_too(running, served, provider):
    job_id = create(provider, running, served, fate="lost", order=18)

    eventually(lambda: orders(running, job_id) == [f"{job_id} poll 18"])


def test_a_webhook_that_comes_twice_runs_the_handler_once(running, served):
    answers = [post(running.url, "twice").status_code for _ in range(2)]
    eventually(lambda: all(row["finished_at"] for row in dispatches(served, "twice")) and orders(running, "twice"))

    assert answers == [202, 200]
    assert len(orders(running, "twice")) == 1


def test_webhook_and_poll_of_one_job_run_the_handler_once(running, served, provider):
    job_ids = [create(provider, running, served, fate="doubled") for _ in range(5)]

    eventually(lambda: all(orders(running, job_id) for job_id in job_ids))
    eventually(lambda: all(served.job("creativeai", job_id).finished_at for job_id in job_ids))

    assert [len(dispatches(served, job_id)) for job_id in job_ids] == [1] * 5


def test_the_endpoint_answers_while_a_handler_blocks(running, served):
    started = running.folder / "orders" / "blocking.started"
    post(running.url, "blocking", kind="voice")
    eventually(started.exists)

    answer = post(running.url, "meanwhile")

    assert answer.status_code == 202
    started.with_suffix(".go").touch()
    eventually(lambda: dispatches(served, "blocking")[0]["state"] == "done")


def test_another_worker_on_the_same_store_shares_the_work(running, served):
    folder = running.folder / "orders"
    names = ["shared_1", "shared_2"]
    command = [sys.executable, "-m", "receiver", "work"]
    with subprocess.Popen(command, env=running.environment, stderr=subprocess.DEVNULL) as worker:
        for name in names:
            post(running.url, name, kind="voice")

        eventually(lambda: all((folder / f"{name}.started").exists() for name in names))

        for name in names:
            (folder / f"{name}.go").touch()
        eventually(lambda: all(dispatches(served, name)[0]["state"] == "done" for name in names))
        worker.terminate()

    assert len({(folder / f"{name}.started").read_text() for name in names}) == 2


def test_handlers_may_be_modules_beside_the_configuration(tmp_path):
    (tmp_path / "my_handlers").mkdir()
    (tmp_path / "my_handlers" / "orders.py").write_text(ORDERS)
    receiver = Running(tmp_path, '[handlers.orders]\nmodule = "my_handlers.orders"')
    with receiver.serving():
        post(receiver.url, "from_a_module")

        eventually((tmp_path / "my_handlers" / "orders.txt").exists)


def test_it_stops_with_all_its_processes(tmp_path):
    receiver = Running(tmp_path, "")
    with receiver.serving() as process:
        below = descendants(process.pid)

    assert len(below) >= 3
    assert [pid for pid in below if os.path.exists(f"/proc/{pid}")] == []


def test_it_says_where_webhooks_go(running):
    assert f"webhooks of creativeai: {running.url}/webhooks/creativeai" in running.log


def test_it_says_so_of_no_source_whose_provider_sends_none(tmp_path):
    receiver = Running(tmp_path, '[sources.quiet]\nprovider = "kpainter"\napi_key = "key"')
    with receiver.serving():
        pass

    assert "webhooks of quiet" not in receiver.log


def test_a_port_that_is_taken_is_an_error(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "receiver.toml").write_text(f'[web]\nbind = "127.0.0.1:{taken.getsockname()[1]}"')

        result = serve(tmp_path)

    assert result.returncode == 1
    assert "in use" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("receiver: web ended with status ")


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        pytest.param("colour = 1", "colour: unknown key", id="unknown-key"),
        pytest.param('[sources.a]\nprovider = "none"', "sources.a.provider", id="provider"),
        pytest.param('[handlers.a]\npath = "broken.py"', "handlers.a: cannot be imported", id="handler"),
        pytest.param('store = "sqlite:///none/receiver.db"', "store: the folder", id="store"),
    ],
)
def test_a_broken_configuration_starts_nothing(tmp_path, tables, error):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    (tmp_path / "receiver.toml").write_text(tables)

    result = serve(tmp_path)

    assert result.returncode == 2
    assert [error in line for line in result.stderr.splitlines()] == [True]


def test_a_broken_handler_does_not_keep_the_endpoint_from_starting(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    receiver = Running(tmp_path, '[handlers.a]\npath = "broken.py"')

    with receiver.running("web") as process:
        eventually(lambda: receiver.ready() or process.poll() is not None, within=30)

        assert process.poll() is None, receiver.log


def test_a_process_of_the_endpoint_may_begin_while_the_store_is_away(tmp_path):
    with running_postgres() as server:
        receiver = Running(tmp_path, "", settings={"store": server.url("postgres"), "commit_timeout": "1s"})
        assert receiver.run("migrate").returncode == 0
        with receiver.serving() as process:
            endpoint = next(pid for pid, command in descendants(process.pid).items() if "gunicorn.conf.py" in command)
            before = descendants(endpoint)
            server.stop()
            for pid in before:
                os.kill(pid, signal.SIGKILL)

            eventually(lambda: answered(f"{receiver.url}/healthz") == 200, within=30)
            assert post(receiver.url, "meanwhile").status_code == 503
            assert answered(f"{receiver.url}/readyz") == 503

            server.start()
            eventually(receiver.ready, within=30)
            assert [post(receiver.url, f"afterwards_{number}").status_code for number in range(8)] == [202] * 8
            assert len(descendants(endpoint)) == len(before)
            assert not set(descendants(endpoint)) & set(before)


def test_its_log_can_be_read_by_programs(tmp_path):
    receiver = Running(tmp_path, "")
    receiver.config.write_text(f'log_format = "json"\n{receiver.config.read_text()}')
    with receiver.serving():
        post(receiver.url, "logged")

    [recorded] = [line for line in receiver.log.splitlines() if "event recorded" in line]
    assert json.loads(recorded)["job"] == "logged"


def answered(url):
    """The status of the answer; none if nobody is there."""
    try:
        return httpx.get(url, timeout=10).status_code
    except httpx.TransportError:
        return None


def serve(folder):
    """Run it where it cannot run."""
    return subprocess.run(
        [sys.executable, "-m", "receiver", "serve"],
        cwd=folder,
        env={**os.environ, "RECEIVER_WEB__WORKERS": "1", "RECEIVER_ADMIN__ENABLED": "false"},
        capture_output=True,
        text=True,
        timeout=120,
    )
