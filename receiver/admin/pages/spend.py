"""What jobs cost, as far as their providers say."""

from datetime import timedelta
from typing import Literal

from flask import Blueprint, render_template
from pydantic import BaseModel

from receiver.admin import access
from receiver.admin.api import stats
from receiver.admin.api.stats import SpendingQuery
from receiver.admin.extension import now
from receiver.admin.pages import forms
from receiver.clock import to_text
from receiver.models import Scope
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
    asked = forms.filters(Asked)
    since = to_text(now() - _SPANS[asked.span])
    spent = stats.show_spending(SpendingQuery.model_validate({"since": since}))
    return render_template(
        "spend.html",
        asked=asked,
        spans=list(_SPANS),
        spent=spent,
        charged=spent.charged[:_MOST_CHARGED],
        newest=NEWEST_COSTS,
        counted_since=spent.since if spent.since > since else None,
    )
