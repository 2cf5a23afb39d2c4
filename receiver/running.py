"""A real receiver for a test: started on loopback, sent signed webhooks, watched until its handlers have run."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from tabulate import tabulate

from receiver import sandbox
from receiver.errors import ReceiverError
from receiver.store.base import Row
from receiver.store.sqlite import SQLiteStore

__all__ = ["RunningReceiver"]

_SOURCE = "creativeai"
_SECRET = "the-signing-secret-of-a-test"  # noqa: S105 - nobody else has the source
_COMPLETED = "video.generation.completed"
_TYPE = re.compile(r"(?:([a-z-]+)\.generation|video\.(batch))\.(completed|failed)")
_START_WITHIN, _STOP_WITHIN = 30.0, 20.0
_LOOK_EVERY = 0.02
_MANY = 10_000
_LINES_SHOWN = 100


class RunningReceiver:
    """`receiver serve` with one CreativeAI source, in a folder of its own. A context manager."""

    def __init__(self, folder: Path, tables: str | Mapping[str, Any], *, handlers_in: Path) -> None:
        """`tables` are those of `receiver.toml`; a handler's relative `path` starts at `handlers_in`.

        Raises:
            ValueError: they are no TOML.
        """
        self.folder = folder
        """Where it runs: paths in the handlers' settings start here."""
        self.config = folder / "receiver.toml"
        """Its configuration, for `receiver.Receiver` or a command."""
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._write(tomllib.loads(tables) if isinstance(tables, str) else tables, handlers_in)
        self._opened = ExitStack()

    def __enter__(self) -> "RunningReceiver":
        with ExitStack() as opened:
            self._process = opened.enter_context(self._serving())
            opened.callback(self._stop)
            self._client = opened.enter_context(httpx.Client(base_url=self.url, timeout=10, trust_env=False))
            self._wait_until(self._is_ready, "be ready", _START_WITHIN)
            self._store = SQLiteStore(self.folder / "receiver.db")
            opened.callback(self._store.close)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return (self.folder / "receiver.log").read_text("utf-8", "replace")

    def send(
        self,
        *,
        type: str = _COMPLETED,
        job: str = "job_1",
        body: Mapping[str, Any] | bytes | None = None,
        tamper: bool = False,
        unsigned: bool = False,
        repeat: int = 1,
    ) -> list[int]:
        """Post a signed webhook as often as `repeat` says, and give the status of each answer.

        `body` is sent instead of what CreativeAI would tell of that type and job. With `tamper` it is changed once it
        is signed.

        Raises:
            ValueError: CreativeAI has no such type.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else _told(type, job)
        headers = {} if unsigned else sandbox.signed(content, _SECRET)
        sent = content + b" " if tamper else content
        return [
            self._client.post(f"/webhooks/{_SOURCE}", content=sent, headers=headers).status_code for _ in range(repeat)
        ]

    def send_all(self, jobs: Iterable[str], *, type: str = _COMPLETED, reordered: bool = False) -> list[int]:
        """Post a webhook of each job, the last one first if they are to come out of order; gives each status."""
        ordered = list(jobs)
        return [self.send(type=type, job=job)[0] for job in (reversed(ordered) if reordered else ordered)]

    def wait_for(
        self, handler: str | None = None, state: str = "done", *, count: int = 1, timeout: float = 10
    ) -> list[Row]:
        """Wait until so many dispatches are in a state, and give them, oldest first, with their results.

        Raises:
            AssertionError: that did not happen in time; it shows all dispatches and the log.
        """

        def found() -> list[Row] | None:
            rows = self._dispatches(handler, state)
            return rows if len(rows) >= count else None

        wanted = f"have {count} {state} of {handler or 'any handler'}"
        return self._wait_until(found, wanted, timeout)

    def _write(self, tables: Mapping[str, Any], handlers_in: Path) -> None:
        handlers = {
            # A path that is absolute stays what it is.
            name: table | ({"path": handlers_in / table["path"]} if "path" in table else {})
            for name, table in tables.get("handlers", {}).items()
        }
        written = {
            **tables,
            "store": "sqlite:///receiver.db",
            "web": {"workers": 1, **tables.get("web", {}), "bind": self.url.removeprefix("http://")},
            "worker": {"drain": "2s", **tables.get("worker", {})},
            "sources": {**tables.get("sources", {}), _SOURCE: {"provider": _SOURCE, "secrets": [_SECRET]}},
            "handlers": handlers,
        }
        self.config.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in written.items()), "utf-8")

    def _serving(self) -> "subprocess.Popen[bytes]":
        # What the test can import, the handlers can; no setting of whoever runs the test reaches them.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RECEIVER_")}
        environment = {"RECEIVER_CONFIG": str(self.config), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with open(self.folder / "receiver.log", "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "receiver", "serve"], env=inherited | environment, stdout=log, stderr=log
            )

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            # All that it has started ends with it.
            self._process.kill()

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def _wait_until[T](self, condition: Callable[[], T], wanted: str, within: float) -> T:
        deadline = time.monotonic() + within
        while not (met := condition()):
            if self._process.poll() is not None:
                raise AssertionError(f"the receiver ended and did not {wanted}\n{self._state_of_things()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the receiver did not {wanted} within {within:g} s\n{self._state_of_things()}")
            time.sleep(_LOOK_EVERY)
        return met
