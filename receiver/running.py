"""A real receiver for a test: started on loopback, sent signed webhooks, watched until its handlers have run."""

import base64
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
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
from tabulate import tabulate

from receiver import clock, plugins, sandbox
from receiver.config import load
from receiver.inbox import Source
from receiver.models import Delivery
from receiver.providers.base import Provider
from receiver.store.base import DispatchFilter, Row
from receiver.store.sqlite import SQLiteStore

__all__ = ["RunningReceiver", "free_port"]

_SOURCE = "creativeai"
_SECRET = "the-signing-secret-of-a-test"  # noqa: S105 - nobody else has the source
_TIMED = "standard"
_TIMED_SECRET = "whsec_" + base64.b64encode(_SECRET.encode()).decode()
_COMPLETED = "video.generation.completed"
_TYPE = re.compile(r"(?:([a-z-]+)\.generation|video\.(batch))\.(completed|failed|processing)")
_UNDER_WAY = "processing"
_KNOWN_AT_ONCE = {"id", "batch_id", "object", "status"}
_START_WITHIN, _STOP_WITHIN = 30.0, 20.0
_LOOK_EVERY = 0.02
_MANY = 10_000
_LINES_SHOWN = 100
_SHOWN = ("handler", "job", "state", "attempt_count", "error")

_T = TypeVar("_T")


class RunningReceiver:
    """`receiver serve` with the sources `creativeai` and `standard`, in a folder of its own. A context manager."""

    def __init__(self, folder: Path, tables: str | Mapping[str, Any], *, handlers_in: Path) -> None:
        """`tables` are those of `receiver.toml`; a handler's relative `path` starts at `handlers_in`.

        Raises:
            ValueError: they are no TOML.
        """
        self.folder = folder
        """Where it runs: paths in the handlers' settings start here."""
        self.config = folder / "receiver.toml"
        """Its configuration, for `receiver.Receiver` or a command."""
        self.url = f"http://127.0.0.1:{free_port()}"
        self._write(tomllib.loads(tables) if isinstance(tables, str) else tables, handlers_in)
        self._opened = ExitStack()

    def __enter__(self) -> "RunningReceiver":
        with ExitStack() as opened:
            self._process = opened.enter_context(self._serving())
            opened.callback(self._stop)
            self._client = opened.enter_context(httpx.Client(base_url=self.url, timeout=10, trust_env=False))
            self._eventually(self._ready, "an answer", _START_WITHIN)
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
        source: str | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        tamper: bool = False,
        unsigned: bool = False,
        stale: bool = False,
        repeat: int = 1,
    ) -> list[int]:
        """Post a signed webhook, `repeat` times, and give the status of each answer.

        Without a `body`, it is what CreativeAI tells of that type and job. `source` is one of the tables', whose
        provider then signs, with its first secret; unset, it is `creativeai`. `tamper` changes the body after signing.
        `stale` has it signed an hour ago: as CreativeAI signs no time, it goes to the source `standard` unless you name
        another.

        Raises:
            ValueError: CreativeAI has no such type, the source needs a body or a secret, or signs no time.
            NotConfigured: there is no such source.
            Unreadable: the body is none that the provider would sign.
        """
        named = source or (_TIMED if stale else _SOURCE)
        provider = plugins.source(self._sources, named).provider
        if body is None and source is not None and provider.name != _SOURCE:
            raise ValueError(f"write a body for {source}: without one it is CreativeAI's")
        content = _told(type, job) if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if not unsigned:
            delivery = Delivery(source=named, body=content, headers=headers, received_at=clock.now())
            headers |= _signed(provider, delivery, stale)
        sent = content + b" " if tamper else content
        answers = [self._client.post(f"/webhooks/{named}", content=sent, headers=headers) for _ in range(repeat)]
        return [answer.status_code for answer in answers]

    def send_all(
        self, jobs: Iterable[str | tuple[str, str]], *, type: str = _COMPLETED, reordered: bool = False
    ) -> list[int]:
        """Post a webhook of each job, or the last one first, and give the status of each answer, in that order.

        A job may be a pair of a type and a job, so that one job's progress can be told after its end.
        """
        ordered = [(type, job) if isinstance(job, str) else job for job in jobs]
        if reordered:
            ordered.reverse()
        return [status for each, job in ordered for status in self.send(type=each, job=job)]

    def dispatches(self, handler: str | None = None, state: str | None = None) -> list[Row]:
        """The dispatches as they are now, oldest first."""
        return self._store.list_dispatches(DispatchFilter(handler=handler, state=state), limit=_MANY).rows[::-1]

    def wait_for(
        self, handler: str | None = None, state: str = "done", *, count: int = 1, timeout: float = 10
    ) -> list[Row]:
        """Wait until at least so many dispatches are in a state; gives them, oldest first, with their results.

        Raises:
            AssertionError: that did not happen in `timeout` seconds; its text shows all dispatches and the log.
        """
        __tracebackhide__ = True

        def found() -> list[Row] | None:
            rows = self.dispatches(handler, state)
            return rows if len(rows) >= count else None

        wanted = f"{count} {state} of {handler or 'any handler'}"
        try:
            return self._eventually(found, wanted, timeout)
        except AssertionError as error:
            shown = [{key: row[key] for key in _SHOWN} for row in self.dispatches()]
            table = tabulate(shown, headers="keys", disable_numparse=True) or "none"
            raise AssertionError(f"{error}\n\nDispatches:\n{table}") from None

    @cached_property
    def _sources(self) -> Mapping[str, Source]:
        return plugins.sources(load(self.config))

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
            "admin": {"enabled": False, **tables.get("admin", {})},
            "worker": {"drain": "2s", **tables.get("worker", {})},
            "sources": {
                **tables.get("sources", {}),
                _SOURCE: {"provider": _SOURCE, "secrets": [_SECRET]},
                _TIMED: {"provider": _TIMED, "secrets": [_TIMED_SECRET]},
            },
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

    def _ready(self) -> Literal[True] | None:
        try:
            return True if self._client.get("/readyz").is_success else None
        except httpx.HTTPError:
            return None

    def _eventually(self, condition: Callable[[], _T | None], wanted: str, within: float) -> _T:
        __tracebackhide__ = True
        deadline = time.monotonic() + within
        while (met := condition()) is None:
            if self._process.poll() is not None:
                raise AssertionError(f"the receiver ended before there was {wanted}{self._end_of_log()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within:g} s: {wanted}{self._end_of_log()}")
            time.sleep(_LOOK_EVERY)
        return met

    def _end_of_log(self) -> str:
        return "\n".join(["", "", "Log:", *self.log.splitlines()[-_LINES_SHOWN:]])


def _signed(provider: Provider, delivery: Delivery, stale: bool) -> dict[str, str]:
    """What a genuine sender would add, now or an hour ago."""
    if provider.keys_url is not None:
        raise ValueError(f"{provider.name} signs with a key that nobody else has; write unsigned=True")
    if provider.scheme is not None and not provider.secrets:
        raise ValueError(f"{delivery.source} has no secrets to sign with; write some, or unsigned=True")
    secret = next(iter(provider.secrets), "")
    signed = provider.sign(delivery, secret)
    if not stale:
        return signed
    earlier = provider.sign(replace(delivery, received_at=delivery.received_at - timedelta(hours=1)), secret)
    if earlier == signed:
        raise ValueError(f"{provider.name} signs no time, so nothing is ever stale; send it to another source")
    return earlier


def _told(type: str, job: str) -> bytes:
    named = _TYPE.fullmatch(type)
    if named is None:
        raise ValueError(f"CreativeAI has no webhook of type {type!r}; write one such as {_COMPLETED!r}")
    body = sandbox.webhook_body(named[1] or named[2], job, status=named[3])
    return _without_an_end(body) if named[3] == _UNDER_WAY else body


def _without_an_end(body: bytes) -> bytes:
    """What is known of a job from the beginning."""
    return json.dumps({name: value for name, value in json.loads(body).items() if name in _KNOWN_AT_ONCE}).encode()


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _toml(value: object) -> str:
    """A value on one line; what is neither text nor a number is written as the text it has, such as a path."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # What JSON writes as text or a number, TOML reads as such.
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)
