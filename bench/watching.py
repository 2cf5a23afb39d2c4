"""What it costs to watch jobs: polls for each, and how late their end is noticed, against polling at one interval.

Nothing is run: the job times are those that the providers' stand-in draws, and the waits those that `reconcile` asks
for. A poll takes no time, and there is one as soon as it is due.
"""

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from statistics import mean, median

from bench.plan import Plan
from bench.table import Row, Target
from receiver import backoff
from receiver.models import Schedule
from receiver.plugins import providers
from receiver.sandbox import Conditions

_JOBS = 2_000
_DURATION = timedelta(seconds=90)
_SPREAD = 0.5
_SHORTEST, _LONGEST = 0.01, 600.0
_KINDS = (("creativeai", "video"), ("kpainter", "explainer_video"), ("newapi", "videos"), ("omnivideo", "video"))

Wait = Callable[[float], float]
"""How long to wait for the next poll of a job of this age, in seconds."""


def measure(plan: Plan) -> list[Row]:
    """A row for each provider."""
    conditions = Conditions(duration=_DURATION, duration_spread=_SPREAD, seed=1)
    durations = [conditions.lot(number).seconds for number in range(1, _JOBS + 1)]
    return [_row(provider, kind, durations) for provider, kind in _KINDS]


def _row(provider: str, kind: str, durations: Sequence[float]) -> Row:
    schedule = providers()[provider].kinds[kind]
    polls, delay = _watched(durations, _ours(schedule), first=schedule.first.total_seconds())
    interval, fixed = _fixed_interval(durations, delay)
    low, high = _DURATION * (1 - _SPREAD), _DURATION * (1 + _SPREAD)
    return Row(
        key=f"watching/{provider}",
        what=f"polls for each job of {provider}, {kind}",
        settings=f"jobs of {low.total_seconds():g} to {high.total_seconds():g} s; noticed {delay:.1f} s late (median)",
        figures=[polls],
        against=f"every {interval:.1f} s, as late: {fixed:.1f}",
        ratios=[polls / fixed],
        target=Target(at_most=1 / 3),
    )


def _ours(schedule: Schedule) -> Wait:
    """What `reconcile` waits after a poll that found the job open. Keep this as it is done there."""
    return lambda age: backoff.next_poll(schedule, timedelta(seconds=age)).total_seconds()


def _fixed_interval(durations: Sequence[float], delay: float) -> tuple[float, float]:
    """The interval at which jobs' ends are noticed as late as that in the median, and the polls for each job."""
    low, high = _SHORTEST, _LONGEST
    while high - low > _SHORTEST:
        middle = (low + high) / 2
        if median(_late(duration, middle) for duration in durations) < delay:
            low = middle
        else:
            high = middle
    return low, mean(math.ceil(duration / low) for duration in durations)


def _late(duration: float, interval: float) -> float:
    return math.ceil(duration / interval) * interval - duration


def _watched(durations: Sequence[float], wait: Wait, *, first: float) -> tuple[float, float]:
    """The polls for each job, and how late its end is noticed in the median."""
    polls, delays = 0, list[float]()
    for duration in durations:
        age = first
        polls += 1
        while age < duration:
            age += wait(age)
            polls += 1
        delays.append(age - duration)
    return polls / len(durations), median(delays)
