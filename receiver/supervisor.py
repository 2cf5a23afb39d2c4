"""Run several processes as one: start them together, start again what dies, stop them together."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from receiver.errors import ReceiverError

_log = logging.getLogger(__name__)

_LOOK_EVERY = 0.1
# For five seconds gunicorn tries to get its port, then it gives up; to begin takes a busy machine long, too.
_STARTING = 30.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_PR_SET_PDEATHSIG = 1
NICENESS = 5
"""By how much the background lets the others go first. Not by more: what it locks, they need."""


class DiedAtStart(ReceiverError):
    """A process ended right after it was first started; it has said why itself."""


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """Keeps named commands running until told to stop."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        *,
        environment: Mapping[str, str],
        grace: float,
        vital: Collection[str] = (),
        background: Collection[str] = (),
    ) -> None:
        """`grace` is how many seconds they get to stop before they are killed.

        `vital` are those without which it makes no sense to start: if one gives up at once, so do we. `background` are
        those that let the others go first.
        """
        self._commands = commands
        self._environment = dict(environment)
        self._grace = grace
        self._vital = vital
        self._background = background
        self._stop = threading.Event()

    def stop(self) -> None:
        """Stop everything and return from `run`. Any thread may call it."""
        self._stop.set()

    def run(self) -> None:
        """Run until told to stop.

        Raises:
            DiedAtStart: a vital process did not live through its first seconds.
        """
        children = [
            _Child(name, command, self._start(name, command), time.monotonic())
            for name, command in self._commands.items()
        ]
        began = time.monotonic()
        try:
            while not self._stop.wait(_LOOK_EVERY):
                for child in children:
                    self._tend(child, starting=time.monotonic() < began + _STARTING)
        finally:
            self._end(children)

    def _start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        # A session of its own keeps Ctrl-C in the terminal from reaching it before we pass it on in order.
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, env=self._environment, start_new_session=True, preexec_fn=_die_with_parent
        )
        if name in self._background:
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        return process

    def _tend(self, child: _Child, *, starting: bool) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            status = child.process.poll()
            if status is None:
                return
            # A signal says nothing about the command; a status of its own means that it cannot work.
            if starting and status > 0 and child.name in self._vital:
                raise DiedAtStart(f"{child.name} ended with status {status} as it was started")
            child.deaths = 0 if now - child.started > _LONGEST_PAUSE else child.deaths + 1
            pause = min(_FIRST_PAUSE * 2**child.deaths, _LONGEST_PAUSE)
            _log.warning(
                "process died; starting it again", extra={"child": child.name, "status": status, "pause": pause}
            )
            child.restart_at = now + pause
        elif now >= child.restart_at:
            child.process, child.started, child.restart_at = self._start(child.name, child.command), now, None

    def _end(self, children: Sequence[_Child]) -> None:
        for child in children:
            if child.process.poll() is None:
                child.process.terminate()
        patience = time.monotonic() + self._grace
        for child in children:
            try:
                child.process.wait(max(patience - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                _log.warning("process did not stop in time; killing it", extra={"child": child.name})
                child.process.kill()
                child.process.wait()


def _die_with_parent() -> None:
    """Have the kernel stop us when the supervisor is killed; otherwise we would hold its port for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
