"""What requests bring: the types of parameters and fields, as the API's description shows them."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, WithJsonSchema

from receiver.models import Status
from receiver.store.base import Selection

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

# Nothing is older or newer, and what is reckoned with them stays within the years that Python knows.
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9000, 1, 1, tzinfo=UTC)


def _whole(value: object) -> object:
    """In a path or a query a number is digits, and nothing else that Python takes for one; in JSON, 3.0 is 3."""
    if isinstance(value, str) and not re.fullmatch(r"\d{1,20}", value, re.ASCII):
        raise ValueError("write a whole number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _way(value: object) -> str:
    """How things are chosen: by their ids, by what they are, or by the handler that left."""
    given = value if isinstance(value, dict) else {}
    if "left_handler" in given:
        return "left"
    return "selected" if "selection" in given else "named"


def _flag(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("write true or false")
    return value


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        raise ValueError("write a time as 2026-03-09T16:00:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    # Within a day of the first or the last year that Python knows.
    except OverflowError:
        moment = _FIRST if value.startswith("0001") else _LAST
    return min(max(moment, _FIRST), _LAST)


MOST_AT_ONCE = 10_000
"""So many events or dispatches one request may change: more are for the command line."""

LAST_ID = 2**63 - 1
"""No store has a larger id."""

Id = Annotated[int, Field(ge=1, le=LAST_ID), BeforeValidator(_whole)]
Expected = Annotated[int, Field(ge=0, le=MOST_AT_ONCE), BeforeValidator(_whole)]
Limit = Annotated[int, Field(ge=1, le=200), BeforeValidator(_whole)]
Minutes = Annotated[int, Field(ge=1, le=1440), BeforeValidator(_whole)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Line = Annotated[str, Field(max_length=200)]
"""The first line of an error; of one that has no text, nothing."""
JobId = Annotated[str, Field(min_length=1, max_length=256)]
"""As providers make them up: a slash may be in it."""
NewJobId = Annotated[str, Field(pattern=r"^[ -~]{1,256}$")]
BY_WAY = Discriminator(_way)
"""For a body that chooses by ids (the tag `named`), by a selection (`selected`) or by a handler (`left`)."""
MomentGiven = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}/(s|min|h)$")]
"""So many in a span of time: `10/s`."""
Metadata = Annotated[dict[str, Any], Field(max_length=100)]


class Taken(BaseModel):
    """What a request brings: nothing that is not declared."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PageQuery(Taken):
    """Which part of a list."""

    before: Id | None = None
    """Only what is older than the one with this id: `next` of the page before."""
    limit: Limit = 50
    """At most so many."""


class Chosen(Taken):
    """Events, or dead letters by their events; what is left out does not narrow it."""

    source: Name | None = None
    type: Name | None = None
    """A type, in which `*` stands for any text."""
    status: Status | None = None
    kind: Name | None = None
    since: MomentGiven | None = None
    """Recorded, or dead, at this moment or later."""
    until: MomentGiven | None = None
    """Before this moment; now, if it is left out."""

    def selection(self, *, now: datetime) -> Selection:
        """The same as the store is asked for it."""
        return Selection(
            source=self.source,
            type=self.type,
            status=self.status,
            kind=self.kind,
            since=self.since,
            until=self.until or now,
        )
