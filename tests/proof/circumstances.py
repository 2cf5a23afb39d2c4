"""What a process meets on its machine, for drills to change while it runs: its clock, and whether names resolve."""

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


class Circumstances:
    """Those of all processes that are started with its variables."""

    def __init__(self, folder: Path) -> None:
        """Skips where there is no C compiler; in CI, fails."""
        compiler = shutil.which("cc")
        if compiler is None:
            missing = "no C compiler: apt-get install gcc libc6-dev"
            pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
        library, code = folder / "circumstances.so", Path(__file__).with_name("circumstances.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(code), "-ldl"], check=True)
        self._file = folder / "circumstances"
        self.variables: Mapping[str, str] = {"LD_PRELOAD": str(library), "CIRCUMSTANCES": str(self._file)}
        self.be()

    def be(self, *, clock_ahead: int = 0, names_resolve: bool = True) -> None:
        """From now on: the clock is so many seconds ahead, and names resolve or do not."""
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=qq", clock_ahead, not names_resolve))
