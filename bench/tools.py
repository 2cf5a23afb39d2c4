"""The programs it needs, found or installed into build/bench."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
BUILD = FOLDER.parent / "build" / "bench"
_INSTALL_WITHIN = 300.0


class BenchError(Exception):
    """It cannot go on; the text says what to do."""


def wrk() -> str:
    """The load generator.

    Raises:
        BenchError: it is not there and cannot be installed.
    """
    if shutil.which("wrk") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise BenchError("wrk is needed (https://github.com/wg/wrk): `apt install wrk`, or `brew install wrk`")
        _run(["apt-get", "install", "--yes", "--no-install-recommends", "wrk"])
    return str(shutil.which("wrk"))


def slow_sync() -> Path:
    """The library that makes syncs slower, compiled.

    Raises:
        BenchError: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchError("a C compiler is needed: `apt install gcc libc6-dev`")
    library = BUILD / "slow_sync.so"
    _run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(FOLDER / "slow_sync.c"), "-ldl"])
    return library


def webhook() -> str:
    """adnanh/webhook, from the path or unpacked from Debian's package.

    Raises:
        BenchError: it cannot be had.
    """
    found = shutil.which("webhook")
    unpacked = BUILD / "webhook" / "usr" / "bin" / "webhook"
    if found is None and not unpacked.exists():
        if shutil.which("apt-get") is None:
            raise BenchError("no `webhook` on the path, and no apt-get to fetch it with")
        # Installed, it would bring a service; unpacked, it is one file, and needs no root.
        (BUILD / "webhook").mkdir(exist_ok=True)
        _run(["apt-get", "download", "webhook"], folder=BUILD / "webhook")
        [package] = (BUILD / "webhook").glob("webhook_*.deb")
        _run(["dpkg-deb", "--extract", str(package), str(BUILD / "webhook")])
    return found or str(unpacked)


def node_red() -> Sequence[str]:
    """The command that starts Node-RED, from npm.

    Raises:
        BenchError: it cannot be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    script = BUILD / "node" / "node_modules" / "node-red" / "red.js"
    if not script.exists():
        if npm is None:
            raise BenchError("no `npm` on the path: install Node.js 18 or newer")
        options = ["--no-audit", "--no-fund", "--cache", str(BUILD / "npm"), "--prefix", str(BUILD / "node")]
        _run([npm, "install", *options, "node-red@4"])
    if node is None:
        raise BenchError("no `node` on the path: install Node.js 18 or newer")
    return [node, str(script)]


def gateway_python() -> str:
    """A Python of its own with FastAPI and uvicorn.

    Raises:
        BenchError: they cannot be installed.
    """
    python = BUILD / "gateway" / "bin" / "python"
    if not (BUILD / "gateway" / ".ready").exists():
        _run([sys.executable, "-m", "venv", str(BUILD / "gateway")])
        _run([str(python), "-m", "pip", "install", "--quiet", "fastapi==0.*", "uvicorn[standard]==0.*"])
        (BUILD / "gateway" / ".ready").touch()
    return str(python)


def py_spy() -> str:
    """A profiler that looks into a process from outside, from PyPI.

    Raises:
        BenchError: it cannot be installed.
    """
    program = BUILD / "profiler" / "bin" / "py-spy"
    if not program.exists():
        _run([sys.executable, "-m", "venv", str(BUILD / "profiler")])
        _run([str(program.with_name("python")), "-m", "pip", "install", "--quiet", "py-spy==0.*"])
    return str(program)


def _run(command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=_INSTALL_WITHIN,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{command[0]} did not end in {_INSTALL_WITHIN:g} s") from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it says nothing"]
        raise BenchError(f"{' '.join(command[:2])} failed: {last[0]}")
