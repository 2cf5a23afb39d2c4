"""A real RabbitMQ, and what runs beside it."""

import contextlib
import itertools

import pytest

from tests.brokers import RabbitMQ
from tests.engine.cluster import Cluster

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory):
    """A RabbitMQ for all tests here; each has queues of its own."""
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def queue():
    """A queue's name that no other test has."""
    return f"receiver_{next(_NUMBERS)}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, database):
    """Where the store is."""
    return f"sqlite:///{database}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def make_cluster(tmp_path, url):
    """Makes a cluster on this store with settings of a test's own."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Cluster(tmp_path, {"store": url, **settings}))


@pytest.fixture
def settings(rabbitmq, queue):
    """Those of a cluster on Celery."""
    return {"engine": "celery", "celery": {"broker": rabbitmq.url, "queue": queue}}


@pytest.fixture
def fed(make_cluster, settings):
    """A cluster whose queue is fed; leases are short."""
    made = make_cluster(**settings)
    made.start("receiver", "work")
    return made


@pytest.fixture
def patient(make_cluster, settings):
    """The same where leases last a minute, so that no test sees one end."""
    made = make_cluster(**settings, worker={"lease": "60s"}, handlers={"note": {"path": "note.py"}})
    made.start("receiver", "work")
    return made
