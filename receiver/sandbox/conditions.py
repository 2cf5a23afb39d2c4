"""What shall go wrong, and which job it happens to."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from receiver.models import Budget


class Fate(StrEnum):
    """What can happen to a job, or to its webhook."""

    LOST = "lost"
    """Its webhook is never sent."""
    DOUBLED = "doubled"
    """Its webhook is sent twice."""
    DELAYED = "delayed"
    """Its webhook comes late."""
    REORDERED = "reordered"
    """Its webhook comes after that of a job created later."""
    FORGED = "forged"
    """Somebody else, who does not know the secret, posts the opposite of how it ended."""
    FAILED = "failed"
    """The job fails."""
    UNANSWERED = "unanswered"
    """The job is created, but the create call is answered 500. Only by request."""
    PAUSED = "paused"
    """Half-way the job waits for a person. Only by request, and only at KPainter."""


@dataclass(frozen=True)
class Lot:
    """What was drawn for one job."""

    fates: frozenset[Fate]
    seconds: float
    """How long it takes, in real time."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How the stand-in behaves. By default nothing goes wrong.

    What is a share is a number from 0 to 1: of jobs, or in `errors`, of requests.
    """

    duration: timedelta = timedelta(seconds=2)
    """How long jobs take."""
    duration_spread: float = 0.0
    """By how much of it they take less or more."""
    lost: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    delay: timedelta = timedelta(seconds=20)
    """How late a delayed webhook is."""
    reordered: float = 0.0
    forged: float = 0.0
    failed: float = 0.0
    errors: float = 0.0
    """How many of the API's requests are answered 500."""
    budget: Budget | None = None
    """How many requests each provider allows, in real time whatever the speed; beyond it the answer is 429."""
    outage_every: timedelta | None = None
    outage_for: timedelta | None = None
    """How long each outage lasts. Meanwhile the APIs answer 503, and webhooks wait."""
    speed: float = 1.0
    """How many times faster than real time everything but the budget goes."""
    seed: int | None = None
    """With the same seed, jobs have the same fates in the order of their creation. None: each time others."""

    def __post_init__(self) -> None:
        for name in ("duration_spread", "lost", "doubled", "delayed", "reordered", "forged", "failed", "errors"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, from 0 to 1")
        if not 0 < self.speed < math.inf:
            raise ValueError("speed must be greater than 0")
        if (self.outage_every is None) != (self.outage_for is None):
            raise ValueError("outage_every and outage_for belong together")
        if self.outage_every and self.outage_for and not timedelta(0) < self.outage_for < self.outage_every:
            raise ValueError("outage_for must be shorter than outage_every")

    def real(self, span: timedelta) -> float:
        """How many seconds this takes in real time."""
        return span.total_seconds() / self.speed

    def lot(self, number: int) -> Lot:
        """What is drawn for a job, by its number in the order of creation."""
        draw = self._random(str(number))
        # One draw for each, wanted or not: changing one share leaves the other fates as they were.
        fates = frozenset(fate for fate, share in self._shares() if draw.random() < share)
        stretch = 1 + self.duration_spread * draw.uniform(-1, 1)
        return Lot(fates, self.real(self.duration) * stretch)

    def fails(self, request: int) -> bool:
        """Whether this request, by its number, is answered 500."""
        return self._random(f"request {request}").random() < self.errors

    def outage(self, age: float) -> float:
        """How many seconds an outage still lasts, `age` real seconds after the start; 0 if there is none."""
        if self.outage_every is None or self.outage_for is None:
            return 0.0
        rounds, since = divmod(age, self.real(self.outage_every))
        return max(self.real(self.outage_for) - since, 0.0) if rounds else 0.0

    def _shares(self) -> Iterable[tuple[Fate, float]]:
        yield Fate.LOST, self.lost
        yield Fate.DOUBLED, self.doubled
        yield Fate.DELAYED, self.delayed
        yield Fate.REORDERED, self.reordered
        yield Fate.FORGED, self.forged
        yield Fate.FAILED, self.failed

    def _random(self, what: str) -> random.Random:
        """Numbers of its own for everything that is decided, so that threads do not matter."""
        return random.Random(None if self.seed is None else f"{self.seed}:{what}")  # noqa: S311 - hides nothing


def fates_in(text: str) -> frozenset[Fate]:
    """The fates in a text: `lost,failed`.

    Raises:
        ValueError: one of them is none.
    """
    words = {word.strip() for word in text.split(",")} - {""}
    if unknown := words - set(Fate):
        raise ValueError(f"X-Sandbox: there is no {', '.join(sorted(unknown))}; there are {', '.join(Fate)}")
    return frozenset(map(Fate, words))
