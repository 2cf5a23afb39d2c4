"""The load: signed requests in a file, wrk to post them as fast as they are answered, and posting at a steady rate."""

import json
import re
import selectors
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from bench.tools import FOLDER, BenchError, wrk
from receiver import sandbox

SECRET = "the-secret-of-the-bench"
_BODY_BYTES = 400
_GRACE = 30.0
_ANSWER_WITHIN = 5.0


class Requests:
    """A file of whole HTTP requests of one length, each about a job of its own, handed out portion by portion."""

    def __init__(self, file: Path, *, forged: bool = False, first: int = 0) -> None:
        """`first` is the number of the first job."""
        self.file = file
        self._secret = "not-the-secret" if forged else SECRET
        self._jobs = first
        self._written = 0
        self.length = len(request(0, self._secret))
        file.write_bytes(b"")

    def portion(self, count: int) -> "Portion":
        """So many that were not handed out before."""
        with open(self.file, "ab") as file:
            jobs = range(self._jobs + self._written, self._jobs + self._written + count)
            file.writelines(request(number, self._secret) for number in jobs)
        first, self._written = self._written, self._written + count
        return Portion(self, first, count)


@dataclass(frozen=True)
class Portion:
    """Some requests of a file."""

    requests: Requests
    first: int
    count: int

    def read(self) -> Iterator[bytes]:
        """One after the other."""
        with open(self.requests.file, "rb") as file:
            file.seek(self.first * self.requests.length)
            for _ in range(self.count):
                yield file.read(self.requests.length)


@dataclass(frozen=True)
class Posted:
    """What wrk says of one run. Latencies are in milliseconds."""

    answers: int
    seconds: float
    p50: float
    p99: float
    longest: float
    wraps: int
    """How often all requests of the portion had been posted, and it began anew."""
    refused: int
    """Answers of 400 and above."""
    broken: int
    """Connections that failed."""
    timeouts: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def post(port: int, portion: Portion, *, connections: int, seconds: int, pause: float = 0.0) -> Posted:
    """Post as fast as answers come, on so many connections; each waits `pause` seconds before its next.

    Raises:
        BenchError: wrk failed.
    """
    script = [str(FOLDER / "post.lua"), f"http://127.0.0.1:{port}", "--"]
    arguments = [portion.requests.file, portion.requests.length, portion.first, portion.count, round(pause * 1000)]
    command = [wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{_ANSWER_WITHIN:g}s", "-s", *script]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=seconds + _GRACE)
    if done.returncode != 0:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    return Posted(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Steady:
    """What became of requests that were posted at a steady rate, whether answers came or not."""

    latencies: Sequence[float]
    """In seconds, from when the request should have been sent."""
    lost: int
    """Requests without an answer."""
    wrong: int
    """Answers other than 2xx."""

    def percentile(self, percent: int) -> float:
        """In milliseconds."""
        return 1000 * quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def post_steadily(port: int, portion: Portion, *, rate: float, told: Callable[[int], None] | None = None) -> Steady:
    """Post all of them at a constant rate, on as many connections as that takes.

    A latency counts from the moment the request was due, so that a server that stalls is not spared the requests
    that would have come meanwhile. `told` is called with the number of each request as its answer arrives.
    """
    return _Poster(port, told).run(portion, rate)


class _Poster:
    """One thread sends, another hears the answers."""

    def __init__(self, port: int, told: Callable[[int], None] | None) -> None:
        self._port = port
        self._told = told
        self._idle: deque[socket.socket] = deque()
        self._open: list[socket.socket] = []
        self._due: dict[socket.socket, tuple[int, float]] = {}
        self._heard: dict[socket.socket, bytes] = {}
        """The beginnings of answers."""
        self._answers = selectors.DefaultSelector()
        self._latencies: list[float] = []
        self._wrong = 0
        self._ended = threading.Event()

    def run(self, portion: Portion, rate: float) -> Steady:
        hearing = threading.Thread(target=self._hear)
        hearing.start()
        began = time.monotonic()
        for number, sent in enumerate(portion.read()):
            due = began + number / rate
            time.sleep(max(due - time.monotonic(), 0))
            connection = self._idle.popleft() if self._idle else self._connected()
            self._due[connection] = number, due
            connection.sendall(sent)
        patience = time.monotonic() + _ANSWER_WITHIN
        while self._due and time.monotonic() < patience:
            time.sleep(0.01)
        self._ended.set()
        hearing.join()
        for connection in self._open:
            connection.close()
        return Steady(self._latencies, lost=portion.count - len(self._latencies), wrong=self._wrong)

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.append(connection)
        self._answers.register(connection, selectors.EVENT_READ)
        return connection

    def _hear(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._answers.select(timeout=0.05):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                self._take(connection, connection.recv(65536), time.monotonic())

    def _take(self, connection: socket.socket, received: bytes, now: float) -> None:
        if not received:
            # The server has closed it.
            self._answers.unregister(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            return
        answer = self._heard.pop(connection, b"") + received
        if not _whole(answer):
            self._heard[connection] = answer
            return
        number, due = self._due.pop(connection)
        self._latencies.append(now - due)
        self._wrong += not answer.startswith(b"HTTP/1.1 2")
        if self._told is not None:
            self._told(number)
        self._idle.append(connection)


def _whole(answer: bytes) -> bool:
    """Whether an answer has come in to its end."""
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(found) and len(body) >= (int(length[1]) if length else 0)


def request(number: int, secret: str = SECRET) -> bytes:
    """A webhook as CreativeAI posts it, about a job of this number, with a body of 400 bytes."""
    body = _body(number)
    headers = {"Host": "127.0.0.1", "User-Agent": "CreativeAI-Webhooks/1.0", **sandbox.signed(body, secret)}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST /webhooks/creativeai HTTP/1.1", *lines, f"Content-Length: {len(body)}"])
    return f"{head}\r\n\r\n".encode() + body


def job_id(number: int) -> str:
    """The job that request is about."""
    return f"vgen_{number:010d}"


def _body(number: int) -> bytes:
    return _TEMPLATE.replace(_PLACE, job_id(number).encode())


def _padded(body: bytes) -> bytes:
    data = json.loads(body)
    data["prompt"] = "a" * (_BODY_BYTES - len(body))
    return json.dumps(data).encode()


_PLACE = job_id(0).encode()
_TEMPLATE = _padded(sandbox.webhook_body("video", job_id(0)))
