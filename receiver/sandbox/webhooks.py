"""Posts webhooks when jobs end, the way their fates want it: late, twice, out of order, forged, or not at all."""

import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count

import httpx

from receiver.sandbox.conditions import Conditions, Fate
from receiver.sandbox.jobs import Job
from receiver.sandbox.traffic import Outcome, Posted, Traffic

_log = logging.getLogger(__name__)

_ATTEMPTS_AT = (timedelta(0), timedelta(seconds=5), timedelta(seconds=30))
_HELD_BACK_FOR = timedelta(seconds=2)
_AT_ONCE = 16
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Letter:
    """What is posted."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Webhook:
    """What is to be posted about one job."""

    job: Job
    url: str
    genuine: Callable[[], Letter]
    """Written when the job has ended."""
    forged: Callable[[], Letter]


class Webhooks:
    """One thread that knows what is due, and some that post it. A context manager."""

    def __init__(self, conditions: Conditions, traffic: Traffic, *, outage: Callable[[], float]) -> None:
        """`outage` tells how many seconds the present outage still lasts."""
        self._conditions = conditions
        self._traffic = traffic
        self._outage = outage
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._held: list[Webhook] = []
        self._latest = 0
        self._posting_count = 0
        self._stopped = False
        self._client = httpx.Client(timeout=_TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)
        self._posting = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhooks")
        self._clock = threading.Thread(target=self._run, name="webhooks")

    def __enter__(self) -> "Webhooks":
        self._clock.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._clock.join()
        self._posting.shutdown(cancel_futures=True)
        self._client.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is left to post."""
        with self._changed:
            return not (self._due or self._posting_count or self._held)

    def expect(self, webhook: Webhook) -> None:
        """Post it when its job ends, or do to it what shall be done to it."""
        fates, ends = webhook.job.fates, webhook.job.ends
        if Fate.FORGED in fates:
            self._at(ends, partial(self._forge, webhook))
        if Fate.LOST in fates:
            self._at(ends, partial(self._lose, webhook))
            return
        due = ends + self._conditions.real(self._conditions.delay) if Fate.DELAYED in fates else ends
        post = partial(self._hold if Fate.REORDERED in fates else self._attempt, webhook)
        for _ in range(2 if Fate.DOUBLED in fates else 1):
            self._at(due, post)

    def _at(self, due: float, action: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._due, (due, next(self._order), action))
            self._changed.notify()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._at(time.monotonic() + seconds, action)

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    _, _, action = heapq.heappop(self._due)
                    self._posting_count += 1
                    self._posting.submit(self._do, action)
                else:
                    self._changed.wait(wait)

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            _log.exception("webhook could not be written")
        finally:
            with self._changed:
                self._posting_count -= 1

    def _attempt(self, webhook: Webhook, attempt: int = 1, first: float | None = None) -> None:
        """Post it, and if it is not taken, again and again; then never more."""
        if wait := self._outage():
            self._after(wait, partial(self._attempt, webhook, attempt, first))
            return
        at, status = self._post(webhook.url, webhook.genuine())
        first = at if first is None else first
        outcome = _outcome(status, attempt)
        self._record(webhook, outcome, at=at, attempt=attempt, status=status)
        self._overtake(webhook.job.number)
        if outcome is Outcome.REFUSED:
            due = first + self._conditions.real(_ATTEMPTS_AT[attempt])
            self._at(due, partial(self._attempt, webhook, attempt + 1, first))

    def _hold(self, webhook: Webhook) -> None:
        """Let the webhook of a later job go first; but do not wait for one for ever."""
        with self._changed:
            if held := self._latest < webhook.job.number:
                self._held.append(webhook)
        if held:
            self._after(self._conditions.real(_HELD_BACK_FOR), partial(self._release, webhook))
        else:
            self._attempt(webhook)

    def _release(self, webhook: Webhook) -> None:
        with self._changed:
            if webhook not in self._held:
                return
            self._held.remove(webhook)
        self._attempt(webhook)

    def _overtake(self, number: int) -> None:
        """The webhook of this job was posted: what was held back for it may follow."""
        with self._changed:
            self._latest = max(self._latest, number)
            overtaken = [webhook for webhook in self._held if webhook.job.number < number]
        for webhook in overtaken:
            self._after(0, partial(self._release, webhook))

    def _forge(self, webhook: Webhook) -> None:
        at, status = self._post(webhook.url, webhook.forged())
        self._record(webhook, Outcome.FORGERY, at=at, status=status)

    def _lose(self, webhook: Webhook) -> None:
        self._record(webhook, Outcome.LOST, at=time.monotonic())

    def _post(self, url: str, letter: Letter) -> tuple[float, int | None]:
        """When it was posted, and what it was answered."""
        at = time.monotonic()
        try:
            answer = self._client.post(url, content=letter.body, headers=dict(letter.headers))
        except (httpx.HTTPError, httpx.InvalidURL):
            return at, None
        return at, answer.status_code

    def _record(
        self, webhook: Webhook, outcome: Outcome, *, at: float, attempt: int = 1, status: int | None = None
    ) -> None:
        posted = Posted(job_id=webhook.job.id, url=webhook.url, attempt=attempt, status=status, outcome=outcome, at=at)
        self._traffic.add(posted)


def _outcome(status: int | None, attempt: int) -> Outcome:
    if status is not None and 200 <= status < 300:
        return Outcome.DELIVERED
    return Outcome.REFUSED if attempt < len(_ATTEMPTS_AT) else Outcome.GIVEN_UP
