"""Work that has to be over by a moment, whatever it waits for."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread


def in_time(deadline: float, work: Callable[[], None]) -> None:
    """Do the work in a thread, which goes on unheard if it is late: many libraries know no time limit.

    Raises:
        TimeoutError: it is late.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, name="in-time", daemon=True).start()
    done.result(max(deadline - time.monotonic(), 0))
