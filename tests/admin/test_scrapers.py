"""Who was let in to `/metrics` lately."""

import pytest

from receiver.admin.scrapers import LASTS_SECONDS, Scrapers


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def scrapers(clock):
    remembering = Scrapers(clock)
    remembering.let_in("one")
    return remembering


def test_knows_who_was_let_in(scrapers):
    assert [scrapers.known("one"), scrapers.known("another")] == [True, False]


def test_not_for_ever(scrapers, clock):
    clock.now += LASTS_SECONDS

    assert not scrapers.known("one")


def test_nor_once_refused(scrapers):
    scrapers.refused("one")

    assert not scrapers.known("one")


def test_remembers_so_many_at_most(scrapers):
    for number in range(100):
        scrapers.let_in(f"token {number}")

    assert [scrapers.known("one"), scrapers.known("token 0")] == [False, True]
