"""Whoever has the README and nothing else gets to a handler that has run."""

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from receiver.running import free_port
from receiver.sandbox import Sandbox
from tests.pages import ROOT, Page
from tests.watch import eventually
from tests.wheel import copy_sources

README = Page(ROOT / "README.md")
STEPS = README.text.partition("<!-- start -->")[2].partition("Without an account, post")[0]
COMMANDS = re.findall(r"^\$ (.*)$", STEPS, re.MULTILINE)
INSTALL, SERVE = COMMANDS[0], "receiver serve"
LONGEST_SECONDS = 600


class Newcomer:
    """Types one command after the other, in a checkout that nothing was done in yet."""

    def __init__(self, checkout, environment):
        self.checkout = checkout
        self.environment = {**os.environ, **environment}

    def type(self, command):
        result = subprocess.run(
            self._shell(command),
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout

    @contextmanager
    def serving(self):
        process = subprocess.Popen(self._shell(f"exec {SERVE}"), cwd=self.checkout, env=self.environment)
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()

    def _shell(self, command):
        activated = self.checkout / ".venv" / "bin" / "activate"
        return ["bash", "-c", f". {activated} && {command}" if activated.exists() else command]


@pytest.mark.drill
def test_the_steps_lead_from_nothing_to_a_handler_that_has_run(tmp_path, record_property):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    copy_sources(checkout)
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", "\n".join(COMMANDS), re.MULTILINE))
    web = f"127.0.0.1:{free_port()}"
    with Sandbox(secret=exported["CREATIVEAI_WEBHOOK_SECRET"], api_key=exported["CREATIVEAI_API_KEY"]) as sandbox:
        newcomer = Newcomer(
            checkout,
            {
                **exported,
                "RECEIVER_SOURCES__CREATIVEAI__BASE_URL": sandbox.base_urls["creativeai"],
                "RECEIVER_PUBLIC_URL": f"http://{web}",
                "RECEIVER_WEB__BIND": web,
                "RECEIVER_ADMIN__BIND": f"127.0.0.1:{free_port()}",
            },
        )
        began = time.monotonic()
        newcomer.type(INSTALL)
        installed = time.monotonic()
        before, after = COMMANDS[1 : COMMANDS.index(SERVE)], COMMANDS[COMMANDS.index(SERVE) + 1 :]
        for command in before:
            newcomer.type(command)
        with newcomer.serving():
            for command in after:
                newcomer.type(command)
            eventually(lambda: "done" in newcomer.type("receiver dispatches --handler results"), within=60)
            ended = time.monotonic()
    record_property("commands", len(COMMANDS))
    record_property("installing", f"{installed - began:.0f} s")
    record_property("all else", f"{ended - installed:.0f} s")

    assert ended - began < LONGEST_SECONDS
