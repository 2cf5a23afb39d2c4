"""What all drills share: the stores that each runs on, and how large it is."""

import pytest


@pytest.fixture(scope="module")
def form(request):
    """How large a drill is, of those that `serving.forms` gives."""
    _, size = getattr(request, "param", (None, None))
    return size


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store_url(request, form, tmp_path_factory):
    """The setting `store` of a new, empty store: another one for each form."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('store') / 'receiver.db'}"
        return
    with request.getfixturevalue("postgres").copied() as url:
        yield url


@pytest.fixture
def store_name(store_url):
    """What the table of the proof calls it."""
    return "SQLite" if store_url.startswith("sqlite") else "PostgreSQL"
