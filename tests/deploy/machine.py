"""A machine as `deploy/` sets it up: services started as their units say, and senders."""

import configparser
import fcntl
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from receiver import sandbox
from tests.running import SECRET
from tests.watch import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
INSTALLED = "/opt/receiver/bin/receiver"
HOOKS, ADMIN = "hooks.example.com", "admin.example.com"
_FIRST_PASSED_ON = 3
_WITHIN = 60


def program(name: str, package: str) -> str:
    """Where a program of Debian's is; without it the test is skipped on a desk, and fails in CI."""
    # Debian has some of them where only root looks.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        missing = f"no {name}: apt-get install {package}"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return found


def commands_of(name: str, key: str) -> list[str]:
    """What a file of `deploy/systemd` has run one after the other, such as for `ExecReload`."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / "systemd" / name).read_text("utf-8"), re.MULTILINE)


def unit(name: str) -> configparser.ConfigParser:
    """A file of `deploy/systemd`."""
    # Sections and keys as they are written; of a key that is there twice, the last.
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string((DEPLOY / "systemd" / name).read_text("utf-8"))
    return parser


class Service:
    """The process of a unit. Where it has a socket, that stays open while the process is started anew."""

    def __init__(
        self, name: str, environment: Mapping[str, str], log: Path, *, listener: socket.socket | None = None
    ) -> None:
        self._unit = unit(name)["Service"]
        self._reload = commands_of(name, "ExecReload")
        self._environment = {**os.environ, **environment}
        self._log = log
        # Above the numbers that systemd hands down.
        self._listener = None if listener is None else fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 100)
        self.process = self._start()

    def restart(self, environment: Mapping[str, str] | None = None) -> None:
        """`systemctl restart`, with other variables where an upgrade changes them."""
        self.stop()
        self._environment |= environment or {}
        self.process = self._start()

    def reload(self) -> None:
        """`systemctl reload`: one command after the other, until one fails, which raises `CalledProcessError`."""
        environment = self._environment | {"MAINPID": str(self.process.pid)}
        with open(self._log, "ab") as log:
            for command in self._reload:
                here = command.replace(INSTALLED, f"{sys.executable} -m receiver")
                subprocess.run(
                    ["sh", "-c", here],
                    env=environment,
                    cwd=self._log.parent,
                    stdout=log,
                    stderr=log,
                    check=True,
                    timeout=60,
                )

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """What a command prints, with the variables that the service has, and others for another version."""
        command = [sys.executable, "-m", "receiver", *arguments]
        variables = self._environment | (environment or {})
        result = subprocess.run(
            command, env=variables, cwd=self._log.parent, capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def stop(self) -> None:
        """`systemctl stop`: in time, or it is killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(int(self._unit["TimeoutStopSec"]))
        finally:
            self.process.kill()
            self.process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        installed, _, arguments = self._unit["ExecStart"].partition(" ")
        assert installed == INSTALLED
        command = [sys.executable, "-m", "receiver", *arguments.split()]
        with open(self._log, "ab") as log:
            if self._listener is None:
                return subprocess.Popen(command, env=self._environment, cwd=self._log.parent, stdout=log, stderr=log)
            listener = self._listener
            activated = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *command]
            return subprocess.Popen(
                activated,
                env=self._environment,
                cwd=self._log.parent,
                stdout=log,
                stderr=log,
                pass_fds=[_FIRST_PASSED_ON],
                preexec_fn=lambda: os.dup2(listener, _FIRST_PASSED_ON),
            )


class Load:
    """Senders that post one delivery after another, each over a connection of its own, until told to stop."""

    def __init__(self, url: str, *, verify: ssl.SSLContext | None = None, senders: int = 6) -> None:
        self.answers: dict[str, int | str] = {}
        """What each job's delivery was answered, or what went wrong."""
        self._url = f"{url}/webhooks/creativeai"
        self._verify = verify or ssl.create_default_context()
        self._senders = senders
        self._stopped = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._post, args=(number,)) for number in range(self._senders)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def goes_on(self, count: int = 20) -> None:
        """Wait until so many more were answered."""
        enough = len(self.answers) + count
        eventually(lambda: len(self.answers) >= enough, within=_WITHIN)

    def _post(self, sender: int) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            job = f"vgen_{sender}_{number}"
            body = sandbox.webhook_body("video", job, status="completed")
            try:
                headers = {**sandbox.signed(body, SECRET), "Host": HOOKS}
                named = {"sni_hostname": HOOKS}
                with httpx.Client(verify=self._verify, timeout=_WITHIN, trust_env=False) as client:
                    answer = client.post(self._url, content=body, headers=headers, extensions=named)
                self.answers[job] = answer.status_code
            except httpx.HTTPError as error:
                self.answers[job] = repr(error)
