"""What every database decides alike."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.models import Budget
from receiver.store.rules import counts_since, first_line


def test_a_request_counts_while_it_may_still_be_on_its_way():
    now = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)

    since = counts_since(Budget(1, per=timedelta(minutes=1)), now)

    assert since == "2026-03-09T16:11:59.750Z"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(None, "", id="none"),
        pytest.param("\nno disk", "", id="empty-first-line"),
        pytest.param(" no disk \r\nat line 1", "no disk", id="white-space"),
        pytest.param("x" * 300, "x" * 200, id="too-long"),
    ],
)
def test_first_line(error, line):
    assert first_line(error) == line
