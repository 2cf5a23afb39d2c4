"""The server on loopback, and what it is made of."""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping

from flask import Flask, Response, g, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from receiver.errors import ReceiverError
from receiver.sandbox import creativeai, files, kpainter, newapi, omnivideo
from receiver.sandbox.api import Api
from receiver.sandbox.conditions import Conditions
from receiver.sandbox.gate import Gate
from receiver.sandbox.jobs import Jobs
from receiver.sandbox.traffic import Asked, Posted, Traffic
from receiver.sandbox.webhooks import Webhooks

_HOST = "127.0.0.1"
_BACKLOG = 128
_LOOK_EVERY = 0.02
_NOTHING_GOES_WRONG = Conditions()


class Sandbox:
    """Stands in for all providers, in threads of this process. A context manager.

    What shall happen to a job can be said when it is created, in the header `X-Sandbox` or in the body's field
    `sandbox`: `lost,failed`.
    """

    def __init__(
        self,
        conditions: Conditions = _NOTHING_GOES_WRONG,
        *,
        secret: str,
        api_key: str,
        port: int = 0,
        tell: Callable[[Asked | Posted], None] | None = None,
    ) -> None:
        """`secret` signs webhooks; `tell` is called with each request and each webhook, one at a time.

        Raises:
            ReceiverError: the port is taken.
        """
        app = Flask("receiver.sandbox", static_folder=None)
        self._server = _bound(port, app)
        self.url = f"http://{_HOST}:{self._server.port}"
        self._secret, self._api_key = secret, api_key
        self._traffic = Traffic(tell)
        self._gate = Gate(conditions, api_key)
        self._webhooks = Webhooks(conditions, self._traffic, outage=self._gate.outage)
        jobs, outputs = Jobs(conditions), f"{self.url}/output"
        self._apis = [
            creativeai.api(jobs, outputs, self._webhooks, secret=secret),
            kpainter.api(jobs, outputs),
            omnivideo.api(jobs, outputs),
            newapi.api(jobs, outputs),
        ]
        self.base_urls: Mapping[str, str] = {api.name: f"{self.url}{api.prefix}" for api in self._apis}
        """Where each provider's API begins."""
        self._assemble(app)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_EVERY,), name="sandbox")

    def __enter__(self) -> "Sandbox":
        self._webhooks.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._webhooks.__exit__(*error)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def tables(self) -> str:
        """The sources for `receiver.toml`."""
        return "\n".join(
            # What JSON writes as text, TOML reads as text.
            f"[sources.{api.name}]\n"
            f"provider = {json.dumps(api.name)}\n"
            f"base_url = {json.dumps(self.base_urls[api.name])}\n"
            + (f"secrets = [{json.dumps(self._secret)}]\n" if api.sends_webhooks else "")
            + f"api_key = {json.dumps(self._api_key)}\n"
            for api in self._apis
        )

    @property
    def requests(self) -> list[Asked]:
        """The requests that the APIs have answered, in order."""
        return self._traffic.asked

    @property
    def polls(self) -> list[Asked]:
        """Those of them that asked about a job."""
        return [asked for asked in self.requests if asked.is_poll]

    @property
    def webhooks(self) -> list[Posted]:
        """The webhooks that were posted, or lost."""
        return self._traffic.posted

    @property
    def idle(self) -> bool:
        """Whether there is no webhook left to post."""
        return self._webhooks.idle

    def _assemble(self, app: Flask) -> None:
        app.json = _Json(app)
        app.register_blueprint(files.routes())
        for api in self._apis:
            app.register_blueprint(api.routes, url_prefix=api.prefix)

        @app.before_request
        def let_in() -> Response | None:
            g.at = time.monotonic()
            api = self._asked_api()
            return self._gate.refusal(api, request) if api else None

        @app.errorhandler(HTTPException)
        def refuse(error: HTTPException) -> Response | HTTPException:
            api = self._asked_api()
            if api is None:
                return error
            reason = error.description if request.url_rule else None
            return api.refuse(error.code or 500, reason or error.name)

        @app.after_request
        def remember(answer: Response) -> Response:
            if api := self._asked_api():
                if _hides_what_it_did(api, answer):
                    answer = api.refuse(500, "Internal server error")
                answer.headers.update(self._gate.limits(api))
                self._traffic.add(_asked(api, answer))
            return answer

    def _asked_api(self) -> Api | None:
        """The API that a request is for; None if it is for a file."""
        return next((api for api in self._apis if request.path.startswith(f"{api.prefix}/")), None)


class _Json(DefaultJSONProvider):
    sort_keys = False


class _Handler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are told to whoever wants to know."""


def _bound(port: int, app: Flask) -> BaseWSGIServer:
    # Left to itself, the server would end the process if the port is taken.
    try:
        listener = socket.create_server((_HOST, port), backlog=_BACKLOG)
    except OSError as error:
        raise ReceiverError(f"cannot listen on {_HOST}:{port} ({error.strerror}); choose another port") from error
    with listener:
        return make_server(_HOST, port, app, threaded=True, request_handler=_Handler, fd=listener.fileno())


def _hides_what_it_did(api: Api, answer: Response) -> bool:
    """Whether a job was created of which the caller shall not hear."""
    created = request.method == "POST" and answer.status_code < 300 and not api.is_poll(request)
    return created and bool(g.get("unanswered"))


def _asked(api: Api, answer: Response) -> Asked:
    return Asked(
        provider=api.name,
        method=request.method,
        path=request.full_path.rstrip("?"),
        status=answer.status_code,
        at=g.at,
        is_poll=api.is_poll(request),
    )
