"""Commands that run: the reconcile pass, and how the others begin and end."""

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.models import Schedule, Status
from receiver.store.base import DispatchFilter
from tests.cli.conftest import TABLES
from tests.running import API_KEY, eventually
from tests.scripted import Answer, Scripted, always, job

NOTHING, HOUR = timedelta(0), timedelta(hours=1)
DUE = Schedule(first=NOTHING, every={NOTHING: HOUR}, deadline=HOUR)
COLUMNS = ["source", "checked", "recovered", "known", "open", "expired", "lost", "unconfirmed", "failed", "waiting"]


STUCK = """
import threading
import time
from receiver import Router

router = Router()


@router.on()
def never_ends(event):
    threading.Event().wait()
"""


@pytest.fixture
def provider(config):
    """The provider of the configured source."""
    with Scripted(job("completed")) as server:
        config.write_text(TABLES.replace("http://127.0.0.1:9", server.url))
        yield server


@pytest.fixture
def due(store):
    """Two jobs that are due."""
    for job_id in ("vgen_1", "vgen_2"):
        store.track("creativeai", job_id, kind="video", schedule=DUE)


class TestDiscover:
    @pytest.fixture
    def listed(self, config):
        """A provider that lists one job, which ended and which nobody tracked."""
        video = {"id": "video_1", "object": "video", "status": "completed", "created_at": int(time.time())}

        def answer(path):
            return Answer({"object": "list", "data": [video], "has_more": False} if "?" in path else video)

        with Scripted(answer) as server:
            config.write_text(
                f"""
                [sources.openai]
                provider = "openai"
                secrets = ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
                api_key = "key"
                base_url = "{server.url}"
                """
            )
            yield server

    def test_finds_what_nobody_tracked_and_asks_about_it(self, as_json, store, listed):
        found, done = as_json("reconcile", "--discover")

        assert (found["source"], found["listed"], found["tracked"], found["error"]) == ("openai", 1, 1, None)
        assert done["recovered"] == 1
        assert store.job("openai", "video_1").status is Status.SUCCEEDED

    def test_prints_a_table(self, receiver, listed):
        lines = receiver("reconcile", "--discover").stdout.splitlines()

        assert lines[0].split() == ["source", "listed", "tracked"]
        assert lines[2].split() == ["openai", "1", "1"]

    def test_says_which_source_has_no_list(self, receiver, provider):
        result = receiver("reconcile", "--discover", "--source", "creativeai")

        assert result.exit_code == 1
        assert "creativeai: creativeai cannot be asked for its jobs" in result.stderr

    def test_leaves_alone_those_without_a_list_that_were_not_named(self, receiver, provider):
        result = receiver("reconcile", "--discover")

        assert result.exit_code == 0
        assert result.stdout.startswith("no source can be asked for its jobs")

    @pytest.mark.parametrize("other", [["--dry-run"], ["--every", "10s"]])
    def test_goes_with_one_pass(self, receiver, config, other):
        assert receiver("reconcile", "--discover", *other).exit_code == 2


class TestReconcile:
    def test_makes_one_pass(self, receiver, provider, due):
        result = receiver("reconcile")

        lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert lines[0].split() == COLUMNS
        assert lines[2].split() == ["creativeai", "2", "2", "0", "0", "0", "0", "0", "0", "0"]

    def test_names_the_jobs_that_ended(self, receiver, provider, due):
        lines = receiver("reconcile").stdout.splitlines()

        assert sorted(lines[3:]) == ["creativeai vgen_1 (video) recovered", "creativeai vgen_2 (video) recovered"]

    def test_prints_objects_for_programs(self, as_json, provider, due):
        [row] = as_json("reconcile")

        assert (row["source"], row["checked"], row["recovered"]) == ("creativeai", 2, 2)
        assert sorted(found["job"] for found in row["jobs"]) == ["vgen_1", "vgen_2"]

    def test_succeeds_when_nothing_is_due(self, receiver, provider):
        assert receiver("reconcile").exit_code == 0

    def test_says_that_there_are_no_sources(self, receiver, config):
        config.write_text("")

        assert receiver("reconcile").stdout == "no sources are configured\n"

    def test_fails_when_a_job_got_no_answer(self, receiver, provider, due):
        provider.answer = always(Answer({"error": {"message": "oh"}}, status=500))

        result = receiver("reconcile")

        assert result.exit_code == 1
        assert "creativeai vgen_1 (video) failed: HTTP 500: oh" in result.stdout.splitlines()

    def test_fails_when_the_key_is_refused(self, receiver, provider, due):
        provider.answer = always(Answer({}, status=401))

        result = receiver("reconcile")

        assert result.exit_code == 1
        assert "check sources.creativeai.api_key" in result.stderr

    def test_says_how_many_wait_for_the_budget(self, receiver, config, provider, due):
        config.write_text(config.read_text().replace("[handlers", 'budget = "1/min"\n[handlers'))

        result = receiver("reconcile")

        assert result.exit_code == 0
        assert "creativeai: 1 more are due" in result.stderr

    def test_does_not_let_a_provider_write_on_the_terminal(self, receiver, provider, due):
        provider.answer = always(Answer({"error": {"message": "\x1b[31mred\nsecond line"}}, status=500))

        result = receiver("reconcile")

        assert "\x1b" not in result.output
        assert len(result.stdout.splitlines()) == 5

    @pytest.mark.parametrize("status", [500, 401])
    @pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
    def test_shows_and_logs_no_key_that_the_provider_echoes(self, receiver, provider, due, status, options):
        provider.answer = always(Answer({"error": {"message": f"not with {API_KEY}"}}, status=status))

        result = receiver("reconcile", *options)

        assert "not with (masked)" in result.output
        assert API_KEY not in result.output

    def test_can_be_for_one_source(self, receiver, config, provider, store, due):
        other = config.read_text().replace("[sources.creativeai]", "[sources.other]").partition("[handlers")[0]
        config.write_text(config.read_text() + other)
        store.track("other", "vgen_3", kind="video", schedule=DUE)

        receiver("reconcile", "--source", "other")

        assert provider.paths == ["/v1/video/generations/vgen_3"]

    def test_says_that_there_is_no_such_source(self, receiver, provider):
        result = receiver("reconcile", "--source", "none")

        assert result.exit_code == 2
        assert "there is no source 'none'" in result.stderr


class TestDryRun:
    def test_prints_what_is_due(self, receiver, provider, due):
        lines = receiver("reconcile", "--dry-run").stdout.splitlines()

        assert lines[0].split() == ["source", "job", "kind", "status", "polls", "deadline", "at"]
        assert sorted(line.split()[1] for line in lines[2:]) == ["vgen_1", "vgen_2"]

    def test_prints_objects_for_programs(self, as_json, provider, due):
        assert [row["kind"] for row in as_json("reconcile", "--dry-run")] == ["video", "video"]

    def test_asks_nobody(self, receiver, provider, due):
        receiver("reconcile", "--dry-run")

        assert provider.asked == []

    def test_takes_nothing(self, receiver, provider, due):
        receiver("reconcile", "--dry-run")

        assert "vgen_1" in receiver("reconcile", "--dry-run").stdout

    def test_says_that_nothing_is_due(self, receiver, provider):
        assert receiver("reconcile", "--dry-run").stdout == "nothing is due\n"


class TestGoingOn:
    @pytest.fixture
    def options(self):
        return []

    @pytest.fixture
    def reconciling(self, config, provider, options):
        """`receiver reconcile --every 50ms`, in a process of its own."""
        command = [sys.executable, "-m", "receiver", "--config", str(config), "reconcile", "--every", "50ms", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            yield process
            process.kill()

    def test_finds_what_comes_due(self, store, provider, reconciling):
        store.track("creativeai", "vgen_1", kind="video", schedule=DUE)
        eventually(lambda: provider.asked)
        store.track("creativeai", "vgen_2", kind="video", schedule=DUE)

        eventually(lambda: len(provider.asked) == 2)

    def test_prints_what_it_found(self, store, provider, reconciling):
        store.track("creativeai", "vgen_1", kind="video", schedule=DUE)

        lines = [reconciling.stdout.readline().decode().split() for _ in range(4)]

        assert lines[0] == COLUMNS
        assert lines[2][:3] == ["creativeai", "1", "1"]
        assert lines[3] == ["creativeai", "vgen_1", "(video)", "recovered"]

    @pytest.mark.parametrize("options", [["--json"]], ids=["json"])
    def test_prints_nothing_of_what_is_still_open(self, store, provider, reconciling):
        provider.answer = job("processing")
        store.track("creativeai", "vgen_1", kind="video", schedule=DUE)
        eventually(lambda: provider.asked)
        provider.answer = job("completed")
        store.track("creativeai", "vgen_2", kind="video", schedule=DUE)

        found = json.loads(reconciling.stdout.readline())

        assert (found["source"], found["recovered"]) == ("creativeai", 1)
        assert found["jobs"] == [{"job": "vgen_2", "finding": "recovered", "error": None}]

    @pytest.mark.parametrize("options", [["--every", "1h"]], ids=["hourly"])
    def test_makes_no_pass_while_another_has_the_turn(self, config, store, provider, options, request):
        source = config.read_text().partition("[handlers")[0]
        config.write_text(source + source.replace("sources.creativeai", "sources.other"))
        for source in ("creativeai", "other"):
            store.track(source, "vgen_1", kind="video", schedule=DUE)
        store.claim_turn("reconcile:creativeai", every=HOUR)

        request.getfixturevalue("reconciling")
        eventually(lambda: store.job("other", "vgen_1").finished_at)

        assert store.job("creativeai", "vgen_1").poll_count == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["terminated", "interrupted"])
    def test_stops_when_asked_to(self, store, provider, reconciling, number):
        store.track("creativeai", "vgen_1", kind="video", schedule=DUE)
        eventually(lambda: store.job("creativeai", "vgen_1").finished_at)

        reconciling.send_signal(number)

        assert reconciling.wait(10) == 0


@pytest.mark.parametrize("name", ["serve", "web", "work", "reconcile"])
def test_a_broken_configuration_starts_nothing(receiver, config, name):
    config.write_text("[sources.a]\nprovider = 'none'\n[handlers.a]\npath = 'none.py'")

    result = receiver(name)

    assert result.exit_code == 2
    assert result.stderr.startswith("receiver: ")


def test_a_worker_stops_when_asked_to(config, store, post):
    post("vgen_1")
    command = [sys.executable, "-m", "receiver", "--config", str(config), "work"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        eventually(lambda: store.list_dispatches(DispatchFilter(handler="orders", state="done"), limit=1).rows)

        process.terminate()

        assert process.wait(10) == 0


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-m", "receiver"], id="module"),
        pytest.param([str(Path(sys.executable).with_name("receiver"))], id="script"),
    ],
)
def test_a_worker_finds_modules_beside_the_configuration(config, store, post, tmp_path_factory, command):
    config.write_text('[handlers.orders]\nmodule = "my_handlers.orders"')
    (config.parent / "my_handlers").mkdir()
    (config.parent / "orders.py").rename(config.parent / "my_handlers" / "orders.py")
    post("vgen_1")
    command = [*command, "--config", str(config), "work"]
    with subprocess.Popen(command, cwd=tmp_path_factory.mktemp("elsewhere"), stderr=subprocess.PIPE) as process:
        try:
            eventually(lambda: store.list_dispatches(DispatchFilter(handler="orders", state="done"), limit=1).rows)
        finally:
            process.terminate()


def test_a_worker_with_too_many_attempts_that_never_end_ends_as_one_that_failed(config, store, post):
    config.write_text(f'{TABLES}timeout = "1ms"\nconcurrency = 100\npark_after = 1000')
    (config.parent / "orders.py").write_text(STUCK)
    for number in range(100):
        post(f"vgen_{number}")

    result = subprocess.run(
        [sys.executable, "-m", "receiver", "--config", str(config), "work"], stderr=subprocess.PIPE, timeout=60
    )

    assert result.returncode == 1
    assert b"too many attempts ran past their time" in result.stderr
