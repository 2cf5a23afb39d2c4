"""How everything stands, over the API."""

from collections import Counter

import pytest

from receiver import clock, inbox
from receiver.admin.extension import NAME
from receiver.models import Delivery, Status, Via
from receiver.testing import make_event


@pytest.fixture
def learned(app, store):
    """Take in a poll's answer: `learned("vgen_1", Status.FAILED, credits=5)`."""
    source = app.extensions[NAME].sources["creativeai"]

    def learn(job_id, status, **data):
        event = make_event(id=None, job_id=job_id, key=f"{job_id}:{status}", status=status, data=data)
        told = Delivery(source=source.name, body=b"{}", received_at=clock.now(), path="/jobs", via=Via.POLL)
        inbox.learn(source, told, [event], store=store)

    return learn


def test_tells_what_waits_and_what_is_dead(api, post, attempted):
    attempted(post("vgen_1"), "dead", "no disk")
    post("vgen_2")

    stats = api.get("/stats").get_json()

    assert stats["unrouted_count"] == 1
    assert [(handler["handler"], handler["dead_count"]) for handler in stats["handlers"]] == [("orders", 1)]


def test_tells_whether_webhooks_come(api, post):
    post("vgen_1")

    [health] = api.get("/stats").get_json()["webhooks"]

    assert (health["source"], health["ended_count"], health["missed_share"]) == ("creativeai", 1, 0.0)
    assert health["last_webhook_at"] is not None


def test_tells_since_when_somebody_keeps_things_paused(api, store):
    store.pause_handler("orders", paused=True)
    store.pause_source("creativeai", paused=True)

    stats = api.get("/stats").get_json()

    assert [bool(found["paused_at"]) for found in [*stats["handlers"], *stats["sources"]]] == [True, True]


def test_lists_what_is_wrong(api, post, attempted):
    attempted(post("vgen_1"), "dead", "no disk")

    [alert] = api.get("/alerts").get_json()["items"]

    assert (alert["cause"], alert["since"], alert["told_at"]) == ("dead-letters orders", None, None)


def test_tells_what_was_refused_lately(api, refuse):
    refuse()

    [health] = api.get("/stats").get_json()["webhooks"]

    assert (health["expected"], health["unproven_count"], health["skewed_count"]) == (True, 1, 0)


# Events by minute


def test_counts_events_by_minute_source_and_status(api, post):
    for number, status in enumerate(["completed", "completed", "failed"]):
        post(f"vgen_{number}", status=status)

    told = api.get("/stats/minutes").get_json()

    counts = Counter()
    for item in told["items"]:
        counts[item["source"], item["status"]] += item["count"]
    assert (counts, told["complete"]) == ({("creativeai", "succeeded"): 2, ("creativeai", "failed"): 1}, True)


def test_says_that_not_all_are_counted(api, post, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_COUNTED", 1)
    post("vgen_1")
    post("vgen_2")

    assert api.get("/stats/minutes").get_json()["complete"] is False


@pytest.mark.parametrize("minutes", ["0", "1441", "an hour"])
def test_counts_no_more_than_a_day(api, minutes):
    assert api.get("/stats/minutes", minutes=minutes).status_code == 400


# Spending


def test_tells_what_jobs_cost(api, learned):
    learned("vgen_1", Status.SUCCEEDED, credits=30)
    learned("vgen_2", Status.SUCCEEDED, credits=12)
    learned("vgen_3", Status.FAILED, credits=5)

    told = api.get("/stats/spending").get_json()

    assert (told["credits"], told["not_succeeded_credits"], told["charged_count"]) == (47, 5, 1)
    assert [(item["status"], item["job_count"], item["credits"]) for item in told["items"]] == [
        ("failed", 1, 5),
        ("succeeded", 2, 42),
    ]
    assert [(one["job"], one["kind"], one["status"], one["credits"]) for one in told["charged"]] == [
        ("vgen_3", "video", "failed", 5)
    ]


def test_tells_what_jobs_cost_since_then(api, learned):
    learned("vgen_1", Status.SUCCEEDED, credits=30)

    told = api.get("/stats/spending", since="2100-01-01T00:00:00Z").get_json()

    assert (told["since"], told["items"]) == ("2100-01-01T00:00:00.000Z", [])
