"""The Flask app: routes, limits, and the store it needs. It imports no handler and calls nobody."""

import atexit
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import gevent
from flask import Flask, Response, request
from gevent.lock import BoundedSemaphore

from receiver import logs, plugins
from receiver.config import Config, load
from receiver.inbox import Source
from receiver.quarantine import Quarantine
from receiver.store import Store, open_store_late
from receiver.web import deliveries

_MOST_LARGE_BODIES = 64


@dataclass(frozen=True)
class Extension:
    """What the routes need; `app.extensions["receiver"]`."""

    sources: Mapping[str, Source]
    store: Store
    quarantine: Quarantine
    max_body: int
    body_timeout: timedelta
    large_bodies: BoundedSemaphore
    """Places for bodies that are so large that memory could not hold one of each connection."""


def create_app(config: Config | None = None) -> Flask:
    """The app for a configuration, by default the one that `receiver.config.load` finds.

    Call it in the process that answers, after any fork: it opens the store. While that cannot be done, it answers 503.

    Raises:
        ConfigError: the configuration is wrong.
    """
    config = config or load()
    app = Flask("receiver.web", static_folder=None)
    # One more than allowed, so that a body that is cut off there can be told from one that fits.
    app.config["MAX_CONTENT_LENGTH"] = config.web.max_body + 1
    # A sender takes a redirect for a failure.
    app.url_map.merge_slashes = False
    # Without this, OPTIONS would be answered 200.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    sources = plugins.sources(config)
    store = open_store_late(config, gather=gevent.sleep)
    quarantine = Quarantine(store, max_count=config.quarantine.max_count, max_body=config.quarantine.max_body)
    atexit.register(quarantine.flush)
    app.extensions["receiver"] = Extension(
        sources=sources,
        store=store,
        quarantine=quarantine,
        max_body=config.web.max_body,
        body_timeout=config.web.body_timeout,
        large_bodies=BoundedSemaphore(_MOST_LARGE_BODIES),
    )
    app.url_map.converters["rest"] = deliveries.Rest
    app.register_blueprint(deliveries.bp)
    app.before_request(lambda: logs.begin_request(request.headers.get("X-Request-Id")))

    @app.get("/healthz")
    def healthz() -> Response:
        """Answer: the process lives."""
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        """Commit something; 503 if that cannot be done."""
        store.prove()
        return Response("ok\n", mimetype="text/plain")

    return app
