"""Refused deliveries on their way into the store."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from receiver.errors import Reason, Refused
from receiver.models import Delivery
from receiver.quarantine import Quarantine
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


def rows(store):
    return store.list_refusals(source=None, limit=10_000)


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
