"""ElevenLabs: what is its own, beyond the contract of all adapters."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.errors import NotConfigured, Reason, Refused, Unreadable
from receiver.models import Delivery, Event, Failure, Status, Trust
from receiver.providers.elevenlabs import ElevenLabs
from receiver.testing import ProviderContract
from tests.support import samples, vector, vectors

SIGNED_AT = datetime.fromtimestamp(1739537300, UTC)
PROVIDER = ElevenLabs(secrets=["wsec_demo"])


def deliver(body: bytes, headers: dict[str, str] | None = None, at: datetime = SIGNED_AT) -> Delivery:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return Delivery(source="voices", body=body, headers=lower, received_at=at)


def known(name: str) -> Delivery:
    answer = vector(name)
    return deliver(answer["body"].encode(), answer["headers"], datetime.fromtimestamp(answer["now"], UTC))


def told(**body: Any) -> Event:
    [event] = PROVIDER.parse(deliver(json.dumps({"type": "voice_removed"} | body).encode()))
    return event


def verdict(delivery: Delivery, after: timedelta) -> Reason | Trust:
    try:
        return PROVIDER.verify(delivery, SIGNED_AT + after)
    except Refused as refused:
        return refused.reason


class TestElevenLabs(ProviderContract):
    provider_class = ElevenLabs
    secret = "wsec_demo"
    signature_header = "elevenlabs-signature"
    delivery = known("EL-ok")
    webhooks = {name: deliver(body) for name, body in samples("elevenlabs/webhooks").items()}


@pytest.mark.parametrize("answer", vectors("elevenlabs"))
def test_agrees_with_the_vector(answer):
    found = verdict(known(answer["id"]), datetime.fromtimestamp(answer["now"], UTC) - SIGNED_AT)

    assert answer["expect"] == ("valid" if found is Trust.SIGNED else f"invalid:{found}")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(timedelta(minutes=30), Trust.SIGNED, id="thirty-minutes-old"),
        pytest.param(timedelta(minutes=30, seconds=1), Reason.TIMESTAMP_TOO_OLD, id="older"),
        pytest.param(-timedelta(minutes=5), Trust.SIGNED, id="five-minutes-ahead"),
        pytest.param(-timedelta(minutes=5, seconds=1), Reason.TIMESTAMP_TOO_NEW, id="further-ahead"),
    ],
)
def test_checks_the_time_on_both_sides(after, expected):
    assert verdict(known("EL-ok"), after) == expected


@pytest.mark.parametrize("name", samples("elevenlabs/webhooks"))
def test_takes_the_type_as_it_is_sent(name):
    body = samples("elevenlabs/webhooks")[name]

    [event] = PROVIDER.parse(deliver(body))

    assert event.type == json.loads(body)["type"]


def test_takes_a_type_that_is_not_documented():
    assert told(type="Post.Call_Audio").type == "Post.Call_Audio"


def test_tells_of_no_job():
    event = told()

    assert (event.job_id, event.kind, event.outputs) == (None, None, ())


def test_has_no_kind_of_job_to_track():
    with pytest.raises(NotConfigured, match="only notices"):
        PROVIDER.kind_or_default(None)


def test_knows_a_notice_by_its_bytes_as_the_envelope_has_no_id():
    first = PROVIDER.parse(deliver(b'{"type": "voice_removed", "data": {"voice_id": "v1"}}'))
    same = PROVIDER.parse(deliver(b'{"type": "voice_removed", "data": {"voice_id": "v1"}}', {"X-Id": "2"}))
    other = PROVIDER.parse(deliver(b'{"type": "voice_removed", "data": {"voice_id": "v2"}}'))

    assert first[0].key == same[0].key != other[0].key


def test_keeps_the_body_whole():
    body = samples("elevenlabs/webhooks")["post_call_transcription"]

    [event] = PROVIDER.parse(deliver(body))

    assert event.data == json.loads(body)


@pytest.mark.parametrize(
    ("timestamp", "occurred_at"),
    [
        pytest.param(1739537297, datetime(2025, 2, 14, 12, 48, 17, tzinfo=UTC), id="seconds"),
        pytest.param(1739537297000, datetime(2025, 2, 14, 12, 48, 17, tzinfo=UTC), id="milliseconds"),
        pytest.param("1739537297", None, id="text"),
        pytest.param(10**400, None, id="absurd"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_tells_when_it_happened_where_that_can_be_read(timestamp, occurred_at):
    assert told(event_timestamp=timestamp).occurred_at == occurred_at


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param({"voice_id": "v1"}, Status.SUCCEEDED, id="no-status"),
        pytest.param({"status": "done"}, Status.SUCCEEDED, id="done"),
        pytest.param({"status": "Done"}, Status.SUCCEEDED, id="capital"),
        pytest.param({"status": "failed"}, Status.FAILED, id="failed"),
        pytest.param({"status": "archived"}, None, id="unknown"),
        pytest.param([], Status.SUCCEEDED, id="no-object"),
    ],
)
def test_takes_a_notice_for_a_success_unless_it_says_otherwise(data, status):
    assert told(data=data).status is status


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        pytest.param({"status": "failed", "failure_reason": "busy"}, Failure("busy"), id="reason"),
        pytest.param({"status": "failed"}, Failure("no reason given"), id="no-reason"),
        pytest.param({"status": "done", "failure_reason": "busy"}, None, id="no-failure"),
    ],
)
def test_gives_the_reason_of_a_failure(data, failure):
    assert told(data=data).failure == failure


@pytest.mark.parametrize("body", [b"{}", b'{"type": null}', b'{"type": ""}', b'{"type": ["a"]}'])
def test_cannot_read_a_notice_without_a_type(body):
    with pytest.raises(Unreadable, match="type"):
        PROVIDER.parse(deliver(body))
