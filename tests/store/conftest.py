"""Fixtures that put a test over every store."""

import contextlib

import pytest

from tests import aging
from tests.opened import opened


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, database):
    """Where the data is: a file, or a URL."""
    return database if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def open_either(where):
    """Opens one more store on the same data."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(opened(where)))


@pytest.fixture
def let_pass(where):
    """Makes everything so much older."""
    if isinstance(where, str):
        return lambda time: aging.let_pass_in_postgres(where, time.total_seconds())
    return lambda time: aging.let_pass(where, time.total_seconds())
