"""new-api: what is its own, beyond the contract of all adapters."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from receiver.errors import CredentialsRefused, InvalidBody, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Created,
    Event,
    Failure,
    Job,
    Listed,
    Offer,
    Output,
    Reading,
    Request,
    Response,
    Status,
    Upload,
)
from receiver.outbound import ProviderClient
from receiver.providers.newapi import NewAPI, NewAPISettings
from receiver.testing import ProviderContract, make_job
from tests.scripted import Answer, Scripted, always
from tests.support import sample, samples

BASE_URL = "https://api.example.com/of/a/test"
PROVIDER = NewAPI(api_key="sk-example", base_url=BASE_URL)
SETTINGS = NewAPISettings(user_token=SecretStr("the-user-token"), user_id=7)
WITH_LIST = NewAPI(api_key="sk-example", base_url=BASE_URL, settings=SETTINGS)

JIMENG = "task_Zq3vT8kYpL0sWm4NcB7xRdH2uJ9fEa61"
KLING = "task_b1C2d3E4f5G6h7I8j9K0l1M2n3O4p5Q6"
ASKED = {
    "running": (JIMENG, "videos"),
    "completed": (JIMENG, "videos"),
    "failed": (JIMENG, "videos"),
    "sora_completed": (JIMENG, "videos"),
    "sora_failed": (JIMENG, "videos"),
    "kling_completed": (KLING, "videos"),
    "kling_failed": (KLING, "videos"),
    "envelope_in_progress": (KLING, "kling-text2video"),
    "envelope_success": (KLING, "kling-image2video"),
    "envelope_failure": ("task_c9D8e7F6a5B4c3D2e1F0a9B8c7D6e5F4", "jimeng"),
    "envelope_timed_out": ("task_c9D8e7F6a5B4c3D2e1F0a9B8c7D6e5F4", "jimeng"),
    "envelope_older_build": ("cgt-20250615-abc", "generations"),
    "gemini_processing": ("task_e5F4", "generations"),
    "gemini_succeeded": ("task_e5F4", "generations"),
    "gemini_failed": ("task_e5F4", "generations"),
    "documented_succeeded": ("abcd1234efgh", "generations"),
    "documented_failed": ("abcd1234efgh", "generations"),
    "nothing_to_show": (JIMENG, "generations"),
}


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def polled(name: str) -> tuple[Job, Response]:
    job_id, kind = ASKED[name]
    return make_job(job_id, kind=kind), answer(sample(f"newapi/polls/{name}"))


def created(name: str) -> Response:
    return answer(sample(f"newapi/submissions/{name}"))


def read(body: Any, *, status_code: int = 200, **headers: str) -> Reading:
    return PROVIDER.read(make_job("task_1", kind="videos"), answer(body, status_code=status_code, **headers))


def enveloped(**task: Any) -> Reading:
    return read({"code": "success", "message": "", "data": {"id": 1, "task_id": "task_1", **task}})


def ended(name: str) -> Event:
    [event] = PROVIDER.read(*polled(name)).events
    return event


def submit(**body: Any) -> Request:
    return PROVIDER.submit("videos", {"model": "sora-2", "prompt": "rain on glass"} | body, None)


def listed(**page: Any) -> Any:
    return WITH_LIST.read_listing(answer({"success": True, "message": "", "data": page}))


class TestNewAPI(ProviderContract):
    provider_class = NewAPI
    listings = {name: answer(body) for name, body in samples("newapi/listings").items()}
    answers = {name: polled(name) for name in samples("newapi/polls")}
    submissions = {
        "videos": ("videos", {"model": "sora-2", "prompt": "rain", "seconds": 8}, created("created")),
        "generations": ("generations", {"model": "sora-2", "prompt": "rain"}, created("created_with_task_id")),
        "kling-text2video": (
            "kling-text2video",
            {"model": "kling-v1", "prompt": "rain", "duration": 5},
            created("created_in_envelope"),
        ),
        "kling-image2video": (
            "kling-image2video",
            {"model": "kling-v1", "image": "https://cdn.example.com/in.png"},
            created("created"),
        ),
        "jimeng": ("jimeng", {"req_key": "jimeng_vgfm_t2v_l20", "prompt": "rain"}, created("created")),
    }

    def configured(self, secrets):
        return NewAPI(secrets=secrets, base_url=BASE_URL, settings=SETTINGS)


# Asking


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param("videos", "/v1/videos/task_1", id="videos"),
        pytest.param("generations", "/v1/video/generations/task_1", id="generations"),
        pytest.param("kling-text2video", "/kling/v1/videos/text2video/task_1", id="kling-text2video"),
        pytest.param("kling-image2video", "/kling/v1/videos/image2video/task_1", id="kling-image2video"),
        pytest.param("music", "/v1/video/generations/task_1", id="unknown-kind"),
    ],
)
def test_asks_where_the_kind_is_answered(kind, path):
    assert PROVIDER.poll(make_job("task_1", kind=kind)) == Request(path=path)


def test_asks_about_a_jimeng_task_with_a_post_that_names_it_in_its_body():
    request = PROVIDER.poll(make_job("task_1", kind="jimeng"))

    assert request == Request(
        method="POST",
        path="/jimeng/?Action=CVSync2AsyncGetResult&Version=2022-08-31",
        json={"task_id": "task_1"},
    )


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer sk-example"}


def test_has_no_address_of_its_own():
    assert NewAPI.base_url == ""


@pytest.mark.parametrize(
    ("age", "interval"),
    [
        pytest.param(timedelta(0), timedelta(seconds=15), id="young"),
        pytest.param(timedelta(minutes=2), timedelta(seconds=30), id="two-minutes-old"),
    ],
)
@pytest.mark.parametrize("kind", NewAPI.kinds)
def test_asks_less_often_with_time(kind, age, interval):
    schedule = NewAPI.kinds[kind]

    assert (schedule.first, schedule.interval(age)) == (timedelta(seconds=5), interval)


# Reading


@pytest.mark.parametrize(
    ("name", "status", "raw_status", "progress"),
    [
        pytest.param("running", Status.RUNNING, "in_progress", 30, id="running"),
        pytest.param("envelope_in_progress", Status.RUNNING, "IN_PROGRESS", 30, id="envelope"),
        pytest.param("gemini_processing", Status.RUNNING, "processing", None, id="gemini"),
        pytest.param("nothing_to_show", None, None, None, id="nothing-to-show"),
    ],
)
def test_leaves_open_what_has_not_ended(name, status, raw_status, progress):
    reading = PROVIDER.read(*polled(name))

    assert reading == Reading(status=status, raw_status=raw_status, progress=progress)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("completed", f"videos task.succeeded {JIMENG}:succeeded", id="completed"),
        pytest.param("failed", f"videos task.failed {JIMENG}:failed", id="failed"),
        pytest.param("sora_completed", f"videos task.succeeded {JIMENG}:succeeded", id="sora-completed"),
        pytest.param("kling_completed", f"videos task.succeeded {KLING}:succeeded", id="kling-completed"),
        pytest.param("kling_failed", f"videos task.failed {KLING}:failed", id="kling-failed"),
        pytest.param("envelope_success", f"kling-image2video task.succeeded {KLING}:succeeded", id="envelope-success"),
        pytest.param(
            "envelope_failure",
            "jimeng task.failed task_c9D8e7F6a5B4c3D2e1F0a9B8c7D6e5F4:failed",
            id="envelope-failure",
        ),
        pytest.param(
            "envelope_older_build", "generations task.succeeded cgt-20250615-abc:succeeded", id="envelope-older-build"
        ),
        pytest.param("gemini_succeeded", "generations task.succeeded task_e5F4:succeeded", id="gemini-succeeded"),
        pytest.param("gemini_failed", "generations task.failed task_e5F4:failed", id="gemini-failed"),
        pytest.param("documented_succeeded", "generations task.succeeded abcd1234efgh:succeeded", id="documented"),
    ],
)
def test_tells_of_what_has_ended(name, expected):
    event = ended(name)

    assert f"{event.kind} {event.type} {event.key}" == expected


@pytest.mark.parametrize(
    ("name", "output"),
    [
        pytest.param("completed", Output("https://cdn.example.com/jimeng/out.mp4"), id="metadata"),
        pytest.param("kling_completed", Output("https://cdn.example.com/kling/out.mp4"), id="kling-metadata"),
        pytest.param("envelope_success", Output("https://cdn.example.com/kling/out.mp4"), id="result-url"),
        pytest.param("envelope_older_build", Output("https://cdn.example.com/old/out.mp4"), id="fail-reason"),
        pytest.param("documented_succeeded", Output("https://cdn.example.com/documented/out.mp4"), id="url"),
        pytest.param(
            "sora_completed", Output(f"{BASE_URL}/v1/videos/{JIMENG}/content", authorized=True), id="no-url-at-all"
        ),
        pytest.param(
            "gemini_succeeded", Output(f"{BASE_URL}/v1/videos/task_e5F4/content", authorized=True), id="content-route"
        ),
    ],
)
def test_finds_the_result(name, output):
    assert ended(name).outputs == (output,)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"{BASE_URL}/v1/videos/task_1/content", id="its-own"),
        pytest.param("http://localhost:3000/v1/videos/task_1/content", id="as-its-operator-left-it"),
        pytest.param("https://elsewhere.example.com/v1/videos/task_1/content?a=b", id="of-another-host"),
        pytest.param("https://elsewhere.example.com/v1/videos/video_2/content", id="of-the-upstream"),
        pytest.param("", id="empty"),
        pytest.param("video is ready", id="text"),
        pytest.param("data:video/mp4;base64,AAAA", id="data"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("https://", id="no-host"),
        pytest.param("https://[broken/out.mp4", id="broken"),
        pytest.param(None, id="null"),
    ],
)
def test_takes_the_result_from_its_own_address_where_it_is_told_no_other(url):
    [event] = enveloped(status="SUCCESS", result_url=url).events

    assert event.outputs == (Output(f"{BASE_URL}/v1/videos/task_1/content", authorized=True),)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://cdn.example.com/v1/videos/task_1/content/out.mp4", id="below"),
        pytest.param("https://cdn.example.com/out.mp4?from=/v1/videos/task_1/content", id="in-the-query"),
        pytest.param("https://cdn.example.com/v1/videos/content", id="no-id"),
    ],
)
def test_takes_what_only_looks_like_its_own_address_for_one_that_needs_no_key(url):
    [event] = enveloped(status="SUCCESS", result_url=url).events

    assert event.outputs == (Output(url),)


def test_shows_no_result_of_a_failed_task():
    [event] = enveloped(status="FAILURE", result_url="https://cdn.example.com/out.mp4").events

    assert event.outputs == ()


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        pytest.param("failed", Failure("Post Text Risk Not Pass", code="50413"), id="error"),
        pytest.param("sora_failed", Failure("Your request was blocked."), id="error-without-code"),
        pytest.param("kling_failed", Failure("no reason given"), id="no-error"),
        pytest.param("envelope_failure", Failure("content risk control"), id="fail-reason"),
        pytest.param("gemini_failed", Failure("blocked by the safety filters"), id="in-place-of-the-url"),
        pytest.param("documented_failed", Failure("the prompt was refused", code="1"), id="number-as-code"),
    ],
)
def test_finds_the_reason_of_a_failure(name, failure):
    assert ended(name).failure == failure


@pytest.mark.parametrize(
    ("task", "failure"),
    [
        pytest.param({"error": "timed out"}, Failure("timed out"), id="text"),
        pytest.param({"error": {"message": "timed out", "code": "late"}}, Failure("timed out", "late"), id="gemini"),
        pytest.param({"url": "https://cdn.example.com/out.mp4"}, Failure("no reason given"), id="only-a-url"),
    ],
)
def test_finds_the_reason_of_a_failure_in_an_envelope(task, failure):
    [event] = enveloped(status="FAILURE", **task).events

    assert event.failure == failure


def test_tells_that_the_gateway_gave_up_in_its_words():
    task = json.loads(sample("newapi/polls/envelope_timed_out"))["data"]

    assert ended("envelope_timed_out").failure == Failure(task["fail_reason"])


def test_gives_no_reason_where_nothing_failed():
    assert ended("envelope_older_build").failure is None


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        pytest.param("completed", datetime(2025, 10, 9, 8, 54, 50, tzinfo=UTC), id="seconds"),
        pytest.param("kling_completed", datetime(2025, 10, 9, 8, 55, 20, 456000, tzinfo=UTC), id="milliseconds"),
        pytest.param("envelope_success", datetime(2025, 10, 9, 8, 55, 20, tzinfo=UTC), id="envelope"),
        pytest.param("gemini_succeeded", None, id="not-told"),
    ],
)
def test_tells_when_the_task_ended(name, moment):
    assert ended(name).occurred_at == moment


def test_keeps_the_object_whole():
    assert ended("completed").data == json.loads(sample("newapi/polls/completed"))


@pytest.mark.parametrize("name", ["envelope_success", "gemini_succeeded"])
def test_keeps_the_task_of_an_envelope_whole(name):
    assert ended(name).data == json.loads(sample(f"newapi/polls/{name}"))["data"]


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param("queued pending submitted not_start preparing", Status.QUEUED, id="queued"),
        pytest.param("unknown notstarted created starting", Status.QUEUED, id="queued-as-nothing-is-known"),
        pytest.param("processing in_progress running generating", Status.RUNNING, id="running"),
        pytest.param("completed complete success succeeded finished", Status.SUCCEEDED, id="succeeded"),
        pytest.param("failed failure fail error", Status.FAILED, id="failed"),
        pytest.param("cancelled canceled", Status.CANCELLED, id="cancelled"),
    ],
)
def test_folds_every_word_in_any_case_and_any_form(words, status, change):
    said = [change(word) for word in words.split()]

    assert {read({"id": "task_1", "object": "video", "status": word}).status for word in said} == {status}
    assert {enveloped(status=word).status for word in said} == {status}


def test_tells_a_cancelled_task():
    [event] = read({"id": "task_1", "object": "video", "status": "Canceled"}).events

    assert (event.type, event.key) == ("task.cancelled", "task_1:cancelled")


def test_keeps_an_unknown_status_as_it_was_said():
    assert enveloped(status="PAUSED") == Reading(status=None, raw_status="PAUSED")


@pytest.mark.parametrize(
    ("said", "progress"),
    [
        pytest.param(42, 42, id="number"),
        pytest.param("42%", 42, id="percent"),
        pytest.param("100%", 100, id="all"),
        pytest.param("0%", 0, id="none"),
        pytest.param(" 42.5 % ", 42.5, id="spaces"),
        pytest.param("42", 42, id="text"),
        pytest.param("", None, id="empty"),
        pytest.param("half", None, id="word"),
        pytest.param("4" * 400, None, id="digits"),
        pytest.param(None, None, id="null"),
    ],
)
def test_tells_the_progress(said, progress):
    assert enveloped(status="IN_PROGRESS", progress=said).progress == progress


def test_knows_a_task_by_its_id_where_the_upstream_left_its_own_beside_it():
    reading = read({"id": "task_1", "task_id": "upstream-9", "object": "video", "status": "completed"})

    assert [event.key for event in reading.events] == ["task_1:succeeded"]


def test_finds_the_task_where_the_upstream_left_an_envelope_in_it():
    reading = read({"id": "task_1", "status": "in_progress", "code": "ok", "data": {"status": "failed"}})

    assert reading.status is Status.RUNNING


def test_takes_the_id_out_of_a_recorded_answer():
    [event] = PROVIDER.read(make_job("", kind="videos"), polled("envelope_success")[1]).events

    assert event.job_id == KLING


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({"id": "task_2", "object": "video", "status": "completed"}, "another job", id="other-id"),
        pytest.param({"code": "success", "data": {"task_id": "task_2", "status": "SUCCESS"}}, "another job", id="row"),
        pytest.param({"id": "task_1", "object": "video"}, "no status", id="no-status"),
        pytest.param({"code": "success", "data": {"task_id": "task_1"}}, "no status", id="row-without-status"),
        pytest.param({"code": "success"}, "no status", id="envelope-without-task"),
        pytest.param({}, "no status", id="empty"),
    ],
)
def test_takes_an_answer_that_says_nothing_of_the_job_for_a_failed_request(body, told):
    with pytest.raises(RequestFailed, match=told):
        read(body)


# Errors


@pytest.mark.parametrize(
    ("name", "status_code", "error", "retry"),
    [
        pytest.param("task_not_exist", 400, NotFound, False, id="unknown-task"),
        pytest.param("task_not_exist", 404, NotFound, False, id="unknown-task-as-documented"),
        pytest.param("documented", 404, NotFound, False, id="documented-404"),
        pytest.param("documented", 400, RequestFailed, False, id="documented-400"),
        pytest.param("invalid_request", 400, RequestFailed, False, id="invalid-request"),
        pytest.param("fail_to_fetch_task", 400, RequestFailed, False, id="upstream-400"),
        pytest.param("fail_to_fetch_task", 401, RequestFailed, False, id="upstream-401"),
        pytest.param("fail_to_fetch_task", 404, RequestFailed, False, id="upstream-404"),
        pytest.param("fail_to_fetch_task", 503, RequestFailed, True, id="upstream-503"),
        pytest.param("get_task_failed", 500, RequestFailed, True, id="get-task-failed"),
        pytest.param("convert_failed", 500, RequestFailed, True, id="convert-failed"),
        pytest.param("not_implemented", 501, RequestFailed, True, id="not-implemented"),
        pytest.param("bad_token", 401, CredentialsRefused, False, id="bad-token"),
        pytest.param("bad_token", 403, CredentialsRefused, False, id="banned-token"),
        pytest.param("jimeng_without_action", 400, RequestFailed, False, id="jimeng-without-action"),
        pytest.param("jimeng_without_task", 400, RequestFailed, False, id="jimeng-without-task"),
        pytest.param("no_such_path", 404, RequestFailed, False, id="no-such-path"),
        pytest.param("upstream_saturated", 429, RateLimited, True, id="saturated"),
        pytest.param("bad_token", 200, RequestFailed, False, id="error-with-200"),
        pytest.param("get_task_failed", 200, RequestFailed, False, id="code-with-200"),
    ],
)
def test_says_why_the_request_failed(name, status_code, error, retry):
    with pytest.raises(RequestFailed) as failed:
        read(sample(f"newapi/errors/{name}"), status_code=status_code)

    assert (type(failed.value), failed.value.retry) == (error, retry)


@pytest.mark.parametrize(
    ("name", "status_code", "told"),
    [
        pytest.param("get_task_failed", 500, "database is locked", id="flat"),
        pytest.param("bad_token", 401, "Invalid token", id="object"),
        pytest.param("upstream_saturated", 429, "当前分组上游负载已饱和", id="saturated"),
        pytest.param("no_such_path", 404, "base_url", id="no-such-path"),
    ],
)
def test_passes_on_what_the_gateway_says(name, status_code, told):
    with pytest.raises(RequestFailed, match=told):
        read(sample(f"newapi/errors/{name}"), status_code=status_code)


def test_waits_as_long_as_a_429_says():
    with pytest.raises(RateLimited) as limited:
        read(b"slow down", status_code=429, **{"retry-after": "17"})

    assert limited.value.retry_after == timedelta(seconds=17)


# Creating


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        pytest.param("generations", "/v1/video/generations", id="generations"),
        pytest.param("kling-text2video", "/kling/v1/videos/text2video", id="kling-text2video"),
        pytest.param("kling-image2video", "/kling/v1/videos/image2video", id="kling-image2video"),
        pytest.param("jimeng", "/jimeng/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31", id="jimeng"),
    ],
)
def test_creates_a_task_from_json(kind, path):
    body = {"model": "kling-v1", "prompt": "rain", "image": "https://cdn.example.com/in.png", "req_key": "t2v"}

    assert PROVIDER.submit(kind, body, None) == Request(method="POST", path=path, json=body)


def test_creates_a_video_from_a_form_whose_fields_are_text():
    request = submit(seconds=8, input_reference="https://cdn.example.com/in.png", watermark=False, seed=None)

    assert request == Request(
        method="POST",
        path="/v1/videos",
        form={
            "model": "sora-2",
            "prompt": "rain on glass",
            "seconds": "8",
            "input_reference": "https://cdn.example.com/in.png",
            "watermark": "false",
        },
    )


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("data:image/png;base64,iVBORw0KGgo=", id="plain"),
        pytest.param("DATA:Image/PNG;Base64,iVBORw0KGgo=", id="upper-case"),
        pytest.param("data:image/png;name=in.png;base64,iVBORw0KGgo=", id="parameter"),
    ],
)
def test_uploads_a_reference_that_is_given_as_a_data_url(url):
    form = submit(input_reference=url).form

    assert form is not None
    assert form["input_reference"] == Upload("input_reference.png", "image/png", b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("data:image/png;base64,", id="empty"),
        pytest.param("data:image/png;base64", id="no-comma"),
        pytest.param("data:image/png,iVBORw0KGgo=", id="not-base64"),
        pytest.param("data:;base64,iVBORw0KGgo=", id="no-type"),
        pytest.param("data:image;base64,iVBORw0KGgo=", id="half-a-type"),
        pytest.param("data:image/png\r\nX-Other: 1;base64,iVBORw0KGgo=", id="line-break-in-the-type"),
        pytest.param("data:image/png;base64,iVBORw0KGgo", id="cut"),
        pytest.param("data:image/png;base64,iVBORw0!KGgo=", id="odd-character"),
        pytest.param("data:image/png;base64,夜明", id="not-ascii"),
        pytest.param("data:", id="nothing"),
    ],
)
def test_refuses_a_broken_data_url(url):
    with pytest.raises(InvalidBody, match="input_reference is not a whole data: URL"):
        submit(input_reference=url)


@pytest.mark.parametrize(
    ("name", "job_id"),
    [
        pytest.param("created", JIMENG, id="id"),
        pytest.param("created_with_task_id", "abcd1234efgh", id="task-id"),
        pytest.param("created_in_envelope", KLING, id="envelope"),
    ],
)
@pytest.mark.parametrize("kind", NewAPI.create_calls)
def test_reads_which_task_was_created(kind, name, job_id):
    assert PROVIDER.read_submission(kind, created(name)) == [Created(job_id=job_id, kind=kind)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html></html>", id="page"),
        pytest.param({}, id="empty"),
        pytest.param({"id": 4711, "status": "queued"}, id="only-a-row"),
        pytest.param({"code": "success", "data": None}, id="no-task"),
    ],
)
def test_does_not_deny_that_a_task_was_created_where_the_answer_names_none(body):
    with pytest.raises(Unreadable):
        PROVIDER.read_submission("videos", answer(body))


@pytest.mark.parametrize(
    ("name", "status_code", "error"),
    [
        pytest.param("upstream_saturated", 429, RateLimited, id="saturated"),
        pytest.param("bad_token", 401, CredentialsRefused, id="bad-token"),
        pytest.param("invalid_request", 400, RequestFailed, id="invalid-request"),
        pytest.param("fail_to_fetch_task", 401, RequestFailed, id="upstream-401"),
        pytest.param("invalid_request", 200, RequestFailed, id="code-with-200"),
    ],
)
def test_says_why_no_task_was_created(name, status_code, error):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read_submission("videos", answer(sample(f"newapi/errors/{name}"), status_code=status_code))

    assert type(failed.value) is error


# The catalogue


def test_asks_for_the_models():
    assert PROVIDER.catalog() == PROVIDER.check() == [Request(path="/v1/models")]


def test_offers_the_models():
    models = answer(sample("newapi/models"))

    offers = PROVIDER.read_catalog(models)

    assert offers == [Offer(name=row["id"], data=row) for row in json.loads(models.body)["data"]]
    assert [offer.name for offer in offers] == ["kling-v1", "sora-2"]


def test_offers_no_model_without_a_name():
    assert PROVIDER.read_catalog(answer({"data": ["sora-2", {"object": "model"}, {"id": ""}]})) == []


def test_cannot_read_a_catalog_that_is_none():
    with pytest.raises(Unreadable, match="list of models"):
        PROVIDER.read_catalog(answer({"success": False, "message": "no group"}))


def test_takes_an_answer_to_its_check_for_a_proof_of_the_key():
    PROVIDER.checked(answer(sample("newapi/models")))


def test_takes_an_error_for_no_proof_of_the_key():
    with pytest.raises(CredentialsRefused):
        PROVIDER.checked(answer(sample("newapi/errors/bad_token"), status_code=401))


# The list of tasks


@pytest.mark.parametrize(
    ("settings", "able"),
    [
        pytest.param(SETTINGS, True, id="both"),
        pytest.param(NewAPISettings(user_token=SecretStr("the-user-token")), True, id="token"),
        pytest.param(NewAPISettings(user_id=7), False, id="number"),
        pytest.param(None, False, id="nothing"),
    ],
)
def test_lists_tasks_only_where_it_is_given_the_token_of_the_account(settings, able):
    assert NewAPI(base_url=BASE_URL, settings=settings).lists_jobs is able


def test_takes_no_empty_token_of_an_account():
    with pytest.raises(ValidationError):
        NewAPISettings(user_token=SecretStr(""))


@pytest.mark.parametrize("user_id", [0, -1, "seven", 1.5])
def test_takes_no_odd_number_for_that_of_an_account(user_id):
    with pytest.raises(ValidationError):
        NewAPISettings(user_id=user_id)


@pytest.mark.parametrize(
    ("cursor", "path"),
    [
        pytest.param(None, "/api/task/self?p=1&page_size=100", id="first"),
        pytest.param("2", "/api/task/self?p=2&page_size=100", id="next"),
    ],
)
def test_asks_for_a_page_of_its_tasks(cursor, path):
    assert WITH_LIST.listing(cursor) == Request(path=path)


def test_sends_the_token_of_the_account_in_place_of_the_api_key_to_the_list():
    page = Answer(sample("newapi/listings/first"))
    with Scripted(always(page)) as server, ProviderClient() as client:
        provider = NewAPI(api_key="sk-example", base_url=f"{server.url}/of/a/test", settings=SETTINGS)
        client.send(provider, provider.listing())

    [asked] = server.asked
    assert (asked.headers["authorization"], asked.headers["new-api-user"]) == ("Bearer the-user-token", "7")
    assert "sk-example" not in str(asked.headers)


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param(lambda provider: provider.poll(make_job("/api/task/self", kind="videos")), id="poll"),
        pytest.param(lambda provider: provider.poll(make_job("task_1", kind="jimeng")), id="poll-by-post"),
        pytest.param(lambda provider: provider.submit("jimeng", {"req_key": "/api/task/self"}, None), id="submit"),
        pytest.param(lambda provider: provider.catalog()[0], id="catalog"),
    ],
)
def test_sends_the_token_of_the_account_nowhere_else(request_of):
    with Scripted(always(Answer({}))) as server, ProviderClient() as client:
        provider = NewAPI(api_key="sk-example", base_url=server.url, settings=SETTINGS)
        client.send(provider, request_of(provider))

    [asked] = server.asked
    assert asked.headers["authorization"] == "Bearer sk-example"
    assert "new-api-user" not in asked.headers
    assert "the-user-token" not in str(asked)


def test_does_not_send_the_token_of_the_account_where_results_are_fetched():
    assert WITH_LIST.authorize() == {"Authorization": "Bearer sk-example"}


def test_names_no_account_where_none_is_set():
    provider = NewAPI(base_url=BASE_URL, settings=NewAPISettings(user_token=SecretStr("the-user-token")))
    url = f"{BASE_URL}{provider.listing().path}"

    proof = provider.sign_request(method="GET", url=url, body=b"", now=datetime.now(UTC))

    assert proof == {"Authorization": "Bearer the-user-token"}


def test_keeps_the_token_of_the_account_to_itself():
    assert WITH_LIST.confidential == ["sk-example", "the-user-token"]
    assert "the-user-token" not in repr(WITH_LIST) + repr(SETTINGS)


def test_finds_the_tasks_on_a_page():
    listing = WITH_LIST.read_listing(answer(sample("newapi/listings/first")))

    assert listing.jobs == (
        Listed(
            job_id="task_c9D8e7F6a5B4c3D2e1F0a9B8c7D6e5F4",
            kind="generations",
            created_at=datetime(2025, 10, 9, 8, 55, 1, tzinfo=UTC),
        ),
        Listed(job_id=KLING, kind="generations", created_at=datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
    )
    assert listing.cursor == "2"


def test_asks_about_a_listed_task_where_every_task_is_answered():
    [job] = WITH_LIST.read_listing(answer(sample("newapi/listings/last"))).jobs

    assert WITH_LIST.poll(make_job(job.job_id, kind=job.kind)) == Request(path="/v1/video/generations/task123456")


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        pytest.param({"page": 1, "page_size": 100, "total": 101}, "2", id="more"),
        pytest.param({"page": 2, "page_size": 100, "total": 201}, "3", id="still-more"),
        pytest.param({"page": 1, "page_size": 100, "total": 100}, None, id="no-more"),
        pytest.param({"page": 1, "page_size": 100}, None, id="no-total"),
        pytest.param({"page_size": 100, "total": 200}, None, id="no-page"),
        pytest.param({"page": 0, "page_size": 100, "total": 200}, None, id="before-the-first"),
        pytest.param({"page": "1", "page_size": 100, "total": 200}, None, id="text"),
        pytest.param({"page": 10**300, "page_size": 1, "total": 10**301}, None, id="absurd"),
    ],
)
def test_goes_on_to_the_next_page_while_there_is_more(page, cursor):
    assert listed(items=[{"task_id": "task_1"}], **page).cursor == cursor


def test_does_not_go_on_behind_an_empty_page():
    assert listed(items=[], page=1, page_size=100, total=500).cursor is None


def test_leaves_out_what_names_no_task():
    rows = [None, 5, {}, {"id": "task_1"}, {"task_id": 4711}, {"task_id": ""}, {"task_id": "task_1", "submit_time": -1}]

    assert listed(items=rows).jobs == (Listed(job_id="task_1", kind="generations"),)


@pytest.mark.parametrize(
    ("name", "status_code", "error"),
    [
        pytest.param("user_token_invalid", 200, RequestFailed, id="refused-with-200"),
        pytest.param("user_token_invalid", 401, CredentialsRefused, id="refused-with-401"),
        pytest.param("user_token_unauthorized", 401, CredentialsRefused, id="newer-builds"),
        pytest.param("upstream_saturated", 429, RateLimited, id="saturated"),
    ],
)
def test_says_why_there_is_no_list(name, status_code, error):
    refused = answer(sample(f"newapi/errors/{name}"), status_code=status_code)

    with pytest.raises(RequestFailed) as failed:
        WITH_LIST.read_listing(refused)

    assert type(failed.value) is error


def test_passes_on_what_the_gateway_says_about_the_list():
    with pytest.raises(RequestFailed, match="access token 无效"):
        WITH_LIST.read_listing(answer(sample("newapi/errors/user_token_invalid")))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"success": True}, id="no-data"),
        pytest.param({"success": True, "data": []}, id="list"),
        pytest.param({"success": True, "data": {"items": None}}, id="no-items"),
        pytest.param({"data": {"items": []}}, id="no-success"),
    ],
)
def test_takes_an_answer_without_a_list_for_a_failed_request(body):
    with pytest.raises(RequestFailed, match="no list of tasks"):
        WITH_LIST.read_listing(answer(body))
