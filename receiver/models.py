"""The values that pass between modules, and the closed sets they draw from."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Trust(StrEnum):
    """How we know that something is true."""

    SIGNED = "signed"
    """The signature covers the body."""
    CONFIRMED = "confirmed"
    """Read from the provider's API with our key, or decided by Receiver itself."""
    HINT = "hint"
    """Anything less: worth a poll, never worth a dispatch."""


class Via(StrEnum):
    """The way a fact came in."""

    WEBHOOK = "webhook"
    POLL = "poll"
    DEADLINE = "deadline"
    """Nobody told us: the job's time ran out."""


class Status(StrEnum):
    """A job's status, folded from the provider's word; the last two are ours."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its deadline passed without an end."""
    LOST = "lost"
    """The provider no longer knows it."""

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self not in (Status.QUEUED, Status.RUNNING)

    @property
    def ours(self) -> bool:
        """Whether we concluded it; a provider's word overrules it."""
        return self in (Status.EXPIRED, Status.LOST)


class Origin(StrEnum):
    """How we first heard of a job."""

    TRACK = "track"
    """We were told to expect it."""
    EVENT = "event"
    """From the provider, in a way that can be trusted."""
    LISTED = "listed"
    """In its provider's list, where nobody had told us of it."""
    HINT = "hint"
    """From anybody; whether there is such a job is not known yet."""


class Standing(StrEnum):
    """What a new event means for its job, given what was known before."""

    CURRENT = "current"
    CORRECTION = "correction"
    """A terminal status that overrules an earlier one; dispatched like a current event."""
    STALE = "stale"
    """Progress, or the same end once more, that arrived after the end; kept, not dispatched."""
    CONFLICT = "conflict"
    """A second, different end; kept, not dispatched."""

    @property
    def dispatched(self) -> bool:
        """Whether handlers get to see the event."""
        return self in (Standing.CURRENT, Standing.CORRECTION)


def standing(known: Status | None, told: Status | None) -> Standing:
    """How an event with status `told` stands to a job whose status is `known`.

    A terminal status stays, with two exceptions: a job that failed may be repeated by its provider and succeed, and
    what we merely concluded (expired, lost) gives way to any end the provider reports.
    """
    if known is None or told is None or not known.terminal:
        return Standing.CURRENT
    if not told.terminal or told.ours or told is known:
        return Standing.STALE
    if known.ours or (known, told) == (Status.FAILED, Status.SUCCEEDED):
        return Standing.CORRECTION
    return Standing.CONFLICT


class State(StrEnum):
    """A dispatch's state."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One HTTP request as it came in, or one poll answer. Header names are in lower case."""

    source: str
    body: bytes = field(repr=False)
    received_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    path: str = ""
    via: Via = Via.WEBHOOK


@dataclass(frozen=True)
class Output:
    """One result of a job, at the provider's URL."""

    url: str
    authorized: bool = False
    """Whether it is fetched with the source's API key. Only ever for a URL that the adapter built itself."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed, in the provider's words."""

    message: str
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One fact about one job, or a notice without a job. Known for ever by (source, key).

    `data` is the provider's own object, whole. Adapters leave `id`, `trust`, `via`, `standing` and `recorded_at` out;
    the receiver fills them in as it records the event.
    """

    source: str
    key: str
    type: str
    data: Mapping[str, Any] = field(repr=False)
    job_id: str | None = None
    kind: str | None = None
    status: Status | None = None
    raw_status: str | None = None
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    occurred_at: datetime | None = None
    incomplete: bool = False
    """The result is not in it, and the provider has to be asked: then that is done, and its answer is the event."""
    id: int | None = None
    trust: Trust = Trust.HINT
    via: Via = Via.WEBHOOK
    standing: Standing = Standing.CURRENT
    recorded_at: datetime | None = None
    traceparent: str | None = None
    """The step of a trace that recorded it, as the header of that name has it; None if nothing was traced."""
    emptied: bool = False
    """Data, outputs and failure were too old to be kept."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One remote generation we expect to finish. Known by (source, job_id).

    An empty `job_id` stands for whichever job a recorded answer is about.
    """

    source: str
    job_id: str
    kind: str
    status: Status = Status.QUEUED
    raw_status: str | None = None
    progress: float | None = None
    step: str | None = None
    """What the provider is doing about it, in its words."""
    reference: str | None = None
    """The provider's other name for it, where some of its routes want that one."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime
    finished_at: datetime | None = None
    deadline_at: datetime
    next_poll_at: datetime | None = None
    poll_count: int = 0
    origin: Origin = Origin.TRACK
    error_count: int = 0
    """Polls in a row that failed."""
    missing_count: int = 0
    """Polls in a row that the provider answered with "not found"."""
    incomplete_count: int = 0
    """Answers in a row that told the end without the result."""
    last_error: str | None = None
    asked_at: datetime | None = None
    """When the store handed it out as due, by the database's clock: what its times are to be compared with."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request an adapter wants made: relative to the source's base URL. A body is JSON or a form."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)
    form: Mapping[str, "str | Upload"] | None = field(default=None, repr=False)
    """The fields of a `multipart/form-data` body."""
    leave_file: bool = False
    """Whether a success may be a file, of which only the headers matter: its bytes are not read."""


@dataclass(frozen=True)
class Upload:
    """A file as a field of a form."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Response:
    """What came back. Header names are in lower case."""

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What an adapter makes of one poll answer.

    `status` is None when the provider used a word the adapter does not know; the job stays as it is.
    `events` are the facts a webhook would have told, with the same keys.
    """

    status: Status | None
    raw_status: str | None = None
    progress: float | None = None
    step: str | None = None
    reference: str | None = None
    """What to keep as the job's reference; None leaves it as it is."""
    events: tuple[Event, ...] = ()
    follow_up: bool = False
    """The rest of the answer is elsewhere: poll again at once. The job's `raw_status` then tells `poll` where."""
    incomplete: bool = False
    """The end is told without its result: the events are believed only if some more polls bring no better ones."""
    pause: timedelta | None = None
    """The job waits for a person: poll no sooner than this, and let it wait for days."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When to poll a kind of job: once after `first`, then as `every` says, until `deadline`."""

    first: timedelta
    every: Mapping[timedelta, timedelta]
    """From which age of the job on to poll at which interval; the first age is zero."""
    deadline: timedelta
    closest: timedelta = timedelta(seconds=3)
    """What the provider can bear: two polls of a job are no closer, however likely its end is."""

    def interval(self, age: timedelta) -> timedelta:
        """How long to wait between two polls of a job of this age."""
        return max((since, every) for since, every in self.every.items() if since <= max(age, timedelta(0)))[1]

    @property
    def shortest(self) -> timedelta:
        """The interval that a young job is polled at."""
        return next(iter(self.every.values()))


@dataclass(frozen=True)
class JobTime:
    """How long a job took, as closely as it is known."""

    kind: str
    _: KW_ONLY
    open_until: timedelta
    """At this age it was open; zero if nobody looked before it had ended."""
    ended_by: timedelta
    """At this age it had ended; the same as `open_until` where somebody said when."""
    called_back: bool = False
    """Whether a webhook told its end."""


@dataclass(frozen=True, kw_only=True)
class CreateCall:
    """How a provider is asked for a new job of one kind."""

    path: str
    required: tuple[str, ...] = ()
    """The fields that it documents as required."""
    callback: str | None = None
    """The field that takes the callback URL; None where there is none."""
    kind: str | None = None
    """What the job is tracked as, where that is another kind."""


@dataclass(frozen=True, kw_only=True)
class Created:
    """A job that a provider says it has accepted."""

    job_id: str
    kind: str
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A create call that was about to be made. It is kept until it is known what it led to."""

    id: str
    """Part of the callback URL, so that nobody can guess it."""
    source: str
    kind: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime
    error: str | None = None
    """Why nobody knows what it led to; None while the call is being made, or when its process died."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One thing that a provider offers to make: a model, a type of content."""

    name: str
    kind: str | None = None
    """What `receiver submit` calls it, where the offer says."""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The provider's own words about it, whole."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A job in a provider's own list of them."""

    job_id: str
    kind: str
    created_at: datetime | None = None
    """None where the list does not say."""
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One page of a provider's list of jobs, newest first."""

    jobs: tuple[Listed, ...]
    cursor: str | None = None
    """What to ask for the next page with; None on the last."""


@dataclass(frozen=True, kw_only=True)
class KeySet:
    """The public keys that a provider publishes to check its signatures with."""

    keys: tuple[str, ...]
    fetched_at: datetime


@dataclass(frozen=True)
class Budget:
    """How many requests a source allows in any span of `per`."""

    count: int
    per: timedelta


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a provider's answer says of its request budget."""

    count: int | None = None
    """How many requests a span allows."""
    remaining: int | None = None
    """How many are left until `resets_after`."""
    resets_after: timedelta | None = None
    pause: timedelta | None = None
    """Ask nothing for this long."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What opens a source's own addresses: headers that go below its base URL and nowhere else."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)

    def covers(self, url: str) -> bool:
        """Whether the headers may go there."""
        return url.startswith(f"{self.base_url}/")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A dispatch that this worker, and no other, may run until the lease ends."""

    id: int
    token: str
    handler: str
    attempt: int
    """Numbered from 1."""
    idempotency_key: str
    event: Event
    job: Job | None
    probe: bool = False
    """Whether its handler is parked, and this one is to find out whether it works again."""
    due_at: datetime | None = None
    """Since when it was due as it was claimed."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something is wrong that a person should know of. One for each cause, from its beginning until its end is told."""

    cause: str
    """Short and always the same: `dead-letters archive`."""
    summary: str
    """What is wrong and what to do, in a line or two."""
    since: datetime
    told_at: datetime | None = None
    """When people were told; None if that is yet to be done, or nobody is to be told."""
    over_at: datetime | None = None
    """Since when it is no longer so; None while it is."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What keeps a handler's dispatches from being run, if anything does."""

    failure_count: int = 0
    """Attempts in a row that failed, whichever dispatches they were of."""
    parked_until: datetime | None = None
    """When one of its dispatches is tried next; None unless it is parked."""
    paused_at: datetime | None = None
    """Since when a person has kept its dispatches waiting; None unless it is paused."""


class Scope(StrEnum):
    """What a token of the admin side lets its bearer do."""

    READ = "read"
    OPERATE = "operate"
    """Replay, retry, discard, pause, verify again, poll now."""
    SUBMIT = "submit"
    """Create jobs at providers, and track them."""


class Role(StrEnum):
    """Who a token is for; it decides which scopes the token may have."""

    VIEWER = "viewer"
    OPERATOR = "operator"

    @property
    def scopes(self) -> frozenset[Scope]:
        """All that it may do."""
        return frozenset([Scope.READ]) if self is Role.VIEWER else frozenset(Scope)


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token of the admin side, without the secret itself: of that only a digest is kept."""

    name: str
    role: Role
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""


@dataclass(frozen=True, kw_only=True)
class KeptAnswer:
    """What is kept of a request that had an idempotency key."""

    fingerprint: str
    """A digest of what was asked."""
    status: int | None
    """The answer's HTTP status; None if the request was not answered yet, or its process died."""
    body: str | None
    began_at: datetime
