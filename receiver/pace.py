"""When jobs of one kind usually end, and so when to ask about one that is open.

A poll is worth its request where it is likely to find an end. So each is put where a fixed share of the jobs that can
still be open are expected to have ended without telling us: none before the first of them usually end, more where many
end, and few where nearly all call back.
"""

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise

from receiver import backoff
from receiver.models import JobTime, Schedule

_ENOUGH = 20
_MOST = 200
# The share of the jobs it asks about that a poll is to find ended.
_FOUND = 0.15
# However many call back, of those that did not this many have ended before the first poll.
_LATEST = 0.95
# Of so few that took longer nothing can be learned.
_TOO_FEW = 0.02
_SECOND = 1.0


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What was learned from the jobs of one kind that ended last."""

    count: int
    """From how many."""
    called_back: float
    """The share of them whose end a webhook told, from 0 to 1."""
    ages: Sequence[float]
    """In seconds, ascending."""
    shares: Sequence[float]
    """For each of these ages the share of jobs that have ended by then, from 0 to 1; in between it rises evenly."""

    def ended(self, age: timedelta) -> float:
        """The share of jobs that have ended at this age."""
        return _between(self.ages, self.shares, age.total_seconds())

    def age(self, share: float) -> timedelta:
        """The age at which this share of jobs have ended."""
        return timedelta(seconds=_between(self.shares, self.ages, share))

    @property
    def usual(self) -> tuple[timedelta, timedelta]:
        """Between these ages eight in ten end."""
        return self.age(0.1), self.age(0.9)


def learn(times: Sequence[JobTime]) -> Pace | None:
    """What the first two hundred of these jobs teach, the one that ended last at the head; None if they are too few."""
    used = times[:_MOST]
    if len(used) < _ENOUGH:
        return None
    # Where in its span a job ended is not known: it counts as if it might have been anywhere.
    rises = defaultdict[float, float](float)
    for time in used:
        until = time.ended_by.total_seconds()
        since = min(time.open_until.total_seconds(), until - _SECOND)
        rises[since] += 1 / (until - since) / len(used)
        rises[until] -= 1 / (until - since) / len(used)
    ages = sorted(rises)
    slopes = list(accumulate(rises[age] for age in ages))
    steps = [max((end - start) * slope, 0) for (start, end), slope in zip(pairwise(ages), slopes, strict=False)]
    return Pace(
        count=len(used),
        called_back=sum(time.called_back for time in used) / len(used),
        ages=ages,
        shares=[min(share, 1.0) for share in accumulate(steps, initial=0.0)],
    )


def first_poll(pace: Pace | None, schedule: Schedule) -> timedelta:
    """The age at which to ask about a job for the first time. Without a pace the schedule's, and never sooner."""
    return max(schedule.first, pace.age(_share(pace))) if pace is not None else schedule.first


def next_poll(pace: Pace | None, schedule: Schedule, age: timedelta) -> timedelta:
    """How long to wait for the next poll of a job of this age that is open.

    Without a pace, and for a job that takes longer than nearly all did, the schedule counts.
    """
    left = 1 - pace.ended(age) if pace is not None else 0.0
    if pace is None or left < _TOO_FEW:
        return backoff.next_poll(schedule, age)
    share = _share(pace)
    at = pace.age(1 - left * (1 - share))
    # Whatever was learned may be wrong by now, and then the job is not to wait much longer than it has.
    wait = min(at, max(2 * age, pace.age(share))) - age
    return max(wait, schedule.closest * random.uniform(1, 1.2))  # noqa: S311 - spreads load, hides nothing


def _share(pace: Pace) -> float:
    """The share of jobs that are to end until the next poll, for it to find the share it should.

    Those that call back are asked about no more: only where they are many, and have ended, are the others found.
    """
    found = _FOUND * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing
    return min(found / (1 - pace.called_back * (1 - found)), _LATEST)


def _between(known: Sequence[float], values: Sequence[float], at: float) -> float:
    """The value that belongs to `at`, on straight lines through those that belong to what is known."""
    after = bisect_left(known, at)
    if after in (0, len(known)):
        return values[min(after, len(known) - 1)]
    start, end = known[after - 1], known[after]
    return values[after - 1] + (values[after] - values[after - 1]) * (at - start) / (end - start)
