"""The stand-in for CreativeAI says what CreativeAI says."""

import json

import httpx
import pytest

from receiver.errors import CredentialsRefused, NotFound
from receiver.models import Created, Delivery, Status, Trust
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import signed, webhook_body
from tests.running import SECRET
from tests.sandbox.support import NOW, At, all_running, fields, get, post
from tests.support import sample

BODIES = {
    "video": {"prompt": "a scene"},
    "image-to-video": {"prompt": "a scene", "image_url": "https://example.com/source.png"},
    "batch": {"prompts": ["one", "two", "three"]},
    "image": {"prompt": "a photo"},
    "voice": {"text": "Welcome"},
    "compose": {"video_url": "https://example.com/video.mp4"},
    "chart-to-video": {"title": "Revenue"},
}
ALONE = [kind for kind in BODIES if kind != "batch"]
POSTED = ["video", "batch", "image", "voice", "compose", "chart-to-video", "background-removal"]


@pytest.fixture
def ended(quick):
    """The adapter where jobs end at once."""
    return At(quick, CreativeAI)


@pytest.fixture
def queued(slow):
    """The adapter where they do not begin."""
    return At(slow, CreativeAI)


@pytest.fixture(scope="module")
def working(busy):
    """What is learnt of jobs at work, one of each kind."""
    return all_running(At(busy, CreativeAI), BODIES)


def documented(name):
    shown = fields(json.loads(sample(f"creativeai/{name}")))
    return {field: inside for field, inside in shown.items() if field != "debug"}


class TestJobs:
    @pytest.mark.parametrize("kind", BODIES)
    def test_one_that_ended_has_succeeded(self, ended, kind):
        created = ended.create(kind, **BODIES[kind])

        reading = ended.ask(created)

        assert (reading.status, reading.events[-1].job_id) == (Status.SUCCEEDED, created.job_id)

    @pytest.mark.parametrize("kind", ALONE)
    def test_its_result_can_be_fetched_without_a_key(self, ended, kind):
        [event] = ended.ask(ended.create(kind, **BODIES[kind])).events

        [output] = event.outputs
        assert httpx.get(output.url).is_success

    @pytest.mark.parametrize("kind", ALONE)
    def test_one_can_fail(self, ended, kind):
        [event] = ended.ask(ended.create(kind, fate="failed", **BODIES[kind])).events

        assert event.status is Status.FAILED
        assert event.failure.message == "Generation timed out after 10 minutes"

    @pytest.mark.parametrize("kind", ALONE)
    def test_one_that_has_not_begun_is_queued(self, queued, kind):
        assert queued.ask(queued.create(kind, **BODIES[kind])).status is Status.QUEUED

    @pytest.mark.parametrize("kind", BODIES)
    def test_one_that_goes_on_is_running(self, working, kind):
        assert (working[kind].status, working[kind].events) == (Status.RUNNING, ())

    def test_the_jobs_of_one_kind_are_not_found_at_the_routes_of_another(self, ended):
        voice = ended.create("voice", **BODIES["voice"])

        with pytest.raises(NotFound):
            ended.ask(Created(job_id=voice.job_id, kind="video"))

    @pytest.mark.parametrize("kind", ["video", "batch", "image", "voice"])
    def test_one_that_it_does_not_know_is_not_found(self, ended, kind):
        with pytest.raises(NotFound):
            ended.ask(Created(job_id="vgen_none", kind=kind))

    @pytest.mark.parametrize("path", ["/v1/video/generate", "/v1/video/generations"])
    def test_videos_have_two_routes(self, quick, path):
        answer = post(quick, "creativeai", path, json=BODIES["video"])

        assert answer.status_code == 202


class TestBatches:
    def test_tell_of_their_clips(self, ended):
        batch, *clips = ended.created("batch", prompts=["one", "two", "three"])

        *told, last = ended.ask(batch).events

        assert [event.job_id for event in told] == [clip.job_id for clip in clips]
        assert last.type == "video.batch.completed"

    def test_take_objects_for_clips(self, ended):
        batch, *clips = ended.created("batch", jobs=[{"prompt": "one"}, {"prompt": "two", "image_url": "https://x/1"}])

        assert len(ended.ask(batch).events) == len(clips) + 1

    def test_have_clips_that_can_be_asked_about_one_by_one(self, ended):
        _, clip = ended.created("batch", prompts=["one"])

        assert ended.ask(clip).status is Status.SUCCEEDED

    def test_are_over_although_their_clips_failed(self, ended):
        *clips, batch = ended.ask(ended.create("batch", fate="failed", prompts=["one", "two"])).events

        assert [clip.status for clip in clips] == [Status.FAILED] * 2
        assert batch.status is Status.SUCCEEDED

    @pytest.mark.parametrize("prompts", ["one", [], ["one"] * 21, [""], [{"prompt": ""}]])
    def test_have_up_to_twenty_prompts(self, quick, prompts):
        answer = post(quick, "creativeai", "/v1/video/generations/batch", json={"prompts": prompts})

        assert answer.status_code == 400


class TestForms:
    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            pytest.param("video", "polls/video_created", id="video"),
            pytest.param("image-to-video", "polls/image_to_video_created", id="image-to-video"),
            pytest.param("batch", "polls/batch_created", id="batch"),
        ],
    )
    def test_of_what_was_created_are_the_documented_ones(self, ended, kind, name):
        answer = ended.send(ended.adapter.submit(kind, BODIES[kind], "https://receiver.example.com/"))

        shown = documented(name)
        if kind == "image-to-video":
            shown |= {"image_url": None}
        assert answer.status_code == 202
        assert fields(json.loads(answer.body)) == shown

    @pytest.mark.parametrize(
        ("kind", "fate", "name"),
        [
            pytest.param("video", "", "polls/video_completed", id="video"),
            pytest.param("image-to-video", "", "polls/image_to_video_completed", id="image-to-video"),
            pytest.param("batch", "", "polls/batch_running", id="batch"),
            pytest.param("voice", "", "polls/voice_completed", id="voice"),
            pytest.param("compose", "", "polls/compose_completed", id="compose"),
            pytest.param("chart-to-video", "", "polls/chart_completed", id="chart"),
            pytest.param("video", "failed", "polls/video_failed", id="failed-video"),
        ],
    )
    def test_of_what_is_polled_are_the_documented_ones(self, quick, ended, kind, fate, name):
        ended.ask(ended.create(kind, fate=fate, **BODIES[kind]))
        path = quick.polls[-1].path.removeprefix("/creativeai")

        answer = get(quick, "creativeai", path).json()

        assert fields(answer) == {**documented(name), **({"completed_at": None} if kind == "video" else {})}

    @pytest.mark.parametrize("kind", ["video", "batch", "image", "voice"])
    def test_of_webhooks_are_the_documented_ones(self, kind):
        assert fields(json.loads(webhook_body(kind, "job_1"))) == documented(f"webhooks/{kind}_completed")

    def test_of_the_webhook_of_a_failed_video_is_the_documented_one(self):
        body = webhook_body("video", "job_1", status="failed")

        assert fields(json.loads(body)) == documented("webhooks/video_failed")


class TestRefusals:
    def test_of_another_key_are_understood(self, quick):
        at = At(quick, CreativeAI, api_key="another-key")

        with pytest.raises(CredentialsRefused):
            at.adapter.checked(at.send(at.adapter.check()[0]))

    def test_name_the_field_that_is_missing(self, quick):
        answer = post(quick, "creativeai", "/v1/video/generations", json={})

        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"json": ["a scene"]}, id="list"),
            pytest.param({"content": b"{", "headers": {"Content-Type": "application/json"}}, id="not-json"),
            pytest.param({"json": {"prompt": "x"}, "headers": {"X-Sandbox": "los"}}, id="unknown-fate"),
        ],
    )
    def test_have_the_form_of_the_providers(self, quick, options):
        answer = post(quick, "creativeai", "/v1/video/generations", **options)

        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")

    def test_of_a_kind_that_there_is_not_say_so(self, quick):
        assert post(quick, "creativeai", "/api/generate/music", json={}).status_code == 404


class TestCatalog:
    def test_can_be_read(self, ended):
        offers = ended.adapter.read_catalog(ended.send(ended.adapter.catalog()[0]))

        assert "auto" in [offer.name for offer in offers]

    def test_proves_the_key(self, ended):
        assert ended.adapter.checked(ended.send(ended.adapter.check()[0])) is None


class TestWebhookBodies:
    @pytest.mark.parametrize("kind", POSTED)
    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_are_genuine_with_the_secret(self, kind, status):
        adapter = CreativeAI(secrets=[SECRET])

        assert adapter.verify(as_posted(kind, status=status), NOW) is Trust.SIGNED

    @pytest.mark.parametrize("kind", POSTED)
    @pytest.mark.parametrize(
        ("status", "folded"), [("completed", Status.SUCCEEDED), ("failed", Status.FAILED)], ids=["completed", "failed"]
    )
    def test_can_be_read(self, kind, status, folded):
        event = CreativeAI().parse(as_posted(kind, status=status))[-1]

        assert (event.job_id, event.kind, event.status) == ("job_1", kind, folded)

    def test_have_nothing_odd_about_them(self):
        delivery = as_posted("batch")

        assert CreativeAI().remark(delivery, CreativeAI().parse(delivery)) is None


def as_posted(kind, **more):
    body = webhook_body(kind, "job_1", **more)
    headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
    return Delivery(source="creativeai", body=body, headers=headers, received_at=NOW)
