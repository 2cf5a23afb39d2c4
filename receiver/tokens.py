"""Tokens of the admin side: what they look like, and what is kept of them."""

import re
import secrets
from datetime import timedelta
from hashlib import sha256

from receiver.errors import InvalidBody
from receiver.models import Role, Scope
from receiver.store import Store

_PREFIX = "rcv_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def digest(secret: str) -> str:
    """What is kept of a token, or of a session's id.

    A plain hash is enough: these are 32 random bytes, which nobody finds by trying, unlike a password.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret(prefix: str = "") -> str:
    """32 random bytes, as text that fits into a header, a cookie and a URL."""
    return prefix + secrets.token_urlsafe(32)


def add(
    store: Store, name: str, *, role: Role, scopes: frozenset[Scope] = frozenset(), lasts: timedelta | None = None
) -> str:
    """Make a token and keep its digest. What it returns is shown to nobody ever again.

    `scopes` narrow what the role may do; without any, it is all of that.

    Raises:
        InvalidBody: the name is none, or taken; or the role does not have these scopes.
    """
    if not _NAME.fullmatch(name):
        raise InvalidBody(f"{name!r} is no name for a token: write up to 64 letters, digits, and . _ @ - between them")
    beyond = scopes - role.scopes
    if beyond:
        raise InvalidBody(f"a {role} may not {', '.join(sorted(beyond))}; it may {', '.join(sorted(role.scopes))}")
    secret = new_secret(_PREFIX)
    if not store.add_token(name, digest(secret), role=role, scopes=scopes or role.scopes, lasts=lasts):
        raise InvalidBody(f"there is a token {name!r} already; see `receiver tokens`")
    return secret
