"""Where the time goes in a web worker under load, and in the worker that runs handlers. From py-spy, which looks in."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bench import tools
from bench.load import post
from bench.plan import Plan
from bench.receivers import Receiver
from bench.tools import FOLDER, BenchError

_SECONDS = 8
_RATE = 250
_SHOWN = 15
_STARTED_AFTER = 3
_NO_FRAME = "no frame of Python's"
_CONNECTIONS = 32
_STANDARD_LIBRARY = f"python{sys.version_info.major}.{sys.version_info.minor}"
_NOOP = f'[handlers.noop]\npath = "{FOLDER / "noop.py"}"\nconcurrency = 16\n'


def report(plan: Plan) -> str:
    """Both profiles, as text."""
    receiver, requests = Receiver("profile", _NOOP), plan.requests("profile")
    with receiver.web() as web:
        post(receiver.port, requests.portion(plan.count(2)), connections=_CONNECTIONS, seconds=2)
        alone = _profiled(web.process.pid, receiver, plan, "web")
        with receiver.running("work") as work:
            # What it does to start is not asked about.
            time.sleep(_STARTED_AFTER)
            working = _profiled(work.process.pid, receiver, plan, "work")
    return "\n".join(["## The web workers under load", "", alone, "", "## The worker, a no-op handler", "", working])


def _profiled(pid: int, receiver: Receiver, plan: Plan, name: str) -> str:
    """What a process and those below it are at while deliveries are posted."""
    file = receiver.folder / f"{name}.folded"
    command = [tools.py_spy(), "record", "--pid", str(pid), "--duration", str(_SECONDS), "--rate", str(_RATE)]
    # Without the native frames, samples pile up where the lock is taken and given back.
    options = ["--format", "raw", "--output", str(file), "--gil", "--native", "--subprocesses"]
    requests = plan.requests(f"profile-{name}", first=10**8 if name == "web" else 2 * 10**8)
    with open(receiver.folder / f"{name}.log", "wb") as log:
        profiler = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        try:
            post(receiver.port, requests.portion(plan.count(_SECONDS)), connections=_CONNECTIONS, seconds=_SECONDS)
        finally:
            if profiler.wait(30) != 0:
                raise BenchError(f"py-spy cannot look into the process; see {log.name}")
    return _top(file)


def _top(file: Path) -> str:
    """What held the interpreter's lock most: packages and functions by themselves, then ours with what they called."""
    packages, alone, together = Counter[str](), Counter[str](), Counter[str]()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_named(frame) for frame in stack.split(";") if ".py:" in frame] or [_NO_FRAME]
        packages[_package(frames[-1])] += int(count)
        alone[frames[-1]] += int(count)
        for frame in set(frames):
            if _package(frame) == "receiver":
                together[frame] += int(count)
    total = alone.total()
    if not total:
        raise BenchError(f"{file} holds no samples: the process had nothing to do")
    parts = {"packages": packages, "functions": alone, "ours, with what they called": together}
    return "\n\n".join([f"{total} samples", *("\n".join(_list(title, part, total)) for title, part in parts.items())])


def _package(frame: str) -> str:
    """Whose code it is: of the library's modules, each is told apart."""
    place = frame.partition(" (")[2].rstrip(")")
    return place.partition("/")[0].removesuffix(".py")


def _list(title: str, counted: Counter[str], total: int) -> list[str]:
    lines = [f"{count / total:6.1%}  {name}" for name, count in counted.most_common(_SHOWN)]
    return [f"{title}:", *lines]


def _named(frame: str) -> str:
    """A function, and its file below wherever that is installed."""
    name, _, place = frame.partition(" (")
    file = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
    parts = Path(file).parts
    for root in ("site-packages", _STANDARD_LIBRARY, FOLDER.parent.name):
        if root in parts:
            file = "/".join(parts[parts.index(root) + 1 :])
            break
    return f"{name} ({file})"
