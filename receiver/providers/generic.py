"""Any sender that signs its webhooks with HMAC: settings alone say what is signed, and where in it things stand."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from receiver.errors import Unreadable
from receiver.models import Budget, Delivery, Event, Failure, Output, Schedule, Status
from receiver.providers.base import Provider, ProviderSettings, event_key
from receiver.providers.values import (
    identifier_or_none,
    json_object,
    link,
    moment,
    sentence,
    spelled,
    unix_moment,
    word,
)
from receiver.signatures import SCHEMES, Hmac, template_fault
from receiver.units import Duration

_KIND = "job"
_HEADER = "header:"
_FORM = re.compile(r"[\w.~%+*-]+=[\w.~%+*-]*(&[\w.~%+*-]+=[\w.~%+*-]*)*", re.ASCII)
_HEADER_NAME = re.compile(r"[!#-'*+.^-`|~\w-]+", re.ASCII)
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
_UNIX = re.compile(r"[0-9]{10,13}", re.ASCII)
_PARTS = (
    *("header", "prefix", "separator", "encoding", "algorithm", "key", "signed"),
    *("id_header", "timestamp_header", "timestamp_prefix", "tolerance"),
)


def _preset(scheme: str, **settings: object) -> dict[str, Any]:
    """The settings that describe a scheme, and others."""
    return {name: getattr(SCHEMES[scheme], name) for name in _PARTS} | settings


# Ids that are in no signed place are left out: they would not count.
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "github": _preset("github", event_type=["header:X-GitHub-Event", "action"]),
    "mux": _preset("mux", event_id="id", event_type="type", occurred_at="created_at"),
    "newapi_notify": _preset("newapi_notify", event_type="type", occurred_at="timestamp"),
    "shopify": _preset("shopify", event_type="header:X-Shopify-Topic"),
    # Of the Events API, of interactions, and of slash commands.
    "slack": _preset("slack", event_id="event_id", event_type=["type", "event.type", "command"]),
    "stripe": _preset("stripe", event_id="id", event_type="type", occurred_at="created"),
}
# What is looked for among these, and found under another provider.
_STANDARD = ("standard_webhooks", "svix")


def _name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("write the name of a header, such as X-Signature")
    return value


def _path(value: str) -> str:
    if "*" in _every(value).split("."):
        raise ValueError("write a number for one item of a list; * stands for all of them, in outputs only")
    return value


def _every(value: str) -> str:
    if value.startswith(_HEADER):
        raise ValueError("write where it is in the body; headers are for event_id and event_type")
    if not all(value.split(".")) or value.startswith("$") or "[" in value:
        raise ValueError("write names, and numbers in lists, with dots between them, such as data.jobs.0.id")
    return value


def _place(value: str) -> str:
    return _HEADER + _name(value.removeprefix(_HEADER)) if value.startswith(_HEADER) else _path(value)


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Name = Annotated[str, AfterValidator(_name)]
_Path = Annotated[str, AfterValidator(_path)]
_Place = Annotated[str, AfterValidator(_place)]
_Places = Annotated[tuple[_Place, ...], BeforeValidator(_several)]
_Paths = Annotated[tuple[_Path, ...], BeforeValidator(_several)]
_Everywhere = Annotated[tuple[Annotated[str, AfterValidator(_every)], ...], BeforeValidator(_several)]


class GenericSettings(ProviderSettings):
    """What describes the sender in a source's table: a preset, or what is said here, which overrules the preset.

    Paths lead into the JSON body, or into the fields of a form: `data.jobs.0.id`.
    """

    preset: str | None = None
    """A sender whose scheme is known: `github`, `mux`, `newapi_notify`, `shopify`, `slack` or `stripe`."""
    header: Annotated[str, AfterValidator(_name)] = ""
    """The header of the signature, such as `X-Signature`. Needed without a preset."""
    prefix: str = ""
    """What stands before the signature, such as `sha256=`, or labels those that count, such as `v1=`."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between several signatures, or between a time and a signature, in the header. Unset, it holds one."""
    encoding: Literal["hex", "base64"] = "hex"
    """How the signature is written."""
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    """The hash function of the HMAC."""
    key: Literal["text", "base64", "whsec"] = "text"
    """How the secret is written: as it is, in base64 behind `whsec_`, or in base64 only if it begins so."""
    signed: str = "{body}"
    """The signed bytes, such as `{timestamp}.{body}`: `{body}` or, of its SHA-256 in hex, `{sha256}`; `{timestamp}`,
    `{id}`, `{header:NAME}`."""
    id_header: _Name | None = None
    """The header of the signed id."""
    id_paths: _Paths = ()
    """Where the signed id may stand in the body, if no header holds it; names only, no numbers."""
    timestamp_header: _Name | None = None
    """The header of the time, in seconds or milliseconds since 1970; may be that of the signature."""
    timestamp_prefix: str = ""
    """What stands before the time, such as `t=`."""
    tolerance: Duration = timedelta(minutes=5)
    """How old a signature may be, where there is a time."""
    event_id: _Place | None = None
    """Where the event's id stands: a path, or `header:NAME`, which counts only if signed. Unset, the signed id."""
    event_type: _Places = ()
    """Where the event's type stands: a path or `header:NAME`; of several, all that are found, joined by dots."""
    job: _Path | None = None
    """The path to the job's id, where events are about jobs. Those without one are notices."""
    status: _Path | None = None
    """The path to the job's status."""
    statuses: Mapping[str, Literal["queued", "running", "succeeded", "failed", "cancelled"]] = {}
    """What the sender's words for a status mean, in any case, besides those that say it themselves."""
    outputs: _Everywhere = ()
    """The paths to the URLs of results, or to lists of them; `*` stands for all items of a list: `images.*.url`."""
    error: _Path | None = None
    """The path to why a job failed: a text, or an object with `message` and `code`."""
    occurred_at: _Path | None = None
    """The path to when it happened: in ISO 8601, or seconds or milliseconds since 1970."""

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        preset = _PRESETS.get(str(given.get("preset")), {})
        values = {**preset, **given}
        # Where the time stands beside the signature, it does so in another header, too.
        if preset and preset["timestamp_header"] == preset["header"] and "timestamp_header" not in given:
            values["timestamp_header"] = values["header"]
        return values

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str | None) -> str | None:
        if preset is not None and preset not in _PRESETS:
            hint = "; Standard Webhooks have a provider of their own, standard" if preset in _STANDARD else ""
            raise ValueError(f"there is no preset {preset!r}; there are: {', '.join(_PRESETS)}{hint}")
        return preset

    @field_validator("statuses")
    @classmethod
    def _distinct(cls, statuses: Mapping[str, str]) -> Mapping[str, str]:
        if len({_folded(spelling) for spelling in statuses}) < len(statuses):
            raise ValueError("holds a word twice; upper and lower case make no difference, so remove one")
        return statuses

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for fault in (*_signature_faults(self), *_event_faults(self)):
            raise ValueError(fault)
        return self

    @property
    def scheme(self) -> Hmac:
        """How the sender signs."""
        return Hmac(
            header=self.header,
            prefix=self.prefix,
            separator=self.separator,
            encoding=self.encoding,
            algorithm=self.algorithm,
            key=self.key,
            signed=self.signed,
            id_header=self.id_header,
            id_paths=self.id_paths,
            timestamp_header=self.header if self.times_signature else self.timestamp_header,
            timestamp_prefix=self.timestamp_prefix,
            tolerance=self.tolerance,
        )

    @property
    def times_signature(self) -> bool:
        """Whether the time stands in the header of the signature."""
        return (self.timestamp_header or "").lower() == self.header.lower()

    @property
    def signed_ids(self) -> tuple[str, ...]:
        """The places where an event's id may stand that is covered by the signature: in the body, all are."""
        header = (self.id_header,) if self.id_header else ()
        places = (self.event_id,) if self.event_id else (*(_HEADER + name for name in header), *self.id_paths)
        covered = {f"{_HEADER}{name}".lower() for name in header if "{id}" in self.signed}
        covered |= {f"{_HEADER}{name}".lower() for name in re.findall(r"\{header:([^}]*)\}", self.signed)}
        return tuple(place for place in places if not place.startswith(_HEADER) or place.lower() in covered)


class Generic(Provider):
    """A sender whose webhooks are all there is: no API of its is known, so nothing is polled.

    An event with a job's id tells how that job is, any other is a notice.
    """

    name = "generic"
    polls = False
    signed_by = "as its settings say"
    settings_class = GenericSettings
    settings: GenericSettings
    statuses = {
        "queued": Status.QUEUED,
        "pending": Status.QUEUED,
        "running": Status.RUNNING,
        "processing": Status.RUNNING,
        "succeeded": Status.SUCCEEDED,
        "completed": Status.SUCCEEDED,
        "failed": Status.FAILED,
        "cancelled": Status.CANCELLED,
        "canceled": Status.CANCELLED,
    }
    # Only the deadline counts; the rest is how soon it is looked at.
    kinds = {
        _KIND: Schedule(
            first=timedelta(minutes=1), every={timedelta(0): timedelta(minutes=1)}, deadline=timedelta(days=1)
        )
    }
    # Nothing is asked.
    budget = Budget(1, per=timedelta(minutes=1))

    @classmethod
    def plain_settings(cls) -> GenericSettings:
        # A source always has settings. What stands for any sender, as in tests of handlers, is a plain one.
        return GenericSettings(header="X-Signature", job="id", status="status")

    def set_up(self) -> None:
        self.scheme = self.settings.scheme
        told = {_folded(spelling): Status(status) for spelling, status in self.settings.statuses.items()}
        self._words = {**self.statuses, **told}

    def parse(self, delivery: Delivery) -> list[Event]:
        paths, data = self.settings, _data(delivery)
        job_id = _id(_at(data, paths.job))
        raw_status = _text(_at(data, paths.status)) if job_id is not None else None
        status = self.fold(raw_status)
        return [
            Event(
                source=delivery.source,
                key=self._key(delivery, data, job_id, status, raw_status),
                type=self._type(delivery, data) or (self.notice if job_id is None else self.event_type(_KIND, status)),
                data=data,
                job_id=job_id,
                kind=_KIND if job_id is not None else None,
                status=status,
                raw_status=raw_status,
                outputs=self._outputs(data) if job_id is None or status is Status.SUCCEEDED else (),
                failure=_failure(_at(data, paths.error)) if status is Status.FAILED else None,
                occurred_at=_moment(_at(data, paths.occurred_at)),
            )
        ]

    def remark(self, delivery: Delivery, events: Sequence[Event]) -> str | None:
        paths, [event] = self.settings, events
        if paths.job is not None and event.job_id is None:
            return f"there is no id of a job at {paths.job}, so it is taken for a notice"
        if event.job_id is not None and event.raw_status is None:
            return f"there is no status at {paths.status}"
        if event.status is Status.SUCCEEDED and paths.outputs and not event.outputs:
            return f"there is no URL at {' or '.join(paths.outputs)}"
        return None

    def fold(self, word: str | None) -> Status | None:
        return None if word is None else self._words.get(_folded(word))

    def _key(
        self, delivery: Delivery, data: Mapping[str, Any], job_id: str | None, status: Status | None, raw: str | None
    ) -> str:
        """A job's end is known by job and status, everything else by what the signature covers, and by that alone.

        A header that is not signed, such as GitHub's `X-GitHub-Delivery`, is no part of the key: whoever has seen a
        signed request could send it again under as many ids as they like, each a new event. So where the id is not
        signed, the body is its own id: sent again, by the sender or by anybody, it is the same event. The price is
        that a sender who means two things by the same bytes is heard once.

        Progress may be told more than once in the same words, so the id, or the body, is part of its key, too.
        """
        ids = (_id(_found(place, delivery, data)) for place in self.settings.signed_ids)
        event_id = next((event_id for event_id in ids if event_id is not None), None)
        if job_id is None:
            return event_id or _digest(delivery.body)
        key = event_key(job_id, status, raw)
        if status is not None and status.terminal:
            return key
        return f"{key}:{_digest(event_id.encode() if event_id else delivery.body)}"

    def _type(self, delivery: Delivery, data: Mapping[str, Any]) -> str:
        words = (_text(_found(place, delivery, data)) for place in self.settings.event_type)
        return ".".join(said for said in words if said is not None)

    def _outputs(self, data: Mapping[str, Any]) -> tuple[Output, ...]:
        found = [value for path in self.settings.outputs for value in _all(data, path.split("."))]
        urls = [
            url for value in found for item in (value if isinstance(value, list) else [value]) if (url := link(item))
        ]
        return tuple(Output(url) for url in dict.fromkeys(urls))


def _signature_faults(settings: GenericSettings) -> Iterator[str]:
    """What keeps a signature from being checked, or from proving anything; for each, what to do."""
    signed = settings.signed
    if not settings.header:
        yield f"give header, where the signature stands, or a preset: {', '.join(_PRESETS)}"
    if fault := template_fault(signed):
        yield f"signed {fault}; write what the sender signs, such as {{timestamp}}.{{body}}"
    if not settings.scheme.covers_body:
        yield (
            "signed does not cover the body, so a signature would prove nothing of what it says, and nobody can be "
            "asked; add {body} or {sha256} if the sender signs it, else it cannot be a source"
        )
    if "{timestamp}" in signed and settings.timestamp_header is None:
        yield "signed has {timestamp}; give timestamp_header, where it stands"
    if "{id}" in signed and settings.id_header is None and not settings.id_paths:
        yield "signed has {id}; give id_header or id_paths, where it stands"
    if settings.id_header is not None and settings.id_paths:
        yield "id_header and id_paths say two things; remove one"
    if settings.separator is not None and settings.separator in settings.prefix:
        yield "prefix holds the separator, so no signature would ever be found; change one"
    if settings.times_signature and not (settings.separator and settings.prefix and settings.timestamp_prefix):
        yield (
            "timestamp_header is that of the signature; give separator, prefix and timestamp_prefix, "
            "such as , and v1= and t=, which tell the two apart"
        )


def _event_faults(settings: GenericSettings) -> Iterator[str]:
    """What keeps events from being understood; for each, what to do."""
    if (settings.job is None) != (settings.status is None):
        missing, given = ("status", "job") if settings.status is None else ("job", "status")
        yield f"{given} says nothing without {missing}; give both, or neither if its events are only notices"
    for name in ("statuses", "error"):
        if getattr(settings, name) and settings.status is None:
            yield f"{name} is about jobs; give job and status, too, or remove it"


def _data(delivery: Delivery) -> dict[str, Any]:
    """The JSON object, or the fields of the form, or else the text as it is, under `body`."""
    try:
        return json_object(delivery.body)
    except Unreadable:
        text = delivery.body.decode("utf-8", "replace")
    # What it is, the body alone decides: its type is in a header, which nobody signed.
    fields = _fields(text) if _FORM.fullmatch(text) else {}
    try:
        # GitHub's default, and Slack's interactions: JSON as the only field of a form.
        return json_object(str(fields["payload"]).encode()) if set(fields) == {"payload"} else fields or {"body": text}
    except Unreadable:
        return fields


def _fields(text: str) -> dict[str, Any]:
    """The fields of a form, those that come twice as lists; none if it is no form."""
    try:
        fields = parse_qs(text, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return {}
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _found(place: str, delivery: Delivery, data: Mapping[str, Any]) -> object:
    """What is in a header or at a path."""
    if place.startswith(_HEADER):
        return delivery.headers.get(place.removeprefix(_HEADER).lower())
    return _at(data, place)


def _at(data: Mapping[str, Any], path: str | None) -> object:
    """What is at a path; None if nothing is."""
    return next(_all(data, path.split(".")), None) if path is not None else None


def _all(value: object, names: Sequence[str]) -> Iterator[object]:
    """What is at a path of names; with `*`, of every item of a list."""
    if not names:
        yield value
        return
    name, *rest = names
    if isinstance(value, Mapping) and name in value:
        yield from _all(value[name], rest)
    elif isinstance(value, list):
        index = int(name) if _INDEX.fullmatch(name) else len(value)
        for item in value if name == "*" else value[index : index + 1]:
            yield from _all(item, rest)


def _id(value: object) -> str | None:
    """An id, whether it came as text or as a number; None if it is none."""
    return identifier_or_none(spelled(value))


def _text(value: object) -> str | None:
    """A short text, also of a number or of `true`."""
    return word(str(value).lower() if isinstance(value, bool) else spelled(value))


def _folded(spelling: str) -> str:
    return spelling.strip().lower()


def _failure(error: object) -> Failure:
    details = error if isinstance(error, dict) else {"message": error}
    return Failure(
        sentence(details.get("message")) or "no reason given",
        code=_text(details.get("code")) or _text(details.get("type")),
    )


def _moment(value: object) -> datetime | None:
    if isinstance(value, str) and _UNIX.fullmatch(value):
        return unix_moment(int(value))
    return unix_moment(value) or moment(value)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
