"""Luma: what is its own, beyond the contract of all adapters."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Created,
    Delivery,
    Event,
    Failure,
    Job,
    Listed,
    Output,
    Reading,
    Request,
    Response,
    Status,
    Trust,
)
from receiver.providers.luma import Luma
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples

NOW = datetime(2026, 1, 1, 0, 2, tzinfo=UTC)
PROVIDER = Luma(api_key="luma-example")
VIDEO = "https://storage.cdn-luma.example/d1a2.mp4"
IMAGE = "https://storage.cdn-luma.example/e3b4.jpg"
PROGRESS = "https://storage.cdn-luma.example/e3b4_progress.mp4"


def deliver(body: Any) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery(source="luma", body=raw, received_at=NOW)


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def polled(name: str) -> tuple[Job, Response]:
    job = make_job("e3b4", kind="image") if name.startswith("image") else make_job("d1a2", kind="video")
    return job, answer(sample(f"luma/polls/{name}"))


def read(body: Any, *, kind: str = "video", status_code: int = 200, **headers: str) -> Reading:
    return PROVIDER.read(make_job("d1a2", kind=kind), answer(body, status_code=status_code, **headers))


def completed(**body: Any) -> Event:
    [event] = read({"id": "d1a2", "state": "completed", **body}).events
    return event


def listed(**body: Any) -> Any:
    return PROVIDER.read_listing(answer(body))


class TestLuma(ProviderContract):
    provider_class = Luma
    webhooks = {name: deliver(body) for name, body in samples("luma/webhooks").items()}
    answers = {name: polled(name) for name in samples("luma/polls")}
    told_twice = {name: name for name in ["completed", "failed", "image_completed"]}
    listings = {name: answer(body) for name, body in samples("luma/listings").items()}
    submissions = {
        kind: (kind, {"prompt": "rain on glass", "model": model}, answer(sample(f"luma/submissions/{kind}")))
        for kind, model in [("video", "ray-2"), ("image", "photon-1")]
    }


# Callbacks


@pytest.mark.parametrize("name", samples("luma/webhooks"))
def test_takes_every_callback_for_a_hint(name):
    assert PROVIDER.verify(deliver(sample(f"luma/webhooks/{name}")), NOW) is Trust.HINT


def test_believes_no_signature_either():
    provider = Luma(secrets=["the-secret"], api_key="luma-example")

    assert provider.verify(deliver(sample("luma/webhooks/completed")), NOW) is Trust.HINT


def test_is_answered_with_a_body_and_so_with_exactly_200():
    assert json.loads(Luma.acknowledgement) == {}


@pytest.mark.parametrize(
    ("name", "event_type", "key"),
    [
        pytest.param("dreaming", "generation.running", "d1a2:running", id="dreaming"),
        pytest.param("completed", "generation.succeeded", "d1a2:succeeded", id="completed"),
        pytest.param("failed", "generation.failed", "d1a2:failed", id="failed"),
    ],
)
def test_parses_the_documented_callback(name, event_type, key):
    [event] = PROVIDER.parse(deliver(sample(f"luma/webhooks/{name}")))

    assert (event.type, event.key, event.kind) == (event_type, key, "video")


@pytest.mark.parametrize("body", [{"id": "d1a2"}, {"id": "d1a2", "state": 3}, {"state": "completed"}])
def test_cannot_read_a_callback_without_a_job_or_its_state(body):
    with pytest.raises(Unreadable):
        PROVIDER.parse(deliver(body))


@pytest.mark.parametrize("kind", Luma.kinds)
def test_polls_all_the_same_as_three_tries_are_soon_lost(kind):
    schedule = Luma.kinds[kind]

    assert (schedule.first, schedule.shortest) == (timedelta(seconds=5), timedelta(seconds=10))
    assert schedule.deadline == timedelta(minutes=30)


# Polls


def test_asks_for_the_generation():
    assert PROVIDER.poll(make_job("d1a2", kind="image")) == Request(path="/generations/d1a2")


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer luma-example"}


def test_proves_the_key_by_what_is_left_of_the_credits():
    assert PROVIDER.check() == [Request(path="/credits")]


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("queued", Status.QUEUED, [], id="queued"),
        pytest.param("dreaming", Status.RUNNING, [], id="dreaming"),
        pytest.param("completed", Status.SUCCEEDED, ["d1a2:succeeded"], id="completed"),
        pytest.param("failed", Status.FAILED, ["d1a2:failed"], id="failed"),
        pytest.param("image_completed", Status.SUCCEEDED, ["e3b4:succeeded"], id="image"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, "  {}\n".format])
@pytest.mark.parametrize(("told", "status"), Luma.statuses.items())
def test_knows_the_status_in_any_spelling(told, status, spell):
    reading = read({"id": "d1a2", "state": spell(told)})

    assert (reading.status, reading.raw_status) == (status, spell(told).strip())


def test_keeps_an_unknown_status_as_it_was_said():
    assert read({"id": "d1a2", "state": "resting"}) == Reading(status=None, raw_status="resting")


@pytest.mark.parametrize(
    ("kind", "assets", "urls"),
    [
        pytest.param("video", {"video": VIDEO}, [VIDEO], id="video"),
        pytest.param("image", {"image": IMAGE}, [IMAGE], id="image"),
        pytest.param("video", {"image": IMAGE, "video": VIDEO}, [VIDEO, IMAGE], id="video-with-a-still"),
        pytest.param("image", {"image": IMAGE, "video": VIDEO}, [IMAGE, VIDEO], id="image-with-a-video"),
        pytest.param("image", {"image": IMAGE, "progress_video": PROGRESS}, [IMAGE], id="no-progress-video"),
    ],
)
def test_gives_the_result_of_its_kind_first(kind, assets, urls):
    event = completed(generation_type=kind, assets=assets)

    assert event.outputs == tuple(map(Output, urls))


def test_leaves_the_progress_video_in_the_data():
    [event] = PROVIDER.read(*polled("image_completed")).events

    assert event.outputs == (Output(IMAGE),)
    assert event.data["assets"]["progress_video"] == PROGRESS


@pytest.mark.parametrize("assets", [None, {}, [], {"video": None}, {"progress_video": PROGRESS}, {"image": IMAGE}])
def test_waits_for_a_video_that_is_not_there_yet(assets):
    reading = read({"id": "d1a2", "state": "completed", "generation_type": "video", "assets": assets})

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, True)


def test_does_not_wait_for_results_that_are_there():
    assert not PROVIDER.read(*polled("completed")).incomplete
    assert not PROVIDER.read(*polled("image_completed")).incomplete


@pytest.mark.parametrize(
    ("known", "told", "kind"),
    [
        pytest.param("video", "image", "image", id="told"),
        pytest.param("video", "IMAGE", "image", id="told-in-upper-case"),
        pytest.param("image", None, "image", id="known"),
        pytest.param("image", "upscale_video", "image", id="told-another"),
        pytest.param("music", "add_audio", "video", id="neither"),
    ],
)
def test_tells_the_kind(known, told, kind):
    [event] = read({"id": "d1a2", "state": "failed", "generation_type": told}, kind=known).events

    assert event.kind == kind


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        pytest.param("The prompt was refused", Failure("The prompt was refused"), id="told"),
        pytest.param(None, Failure("no reason given"), id="null"),
        pytest.param({"message": "no"}, Failure("no reason given"), id="no-text"),
    ],
)
def test_says_why_it_failed(reason, failure):
    [event] = read({"id": "d1a2", "state": "failed", "failure_reason": reason}).events

    assert event.failure == failure


def test_does_not_take_the_time_of_its_start_for_that_of_its_end():
    [event] = PROVIDER.read(*polled("completed")).events

    assert event.occurred_at is None


def test_takes_the_id_out_of_a_recorded_answer():
    [event] = PROVIDER.read(make_job("", kind="video"), polled("completed")[1]).events

    assert event.job_id == "d1a2"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({"id": "another", "state": "completed"}, "another job", id="other-id"),
        pytest.param({"id": "d1a2"}, "no state", id="no-state"),
        pytest.param({}, "no state", id="empty"),
    ],
)
def test_takes_an_answer_that_says_nothing_of_the_job_for_a_failed_request(body, told):
    with pytest.raises(RequestFailed, match=told):
        read(body)


@pytest.mark.parametrize(
    ("status_code", "error", "retry"),
    [
        pytest.param(400, RequestFailed, False, id="400"),
        pytest.param(401, CredentialsRefused, False, id="401"),
        pytest.param(404, NotFound, False, id="404"),
        pytest.param(429, RateLimited, True, id="429"),
        pytest.param(502, RequestFailed, True, id="502"),
    ],
)
def test_says_why_the_request_failed(status_code, error, retry):
    with pytest.raises(RequestFailed) as failed:
        read({"message": "no"}, status_code=status_code)

    assert (type(failed.value), failed.value.retry) == (error, retry)


# Creating


@pytest.mark.parametrize(("kind", "path"), [("video", "/generations"), ("image", "/generations/image")])
def test_creates_with_a_callback_url(kind, path):
    request = PROVIDER.submit(kind, {"prompt": "rain"}, "https://receiver.example.com/webhooks/luma")

    assert request == Request(
        method="POST",
        path=path,
        json={"prompt": "rain", "callback_url": "https://receiver.example.com/webhooks/luma"},
    )


def test_reads_which_generation_was_created():
    response = answer(sample("luma/submissions/image"), status_code=201)

    assert PROVIDER.read_submission("image", response) == [Created(job_id="e3b4", kind="image")]


# The list of jobs


@pytest.mark.parametrize(
    ("cursor", "path"),
    [
        pytest.param(None, "/generations?limit=50&offset=0", id="first"),
        pytest.param("50", "/generations?limit=50&offset=50", id="next"),
    ],
)
def test_asks_for_a_page_of_its_generations(cursor, path):
    assert PROVIDER.listing(cursor) == Request(path=path)


def test_finds_the_generations_on_a_page():
    listing = PROVIDER.read_listing(answer(sample("luma/listings/first")))

    assert listing.jobs == (
        Listed(job_id="e3b4", kind="image", created_at=datetime(2026, 1, 1, 0, 5, tzinfo=UTC)),
        Listed(job_id="d1a2", kind="video", created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    assert listing.cursor == "2"


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        pytest.param({"has_more": True, "offset": 50}, "52", id="more"),
        pytest.param({"has_more": False, "offset": 50}, None, id="no-more"),
        pytest.param({"offset": 50}, None, id="not-told"),
        pytest.param({"has_more": True}, None, id="no-offset"),
        pytest.param({"has_more": True, "offset": -1}, None, id="before-the-first"),
        pytest.param({"has_more": True, "offset": True}, None, id="boolean"),
        pytest.param({"has_more": True, "offset": 10**300}, None, id="absurd"),
    ],
)
def test_goes_on_behind_what_it_was_given(page, cursor):
    assert listed(generations=[{"id": "a"}, {"id": "b"}], **page).cursor == cursor


def test_does_not_go_on_behind_an_empty_page():
    assert listed(generations=[], has_more=True, offset=50).cursor is None


def test_leaves_out_what_names_no_generation():
    rows = [None, 5, {}, {"id": 5}, {"id": ""}, {"id": "a\nb"}, {"id": "a", "created_at": "yesterday"}]

    assert listed(generations=rows).jobs == (Listed(job_id="a", kind="video"),)


@pytest.mark.parametrize("body", [{}, {"generations": None}, {"generations": {}}])
def test_takes_an_answer_without_a_list_for_a_failed_request(body):
    with pytest.raises(RequestFailed, match="no list of generations"):
        listed(**body)
