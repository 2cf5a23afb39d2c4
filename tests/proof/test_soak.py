"""A long run: memory grows by less than 32 MiB, open files by fewer than 20, and the rate stays above half.

Each is compared with what it was in the first tenths of the run, which has a million events on SQLite, and 200,000 on
PostgreSQL.
"""

import os
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, mean
from urllib.parse import urlsplit

import psycopg
import pytest

from receiver import sandbox
from tests.running import SECRET, Running, descendants
from tests.watch import eventually

_HANDLER = """
import os
from pathlib import Path
from receiver import Router

router = Router()
journal = os.open(Path(__file__).with_name("ran"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@router.on()
def work(event):
    os.write(journal, b".")
"""

_KINDS = {"gunicorn": "web", "receiver work": "worker", "receiver reconcile": "reconcile loop"}
_SAMPLES = 100
_SENDERS = 16
# Senders wait while more than this is taken in and not handled, so that what is measured is the whole way.
_MOST_BACKLOG = 2000
_MOST_GROWTH = 32.0
_MOST_WAL = 64 * 2**20
_MOST_NEW_FILES = 20
# Each event has a line, and each attempt; what else is told is bounded in time.
_MOST_OTHER_LINES_A_MINUTE = 200


@dataclass(frozen=True)
class Sample:
    """How things stood when so many events had been handled."""

    ran: int
    at: float
    memory: Mapping[str, float]
    """The resident memory of the processes of each kind together, in MiB."""
    files: int
    """How many descriptors are open in all processes."""
    wal: int
    """The length of SQLite's write-ahead log, in bytes."""


class Senders:
    """Post webhooks of jobs of their own, each as soon as the one before was answered; no client costs less."""

    def __init__(self, url: str, events: int, journal: Path) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._host = parts.netloc
        self._numbers = iter(range(events))
        self._events = events
        self._journal = journal
        self._over = threading.Event()
        self._guard = threading.Lock()
        self.answers: Counter[str] = Counter()

    @property
    def ran(self) -> int:
        """How many runs the handler has noted."""
        return self._journal.stat().st_size if self._journal.exists() else 0

    @contextmanager
    def posting(self) -> Iterator[None]:
        """Begin, and stop at the end of the block at the latest."""
        threads = [threading.Thread(target=self._send) for _ in range(_SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        connection: socket.socket | None = None
        while not self._over.is_set():
            with self._guard:
                number = next(self._numbers, None)
            if number is None:
                break
            while number - self.ran > _MOST_BACKLOG and not self._over.wait(0.01):
                pass
            request, answer = self._request(number), b""
            while not answer and not self._over.is_set():
                # Connections that were idle for long are closed; what was on its way then is posted again.
                with suppress(OSError):
                    if connection is None:
                        connection = socket.create_connection(self._address, timeout=30)
                    connection.sendall(request)
                    answer = _answer(connection)
                if not answer and connection is not None:
                    connection.close()
                    connection = None
            with self._guard:
                self.answers[answer[9:12].decode()] += 1
        if connection is not None:
            connection.close()

    def _request(self, number: int) -> bytes:
        body = sandbox.webhook_body("video", f"vgen_{number}")
        headers = {"Host": self._host, **sandbox.signed(body, SECRET), "Content-Length": str(len(body))}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(["POST /webhooks/creativeai HTTP/1.1", *lines, "", ""]).encode() + body


def _answer(connection: socket.socket) -> bytes:
    """One whole answer; none if the connection was closed before."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(65536)
        if not received:
            return b""
        answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    [length] = [int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    while len(body) < length:
        received = connection.recv(65536)
        if not received:
            return b""
        body += received
    return answer


def sample(pid: int, ran: int, wal: Path) -> Sample:
    memory: Counter[str] = Counter()
    files = 0
    for child, command in descendants(pid).items():
        kind = next((kind for words, kind in _KINDS.items() if words in command), None)
        if kind is not None:
            memory[kind] += _resident(child)
        files += len(os.listdir(f"/proc/{child}/fd"))
    return Sample(ran, time.monotonic(), memory, files, wal.stat().st_size if wal.exists() else 0)


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def plateaus(samples: Sequence[Sample], kind: str) -> tuple[float, float]:
    """The memory in the second tenth and in the last, in MiB."""
    tenth = len(samples) // 10
    early, late = samples[tenth : 2 * tenth], samples[-tenth:]
    return mean(each.memory[kind] for each in early), mean(each.memory[kind] for each in late)


def slope(samples: Sequence[Sample], kind: str) -> float:
    """By how many MiB the memory grows with a million events, by all samples after the first tenth."""
    after = samples[len(samples) // 10 :]
    return 1e6 * linear_regression([each.ran for each in after], [each.memory[kind] for each in after]).slope


def rate(samples: Sequence[Sample]) -> float:
    """Events handled a second."""
    return (samples[-1].ran - samples[0].ran) / (samples[-1].at - samples[0].at)


def kept(url: str) -> tuple[int, ...]:
    """How many deliveries, events and dispatches that are done a database has, asked once nobody else uses it."""
    statement = """
        SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM events),
            (SELECT count(*) FROM dispatches WHERE state = 'done')
        """
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return tuple(connection.execute(statement).fetchone())
    with psycopg.connect(url) as server:
        return tuple(server.execute(statement).fetchone() or ())


@pytest.fixture
def store_url(store_name, request, tmp_path):
    """The setting `store` of a new store of that kind."""
    if store_name == "SQLite":
        yield f"sqlite:///{tmp_path}/receiver.db"
        # A million events take gigabytes.
        (tmp_path / "receiver.db").unlink()
        return
    with request.getfixturevalue("postgres").copied() as url:
        yield url


@pytest.mark.parametrize(
    ("store_name", "events", "within", "slowest"),
    [
        pytest.param("SQLite", 500, 120, 0.0, id="sqlite-short"),
        pytest.param("SQLite", 1_000_000, 3600, 0.5, id="sqlite-full", marks=pytest.mark.drill),
        pytest.param("PostgreSQL", 200_000, 1800, 0.5, id="postgresql-full", marks=pytest.mark.drill),
    ],
)
def test_a_long_run_ends_as_it_began(store_name, store_url, events, within, slowest, tmp_path, record_property):
    """`slowest` is how much of the first tenth's rate the last must have; a short run is too short to say."""
    handler = '[handlers.work]\npath = "work.py"\nconcurrency = 8'
    receiver = Running(tmp_path, handler, settings={"store": store_url})
    (tmp_path / "work.py").write_text(_HANDLER)
    record_property("drill", "soak")
    record_property("store", store_name)
    senders = Senders(receiver.url, events, tmp_path / "ran")
    samples, deadline = [], time.monotonic() + within
    with receiver.serving() as process, senders.posting():
        for number in range(1, _SAMPLES + 1):
            wanted = events * number // _SAMPLES
            eventually(lambda wanted=wanted: senders.ran >= wanted, within=deadline - time.monotonic())
            samples.append(sample(process.pid, senders.ran, tmp_path / "receiver.db-wal"))
    minutes = (samples[-1].at - samples[0].at) / 60
    tenth = _SAMPLES // 10
    first, last = rate(samples[:tenth]), rate(samples[-tenth:])
    with open(tmp_path / "receiver.log") as log:
        lines = sum(1 for _ in log)
    stored = kept(store_url)

    record_property("acknowledged", sum(senders.answers.values()))
    record_property("deliveries, events and dispatches done kept", "{:,}, {:,} and {:,}".format(*stored))
    record_property("runs", senders.ran)
    for kind in _KINDS.values():
        early, late = plateaus(samples, kind)
        told = f"{early:.0f} MiB, then {late:.0f} MiB, {slope(samples, kind):+.1f} MiB per million events"
        record_property(f"memory of {kind}", told)
    record_property("longest write-ahead log", f"{max(each.wal for each in samples) / 2**20:.1f} MiB")
    record_property("open files at first and at last", f"{samples[tenth].files} and {samples[-1].files}")
    record_property("log lines", lines)
    record_property("a second in the first and in the last tenth", f"{first:.0f} and {last:.0f}")
    assert set(senders.answers) <= {"200", "202"}
    assert (sum(senders.answers.values()), senders.ran) == (events, events)
    assert stored == (events, events, events)
    for kind in _KINDS.values():
        early, late = plateaus(samples, kind)
        assert late - early < _MOST_GROWTH, f"{kind} grew from {early:.0f} MiB to {late:.0f} MiB"
    assert max(each.wal for each in samples) < _MOST_WAL
    assert samples[-1].files - samples[tenth].files < _MOST_NEW_FILES
    assert lines < 2 * events + _MOST_OTHER_LINES_A_MINUTE * (minutes + 1)
    assert last > slowest * first
