"""Libraries in C that a drill preloads into the processes it starts, to see or to change what they do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def library(code: Path, folder: Path) -> Path:
    """The library of that code, compiled into `folder`. Skips where there is no C compiler; in CI, fails."""
    compiler = shutil.which("cc")
    if compiler is None:
        missing = "no C compiler: apt-get install gcc libc6-dev"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    compiled = folder / f"{code.stem}.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(compiled), str(code), "-ldl"], check=True)
    return compiled
