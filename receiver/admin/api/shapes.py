"""What answers hold: the rows of the store, in the words of the commands' `--json`."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from receiver.clock import to_text
from receiver.errors import Reason
from receiver.models import Standing, State, Status, Trust, Via
from receiver.store.base import Page, Verdict

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as the store writes it: ISO 8601, UTC, milliseconds."""


def told(moment: datetime | None) -> Moment | None:
    """A time as answers hold it; None if there is none."""
    return None if moment is None else to_text(moment)


class Shape(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(use_attribute_docstrings=True)


_S = TypeVar("_S", bound=Shape)


class ListOf(Shape, Generic[_S]):
    """All there are."""

    items: list[_S]


class PageOf(Shape, Generic[_S]):
    """A part of a list, newest first."""

    items: list[_S]
    next: int | None
    """`before` of the page that follows, which the header `Link` names too; null on the last.

    A page with fewer items than asked for need not be the last: what is rare is searched for in parts.
    """

    @classmethod
    def of(cls, page: Page) -> "PageOf[_S]":
        """A page of rows."""
        return cls.model_validate({"items": page.rows, "next": page.next})


class OutputShape(Shape):
    """One result of a job."""

    url: str
    authorized: bool
    """Whether it is fetched with the source's API key."""


class EventShape(Shape):
    """One fact about one job, or a notice."""

    id: int
    source: str
    type: str
    job: str | None
    kind: str | None
    status: Status | None
    raw_status: str | None
    """The provider's own word."""
    standing: Standing
    trust: Trust
    via: Via
    key: str
    """With the source it is known by this for ever."""
    outputs: list[OutputShape]
    failure: Annotated[list[str | None], Field(min_length=2, max_length=2)] | None
    """Why it failed: the provider's text, and its code if there is one."""
    occurred_at: Moment | None
    recorded_at: Moment
    webhook_at: Moment | None
    """When a webhook first told it."""
    poll_at: Moment | None
    """When a poll first told it."""


class DeliveryShape(Shape):
    """One request as it came in, or one poll answer."""

    id: int
    source: str
    via: Via
    trust: Trust
    verdict: Verdict
    received_at: Moment
    seen_count: int
    last_seen_at: Moment
    path: str
    note: str | None
    """Why it could not be read, or what is odd about it."""


class WholeDelivery(DeliveryShape):
    """A delivery with its headers; its body is an address of its own."""

    headers: dict[str, str]
    """Without what those hold that are known to carry secrets."""
    body_size: int
    """In bytes."""


class RefusalShape(Shape):
    """One delivery that was refused."""

    id: int
    source: str
    reason: Reason
    received_at: Moment
    hint: str
    path: str


class WholeRefusal(RefusalShape):
    """A refused delivery with its headers; its body is an address of its own."""

    headers: dict[str, str]
    body_size: int
    """In bytes: of what is kept."""


class VerifiedAgain(Shape):
    """What became of a refused delivery."""

    accepted: bool
    delivery: int | None = None
    """As what it was taken in."""
    repeated: bool = False
    """Whether nothing in it was new."""
    reason: Reason | None = None
    """Why it is still refused."""
    hint: str | None = None


class AttemptShape(Shape):
    """One run of a dispatch."""

    number: int
    outcome: str
    started_at: Moment
    ended_at: Moment
    worker: str | None
    error: str | None


class DispatchShape(Shape):
    """One event for one handler."""

    id: int
    event: int
    handler: str
    source: str
    job: str | None
    state: State
    attempt_count: int
    replay: int
    """0 for the first of the event and the handler, then counted."""
    replay_id: str | None
    due_at: Moment
    finished_at: Moment | None
    error: str | None
    result: dict[str, Any] | None
    """What the handler saved."""
    idempotency_key: str


class WholeDispatch(DispatchShape):
    """A dispatch with its attempts, oldest first."""

    created_at: Moment
    started_at: Moment | None
    attempts: list[AttemptShape]


class WholeEvent(EventShape):
    """An event from the delivery that told it to the attempts that it led to."""

    data: Any
    """The provider's own object."""
    delivery: DeliveryShape | None
    """What told it first, as long as it is kept."""
    dispatches: list[WholeDispatch]
    """The newest 200, oldest first."""


class RouteVerdict(Shape):
    """Whether a handler gets an event."""

    handler: str
    gets_it: bool
    why_not: str | None


class JobShape(Shape):
    """One remote generation."""

    id: int
    """A number of ours, for `before`."""
    source: str
    job: str
    kind: str
    status: Status
    raw_status: str | None
    progress: float | None
    step: str | None
    created_at: Moment
    deadline_at: Moment
    next_poll_at: Moment | None
    finished_at: Moment | None
    poll_count: int
    error_count: int
    """Polls in a row that failed."""
    last_error: str | None
    reference: str | None
    metadata: dict[str, Any]


class WholeJob(JobShape):
    """A job with its newest events and their dispatches."""

    events: list[EventShape]
    """The newest 50, newest first."""
    dispatches: list[DispatchShape]
    """Of each of these events the newest 50."""


class IntentShape(Shape):
    """A create call of which nobody knows what it led to."""

    intent: str
    source: str
    kind: str
    created_at: Moment
    last_error: str | None
    metadata: dict[str, Any]


class NewestIntents(Shape):
    """The newest create calls of which nobody knows what they led to."""

    items: list[IntentShape]
    more: bool
    """Whether there are older ones."""


class TrackedJob(Shape):
    """A job that is expected to finish."""

    source: str
    job: str
    new: bool
    """False if it was known already; then its kind and metadata are updated."""


class CreatedJob(Shape):
    """A job that was created."""

    source: str
    job: str
    kind: str
    status: Status


class Submission(Shape):
    """What was created: one job; of a batch, the batch and all its jobs."""

    jobs: list[CreatedJob]


class RouteShape(Shape):
    """Events that a handler wants: those that fit every part; what is empty fits all."""

    source: str
    type: str
    status: list[Status]
    kind: list[str]
    where: str | None
    """The name of the function that is asked besides."""


class HandlerShape(Shape):
    """A handler, and what keeps its dispatches from being run."""

    name: str
    routes: list[RouteShape]
    table: RouteShape
    """How its table in the configuration narrows them."""
    max_attempts: int
    timeout_seconds: float
    concurrency: int
    waiting_count: int
    failure_count: int
    """Attempts in a row that failed."""
    parked_until: Moment | None
    """When one dispatch is tried next, after too many failures in a row."""
    paused_at: Moment | None
    """Since when a person has kept it from being run."""


class SourceShape(Shape):
    """A source, and whether it is asked."""

    name: str
    provider: str
    sends_webhooks: bool
    polls: bool
    """Whether its provider can be asked about jobs."""
    base_url: str | None
    """Where the provider's API lives."""
    has_api_key: bool
    secrets: dict[str, str | list[str]]
    """The secrets that are set, by setting, masked."""
    requests_left: int | None
    """How many requests its budget allows at this moment; null if it is not asked about jobs."""
    kinds: list[str]
    """What kinds of job it has."""
    creates: list[str]
    """What can be submitted."""
    due_count: int
    """Open jobs whose poll is due."""
    paused_at: Moment | None
    """Since when a person has kept it from being asked."""


class OfferShape(Shape):
    """One thing that a provider offers to make."""

    name: str
    kind: str | None
    data: dict[str, Any]


class Replayed(Shape):
    """What goes to handlers again."""

    replay_id: str | None
    """Null if it was only counted."""
    event_count: int
    dispatches: dict[str, int]
    """How many by handler."""


class Cancelled(Shape):
    """How many dispatches were cancelled; what had begun goes on."""

    cancelled_count: int


class Changed(Shape):
    """Dispatches that were retried or discarded; without `expected_count`, that would be."""

    changed: bool
    """False if they were only counted."""
    count: int
    handlers: dict[str, int]
    """How many by handler, as they were chosen."""
