"""What jobs cost, as far as their providers say."""

from datetime import timedelta
from typing import Literal

from flask import Blueprint, render_template
from pydantic import BaseModel

from receiver.admin import access
from receiver.admin.extension import admin, now
from receiver.admin.pages import forms
from receiver.models import Scope, Status
from receiver.store.figures import NEWEST_COSTS

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
    since = now() - _SPANS[asked.span]
    counted_since = store.spending_since(since=since)
    spending = store.spending(since=since)
    return render_template(
        "spend.html",
        asked=asked,
        spans=list(_SPANS),
        spending=spending,
        total=sum(one.credits for one in spending),
        wasted=sum(one.credits for one in spending if one.status is not Status.SUCCEEDED),
        charged=store.charged(since=since, limit=_MOST_CHARGED),
        charged_count=sum(one.charged_count for one in spending),
        newest=NEWEST_COSTS,
        counted_since=counted_since if counted_since > since else None,
    )
