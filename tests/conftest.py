"""Fixtures that tests in several folders share."""

import os

import pytest

from receiver.store.sqlite import SQLiteStore

pytest.register_assert_rewrite("receiver.testing", "tests.store.access", "tests.store.contract")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No setting of whoever runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("RECEIVER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL, with databases for tests to copy."""
    from tests.postgres import databases

    with databases() as found:
        yield found


@pytest.fixture
def postgres_url(postgres):
    """A database of its own for each test, with our tables."""
    with postgres.copied() as url:
        yield url


@pytest.fixture
def database(tmp_path):
    """Where the store is."""
    return tmp_path / "receiver.db"


@pytest.fixture
def store(database):
    """A store of its own for each test."""
    opened = SQLiteStore(database)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that nothing is left in the checkout."""
    from tests.wheel import build

    return build(tmp_path_factory.mktemp("wheel"))
