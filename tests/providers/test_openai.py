"""OpenAI: what is its own, beyond the contract of all adapters."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, Refused, RequestFailed, Unreadable
from receiver.models import Delivery, Event, Failure, Job, Listed, Output, Reading, Request, Response, Status, Trust
from receiver.providers.openai import OpenAI
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples, vector, vectors

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_SECRET = "whsec_HxwdHhscGxkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE="
PROVIDER = OpenAI(secrets=[SECRET], api_key="sk-example")
AT = datetime.fromtimestamp(1758941488, UTC)
PAGE = b"<html>Bad gateway</html>"
POLLED = {
    "queued": "video_abc123",
    "in_progress": "video_abc123",
    "completed": "video_abc123",
    "failed": "video_abc124",
}


def deliver(body: bytes, **headers: str) -> Delivery:
    named = {"webhook-id": "wh_demo_0001", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Delivery(source="openai", body=body, headers=named, received_at=AT)


def delivered(known: dict[str, Any]) -> Delivery:
    at = datetime.fromtimestamp(known["now"], UTC)
    return Delivery(source="openai", body=known["body"].encode(), headers=known["headers"], received_at=at)


def told(name: str = "webhooks/video_completed", **changes: Any) -> Event:
    [event] = PROVIDER.parse(deliver(json.dumps(json.loads(sample(f"openai/{name}")) | changes).encode()))
    return event


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def polled(name: str) -> tuple[Job, Response]:
    return make_job(POLLED[name], kind="video"), answer(sample(f"openai/polls/{name}"))


def read(name: str = "completed", **changes: Any) -> Reading:
    job, response = polled(name)
    return PROVIDER.read(job, answer(json.loads(response.body) | changes))


def refusal(body: Any, *, status_code: int = 200, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(make_job("video_abc123", kind="video"), answer(body, status_code=status_code, **headers))
    return refused.value


class TestOpenAI(ProviderContract):
    provider_class = OpenAI
    secret = SECRET
    other_secret = OTHER_SECRET
    signature_header = "webhook-signature"
    required_headers = ("webhook-id", "webhook-timestamp")
    delivery = delivered(vector("OA-video.completed"))
    webhooks = {
        name: deliver(body) for folder in ("webhooks", "notices") for name, body in samples(f"openai/{folder}").items()
    }
    answers = {name: polled(name) for name in samples("openai/polls")}
    told_twice = {"video_completed": "completed", "video_failed": "failed"}
    listings = {name: answer(body) for name, body in samples("openai/listings").items()}


@pytest.mark.parametrize("known", vectors("openai"))
def test_agrees_with_the_vector(known):
    provider, delivery = OpenAI(secrets=[known["secret"]]), delivered(known)

    with nullcontext() if known["expect"] == "valid" else pytest.raises(Refused):
        assert provider.verify(delivery, delivery.received_at) is Trust.SIGNED


# Webhooks


@pytest.mark.parametrize(
    ("name", "job_id", "status", "failure"),
    [
        pytest.param("video_completed", "video_abc123", Status.SUCCEEDED, None, id="completed"),
        pytest.param("video_failed", "video_abc124", Status.FAILED, Failure("no reason given"), id="failed"),
    ],
)
def test_tells_the_end_without_its_result_because_a_webhook_carries_only_an_id(name, job_id, status, failure):
    event = told(f"webhooks/{name}")

    assert (event.job_id, event.kind, event.status, event.failure) == (job_id, "video", status, failure)
    assert (event.incomplete, event.outputs) == (True, ())


def test_tells_when_the_webhook_says_it_happened():
    assert told().occurred_at == datetime(2025, 9, 27, 2, 51, 25, tzinfo=UTC)


def test_keeps_the_webhook_whole():
    body = sample("openai/webhooks/video_completed")

    assert PROVIDER.parse(deliver(body))[0].data == json.loads(body)


@pytest.mark.parametrize(
    ("name", "type"),
    [
        pytest.param("batch_completed", "batch.completed", id="batch"),
        pytest.param("response_completed", "response.completed", id="response"),
        pytest.param("fine_tuning_job_succeeded", "fine_tuning.job.succeeded", id="fine-tuning"),
        pytest.param("eval_run_failed", "eval.run.failed", id="evaluation"),
        pytest.param("realtime_call_incoming", "realtime.call.incoming", id="call"),
        pytest.param("video_unheard_of", "video.remastered", id="new-type-of-video"),
    ],
)
def test_passes_an_event_of_another_type_on_as_a_notice_without_a_job(name, type):
    event = told(f"notices/{name}")

    assert (event.type, event.job_id, event.kind, event.status) == (type, None, None, None)
    assert (event.key, event.incomplete) == ("wh_demo_0001", False)


@pytest.mark.parametrize(
    "type",
    [
        pytest.param("video", id="noun"),
        pytest.param("video.", id="no-verb"),
        pytest.param("video.queued", id="not-an-end"),
        pytest.param("completed", id="no-noun"),
        pytest.param("response.video.completed", id="more-before"),
        pytest.param("video.completed.again", id="more-after"),
        pytest.param("agent.session.idle", id="newer"),
    ],
)
@pytest.mark.parametrize("data", [None, "text", [], {}, {"id": 7}])
def test_never_fails_on_a_type_it_does_not_know(type, data):
    event = told(type=type, data=data)

    assert (event.type, event.job_id) == (type, None)


def test_knows_a_notice_by_the_id_that_is_signed_and_not_by_the_one_of_the_event():
    body = sample("openai/notices/response_completed")
    keys = [PROVIDER.parse(deliver(body, webhook_id=name))[0].key for name in ("wh_1", "wh_2", "wh_1")]

    assert keys == ["wh_1", "wh_2", "wh_1"]


@pytest.mark.parametrize("webhook_id", ["", "wh_\0", "wh_\ud800", "w" * 10_000])
def test_makes_a_key_where_the_id_cannot_be_one(webhook_id):
    body = sample("openai/notices/response_completed")
    first, again, other = (
        PROVIDER.parse(deliver(text, webhook_id=webhook_id))[0].key for text in (body, body, body + b" ")
    )

    assert first == again != other
    assert len(first) == 64


@pytest.mark.parametrize("type", ["Video.Completed", "VIDEO.COMPLETED"])
def test_knows_the_end_of_a_video_in_any_case(type):
    event = told(type=type)

    assert (event.type, event.key) == ("video.completed", "video_abc123:succeeded")


@pytest.mark.parametrize("data", [None, "video_abc123", [], {}, {"id": None}, {"id": 7}, {"id": "x" * 1000}])
def test_cannot_read_the_end_of_a_video_that_is_not_named(data):
    with pytest.raises(Unreadable, match=r"data\.id"):
        told(data=data)


@pytest.mark.parametrize("type", [None, "", 7, ["video.completed"]])
def test_cannot_read_a_webhook_without_a_type(type):
    with pytest.raises(Unreadable, match="type"):
        told(type=type)


@pytest.mark.parametrize("created_at", [None, "yesterday", -1, 1e300, True])
def test_a_bad_time_stops_nothing(created_at):
    assert told(created_at=created_at).occurred_at is None
    assert read(completed_at=created_at).events[0].occurred_at is None


# Polls


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("queued", Reading(status=Status.QUEUED, raw_status="queued", progress=0), id="queued"),
        pytest.param(
            "in_progress", Reading(status=Status.RUNNING, raw_status="in_progress", progress=42), id="in-progress"
        ),
    ],
)
def test_reads_the_answer_about_an_open_job(name, expected):
    assert PROVIDER.read(*polled(name)) == expected


def test_gives_the_result_of_a_poll_from_its_own_address_with_the_key():
    [event] = read().events

    assert event.outputs == (Output("https://api.openai.com/v1/videos/video_abc123/content", authorized=True),)


def test_gives_the_result_from_the_gateway_that_made_it():
    gateway = OpenAI(api_key="sk-example", base_url="https://gateway.example.com/")
    [event] = gateway.read(*polled("completed")).events

    assert event.outputs == (Output("https://gateway.example.com/v1/videos/video_abc123/content", authorized=True),)


def test_never_takes_the_address_of_a_result_out_of_an_answer():
    [event] = read(url="https://evil.example.net/", metadata={"url": "https://evil.example.net/"}).events

    assert [output.url for output in event.outputs] == ["https://api.openai.com/v1/videos/video_abc123/content"]


def test_an_id_cannot_lead_the_key_elsewhere():
    job = make_job("../../admin?a=b", kind="video")
    [event] = PROVIDER.read(job, answer({"id": job.job_id, "status": "completed"})).events

    assert event.outputs[0].url == "https://api.openai.com/v1/videos/..%2F..%2Fadmin%3Fa%3Db/content"


def test_keeps_the_seconds_as_text_and_the_expiry_as_it_is_told():
    [event] = read().events

    assert (event.data["seconds"], event.data["expires_at"]) == ("8", 1758945085)


def test_says_how_long_results_last():
    assert PROVIDER.results_last == timedelta(hours=1)


def test_tells_why_a_video_failed():
    [event] = read("failed").events

    assert event.failure == Failure("Your request was blocked.", "moderation_blocked")
    assert event.outputs == ()


@pytest.mark.parametrize("error", [None, "blocked", [], {}, {"code": 7, "message": None}])
def test_a_video_may_fail_without_a_reason(error):
    [event] = read("failed", error=error).events

    assert event.failure == Failure("no reason given")


@pytest.mark.parametrize(
    ("completed_at", "expected"),
    [
        pytest.param(1758941485, datetime(2025, 9, 27, 2, 51, 25, tzinfo=UTC), id="seconds"),
        pytest.param(1758941485000, datetime(2025, 9, 27, 2, 51, 25, tzinfo=UTC), id="milliseconds"),
    ],
)
def test_tells_when_a_video_was_completed(completed_at, expected):
    assert read(completed_at=completed_at).events[0].occurred_at == expected


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title, " {} ".format])
@pytest.mark.parametrize(("said", "status"), OpenAI.statuses.items())
def test_folds_the_status_in_every_spelling(said, status, change):
    assert read(status=change(said)).status is status


@pytest.mark.parametrize("spelled", ["completed", "COMPLETED", " Completed "])
def test_names_an_event_alike_however_its_status_is_spelled(spelled):
    [event] = read(status=spelled).events

    assert (event.type, event.key) == ("video.completed", "video_abc123:succeeded")


def test_keeps_an_unknown_status_as_it_was_said():
    assert read(status="Paused") == Reading(status=None, raw_status="Paused", progress=100)


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(400, {"error": {"message": "no", "code": "bad"}}, RequestFailed, id="400"),
        pytest.param(401, {"error": {"message": "no", "code": "invalid_api_key"}}, CredentialsRefused, id="401"),
        pytest.param(403, {"error": {"message": "no"}}, CredentialsRefused, id="403"),
        pytest.param(404, {"error": {"message": "no such video"}}, NotFound, id="404"),
        pytest.param(404, PAGE, RequestFailed, id="404-page"),
        pytest.param(429, {"error": {"message": "slow down"}}, RateLimited, id="429"),
        pytest.param(502, PAGE, RequestFailed, id="502"),
        pytest.param(200, PAGE, RequestFailed, id="200-page"),
        pytest.param(200, {"error": {"message": "no"}}, RequestFailed, id="200-with-an-error"),
        pytest.param(200, {"id": "video_abc124", "status": "completed"}, RequestFailed, id="another-video"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error):
    assert type(refusal(body, status_code=status_code)) is error


def test_passes_on_what_the_provider_says():
    assert "no such video" in str(refusal({"error": {"message": "no such video"}}, status_code=404))
    assert "overloaded" in str(refusal({"error": {"message": "overloaded"}}))


def test_waits_as_long_as_a_429_says():
    limited = refusal({"error": {"message": "slow down"}}, status_code=429, **{"retry-after": "17"})

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=17)


def test_loses_no_job_because_the_route_is_shut_down():
    body = {"error": {"message": "Invalid URL (GET /v1/videos/video_abc123)", "type": "invalid_request_error"}}
    gone = refusal(body, status_code=404)

    assert (type(gone), gone.retry) == (RequestFailed, False)
    assert "base_url" in str(gone)


def test_proves_the_key_by_a_route_that_there_may_be():
    assert PROVIDER.check() == [Request(path="/v1/videos?limit=1"), Request(path="/v1/models")]


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer sk-example"}


# The list of videos


def test_finds_the_videos_on_a_page():
    page = PROVIDER.read_listing(answer(sample("openai/listings/first")))

    assert page.jobs == (
        Listed(job_id="video_abc123", kind="video", created_at=datetime(2025, 9, 27, 2, 50, tzinfo=UTC)),
        Listed(job_id="video_abc122", kind="video", created_at=datetime(2025, 9, 27, 2, 48, 20, tzinfo=UTC)),
    )
    assert page.cursor == "video_abc122"


def test_asks_for_the_newest_first_then_for_what_comes_after_the_last():
    assert PROVIDER.listing().path == "/v1/videos?order=desc&limit=100"
    assert PROVIDER.listing("video_1").path == "/v1/videos?order=desc&limit=100&after=video_1"
    assert PROVIDER.listing("a&b=c").path == "/v1/videos?order=desc&limit=100&after=a%26b%3Dc"


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        pytest.param({"data": [{"id": "video_1"}], "has_more": True}, "video_1", id="more"),
        pytest.param({"data": [{"id": "video_1"}], "has_more": False}, None, id="no-more"),
        pytest.param({"data": [{"id": "video_1"}]}, "video_1", id="not-said"),
        pytest.param({"data": [], "has_more": True}, None, id="empty"),
    ],
)
def test_goes_on_until_it_is_told_not_to(page, cursor):
    assert PROVIDER.read_listing(answer(page)).cursor == cursor


def test_leaves_out_what_has_no_id():
    rows = ["junk", {"status": "queued"}, {"id": ""}, {"id": 7}, {"id": "video_1", "created_at": "yesterday"}]

    assert PROVIDER.read_listing(answer({"data": rows})).jobs == (Listed(job_id="video_1", kind="video"),)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"id": "video_1"}}])
def test_does_not_take_an_answer_without_a_list_for_an_empty_one(body):
    with pytest.raises(RequestFailed, match="no list"):
        PROVIDER.read_listing(answer(body))
