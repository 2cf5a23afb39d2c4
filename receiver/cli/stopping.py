"""Being asked to stop."""

import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` whenever SIGTERM or SIGINT comes.

    In a thread of its own: a handler interrupts the main thread wherever that is. In the middle of its waiting for an
    event, to set the event would be to wait for itself for ever.
    """
    asked = SimpleQueue[None]()

    def stop_when_asked() -> None:
        while True:
            asked.get()
            stop()

    threading.Thread(target=stop_when_asked, name="stop", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Unlike an event, this queue may be put into while the same thread is putting something into it.
        signal.signal(number, lambda *_: asked.put(None))
