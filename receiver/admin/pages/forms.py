"""What a page's filters and forms bring, in the types of the API; and where a form leads."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from flask import Response, g, make_response, redirect, request, url_for
from pydantic import BaseModel, Field, ValidationError
from werkzeug.datastructures import MultiDict

from receiver.admin.extension import admin
from receiver.admin.problems import Problem
from receiver.errors import StoreUnavailable

_M = TypeVar("_M", bound=BaseModel)

_REMEMBERED = timedelta(hours=24)


class _Once(BaseModel):
    """What tells a form from all others."""

    key: str = Field(min_length=1, max_length=64)


# What browsers make of a field for a date and a time: without a zone, and without seconds if these are zero.
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
_MOMENTS = ("since", "until")


def filters(model: type[_M]) -> _M:
    """What the filters of a list say; those that were left empty say nothing.

    Raises:
        Problem: naming the one that is wrong.
    """
    return _validated(model, {name: _value(name, value) for name, value in _given(request.args, model).items()})


def form(model: type[_M], **lists: list[str]) -> _M:
    """What a form says, with the fields that may come several times.

    Raises:
        Problem: naming the field that is wrong.
    """
    return _validated(model, {**_given(request.form, model), **lists})


def field(name: str) -> str:
    """One field of a form.

    Raises:
        Problem: it was left empty.
    """
    value = request.form.get(name, "").strip()
    if not value:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name.replace('_', ' ')}: must not be empty")
    return value


@contextmanager
def only_once() -> Iterator[bool]:
    """Whether a form is sent for the first time: a button may be pressed twice. What fails can be sent again.

    Raises:
        Problem: the form has no key of its own, from `fresh_key`.
    """
    store, token, key = admin().store, g.token.name, form(_Once).key
    fingerprint = hashlib.sha256(request.path.encode()).hexdigest()
    first = store.begin_request(token, key, fingerprint=fingerprint, keep=_REMEMBERED) is None
    try:
        yield first
    except Exception:
        # What went wrong matters more than the key.
        with suppress(StoreUnavailable):
            store.forget_request(token, key)
        raise


def fresh_key() -> str:
    """A key for one form of one page."""
    return secrets.token_hex(16)


def done(endpoint: str, what: str, number: int | None = None, **values: str | int | None) -> Response:
    """Lead to a page that says what was done. `what` is one of `notices.DONE`."""
    told: dict[str, Any] = {**values, "done": what, "number": number}
    address = url_for(endpoint, **{name: value for name, value in told.items() if value is not None})
    return make_response(redirect(address, HTTPStatus.SEE_OTHER))


def following(before: int | None) -> str | None:
    """The address of the part of this list that follows."""
    if before is None:
        return None
    return address_with(before=str(before))


def address_with(**changed: str | None) -> str:
    """The address of this page with some parameters changed, or left out where they are None."""
    kept = {name: value for name, value in request.args.items() if name not in ("done", "number")} | changed
    told = {name: value for name, value in kept.items() if value is not None}
    return f"{quote(request.path)}?{urlencode(told)}" if told else quote(request.path)


def _given(fields: MultiDict[str, str], model: type[BaseModel]) -> dict[str, str]:
    return {name: value.strip() for name, value in fields.items() if name in model.model_fields and value.strip()}


def _value(name: str, value: str) -> str:
    if name not in _MOMENTS or not _LOCAL.fullmatch(value):
        return value
    return f"{value}Z" if value.count(":") == 2 else f"{value}:00Z"


def _validated(model: type[_M], values: dict[str, object]) -> _M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)
        told = [f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in wrong[:5]]
        raise Problem(HTTPStatus.BAD_REQUEST, "; ".join(told)) from None
