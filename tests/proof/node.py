"""A `receiver serve` that is started by hand when it dies."""

import contextlib
import os
import signal
import subprocess
import sys

from tests.running import Running, descendants

SUPERVISOR, WEB, WEB_WORKER, WORKER, RECONCILE = KINDS = (
    "supervisor",
    "web master",
    "web worker",
    "worker",
    "reconcile loop",
)


class Node:
    """One `receiver serve`, which starts again what dies; if it dies itself, it is started by hand."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self._start()

    def _start(self) -> None:
        with open(self.running.folder / "receiver.log", "ab") as log:
            command = [sys.executable, "-m", "receiver", "serve"]
            self._process = subprocess.Popen(command, env=self.running.environment, stdout=log, stderr=log)

    def processes(self) -> dict[str, list[int]]:
        """Those that live, by kind; the supervisor first."""
        below = descendants(self._process.pid)
        # The master comes before its workers, which carry its name.
        web = [pid for pid, command in below.items() if "gunicorn" in command]
        found = {
            SUPERVISOR: [self._process.pid],
            WEB: web[:1],
            WEB_WORKER: web[1:],
            WORKER: [pid for pid, command in below.items() if "receiver work" in command],
            RECONCILE: [pid for pid, command in below.items() if "receiver reconcile" in command],
        }
        return {kind: pids for kind, pids in found.items() if pids}

    def start_again(self) -> None:
        """Once it has ended."""
        self._process.wait(30)
        self._start()

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self._process.terminate()
        assert self._process.wait(30) == 0, self.running.log

    def end(self) -> None:
        """End it and all that it has started, if that still runs."""
        for pid in descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
