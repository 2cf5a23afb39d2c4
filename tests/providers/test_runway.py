"""Runway: what is its own, beyond the contract of all adapters."""

import json
from datetime import timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed
from receiver.models import Event, Failure, Job, Output, Reading, Request, Response, Status
from receiver.providers.runway import Runway
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples

TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"
PROVIDER = Runway(api_key="key_example")
VERSION = {"X-Runway-Version": "2024-11-06"}


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def polled(name: str) -> tuple[Job, Response]:
    return make_job(TASK, kind="task"), answer(sample(f"runway/polls/{name}"))


def read(body: Any, *, status_code: int = 200, **headers: str) -> Reading:
    return PROVIDER.read(make_job(TASK, kind="task"), answer(body, status_code=status_code, **headers))


def ended(name: str) -> Event:
    [event] = PROVIDER.read(*polled(name)).events
    return event


class TestRunway(ProviderContract):
    provider_class = Runway
    answers = {name: polled(name) for name in samples("runway/polls")}


# Asking


def test_names_the_version_of_the_api_in_every_request():
    job, _ = polled("running")

    assert PROVIDER.poll(job) == Request(path=f"/v1/tasks/{TASK}", headers=VERSION)
    assert PROVIDER.check() == [Request(path="/v1/organization", headers=VERSION)]


def test_sends_the_api_key_as_a_bearer_token():
    assert PROVIDER.authorize() == {"Authorization": "Bearer key_example"}


def test_asks_every_six_seconds_for_ten_minutes():
    schedule = Runway.kinds["task"]

    assert (schedule.first, schedule.shortest) == (timedelta(seconds=6), timedelta(seconds=6))
    assert schedule.deadline == timedelta(hours=1)


def test_says_how_long_results_last():
    assert Runway.results_last == timedelta(hours=24)


# Answers


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("pending", Status.QUEUED, [], id="pending"),
        pytest.param("throttled", Status.QUEUED, [], id="throttled"),
        pytest.param("running", Status.RUNNING, [], id="running"),
        pytest.param("succeeded", Status.SUCCEEDED, [f"{TASK}:succeeded"], id="succeeded"),
        pytest.param("failed", Status.FAILED, [f"{TASK}:failed"], id="failed"),
        pytest.param("cancelled", Status.CANCELLED, [f"{TASK}:cancelled"], id="cancelled"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


def test_stops_at_a_cancelled_task():
    event = ended("cancelled")

    assert (event.status.terminal, event.type, event.failure) == (True, "task.cancelled", None)


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, "  {}\n".format])
@pytest.mark.parametrize(("told", "status"), Runway.statuses.items())
def test_knows_the_status_in_any_spelling(told, status, spell):
    reading = read({"id": TASK, "status": spell(told)})

    assert (reading.status, reading.raw_status) == (status, spell(told).strip())


def test_keeps_an_unknown_status_as_it_was_said():
    assert read({"id": TASK, "status": "PAUSED"}) == Reading(status=None, raw_status="PAUSED")


@pytest.mark.parametrize(
    ("told", "percent"),
    [
        pytest.param(0.29, 29, id="a-part"),
        pytest.param(0, 0, id="none"),
        pytest.param(1, 100, id="all"),
        pytest.param(0.12345, 12.35, id="finely"),
        pytest.param(29, None, id="more-than-all"),
        pytest.param(-0.1, None, id="less-than-none"),
        pytest.param(True, None, id="boolean"),
        pytest.param("0.29", None, id="text"),
        pytest.param(None, None, id="null"),
    ],
)
def test_tells_the_progress_in_percent(told, percent):
    assert read({"id": TASK, "status": "RUNNING", "progress": told}).progress == percent


def test_gives_fresh_addresses_of_the_same_event_with_each_answer():
    first, later = ended("succeeded"), ended("succeeded_later")

    assert first.key == later.key
    assert first.outputs == (Output("https://cdn.example.com/17f20503/1.mp4?token=first"),)
    assert later.outputs == (Output("https://cdn.example.com/17f20503/1.mp4?token=later"),)


def test_gives_each_result_once_and_in_order():
    [event] = read({"status": "SUCCEEDED", "output": ["https://b", "https://a", "https://b", None, 5, ""]}).events

    assert event.outputs == (Output("https://b"), Output("https://a"))


@pytest.mark.parametrize("output", [None, [], "https://a", [None], {"url": "https://a"}])
def test_waits_for_a_success_that_has_no_results_yet(output):
    reading = read({"id": TASK, "status": "SUCCEEDED", "output": output})

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, True)


def test_does_not_wait_for_results_that_are_there():
    assert not PROVIDER.read(*polled("succeeded")).incomplete


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param({"failure": "no", "failureCode": "SAFETY"}, Failure("no", code="SAFETY"), id="both"),
        pytest.param({"failure": "no"}, Failure("no"), id="no-code"),
        pytest.param({"failureCode": "INTERNAL"}, Failure("no reason given", code="INTERNAL"), id="only-a-code"),
        pytest.param({"failure": None, "failureCode": None}, Failure("no reason given"), id="neither"),
        pytest.param({"failure_code": "SAFETY"}, Failure("no reason given"), id="not-in-camel-case"),
    ],
)
def test_says_why_it_failed(body, failure):
    [event] = read({"id": TASK, "status": "FAILED", **body}).events

    assert event.failure == failure


def test_passes_on_the_documented_failure():
    assert ended("failed").failure == Failure("Content moderation", code="SAFETY.INPUT.TEXT")


def test_does_not_take_the_time_of_its_start_for_that_of_its_end():
    assert ended("succeeded").occurred_at is None


def test_keeps_the_answer_whole():
    assert ended("succeeded").data == json.loads(sample("runway/polls/succeeded"))


def test_takes_the_id_out_of_a_recorded_answer():
    [event] = PROVIDER.read(make_job("", kind="task"), polled("failed")[1]).events

    assert event.job_id == TASK


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({"id": "another", "status": "SUCCEEDED"}, "another job", id="other-id"),
        pytest.param({"id": TASK}, "no status", id="no-status"),
        pytest.param({"id": TASK, "status": 3}, "no status", id="number"),
        pytest.param({}, "no status", id="empty"),
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
    with pytest.raises(RequestFailed, match="Not enough credits") as failed:
        read(sample("runway/errors/text"), status_code=status_code)

    assert (type(failed.value), failed.value.retry) == (error, retry)
