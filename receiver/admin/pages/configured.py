"""Sources and handlers: what is configured, what each is doing, and pausing it."""

from flask import Blueprint, Response, render_template

from receiver.admin import access
from receiver.admin.api import configured as api
from receiver.admin.api import dispatches
from receiver.admin.api.dispatches import DiscardLeftOver
from receiver.admin.api.values import MOST_AT_ONCE, Expected
from receiver.admin.extension import admin
from receiver.admin.pages import forms
from receiver.models import Scope

bp = Blueprint("configured", __name__)


class DiscardForm(DiscardLeftOver):
    """What is to be discarded, as it was when it was looked at."""

    expected_count: Expected


@bp.get("/sources")
@access.with_session(Scope.READ)
def sources() -> str:
    """List the sources with their settings, without secrets, and how they stand."""
    return render_template(
        "sources.html",
        sources=[
            (shape, admin().config.sources[shape.name], admin().sources[shape.name])
            for shape in api.list_sources().items
        ],
        figures={found.source: found for found in admin().store.figures().sources},
    )


@bp.post("/sources/<source>/pause")
@access.with_session(Scope.OPERATE)
def pause_source(source: str) -> Response:
    """Ask about none of its jobs from now on."""
    api.pause_source(source)
    return forms.done("pages.configured.sources", "paused")


@bp.post("/sources/<source>/resume")
@access.with_session(Scope.OPERATE)
def resume_source(source: str) -> Response:
    """Ask about its jobs again."""
    api.resume_source(source)
    return forms.done("pages.configured.sources", "resumed")


@bp.get("/handlers")
@access.with_session(Scope.READ)
def handlers() -> str:
    """List the handlers and how they stand; also those that left the configuration, but not their dispatches."""
    shapes = api.list_handlers().items
    standing = {found.handler: found for found in admin().store.figures().handlers}
    return render_template(
        "handlers.html",
        handlers=shapes,
        figures=standing,
        left_over=[found for name, found in standing.items() if name not in {shape.name for shape in shapes}],
        most=MOST_AT_ONCE,
    )


@bp.post("/handlers/<handler>/pause")
@access.with_session(Scope.OPERATE)
def pause_handler(handler: str) -> Response:
    """Keep its dispatches waiting from now on."""
    api.pause_handler(handler)
    return forms.done("pages.configured.handlers", "paused")


@bp.post("/handlers/<handler>/resume")
@access.with_session(Scope.OPERATE)
def resume_handler(handler: str) -> Response:
    """Let its dispatches run again."""
    api.resume_handler(handler)
    return forms.done("pages.configured.handlers", "resumed")


@bp.post("/handlers/discard")
@access.with_session(Scope.OPERATE)
def discard_left_over() -> Response:
    """Drop all that is left of a handler that left the configuration, if they are as many as they were."""
    changed = dispatches.discard_dispatches(forms.form(DiscardForm))
    return forms.done("pages.configured.handlers", "discarded", changed.count)
