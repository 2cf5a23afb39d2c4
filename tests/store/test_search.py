"""How far back a list looks."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.store.search import WINDOW, Ids, Span, each_id, span

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

    assert span(some, next_after=each_id) == Span(before=MOST + 1, floor=MOST + 1 - WINDOW, more=True)
    assert asked == []


def test_goes_on_until_the_oldest_row():
    some, _ = ids(newest=WINDOW)

    assert span(some, next_after=each_id) == Span(before=WINDOW + 1, floor=1, more=False)


def test_looks_everywhere_where_nothing_is_gone_through():
    some, _ = ids()

    assert span(some, next_after=None) == Span(before=MOST + 1, floor=1, more=False)


def test_begins_at_the_moment_without_looking_at_what_is_older():
    some, asked = ids()

    found = span(some, since=AT + (MOST - 9) * HOUR, next_after=each_id)

    assert found == Span(before=MOST + 1, floor=MOST - 9, more=False)
    assert len(asked) < 20


def test_ends_at_the_moment():
    some, _ = ids()

    assert span(some, until=AT + 9 * HOUR, next_after=each_id) == Span(before=10, floor=1, more=False)


def test_what_clocks_a_little_apart_have_written_is_not_passed_over():
    some, _ = ids()

    found = span(some, since=AT + 9 * HOUR + timedelta(minutes=4), until=AT + 9 * HOUR, next_after=None)

    assert found == Span(before=10, floor=9, more=False)


def test_looks_at_so_many_rows_that_an_index_finds():
    """Here, every other one."""
    some, _ = ids()

    found = span(some, next_after=lambda count, before: before - 2 * count - 1)

    assert found == Span(before=MOST + 1, floor=MOST + 1 - 2 * WINDOW, more=True)


def test_where_an_index_finds_few_there_is_nothing_more():
    some, _ = ids()

    assert span(some, next_after=lambda count, before: None) == Span(before=MOST + 1, floor=1, more=False)


@pytest.mark.parametrize("next_after", [None, each_id])
def test_of_nothing_nothing_is_left(next_after):
    some, _ = ids(newest=0)

    found = span(some, since=AT, until=AT, next_after=next_after)

    assert (found.floor, found.before, found.more) == (1, 1, False)
