"""What an attempt can decide. Handlers return or raise the first five; all of it becomes an `Outcome`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from receiver.models import State

_LONGEST_WAIT = 10.0**9


@dataclass(frozen=True)
class Done:
    """The work is done, and `result` (anything JSON can hold) is worth keeping beside the event.

    Returning nothing means the same without a result.
    """

    result: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Snooze:
    """Not now: run again after `wait`, without counting this attempt."""

    wait: timedelta


@dataclass(frozen=True)
class Cancel:
    """Never: stop for good, for a reason a person will read."""

    reason: str


class PermanentError(Exception):
    """Raise it where trying again cannot help: the dispatch becomes a dead letter at once."""


class RetryAfter(Exception):
    """Raise it where somebody says when to try again: the attempt counts, and the next comes after `wait`.

    `wait` is a duration or a number of seconds; the handler's `longest_wait` is the most that is waited.
    """

    def __init__(self, wait: timedelta | float, reason: str = "asked to try again later") -> None:
        super().__init__(reason)
        self.wait = wait if isinstance(wait, timedelta) else timedelta(seconds=min(max(wait, 0), _LONGEST_WAIT))


class Decision(StrEnum):
    """The word an attempt is recorded with."""

    DONE = "done"
    SNOOZE = "snooze"
    CANCEL = "cancel"
    RETRY = "retry"
    DEAD = "dead"

    @property
    def state(self) -> State:
        """The dispatch's state once the attempt is recorded."""
        return _STATES[self]


_STATES = {
    Decision.DONE: State.DONE,
    Decision.SNOOZE: State.PENDING,
    Decision.CANCEL: State.CANCELLED,
    Decision.RETRY: State.PENDING,
    Decision.DEAD: State.DEAD,
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one attempt decided: `wait` until the next one, `error` where something went wrong."""

    decision: Decision
    wait: timedelta = timedelta(0)
    error: str | None = None
    result: Mapping[str, Any] | None = None
    failed: bool = False
    """Whether the handler did not get to decide: too much of that in a row, and it is parked."""
