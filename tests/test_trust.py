"""What is believed of webhooks, from the endpoint to the handler: hints, thin ones, and keys that change."""

import base64
import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from receiver import clock
from receiver.config import load
from receiver.models import Delivery
from receiver.plugins import sources
from receiver.store import open_store
from tests.aging import let_pass
from tests.running import API_KEY, Running
from tests.scripted import Answer, Scripted
from tests.support import sample
from tests.watch import eventually

OLD, NEW = "whsec_b2xkLWtleS1vbGQta2V5LW9sZC1rZXkt", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
FALSE = "https://evil.example.net/result.mp4"
PAIR = "the-access-key:the-secret-key"

HANDLER = '''
"""Write down every end that comes in."""

import json
from pathlib import Path

from receiver import Router

router = Router()


@router.on(status=["succeeded", "failed"])
def finished(event):
    line = {"source": event.source, "job": event.job_id, "outputs": [output.url for output in event.outputs]}
    with Path("runs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")
'''

SOURCES = {
    "luma": f'api_key = "{API_KEY}"',
    "kling": f'api_key = "{PAIR}"',
    "kie": f'api_key = "{API_KEY}"\nsecrets = ["kie-demo-hmac-key"]',
    "openai": f'api_key = "{API_KEY}"\nsecrets = ["{NEW}"]',
    "replicate": f'api_key = "{API_KEY}"\nsecrets = ["{OLD}", "{NEW}"]',
    "fal": f'api_key = "{API_KEY}"\nmodel = "fal-ai/flux/dev"',
}


class Field(Running):
    """A receiver whose sources are asked about at one place, which answers what a test tells it to."""

    def __init__(self, folder, provider):
        tables = [
            f'[sources.{name}]\nprovider = "{name}"\nbase_url = "{provider.url}"\n{keys}'
            for name, keys in SOURCES.items()
        ]
        tables[-1] += f'\nkeys_url = "{provider.url}/jwks.json"'
        super().__init__(
            folder, "\n".join([*tables, '[reconcile]\nevery = "100ms"', "[handlers.finished]\npath = 'finished.py'"])
        )
        (folder / "finished.py").write_text(HANDLER)

    def runs(self, source):
        """What the handler was given of a source."""
        file = self.folder / "runs.jsonl"
        runs = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [run for run in runs if run["source"] == source]

    def post(self, source, body, *, secret=None, headers=None):
        """The answer to a webhook, signed as the provider does it if there is a secret."""
        delivery = Delivery(source=source, body=body, received_at=clock.now(), headers=headers or {})
        signed = {} if secret is None else sources(load(self.config))[source].provider.sign(delivery, secret)
        return httpx.post(f"{self.url}/webhooks/{source}", content=body, headers={**(headers or {}), **signed})

    def rows(self, kind, source):
        store = open_store(load(self.config))
        try:
            return getattr(store, f"list_{kind}")(source=source, limit=100)
        finally:
            store.close()


@pytest.fixture(scope="module")
def provider():
    with Scripted(lambda path: Answer({"keys": []}, status=404)) as server:
        yield server


@pytest.fixture(scope="module")
def field(tmp_path_factory, provider):
    running = Field(tmp_path_factory.mktemp("field"), provider)
    with running.serving():
        yield running


def with_url(body, true):
    """The sample with a result of our own."""
    return json.dumps(json.loads(body.decode().replace(true, FALSE))).encode()


class TestHints:
    """A webhook that anybody could have sent leads to a poll, and the poll's answer is the event."""

    @pytest.mark.parametrize(
        ("source", "webhook", "answer", "true", "secret"),
        [
            pytest.param(
                "luma", "luma/webhooks/completed", "luma/webhooks/completed",
                "https://storage.cdn-luma.example/d1a2.mp4", None, id="luma",
            ),
            pytest.param(
                "kling", "kling/webhooks/video_succeeded", "kling/polls/video_succeeded",
                "https://cdn.example.com/kling/v-1.mp4", None, id="kling",
            ),
            pytest.param(
                "kie", "kie/webhooks/succeeded", "kie/polls/market_succeeded",
                "https://cdn.example.com/out.png", "kie-demo-hmac-key", id="kie",
            ),
        ],
    )  # fmt: skip
    def test_a_false_result_leads_to_a_poll_and_the_true_one(
        self, field, provider, source, webhook, answer, true, secret
    ):
        provider.answer = lambda path: Answer(sample(answer))

        told = field.post(source, with_url(sample(webhook), true), secret=secret)

        assert told.status_code in (200, 202)
        [run] = eventually(lambda: field.runs(source))
        assert run["outputs"] == [true]

    def test_one_that_no_poll_confirms_comes_to_nothing(self, field, provider):
        provider.answer = lambda path: Answer({"detail": "no such generation"}, status=404)
        forged = sample("luma/webhooks/completed").replace(b"d1a2", b"made-up")

        assert field.post("luma", forged).status_code == 200

        eventually(lambda: any("made-up" in path for path in provider.paths))
        assert [run["job"] for run in field.runs("luma")].count("made-up") == 0

    def test_luma_hears_200_and_kie_its_own_words(self, field, provider):
        provider.answer = lambda path: Answer({}, status=503)

        luma = field.post("luma", sample("luma/webhooks/completed"))
        kie = field.post("kie", sample("kie/webhooks/succeeded"), secret="kie-demo-hmac-key")

        assert luma.status_code == 200
        assert (kie.status_code, kie.json()) == (200, {"code": 200, "msg": "success"})


def test_a_thin_webhook_is_completed_by_a_poll(field, provider):
    video = {
        "id": "video_abc123",
        "object": "video",
        "status": "completed",
        "model": "sora-2",
        "created_at": 1758941400,
    }
    provider.answer = lambda path: Answer(video)

    told = field.post("openai", sample("openai/webhooks/video_completed"), secret=NEW)

    assert told.status_code == 202
    [run] = eventually(lambda: field.runs("openai"))
    assert run == {
        "source": "openai",
        "job": "video_abc123",
        "outputs": [f"{provider.url}/v1/videos/video_abc123/content"],
    }


class TestSecretsThatChange:
    def prediction(self, number):
        body = json.loads(sample("replicate/webhooks/succeeded_text"))
        return json.dumps({**body, "id": f"prediction{number}"}).encode()

    def test_the_old_one_and_the_new_one_are_taken(self, field):
        assert field.post("replicate", self.prediction(1), secret=OLD).status_code == 202
        assert field.post("replicate", self.prediction(2), secret=NEW).status_code == 202

    def test_once_it_is_removed_the_old_one_is_refused(self, tmp_path, provider):
        field = Field(tmp_path, provider)
        field.config.write_text(field.config.read_text().replace(f'"{OLD}", ', ""))

        with field.running("web"):
            eventually(field.ready, within=30)
            # The source knows only the new one by now; the sender signs with what it has.
            answers = [field.post("replicate", self.prediction(3), secret=secret) for secret in (OLD, NEW)]

        assert [answer.status_code for answer in answers] == [401, 202]


class TestKeysThatChange:
    """Those of fal, which signs with a key pair and publishes the public half."""

    def pair(self, number):
        seed = bytes([number]) * 32
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return base64.b64encode(seed).decode(), base64.urlsafe_b64encode(public).decode().rstrip("=")

    def serve(self, provider, *public):
        keys = [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": key} for key in public]
        result = {"images": [{"url": "https://fal.media/files/demo/out.png"}]}
        provider.answer = lambda path: Answer(
            {"keys": keys}
            if "jwks" in path
            else {"status": "COMPLETED", "request_id": path.split("/")[-2]}
            if path.endswith("/status")
            else result
        )

    def body(self, request):
        payload = {"images": [{"url": FALSE}], "seed": 196619188014358660}
        return json.dumps(
            {"request_id": request, "gateway_request_id": request, "status": "OK", "payload": payload}
        ).encode()

    def age(self, field, hours):
        let_pass(field.folder / "receiver.db", hours * 3600)

    def fetched(self, field, provider, *, since):
        eventually(lambda: provider.paths[since:].count("/jwks.json"))
        store = open_store(load(field.config))
        try:
            return eventually(lambda: store.keys("fal"))
        finally:
            store.close()

    def test_a_key_that_is_published_is_believed_and_one_that_is_not_is_refused(self, field, provider):
        (private, public), (stranger, _) = self.pair(1), self.pair(9)
        since = len(provider.paths)
        self.serve(provider, public)
        self.age(field, 1)
        self.fetched(field, provider, since=since)

        eventually(lambda: field.post("fal", self.body("signed"), secret=private).status_code in (200, 202))
        assert field.post("fal", self.body("forged"), secret=stranger).status_code == 401
        [run] = eventually(lambda: [run for run in field.runs("fal") if run["job"] == "signed"])
        assert run["outputs"] == [FALSE]

    def test_a_new_key_is_found_when_a_signature_fits_none(self, field, provider):
        (_, old), (private, new) = self.pair(1), self.pair(2)
        self.serve(provider, old, new)
        assert field.post("fal", self.body("rotated"), secret=private).status_code == 401
        self.age(field, 1)

        eventually(lambda: field.post("fal", self.body("rotated"), secret=private).status_code in (200, 202))

        eventually(lambda: [run for run in field.runs("fal") if run["job"] == "rotated"])

    def test_webhooks_are_hints_while_the_keys_cannot_be_had(self, field, provider):
        private, _ = self.pair(2)
        self.serve(provider)
        answer = provider.answer
        provider.answer = lambda path: Answer(status=503) if "jwks" in path else answer(path)
        self.age(field, 25)

        assert field.post("fal", self.body("unproven"), secret=private).status_code == 202

        [run] = eventually(lambda: [run for run in field.runs("fal") if run["job"] == "unproven"])
        assert run["outputs"] == ["https://fal.media/files/demo/out.png"]
