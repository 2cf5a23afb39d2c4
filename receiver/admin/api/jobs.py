"""Jobs, and the create calls that lead to them."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from receiver import clock, plugins
from receiver.admin.api.operations import Resource, not_found
from receiver.admin.api.shapes import (
    CreatedJob,
    IntentShape,
    JobShape,
    NewestIntents,
    PageOf,
    Shape,
    Submission,
    TrackedJob,
    WholeJob,
)
from receiver.admin.api.values import Flag, JobId, Limit, Metadata, MomentGiven, Name, NewJobId, PageQuery, Taken
from receiver.admin.extension import admin
from receiver.admin.problems import Problem
from receiver.discover import discover
from receiver.inbox import Source
from receiver.models import Scope, Status
from receiver.outbound import ProviderClient
from receiver.store.base import DispatchFilter, EventFilter, JobFilter

resource = Resource("jobs")

MOST_EVENTS = 50
"""So many of a job's events are shown with it, the newest."""
MOST_DISPATCHES = 50
"""So many dispatches of each of them."""
_DISCOVERED_WITHIN = timedelta(hours=24)


class JobQuery(PageQuery):
    """Which jobs."""

    source: Name | None = None
    job: JobId | None = None
    status: Status | None = None
    kind: Name | None = None
    open: Flag = False
    """Only those that have not ended."""
    overdue: Flag = False
    """Only those whose poll is due."""


class IntentQuery(Taken):
    """Which intents."""

    source: Name | None = None
    limit: Limit = 50
    """At most so many."""


class Track(Taken):
    """A job that was created some other way."""

    source: Name
    job: NewJobId
    kind: Name | None = None
    """The provider's default, if it is left out."""
    metadata: Metadata = {}
    """Given to handlers with the job."""
    intent: Name | None = None
    """The intent that led to it, whose kind and metadata it gets."""


class Submit(Taken):
    """A job to create."""

    source: Name
    kind: Name
    body: dict[str, Any]
    """What the provider's create call takes."""
    metadata: Metadata = {}
    """Given to handlers with the job."""


class PollNow(Taken):
    """A job to ask about."""

    source: Name
    job: JobId


class Discover(Taken):
    """Whose jobs to look for."""

    source: Name
    since: MomentGiven | None = None
    """Created at this moment or later; in the last 24 hours, if it is left out."""


class Discovered(Shape):
    """What a look through a provider's lists found."""

    source: str
    listed: int
    """Jobs in them that are young enough."""
    tracked: int
    """Those of them that were not known: they are asked about next."""
    error: str | None
    """Why the lists were not read to their end, or not at all."""


@resource.get("/jobs")
def list_jobs(query: JobQuery) -> PageOf[JobShape]:
    """List jobs, newest first."""
    wanted = JobFilter(
        source=query.source,
        job_id=query.job,
        status=query.status,
        kind=query.kind,
        open=query.open,
        overdue=query.overdue,
    )
    return PageOf[JobShape].of(admin().store.list_jobs(wanted, limit=query.limit, before=query.before))


@resource.get("/jobs/{source}/{job}")
def show_job(source: Name, job: JobId) -> WholeJob:
    """Show one job with its newest events and their dispatches.

    These are the newest 50 events, and the newest 50 dispatches of each; `/events?source=…&job=…` and
    `/dispatches?event=…` list all.
    """
    store = admin().store
    rows = store.list_jobs(JobFilter(source=source, job_id=job), limit=1).rows
    if not rows:
        raise not_found("job", f"{job} of {source}")
    events = store.list_events(EventFilter(source=source, job_id=job), limit=MOST_EVENTS).rows
    dispatches = [
        dispatch
        for event in events
        for dispatch in store.list_dispatches(DispatchFilter(event_id=event["id"]), limit=MOST_DISPATCHES).rows
    ]
    return WholeJob.model_validate({**rows[0], "events": events, "dispatches": dispatches})


@resource.post("/jobs", scope=Scope.SUBMIT)
def track_job(body: Track) -> TrackedJob:
    """Expect a job to finish that was created some other way: should nobody call back, it is asked about."""
    new = admin().receiver.track(body.source, body.job, kind=body.kind, metadata=body.metadata, intent=body.intent)
    return TrackedJob(source=body.source, job=body.job, new=new)


@resource.post("/submissions", scope=Scope.SUBMIT, status=HTTPStatus.CREATED, once=True)
def submit_job(body: Submit) -> Submission:
    """Create a job at a source's provider and track it.

    The provider is called once and never again: should its answer get lost, the answer here is 502, and `/intents`
    shows what is to be done.
    """
    jobs = admin().receiver.submit(body.source, body.kind, body.body, metadata=body.metadata)
    return Submission(
        jobs=[CreatedJob(source=job.source, job=job.job_id, kind=job.kind, status=job.status) for job in jobs]
    )


@resource.post("/polls", scope=Scope.OPERATE, status=HTTPStatus.ACCEPTED)
def poll_job(body: PollNow) -> PollNow:
    """Have an open job asked about as soon as the source's request budget allows.

    While nobody asks about the source's jobs, as it is paused or cannot be asked, the answer is 409.
    """
    why = _why_unasked(plugins.source(admin().sources, body.source))
    if why is not None:
        raise Problem(HTTPStatus.CONFLICT, why)
    if not admin().store.poll_soon(body.source, body.job):
        raise not_found("open job", f"{body.job} of {body.source}")
    return body


@resource.post("/discoveries", scope=Scope.OPERATE)
def discover_jobs(body: Discover) -> Discovered:
    """Look for jobs that nobody tracked, in the lists of a source's provider.

    Each page of a list spends one request of the source's budget; where that ends, `error` says so.
    """
    source, now = plugins.source(admin().sources, body.source), clock.now()
    since = now - body.since if body.since is not None else _DISCOVERED_WITHIN
    with ProviderClient() as client:
        found = discover(source, since=since, store=admin().store, client=client)
    return Discovered(source=found.source, listed=found.listed, tracked=found.tracked, error=found.error)


@resource.get("/intents")
def list_intents(query: IntentQuery) -> NewestIntents:
    """List the create calls of which nobody knows what they led to, newest first.

    It has no pages: `more` says whether there are older ones than `limit` lets it tell.
    """
    rows = admin().store.list_intents(source=query.source, limit=query.limit + 1)
    items = [IntentShape.model_validate(row) for row in rows[: query.limit]]
    return NewestIntents(items=items, more=len(rows) > query.limit)


@resource.delete("/intents/{intent}", scope=Scope.SUBMIT)
def withdraw_intent(intent: Name) -> None:
    """Drop an intent that is known to have led to nothing."""
    admin().receiver.withdraw(intent)


def _why_unasked(source: Source) -> str | None:
    """Why nobody asks about a source's jobs; None if somebody does."""
    if not source.provider.polls:
        return f"the provider of {source.name} cannot be asked about jobs"
    if not source.askable:
        return f"nobody asks about jobs of {source.name}: set sources.{source.name}.api_key"
    if admin().store.source_paused_at(source.name) is not None:
        return f"{source.name} is paused: nobody asks about its jobs until it is resumed"
    return None
