"""`/metrics`, for Prometheus."""

from flask import Blueprint, Response

from receiver.admin import access
from receiver.admin.extension import admin
from receiver.exposition import CONTENT_TYPE, exposition
from receiver.models import Scope

bp = Blueprint("scrape", __name__)


@bp.get("/metrics")
def metrics() -> Response:
    """All metrics of this node and of the store; to whoever asks, if `metrics.open` says so."""
    config = admin().config
    if not config.metrics.open:
        access.identify()
        access.require(Scope.READ)
    told = exposition(admin().store, admin().sources, config.metrics_directory)
    return Response(told, content_type=CONTENT_TYPE)
