"""Refused deliveries on their way into the store."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receiver.errors import NotConfigured, Reason, Refused
from receiver.inbox import Source
from receiver.models import Delivery
from receiver.providers.creativeai import CreativeAI
from receiver.providers.standard import Standard
from receiver.quarantine import Quarantine, verify_again
from receiver.sandbox import webhook_body
from receiver.store.sqlite import SQLiteStore
from tests.trouble import database_locked
from tests.watch import eventually

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
MISMATCH = Refused(Reason.SIGNATURE_MISMATCH, "no configured secret fits")


@pytest.fixture
def quarantine(store):
    """One whose thread has come to rest before its store is closed."""
    made = Quarantine(store, max_count=10, max_body=8)
    yield made
    eventually(lambda: made._thread is None)


def a_delivery(body=b"{}", **headers):
    return Delivery(source="studio", body=body, headers=headers, received_at=NOW, path="/webhooks/studio")


def refused(store, source, *, received_at=NOW, max_body=2**16):
    """A webhook of the source's, signed as it should be, that was refused all the same; gives its id."""
    delivery = Delivery(source=source.name, body=webhook_body("video", "vgen_1"), received_at=received_at)
    headers = source.provider.sign(delivery, source.provider.secrets[0])
    delivery = replace(delivery, headers={name.lower(): value for name, value in headers.items()})
    waiting = Quarantine(store, max_count=10, max_body=max_body)
    waiting.add(delivery, Refused(Reason.NO_KEYS, "not known yet"))
    waiting.flush()
    return store.list_refusals(limit=1).rows[0]["id"]


def studio(key="right"):
    return Source("studio", CreativeAI(secrets=[key]))


def rows(store):
    return [store.refusal(row["id"]) for row in store.list_refusals(limit=10_000).rows]


def test_keeps_a_refusal_with_its_reason(store, quarantine):
    quarantine.add(a_delivery(), MISMATCH)
    quarantine.flush()

    [row] = rows(store)
    assert (row["source"], row["reason"], row["hint"]) == ("studio", "signature_mismatch", MISMATCH.hint)


def test_keeps_refusals_by_itself(store, quarantine):
    quarantine.add(a_delivery(), MISMATCH)

    eventually(lambda: rows(store))


def test_keeps_refusals_by_itself_again(store, quarantine):
    quarantine.add(a_delivery(), MISMATCH)
    eventually(lambda: quarantine._thread is None)

    quarantine.add(a_delivery(), MISMATCH)

    eventually(lambda: len(rows(store)) == 2)


def test_keeps_no_secret_header(store, quarantine):
    quarantine.add(a_delivery(authorization="private", **{"x-signature": "kept"}), MISMATCH)
    quarantine.flush()

    [row] = rows(store)
    assert row["headers"] == {"authorization": "(masked)", "x-signature": "kept"}


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        pytest.param(b"12345678", b"12345678", id="fits"),
        pytest.param(b"123456789", b"12345678", id="too-long"),
        pytest.param(b"\xff\x00", b"\xff\x00", id="not-text"),
    ],
)
def test_keeps_as_much_of_a_body_as_it_may(store, quarantine, body, kept):
    quarantine.add(a_delivery(body), MISMATCH)
    quarantine.flush()

    assert [row["body"] for row in rows(store)] == [kept]


def test_keeps_as_many_headers_as_it_may(store, quarantine):
    many = {f"x-{number}": "x" * 8000 for number in range(60)}
    quarantine.add(a_delivery(**many, signature="sha256=00"), MISMATCH)
    quarantine.flush()

    [row] = rows(store)
    assert row["headers"]["signature"] == "sha256=00"
    assert len(str(row["headers"])) < 2**15


def test_keeps_the_newest_of_each_source(store, quarantine):
    for number in range(30):
        quarantine.add(a_delivery(str(number).encode()), MISMATCH)
    quarantine.flush()

    assert [int(row["body"]) for row in rows(store)] == list(range(29, 19, -1))


def test_a_flood_is_counted_and_let_go(quarantine, caplog):
    for _ in range(100_000):
        quarantine.add(a_delivery(), MISMATCH)
        if quarantine._let_go:
            break
    quarantine.flush()

    [record] = caplog.records
    assert record.message == "refused deliveries were not kept: too many at once"
    assert record.count > 0


def test_a_store_that_is_busy_harms_nobody(database, caplog):
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=50))) as store:
        quarantine = Quarantine(store, max_count=10, max_body=10)

        with database_locked(database):
            quarantine.add(a_delivery(), MISMATCH)
            eventually(lambda: quarantine._thread is None)

        assert "refused deliveries were not kept" in caplog.messages


def test_there_may_be_nothing_to_keep(store, quarantine):
    quarantine.flush()

    assert rows(store) == []


# What is verified again


def test_what_is_genuine_by_now_is_taken_in(store):
    refusal = refused(store, studio())

    receipt = verify_again(store, studio(), refusal, max_body=2**16)

    assert [event.job_id for event in receipt.events] == ["vgen_1"]
    assert rows(store) == []


def test_it_is_judged_by_the_time_it_was_received(store):
    timed = Source("studio", Standard(secrets=["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]))
    refusal = refused(store, timed)

    receipt = verify_again(store, timed, refusal, max_body=2**16)

    assert store.delivery(receipt.delivery_id)["received_at"] == "2026-03-09T16:13:00.000Z"


def test_what_was_taken_in_already_is_counted(store):
    refusals = [refused(store, studio()) for _ in range(2)]

    receipts = [verify_again(store, studio(), refusal, max_body=2**16) for refusal in refusals]

    assert [receipt.repeated for receipt in receipts] == [False, True]


def test_what_is_still_not_genuine_stays_with_its_new_reason(store):
    refusal = refused(store, studio())
    with pytest.raises(Refused):
        verify_again(store, studio("wrong"), refusal, max_body=2**16)

    assert [row["reason"] for row in rows(store)] == ["signature_mismatch"]


def test_says_that_what_was_cut_off_cannot_be_verified(store):
    refusal = refused(store, studio(), max_body=8)

    with pytest.raises(Refused, match="only the first 8 bytes were kept"):
        verify_again(store, studio(), refusal, max_body=8)


def test_verifies_nothing_of_another_source(store):
    refusal = refused(store, studio())

    with pytest.raises(NotConfigured):
        verify_again(store, replace(studio(), name="another"), refusal, max_body=2**16)
