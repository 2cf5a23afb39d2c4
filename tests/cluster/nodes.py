"""Nodes of a cluster on this machine: each an endpoint, a worker and a reconciler, over one PostgreSQL."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from receiver import sandbox
from receiver.config import load
from receiver.running import free_port
from receiver.store import open_store
from tests.proof.load import Journal, Run
from tests.running import SECRET, descendants
from tests.store.contract import at_once
from tests.toml import assignments
from tests.watch import eventually

LEASE = 2.0

_COMMANDS = {
    "web": ("receiver", "web"),
    "work": ("receiver", "work"),
    "reconcile": ("receiver", "reconcile", "--every", "200ms"),
}
_CELERY = ("celery", "-A", "receiver.engine.celery", "worker", "--concurrency", "8", "--loglevel", "WARNING")
_PATIENCE = 3.0
_RUN = timedelta(milliseconds=100)


@dataclass
class Trouble:
    """What was done to processes, and when, in seconds of the monotonic clock."""

    killed: dict[int, float] = field(default_factory=dict)
    frozen: list[tuple[frozenset[int], float, float]] = field(default_factory=list)

    def was_frozen(self, pid: int, moment: float) -> bool:
        """Whether a process was frozen then, or had been for so long that its lease had ended."""
        return any(pid in pids and began <= moment <= ended + LEASE for pids, began, ended in self.frozen)


class Program:
    """One command of one node, started again by hand as a service manager would."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, *, runs_handlers: bool
    ) -> None:
        self.runs_handlers = runs_handlers
        self._command, self._environment, self._log = command, environment, log
        self._start()

    def _start(self) -> None:
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self._command], env=self._environment, stdout=log, stderr=log
            )

    @property
    def family(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    def kill(self, trouble: Trouble) -> None:
        """End it and all that it has started, as the kernel does when memory is short; start it again."""
        for pid in self.family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            trouble.killed[pid] = time.monotonic()
        self.process.wait()
        self._start()

    def freeze(self, trouble: Trouble, seconds: float) -> None:
        """Hold it still for a while, then let it go on."""
        family, began = self.family, time.monotonic()
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            eventually(lambda: time.monotonic() > began + seconds, within=seconds + 5)
        finally:
            trouble.frozen.append((frozenset(family), began, time.monotonic()))
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        family = self.family if self.process.poll() is None else []
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Node:
    """One machine's share."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        folder.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.config = folder / "receiver.toml"
        tables = {**settings, "web": {"bind": self.url.removeprefix("http://")}}
        self.config.write_text(assignments(tables))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RECEIVER_")}
        self._environment = {**inherited, **environment, "RECEIVER_CONFIG": str(self.config)}
        commands, runs_handlers = dict(_COMMANDS), "work"
        if settings.get("engine") == "celery":
            commands["celery"], runs_handlers = (*_CELERY, "--hostname", f"{folder.name}@%h"), "celery"
        self.programs = {
            role: Program(command, self._environment, folder / f"{role}.log", runs_handlers=role == runs_handlers)
            for role, command in commands.items()
        }

    def ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=_PATIENCE).is_success
        return False

    def stop(self) -> None:
        for program in self.programs.values():
            program.stop()


class Nodes:
    """Two nodes, what was posted to them and acknowledged, and what ran."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, second: Mapping[str, str]) -> None:
        """`second` are variables of the second node's only."""
        handler = {"path": str(folder / "work.py"), "concurrency": 16}
        tables = {"worker": {"lease": f"{LEASE:g}s"}, "handlers": {"work": handler}, **settings}
        self.nodes = [Node(folder / "a", tables, {}), Node(folder / "b", tables, second)]
        self._journal = Journal(folder, run=_RUN)
        # A new client for each request would spend its time reading certificates.
        self._client = httpx.Client(timeout=_PATIENCE, trust_env=False)

    @contextmanager
    def open(self) -> Iterator["Nodes"]:
        try:
            with self._client, closing(open_store(load(self.nodes[0].config))) as self.store:
                eventually(lambda: all(node.ready() for node in self.nodes), within=60)
                yield self
        finally:
            for node in self.nodes:
                node.stop()

    def post_until_acknowledged(self, job_id: str, *, within: float) -> bytes:
        """Do as a patient provider behind a balancer does, and give the body."""
        body, deadline = sandbox.webhook_body("video", job_id), time.monotonic() + within
        while time.monotonic() < deadline:
            if self._post(random.choice(self.nodes), body):  # noqa: S311 - any will do
                return body
            time.sleep(0.05)
        raise AssertionError(f"{job_id} was never acknowledged")

    def post_to_both(self, job_id: str) -> list[bool]:
        """Post the same to both nodes at the same moment. Whether each acknowledged it."""
        body = sandbox.webhook_body("video", job_id)
        return at_once(*[lambda node=node: self._post(node, body) for node in self.nodes])

    def _post(self, node: Node, body: bytes) -> bool:
        with contextlib.suppress(httpx.TransportError):
            headers = sandbox.signed(body, SECRET)
            answer = self._client.post(f"{node.url}/webhooks/creativeai", content=body, headers=headers)
            assert answer.is_success or answer.status_code == 503, answer
            return answer.is_success
        return False

    def recovered(self, program: Program, trouble: Trouble, since: float) -> bool:
        """Whether all that was killed in the middle of a run has run again, and the program works as it did."""
        if program.runs_handlers and not self._journal.has_begun(program.family, since):
            return False
        lasts = (runs[-1] for runs in self.runs(trouble).values())
        return not any(last.cut_short for last in lasts) and all(node.ready() for node in self.nodes)

    def runs(self, trouble: Trouble) -> dict[str, list[Run]]:
        """Of each dispatch, in the order they began."""
        return self._journal.runs(trouble.killed)
