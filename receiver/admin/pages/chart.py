"""Events over time as bars, to be drawn by the server: a page needs no library for it, and no script."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.models import Status
from receiver.store.figures import EventCount

WIDTH, HEIGHT = 720, 120
GROUPS = ("succeeded", "not succeeded", "progress")
"""From the lowest part of a bar to the highest."""

_TICKS = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One rectangle; lengths are those of the drawing."""

    group: str
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What was recorded in one stretch of time."""

    since: datetime
    x: float
    counts: Mapping[str, int]
    """By group."""
    parts: Sequence[Part]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars from the oldest to the newest."""

    bars: Sequence[Bar]
    step: timedelta
    """How long a stretch of time is."""
    bar_width: float
    highest: int
    """How many events the top of the drawing stands for."""
    ticks: Sequence[datetime]
    """Moments at even distances, from the left end to the right."""

    @property
    def totals(self) -> dict[str, int]:
        """How many there are of each group."""
        return {group: sum(bar.counts[group] for bar in self.bars) for group in GROUPS}


def group_of(status: Status | None) -> str:
    """Which part of a bar an event of that status belongs to."""
    if status is Status.SUCCEEDED:
        return "succeeded"
    return "not succeeded" if status is not None and status.terminal else "progress"


def chart(counts: Sequence[EventCount], *, until: datetime, span: timedelta, step: timedelta) -> Chart:
    """The bars of the time before `until`; `step` divides `span`, and is whole minutes."""
    seconds = step.total_seconds()
    first = int((until - span).timestamp() // seconds) + 1
    number = int(span / step)
    found: list[defaultdict[str, int]] = [defaultdict(int) for _ in range(number)]
    for counted in counts:
        at = int(counted.minute.timestamp() // seconds) - first
        if 0 <= at < number:
            found[at][group_of(counted.status)] += counted.count
    highest = max([sum(groups.values()) for groups in found] + [1])
    begin = datetime.fromtimestamp(first * seconds, until.tzinfo)
    return Chart(
        bars=[
            _bar(begin + at * step, at * WIDTH / number, {group: groups[group] for group in GROUPS}, highest)
            for at, groups in enumerate(found)
        ],
        step=step,
        bar_width=WIDTH / number * 0.8,
        highest=highest,
        ticks=[begin + tick * span / _TICKS for tick in range(_TICKS + 1)],
    )


def _bar(since: datetime, x: float, counts: Mapping[str, int], highest: int) -> Bar:
    parts, top = list[Part](), float(HEIGHT)
    for group in GROUPS:
        height = counts[group] / highest * HEIGHT
        top -= height
        if height:
            parts.append(Part(group=group, y=round(top, 2), height=round(height, 2)))
    return Bar(since=since, x=round(x, 2), counts=counts, parts=parts)
