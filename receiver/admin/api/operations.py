"""One operation of the API: what it takes and gives is declared by its function, checked here, and described from here.

A function's parameters are those in the path, and `query` and `body`; their types are pydantic's, and so is what it
returns.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlencode

from flask import Response, g, request
from pydantic import BaseModel, TypeAdapter, ValidationError

from receiver.admin import access
from receiver.admin.api.shapes import PageOf
from receiver.admin.api.values import JobId
from receiver.admin.extension import admin
from receiver.admin.problems import Problem, problem_of
from receiver.errors import ConfigError, InvalidBody, NotConfigured, OutcomeUnknown, RequestFailed, StoreUnavailable
from receiver.models import KeptAnswer, Scope

View = Callable[..., Any]
_V = TypeVar("_V", bound=View)

IDEMPOTENCY_HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
_KEPT = timedelta(hours=24)
# What raises these has done nothing, so that it may be asked for again with the same key.
_NOTHING_DONE = (Problem, ConfigError, InvalidBody, NotConfigured, RequestFailed, StoreUnavailable)


class Operation:
    """A function of the API with its path; called, it answers the request."""

    def __init__(
        self,
        method: str,
        path: str,
        function: View,
        *,
        tag: str,
        scope: Scope,
        status: HTTPStatus,
        once: bool,
        spends: bool,
    ) -> None:
        """`once` has it take an idempotency key; what `spends` a provider's requests is done only for a bearer token.

        A function that returns a `Response` says so by its return type.
        """
        hints = get_type_hints(function, include_extras=True)
        self.method = method
        self.path = path
        self.name = function.__name__
        self.summary, _, self.description = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        self.tag = tag
        self.scope = scope
        self.status = status
        self.once = once
        self.spends = spends
        self.answer: Any = hints.pop("return")
        """A model, None where there is nothing to say, or `Response`."""
        self.query: type[BaseModel] | None = hints.pop("query", None)
        self.body: Any = hints.pop("body", None)
        self.parameters: Mapping[str, Any] = hints
        self._function = function

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        converter = {name: "path:" if hint == JobId else "" for name, hint in self.parameters.items()}
        return re.sub(r"{(\w+)}", lambda found: f"<{converter[found[1]]}{found[1]}>", self.path)

    def __call__(self, **path: str) -> Response:
        """Answer the request.

        Raises:
            Problem: it may not, or it is not as declared.
            ReceiverError: it cannot be done.
        """
        access.require(self.scope)
        if self.spends:
            self._refuse_idle()
        arguments: dict[str, Any] = {name: _parameter(hint, path[name]) for name, hint in self.parameters.items()}
        if self.query is not None:
            arguments["query"] = _query(self.query)
        else:
            _refuse_unknown(request.args)
        if self.body is not None:
            arguments["body"] = _body(self.body)
        key = request.headers.get(IDEMPOTENCY_HEADER) if self.once else None
        if key is None:
            return self._answered(arguments)
        return self._answered_once(arguments, key)

    def _refuse_idle(self) -> None:
        """Refuse what a link or a crawler may have led to, and what throws the answer away.

        Raises:
            Problem: 401 or 405.
        """
        access.require_bearer()
        # Flask answers HEAD wherever it answers GET.
        if request.method != self.method:
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"send {self.method}", headers={"Allow": self.method})

    def _answered(self, arguments: Mapping[str, Any]) -> Response:
        answer = self._function(**arguments)
        if isinstance(answer, Response):
            return answer
        if answer is None:
            return Response(status=HTTPStatus.NO_CONTENT)
        response = Response(answer.model_dump_json() + "\n", status=self.status, mimetype="application/json")
        if isinstance(answer, PageOf) and answer.next is not None:
            following = urlencode({**request.args, "before": answer.next})
            response.headers["Link"] = f'<{request.path}?{following}>; rel="next"'
        return response

    def _answered_once(self, arguments: Mapping[str, Any], key: str) -> Response:
        """The answer that was given to the same request before, or a new one, which is kept."""
        _check_key(key)
        store, token = admin().store, g.token.name
        fingerprint = hashlib.sha256(f"{request.method} {request.path}\n".encode() + request.get_data()).hexdigest()
        known = store.begin_request(token, key, fingerprint=fingerprint, keep=_KEPT)
        if known is not None:
            return _again(known, fingerprint)
        try:
            response = self._answered(arguments)
        except Exception as error:
            # What went wrong matters more than the key; without an answer, that is never used again.
            with suppress(StoreUnavailable):
                if isinstance(error, _NOTHING_DONE) and not isinstance(error, OutcomeUnknown):
                    store.forget_request(token, key)
                else:
                    _keep(token, key, problem_of(error).answer())
            raise
        with suppress(StoreUnavailable):
            _keep(token, key, response)
        return response


class Resource:
    """The operations on one kind of thing; its module owns it."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.operations: list[Operation] = []

    def get(self, path: str, *, scope: Scope = Scope.READ, spends: bool = False) -> Callable[[_V], _V]:
        """Declare what only looks; `spends` says that a provider is asked for it."""
        return self._declare("GET", path, scope, spends=spends)

    def post(
        self, path: str, *, scope: Scope, status: HTTPStatus = HTTPStatus.OK, once: bool = False
    ) -> Callable[[_V], _V]:
        """Declare what changes something; `once` has it take an idempotency key."""
        return self._declare("POST", path, scope, status=status, once=once)

    def delete(self, path: str, *, scope: Scope) -> Callable[[_V], _V]:
        """Declare what drops something."""
        return self._declare("DELETE", path, scope)

    def _declare(
        self,
        method: str,
        path: str,
        scope: Scope,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        once: bool = False,
        spends: bool = False,
    ) -> Callable[[_V], _V]:
        def register(function: _V) -> _V:
            self.operations.append(
                Operation(method, path, function, tag=self.tag, scope=scope, status=status, once=once, spends=spends)
            )
            return function

        return register


def not_found(what: str, which: object) -> Problem:
    """What to raise where there is no such thing."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no {what} {which}")


def _parameter(hint: Any, text: str) -> Any:
    try:
        return TypeAdapter(hint).validate_python(text)
    except ValidationError:
        raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this path") from None


def _query(model: type[BaseModel]) -> BaseModel:
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise _bad_query([{"parameter": name, "detail": "is given more than once"} for name in repeated])
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise _bad_query([{"parameter": where, "detail": told} for where, told in _wrong(error)]) from None


def _refuse_unknown(given: Mapping[str, str]) -> None:
    if given:
        raise _bad_query([{"parameter": name, "detail": "is not known"} for name in given])


def _bad_query(errors: Sequence[Mapping[str, str]]) -> Problem:
    told = "; ".join(f"{error['parameter']}: {error['detail']}" for error in errors)
    return Problem(HTTPStatus.BAD_REQUEST, told, errors=errors)


def _body(hint: Any) -> Any:
    if request.mimetype != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
    try:
        return TypeAdapter(hint).validate_json(request.get_data(), strict=True)
    except ValidationError as error:
        if error.errors(include_input=False, include_url=False, include_context=False)[0]["type"] == "json_invalid":
            raise Problem(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
        errors = [{"pointer": "#/" + where.replace(".", "/"), "detail": told} for where, told in _wrong(error)]
        told = "; ".join(f"{error['pointer']}: {error['detail']}" for error in errors)
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, told, errors=errors) from None


def _wrong(error: ValidationError) -> list[tuple[str, str]]:
    """Where it is wrong, and how, without what was sent."""
    return [
        (
            # The first part may be the tag of the way that the body chose.
            ".".join(str(part) for part in wrong["loc"] if part not in ("named", "selected", "left")),
            "is not known" if wrong["type"] == "extra_forbidden" else wrong["msg"].removeprefix("Value error, "),
        )
        for wrong in error.errors(include_input=False, include_url=False, include_context=False)[:20]
    ]


def _again(known: KeptAnswer, fingerprint: str) -> Response:
    """The answer that is kept.

    Raises:
        Problem: another request had the key, or there is no answer yet.
    """
    if known.fingerprint != fingerprint:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "another request had this idempotency key")
    if known.status is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "the request with this idempotency key is being answered, or its process died; look what became of it",
        )
    kind = "application/json" if known.status < HTTPStatus.BAD_REQUEST else "application/problem+json"
    return Response(known.body, status=known.status, mimetype=kind, headers={"Idempotency-Replayed": "true"})


def _keep(token: str, key: str, response: Response) -> None:
    admin().store.keep_answer(token, key, status=response.status_code, body=response.get_data(as_text=True))


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= 255 or not all("!" <= letter <= "~" for letter in key):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{IDEMPOTENCY_HEADER}: write 1 to 255 visible ASCII characters")
