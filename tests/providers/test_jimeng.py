"""Jimeng: what is its own, beyond the contract of all adapters."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from receiver.errors import CredentialsRefused, InvalidBody, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import Created, Event, Failure, Job, Output, Reading, Response, Status
from receiver.providers.jimeng import Jimeng, JimengSettings
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples

EVERY = {"image": "model-of-images", "image2video": "model-from-images"}
PROVIDER = Jimeng(api_key="AKDEMO:SKDEMO", settings=JimengSettings(req_keys=EVERY))
PLAIN = Jimeng(api_key="AKDEMO:SKDEMO")
PAGE = b"<html>Bad gateway</html>"
TASK = "7392616336519610409"
VIDEO = "https://cdn.example.com/jimeng/out.mp4"
MODERATION = (50411, 50412, 50413, 50512, 50513, 50518, 50520, 50521, 50522)
OUTPUT_MODERATION = (50511, 50516, 50517, 50519)
# Signed by other code, with the key pair above.
SIGNED_AT = datetime(2026, 1, 1, tzinfo=UTC)
SIGNED = b'{"req_key":"jimeng_vgfm_t2v_l20","task_id":"7392616336519610409"}'
DIGEST = "67cdf273f6c42dee0439e6e846b8ec2f570cf6d2fe0367e120f0cadd9b028633"
AUTHORIZATION = (
    "HMAC-SHA256 Credential=AKDEMO/20260101/cn-north-1/cv/request, "
    "SignedHeaders=content-type;host;x-content-sha256;x-date, "
    "Signature=c23bf337520b21829faa269ecadfe2b3dbd732821dfe2944aec41c3eb9e1d4b8"
)


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def task(*, code: Any = 10000, message: str = "Success", **data: Any) -> Response:
    return answer({"code": code, "data": data, "message": message})


def read(response: Response) -> Reading:
    return PROVIDER.read(make_job("t1", kind="text2video"), response)


def told(response: Response) -> Event:
    [event] = read(response).events
    return event


def refusal(body: Any, *, status_code: int = 200, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        read(answer(body, status_code=status_code, **headers))
    return refused.value


def polled(name: str) -> tuple[Job, Response]:
    kind = "image" if name.startswith("images") else "text2video"
    return make_job(TASK, kind=kind), answer(sample(f"jimeng/polls/{name}"))


def signed(url: str = "/?Action=CVSync2AsyncGetResult&Version=2022-08-31", **changes: Any) -> dict[str, str]:
    request = {"method": "POST", "url": PLAIN.base_url + url, "body": SIGNED, "now": SIGNED_AT}
    return PLAIN.sign_request(**(request | changes))


class TestJimeng(ProviderContract):
    provider_class = Jimeng
    answers = {name: polled(name) for name in samples("jimeng/polls")}
    submissions = {
        kind: (kind, {"prompt": "a wave at dusk"}, answer(sample("jimeng/submissions/created")))
        for kind in ("text2video", "image2video", "image")
    }

    def configured(self, secrets: Sequence[str]) -> Jimeng:
        provider = super().configured(secrets)
        return Jimeng(base_url=provider.base_url, settings=JimengSettings(req_keys=EVERY))


# The signature


def test_signs_as_documented():
    assert signed() == {
        "Content-Type": "application/json",
        "X-Date": "20260101T000000Z",
        "X-Content-Sha256": DIGEST,
        "Authorization": AUTHORIZATION,
    }


def test_signs_what_it_asks_byte_for_byte():
    request = PLAIN.poll(make_job(TASK, kind="text2video"))
    written = httpx.Request(request.method, PLAIN.base_url + request.path, json=request.json)

    proof = PLAIN.sign_request(method="POST", url=str(written.url), body=written.content, now=SIGNED_AT)

    assert proof["Authorization"] == AUTHORIZATION
    assert written.headers["content-type"] == proof["Content-Type"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"method": "GET"}, id="method"),
        pytest.param({"body": SIGNED + b" "}, id="body"),
        pytest.param({"now": SIGNED_AT + timedelta(seconds=1)}, id="time"),
        pytest.param({"url": "https://visual.volcengineapi.com/?Action=Other&Version=2022-08-31"}, id="query"),
        pytest.param({"url": "https://elsewhere.example.com/?Action=CVSync2AsyncGetResult"}, id="host"),
        pytest.param({"url": "https://visual.volcengineapi.com/a?Action=CVSync2AsyncGetResult"}, id="path"),
    ],
)
def test_signs_the(changes):
    assert signed(**changes)["Authorization"] != AUTHORIZATION


def test_signs_the_query_whatever_its_order():
    assert signed("/?Version=2022-08-31&Action=CVSync2AsyncGetResult")["Authorization"] == AUTHORIZATION


def test_signs_the_time_in_utc():
    there = SIGNED_AT.astimezone(timezone(timedelta(hours=8)))

    assert signed(now=there) == signed()


def test_signs_nothing_without_a_key():
    assert Jimeng().sign_request(method="POST", url="https://example.com", body=b"", now=SIGNED_AT) == {}


def test_keeps_the_secret_key_to_itself():
    shown = repr(PLAIN) + str(PLAIN.authorize()) + str(signed())

    assert "SKDEMO" in PLAIN.confidential
    assert "SKDEMO" not in shown


# Which model a task is of


def test_asks_about_a_task_with_a_post():
    request = PROVIDER.poll(make_job(TASK, kind="text2video"))

    assert (request.method, request.path) == ("POST", "/?Action=CVSync2AsyncGetResult&Version=2022-08-31")
    assert request.json == {"req_key": "jimeng_vgfm_t2v_l20", "task_id": TASK}


@pytest.mark.parametrize(
    ("kind", "req_key"),
    [
        pytest.param("text2video", "jimeng_vgfm_t2v_l20", id="text2video"),
        pytest.param("image2video", "model-from-images", id="image2video"),
        pytest.param("image", "model-of-images", id="image"),
        pytest.param("hologram", "jimeng_vgfm_t2v_l20", id="unknown"),
    ],
)
def test_asks_about_a_task_with_the_req_key_of_its_kind(kind, req_key):
    assert PROVIDER.poll(make_job("t1", kind=kind)).json["req_key"] == req_key


def test_takes_another_model_from_the_settings():
    provider = Jimeng(settings=JimengSettings(req_keys={"text2video": "newer"}))

    assert provider.poll(make_job("t1", kind="text2video")).json["req_key"] == "newer"


def test_asks_nothing_about_a_task_whose_model_it_does_not_know():
    with pytest.raises(RequestFailed, match="req_keys does not name the model of image") as failed:
        PLAIN.poll(make_job("t1", kind="image"))

    assert not failed.value.sent


def test_sends_the_req_json_of_the_settings_along():
    provider = Jimeng(settings=JimengSettings(req_json='{"return_url": true}'))

    assert provider.poll(make_job("t1", kind="text2video")).json["req_json"] == '{"return_url": true}'


@pytest.mark.parametrize("settings", [{"req_keys": {"hologram": "a"}}, {"req_keys": {"image": ""}}, {"model": "a"}])
def test_takes_no_setting_that_would_do_nothing(settings):
    with pytest.raises(ValidationError):
        JimengSettings(**settings)


# Tasks


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("video_in_queue", Status.QUEUED, [], id="in-queue"),
        pytest.param("video_generating", Status.RUNNING, [], id="generating"),
        pytest.param("video_done", Status.SUCCEEDED, [f"{TASK}:succeeded"], id="done"),
        pytest.param("images_done", Status.SUCCEEDED, [f"{TASK}:succeeded"], id="images"),
        pytest.param("images_done_in_base64", Status.SUCCEEDED, [f"{TASK}:succeeded"], id="base64"),
        pytest.param("video_expired", Status.FAILED, [f"{TASK}:failed"], id="expired"),
        pytest.param("video_moderated", Status.FAILED, [f"{TASK}:failed"], id="moderated"),
        pytest.param("video_done_without_success", Status.FAILED, [f"{TASK}:failed"], id="done-with-an-error"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


@pytest.mark.parametrize("spell", [str, str.upper, str.title, " {} ".format], ids=["lower", "upper", "title", "spaces"])
@pytest.mark.parametrize(
    ("word", "status"),
    [
        pytest.param("in_queue", Status.QUEUED, id="in-queue"),
        pytest.param("generating", Status.RUNNING, id="generating"),
        pytest.param("done", Status.SUCCEEDED, id="done"),
        pytest.param("expired", Status.FAILED, id="expired"),
    ],
)
def test_folds_the_status(spell, word, status):
    assert read(task(status=spell(word), video_url=VIDEO)).status is status


@pytest.mark.parametrize("word", ["success", "failed", "10000"])
def test_keeps_an_unknown_status_as_it_was_said(word):
    assert read(task(status=word)) == Reading(status=None, raw_status=word)


@pytest.mark.parametrize("word", ["not_found", "NOT_FOUND", " Not_Found "])
def test_does_not_fail_a_task_at_once_that_is_not_found(word):
    with pytest.raises(NotFound):
        read(task(status=word))


def test_reads_the_documented_answer_about_no_task():
    assert type(refusal(sample("jimeng/errors/not_found"))) is NotFound


@pytest.mark.parametrize("code", [*MODERATION, *OUTPUT_MODERATION, 50500, 50501, 50999, 1])
def test_takes_done_for_failed_where_the_code_says_so(code):
    event = told(task(code=code, message="Risk Not Pass", status="done", video_url=VIDEO))

    assert (event.status, event.raw_status, event.outputs) == (Status.FAILED, "done", ())
    assert event.failure == Failure("Risk Not Pass", code=str(code))


@pytest.mark.parametrize("status_code", [200, 400])
@pytest.mark.parametrize("code", [*MODERATION, *OUTPUT_MODERATION])
def test_takes_moderation_for_the_task_s_failure_though_nothing_else_is_said_of_it(code, status_code):
    body = {"code": code, "data": None, "message": "Post Text Risk Not Pass"}

    event = told(answer(body, status_code=status_code))

    assert (event.status, event.raw_status) == (Status.FAILED, str(code))
    assert event.failure == Failure("Post Text Risk Not Pass", code=str(code))


def test_says_that_a_task_expired():
    event = told(task(status="expired"))

    assert event.failure == Failure("the task expired; create it again", code="expired")


@pytest.mark.parametrize("data", [None, {"status": "done"}], ids=["nothing-else", "done"])
@pytest.mark.parametrize("code", [50429, 50430])
def test_does_not_take_too_many_questions_for_the_task_s_failure(code, data):
    failed = refusal({"code": code, "data": data, "message": "Please Try Later"}, **{"retry-after": "17"})

    assert isinstance(failed, RateLimited)
    assert failed.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize(
    ("data", "urls"),
    [
        pytest.param({"video_url": VIDEO}, [VIDEO], id="video"),
        pytest.param({"image_urls": ["a", "b"]}, ["a", "b"], id="images"),
        pytest.param({"image_urls": ["a"], "video_url": VIDEO}, [VIDEO, "a"], id="both"),
        pytest.param({"image_urls": ["", None, 1, "a"], "video_url": ""}, ["a"], id="odd-rows"),
        pytest.param({"image_urls": "a", "video_url": ["b"]}, [], id="odd-types"),
    ],
)
def test_tells_the_results(data, urls):
    assert told(task(status="done", **data)).outputs == tuple(map(Output, urls))


def test_keeps_images_in_base64_in_the_event_s_data_and_shows_no_output():
    [event] = PROVIDER.read(*polled("images_done_in_base64")).events

    assert event.outputs == ()
    assert event.data["data"]["binary_data_base64"] == ["iVBORw0KGgo="]


@pytest.mark.parametrize(
    ("data", "incomplete"),
    [
        pytest.param({"video_url": VIDEO}, False, id="video"),
        pytest.param({"binary_data_base64": ["iVBORw0KGgo="]}, False, id="base64"),
        pytest.param({"binary_data_base64": [], "image_urls": [], "video_url": ""}, True, id="empty"),
        pytest.param({}, True, id="nothing"),
    ],
)
def test_says_when_the_result_is_still_to_come(data, incomplete):
    assert read(task(status="done", **data)).incomplete is incomplete


def test_keeps_the_answer_whole():
    [event] = PROVIDER.read(*polled("video_moderated")).events

    assert event.data == json.loads(sample("jimeng/polls/video_moderated"))


def test_cannot_tell_whose_answer_it_is_where_that_is_not_known():
    _, response = polled("video_done")

    with pytest.raises(RequestFailed, match="task_id is not an id"):
        PROVIDER.read(make_job("", kind="text2video"), response)


def test_does_not_take_an_answer_about_another_task():
    with pytest.raises(RequestFailed, match="another job"):
        read(task(task_id="t2", status="done"))


@pytest.mark.parametrize("data", [None, [], {}, "text", {"status": None}])
def test_takes_an_answer_that_says_nothing_for_a_failed_request(data):
    assert "has no status" in str(refusal({"code": 10000, "data": data}))


# Errors


@pytest.mark.parametrize(
    ("status_code", "body", "error", "retry"),
    [
        pytest.param(429, {"code": 50429, "data": None}, RateLimited, True, id="rate"),
        pytest.param(429, {"code": 50430, "data": None}, RateLimited, True, id="concurrency"),
        pytest.param(500, {"code": 50500, "data": None}, RequestFailed, True, id="server"),
        pytest.param(200, {"code": 50501, "data": None}, RequestFailed, True, id="server-in-a-200"),
        pytest.param(200, {"code": 50999, "data": None}, RequestFailed, False, id="unknown-code"),
        pytest.param(
            200, {"code": 50999, "data": {"status": "generating"}}, RequestFailed, False, id="unknown-at-work"
        ),
        pytest.param(200, {"data": {"status": "done"}}, RequestFailed, False, id="no-code"),
        pytest.param(200, {"code": True, "data": {"status": "done"}}, RequestFailed, False, id="odd-code"),
        pytest.param(500, {"code": 10000, "data": {"status": "done"}}, RequestFailed, True, id="500-with-a-task"),
        pytest.param(401, {"message": "no"}, CredentialsRefused, False, id="401"),
        pytest.param(403, {"message": "no"}, CredentialsRefused, False, id="403"),
        pytest.param(401, PAGE, CredentialsRefused, False, id="401-as-a-page"),
        pytest.param(429, PAGE, RateLimited, True, id="429-as-a-page"),
        pytest.param(502, PAGE, RequestFailed, True, id="502"),
        pytest.param(200, PAGE, RequestFailed, True, id="200-as-a-page"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error, retry):
    failed = refusal(body, status_code=status_code)

    assert (type(failed), failed.retry) == (error, retry)


def test_passes_on_what_the_provider_says():
    assert str(refusal(sample("jimeng/errors/rate_limited"), status_code=429)) == (
        "HTTP 429, code 50429: Request Has Reached API Limit, Please Try Later"
    )


def test_asks_nothing_to_check_its_keys_as_every_question_is_a_post():
    assert PROVIDER.check() == ()


# Submissions


@pytest.mark.parametrize("said", [pytest.param(False, id="left-out"), pytest.param(True, id="said")])
def test_names_the_model(said):
    body = {"prompt": "a wave"} | ({"req_key": "model-of-images"} if said else {})

    request = PROVIDER.submit("image", body, "https://receiver.example.com/hook")

    assert request.path == "/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31"
    assert request.json == {"req_key": "model-of-images", "prompt": "a wave"}


@pytest.mark.parametrize("provider", [PROVIDER, PLAIN], ids=["of-another-model", "of-a-model-nobody-named"])
def test_creates_no_task_that_it_could_not_ask_about(provider):
    with pytest.raises(InvalidBody, match="req_key must be what the source's req_keys says for image"):
        provider.submit("image", {"req_key": "another", "prompt": "a wave"}, None)


def test_tracks_what_was_created():
    created = PROVIDER.read_submission("image", answer(sample("jimeng/submissions/created")))

    assert created == [Created(job_id=TASK, kind="image")]


@pytest.mark.parametrize(
    ("status_code", "code", "error", "retry"),
    [
        *(pytest.param(400, code, RequestFailed, False, id=str(code)) for code in MODERATION),
        *(pytest.param(400, code, RequestFailed, True, id=str(code)) for code in OUTPUT_MODERATION),
        *(pytest.param(429, code, RateLimited, True, id=str(code)) for code in (50429, 50430)),
        *(pytest.param(500, code, RequestFailed, True, id=str(code)) for code in (50500, 50501)),
        pytest.param(200, 50413, RequestFailed, False, id="in-a-200"),
    ],
)
def test_says_why_nothing_was_created_and_whether_to_try_again(status_code, code, error, retry):
    body = {"code": code, "data": None, "message": "Not today"}

    with pytest.raises(RequestFailed, match="Not today") as failed:
        PROVIDER.read_submission("text2video", answer(body, status_code=status_code))

    assert (type(failed.value), failed.value.retry) == (error, retry)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PAGE, id="page"),
        pytest.param({}, id="no-code"),
        pytest.param({"code": 10000}, id="no-data"),
        pytest.param({"code": 10000, "data": {}}, id="no-task-id"),
        pytest.param({"code": 10000, "data": {"task_id": 7}}, id="number"),
        pytest.param({"code": 50500, "message": "Internal Error"}, id="server-error"),
        pytest.param({"code": 50501, "message": "Internal RPC Error"}, id="other-server-error"),
    ],
)
def test_does_not_claim_that_nothing_was_created_where_the_answer_does_not_say(body):
    with pytest.raises(Unreadable):
        PROVIDER.read_submission("text2video", answer(body))
