"""How everything stands."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from flask import Blueprint, render_template
from pydantic import BaseModel

from receiver.admin import access
from receiver.admin.api import stats
from receiver.admin.extension import admin, now
from receiver.admin.pages import forms
from receiver.admin.pages.chart import chart, group_of
from receiver.models import Scope
from receiver.store.figures import (
    FEW_EVENTS,
    NEWEST_COUNTED,
    NEWEST_ENDS,
    NEWEST_EVENTS,
    EventCount,
    Figures,
)

bp = Blueprint("overview", __name__)

_SPANS = {
    "1h": (timedelta(hours=1), timedelta(minutes=1)),
    "6h": (timedelta(hours=6), timedelta(minutes=5)),
    "24h": (timedelta(hours=24), timedelta(minutes=20)),
}


class Asked(BaseModel):
    """What the chart shows."""

    span: Literal["1h", "6h", "24h"] = "1h"
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The sums over all handlers and sources, and the oldest of their moments."""

    waiting: int
    oldest_waiting_at: datetime | None
    running: int
    dead: int
    open: int
    overdue: int
    oldest_overdue_at: datetime | None
    refused: int


@bp.get("/")
@access.with_session(Scope.READ)
def show() -> str:
    """Show what waits, what failed, and whether webhooks come."""
    asked, store = forms.filters(Asked), admin().store
    figures, until = store.figures(), now()
    span, step = _SPANS[asked.span]
    counts, counted_since = store.count_by_minute(since=until - span), store.counted_since(since=until - span)
    shown = [counted for counted in counts if asked.source in (None, counted.source)]
    drawn = chart(shown, until=until, span=span, step=step)
    return render_template(
        "overview.html",
        asked=asked,
        spans=list(_SPANS),
        sources=sorted({*admin().sources, *(counted.source for counted in counts)}),
        figures=figures,
        configured={handler.name for handler in admin().handlers},
        totals=_totals(figures),
        chart=drawn,
        by_source=_by_source(shown, since=drawn.bars[0].since),
        newest=NEWEST_COUNTED,
        counted_since=counted_since if counted_since > until - span else None,
        # Of the sources whose webhooks are expected, or came all the same.
        health=[found for found in stats.webhook_health() if found.expected or found.webhooks.came],
        health_of={"ends": NEWEST_ENDS, "few": FEW_EVENTS, "events": NEWEST_EVENTS},
    )


def _totals(figures: Figures) -> Totals:
    handlers, sources = figures.handlers, figures.sources
    return Totals(
        waiting=sum(handler.waiting_count for handler in handlers) + figures.unrouted_count,
        oldest_waiting_at=_oldest([figures.oldest_unrouted_at, *(handler.oldest_waiting_at for handler in handlers)]),
        running=sum(handler.running_count for handler in handlers),
        dead=sum(handler.dead_count for handler in handlers),
        open=sum(source.open_count for source in sources),
        overdue=sum(source.overdue_count for source in sources),
        oldest_overdue_at=_oldest([source.oldest_overdue_at for source in sources]),
        refused=sum(source.quarantine_count for source in sources),
    )


def _oldest(moments: Sequence[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _by_source(counts: Sequence[EventCount], *, since: datetime) -> dict[str, dict[str, int]]:
    """How many events of each source and group, in the minutes from that moment on."""
    found: dict[str, defaultdict[str, int]] = {}
    for counted in counts:
        if counted.minute < since:
            continue
        found.setdefault(counted.source, defaultdict(int))[group_of(counted.status)] += counted.count
    return {source: dict(groups) for source, groups in sorted(found.items())}
