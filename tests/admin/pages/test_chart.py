"""Events over time as bars."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.admin.pages.chart import HEIGHT, WIDTH, chart
from receiver.models import Status
from receiver.store.figures import EventCount

NOW = datetime(2026, 3, 9, 16, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def counted(minutes_ago, status, count):
    minute = NOW.replace(second=0) - minutes_ago * MINUTE
    return EventCount(minute=minute, source="creativeai", status=status, count=count)


def drawn(*counts, step=MINUTE):
    return chart(counts, until=NOW, span=timedelta(hours=1), step=step)


def test_has_a_bar_for_each_step():
    assert len(drawn(step=5 * MINUTE).bars) == 12


def test_this_minute_is_the_last_bar():
    assert drawn(counted(0, Status.SUCCEEDED, 2)).bars[-1].counts["succeeded"] == 2


def test_minutes_of_a_step_are_added():
    bars = drawn(counted(0, Status.SUCCEEDED, 2), counted(3, Status.SUCCEEDED, 1), step=20 * MINUTE).bars

    assert bars[-1].counts["succeeded"] == 3


def test_what_is_older_is_left_out():
    assert drawn(counted(61, Status.SUCCEEDED, 2)).totals["succeeded"] == 0


@pytest.mark.parametrize(
    ("status", "group"),
    [
        pytest.param(Status.SUCCEEDED, "succeeded", id="succeeded"),
        pytest.param(Status.LOST, "not succeeded", id="lost"),
        pytest.param(Status.RUNNING, "progress", id="running"),
        pytest.param(None, "progress", id="notice"),
    ],
)
def test_status_belongs_to_a_group(status, group):
    assert drawn(counted(1, status, 4)).totals[group] == 4


def test_highest_bar_fills_the_height():
    [*_, bar] = drawn(counted(0, Status.SUCCEEDED, 3), counted(0, Status.FAILED, 1)).bars

    assert (sum(part.height for part in bar.parts), bar.parts[-1].y) == (HEIGHT, 0)


def test_bars_stay_within_the_width():
    drawing = drawn()

    assert drawing.bars[-1].x + drawing.bar_width <= WIDTH


def test_nothing_is_drawn_of_nothing():
    assert not any(bar.parts for bar in drawn().bars)
