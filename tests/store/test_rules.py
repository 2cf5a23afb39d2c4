"""What every database decides alike."""

from datetime import UTC, datetime, timedelta

from receiver.models import Budget
from receiver.store.rules import counts_since


def test_a_request_counts_while_it_may_still_be_on_its_way():
    now = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)

    since = counts_since(Budget(1, per=timedelta(minutes=1)), now)

    assert since == "2026-03-09T16:11:59.750Z"
