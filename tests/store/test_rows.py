"""What rows keep of a delivery, and how it is read again."""

import json

import pytest

from receiver.clock import from_text
from receiver.models import Delivery, Trust
from receiver.store.base import Record, Verdict
from receiver.store.rows import delivery_row, delivery_values
from receiver.store.sealing import UNSEALED

AT = from_text("2026-03-09T16:13:00.000Z")
HEADERS = {"content-type": "application/json", "x-odd": "\x00\n\udcff é"}


def a_record(body, *, verdict=Verdict.RECORDED, headers=HEADERS):
    delivery = Delivery(source="creative", body=body, headers=headers, received_at=AT, path="/webhooks/creative")
    return Record(delivery=delivery, trust=Trust.SIGNED, verdict=verdict)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("headers", [HEADERS, {}], ids=["headers", "no-headers"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n\n", id="newlines"),
        pytest.param(bytes(range(256)), id="every-byte"),
        pytest.param(b"a" * 10_000, id="long"),
    ],
)
def test_a_delivery_is_read_as_it_came_in(verdict, headers, body):
    row = delivery_row(delivery_values(a_record(body, verdict=verdict, headers=headers), AT, UNSEALED))

    assert (row["headers"], row["body"]) == (headers, body)


def test_what_its_events_tell_is_kept_in_less_room():
    body = json.dumps({"prompt": "a fox in the snow, filmed from above", "status": "completed"} | HEADERS).encode()
    plain = delivery_values(a_record(body, verdict=Verdict.UNREADABLE), AT, UNSEALED)
    packed = delivery_values(a_record(body), AT, UNSEALED)

    assert len(packed["headers"]) + len(packed["body"]) < len(plain["headers"]) + len(plain["body"])


def test_what_no_event_tells_can_be_read_with_any_tool():
    assert delivery_values(a_record(b"<html>", verdict=Verdict.UNREADABLE), AT, UNSEALED)["body"] == b"<html>"
