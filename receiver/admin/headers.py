"""What every answer says to the browser, and which requests are not answered at all."""

import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from receiver.admin.extension import admin
from receiver.admin.problems import Problem

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_POLICY_WITH_MEDIA = _POLICY.replace("img-src 'self'", "img-src 'self' https:; media-src 'self' https:")

# Probes and scrapers use the names of containers.
_FOR_ALL = ("healthz", "scrape.metrics")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers would then say of our own forms, too, that they come from nowhere (`Origin: null`).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def allow_media() -> None:
    """Let the page that is being made show images, video and sound from providers' https URLs."""
    g.media = True


def register(app: Flask) -> None:
    """Have every request of the app's looked at first, and every answer marked."""

    @app.before_request
    def refuse_other_hosts() -> None:
        """Answer only to names that are ours.

        Otherwise anybody's page could have its own name lead here, and read what is answered (DNS rebinding). A token
        in a header is no such page's, and a probe reads nothing: those may use any name that leads here.
        """
        if "Authorization" in request.headers or request.endpoint in _FOR_ALL:
            return
        if not _is_ours(request.host):
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this host name is not known here; set admin.public_url to where people reach it",
            )

    @app.after_request
    def mark(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        media = g.get("media", False)
        response.headers.setdefault("Content-Security-Policy", _POLICY_WITH_MEDIA if media else _POLICY)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _is_ours(host: str) -> bool:
    """An address says for itself where it leads; of names, only those that the configuration has."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    config = admin().config.admin
    known = {"localhost", config.bind.rpartition(":")[0], urlsplit(config.public_url or "").hostname}
    return name in known or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
