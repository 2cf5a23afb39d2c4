"""Commands that change something."""

import json

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.config import load
from receiver.store import open_store
from receiver.store.base import EventFilter
from tests.cli.conftest import TABLES
from tests.running import SECRET, Running, free_port
from tests.support import sample

UNSIGNED = '[sources.creativeai]\nprovider = "creativeai"\nunsigned = true\napi_key = "key"'
FORGE = '[sources.forge]\nprovider = "generic"\npreset = "github"\nsecrets = ["the-secret-of-the-forge"]'
TYPES = [
    "video.generation.completed",
    "video.generation.failed",
    "video.batch.completed",
    "image.generation.completed",
    "voice.generation.failed",
    "compose.generation.completed",
    "chart-to-video.generation.completed",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A receiver that runs; the tests keep apart by their jobs."""
    receiver = Running(tmp_path_factory.mktemp("running"), FORGE)
    with receiver.serving():
        yield receiver


@pytest.fixture
def send(running, monkeypatch):
    """Runs `receiver send`."""
    monkeypatch.setenv("RECEIVER_CONFIG", str(running.config))
    return lambda *arguments: CliRunner().invoke(main, ["send", *arguments], catch_exceptions=False)


class TestTrack:
    def test_expects_a_job(self, receiver, store):
        result = receiver("track", "creativeai", "vgen_1", "--kind", "video")

        assert (result.exit_code, result.stdout) == (0, "vgen_1 is tracked\n")
        assert store.job("creativeai", "vgen_1").kind == "video"

    def test_keeps_metadata(self, receiver, store):
        receiver("track", "creativeai", "vgen_1", "--kind", "video", "--metadata", '{"order": 17}')

        assert store.job("creativeai", "vgen_1").metadata == {"order": 17}

    def test_may_be_repeated(self, receiver, store):
        receiver("track", "creativeai", "vgen_1", "--kind", "video")

        result = receiver("track", "creativeai", "vgen_1", "--kind", "video", "--metadata", '{"order": 17}')

        assert result.stdout == "vgen_1 was known already; its kind and metadata are updated\n"
        assert store.job("creativeai", "vgen_1").metadata == {"order": 17}

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            pytest.param(["none", "a", "--kind", "video"], "there is no source 'none'", id="source"),
            pytest.param(["creativeai", "a", "--kind", "none"], "has no kind 'none'; it has video, batch", id="kind"),
            pytest.param(["creativeai", "a"], "give --kind, or the --intent", id="no-kind"),
            pytest.param(["creativeai", "a", "--kind", "video", "--metadata", "{"], "not JSON", id="metadata"),
            pytest.param(["creativeai", "a", "--kind", "video", "--metadata", "[]"], "a JSON object", id="list"),
            pytest.param(
                ["creativeai", "a", "--kind", "video", "--metadata", '{"a": NaN}'], "NaN is not a JSON number", id="nan"
            ),
            pytest.param(["creativeai", "", "--kind", "video"], "job_id is not an id", id="no-job"),
            pytest.param(["creativeai", "a\nb", "--kind", "video"], "job_id is not an id", id="unprintable"),
            pytest.param(["creativeai", "x" * 257, "--kind", "video"], "job_id is not an id", id="too-long"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong(self, receiver, arguments, error):
        result = receiver("track", *arguments)

        assert result.exit_code == 2
        assert error in result.stderr

    def test_tracks_nothing_that_is_wrong(self, receiver, store):
        receiver("track", "creativeai", "a", "--kind", "video", "--metadata", '{"a": NaN}')

        assert store.job("creativeai", "a") is None

    def test_expects_a_job_with_the_longest_id(self, receiver, store):
        assert receiver("track", "creativeai", "x" * 256, "--kind", "video").exit_code == 0


class TestMigrate:
    def test_says_that_there_is_nothing_to_do(self, receiver):
        assert receiver("migrate").stdout == "the store is up to date\n"


class TestSend:
    @pytest.mark.parametrize("event_type", TYPES)
    def test_is_accepted(self, send, running, event_type):
        result = send("--type", event_type, "--job", event_type)

        store = open_store(load(running.config))
        [row] = store.list_events(EventFilter(job_id=event_type), limit=10).rows
        store.close()
        assert (result.exit_code, result.stdout) == (0, "202 Accepted\n")
        assert row["type"] == event_type

    def test_repeats_itself(self, send):
        assert send("--job", "repeated", "--repeat", "3").stdout == "202 Accepted\n200 OK\n200 OK\n"

    @pytest.mark.parametrize("event_type", TYPES)
    def test_is_refused_when_changed(self, send, event_type):
        result = send("--type", event_type, "--job", f"changed-{event_type}", "--tamper")

        assert (result.exit_code, result.stdout) == (1, "401 Unauthorized\n")

    def test_is_refused_without_a_signature(self, send):
        result = send("--job", "unsigned", "--unsigned")

        assert (result.exit_code, result.stdout) == (1, "401 Unauthorized\n")

    def test_is_refused_with_another_secret(self, send):
        assert send("--job", "forged", "--secret", "another-secret").exit_code == 1

    def test_sends_a_body_of_ones_own(self, send, running, tmp_path):
        file = tmp_path / "body.json"
        file.write_bytes(sample("creativeai/webhooks/voice_completed"))

        assert send("--source", "creativeai", "--body", str(file)).stdout == "202 Accepted\n"

    def test_signs_as_the_provider_of_the_source_does(self, send, tmp_path):
        file = tmp_path / "body.json"
        file.write_text('{"zen": "Keep it logically awesome."}')

        assert send("--source", "forge", "--body", str(file)).stdout == "202 Accepted\n"

    def test_makes_up_only_what_creativeai_sends(self, send):
        result = send("--source", "forge")

        assert result.exit_code == 2
        assert "give the --body that generic would send" in result.stderr

    def test_can_go_elsewhere(self, receiver, running):
        result = receiver("send", "--job", "elsewhere", "--url", running.url)

        assert result.stdout == "202 Accepted\n"

    def test_needs_no_secret_to_be_unsigned(self, receiver, config, running):
        config.write_text(UNSIGNED)

        result = receiver("send", "--job", "unsigned", "--unsigned", "--url", running.url)

        assert result.stdout == "401 Unauthorized\n"

    @pytest.mark.parametrize(
        ("tables", "arguments", "error"),
        [
            pytest.param("", [], "say which --source (none that is configured", id="no-source"),
            pytest.param(
                TABLES + TABLES.replace("creativeai]", "other]").partition("[handlers")[0],
                [],
                "say which --source (creativeai, other)",
                id="two-sources",
            ),
            pytest.param(TABLES, ["--source", "none"], "there is no source 'none'", id="unknown-source"),
            pytest.param(TABLES, ["--type", "video"], "such as video.generation.completed", id="type"),
            pytest.param(UNSIGNED, [], "the source creativeai has no secret", id="no-secret"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong(self, receiver, config, tables, arguments, error):
        config.write_text(tables)

        result = receiver("send", *arguments)

        assert result.exit_code == 2
        assert error in result.stderr

    @pytest.mark.parametrize("url", [None, "nowhere"], ids=["nobody", "no-url"])
    def test_fails_where_nobody_answers(self, receiver, url):
        result = receiver("send", "--url", url or f"http://127.0.0.1:{free_port()}")

        assert result.exit_code == 1
        assert result.stderr.startswith("receiver: nothing answers at ")
        assert result.stderr.count("\n") == 1

    def test_does_not_show_the_secret(self, send):
        assert SECRET not in json.dumps(send("--job", "shown").output)
