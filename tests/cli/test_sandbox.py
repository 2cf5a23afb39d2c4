"""The command that stands in for the providers."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import contextmanager

import httpx
import pytest

from receiver import plugins
from receiver.config import load
from receiver.outbound import ProviderClient
from receiver.sandbox import Fate
from tests.running import free_port
from tests.watch import eventually

KEY = {"Authorization": "Bearer sandbox-key"}


class Served:
    """One `receiver sandbox`, and what it has printed."""

    def __init__(self, folder, *options):
        self._printed, self._told = folder / "stdout", folder / "stderr"
        with open(self._printed, "wb") as stdout, open(self._told, "wb") as stderr:
            command = [sys.executable, "-m", "receiver", "sandbox", "--port", "0", *options]
            self.process = subprocess.Popen(command, env=dict(os.environ), stdout=stdout, stderr=stderr)

    @property
    def printed(self):
        return self._printed.read_text("utf-8")

    @property
    def told(self):
        return self._told.read_text("utf-8")

    @property
    def sources(self):
        return tomllib.loads(self.printed).get("sources", {})

    def create(self, **headers):
        """The id of a new video; its webhook goes where nobody is."""
        body = {"prompt": "a scene", "webhook_url": "http://127.0.0.1:9/"}
        url = f"{self.sources['creativeai']['base_url']}/v1/video/generations"
        return httpx.post(url, json=body, headers={**KEY, **headers}).json()["id"]


@contextmanager
def serving(folder, *options):
    served = Served(folder, *options)
    try:
        eventually(lambda: "newapi" in served.sources or served.process.poll() is not None, within=30)
        assert served.process.poll() is None, served.told
        yield served
    finally:
        served.process.kill()
        served.process.wait()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One whose jobs end at once."""
    with serving(tmp_path_factory.mktemp("sandbox"), "--duration", "1ms") as running:
        yield running


def test_prints_sources_that_work_as_they_are(served, tmp_path):
    file = tmp_path / "receiver.toml"
    file.write_text(served.printed)

    sources = plugins.sources(load(file))

    assert set(sources) == {"creativeai", "kpainter", "newapi", "omnivideo"}
    with ProviderClient() as client:
        for source in sources.values():
            client.first(source.provider, source.provider.check(), source.provider.checked)


def test_tells_of_each_request(served):
    job_id = served.create()
    httpx.get(f"{served.sources['creativeai']['base_url']}/v1/video/generations/{job_id}", headers=KEY)

    lines = served.told.splitlines()

    assert "POST /creativeai/v1/video/generations 202" in lines
    assert f"GET /creativeai/v1/video/generations/{job_id} 200" in lines


@pytest.mark.parametrize(
    ("fate", "what"), [("lost", "lost"), ("", "refused, will be tried again")], ids=["lost", "nobody-there"]
)
def test_tells_of_each_webhook(served, fate, what):
    job_id = served.create(**{"X-Sandbox": fate})

    assert eventually(lambda: f"webhook {job_id} {what}" in served.told.splitlines())


def test_shows_nothing_that_moves_the_cursor(served):
    httpx.get(f"{served.sources['newapi']['base_url']}/%1b[31m%0a", headers=KEY)

    assert eventually(lambda: "GET /newapi/?[31m? 404" in served.told.splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_although_webhooks_wait(tmp_path, number):
    with serving(tmp_path, "--duration", "1h") as served:
        served.create()

        served.process.send_signal(number)

        assert served.process.wait(10) == 0
    assert "Traceback" not in served.told


def test_does_what_its_options_say(tmp_path):
    options = ["--lost", "1", "--failed", "1", "--duration", "10s", "--speed", "1000", "--budget", "1/h"]
    with serving(tmp_path, *options, "--secret", 'a "secret"', "--api-key", "sandbox-key") as served:
        job_id = served.create()

        assert eventually(lambda: f"webhook {job_id} lost" in served.told)
        answer = httpx.get(f"{served.sources['creativeai']['base_url']}/v1/models", headers=KEY)
        assert answer.status_code == 429
        assert served.sources["creativeai"]["secrets"] == ['a "secret"']


def test_says_in_one_line_that_the_port_is_taken(receiver, served):
    port = served.sources["newapi"]["base_url"].split(":")[2].partition("/")[0]

    result = receiver("sandbox", "--port", port)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"receiver: cannot listen on 127.0.0.1:{port} (")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--lost", "2"], "--lost", id="share"),
        pytest.param(["--duration", "soon"], 'write a duration as "30s"', id="duration"),
        pytest.param(["--budget", "much"], 'write a budget as "10/s"', id="budget"),
        pytest.param(["--outage-every", "1m"], "outage_every and outage_for belong together", id="half-an-outage"),
        pytest.param(["--speed", "0"], "speed must be greater than 0", id="speed"),
    ],
)
def test_refuses_what_cannot_be(receiver, options, said):
    result = receiver("sandbox", "--port", free_port(), *options)

    assert result.exit_code == 2
    assert said in result.stderr


def test_tells_authors_which_fates_there_are(receiver):
    text = " ".join(receiver("sandbox", "--help").stdout.split())

    assert all(re.search(rf"\b{fate}\b", text) for fate in Fate)
