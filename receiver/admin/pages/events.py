"""Events: the list, and one of them from the delivery that told it to the last attempt."""

from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request

from receiver.admin import access, headers
from receiver.admin.api import dispatches as dispatches_api
from receiver.admin.api import events as api
from receiver.admin.api.dispatches import ReplayEvents
from receiver.admin.api.events import EventQuery
from receiver.admin.api.shapes import WholeEvent
from receiver.admin.extension import admin
from receiver.admin.pages import deliveries, forms, words
from receiver.admin.pages.media import is_link, medium
from receiver.models import Scope, State, Status

bp = Blueprint("events", __name__, url_prefix="/events")

_LONGEST_DATA = 64_000
_UNFINISHED = (State.PENDING, State.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One output as the page shows it."""

    number: int
    url: str
    is_link: bool
    """Whether a link may lead to it."""
    authorized: bool
    """Whether it is fetched with the source's API key, which a browser has not."""
    medium: str | None
    """`image`, `video` or `audio`; None if it cannot be shown."""
    shown: bool
    """Whether the browser is to fetch it."""


@bp.get("")
@access.with_session(Scope.READ)
def listed() -> str:
    """List events, newest first."""
    query = forms.filters(EventQuery)
    page = api.list_events(query)
    return render_template(
        "events.html",
        query=query,
        events=page.items,
        following=forms.following(page.next),
        sources=sorted(admin().sources),
        statuses=list(Status),
        states=list(State),
    )


@bp.get("/<id:event>")
@access.with_session(Scope.READ)
def one(event: int) -> str:
    """Show one event; with `shown`, the result of that number is fetched by the browser."""
    found, delivery = api.event_with_delivery(event)
    results = _results(found, shown=request.args.get("shown"))
    if any(result.shown for result in results):
        headers.allow_media()
    data = words.indented(found.data)
    return render_template(
        "event.html",
        event=found,
        delivery=deliveries.whole(delivery) if delivery is not None else None,
        results=results,
        data=data[:_LONGEST_DATA],
        cut=len(data) > _LONGEST_DATA,
        verdicts=api.route_event(event).items,
        most_dispatches=api.MOST_DISPATCHES,
        unfinished=any(dispatch.state in _UNFINISHED for dispatch in found.dispatches),
    )


@bp.post("/<id:event>/replay")
@access.with_session(Scope.OPERATE)
def replay(event: int) -> Response:
    """Run its handlers again, or one of them."""
    body = forms.form(ReplayEvents, events=[str(event)], handlers=request.form.getlist("handler"))
    with forms.only_once() as first:
        if not first:
            return forms.done("pages.events.one", "replayed-before", event=event)
        replayed = dispatches_api.replay_events(body)
    count = sum(replayed.dispatches.values())
    return forms.done("pages.events.one", "replayed" if count else "replayed-nothing", count, event=event)


def _results(event: WholeEvent, *, shown: str | None) -> list[Result]:
    """The outputs, of which one may be asked for."""
    return [
        Result(
            number=number,
            url=output.url,
            is_link=is_link(output.url),
            authorized=output.authorized,
            medium=medium(output.url, event.kind) if is_link(output.url) and not output.authorized else None,
            shown=shown == str(number),
        )
        for number, output in enumerate(event.outputs, start=1)
    ]
