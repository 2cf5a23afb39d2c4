"""How gunicorn serves the admin side. `receiver serve` and `receiver admin` use this file.

On its own:
`RECEIVER_CONFIG=/etc/receiver/receiver.toml gunicorn -c gunicorn-admin.conf.py 'receiver.admin:create_app()'`
"""

import logging
import socket
import struct
from typing import Any

from receiver import logs, metrics
from receiver.config import keep, load

_LONGEST_SILENCE_SECONDS = 10

_config = load()

bind = _config.admin.bind

# A few people, and programs of theirs. One process keeps the count of failed tries to sign in, and of streams.
workers = 1
worker_class = "gthread"
threads = _config.admin.threads

# The worker opens the store for itself, after the fork: a database connection must not cross one.
preload_app = False

# A worker that makes no progress for so long is replaced.
timeout = 30
# How long a request in flight may take to finish when we are asked to stop.
graceful_timeout = 20
keepalive = 5

limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# A proxy on this machine passes on what strangers send: such headers would move a request to another path, or fail it.
forwarder_headers = ""
secure_scheme_headers = {}

# Nobody needs to talk to the server but through the port.
control_socket_disable = True

accesslog = None
errorlog = "-"
loglevel = "warning"


def when_ready(server: Any) -> None:
    """Bound how long somebody may fall silent within a request: gunicorn's threads would wait for it for ever.

    Linux hands the listener's option on to every connection it accepts.
    """
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _LONGEST_SILENCE_SECONDS, 0))


def post_fork(server: Any, worker: Any) -> None:
    """Have each process log and count as the configuration says."""
    logs.configure(_config.log_format)
    metrics.observe(_config.metrics_directory)
    # A worker that could not begin, because somebody is writing the file, would end them all.
    keep(_config)
    logging.getLogger("gunicorn.error").addFilter(_is_ours_to_mend)


def post_worker_init(worker: Any) -> None:
    """Have streams end when the worker is to: it waits for every request to be answered."""
    worker.wsgi.extensions["receiver.admin"].stream.stopping = lambda: not worker.alive


def _is_ours_to_mend(record: logging.LogRecord) -> bool:
    """Whether a line is worth keeping: any stranger could fill the log with broken connections and broken requests."""
    return not record.getMessage().startswith(("Socket error processing request", "Invalid request from ip="))
