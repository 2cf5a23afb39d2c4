"""Tell people, through Apprise: Slack, Discord, mail and more than a hundred other services.

https://appriseit.com/services/ says how the URL of each is written. It is an extra: `notify`.
"""

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from receiver.errors import RequestFailed
from receiver.masking import mask_values

if TYPE_CHECKING:
    from apprise import NotifyBase

LOCAL_SERVICES = frozenset(
    ["blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"],
)
"""Services that need no address, because they are this machine: its desktop, its log, its lights."""

# Where a URL says nothing of them. Longer than Apprise's own four seconds: who is given up on too soon is told twice.
_DEFAULTS = {"cto": 15, "rto": 15, "overflow": "truncate"}
_LONGEST_TEXT = 500
# Apprise would take these for one with an odd path.
_SEVERAL = re.compile(r"[^\s,][\s,]+[a-z0-9]+://", re.IGNORECASE)


def check_urls(urls: Iterable[str]) -> None:
    """Refuse what is no Apprise URL by which people can be told.

    Raises:
        ValueError: saying which and why, without the URL; or that the extra is not installed.
    """
    _apprise()
    for number, url in enumerate(urls, start=1):
        try:
            _service(url)
        except ValueError as error:
            raise ValueError(f"URL {number}: {error}") from None


def tell(url: str, title: str, body: str, *, kind: str, within: timedelta) -> None:
    """Send a text to one URL. `kind` is one of Apprise's: `info`, `success`, `warning` or `failure`.

    Raises:
        RequestFailed: it did not arrive, or nobody knows whether it did.
    """
    service = _service(url)
    half = within.total_seconds() / 2
    service.socket_connect_timeout = min(service.socket_connect_timeout, half)
    service.socket_read_timeout = min(service.socket_read_timeout, half)
    recipient = _apprise().Apprise([service], asset=service.asset)
    result = recipient.notify(body, title, notify_type=kind, body_format="text")
    if not result:
        said = " ".join(entry.message for entry in result.logs())
        raise RequestFailed(f"{service.service_name}: {plain(_without_secrets(said, url)) or 'it failed'}")


def plain(text: str) -> str:
    """One line, of letters that show, and not too long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * _LONGEST_TEXT]).split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


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
