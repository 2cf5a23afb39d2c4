"""Who asks, and what they may do: bearer tokens, and sessions in a cookie with protection against forged requests."""

import hmac
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Response, g, request

from receiver import tokens
from receiver.admin.extension import admin
from receiver.admin.problems import Problem
from receiver.admin.tries import SPAN_SECONDS
from receiver.errors import StoreUnavailable
from receiver.models import Scope, Token

SESSION_LASTS = timedelta(hours=12)
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"

_SAFE = ("GET", "HEAD")
_LONGEST_SECRET = 200

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def identify() -> Token:
    """Who asks the API: by a bearer token; or, to read, by the session of the page.

    Raises:
        Problem: nobody that is known.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    token = None
    if scheme.lower() == "bearer":
        token = _bearer(secret.strip())
    elif not scheme and request.method in _SAFE:
        token = session()
    if token is None:
        raise _no_token()
    g.token = token
    return token


def require_bearer() -> None:
    """Go on only if it was a bearer token by which `identify` knew who asks.

    Raises:
        Problem: it was the session of the page.
    """
    if not request.headers.get("Authorization", "").partition(" ")[0]:
        raise _no_token()


def known_again() -> Callable[[], bool]:
    """What tells later on, when the request is over, whether who asks it is still known."""
    store = admin().store
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        token_digest = tokens.digest(secret.strip())
        return lambda: store.token(token_digest) is not None
    session_digest = tokens.digest(request.cookies.get(_cookie(), ""))
    return lambda: store.session(session_digest) is not None


def require(scope: Scope) -> None:
    """Go on only if whoever asks may do this.

    Raises:
        Problem: they may not.
    """
    if scope not in g.token.scopes:
        raise Problem(HTTPStatus.FORBIDDEN, f"this takes the scope {scope}, which the token {g.token.name} lacks")


def session() -> Token | None:
    """The token that the session of the page was opened with; None without a session that lives."""
    if "session_token" not in g:
        secret = request.cookies.get(_cookie(), "")
        g.session_token = admin().store.session(tokens.digest(secret)) if 0 < len(secret) < _LONGEST_SECRET else None
    found: Token | None = g.session_token
    return found


def csrf_token() -> str:
    """What a form of the session's has to send along, in `CSRF_FIELD` or `CSRF_HEADER`.

    It comes from the session's id, which no other site's page can know, and does not give that away.
    """
    return hmac.new(request.cookies.get(_cookie(), "").encode(), b"csrf", "sha256").hexdigest()


def with_session(scope: Scope) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Answer only within a session whose token has the scope; what changes something has to come from our own page.

    Raises:
        Problem: 401 without a session, 403 without the scope, or when another site's page may have sent it.
    """

    def decorate(view: Callable[_P, _T]) -> Callable[_P, _T]:
        @wraps(view)
        def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            token = session()
            if token is None:
                raise Problem(HTTPStatus.UNAUTHORIZED, "sign in first")
            g.token = token
            require(scope)
            if request.method not in _SAFE:
                _refuse_forged()
            return view(*args, **kwargs)

        return guarded

    return decorate


def sign_in(secret: str, response: Response) -> bool:
    """Open a session for a token and set its cookie. False for whatever is not one, without saying why.

    Raises:
        Problem: it failed too often lately, from there or in all; or another site's page sent it.
    """
    _refuse_other_origins()
    address = request.remote_addr or ""
    token = _known(secret)
    # Whoever has a token gets in, however often others fail: no number of tries finds one.
    if token is None and not admin().tries.allowed(address):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "signing in failed too often; try again in a minute",
            headers={"Retry-After": f"{SPAN_SECONDS:.0f}"},
        )
    if token is None:
        admin().tries.failed(address)
        _log.warning("signing in failed", extra={"address": address})
        return False
    session_id = tokens.new_secret()
    admin().store.open_session(tokens.digest(session_id), token_digest=tokens.digest(secret), lasts=SESSION_LASTS)
    admin().store.note_use(token.name)
    _log.info("signed in", extra={"token": token.name, "address": address})
    _set_cookie(response, session_id, SESSION_LASTS)
    return True


def sign_out(response: Response) -> None:
    """End the session and drop its cookie."""
    admin().store.close_session(tokens.digest(request.cookies.get(_cookie(), "")))
    _set_cookie(response, "", timedelta(0))


def _no_token() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "send a token that `receiver tokens add` made as `Authorization: Bearer …`",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _bearer(secret: str) -> Token | None:
    token = _known(secret)
    if token is not None:
        # Whoever only reads need not wait until the store can write.
        with suppress(StoreUnavailable):
            admin().store.note_use(token.name)
    return token


def _known(secret: str) -> Token | None:
    """The token of that text. It is looked up by its digest, so that time tells nothing about the tokens there are."""
    return admin().store.token(tokens.digest(secret)) if 0 < len(secret) < _LONGEST_SECRET else None


def _refuse_forged() -> None:
    """Refuse what a page of another site may have sent with our cookie.

    Raises:
        Problem: 403.
    """
    _refuse_other_origins()
    sent = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(sent.encode(), csrf_token().encode()):
        raise Problem(HTTPStatus.FORBIDDEN, "the form is too old, or not ours; load the page again")


def _refuse_other_origins() -> None:
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    public_url = admin().config.admin.public_url
    ours = [request.host, *([urlsplit(public_url).netloc] if public_url else [])]
    # An origin that is none is written `null`, which has no host.
    if site not in ("same-origin", "none") or (origin and _host(origin) not in ours):
        raise Problem(HTTPStatus.FORBIDDEN, "another site's page sent this")


def _host(origin: str) -> str | None:
    """The host of an origin; None if it is no URL, which no browser sends."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _cookie() -> str:
    # Browsers let no other host, and no page that came in the clear, set a cookie of such a name.
    return "__Host-receiver" if admin().secure else "receiver"


def _set_cookie(response: Response, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        _cookie(), value, max_age=lasts, path="/", secure=admin().secure, httponly=True, samesite="Strict"
    )
