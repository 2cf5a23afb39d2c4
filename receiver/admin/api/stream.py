"""The stream of what is new, as server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import json
from collections.abc import Iterator
from http import HTTPStatus

from flask import Response, request

from receiver.admin import access
from receiver.admin.api.operations import Resource
from receiver.admin.api.shapes import DispatchShape, EventShape, Shape
from receiver.admin.extension import admin
from receiver.admin.problems import Problem
from receiver.admin.stream import POSITION_HEADER, News, Position

resource = Resource("stream")

_RETRY_AFTER_SECONDS = 30
_HEADERS = {
    # A proxy that waits until there is much to pass on would make it useless.
    "X-Accel-Buffering": "no",
}


@resource.get("/stream")
def follow() -> Response:
    """Follow what is new: an `event` or a `dispatch` with the same data as in the lists, as they come.

    It begins with what comes next, or after what the header `Last-Event-ID` names. `gap` means that more was new than
    is told here; the lists have it. A comment comes every 15 seconds while nothing does. How many may follow at once is
    limited; beyond that the answer is 503.
    """
    last = request.headers.get(POSITION_HEADER)
    after = Position.parsed(last) if last else None
    stream = admin().stream
    if not stream.enter():
        headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "as many as may are following already", headers=headers)
    news = stream.news(after, welcome=access.known_again())
    response = Response(_lines(news), mimetype="text/event-stream", headers=_HEADERS)
    response.call_on_close(stream.leave)
    return response


def _lines(news: Iterator[News | None]) -> Iterator[str]:
    # So that something is sent at once, and proxies and browsers know that it works.
    yield ": hello\n\n"
    for told in news:
        yield _written(told) if told is not None else ": nothing new\n\n"


def _written(news: News) -> str:
    shapes: dict[str, type[Shape]] = {"event": EventShape, "dispatch": DispatchShape}
    # Written as JSON, a line break in it ends no line.
    data = shapes[news.name].model_validate(news.row).model_dump_json() if news.name in shapes else json.dumps(news.row)
    return f"id: {news.position}\nevent: {news.name}\ndata: {data}\n\n"
