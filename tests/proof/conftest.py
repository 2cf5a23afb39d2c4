"""What all drills share: the stores that each runs on."""

import pytest


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store_url(request, tmp_path_factory):
    """The setting `store` of a new, empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('store') / 'receiver.db'}"
        return
    with request.getfixturevalue("postgres").copied() as url:
        yield url


@pytest.fixture
def store_name(store_url):
    """What the table of the proof calls it."""
    return "SQLite" if store_url.startswith("sqlite") else "PostgreSQL"
