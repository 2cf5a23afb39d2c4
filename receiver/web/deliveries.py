"""The routes that take deliveries, and the answers they give: no other code, and never a redirect."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import gevent
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import MethodNotAllowed, RequestEntityTooLarge, ServiceUnavailable
from werkzeug.routing import BaseConverter

from receiver import clock, inbox, logs, signals
from receiver.errors import Reason, Refused, StoreUnavailable
from receiver.inbox import Source
from receiver.models import Delivery
from receiver.quarantine import Quarantine
from receiver.signals import announce
from receiver.signatures import dummy_check
from receiver.store.base import Store

bp = Blueprint("deliveries", __name__)

_RETRY_AFTER_SECONDS = 5
_LONGEST_PATH = 500
_LARGE = 64 * 2**10


class Rest(BaseConverter):
    """The rest of a path, even if it begins with a slash, which Werkzeug's own `path` does not take."""

    regex = "(?s:.*)"
    part_isolating = False


@bp.post("/webhooks")
@bp.post("/webhooks/<rest:path>")
def receive(path: str = "") -> Response:
    """Answer 202 to a new delivery and 200 to one seen before: either is stored by then."""
    # Not left to the router: callback URLs that were put together by hand have slashes too many.
    source = path.strip("/").partition("/")[0]
    configured: Source | None = current_app.extensions["receiver"].sources.get(source)
    body = _body()
    began, status = time.perf_counter(), HTTPStatus.INTERNAL_SERVER_ERROR.value
    try:
        answer = _answered(configured, _delivery(source, body or b""), whole=body is not None)
        status = answer.status_code
        return answer
    except StoreUnavailable:
        status = HTTPStatus.SERVICE_UNAVAILABLE.value
        raise
    finally:
        told = configured.name if configured is not None else None
        announce(signals.delivery_answered, told, status=status, seconds=time.perf_counter() - began)


def _answered(configured: Source | None, delivery: Delivery, *, whole: bool) -> Response:
    """What is answered to a delivery, which is stored by then."""
    store: Store = current_app.extensions["receiver"].store
    if configured is None:
        dummy_check(delivery.body)
        announce(signals.delivery_refused, None, reason=Reason.UNKNOWN_SOURCE)
        return _answer(HTTPStatus.UNAUTHORIZED)
    if not whole:
        announce(signals.delivery_refused, delivery.source, reason=Reason.TRUNCATED)
        return _refuse(delivery, Refused(Reason.TRUNCATED, "the body was cut off, or its chunks are malformed"))
    try:
        receipt = inbox.accept(configured, delivery, store=store, now=delivery.received_at)
    except Refused as refused:
        return _refuse(delivery, refused)
    acknowledgement = configured.provider.acknowledgement
    if acknowledgement is not None:
        return Response(acknowledgement, status=HTTPStatus.OK, mimetype="application/json")
    return _answer(HTTPStatus.OK if receipt.repeated else HTTPStatus.ACCEPTED)


@bp.app_errorhandler(StoreUnavailable)
def store_unavailable(error: StoreUnavailable) -> Response:
    """Say that nothing was stored, and when to try again."""
    logs.store_unavailable(error)
    return _try_again()


@bp.app_errorhandler(ServiceUnavailable)
def too_many_large_bodies(error: ServiceUnavailable) -> Response:
    """Turn a body away for which there is no place in memory for now."""
    announce(signals.delivery_refused, None, reason="busy")
    return _try_again()


@bp.app_errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> Response:
    """Turn a body away that is over the limit."""
    announce(signals.delivery_refused, None, reason="too_large")
    return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


@bp.app_errorhandler(MethodNotAllowed)
def method_not_allowed(error: MethodNotAllowed) -> Response:
    """Turn away anything but a POST."""
    announce(signals.delivery_refused, None, reason="method_not_allowed")
    answer = _answer(HTTPStatus.METHOD_NOT_ALLOWED)
    answer.headers["Allow"] = ", ".join(sorted(error.valid_methods or []))
    return answer


def _body() -> bytes | None:
    """The raw body; None if it was cut off on its way, or took too long. The answer to that is rarely heard.

    Raises:
        RequestEntityTooLarge: it is over the limit.
        ServiceUnavailable: too many large ones are on their way at once.
    """
    announced = request.content_length
    if announced is not None and announced <= _LARGE:
        return _whole_body()
    limits = current_app.extensions["receiver"]
    if not limits.large_bodies.acquire(timeout=limits.body_timeout.total_seconds()):
        raise ServiceUnavailable
    try:
        return _whole_body()
    finally:
        limits.large_bodies.release()


def _whole_body() -> bytes | None:
    limits = current_app.extensions["receiver"]
    try:
        with gevent.Timeout(limits.body_timeout.total_seconds(), TimeoutError):
            body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise
    # The sender went away, or its chunks are none: the server has exceptions of its own for that.
    except Exception:
        return None
    # Of a body in chunks Werkzeug gives the first `MAX_CONTENT_LENGTH` bytes without a word about the rest.
    if len(body) > limits.max_body:
        raise RequestEntityTooLarge
    # Where a sender goes away too soon, gunicorn ends the body as if that were all.
    announced = request.content_length
    return body if announced is None or len(body) == announced else None


def _delivery(source: str, body: bytes) -> Delivery:
    return Delivery(
        source=source,
        body=body,
        headers=_headers(request.environ),
        received_at=clock.now(),
        path=request.path[:_LONGEST_PATH],
    )


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """The headers, in lower case. Werkzeug's own view of them takes longer than the signature."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _refuse(delivery: Delivery, refused: Refused) -> Response:
    quarantine: Quarantine = current_app.extensions["receiver"].quarantine
    quarantine.add(delivery, refused)
    return _answer(HTTPStatus.UNAUTHORIZED)


def _try_again() -> Response:
    answer = _answer(HTTPStatus.SERVICE_UNAVAILABLE)
    answer.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return answer


def _answer(status: HTTPStatus) -> Response:
    """The status in words. A refusal never says why: that would help a forger more than a sender."""
    return Response(f'{{"status": "{status.phrase.lower()}"}}\n', status=status, mimetype="application/json")
