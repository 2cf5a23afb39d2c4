"""The engine for a Celery cluster: routes new events and puts the ids of due dispatches into RabbitMQ's queues.

A message is only an invitation to claim: the row stays the truth. So a message that comes twice finds nothing to claim
the second time, and one that is lost is sent again.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from kombu import Connection, Producer, Queue
from kombu.exceptions import KombuError

from receiver.config import Config, pointing_to
from receiver.engine.attempts import Attempts
from receiver.engine.base import Engine
from receiver.errors import ConfigError, ReceiverError, StoreUnavailable
from receiver.inbox import Source
from receiver.masking import mask_password
from receiver.routing import Handler
from receiver.store.base import Store

TASK = "receiver.run"
"""What a Celery worker does with the id of a dispatch."""

_log = logging.getLogger(__name__)

_AHEAD = 200
_LOOK_ANYWAY = timedelta(seconds=1)
_SHORTEST_LOOK = timedelta(milliseconds=100)
_AFTER_TROUBLE = 1.0
_BROKER_TIMEOUT = 5.0


class BrokerUnavailable(ReceiverError):
    """The broker could not be reached, or did not confirm in time."""


def celery_app(config: Config) -> Celery:
    """The Celery application: its broker and queues. It opens nothing yet.

    Raises:
        ConfigError: no broker is set.
    """
    with pointing_to(config):
        if config.celery.broker is None:
            raise ConfigError('celery.broker: with engine = "celery", give RabbitMQ\'s URL')
    app = Celery("receiver", broker=config.celery.broker.get_secret_value())
    app.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=_BROKER_TIMEOUT,
        broker_transport_options={"confirm_publish": True},
        task_acks_late=True,
        task_create_missing_queues=False,
        # We use no countdowns, for which Celery prepares, and warns of the type that it takes by default.
        task_default_exchange_type="topic",
        task_default_queue=config.celery.queue,
        task_ignore_result=True,
        task_queues=[_quorum(name) for name in sorted({config.celery.queue, *_queues(config).values()})],
        # A worker that dies gives its messages back; without this, those of a killed process of its pool would be lost.
        task_reject_on_worker_lost=True,
        # What runs goes on when its connection is lost: whoever gets its message then finds that it lives.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_prefetch_multiplier=1,
    )
    return app


def _quorum(name: str) -> Queue:
    return Queue(name, routing_key=name, durable=True, queue_arguments={"x-queue-type": "quorum"})


def _queues(config: Config) -> dict[str, str]:
    """The queue of each table of handlers."""
    return {name: table.queue or config.celery.queue for name, table in config.handlers.items()}


class Feeder(Engine):
    """Feeds the Celery workers of `receiver.engine.celery`. Any number of feeders may run.

    It claims nothing. What it has put into a queue it notes in the store, until a worker tries to claim it; at most
    some hundred of each handler wait in a queue, so that a thousand replays hold up no live event.
    """

    def __init__(
        self, store: Store, handlers: Sequence[Handler], sources: Mapping[str, Source], config: Config
    ) -> None:
        """`config` names the broker and the queues.

        Raises:
            ConfigError: no broker is set.
        """
        self._store = store
        self._attempts = Attempts(store, handlers, sources)
        self._app = celery_app(config)
        self._broker = _Broker(self._app)
        self._lease = config.worker.lease
        queues = _queues(config)
        self._queues = {handler.name: queues[handler.name.partition(".")[0]] for handler in handlers}
        self._most = {
            handler.name: _AHEAD if handler.limit is None else min(_AHEAD, handler.limit.count) for handler in handlers
        }
        self._counted_at = time.monotonic()
        self._stop = threading.Event()

    def health(self) -> str | None:
        """Why the broker or one of its queues cannot be used: tried now, over a connection of its own."""
        broker = _Broker(self._app)
        try:
            for queue in set(self._queues.values()):
                broker.count(queue)
        except BrokerUnavailable as error:
            return f"the broker cannot be used: {error}"
        finally:
            broker.close()
        return None

    def stop(self) -> None:
        """Return from `run`; the workers go on with what is in the queues. Any thread may call it."""
        self._stop.set()
        self._store.wake()

    def run(self) -> bool:
        """Feed the queues until told to stop."""
        self._attempts.warn_of_left_over()
        try:
            while not self._stop.is_set():
                self._look()
        finally:
            self._broker.close()
        return True

    def _look(self) -> None:
        try:
            if not self._work():
                self._store.wait(self._until_next())
        except StoreUnavailable as error:
            _log.warning("store unavailable; trying again", extra={"error": str(error)})
            self._stop.wait(_AFTER_TROUBLE)
        except BrokerUnavailable as error:
            _log.warning("broker unavailable; trying again", extra={"error": str(error)})
            self._stop.wait(_AFTER_TROUBLE)

    def _work(self) -> bool:
        """Do what can be done now. Whether anything was."""
        self._store.sweep()
        routed = self._attempts.route()
        self._miss_lost()
        queued = self._store.enqueue(self._most)
        self._publish(queued)
        return bool(routed or queued)

    def _publish(self, queued: Sequence[tuple[int, str]]) -> None:
        published = 0
        try:
            for dispatch_id, handler in queued:
                self._broker.publish(dispatch_id, self._queues[handler])
                published += 1
        finally:
            left = [dispatch_id for dispatch_id, _ in queued[published:]]
            if left:
                self._store.dequeue(left)

    def _miss_lost(self) -> None:
        """Once in a lease, see whether the queues hold what we think they do.

        What is with a worker and not claimed yet counts as lost, too, and comes twice.
        """
        if time.monotonic() < self._counted_at + self._lease.total_seconds():
            return
        self._counted_at = time.monotonic()
        for queue in set(self._queues.values()):
            handlers = [handler for handler, name in self._queues.items() if name == queue]
            waiting = self._broker.count(queue)
            lost = self._store.dequeue_lost(handlers, older_than=self._lease, keep=waiting)
            if lost:
                _log.warning("messages did not arrive; sending them again", extra={"queue": queue, "count": lost})

    def _until_next(self) -> timedelta:
        due = self._store.next_due(self._queues)
        # What is due already waits in a queue.
        return _LOOK_ANYWAY if due is None else min(max(due, _SHORTEST_LOOK), _LOOK_ANYWAY)


class _Broker:
    """A connection to the broker, opened when it is needed and again after it failed."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None

    def publish(self, dispatch_id: int, queue: str) -> None:
        """Put the id of a dispatch into a queue, and wait until the broker has confirmed it.

        Raises:
            BrokerUnavailable: nobody knows whether it has it.
        """
        with self._opened() as connection, Producer(connection.default_channel) as producer:
            self._app.send_task(
                TASK,
                (dispatch_id,),
                queue=queue,
                producer=producer,
                retry=False,
                timeout=_BROKER_TIMEOUT,
                confirm_timeout=_BROKER_TIMEOUT,
            )

    def count(self, queue: str) -> int:
        """How many messages wait in a queue; it is made if it is not there.

        Raises:
            BrokerUnavailable: there was no answer in time.
        """
        with self._opened() as connection:
            # Typed as text; it is the broker's answer.
            declared: Any = _quorum(queue)(connection.default_channel).queue_declare()
            return int(declared.message_count)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.release()
            self._connection = None

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        try:
            if self._connection is None:
                limits = {"read_timeout": _BROKER_TIMEOUT, "write_timeout": _BROKER_TIMEOUT}
                self._connection = self._app.connection_for_write(transport_options=limits)
                self._connection.connect()
            yield self._connection
        except (OSError, AMQPError, MessageNacked, KombuError) as error:
            self._forget()
            raise BrokerUnavailable(mask_password(f"{type(error).__name__}: {error}")) from error

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # What is broken is not told goodbye, which could take long.
            connection.collect()
