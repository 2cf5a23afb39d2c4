"""How long until the next attempt, and until the next poll; and what answers ask for.

Jitter keeps many of them from coming due at once.
"""

import random
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

from receiver.models import Limits, Schedule

_LONGEST_AFTER_ERROR = timedelta(minutes=5)
_AFTER_LOSS = timedelta(milliseconds=500)
_LONGEST_WAIT = timedelta(hours=1)
_LONGEST_NUMBER = 15
PAUSE_IF_NOT_TOLD = timedelta(seconds=30)
"""How long to leave a provider alone that refuses for too many requests and does not say until when."""
_FIRST_MOMENT = 10**8
_FIRST_MILLISECOND = 10**11


def next_attempt(attempt: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """How long to wait after attempt number `attempt` failed: doubling from `first` to `longest`, 80 to 120 %."""
    # In float seconds, which cannot overflow before the longest wait cuts them off.
    doubled = first.total_seconds() * 2.0 ** min(attempt - 1, 100)
    return _jitter(timedelta(seconds=min(doubled, longest.total_seconds())))


def after_loss(attempt: int) -> timedelta:
    """How long to wait after the worker was lost in attempt number `attempt`: nothing at first.

    Then anything up to a bound that doubles: what killed its worker is set apart from what only ran beside it.
    """
    bound = min(_AFTER_LOSS * 2 ** min(attempt - 1, 30), _LONGEST_AFTER_ERROR)
    return bound * random.random() if attempt > 1 else timedelta(0)  # noqa: S311 - spreads load, hides nothing


def next_poll(schedule: Schedule, age: timedelta) -> timedelta:
    """How long to wait after a poll that found a job of this age still open."""
    return _jitter(schedule.interval(age))


def next_poll_after_error(schedule: Schedule, age: timedelta, error_count: int) -> timedelta:
    """How long to wait after `error_count` polls in a row that failed."""
    return next_attempt(error_count, first=schedule.interval(age), longest=_LONGEST_AFTER_ERROR)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """What a `Retry-After` header asks for, in either of its forms, at most an hour; None if it asks for nothing.

    A date is taken relative to the sender's own `Date`, so that two clocks need not agree (RFC 9110, 10.2.3).
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        # A float cannot overflow, an absurd count of seconds would.
        return min(timedelta(seconds=min(float(value), 1e9)), _LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


def asked_to_wait(headers: Mapping[str, str]) -> timedelta | None:
    """How long an answer that refuses for too many requests asks to wait: `Retry-After`, else until the reset."""
    limits = rate_limits(headers)
    return retry_after(headers) or (limits.resets_after if limits and limits.remaining == 0 else None)


def rate_limits(headers: Mapping[str, str]) -> Limits | None:
    """What `X-RateLimit-*` or `RateLimit-*` headers say; None if there are none.

    Providers do not say what unit `Reset` is in: what is too large for seconds to wait is a moment, in seconds or
    milliseconds since 1970, and taken relative to the answer's own `Date`.
    """
    count, remaining, reset = (
        _count(headers.get(f"x-ratelimit-{name}", headers.get(f"ratelimit-{name}", "")))
        for name in ("limit", "remaining", "reset")
    )
    if count is None and remaining is None:
        return None
    return Limits(count=count, remaining=remaining, resets_after=_reset_after(reset, headers))


def _reset_after(reset: int | None, headers: Mapping[str, str]) -> timedelta | None:
    if reset is None:
        return None
    if reset < _FIRST_MOMENT:
        return min(timedelta(seconds=reset), _LONGEST_WAIT)
    seconds = reset / 1000 if reset >= _FIRST_MILLISECOND else reset
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(timedelta(seconds=seconds - now), timedelta(0)), _LONGEST_WAIT)


def _count(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


def _jitter(wait: timedelta) -> timedelta:
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing
