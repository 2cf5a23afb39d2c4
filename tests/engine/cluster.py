"""Processes that run handlers, over a store into which a test puts events."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from receiver.config import load
from receiver.models import Event
from receiver.store import open_store
from receiver.store.base import Row
from tests.running import descendants
from tests.store.contract import a_record
from tests.toml import assignments
from tests.watch import eventually

_NUMBERS = itertools.count(1)

HANDLER = '''\
"""Notes what it was called for; waits or fails, as the event says."""
import os
import time
from pathlib import Path
from receiver import RetryAfter, Router

router = Router()


@router.on()
def note(event, context):
    folder = Path(__file__).parent
    with open(folder / "noted.txt", "a") as file:
        file.write(f"{event.data['name']} {context.attempt} {os.getpid()} {time.time()}\\n")
    deadline = time.monotonic() + 60
    while event.data.get("waits") and not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if context.attempt <= event.data.get("fails", 0):
        raise RetryAfter(1)
    with open(folder / "noted.txt", "a") as file:
        file.write(f"{event.data['name']} end {os.getpid()} {time.time()}\\n")
'''


class Note(NamedTuple):
    """One line of the handler's: what it was called for, in which attempt (or "end"), where and when."""

    name: str
    attempt: str
    pid: int
    at: float


class Cluster:
    """A folder with a configuration and a handler, the store, and processes that are gone at the end."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        (folder / "note.py").write_text(HANDLER)
        tables = {"worker": {"lease": "2s"}, "handlers": {"note": {"path": "note.py", "timeout": "6s"}}, **settings}
        self.config = folder / "receiver.toml"
        self.config.write_text(assignments(tables))
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> "Cluster":
        self.store = self._opened.enter_context(contextlib.closing(open_store(load(self.config))))
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def start(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a program of Python's, such as `receiver work`, until the end of the test."""
        return self._opened.enter_context(self._started(command, environment or {}))

    @contextmanager
    def _started(self, command: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env={**os.environ, "RECEIVER_CONFIG": str(self.config), **environment},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            kill(process)

    @property
    def log(self) -> str:
        """What the processes have printed."""
        return (self.folder / "log").read_text()

    def receive(self, *events: Event) -> None:
        for event in events:
            self.store.receive(a_record(event))

    def go(self) -> None:
        """Let handlers that wait end."""
        (self.folder / "go").touch()

    def notes(self, *, ends: bool = False) -> list[Note]:
        """When the handler was called, in this order; or when it ended."""
        file = self.folder / "noted.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [Note(name, attempt, int(pid), float(at)) for name, attempt, pid, at in map(str.split, lines)]
        return [note for note in found if (note.attempt == "end") is ends]

    def rows(self) -> list[Row]:
        """The dispatches, oldest first."""
        return self.store.list_dispatches(limit=1000).rows[::-1]

    def attempts(self) -> list[Row]:
        """The attempts of all dispatches."""
        return [attempt for row in self.rows() for attempt in self.store.list_attempts(row["id"])]

    def states(self) -> list[str]:
        return [row["state"] for row in self.rows()]

    def wait_for(self, count: int, state: str = "done", *, within: float = 30) -> None:
        """Wait until so many dispatches are in a state."""
        eventually(lambda: self.states().count(state) >= count, within=within)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and all that it has started, at once."""
    family = [process.pid, *descendants(process.pid)] if process.poll() is None else []
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def start_worker(cluster: Cluster, *options: str, processes: int = 2) -> subprocess.Popen[bytes]:
    """A Celery worker, as teams start it: each node needs a name of its own."""
    fixed = ["-A", "receiver.engine.celery", "worker", f"--hostname=node{next(_NUMBERS)}@%h"]
    return cluster.start("celery", *fixed, f"--concurrency={processes}", *options)
