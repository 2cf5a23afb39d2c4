"""Leaves a database with work in flight, made by real processes of whichever Receiver it is run with, and prints it.

`tests/samples/databases` holds what it printed. It uses nothing but commands, settings and the sandbox's webhooks, so
that it runs with any version: `PYTHONPATH=TREE python tests/proof/in_flight.py [postgresql://…]`, in that tree.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from receiver import sandbox

SECRET = "the-signing-secret"
HINTED = "hinted"

# What became of each job's event, or what it waits for. Of those that failed, `patient` tries again, `strict` is dead.
DONE = ["vgen_done_1", "vgen_done_2"]
FAILED = ["vgen_failed_1", "vgen_failed_2"]
RUNNING = ["vgen_running_1", "vgen_running_2"]
UNROUTED = ["vgen_unrouted_1", "vgen_unrouted_2", "vgen_unrouted_3"]
OPEN = ["vgen_open_1", "vgen_open_2"]

_HANDLER = """
import time
from receiver import Router

router = Router()


@router.on()
def work(event):
    if "failed" in event.job_id:
        raise ValueError("not now")
    while "running" in event.job_id:
        time.sleep(1)
"""

_SETTINGS = """
store = "{store}"

[web]
bind = "127.0.0.1:{port}"

[sources.creativeai]
provider = "creativeai"
secrets = ["{secret}"]
api_key = "the-api-key"
base_url = "http://127.0.0.1:9"

[sources.{hinted}]
provider = "creativeai"
unsigned = true
api_key = "the-api-key"
base_url = "http://127.0.0.1:9"

[handlers.patient]
path = "work.py"
first_wait = "1m"

[handlers.strict]
path = "work.py"
max_attempts = 1
"""


def leave(folder: Path, store: str, port: int) -> None:
    """Have a receiver take, run and refuse things, and die in the middle of it."""
    (folder / "work.py").write_text(_HANDLER)
    (folder / "receiver.toml").write_text(_SETTINGS.format(store=store, port=port, secret=SECRET, hinted=HINTED))
    if store.startswith("postgresql"):
        _run(folder, "migrate")
    with _running(folder, "web") as web:
        _until(lambda: _ready(port))
        for job in DONE[:1] + DONE + FAILED:
            _post(port, job)
        with _running(folder, "work") as work:
            _until(lambda: _count(folder, "done") >= 2 * len(DONE))
            _until(lambda: _count(folder, "dead") >= len(FAILED))
            for job in RUNNING:
                _post(port, job)
            _until(lambda: _count(folder, "running") >= 2 * len(RUNNING))
            work.kill()
            work.wait()
        for job in UNROUTED:
            _post(port, job)
        _post(port, "vgen_refused", secret="another")
        _post(port, "vgen_hinted", source=HINTED)
        for job in OPEN:
            _run(folder, "track", "creativeai", job, "--kind", "video", "--metadata", '{"order": 7}')
        web.send_signal(signal.SIGTERM)
        web.wait(20)


def _post(port: int, job: str, *, source: str = "creativeai", secret: str = SECRET) -> None:
    body = sandbox.webhook_body("video", job)
    url = f"http://127.0.0.1:{port}/webhooks/{source}"
    httpx.post(url, content=body, headers=sandbox.signed(body, secret), timeout=10)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def _count(folder: Path, state: str) -> int:
    return len(_run(folder, "dispatches", "--state", state, "--json", "--limit", "100").splitlines())


def _run(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "receiver", *arguments]
    return subprocess.run(
        command, env=_environment(folder), check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout


@contextmanager
def _running(folder: Path, command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "receiver", command], env=_environment(folder), stdout=sys.stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "RECEIVER_CONFIG": str(folder / "receiver.toml")}


def _until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        if time.monotonic() > deadline:
            raise SystemExit("it does not come to that")
        time.sleep(0.1)


def _printed(store: str) -> str:
    if store.startswith("postgresql"):
        # As statements that any client can run: no COPY, no orders to psql.
        command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", store]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.splitlines()
        return "\n".join(line for line in lines if line and not line.startswith(("\\", "--", "SET ")))
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection:
        return "\n".join(connection.iterdump())


def main() -> None:
    """Print the database's statements."""
    folder = Path(tempfile.mkdtemp(prefix="in-flight-"))
    try:
        store = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/receiver.db"
        leave(folder, store, port=18765)
        sys.stdout.write(_printed(store) + "\n")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
