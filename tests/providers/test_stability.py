"""Stability: what is its own, beyond the contract of all adapters."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, InvalidBody, NotFound, RateLimited, RequestFailed
from receiver.models import Created, Event, Job, Output, Reading, Request, Response, Status, Upload
from receiver.outbound import ProviderClient
from receiver.providers.stability import Stability
from receiver.testing import ProviderContract, make_job
from tests.scripted import Answer, Scripted, always
from tests.support import sample, samples

JOB_ID = "a6dc6c6e20acda010fe14d71f180658f2896ed9b4ec25aa99a6ff06c796987c4"
JOB = make_job(JOB_ID, kind="image-to-video")
NEWER = replace(JOB, kind="generation")
PROVIDER = Stability(api_key="sk-example")
RESULT = f"https://api.stability.ai/v2beta/image-to-video/result/{JOB_ID}"
PNG = "data:image/png;base64,iVBORw0KGgo="
# Not JSON, not UTF-8.
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41\xff\xfe"
CODES = {"in_progress": 202, "finished_in_json": 200}


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def polled(name: str) -> tuple[Job, Response]:
    return JOB, answer(sample(f"stability/polls/{name}"), status_code=CODES[name])


def file(content_type: str = "video/mp4", *, status_code: int = 200, **headers: str) -> Response:
    return answer(MP4, status_code=status_code, **{"content-type": content_type}, **headers)


def finished(response: Response, job: Job = JOB) -> Event:
    [event] = PROVIDER.read(job, response).events
    return event


def submit(**body: Any) -> Request:
    return PROVIDER.submit("image-to-video", {"image": PNG, **body}, None)


class TestStability(ProviderContract):
    provider_class = Stability
    answers = {**{name: polled(name) for name in samples("stability/polls")}, "file": (JOB, replace(file(), body=b""))}
    submissions = {
        "image-to-video": (
            "image-to-video",
            {"image": PNG, "seed": 0, "cfg_scale": 1.8},
            answer(sample("stability/submissions/created")),
        )
    }


# Asking


@pytest.mark.parametrize(
    ("kind", "path", "accept"),
    [
        pytest.param("image-to-video", f"/v2beta/image-to-video/result/{JOB_ID}", "video/*", id="image-to-video"),
        pytest.param("generation", f"/v2beta/results/{JOB_ID}", "*/*", id="newer"),
        pytest.param("music", f"/v2beta/image-to-video/result/{JOB_ID}", "video/*", id="unknown-kind"),
    ],
)
def test_asks_where_the_result_will_be(kind, path, accept):
    request = PROVIDER.poll(replace(JOB, kind=kind))

    assert (request.method, request.path, request.headers["Accept"]) == ("GET", path, accept)


def test_leaves_the_file_where_it_is():
    assert PROVIDER.poll(JOB).leave_file


def test_does_not_ask_for_base64_which_is_larger_than_the_file():
    assert "json" not in PROVIDER.poll(JOB).headers["Accept"]


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer sk-example"}


def test_proves_the_key_by_the_balance_of_the_account():
    assert PROVIDER.check() == [Request(path="/v1/user/balance")]


@pytest.mark.parametrize("kind", Stability.kinds)
def test_never_asks_twice_within_ten_seconds_however_intervals_are_varied(kind):
    schedule = Stability.kinds[kind]

    assert schedule.first >= timedelta(seconds=10)
    assert min(schedule.every.values()) * 0.8 >= timedelta(seconds=10)


@pytest.mark.parametrize("kind", Stability.kinds)
def test_gives_up_when_the_result_would_be_gone(kind):
    assert Stability.kinds[kind].deadline == Stability.results_last == timedelta(hours=24)


# The HTTP code is the status


def test_is_at_work_as_long_as_the_code_is_202():
    reading = PROVIDER.read(*polled("in_progress"))

    assert reading == Reading(status=Status.RUNNING, raw_status="in-progress")


@pytest.mark.parametrize("body", [{}, {"id": JOB_ID}, {"status": "complete"}, {"status": None}, {"status": 5}])
def test_believes_a_202_whatever_the_body_says(body):
    assert PROVIDER.read(JOB, answer(body, status_code=202)).status is Status.RUNNING


def test_does_not_take_a_202_about_another_job():
    with pytest.raises(RequestFailed, match="another job"):
        PROVIDER.read(JOB, answer({"id": "another", "status": "in-progress"}, status_code=202))


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(file(), id="whole"),
        pytest.param(replace(file(), body=b""), id="body-not-read"),
        pytest.param(file("video/mp4; codecs=avc1"), id="parameter"),
        pytest.param(file("Video/MP4"), id="upper-case"),
        pytest.param(file("image/webp"), id="image"),
        pytest.param(file("audio/mpeg"), id="audio"),
        pytest.param(file("model/gltf-binary"), id="model"),
        pytest.param(file("application/octet-stream"), id="bytes"),
        pytest.param(polled("finished_in_json")[1], id="base64-in-json"),
    ],
)
def test_takes_a_file_for_success(response):
    reading = PROVIDER.read(JOB, response)

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, False)
    assert [(event.key, event.type) for event in reading.events] == [(f"{JOB_ID}:succeeded", "generation.succeeded")]


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(b"<html>Welcome</html>", **{"content-type": "text/html"}), id="page"),
        pytest.param(answer(MP4), id="no-content-type"),
        pytest.param(answer(MP4, **{"content-type": "application/json"}), id="file-as-json"),
        pytest.param(answer({"id": JOB_ID, "status": "in-progress"}), id="json-without-a-file"),
        pytest.param(answer({"video": ""}), id="json-with-an-empty-file"),
        pytest.param(answer({"video": {"url": "https://a"}}), id="json-with-something-else"),
        pytest.param(file(status_code=203), id="another-success"),
        pytest.param(file(status_code=206), id="part-that-nobody-asked-for"),
        pytest.param(file(status_code=302), id="redirect"),
        pytest.param(file(status_code=404), id="file-not-found"),
        pytest.param(file(status_code=500), id="file-and-500"),
    ],
)
def test_takes_nothing_else_for_success(response):
    with pytest.raises(RequestFailed):
        PROVIDER.read(JOB, response)


def test_takes_a_recorded_file_that_names_no_job_for_nothing():
    with pytest.raises(RequestFailed, match="which the answer does not tell"):
        PROVIDER.read(replace(JOB, job_id=""), file())


# The event


@pytest.mark.parametrize(
    ("job", "url"),
    [
        pytest.param(JOB, RESULT, id="image-to-video"),
        pytest.param(NEWER, f"https://api.stability.ai/v2beta/results/{JOB_ID}", id="newer"),
    ],
)
def test_gives_the_address_that_gives_the_file_again_to_whoever_has_the_key(job, url):
    assert finished(file(), job).outputs == (Output(url, authorized=True),)


def test_gives_the_address_below_the_operators_base_url():
    provider = Stability(base_url="https://proxy.example.com/stability/")

    [event] = provider.read(JOB, file()).events

    assert event.outputs[0].url == f"https://proxy.example.com/stability/v2beta/image-to-video/result/{JOB_ID}"


def test_does_not_keep_the_file_in_the_event():
    assert finished(file()).data == {"id": JOB_ID, "content_type": "video/mp4"}
    assert finished(polled("finished_in_json")[1]).data == {
        "id": JOB_ID,
        "finish_reason": "SUCCESS",
        "seed": 343940597,
    }


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(file(**{"finish-reason": "CONTENT_FILTERED", "seed": "5"}), id="headers"),
        pytest.param(answer({"video": "AA==", "finish_reason": "CONTENT_FILTERED", "seed": "5"}), id="json"),
    ],
)
def test_tells_that_a_result_was_blurred(response):
    event = finished(response)

    assert (event.status, event.raw_status) == (Status.SUCCEEDED, "CONTENT_FILTERED")
    assert event.data.items() >= {"finish_reason": "CONTENT_FILTERED", "seed": "5"}.items()


def test_fetches_the_file_with_the_key_from_where_it_was_found():
    whole = Answer(MP4, headers={"Content-Type": "video/mp4"})
    with Scripted(always(whole)) as server, ProviderClient() as client:
        provider = Stability(api_key="sk-example", base_url=server.url)
        response = client.send(provider, provider.poll(JOB))
        [event] = provider.read(JOB, response).events

        assert event.outputs[0].url == f"{server.url}{server.asked[0].path}"
        assert server.asked[0].headers["authorization"] == "Bearer sk-example"


def test_learns_of_a_success_whose_file_is_larger_than_any_answer_may_be():
    large = Answer(MP4 * 1000, headers={"Content-Type": "video/mp4"})
    with Scripted(always(large)) as server, ProviderClient(max_bytes=100) as client:
        provider = Stability(api_key="sk-example", base_url=server.url)
        response = client.send(provider, provider.poll(JOB))

    assert (response.body, provider.read(JOB, response).status) == (b"", Status.SUCCEEDED)


# Errors


@pytest.mark.parametrize(
    ("name", "status_code", "error", "retry"),
    [
        pytest.param("bad_request", 400, RequestFailed, False, id="400"),
        pytest.param("only_a_name", 401, CredentialsRefused, False, id="401"),
        pytest.param("only_a_name", 403, CredentialsRefused, False, id="403"),
        pytest.param("content_moderation", 403, RequestFailed, False, id="403-for-the-image"),
        pytest.param("not_found", 404, NotFound, False, id="404-unknown-or-older-than-a-day"),
        pytest.param("bad_request", 422, RequestFailed, False, id="422"),
        pytest.param("only_a_name", 429, RateLimited, True, id="429"),
        pytest.param("only_a_name", 500, RequestFailed, True, id="500"),
    ],
)
def test_says_why_the_request_failed(name, status_code, error, retry):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read(JOB, answer(sample(f"stability/errors/{name}"), status_code=status_code))

    assert (type(failed.value), failed.value.retry) == (error, retry)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("not_found", "HTTP 400: no generation with this id", id="reason"),
        pytest.param("bad_request", "HTTP 400: image: is required; seed: is too large", id="reasons"),
        pytest.param("only_a_name", "HTTP 400: internal_error", id="name"),
    ],
)
def test_passes_on_what_the_provider_says(name, told):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read(JOB, answer(sample(f"stability/errors/{name}"), status_code=400))

    assert str(failed.value) == told


def test_does_not_take_a_page_for_an_unknown_job():
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read(JOB, answer(b"<html>Not found</html>", status_code=404))

    assert type(failed.value) is RequestFailed


# Creating


def test_creates_from_a_form_with_the_image_as_a_file():
    request = submit(seed=7, cfg_scale=1.8, motion_bucket_id="127", extra=None)

    assert request == Request(
        method="POST",
        path="/v2beta/image-to-video",
        form={
            "image": Upload("image.png", "image/png", b"\x89PNG\r\n\x1a\n"),
            "seed": "7",
            "cfg_scale": "1.8",
            "motion_bucket_id": "127",
        },
    )


@pytest.mark.parametrize(
    "image",
    [
        pytest.param("https://cdn.example.com/in.png", id="address"),
        pytest.param("data:image/png;base64,", id="empty"),
        pytest.param("data:image/png,iVBORw0KGgo=", id="not-base64"),
        pytest.param("data:image/png\r\nX-Other: 1;base64,iVBORw0KGgo=", id="line-break-in-the-type"),
        pytest.param("data:image/png;base64,iVBORw0KGgo", id="cut"),
        pytest.param("data:image/png;base64,夜明", id="not-ascii"),
        pytest.param(5, id="number"),
    ],
)
def test_refuses_an_image_that_is_no_file(image):
    with pytest.raises(InvalidBody, match="image is not a whole data: URL"):
        submit(image=image)


def test_reads_which_job_was_created():
    response = answer(sample("stability/submissions/created"))

    assert PROVIDER.read_submission("image-to-video", response) == [Created(job_id=JOB_ID, kind="image-to-video")]


def test_does_not_blame_the_key_for_an_image_that_was_refused():
    refused = answer(sample("stability/errors/content_moderation"), status_code=403)

    with pytest.raises(RequestFailed, match="the image was flagged") as failed:
        PROVIDER.read_submission("image-to-video", refused)

    assert type(failed.value) is RequestFailed
