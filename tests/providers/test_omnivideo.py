"""Omni Video: what is its own, beyond the contract of all adapters."""

import json
from datetime import timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, InvalidBody, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import Created, Event, Failure, Job, Output, Reading, Response, Status
from receiver.providers.omnivideo import OmniVideo
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples

PROVIDER = OmniVideo(api_key="sk-example", base_url="https://omni.example.com")
PAGE = b"<html>Bad gateway</html>"
IMAGE, VIDEO, AUDIO = (f"https://cdn.example.com/{name}" for name in ("image", "video", "audio"))


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def read(*, kind: str = "video", **data: Any) -> Reading:
    return PROVIDER.read(
        make_job("t1", kind=kind), answer({"code": 200, "msg": "ok", "data": {"task_id": "t1"} | data})
    )


def told(*, kind: str = "video", **data: Any) -> Event:
    [event] = read(kind=kind, **data).events
    return event


def refusal(body: Any, *, status_code: int = 200, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(make_job("t1", kind="video"), answer(body, status_code=status_code, **headers))
    return refused.value


def polled(name: str) -> tuple[Job, Response]:
    return make_job("abcdef123456", kind=name.partition("_")[0]), answer(sample(f"omnivideo/polls/{name}"))


class TestOmniVideo(ProviderContract):
    provider_class = OmniVideo
    answers = {name: polled(name) for name in samples("omnivideo/polls")}
    submissions = {
        model: (model, {"prompt": "a wave at dusk"}, answer(sample("omnivideo/submissions/created")))
        for model in ("seedance-2", "gpt-image-2", "nano-banana-2")
    }


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("video_queued", Status.QUEUED, [], id="queued"),
        pytest.param("video_running", Status.RUNNING, [], id="running"),
        pytest.param("video_succeeded", Status.SUCCEEDED, ["abcdef123456:succeeded"], id="succeeded"),
        pytest.param("video_without_result", Status.SUCCEEDED, ["abcdef123456:succeeded"], id="without-result"),
        pytest.param("video_failed", Status.FAILED, ["abcdef123456:failed"], id="failed"),
        pytest.param("image_succeeded", Status.SUCCEEDED, ["abcdef123456:succeeded"], id="image"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


def test_tells_the_result():
    [event] = PROVIDER.read(*polled("image_succeeded")).events

    assert event.outputs == (Output("https://your-cdn.com/out.png"),)


def test_keeps_the_task_whole():
    [event] = PROVIDER.read(*polled("image_succeeded")).events

    assert event.data == json.loads(sample("omnivideo/polls/image_succeeded"))["data"]


def test_does_not_take_the_start_of_a_task_for_its_end():
    [event] = PROVIDER.read(*polled("image_succeeded")).events

    assert event.occurred_at is None


@pytest.mark.parametrize("spell", ["{}", '"{}"', '" {} "'])
@pytest.mark.parametrize(
    ("digit", "status"),
    [
        pytest.param(1, Status.QUEUED, id="queued"),
        pytest.param(2, Status.RUNNING, id="running"),
        pytest.param(3, Status.SUCCEEDED, id="succeeded"),
        pytest.param(4, Status.FAILED, id="failed"),
    ],
)
def test_folds_the_status_as_a_number_and_as_text(spell, digit, status):
    reading = read(task_status=json.loads(spell.format(digit)))

    assert (reading.status, reading.raw_status) == (status, str(digit))


@pytest.mark.parametrize(
    ("said", "raw_status"),
    [
        pytest.param(0, "0", id="zero"),
        pytest.param(5, "5", id="five"),
        pytest.param(-3, "-3", id="negative"),
        pytest.param(33, "33", id="two-digits"),
        pytest.param(3.0, "3.0", id="fraction-of-nothing"),
        pytest.param(3.5, "3.5", id="fraction"),
        pytest.param(True, "true", id="boolean"),
        pytest.param("success", "success", id="word"),
        pytest.param("\uff13", "\uff13", id="full-width-digit"),
        pytest.param("", None, id="empty"),
        pytest.param([3], "[3]", id="list"),
        pytest.param("3" * 200, None, id="too-long-to-keep"),
    ],
)
def test_keeps_an_unknown_status_as_it_was_said(said, raw_status):
    assert read(task_status=said, video_url=VIDEO) == Reading(status=None, raw_status=raw_status)


def test_names_an_event_by_what_the_status_means():
    types = [told(task_status=status).type for status in (3, "3", 4, "4")]

    assert types == ["task.succeeded", "task.succeeded", "task.failed", "task.failed"]


@pytest.mark.parametrize(
    ("task_type", "first"),
    [
        pytest.param("image", IMAGE, id="image"),
        pytest.param("video", VIDEO, id="video"),
        pytest.param("audio", AUDIO, id="audio"),
    ],
)
def test_tells_every_result_and_the_expected_one_first(task_type, first):
    event = told(task_status=3, task_type=task_type, image_url=IMAGE, video_url=VIDEO, audio_url=AUDIO)

    assert event.outputs[0] == Output(first)
    assert {output.url for output in event.outputs} == {IMAGE, VIDEO, AUDIO}


def test_shows_no_result_of_a_failed_task():
    assert told(task_status=4, video_url=VIDEO).outputs == ()


@pytest.mark.parametrize(
    ("data", "incomplete"),
    [
        pytest.param({"task_type": "video", "video_url": VIDEO}, False, id="there"),
        pytest.param({"task_type": "video", "video_url": None}, True, id="null"),
        pytest.param({"task_type": "video", "video_url": ""}, True, id="empty"),
        pytest.param({"task_type": "video"}, True, id="missing"),
        pytest.param({"task_type": "video", "image_url": IMAGE}, True, id="only-a-preview"),
        pytest.param({"task_type": "music", "audio_url": AUDIO}, False, id="other-type"),
        pytest.param({}, True, id="nothing"),
    ],
)
def test_says_when_the_result_is_still_to_come(data, incomplete):
    assert read(kind="task", task_status=3, **data).incomplete is incomplete


def test_expects_no_result_of_a_failed_task():
    assert read(task_status=4).incomplete is False


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        pytest.param({"task_type": "image"}, "video", "image", id="told"),
        pytest.param({"task_type": "Image"}, "video", "image", id="told-in-capitals"),
        pytest.param({"task_type": "music"}, "video", "video", id="unknown"),
        pytest.param({"task_type": 3}, "video", "video", id="number"),
        pytest.param({}, "audio", "audio", id="not-told"),
        pytest.param({}, "hologram", "task", id="tracked-as-something-else"),
    ],
)
def test_takes_the_kind_from_the_task_where_it_says(data, kind, expected):
    assert told(kind=kind, task_status=3, **data).kind == expected


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        pytest.param({"error": "out of memory"}, Failure("out of memory"), id="error"),
        pytest.param({"error_message": "out of memory"}, Failure("out of memory"), id="error-message"),
        pytest.param({"fail_reason": "out of memory"}, Failure("out of memory"), id="fail-reason"),
        pytest.param({"reason": "out of memory"}, Failure("out of memory"), id="reason"),
        pytest.param({"error": "", "reason": "out of memory"}, Failure("out of memory"), id="the-one-with-text"),
        pytest.param({"error": {"a": 1}}, Failure("no reason given"), id="not-text"),
        pytest.param({}, Failure("no reason given"), id="nothing"),
    ],
)
def test_finds_the_reason_of_a_failure(data, failure):
    assert told(task_status=4, **data).failure == failure


def test_gives_no_reason_where_nothing_failed():
    assert told(task_status=3, reason="as asked").failure is None


def test_takes_the_id_out_of_the_answer_where_it_is_not_known():
    _, response = polled("video_failed")

    [event] = PROVIDER.read(make_job("", kind="task"), response).events

    assert (event.job_id, event.kind) == ("abcdef123456", "video")


def test_does_not_take_an_answer_about_another_task():
    with pytest.raises(RequestFailed, match="another job"):
        read(task_id="t2", task_status=3)


def test_does_not_take_an_answer_about_nobody_knows_what():
    response = answer({"code": 200, "data": {"task_status": 3}})

    with pytest.raises(RequestFailed, match="task_id is not an id"):
        PROVIDER.read(make_job("", kind="task"), response)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"code": 200, "msg": "ok"}, id="no-data"),
        pytest.param({"code": 200, "data": None}, id="null"),
        pytest.param({"code": 200, "data": []}, id="list"),
        pytest.param({"code": 200, "data": {"task_id": "t1"}}, id="no-status"),
        pytest.param({"code": 200, "data": {"task_id": "t1", "task_status": None}}, id="null-status"),
    ],
)
def test_takes_an_answer_that_says_nothing_for_a_failed_request(body):
    assert "has no task_status" in str(refusal(body))


@pytest.mark.parametrize("code", [0, "0", 1, 500, -1, 2000, True, None, [], 200.5])
def test_takes_any_code_but_200_for_a_failed_request(code):
    failed = refusal({"code": code, "msg": "try later", "data": {"task_id": "t1", "task_status": 4}})

    assert type(failed) is RequestFailed
    assert str(failed).endswith(": try later")


def test_does_not_take_an_answer_without_a_code():
    assert type(refusal({"data": {"task_id": "t1", "task_status": 3}})) is RequestFailed


def test_does_not_give_up_a_task_that_is_said_not_to_be_found():
    failed = refusal(sample("omnivideo/errors/task_not_found"))

    assert (type(failed), str(failed)) == (RequestFailed, "code 0: task not found")


@pytest.mark.parametrize("code", [200, "200", " 200 "])
def test_takes_code_200_as_a_number_and_as_text(code):
    response = answer({"code": code, "data": {"task_id": "t1", "task_status": 2}})

    assert PROVIDER.read(make_job("t1", kind="video"), response).status is Status.RUNNING


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(401, {"code": 0, "msg": "invalid key"}, CredentialsRefused, id="401"),
        pytest.param(401, PAGE, CredentialsRefused, id="401-as-a-page"),
        pytest.param(401, b"", CredentialsRefused, id="401-empty"),
        pytest.param(401, {"code": 200, "data": {"task_status": 3}}, CredentialsRefused, id="401-with-a-task"),
        pytest.param(404, {"code": 0, "msg": "task not found"}, NotFound, id="404"),
        pytest.param(404, PAGE, RequestFailed, id="404-as-a-page"),
        pytest.param(429, PAGE, RateLimited, id="429"),
        pytest.param(500, {"code": 200, "data": {"task_status": 3}}, RequestFailed, id="500-with-a-task"),
        pytest.param(502, PAGE, RequestFailed, id="502"),
        pytest.param(200, PAGE, RequestFailed, id="200-as-a-page"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error):
    assert type(refusal(body, status_code=status_code)) is error


def test_waits_as_long_as_a_429_says():
    limited = refusal({"code": 0}, status_code=429, **{"retry-after": "17"})

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize("kind", ["video", "image", "audio", "task"])
def test_asks_about_every_kind_at_one_address(kind):
    assert PROVIDER.poll(make_job("t1", kind=kind)).path == "/api/v1/tasks/t1"


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        pytest.param(timedelta(0), 3, id="new"),
        pytest.param(timedelta(seconds=29), 3, id="young"),
        pytest.param(timedelta(seconds=30), 10, id="half-a-minute"),
        pytest.param(timedelta(seconds=119), 10, id="almost-two-minutes"),
        pytest.param(timedelta(minutes=2), 30, id="two-minutes"),
        pytest.param(timedelta(minutes=14), 30, id="old"),
    ],
)
def test_asks_less_and_less_often(age, seconds):
    assert OmniVideo.kinds["video"].interval(age) == timedelta(seconds=seconds)


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer sk-example"}


def test_has_no_address_of_its_own():
    assert OmniVideo(api_key="sk-example").base_url == ""


# Submissions


@pytest.mark.parametrize("model", ["seedance-2", "gpt-image-2", "nano-banana-2"])
@pytest.mark.parametrize("said", [pytest.param(False, id="left-out"), pytest.param(True, id="said")])
def test_names_the_model(model, said):
    request = PROVIDER.submit(model, {"prompt": "a wave"} | ({"model_id": model} if said else {}), None)

    assert (request.path, request.json) == ("/api/v1/tasks/create", {"model_id": model, "prompt": "a wave"})


@pytest.mark.parametrize("model", ["gpt-image-2", "Seedance-2", "", None])
def test_does_not_create_with_another_model(model):
    with pytest.raises(InvalidBody, match="model_id must be seedance-2"):
        PROVIDER.submit("seedance-2", {"model_id": model, "prompt": "a wave"}, None)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        pytest.param("seedance-2", "video", id="seedance-2"),
        pytest.param("gpt-image-2", "image", id="gpt-image-2"),
        pytest.param("nano-banana-2", "image", id="nano-banana-2"),
    ],
)
def test_tracks_a_task_as_what_its_model_makes(model, kind):
    created = PROVIDER.read_submission(model, answer(sample("omnivideo/submissions/created")))

    assert created == [Created(job_id="abcdef123456", kind=kind, reference="kie_xxxxxxxxxxxx")]


@pytest.mark.parametrize("request_id", [None, 7, "", ["kie_1"]])
def test_keeps_no_reference_that_is_not_text(request_id):
    response = answer({"code": 200, "data": {"task_id": "t1", "request_id": request_id}})

    assert PROVIDER.read_submission("seedance-2", response) == [Created(job_id="t1", kind="video")]


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(200, {"code": 0, "msg": "not enough credits", "data": None}, RequestFailed, id="business-failure"),
        pytest.param(401, {"code": 0, "msg": "invalid key"}, CredentialsRefused, id="401"),
        pytest.param(401, PAGE, CredentialsRefused, id="401-as-a-page"),
        pytest.param(429, PAGE, RateLimited, id="429"),
        pytest.param(502, PAGE, RequestFailed, id="502"),
    ],
)
def test_says_why_nothing_was_created(status_code, body, error):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read_submission("seedance-2", answer(body, status_code=status_code))

    assert type(failed.value) is error


def test_passes_on_why_nothing_was_created():
    with pytest.raises(RequestFailed, match="not enough credits"):
        PROVIDER.read_submission("seedance-2", answer({"code": 0, "msg": "not enough credits"}))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(PAGE, id="page"),
        pytest.param(b"", id="empty"),
        pytest.param({}, id="no-code"),
        pytest.param({"code": 200}, id="no-data"),
        pytest.param({"code": 200, "data": {"request_id": "kie_1"}}, id="no-task-id"),
        pytest.param({"code": 200, "data": {"task_id": 7}}, id="number"),
    ],
)
def test_does_not_claim_that_nothing_was_created_where_the_answer_does_not_say(body):
    with pytest.raises(Unreadable):
        PROVIDER.read_submission("seedance-2", answer(body))


# The catalogue and the key


def test_offers_the_models_it_can_create_with():
    offers = {offer.name: (offer.kind, offer.data["result"]) for offer in OmniVideo.offers}

    assert offers == {
        "seedance-2": ("seedance-2", "video_url"),
        "gpt-image-2": ("gpt-image-2", "image_url"),
        "nano-banana-2": ("nano-banana-2", "image_url"),
    }


def test_checks_the_key_with_a_task_that_is_not_there():
    assert [request.path for request in PROVIDER.check()] == ["/api/v1/tasks/receiver-check"]


@pytest.mark.parametrize(
    ("status_code", "body"),
    [
        pytest.param(200, sample("omnivideo/errors/task_not_found"), id="not-found"),
        pytest.param(404, sample("omnivideo/errors/task_not_found"), id="not-found-as-404"),
        pytest.param(200, {"code": 200, "msg": "ok", "data": None}, id="fine"),
    ],
)
def test_takes_a_key_for_accepted_that_a_question_is_answered_with(status_code, body):
    PROVIDER.checked(answer(body, status_code=status_code))


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(401, {"code": 0, "msg": "invalid key"}, CredentialsRefused, id="401"),
        pytest.param(403, {"code": 0, "msg": "invalid key"}, CredentialsRefused, id="403"),
        pytest.param(200, {"code": 401, "msg": "invalid key"}, RequestFailed, id="401-in-the-body"),
        pytest.param(200, {}, RequestFailed, id="no-code"),
        pytest.param(200, PAGE, RequestFailed, id="page"),
        pytest.param(404, {"detail": "Not Found"}, RequestFailed, id="404-for-the-path"),
        pytest.param(429, {"code": 0}, RateLimited, id="429"),
        pytest.param(500, {"code": 0}, RequestFailed, id="500"),
    ],
)
def test_does_not_take_a_key_for_accepted_otherwise(status_code, body, error):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.checked(answer(body, status_code=status_code))

    assert type(failed.value) is error
