"""The stand-in for new-api says what new-api says."""

import json

import httpx
import pytest

from receiver.errors import CredentialsRefused, NotFound, RequestFailed
from receiver.models import Created, Status
from receiver.providers.newapi import NewAPI
from tests.running import API_KEY
from tests.sandbox.support import At, all_running, fields, get, post
from tests.support import sample

BODIES = {
    "videos": {"model": "sora-2", "prompt": "a scene", "seconds": "8"},
    "generations": {"model": "kling-v1", "prompt": "a scene"},
    "kling-text2video": {"model": "kling-v1", "prompt": "a scene"},
    "kling-image2video": {"model": "kling-v1", "image": "https://example.com/source.png"},
    "jimeng": {"req_key": "jimeng_t2v_v30", "prompt": "a scene"},
}
ENVELOPED = [kind for kind in BODIES if kind != "videos"]
FILE = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def ended(quick):
    """The adapter where jobs end at once."""
    return At(quick, NewAPI)


@pytest.fixture(scope="module")
def working(busy):
    """What is learnt of jobs at work, one of each kind."""
    return all_running(At(busy, NewAPI), BODIES)


def documented(name):
    return json.loads(sample(f"newapi/{name}"))


class TestTasks:
    @pytest.mark.parametrize("kind", BODIES)
    def test_one_that_ended_has_succeeded(self, ended, kind):
        created = ended.create(kind, **BODIES[kind])

        [event] = ended.ask(created).events

        assert (event.job_id, event.status) == (created.job_id, Status.SUCCEEDED)

    @pytest.mark.parametrize("kind", ENVELOPED)
    def test_its_result_can_be_fetched_without_the_token(self, ended, kind):
        [event] = ended.ask(ended.create(kind, **BODIES[kind])).events

        [output] = event.outputs
        assert not output.authorized
        assert httpx.get(output.url).headers["Content-Type"] == "video/mp4"

    def test_the_result_of_a_video_is_at_the_gateway(self, quick, ended):
        created = ended.create("videos", **BODIES["videos"])
        [event] = ended.ask(created).events

        [output] = event.outputs
        assert output.authorized
        assert output.url == f"{quick.base_urls['newapi']}/v1/videos/{created.job_id}/content"

    @pytest.mark.parametrize("kind", BODIES)
    def test_one_can_fail(self, ended, kind):
        [event] = ended.ask(ended.create(kind, fate="failed", **BODIES[kind])).events

        assert (event.status, event.failure.message) == (Status.FAILED, "content risk control")

    @pytest.mark.parametrize("kind", BODIES)
    def test_one_that_has_not_begun_is_queued(self, slow, kind):
        at = At(slow, NewAPI)

        assert at.ask(at.create(kind, **BODIES[kind])).status is Status.QUEUED

    @pytest.mark.parametrize("kind", BODIES)
    def test_one_that_goes_on_tells_its_progress(self, working, kind):
        assert working[kind].status is Status.RUNNING
        assert 10 <= working[kind].progress < 100

    @pytest.mark.parametrize("kind", BODIES)
    def test_one_it_does_not_know_is_not_found(self, ended, kind):
        with pytest.raises(NotFound):
            ended.ask(Created(job_id="task_none", kind=kind))

    @pytest.mark.parametrize("kind", BODIES)
    def test_one_can_be_asked_about_in_every_way(self, ended, kind):
        created = ended.create("generations", **BODIES["generations"])

        assert ended.ask(Created(job_id=created.job_id, kind=kind)).status is Status.SUCCEEDED

    def test_a_video_can_be_created_from_a_file(self, ended):
        created = ended.create("videos", input_reference=FILE, **BODIES["videos"])

        assert ended.ask(created).status is Status.SUCCEEDED

    def test_a_video_can_be_created_with_json(self, quick):
        answer = post(quick, "newapi", "/v1/videos", json=BODIES["videos"])

        assert (answer.status_code, answer.json()["status"]) == (200, "queued")

    def test_a_video_can_be_made_anew_from_another(self, quick, ended):
        created = ended.create("videos", **BODIES["videos"])

        answer = post(quick, "newapi", f"/v1/videos/{created.job_id}/remix", json={"prompt": "at night"}).json()

        assert (answer["model"], answer["id"] == created.job_id) == ("sora-2", False)


class TestContents:
    def test_need_the_token(self, quick, ended):
        created = ended.create("videos", **BODIES["videos"])

        answer = httpx.get(f"{quick.base_urls['newapi']}/v1/videos/{created.job_id}/content")

        assert answer.status_code == 401

    def test_can_be_fetched_with_the_token(self, quick, ended):
        created = ended.create("videos", **BODIES["videos"])

        answer = get(quick, "newapi", f"/v1/videos/{created.job_id}/content")

        assert answer.headers["Content-Type"] == "video/mp4"
        assert created.job_id in answer.text

    def test_can_be_fetched_in_parts(self, quick, ended):
        path = f"/v1/videos/{ended.create('videos', **BODIES['videos']).job_id}/content"

        answer = get(quick, "newapi", path, headers={"Range": "bytes=5-9"})

        assert (answer.status_code, answer.text) == (206, get(quick, "newapi", path).text[5:10])

    def test_are_not_there_before_the_end(self, slow):
        created = At(slow, NewAPI).create("videos", **BODIES["videos"])

        answer = get(slow, "newapi", f"/v1/videos/{created.job_id}/content")

        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "Task is not completed yet, current status: QUEUED"

    def test_of_a_task_it_does_not_know_are_not_found(self, quick):
        answer = get(quick, "newapi", "/v1/videos/task_none/content")

        assert answer.status_code == 404
        assert answer.json() == {"error": {"message": "Task not found", "type": "invalid_request_error"}}


class TestForms:
    @pytest.mark.parametrize("kind", BODIES)
    def test_of_what_was_created_are_the_gateways(self, ended, kind):
        answer = ended.send(ended.adapter.submit(kind, BODIES[kind], None))

        assert fields(json.loads(answer.body)) == fields(documented("submissions/created"))
        assert "x-new-api-other-ratios" in answer.headers

    @pytest.mark.parametrize("kind", ENVELOPED)
    @pytest.mark.parametrize(("fate", "name"), [("", "envelope_success"), ("failed", "envelope_failure")])
    def test_of_what_is_polled_is_the_gateways_record(self, quick, ended, kind, fate, name):
        created = ended.create(kind, fate=fate, **BODIES[kind])

        answer = get(quick, "newapi", f"/v1/video/generations/{created.job_id}").json()

        shown = documented(f"polls/{name}")
        assert answer["data"].keys() == shown["data"].keys()
        assert answer["data"]["status"] == shown["data"]["status"]

    def test_of_a_failed_task_have_the_reason_in_place_of_a_url(self, quick, ended):
        created = ended.create("generations", fate="failed", **BODIES["generations"])

        answer = get(quick, "newapi", f"/v1/video/generations/{created.job_id}").json()

        assert answer["data"]["result_url"] == answer["data"]["fail_reason"]

    def test_of_a_video_tell_no_url(self, quick, ended):
        created = ended.create("videos", **BODIES["videos"])

        answer = get(quick, "newapi", f"/v1/videos/{created.job_id}")

        assert "http" not in answer.text
        assert answer.json()["seconds"] == "8"


class TestRefusals:
    def test_of_another_token_are_understood(self, quick):
        at = At(quick, NewAPI, api_key="another-key")

        with pytest.raises(CredentialsRefused):
            at.adapter.checked(at.send(at.adapter.check()[0]))

    def test_of_another_token_are_those_of_the_middleware(self, quick):
        answer = get(quick, "newapi", "/v1/models", headers={"Authorization": f"Bearer not-{API_KEY}"})

        assert (answer.status_code, fields(answer.json())) == (401, fields(documented("errors/bad_token")))

    @pytest.mark.parametrize(
        ("method", "path", "name"),
        [
            pytest.param("GET", "/v1/videos/task_1", "task_not_exist", id="video"),
            pytest.param("GET", "/v1/video/generations/task_1", "task_not_exist", id="generation"),
            pytest.param("GET", "/kling/v1/videos/text2video/task_1", "task_not_exist", id="kling"),
            pytest.param("POST", "/v1/videos/task_1/remix", "task_not_exist", id="remix"),
            pytest.param("POST", "/v1/videos", "invalid_request", id="no-prompt"),
            pytest.param("POST", "/jimeng/", "jimeng_without_action", id="no-action"),
            pytest.param("POST", "/jimeng/?Action=CVSync2AsyncGetResult", "jimeng_without_task", id="no-task"),
        ],
    )
    def test_have_the_gateways_forms(self, quick, method, path, name):
        answer = post(quick, "newapi", path, method=method, json={"model": "sora-2"})

        assert (answer.status_code, fields(answer.json())) == (400, fields(documented(f"errors/{name}")))

    def test_of_a_wrong_path_say_nothing_about_a_task(self, quick):
        at = At(quick, NewAPI)
        at.adapter.base_url += "/v1"

        with pytest.raises(RequestFailed, match="base_url"):
            at.ask(Created(job_id="task_1", kind="videos"))


def test_the_models_can_be_read(ended):
    offers = ended.adapter.read_catalog(ended.send(ended.adapter.catalog()[0]))

    assert "sora-2" in [offer.name for offer in offers]


def test_only_asking_about_a_task_is_a_poll(quick, ended):
    before = len(quick.polls)
    created = ended.create("jimeng", **BODIES["jimeng"])
    get(quick, "newapi", f"/v1/videos/{created.job_id}/content")
    get(quick, "newapi", "/v1/models")

    ended.ask(created)

    assert len(quick.polls) == before + 1
