"""What is believed of webhooks, from the endpoint to the handler: hints, thin ones, and keys that change."""

import base64
import json
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from receiver import clock
from receiver.config import load
from receiver.models import Delivery
from receiver.plugins import sources
from receiver.running import free_port
from receiver.store import open_store
from receiver.store.base import EventFilter
from tests.aging import let_pass
from tests.running import API_KEY, Running
from tests.scripted import Answer, Scripted, always
from tests.support import sample
from tests.watch import eventually

OLD, NEW = "whsec_b2xkLWtleS1vbGQta2V5LW9sZC1rZXkt", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
FALSE = "https://evil.example.net/result.mp4"
PAIR = "the-access-key:the-secret-key"

KEYS = "/jwks.json"

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
    "fal": f'api_key = "{API_KEY}"\nmodel = "fal-ai/flux/dev"\nkeys_url = "{{provider}}{KEYS}"',
    "fal-alone": f'api_key = "{API_KEY}"\nmodel = "fal-ai/flux/dev"\nkeys_url = "http://127.0.0.1:{{closed}}{KEYS}"',
}


class Provider(Scripted):
    """Answers by what a path holds, such as a job's id: so tests, and the jobs they leave open, keep apart."""

    def __init__(self):
        super().__init__(self._answer)
        self._said = {}

    def says(self, part, answer):
        """Answer so whatever is asked at a path with this part: an answer, or a function from the path to one."""
        self._said[part] = answer if callable(answer) else always(answer)

    def _answer(self, path):
        found = next((answer for part, answer in self._said.items() if part in path), None)
        return found(path) if found else Answer({"detail": "there is none"}, status=404)


class Field(Running):
    """A receiver whose sources are all asked about at one place."""

    def __init__(self, folder, provider):
        tables = [
            f'[sources.{name}]\nprovider = "{name.partition("-")[0]}"\nbase_url = "{provider.url}"\n'
            + keys.replace("{provider}", provider.url).replace("{closed}", str(free_port()))
            for name, keys in SOURCES.items()
        ]
        super().__init__(
            folder, "\n".join([*tables, '[reconcile]\nevery = "100ms"', "[handlers.finished]\npath = 'finished.py'"])
        )
        (folder / "finished.py").write_text(HANDLER)

    def runs(self, source, job):
        """What the handler was given of a job."""
        file = self.folder / "runs.jsonl"
        runs = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [run for run in runs if (run["source"], run["job"]) == (source, job)]

    def post(self, source, body, *, secret=None, headers=None):
        """The answer to a webhook, signed as the provider does it if there is a secret."""
        delivery = Delivery(source=source, body=body, received_at=clock.now(), headers=headers or {})
        signed = {} if secret is None else sources(load(self.config))[source].provider.sign(delivery, secret)
        return httpx.post(f"{self.url}/webhooks/{source}", content=body, headers={**(headers or {}), **signed})

    def age(self, *, hours):
        let_pass(self.folder / "receiver.db", hours * 3600)

    @contextmanager
    def opened(self):
        """Its store."""
        store = open_store(load(self.config))
        try:
            yield store
        finally:
            store.close()


@pytest.fixture(scope="module")
def provider():
    with Provider() as server:
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
        ("source", "job", "webhook", "answer", "true", "secret"),
        [
            pytest.param(
                "luma", "d1a2", "luma/webhooks/completed", "luma/webhooks/completed",
                "https://storage.cdn-luma.example/d1a2.mp4", None, id="luma",
            ),
            pytest.param(
                "kling", "812345678901234567", "kling/webhooks/video_succeeded", "kling/polls/video_succeeded",
                "https://cdn.example.com/kling/v-1.mp4", None, id="kling",
            ),
            pytest.param(
                "kie", "kie_demo_task_1", "kie/webhooks/succeeded", "kie/polls/market_succeeded",
                "https://cdn.example.com/out.png", "kie-demo-hmac-key", id="kie",
            ),
        ],
    )  # fmt: skip
    def test_a_false_result_leads_to_a_poll_and_the_true_one(
        self, field, provider, source, job, webhook, answer, true, secret
    ):
        provider.says(job, Answer(sample(answer)))

        told = field.post(source, with_url(sample(webhook), true), secret=secret)

        assert told.status_code in (200, 202)
        [run] = eventually(lambda: field.runs(source, job))
        assert run["outputs"] == [true]

    def test_one_that_no_poll_confirms_comes_to_nothing(self, field):
        forged = sample("luma/webhooks/completed").replace(b"d1a2", b"made-up")

        assert field.post("luma", forged).status_code == 200

        with field.opened() as store:
            eventually(lambda: store.job("luma", "made-up").missing_count)
            # Past its deadline it is asked about once more.
            field.age(hours=1)
            eventually(lambda: store.job("luma", "made-up") is None)
            assert store.list_events(EventFilter(source="luma", job_id="made-up"), limit=10).rows == []
        assert field.runs("luma", "made-up") == []

    def test_luma_hears_200_and_kie_its_own_words(self, field):
        luma = field.post("luma", sample("luma/webhooks/completed").replace(b"d1a2", b"heard"))
        body = sample("kie/webhooks/succeeded").replace(b"kie_demo_task_1", b"kie_heard")
        kie = field.post("kie", body, secret="kie-demo-hmac-key")

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
    provider.says("video_abc123", Answer(video))

    told = field.post("openai", sample("openai/webhooks/video_completed"), secret=NEW)

    assert told.status_code == 202
    [run] = eventually(lambda: field.runs("openai", "video_abc123"))
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

    def publish(self, provider, *public):
        keys = [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": key} for key in public]
        provider.says(KEYS, Answer({"keys": keys}))

    def has_finished(self, provider, request):
        status = Answer({"status": "COMPLETED", "request_id": request})
        result = Answer({"images": [{"url": "https://fal.media/files/demo/out.png"}]})
        provider.says(request, lambda path: status if path.endswith("/status") else result)

    def body(self, request):
        payload = {"images": [{"url": FALSE}], "seed": 196619188014358660}
        return json.dumps(
            {"request_id": request, "gateway_request_id": request, "status": "OK", "payload": payload}
        ).encode()

    def fetch(self, field, provider, *public):
        """Have these keys fetched, and only these."""
        self.publish(provider, *public)
        # They are fetched anew after 12 hours, and used for 24.
        field.age(hours=13)
        began = clock.now() - timedelta(hours=1)
        with field.opened() as store:
            found = eventually(lambda: (keys := store.keys("fal")) and keys.fetched_at > began and keys)
        assert found.keys == public

    def test_a_key_that_is_published_is_believed_and_one_that_is_not_is_refused(self, field, provider):
        (private, public), (stranger, _) = self.pair(1), self.pair(9)
        self.fetch(field, provider, public)

        assert field.post("fal", self.body("signed"), secret=private).status_code == 202
        assert field.post("fal", self.body("forged"), secret=stranger).status_code == 401

        [run] = eventually(lambda: field.runs("fal", "signed"))
        assert run["outputs"] == [FALSE]

    def test_a_new_key_is_found_when_a_signature_fits_none(self, field, provider):
        (_, old), (private, new) = self.pair(1), self.pair(2)
        self.fetch(field, provider, old)
        self.publish(provider, old, new)
        assert field.post("fal", self.body("rotated"), secret=private).status_code == 401
        field.age(hours=1)

        eventually(lambda: field.post("fal", self.body("rotated"), secret=private).status_code in (200, 202))

        [run] = eventually(lambda: field.runs("fal", "rotated"))
        assert run["outputs"] == [FALSE]

    def test_webhooks_are_hints_while_the_keys_cannot_be_had(self, field, provider):
        private, public = self.pair(1)
        self.has_finished(provider, "unproven")
        self.fetch(field, provider, public)
        provider.says(KEYS, Answer(status=503))
        field.age(hours=25)

        assert field.post("fal", self.body("unproven"), secret=private).status_code == 202

        [run] = eventually(lambda: field.runs("fal", "unproven"))
        assert run["outputs"] == ["https://fal.media/files/demo/out.png"]

    def test_webhooks_are_hints_while_the_host_of_the_keys_refuses_connections(self, field, provider):
        private, _ = self.pair(1)
        self.has_finished(provider, "alone")

        assert field.post("fal-alone", self.body("alone"), secret=private).status_code == 202

        [run] = eventually(lambda: field.runs("fal-alone", "alone"))
        assert run["outputs"] == ["https://fal.media/files/demo/out.png"]
