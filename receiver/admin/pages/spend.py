"""What jobs cost, as far as their providers say."""

from datetime import timedelta
from typing import Literal

from flask import Blueprint, render_template
from pydantic import BaseModel

from receiver import clock
from receiver.admin import access
from receiver.admin.extension import admin
from receiver.admin.pages import forms
from receiver.models import Scope, Status
from receiver.store.figures import NEWEST_EVENTS

bp = Blueprint("spend", __name__, url_prefix="/spend")

_SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
_MOST_CHARGED = 50


class Asked(BaseModel):
    """Since when."""

    span: Literal["24h", "7d", "30d"] = "7d"


@bp.get("")
@access.with_session(Scope.READ)
def show() -> str:
    """Show credits by source, kind and outcome, and the jobs that were charged and did not succeed."""
    asked, store = forms.filters(Asked), admin().store
    since = clock.now() - _SPANS[asked.span]
    counted_since = store.spending_since(since=since)
    spending = store.spending(since=since)
    charged = [(one.source, one.kind, one.status, job) for one in spending for job in one.charged]
    return render_template(
        "spend.html",
        asked=asked,
        spans=list(_SPANS),
        spending=spending,
        total=sum(one.credits for one in spending),
        wasted=sum(one.credits for one in spending if one.status is not Status.SUCCEEDED),
        charged=charged[:_MOST_CHARGED],
        charged_count=len(charged),
        newest=NEWEST_EVENTS,
        counted_since=counted_since if counted_since > since else None,
    )
