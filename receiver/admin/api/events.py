"""Events."""

from receiver.admin.api.operations import Resource, not_found
from receiver.admin.api.shapes import EventShape, ListOf, PageOf, RouteVerdict, WholeEvent
from receiver.admin.api.values import Id, JobId, MomentGiven, Name, PageQuery
from receiver.admin.extension import admin
from receiver.models import State, Status
from receiver.store.base import DispatchFilter, EventFilter, Row

resource = Resource("events")

MOST_DISPATCHES = 200
"""So many of an event's dispatches are shown with it, the newest."""


class EventQuery(PageQuery):
    """Which events."""

    source: Name | None = None
    type: Name | None = None
    """A type, in which `*` stands for any text."""
    status: Status | None = None
    kind: Name | None = None
    job: JobId | None = None
    state: State | None = None
    """Only those of which a dispatch is in this state."""
    since: MomentGiven | None = None
    """Recorded at this moment or later."""
    until: MomentGiven | None = None
    """Recorded before this moment."""
    text: Name | None = None
    """Found as it is written in the key, job id, type, outputs or data."""


@resource.get("/events")
def list_events(query: EventQuery) -> PageOf[EventShape]:
    """List events, newest first."""
    wanted = EventFilter(
        source=query.source,
        type=query.type,
        status=query.status,
        kind=query.kind,
        job_id=query.job,
        state=query.state,
        since=query.since,
        until=query.until,
        text=query.text,
    )
    return PageOf[EventShape].of(admin().store.list_events(wanted, limit=query.limit, before=query.before))


@resource.get("/events/{event}")
def show_event(event: Id) -> WholeEvent:
    """Show one event, from the delivery that told it to every attempt it led to.

    Of its dispatches it has the newest 200; `/dispatches?event=…` lists all.
    """
    whole, _ = event_with_delivery(event)
    return whole


@resource.get("/events/{event}/routes")
def route_event(event: Id) -> ListOf[RouteVerdict]:
    """Say of each handler whether it gets the event, and if not, why."""
    found = admin().store.event(event)
    if found is None:
        raise not_found("event", event)
    provider = admin().config.provider_of(found.source)
    verdicts = []
    for handler in admin().handlers:
        reason = handler.mismatch(found, provider)
        if reason is None and not found.standing.dispatched:
            reason = f"the event is only kept, as it is {found.standing}"
        verdicts.append(RouteVerdict(handler=handler.name, gets_it=reason is None, why_not=reason))
    return ListOf[RouteVerdict](items=verdicts)


def event_with_delivery(event: int) -> tuple[WholeEvent, Row | None]:
    """One event, and the row of the delivery that told it with its body, as long as that is kept.

    Raises:
        Problem: there is no event with that id.
    """
    store = admin().store
    row = store.event_row(event)
    if row is None:
        raise not_found("event", event)
    dispatches = [
        {**(store.dispatch(dispatch["id"]) or dispatch), "attempts": store.list_attempts(dispatch["id"])}
        for dispatch in store.list_dispatches(DispatchFilter(event_id=event), limit=MOST_DISPATCHES).rows
    ]
    delivery = store.delivery(row["delivery"]) if row["delivery"] is not None else None
    return WholeEvent.model_validate({**row, "delivery": delivery, "dispatches": dispatches[::-1]}), delivery
