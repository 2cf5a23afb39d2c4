"""Replicate: what is its own, beyond the contract of all adapters."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, InvalidBody, NotFound, RateLimited, Refused, RequestFailed, Unreadable
from receiver.models import Created, Delivery, Event, Failure, Job, Listed, Reading, Request, Response, Status, Trust
from receiver.providers.replicate import Replicate
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples, vector, vectors

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_SECRET = "whsec_HxwdHhscGxkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE="
PROVIDER = Replicate(secrets=[SECRET], api_key="r8_example")
AT = datetime.fromtimestamp(1760000101, UTC)
HOOK = "https://receiver.example.com/webhooks/replicate"
PAGE = b"<html>Bad gateway</html>"
ID = "ufawqhfyynnddngldkgtslldrkq"


def deliver(body: bytes, *, webhook_id: str = "msg_1") -> Delivery:
    return Delivery(source="replicate", body=body, headers={"webhook-id": webhook_id}, received_at=AT)


def delivered(known: dict[str, Any]) -> Delivery:
    at = datetime.fromtimestamp(known["now"], UTC)
    return Delivery(source="replicate", body=known["body"].encode(), headers=known["headers"], received_at=at)


def told(name: str, *, webhook_id: str = "msg_1", **changes: Any) -> Event:
    body = json.dumps(json.loads(sample(f"replicate/webhooks/{name}")) | changes).encode()
    [event] = PROVIDER.parse(deliver(body, webhook_id=webhook_id))
    return event


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def polled(name: str) -> tuple[Job, Response]:
    body = sample(f"replicate/polls/{name}")
    return make_job(json.loads(body)["id"], kind="prediction"), answer(body)


def read(**data: Any) -> Reading:
    return PROVIDER.read(make_job(ID, kind="prediction"), answer({"id": ID, "status": "succeeded"} | data))


def urls(output: Any) -> list[str]:
    [event] = read(output=output).events
    return [found.url for found in event.outputs]


def refusal(body: Any, *, status_code: int, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(make_job(ID, kind="prediction"), answer(body, status_code=status_code, **headers))
    return refused.value


class TestReplicate(ProviderContract):
    provider_class = Replicate
    secret = SECRET
    other_secret = OTHER_SECRET
    signature_header = "webhook-signature"
    required_headers = ("webhook-id", "webhook-timestamp")
    delivery = delivered(vector("RP-completed"))
    webhooks = {name: deliver(body) for name, body in samples("replicate/webhooks").items()}
    answers = {name: polled(name) for name in samples("replicate/polls")}
    told_twice = {
        "succeeded_text": "succeeded_object",
        "failed": "failed",
        "canceled": "canceled",
        "aborted": "aborted",
    }
    listings = {name: answer(body) for name, body in samples("replicate/listings").items()}
    submissions = {
        "prediction": (
            "prediction",
            {"version": "meta/llama-2-70b-chat", "input": {"prompt": "Please write a haiku about llamas."}},
            answer(sample("replicate/submissions/created"), status_code=201),
        )
    }


@pytest.mark.parametrize("known", vectors("replicate"))
def test_agrees_with_the_vector(known):
    provider, delivery = Replicate(secrets=[known["secret"]]), delivered(known)

    with nullcontext() if known["expect"] == "valid" else pytest.raises(Refused):
        assert provider.verify(delivery, delivery.received_at) is Trust.SIGNED


# Webhooks


@pytest.mark.parametrize(
    ("name", "type", "status"),
    [
        pytest.param("start", "prediction.queued", Status.QUEUED, id="start"),
        pytest.param("output_first", "prediction.running", Status.RUNNING, id="output"),
        pytest.param("logs", "prediction.running", Status.RUNNING, id="logs"),
        pytest.param("succeeded_text", "prediction.succeeded", Status.SUCCEEDED, id="succeeded"),
        pytest.param("failed", "prediction.failed", Status.FAILED, id="failed"),
        pytest.param("canceled", "prediction.cancelled", Status.CANCELLED, id="canceled"),
        pytest.param("aborted", "prediction.cancelled", Status.CANCELLED, id="aborted"),
    ],
)
def test_names_an_event_by_its_status_because_no_header_does(name, type, status):
    event = told(name)

    assert (event.type, event.status, event.job_id, event.kind) == (type, status, ID, "prediction")


def test_tells_every_delivery_of_one_prediction_and_its_end():
    names = ["start", "output_first", "logs", "output_second", "succeeded_text"]

    keys = [told(name, webhook_id=f"msg_{index}").key for index, name in enumerate(names)]

    assert keys == [
        f"{ID}:queued:msg_0",
        f"{ID}:running:msg_1",
        f"{ID}:running:msg_2",
        f"{ID}:running:msg_3",
        f"{ID}:succeeded",
    ]


def test_knows_progress_that_is_delivered_again():
    assert told("logs", webhook_id="msg_7").key == told("logs", webhook_id="msg_7").key


def test_knows_the_end_by_the_prediction_whichever_delivery_told_it():
    assert told("canceled", webhook_id="msg_7").key == told("canceled", webhook_id="msg_8").key


@pytest.mark.parametrize("webhook_id", ["", "msg_\0", "msg_\ud800", "m" * 10_000])
def test_makes_a_key_where_the_id_cannot_be_one(webhook_id):
    first, again, other = (told(name, webhook_id=webhook_id).key for name in ("logs", "logs", "output_first"))

    assert first == again != other
    assert len(first) < 200


def test_shows_no_result_before_the_end():
    assert told("output_second").outputs == ()


@pytest.mark.parametrize("logs", [None, "", "step 1/2\n"])
def test_takes_logs_that_are_null(logs):
    assert told("succeeded_text", logs=logs).data["logs"] == logs


def test_keeps_the_body_whole():
    body = sample("replicate/webhooks/succeeded_text")

    assert PROVIDER.parse(deliver(body))[0].data == json.loads(body)


@pytest.mark.parametrize("status", [None, "", 401, ["succeeded"]])
def test_cannot_read_a_prediction_without_a_status(status):
    with pytest.raises(Unreadable, match="status"):
        told("succeeded_text", status=status)


def test_tells_an_unknown_status_without_folding_it():
    event = told("start", status="Paused")

    assert (event.key, event.type, event.status) == (f"{ID}:?paused:msg_1", "prediction.unknown", None)


# Polls


@pytest.mark.parametrize(
    ("name", "status", "key"),
    [
        pytest.param("starting", Status.QUEUED, None, id="starting"),
        pytest.param("processing", Status.RUNNING, None, id="processing"),
        pytest.param("succeeded_text", Status.SUCCEEDED, "gm3qorzdhgbfurvjtvhg6dckhu:succeeded", id="text"),
        pytest.param("succeeded_list", Status.SUCCEEDED, "vgcm4plb7tgzlyznry5d5jkgvu:succeeded", id="list"),
        pytest.param("succeeded_object", Status.SUCCEEDED, f"{ID}:succeeded", id="object"),
        pytest.param("failed", Status.FAILED, f"{ID}:failed", id="failed"),
        pytest.param("canceled", Status.CANCELLED, f"{ID}:cancelled", id="canceled"),
        pytest.param("aborted", Status.CANCELLED, f"{ID}:cancelled", id="aborted"),
    ],
)
def test_reads_the_documented_answer(name, status, key):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, [key] if key else [])


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title, " {} ".format])
@pytest.mark.parametrize(("said", "status"), Replicate.statuses.items())
def test_folds_the_status_in_every_spelling(said, status, change):
    assert read(status=change(said)).status is status


def test_keeps_an_unknown_status_as_it_was_said():
    assert read(status="Paused") == Reading(status=None, raw_status="Paused")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param("https://a.example/1", ["https://a.example/1"], id="text"),
        pytest.param(["https://a.example/1", "https://a.example/2"], ["https://a.example/1", "https://a.example/2"]),
        pytest.param({"video": "https://a.example/1", "fps": 24}, ["https://a.example/1"], id="object"),
        pytest.param([{"a": [{"b": "https://a.example/1"}]}], ["https://a.example/1"], id="deep"),
        pytest.param(["https://a.example/1", "https://a.example/1"], ["https://a.example/1"], id="twice"),
        pytest.param("hello Alice", [], id="sentence"),
        pytest.param("https://a.example/1 is the place", [], id="sentence-that-begins-with-a-url"),
        pytest.param(["http", "s://", "a.example"], [], id="tokens"),
        pytest.param("data:image/png;base64,AAAA", [], id="data-url"),
        pytest.param("file:///etc/passwd", [], id="file"),
        pytest.param("https://", [], id="no-host"),
        pytest.param("http://[", [], id="no-url"),
        pytest.param([None, True, 7, [], {}], [], id="other-types"),
        pytest.param(None, [], id="null"),
    ],
)
def test_finds_the_urls_in_an_output_of_any_form(output, expected):
    assert urls(output) == expected


def test_finds_urls_only_in_the_output():
    [event] = PROVIDER.read(*polled("succeeded_object")).events

    assert [output.url for output in event.outputs] == [
        "https://replicate.delivery/pbxt/demo/out.mp4",
        "https://replicate.delivery/pbxt/demo/0.png",
    ]


def test_takes_no_more_outputs_than_anybody_can_use():
    assert len(urls([f"https://a.example/{index}" for index in range(5000)])) == 1000


def test_finds_a_url_as_deep_as_an_answer_may_be():
    output: Any = "https://a.example/1"
    for _ in range(60):
        output = [output]

    assert urls(output) == ["https://a.example/1"]


def test_believes_a_success_whose_output_is_gone_after_an_hour():
    reading = PROVIDER.read(*polled("succeeded_output_gone"))

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, False)
    assert reading.events[0].outputs == ()
    assert PROVIDER.results_last == timedelta(hours=1)


@pytest.mark.parametrize("status", ["failed", "canceled", "aborted"])
def test_shows_no_result_of_what_did_not_succeed(status):
    [event] = read(status=status, output=["https://a.example/1"]).events

    assert event.outputs == ()


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        pytest.param("failed", "CUDA out of memory", Failure("CUDA out of memory"), id="text"),
        pytest.param("failed", None, Failure("no reason given"), id="null"),
        pytest.param("failed", {"code": 7}, Failure("no reason given"), id="object"),
        pytest.param("canceled", None, None, id="canceled"),
        pytest.param("succeeded", None, None, id="succeeded"),
    ],
)
def test_finds_the_reason_of_a_failure(status, error, failure):
    assert read(status=status, error=error).events[0].failure == failure


@pytest.mark.parametrize(
    ("completed_at", "microsecond"),
    [
        pytest.param("2023-09-08T16:19:34.791Z", 791000, id="3-digits"),
        pytest.param("2023-09-08T16:19:34.791859Z", 791859, id="6-digits"),
        pytest.param("2023-09-08T16:19:34.79185976Z", 791859, id="8-digits"),
        pytest.param("2023-09-08T16:19:34.791859768Z", 791859, id="9-digits"),
        pytest.param("2023-09-08T16:19:34Z", 0, id="none"),
    ],
)
def test_reads_a_time_with_any_number_of_digits(completed_at, microsecond):
    [event] = read(completed_at=completed_at).events

    assert event.occurred_at == datetime(2023, 9, 8, 16, 19, 34, microsecond, tzinfo=UTC)


@pytest.mark.parametrize("completed_at", [None, "yesterday", 7, "2023-13-41T00:00:00Z"])
def test_a_bad_time_stops_nothing(completed_at):
    assert read(completed_at=completed_at).events[0].occurred_at is None


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(401, sample("replicate/errors/unauthenticated"), CredentialsRefused, id="401"),
        pytest.param(402, {"title": "Insufficient credit", "detail": "no", "status": 402}, RequestFailed, id="402"),
        pytest.param(404, {"title": "Not found", "detail": "no", "status": 404}, NotFound, id="404"),
        pytest.param(404, PAGE, RequestFailed, id="404-page"),
        pytest.param(422, {"title": "Invalid version", "detail": "no", "status": 422}, RequestFailed, id="422"),
        pytest.param(429, sample("replicate/errors/throttled"), RateLimited, id="429"),
        pytest.param(429, PAGE, RateLimited, id="429-page"),
        pytest.param(500, {"detail": "Internal server error"}, RequestFailed, id="500"),
        pytest.param(200, PAGE, RequestFailed, id="200-page"),
        pytest.param(200, {"title": "Odd", "detail": "no", "status": 401}, RequestFailed, id="200-with-an-error"),
        pytest.param(200, {"id": "another", "status": "succeeded"}, RequestFailed, id="another-prediction"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error):
    assert type(refusal(body, status_code=status_code)) is error


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param(
            sample("replicate/errors/unauthenticated"), "You did not pass a valid authentication token", id="detail"
        ),
        pytest.param({"title": "Unauthenticated"}, "Unauthenticated", id="title"),
        pytest.param({"detail": None}, "HTTP 401", id="neither"),
    ],
)
def test_passes_on_what_the_provider_says(body, text):
    assert text in str(refusal(body, status_code=401))


@pytest.mark.parametrize(
    ("detail", "headers", "wait"),
    [
        pytest.param("Request was throttled. Expected available in 1 second.", {}, 1, id="text"),
        pytest.param("Request was throttled. Expected available in 42 seconds.", {}, 42, id="plural"),
        pytest.param("Expected available in 1 second.", {"retry-after": "7"}, 7, id="header-first"),
        pytest.param(
            "Expected available in 1 second.", {"ratelimit-remaining": "0", "ratelimit-reset": "9"}, 9, id="reset"
        ),
        pytest.param(f"Expected available in {'9' * 400} seconds.", {}, None, id="absurd"),
        pytest.param("Slow down.", {}, None, id="not-said"),
        pytest.param(None, {}, None, id="nothing"),
    ],
)
def test_waits_as_long_as_a_429_says_in_its_text(detail, headers, wait):
    limited = refusal({"detail": detail}, status_code=429, **headers)

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == (wait and timedelta(seconds=wait))


def test_starts_from_the_lower_of_its_two_limits():
    assert (PROVIDER.budget.count, PROVIDER.budget.per) == (600, timedelta(minutes=1))


def test_learns_what_is_left_from_the_headers():
    limits = PROVIDER.limits(answer({}, **{"ratelimit-remaining": "599", "ratelimit-reset": "1"}))

    assert limits is not None
    assert (limits.count, limits.remaining, limits.resets_after) == (None, 599, timedelta(seconds=1))


def test_proves_the_key_by_asking_whose_it_is():
    assert PROVIDER.check() == [Request(path="/v1/account")]
    assert PROVIDER.checked(answer({"type": "organization", "username": "acme"})) is None


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer r8_example"}


# Create calls


def test_asks_to_be_called_at_the_start_and_the_end_only():
    request = PROVIDER.submit("prediction", {"version": "v", "input": {}}, HOOK)

    assert request.path == "/v1/predictions"
    assert request.json == {
        "webhook": HOOK,
        "webhook_events_filter": ["start", "completed"],
        "version": "v",
        "input": {},
    }


def test_asks_for_the_calls_that_the_body_names():
    request = PROVIDER.submit("prediction", {"version": "v", "webhook_events_filter": ["output"]}, HOOK)

    assert request.json["webhook_events_filter"] == ["output"]


@pytest.mark.parametrize(
    ("body", "callback_url"),
    [
        pytest.param({"version": "v"}, None, id="no-webhook"),
        pytest.param({"version": "v", "webhook": "https://elsewhere.example.com"}, HOOK, id="webhook-of-their-own"),
    ],
)
def test_leaves_the_calls_alone_that_are_not_for_us(body, callback_url):
    assert PROVIDER.submit("prediction", body, callback_url).json == body


def test_does_not_create_without_a_version():
    with pytest.raises(InvalidBody, match="version"):
        PROVIDER.submit("prediction", {"input": {"text": "Alice"}}, None)


def test_tracks_what_was_created():
    created = PROVIDER.read_submission("prediction", answer(sample("replicate/submissions/created"), status_code=201))

    assert created == [Created(job_id="heat2o3bzn3ahtr6bjfftvbaci", kind="prediction")]


def test_says_why_nothing_was_created():
    with pytest.raises(RequestFailed, match="does not exist"):
        PROVIDER.read_submission("prediction", answer({"detail": "The version does not exist"}, status_code=422))


# The list of predictions


def test_finds_the_predictions_on_a_page():
    page = PROVIDER.read_listing(answer(sample("replicate/listings/first")))

    assert page.jobs == (
        Listed(
            job_id="gm3qorzdhgbfurvjtvhg6dckhu",
            kind="prediction",
            created_at=datetime(2023, 9, 8, 16, 19, 34, 765994, tzinfo=UTC),
        ),
    )


def test_takes_the_cursor_out_of_the_next_address():
    page = PROVIDER.read_listing(answer(sample("replicate/listings/first")))

    assert page.cursor == "cD0yMDIyLTAxLTIxKzIzJTNBMTglM0EyNC41MzAzNTclMkIwMCUzQTAw"
    assert PROVIDER.listing(page.cursor).path == f"/v1/predictions?cursor={page.cursor}"


@pytest.mark.parametrize(
    ("following", "path"),
    [
        pytest.param("https://evil.example.net/steal?cursor=c1", "/v1/predictions?cursor=c1", id="another-host"),
        pytest.param("https://x.example/?cursor=a%26b%3Dc", "/v1/predictions?cursor=a%26b%3Dc", id="parameters"),
        pytest.param("?cursor=..%2F..%2Fadmin", "/v1/predictions?cursor=..%2F..%2Fadmin", id="path"),
    ],
)
def test_never_calls_the_next_address_itself(following, path):
    page = PROVIDER.read_listing(answer({"next": following, "results": []}))

    assert PROVIDER.listing(page.cursor).path == path


@pytest.mark.parametrize("following", [None, "", 7, {}, "http://[", "https://api.replicate.com/v1/predictions"])
def test_is_at_the_end_where_there_is_no_cursor(following):
    assert PROVIDER.read_listing(answer({"next": following, "results": []})).cursor is None


def test_leaves_out_what_has_no_id():
    rows = ["junk", {"status": "starting"}, {"id": ""}, {"id": 7}, {"id": "p1", "created_at": "yesterday"}]

    assert PROVIDER.read_listing(answer({"results": rows})).jobs == (Listed(job_id="p1", kind="prediction"),)


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": {"id": "p1"}}])
def test_does_not_take_an_answer_without_a_list_for_an_empty_one(body):
    with pytest.raises(RequestFailed, match="no list"):
        PROVIDER.read_listing(answer(body))
