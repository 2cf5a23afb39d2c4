"""How everything stands."""

from datetime import datetime

from receiver import alerts
from receiver.admin.api.operations import Resource
from receiver.admin.api.shapes import ListOf, Moment, Shape
from receiver.admin.extension import admin
from receiver.clock import to_text

resource = Resource("stats")


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
    ended_count: int
    missed_count: int
    """Of how many of them the webhook never came."""
    missed_share: float | None
    """From 0 to 1; null where it is not known."""
    median_delay_seconds: float | None
    """How much later a poll told it than the webhook, where both did."""
    last_webhook_at: Moment | None
    went_quiet: bool
    """Whether webhooks came, and none for the last jobs."""


class Stats(Shape):
    """How everything stands now."""

    unrouted_count: int
    """Events that no worker has routed yet."""
    oldest_unrouted_at: Moment | None
    handlers: list[HandlerStats]
    sources: list[SourceStats]
    webhooks: list[WebhookStats]


class AlertShape(Shape):
    """One thing that is wrong now."""

    cause: str
    summary: str
    since: Moment | None
    """Null if nobody has looked for it yet."""
    told_at: Moment | None
    """Null if nobody was told yet."""


@resource.get("/alerts")
def list_alerts() -> ListOf[AlertShape]:
    """List what is wrong now: what `[alerts]` tells people, whether they were told already or not."""
    store, config = admin().store, admin().config
    known = {alert.cause: alert for alert in store.alerts()}
    items = []
    for cause, summary in alerts.firing(store, admin().sources, config.handlers, config.alerts).items():
        alert = known.get(cause)
        since, told_at = (alert.since, alert.told_at) if alert is not None else (None, None)
        items.append(AlertShape(cause=cause, summary=summary, since=_text(since), told_at=_text(told_at)))
    return ListOf[AlertShape](items=items)


@resource.get("/stats")
def show_stats() -> Stats:
    """Show what waits, what is dead, what is overdue, and whether webhooks come."""
    store = admin().store
    figures = store.figures()
    return Stats(
        unrouted_count=figures.unrouted_count,
        oldest_unrouted_at=_text(figures.oldest_unrouted_at),
        handlers=[
            HandlerStats(
                handler=found.handler,
                waiting_count=found.waiting_count,
                oldest_waiting_at=_text(found.oldest_waiting_at),
                running_count=found.running_count,
                dead_count=found.dead_count,
                failure_count=found.failure_count,
                parked_until=_text(found.parked_until),
                paused_at=_text(found.paused_at),
            )
            for found in figures.handlers
        ],
        sources=[
            SourceStats(
                source=found.source,
                open_count=found.open_count,
                overdue_count=found.overdue_count,
                oldest_overdue_at=_text(found.oldest_overdue_at),
                quarantine_count=found.quarantine_count,
                paused_at=_text(found.paused_at),
            )
            for found in figures.sources
        ],
        webhooks=[
            WebhookStats(
                source=found.source,
                ended_count=found.ended_count,
                missed_count=found.missed_count,
                missed_share=found.missed_share,
                median_delay_seconds=found.median_delay.total_seconds() if found.median_delay is not None else None,
                last_webhook_at=_text(found.last_webhook_at),
                went_quiet=found.went_quiet,
            )
            for found in store.webhook_health(
                [name for name, source in admin().sources.items() if source.provider.sends_webhooks]
            )
        ],
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)
