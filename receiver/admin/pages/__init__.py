"""The pages: one module for each group of them. They do what they do by the functions of the API."""

from typing import Any

from flask import Blueprint, Flask
from werkzeug.routing import IntegerConverter, Map

from receiver.admin import access
from receiver.admin.api.values import LAST_ID
from receiver.admin.extension import now
from receiver.admin.pages import (
    configured,
    dead_letters,
    deliveries,
    events,
    forms,
    jobs,
    notices,
    overview,
    quarantine,
    spend,
    words,
)
from receiver.admin.pages.failures import answer
from receiver.errors import StoreUnavailable
from receiver.models import Alert, Scope
from receiver.store.rules import first_line

__all__ = ["answer", "register"]

_MODULES = (overview, events, deliveries, jobs, spend, dead_letters, quarantine, configured)
_FILTERS = {
    "moment": words.moment,
    "machine_moment": words.machine_moment,
    "ago": lambda moment: words.ago(moment, now()),
    "span": words.span,
    "percent": words.percent,
    "size": words.size,
    "indented": words.indented,
    "first_line": first_line,
}


class IdConverter(IntegerConverter):
    """An id in a path; what no store can hold is not found."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, min=1, max=LAST_ID)


def register(app: Flask) -> None:
    """Give the app all pages, and their templates the words they use."""
    app.url_map.converters["id"] = IdConverter
    pages = Blueprint("pages", __name__)
    for module in _MODULES:
        pages.register_blueprint(module.bp)
    app.register_blueprint(pages)
    app.jinja_env.filters.update(_FILTERS)
    app.jinja_env.globals.update(
        between=words.between, count=words.count, address_with=forms.address_with, fresh_key=forms.fresh_key
    )
    app.context_processor(_shared)


def _shared() -> dict[str, Any]:
    """What all templates know. Without a session nothing is told, and nothing can be done."""
    try:
        token = access.session()
        alerts = notices.alerts() if token is not None else []
    except StoreUnavailable:
        # The page says so; it must not fail once more for that.
        token, alerts = None, list[Alert]()
    if token is None:
        return {"token": None, "may": frozenset[Scope](), "alerts": alerts}
    return {
        "token": token,
        "may": token.scopes,
        "csrf_token": access.csrf_token(),
        "csrf_field": access.CSRF_FIELD,
        "alerts": alerts,
        "done": notices.done(),
    }
