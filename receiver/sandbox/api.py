"""What the stand-ins of all providers have in common: how they are asked, and how they refuse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Request, Response, abort, g, request

from receiver.sandbox.conditions import Fate, fates_in


@dataclass(frozen=True, kw_only=True)
class Api:
    """One provider's API."""

    name: str
    """As the adapter is named."""
    prefix: str
    """The path below which it is found; the routes of different providers collide."""
    routes: Blueprint
    refuse: Callable[[int, str], Response]
    """An error in the provider's own form, from an HTTP status and a text."""
    is_poll: Callable[[Request], bool]
    """Whether a request asks about a job."""
    keys: Callable[[Request], list[str | None]] = lambda asked: [bearer(asked)]
    """The API keys in a request."""
    sends_webhooks: bool = False
    tells_limits: bool = False
    """Whether answers say how much of the request budget is left."""


def bearer(asked: Request) -> str | None:
    """The key in the `Authorization` header."""
    scheme, _, key = asked.headers.get("Authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else None


def body(*required: str) -> dict[str, Any]:
    """The JSON object that was sent; answered 400 if it is none, or without one of these fields."""
    data = request.get_json()
    if not isinstance(data, dict):
        abort(400, "the body is not a JSON object")
    return with_all(data, *required)


def with_all(data: dict[str, Any], *required: str) -> dict[str, Any]:
    """The same; answered 400 if one of these fields is missing."""
    for name in required:
        if data.get(name) in (None, "", [], {}):
            abort(400, f"{name} is required")
    return data


def wished() -> frozenset[Fate] | None:
    """The fates that the request asks for; None if it does not say, and they are drawn.

    It says so in the header `X-Sandbox`, or where the caller has no say in headers, in the field `sandbox`.
    """
    data = request.get_json(silent=True)
    field = data.get("sandbox") if isinstance(data, dict) else request.form.get("sandbox")
    asked = request.headers.get("X-Sandbox", field)
    if asked is None:
        return None
    try:
        fates = fates_in(str(asked))
    except ValueError as error:
        abort(400, str(error))
    g.unanswered = Fate.UNANSWERED in fates
    return fates


def text(data: Mapping[str, Any], name: str, default: str = "") -> str:
    """A field as text."""
    return str(data.get(name, default))
