"""How gunicorn serves the endpoint. `receiver serve` and `receiver web` use this file.

On its own: `RECEIVER_CONFIG=/etc/receiver/receiver.toml gunicorn -c gunicorn.conf.py 'receiver.web:create_app()'`
"""

import logging
import socket
import struct
from datetime import timedelta
from typing import Any

from receiver import logs
from receiver.config import load

_config = load()

bind = _config.web.bind
workers = _config.web.workers

# Threads keep slow senders from holding up the others, and many waiting threads share one commit.
worker_class = "gthread"
threads = _config.web.threads

# Each worker opens the store for itself, after the fork: a database connection must not cross one.
preload_app = False

# A worker that makes no progress for so long is replaced.
timeout = 30
# How long a request in flight may take to finish when we are asked to stop.
graceful_timeout = 20
# Providers call seldom; a connection kept open for long only holds a slot.
keepalive = 5

# A signature and a few ids fit into much less. The body's limit is `web.max_body`.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# Nobody needs to talk to the server but through the port.
control_socket_disable = True

# The lines about deliveries are our own; they name no secret, an access log may.
accesslog = None
errorlog = "-"
loglevel = "warning"


def when_ready(server: Any) -> None:
    """Bound how long a sender may fall silent within a request: gunicorn's threads would wait for it for ever.

    Linux hands the listener's option on to every connection it accepts.
    """
    seconds, rest = divmod(_config.web.longest_silence, timedelta(seconds=1))
    for listener in server.LISTENERS:
        listener.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, rest // timedelta(microseconds=1))
        )


def post_fork(server: Any, worker: Any) -> None:
    """Have each process log as the configuration says."""
    logs.configure(_config.log_format)
    logging.getLogger("gunicorn.error").addFilter(_is_ours_to_mend)


def _is_ours_to_mend(record: logging.LogRecord) -> bool:
    """Whether a line is worth keeping: any stranger could fill the log with the traces of broken connections."""
    return not record.getMessage().startswith("Socket error processing request")
