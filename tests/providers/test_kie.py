"""kie.ai: what is its own, beyond the contract of all adapters."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, Refused, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    Created,
    Delivery,
    Event,
    Failure,
    Job,
    Origin,
    Output,
    Reading,
    Response,
    Status,
    Trust,
)
from receiver.providers.kie import Kie
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples, vector, vectors

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
SECRET = "kie-demo-hmac-key"
PROVIDER = Kie(secrets=[SECRET], api_key="kie-key")
PAGE = b"<html>Bad gateway</html>"
IMAGE = "https://cdn.example.com/out.png"


def delivered(known: dict[str, Any]) -> Delivery:
    headers = {name.lower(): value for name, value in known["headers"].items()}
    return Delivery(source="kie", body=known["body"].encode(), headers=headers, received_at=NOW)


def deliver(body: Any) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery(source="kie", body=raw, received_at=NOW)


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def read(*, kind: str = "market", code: Any = 200, **task: Any) -> Reading:
    body = {"code": code, "message": "success", "data": {"taskId": "t1"} | task}
    return PROVIDER.read(make_job("t1", kind=kind), answer(body))


def told(*, kind: str = "market", **task: Any) -> Event:
    [event] = read(kind=kind, **task).events
    return event


def refusal(body: Any, *, kind: str = "market", status_code: int = 200, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(make_job("t1", kind=kind), answer(body, status_code=status_code, **headers))
    return refused.value


def polled(name: str) -> tuple[Job, Response]:
    body = sample(f"kie/polls/{name}")
    return make_job(json.loads(body)["data"]["taskId"], kind="market"), answer(body)


class TestKie(ProviderContract):
    provider_class = Kie
    secret = SECRET
    signature_header = "x-webhook-signature"
    required_headers = ("x-webhook-timestamp",)
    delivery = delivered(vector("KIE-ok"))
    webhooks = {name: deliver(body) for name, body in samples("kie/webhooks").items()}
    answers = {name: polled(name) for name in samples("kie/polls")}
    told_twice = {"succeeded": "market_succeeded", "failed": "market_failed"}
    submissions = {
        "market": (
            "market",
            {"model": "nano-banana-2", "input": {"prompt": "a wave at dusk"}},
            answer(sample("kie/submissions/created")),
        ),
    }

    def test_refuses_a_body_with_any_byte_changed(self, genuine: Delivery) -> None:
        # Only the id is signed: all of the contract's promise that can be kept.
        start = genuine.body.index(b"kie_demo_task_1")
        changed = [
            replace(genuine, body=genuine.body[:index] + b"~" + genuine.body[index + 1 :])
            for index in range(start, start + len(b"kie_demo_task_1"))
        ]

        assert not any(self.accepts(delivery, [self.secret]) for delivery in changed)


# Webhooks


@pytest.mark.parametrize("known", vectors("kie"))
def test_never_takes_a_genuine_webhook_for_more_than_a_hint(known):
    assert PROVIDER.verify(delivered(known), NOW) is Trust.HINT


def test_asks_the_provider_where_a_tampered_body_still_verifies():
    delivery = delivered(vector("KIE-body-tampered-still-valid"))

    trust, [event] = PROVIDER.verify(delivery, NOW), PROVIDER.parse(delivery)

    assert b"evil.example.net" in delivery.body
    assert trust is Trust.HINT
    assert PROVIDER.poll(make_job(event.job_id, kind=event.kind)).path.endswith("?taskId=kie_demo_task_1")


@pytest.mark.parametrize("field", ["taskId", "task_id"])
def test_verifies_and_parses_the_same_id(field):
    delivery = deliver({"code": 200, "data": {field: "t1", "state": "success"}})
    headers = {name.lower(): value for name, value in PROVIDER.sign(delivery, SECRET).items()}

    assert PROVIDER.verify(replace(delivery, headers=headers), NOW) is Trust.HINT
    assert [event.job_id for event in PROVIDER.parse(delivery)] == ["t1"]


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        pytest.param({"taskId": "t1", "task_id": "t2"}, "t1", id="both"),
        pytest.param({"taskId": None, "task_id": "t2"}, "t2", id="null"),
        pytest.param({"taskId": {"a": 1}, "task_id": "t2"}, "t2", id="object"),
        pytest.param({"taskId": True, "task_id": "t2"}, "t2", id="boolean"),
        pytest.param({"taskId": 7, "task_id": "t2"}, "7", id="number"),
    ],
)
def test_parses_no_other_id_than_the_one_that_was_signed(data, signed):
    only = deliver({"data": {"taskId": signed}})
    headers = {name.lower(): value for name, value in PROVIDER.sign(only, SECRET).items()}
    delivery = replace(deliver({"data": data}), headers=headers)

    assert PROVIDER.verify(delivery, NOW) is Trust.HINT
    assert [event.job_id for event in PROVIDER.parse(delivery)] == [signed]


def test_refuses_the_signature_of_another_task():
    headers = delivered(vector("KIE-ok")).headers
    delivery = replace(deliver({"data": {"taskId": "kie_demo_task_2"}}), headers=headers)

    with pytest.raises(Refused):
        PROVIDER.verify(delivery, NOW)


def test_is_answered_as_it_insists():
    assert json.loads(Kie.acknowledgement or "") == {"code": 200, "msg": "success"}


@pytest.mark.parametrize(
    ("name", "key", "kind"),
    [
        pytest.param("succeeded", "kie_demo_task_1:succeeded", "market", id="succeeded"),
        pytest.param("failed", "kie_demo_task_2:failed", "market", id="failed"),
    ],
)
def test_reads_the_documented_webhook(name, key, kind):
    [event] = PROVIDER.parse(deliver(sample(f"kie/webhooks/{name}")))

    assert (event.key, event.kind, event.type) == (key, kind, f"task.{name}")


def test_takes_a_webhook_with_a_flag_for_one_of_veo():
    [event] = PROVIDER.parse(deliver({"data": {"task_id": "t1", "successFlag": 1}}))

    assert (event.kind, event.status) == ("veo", Status.SUCCEEDED)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": []}, {"data": {}}, {"data": {"taskId": ""}}])
def test_reads_no_webhook_without_an_id(body):
    with pytest.raises(Unreadable):
        PROVIDER.parse(deliver(body))


# Tasks


@pytest.mark.parametrize("spell", [str, str.upper, str.title, " {} ".format], ids=["lower", "upper", "title", "spaces"])
@pytest.mark.parametrize(
    ("kind", "word", "status"),
    [
        pytest.param("market", "waiting", Status.QUEUED, id="market-waiting"),
        pytest.param("market", "queuing", Status.QUEUED, id="market-queuing"),
        pytest.param("market", "generating", Status.RUNNING, id="market-generating"),
        pytest.param("market", "success", Status.SUCCEEDED, id="market-success"),
        pytest.param("market", "fail", Status.FAILED, id="market-fail"),
        pytest.param("runway", "wait", Status.QUEUED, id="runway-wait"),
        pytest.param("runway", "queueing", Status.QUEUED, id="runway-queueing"),
        pytest.param("runway", "generating", Status.RUNNING, id="runway-generating"),
        pytest.param("runway", "success", Status.SUCCEEDED, id="runway-success"),
        pytest.param("runway", "fail", Status.FAILED, id="runway-fail"),
    ],
)
def test_folds_the_state(kind, word, status, spell):
    assert read(kind=kind, state=spell(word)).status is status


@pytest.mark.parametrize("spell", [int, str], ids=["number", "text"])
@pytest.mark.parametrize(
    ("flag", "status"), [(0, Status.RUNNING), (1, Status.SUCCEEDED), (2, Status.FAILED), (3, Status.FAILED)]
)
def test_folds_the_flag_of_veo(flag, status, spell):
    reading = read(kind="veo", successFlag=spell(flag))

    assert (reading.status, reading.raw_status) == (status, str(flag))


@pytest.mark.parametrize(
    ("task", "raw_status"),
    [
        pytest.param({"state": "succeeded"}, "succeeded", id="word"),
        pytest.param({"successFlag": 4}, "4", id="number"),
        pytest.param({"successFlag": True}, "true", id="boolean"),
        pytest.param({"successFlag": 1.0}, "1.0", id="fraction-of-nothing"),
        pytest.param({"successFlag": [1]}, "[1]", id="list"),
    ],
)
def test_keeps_an_unknown_status_as_it_was_said(task, raw_status):
    assert read(**task) == Reading(status=None, raw_status=raw_status)


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("market_waiting", Status.QUEUED, [], id="waiting"),
        pytest.param("market_queuing", Status.QUEUED, [], id="queuing"),
        pytest.param("market_generating", Status.RUNNING, [], id="generating"),
        pytest.param("market_succeeded", Status.SUCCEEDED, ["kie_demo_task_1:succeeded"], id="success"),
        pytest.param("market_failed", Status.FAILED, ["kie_demo_task_2:failed"], id="fail"),
        pytest.param("market_failed_with_its_code", Status.FAILED, ["kie_demo_task_2:failed"], id="fail-with-its-code"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


def test_keeps_the_task_whole():
    [event] = PROVIDER.read(*polled("market_succeeded")).events

    assert event.data == json.loads(sample("kie/polls/market_succeeded"))["data"]


def test_finds_the_result_in_a_text_of_json():
    [event] = PROVIDER.read(*polled("market_succeeded")).events

    assert event.outputs == (Output(IMAGE),)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("no result", id="not-json"),
        pytest.param('{"resultUrls": ["https://cdn', id="cut-off"),
        pytest.param("[]", id="list"),
        pytest.param('"text"', id="text"),
        pytest.param("null", id="null-inside"),
        pytest.param('{"resultUrls": NaN}', id="not-a-number"),
        pytest.param('{"resultUrls": "https://cdn.example.com/out.png"}', id="urls-no-list"),
        pytest.param('{"resultUrls": [1, null, "", {}, "a\\u0000b"]}', id="urls-no-links"),
        pytest.param('{"resultUrls": ["\\ud800"]}', id="half-a-surrogate-inside"),
        pytest.param("\ud800", id="half-a-surrogate"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"resultUrls":' * 100_000, id="deep-objects"),
        pytest.param(f'{{"resultUrls": ["{IMAGE}"], "more": "{"x" * 2**20}"}}', id="huge"),
        pytest.param("9" * 10_000, id="digits"),
        pytest.param(7, id="number"),
        pytest.param([IMAGE], id="not-text"),
    ],
)
def test_is_not_stopped_by_a_hostile_result(text):
    reading = read(state="success", resultJson=text)

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, True)
    assert [event.outputs for event in reading.events] == [()]


@pytest.mark.parametrize(
    ("kind", "task", "urls"),
    [
        pytest.param("market", {"resultJson": '{"resultUrls": ["a", "b"]}'}, ["a", "b"], id="market"),
        pytest.param("market", {"resultJson": {"resultUrls": ["a"]}}, ["a"], id="market-as-an-object"),
        pytest.param("market", {"resultJson": '{"resultUrls": ["", "a", 1]}'}, ["a"], id="market-odd-rows"),
        pytest.param("veo", {"response": {"resultUrls": ["a"], "originUrls": ["b"]}}, ["a"], id="veo"),
        pytest.param("veo", {"response": "text"}, [], id="veo-odd"),
        pytest.param("runway", {"videoInfo": {"videoUrl": "a", "imageUrl": "b"}}, ["a"], id="runway"),
        pytest.param("runway", {"videoInfo": ["a"]}, [], id="runway-odd"),
    ],
)
def test_tells_the_results(kind, task, urls):
    said = {"successFlag": 1} if kind == "veo" else {"state": "success"}

    assert told(kind=kind, **said, **task).outputs == tuple(map(Output, urls))


def test_shows_no_result_of_a_failed_task():
    assert told(state="fail", resultJson=f'{{"resultUrls": ["{IMAGE}"]}}').outputs == ()


@pytest.mark.parametrize(
    ("task", "failure"),
    [
        pytest.param({"failCode": "500", "failMsg": "Oh"}, Failure("Oh", code="500"), id="market"),
        pytest.param({"failCode": 400, "failMsg": "Oh"}, Failure("Oh", code="400"), id="code-as-a-number"),
        pytest.param({"failCode": None, "failMsg": ""}, Failure("no reason given"), id="nothing"),
        pytest.param({"failCode": True, "failMsg": {}}, Failure("no reason given"), id="odd"),
        pytest.param({"errorCode": 400, "errorMessage": "Oh"}, Failure("Oh", code="400"), id="veo"),
    ],
)
def test_finds_the_reason_of_a_failure(task, failure):
    assert told(state="fail", **task).failure == failure


@pytest.mark.parametrize("name", ["msg", "message"])
def test_finds_the_reason_of_a_failure_beside_the_task(name):
    body = {"code": 501, name: "Playground task failed.", "data": {"taskId": "t1", "state": "fail"}}

    [event] = PROVIDER.read(make_job("t1", kind="market"), answer(body)).events

    assert event.failure == Failure("Playground task failed.")


def test_takes_times_for_milliseconds():
    [event] = PROVIDER.read(*polled("market_succeeded")).events

    assert event.occurred_at == datetime(2025, 10, 9, 8, 53, 28, tzinfo=UTC)


@pytest.mark.parametrize("time", [None, "2025-06-06 10:30:00", -1, 10**30, True, []])
def test_is_not_stopped_by_an_odd_time(time):
    assert told(state="fail", completeTime=time).occurred_at is None


# Polls


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("market", "/api/v1/jobs/recordInfo"),
        ("runway", "/api/v1/runway/record-detail"),
        ("veo", "/api/v1/veo/record-info"),
    ],
)
def test_asks_about_every_kind_at_its_address(kind, path):
    assert PROVIDER.poll(make_job("a b", kind=kind)).path == f"{path}?taskId=a%20b"


@pytest.mark.parametrize(
    ("missing", "path"),
    [
        (0, "/api/v1/veo/record-info"),
        (1, "/api/v1/jobs/recordInfo"),
        (2, "/api/v1/runway/record-detail"),
        (3, "/api/v1/veo/record-info"),
    ],
)
def test_asks_everywhere_about_a_task_that_only_a_hint_spoke_of(missing, path):
    hinted = replace(make_job("a", kind="veo"), origin=Origin.HINT, missing_count=missing)

    assert PROVIDER.poll(hinted).path == f"{path}?taskId=a"
    assert PROVIDER.places(hinted) == 3


def test_goes_on_asking_where_it_was_found():
    hinted = replace(make_job("kie_demo_task_1", kind="veo"), origin=Origin.HINT, missing_count=1)
    reading = PROVIDER.read(hinted, answer(sample("kie/polls/market_generating")))

    found = replace(hinted, origin=Origin.EVENT, reference=reading.reference, missing_count=0)

    assert PROVIDER.poll(found).path.startswith("/api/v1/jobs/recordInfo?")


def test_does_not_take_an_answer_about_another_task():
    with pytest.raises(RequestFailed, match="another job"):
        read(taskId="t2", state="success")


def test_takes_the_id_out_of_the_answer_where_it_is_not_known():
    _, response = polled("market_failed")

    [event] = PROVIDER.read(make_job("", kind="market"), response).events

    assert event.job_id == "kie_demo_task_2"


@pytest.mark.parametrize("data", [None, [], {}, "text", {"taskId": "t1"}, {"state": None, "successFlag": None}])
def test_takes_an_answer_that_says_nothing_for_a_failed_request(data):
    assert "neither state nor successFlag" in str(refusal({"code": 200, "data": data}))


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        pytest.param(timedelta(0), 3, id="new"),
        pytest.param(timedelta(seconds=29), 3, id="young"),
        pytest.param(timedelta(seconds=30), 10, id="half-a-minute"),
        pytest.param(timedelta(minutes=2), 30, id="two-minutes"),
        pytest.param(timedelta(minutes=14), 30, id="old"),
    ],
)
def test_asks_less_and_less_often(age, seconds):
    assert Kie.kinds["market"].interval(age) == timedelta(seconds=seconds)


def test_keeps_to_the_documented_limit():
    assert Kie.budget == Budget(20, per=timedelta(seconds=10))


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer kie-key"}


# Errors


@pytest.mark.parametrize("in_body", [True, False], ids=["in-a-200", "as-the-http-status"])
@pytest.mark.parametrize(
    ("code", "error", "retry"),
    [
        pytest.param(400, RequestFailed, False, id="400"),
        pytest.param(401, CredentialsRefused, False, id="401"),
        pytest.param(402, RequestFailed, False, id="402-credits"),
        pytest.param(404, NotFound, False, id="404"),
        pytest.param(408, RequestFailed, True, id="408-upstream-silent"),
        pytest.param(422, RequestFailed, False, id="422"),
        pytest.param(429, RateLimited, True, id="429"),
        pytest.param(433, RequestFailed, False, id="433-sub-key"),
        pytest.param(455, RequestFailed, True, id="455-maintenance"),
        pytest.param(500, RequestFailed, True, id="500"),
        pytest.param(501, RequestFailed, False, id="501-without-a-task"),
        pytest.param(505, RequestFailed, False, id="505-disabled"),
    ],
)
def test_says_what_the_code_means(code, error, retry, in_body):
    body = {"code": code, "message": "Not today", "data": None}

    failed = refusal(body, status_code=200 if in_body else code)

    assert (type(failed), failed.retry) == (error, retry)
    assert "Not today" in str(failed)


@pytest.mark.parametrize("name", ["msg", "message"])
@pytest.mark.parametrize("status_code", [200, 422])
def test_takes_a_record_that_is_null_for_a_task_that_is_not_there(status_code, name):
    failed = refusal({"code": 422, name: "recordInfo is null", "data": None}, status_code=status_code)

    assert type(failed) is NotFound


@pytest.mark.parametrize("kind", ["runway", "veo"])
def test_does_not_give_up_a_task_of_an_older_api_that_is_not_found_with_the_others(kind):
    assert type(refusal(sample("kie/errors/record_is_null"), kind=kind)) is RequestFailed


@pytest.mark.parametrize("status_code", [200, 501])
def test_does_not_take_a_generation_that_failed_for_a_request_that_did(status_code):
    job, response = polled("market_failed_with_its_code")

    reading = PROVIDER.read(job, replace(response, status_code=status_code))

    assert reading.status is Status.FAILED


def test_does_not_fail_a_task_for_501_alone():
    assert read(code=501, state="generating").status is Status.RUNNING


@pytest.mark.parametrize("code", [0, -1, 201, 9999, True, None, "200", [], 200.5])
def test_takes_any_other_code_than_200_for_a_failed_request(code):
    failed = refusal({"code": code, "msg": "no", "data": {"taskId": "t1", "state": "success"}})

    assert type(failed) is RequestFailed


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(401, PAGE, CredentialsRefused, id="401-as-a-page"),
        pytest.param(403, {"code": 403}, CredentialsRefused, id="403"),
        pytest.param(404, PAGE, RequestFailed, id="404-as-a-page"),
        pytest.param(404, {"detail": "Not Found"}, RequestFailed, id="404-for-the-path"),
        pytest.param(429, PAGE, RateLimited, id="429-as-a-page"),
        pytest.param(502, PAGE, RequestFailed, id="502"),
        pytest.param(200, PAGE, RequestFailed, id="200-as-a-page"),
        pytest.param(500, {"code": 200, "data": {"state": "success"}}, RequestFailed, id="500-with-a-task"),
        pytest.param(500, {"code": 501, "data": {"state": "fail"}}, RequestFailed, id="500-with-a-failure"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error):
    assert type(refusal(body, status_code=status_code)) is error


@pytest.mark.parametrize("status_code", [200, 429])
def test_waits_as_long_as_a_429_says(status_code):
    limited = refusal({"code": 429, "msg": "slow down"}, status_code=status_code, **{"retry-after": "17"})

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=17)


# Submissions


def test_creates_with_the_callback_url():
    body = {"model": "nano-banana-2", "input": {}}

    request = PROVIDER.submit("market", body, "https://receiver.example.com/hook")

    assert request.path == "/api/v1/jobs/createTask"
    assert request.json == {"callBackUrl": "https://receiver.example.com/hook", **body}


def test_tracks_what_was_created():
    created = PROVIDER.read_submission("market", answer(sample("kie/submissions/created")))

    assert created == [Created(job_id="kie_demo_task_1", kind="market")]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param(401, CredentialsRefused, id="401"),
        pytest.param(402, RequestFailed, id="402-credits"),
        pytest.param(422, RequestFailed, id="422"),
        pytest.param(429, RateLimited, id="429"),
        pytest.param(433, RequestFailed, id="433-sub-key"),
        pytest.param(455, RequestFailed, id="455-maintenance"),
        pytest.param(505, RequestFailed, id="505-disabled"),
    ],
)
def test_says_why_nothing_was_created(code, error):
    with pytest.raises(RequestFailed, match="Not today") as failed:
        PROVIDER.read_submission("market", answer({"code": code, "msg": "Not today", "data": None}))

    assert type(failed.value) is error


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PAGE, id="page"),
        pytest.param({}, id="no-code"),
        pytest.param({"code": 200}, id="no-data"),
        pytest.param({"code": 200, "data": {}}, id="no-task-id"),
        pytest.param({"code": 408, "msg": "timeout"}, id="upstream-silent"),
        pytest.param({"code": 500, "msg": "Internal Error"}, id="server-error"),
    ],
)
def test_does_not_claim_that_nothing_was_created_where_the_answer_does_not_say(body):
    with pytest.raises(Unreadable):
        PROVIDER.read_submission("market", answer(body))


# The key


def test_checks_the_key_with_a_task_that_is_not_there():
    assert [request.path for request in PROVIDER.check()] == ["/api/v1/jobs/recordInfo?taskId=receiver-check"]


@pytest.mark.parametrize("status_code", [200, 422])
def test_takes_a_key_for_accepted_that_a_question_is_answered_with(status_code):
    PROVIDER.checked(answer(sample("kie/errors/record_is_null"), status_code=status_code))


@pytest.mark.parametrize("code", [401, 402, 422, 429, 433, 455, 500, 505])
def test_does_not_take_a_key_for_accepted_otherwise(code):
    with pytest.raises(RequestFailed):
        PROVIDER.checked(answer({"code": code, "msg": "no"}))
