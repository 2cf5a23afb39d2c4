"""A handler that notes when it was started."""

import os
import time
from functools import cache

from receiver import Event, Router

router = Router()


@router.on("*", "*")
def stamp(event: Event) -> None:
    """Write the job and the moment, in nanoseconds of the clock that all processes share."""
    os.write(_file(), f"{event.job_id} {time.monotonic_ns()}\n".encode())


@cache
def _file() -> int:
    # Only the worker opens it; other commands import this module, too.
    return os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
