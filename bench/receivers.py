"""The receiver under test, in a folder of its own, with the settings it has by default."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from bench.load import SECRET
from bench.processes import Running, free_port, started
from bench.tools import BUILD
from receiver.cli.run import gunicorn_command
from receiver.supervisor import NICENESS

_TABLES = """\
log_format = "text"
store = "{store}"

[web]
bind = "127.0.0.1:{port}"

[admin]
enabled = false

[sources.creativeai]
provider = "creativeai"
secrets = ["{secret}"]
"""


class Receiver:
    """One store, and the processes that work on it."""

    def __init__(
        self, name: str, tables: str = "", *, creativeai: str = "", store: str = "sqlite:///receiver.db"
    ) -> None:
        """`tables` are further ones of `receiver.toml`, `creativeai` further lines of that source."""
        self.folder = empty_folder(name)
        self.store = self.folder / "receiver.db"
        self.port = free_port()
        self._config = self.folder / "receiver.toml"
        self._config.write_text(_TABLES.format(port=self.port, secret=SECRET, store=store) + creativeai + "\n" + tables)

    @property
    def environment(self) -> dict[str, str]:
        """What commands need to find it, and to count as they do below `receiver serve` and below systemd."""
        return {"RECEIVER_CONFIG": str(self._config), "RECEIVER_METRICS__DIRECTORY": str(self.folder / "metrics")}

    @contextmanager
    def web(self, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
        """The endpoint: gunicorn with two workers."""
        with self.running("web", port=self.port, environment=environment) as web:
            yield web

    @contextmanager
    def running(
        self, *command: str, port: int | None = None, environment: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """One command of `receiver`."""
        with started(
            self.command(*command),
            log=self.folder / "receiver.log",
            environment={**self.environment, **(environment or {})},
            port=port,
        ) as process:
            yield process

    @contextmanager
    def bare(self) -> Iterator[tuple[Running, int]]:
        """The app that only answers, on the same server with the same settings, counting nothing; and its port."""
        port = free_port()
        command = [*gunicorn_command()[:-1], "bench.peers.bare:app"]
        environment = {"RECEIVER_CONFIG": str(self._config), "RECEIVER_WEB__BIND": f"127.0.0.1:{port}"}
        with started(command, log=self.folder / "bare.log", environment=environment, port=port) as process:
            yield process, port

    def command(self, *arguments: str) -> list[str]:
        """A command of `receiver`, with this Python, and as politely as `receiver serve` would start it."""
        polite = ["nice", "-n", str(NICENESS)] if arguments[0] in ("work", "reconcile") else []
        return [*polite, sys.executable, "-m", "receiver", *arguments]

    def count(self, statement: str) -> int:
        """The number that a query finds."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10)) as db:
            [number] = db.execute(statement).fetchone()
        return int(number)

    @property
    def event_count(self) -> int:
        """How many events are stored."""
        return self.count("SELECT count(*) FROM events")

    @property
    def bytes_on_disk(self) -> int:
        """The database without its log, which is bounded."""
        with closing(sqlite3.connect(self.store, timeout=30)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return os.path.getsize(self.store)


def empty_folder(name: str) -> Path:
    """A folder of that name with nothing in it."""
    folder = BUILD / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
