"""A few threads for what waits. Unlike those of `concurrent.futures`, one that hangs can be replaced."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0


class Threads(Generic[T]):
    """Starts threads as they are needed, up to a number; those with nothing to do end. None keeps the program alive."""

    def __init__(self, name: str, work: Callable[[list[T]], bool], *, most: int, at_once: int = 1) -> None:
        """`work` takes up to `at_once` of what waits, and says whether its thread goes on: not if it was replaced."""
        self._name = name
        self._work = work
        self._most = most
        self._at_once = at_once
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._idle_count = 0
        self._count = 0
        self._started_count = 0

    @property
    def waiting_count(self) -> int:
        """How many wait for a thread."""
        return len(self._waiting)

    def put(self, items: Iterable[T]) -> None:
        """Have these worked on, in their order, after those that wait."""
        with self._changed:
            before = len(self._waiting)
            self._waiting.extend(items)
            self._changed.notify(len(self._waiting) - before)
            self._start_missing()

    def take_back(self) -> list[T]:
        """Remove all that waits."""
        with self._changed:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def replace(self) -> None:
        """Give up a thread that hangs: another one may be started in its place."""
        with self._changed:
            self._count -= 1
            self._start_missing()

    def _start_missing(self) -> None:
        while len(self._waiting) > self._idle_count and self._count < self._most:
            self._started_count += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._started_count}", daemon=True).start()
            self._count += 1
            self._idle_count += 1

    def _run(self) -> None:
        while items := self._take():
            if not self._did(items):
                return
            with self._changed:
                self._idle_count += 1

    def _take(self) -> list[T]:
        """Wait for something to do; nothing, if nothing came."""
        with self._changed:
            while not self._waiting:
                if not self._changed.wait(_IDLE_SECONDS) and not self._waiting:
                    self._idle_count -= 1
                    self._count -= 1
                    return []
            self._idle_count -= 1
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_once))]

    def _did(self, items: list[T]) -> bool:
        try:
            return self._work(items)
        except Exception:
            _log.exception("a thread of the engine failed", extra={"of": self._name})
            return True
