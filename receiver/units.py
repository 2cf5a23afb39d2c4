"""Settings that are written in a shape of their own: durations, sizes, budgets, and one thing or several."""

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from receiver.models import Budget

_T = TypeVar("_T")

_LONGEST_DURATION = timedelta(days=3650)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def _duration(value: object) -> object:
    """`"30s"`, `"5m"`, `"2h"`, `"7d"` or a number of seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?) ?(ms|s|m|h|d)", value, re.ASCII)
        if match is None:
            raise ValueError('write a duration as "30s", "5m", "2h" or "7d"')
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    return value


def parse_duration(value: object) -> timedelta:
    """What a duration written as a setting stands for.

    Raises:
        ValueError: it is not written so, or is not longer than nothing.
    """
    duration = _duration(value)
    if not isinstance(duration, timedelta) or not timedelta(0) < duration <= _LONGEST_DURATION:
        raise ValueError('write a duration as "30s", "5m", "2h" or "7d"')
    return duration


def written(duration: timedelta) -> str:
    """A duration as a setting may be written: whole days as `90d`, all others in seconds, such as `30s`."""
    days, rest = divmod(duration, timedelta(days=1))
    return f"{days}d" if days and not rest else f"{duration.total_seconds():g}s"


def _size(value: object) -> object:
    """`"512kB"`, `"2GB"`, `"1MiB"` or a number of bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?) ?([kmg]i?b|)", value.lower(), re.ASCII)
        if match is None:
            raise ValueError('write a size as "512kB", "1MiB" or "2GB"')
        return int(float(match[1]) * _SIZES[match[2]])
    return value


def _budget(value: object) -> object:
    """`"10/s"`, `"100/min"` or `"1000/h"`."""
    if isinstance(value, str):
        match = re.fullmatch(r"([1-9]\d*)/(s|min|h)", value, re.ASCII)
        if match is None:
            raise ValueError('write a budget as "10/s", "100/min" or "1000/h"')
        return Budget(int(match[1]), timedelta(seconds=_UNITS[match[2].removesuffix("in")]))
    return value


def _several(value: object) -> object:
    """A list, or its only item; in a variable, where everything is text, also a list as JSON."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("what begins with [ must be a list as JSON") from None
    return value if isinstance(value, Iterable) and not isinstance(value, str) else [value]


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=_LONGEST_DURATION)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
RequestBudget = Annotated[Budget, BeforeValidator(_budget)]
Several = Annotated[tuple[_T, ...], BeforeValidator(_several)]
