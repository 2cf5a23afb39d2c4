"""A handler that takes 20 ms."""

import time

from receiver import Event, Router

router = Router()


@router.on("*", "*")
def brief(event: Event) -> None:
    """Wait a little."""
    time.sleep(0.02)
