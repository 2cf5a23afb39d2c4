"""Times, spans and counts in words."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver import clock
from receiver.admin.pages import words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        pytest.param(0, "0 s", id="nothing"),
        pytest.param(0.01, "< 0.1 s", id="hardly-anything"),
        pytest.param(0.34, "0.3 s", id="tenths"),
        pytest.param(2, "2 s", id="seconds"),
        pytest.param(59.6, "1 min", id="rounds-up"),
        pytest.param(61, "1 min 1 s", id="two-units"),
        pytest.param(3600, "1 h", id="an-hour"),
        pytest.param(3605, "1 h", id="seconds-of-an-hour-do-not-matter"),
        pytest.param(90_061, "1 d 1 h", id="days"),
        pytest.param(-61, "1 min 1 s", id="either-way"),
    ],
)
def test_span(seconds, told):
    assert words.span(seconds) == told


def test_moment_of_this_year_is_told_without_it():
    moment = clock.now().replace(month=3, day=9, hour=16, minute=12, second=43)

    assert words.moment(moment) == "9 Mar 16:12:43"


def test_moment_of_another_year_is_told_with_it():
    assert words.moment(datetime(2020, 3, 9, 16, 12, 43, tzinfo=UTC)) == "9 Mar 2020 16:12:43"


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        pytest.param(timedelta(minutes=3, seconds=20), "3 min ago", id="past"),
        pytest.param(-timedelta(hours=2, seconds=30), "in 2 h", id="future"),
        pytest.param(timedelta(0), "now", id="now"),
    ],
)
def test_ago(passed, told):
    now = datetime(2020, 3, 9, 16, 12, 43, tzinfo=UTC)

    assert words.ago(now - passed, now) == told


@pytest.mark.parametrize(
    ("share", "told"), [(0, "0 %"), (0.004, "< 1 %"), (0.256, "26 %"), (0.998, "> 99 %"), (1, "100 %")]
)
def test_percent(share, told):
    assert words.percent(share) == told


@pytest.mark.parametrize(("number", "told"), [(1, "1 event"), (0, "0 events"), (12_345, "12,345 events")])
def test_count(number, told):
    assert words.count(number, "event") == told


@pytest.mark.parametrize(("number", "told"), [(999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB")])
def test_size(number, told):
    assert words.size(number) == told
