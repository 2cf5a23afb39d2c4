"""The stand-in for CreativeAI: what it says is what CreativeAI says."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest

from receiver.errors import CredentialsRefused, NotFound
from receiver.models import Delivery, Response, Status, Trust
from receiver.outbound import ProviderClient
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import Sandbox, signed, webhook_body
from receiver.testing import make_job
from tests.running import API_KEY, SECRET
from tests.watch import eventually

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
ROUTES = {
    "video": "/v1/video/generations",
    "batch": "/v1/video/generations/batch",
    "image": "/api/v1/model/generateImage",
    "voice": "/api/generate/voice",
    "compose": "/api/generate/compose",
}


@contextmanager
def serving(**more):
    with Sandbox(secret=SECRET, api_key=API_KEY, **({"duration": timedelta(0)} | more)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def quick():
    """One whose jobs end as soon as they begin."""
    with serving() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def slow():
    """One whose jobs do not end."""
    with serving(duration=timedelta(hours=1)) as sandbox:
        yield sandbox


@pytest.fixture
def inbox():
    """What was posted to a URL of ours: `inbox.url`, `inbox.deliveries`."""
    with Inbox() as served:
        yield served


class Inbox(HTTPServer):
    """Takes webhooks."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Take)
        self.deliveries = []
        self.url = f"http://127.0.0.1:{self.server_port}/webhooks/creativeai"
        self._thread = Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Take(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.deliveries.append(
            Delivery(
                source="creativeai",
                body=self.rfile.read(int(self.headers["Content-Length"])),
                headers={name.lower(): value for name, value in self.headers.items()},
                received_at=NOW,
            )
        )
        self.send_response(202)
        self.end_headers()

    def log_message(self, *text):
        pass


def create(sandbox, kind, *, fate="", url=None, **body):
    answer = httpx.post(
        sandbox.url + ROUTES[kind],
        json={"prompt": "a scene", "webhook_url": url} | body,
        headers={"Authorization": f"Bearer {API_KEY}", "X-Sandbox": fate},
    )
    data = answer.raise_for_status().json()
    return data.get("batch_id") or data["id"]


def ask(sandbox, kind, job_id, *, api_key=API_KEY):
    """What the adapter makes of what the stand-in says about a job."""
    adapter, job = CreativeAI(api_key=api_key, base_url=sandbox.url), make_job(job_id, kind=kind)
    with ProviderClient() as client:
        return adapter.read(job, client.send(adapter, adapter.poll(job)))


def as_posted(kind, **more):
    body = webhook_body(kind, "job_1", **more)
    headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
    return Delivery(source="creativeai", body=body, headers=headers, received_at=NOW)


class TestAnswers:
    @pytest.mark.parametrize("kind", ROUTES)
    def test_a_job_that_ended_has_succeeded(self, quick, kind):
        job_id = create(quick, kind, prompts=["one", "two"])

        reading = ask(quick, kind, job_id)

        assert reading.status is Status.SUCCEEDED
        assert reading.events[-1].job_id == job_id

    @pytest.mark.parametrize("kind", [kind for kind in ROUTES if kind != "batch"])
    def test_it_has_an_output_that_can_be_fetched(self, quick, kind):
        reading = ask(quick, kind, create(quick, kind))

        [output] = reading.events[0].outputs
        assert httpx.get(output.url).is_success

    @pytest.mark.parametrize("kind", ROUTES)
    def test_a_job_that_goes_on_is_running(self, slow, kind):
        reading = ask(slow, kind, create(slow, kind, prompts=["one", "two"]))

        assert reading.status is Status.RUNNING
        assert reading.events == ()

    def test_a_batch_tells_of_its_clips(self, quick):
        *clips, batch = ask(quick, "batch", create(quick, "batch", prompts=["one", "two", "three"])).events

        assert [clip.kind for clip in clips] == ["video", "video", "video"]
        assert batch.type == "video.batch.completed"

    def test_a_job_can_fail(self, quick):
        [event] = ask(quick, "video", create(quick, "video", fate="failed")).events

        assert (event.status, event.failure.code) == (Status.FAILED, "generation_failed")

    def test_a_job_it_does_not_know_is_not_found(self, quick):
        with pytest.raises(NotFound):
            ask(quick, "video", "vgen_none")

    def test_a_job_is_found_on_the_route_of_its_kind_only(self, quick):
        job_id = create(quick, "voice")

        with pytest.raises(NotFound):
            ask(quick, "video", job_id)

    def test_another_key_is_refused(self, quick):
        with pytest.raises(CredentialsRefused):
            ask(quick, "video", "vgen_none", api_key="another-key")

    def test_the_key_can_be_tried(self, quick):
        adapter = CreativeAI(api_key=API_KEY, base_url=quick.url)

        with ProviderClient() as client:
            answer = client.send(adapter, adapter.check())

        assert isinstance(answer, Response)
        assert adapter.answered(answer)["data"]

    def test_what_was_asked_is_remembered(self, quick):
        job_id = create(quick, "video")

        ask(quick, "video", job_id)

        assert quick.polls[-1] == f"/v1/video/generations/{job_id}"


class TestWebhooks:
    @pytest.mark.parametrize("kind", ["video", "batch", "image", "voice", "compose", "chart-to-video"])
    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_the_adapter_takes_them_for_genuine(self, kind, status):
        adapter = CreativeAI(secrets=[SECRET])

        assert adapter.verify(as_posted(kind, status=status), NOW) is Trust.SIGNED

    @pytest.mark.parametrize("kind", ["video", "batch", "image", "voice", "compose", "chart-to-video"])
    @pytest.mark.parametrize(
        ("status", "folded"), [("completed", Status.SUCCEEDED), ("failed", Status.FAILED)], ids=["completed", "failed"]
    )
    def test_the_adapter_reads_them(self, kind, status, folded):
        event = CreativeAI().parse(as_posted(kind, status=status))[-1]

        assert (event.job_id, event.kind, event.status) == ("job_1", kind, folded)

    def test_nothing_about_them_is_odd(self):
        delivery = as_posted("batch")

        assert CreativeAI().remark(delivery, CreativeAI().parse(delivery)) is None

    def test_one_is_posted_when_the_job_ends(self, quick, inbox):
        job_id = create(quick, "video", url=inbox.url)

        eventually(lambda: inbox.deliveries)

        [event] = CreativeAI().parse(inbox.deliveries[0])
        assert (event.job_id, event.status) == (job_id, Status.SUCCEEDED)

    def test_what_is_posted_is_signed(self, quick, inbox):
        create(quick, "video", url=inbox.url)

        eventually(lambda: inbox.deliveries)

        assert CreativeAI(secrets=[SECRET]).verify(inbox.deliveries[0], NOW) is Trust.SIGNED

    def test_webhook_and_answer_tell_the_same_fact(self, quick, inbox):
        job_id = create(quick, "batch", prompts=["one", "two"], url=inbox.url)

        eventually(lambda: inbox.deliveries)

        told = {event.key for event in CreativeAI().parse(inbox.deliveries[0])}
        assert told == {event.key for event in ask(quick, "batch", job_id).events}

    def test_a_failed_job_says_so(self, quick, inbox):
        create(quick, "video", fate="failed", url=inbox.url)

        eventually(lambda: inbox.deliveries)

        [event] = CreativeAI().parse(inbox.deliveries[0])
        assert event.type == "video.generation.failed"

    def test_it_can_come_twice_with_the_same_body(self, quick, inbox):
        create(quick, "video", fate="doubled", url=inbox.url)

        eventually(lambda: len(inbox.deliveries) == 2)

        assert inbox.deliveries[0].body == inbox.deliveries[1].body

    def test_it_can_be_lost(self, quick, inbox):
        lost = create(quick, "video", fate="lost", url=inbox.url)
        create(quick, "video", url=inbox.url)

        eventually(lambda: inbox.deliveries)

        assert lost.encode() not in b"".join(delivery.body for delivery in inbox.deliveries)

    def test_none_is_posted_before_the_job_ends(self, slow, inbox):
        create(slow, "video", url=inbox.url)

        assert inbox.deliveries == []
