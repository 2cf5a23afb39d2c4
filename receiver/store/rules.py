"""What every database decides alike: how much of a budget is left, and how long a handler stays parked."""

from datetime import datetime, timedelta

from receiver.clock import to_text
from receiver.models import Budget
from receiver.store.rows import Kept

SECOND_CHANCE = timedelta(minutes=10)
"""How long a job that we gave up is asked about once more, when somebody says that it ended."""
UNTIL_ASKED = timedelta(days=1)
"""How much longer a job out of a list may take: it may wait long for its first poll."""
_ON_ITS_WAY = timedelta(milliseconds=250)
_FIRST_PARK = timedelta(seconds=30)
_LONGEST_PARK = timedelta(minutes=10)


def counts_since(budget: Budget, now: datetime) -> str:
    """Since when requests count. They are counted as they are begun, and by their provider as they arrive, later."""
    return to_text(now - budget.per - _ON_ITS_WAY)


def requests_left(budget: Budget, sent: int, told: Kept | None, *, learn: bool, now: datetime) -> tuple[int, int]:
    """How many requests may be sent now, and how many in a whole span; `told` is what the provider said of it."""
    if told is None:
        return budget.count - sent, budget.count
    if told["paused_until"] is not None and told["paused_until"] > to_text(now):
        return 0, budget.count
    count = budget.count
    # Some say 0 and mean that there is no limit; believing it, we would never ask again and never hear better.
    if told["count"]:
        count = told["count"] if learn else min(count, told["count"])
    left = count - sent
    if told["remaining"] is not None and told["resets_at"] is not None and told["resets_at"] > to_text(now):
        left = min(left, told["remaining"])
    return left, count


def parked_for(park_count: int) -> timedelta:
    """How long a handler stays parked that was parked so often before, without a success in between."""
    doubled: timedelta = _FIRST_PARK * 2 ** min(park_count, 20)
    return min(doubled, _LONGEST_PARK)
