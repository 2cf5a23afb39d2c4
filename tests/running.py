"""Real receivers in real processes on loopback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from receiver.running import free_port
from tests.toml import assignments
from tests.watch import eventually

SECRET = "the-signing-secret"
API_KEY = "the-api-key"


class Running:
    """One `receiver serve` in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        tables: str,
        *,
        base_url: str = "http://127.0.0.1:9",
        lease: str = "2s",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """`settings` are those outside of all tables, such as `store`."""
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.config = folder / "receiver.toml"
        self.config.write_text(
            f"""
            {assignments(settings or {})}
            [web]
            bind = "{self.url.removeprefix("http://")}"

            [admin]
            enabled = false

            [worker]
            lease = "{lease}"

            [sources.creativeai]
            provider = "creativeai"
            secrets = ["{SECRET}"]
            api_key = "{API_KEY}"
            base_url = "{base_url}"
            {tables}
            """
        )

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it until the end of the block, where it must stop by itself when asked to."""
        with self.running("serve") as process:
            eventually(lambda: self.ready() or process.poll() is not None, within=30)
            assert process.poll() is None, self.log
            yield process

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run one command beside others until the end of the block."""
        with open(self.folder / "receiver.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "receiver", *arguments], env=self.environment, stdout=log, stderr=log
            )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, self.log
        finally:
            process.kill()
            process.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command against the same configuration."""
        return subprocess.run(
            [sys.executable, "-m", "receiver", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "RECEIVER_CONFIG": str(self.config)}

    @property
    def log(self) -> str:
        return (self.folder / "receiver.log").read_text()

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False


def descendants(pid: int) -> dict[int, str]:
    """The command line of every process below this one."""
    found = {}
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            found |= descendants(child)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found
