"""The commands around create calls: submit, track --intent, withdraw, catalog, and what jobs shows of them."""

import json

import pytest
from click.testing import CliRunner

from receiver.cli import main
from tests.cli.conftest import TABLES
from tests.scripted import Answer, Scripted, always

ACCEPTED = Answer({"id": "vgen_1", "status": "processing"}, status=202)
VIDEO = '{"prompt": "a scene"}'


@pytest.fixture
def provider(config):
    """What the configured source asks."""
    with Scripted(always(ACCEPTED)) as server:
        config.write_text(TABLES.replace("http://127.0.0.1:9", server.url))
        yield server


@pytest.fixture
def submit(receiver, provider, tmp_path):
    """Runs `receiver submit creativeai video BODY`, with more arguments."""
    (tmp_path / "body.json").write_text(VIDEO)
    return lambda *more: receiver("submit", "creativeai", "video", tmp_path / "body.json", *more)


@pytest.fixture
def in_doubt(submit, provider, store):
    """The id of an intent that nobody knows the outcome of."""
    provider.answer = always(None)
    submit("--metadata", '{"order": 17}')
    [row] = store.list_intents(source=None, limit=10)
    return row["intent"]


class TestSubmit:
    def test_prints_the_job(self, submit):
        result = submit()

        assert result.exit_code == 0
        assert result.stdout.split()[-3:] == ["vgen_1", "video", "queued"]

    def test_prints_an_object_for_programs(self, submit):
        expected = {"source": "creativeai", "job": "vgen_1", "kind": "video", "status": "queued"}

        assert json.loads(submit("--json").stdout) == expected

    def test_keeps_metadata(self, submit, store):
        submit("--metadata", '{"order": 17}')

        assert store.job("creativeai", "vgen_1").metadata == {"order": 17}

    def test_reads_the_body_from_standard_input(self, config, provider, monkeypatch):
        monkeypatch.setenv("RECEIVER_CONFIG", str(config))

        result = CliRunner().invoke(main, ["submit", "creativeai", "video", "-"], input=VIDEO)

        assert result.exit_code == 0
        assert json.loads(provider.asked[0].body) == json.loads(VIDEO)

    def test_says_that_nobody_can_call_back_without_a_public_url(self, submit):
        assert "public_url is not set" in submit().stderr

    def test_says_nothing_of_it_where_there_is_one(self, submit, provider, monkeypatch):
        monkeypatch.setenv("RECEIVER_PUBLIC_URL", "https://hooks.example.com/")

        result = submit()

        assert result.stderr == ""
        assert json.loads(provider.asked[0].body)["webhook_url"].startswith("https://hooks.example.com/webhooks/")

    @pytest.mark.parametrize(
        ("arguments", "body", "error"),
        [
            pytest.param(["none", "video"], VIDEO, "there is no source 'none'", id="source"),
            pytest.param(["creativeai", "none"], VIDEO, "creativeai cannot create 'none'; it can create: ", id="kind"),
            pytest.param(["creativeai", "video"], "[]", "write a JSON object", id="list"),
            pytest.param(["creativeai", "video"], "", "the body is not JSON", id="empty"),
            pytest.param(["creativeai", "video"], "{}", "a body for creativeai video needs prompt", id="no-prompt"),
        ],
    )
    def test_says_what_is_wrong_before_it_asks(self, receiver, provider, tmp_path, arguments, body, error):
        (tmp_path / "body.json").write_text(body)

        result = receiver("submit", *arguments, tmp_path / "body.json")

        assert (result.exit_code, provider.asked) == (2, [])
        assert error in result.stderr

    def test_tells_the_providers_error_in_one_line(self, submit, provider):
        provider.answer = always(Answer({"error": {"message": "not\nallowed"}}, status=400))

        result = submit()

        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1] == "receiver: creativeai: HTTP 400: not?allowed"


class TestIntents:
    def test_are_shown_among_the_jobs(self, receiver, in_doubt):
        shown = receiver("jobs").stdout

        assert f"intent {in_doubt}" in shown
        assert "unknown" in shown

    def test_are_objects_for_programs(self, as_json, in_doubt):
        [row] = as_json("jobs", "--status", "unknown")

        assert (row["intent"], row["metadata"]) == (in_doubt, {"order": 17})

    def test_are_left_out_where_another_status_is_asked_for(self, receiver, in_doubt):
        assert receiver("jobs", "--status", "queued").stdout == "no jobs\n"

    def test_leave_jobs_out_where_they_are_asked_for(self, receiver, as_json, in_doubt):
        receiver("track", "creativeai", "vgen_2", "--kind", "video")

        assert len(as_json("jobs", "--status", "unknown")) == 1

    def test_give_kind_and_metadata_to_what_they_led_to(self, receiver, store, in_doubt):
        result = receiver("track", "creativeai", "vgen_1", "--intent", in_doubt, "--metadata", '{"found": true}')

        assert result.stdout == "vgen_1 is tracked\n"
        job = store.job("creativeai", "vgen_1")
        assert (job.kind, job.metadata) == ("video", {"order": 17, "found": True})
        assert store.list_intents(source=None, limit=10) == []

    def test_can_be_dropped(self, receiver, store, in_doubt):
        result = receiver("withdraw", in_doubt)

        assert result.stdout == f"intent {in_doubt} is dropped\n"
        assert store.list_intents(source=None, limit=10) == []

    @pytest.mark.parametrize(
        "arguments",
        [["withdraw", "none"], ["track", "creativeai", "vgen_1", "--intent", "none"]],
        ids=["drop", "track"],
    )
    def test_must_be_known(self, receiver, arguments):
        result = receiver(*arguments)

        assert result.exit_code == 2
        assert "open intent 'none'; see `receiver jobs`" in result.stderr


class TestCatalog:
    def test_lists_what_there_is(self, receiver, provider):
        provider.answer = always(Answer({"data": [{"id": "auto", "object": "model"}]}))

        assert receiver("catalog", "creativeai").stdout.split()[-1] == "auto"

    def test_has_the_providers_own_words_in_json(self, as_json, provider):
        provider.answer = always(Answer({"data": [{"id": "auto", "object": "model"}]}))

        [row] = as_json("catalog", "creativeai")
        assert row["data"] == {"id": "auto", "object": "model"}

    def test_asks_nobody_where_there_is_nobody_to_ask(self, receiver, config):
        config.write_text('[sources.omni]\nprovider = "omnivideo"\nbase_url = "http://127.0.0.1:9"')

        assert "seedance-2" in receiver("catalog", "omni").stdout

    def test_tells_what_went_wrong(self, receiver, provider):
        provider.answer = always(Answer({"error": {"message": "no such key"}}, status=401))

        result = receiver("catalog", "creativeai")

        assert (result.exit_code, result.stderr) == (1, "receiver: creativeai: HTTP 401: no such key\n")
