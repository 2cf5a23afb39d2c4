"""How long things wait."""

from datetime import timedelta

import pytest

from receiver.backoff import after_loss, next_attempt, next_poll, next_poll_after_error, rate_limits, retry_after
from receiver.models import Limits, Schedule

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DATE = "Mon, 09 Mar 2026 16:00:00 GMT"
SCHEDULE = Schedule(first=60 * SECOND, every={0 * SECOND: 10 * SECOND, 120 * SECOND: 30 * SECOND}, deadline=HOUR)


def assert_about(wait, middle):
    assert 0.8 * middle <= wait <= 1.2 * middle


@pytest.mark.parametrize(
    ("attempt", "middle"),
    [
        pytest.param(1, 10 * SECOND, id="first"),
        pytest.param(2, 20 * SECOND, id="doubled"),
        pytest.param(4, 80 * SECOND, id="doubled-thrice"),
        pytest.param(20, HOUR, id="longest"),
        pytest.param(10_000, HOUR, id="absurd"),
    ],
)
def test_doubles_the_wait_after_each_attempt(attempt, middle):
    assert_about(next_attempt(attempt, first=10 * SECOND, longest=HOUR), middle)


def test_survives_many_attempts_with_long_waits():
    assert_about(next_attempt(10_000, first=timedelta(days=1), longest=timedelta(days=7)), timedelta(days=7))


def test_spreads_the_waits():
    assert len({next_attempt(1, first=HOUR, longest=HOUR) for _ in range(10)}) > 1


def test_runs_again_at_once_what_lost_its_worker_once():
    assert after_loss(1) == timedelta(0)


@pytest.mark.parametrize(
    ("attempt", "bound"),
    [
        pytest.param(2, 1 * SECOND, id="second"),
        pytest.param(3, 2 * SECOND, id="doubled"),
        pytest.param(5, 8 * SECOND, id="doubled-thrice"),
        pytest.param(20, 300 * SECOND, id="longest"),
        pytest.param(10_000, 300 * SECOND, id="absurd"),
    ],
)
def test_spreads_what_lost_its_worker_again_up_to_a_bound_that_doubles(attempt, bound):
    waits = [after_loss(attempt) for _ in range(200)]

    assert timedelta(0) <= min(waits) < bound / 2 < max(waits) <= bound


@pytest.mark.parametrize(
    ("age", "middle"),
    [
        pytest.param(-HOUR, 10 * SECOND, id="clock-was-set"),
        pytest.param(0 * SECOND, 10 * SECOND, id="new"),
        pytest.param(119 * SECOND, 10 * SECOND, id="young"),
        pytest.param(120 * SECOND, 30 * SECOND, id="old"),
        pytest.param(10_000 * HOUR, 30 * SECOND, id="absurd"),
    ],
)
def test_stretches_the_wait_between_polls(age, middle):
    assert_about(next_poll(SCHEDULE, age), middle)


@pytest.mark.parametrize(
    ("error_count", "middle"),
    [
        pytest.param(1, 10 * SECOND, id="first"),
        pytest.param(3, 40 * SECOND, id="third"),
        pytest.param(100, 300 * SECOND, id="longest"),
    ],
)
def test_doubles_the_wait_after_each_failed_poll(error_count, middle):
    assert_about(next_poll_after_error(SCHEDULE, 0 * SECOND, error_count), middle)


def test_waits_longer_after_a_failed_poll_of_an_old_job():
    assert_about(next_poll_after_error(SCHEDULE, HOUR, 2), 60 * SECOND)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        pytest.param("17", 17 * SECOND, id="seconds"),
        pytest.param(" 17 ", 17 * SECOND, id="spaces"),
        pytest.param("0", 0 * SECOND, id="now"),
        pytest.param("7200", HOUR, id="over-an-hour"),
        pytest.param("9" * 10_000, HOUR, id="digits"),
        pytest.param("Mon, 09 Mar 2026 16:00:30 GMT", 30 * SECOND, id="date"),
        pytest.param("Mon, 09 Mar 2026 15:00:00 GMT", 0 * SECOND, id="past"),
        pytest.param("Tue, 09 Mar 2027 16:00:00 GMT", HOUR, id="next-year"),
        pytest.param("Mon, 09 Mar 2026 16:00:30 -0000", None, id="date-without-zone"),
        pytest.param("Mon, 09 Mar 99999999999999999999 16:00:00 GMT", None, id="absurd-year"),
        pytest.param("Mon, 09 Mar 2026 16:00:00 +99999999999999999999", None, id="absurd-zone"),
        pytest.param("-1", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("１７", None, id="full-width"),  # noqa: RUF001 - that is the point
        pytest.param("soon", None, id="word"),
        pytest.param("", None, id="empty"),
    ],
)
def test_reads_retry_after(value, wait):
    assert retry_after({"retry-after": value, "date": DATE}) == wait


def test_asks_for_nothing_where_the_header_is_missing():
    assert retry_after({"date": DATE}) is None


def test_cannot_read_a_date_without_the_date_of_the_answer():
    assert retry_after({"retry-after": DATE}) is None


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        pytest.param(
            {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "x-ratelimit-reset": "30"},
            Limits(count=10, remaining=9, resets_after=30 * SECOND),
            id="seconds-to-wait",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1773072030"},
            Limits(remaining=0, resets_after=30 * SECOND),
            id="moment-in-seconds",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1773072030500"},
            Limits(remaining=0, resets_after=30.5 * SECOND),
            id="moment-in-milliseconds",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1773000000"},
            Limits(remaining=0, resets_after=0 * SECOND),
            id="moment-in-the-past",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999999999999999"},
            Limits(remaining=0, resets_after=HOUR),
            id="moment-far-away",
        ),
        pytest.param({"ratelimit-limit": "10"}, Limits(count=10), id="without-x"),
        pytest.param({"x-ratelimit-limit": "9" * 16}, None, id="too-long"),
        pytest.param({"x-ratelimit-limit": "many"}, None, id="word"),
        pytest.param({"x-ratelimit-reset": "30"}, None, id="reset-alone"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_reads_the_rate_limit(headers, limits):
    assert rate_limits(headers | {"date": DATE}) == limits


@pytest.mark.parametrize("date", ["", "Mon, 09 Mar 99999999999999999999 16:00:00 GMT"])
def test_cannot_read_the_moment_of_a_reset_without_the_date_of_the_answer(date):
    limits = rate_limits({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1773072030", "date": date})

    assert limits == Limits(remaining=0)
