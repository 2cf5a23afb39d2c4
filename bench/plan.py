"""How long everything is measured for."""

from dataclasses import dataclass
from pathlib import Path

from bench.load import Requests
from bench.tools import BUILD


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole takes under ten minutes as it stands; `quick` shows in two that everything runs."""

    rounds: int = 3
    """How often everything is measured, in turns."""
    seconds: int = 3
    """How long each time."""
    warm_up: int = 2
    events: int = 1_000_000
    """How many are stored when it is asked whether many stored events make it slower."""
    jobs: int = 10_000
    """How many are overdue when it is asked how fast that is caught up."""
    most: int = 8_000
    """More requests a second than any receiver here answers; so many are written for each run."""

    def requests(self, name: str, *, forged: bool = False, first: int = 0) -> Requests:
        """A file of requests; `first` is the number of the first job."""
        folder: Path = BUILD / "run"
        folder.mkdir(parents=True, exist_ok=True)
        return Requests(folder / f"{name}.requests", forged=forged, first=first)

    def count(self, seconds: int) -> int:
        """How many requests to write for so many seconds of load."""
        return self.most * seconds


QUICK = Plan(rounds=1, seconds=2, warm_up=1, events=20_000, jobs=1_000)
