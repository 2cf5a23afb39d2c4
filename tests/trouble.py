"""What a store must endure from outside: locks held by others, a full disk, death."""

import contextlib
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[1]

HOLD_FLOCK = """
import fcntl, sys
with open(sys.argv[1], "a") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("ready", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def database_locked(database: Path) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def flock_held(database: Path) -> Iterator[None]:
    """Another process of ours writes, and does not end."""
    with child(HOLD_FLOCK, f"{database}-lock") as process:
        said(process, "ready")
        yield
        process.communicate("")


@contextlib.contextmanager
def disk_full(pid: int = 0) -> Iterator[None]:
    """A process (by default this one) cannot make any file longer than 4 kB, nor write behind that."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def child(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process of ours that is gone when this ends."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], expected: str) -> None:
    """Wait for a child's line."""
    assert process.stdout is not None
    assert process.stdout.readline().strip() == expected


def tell(process: subprocess.Popen[str]) -> None:
    """Let a child that waits for a line go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
