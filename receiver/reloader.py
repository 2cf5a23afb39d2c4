"""Run a command anew whenever a file changes, for those who are writing one."""

import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_LOOK_EVERY = 0.3
_GRACE_BEYOND_DRAIN = 10.0


class Reloader:
    """Keeps one process running; ends it and starts another when one of the files is not what it was."""

    def __init__(
        self,
        command: Sequence[str],
        files: Callable[[], Iterable[Path]],
        *,
        environment: Mapping[str, str] | None = None,
        drain: float = 30.0,
        changed: Callable[[Path], None] | None = None,
    ) -> None:
        """`files` are looked for anew each time; `drain` is how many seconds the process has to end by itself."""
        self._command = command
        self._files = files
        self._environment = environment
        self._grace = drain + _GRACE_BEYOND_DRAIN
        self._changed = changed or (lambda file: None)
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the process and return from `run`. Any thread may call it."""
        self._stop.set()

    def run(self) -> None:
        """Until told to stop. A process that ends by itself is started again once something has changed."""
        while not self._stop.is_set():
            before = self._seen()
            with subprocess.Popen(  # noqa: S603 - our own command
                self._command, env=None if self._environment is None else dict(self._environment)
            ) as process:
                while not self._stop.wait(_LOOK_EVERY) and (after := self._seen()) == before:
                    pass
                if not self._stop.is_set():
                    self._changed(_differing(before, after))
                process.terminate()
                try:
                    process.wait(self._grace)
                except subprocess.TimeoutExpired:
                    process.kill()

    def _seen(self) -> dict[Path, tuple[int, int]]:
        seen = {}
        for file in self._files():
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue
            seen[file] = stat.st_mtime_ns, stat.st_size
        return seen


def _differing(before: Mapping[Path, tuple[int, int]], after: Mapping[Path, tuple[int, int]]) -> Path:
    return next(file for file in {**before, **after} if before.get(file) != after.get(file))
