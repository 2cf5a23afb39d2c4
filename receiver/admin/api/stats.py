"""How everything stands."""

from dataclasses import dataclass
from datetime import timedelta

from receiver import alerts, clock
from receiver.admin.api.operations import Resource
from receiver.admin.api.shapes import ListOf, Moment, Shape, told
from receiver.admin.api.values import Minutes, MomentGiven, Taken
from receiver.admin.extension import admin, now
from receiver.clock import to_text
from receiver.models import Status
from receiver.store.figures import WebhookHealth

resource = Resource("stats")

_REFUSED_WITHIN = timedelta(hours=24)
_SPENT_WITHIN = timedelta(days=7)
_MOST_CHARGED = 100


class HandlerStats(Shape):
    """How the dispatches of one handler stand."""

    handler: str
    waiting_count: int
    oldest_waiting_at: Moment | None
    """Since when the one is due that waits longest; null if none is due."""
    running_count: int
    dead_count: int
    failure_count: int
    """Attempts in a row that failed."""
    parked_until: Moment | None
    paused_at: Moment | None
    """Since when a person keeps it from running."""


class SourceStats(Shape):
    """How the jobs and the quarantine of one source stand."""

    source: str
    open_count: int
    overdue_count: int
    """Open jobs whose poll is due."""
    oldest_overdue_at: Moment | None
    quarantine_count: int
    paused_at: Moment | None
    """Since when a person keeps its jobs from being asked about."""


class WebhookStats(Shape):
    """Whether the webhooks of one source come, judged by its newest jobs that ended."""

    source: str
    expected: bool
    """Whether it is set up for them."""
    ended_count: int
    """How many jobs that is: at most 200, and where the source has had very many events, only those among the newest
    10,000 of all sources."""
    missed_count: int
    """Of how many of them the webhook never came."""
    missed_share: float | None
    """From 0 to 1; null where it is not known."""
    median_delay_seconds: float | None
    """How much later a poll told it than the webhook, where both did."""
    last_webhook_at: Moment | None
    went_quiet: bool
    """Whether webhooks came, and none for the last jobs."""
    skewed_count: int
    """How many were refused in the last 24 hours for a signed time too far from ours."""
    unproven_count: int
    """How many were refused in the last 24 hours for their signature."""


class Stats(Shape):
    """How everything stands now."""

    unrouted_count: int
    """Events that no worker has routed yet."""
    oldest_unrouted_at: Moment | None
    handlers: list[HandlerStats]
    sources: list[SourceStats]
    webhooks: list[WebhookStats]


class MinutesQuery(Taken):
    """Which minutes."""

    minutes: Minutes = 60
    """The last so many."""


class MinuteShape(Shape):
    """How many events of one source and status were recorded in one minute."""

    minute: Moment
    """When it began."""
    source: str
    status: Status | None
    count: int


class MinutesShape(Shape):
    """How many events were recorded, minute by minute, oldest first; minutes without any are left out."""

    since: Moment
    complete: bool
    """False if there were more than are counted: then the first minutes are missing or partial."""
    items: list[MinuteShape]


class SpendingQuery(Taken):
    """What is counted."""

    since: MomentGiven | None = None
    """Ended at this moment or later; in the last 7 days, if it is left out."""


class SpendingItem(Shape):
    """What jobs of one source, kind and outcome cost, as far as their provider says."""

    source: str
    kind: str
    status: Status
    job_count: int
    credits: float


class ChargedShape(Shape):
    """A job that cost something and did not succeed."""

    source: str
    job: str
    kind: str
    status: Status
    credits: float
    finished_at: Moment


class SpendingShape(Shape):
    """What jobs cost, as far as their providers say."""

    since: Moment
    """From when on it is counted: later than was asked for, where the newest 30,000 jobs reach back less far."""
    credits: float
    not_succeeded_credits: float
    """How much of it was for jobs that did not succeed."""
    charged_count: int
    """How many jobs cost something and did not succeed."""
    charged: list[ChargedShape]
    """The newest 100 of them."""
    items: list[SpendingItem]


class AlertShape(Shape):
    """One thing that is wrong now."""

    cause: str
    summary: str
    since: Moment | None
    """Null if nobody has looked for it yet."""
    told_at: Moment | None
    """Null if nobody was told yet."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is to be told of one source's webhooks."""

    webhooks: WebhookHealth
    expected: bool
    """Whether it is set up for them."""
    skewed_count: int
    """How many were refused in the last 24 hours for a signed time too far from ours."""
    unproven_count: int
    """How many were refused in the last 24 hours for their signature."""


@resource.get("/alerts")
def list_alerts() -> ListOf[AlertShape]:
    """List what is wrong now: what `[alerts]` tells people, whether they were told already or not."""
    store, config = admin().store, admin().config
    known = {alert.cause: alert for alert in store.alerts()}
    items = []
    for cause, summary in alerts.firing(store, admin().sources, config.handlers, config.alerts).items():
        alert = known.get(cause)
        since, told_at = (alert.since, alert.told_at) if alert is not None else (None, None)
        items.append(AlertShape(cause=cause, summary=summary, since=told(since), told_at=told(told_at)))
    return ListOf[AlertShape](items=items)


@resource.get("/stats")
def show_stats() -> Stats:
    """Show what waits, what is dead, what is overdue, and whether webhooks come."""
    figures = admin().store.figures()
    return Stats(
        unrouted_count=figures.unrouted_count,
        oldest_unrouted_at=told(figures.oldest_unrouted_at),
        handlers=[
            HandlerStats(
                handler=found.handler,
                waiting_count=found.waiting_count,
                oldest_waiting_at=told(found.oldest_waiting_at),
                running_count=found.running_count,
                dead_count=found.dead_count,
                failure_count=found.failure_count,
                parked_until=told(found.parked_until),
                paused_at=told(found.paused_at),
            )
            for found in figures.handlers
        ],
        sources=[
            SourceStats(
                source=found.source,
                open_count=found.open_count,
                overdue_count=found.overdue_count,
                oldest_overdue_at=told(found.oldest_overdue_at),
                quarantine_count=found.quarantine_count,
                paused_at=told(found.paused_at),
            )
            for found in figures.sources
        ],
        webhooks=[
            WebhookStats(
                source=found.source,
                expected=health.expected,
                ended_count=found.ended_count,
                missed_count=found.missed_count,
                missed_share=found.missed_share,
                median_delay_seconds=found.median_delay.total_seconds() if found.median_delay is not None else None,
                last_webhook_at=told(found.last_webhook_at),
                went_quiet=found.went_quiet,
                skewed_count=health.skewed_count,
                unproven_count=health.unproven_count,
            )
            for health in webhook_health()
            for found in [health.webhooks]
        ],
    )


@resource.get("/stats/minutes")
def count_events(query: MinutesQuery) -> MinutesShape:
    """Count the events of the last minutes, at most a day, by minute, source and status."""
    since = now() - timedelta(minutes=query.minutes)
    counts = admin().store.count_by_minute(since=since)
    return MinutesShape(
        since=to_text(since),
        complete=admin().store.counted_since(since=since) <= since,
        items=[
            MinuteShape(minute=to_text(found.minute), source=found.source, status=found.status, count=found.count)
            for found in counts
        ],
    )


@resource.get("/stats/spending")
def show_spending(query: SpendingQuery) -> SpendingShape:
    """Show what jobs cost, by source, kind and outcome, and which were charged and did not succeed."""
    store = admin().store
    since = store.spending_since(since=query.since or now() - _SPENT_WITHIN)
    spending = store.spending(since=since)
    return SpendingShape(
        since=to_text(since),
        credits=sum(found.credits for found in spending),
        not_succeeded_credits=sum(found.credits for found in spending if found.status is not Status.SUCCEEDED),
        charged_count=sum(found.charged_count for found in spending),
        charged=[
            ChargedShape(
                source=found.source,
                job=found.job_id,
                kind=found.kind,
                status=found.status,
                credits=found.credits,
                finished_at=to_text(found.finished_at),
            )
            for found in store.charged(since=since, limit=_MOST_CHARGED)
        ],
        items=[
            SpendingItem(
                source=found.source,
                kind=found.kind,
                status=found.status,
                job_count=found.job_count,
                credits=found.credits,
            )
            for found in spending
        ],
    )


def webhook_health() -> list[Health]:
    """Of every source whose provider sends webhooks."""
    store, sources = admin().store, admin().sources
    refused = store.count_refused(since=clock.now() - _REFUSED_WITHIN)
    return [
        Health(
            webhooks=found,
            expected=sources[found.source].expects_webhooks,
            skewed_count=sum(one.count for one in refused if one.source == found.source and one.skewed),
            unproven_count=sum(one.count for one in refused if one.source == found.source and one.unproven),
        )
        for found in store.webhook_health([name for name, one in sources.items() if one.provider.sends_webhooks])
    ]
