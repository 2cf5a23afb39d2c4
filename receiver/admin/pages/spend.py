"""What jobs cost, as far as their providers say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from heapq import merge
from itertools import islice
from typing import Literal

from flask import Blueprint, render_template
from pydantic import BaseModel

from receiver import clock
from receiver.admin import access
from receiver.admin.extension import admin
from receiver.admin.pages import forms
from receiver.clock import to_text
from receiver.models import Scope, Status
from receiver.store.figures import NEWEST_EVENTS, Spending

bp = Blueprint("spend", __name__, url_prefix="/spend")

_SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_MOST_CHARGED = 50


class Asked(BaseModel):
    """Since when."""

    span: Literal["24h", "7d", "30d"] = "7d"


@dataclass(frozen=True, kw_only=True)
class Charged:
    """A job that cost something and did not succeed."""

    source: str
    kind: str | None
    status: Status
    job: str
    ended_at: str
    """Empty if the job is kept no longer."""


@bp.get("")
@access.with_session(Scope.READ)
def show() -> str:
    """Show credits by source, kind and outcome, and the jobs that were charged and did not succeed."""
    asked, store = forms.filters(Asked), admin().store
    since = clock.now() - _SPANS[asked.span]
    counted_since = store.spending_since(since=since)
    spending = store.spending(since=since)
    return render_template(
        "spend.html",
        asked=asked,
        spans=list(_SPANS),
        spending=spending,
        total=sum(one.credits for one in spending),
        wasted=sum(one.credits for one in spending if one.status is not Status.SUCCEEDED),
        charged=list(islice(_newest(spending), _MOST_CHARGED)),
        charged_count=sum(len(one.charged) for one in spending),
        newest=NEWEST_EVENTS,
        counted_since=counted_since if counted_since > since else None,
    )


def _newest(spending: Iterable[Spending]) -> Iterator[Charged]:
    """All that were charged, newest first, as those of each kind are; only jobs that are come to are looked up."""
    return merge(*(_charged(one) for one in spending), key=lambda charged: charged.ended_at, reverse=True)


def _charged(one: Spending) -> Iterator[Charged]:
    for job_id in one.charged:
        job = admin().store.job(one.source, job_id)
        ended_at = to_text(job.finished_at) if job is not None and job.finished_at is not None else ""
        yield Charged(source=one.source, kind=one.kind, status=one.status, job=job_id, ended_at=ended_at)
