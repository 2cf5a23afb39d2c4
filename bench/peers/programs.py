"""Starting what people would use instead: each takes the same signed requests on the port it gives.

Each is given an empty folder, and runs until the end of the block.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench import tools
from bench.load import SECRET
from bench.processes import free_port, started
from bench.tools import FOLDER

_PEERS = FOLDER / "peers"


@contextmanager
def node_red(folder: Path) -> Iterator[int]:
    """Node-RED: verify, append to a file."""
    port = free_port()
    command = [*tools.node_red(), "--settings", str(_PEERS / "settings.js")]
    environment = {"BENCH_PORT": str(port), "BENCH_FOLDER": str(folder), **_environment(folder)}
    with started(command, log=folder / "peer.log", environment=environment, port=port):
        yield port


@contextmanager
def gateway(folder: Path, *options: str) -> Iterator[int]:
    """FastAPI on two uvicorn workers: verify, append to a file."""
    port = free_port()
    options = ("--app-dir", str(_PEERS), "--port", str(port), "--workers", "2", "--no-access-log", *options)
    command = [tools.gateway_python(), "-m", "uvicorn", "gateway:app", *options]
    with started(command, log=folder / "peer.log", environment=_environment(folder), port=port):
        yield port


def plain_gateway(folder: Path) -> AbstractContextManager[int]:
    """The same without uvicorn's optional parts in C, as `pip install fastapi uvicorn` leaves it."""
    return gateway(folder, "--loop", "asyncio", "--http", "h11")


@contextmanager
def webhook(folder: Path) -> Iterator[int]:
    """adnanh/webhook: verify, start a process that does nothing."""
    port = free_port()
    hooks = ["-hooks", str(_PEERS / "hooks.json"), "-template", "-urlprefix", "webhooks"]
    command = [tools.webhook(), *hooks, "-ip", "127.0.0.1", "-port", str(port)]
    with started(command, log=folder / "peer.log", environment=_environment(folder), port=port):
        yield port


def _environment(folder: Path) -> Mapping[str, str]:
    return {"BENCH_SECRET": SECRET, "BENCH_FILE": str(folder / "events.jsonl")}
