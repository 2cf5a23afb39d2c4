"""What feeds Celery's queues, with a real broker."""

import sys
import time
from collections import Counter

import aio_pika
import pytest

from receiver.clock import from_text
from receiver.config import from_tables
from receiver.engine import open_engine
from receiver.errors import ConfigError
from tests.engine.cluster import start_worker
from tests.engine.contract import named
from tests.store.contract import SECOND
from tests.watch import eventually

AHEAD = 200


@pytest.fixture
def url(postgres_url):
    """Where the store is."""
    return postgres_url


def waiting(rabbitmq, queue):
    """How many messages wait in a queue."""

    async def count(channel):
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count

    try:
        return rabbitmq.ask(count)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return 0


def double(rabbitmq, queue):
    """Put every message into the queue that it is in once more."""

    async def put(channel):
        source = await channel.get_queue(queue, ensure=False)
        while item := await source.get(fail=False):
            await item.ack()
            message = aio_pika.Message(
                item.body, headers=item.headers, content_type=item.content_type, content_encoding="utf-8"
            )
            messages.extend([message, message])
        for message in messages:
            await channel.default_exchange.publish(message, queue)

    messages = []
    rabbitmq.ask(put)


def lose(rabbitmq, queue):
    """Drop every message in a queue."""

    async def purge(channel):
        await (await channel.get_queue(queue, ensure=False)).purge()

    rabbitmq.ask(purge)


# Messages


def test_a_message_that_comes_twice_is_run_once(patient, rabbitmq, queue):
    names = [f"event_{number}" for number in range(5)]
    patient.receive(*map(named, names))
    eventually(lambda: waiting(rabbitmq, queue) == len(names))
    double(rabbitmq, queue)

    start_worker(patient)
    eventually(lambda: waiting(rabbitmq, queue) == 0, within=30)
    patient.wait_for(len(names))

    assert Counter(note.name for note in patient.notes()) == dict.fromkeys(names, 1)


def test_a_message_that_is_lost_is_sent_again(fed, rabbitmq, queue):
    fed.receive(named("event"))
    eventually(lambda: waiting(rabbitmq, queue) == 1)
    lose(rabbitmq, queue)

    start_worker(fed)
    fed.wait_for(1)

    assert "messages did not arrive" in fed.log


def test_messages_that_wait_for_long_are_not_sent_again(fed, rabbitmq, queue):
    fed.receive(*[named(f"event_{number}") for number in range(5)])
    eventually(lambda: waiting(rabbitmq, queue) == 5, within=30)
    filled_at = time.monotonic()

    # In which the feeder looks twice.
    eventually(lambda: time.monotonic() > filled_at + 5)

    assert waiting(rabbitmq, queue) == 5


def test_several_feeders_send_each_message_once(fed, rabbitmq, queue):
    fed.start("receiver", "work")
    fed.receive(*[named(f"event_{number}") for number in range(50)])

    start_worker(fed)
    fed.wait_for(50)

    assert len(fed.notes()) == 50


def test_not_everything_is_put_into_the_queue(fed, rabbitmq, queue):
    fed.receive(*[named(f"event_{number}") for number in range(AHEAD + 50)])

    eventually(lambda: waiting(rabbitmq, queue) >= AHEAD, within=30)

    assert waiting(rabbitmq, queue) == AHEAD


def test_a_limit_is_kept_and_nothing_is_left_behind(make_cluster, settings):
    limited = make_cluster(**settings, handlers={"note": {"path": "note.py", "limit": "2/s"}})
    limited.start("receiver", "work")
    for _ in range(2):
        start_worker(limited)

    limited.receive(*[named(f"event_{number}") for number in range(7)])
    limited.wait_for(7)

    begins = sorted(from_text(row["started_at"]) for row in limited.attempts())
    assert min(later - earlier for earlier, later in zip(begins, begins[2:], strict=False)) >= SECOND


def test_a_handler_may_have_a_queue_of_its_own(make_cluster, settings, rabbitmq, queue):
    own = f"{queue}.own"
    handlers = {"note": {"path": "note.py", "queue": own}, "other": {"path": "note.py"}}
    divided = make_cluster(**settings, handlers=handlers)
    divided.start("receiver", "work")
    divided.receive(named("event"))

    start_worker(divided, "--queues", own)
    divided.wait_for(1)

    assert {row["handler"]: row["state"] for row in divided.rows()} == {"note": "done", "other": "pending"}
    eventually(lambda: waiting(rabbitmq, queue) == 1)


# What people see


def test_says_who_runs_the_handlers(fed):
    eventually(lambda: fed.log)

    assert fed.log.startswith("handlers run on Celery: celery -A receiver.engine.celery worker\n")


def test_a_broker_that_cannot_be_reached_is_named(make_cluster):
    tables = {"engine": "celery", "celery": {"broker": "amqp://me:hush-hush@127.0.0.1:1"}, "handlers": {"log": {}}}
    unreachable = make_cluster(**tables)

    unreachable.start("receiver", "work")

    eventually(lambda: "broker unavailable" in unreachable.log)
    assert "hush" not in unreachable.log


def test_a_missing_broker_is_a_mistake_in_the_configuration(store):
    with pytest.raises(ConfigError, match=r"receiver.toml: celery\.broker: "):
        open_engine(from_tables({"engine": "celery"}), store, [], {})


def test_a_missing_extra_is_a_mistake_in_the_configuration(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "receiver.engine.feeder", None)

    with pytest.raises(ConfigError, match=r"receiver.toml: engine: needs the extra: pip install"):
        open_engine(from_tables({"engine": "celery"}), store, [], {})


def test_check_names_a_broker_that_cannot_be_reached(make_cluster):
    unreachable = make_cluster(engine="celery", celery={"broker": "amqp://me:hush-hush@127.0.0.1:1"})

    process = unreachable.start("receiver", "check", "--offline")

    assert process.wait(60) == 1
    assert "engine celery: the broker cannot be used: " in unreachable.log
    assert "hush" not in unreachable.log
