"""How gunicorn serves the endpoint. `receiver serve` and `receiver web` use this file.

On its own: `RECEIVER_CONFIG=/etc/receiver/receiver.toml gunicorn -c gunicorn.conf.py 'receiver.web:create_app()'`
"""

import logging
from typing import Any

from gevent.baseserver import BaseServer

from receiver import logs, metrics, signals, tracing
from receiver.config import keep, load
from receiver.signals import announce

_config = load()

bind = _config.web.bind
workers = _config.web.workers

# Each request has a greenlet of its own: slow senders hold up nobody, and those that wait for the store share one
# commit. Threads would do that, too, but spend most of their time taking Python's lock from each other.
worker_class = "gevent"
worker_connections = _config.web.connections

# Each worker opens the store for itself, after the fork: a database connection must not cross one.
preload_app = False

# A worker that makes no progress for so long is replaced.
timeout = 30
# How long a request in flight may take to finish when we are asked to stop.
graceful_timeout = 20
# Also how long a sender may take for the head of a request. Providers call seldom; a connection kept open for long
# only holds a place.
keepalive = 5

# A signature and a few ids fit into much less. The body's limit is `web.max_body`.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# A proxy on this machine passes on what strangers send: such headers would move a request to another path, or fail it.
forwarder_headers = ""
secure_scheme_headers = {}

# Nobody needs to talk to the server but through the port.
control_socket_disable = True

# The lines about deliveries are our own; they name no secret, an access log may.
accesslog = None
errorlog = "-"
loglevel = "warning"


def post_fork(server: Any, worker: Any) -> None:
    """Have each process log and count as the configuration says, and take its share of the connections."""
    # Not as many as there are: another process may be idle.
    BaseServer.max_accept = 1
    logs.configure(_config.log_format)
    metrics.observe(_config.metrics_directory)
    logging.getLogger("gunicorn.error").addFilter(_is_ours_to_mend)
    # A worker that could not begin, because somebody is writing the file, would end them all.
    keep(_config)


def post_worker_init(worker: Any) -> None:
    """Have each process trace, if it is to. Only now: what posts the traces must wait in gevent's way."""
    tracing.configure()


def _is_ours_to_mend(record: logging.LogRecord) -> bool:
    """Whether a line is worth keeping: any stranger could fill the log with broken connections and broken requests.

    Of the latter, which may hold anything, a bounded number of lines of our own says that there were some.
    """
    told = record.getMessage()
    if told.startswith("Invalid request from ip="):
        announce(signals.delivery_refused, None, reason="not_http")
        return False
    return not told.startswith("Socket error processing request")
