"""Values out of what a provider sent, which may be anything: each reader gives what can be stored, or none."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from receiver.errors import Unreadable
from receiver.models import Delivery

_DEEPEST = 64
_LONGEST_ID = 256
_LONGEST_WORD = 100
_LONGEST_SENTENCE = 2000
_FIRST_MILLISECOND = 10**11


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        Unreadable: it is not UTF-8, not JSON, too deep, or not an object.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {type(error).__name__}: {error}"[:200]) from error
    if not isinstance(value, dict):
        raise Unreadable(f"the body is a JSON {type(value).__name__}, not an object")
    # What can barely be read cannot be written again: both recurse. Few brackets cannot be deep.
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _deeper_than(_DEEPEST, value):
        raise Unreadable(f"the body is nested deeper than {_DEEPEST} levels")
    return value


def readable(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; an empty one if it is none."""
    try:
        return json_object(body)
    except Unreadable:
        return {}


def as_object(value: object) -> dict[str, Any]:
    """An object inside of another; an empty one if it is anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A list; an empty one if it is anything else."""
    return value if isinstance(value, list) else []


def identifier(value: object, *, field: str, numbered: bool = False) -> str:
    """A job's id, which may become a key, a path and a line in a log. Where jobs are `numbered`, a number will do.

    Raises:
        Unreadable: it is missing, not text, too long, or not printable.
    """
    if numbered and (whole(value) or 0) > 0:
        value = spelled(value)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_ID or not value.isprintable():
        raise Unreadable(f"{field} is not an id: printable text of 1 to {_LONGEST_ID} characters")
    return value


def identifier_or_none(value: object, *, numbered: bool = False) -> str | None:
    """A job's id; None if it is anything else, as in a row that cannot be told apart from others."""
    try:
        return identifier(value, field="id", numbered=numbered)
    except Unreadable:
        return None


def signed_id(delivery: Delivery, header: str) -> str:
    """The id in a header that the signature covers, the same in retries; or what stands for one that is no key."""
    told = delivery.headers.get(header, "")
    return word(told) or hashlib.sha256(told.encode("utf-8", "replace") + delivery.body).hexdigest()


def word(value: object) -> str | None:
    """A short text of the provider's, such as a status; None if it is anything else."""
    if not isinstance(value, str) or len(value) > _LONGEST_WORD or not value.strip().isprintable():
        return None
    return value.strip() or None


def link(value: object) -> str | None:
    """The address of a result; None if it is anything else."""
    return value if isinstance(value, str) and value.isprintable() and value else None


def address(value: object) -> str | None:
    """A URL of the web, where there may be any text; None if it is another, such as a sentence that begins with one."""
    url = link(value)
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return url if url and parts.scheme in ("http", "https") and parts.netloc and " " not in url else None


def sentence(value: object) -> str | None:
    """A text for people, such as an error's reason, cut to a bearable length; None if there is none."""
    if not isinstance(value, str):
        return None
    # A database takes neither NUL nor half of a surrogate pair.
    return value.replace("\0", " ").strip()[:_LONGEST_SENTENCE].encode("utf-8", "replace").decode() or None


def reason_in(data: Mapping[str, Any]) -> str | None:
    """Why something failed, from where most providers say it: `error`, its `message` or its `msg`, or these alone."""
    error = data.get("error", data)
    return sentence(error.get("message", error.get("msg")) if isinstance(error, dict) else error)


def number(value: object) -> float | None:
    """A count or a percentage; None if it is anything else, or absurd."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 else None


def whole(value: object) -> int | None:
    """A whole number, such as the code of an error; None if it is anything else, such as `true`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def spelled(value: object) -> object:
    """A whole number as text, where it may come as either; anything else as it is."""
    return value if whole(value) is None else str(value)


def moment(value: object) -> datetime | None:
    """An ISO 8601 time as the provider wrote it; None if it is missing or wrong, which must not stop anything."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        return parsed and (parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def unix_moment(value: object) -> datetime | None:
    """A time as seconds or milliseconds since 1970; None if it is missing or absurd, which must not stop anything."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if value >= _FIRST_MILLISECOND else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def segment(job_id: str) -> str:
    """A job's id as one segment of a path. Clients would resolve `.` and `..` before they send them."""
    return quote(job_id, safe="") if job_id.strip(".") else "%2E" * len(job_id)


def _deeper_than(depth: int, value: object) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_deeper_than(depth - 1, item) for item in inside)


def _finite(literal: str) -> float:
    """A float as JSON allows it: `NaN`, `Infinity` and `1e999` are not."""
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal[:20]} is not a JSON number")
    return value
