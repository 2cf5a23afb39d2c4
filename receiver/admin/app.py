"""The Flask app of the admin side: limits, headers, and what its routes need."""

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from receiver import logs, plugins
from receiver.admin import api, headers, pages, problems, scrape, sign_in
from receiver.admin.extension import NAME, Admin
from receiver.admin.scrapers import Scrapers
from receiver.admin.stream import Stream
from receiver.admin.tries import Tries
from receiver.config import Config, load
from receiver.receiver import Receiver
from receiver.store import open_store_late

_MAX_BODY = 2**20


def create_app(config: Config | None = None) -> Flask:
    """The app for a configuration, by default the one that `receiver.config.load` finds.

    Call it in the process that answers, after any fork: it opens the store. While that cannot be done, it answers 503.

    Raises:
        ConfigError: the configuration is wrong.
    """
    config = config or load()
    sources, handlers = plugins.sources(config), plugins.handlers(config)
    store = open_store_late(config)
    receiver = Receiver(config, store=store)
    app = Flask("receiver.admin", static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
    # Without this, OPTIONS would be answered 200.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    if config.admin.public_url is not None:
        # All requests come from the proxy, which says for whom: those who fail to sign in are told apart by that.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=0, x_host=0)  # type: ignore[method-assign]
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.extensions[NAME] = Admin(
        config=config,
        sources=sources,
        handlers=handlers,
        store=store,
        receiver=receiver,
        tries=Tries(),
        scrapers=Scrapers(),
        # A stream holds a thread for as long as it lasts.
        stream=Stream(store, most=config.admin.threads // 2),
    )
    app.before_request(lambda: logs.begin_request(request.headers.get("X-Request-Id")))
    problems.register(app, pages.answer)
    headers.register(app)
    app.register_blueprint(sign_in.bp)
    app.register_blueprint(scrape.bp)
    api.register(app)
    pages.register(app)

    @app.get("/healthz")
    def healthz() -> Response:
        """Answer: the process lives."""
        return Response("ok\n", mimetype="text/plain")

    return app
