"""How far back a list looks."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.store.search import WINDOW, Ids, Span, span

AT = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOST = 3 * WINDOW


def ids(*, oldest=1, newest=MOST):
    """One row in each hour; gives how often somebody looked at one, too."""
    asked = []

    def moment(row_id):
        asked.append(row_id)
        return AT + row_id * HOUR

    return Ids(oldest=oldest, newest=newest, moment=moment), asked


def test_looks_at_the_newest_part():
    some, asked = ids()

    assert span(some, indexed=False) == Span(before=MOST + 1, floor=MOST + 1 - WINDOW, more=True)
    assert asked == []


def test_goes_on_until_the_oldest_row():
    some, _ = ids(newest=WINDOW)

    assert span(some, indexed=False) == Span(before=WINDOW + 1, floor=1, more=False)


def test_looks_everywhere_with_an_index():
    some, _ = ids()

    assert span(some, indexed=True) == Span(before=MOST + 1, floor=1, more=False)


def test_begins_at_the_moment_without_looking_at_what_is_older():
    some, asked = ids()

    found = span(some, since=AT + (MOST - 9) * HOUR, indexed=False)

    assert found == Span(before=MOST + 1, floor=MOST - 9, more=False)
    assert len(asked) < 20


def test_ends_at_the_moment():
    some, _ = ids()

    assert span(some, until=AT + 9 * HOUR, indexed=False) == Span(before=10, floor=1, more=False)


def test_what_clocks_a_little_apart_have_written_is_not_passed_over():
    some, _ = ids()

    found = span(some, since=AT + 9 * HOUR + timedelta(minutes=4), until=AT + 9 * HOUR, indexed=True)

    assert found == Span(before=10, floor=9, more=False)


@pytest.mark.parametrize("indexed", [True, False])
def test_of_nothing_nothing_is_left(indexed):
    some, _ = ids(newest=0)

    found = span(some, since=AT, until=AT, indexed=indexed)

    assert (found.floor, found.before, found.more) == (1, 1, False)
