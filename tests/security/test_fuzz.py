"""Whatever comes in, nothing is raised but our own exceptions, and nothing is answered 5xx.

A run of the tests tries the same few thousand inputs each time. `make fuzz` goes on for as long as it is told to, led
by what the inputs reach.
"""

import atexit
import io
import json
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import run_wsgi_app

from receiver import clock, plugins
from receiver.config import from_tables, load
from receiver.errors import ConfigError, ReceiverError, Refused, RequestFailed, Unreadable
from receiver.models import Delivery, KeySet, Trust
from receiver.web import create_app
from tests.security import hostile
from tests.watch import eventually

QUICK = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
ADAPTERS = st.sampled_from(hostile.adapters())
READERS = ADAPTERS.filter(lambda adapter: adapter.polls)
CREATORS = ADAPTERS.filter(lambda adapter: adapter.create_calls)
LISTERS = ADAPTERS.filter(lambda adapter: adapter.lists_jobs)
KEYS = KeySet(keys=("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",), fetched_at=clock.now())

SETTINGS = {"generic": {"header": "X-Signature", "job": "id", "status": "status"}}
TABLES = {"store": "sqlite:///receiver.db", "quarantine": {"max_count": 20}}
LIMIT = 20_000


@pytest.fixture(autouse=True, scope="module")
def stopped():
    """The application that a test opened is closed before the next module's tests."""
    yield
    if application.cache_info().currsize:
        held = application().extensions["receiver"]
        eventually(lambda: held.quarantine._thread is None)
        held.store.close()
        application.cache_clear()


@cache
def application():
    """The endpoint, with a source of each provider and one whose webhooks are not signed."""
    folder = Path(tempfile.mkdtemp(prefix="receiver-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sources = {adapter.name: _table(adapter) for adapter in hostile.adapters()}
    unsigned = {"provider": "creativeai", "unsigned": True, "api_key": "the-api-key"}
    tables = {**TABLES, "web": {"max_body": LIMIT}, "sources": {**sources, "unsigned": unsigned}}
    return create_app(from_tables(tables, file=folder / "receiver.toml"))


def _table(adapter):
    table = {"provider": adapter.name, "secrets": list(adapter.secrets), **SETTINGS.get(adapter.name, {})}
    return {**table, "api_key": adapter.api_key, "base_url": adapter.base_url} if adapter.polls else table


@QUICK
@given(data=st.data(), adapter=ADAPTERS)
def test_verify(data, adapter):
    delivery = data.draw(hostile.deliveries(adapter))

    # Nobody signs by accident.
    with suppress(Refused):
        assert adapter.verify(delivery, delivery.received_at, data.draw(st.sampled_from([None, KEYS]))) is Trust.HINT


@QUICK
@given(data=st.data(), adapter=ADAPTERS)
def test_parse(data, adapter):
    delivery = data.draw(hostile.deliveries(adapter))

    try:
        events = adapter.parse(delivery)
        adapter.remark(delivery, events)
    except Unreadable:
        return
    assert all(json.dumps(event.data, allow_nan=False) and len(event.key) <= 500 for event in events)


@QUICK
@given(data=st.data(), adapter=READERS)
def test_read(data, adapter):
    job, response = data.draw(hostile.jobs(adapter)), data.draw(hostile.responses(adapter))

    try:
        adapter.limits(response)
        reading = adapter.read(job, response)
    except RequestFailed:
        return
    assert all(json.dumps(event.data, allow_nan=False) and len(event.key) <= 500 for event in reading.events)


@QUICK
@given(data=st.data(), adapter=CREATORS)
def test_read_submission(data, adapter):
    kind, response = data.draw(st.sampled_from(list(adapter.create_calls))), data.draw(hostile.responses(adapter))

    try:
        created = adapter.read_submission(kind, response)
    except (RequestFailed, Unreadable):
        return
    assert all(0 < len(job.job_id) <= 300 for job in created)


@QUICK
@given(data=st.data(), adapter=LISTERS)
def test_read_listing(data, adapter):
    response, cursor = data.draw(hostile.responses(adapter)), data.draw(st.sampled_from(adapter.lists))

    try:
        listed = adapter.read_listing(response, cursor)
    except RequestFailed:
        return
    assert all(0 < len(job.job_id) <= 300 for job in listed.jobs)


@QUICK
@given(data=st.data(), adapter=ADAPTERS)
def test_read_catalog(data, adapter):
    response = data.draw(hostile.responses(adapter))

    with suppress(RequestFailed, Unreadable):
        assert not adapter.catalog() or all(offer.name for offer in adapter.read_catalog(response))


_KEYS = st.sampled_from(
    ["store", "public_url", "web", "admin", "worker", "sources", "handlers", "retention", "alerts", "quarantine"]
)
_NAMES = st.sampled_from(
    ["provider", "secrets", "api_key", "base_url", "budget", "deadline", "unsigned", "bind", "workers", "urls", "path"]
)
_TABLE = st.dictionaries(_NAMES | st.text(max_size=10), hostile.toml_values, max_size=4)
_TABLES = st.dictionaries(
    _KEYS, hostile.toml_values | _TABLE | st.dictionaries(st.text(max_size=10), _TABLE, max_size=2), max_size=4
)


@QUICK
@given(tables=_TABLES)
def test_configuration(tables):
    with suppress(ConfigError):
        assert plugins.sources(from_tables(tables)).keys() == tables.get("sources", {}).keys()


@QUICK
@given(written=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), st.just(b"a=" + b"[" * 3000)))
def test_configuration_file(written):
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(written)
        file.flush()

        with suppress(ConfigError):
            assert load(file.name).file == Path(file.name)


@QUICK
@given(data=st.data(), adapter=ADAPTERS)
def test_inbox(data, adapter):
    delivery = data.draw(hostile.deliveries(adapter))
    source = data.draw(st.sampled_from([adapter.name, adapter.name, adapter.name, "unsigned", "nobody"]))

    if data.draw(st.integers(0, 3)):
        delivery = _signed(adapter, delivery)
    status, answered = _posted(delivery, source)

    assert status in (200, 202, 401, 413)
    assert isinstance(json.loads(answered), dict)


def _signed(adapter, delivery):
    """The delivery as its provider would sign it now, if it could be one of its own."""
    delivery = Delivery(**{**vars(delivery), "received_at": clock.now() - timedelta(seconds=1)})
    try:
        signed = adapter.sign(delivery, adapter.secrets[0]) if adapter.secrets else {}
    except ReceiverError:
        return delivery
    return Delivery(**{**vars(delivery), "headers": {**delivery.headers, **{k.lower(): v for k, v in signed.items()}}})


def _posted(delivery, source):
    """The status and the body that are answered to it."""
    path = f"/webhooks/{source}/{delivery.path}".encode("utf-8", "surrogatepass").decode("latin-1")
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(delivery.body)),
        "wsgi.input": io.BytesIO(delivery.body),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in delivery.headers.items()},
    }
    setup_testing_defaults(environ)
    answer, status, _ = run_wsgi_app(application(), environ)
    return int(status[:3]), b"".join(answer)
