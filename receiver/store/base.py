"""Every question asked of a database. One implementation per backend, all put through one suite of tests."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from receiver.models import (
    Budget,
    Claim,
    Created,
    Delivery,
    Event,
    Hold,
    Intent,
    Job,
    KeySet,
    Limits,
    Listed,
    Schedule,
    State,
    Status,
    Trust,
)
from receiver.outcomes import Outcome

Row = dict[str, Any]
"""One row for people and programs to read: what the commands print."""


class Verdict(StrEnum):
    """What became of a delivery that was let in."""

    RECORDED = "recorded"
    HINT = "hint"
    """Not proven; it led to a poll."""
    INCOMPLETE = "incomplete"
    """Genuine, but without the result; it led to a poll."""
    UNREADABLE = "unreadable"
    """Genuine, but not understood; kept for a person to look at."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A delivery that was let in, and what its adapter made of it."""

    delivery: Delivery
    trust: Trust
    verdict: Verdict
    events: tuple[Event, ...] = ()
    note: str | None = None
    """Why it could not be read, or what is odd about it."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """For each kind of job the events speak of: when to poll it, should it be new and open."""
    intent: str | None = None
    """The intent that the callback URL named: its metadata goes to the jobs the events speak of."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the store made of a record, once it is durable."""

    delivery_id: int
    repeated: bool
    """Nothing in it was new; it was counted on the delivery that came first."""
    events: tuple[Event, ...] = ()
    """The events that were new, as recorded."""
    unknown_statuses: tuple[Event, ...] = ()
    """Those of them whose status is a word seen for the first time for their job."""
    turned_away: int = 0
    """How many jobs that a hint spoke of found no room among those that are only hinted at."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A delivery that was turned away, for the quarantine."""

    delivery: Delivery
    reason: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """What a poll changes about a job, besides the events it told."""

    wait: timedelta
    """How long until the next poll, if the job is still open."""
    status: Status | None = None
    raw_status: str | None = None
    progress: float | None = None
    step: str | None = None
    reference: str | None = None
    incomplete: bool = False
    """The provider told the end without the result."""
    deadline_at: datetime | None = None
    """A later deadline; None leaves it where it is."""
    error: str | None = None
    """Why the poll failed; None when it was answered."""
    missing: bool = False
    """The provider said that it does not know the job."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Some events, or some dead letters by their events. What is left out does not narrow it."""

    source: str | None = None
    type: str | None = None
    """A type, in which `*` stands for any text."""
    status: str | None = None
    kind: str | None = None
    since: datetime | None = None
    """An event was recorded, or a dispatch ended, at this moment or later."""
    until: datetime | None = None
    """Before this moment."""
    handlers: tuple[str, ...] = ()
    """Of dead letters: one of these handlers'."""
    error: str | None = None
    """Of dead letters: a part of the error."""


class Store(ABC):
    """Keeps everything. Safe to use from many threads; open it after a fork, never before.

    Writing methods return once the change is durable, and raise `StoreUnavailable` if it could not be made in time;
    then nothing was changed. The database's clock is the only one used for leases and due times.
    """

    # A delivery comes in

    @abstractmethod
    def receive(self, record: Record) -> Receipt:
        """Store a delivery, its events and what they mean for their jobs, in one commit.

        An event whose key is known changes nothing but a count. A hint, or what is incomplete, stores no events: it
        makes their jobs due for a poll.
        """

    @abstractmethod
    def quarantine(self, refusals: Sequence[Refusal], *, max_count: int) -> None:
        """Keep refused deliveries; of each source the newest `max_count`."""

    @abstractmethod
    def prove(self) -> None:
        """Commit something, to show that it can be done."""

    # Keys that check signatures

    @abstractmethod
    def keys(self, source: str) -> KeySet | None:
        """The public keys that were fetched last for a source; None if they never were."""

    @abstractmethod
    def want_keys(self, source: str) -> None:
        """Note that none of the keys made a signature, so that they are fetched again soon."""

    @abstractmethod
    def claim_keys(self, source: str, *, every: timedelta, pause: timedelta) -> bool:
        """Whether the caller is to fetch them now: there are none, they are so old, or they are wanted.

        At most one caller in any `pause` is.
        """

    @abstractmethod
    def keep_keys(self, source: str, found: Sequence[str]) -> None:
        """Keep the keys that were fetched, in place of those before."""

    # Events become dispatches, and dispatches run

    @abstractmethod
    def unrouted(self, limit: int) -> list[Event]:
        """Events that no worker has routed yet, oldest first."""

    @abstractmethod
    def route(self, plan: Mapping[int, Sequence[str]]) -> int:
        """Create the dispatches: handler names by event id. Returns how many are new; safe to repeat."""

    @abstractmethod
    def claim(
        self, slots: Mapping[str, int], *, lease: timedelta, worker: str, limits: Mapping[str, Budget] | None = None
    ) -> list[Claim]:
        """Take due dispatches, at most so many for each handler: the live ones before the replayed ones.

        Of one job, only the handler's first in that order, and none while another one runs.

        `limits` are the most that may begin in a span of time, for the handlers that have one. Of a parked handler one
        is taken when it is time to find out whether it works again.
        """

    @abstractmethod
    def renew(self, claims: Iterable[Claim], *, lease: timedelta) -> None:
        """Extend the leases that are still ours."""

    @abstractmethod
    def finish(self, claim: Claim, outcome: Outcome, *, park_after: int | None = None) -> State | None:
        """Record an attempt. None if the lease had ended and the dispatch is no longer ours: nothing is recorded.

        With `park_after`, so many failures in a row park the handler, each time for longer; a success frees it.
        """

    @abstractmethod
    def hold(self, handler: str) -> Hold:
        """What keeps a handler's dispatches from being run."""

    @abstractmethod
    def sweep(self, *, spare: Iterable[Claim] = ()) -> int:
        """Free the dispatches whose lease ended, to be run again. Returns how many.

        `spare` are those the caller itself still runs. What took its worker down before waits longer each time, so
        that it does not take the same neighbours with it again.
        """

    @abstractmethod
    def next_due(self, handlers: Iterable[str]) -> timedelta | None:
        """How long until something is there to route, to run by these handlers, or to sweep; None if nothing is."""

    @abstractmethod
    def waiting(self) -> dict[str, int]:
        """How many dispatches wait for each handler."""

    # What a person does with dispatches

    @abstractmethod
    def select_events(self, selection: Selection, *, limit: int, after: int = 0) -> list[Event]:
        """Events that were routed to handlers, oldest first, after the one with that id.

        Those that no worker has routed yet are left out, as they are to come; so is what is stale or in conflict.
        """

    @abstractmethod
    def count_events(self, selection: Selection) -> int:
        """How many events `select_events` gives in all."""

    @abstractmethod
    def replay(
        self,
        plan: Mapping[int, Sequence[str]],
        *,
        replay_id: str,
        wait: timedelta = timedelta(0),
        every: timedelta = timedelta(0),
    ) -> list[int]:
        """Create new dispatches for recorded events, beside those they had: handler names by event id.

        They let live dispatches go first. The first is due after `wait`, each other one `every` later.
        """

    @abstractmethod
    def cancel_replay(self, replay_id: str, *, limit: int) -> int:
        """Cancel dispatches of a replay that wait, at most so many. Returns how many."""

    @abstractmethod
    def select_dead(self, selection: Selection, *, limit: int, after: int = 0) -> list[int]:
        """The ids of dead letters, in their order, after that one."""

    @abstractmethod
    def count_dead(self, selection: Selection) -> dict[str, int]:
        """How many dead letters `select_dead` gives in all, by handler."""

    @abstractmethod
    def retry(self, dispatch_ids: Iterable[int]) -> list[int]:
        """Make those that are dead or cancelled due again, with all their attempts. Returns which."""

    @abstractmethod
    def discard(self, dispatch_ids: Iterable[int], *, reason: str) -> list[int]:
        """Cancel those that are dead; the reason becomes their error. Returns which."""

    # Jobs are watched

    @abstractmethod
    def track(
        self,
        source: str,
        job_id: str,
        *,
        kind: str,
        schedule: Schedule,
        metadata: Mapping[str, Any] | None = None,
        reference: str | None = None,
    ) -> bool:
        """Expect a job to finish. False if it was known already; then its metadata is merged and its kind set.

        A job that we had given up (expired, lost) is open again, with a new deadline.
        """

    @abstractmethod
    def take_listed(self, source: str, listed: Listed, *, schedule: Schedule) -> bool:
        """Expect a job that its provider lists, and ask about it at once. False if it was known: nothing is changed."""

    @abstractmethod
    def intend(self, source: str, *, kind: str, metadata: Mapping[str, Any] | None = None) -> Intent:
        """Note that a job is about to be created, and spend a request of the source's budget on it."""

    @abstractmethod
    def settle(self, intent: Intent, created: Sequence[Created], *, schedules: Mapping[str, Schedule]) -> list[Job]:
        """Track the jobs that an intent led to, with its metadata, and drop it: in one commit."""

    @abstractmethod
    def doubt(self, intent: Intent, error: str) -> bool:
        """Note why nobody knows what an intent led to. False if a callback has told meanwhile."""

    @abstractmethod
    def withdraw(self, intent_id: str) -> bool:
        """Drop an intent that led to nothing. False if there is none such."""

    @abstractmethod
    def intent(self, intent_id: str) -> Intent | None:
        """One intent whose outcome is not known."""

    @abstractmethod
    def claim_polls(self, source: str, *, budget: Budget, learn: bool, limit: int, lease: timedelta) -> list[Job]:
        """Take open jobs whose poll is due, as many as the budget allows, and spend the budget on them.

        Jobs known only from hints or lists come last, and never get the second half of the budget: anybody can make up
        the first, and of the others there may be very many.
        With `learn`, what the provider's answers said overrules `budget`; else the lower of both counts.
        """

    @abstractmethod
    def spend(self, source: str, *, budget: Budget, learn: bool) -> bool:
        """Spend one request of the budget, for a call that is no poll. False if none is left, as for `claim_polls`."""

    @abstractmethod
    def remember_limits(self, source: str, limits: Limits) -> None:
        """Remember what a provider said of its budget."""

    @abstractmethod
    def record_poll(self, job: Job, result: PollResult) -> bool:
        """Record how a poll went. True if the provider used a status word not seen for this job before."""

    @abstractmethod
    def forget(self, job: Job) -> None:
        """Drop a job that was only hinted at and never confirmed."""

    @abstractmethod
    def due_jobs(self, source: str, *, limit: int) -> list[Job]:
        """Open jobs whose poll is due, longest overdue first, without taking them."""

    @abstractmethod
    def count_due_jobs(self, source: str) -> int:
        """How many open jobs are due for a poll."""

    @abstractmethod
    def job(self, source: str, job_id: str) -> Job | None:
        """One job."""

    # What people look at: newest first

    @abstractmethod
    def event(self, event_id: int) -> Event | None:
        """One event."""

    @abstractmethod
    def list_jobs(self, *, source: str | None, status: str | None, open_only: bool, limit: int) -> list[Row]:
        """Jobs, as rows."""

    @abstractmethod
    def list_intents(self, *, source: str | None, limit: int) -> list[Row]:
        """Intents whose outcome is not known, as rows like those of jobs."""

    @abstractmethod
    def list_events(self, *, source: str | None, job_id: str | None, status: str | None, limit: int) -> list[Row]:
        """Events, as rows."""

    @abstractmethod
    def list_deliveries(self, *, source: str | None, limit: int) -> list[Row]:
        """Deliveries that were let in, as rows."""

    @abstractmethod
    def list_refusals(self, *, source: str | None, limit: int) -> list[Row]:
        """The quarantine, as rows."""

    @abstractmethod
    def dispatch(self, dispatch_id: int) -> Row | None:
        """One dispatch, as a row."""

    @abstractmethod
    def list_dispatches(
        self,
        *,
        handler: str | None,
        state: str | None,
        event_id: int | None,
        replay_id: str | None = None,
        limit: int,
    ) -> list[Row]:
        """Dispatches, as rows."""

    @abstractmethod
    def list_attempts(self, dispatch_id: int) -> list[Row]:
        """The attempts of one dispatch, oldest first, as rows."""

    # Between processes

    @abstractmethod
    def wake(self) -> None:
        """Tell waiting workers that there is something to do. Best effort: they look by themselves, too."""

    @abstractmethod
    def wait(self, timeout: timedelta) -> None:
        """Sleep until woken, at most so long."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. The store is not used afterwards."""
