"""A provider on loopback that answers what a test tells it to, and remembers what it was asked."""

import json
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer: a body of bytes, or anything else as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    at: float
    """On the monotonic clock."""
    body: bytes = b""


def job(status: str, **more: Any) -> Callable[[str], Answer]:
    """Say of whichever job is asked about that it has this status."""
    return lambda path: Answer({"id": path.rpartition("/")[2], "status": status, **more})


def always(answer: Answer) -> Callable[[str], Answer]:
    """The same answer to everything."""
    return lambda path: answer


def in_turn(*answers: Answer) -> Callable[[str], Answer]:
    """One answer after the other."""
    left = iter(answers)
    return lambda path: next(left)


class Allowance:
    """A request budget as providers keep it: so many, then 429. The headers say what is left."""

    def __init__(self, count: int, *, used: int = 0, headers: bool = True) -> None:
        self.count = count
        self.used = used
        self.refused = 0
        self._headers = headers
        self._guard = threading.Lock()

    def __call__(self, path: str) -> Answer:
        with self._guard:
            if self.used >= self.count:
                self.refused += 1
                return Answer({"error": {"code": "rate_limit_exceeded"}}, status=429)
            self.used += 1
            answer = job("processing")(path)
            told = {
                "X-RateLimit-Limit": str(self.count),
                "X-RateLimit-Remaining": str(self.count - self.used),
                "X-RateLimit-Reset": "60",
            }
            return Answer(answer.body, headers=told if self._headers else {})


class Scripted:
    """Serves on loopback in threads of this process; a context manager."""

    def __init__(
        self,
        answer: Callable[[str], Answer | None] | None = None,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer or job("processing")
        """From the path to the answer, or None to hang up without one; called in many threads at once."""
        self.asked: list[Asked] = []
        self._server = _Server(self, port, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Scripted":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.path for asked in self.asked]

    @property
    def most_often(self) -> int:
        """How often the path was asked for that was asked for most."""
        return max(Counter(self.paths).values(), default=0)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, script: Scripted, port: int, tls: ssl.SSLContext | None) -> None:
        self.script = script
        super().__init__(("127.0.0.1", port), _Handler)
        if tls is not None:
            # In the request's own thread: whoever is slow at it holds up no other.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Whoever does not like the certificate goes away.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.script.asked.append(Asked(self.path, headers, time.monotonic(), body))
        answer = self.server.script.answer(self.path)
        if answer is None:
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        try:
            # It has the present moment as its date, but for those that have their own.
            (self.send_response_only if "Date" in answer.headers else self.send_response)(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass

    do_POST = do_GET

    def log_message(self, *text: object) -> None:
        pass
