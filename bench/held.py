"""A handler that notes when it began, and is still at it when its worker is killed."""

import os
import time

from receiver import Context, Event, Router

router = Router()


@router.on("*", "*")
def held(event: Event, context: Context) -> None:
    """Add a line with the time of the monotonic clock in nanoseconds; the first time, stay."""
    with open(os.environ["BENCH_BEGUN"], "a") as file:
        file.write(f"{time.monotonic_ns()}\n")
    if context.attempt == 1:
        time.sleep(60)
