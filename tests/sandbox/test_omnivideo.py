"""The stand-in for Omni Video says what Omni Video says."""

import json

import httpx
import pytest

from receiver.errors import CredentialsRefused, RequestFailed
from receiver.models import Created, Status
from receiver.providers.omnivideo import OmniVideo
from tests.sandbox.support import At, all_running, fields, get, post
from tests.support import sample

MODELS = ["seedance-2", "gpt-image-2", "nano-banana-2"]


@pytest.fixture
def ended(quick):
    """The adapter where jobs end at once."""
    return At(quick, OmniVideo)


@pytest.fixture(scope="module")
def working(busy):
    """What is learnt of jobs at work, one of each model."""
    return all_running(At(busy, OmniVideo), {model: {"prompt": "a scene"} for model in MODELS})


@pytest.mark.parametrize("model", MODELS)
def test_a_job_that_ended_has_a_result_that_can_be_fetched(ended, model):
    [event] = ended.ask(ended.create(model, prompt="a scene")).events

    [output] = event.outputs
    assert event.status is Status.SUCCEEDED
    assert httpx.get(output.url).headers["Content-Type"].startswith(event.kind)


def test_a_job_can_fail(ended):
    [event] = ended.ask(ended.create("seedance-2", fate="failed", prompt="a scene")).events

    assert (event.status, event.raw_status) == (Status.FAILED, "4")


def test_a_job_that_has_not_begun_is_queued(slow):
    at = At(slow, OmniVideo)

    assert at.ask(at.create("seedance-2", prompt="a scene")).status is Status.QUEUED


@pytest.mark.parametrize("model", MODELS)
def test_a_job_that_goes_on_is_running(working, model):
    assert (working[model].raw_status, working[model].events) == ("2", ())


@pytest.mark.parametrize("id_of", [lambda job: "none", lambda job: job.reference], ids=["none", "request-id"])
def test_a_job_it_does_not_know_by_that_id_is_refused_in_an_answer_that_succeeds(quick, ended, id_of):
    job_id = id_of(ended.create("seedance-2", prompt="a scene"))

    answer = get(quick, "omnivideo", f"/api/v1/tasks/{job_id}")

    assert answer.status_code == 200
    assert answer.json() == json.loads(sample("omnivideo/errors/task_not_found"))


def test_the_adapter_takes_that_for_a_failed_request(ended):
    with pytest.raises(RequestFailed, match="code 0: task not found"):
        ended.ask(Created(job_id="none", kind="video"))


def test_another_model_is_refused_in_an_answer_that_succeeds(quick):
    answer = post(quick, "omnivideo", "/api/v1/tasks/create", json={"model_id": "sora-2", "prompt": "a scene"})

    assert (answer.status_code, answer.json()["code"]) == (200, 0)


def test_another_path_is_not_found(quick):
    assert get(quick, "omnivideo", "/api/v2/tasks/none").status_code == 404


def test_the_key_can_be_checked(ended):
    assert ended.adapter.checked(ended.send(ended.adapter.check()[0])) is None


def test_another_key_is_refused(quick):
    at = At(quick, OmniVideo, api_key="another-key")

    with pytest.raises(CredentialsRefused):
        at.adapter.checked(at.send(at.adapter.check()[0]))


def test_what_was_created_is_told_in_the_documented_form(ended):
    answer = ended.send(ended.adapter.submit("seedance-2", {"prompt": "a scene"}, None))

    assert fields(json.loads(answer.body)) == fields(json.loads(sample("omnivideo/submissions/created")))


@pytest.mark.parametrize(
    ("fate", "name"),
    [
        pytest.param("", "video_succeeded", id="succeeded"),
        pytest.param("failed", "video_failed", id="failed"),
    ],
)
def test_what_is_polled_is_told_in_the_documented_form(quick, ended, fate, name):
    job = ended.create("seedance-2", fate=fate, prompt="a scene")

    answer = get(quick, "omnivideo", f"/api/v1/tasks/{job.job_id}").json()

    shown = json.loads(sample(f"omnivideo/polls/{name}"))
    assert fields(answer) == fields(shown)
    assert answer["data"]["task_status"] == shown["data"]["task_status"]
