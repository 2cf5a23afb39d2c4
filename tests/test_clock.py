"""The time, and its text form."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from receiver import clock

MOMENTS = [
    pytest.param(datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC), "2026-03-09T16:12:43.000Z", id="whole-second"),
    pytest.param(datetime(2026, 3, 9, 16, 12, 43, 7_000, tzinfo=UTC), "2026-03-09T16:12:43.007Z", id="milliseconds"),
    pytest.param(datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z", id="zero-time-of-go"),
    pytest.param(datetime(9999, 12, 31, tzinfo=UTC), "9999-12-31T00:00:00.000Z", id="last-year"),
]


def test_now_is_in_utc():
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize(("moment", "text"), MOMENTS)
def test_writes(moment, text):
    assert clock.to_text(moment) == text


@pytest.mark.parametrize(("moment", "text"), MOMENTS)
def test_reads_what_it_wrote(moment, text):
    assert clock.from_text(text) == moment


def test_writes_the_moment_in_utc():
    moment = datetime(2026, 3, 9, 18, 12, 43, tzinfo=timezone(timedelta(hours=2)))

    assert clock.to_text(moment) == "2026-03-09T16:12:43.000Z"


def test_cuts_microseconds_off():
    assert clock.to_text(datetime(2026, 3, 9, 16, 12, 43, 999_999, tzinfo=UTC)) == "2026-03-09T16:12:43.999Z"


def test_takes_a_text_without_an_offset_for_utc():
    assert clock.from_text("2026-03-09T16:12:43") == datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)


def test_refuses_another_text():
    with pytest.raises(ValueError, match="yesterday"):
        clock.from_text("yesterday")
