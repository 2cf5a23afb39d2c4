"""Ask the provider about open jobs that nobody called back about, and hand the answers to the inbox."""

import json
import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from receiver import backoff, clock, inbox, pace, signals
from receiver.asking import ask
from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed
from receiver.inbox import Source
from receiver.models import Delivery, Event, Job, JobTime, Origin, Reading, Request, Response, Schedule, Status, Via
from receiver.outbound import ProviderClient
from receiver.pace import Pace
from receiver.providers.base import event_key
from receiver.signals import announce
from receiver.store.base import PollResult, Store

_log = logging.getLogger(__name__)

_AT_ONCE = 8
_MOST_SHOWN = 1000
_LOOK_FOR_A_KEY = timedelta(minutes=1)
_KEYS_EVERY = timedelta(hours=12)
# A flood of forged signatures must not become one of requests.
_KEYS_PAUSE = timedelta(minutes=1)
# Longer than a request may take, so that two passes never ask about the same job at once.
_LEASE = timedelta(minutes=2)
# A job may be asked for before its provider can find it: gone is what is missing several times, wherever it may be.
_MISSING_MEANS_LOST = 3
# How often a provider may tell the end of a job without its result before it is taken at its word.
_MOST_INCOMPLETE = 3
# A job that waits for a person is not given up after its usual time, but it is not waited for without end either.
_LONGEST_PAUSE = timedelta(days=7)
# Among how many of the newest jobs is looked for some that teach when others end, and how often.
_LEARN_FROM = 2000
_LEARN_EVERY = timedelta(minutes=1)
# By how much of it the middle of their times changes before it is told again.
_WORTH_TELLING = 0.25
_A_MOMENT = timedelta(milliseconds=10)
# How long past its deadline a job is still asked about while its provider cannot be reached.
_UNREACHABLE = timedelta(hours=24)


class Finding(StrEnum):
    """What asking about one job led to."""

    RECOVERED = "recovered"
    """It ended, and nobody had told us."""
    KNOWN = "known"
    """It ended, and we had just heard."""
    OPEN = "open"
    EXPIRED = "expired"
    LOST = "lost"
    UNCONFIRMED = "unconfirmed"
    """Only a hint spoke of it, and the provider does not; it is dropped."""
    FAILED = "failed"
    """The request failed; the job stays open."""


@dataclass(frozen=True)
class Checked:
    """One job that was asked about."""

    job: Job
    finding: Finding
    error: str | None = None
    follow_up: bool = False
    """The rest of the answer is elsewhere: it is asked for next."""


@dataclass(frozen=True)
class _Learned:
    """What the jobs of one source have taught."""

    learned_at: datetime
    paces: Mapping[str, Pace]
    """By kind."""


@dataclass
class Pass:
    """What one pass over one source did."""

    source: str
    checked: list[Checked] = field(default_factory=list)
    waiting: int = 0
    """Jobs that were due, but the request budget was spent."""
    error: str | None = None
    """Why the source could not be asked at all."""

    def count(self, finding: Finding) -> int:
        """How many jobs led to this."""
        return sum(checked.finding is finding for checked in self.checked)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to tell: what was asked about is still open."""
        return self.error is None and all(
            checked.finding is Finding.OPEN and not checked.error for checked in self.checked
        )

    @property
    def ok(self) -> bool:
        """Whether every job that was asked about got an answer."""
        return self.error is None and not self.count(Finding.FAILED)


class Reconciler:
    """Makes passes over sources. Any number may run at once: no job is asked about twice."""

    def __init__(self, store: Store, client: ProviderClient, *, stopped: threading.Event | None = None) -> None:
        """Once `stopped` is set, passes end with the requests that are on their way."""
        self._store = store
        self._client = client
        self._stopped = stopped or threading.Event()
        self._learned: dict[str, _Learned] = {}

    def due(self, source: Source) -> list[Job]:
        """The jobs a pass would ask about now, longest overdue first, at most a thousand."""
        return self._store.due_jobs(source.name, limit=_MOST_SHOWN)

    def run(self, sources: Iterable[Source]) -> list[Pass]:
        """One pass over each source: every job that is due, as far as the request budget reaches.

        They are made side by side: a provider that does not answer holds up none of the others.

        Raises:
            StoreUnavailable: what was learned until then is stored.
        """
        asked = list(sources)
        for source in asked:
            # So that it shows that somebody asks.
            self._store.claim_turn(f"reconcile:{source.name}", every=timedelta(0))
        with ThreadPoolExecutor(max(len(asked), 1)) as pool:
            return list(pool.map(self.pass_over, asked))

    def pass_over(self, source: Source) -> Pass:
        """One pass over one source.

        Raises:
            StoreUnavailable: what was learned until then is stored.
        """
        done = Pass(source.name)
        self._renew_keys(source)
        due = self._store.count_due_jobs(source.name)
        if due and self._store.source_paused_at(source.name) is not None:
            return done
        if source.provider.api_key is None:
            done.checked = [self._without_key(source, job) for job in self._store.due_jobs(source.name, limit=due)]
            return done
        due -= self._postpone(source)
        # Jobs that come due again meanwhile are for the next pass, but for one follow-up of each.
        asked, followed = 0, set[str]()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while asked < due and done.error is None and not self._stopped.is_set():
                jobs = self._store.claim_polls(
                    source.name,
                    budget=source.budget or source.provider.budget,
                    learn=source.budget is None,
                    limit=min(_AT_ONCE, due - asked),
                    lease=_LEASE,
                )
                if not jobs:
                    break
                asked += len(jobs)
                for checked in pool.map(lambda job: self._check(source, job, done), jobs):
                    if checked.follow_up and checked.job.job_id not in followed:
                        followed.add(checked.job.job_id)
                        due += 1
                    else:
                        done.checked.append(checked)
        done.waiting = due - asked
        return done

    def _postpone(self, source: Source) -> int:
        """Let jobs wait whose first poll has come, but which hardly ever end so soon. Returns how many."""
        later = []
        for job in self._store.due_jobs(source.name, limit=_MOST_SHOWN):
            schedule = self._schedule_of(source, job)
            wait = pace.first_poll(self._pace_of(source, job), schedule) - _age(job)
            if _awaits_first(job, schedule) and wait > timedelta(0):
                later.append((job, min(wait, _left(job))))
        if later:
            self._store.postpone(later)
        return len(later)

    def _pace_of(self, source: Source, job: Job) -> Pace | None:
        """What is known of when jobs like this one end; nothing, if nobody knows when this one began."""
        learned = self._learned.get(source.name)
        if learned is None or clock.now() - learned.learned_at > _LEARN_EVERY:
            paces = _paces(self._store.job_times(source.name, limit=_LEARN_FROM))
            _tell_what_is_new(source.name, learned.paces if learned is not None else {}, paces)
            learned = self._learned[source.name] = _Learned(clock.now(), paces)
        return learned.paces.get(job.kind) if job.origin is Origin.TRACK else None

    def _renew_keys(self, source: Source) -> None:
        """Fetch the keys that check the source's signatures, if it is time to."""
        url = source.provider.keys_url
        if url is None or not self._store.claim_keys(source.name, every=_KEYS_EVERY, pause=_KEYS_PAUSE):
            return
        try:
            self._store.keep_keys(source.name, source.provider.read_keys(self._client.fetch(url)))
        except RequestFailed as error:
            # Webhooks are hints until they can be had again.
            _log.warning("keys not fetched", extra={"source": source.name, "url": url, "error": str(error)})

    def _without_key(self, source: Source, job: Job) -> Checked:
        """A job nobody can be asked about waits for its webhook until the deadline, or until there is a key."""
        left = _left(job)
        if left <= timedelta(0):
            return self._end(source, job, Status.EXPIRED)
        error = f"sources.{source.name}.api_key is not set, so nobody can be asked" if source.provider.polls else None
        self._store.record_poll(job, PollResult(wait=min(left, _LOOK_FOR_A_KEY), error=error))
        return Checked(job, Finding.OPEN)

    def _check(self, source: Source, job: Job, done: Pass) -> Checked:
        try:
            request, response, reading = self._ask(source, job)
        except NotFound as error:
            return self._missing(source, job, error)
        except RequestFailed as error:
            if isinstance(error, CredentialsRefused):
                done.error = f"{source.masked(str(error))}; check sources.{source.name}.api_key"
            return self._failed(source, job, error)
        announce(signals.job_polled, source.name, job=job.job_id, status=reading.status)
        return self._answered(source, job, reading, _delivery(source, request.path, response))

    def _ask(self, source: Source, job: Job) -> tuple[Request, Response, Reading]:
        def read(response: Response) -> Reading:
            reading = source.provider.read(job, response)
            _refuse_unstorable(reading, job)
            return reading

        describe = partial(source.provider.poll, job)
        return ask(source, describe, read, store=self._store, client=self._client, spent=True)

    def _answered(self, source: Source, job: Job, reading: Reading, delivery: Delivery) -> Checked:
        job = self._patient_with(source, job, reading)
        late = _left(job) <= timedelta(0)
        if reading.incomplete and job.incomplete_count < _MOST_INCOMPLETE and not late:
            return self._still_open(source, job, reading)
        receipt = inbox.learn(source, delivery, reading.events, store=self._store)
        if reading.status is not None and reading.status.terminal:
            new = receipt is not None and any(event.job_id == job.job_id for event in receipt.events)
            return Checked(job, Finding.RECOVERED if new else Finding.KNOWN)
        if late and not _follows_up(job, reading):
            # Whatever we first heard of it from, the provider knows it.
            return self._end(source, replace(job, origin=Origin.EVENT), Status.EXPIRED)
        return self._still_open(source, job, reading)

    def _patient_with(self, source: Source, job: Job, reading: Reading) -> Job:
        """The job, with a later deadline where it waits for a person."""
        if reading.pause is None:
            return job
        patience = min(_age(job) + reading.pause + self._schedule_of(source, job).deadline, _LONGEST_PAUSE)
        return replace(job, deadline_at=max(job.deadline_at, job.created_at + patience))

    def _still_open(self, source: Source, job: Job, reading: Reading) -> Checked:
        schedule, age = self._schedule_of(source, job), _age(job)
        follow_up = _follows_up(job, reading)
        wait = timedelta(0) if follow_up else reading.pause or pace.next_poll(self._pace_of(source, job), schedule, age)
        unknown = self._store.record_poll(
            job,
            PollResult(
                wait=min(wait, max(_left(job), timedelta(0))),
                status=reading.status,
                raw_status=reading.raw_status,
                progress=reading.progress,
                step=reading.step,
                reference=reading.reference,
                incomplete=reading.incomplete,
                open=not reading.follow_up and not reading.incomplete,
                deadline_at=job.deadline_at,
            ),
        )
        if unknown:
            announce(signals.status_unknown, source.name, job=job.job_id, raw_status=reading.raw_status)
        if reading.pause is not None and reading.raw_status != job.raw_status:
            announce(signals.job_paused, source.name, job=job.job_id, step=reading.step)
        return Checked(job, Finding.OPEN, follow_up=follow_up)

    def _missing(self, source: Source, job: Job, error: NotFound) -> Checked:
        announce(signals.job_missing, source.name, job=job.job_id)
        told = source.masked(str(error))
        enough = _MISSING_MEANS_LOST * source.provider.places(job)
        if job.missing_count + 1 >= enough or _left(job) <= timedelta(0):
            return self._end(source, job, Status.LOST, error=told)
        wait = backoff.next_poll(self._schedule_of(source, job), _age(job))
        self._store.record_poll(job, PollResult(wait=wait, error=told, missing=True))
        return Checked(job, Finding.OPEN, told)

    def _failed(self, source: Source, job: Job, error: RequestFailed) -> Checked:
        told = source.masked(str(error))
        announce(signals.poll_failed, source.name, job=job.job_id, error=told)
        # Of what only a hint spoke, nobody is waiting.
        patience = timedelta(0) if job.origin is Origin.HINT else _UNREACHABLE
        if _left(job) + patience <= timedelta(0):
            return self._end(source, job, Status.EXPIRED, error=told)
        wait = backoff.next_poll_after_error(self._schedule_of(source, job), _age(job), job.error_count + 1)
        if isinstance(error, RateLimited):
            wait = error.retry_after or backoff.PAUSE_IF_NOT_TOLD
        self._store.record_poll(job, PollResult(wait=wait, error=told))
        return Checked(job, Finding.FAILED, told)

    def _end(self, source: Source, job: Job, status: Status, *, error: str | None = None) -> Checked:
        """Conclude what no provider told, as an event that handlers can want: `job.expired` or `job.lost`.

        A job that only a hint spoke of, and no provider ever confirmed, is dropped instead: anybody can make one up.
        """
        if job.origin is Origin.HINT:
            self._store.forget(job)
            return Checked(job, Finding.UNCONFIRMED, error)
        event = Event(
            source=source.name,
            key=event_key(job.job_id, status, None),
            type=f"job.{status}",
            data={"job_id": job.job_id, "kind": job.kind, "last_status": job.raw_status or job.status, "error": error},
            job_id=job.job_id,
            kind=job.kind,
            status=status,
        )
        delivery = Delivery(source=source.name, body=b"", received_at=clock.now(), via=Via.DEADLINE)
        receipt = inbox.learn(source, delivery, [event], store=self._store)
        # While we asked, the provider may have told.
        overtaken = receipt is not None and any(not recorded.standing.dispatched for recorded in receipt.events)
        return Checked(job, Finding.KNOWN if overtaken else Finding(status), error)

    @staticmethod
    def _schedule_of(source: Source, job: Job) -> Schedule:
        return source.schedules[source.provider.kind_or_default(job.kind)]


def _refuse_unstorable(reading: Reading, job: Job) -> None:
    """Raise for a reading that cannot be stored, or that tells an end without an event."""
    json.dumps([event.data for event in reading.events], allow_nan=False)
    if reading.progress is not None:
        float(reading.progress)
    ended = reading.status is not None and reading.status.terminal
    if ended and not any(event.job_id == job.job_id for event in reading.events):
        raise ValueError("an end without an event")


def _paces(times: Sequence[JobTime]) -> dict[str, Pace]:
    by_kind = defaultdict[str, list[JobTime]](list)
    for time in times:
        by_kind[time.kind].append(time)
    learned = {kind: pace.learn(own) for kind, own in by_kind.items()}
    return {kind: known for kind, known in learned.items() if known is not None}


def _tell_what_is_new(source: str, before: Mapping[str, Pace], now: Mapping[str, Pace]) -> None:
    for kind, learned in now.items():
        middle, other = learned.age(0.5), before[kind].age(0.5) if kind in before else timedelta(0)
        if abs(middle - other) > _WORTH_TELLING * other:
            since, until = (age.total_seconds() for age in learned.usual)
            after = f"{since:.0f} to {until:.0f} s"
            told = {"source": source, "kind": kind, "learned_from": learned.count, "usually_after": after}
            _log.info("learned when jobs end", extra=told)


def _awaits_first(job: Job, schedule: Schedule) -> bool:
    """Whether a job is due because it was tracked so long ago. One that was hinted at since is due before or after."""
    since = job.created_at + schedule.first
    return job.poll_count == 0 and job.next_poll_at is not None and abs(job.next_poll_at - since) < _A_MOMENT


def _follows_up(job: Job, reading: Reading) -> bool:
    """Whether to ask again at once. An adapter that wants it after the same answer again gets the usual intervals."""
    news = reading.raw_status != job.raw_status or reading.reference not in (None, job.reference)
    return reading.follow_up and news


def _age(job: Job) -> timedelta:
    return _now(job) - job.created_at


def _left(job: Job) -> timedelta:
    """How long until its deadline; less than nothing once that has passed."""
    return job.deadline_at - _now(job)


def _now(job: Job) -> datetime:
    """The time by the clock that wrote the job's times: this machine's may be wrong."""
    return job.asked_at or clock.now()


def _delivery(source: Source, path: str, response: Response) -> Delivery:
    return Delivery(
        source=source.name,
        body=response.body,
        headers=response.headers,
        received_at=clock.now(),
        path=path,
        via=Via.POLL,
    )
