"""What Celery workers run: `celery -A receiver.engine.celery worker`, with the configuration in `RECEIVER_CONFIG`.

The usual options are Celery's own: `--concurrency`, `--autoscale`, `--queues`, `--pool prefork`, `threads` or `solo`.
"""

import os
import signal
import threading
from functools import cache, partial
from typing import Any

from celery import Task
from celery.signals import setup_logging

from receiver import isolation, logs, metrics, plugins, tracing
from receiver.config import load
from receiver.engine.feeder import TASK, celery_app
from receiver.engine.runner import Runner
from receiver.store import open_store

_config = load()
_handlers = plugins.handlers(_config)
_sources = plugins.sources(_config)
_opening = threading.Lock()

app = celery_app(_config)


@setup_logging.connect
def _configure_logs(**facts: Any) -> None:
    logs.configure(_config.log_format)


@app.task(name=TASK, bind=True)
def run(self: "Task[[int], None]", dispatch_id: int) -> None:
    """Run one dispatch, if it can be claimed."""
    runner = _runner()
    again = bool((self.request.delivery_info or {}).get("redelivered"))
    runner.run(dispatch_id, message_id=str(self.request.id), again=again)
    if runner.worn_out:
        # Their threads cannot be ended, but with the process; Celery or the service manager starts another.
        os.kill(os.getpid(), signal.SIGTERM)


def _runner() -> Runner:
    """The runner of this process, opened at its first message: nothing that is opened may cross a fork."""
    with _opening:
        return _opened()


@cache
def _opened() -> Runner:
    # Relative paths in handlers and their settings start there.
    os.chdir(_config.directory)
    metrics.observe(_config.metrics_directory)
    tracing.configure()
    file = _config.file.resolve() if _config.file.exists() else None
    store = open_store(_config)
    store.require_keys()
    return Runner(
        store,
        _handlers,
        _sources,
        lease=_config.worker.lease,
        isolate=partial(isolation.attempt, config=file),
    )
