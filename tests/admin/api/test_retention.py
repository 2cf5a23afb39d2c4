"""Dropping what is old, over the API."""

from datetime import timedelta

import pytest

from tests.store.contract import a_record, all_deliveries, an_event
from tests.store.retention import OLD, ago


@pytest.fixture
def old(store):
    """Two deliveries, one of which is old."""
    store.receive(ago(a_record(an_event("job_1")), OLD))
    store.receive(ago(a_record(an_event("job_2")), timedelta(0)))


def deliveries(answer):
    """What is told of them."""
    [item] = [item for item in answer.get_json()["items"] if item["data"] == "deliveries"]
    return item


def test_drops_what_is_old(api, store, old):
    answer = api.post("/prunes", {})

    assert (answer.get_json()["changed"], answer.get_json()["complete"]) == (True, True)
    assert deliveries(answer) == {"data": "deliveries", "older_than_seconds": 90 * 86400, "count": 1}
    assert len(all_deliveries(store)) == 1


def test_only_counts_what_is_old(api, store, old):
    answer = api.post("/prunes", {"dry_run": True})

    assert (answer.get_json()["changed"], deliveries(answer)["count"]) == (False, 1)
    assert len(all_deliveries(store)) == 2


def test_says_that_there_was_no_time_for_all_of_it(api, old, monkeypatch):
    monkeypatch.setattr("receiver.admin.api.retention._WITHIN", timedelta(0))

    answer = api.post("/prunes", {})

    assert answer.get_json()["complete"] is False
