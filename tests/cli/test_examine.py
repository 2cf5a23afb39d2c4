"""Commands that say what Receiver makes of recorded traffic."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.signatures import SCHEMES
from tests.support import sample, samples

VECTORS = Path(__file__).parents[1] / "samples" / "vectors.jsonl"
KNOWN = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]
ASKED = {"batch": "batch", "chart": "chart-to-video", "image": "video"}


@pytest.fixture
def record(tmp_path):
    """Write objects into a file, one a line."""

    def write(*lines):
        file = tmp_path / "recorded.jsonl"
        file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
        return file

    return write


def named(name):
    [found] = [line for line in KNOWN if line["id"] == name]
    return found


class TestVerify:
    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_says_what_is_known(self, receiver, record, scheme):
        file = record(*(line for line in KNOWN if line["scheme"] == scheme))

        assert receiver("verify", file).exit_code == 0

    def test_reads_the_file_of_all_schemes(self, as_json):
        rows = as_json("verify", VECTORS)

        assert [row["id"] for row in rows] == [line["id"] for line in KNOWN]

    def test_says_why_not(self, as_json, record):
        [row] = as_json("verify", record(named("CA-unsigned")))

        assert (row["verdict"], row["reason"]) == ("invalid", "missing_signature")
        assert "X-CreativeAI-Signature" in row["hint"]

    def test_prints_a_table(self, receiver, record):
        lines = receiver("verify", record(named("GH-published"))).stdout.splitlines()

        assert lines[0].split() == ["line", "id", "verdict", "reason", "expect", "hint"]
        assert lines[2].split() == ["1", "GH-published", "valid", "valid"]

    @pytest.mark.parametrize(
        ("name", "expect"),
        [
            pytest.param("GH-published", "invalid", id="is-valid"),
            pytest.param("CA-wrong-secret", "valid", id="is-invalid"),
        ],
    )
    def test_fails_for_a_wrong_expectation(self, receiver, record, name, expect):
        assert receiver("verify", record(named(name) | {"expect": expect})).exit_code == 1

    def test_expects_nothing_where_nothing_is_said(self, receiver, record):
        line = named("CA-wrong-secret")
        del line["expect"]

        assert receiver("verify", record(line)).exit_code == 0

    def test_says_which_schemes_there_are(self, as_json, record):
        [row] = as_json("verify", record({"scheme": "none", "body": ""}))

        assert row["verdict"] == "unknown"
        assert "creativeai" in row["hint"]

    def test_uses_the_secret_of_a_configured_source(self, as_json, config, record):
        line = named("CA-video_completed")
        config.write_text(f'[sources.ai]\nprovider = "creativeai"\nsecrets = ["{line["secret"]}"]')

        [row] = as_json("verify", record({"source": "ai", "headers": line["headers"], "body": line["body"]}))

        assert row["verdict"] == "valid"

    def test_uses_the_secret_at_hand(self, as_json, record):
        line = named("CA-video_completed")

        [row] = as_json("verify", record({"source": "creativeai"} | line))

        assert row["verdict"] == "valid"

    def test_takes_published_keys_from_the_line(self, as_json, record):
        line = {key: value for key, value in named("FAL-ok").items() if key != "scheme"} | {"source": "fal"}
        other = {"keys": [key for key in line["jwks"]["keys"] if key["kid"] == "decoy"]}

        rows = as_json("verify", record(line, line | {"jwks": other}))

        assert [(row["verdict"], row["reason"]) for row in rows] == [("valid", None), ("invalid", "signature_mismatch")]

    @pytest.mark.parametrize(("kid", "verdict"), [("live", "valid"), ("decoy", "invalid"), (None, "hint")])
    def test_uses_the_keys_that_were_fetched_for_a_configured_source(
        self, as_json, config, store, record, kid, verdict
    ):
        config.write_text('[sources.pictures]\nprovider = "fal"\napi_key = "key"\nmodel = "fal-ai/flux/dev"')
        line = named("FAL-ok")
        keys = [key["x"] for key in line["jwks"]["keys"] if key["kid"] == kid]
        if keys:
            store.keep_keys("pictures", keys)

        [row] = as_json(
            "verify", record({key: line[key] for key in ("headers", "body", "now")} | {"source": "pictures"})
        )

        assert row["verdict"] == verdict

    def test_does_not_show_secrets(self, receiver, record):
        line = named("CA-wrong-secret")

        assert line["secret"] not in receiver("verify", record(line), "--json").output

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param("{", id="not-json"),
            pytest.param("[]", id="not-an-object"),
            pytest.param({"scheme": "github", "headers": "x", "body": ""}, id="headers"),
            pytest.param({"scheme": ["github"], "headers": {}, "body": ""}, id="scheme"),
            pytest.param({"source": "creativeai", "secret": "x", "now": "noon", "body": ""}, id="now"),
        ],
    )
    def test_names_a_line_that_cannot_be_read(self, receiver, record, line):
        file = record(named("GH-published"), "", line)

        result = receiver("verify", file)

        assert result.exit_code == 2
        assert f"{file}:3: " in result.stderr

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"], ids=["u2028", "u2029", "u0085"])
    def test_reads_a_body_that_holds_what_some_take_for_the_end_of_a_line(self, as_json, record, separator):
        body = f'{{"prompt": "first{separator}second"}}'
        headers = SCHEMES["creativeai"].sign(body.encode(), "secret", datetime.now(UTC))
        line = {"scheme": "creativeai", "secret": "secret", "headers": headers, "body": body}

        [row] = as_json("verify", record(json.dumps(line, ensure_ascii=False)))

        assert row["verdict"] == "valid"

    def test_says_that_a_file_is_missing(self, receiver):
        assert receiver("verify", "none.jsonl").exit_code == 2

    def test_says_that_a_file_is_empty(self, receiver, record):
        result = receiver("verify", record())

        assert result.exit_code == 0
        assert result.stdout.endswith("is empty\n")

    def test_does_not_let_a_line_write_on_the_terminal(self, receiver, record):
        result = receiver("verify", record(named("GH-published") | {"id": "\x1b[31mred\n"}))

        assert "\x1b" not in result.stdout
        assert len(result.stdout.splitlines()) == 3


class TestRead:
    @pytest.mark.parametrize("name", samples("creativeai/polls"))
    def test_says_what_an_answer_means(self, as_json, record, name):
        kind, _, state = name.rpartition("_")
        kind = ASKED.get(kind.partition("_")[0], kind)
        line = {"http": 200, "body": sample(f"creativeai/polls/{name}").decode()}

        [row] = as_json("read", "creativeai", kind, record(line))

        expected = {"completed": "succeeded", "finished": "succeeded", "failed": "failed"}.get(state, "running")
        assert (row["status"], row["terminal"]) == (expected, expected != "running")

    def test_takes_a_body_as_text_or_as_json(self, as_json, record):
        body = json.loads(sample("creativeai/polls/video_completed"))

        rows = as_json("read", "creativeai", "video", record({"body": body}, {"body": json.dumps(body)}))

        assert rows[0] | {"line": 2} == rows[1]

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"], ids=["u2028", "u2029", "u0085"])
    def test_reads_a_body_that_holds_what_some_take_for_the_end_of_a_line(self, as_json, record, separator):
        body = {"id": "a", "status": "failed", "error": f"first{separator}second"}

        [row] = as_json("read", "creativeai", "video", record(json.dumps({"body": body}, ensure_ascii=False)))

        assert row["error"] == f"first{separator}second"

    def test_names_the_outputs(self, as_json, record):
        line = {"body": sample("creativeai/polls/voice_completed").decode()}

        [row] = as_json("read", "creativeai", "voice", record(line))

        assert row["outputs"] == ["https://cdn.creativeai.run/output/voice-abc123.mp3"]

    def test_says_why_a_job_failed(self, as_json, record):
        [row] = as_json(
            "read", "creativeai", "video", record({"body": sample("creativeai/polls/video_failed").decode()})
        )

        assert (row["error"], row["error_code"]) == ("Video generation timed out after 10 minutes", "generation_failed")

    @pytest.mark.parametrize(
        ("line", "retry"),
        [
            pytest.param({"http": 429, "headers": {"Retry-After": "5"}}, True, id="429"),
            pytest.param({"http": 500, "body": {"error": {"message": "oh"}}}, True, id="500"),
            pytest.param({"http": 502, "body": "<html></html>"}, True, id="502"),
            pytest.param({"http": 401, "body": {"error": {"message": "no"}}}, False, id="401"),
            pytest.param({"http": 404, "body": {"error": {"message": "gone"}}}, False, id="404"),
            pytest.param({"http": 400, "body": {"error": {"code": "content_policy_violation"}}}, False, id="policy"),
        ],
    )  # fmt: skip
    def test_says_whether_to_ask_again(self, as_json, record, line, retry):
        [row] = as_json("read", "creativeai", "video", record(line))

        assert (row["status"], row["retry"]) == (None, retry)
        assert row["request_error"]

    @pytest.mark.parametrize("name", samples("creativeai/errors"))
    def test_an_error_is_about_the_request(self, as_json, record, name):
        line = {"http": 400, "body": sample(f"creativeai/errors/{name}").decode()}

        [row] = as_json("read", "creativeai", "video", record(line))

        assert row["status"] is None
        assert json.loads(line["body"])["error"]["message"] in row["request_error"]

    def test_does_not_let_an_answer_write_on_the_terminal(self, receiver, record):
        line = {"http": 500, "body": {"error": {"message": "\x1b[31mred\nsecond line"}}}

        result = receiver("read", "creativeai", "video", record(line))

        assert "\x1b" not in result.stdout
        assert len(result.stdout.splitlines()) == 3

    def test_needs_no_configuration(self, receiver, config, record):
        config.unlink()

        assert receiver("read", "creativeai", "video", record({"body": "{}"})).exit_code == 0

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            pytest.param(["none", "video"], "there is no provider 'none'", id="provider"),
            pytest.param(["creativeai", "none"], "creativeai has the kinds video", id="kind"),
        ],
    )
    def test_says_what_is_wrong(self, receiver, record, arguments, error):
        result = receiver("read", *arguments, record({"body": "{}"}))

        assert result.exit_code == 2
        assert error in result.stderr

    @pytest.mark.parametrize("line", [{"http": "teapot"}, {"headers": ["x"]}], ids=["http", "headers"])
    def test_names_a_line_that_cannot_be_read(self, receiver, record, line):
        file = record(line)

        result = receiver("read", "creativeai", "video", file)

        assert result.exit_code == 2
        assert f"{file}:1: " in result.stderr
