"""Dead letters: grouped by handler and first line of the error, and what a person does with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, render_template, request
from pydantic import BaseModel

from receiver import operations
from receiver.admin import access
from receiver.admin.api import dispatches as api
from receiver.admin.api.dispatches import (
    DeadSelection,
    DiscardNamed,
    DiscardSelected,
    DispatchQuery,
    Named,
    Selected,
)
from receiver.admin.api.shapes import Changed
from receiver.admin.api.values import MOST_AT_ONCE, Expected, MomentGiven, Name, PageQuery
from receiver.admin.extension import admin, now
from receiver.admin.pages import forms
from receiver.clock import to_text
from receiver.models import Scope, State
from receiver.store.base import DispatchFilter, Row
from receiver.store.rules import first_line

bp = Blueprint("dead_letters", __name__, url_prefix="/dead-letters")

NEWEST = 1000
"""Among how many dead letters groups are looked for."""

# So many digits has an id at most.
_LONGEST_ID = 19


@dataclass(kw_only=True)
class Group:
    """The dead letters of one handler whose errors have the same first line."""

    handler: str
    first_line: str
    """Empty where the error has no text."""
    count: int = 0
    newest_at: str | None = None
    oldest_at: str | None = None


class ListQuery(BaseModel):
    """Whose groups."""

    handler: Name | None = None


class GroupQuery(PageQuery):
    """Which group."""

    handler: Name


class GroupForm(BaseModel):
    """What is to be done with which group, as it was when it was looked at."""

    handler: Name
    until: MomentGiven
    expected_count: Expected


@bp.get("")
@access.with_session(Scope.READ)
def listed() -> str:
    """List the groups, the largest first; all of them, or those of one handler."""
    handler = forms.filters(ListQuery).handler
    page = admin().store.list_dispatches(DispatchFilter(state=State.DEAD, handler=handler), limit=NEWEST)
    return render_template(
        "dead_letters.html", handler=handler, groups=grouped(page.rows), more=page.next is not None, newest=NEWEST
    )


@bp.get("/group")
@access.with_session(Scope.READ)
def group() -> str:
    """Show one group, and how many it has."""
    query, until = forms.filters(GroupQuery), now()
    line = first_line(request.args.get("first_line"))
    page = api.list_dispatches(
        DispatchQuery(state=State.DEAD, handler=query.handler, first_line=line, before=query.before, limit=query.limit)
    )
    chosen = operations.choose_dead(admin().store, _selection(query.handler, line, until).dead(now=until))
    return render_template(
        "dead_letter_group.html",
        handler=query.handler,
        first_line=line,
        letters=page.items,
        following=forms.following(page.next),
        until=to_text(until),
        count=chosen.total,
        most=MOST_AT_ONCE,
    )


@bp.post("/group/retry")
@access.with_session(Scope.OPERATE)
def retry_group() -> Response:
    """Run all of a group again, if they are as many as they were."""
    asked = forms.form(GroupForm)
    selection = _selection(asked.handler, first_line(request.form.get("first_line")), asked.until)
    changed = api.retry_dispatches(Selected(selection=selection, expected_count=asked.expected_count))
    return forms.done("pages.dead_letters.listed", "retried", changed.count)


@bp.post("/group/discard")
@access.with_session(Scope.OPERATE)
def discard_group() -> Response:
    """Drop all of a group for good, if they are as many as they were."""
    asked, reason = forms.form(GroupForm), forms.field("reason")
    selection = _selection(asked.handler, first_line(request.form.get("first_line")), asked.until)
    body = DiscardSelected(selection=selection, expected_count=asked.expected_count, reason=reason)
    changed = api.discard_dispatches(body)
    return forms.done("pages.dead_letters.listed", "discarded", changed.count)


@bp.post("/retry")
@access.with_session(Scope.OPERATE)
def retry() -> Response:
    """Run those that were chosen again, dead or cancelled."""
    changed = api.retry_dispatches(forms.form(Named, dispatches=request.form.getlist("dispatch")))
    return _back("retried", changed)


@bp.post("/discard")
@access.with_session(Scope.OPERATE)
def discard() -> Response:
    """Drop those that were chosen for good."""
    body = forms.form(DiscardNamed, dispatches=request.form.getlist("dispatch"))
    return _back("discarded", api.discard_dispatches(body))


def grouped(rows: Iterable[Row]) -> list[Group]:
    """Dead letters, newest first, as groups, the largest first."""
    groups: dict[tuple[str, str], Group] = {}
    for row in rows:
        line = first_line(row["error"])
        found = groups.setdefault((row["handler"], line), Group(handler=row["handler"], first_line=line))
        found.count += 1
        found.newest_at = found.newest_at or row["finished_at"]
        found.oldest_at = row["finished_at"] or found.oldest_at
    return sorted(groups.values(), key=lambda group: (-group.count, group.handler, group.first_line))


def _selection(handler: str, line: str, until: datetime) -> DeadSelection:
    # What dies after the page was shown is not what was agreed to.
    return DeadSelection(handlers=[handler], first_line=line, until=to_text(until))  # type: ignore[arg-type]


def _back(what: str, changed: Changed) -> Response:
    """To the page that the form was on."""
    event, handler = request.form.get("event", ""), request.form.get("handler")
    if event.isascii() and event.isdigit() and len(event) <= _LONGEST_ID:
        return forms.done("pages.events.one", what, changed.count, event=int(event))
    if handler:
        line = request.form.get("first_line", "")
        return forms.done("pages.dead_letters.group", what, changed.count, handler=handler, first_line=line)
    return forms.done("pages.dead_letters.listed", what, changed.count)
