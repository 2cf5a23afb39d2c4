"""Errors as browsers show them."""

from http import HTTPStatus
from urllib.parse import quote

from flask import Response, make_response, redirect, render_template, request

from receiver.admin.problems import Problem

_SIGN_IN = "/sign-in"


def answer(problem: Problem) -> Response:
    """A page for browsers, except from the API. Whoever is not signed in is led to where they can do that."""
    if "text/html" not in request.headers.get("Accept", "") or request.path.startswith("/api/"):
        return problem.answer()
    if problem.status is HTTPStatus.UNAUTHORIZED:
        response = _to_sign_in()
    else:
        response = make_response(render_template("failed.html", problem=problem), problem.status)
    response.headers.update({name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"})
    return response


def _to_sign_in() -> Response:
    if "HX-Request" in request.headers:
        # A part of a page asks: all of it is to go there.
        return Response(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": _SIGN_IN})
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return make_response(redirect(f"{_SIGN_IN}?next={quote(back, safe='')}", HTTPStatus.SEE_OTHER))
