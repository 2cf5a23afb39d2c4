"""Signing in and out with a token."""

from flask import Blueprint, Response, make_response, redirect, render_template, request

from receiver.admin import access
from receiver.models import Scope

bp = Blueprint("sign_in", __name__)

_HOME = "/"


@bp.get("/sign-in")
def form() -> Response:
    """Ask for a token."""
    return make_response(render_template("sign_in.html", failed=False, next=_next(request.args.get("next", ""))))


@bp.post("/sign-in")
def sign_in() -> Response:
    """Open a session, or ask again."""
    to = _next(request.form.get("next", ""))
    response = make_response(redirect(to, 303))
    if not access.sign_in(request.form.get("token", "").strip(), response):
        return make_response(render_template("sign_in.html", failed=True, next=to), 401)
    return response


@bp.post("/sign-out")
@access.with_session(Scope.READ)
def sign_out() -> Response:
    """End the session."""
    response = make_response(redirect("/sign-in", 303))
    access.sign_out(response)
    return response


def _next(path: str) -> str:
    """The page to go on with, if it is one of ours: what else is an address to browsers leads to the first."""
    ours = path.startswith("/") and path.isprintable() and not any(sign in path for sign in ("//", "\\"))
    return path if ours else _HOME
