"""The stand-in for KPainter says what KPainter says, in both of its contracts."""

import json

import httpx
import pytest

from receiver.errors import CredentialsRefused, NotFound, RequestFailed
from receiver.models import Created, Status
from receiver.providers.kpainter import KPainter
from receiver.testing import make_job
from tests.running import API_KEY
from tests.sandbox.support import At, all_running, fields, get, post
from tests.support import sample
from tests.watch import eventually

FIRST = ["explainer_video", "slides_video", "vector_animation", "slide_deck", "image", "interactive_lesson"]
SECOND = ["video", "app"]
BODY = {"prompt": "Explain attention"}


@pytest.fixture
def ended(quick):
    """The adapter where jobs end at once."""
    return At(quick, KPainter)


@pytest.fixture(scope="module")
def working(busy):
    """What is learnt of jobs at work, one of each kind."""
    return all_running(At(busy, KPainter), dict.fromkeys(FIRST + SECOND, BODY))


def documented(name):
    return fields(json.loads(sample(f"kpainter/{name}")))


class TestJobs:
    @pytest.mark.parametrize("kind", FIRST + SECOND)
    def test_one_that_ended_has_a_result_that_can_be_fetched(self, ended, kind):
        created = ended.create(kind, **BODY)
        [event] = ended.ask(created).events

        [output] = event.outputs
        assert (event.job_id, event.status) == (created.job_id, Status.SUCCEEDED)
        assert httpx.get(output.url).is_success

    @pytest.mark.parametrize("kind", ["explainer_video", "video"])
    def test_one_can_fail(self, ended, kind):
        [event] = ended.ask(ended.create(kind, fate="failed", **BODY)).events

        assert event.status is Status.FAILED

    @pytest.mark.parametrize(("kind", "word"), [("explainer_video", "queued"), ("video", "planning")])
    def test_one_that_has_not_begun_waits(self, slow, kind, word):
        at = At(slow, KPainter)

        assert at.ask(at.create(kind, **BODY)).raw_status == word

    @pytest.mark.parametrize("kind", FIRST + SECOND)
    def test_one_that_goes_on_is_running(self, working, kind):
        assert (working[kind].status, working[kind].events) == (Status.RUNNING, ())

    def test_one_that_goes_on_tells_the_step(self, working):
        assert working["image"].step == "rendering_scenes"

    @pytest.mark.parametrize("job_id", ["1", "cr_none"])
    def test_one_it_does_not_know_is_not_found(self, ended, job_id):
        with pytest.raises(NotFound, match="not found"):
            ended.ask(Created(job_id=job_id, kind="creation"))

    def test_a_creation_is_not_found_as_a_job(self, ended):
        created = ended.create("image", **BODY)

        with pytest.raises(NotFound):
            ended.ask(Created(job_id=created.reference, kind="image"))

    def test_a_job_is_not_found_as_a_creation(self, quick, ended):
        created = ended.create("image", **BODY)

        assert get(quick, "kpainter", f"/creations/{created.job_id}").status_code == 404

    def test_a_creation_at_work_has_no_result_yet(self, slow):
        created = At(slow, KPainter).create("image", **BODY)

        answer = get(slow, "kpainter", f"/creations/{created.reference}").json()

        assert (answer["main_url"], answer["artifacts"]) == (None, [])

    def test_a_creation_of_the_second_contract_has_no_outputs_yet(self, slow):
        created = At(slow, KPainter).create("video", **BODY)

        answer = get(slow, "kpainter", f"/creations/{created.job_id}/outputs")

        assert (answer.status_code, answer.json()) == (409, {"detail": "no usable delivery yet"})


class TestPauses:
    @pytest.fixture
    def paused(self, quick, ended):
        """A creation that waits for credits."""
        return ended.create("video", fate="paused", **BODY)

    def test_are_told(self, ended, paused):
        reading = ended.ask(paused)

        assert (reading.status, reading.progress) == (Status.RUNNING, 50)
        assert reading.pause is not None
        assert reading.step == "paused: resume_after_recharge"

    def test_end_when_somebody_acts(self, quick, ended, paused):
        action = {"action": "resume_after_recharge", "idempotency_key": "1"}

        answer = post(quick, "kpainter", f"/creations/{paused.job_id}/actions", json=action)

        assert answer.is_success
        assert eventually(lambda: ended.ask(paused).events)

    @pytest.mark.parametrize(
        ("action", "status"),
        [
            pytest.param({"action": "resume_after_recharge"}, 400, id="no-key"),
            pytest.param({"action": "approve_overage", "idempotency_key": "1"}, 409, id="another"),
        ],
    )
    def test_end_with_the_right_action_only(self, quick, paused, action, status):
        answer = post(quick, "kpainter", f"/creations/{paused.job_id}/actions", json=action)

        assert answer.status_code == status

    def test_are_over_only_once(self, quick, ended):
        created = ended.create("video", **BODY)
        action = {"action": "resume_after_recharge", "idempotency_key": "1"}

        answer = post(quick, "kpainter", f"/creations/{created.job_id}/actions", json=action)

        assert answer.status_code == 409


class TestLists:
    def test_show_the_newest_first(self, quick, ended):
        ended.create("image", **BODY)
        created = ended.create("slide_deck", **BODY)

        first, *_ = get(quick, "kpainter", "/creations").json()["items"]

        assert (str(first["creation_id"]), first["status"]) == (created.reference, "ready")

    def test_show_both_contracts(self, quick, ended):
        created = ended.create("app", **BODY)

        first, *_ = get(quick, "kpainter", "/creations").json()["items"]

        assert first["id"] == created.job_id

    def test_can_be_filtered(self, quick, ended):
        ended.create("image", prompt="a filtered one")
        ended.create("image", fate="failed", prompt="a filtered one")

        answer = get(quick, "kpainter", "/creations?type=image&status=failed&query=FILTERED").json()

        assert [item["status"] for item in answer["items"]] == ["failed"]

    def test_have_pages(self, quick, ended):
        for _ in range(3):
            ended.create("image", prompt="a paged one")

        answer = get(quick, "kpainter", "/creations?query=paged&page=2&page_size=2").json()

        assert (len(answer["items"]), answer["total"]) == (1, 3)

    @pytest.mark.parametrize("query", ["page=0", "page_size=0", "page_size=101"])
    def test_have_pages_within_limits(self, quick, query):
        assert get(quick, "kpainter", f"/creations?{query}").status_code == 422


class TestForms:
    @pytest.mark.parametrize(
        ("kind", "name"), [("slides_video", "submissions/job"), ("video", "submissions/newer_creation")]
    )
    def test_of_what_was_created_are_the_documented_ones(self, ended, kind, name):
        answer = ended.send(ended.adapter.submit(kind, BODY, None))

        assert fields(json.loads(answer.body)).items() >= documented(name).items()

    @pytest.mark.parametrize(
        ("kind", "fate", "name"),
        [
            pytest.param("image", "", "job_succeeded", id="job"),
            pytest.param("image", "failed", "job_failed", id="failed-job"),
            pytest.param("video", "", "newer_ready", id="newer"),
            pytest.param("video", "paused", "newer_paused", id="paused"),
        ],
    )
    def test_of_what_is_polled_are_the_documented_ones(self, ended, kind, fate, name):
        created = ended.create(kind, fate=fate, **BODY)
        request = ended.adapter.poll(make_job(created.job_id, kind=created.kind))

        answer = json.loads(ended.send(request).body)

        assert fields(answer).items() >= documented(f"polls/{name}").items()

    def test_of_a_creation_is_the_documented_one(self, quick, ended):
        created = ended.create("slides_video", **BODY)

        answer = get(quick, "kpainter", f"/creations/{created.reference}").json()

        assert fields(answer) == documented("polls/creation")

    @pytest.mark.parametrize(
        ("alias", "name"), [("knowledge_video", "explainer_video"), ("web_app", "interactive_lesson")]
    )
    def test_of_an_alias_have_the_name_it_stands_for(self, quick, alias, name):
        answer = post(quick, "kpainter", "/creations", json={"type": alias, **BODY}).json()

        assert answer["type"] == name


class TestRefusals:
    @pytest.mark.parametrize("headers", [{"X-KGP-Api-Key": API_KEY}, {"Authorization": f"Bearer {API_KEY}"}])
    def test_spare_who_has_the_key(self, quick, headers):
        assert httpx.get(f"{quick.base_urls['kpainter']}/me", headers=headers).is_success

    def test_of_another_key_are_understood(self, quick):
        at = At(quick, KPainter, api_key="another-key")

        with pytest.raises(CredentialsRefused, match="Invalid API key"):
            at.adapter.checked(at.send(at.adapter.check()[0]))

    @pytest.mark.parametrize("body", [{"type": "poem", **BODY}, {"type": "image"}, BODY])
    def test_say_why(self, quick, body):
        answer = post(quick, "kpainter", "/creations", json=body)

        assert answer.status_code in (400, 422)
        assert answer.json()["detail"]["message"]

    def test_of_a_wrong_path_are_the_frameworks(self, quick):
        answer = get(quick, "kpainter", "/nothing")

        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})

    def test_of_a_wrong_path_say_nothing_about_a_job(self, quick):
        at = At(quick, KPainter)
        at.adapter.base_url += "/v2"

        with pytest.raises(RequestFailed, match="base_url"):
            at.ask(Created(job_id="1", kind="image"))


class TestCatalogs:
    def test_can_be_read(self, ended):
        offers = ended.adapter.read_catalog(ended.send(ended.adapter.catalog()[0]))

        assert [offer.name for offer in offers] == FIRST

    def test_of_the_second_contract_can_be_read(self, quick):
        assert get(quick, "kpainter", "/capabilities").json()["types"] == SECOND
