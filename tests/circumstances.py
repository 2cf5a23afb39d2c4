"""What a process meets on its machine, for drills to change while it runs: its clock, and whether names resolve."""

import struct
from collections.abc import Mapping
from pathlib import Path

from tests.preload import library


class Circumstances:
    """Those of all processes that are started with its variables."""

    def __init__(self, folder: Path, *, clock_ahead: int = 0) -> None:
        """Skips where there is no C compiler; in CI, fails."""
        preloaded = library(Path(__file__).with_name("circumstances.c"), folder)
        self._file = folder / "circumstances"
        self.variables: Mapping[str, str] = {"LD_PRELOAD": str(preloaded), "CIRCUMSTANCES": str(self._file)}
        self.be(clock_ahead=clock_ahead)

    def be(self, *, clock_ahead: int = 0, names_resolve: bool = True) -> None:
        """From now on: the clock is so many seconds ahead, and names resolve or do not."""
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=qq", clock_ahead, not names_resolve))
