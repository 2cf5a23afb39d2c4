"""Processes that are started here, watched, and ended by their id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.tools import BenchError

_START_WITHIN = 60.0
_STOP_WITHIN = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1024


@dataclass(frozen=True)
class Running:
    """A process that was started, and those below it."""

    process: subprocess.Popen[bytes]

    @property
    def pids(self) -> list[int]:
        """Its id, and its descendants'."""
        return [self.process.pid, *_below(self.process.pid)]

    @property
    def children(self) -> list[int]:
        """Its children's ids: the workers of a server."""
        return _children(self.process.pid)


@contextmanager
def started(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Running]:
    """Run a command until the end of the block; with a port, wait until it answers there."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if port is not None:
            wait_for_port(port, process, log)
        yield Running(process)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop; what is left of its group then is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # It leads a session of its own, so what is left of it are its children.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def kill(running: Running) -> None:
    """End a process and all below it at once, as the kernel does when memory is short."""
    for pid in running.pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once something listens there.

    Raises:
        BenchError: nothing does, or the process has ended.
    """
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchError(f"{process.args!r} does not answer on port {port}; see {log}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def rss(pids: Sequence[int]) -> float:
    """The resident memory of these processes together, in MiB; what they share is counted for each."""
    return sum(_field(pid, "status", "VmRSS") for pid in pids) / _MIB


def pss(pids: Sequence[int]) -> float:
    """The same, with what they share divided among those that share it."""
    return sum(_field(pid, "smaps_rollup", "Pss") for pid in pids) / _MIB


def cpu_seconds(pids: Sequence[int]) -> float:
    """The time these processes have run for."""
    spent = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in spent) / _TICKS


def _field(pid: int, file: str, name: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _below(pid: int) -> list[int]:
    children = _children(pid)
    return children + [below for child in children for below in _below(child)]


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
