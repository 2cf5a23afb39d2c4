"""Adapters at the stand-in, and somebody who takes its webhooks."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from receiver.models import Created, Delivery, Reading, Request, Response, Status
from receiver.outbound import ProviderClient
from receiver.providers.base import Provider
from receiver.sandbox import Sandbox
from receiver.testing import make_job
from tests.running import API_KEY, SECRET
from tests.watch import eventually

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)

# Made once: most of the time that a request takes here would go into making a client for it.
_CLIENT = ProviderClient()
_BROWSER = httpx.Client(timeout=10)


class At:
    """An adapter at the stand-in of its provider: creates jobs and asks about them, as the receiver does."""

    def __init__(self, sandbox: Sandbox, adapter: type[Provider], *, api_key: str = API_KEY) -> None:
        self.adapter = adapter(secrets=[SECRET], api_key=api_key, base_url=sandbox.base_urls[adapter.name])

    def send(self, request: Request) -> Response:
        return _CLIENT.send(self.adapter, request)

    def created(self, kind: str, *, fate: str | None = None, callback: str | None = None, **body: Any) -> list[Created]:
        """All jobs that one create call makes."""
        request = self.adapter.submit(kind, body, callback)
        headers = {} if fate is None else {"X-Sandbox": fate}
        return self.adapter.read_submission(kind, self.send(replace(request, headers=headers)))

    def create(self, kind: str, **more: Any) -> Created:
        """The job that a create call makes; of several, the one that stands for all."""
        return self.created(kind, **more)[0]

    def ask(self, created: Created) -> Reading:
        """What is to be learnt about a job now, however many requests that takes."""
        job = replace(make_job(created.job_id, kind=created.kind), reference=created.reference)
        reading = self.adapter.read(job, self.send(self.adapter.poll(job)))
        while reading.follow_up:
            job = replace(job, raw_status=reading.raw_status, reference=reading.reference)
            reading = self.adapter.read(job, self.send(self.adapter.poll(job)))
        return reading


def all_running(at: At, bodies: Mapping[str, Mapping[str, Any]]) -> dict[str, Reading]:
    """What is learnt of a job of each kind once it has left the queue. They are created together, to wait only once."""
    created = {kind: at.create(kind, **body) for kind, body in bodies.items()}
    return {kind: eventually(lambda job=job: _running(at.ask(job))) for kind, job in created.items()}


def _running(reading: Reading) -> Reading | None:
    return reading if reading.status is Status.RUNNING else None


def get(sandbox: Sandbox, provider: str, path: str, **options: Any) -> httpx.Response:
    """The answer to a request that no adapter makes."""
    return post(sandbox, provider, path, method="GET", **options)


def post(
    sandbox: Sandbox, provider: str, path: str, *, method: str = "POST", headers: Mapping[str, str] = {}, **options: Any
) -> httpx.Response:
    authorized = {"Authorization": f"Bearer {API_KEY}", **headers}
    return _BROWSER.request(method, sandbox.base_urls[provider] + path, headers=authorized, **options)


def fields(value: object) -> object:
    """Which fields a JSON value has, at any depth, whatever is in them."""
    if isinstance(value, dict):
        return {name: fields(inside) for name, inside in value.items()}
    return [fields(value[0])] if isinstance(value, list) and value else None


@dataclass(frozen=True)
class Taken:
    """One webhook as it came in."""

    delivery: Delivery
    at: float


class Inbox(ThreadingHTTPServer):
    """Takes webhooks at `url`; answers the statuses it is given, then 202."""

    daemon_threads = True

    def __init__(self, statuses: Sequence[int] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.statuses = deque(statuses)
        self.taken: list[Taken] = []
        self.url = f"http://127.0.0.1:{self.server_port}/webhooks/creativeai"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def deliveries(self) -> list[Delivery]:
        return [taken.delivery for taken in self.taken]

    def __enter__(self) -> "Inbox":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Take(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        at = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=NOW)
        self.server.taken.append(Taken(delivery, at))
        self.send_response(self.server.statuses.popleft() if self.server.statuses else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *text: object) -> None:
        pass
