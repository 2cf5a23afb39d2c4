"""CreativeAI: what is its own, beyond the contract of all adapters."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import (
    CredentialsRefused,
    InvalidBody,
    NotFound,
    RateLimited,
    Refused,
    RequestFailed,
    Unreadable,
)
from receiver.models import Created, Delivery, Event, Failure, Job, Reading, Request, Response, Status, Trust
from receiver.providers.creativeai import CreativeAI
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples, vector, vectors

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
PROVIDER = CreativeAI(secrets=["demo-signing-secret"], api_key="rph_live_example")
PAGE = b"<html>Not found</html>"

ASKED = {
    "video_created": ("vgen_abc123", "video"),
    "video_running": ("vgen_abc123", "video"),
    "video_completed": ("vgen_abc123", "video"),
    "video_failed": ("vgen_abc123", "video"),
    "image_to_video_created": ("vgen_i2v_abc123", "video"),
    "image_to_video_completed": ("vgen_i2v_abc123", "video"),
    "batch_created": ("video_batch_abc123", "batch"),
    "batch_running": ("video_batch_abc123", "batch"),
    "batch_finished": ("video_batch_abc123", "batch"),
    "voice_completed": ("voice_abc123", "voice"),
    "compose_completed": ("comp_xyz789", "compose"),
    "chart_completed": ("chart_xyz123", "chart-to-video"),
}


def deliver(body: bytes, headers: dict[str, str] | None = None) -> Delivery:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return Delivery(source="creative", body=body, headers=lower, received_at=NOW)


def delivered(known: dict[str, Any]) -> Delivery:
    return deliver(known["body"].encode(), known["headers"])


def parse(headers: dict[str, str] | None = None, **body: Any) -> Event:
    [event] = PROVIDER.parse(deliver(json.dumps({"id": "vgen_1"} | body).encode(), headers))
    return event


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def read(body: Any, *, kind: str = "video", status_code: int = 200, **headers: str) -> Reading:
    return PROVIDER.read(make_job("vgen_1", kind=kind), answer(body, status_code=status_code, **headers))


def polled(name: str) -> tuple[Job, Response]:
    job_id, kind = ASKED[name]
    return make_job(job_id, kind=kind), answer(sample(f"creativeai/polls/{name}"))


def keys(events: Any) -> list[str]:
    return [event.key for event in events]


def created(path: str) -> Response:
    return answer(sample(f"creativeai/{path}_created"), status_code=202)


def refusal(kind: str, body: Any, *, status_code: int, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read_submission(kind, answer(body, status_code=status_code, **headers))
    return refused.value


class TestCreativeAI(ProviderContract):
    provider_class = CreativeAI
    secret = "demo-signing-secret"
    signature_header = "x-creativeai-signature"
    delivery = delivered(vector("CA-video_completed"))
    webhooks = {
        name: deliver(body)
        for folder in ("creativeai/webhooks", "creativeai/webhooks/undocumented")
        for name, body in samples(folder).items()
    }
    answers = {name: polled(name) for name in samples("creativeai/polls")}
    told_twice = {
        "video_completed": "video_completed",
        "voice_completed": "voice_completed",
        "batch_completed": "batch_running",
        "compose_completed": "compose_completed",
        "chart_completed": "chart_completed",
    }
    submissions = {
        "video": ("video", {"prompt": "a coast at dusk"}, created("polls/video")),
        "image_to_video": (
            "image-to-video",
            {"image_url": "https://example.com/source-image.png"},
            created("polls/image_to_video"),
        ),
        "batch_of_prompts": ("batch", {"prompts": ["a shoe", "a hat", "a coat"]}, created("polls/batch")),
        "batch_of_jobs": (
            "batch",
            {"jobs": [{"prompt": "a shoe"}, {"prompt": "a hat"}, {"prompt": "a coat"}]},
            created("polls/batch"),
        ),
        "voice": ("voice", {"text": "hello"}, created("submissions/voice")),
        "compose": ("compose", {"video_url": "https://example.com/v.mp4"}, created("submissions/compose")),
        "chart": ("chart-to-video", {"title": "revenue"}, created("submissions/chart")),
        "image": ("image", {"prompt": "a product on white"}, created("submissions/image")),
    }


@pytest.mark.parametrize("known", vectors("creativeai"))
def test_agrees_with_the_vector(known):
    provider = CreativeAI(secrets=[known["secret"]])

    with nullcontext() if known["expect"] == "valid" else pytest.raises(Refused):
        provider.verify(delivered(known), NOW)


def test_takes_its_api_key_for_a_secret_where_that_is_configured():
    known = vector("CA-api-key-secret")
    provider = CreativeAI(secrets=["demo-signing-secret", known["secret"]])

    assert provider.verify(delivered(known), NOW) is Trust.SIGNED


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("video_completed", ["video.generation.completed vgen_abc123:succeeded"], id="video"),
        pytest.param("video_failed", ["video.generation.failed vgen_xyz789:failed"], id="failed-video"),
        pytest.param("image_completed", ["image.generation.completed img_abc123:succeeded"], id="image"),
        pytest.param("voice_completed", ["voice.generation.completed voice_abc123:succeeded"], id="voice"),
        pytest.param(
            "batch_completed",
            [
                "video.generation.completed vid_xyz1:succeeded",
                "video.generation.completed vid_xyz2:succeeded",
                "video.generation.completed vid_xyz3:succeeded",
                "video.batch.completed video_batch_abc123:succeeded",
            ],
            id="batch",
        ),
    ],
)
def test_reads_the_documented_webhook(name, expected):
    events = PROVIDER.parse(deliver(sample(f"creativeai/webhooks/{name}")))

    assert [f"{event.type} {event.key}" for event in events] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("compose_completed", "compose compose.generation.completed", id="compose"),
        pytest.param("chart_completed", "chart-to-video chart-to-video.generation.completed", id="chart"),
        pytest.param(
            "background_removal_completed",
            "background-removal background-removal.generation.completed",
            id="background-removal",
        ),
        pytest.param("image_failed", "image image.generation.failed", id="failed-image"),
        pytest.param("voice_failed", "voice voice.generation.failed", id="failed-voice"),
    ],
)
def test_guesses_the_undocumented_webhook(name, expected):
    [event] = PROVIDER.parse(deliver(sample(f"creativeai/webhooks/undocumented/{name}")))

    assert f"{event.kind} {event.type}" == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("compose.generation.completed", "compose compose.generation.completed", id="documented-pattern"),
        pytest.param("chart.video.completed", "chart-to-video chart-to-video.generation.completed", id="other-noun"),
        pytest.param("utility.generation.completed", "other other.generation.completed", id="other-kind"),
        pytest.param("music.generation.completed", "other music.generation.completed", id="new-kind"),
        pytest.param("hello", "other other.generation.completed", id="no-pattern"),
    ],
)
def test_takes_the_kind_from_the_header_where_the_body_does_not_say(header, expected):
    event = parse({"X-CreativeAI-Event": header}, status="completed")

    assert f"{event.kind} {event.type}" == expected


def test_believes_the_body_over_the_unsigned_header():
    event = parse({"X-CreativeAI-Event": "voice.generation.failed"}, object="image.generation", status="completed")

    assert event.type == "image.generation.completed"


def test_knows_a_clip_that_names_its_batch_from_the_batch():
    event = parse(object="video.generation", batch_id="video_batch_1", status="completed")

    assert event.key == "vgen_1:succeeded"


def test_knows_a_batch_by_its_id_where_nothing_else_says_so():
    [batch] = PROVIDER.parse(deliver(b'{"batch_id": "video_batch_1", "status": "completed"}'))

    assert f"{batch.type} {batch.key}" == "video.batch.completed video_batch_1:succeeded"


def test_keeps_the_body_whole():
    body = sample("creativeai/webhooks/video_failed")
    [event] = PROVIDER.parse(deliver(body))

    assert event.data == json.loads(body)


def test_tells_when_the_job_ended():
    [event] = PROVIDER.parse(deliver(sample("creativeai/webhooks/video_completed")))

    assert event.occurred_at == datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)


def test_cannot_read_a_signed_empty_body():
    with pytest.raises(Unreadable):
        PROVIDER.parse(delivered(vector("CA-empty-body")))


def test_cannot_read_what_is_nested_too_deep():
    with pytest.raises(Unreadable, match="deeper"):
        PROVIDER.parse(deliver(b'{"id": "vgen_1", "x": ' + b"[" * 100 + b"]" * 100 + b"}"))


def test_remarks_on_a_delivery_id_that_is_not_in_the_body():
    delivery = deliver(sample("creativeai/webhooks/video_completed"), {"X-CreativeAI-Delivery-Id": "vgen_other"})

    remark = PROVIDER.remark(delivery, PROVIDER.parse(delivery))

    assert remark is not None


def test_never_uses_the_delivery_id_for_the_key():
    event = parse({"X-CreativeAI-Delivery-Id": "vgen_other"}, status="completed")

    assert event.key == "vgen_1:succeeded"


@pytest.mark.parametrize("change", [str.lower, str.upper])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        pytest.param("pending", Status.QUEUED, id="pending"),
        pytest.param("processing", Status.RUNNING, id="processing"),
        pytest.param("completed", Status.SUCCEEDED, id="completed"),
        pytest.param("failed", Status.FAILED, id="failed"),
    ],
)
def test_folds_the_status_in_either_case(said, status, change):
    assert read({"id": "vgen_1", "status": change(said)}).status is status


def test_keeps_an_unknown_status_as_it_was_said():
    reading = read({"id": "vgen_1", "status": "PAUSED"})

    assert reading == Reading(status=None, raw_status="PAUSED")


def test_tells_an_unknown_status_in_a_webhook_without_folding_it():
    event = parse(object="video.generation", status="Paused")

    assert (event.key, event.status, event.raw_status) == ("vgen_1:?paused", None, "Paused")


@pytest.mark.parametrize("change", [str.lower, str.title])
@pytest.mark.parametrize("status", [status for status in Status if status not in CreativeAI.statuses])
def test_an_unknown_word_has_a_key_of_its_own_even_if_it_is_spelled_like_a_status_of_ours(status, change):
    event = parse(object="video.generation", status=change(status))

    assert (event.status, event.key) == (None, f"vgen_1:?{status}")


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param({"error": {"message": "Timed out", "code": "late"}}, Failure("Timed out", "late"), id="code"),
        pytest.param({"error": {"message": "Timed out", "type": "server"}}, Failure("Timed out", "server"), id="type"),
        pytest.param({"error": None, "error_message": "Timed out"}, Failure("Timed out"), id="error-message"),
        pytest.param({"error": "Timed out"}, Failure("Timed out"), id="text"),
        pytest.param({}, Failure("no reason given"), id="nothing"),
    ],
)
def test_finds_the_reason_of_a_failure(body, failure):
    assert parse(status="failed", **body).failure == failure


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"output_url": "https://cdn.example/1", "data": [{"url": "https://cdn.example/2"}]}, id="own"),
        pytest.param({"output_url": None, "outputs": ["https://cdn.example/1"]}, id="native"),
        pytest.param({"data": [{"url": "https://cdn.example/1"}]}, id="openai"),
        pytest.param({"output_url": "", "data": [{"url": "https://cdn.example/1"}]}, id="empty-then-openai"),
    ],
)
def test_finds_the_result(body):
    [output] = parse(status="completed", **body).outputs

    assert output.url == "https://cdn.example/1"


def test_cuts_a_long_reason():
    failure = parse(status="failed", error="x" * 10_000).failure

    assert failure == Failure("x" * 2000)


def test_gives_no_reason_where_nothing_failed():
    assert parse(status="completed", error_message="Timed out").failure is None


def test_shows_no_result_of_a_failed_job():
    assert parse(status="failed", output_url="https://cdn.example/1").outputs == ()


def test_tells_a_partly_failed_batch_as_finished_and_its_clips_as_they_ended():
    events = PROVIDER.parse(deliver(sample("creativeai/webhooks/undocumented/batch_partly_failed")))

    assert keys(events) == ["vid_ok1:succeeded", "vid_bad1:failed", "video_batch_xyz789:succeeded"]


def test_skips_what_is_no_clip_in_a_batch():
    rows = ["junk", {"status": "completed"}, {"id": "vid_1", "status": "completed"}]

    reading = read({"batch_id": "vgen_1", "jobs": rows}, kind="batch")

    assert keys(reading.events) == ["vid_1:succeeded", "vgen_1:succeeded"]


def test_makes_one_key_of_a_clip_in_its_batch_in_its_own_webhook_and_when_polled():
    [in_batch, *_] = PROVIDER.parse(deliver(sample("creativeai/webhooks/batch_completed")))
    clip = {"id": "vid_xyz1", "object": "video.generation", "status": "completed"}
    [alone] = PROVIDER.parse(deliver(json.dumps(clip).encode()))
    [asked] = PROVIDER.read(make_job("vid_xyz1", kind="video"), answer(clip)).events

    assert in_batch.key == alone.key == asked.key


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        pytest.param("batch_created", Status.RUNNING, [], id="created"),
        pytest.param("batch_running", Status.RUNNING, ["vid_xyz1:succeeded", "vid_xyz2:succeeded"], id="running"),
        pytest.param(
            "batch_finished",
            Status.SUCCEEDED,
            ["vid_xyz1:succeeded", "vid_xyz2:succeeded", "vid_xyz3:failed", "video_batch_abc123:succeeded"],
            id="finished",
        ),
    ],
)
def test_tells_of_a_polled_batch_what_ended(name, status, expected):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, keys(reading.events)) == (status, expected)


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        pytest.param({"total_jobs": 2, "completed": 1, "failed": 1}, Status.SUCCEEDED, id="all-ended"),
        pytest.param({"total_jobs": 2, "completed": 1, "failed": 0}, Status.RUNNING, id="one-open"),
        pytest.param({"pending": 0, "processing": 0}, Status.SUCCEEDED, id="none-waiting"),
        pytest.param({"pending": 0, "processing": 1}, Status.RUNNING, id="one-waiting"),
        pytest.param({"jobs": [{"id": "a", "status": "failed"}]}, Status.SUCCEEDED, id="no-counts-all-ended"),
        pytest.param(
            {"jobs": [{"id": "a", "status": "failed"}, {"id": "b", "status": "pending"}]},
            Status.RUNNING,
            id="no-counts-one-open",
        ),
        pytest.param({"total_jobs": 0, "completed": 0, "failed": 0}, Status.RUNNING, id="none-at-all"),
        pytest.param({"jobs": [], "error": {"message": "a clip failed"}}, Status.RUNNING, id="error-beside-clips"),
    ],
)
def test_counts_when_a_batch_is_over(counts, status):
    assert read({"batch_id": "vgen_1", **counts}, kind="batch").status is status


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param("video", {"id": "vgen_1"}, id="no-status"),
        pytest.param("batch", {"batch_id": "vgen_1"}, id="no-clips-and-no-counts"),
        pytest.param("video", {}, id="empty"),
    ],
)
def test_takes_an_answer_that_says_nothing_for_a_failed_request(kind, data):
    with pytest.raises(RequestFailed, match="cannot be understood"):
        read(data, kind=kind)


@pytest.mark.parametrize(
    ("said", "progress"),
    [
        pytest.param(42, 42, id="number"),
        pytest.param(True, None, id="boolean"),
        pytest.param(1e300, None, id="absurd"),
        pytest.param("42", None, id="text"),
    ],
)
def test_tells_the_progress(said, progress):
    assert read({"id": "vgen_1", "status": "processing", "progress": said}).progress == progress


def test_tells_the_progress_of_a_batch():
    reading = PROVIDER.read(*polled("batch_running"))

    assert reading.progress == pytest.approx(66.7, abs=0.1)


@pytest.mark.parametrize(
    ("name", "status", "key"),
    [
        pytest.param("video_created", Status.RUNNING, None, id="created"),
        pytest.param("video_running", Status.RUNNING, None, id="running"),
        pytest.param("video_completed", Status.SUCCEEDED, "vgen_abc123:succeeded", id="completed"),
        pytest.param("video_failed", Status.FAILED, "vgen_abc123:failed", id="failed"),
        pytest.param("image_to_video_created", Status.RUNNING, None, id="image-to-video-created"),
        pytest.param("image_to_video_completed", Status.SUCCEEDED, "vgen_i2v_abc123:succeeded", id="image-to-video"),
        pytest.param("voice_completed", Status.SUCCEEDED, "voice_abc123:succeeded", id="voice"),
        pytest.param("compose_completed", Status.SUCCEEDED, "comp_xyz789:succeeded", id="compose"),
        pytest.param("chart_completed", Status.SUCCEEDED, "chart_xyz123:succeeded", id="chart"),
    ],
)
def test_reads_the_documented_answer(name, status, key):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, keys(reading.events)) == (status, [key] if key else [])


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param("video", "/v1/video/generations/id_1", id="video"),
        pytest.param("batch", "/v1/video/generations/batch/id_1", id="batch"),
        pytest.param("image", "/api/v1/model/prediction/id_1", id="image"),
        pytest.param("voice", "/api/generate/status/id_1", id="voice"),
        pytest.param("compose", "/api/generate/status/id_1", id="compose"),
        pytest.param("chart-to-video", "/api/generate/status/id_1", id="chart-to-video"),
        pytest.param("background-removal", "/api/generate/status/id_1", id="background-removal"),
        pytest.param("other", "/api/generate/status/id_1", id="other"),
    ],
)
def test_asks_where_the_kind_is_answered(kind, path):
    assert PROVIDER.poll(make_job("id_1", kind=kind)).path == path


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer rph_live_example"}


def test_does_not_take_an_answer_about_another_job():
    with pytest.raises(RequestFailed, match="another job"):
        read({"id": "vgen_2", "status": "completed"})


def test_does_not_take_an_answer_about_an_id_that_is_too_long_to_keep():
    with pytest.raises(RequestFailed, match="cannot be understood"):
        PROVIDER.read(make_job("x" * 1000, kind="video"), answer({"status": "completed"}))


def test_waits_as_long_as_a_429_says():
    with pytest.raises(RateLimited) as limited:
        read(b"slow down", status_code=429, **{"retry-after": "17"})

    assert limited.value.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(401, {"error": "no"}, CredentialsRefused, id="401"),
        pytest.param(403, {"error": "no"}, CredentialsRefused, id="403"),
        pytest.param(404, {"error": "no"}, NotFound, id="404-in-json"),
        pytest.param(410, {"error": "no"}, NotFound, id="410-in-json"),
        pytest.param(500, {"id": "vgen_1", "status": "completed"}, RequestFailed, id="500-with-a-job"),
        pytest.param(200, {"error": {"type": "rate_limit_exceeded"}}, RateLimited, id="rate-limit-as-type"),
        pytest.param(200, {"error": {"code": "rate_limit_exceeded"}}, RateLimited, id="rate-limit-as-code"),
        pytest.param(200, {"error": {"type": "authentication_error"}}, CredentialsRefused, id="authentication"),
        pytest.param(404, PAGE, RequestFailed, id="404-as-a-page"),
        pytest.param(404, {"detail": "Not Found"}, RequestFailed, id="404-for-the-path"),
        pytest.param(404, {"detail": "Job not found"}, NotFound, id="404-for-the-job"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error):
    with pytest.raises(RequestFailed) as failed:
        read(body, status_code=status_code)

    assert type(failed.value) is error


@pytest.mark.parametrize(
    ("status_code", "body", "retry"),
    [
        pytest.param(200, {"error": {"type": "provider_unavailable"}}, True, id="unavailable-as-type"),
        pytest.param(200, {"error": {"code": "provider_unavailable"}}, True, id="unavailable-as-code"),
        pytest.param(200, {"error": {"code": "invalid_request_error"}}, False, id="invalid-request"),
        pytest.param(503, {"error": {"code": "provider_unavailable"}}, True, id="503"),
        pytest.param(502, PAGE, True, id="502"),
        pytest.param(404, PAGE, False, id="404"),
        pytest.param(404, {"detail": "Not Found"}, False, id="404-for-the-path"),
    ],
)
def test_says_whether_to_ask_again(status_code, body, retry):
    with pytest.raises(RequestFailed) as failed:
        read(body, status_code=status_code)

    assert failed.value.retry is retry


def test_names_the_setting_where_the_api_has_no_such_path():
    with pytest.raises(RequestFailed, match="base_url"):
        read({"detail": "Not Found"}, status_code=404)


def test_passes_on_what_the_provider_says():
    body = sample("creativeai/errors/content_policy_violation")

    with pytest.raises(RequestFailed, match="violates our usage policy"):
        read(body, status_code=400)


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        pytest.param("video", {"prompt": "a"}, "/v1/video/generations", id="video"),
        pytest.param("image-to-video", {"image_url": "a"}, "/v1/video/generations", id="image-to-video"),
        pytest.param("batch", {"prompts": ["a"]}, "/v1/video/generations/batch", id="batch"),
        pytest.param("voice", {"text": "a"}, "/api/generate/voice", id="voice"),
        pytest.param("compose", {}, "/api/generate/compose", id="compose"),
        pytest.param("chart-to-video", {}, "/api/generate/chart-to-video", id="chart-to-video"),
        pytest.param("image", {"prompt": "a"}, "/api/v1/model/generateImage", id="image"),
    ],
)
def test_creates_each_kind_at_its_address(kind, body, path):
    request = PROVIDER.submit(kind, body, "https://receiver.example.com/hook")

    assert request.path == path
    assert request.json == {"webhook_url": "https://receiver.example.com/hook", **body}


@pytest.mark.parametrize("name", ["prompts", "jobs"])
@pytest.mark.parametrize("count", [1, 20])
def test_creates_a_batch_of(name, count):
    request = PROVIDER.submit("batch", {name: ["a"] * count}, None)

    assert request.json == {name: ["a"] * count}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="neither"),
        pytest.param({"prompts": []}, id="empty"),
        pytest.param({"prompts": None, "jobs": []}, id="both-empty"),
        pytest.param({"prompts": ["a"] * 21}, id="too-many-prompts"),
        pytest.param({"jobs": [{"prompt": "a"}] * 21}, id="too-many-jobs"),
        pytest.param({"prompts": ["a"], "jobs": [{"prompt": "a"}] * 21}, id="too-many-of-one"),
        pytest.param({"prompts": "a coast at dusk"}, id="text"),
    ],
)
def test_does_not_create_a_batch_of_none_or_of_too_many(body):
    with pytest.raises(InvalidBody, match="prompts or jobs, a list of 1 to 20"):
        PROVIDER.submit("batch", body, None)


@pytest.mark.parametrize(
    ("kind", "sample_name", "expected"),
    [
        pytest.param("video", "polls/video", Created(job_id="vgen_abc123", kind="video"), id="video"),
        pytest.param(
            "image-to-video",
            "polls/image_to_video",
            Created(job_id="vgen_i2v_abc123", kind="video"),
            id="image-to-video",
        ),
        pytest.param("voice", "submissions/voice", Created(job_id="voice_abc123", kind="voice"), id="voice"),
        pytest.param("compose", "submissions/compose", Created(job_id="comp_xyz789", kind="compose"), id="compose"),
        pytest.param(
            "chart-to-video", "submissions/chart", Created(job_id="chart_xyz123", kind="chart-to-video"), id="chart"
        ),
        pytest.param("image", "submissions/image", Created(job_id="img_abc123", kind="image"), id="image"),
    ],
)
def test_tracks_what_was_created(kind, sample_name, expected):
    assert PROVIDER.read_submission(kind, created(sample_name)) == [expected]


def test_tracks_a_batch_and_each_of_its_clips():
    jobs = PROVIDER.read_submission("batch", created("polls/batch"))

    assert [(job.kind, job.job_id) for job in jobs] == [
        ("batch", "video_batch_abc123"),
        ("video", "vid_xyz1"),
        ("video", "vid_xyz2"),
        ("video", "vid_xyz3"),
    ]


def test_tracks_no_clip_without_an_id():
    rows = ["junk", {"prompt": "a shoe"}, {"id": ""}, {"id": 7}, {"id": "vid_1"}]

    jobs = PROVIDER.read_submission("batch", answer({"batch_id": "video_batch_1", "jobs": rows}))

    assert [job.job_id for job in jobs] == ["video_batch_1", "vid_1"]


def test_tracks_a_batch_that_does_not_name_its_clips():
    jobs = PROVIDER.read_submission("batch", answer({"batch_id": "video_batch_1", "total_jobs": 3}))

    assert jobs == [Created(job_id="video_batch_1", kind="batch")]


@pytest.mark.parametrize("kind", ["video", "batch"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PAGE, id="page"),
        pytest.param(b'{"id": "vgen_1", "batch_', id="cut-off"),
        pytest.param({"status": "processing"}, id="no-id"),
        pytest.param({"id": 7, "batch_id": 7}, id="number"),
    ],
)
def test_does_not_claim_that_nothing_was_created_where_the_answer_does_not_say(kind, body):
    with pytest.raises(Unreadable):
        PROVIDER.read_submission(kind, answer(body, status_code=202))


@pytest.mark.parametrize("named", ["type", "code"])
@pytest.mark.parametrize(
    ("status_code", "name", "error"),
    [
        pytest.param(400, "invalid_request_error", RequestFailed, id="invalid-request"),
        pytest.param(400, "content_policy_violation", RequestFailed, id="content-policy"),
        pytest.param(401, "authentication_error", CredentialsRefused, id="authentication"),
        pytest.param(402, "insufficient_credits", RequestFailed, id="credits"),
        pytest.param(429, "rate_limit_exceeded", RateLimited, id="rate-limit"),
        pytest.param(503, "provider_unavailable", RequestFailed, id="unavailable"),
    ],
)
def test_says_why_nothing_was_created(status_code, name, error, named):
    failed = refusal("video", {"error": {named: name, "message": "Not today"}}, status_code=status_code)

    assert type(failed) is error
    assert "Not today" in str(failed)


def test_creates_again_no_sooner_than_a_429_says():
    body = {"error": {"type": "rate_limit_exceeded", "message": "Slow down"}}

    limited = refusal("video", body, status_code=429, **{"retry-after": "17"})

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=17)


def test_asks_for_its_models():
    assert PROVIDER.catalog() == PROVIDER.check() == [Request(path="/v1/models")]


def test_offers_every_model_that_has_an_id():
    rows = [{"id": "kling-o3-pro-t2v", "object": "model"}, {"object": "model"}, "junk", {"id": "seedream-3.0"}]

    offers = PROVIDER.read_catalog(answer({"object": "list", "data": rows}))

    assert [(offer.name, offer.data) for offer in offers] == [
        ("kling-o3-pro-t2v", {"id": "kling-o3-pro-t2v", "object": "model"}),
        ("seedream-3.0", {"id": "seedream-3.0"}),
    ]


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"id": "kling-o3-pro-t2v"}}])
def test_does_not_read_a_catalog_without_a_list(body):
    with pytest.raises(Unreadable):
        PROVIDER.read_catalog(answer(body))


def test_does_not_read_a_catalog_out_of_an_error():
    with pytest.raises(CredentialsRefused):
        PROVIDER.read_catalog(answer({"error": {"type": "authentication_error"}}))
