"""The jobs: what they were asked for, what becomes of them, and how far they are."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from receiver import clock
from receiver.models import Status
from receiver.sandbox.conditions import Conditions, Fate

_QUEUED = 0.1
_PAUSES_AT = 0.5


class Stage(NamedTuple):
    """How far a job is at one moment."""

    status: Status
    progress: int
    """In percent; 100 only at the end."""
    paused: bool = False


@dataclass(eq=False, kw_only=True)
class Job:
    """One job of one provider."""

    number: int
    provider: str
    kind: str
    id: str
    reference: str = ""
    """The provider's other name for it, where there is one."""
    asked: Mapping[str, Any]
    """The body it was created with."""
    fates: frozenset[Fate]
    seconds: float
    """How long it takes, in real time."""
    clips: Sequence["Job"] = ()
    """The jobs it consists of."""
    created_at: datetime = field(default_factory=clock.now)
    began: float = field(default_factory=time.monotonic)
    resumed: float | None = None

    @property
    def stage(self) -> Stage:
        """How far it is now. Look once for one answer: it may end between two looks."""
        done = self._done()
        if done >= 1:
            return Stage(Status.FAILED if Fate.FAILED in self.fates else Status.SUCCEEDED, 100)
        if done < _QUEUED:
            return Stage(Status.QUEUED, 0)
        return Stage(Status.RUNNING, int(100 * done), paused=self._waits and done == _PAUSES_AT)

    @property
    def ends(self) -> float:
        """When it ends, in seconds of the monotonic clock, if it need not wait for a person."""
        return self.began + self.seconds

    @property
    def started_at(self) -> datetime:
        """When it left the queue, or will."""
        return self.created_at + timedelta(seconds=self.seconds * _QUEUED)

    @property
    def ended_at(self) -> datetime:
        """When it ended, or will."""
        waited = self.resumed - self.began - self.seconds * _PAUSES_AT if self.resumed is not None else 0.0
        return self.created_at + timedelta(seconds=self.seconds + waited)

    def consist_of(self, clips: Sequence["Job"]) -> None:
        """Make it a batch: its clips begin when it begins, and it ends with the last of them."""
        for clip in clips:
            clip.began, clip.created_at = self.began, self.created_at
        self.clips = clips
        self.seconds = max(clip.seconds for clip in clips)

    def resume(self) -> bool:
        """Let it go on; False if it does not wait."""
        if not self.stage.paused:
            return False
        self.resumed = time.monotonic()
        return True

    @property
    def _waits(self) -> bool:
        return Fate.PAUSED in self.fates and self.resumed is None

    def _done(self) -> float:
        """The share of its work that is done."""
        if self.resumed is not None:
            return _PAUSES_AT + self._share(time.monotonic() - self.resumed)
        done = self._share(time.monotonic() - self.began)
        return min(done, _PAUSES_AT) if self._waits else done

    def _share(self, seconds: float) -> float:
        return seconds / self.seconds if self.seconds else 1.0


class Jobs:
    """All jobs of all providers, numbered in the order of creation."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._guard = threading.Lock()
        self._jobs: list[Job] = []
        self._known: dict[tuple[str, str], Job] = {}
        # Ids must not come again after a restart: a receiver remembers for ever which it has seen.
        self._run = random.randint(100_000, 999_999)  # noqa: S311

    def start(
        self,
        provider: str,
        kind: str,
        asked: Mapping[str, Any],
        *,
        id: str,
        reference: str = "",
        fates: frozenset[Fate] | None = None,
    ) -> Job:
        """A new job. `{}` in the ids stands for its serial number; `fates` replaces what would be drawn for it."""
        with self._guard:
            number = len(self._jobs) + 1
            serial = f"{self._run}{number:04d}"
            lot = self._conditions.lot(number)
            job = Job(
                number=number,
                provider=provider,
                kind=kind,
                id=id.format(serial),
                reference=reference.format(serial),
                asked=asked,
                fates=lot.fates if fates is None else fates,
                seconds=lot.seconds,
            )
            self._jobs.append(job)
            self._known[provider, job.id] = job
            if job.reference:
                self._known[provider, job.reference] = job
        return job

    def find(self, provider: str, name: str, *kinds: str) -> Job | None:
        """The job of that id or reference, if it is of one of these kinds."""
        with self._guard:
            job = self._known.get((provider, name))
        return job if job and (not kinds or job.kind in kinds) else None

    def of(self, provider: str) -> list[Job]:
        """All jobs of a provider."""
        with self._guard:
            return [job for job in self._jobs if job.provider == provider]
