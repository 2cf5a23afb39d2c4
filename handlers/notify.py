"""Tell people, through Apprise: Slack, Discord, mail and more than a hundred other services.

https://appriseit.com/services/ says how the URL of each is written. What providers say is shown as plain text: it pings
nobody and formats nothing.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from string import Template
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote

from pydantic import Field, SecretStr, field_validator

from receiver import Context, Done, Event, HandlerSettings, Job, Router, Status, clock
from receiver.errors import RequestFailed
from receiver.facts import METADATA, NAMES, texts
from receiver.masking import mask_values
from receiver.outbound import without_query
from receiver.units import Several

if TYPE_CHECKING:
    from apprise import NotifyBase

_NAMES = (*NAMES, "output")

# Services that need no address, because they are this machine: its desktop, its log, its lights.
LOCAL_SERVICES = frozenset(
    ["blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"],
)

_TYPES: dict[Status | None, str] = {
    Status.SUCCEEDED: "success",
    Status.FAILED: "failure",
    Status.EXPIRED: "failure",
    Status.LOST: "failure",
    Status.CANCELLED: "warning",
}
# Where a URL says nothing of them. Longer than Apprise's own four seconds: who is given up on too soon is told twice.
_DEFAULTS = {"cto": 15, "rto": 15, "overflow": "truncate"}
_LONGEST_TEXT = 500
_LONGEST_URL = 2000
_REMEMBERED = 10_000
# Apprise would take these for one with an odd path.
_SEVERAL = re.compile(r"\S[\s,]+[a-z0-9]+://", re.IGNORECASE)
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
        _apprise()
        for number, url in enumerate(urls, start=1):
            try:
                _service(url.get_secret_value())
            except ValueError as error:
                raise ValueError(f"URL {number}: {error}") from None
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
    service = _service(url)
    half = time_left.total_seconds() / 2
    service.socket_connect_timeout = min(service.socket_connect_timeout, half)
    service.socket_read_timeout = min(service.socket_read_timeout, half)
    recipient = _apprise().Apprise([service], asset=service.asset)
    result = recipient.notify(body, title, notify_type=_TYPES.get(status, "info"), body_format="text")
    if not result:
        said = " ".join(entry.message for entry in result.logs())
        raise RequestFailed(f"{service.service_name}: {_plain(_without_secrets(said, url)) or 'it failed'}")


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
    return _MARKUP.sub(lambda found: found[0] + _ZERO_WIDTH_SPACE, _plain(text))


def _plain(text: str) -> str:
    """One line, of letters that show, and not too long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * _LONGEST_TEXT]).split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


def _link(url: str) -> str:
    """A web address in which nothing is a mention or markup. None that is too long: cut off, it would lead nowhere."""
    if not url.lower().startswith(("https://", "http://")) or len(url) > _LONGEST_URL:
        return ""
    return quote(url, safe="%/:?#!$&'()*+,;=~", errors="replace")


# Apprise


def _apprise() -> ModuleType:
    """The library, which is an extra.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import apprise
    except ImportError:
        raise ValueError('needs the extra: pip install "ai-media-receiver[notify]"') from None
    # It logs what is in URLs. What is worth knowing of it becomes the attempt's error.
    logging.getLogger(apprise.LOGGER_NAME).propagate = False
    return apprise


def _service(url: str) -> "NotifyBase":
    """What speaks to the service that a URL is of. One for each message: some keep notes of the last.

    Raises:
        ValueError: there is none, or none that we want. The URL is not in the text.
    """
    apprise = _apprise()
    asset = apprise.AppriseAsset(
        app_id="Receiver",
        app_desc="Receiver",
        # In this thread, and nothing on the disk.
        async_mode=False,
        service_timeout=0,
        storage_mode="memory",
        # A POST that is redirected becomes a GET, which succeeds and tells nobody.
        http_redirects=False,
    )
    if _SEVERAL.search(url):
        raise ValueError("it is several; write them as a list")
    parts: dict[str, Any] = {}
    service: NotifyBase | None = None
    # Each service checks its URLs in its own way, and quotes them in what it raises.
    with suppress(Exception):
        parts = apprise.plugins.url_to_dict(url) or {}
    if parts.get("schema") in LOCAL_SERVICES:
        raise ValueError(f"{parts['schema']}:// is this machine itself; only services on a network can be told")
    with suppress(Exception):
        service = apprise.Apprise.instantiate(_DEFAULTS | parts, asset=asset, suppress_exceptions=False)
    if service is None or service.category != "native":
        raise ValueError(
            "Apprise does not accept it, or lacks a package for it; "
            "https://appriseit.com/services/ says how it is written"
        )
    return service


def _without_secrets(text: str, url: str) -> str:
    """The text without the parts of the URL, as they are written and as they are meant."""
    parts = re.split(r"[/:@?&=,]+", url.partition("://")[2])
    return mask_values(text, {*parts, *map(unquote, parts)})
