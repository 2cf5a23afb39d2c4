"""KPainter: what is its own, beyond the contract of all adapters."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, InvalidBody, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import Created, Failure, Job, Listed, Output, Reading, Request, Response, Status
from receiver.providers.kpainter import KPainter
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples

PROVIDER = KPainter(api_key="kgp_example")
PAGE = b"<html>Not found</html>"
MAIN = "https://cdn.example.com/kp/10234/main.mp4"

JOB = make_job("55671", kind="slides_video")
FINISHED = replace(JOB, raw_status="succeeded", reference="10234")
NEWER = make_job("cr_01", kind="video")
NEWER_FINISHED = replace(NEWER, raw_status="ready", reference="cr_01")

ASKED = {
    "job_processing": JOB,
    "job_succeeded": JOB,
    "job_failed": JOB,
    "creation": FINISHED,
    "newer_planning": NEWER,
    "newer_paused": NEWER,
    "newer_ready": NEWER,
    "newer_outputs": NEWER_FINISHED,
}

TYPES = ["explainer_video", "slides_video", "vector_animation", "slide_deck", "image", "interactive_lesson"]
PROMPT = {"prompt": "Explain attention"}


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def read(job: Job, /, **body: Any) -> Reading:
    return PROVIDER.read(job, answer(body))


def polled(name: str) -> Reading:
    return PROVIDER.read(ASKED[name], answer(sample(f"kpainter/polls/{name}")))


def learned(job: Job, reading: Reading) -> Job:
    """The job as the next poll sees it."""
    return replace(job, raw_status=reading.raw_status, reference=reading.reference or job.reference)


def created(name: str, kind: str = "slides_video") -> list[Created]:
    return PROVIDER.read_submission(kind, answer(sample(f"kpainter/submissions/{name}")))


def listed(**body: Any) -> Any:
    return PROVIDER.read_listing(answer(body))


def urls(reading: Reading) -> list[str]:
    return [output.url for event in reading.events for output in event.outputs]


class TestKPainter(ProviderContract):
    provider_class = KPainter
    answers = {name: (ASKED[name], answer(body)) for name, body in samples("kpainter/polls").items()}
    listings = {name: answer(body) for name, body in samples("kpainter/listings").items()}
    submissions = {
        **{
            kind: (kind, PROMPT, answer(sample("kpainter/submissions/job")))
            for kind in [*TYPES, "knowledge_video", "web_app"]
        },
        **{kind: (kind, PROMPT, answer(sample("kpainter/submissions/newer_creation"))) for kind in ["video", "app"]},
        "creation": ("creation", {"type": "ai_video", **PROMPT}, answer(sample("kpainter/submissions/job"))),
    }


# Polls: which address, and what its answer means


@pytest.mark.parametrize(
    ("job", "path"),
    [
        pytest.param(JOB, "/creations/jobs/55671", id="job"),
        pytest.param(replace(JOB, reference="10234"), "/creations/jobs/55671", id="job-with-its-creation"),
        pytest.param(
            replace(JOB, reference="10234", raw_status="processing"), "/creations/jobs/55671", id="job-at-work"
        ),
        pytest.param(replace(JOB, raw_status="succeeded"), "/creations/jobs/55671", id="job-without-a-creation"),
        pytest.param(FINISHED, "/creations/10234", id="finished-job"),
        pytest.param(replace(FINISHED, raw_status="SUCCEEDED"), "/creations/10234", id="finished-in-upper-case"),
        pytest.param(NEWER, "/creations/cr_01", id="newer-creation"),
        pytest.param(replace(NEWER, raw_status="ready"), "/creations/cr_01", id="ready-without-a-delivery"),
        pytest.param(NEWER_FINISHED, "/creations/cr_01/outputs", id="ready-with-a-delivery"),
    ],
)
def test_asks_where_the_answer_is(job, path):
    assert PROVIDER.poll(job).path == path


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("job_processing", Status.RUNNING, [], id="processing"),
        pytest.param("job_succeeded", Status.RUNNING, [], id="succeeded"),
        pytest.param("job_failed", Status.FAILED, ["55671:failed"], id="failed"),
        pytest.param("creation", Status.SUCCEEDED, ["55671:succeeded"], id="creation"),
        pytest.param("newer_planning", Status.RUNNING, [], id="newer-planning"),
        pytest.param("newer_paused", Status.RUNNING, [], id="newer-paused"),
        pytest.param("newer_ready", Status.RUNNING, [], id="newer-ready"),
        pytest.param("newer_outputs", Status.SUCCEEDED, ["cr_01:succeeded"], id="newer-outputs"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = polled(name)

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        pytest.param("job_succeeded", "/creations/10234", id="older"),
        pytest.param("newer_ready", "/creations/cr_01/outputs", id="newer"),
    ],
)
def test_fetches_the_result_once_success_is_told(name, address):
    reading = polled(name)

    assert reading.follow_up
    assert PROVIDER.poll(learned(ASKED[name], reading)).path == address


def test_keeps_the_word_for_success_while_it_fetches_the_result():
    assert (polled("job_succeeded").raw_status, polled("newer_ready").raw_status) == ("succeeded", "ready")


def test_takes_the_creation_that_was_named_when_the_job_was_created():
    reading = read(replace(JOB, reference="10234"), status="succeeded")

    assert (reading.follow_up, reading.reference) == (True, "10234")


def test_learns_the_creation_while_the_job_is_at_work():
    assert polled("job_processing").reference == "10234"


def test_hopes_that_a_success_without_a_creation_will_name_it():
    reading = read(JOB, job_id=55671, status="succeeded")

    assert (reading.status, reading.incomplete, urls(reading)) == (Status.SUCCEEDED, True, [])


@pytest.mark.parametrize("creation_id", [0, -1, True, 0.5, "", None, "x" * 257, "a\nb"])
def test_does_not_ask_about_a_creation_without_a_proper_id(creation_id):
    reading = read(JOB, job_id=55671, creation_id=creation_id, status="succeeded")

    assert (reading.follow_up, reading.reference, reading.status) == (False, None, Status.SUCCEEDED)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"creation_id": 10234, "main_url": None, "artifacts": [], "scenes": []}, id="older-all-empty"),
        pytest.param({"creation_id": 10234, "status": "ready"}, id="older-no-fields"),
        pytest.param({"creation_id": 10234, "status": "processing", "main_url": None}, id="older-still-at-work"),
        pytest.param({}, id="older-empty-object"),
    ],
)
def test_waits_for_a_creation_that_has_no_url_yet(body):
    reading = read(FINISHED, **body)

    assert (reading.status, reading.incomplete, reading.follow_up) == (Status.SUCCEEDED, True, False)
    assert PROVIDER.poll(learned(FINISHED, reading)).path == "/creations/10234"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"outputs": []}, id="none"),
        pytest.param({"outputs": [{"id": "out_1"}]}, id="no-url"),
        pytest.param({}, id="empty-object"),
    ],
)
def test_waits_for_outputs_that_have_no_url_yet(body):
    reading = read(NEWER_FINISHED, **body)

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, True)
    assert PROVIDER.poll(learned(NEWER_FINISHED, reading)).path == "/creations/cr_01/outputs"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"has_usable_delivery": False}, id="none"),
        pytest.param({"hasUsableDelivery": False}, id="none-in-camel-case"),
        pytest.param({}, id="not-told"),
    ],
)
def test_waits_for_a_delivery_that_can_be_used(body):
    reading = read(NEWER, id="cr_01", status="ready", **body)

    assert (reading.status, reading.incomplete, reading.follow_up) == (Status.SUCCEEDED, True, False)
    assert PROVIDER.poll(learned(NEWER, reading)).path == "/creations/cr_01"


@pytest.mark.parametrize("flag", ["has_usable_delivery", "hasUsableDelivery"])
def test_fetches_the_outputs_when_a_delivery_can_be_used(flag):
    assert read(NEWER, id="cr_01", status="ready", **{flag: True}).follow_up


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("queued", Status.QUEUED),
        ("pending", Status.QUEUED),
        ("processing", Status.RUNNING),
        ("running", Status.RUNNING),
        ("planning", Status.RUNNING),
        ("paused", Status.RUNNING),
        ("rendering", Status.RUNNING),
        ("succeeded", Status.SUCCEEDED),
        ("ready", Status.SUCCEEDED),
        ("failed", Status.FAILED),
        ("invalid", Status.FAILED),
        ("cancelled", Status.CANCELLED),
    ],
)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, "  {}\n".format])
@pytest.mark.parametrize("job", [pytest.param(JOB, id="older"), pytest.param(NEWER, id="newer")])
def test_knows_the_status_in_any_spelling(job, spell, told, status):
    reading = read(job, status=spell(told))

    assert (reading.status, reading.raw_status) == (status, spell(told).strip())


@pytest.mark.parametrize("job", [pytest.param(JOB, id="older"), pytest.param(NEWER, id="newer")])
@pytest.mark.parametrize("told", ["failed", "Failed", "FAILED", "invalid"])
def test_calls_the_event_the_same_in_any_spelling(job, told):
    [event] = read(job, status=told).events

    assert (event.type, event.key) == ("creation.failed", f"{job.job_id}:failed")


def test_tells_of_a_cancelled_job():
    [event] = read(JOB, job_id=55671, status="cancelled").events

    assert (event.type, event.key, event.failure) == ("creation.cancelled", "55671:cancelled", None)


@pytest.mark.parametrize("status", [None, "", " ", 2, True, [], "x" * 200, "run\0ning"])
@pytest.mark.parametrize("job", [pytest.param(JOB, id="older"), pytest.param(NEWER, id="newer")])
def test_takes_an_answer_without_a_status_for_a_failed_request(job, status):
    with pytest.raises(RequestFailed, match="no status"):
        read(job, status=status)


@pytest.mark.parametrize("name", ["progress_pct", "progressPct"])
@pytest.mark.parametrize(
    ("told", "progress"),
    [
        pytest.param(42, 42, id="number"),
        pytest.param(0, 0, id="zero"),
        pytest.param(True, None, id="boolean"),
        pytest.param("42", None, id="text"),
    ],
)
def test_tells_the_progress(name, told, progress):
    assert read(NEWER, status="planning", **{name: told}).progress == progress


def test_tells_the_step():
    assert polled("job_processing").step == "rendering_scenes"


@pytest.mark.parametrize(
    ("body", "step"),
    [
        pytest.param({"available_actions": ["resume_after_recharge"]}, "paused: resume_after_recharge", id="snake"),
        pytest.param({"availableActions": ["approve_overage", "retry"]}, "paused: approve_overage, retry", id="camel"),
        pytest.param({"available_actions": [1, None, "retry"]}, "paused: retry", id="not-text"),
        pytest.param({"available_actions": []}, "paused", id="none"),
        pytest.param({"available_actions": "retry"}, "paused", id="no-list"),
        pytest.param({}, "paused", id="not-told"),
    ],
)
def test_waits_for_the_person_that_a_paused_creation_waits_for(body, step):
    reading = read(NEWER, id="cr_01", status="Paused", **body)

    assert (reading.status, reading.pause, reading.step) == (Status.RUNNING, timedelta(minutes=5), step)


def test_does_not_wait_for_anybody_while_a_creation_is_at_work():
    assert polled("newer_planning").pause is None


# Events: the result, the failure, the kind


def test_gives_each_result_once():
    assert urls(polled("creation")) == [MAIN]


def test_gives_the_main_result_first():
    reading = read(
        FINISHED,
        scenes=[{"url": "https://cdn.example.com/scene"}, {"scene_id": "s2"}],
        artifacts=[{"url": "https://cdn.example.com/artifact"}, {"url": MAIN}, None, {"url": 5}],
        main_url=MAIN,
    )

    assert urls(reading) == [MAIN, "https://cdn.example.com/artifact", "https://cdn.example.com/scene"]


@pytest.mark.parametrize("field", ["outputs", "items", "artifacts", "data", "results"])
@pytest.mark.parametrize("name", ["url", "download_url", "file_url", "main_url", "downloadUrl", "fileUrl", "mainUrl"])
def test_finds_the_outputs_wherever_they_stand(field, name):
    reading = read(NEWER_FINISHED, **{field: [{name: MAIN}]})

    assert (urls(reading), reading.incomplete) == ([MAIN], False)


@pytest.mark.parametrize("name", ["main_url", "mainUrl"])
def test_finds_the_only_output(name):
    assert urls(read(NEWER_FINISHED, **{name: MAIN})) == [MAIN]


@pytest.mark.parametrize("name", ["creation", "newer_outputs"])
def test_never_sends_its_key_to_a_result(name):
    [event] = polled(name).events

    assert all(output == Output(output.url, authorized=False) for output in event.outputs)


@pytest.mark.parametrize("name", ["job_failed", "creation", "newer_outputs"])
def test_keeps_the_answer_whole(name):
    [event] = polled(name).events

    assert event.data == json.loads(sample(f"kpainter/polls/{name}"))


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param({"error": {"message": "no", "code": "bad"}}, Failure("no", code="bad"), id="object"),
        pytest.param({"error": "no"}, Failure("no"), id="text"),
        pytest.param({"detail": "no"}, Failure("no"), id="detail"),
        pytest.param({"error": None, "message": "no"}, Failure("no"), id="message"),
        pytest.param({"result_code": "refused"}, Failure("no reason given", code="refused"), id="result-code"),
        pytest.param({"resultCode": "refused"}, Failure("no reason given", code="refused"), id="camel-case"),
        pytest.param({}, Failure("no reason given"), id="nothing"),
    ],
)
@pytest.mark.parametrize("job", [pytest.param(JOB, id="older"), pytest.param(NEWER, id="newer")])
def test_says_why_it_failed(job, body, failure):
    [event] = read(job, status="failed", **body).events

    assert event.failure == failure


def test_passes_on_the_documented_failure():
    [event] = polled("job_failed").events

    assert event.failure == Failure("generation failed")


@pytest.mark.parametrize(
    ("kind", "tracked"),
    [
        *[pytest.param(kind, kind, id=kind) for kind in [*TYPES, "video", "app", "creation"]],
        pytest.param("knowledge_video", "explainer_video", id="knowledge_video"),
        pytest.param("web_app", "interactive_lesson", id="web_app"),
        pytest.param("ai_video", "creation", id="new-type"),
    ],
)
def test_tells_the_kind_under_one_name(kind, tracked):
    [event] = read(replace(FINISHED, kind=kind), main_url=MAIN).events

    assert event.kind == tracked


def test_does_not_know_the_kind_of_a_job_that_names_none():
    assert PROVIDER.kind_or_default(None) == "creation"


# Answers about other jobs, and recorded answers


@pytest.mark.parametrize(
    ("job", "body"),
    [
        pytest.param(JOB, {"job_id": 55672, "status": "failed"}, id="job"),
        pytest.param(JOB, {"job_id": True, "status": "failed"}, id="boolean"),
        pytest.param(JOB, {"job_id": 55671.0, "status": "failed"}, id="fraction"),
        pytest.param(FINISHED, {"creation_id": 10235, "main_url": MAIN}, id="creation"),
        pytest.param(NEWER, {"id": "cr_02", "status": "failed"}, id="newer"),
        pytest.param(NEWER, {"id": 5, "status": "failed"}, id="newer-with-a-number"),
        pytest.param(NEWER_FINISHED, {"creation_id": "cr_02", "main_url": MAIN}, id="newer-outputs"),
        pytest.param(NEWER_FINISHED, {"creationId": "cr_02", "main_url": MAIN}, id="newer-outputs-in-camel-case"),
    ],
)
def test_does_not_take_an_answer_about_another_job(job, body):
    with pytest.raises(RequestFailed, match="another job"):
        read(job, **body)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        pytest.param({"job_id": 55671, "status": "failed"}, "55671:failed", id="job"),
        pytest.param({"job_id": "55671", "status": "failed"}, "55671:failed", id="job-with-a-text"),
        pytest.param({"job": {"job_id": 55671}, "main_url": MAIN}, "55671:succeeded", id="creation"),
        pytest.param({"job": {"job_id": 55671}, "scenes": [], "status": "ready"}, "55671:succeeded", id="ready"),
        pytest.param({"id": "cr_01", "status": "failed"}, "cr_01:failed", id="newer"),
        pytest.param({"creation_id": "cr_01", "outputs": [{"url": MAIN}]}, "cr_01:succeeded", id="newer-outputs"),
        pytest.param({"creationId": "cr_01", "outputs": [{"url": MAIN}]}, "cr_01:succeeded", id="camel-case"),
    ],
)
def test_finds_out_which_job_a_recorded_answer_is_about(body, key):
    [event] = read(replace(JOB, job_id=""), **body).events

    assert event.key == key


@pytest.mark.parametrize("job_id", [0, -1, True, 0.5, "", None, [], "x" * 257, "a\nb"])
@pytest.mark.parametrize("inside", [False, True])
def test_does_not_take_anything_for_an_id(inside, job_id):
    body = {"job": {"job_id": job_id}, "main_url": MAIN} if inside else {"job_id": job_id, "status": "failed"}

    with pytest.raises(RequestFailed, match="not an id"):
        read(replace(JOB, job_id=""), **body)


def test_does_not_take_a_recorded_result_that_names_no_job():
    with pytest.raises(RequestFailed, match="not an id"):
        PROVIDER.read(replace(JOB, job_id=""), answer(sample("kpainter/polls/creation")))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"job_id": 55671, "status": "processing", "main_url": None}, id="names-its-job"),
        pytest.param({"status": "processing", "main_url": None, "artifacts": []}, id="says-it-is-at-work"),
    ],
)
def test_does_not_take_a_job_at_work_for_its_creation(body):
    assert read(JOB, **body).status is Status.RUNNING


# Submissions


@pytest.mark.parametrize(
    ("kind", "body", "sent"),
    [
        *[pytest.param(kind, {}, kind, id=kind) for kind in [*TYPES, "video", "app", "knowledge_video", "web_app"]],
        pytest.param("image", {"type": "poster"}, "poster", id="body-says-otherwise"),
        pytest.param("creation", {"type": "ai_video"}, "ai_video", id="any-type"),
    ],
)
def test_sends_the_type_as_it_was_named(kind, body, sent):
    request = PROVIDER.submit(kind, {**PROMPT, **body}, "https://receiver.example.com/webhooks/kpainter")

    assert (request.path, request.json) == ("/creations", {"type": sent, **PROMPT})


def test_needs_the_type_where_the_kind_does_not_tell():
    with pytest.raises(InvalidBody, match="type"):
        PROVIDER.submit("creation", PROMPT, None)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        pytest.param(
            "job", "slides_video", Created(job_id="55671", kind="slides_video", reference="10234"), id="older"
        ),
        pytest.param(
            "job", "knowledge_video", Created(job_id="55671", kind="explainer_video", reference="10234"), id="alias"
        ),
        pytest.param(
            "job", "web_app", Created(job_id="55671", kind="interactive_lesson", reference="10234"), id="other-alias"
        ),
        pytest.param("job", "creation", Created(job_id="55671", kind="creation", reference="10234"), id="any-type"),
        pytest.param("newer_creation", "video", Created(job_id="cr_01", kind="video"), id="newer"),
        pytest.param(
            "newer_creation_in_camel_case", "video", Created(job_id="cr_test", kind="video"), id="newer-in-camel-case"
        ),
        pytest.param("newer_creation", "image", Created(job_id="cr_01", kind="image"), id="newer-image"),
    ],
)
def test_reads_the_documented_submission(name, kind, expected):
    assert created(name, kind) == [expected]


@pytest.mark.parametrize("creation_id", [0, True, None, "x" * 257])
def test_tracks_a_job_without_a_proper_creation(creation_id):
    body = {"creation_id": creation_id, "job": {"job_id": 55671}}

    assert PROVIDER.read_submission("image", answer(body)) == [Created(job_id="55671", kind="image")]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"creation_id": 10234}, id="no-job"),
        pytest.param({"creation_id": 10234, "job": {"job_id": 0}}, id="zero"),
        pytest.param({"creation_id": 10234, "job": {"job_id": True}}, id="boolean"),
        pytest.param({"id": "cr_" + "x" * 256}, id="too-long"),
        pytest.param({"id": "01"}, id="no-prefix"),
        pytest.param(PAGE, id="page"),
    ],
)
def test_says_that_something_may_have_been_created(body):
    with pytest.raises(Unreadable):
        PROVIDER.read_submission("image", answer(body, status_code=201))


def test_says_why_nothing_was_created():
    with pytest.raises(RequestFailed, match="HTTP 402: not enough credits"):
        PROVIDER.read_submission("image", answer(sample("kpainter/errors/detail_text"), status_code=402))


# The catalogue, the key


def test_offers_the_documented_types():
    offers = PROVIDER.read_catalog(answer(sample("kpainter/catalogs/names")))

    assert [(offer.name, offer.kind) for offer in offers] == [(kind, kind) for kind in TYPES]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"content_types": [{"type": "image", "pages": 1}]}, id="type"),
        pytest.param({"content_types": [{"name": "image", "pages": 1}]}, id="name"),
        pytest.param({"content_types": [{"id": "image", "pages": 1}]}, id="id"),
        pytest.param({"content_types": {"image": {"pages": 1}}}, id="mapping"),
        pytest.param({"content_types": {"image": {"name": "AI Image", "pages": 1}}}, id="mapping-with-a-title"),
        pytest.param({"capabilities": [{"type": "image", "pages": 1}]}, id="capabilities"),
        pytest.param({"capabilities": {"image": {"pages": 1}}}, id="capabilities-as-a-mapping"),
        pytest.param({"types": [{"type": "image", "pages": 1}]}, id="types"),
        pytest.param({"version": 2, "products": [{"type": "image", "pages": 1}]}, id="the-only-list"),
    ],
)
def test_offers_the_types_however_they_are_listed(body):
    [offer] = PROVIDER.read_catalog(answer(body))

    assert (offer.name, offer.kind, offer.data["pages"]) == ("image", "image", 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("ai_video", None, id="new"),
        pytest.param("knowledge_video", "knowledge_video", id="alias"),
    ],
)
def test_offers_a_type_as_the_kind_that_submits_it(name, kind):
    [offer] = PROVIDER.read_catalog(answer({"content_types": [name]}))

    assert (offer.name, offer.kind) == (name, kind)


def test_leaves_out_what_has_no_name():
    rows = [None, 5, "", {}, {"type": 5}, {"type": "a\nb"}, [], "image"]

    assert [offer.name for offer in PROVIDER.read_catalog(answer({"content_types": rows}))] == ["image"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"content_types": "image"}, id="no-list"),
        pytest.param({"languages": ["en"], "voices": ["v1"]}, id="other-lists"),
    ],
)
def test_cannot_read_a_catalog_without_types(body):
    with pytest.raises(Unreadable, match="content types"):
        PROVIDER.read_catalog(answer(body))


def test_asks_for_the_catalog_and_for_the_owner_of_the_key():
    assert [request.path for request in PROVIDER.catalog()] == ["/catalog", "/capabilities"]
    assert [request.path for request in PROVIDER.check()] == ["/me", "/creations?page=1&page_size=1"]


def test_sends_the_api_key_in_both_headers():
    assert PROVIDER.authorize() == {"X-KGP-Api-Key": "kgp_example", "Authorization": "Bearer kgp_example"}


def test_sends_no_header_without_an_api_key():
    assert KPainter().authorize() == {}


# The list of creations


@pytest.mark.parametrize(
    ("cursor", "path"),
    [
        pytest.param(None, "/creations?page=1&page_size=100", id="first"),
        pytest.param("2", "/creations?page=2&page_size=100", id="next"),
    ],
)
def test_asks_for_a_page_of_its_creations(cursor, path):
    assert PROVIDER.listing(cursor) == Request(path=path)


def test_finds_the_jobs_of_older_creations():
    listing = PROVIDER.read_listing(answer(sample("kpainter/listings/older")))

    assert listing.jobs == (
        Listed(
            job_id="55672",
            kind="interactive_lesson",
            created_at=datetime(2026, 3, 9, 16, 5, tzinfo=UTC),
            reference="10235",
        ),
        Listed(
            job_id="55671", kind="slides_video", created_at=datetime(2026, 3, 9, 16, 0, tzinfo=UTC), reference="10234"
        ),
    )
    assert listing.cursor == "2"


def test_finds_newer_creations_without_believing_that_they_have_results():
    listing = PROVIDER.read_listing(answer(sample("kpainter/listings/newer")))

    assert listing.jobs == (
        Listed(job_id="cr_02", kind="app", created_at=datetime(2026, 3, 9, 16, 5, tzinfo=UTC)),
        Listed(job_id="cr_01", kind="video", created_at=datetime(2026, 3, 9, 16, 0, tzinfo=UTC)),
    )
    assert listing.cursor is None


@pytest.mark.parametrize("name", ["items", "creations", "results", "data"])
def test_finds_the_list_wherever_it_stands(name):
    assert listed(**{name: [{"id": "cr_01"}], "total": 1}).jobs == (Listed(job_id="cr_01", kind="creation"),)


@pytest.mark.parametrize(
    ("row", "job_id"),
    [
        pytest.param({"job": {"job_id": 55671}}, "55671", id="inside"),
        pytest.param({"job_id": 55671}, "55671", id="beside"),
        pytest.param({"creationId": "cr_01"}, "cr_01", id="camel-case"),
    ],
)
def test_knows_a_listed_creation_by_what_it_is_asked_about_with(row, job_id):
    [job] = listed(items=[row]).jobs

    assert job.job_id == job_id


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"creation_id": 10233, "status": "ready"}, id="older-without-its-job"),
        pytest.param({"job": {"job_id": 0}}, id="zero"),
        pytest.param({"id": 55671}, id="number-of-something"),
        pytest.param({"id": "cr_" + "x" * 256}, id="too-long"),
        pytest.param({}, id="nothing"),
        pytest.param(None, id="null"),
        pytest.param("cr_01", id="text"),
    ],
)
def test_leaves_out_what_it_could_not_ask_about(row):
    assert listed(items=[row]).jobs == ()


@pytest.mark.parametrize(
    ("told", "kind"),
    [("web_app", "interactive_lesson"), ("ai_video", "creation"), ("video", "video"), (None, "creation")],
)
def test_tells_the_kind_of_a_listed_creation_under_one_name(told, kind):
    [job] = listed(items=[{"id": "cr_01", "type": told}]).jobs

    assert job.kind == kind


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        pytest.param({"page_size": 2}, "4", id="full"),
        pytest.param({"pageSize": 2}, "4", id="camel-case"),
        pytest.param({"page_size": 3}, None, id="not-full"),
        pytest.param({"page": 3}, None, id="fewer-than-asked-for"),
        pytest.param({"page_size": True}, None, id="boolean"),
        pytest.param({"page_size": 0}, None, id="zero"),
    ],
)
def test_goes_on_to_the_next_page_behind_a_full_one(page, cursor):
    body = {"items": [{"id": "cr_01"}, {"id": "cr_02"}], **page}

    assert PROVIDER.read_listing(answer(body), "3").cursor == cursor


def test_goes_on_to_the_second_page_behind_the_first():
    assert listed(items=[{"id": "cr_01"}], page_size=1).cursor == "2"


@pytest.mark.parametrize("body", [{}, {"items": None}, {"data": {"items": []}}])
def test_takes_an_answer_without_a_list_for_a_failed_request(body):
    with pytest.raises(RequestFailed, match="no list of creations"):
        listed(**body)


# Errors


@pytest.mark.parametrize("name", samples("kpainter/errors"))
@pytest.mark.parametrize("status_code", [400, 401, 402, 403, 404, 422, 429, 500, 503])
def test_passes_on_what_the_provider_says(status_code, name):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read(JOB, answer(sample(f"kpainter/errors/{name}"), status_code=status_code))

    assert str(failed.value) == f"HTTP {status_code}: not enough credits"


@pytest.mark.parametrize("detail", ["no\nway", {"message": "no\nway"}])
def test_passes_it_on_in_one_line(detail):
    with pytest.raises(RequestFailed, match=r"HTTP 400: no\?way$"):
        PROVIDER.read(JOB, answer({"detail": detail}, status_code=400))


@pytest.mark.parametrize(
    ("status_code", "body", "error", "retry"),
    [
        pytest.param(401, {"detail": "no"}, CredentialsRefused, False, id="401"),
        pytest.param(403, {"detail": {"message": "no"}}, CredentialsRefused, False, id="403"),
        pytest.param(404, {"detail": "Job not found"}, NotFound, False, id="404-for-the-job"),
        pytest.param(404, {"detail": {"message": "gone"}}, NotFound, False, id="404-with-a-message"),
        pytest.param(404, {"detail": "Not Found"}, RequestFailed, False, id="404-for-the-path"),
        pytest.param(404, PAGE, RequestFailed, False, id="404-as-a-page"),
        pytest.param(429, {"detail": "no"}, RateLimited, True, id="429"),
        pytest.param(429, PAGE, RateLimited, True, id="429-as-a-page"),
        pytest.param(400, {"detail": "no"}, RequestFailed, False, id="400"),
        pytest.param(500, {"status": "succeeded", "detail": "no"}, RequestFailed, True, id="500-with-a-status"),
        pytest.param(502, PAGE, RequestFailed, True, id="502"),
    ],
)
@pytest.mark.parametrize("job", [pytest.param(JOB, id="older"), pytest.param(NEWER, id="newer")])
def test_says_how_the_request_failed(job, status_code, body, error, retry):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read(job, answer(body, status_code=status_code))

    assert (type(failed.value), failed.value.retry) == (error, retry)


@pytest.mark.parametrize("job", [pytest.param(FINISHED, id="older"), pytest.param(NEWER_FINISHED, id="newer")])
def test_does_not_lose_a_job_that_was_told_as_over_because_its_result_is_late(job):
    with pytest.raises(RequestFailed) as failed:
        PROVIDER.read(job, answer({"detail": "No outputs yet"}, status_code=404))

    assert not isinstance(failed.value, NotFound)


def test_waits_as_long_as_a_429_says():
    with pytest.raises(RateLimited) as limited:
        PROVIDER.read(JOB, answer({"detail": "no"}, status_code=429, **{"retry-after": "17"}))

    assert limited.value.retry_after == timedelta(seconds=17)


def test_names_the_setting_where_the_api_has_no_such_path():
    with pytest.raises(RequestFailed, match="base_url"):
        PROVIDER.read(JOB, answer({"detail": "Not Found"}, status_code=404))


# When to ask


@pytest.mark.parametrize(
    ("age", "interval"),
    [
        pytest.param(0, 3, id="young"),
        pytest.param(30, 6, id="half-a-minute"),
        pytest.param(120, 15, id="two-minutes"),
        pytest.param(3000, 15, id="old"),
    ],
)
@pytest.mark.parametrize("kind", KPainter.kinds)
def test_asks_less_often_as_time_goes_by(kind, age, interval):
    assert KPainter.kinds[kind].interval(timedelta(seconds=age)) == timedelta(seconds=interval)


@pytest.mark.parametrize("kind", KPainter.kinds)
def test_gives_up_after_an_hour(kind):
    schedule = KPainter.kinds[kind]

    assert (schedule.first, schedule.deadline) == (timedelta(seconds=3), timedelta(hours=1))
