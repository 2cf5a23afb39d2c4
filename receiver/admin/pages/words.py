"""Times, spans and counts as people read them."""

import json
from datetime import datetime, timedelta

from receiver import clock
from receiver.clock import from_text, to_text

Moment = datetime | str
"""A time, or the text that the store keeps of it."""

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def machine_moment(moment: Moment) -> str:
    """For the attribute `datetime`."""
    return to_text(_aware(moment))


def moment(moment: Moment) -> str:
    """`21 Nov 17:34:28`, in UTC; with the year if it is another one."""
    told = _aware(moment)
    year = f" {told.year}" if told.year != clock.now().year else ""
    return f"{told.day} {told:%b}{year} {told:%H:%M:%S}"


def ago(moment: Moment, now: datetime) -> str:
    """`3 min ago`, or `in 2 h 5 min`; below an hour in one unit. `now` is by the clock that wrote the moment."""
    passed = now - _aware(moment)
    seconds = abs(passed.total_seconds())
    if seconds < 1:
        return "now"
    told = span(seconds - seconds % (60 if seconds >= 60 else 1))
    return f"{told} ago" if passed > timedelta(0) else f"in {told}"


def span(passed: timedelta | float) -> str:
    """`2 h 5 min`: at most two units. A number is of seconds; whether it is negative is not told."""
    seconds = abs(passed.total_seconds() if isinstance(passed, timedelta) else passed)
    if 0 < seconds < 0.05:
        return "< 0.1 s"
    if 0 < seconds < 10:
        return f"{seconds:.0f} s" if seconds == round(seconds) else f"{seconds:.1f} s"
    rest, parts = round(seconds), list[str]()
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        # The unit below the first is worth telling, those below that are not.
        if (parts and len(parts) == 2) or (parts and not count):
            break
    return " ".join(parts) or "0 s"


def between(began: Moment, ended: Moment) -> str:
    """How long it took."""
    return span(_aware(ended) - _aware(began))


def count(number: float, noun: str, nouns: str | None = None) -> str:
    """`1 event`, `1,234 events`."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def percent(share: float) -> str:
    """`12 %`; what is not nothing is not told as nothing, nor what is not all as all."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{share:.0%}".replace("%", " %")


def size(number: int) -> str:
    """`1.5 kB`, of a number of bytes."""
    if number < 1000:
        return f"{number} B"
    for unit, whole in (("kB", 1e3), ("MB", 1e6)):
        if number < whole * 1000:
            return f"{number / whole:.1f} {unit}"
    return f"{number / 1e9:.1f} GB"


def indented(data: object) -> str:
    """JSON that can be read."""
    return json.dumps(data, indent=2, ensure_ascii=False)


def _aware(moment: Moment) -> datetime:
    return from_text(moment) if isinstance(moment, str) else moment
