"""What was asked of the stand-in and what it posted, remembered in order."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request to an API, as it was answered."""

    provider: str
    method: str
    path: str
    status: int
    at: float
    """When it came in, in seconds of the monotonic clock."""
    is_poll: bool
    """Whether it asks about a job."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Outcome(StrEnum):
    """What became of a webhook."""

    DELIVERED = "delivered"
    REFUSED = "refused, will be tried again"
    GIVEN_UP = "refused, given up"
    LOST = "lost"
    """It was not even sent."""
    FORGERY = "forgery"
    """It was not the provider's."""


@dataclass(frozen=True, kw_only=True)
class Posted:
    """One attempt to deliver a webhook."""

    job_id: str
    url: str
    attempt: int
    """Numbered from 1."""
    status: int | None
    """What it was answered; None if nothing was."""
    outcome: Outcome
    at: float
    """When it was made, in seconds of the monotonic clock."""

    def __str__(self) -> str:
        answer = f"{self.status} " if self.status else ""
        return f"webhook {self.job_id} {answer}{self.outcome}"


class Traffic:
    """Both lists, and who is told of what is added to them."""

    def __init__(self, tell: Callable[[Asked | Posted], None] | None = None) -> None:
        self._guard = threading.RLock()
        self._tell = tell
        self._asked: list[Asked] = []
        self._posted: list[Posted] = []

    @property
    def asked(self) -> list[Asked]:
        """The requests so far."""
        with self._guard:
            return list(self._asked)

    @property
    def posted(self) -> list[Posted]:
        """The webhooks so far."""
        with self._guard:
            return list(self._posted)

    def add(self, what: Asked | Posted) -> None:
        """Remember it."""
        with self._guard:
            if isinstance(what, Asked):
                self._asked.append(what)
            else:
                self._posted.append(what)
            if self._tell is not None:
                # Whoever read along may have gone; the stand-in stands on.
                with suppress(OSError):
                    self._tell(what)
