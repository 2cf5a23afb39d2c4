"""Kling: what is its own, beyond the contract of all adapters."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import Delivery, Event, Failure, Job, Listed, Output, Reading, Response, Status, Trust
from receiver.providers.kling import Kling
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
PROVIDER = Kling(api_key="ak_demo:sk_demo_secret")
PAGE = b"<html>Bad gateway</html>"
TASK = "812345678901234567"
VIDEO = "https://cdn.example.com/kling/v-1.mp4"
# Computed by other code for the key pair above, at 1760000000.
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    ".eyJpc3MiOiJha19kZW1vIiwiZXhwIjoxNzYwMDAxODAwLCJuYmYiOjE3NTk5OTk5OTV9"
    ".yhLgjRpE4wvHoFVC0zVLGQKcI3bsu26SFWpdS2znPv4"
)


def deliver(body: bytes) -> Delivery:
    return Delivery(source="kling", body=body, received_at=NOW)


def parse(**task: Any) -> Event:
    [event] = PROVIDER.parse(deliver(json.dumps({"task_id": "t1"} | task).encode()))
    return event


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def envelope(data: Any) -> Response:
    return answer({"code": 0, "message": "SUCCEED", "request_id": "req-1", "data": data})


def read(job: Job | None = None, **task: Any) -> Reading:
    return PROVIDER.read(job or make_job("t1", kind="text2video"), envelope({"task_id": "t1"} | task))


def told(**task: Any) -> Event:
    [event] = read(**task).events
    return event


def refusal(body: Any, *, status_code: int = 200, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(make_job("t1", kind="text2video"), answer(body, status_code=status_code, **headers))
    return refused.value


def polled(name: str) -> tuple[Job, Response]:
    body = sample(f"kling/polls/{name}")
    return make_job(json.loads(body)["data"]["task_id"], kind="text2video"), answer(body)


def signed(provider: Kling, at: datetime = NOW) -> dict[str, str]:
    return provider.sign_request(method="GET", url=f"{provider.base_url}/v1/videos/text2video/t1", body=b"", now=at)


class TestKling(ProviderContract):
    provider_class = Kling
    webhooks = {name: deliver(body) for name, body in samples("kling/webhooks").items()}
    answers = {name: polled(name) for name in samples("kling/polls")}
    listings = {name: answer(body) for name, body in samples("kling/listings").items()}
    told_twice = {name: name for name in ("video_succeeded", "video_failed", "images_succeeded")}


# Callbacks


def test_takes_a_callback_for_no_more_than_a_hint():
    delivery = deliver(sample("kling/webhooks/video_succeeded"))

    assert PROVIDER.verify(delivery, NOW) is Trust.HINT


def test_reads_a_callback_that_has_no_envelope():
    [event] = PROVIDER.parse(deliver(sample("kling/webhooks/video_succeeded")))

    assert (event.job_id, event.status, event.key) == (TASK, Status.SUCCEEDED, f"{TASK}:succeeded")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("video_submitted", f"{TASK}:queued", id="submitted"),
        pytest.param("video_processing", f"{TASK}:running", id="processing"),
        pytest.param("video_succeeded", f"{TASK}:succeeded", id="succeed"),
        pytest.param("video_failed", f"{TASK}:failed", id="failed"),
    ],
)
def test_tells_every_change_that_is_called_back_about_apart(name, key):
    [event] = PROVIDER.parse(deliver(sample(f"kling/webhooks/{name}")))

    assert event.key == key


def test_takes_a_callback_that_names_no_kind_for_one_of_any_kind():
    assert parse(task_status="submitted").kind == "video"


def test_takes_an_id_that_came_as_a_number_exactly():
    assert parse(task_id=812345678901234567).job_id == TASK


@pytest.mark.parametrize("task_id", [None, "", 0, -1, True, 1.5, [], {}, "a\nb", "x" * 300])
def test_reads_no_callback_without_an_id(task_id):
    with pytest.raises(Unreadable, match="task_id"):
        parse(task_id=task_id)


# Tasks


@pytest.mark.parametrize("spell", [str, str.upper, str.title, " {} ".format], ids=["lower", "upper", "title", "spaces"])
@pytest.mark.parametrize(
    ("word", "status"),
    [
        pytest.param("submitted", Status.QUEUED, id="submitted"),
        pytest.param("processing", Status.RUNNING, id="processing"),
        pytest.param("succeed", Status.SUCCEEDED, id="succeed"),
        pytest.param("failed", Status.FAILED, id="failed"),
    ],
)
def test_folds_the_status(spell, word, status):
    assert read(task_status=spell(word)).status is status


@pytest.mark.parametrize("word", ["succeeded", "success", "canceled", "3"])
def test_keeps_an_unknown_status_as_it_was_said(word):
    assert read(task_status=word) == Reading(status=None, raw_status=word)


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("video_submitted", Status.QUEUED, [], id="submitted"),
        pytest.param("video_processing", Status.RUNNING, [], id="processing"),
        pytest.param("video_succeeded", Status.SUCCEEDED, [f"{TASK}:succeeded"], id="succeed"),
        pytest.param("video_failed", Status.FAILED, [f"{TASK}:failed"], id="failed"),
        pytest.param("images_succeeded", Status.SUCCEEDED, ["812345678901234568:succeeded"], id="images"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, [event.key for event in reading.events]) == (status, keys)


def test_keeps_the_task_whole_and_its_duration_as_text():
    [event] = PROVIDER.read(*polled("video_succeeded")).events

    assert event.data == json.loads(sample("kling/webhooks/video_succeeded"))
    assert event.data["task_result"]["videos"][0]["duration"] == "5"


def test_takes_times_for_milliseconds():
    [event] = PROVIDER.read(*polled("video_succeeded")).events

    assert event.occurred_at == datetime(2024, 8, 4, 11, 6, 40, 123000, UTC)


@pytest.mark.parametrize("updated_at", [None, -1, 0, 10**30, "1722769600123", True, []])
def test_is_not_stopped_by_an_odd_time(updated_at):
    assert told(task_status="failed", updated_at=updated_at).occurred_at is None


@pytest.mark.parametrize(
    ("result", "urls"),
    [
        pytest.param({"videos": [{"url": VIDEO}]}, [VIDEO], id="video"),
        pytest.param({"images": [{"url": "a"}, {"url": "b"}]}, ["a", "b"], id="images"),
        pytest.param({"videos": [{"url": VIDEO, "watermark_url": "w"}]}, [VIDEO], id="beside-a-watermarked-copy"),
        pytest.param({"videos": [{"watermark_url": "w"}]}, ["w"], id="only-a-watermarked-copy"),
        pytest.param({"videos": ["a", None, {}, {"url": 1}, {"url": VIDEO}]}, [VIDEO], id="odd-rows"),
        pytest.param({"videos": {"url": VIDEO}}, [], id="no-list"),
        pytest.param([], [], id="no-object"),
        pytest.param(None, [], id="null"),
    ],
)
def test_tells_the_results(result, urls):
    event = told(task_status="succeed", task_result=result)

    assert event.outputs == tuple(map(Output, urls))


def test_says_when_the_result_is_still_to_come():
    assert read(task_status="succeed", task_result={}).incomplete


def test_expects_no_result_of_a_failed_task():
    event = told(task_status="failed", task_result={"videos": [{"url": VIDEO}]})

    assert event.outputs == ()


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        pytest.param("content risk control", Failure("content risk control"), id="told"),
        pytest.param("", Failure("no reason given"), id="empty"),
        pytest.param(None, Failure("no reason given"), id="null"),
        pytest.param({}, Failure("no reason given"), id="object"),
    ],
)
def test_finds_the_reason_of_a_failure(message, failure):
    assert told(task_status="failed", task_status_msg=message).failure == failure


# Polls


@pytest.mark.parametrize("kind", ["text2video", "image2video"])
def test_asks_where_the_kind_is_answered(kind):
    assert PROVIDER.poll(make_job("t1", kind=kind)).path == f"/v1/videos/{kind}/t1"


@pytest.mark.parametrize(
    ("missing_count", "route"),
    [(0, "text2video"), (1, "image2video"), (2, "text2video"), (3, "image2video")],
)
def test_asks_about_a_job_of_an_unknown_kind_at_each_route_in_turn(missing_count, route):
    job = replace(make_job("t1", kind="video"), missing_count=missing_count)

    assert PROVIDER.poll(job).path == f"/v1/videos/{route}/t1"


@pytest.mark.parametrize(
    ("kind", "reference", "places"),
    [("text2video", None, 1), ("video", None, 2), ("video", "image2video", 1), ("video", "../../account", 2)],
)
def test_a_job_of_an_unknown_kind_may_be_at_either_route(kind, reference, places):
    assert PROVIDER.places(replace(make_job("t1", kind=kind), reference=reference)) == places


def test_goes_on_asking_where_a_job_of_an_unknown_kind_was_found():
    job = replace(make_job("t1", kind="video"), missing_count=1)
    reading = read(job, task_status="processing")
    found = replace(job, missing_count=0, reference=reading.reference)

    assert PROVIDER.poll(found).path == "/v1/videos/image2video/t1"


def test_tells_a_job_of_an_unknown_kind_by_where_it_was_found():
    job = replace(make_job("t1", kind="video"), missing_count=1)

    [event] = read(job, task_status="failed").events

    assert event.kind == "image2video"


def test_asks_nowhere_that_a_reference_makes_up():
    job = replace(make_job("t1", kind="video"), reference="../../account")

    assert PROVIDER.poll(job).path == "/v1/videos/text2video/t1"


def test_does_not_take_an_answer_about_another_task():
    with pytest.raises(RequestFailed, match="another job"):
        read(task_id="t2", task_status="succeed")


def test_says_what_to_do_about_a_job_that_is_tracked_by_its_other_name():
    job = make_job("order-42", kind="text2video")

    with pytest.raises(RequestFailed, match="track it by its task_id"):
        read(job, task_status="succeed", task_info={"external_task_id": "order-42"})


def test_takes_the_id_out_of_the_answer_where_it_is_not_known():
    [event] = PROVIDER.read(make_job("", kind="text2video"), answer(sample("kling/polls/video_failed"))).events

    assert event.job_id == TASK


@pytest.mark.parametrize("data", [None, [], {}, "text", {"task_id": "t1"}])
def test_takes_an_answer_that_says_nothing_for_a_failed_request(data):
    with pytest.raises(RequestFailed, match="has no task_status"):
        PROVIDER.read(make_job("t1", kind="text2video"), envelope(data))


def test_asks_after_5_seconds_and_then_every_10_for_half_an_hour():
    [schedule] = set(map(repr, Kling.kinds.values()))

    assert schedule == repr(Kling.kinds["video"])
    assert Kling.kinds["video"].first == timedelta(seconds=5)
    assert Kling.kinds["video"].interval(timedelta(minutes=20)) == timedelta(seconds=10)
    assert Kling.kinds["video"].deadline == timedelta(minutes=30)


# Errors


@pytest.mark.parametrize("status_code", [200, None], ids=["in-a-200", "behind-its-own-status"])
@pytest.mark.parametrize(
    ("code", "documented", "error", "retry"),
    [
        *((code, 401, CredentialsRefused, False) for code in (1000, 1001, 1002, 1003, 1004)),
        *((code, 429, RequestFailed, False) for code in (1100, 1101, 1102)),
        (1103, 403, CredentialsRefused, False),
        *((code, 400, RequestFailed, False) for code in (1200, 1201)),
        *((code, 404, NotFound, False) for code in (1202, 1203)),
        *((code, 400, RequestFailed, False) for code in (1300, 1301)),
        *((code, 429, RateLimited, True) for code in (1302, 1303, 1304)),
        *((code, status, RequestFailed, True) for code, status in ((5000, 500), (5001, 503), (5002, 504))),
    ],
)
def test_says_what_the_code_means(code, documented, error, retry, status_code):
    failed = refusal({"code": code, "message": "Not today"}, status_code=status_code or documented)

    assert (type(failed), failed.retry) == (error, retry)
    assert "Not today" in str(failed)


def test_does_not_take_an_empty_account_for_too_many_requests_though_both_are_a_429():
    assert type(refusal(sample("kling/errors/balance_not_enough"), status_code=429)) is RequestFailed
    assert type(refusal(sample("kling/errors/rate_limited"), status_code=429)) is RateLimited


@pytest.mark.parametrize("code", [1, -1, 9999, "0", True, False, None, [], {}, 0.5])
def test_takes_any_code_but_0_for_a_failed_request(code):
    failed = refusal({"code": code, "message": "no", "data": {"task_id": "t1", "task_status": "succeed"}})

    assert type(failed) is RequestFailed


def test_takes_a_callback_s_flat_body_for_no_answer():
    assert type(refusal(sample("kling/webhooks/video_succeeded"))) is RequestFailed


@pytest.mark.parametrize(
    ("status_code", "body", "error"),
    [
        pytest.param(401, PAGE, CredentialsRefused, id="401-as-a-page"),
        pytest.param(404, PAGE, RequestFailed, id="404-as-a-page"),
        pytest.param(404, {"message": "no such task"}, NotFound, id="404-without-a-code"),
        pytest.param(429, PAGE, RateLimited, id="429-as-a-page"),
        pytest.param(502, PAGE, RequestFailed, id="502"),
        pytest.param(500, {"code": 0, "data": {"task_status": "succeed"}}, RequestFailed, id="500-with-a-task"),
        pytest.param(403, {"code": 7777, "message": "no"}, CredentialsRefused, id="unknown-code"),
    ],
)
def test_says_why_the_request_failed(status_code, body, error):
    assert type(refusal(body, status_code=status_code)) is error


def test_waits_as_long_as_a_429_says():
    limited = refusal(sample("kling/errors/rate_limited"), status_code=429, **{"retry-after": "17"})

    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=17)


# The keys


def test_signs_each_request_with_the_documented_token():
    assert signed(PROVIDER, datetime.fromtimestamp(1760000000, UTC)) == {"Authorization": f"Bearer {TOKEN}"}


def test_makes_a_token_of_its_own_for_each_moment():
    assert signed(PROVIDER) != signed(PROVIDER, NOW + timedelta(seconds=1))


def test_carries_no_key_in_plain():
    headers = str({**PROVIDER.authorize(), **signed(PROVIDER)})

    assert not any(secret in headers for secret in PROVIDER.confidential)


def test_signs_nothing_without_a_key():
    assert signed(Kling()) == {}


def test_keeps_both_keys_and_the_pair_to_itself():
    assert {"ak_demo", "sk_demo_secret", "ak_demo:sk_demo_secret"} <= set(PROVIDER.confidential)
    assert "demo" not in repr(PROVIDER)


def test_shows_no_token_that_an_error_echoes():
    failed = refusal({"code": 1002, "message": f"Authorization is invalid: Bearer {TOKEN}"}, status_code=401)

    assert str(failed) == "HTTP 401, code 1002: Authorization is invalid: Bearer (token)"


def test_checks_the_keys_with_a_list_of_one():
    assert [request.path for request in PROVIDER.check()] == ["/v1/videos/text2video?pageNum=1&pageSize=1"]


def test_refuses_keys_that_the_api_refuses():
    with pytest.raises(CredentialsRefused):
        PROVIDER.checked(answer(sample("kling/errors/signature_invalid"), status_code=401))


# The list of jobs


def test_has_a_list_for_each_kind():
    assert [PROVIDER.read_listing(envelope([{"task_id": "t1"}]), first).jobs[0].kind for first in Kling.lists] == [
        "text2video",
        "image2video",
    ]


@pytest.mark.parametrize(
    ("cursor", "path"),
    [
        pytest.param(None, "/v1/videos/text2video?pageNum=1&pageSize=100", id="first"),
        pytest.param("text2video:2", "/v1/videos/text2video?pageNum=2&pageSize=100", id="second"),
        pytest.param("image2video:1", "/v1/videos/image2video?pageNum=1&pageSize=100", id="another-kind"),
    ],
)
def test_asks_for_the_page_that_a_cursor_stands_for(cursor, path):
    assert PROVIDER.listing(cursor).path == path


@pytest.mark.parametrize(
    ("cursor", "kind"),
    [
        pytest.param(None, "text2video", id="first"),
        pytest.param("text2video:3", "text2video", id="third"),
        pytest.param("image2video:1", "image2video", id="another-kind"),
    ],
)
def test_lists_jobs_of_the_kind_that_was_asked_for(cursor, kind):
    listing = PROVIDER.read_listing(answer(sample("kling/listings/last_page")), cursor)

    assert listing.jobs == (
        Listed(job_id="812345678901234561", kind=kind, created_at=datetime(2024, 8, 4, 11, 5, 56, 708000, UTC)),
        Listed(job_id="812345678901234562", kind=kind, created_at=datetime(2024, 8, 4, 11, 5, 55, 708000, UTC)),
    )


@pytest.mark.parametrize(
    ("count", "cursor", "following"),
    [
        pytest.param(100, None, "text2video:2", id="full"),
        pytest.param(100, "image2video:7", "image2video:8", id="full-of-another-kind"),
        pytest.param(99, None, None, id="not-full"),
        pytest.param(0, "text2video:2", None, id="empty"),
        pytest.param(100, "text2video:1000", None, id="last-there-can-be"),
    ],
)
def test_asks_for_another_page_after_a_full_one(count, cursor, following):
    rows = [{"task_id": f"t{number}"} for number in range(count)]

    assert PROVIDER.read_listing(envelope(rows), cursor).cursor == following


def test_lists_no_job_without_an_id():
    rows = [None, "t1", {}, {"task_id": ""}, {"task_id": 7}, {"task_id": "t1", "created_at": "yesterday"}]

    jobs = PROVIDER.read_listing(envelope(rows)).jobs

    assert [(job.job_id, job.created_at) for job in jobs] == [("7", None), ("t1", None)]


@pytest.mark.parametrize("data", [None, {}, "text"])
def test_takes_an_answer_without_a_list_for_a_failed_request(data):
    with pytest.raises(RequestFailed, match="no list of tasks"):
        PROVIDER.read_listing(envelope(data))
