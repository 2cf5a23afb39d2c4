"""Events to real brokers on this machine."""

import importlib
import json
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from receiver_handlers.publish import Settings, publish

from receiver import Context, Done, Event, Failure, PermanentError, Status, isolation
from receiver.cloudevents import cloud_event
from receiver.config import from_tables, load
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError, RequestFailed
from receiver.inbox import Source
from receiver.models import Claim
from receiver.outcomes import Decision
from receiver.plugins import handlers
from receiver.providers.creativeai import CreativeAI
from receiver.testing import make_event, make_job
from tests.brokers import PASSWORD, USER, Broker, Nats, RabbitMQ, Redis, certificate
from tests.running import Running
from tests.store.contract import SOURCE, a_record, an_event, the_dispatch
from tests.watch import eventually

KINDS = [pytest.param(kind, id=kind.__name__.lower()) for kind in (Redis, Nats, RabbitMQ)]
EVENT = make_event()
NOTICE = Event(source="creative", key="n1", type="balance.low", data={})
NUMBERS = count(1)
SHORT = timedelta(seconds=0.5)
SPOKEN = {Redis: "'stream': 'nowhere'", Nats: "no JetStream stream takes", RabbitMQ: "leads to no queue"}
TLS = {Redis: "rediss", Nats: "tls", RabbitMQ: "amqps"}


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    yield from started(Redis, tmp_path_factory)


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory):
    yield from started(Nats, tmp_path_factory)


@pytest.fixture(scope="module")
def rabbitmq_server(tmp_path_factory):
    yield from started(RabbitMQ, tmp_path_factory)


@pytest.fixture(params=["redis_server", "nats_server", "rabbitmq_server"])
def broker(request):
    """One of each, and it goes on even if a test made it stop."""
    server = request.getfixturevalue(request.param)
    yield server
    server.signal(signal.SIGCONT)


def started(kind, tmp_path_factory):
    server: Broker = kind(tmp_path_factory.mktemp(kind.__name__.lower()))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def name():
    """A name that no other test uses for its place."""
    return f"media-{next(NUMBERS)}"


@pytest.fixture
def logged(caplog, capfd):
    """What was logged or printed."""

    def texts():
        told = capfd.readouterr()
        return caplog.text + told.out + told.err

    return texts


def publishing(url, to, *, key="key-1", job=None, **settings):
    return Context(handler="bus", settings=Settings(url=url, to=to, **settings), idempotency_key=key, job=job)


def fail(event, context, error=RequestFailed):
    with pytest.raises(error) as failed:
        publish(event, context)
    return str(failed.value)


def tables(url, to, **settings):
    return {"handlers": {"bus": {"module": "receiver_handlers.publish", "url": url, "to": to, **settings}}}


def configured(url, to, **settings):
    [handler] = handlers(from_tables(tables(url, to, **settings)))
    return handler


# Every broker


def test_publishes_the_event_with_the_key_as_its_id(broker, name):
    publish(EVENT, publishing(broker.url, broker.place(name)))
    [published] = broker.published(name)

    assert published.id == "key-1"
    assert json.loads(published.body) == cloud_event(EVENT, None, include_data=True)


def test_can_leave_the_data_out(broker, name):
    publish(EVENT, publishing(broker.url, broker.place(name), include_data=False))
    [published] = broker.published(name)

    assert json.loads(published.body) == cloud_event(EVENT, None, include_data=False)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(NOTICE, id="without-a-job"),
        pytest.param(replace(EVENT, failure=Failure("夜 🎬\r\nX: y\0\ud800")), id="odd-texts"),
        pytest.param(replace(EVENT, data={"text": "x" * 500_000}), id="large"),
    ],
)
def test_publishes_whatever_an_event_holds(broker, name, event):
    publish(event, publishing(broker.url, broker.place(name)))
    [published] = broker.published(name)

    assert json.loads(published.body) == cloud_event(event, None, include_data=True)


def test_publishes_from_many_threads_at_once(broker, name):
    to = broker.place(name)
    with ThreadPoolExecutor(32) as threads:
        done = list(threads.map(lambda n: publish(EVENT, publishing(broker.url, to, key=f"key-{n}")), range(64)))

    assert all(isinstance(item, Done) for item in done)
    assert {item.id for item in broker.published(name)} == {f"key-{n}" for n in range(64)}


def test_goes_on_after_the_broker_was_started_anew(broker, name):
    to = broker.place(name)
    publish(EVENT, publishing(broker.url, to, key="before"))
    broker.stop()
    error = fail(EVENT, publishing(broker.url, to, key="after"))
    broker.start()
    publish(EVENT, publishing(broker.url, to, key="after"))

    assert error.startswith(f"[handlers.bus] url: 127.0.0.1:{broker.port}: ")
    assert [item.id for item in broker.published(name)] == ["before", "after"]


def test_gives_up_on_a_broker_that_says_nothing(broker, name):
    to = broker.place(name)
    broker.signal(signal.SIGSTOP)
    error = fail(EVENT, publishing(broker.url, to, publish_timeout=SHORT))

    assert error == f"[handlers.bus] url: 127.0.0.1:{broker.port}: did not confirm within 0.5 s"


@pytest.mark.parametrize("password", ["other-of-mine", "oth%40er-of-mine"])
def test_neither_errors_nor_logs_show_a_password(broker, name, password, logged):
    error = fail(EVENT, publishing(broker.url.replace(PASSWORD, password), broker.place(name)))

    assert error.startswith(f"[handlers.bus] url: 127.0.0.1:{broker.port}: ")
    assert "of-mine" not in error + logged()


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("a.b.c", id="dots"),
        pytest.param("*", id="one-token"),
        pytest.param(">", id="all-tokens"),
        pytest.param("#", id="many-words"),
        pytest.param("../x/y", id="slashes"),
        pytest.param("a b\r\nPUB x 1\r\n\0", id="control-characters"),
        pytest.param("{url} {0.__class__} %s", id="template"),
        pytest.param("夜\ud800", id="unicode"),
        pytest.param("x" * 100_000, id="long"),
        pytest.param("", id="empty"),
    ],
)
def test_a_value_is_one_word_of_the_name(broker, name, hostile):
    to = broker.place(name) + ".{type}.{source}"
    done = publish(replace(EVENT, type=hostile, source=hostile), publishing(broker.url, to))
    place = next(done.result[key] for key in ("stream", "routing_key") if key in done.result)
    if isinstance(broker, Nats):
        [place] = broker.subjects(name)

    _, first, second = place.split(".")
    assert first == second
    assert 1 <= len(first) <= 60
    assert set(first) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_password_may_hold_anything(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.brokers.PASSWORD", "p@:/?#% word")
    server = Redis(tmp_path)
    try:
        server.start()
        url = f"redis://:p%40%3A%2F%3F%23%25%20word@127.0.0.1:{server.port}"

        assert publish(EVENT, publishing(url, "media")).result["stream"] == "media"
    finally:
        server.stop()


# Each of them


class TestRedis:
    def test_says_where_the_entry_is(self, redis_server, name):
        done = publish(EVENT, publishing(redis_server.url, name))
        with redis_server.client() as client:
            [(entry, fields)] = client.xrange(name)

        assert done == Done({"stream": name, "entry": entry})
        assert set(fields) == {"id", "content-type", "event"}
        assert fields["content-type"] == "application/cloudevents+json"

    def test_a_second_run_is_known_by_its_id(self, redis_server, name):
        publish(EVENT, publishing(redis_server.url, name))
        publish(EVENT, publishing(redis_server.url, name))

        assert [item.id for item in redis_server.published(name)] == ["key-1", "key-1"]

    def test_keeps_about_as_many_as_it_may(self, redis_server, name):
        with redis_server.client() as client:
            for number in range(1000):
                client.xadd(name, {"id": number, "event": ""})
        publish(EVENT, publishing(redis_server.url, name, max_length=100))

        assert 100 <= len(redis_server.published(name)) < 300

    def test_writes_to_the_database_of_the_url(self, redis_server, name):
        publish(EVENT, publishing(f"{redis_server.url}/3", name))

        assert redis_server.published(name) == []

    def test_says_what_is_in_the_way(self, redis_server, name):
        with redis_server.client() as client:
            client.set(name, "text")
        error = fail(EVENT, publishing(redis_server.url, name))

        assert error.startswith(f"[handlers.bus] to: 127.0.0.1:{redis_server.port}: stream {name}: WRONGTYPE ")


class TestNats:
    def test_says_where_the_event_is(self, nats_server, name):
        done = publish(EVENT, publishing(nats_server.url, nats_server.place(name)))

        assert done == Done({"stream": name, "sequence": 1, "duplicate": False})

    def test_the_stream_keeps_one_of_two_with_the_same_id(self, nats_server, name):
        to = nats_server.place(name)
        publish(EVENT, publishing(nats_server.url, to))
        done = publish(EVENT, publishing(nats_server.url, to))

        assert done.result["duplicate"] is True
        assert len(nats_server.published(name)) == 1

    def test_a_subject_without_a_stream_is_an_error_that_names_it(self, nats_server, name):
        error = fail(EVENT, publishing(nats_server.url, name))

        assert error == (
            f"[handlers.bus] to: 127.0.0.1:{nats_server.port}: "
            f"no JetStream stream takes the subject {name}; add one that does"
        )

    def test_a_subject_that_is_forbidden_is_told(self, nats_server):
        error = fail(EVENT, publishing(nats_server.url, nats_server.forbidden, publish_timeout=SHORT))

        assert "permissions violation for publish" in error.lower()

    @pytest.mark.parametrize(
        ("size", "limits"),
        [
            pytest.param(2 * 2**20, {}, id="server"),
            pytest.param(10_000, {"max_msg_size": 5000}, id="stream"),
        ],
    )
    def test_what_is_too_large_is_not_tried_again(self, nats_server, name, size, limits):
        context = publishing(nats_server.url, nats_server.place(name, **limits))
        error = fail(replace(EVENT, data={"text": "x" * size}), context, PermanentError)

        assert error.startswith("[handlers.bus] include_data: ")
        assert error.endswith(
            "larger than it takes; set it to false if the rest is enough, or raise the broker's limit"
        )

    def test_a_stream_that_is_full_is_tried_again(self, nats_server, name):
        to = nats_server.place(name, max_msgs=1, discard="new")
        publish(EVENT, publishing(nats_server.url, to))
        error = fail(EVENT, publishing(nats_server.url, to, key="key-2"))

        assert error.endswith(f"the stream of {name}: maximum messages exceeded")


class TestRabbitMQ:
    def test_is_persistent_and_carries_the_id(self, rabbitmq_server, name):
        done = publish(EVENT, publishing(rabbitmq_server.url, rabbitmq_server.place(name)))
        [taken] = rabbitmq_server.taken(name)

        assert done == Done({"exchange": "media", "routing_key": name})
        assert (taken.message_id, taken.delivery_mode) == ("key-1", 2)
        assert taken.content_type == "application/cloudevents+json"

    def test_publishes_to_a_queue_by_its_name(self, rabbitmq_server, name):
        rabbitmq_server.place(name)
        publish(EVENT, publishing(rabbitmq_server.url, f"/{name}"))

        assert len(rabbitmq_server.published(name)) == 1

    @pytest.mark.parametrize(
        ("to", "told"),
        [
            pytest.param(
                "amq.direct/nowhere", "exchange amq.direct, routing key nowhere: leads to no queue; bind one", id="key"
            ),
            pytest.param(
                "/nowhere",
                "exchange (the default one), routing key nowhere: leads to no queue; bind one",
                id="queue",
            ),
            pytest.param(
                "none/a.b", "exchange none, routing key a.b: there is no such exchange; declare it", id="exchange"
            ),
        ],
    )
    def test_what_leads_nowhere_is_an_error_that_names_it(self, rabbitmq_server, to, told):
        error = fail(EVENT, publishing(rabbitmq_server.url, to))

        assert error == f"[handlers.bus] to: 127.0.0.1:{rabbitmq_server.port}: {told}"

    def test_what_is_too_large_is_not_tried_again(self, rabbitmq_server, name):
        context = publishing(rabbitmq_server.url, rabbitmq_server.place(name))
        error = fail(replace(EVENT, data={"text": "x" * 2**20}), context, PermanentError)

        assert error.startswith("[handlers.bus] include_data: ")

    def test_names_the_virtual_host_that_it_may_not_enter(self, rabbitmq_server, name):
        error = fail(EVENT, publishing(f"{rabbitmq_server.url}/elsewhere", f"/{name}"))

        assert error == (
            f"[handlers.bus] url: 127.0.0.1:{rabbitmq_server.port}: "
            "closed the connection; see whether there is a virtual host elsewhere, and whether the user may enter it"
        )


# A broker that is missing


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [pytest.param("true", pytest.fail.Exception, id="ci"), pytest.param("", pytest.skip.Exception, id="desk")],
)
def test_a_missing_broker_is_skipped_on_a_desk_and_fails_in_ci(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(Redis, "program", "no-such-server")

    with pytest.raises(outcome, match="no no-such-server: apt-get install redis-server nats-server rabbitmq-server"):
        Redis(tmp_path)


# TLS


@pytest.mark.parametrize("kind", KINDS)
class TestTls:
    @pytest.fixture
    def server(self, kind, tmp_path):
        """A broker that only speaks TLS, with a certificate that nobody has to trust."""
        server = kind(tmp_path, certificate=certificate(tmp_path))
        try:
            server.start()
            yield server
        finally:
            server.stop()

    def test_wants_a_certificate_that_the_system_trusts(self, kind, server, monkeypatch):
        url = server.url.replace(f"{kind.scheme}://", f"{TLS[kind]}://")
        refused = fail(EVENT, publishing(url, to_nowhere(kind)))
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        spoken = told(EVENT, publishing(url, to_nowhere(kind)))

        assert "certificate verify failed" in refused
        assert SPOKEN[kind] in spoken

    def test_tells_no_password_to_who_offers_no_tls(self, kind):
        with listener(b'INFO {"auth_required": true}\r\n' if kind is Nats else b"") as (port, heard):
            url = f"{TLS[kind]}://{USER}:{PASSWORD}@127.0.0.1:{port}"
            fail(EVENT, publishing(url, to_nowhere(kind), publish_timeout=SHORT))

        assert PASSWORD.encode() not in heard()


def to_nowhere(kind):
    return "amq.direct/nowhere" if kind is RabbitMQ else "nowhere"


def told(event, context):
    try:
        return str(publish(event, context))
    except RequestFailed as error:
        return str(error)


@contextmanager
def listener(greeting):
    """Somebody who greets whoever comes, and says afterwards what he was told."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        server.settimeout(5)

        def hear():
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as incoming:
                connection.settimeout(5)
                connection.sendall(greeting)
                return incoming.read()

        heard = threads.submit(hear)
        yield server.getsockname()[1], heard.result


# Settings


def refusal(url="redis://127.0.0.1", to="media", **settings):
    with pytest.raises(ConfigError) as refused:
        configured(url, to, **settings)
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "to"),
    [
        pytest.param("redis://127.0.0.1", "ai-media:{source}", id="redis"),
        pytest.param("rediss://:p@[::1]:6380/15", "{{tag}}-{type}", id="rediss"),
        pytest.param("nats://token@broker.example", "ai-media.{source}.{type}.{metadata_order-id}", id="nats"),
        pytest.param("tls://broker.example:4222/", "{kind}", id="tls"),
        pytest.param("amqp://a:b@broker.example/%2Fvhost", "media/{source}.{type}.{kind}.{status}", id="amqp"),
        pytest.param("AMQPS://broker.example", "/{source}", id="amqps"),
    ],
)
def test_takes_the_urls_that_brokers_have(url, to):
    assert configured(url, to).settings.to == to


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="empty"),
        pytest.param(PASSWORD, id="no-url"),
        pytest.param(f"http://user:{PASSWORD}@broker.example", id="http"),
        pytest.param(f"redis://user:{PASSWORD}@", id="no-host"),
        pytest.param(f"redis://user:{PASSWORD}@broker.example:port", id="port"),
        pytest.param(f"redis://user:{PASSWORD}@broker.example:0", id="port-0"),
        pytest.param(f"redis://user:{PASSWORD}@broker.example:99999", id="port-99999"),
        pytest.param(f"redis://user:{PASSWORD}@broker.example/name", id="database"),
        pytest.param(f"redis://user:{PASSWORD}@broker.example/0?ssl_cert_reqs=none", id="query"),
        pytest.param(f"redis://user:#{PASSWORD}@broker.example", id="fragment"),
        pytest.param(f"redis://user:/{PASSWORD}@broker.example", id="slash-in-the-password"),
        pytest.param(f"redis://[{PASSWORD}", id="bracket"),
        pytest.param(f"nats://user:{PASSWORD}@a.example,b.example:4222/x", id="several"),
        pytest.param(f"amqp://user:{PASSWORD}@broker.example/a/b", id="virtual-host"),
        pytest.param(f"nats://user:{PASSWORD}@broker.example\r\nx", id="newline"),
    ],
)
def test_a_url_that_cannot_be_is_found_at_once(url):
    error = refusal(url)

    assert error.startswith("receiver.toml: handlers.bus.url: ")
    assert "of-mine" not in error


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({"to": "{jobs}"}, "to: there is no {jobs}; there are {source}, {type}, ", id="unknown"),
        pytest.param({"to": "{}"}, "to: there is no {}; ", id="nameless"),
        pytest.param({"to": "{0}"}, "to: there is no {0}; ", id="number"),
        pytest.param({"to": "{type.__class__}"}, "to: there is no {type.__class__}; ", id="attribute"),
        pytest.param({"to": "{type!r}"}, "to: write {type} without anything behind the name", id="conversion"),
        pytest.param({"to": "{type:>99999}"}, "to: write {type} without anything behind the name", id="format"),
        pytest.param({"to": "{metadata_}"}, "to: there is no {metadata_}; ", id="no-key"),
        pytest.param({"to": "a{"}, "to: a { or } stands alone", id="brace"),
        pytest.param({"to": ""}, "to: write the name of a stream", id="empty-stream"),
        pytest.param({"to": "a\n"}, "to: write the name of a stream", id="newline"),
        pytest.param({"url": "nats://h", "to": "a.*"}, "to: write a subject", id="wildcard"),
        pytest.param({"url": "nats://h", "to": "a..b"}, "to: write a subject", id="empty-token"),
        pytest.param({"url": "nats://h", "to": "a b"}, "to: write a subject", id="space"),
        pytest.param({"url": "amqp://h", "to": "queue"}, 'to: write "exchange/routing.key"', id="no-exchange"),
        pytest.param({"url": "amqp://h", "to": "/"}, 'to: write "exchange/routing.key"', id="nothing"),
        pytest.param({"url": "amqp://h", "to": "a/" + "{type}" * 5}, "to: could be longer than the 255", id="long"),
        pytest.param({"url": "nats://h", "max_length": 5}, "max_length: is for Redis", id="not-redis"),
        pytest.param({"max_length": 0}, "max_length: Input should be greater than 0", id="no-length"),
        pytest.param({"stream": "a"}, "stream: unknown key", id="unknown-key"),
    ],
)
def test_names_the_setting_that_is_wrong(settings, error):
    assert refusal(**settings).startswith(f"receiver.toml: handlers.bus.{error}")


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        pytest.param("redis://h", "redis", "redis", id="redis"),
        pytest.param("nats://h", "nats", "nats", id="nats"),
        pytest.param("amqp://h", "aio_pika", "rabbitmq", id="rabbitmq"),
    ],
)
def test_says_which_extra_is_missing(monkeypatch, url, library, extra):
    monkeypatch.setitem(sys.modules, library, None)

    assert refusal(url) == (
        f'receiver.toml: handlers.bus.url: needs the extra: pip install "ai-media-receiver[{extra}]"'
    )


def test_can_be_imported_without_any_extra(monkeypatch):
    for library in ("redis", "nats", "aio_pika"):
        monkeypatch.setitem(sys.modules, library, None)
    for module in ("receiver_handlers.publish", "receiver.outbound.brokers"):
        monkeypatch.delitem(sys.modules, module)

    assert importlib.import_module("receiver_handlers.publish").router.routes


def test_what_there_is_not_is_a_dash(redis_server, name):
    done = publish(NOTICE, publishing(redis_server.url, f"{name}.{{job}}.{{kind}}.{{metadata_order}}"))

    assert done.result["stream"] == f"{name}.-.-.-"


def test_the_metadata_says_where(redis_server, name):
    job = make_job("job_1", kind="video", metadata={"order": 17})
    done = publish(EVENT, publishing(redis_server.url, f"{name}.{{metadata_order}}", job=job))

    assert done.result["stream"] == f"{name}.17"


def test_check_shows_no_password(tmp_path):
    receiver = Running(tmp_path, toml("redis://user:pass-of-mine@127.0.0.1", "media"))
    checked = receiver.run("check", "--offline")

    assert "handler bus: loaded" in checked.stdout
    assert "of-mine" not in checked.stdout + checked.stderr


def toml(url, to, more=""):
    return f'[handlers.bus]\nmodule = "receiver_handlers.publish"\nurl = "{url}"\nto = "{to}"\n{more}'


# All of it


def test_waits_for_a_broker_that_is_down_at_first(store, tmp_path):
    server = Redis(tmp_path)
    patience = {"first_wait": "50ms", "longest_wait": "50ms", "max_attempts": 1000, "park_after": 1000}
    handler = configured(server.url, "media", status="succeeded", **patience)
    store.receive(a_record(an_event("job_1", Status.FAILED)))
    store.receive(a_record(an_event("job_2", Status.SUCCEEDED)))
    engine = LocalEngine(store, [handler], {SOURCE: Source(SOURCE, CreativeAI())})
    try:
        engine.run_until_idle()
        server.start()
        eventually(lambda: engine.run_until_idle() or the_dispatch(store)["state"] == "done")
        first, *_, last = store.list_attempts(the_dispatch(store)["id"])
        [published] = server.published("media")
    finally:
        server.stop()

    assert (first["outcome"], last["outcome"]) == ("retry", "done")
    assert first["error"].startswith(f"RequestFailed: [handlers.bus] url: 127.0.0.1:{server.port}: ")
    assert json.loads(published.body)["subject"] == "job_2"


def test_publishes_in_a_process_of_its_own(broker, name, tmp_path):
    (tmp_path / "receiver.toml").write_text(toml(broker.url, broker.place(name)))
    [handler] = handlers(load(tmp_path / "receiver.toml"))
    claim = Claim(
        id=1, token="t", handler="bus", attempt=1, idempotency_key="key-1", event=replace(EVENT, id=1), job=None
    )

    assert isolation.attempt(claim, handler, config=tmp_path / "receiver.toml").decision is Decision.DONE
    assert [item.id for item in broker.published(name)] == ["key-1"]
