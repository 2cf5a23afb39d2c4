"""What every database decides alike: how much of a budget is left, how long a handler stays parked, and what the
first line of an error is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.clock import to_text
from receiver.models import Budget, Claim
from receiver.outcomes import Decision, Outcome
from receiver.store.rows import Kept

SECOND_CHANCE = timedelta(minutes=10)
"""How long a job that we gave up is asked about once more, when somebody says that it ended."""
UNTIL_ASKED = timedelta(days=1)
"""How much longer a job out of a list may take: it may wait long for its first poll."""
_ON_ITS_WAY = timedelta(milliseconds=250)
_FIRST_PARK = timedelta(seconds=30)
_LONGEST_PARK = timedelta(minutes=10)
_LONGEST_LINE = 200


def first_line(error: str | None) -> str:
    """What an error begins with, by which those with the same cause are found: at most 200 letters.

    The databases cut errors in the same way, for `Selection.first_line`.
    """
    line = (error or "").replace("\r", "\n").partition("\n")[0]
    return line[:_LONGEST_LINE].strip(" ")


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


@dataclass(frozen=True)
class Trouble:
    """How a handler fared of late: failures in a row, how often it was parked meanwhile, and until when it is."""

    failure_count: int = 0
    park_count: int = 0
    parked_until: str | None = None


def judged(trouble: Trouble, ended: Iterable[tuple[Claim, Outcome]], park_after: int | None, now: datetime) -> Trouble:
    """How one handler fares after these attempts: too many failures in a row park it, and once it works it is free."""
    failures, parks, until = trouble.failure_count, trouble.park_count, trouble.parked_until
    for claim, outcome in ended:
        if outcome.failed:
            failures += 1
            too_many = park_after is not None and failures >= park_after and until is None
            if claim.probe or too_many:
                until = to_text(now + parked_for(parks))
                parks += 1
        # A dead letter that the handler asked for says nothing of whether it works.
        elif outcome.decision is not Decision.DEAD and failures > 0:
            failures, parks, until = 0, 0, None
    return Trouble(failures, parks, until)


def by_handler(ended: Iterable[tuple[Claim, Outcome]]) -> dict[str, list[tuple[Claim, Outcome]]]:
    """Attempts by their handlers, by name: whoever locks one row after another does so in this order."""
    own: dict[str, list[tuple[Claim, Outcome]]] = {}
    for claim, outcome in sorted(ended, key=lambda each: each[0].handler):
        own.setdefault(claim.handler, []).append((claim, outcome))
    return own


def parked_for(park_count: int) -> timedelta:
    """How long a handler stays parked that was parked so often before, without a success in between."""
    doubled: timedelta = _FIRST_PARK * 2 ** min(park_count, 20)
    return min(doubled, _LONGEST_PARK)
