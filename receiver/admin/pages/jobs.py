"""Jobs: the list, and one of them from its beginning to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from flask import Blueprint, Response, render_template, request

from receiver.admin import access
from receiver.admin.api import jobs as api
from receiver.admin.api.jobs import IntentQuery, JobQuery, PollNow
from receiver.admin.api.shapes import DispatchShape, EventShape, JobShape
from receiver.admin.extension import admin, now
from receiver.admin.pages import forms, words
from receiver.admin.problems import Problem
from receiver.clock import from_text, to_text
from receiver.inbox import Source
from receiver.models import Scope, Status

bp = Blueprint("jobs", __name__, url_prefix="/jobs")

VIEWS: Mapping[str, Mapping[str, str]] = {
    "all": {},
    "open": {"open": "true"},
    "overdue": {"overdue": "true"},
    "failed": {"status": "failed"},
    "expired": {"status": "expired"},
    "lost": {"status": "lost"},
}
"""What is looked for most often, as filters."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event of a job, with the dispatches it led to."""

    event: EventShape
    dispatches: list[DispatchShape]


@bp.get("")
@access.with_session(Scope.READ)
def listed() -> str:
    """List jobs, newest first, and above them the create calls of which nobody knows what they led to."""
    query = forms.filters(JobQuery)
    page = api.list_jobs(query)
    paused_at = {name: admin().store.source_paused_at(name) for name in {job.source for job in page.items}}
    intents = api.list_intents(IntentQuery(source=query.source)) if query.before is None else None
    return render_template(
        "jobs.html",
        query=query,
        views=VIEWS,
        view=_view(query),
        now=to_text(now()),
        jobs=[
            (job, why_open(job, admin().sources.get(job.source), now=now(), paused_at=paused_at[job.source]))
            for job in page.items
        ],
        intents=intents.items if intents is not None else [],
        more_intents=intents is not None and intents.more,
        following=forms.following(page.next),
        sources=sorted(admin().sources),
        statuses=list(Status),
    )


@bp.get("/one")
@access.with_session(Scope.READ)
def one() -> str:
    """Show one job's whole story. Its id is no part of the path, as it may hold any sign."""
    asked = forms.filters(PollNow)
    job = api.show_job(asked.source, asked.job)
    source = admin().sources.get(job.source)
    paused_at = admin().store.source_paused_at(job.source)
    told = [
        Told(event=event, dispatches=[one for one in job.dispatches if one.event == event.id]) for event in job.events
    ]
    return render_template(
        "job.html",
        job=job,
        why=why_open(job, source, now=now(), paused_at=paused_at),
        pollable=not job.status.terminal and source is not None and source.askable and paused_at is None,
        told=told[::-1],
        most_events=api.MOST_EVENTS,
        most_dispatches=api.MOST_DISPATCHES,
    )


@bp.post("/poll")
@access.with_session(Scope.OPERATE)
def poll() -> Response:
    """Have the provider asked about an open job now."""
    polled = api.poll_job(forms.form(PollNow))
    return forms.done("pages.jobs.one", "poll", source=polled.source, job=polled.job)


@bp.post("/withdraw")
@access.with_session(Scope.SUBMIT)
def withdraw() -> Response:
    """Drop a create call that is known to have led to nothing."""
    if request.form.get("sure") != "yes":
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "say that you have looked at the provider: tick the box")
    api.withdraw_intent(forms.field("intent"))
    return forms.done("pages.jobs.listed", "withdrawn")


def why_open(job: JobShape, source: Source | None, *, now: datetime, paused_at: datetime | None) -> str | None:
    """Why it has not ended, as far as that is known; None if it has."""
    if job.status.terminal:
        return None
    if source is None:
        return f"{job.source} is no longer configured: nobody asks about it, and it expires at its deadline."
    if not source.provider.polls:
        return "Its provider cannot be asked: only a webhook can end it, or its deadline."
    if not source.askable:
        return f"Only a webhook can end it, or its deadline: set sources.{job.source}.api_key, and it is asked about."
    if paused_at is not None:
        return f"{job.source} is paused: nobody asks about it until it is resumed."
    if job.error_count:
        failed = words.count(job.error_count, "poll")
        return f"The last {failed} failed: {job.last_error or 'without a word'}"
    if job.next_poll_at is not None and from_text(job.next_poll_at) <= now:
        waits = words.span(now - from_text(job.next_poll_at))
        return f"Its poll has been due for {waits}: reconcile does not run, or the request budget is used up."
    if job.poll_count:
        return f"The provider says it goes on ({job.raw_status or job.status})."
    return "No webhook has come, and its first poll is not due yet."


def _view(query: JobQuery) -> str | None:
    """The view that this is, if it is one."""
    narrowed = query.model_dump(exclude_defaults=True, exclude={"before", "limit", "source", "kind"}, mode="json")
    asked = {name: "true" if value is True else value for name, value in narrowed.items()}
    return next((name for name, wanted in VIEWS.items() if wanted == asked), None)
