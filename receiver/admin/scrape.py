"""`/metrics`, for Prometheus."""

from flask import Blueprint, Response, request

from receiver import tokens
from receiver.admin import access
from receiver.admin.extension import admin
from receiver.admin.problems import Problem
from receiver.errors import StoreUnavailable
from receiver.exposition import CONTENT_TYPE, exposition
from receiver.models import Scope

bp = Blueprint("scrape", __name__)


@bp.get("/metrics")
def metrics() -> Response:
    """All metrics of this node and of the store; to whoever asks, if `metrics.open` says so."""
    config = admin().config
    if not config.metrics.open:
        _refuse_strangers()
    told = exposition(admin().store, admin().sources, config.handlers, config.metrics_directory)
    return Response(told, content_type=CONTENT_TYPE)


def _refuse_strangers() -> None:
    """Go on only for whoever may read; while the store cannot say who that is, for those who just now might.

    Raises:
        Problem: 401 or 403.
        StoreUnavailable: it cannot be said.
    """
    scrapers, sent = admin().scrapers, request.headers.get("Authorization", "")
    token_digest = tokens.digest(sent)
    try:
        access.identify()
        access.require(Scope.READ)
    except Problem:
        scrapers.refused(token_digest)
        raise
    except StoreUnavailable:
        if not scrapers.known(token_digest):
            raise
    else:
        # Without it, a session of the page was good: that says nothing of others who send none.
        if sent:
            scrapers.let_in(token_digest)
