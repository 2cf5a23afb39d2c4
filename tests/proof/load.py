"""Load for drills: webhooks posted by many threads, with what was answered, and a handler that notes its runs."""

import json
import math
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path

import httpx

from receiver import sandbox
from receiver.store import Store
from receiver.store.base import DeliveryFilter, Page, Row
from tests.running import SECRET

_HANDLER = '''\
"""Notes when each run began and ended, and in which thread of which process."""
import json, os, threading, time
from pathlib import Path
from receiver import Router

router = Router()
journal = os.open(Path(__file__).with_name("journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what, context):
    line = json.dumps([what, context.idempotency_key, os.getpid(), threading.get_ident(), time.monotonic()]) + "\\n"
    os.write(journal, line.encode())


@router.on()
def work(event, context):
    note("start", context)
    time.sleep(SECONDS)
    note("end", context)
'''

_ANSWERED_WITHIN = 10.0
_PATIENCE = 300.0
_AFTER_TROUBLE = 0.05
_MANY = 1000
_ANY = re.compile("")


@dataclass(frozen=True)
class Posted:
    """One webhook, and what became of it."""

    job: str
    body: bytes = field(repr=False)
    status: int | None
    """What was answered; None if the connection broke before an answer."""
    answered_at: float
    """When that was known, in seconds of the monotonic clock."""

    @property
    def digest(self) -> str:
        """The SHA-256 of its body."""
        return sha256(self.body).hexdigest()

    @property
    def acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Load:
    """Posts CreativeAI's webhooks, each of a job of its own, to any of the receivers."""

    def __init__(self, urls: Sequence[str], body: Callable[[str], bytes] | None = None) -> None:
        """`body` makes the webhook of a job, if not as the provider does."""
        self.posted: list[Posted] = []
        """What is posted no more."""
        self._urls = urls
        self._body = body or (lambda job: sandbox.webhook_body("video", job))
        self._numbers = count()
        self._over = threading.Event()
        # A new client for each request would spend its time reading certificates.
        self._client = httpx.Client(timeout=_ANSWERED_WITHIN, trust_env=False)

    @contextmanager
    def posting(
        self, *, threads: int = 8, pause: timedelta = timedelta(milliseconds=100), patient: bool = True
    ) -> Iterator[None]:
        """Post until the end of the block; `patient` senders post each webhook again until it is acknowledged."""
        self._over.clear()
        with ThreadPoolExecutor(threads) as senders:
            sending = [senders.submit(self._send, pause.total_seconds(), patient) for _ in range(threads)]
            try:
                yield
            finally:
                self._over.set()
        for each in sending:
            each.result()

    def ready(self) -> bool:
        """Whether all receivers can take webhooks."""
        with suppress(httpx.TransportError):
            return all(self._client.get(f"{url}/readyz").is_success for url in self._urls)
        return False

    def close(self) -> None:
        self._client.close()

    def post_until_acknowledged(self, job: str, body: bytes) -> Posted:
        """Do as a patient sender does."""
        deadline = time.monotonic() + _PATIENCE
        while not (posted := self._post(job, body)).acknowledged:
            assert posted.status in (None, 503), posted
            assert time.monotonic() < deadline, f"{job} was never acknowledged"
            time.sleep(_AFTER_TROUBLE)
        return posted

    def _send(self, pause: float, patient: bool) -> None:
        post = self.post_until_acknowledged if patient else self._post
        while not self._over.wait(pause):
            job = f"job_{next(self._numbers)}"
            self.posted.append(post(job, self._body(job)))

    def _post(self, job: str, body: bytes) -> Posted:
        deadline, headers = time.monotonic() + _PATIENCE, sandbox.signed(body, SECRET)
        while time.monotonic() < deadline:
            url = f"{random.choice(self._urls)}/webhooks/creativeai"  # noqa: S311 - as a balancer does
            try:
                status = self._client.post(url, content=body, headers=headers).status_code
            except httpx.ConnectError:
                # Nobody listens, so nothing was sent.
                time.sleep(_AFTER_TROUBLE)
            except httpx.TransportError:
                return Posted(job, body, None, time.monotonic())
            else:
                return Posted(job, body, status, time.monotonic())
        raise AssertionError(f"nobody listens at {', '.join(self._urls)}")


def read_back(store: Store) -> Counter[str]:
    """How often a webhook with a body of this hash is stored."""
    rows = every(partial(store.list_deliveries, DeliveryFilter(via="webhook")))
    kept = (store.delivery(row["id"]) for row in rows)
    return Counter(sha256(row["body"]).hexdigest() for row in kept if row is not None)


def every(listed: Callable[..., Page]) -> Iterator[Row]:
    """All rows of one of a store's lists."""
    before: int | None = None
    while True:
        page = listed(limit=_MANY, before=before)
        yield from page.rows
        if page.next is None:
            return
        before = page.next


def settled(store: Store) -> bool:
    """Whether nothing is left to do: no job is open, no event unrouted, no dispatch unfinished but dead ones."""
    figures = store.figures()
    unfinished = any(handler.waiting_count or handler.running_count for handler in figures.handlers)
    return not (figures.unrouted_count or unfinished or any(source.open_count for source in figures.sources))


@dataclass
class Run:
    """One run of a dispatch; times are in seconds of the monotonic clock."""

    pid: int
    started: float
    ended: float
    """That of its process, if that was killed; infinite, if it never ended."""
    cut_short: bool
    """Whether its process was killed in the middle of it."""


class Journal:
    """What the handler `work` noted."""

    def __init__(self, folder: Path, *, run: timedelta = timedelta(milliseconds=20)) -> None:
        """Write the handler into `folder`, as `work.py`; each of its runs takes so long."""
        (folder / "work.py").write_text(_HANDLER.replace("SECONDS", f"{run.total_seconds():g}"))
        self._file = folder / "journal"

    def busy(self, pid: int) -> bool:
        """Whether a process that is held still is in the middle of a run."""
        noted = Counter(what for what, _, by, _, _ in self._lines(re.compile(f", {pid}, ")) if by == pid)
        return noted["start"] > noted["end"]

    def has_begun(self, pids: Iterable[int], since: float) -> bool:
        """Whether one of these processes has begun a run since then."""
        having = re.compile("|".join(f", {pid}, " for pid in pids))
        return any(what == "start" and moment >= since for what, _, _, _, moment in self._lines(having))

    def runs(self, deaths: Mapping[int, float]) -> dict[str, list[Run]]:
        """Of each dispatch, in the order they began; `deaths` are the moments at which processes were killed."""
        found: dict[str, list[Run]] = {}
        begun: dict[tuple[str, int, int], Run] = {}
        for what, key, pid, thread, moment in self._lines():
            if what == "start":
                begun[key, pid, thread] = run = Run(pid, moment, deaths.get(pid, math.inf), pid in deaths)
                found.setdefault(key, []).append(run)
            else:
                run = begun[key, pid, thread]
                run.ended, run.cut_short = moment, False
        return {key: sorted(runs, key=lambda run: run.started) for key, runs in found.items()}

    def _lines(self, having: re.Pattern[str] = _ANY) -> Iterator[tuple[str, str, int, int, float]]:
        if self._file.exists():
            lines = self._file.read_text().splitlines()
            yield from (tuple(json.loads(line)) for line in lines if having.search(line))


def overlapping(runs: Mapping[str, Sequence[Run]]) -> list[tuple[Run, Run]]:
    """Runs of one dispatch that went on at the same time."""
    return [
        (earlier, later) for each in runs.values() for earlier, later in pairwise(each) if later.started < earlier.ended
    ]
