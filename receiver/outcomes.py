"""What an attempt can decide. Handlers return the first three; the executor turns everything into an `Outcome`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from receiver.models import State


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
