"""The API: one file for each resource, and the operations that they declare."""

from collections.abc import Sequence
from functools import cache

from flask import Blueprint, Flask, request

from receiver.admin import access
from receiver.admin.api import configured, deliveries, description, dispatches, events, jobs, retention, stats, stream
from receiver.admin.api.operations import Operation

PREFIX = "/api/v1"

OPERATIONS: Sequence[Operation] = tuple(
    operation
    for module in (events, dispatches, deliveries, jobs, configured, retention, stats, stream, description)
    for operation in module.resource.operations
)


@cache
def _document() -> str:
    """The description of all of it, made when somebody first asks: that takes longer than all the rest."""
    return description.document(OPERATIONS, PREFIX)


def register(app: Flask) -> None:
    """Give the app all routes of the API, and ask whoever comes below its prefix who they are."""
    bp = Blueprint("api", __name__, url_prefix=PREFIX)
    for operation in OPERATIONS:
        bp.add_url_rule(operation.rule, operation.name, operation, methods=[operation.method])
    app.register_blueprint(bp)
    app.extensions[description.NAME] = _document

    @app.before_request
    def identify() -> None:
        # Also for a path that leads nowhere: without a token nothing is told, not even that.
        if request.path == PREFIX or request.path.startswith(f"{PREFIX}/"):
            access.identify()
