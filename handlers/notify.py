"""Tell people, through Apprise: Slack, Discord, mail and more than a hundred other services.

https://appriseit.com/services/ says how the URL of each is written. What providers say is shown as plain text: it pings
nobody and formats nothing.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from string import Template
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator

from receiver import Context, Done, Event, HandlerSettings, Job, Router, Status, clock
from receiver.errors import RequestFailed
from receiver.facts import METADATA, NAMES, texts
from receiver.outbound import people, without_query
from receiver.units import Several

_NAMES = (*NAMES, "output")

_TYPES: dict[Status | None, str] = {
    Status.SUCCEEDED: "success",
    Status.FAILED: "failure",
    Status.EXPIRED: "failure",
    Status.LOST: "failure",
    Status.CANCELLED: "warning",
}
_LONGEST_URL = 2000
_REMEMBERED = 10_000
_ZERO_WIDTH_SPACE = "\u200b"
# What begins a mention, a tag, code, or (between its two halves) a link that does not show where it leads.
_MARKUP = re.compile(r"[@\uff20<`]|\](?=\(|$)")


class Settings(HandlerSettings):
    """`[handlers.notify]`: whom to tell, and in which words."""

    urls: Annotated[Several[SecretStr], Field(min_length=1)]
    """Apprise URLs, one or a list. Those that stand for this machine (`syslog://`, `dbus://`, …) are refused."""
    title: str = "$source: $kind $status"
    """The subject, a template like `body`."""
    body: str = "$type $job\n$error\n$output"
    """The text, a template. What there is not is empty, and a line that is empty for that reason is left out.

    Its names: `$source`, `$type`, `$kind`, `$job`, `$event` (its number), `$status` (in our words), `$raw_status` (in
    the provider's), `$error`, `$error_code`, `$output` (the first result's URL without its query, which may be a
    signature), `$output_url` (with it: whoever reads the message can open the result), `$output_count`, and
    `$metadata_KEY` for what the job was tracked with. `$$` is a dollar sign.
    """

    @field_validator("urls")
    @classmethod
    def _accepted(cls, urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        people.check_urls(url.get_secret_value() for url in urls)
        return urls

    @field_validator("title", "body")
    @classmethod
    def _known(cls, text: str) -> str:
        template = Template(text)
        if not template.is_valid():
            raise ValueError("a $ is followed by no name; write $$ for a dollar sign")
        for name in template.get_identifiers():
            if name not in _NAMES and not name.startswith(METADATA):
                raise ValueError(f"there is no ${name}; there are ${', $'.join(_NAMES)} and ${METADATA}KEY")
        return text


router = Router(settings=Settings)


@router.on()
def notify(event: Event, context: Context) -> Done:
    """Tell everybody whom no earlier attempt in this process has told."""
    settings: Settings = context.settings
    title, body = _message(event, context.job, settings)
    told = _told(context.idempotency_key, event.source, event.key)
    failures = []
    for number, url in enumerate(settings.urls, start=1):
        if number in told:
            continue
        try:
            _tell(url.get_secret_value(), title, body, event.status, _time_left(context))
        except RequestFailed as error:
            failures.append(f"URL {number}: {error}")
        else:
            told.add(number)
    if failures:
        raise RequestFailed("; ".join(failures))
    return Done({"told": len(told)})


@lru_cache(_REMEMBERED)
def _told(idempotency_key: str, source: str, key: str) -> set[int]:
    """Whom this process has told about an event: a set to read and to add to."""
    return set()


def _time_left(context: Context) -> timedelta:
    return context.deadline - clock.now() if context.deadline is not None else timedelta.max


def _tell(url: str, title: str, body: str, status: Status | None, time_left: timedelta) -> None:
    """Send it to one URL.

    Raises:
        RequestFailed: it did not arrive, or nobody knows whether it did.
    """
    if time_left <= timedelta(0):
        raise RequestFailed("not tried, because the attempt's time is over")
    people.tell(url, title, body, kind=_TYPES.get(status, "info"), within=time_left)


# The message


def _message(event: Event, job: Job | None, settings: Settings) -> tuple[str, str]:
    """Title and body. There is always a body: services refuse a message without one."""
    values = _values(event, job)
    title = " ".join(_filled(settings.title, values).split())
    body = _filled(settings.body, values).strip()
    return (title, body) if body else ("", title or event.source)


def _filled(text: str, values: Mapping[str, str]) -> str:
    lines = [(line, Template(line).substitute(values)) for line in text.splitlines()]
    return "\n".join(" ".join(filled.split()) for line, filled in lines if filled.strip() or not line.strip())


def _values(event: Event, job: Job | None) -> Mapping[str, str]:
    told = texts(event, job)
    url = told.pop("output_url")
    values = {name: _harmless(text) for name, text in told.items()}
    urls = {"output": _link(without_query(url)), "output_url": _link(url)}
    return defaultdict(str, values | urls)


def _harmless(text: str) -> str:
    """A text that pings nobody and formats nothing."""
    # With a character of no width behind it, it looks the same and means nothing.
    return _MARKUP.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, people.plain(text))


def _link(url: str) -> str:
    """A web address in which nothing is a mention or markup. None that is too long: cut off, it would lead nowhere."""
    if not url.lower().startswith(("https://", "http://")) or len(url) > _LONGEST_URL:
        return ""
    return quote(url, safe="%/:?#!$&'()*+,;=~", errors="replace")
