"""HeyGen: what is its own, beyond the contract of all adapters."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, Reason, Refused, RequestFailed, Unreadable
from receiver.models import Delivery, Event, Failure, Job, Output, Reading, Response, Status, Trust
from receiver.providers.heygen import HeyGen, HeyGenSettings
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples, vector, vectors

NOW = datetime.fromtimestamp(1760000005, UTC)
SECRETS = ["whsec_heygen_demo", "heygen-demo-secret"]
PROVIDER = HeyGen(secrets=SECRETS, api_key="heygen-example")
V3 = HeyGen(api_key="heygen-example", settings=HeyGenSettings(api="v3"))

ASKED = {"failed": "demo_video_2"}


def deliver(body: bytes, headers: dict[str, str] | None = None) -> Delivery:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return Delivery(source="avatars", body=body, headers=lower, received_at=NOW)


def known(name: str) -> Delivery:
    answer = vector(name)
    return deliver(answer["body"].encode(), answer["headers"])


def told(named: str = "avatar_video.success", headers: dict[str, str] | None = None, **data: Any) -> Event:
    body = {"event_type": named, "event_data": {"video_id": "v1"} | data}
    [event] = PROVIDER.parse(deliver(json.dumps(body).encode(), headers))
    return event


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status_code=status_code, headers=headers, body=raw)


def read(*, kind: str = "avatar_video", **data: Any) -> Reading:
    return PROVIDER.read(make_job("v1", kind=kind), answer({"code": 100, "data": {"id": "v1"} | data}))


def refusal(body: Any, *, status_code: int = 200, **headers: str) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(make_job("v1", kind="avatar_video"), answer(body, status_code=status_code, **headers))
    return refused.value


def polled(name: str, folder: str = "polls") -> tuple[Job, Response]:
    job = make_job(ASKED.get(name, "demo_video_1"), kind="avatar_video")
    return job, answer(sample(f"heygen/{folder}/{name}"))


class TestHeyGen(ProviderContract):
    provider_class = HeyGen
    secret = "whsec_heygen_demo"
    signature_header = "heygen-signature"
    delivery = known("HG-v3")
    webhooks = {
        name: deliver(body)
        for folder in ("heygen/webhooks", "heygen/notices")
        for name, body in samples(folder).items()
    }
    answers = {name: polled(name) for name in samples("heygen/polls")}
    told_twice = {"avatar_video_success": "completed", "avatar_video_fail": "failed"}


class TestV3(ProviderContract):
    provider_class = HeyGen
    answers = {name: polled(name, "polls_v3") for name in samples("heygen/polls_v3")}
    webhooks = {name: deliver(body) for name, body in samples("heygen/webhooks").items()}
    told_twice = {"avatar_video_success": "completed", "avatar_video_fail": "failed"}

    def configured(self, secrets):
        return HeyGen(secrets=secrets, base_url=super().configured([]).base_url, settings=HeyGenSettings(api="v3"))


# Signatures


@pytest.mark.parametrize("expected", vectors("heygen_v3", "heygen_legacy"))
def test_agrees_with_the_vector_of_either_header(expected):
    assert expected["expect"] == "valid"
    assert PROVIDER.verify(known(expected["id"]), NOW) is Trust.SIGNED


@pytest.mark.parametrize("name", ["HG-legacy", "HG-v3"])
@pytest.mark.parametrize("tampered", [b"", b"{}", b'{"event_type":"avatar_video.success"}'])
def test_refuses_another_body_under_either_header(name, tampered):
    delivery = deliver(tampered, vector(name)["headers"])

    with pytest.raises(Refused) as refused:
        PROVIDER.verify(delivery, NOW)

    assert refused.value.reason is Reason.SIGNATURE_MISMATCH


def test_a_good_old_signature_counts_beside_a_wrong_new_one():
    body, old = vector("HG-legacy")["body"].encode(), vector("HG-legacy")["headers"]
    both = {**old, "Heygen-Signature": "0" * 64, "Heygen-Timestamp": "1760000000"}

    assert PROVIDER.verify(deliver(body, both), NOW) is Trust.SIGNED


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        pytest.param(timedelta(minutes=5), Reason.TIMESTAMP_TOO_OLD, id="old"),
        pytest.param(-timedelta(minutes=6), Reason.TIMESTAMP_TOO_NEW, id="new"),
    ],
)
def test_checks_the_new_headers_time(after, reason):
    with pytest.raises(Refused) as refused:
        PROVIDER.verify(known("HG-v3"), NOW + after)

    assert refused.value.reason is reason


def test_takes_a_signature_without_a_time_which_would_prove_nothing():
    genuine = known("HG-v3")
    headers = {name: value for name, value in genuine.headers.items() if name != "heygen-timestamp"}

    assert PROVIDER.verify(replace(genuine, headers=headers), NOW + timedelta(days=1)) is Trust.SIGNED


def test_a_replay_under_a_new_time_is_the_same_event():
    """The time is not signed: whoever has a delivery can date it anew, and gains nothing."""
    genuine = vector("HG-v3")
    headers = {**genuine["headers"], "Heygen-Timestamp": "1770000000", "Heygen-Event-Id": "evt_another"}
    replayed = deliver(genuine["body"].encode(), headers)

    assert PROVIDER.verify(replayed, datetime.fromtimestamp(1770000000, UTC)) is Trust.SIGNED
    assert PROVIDER.parse(replayed) == PROVIDER.parse(known("HG-v3"))


# Webhooks


@pytest.mark.parametrize(
    ("named", "kind", "status"),
    [
        pytest.param("avatar_video.success", "avatar_video", Status.SUCCEEDED, id="video"),
        pytest.param("avatar_video.fail", "avatar_video", Status.FAILED, id="failed-video"),
        pytest.param("video_agent.success", "video_agent", Status.SUCCEEDED, id="agent"),
        pytest.param("video_agent.fail", "video_agent", Status.FAILED, id="failed-agent"),
    ],
)
def test_the_suffix_decides_how_a_video_ended(named, kind, status):
    event = told(named)

    assert (event.type, event.kind, event.job_id, event.key, event.status) == (
        named,
        kind,
        "v1",
        f"v1:{status}",
        status,
    )


def test_keeps_the_job_open_at_a_suffix_it_does_not_know():
    event = told("avatar_video.progress")

    assert (event.status, event.raw_status, event.key) == (None, "progress", "v1:?progress")


@pytest.mark.parametrize(
    ("named", "status"),
    [
        pytest.param("video_translate.success", Status.SUCCEEDED, id="translated"),
        pytest.param("video_translate.fail", Status.FAILED, id="not-translated"),
        pytest.param("avatar_video_gif.success", Status.SUCCEEDED, id="gif"),
        pytest.param("avatar_video_gif.fail", Status.FAILED, id="failed-gif"),
        pytest.param("instant_avatar.success", Status.SUCCEEDED, id="avatar"),
        pytest.param("personalized_video", None, id="no-suffix"),
        pytest.param("fail", Status.FAILED, id="only-a-suffix"),
    ],
)
def test_what_is_no_video_is_a_notice(named, status):
    event = told(named)

    assert (event.type, event.job_id, event.kind, event.status) == (named, None, None, status)


@pytest.mark.parametrize("named", ["avatar_video_gif.success", "succeeded", "failed"])
def test_a_videos_gif_does_not_take_the_key_of_its_end(named):
    assert told(named).key not in {told("avatar_video.success").key, told("avatar_video.fail").key}


def test_each_notice_about_a_video_has_its_own_key_whatever_its_url():
    first = told("avatar_video_gif.success", url="https://files.heygen.example/1.gif?Signature=a")
    again = told("avatar_video_gif.success", url="https://files.heygen.example/1.gif?Signature=b")

    assert first.key == again.key != told("avatar_video_gif.fail").key


def test_knows_a_notice_without_a_video_by_its_bytes():
    bodies = [b'{"event_type": "video_translate.success", "event_data": {"n": %d}}' % number for number in (1, 1, 2)]
    keys = [PROVIDER.parse(deliver(body))[0].key for body in bodies]

    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("video_id", [None, "", 7, ["v1"], "v\n1"])
def test_an_end_of_nobody_knows_which_video_is_a_notice(video_id):
    assert told(video_id=video_id).job_id is None


def test_keeps_the_callback_id():
    [webhook] = PROVIDER.parse(deliver(sample("heygen/webhooks/avatar_video_success")))
    [poll] = PROVIDER.read(*polled("completed")).events

    assert webhook.data["callback_id"] == poll.data["callback_id"] == "order-42"


def test_does_not_believe_the_unsigned_event_id():
    first, second = (told(headers={"Heygen-Event-Id": name}) for name in ("evt_1", "evt_2"))

    assert first.key == second.key


@pytest.mark.parametrize(
    ("data", "outputs"),
    [
        pytest.param({"url": "https://a/v.mp4"}, ["https://a/v.mp4"], id="video"),
        pytest.param(
            {"gif_download_url": "https://a/v.gif", "url": "https://a/v.mp4"},
            ["https://a/v.mp4", "https://a/v.gif"],
            id="and-gif",
        ),
        pytest.param(
            {"url": "https://a/v.mp4", "video_share_page_url": "https://a/p"}, ["https://a/v.mp4"], id="no-share-page"
        ),
        pytest.param({"url": None}, [], id="null"),
    ],
)
def test_tells_the_files(data, outputs):
    assert [output.url for output in told(**data).outputs] == outputs


@pytest.mark.parametrize(
    ("named", "data", "incomplete"),
    [
        pytest.param("avatar_video.success", {"url": "https://a/v.mp4"}, False, id="there"),
        pytest.param("avatar_video.success", {"url": None}, True, id="null"),
        pytest.param("avatar_video.fail", {}, False, id="failed"),
        pytest.param("video_translate.success", {}, False, id="notice"),
    ],
)
def test_asks_for_a_video_that_is_not_in_its_webhook(named, data, incomplete):
    assert told(named, **data).incomplete is incomplete


def test_gives_the_reason_of_a_failure():
    [event] = PROVIDER.parse(deliver(sample("heygen/webhooks/avatar_video_fail")))

    assert event.failure == Failure("render failed")


def test_reads_an_event_without_data():
    [event] = PROVIDER.parse(deliver(b'{"event_type": "avatar_video.success", "event_data": null}'))

    assert (event.job_id, event.data["event_type"]) == (None, "avatar_video.success")


@pytest.mark.parametrize("body", [b"{}", b'{"event_type": null}', b'{"event_type": {}}'])
def test_cannot_read_an_event_without_a_type(body):
    with pytest.raises(Unreadable, match="event_type"):
        PROVIDER.parse(deliver(body))


# Polls


def test_asks_in_v1_unless_told_otherwise():
    job = make_job("v1", kind="avatar_video")

    assert PROVIDER.poll(job).path == "/v1/video_status.get?video_id=v1"
    assert V3.poll(job).path == "/v3/videos/v1"


def test_carries_the_key_in_a_header_of_its_own():
    assert PROVIDER.authorize() == {"X-Api-Key": "heygen-example"}
    assert HeyGen().authorize() == {}


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        pytest.param("pending", Status.QUEUED, [], id="pending"),
        pytest.param("waiting", Status.QUEUED, [], id="waiting"),
        pytest.param("processing", Status.RUNNING, [], id="processing"),
        pytest.param("completed", Status.SUCCEEDED, ["demo_video_1:succeeded"], id="completed"),
        pytest.param("failed", Status.FAILED, ["demo_video_2:failed"], id="failed"),
    ],
)
def test_reads_the_documented_answer(name, status, keys):
    reading = PROVIDER.read(*polled(name))

    assert (reading.status, reading.raw_status, [event.key for event in reading.events]) == (status, name, keys)


@pytest.mark.parametrize("spelled", ["completed", "COMPLETED", " Completed "])
def test_folds_the_case_of_a_status(spelled):
    assert read(status=spelled, video_url="https://a/v.mp4").status is Status.SUCCEEDED


def test_keeps_an_unknown_status():
    assert read(status="draft", video_url="https://a/v.mp4") == Reading(status=None, raw_status="draft")


def test_another_url_in_each_answer_makes_no_other_event():
    first, second = (
        read(status="completed", video_url=f"https://a/v.mp4?Signature={signature}").events[0] for signature in "ab"
    )

    assert first.outputs != second.outputs
    assert (first.key, first.type) == (second.key, second.type)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        pytest.param("avatar_video", "avatar_video.success", id="video"),
        pytest.param("video_agent", "video_agent.success", id="agent"),
        pytest.param("hologram", "avatar_video.success", id="tracked-as-something-else"),
    ],
)
def test_names_an_event_as_the_webhook_does(kind, named):
    [event] = read(kind=kind, status="completed", video_url="https://a/v.mp4").events

    assert event.type == named


def test_says_when_the_result_is_still_to_come():
    reading = read(status="completed", video_url=None)

    assert (reading.status, reading.incomplete) == (Status.SUCCEEDED, True)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        pytest.param({"code": 40119, "detail": "too long: 5 min", "message": "too long"},
                     Failure("too long: 5 min", "40119"), id="detail"),
        pytest.param({"code": "E1", "detail": None, "message": "too long"}, Failure("too long", "E1"), id="message"),
        pytest.param("too long", Failure("too long"), id="text"),
        pytest.param({"code": []}, Failure("no reason given"), id="odd"),
        pytest.param(None, Failure("no reason given"), id="nothing"),
    ],
)  # fmt: skip
def test_finds_the_reason_of_a_failure(error, failure):
    assert read(status="failed", error=error).events[0].failure == failure


@pytest.mark.parametrize("code", [40119, 0, 200, "40119", None, True, [100], {}])
def test_takes_any_code_but_100_for_a_failed_request(code):
    failed = refusal({"code": code, "message": "try later", "data": {"id": "v1", "status": "failed"}})

    assert type(failed) is RequestFailed
    assert str(failed).endswith(": try later")


@pytest.mark.parametrize("code", [100, "100"])
def test_takes_100_as_a_number_and_as_text(code):
    body = {"code": code, "data": {"id": "v1", "status": "processing"}}

    assert PROVIDER.read(make_job("v1", kind="avatar_video"), answer(body)).status is Status.RUNNING


@pytest.mark.parametrize("data", [None, [], {}, {"id": "v1"}, {"id": "v1", "status": None}])
def test_takes_an_answer_that_says_nothing_for_a_failed_request(data):
    assert "has no status" in str(refusal({"code": 100, "data": data}))


@pytest.mark.parametrize("field", ["id", "video_id"])
def test_does_not_take_an_answer_about_another_video(field):
    failed = refusal({"code": 100, "data": {field: "v2", "status": "completed"}})

    assert "another job" in str(failed)


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        pytest.param(401, CredentialsRefused, id="wrong-key"),
        pytest.param(404, NotFound, id="no-such-video"),
        pytest.param(429, RateLimited, id="too-many"),
        pytest.param(500, RequestFailed, id="broken"),
    ],
)
def test_takes_an_http_error_for_what_it_is(status_code, kind):
    failed = refusal({"code": 40009, "message": "no"}, status_code=status_code)

    assert type(failed) is kind


def test_takes_the_id_out_of_the_answer_where_it_is_not_known():
    _, response = polled("completed")

    [event] = PROVIDER.read(make_job("", kind="avatar_video"), response).events

    assert event.job_id == "demo_video_1"


def test_does_not_take_an_answer_about_nobody_knows_what():
    response = answer({"code": 100, "data": {"status": "failed"}})

    with pytest.raises(RequestFailed, match="not an id"):
        PROVIDER.read(make_job("", kind="avatar_video"), response)


def test_reads_v3_which_has_no_code():
    completed, failed = (V3.read(*polled(name, "polls_v3")).events[0] for name in ("completed", "failed"))

    assert [output.url.partition("?")[0] for output in completed.outputs] == ["https://files.heygen.example/demo.mp4"]
    assert failed.failure == Failure("the avatar is not available", "AVATAR_NOT_FOUND")


def test_shows_no_result_of_a_failed_video():
    assert read(status="failed", video_url="https://a/v.mp4").events[0].outputs == ()


def test_tells_the_result():
    [event] = PROVIDER.read(*polled("completed")).events

    assert event.outputs == (Output("https://files.heygen.example/demo.mp4?Expires=1760600000&Signature=a"),)
