"""What must not show: in logs, in errors, in what is kept."""

import re
from collections.abc import Iterable, Mapping

MASK = "(masked)"

_SECRET_HEADERS = frozenset(
    [
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-kgp-api-key",
        "xi-api-key",
    ]
)
_URL = re.compile(r"(https?://)(?:[^\s/?#]*@)?([^\s/?#'\"<>]*)([/?#][^\s'\"<>]*)?", re.IGNORECASE)
_USER_AND_PASSWORD = re.compile(r"(://[^:/@]*):.*@")
_PASSWORD_PARAMETER = re.compile(r"([?&](?:ssl)?password=)[^&]*")
_SHORTEST_SECRET = 4


def mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, in lower case, without what those hold that are known to carry secrets."""
    return {name: MASK if name in _SECRET_HEADERS else value for name, value in headers.items()}


def mask_urls(text: str) -> str:
    """Of each URL only where it leads: what follows may grant access, and errors of HTTP clients quote it."""
    return _URL.sub(lambda url: f"{url[1]}{url[2]}{'/…' if url[3] else ''}", text)


def mask_password(url: str) -> str:
    """A URL of a database without its password, even if that is not quoted as it should be."""
    return _PASSWORD_PARAMETER.sub(rf"\1{MASK}", _USER_AND_PASSWORD.sub(rf"\1:{MASK}@", url))


def mask_values(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, which providers echo in their errors."""
    # The longest first: one may begin like another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text
