"""What it costs to watch jobs: polls for each, and how late their end is noticed, against polling at one interval.

Nothing is run: the job times are those that the providers' stand-in draws, and the waits those that `reconcile` asks
for, as it learns them from the jobs it watched before. A poll takes no time, and there is one as soon as it is due.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import mean, median, quantiles

from bench.plan import Plan
from bench.table import Row, Target
from receiver import pace
from receiver.models import JobTime, Schedule
from receiver.pace import Pace
from receiver.plugins import providers
from receiver.sandbox import Conditions

_LEARNED_FROM, _COUNTED = 100, 2_000
_LEARN_EVERY = 10
_DURATION = timedelta(seconds=90)
_SPREADS = (0.0, 0.25, 0.5)
_SHORTEST, _LONGEST = 1.0, 100.0
_KINDS = (("creativeai", "video"), ("kpainter", "explainer_video"), ("newapi", "videos"), ("omnivideo", "video"))


@dataclass(frozen=True, kw_only=True)
class Watched:
    """How some jobs were watched."""

    polls: float
    """For each of them."""
    delays: Sequence[float]
    """How late the end of each was noticed, in seconds."""

    @property
    def usually(self) -> float:
        """The median of the delays."""
        return median(self.delays)

    @property
    def mostly(self) -> float:
        """What 95 in 100 of the delays do not exceed."""
        return quantiles(self.delays, n=20)[-1]


def measure(plan: Plan) -> list[Row]:
    """A row for each provider and spread of the job times."""
    random.seed(1)
    return [_row(provider, kind, spread) for spread in _SPREADS for provider, kind in _KINDS]


def _row(provider: str, kind: str, spread: float) -> Row:
    conditions = Conditions(duration=_DURATION, duration_spread=spread, seed=1)
    durations = [conditions.lot(number).seconds for number in range(1, _LEARNED_FROM + _COUNTED + 1)]
    ours = _learning(durations, providers()[provider].kinds[kind])
    interval, fixed = _as_late_as(ours.usually, durations[_LEARNED_FROM:])
    return Row(
        key=f"watching/{provider}/{spread:g}",
        what=f"polls for each job of {provider}, {kind}",
        settings=f"jobs of {_DURATION.total_seconds():g} s ± {spread:.0%}; {_lateness(ours)}",
        figures=[ours.polls],
        against=f"every {interval:.1f} s: {fixed.polls:.1f}; {_lateness(fixed)}",
        ratios=[ours.polls / fixed.polls],
        target=Target(at_most=1 / 3),
    )


def _lateness(watched: Watched) -> str:
    return f"noticed {watched.usually:.1f} s late (median), {watched.mostly:.1f} s (p95)"


def _learning(durations: Sequence[float], schedule: Schedule) -> Watched:
    """As `reconcile` does it, with nothing to learn from but what its own polls found. The first are not counted."""
    learned, times = None, deque[JobTime]()
    polls, delays = list[int](), list[float]()
    for number, duration in enumerate(durations):
        if number % _LEARN_EVERY == 0:
            learned = pace.learn(list(times))
        asked = _asked(duration, schedule, learned)
        times.appendleft(JobTime(kind="any", open_until=_before_last(asked), ended_by=asked[-1]))
        polls.append(len(asked))
        delays.append(asked[-1].total_seconds() - duration)
    return Watched(polls=mean(polls[_LEARNED_FROM:]), delays=delays[_LEARNED_FROM:])


def _asked(duration: float, schedule: Schedule, learned: Pace | None) -> list[timedelta]:
    """At which ages a job is asked about, until its end is noticed."""
    asked = [pace.first_poll(learned, schedule)]
    while asked[-1].total_seconds() < duration:
        asked.append(asked[-1] + pace.next_poll(learned, schedule, asked[-1]))
    return asked


def _before_last(asked: Sequence[timedelta]) -> timedelta:
    return asked[-2] if len(asked) > 1 else timedelta(0)


def _as_late_as(delay: float, durations: Sequence[float]) -> tuple[float, Watched]:
    """The interval, and what it comes to, at which jobs' ends are noticed as late as that in the median."""
    low, high = _SHORTEST, _LONGEST
    while high - low > _SHORTEST / 10:
        middle = (low + high) / 2
        if _at_interval(middle, durations).usually < delay:
            low = middle
        else:
            high = middle
    return low, _at_interval(low, durations)


def _at_interval(interval: float, durations: Sequence[float]) -> Watched:
    """With the same jitter: without, many intervals were as good by chance where all jobs take as long."""
    every = timedelta(seconds=interval)
    schedule = Schedule(first=every, every={timedelta(0): every}, deadline=timedelta.max)
    asked = [_asked(duration, schedule, None) for duration in durations]
    delays = [ages[-1].total_seconds() - duration for ages, duration in zip(asked, durations, strict=True)]
    return Watched(polls=mean(map(len, asked)), delays=delays)
