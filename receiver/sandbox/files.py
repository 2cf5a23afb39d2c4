"""What the jobs made: small files with plausible types, which need no key."""

import mimetypes

from flask import Blueprint, Response, request

_LINES = 100


def routes() -> Blueprint:
    """`/output/<name>`: whatever is asked for."""
    outputs = Blueprint("output", __name__)
    outputs.add_url_rule("/output/<name>", view_func=file)
    return outputs


def file(name: str) -> Response:
    """The file of that name, or the part of it that is asked for."""
    data = f"what {name} would hold\n".encode() * _LINES
    answer = Response(data, mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream")
    answer.make_conditional(request.environ, accept_ranges=True, complete_length=len(data))
    answer.headers.pop("Date", None)  # the server adds its own
    return answer
