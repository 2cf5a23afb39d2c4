"""Every question asked of a database. One implementation per backend, all put through one suite of tests."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from receiver.models import (
    Alert,
    Budget,
    Claim,
    Created,
    Delivery,
    Event,
    Hold,
    Intent,
    Job,
    JobTime,
    KeptAnswer,
    KeySet,
    Limits,
    Listed,
    Role,
    Schedule,
    Scope,
    State,
    Status,
    Token,
    Trust,
)
from receiver.outcomes import Outcome
from receiver.store.figures import Charged, EventCount, Examined, Figures, Refused, Spending, WebhookHealth, Worker

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


class Prunable(StrEnum):
    """A kind of data that does not have to be kept for ever."""

    DISPATCHES = "dispatches"
    """Those that are done or cancelled, with their attempts."""
    EVENTS = "events"
    """What events say, not the events themselves; of those that were routed and have no dispatch any more."""
    JOBS = "jobs"
    """Those that ended, and of which nothing waits, runs or is dead."""
    QUARANTINE = "quarantine"
    UNREADABLE = "unreadable"
    """Deliveries that are kept for a person to look at."""
    DELIVERIES = "deliveries"
    """All others. What tells their repetitions stays."""


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

    @property
    def proven(self) -> bool:
        """Whether it tells events, and they count as they are."""
        return self.verdict is Verdict.RECORDED and bool(self.events)


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
    open: bool = False
    """The provider said that the job goes on."""
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
    first_line: str | None = None
    """Of dead letters: what `rules.first_line` makes of the error."""


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """Which events a list shows. What is left out does not narrow it."""

    source: str | None = None
    type: str | None = None
    """A type, in which `*` stands for any text."""
    status: str | None = None
    kind: str | None = None
    job_id: str | None = None
    state: str | None = None
    """A dispatch of the event is in this state."""
    since: datetime | None = None
    """Recorded at this moment or later."""
    until: datetime | None = None
    """Recorded before this moment."""
    text: str | None = None
    """Found as it is written in the event's key, job id, type, outputs or data; not in what is sealed."""


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries a list shows. What is left out does not narrow it."""

    source: str | None = None
    verdict: str | None = None
    via: str | None = None
    since: datetime | None = None
    """Received at this moment or later."""
    until: datetime | None = None
    """Received before this moment."""


@dataclass(frozen=True, kw_only=True)
class RefusalFilter:
    """Which refused deliveries a list shows. What is left out does not narrow it."""

    source: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs a list shows. What is left out does not narrow it."""

    source: str | None = None
    job_id: str | None = None
    status: str | None = None
    """Among them `expired` and `lost`: those that were given up."""
    kind: str | None = None
    open: bool = False
    """Only those that have not ended."""
    overdue: bool = False
    """Only those whose poll is due."""


@dataclass(frozen=True, kw_only=True)
class DispatchFilter:
    """Which dispatches a list shows. What is left out does not narrow it."""

    handler: str | None = None
    state: str | None = None
    source: str | None = None
    event_id: int | None = None
    replay_id: str | None = None
    error: str | None = None
    """Found as it is written in the error."""
    first_line: str | None = None
    """What `rules.first_line` makes of the error."""


Filter = EventFilter | DeliveryFilter | RefusalFilter | JobFilter | DispatchFilter


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a list, newest first."""

    rows: list[Row]
    next: int | None
    """The `before` of the page that follows; None if nothing does.

    With fewer rows than were asked for, the search for what is rare stopped there, so as to be quick.
    """


@dataclass(frozen=True, kw_only=True)
class Resealed:
    """What became of some rows of a table when they were sealed anew."""

    table: str
    looked_at: int
    written: int
    unopened: int
    """How many are left as they were, because none of the keys opens them."""


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
    def claim_one(
        self, dispatch_id: int, *, lease: timedelta, worker: str, limits: Mapping[str, Budget] | None = None
    ) -> Claim | None:
        """Take this dispatch, if `claim` would take it now. Whether it does or not, it waits in no queue any more."""

    @abstractmethod
    def renew(self, claims: Iterable[Claim], *, lease: timedelta) -> set[int]:
        """Extend the leases that are still ours. Returns the ids of those dispatches."""

    @abstractmethod
    def give_back(self, claims: Iterable[Claim]) -> None:
        """Make dispatches due again that were taken, but not begun: no attempt is counted."""

    @abstractmethod
    def finish_all(
        self, ended: Sequence[tuple[Claim, Outcome]], *, park_after: Mapping[str, int] | None = None
    ) -> list[State | None]:
        """Record attempts, in one commit. Returns the state of each dispatch.

        It is None where the lease had ended and the dispatch is no longer ours: nothing is recorded of that one.

        `park_after` says for each handler how many failures in a row park it, each time for longer; a success frees it.
        """

    def finish(self, claim: Claim, outcome: Outcome, *, park_after: int | None = None) -> State | None:
        """Record one attempt, as `finish_all` does."""
        [state] = self.finish_all([(claim, outcome)], park_after={claim.handler: park_after} if park_after else None)
        return state

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
    def leased_until(self, dispatch_id: int, *, worker: str) -> datetime | None:
        """When the lease ends by which this worker runs this dispatch; None if it does not."""

    @abstractmethod
    def rescue(self, dispatch_id: int, *, worker: str, leased_until: datetime) -> bool:
        """Free this dispatch, as `sweep` does, if this worker has it and its lease still ends at that moment.

        For whoever has reason to think that the worker died: one that lives renews its lease.
        """

    @abstractmethod
    def next_due(self, handlers: Iterable[str]) -> timedelta | None:
        """How long until something is there to route, to run by these handlers, or to sweep; None if nothing is."""

    @abstractmethod
    def waiting(self) -> dict[str, int]:
        """How many dispatches wait for each handler."""

    # Dispatches that a broker hands to the workers

    @abstractmethod
    def enqueue(self, most: Mapping[str, int]) -> list[tuple[int, str]]:
        """Note due dispatches that could be claimed as waiting in a queue; at most so many of each handler wait.

        Returns the ids with their handlers, in the order of `claim`; no other caller gets the same.
        """

    @abstractmethod
    def dequeue(self, dispatch_ids: Iterable[int]) -> None:
        """Note that these wait in no queue: they could not be put there."""

    @abstractmethod
    def dequeue_lost(self, handlers: Iterable[str], *, older_than: timedelta, keep: int) -> int:
        """Note that those of these handlers wait in no queue that should have waited there for so long.

        All but the newest `keep`, which is how many the queue really holds. Returns how many.
        """

    # What a person does with dispatches

    @abstractmethod
    def select_events(self, selection: Selection, *, limit: int, after: int = 0) -> list[Event]:
        """Events that were routed to handlers, oldest first, after the one with that id.

        Those that no worker has routed yet are left out, as they are to come; so is what is stale or in conflict, and
        what was emptied.
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

        They let live dispatches go first. The first is due after `wait`, each other one `every` later. Events that
        were emptied get none.
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
    def discard(self, dispatch_ids: Iterable[int], *, reason: str, gone: Iterable[str] = ()) -> list[int]:
        """Cancel those that are dead, or that wait for a handler that is gone; the reason becomes their error.

        Returns which.
        """

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
        Each job says when this was, by the database's clock.
        """

    @abstractmethod
    def spend(self, source: str, *, budget: Budget, learn: bool) -> bool:
        """Spend one request of the budget, for a call that is no poll. False if none is left, as for `claim_polls`."""

    @abstractmethod
    def remember_limits(self, source: str, limits: Limits) -> None:
        """Remember what a provider said of its budget."""

    @abstractmethod
    def postpone(self, waits: Sequence[tuple[Job, timedelta]]) -> None:
        """Let due jobs wait for their poll, each so long. Those whose poll was moved meanwhile stay as they are."""

    @abstractmethod
    def job_times(self, source: str, *, limit: int) -> list[JobTime]:
        """How long jobs took that were tracked from their beginning and succeeded; the one that ended last at the head.

        Looked for among the newest `limit` jobs of all sources, so that it takes no longer the more there are.
        """

    @abstractmethod
    def record_poll(self, job: Job, result: PollResult) -> bool:
        """Record how a poll went. True if the provider used a status word not seen for this job before."""

    @abstractmethod
    def forget(self, job: Job) -> None:
        """Drop an open job that was only hinted at and never confirmed."""

    @abstractmethod
    def due_jobs(self, source: str, *, limit: int) -> list[Job]:
        """Open jobs whose poll is due, longest overdue first, without taking them. Each says when this was."""

    @abstractmethod
    def count_due_jobs(self, source: str) -> int:
        """How many open jobs are due for a poll."""

    @abstractmethod
    def job(self, source: str, job_id: str) -> Job | None:
        """One job."""

    # What people look at. Lists are newest first; `before` is the id above the first row that may be shown.

    @abstractmethod
    def event(self, event_id: int) -> Event | None:
        """One event."""

    @abstractmethod
    def event_row(self, event_id: int) -> Row | None:
        """One event as a row: besides what a list shows its data, its delivery's id and what handlers saved."""

    @abstractmethod
    def list_events(self, wanted: EventFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        """Events, without their data."""

    @abstractmethod
    def delivery(self, delivery_id: int) -> Row | None:
        """One delivery that was let in, as a row: besides what a list shows its headers, and its body as bytes."""

    @abstractmethod
    def list_deliveries(self, wanted: DeliveryFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        """Deliveries that were let in, without headers and bodies."""

    @abstractmethod
    def refusal(self, refusal_id: int) -> Row | None:
        """One delivery in the quarantine, as a row: besides what a list shows its headers, and its body as bytes."""

    @abstractmethod
    def list_refusals(self, wanted: RefusalFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        """The quarantine, without headers and bodies."""

    @abstractmethod
    def list_jobs(self, wanted: JobFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        """Jobs. Their `id` is a number of ours, for `before`; `job` is the provider's."""

    @abstractmethod
    def list_intents(self, *, source: str | None, limit: int) -> list[Row]:
        """Intents whose outcome is not known, as rows like those of jobs."""

    @abstractmethod
    def dispatch(self, dispatch_id: int) -> Row | None:
        """One dispatch, as a row."""

    @abstractmethod
    def list_dispatches(self, wanted: DispatchFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        """Dispatches."""

    @abstractmethod
    def list_attempts(self, dispatch_id: int) -> list[Row]:
        """The attempts of one dispatch, oldest first, as rows."""

    # People, and what they ask for

    @abstractmethod
    def add_token(
        self, name: str, digest: str, *, role: Role, scopes: frozenset[Scope], lasts: timedelta | None = None
    ) -> bool:
        """Keep a token's digest. False if there is a token of that name; then nothing is changed."""

    @abstractmethod
    def remove_token(self, name: str) -> bool:
        """Drop a token; its sessions end with it. False if there is none of that name."""

    @abstractmethod
    def tokens(self) -> list[Token]:
        """All tokens, by name; those that expired too."""

    @abstractmethod
    def token(self, digest: str) -> Token | None:
        """The token with that digest; None if there is none, or it expired."""

    @abstractmethod
    def note_use(self, name: str) -> None:
        """Note that a token was used; at most once a minute is that written."""

    @abstractmethod
    def open_session(self, digest: str, *, token_digest: str, lasts: timedelta) -> None:
        """Keep a session's digest. Of one token the newest hundred are kept."""

    @abstractmethod
    def session(self, digest: str) -> Token | None:
        """The token that a session was opened with; None if there is none, or either of them expired."""

    @abstractmethod
    def close_session(self, digest: str) -> None:
        """End a session."""

    @abstractmethod
    def begin_request(self, token: str, key: str, *, fingerprint: str, keep: timedelta) -> KeptAnswer | None:
        """Note that a request with an idempotency key has begun; what is kept of it, if it had begun before.

        What began longer than `keep` ago is forgotten.
        """

    @abstractmethod
    def keep_answer(self, token: str, key: str, *, status: int, body: str) -> None:
        """Keep the answer to a request that has begun."""

    @abstractmethod
    def forget_request(self, token: str, key: str) -> None:
        """Forget a request that has begun and did nothing, so that it can be made again."""

    @abstractmethod
    def pause_handler(self, handler: str, *, paused: bool) -> None:
        """Keep a handler's dispatches waiting from now on, or let them run again. What runs goes on."""

    @abstractmethod
    def pause_source(self, source: str, *, paused: bool) -> None:
        """Ask about no job of a source from now on, or do so again. Its webhooks come in all the while."""

    @abstractmethod
    def source_paused_at(self, source: str) -> datetime | None:
        """Since when a person has kept a source from being asked; None unless it is paused."""

    @abstractmethod
    def poll_soon(self, source: str, job_id: str) -> bool:
        """Make an open job due for a poll now. False if there is no such job, or it has ended."""

    @abstractmethod
    def refuse_again(self, refusal_id: int, *, reason: str, hint: str) -> bool:
        """Note why a delivery in the quarantine is refused now. False if it is no longer there."""

    @abstractmethod
    def release(self, refusal_id: int) -> bool:
        """Drop a delivery from the quarantine, as it was taken in. False if it is no longer there."""

    # Figures

    @abstractmethod
    def now(self) -> datetime:
        """What the database's clock says, by which its rows are written: a node's own may be wrong."""

    @abstractmethod
    def figures(self) -> Figures:
        """How everything stands now."""

    @abstractmethod
    def requests_left(self, source: str, *, budget: Budget, learn: bool) -> int:
        """How many requests a source may still make now, as for `claim_polls`."""

    @abstractmethod
    def webhook_health(self, sources: Iterable[str]) -> list[WebhookHealth]:
        """Whether the webhooks of these sources come, judged by their newest jobs that ended."""

    @abstractmethod
    def count_refused(self, *, since: datetime) -> list[Refused]:
        """How many deliveries came into the quarantine since then, by source and reason."""

    @abstractmethod
    def count_by_minute(self, *, since: datetime) -> list[EventCount]:
        """How many events were recorded in each minute since then, oldest first, by source and status.

        Only the newest `NEWEST_COUNTED` are counted: where they do not reach back so far, the first minute is partial.
        """

    @abstractmethod
    def counted_since(self, *, since: datetime) -> datetime:
        """From when on `count_by_minute` counts: later than it is asked for, if it does not reach back so far."""

    @abstractmethod
    def spending(self, *, since: datetime) -> list[Spending]:
        """What jobs that ended since then cost, by source, kind and outcome; only the `NEWEST_COSTS`.

        Of a job that ended twice, as what failed may succeed after all, only the last end counts.
        """

    @abstractmethod
    def spending_since(self, *, since: datetime) -> datetime:
        """From when on `spending` counts: later than it is asked for, if the `NEWEST_COSTS` reach back less far."""

    @abstractmethod
    def charged(self, *, since: datetime, limit: int) -> list[Charged]:
        """Those jobs among what `spending` counts that cost something and did not succeed, newest first."""

    @abstractmethod
    def workers(self) -> list[Worker]:
        """Who runs dispatches now, by name."""

    @abstractmethod
    def last_turns(self) -> dict[str, datetime]:
        """When each turn was taken last, by its name."""

    @abstractmethod
    def examine(self, *, within: timedelta) -> Examined:
        """Look for damage and for settings that could lose what is acknowledged, as far as there is time."""

    # Alerts

    @abstractmethod
    def alerts(self) -> list[Alert]:
        """What is wrong, or is over and nobody was told yet; oldest first."""

    @abstractmethod
    def keep_alert(self, alert: Alert) -> None:
        """Keep an alert, in place of the one with the same cause."""

    @abstractmethod
    def drop_alert(self, cause: str) -> None:
        """Forget an alert."""

    # What is old goes

    @abstractmethod
    def prune(self, what: Prunable, *, older_than: timedelta, dry_run: bool = False) -> Iterator[int]:
        """Remove what is older, some at a time; gives after each step how much that was, which may be nothing.

        With `dry_run` nothing is changed, and it gives how much it would be. PostgreSQL keeps deliveries until the
        whole month is older. Jobs and events wait until their dispatches are gone.
        """

    # What is private is sealed

    @abstractmethod
    def require_keys(self) -> None:
        """See that everything that is sealed can be read.

        Raises:
            KeyMissing: something was sealed with a key that this store was opened without.
        """

    @abstractmethod
    def reseal(self, *, unseal: bool = False) -> Iterator[Resealed]:
        """Seal with the first key what another one sealed or is in clear, and say after each commit what was done.

        With `unseal`, open everything instead. Safe to repeat, and while others work; what they write meanwhile is as
        their own first key makes it. Only once there was nothing to write, and nothing that could not be opened, are
        the other keys (with `unseal`, all of them) no longer required: so that takes two times, if anything is written.
        """

    # Between processes

    @abstractmethod
    def claim_turn(self, name: str, *, every: timedelta) -> bool:
        """Whether the caller is to do now what this name stands for: of all callers, at most one in any `every` is."""

    @abstractmethod
    def wake(self) -> None:
        """Tell waiting workers that there is something to do. Best effort: they look by themselves, too."""

    @abstractmethod
    def wait(self, timeout: timedelta) -> None:
        """Sleep until woken, at most so long."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. The store is not used afterwards."""
