"""Errors as programs read them: RFC 9457, `application/problem+json`."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from receiver.errors import (
    ConfigError,
    InvalidBody,
    NotConfigured,
    OutcomeUnknown,
    RateLimited,
    ReceiverError,
    RequestFailed,
    StoreUnavailable,
)

_RETRY_AFTER_SECONDS = 5

_log = logging.getLogger(__name__)


class Problem(Exception):
    """What the answer says instead of what was asked for."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`errors` name what is wrong, each with a `detail` and a `parameter` or a `pointer` into the body."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def as_dict(self) -> dict[str, Any]:
        """The body of the answer."""
        told = {"type": "about:blank", "title": self.status.phrase, "status": int(self.status), "detail": self.detail}
        return {**told, "errors": self.errors} if self.errors else told

    def answer(self) -> Response:
        """The answer, for programs."""
        return Response(
            json.dumps(self.as_dict()) + "\n",
            status=self.status,
            mimetype="application/problem+json",
            headers=self.headers,
        )


def problem_of(error: Exception) -> Problem:
    """What to answer to an error of ours, of Flask's, or of anybody's."""
    retry = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    match error:
        case Problem():
            return error
        case HTTPException():
            return _of_http(error)
        case StoreUnavailable():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=retry)
        case NotConfigured():
            return Problem(HTTPStatus.NOT_FOUND, str(error))
        case InvalidBody():
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case ConfigError():
            return Problem(HTTPStatus.CONFLICT, str(error))
        case RateLimited():
            if error.retry_after is not None:
                retry = {"Retry-After": f"{max(error.retry_after.total_seconds(), 1):.0f}"}
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=retry)
        case OutcomeUnknown() | RequestFailed() | ReceiverError():
            return Problem(HTTPStatus.BAD_GATEWAY, str(error))
        case _:
            return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something failed that should not; the log says what")


def _of_http(error: HTTPException) -> Problem:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    # Of what Werkzeug says only this is worth passing on: a 405 has to name the methods there are.
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return Problem(status, error.description or status.description or status.phrase, headers=headers)


def register(app: Flask, answer: Callable[[Problem], Response] = Problem.answer) -> None:
    """Have every error of the app's answered, whoever raises it."""

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status is HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("a request failed", exc_info=error, extra={"method": request.method, "path": request.path})
        elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.warning("a request could not be answered", extra={"path": request.path, "error": problem.detail})
        return answer(problem)
