"""Jobs: the list, one job's story, and asking about it now."""

from datetime import timedelta

import pytest

from receiver import clock
from receiver.admin.api.jobs import show_job
from receiver.admin.extension import NAME
from receiver.admin.pages.jobs import why_open
from receiver.models import Schedule
from receiver.store.base import PollResult

SCHEDULE = Schedule(first=timedelta(minutes=2), every={timedelta(0): timedelta(minutes=1)}, deadline=timedelta(hours=1))


@pytest.fixture
def job(store):
    store.track("creativeai", "vgen/1?&x", kind="video", schedule=SCHEDULE, metadata={"order": 17})
    return store.job("creativeai", "vgen/1?&x")


def one(person, job_id="vgen/1?&x"):
    return person.get("/jobs/one", source="creativeai", job=job_id)


@pytest.mark.parametrize(
    ("view", "count"),
    [("", 2), ("?open=true", 1), ("?overdue=true", 0), ("?status=failed", 1), ("?status=lost", 0), ("?job=vgen_2", 1)],
)
def test_view(job, post, operator, view, count):
    post("vgen_2", status="failed")

    assert len([link for link in operator.get(f"/jobs{view}").links() if link.startswith("/jobs/one")]) == count


def test_view_that_is_shown_is_marked(operator):
    page = operator.get("/jobs", open="true", source="creativeai")

    assert [values["href"] for values in page.all("a") if values.get("aria-current") == "true"] == [
        "/jobs?source=creativeai&open=true"
    ]


def test_link_leads_to_the_job_whatever_its_id(job, operator):
    [link] = [link for link in operator.get("/jobs").links() if link.startswith("/jobs/one")]

    assert "Job vgen/1?&x" in operator.get(link)


def test_story_has_its_events_and_dispatches(post, attempted, operator):
    attempted(post("vgen_1"), "dead", "no disk")

    page = one(operator, "vgen_1")

    steps = ["Known", "video.generation.completed", "orders dead", "Ended"]
    assert sorted(steps, key=page.text.index) == steps


def test_polls_now(job, operator, store):
    page = operator.press(one(operator), "Poll now")

    assert "The provider is asked" in page
    assert store.job("creativeai", job.job_id).next_poll_at <= clock.now()


def test_job_of_a_paused_source_is_not_polled(job, operator, store):
    page = one(operator)
    store.pause_source("creativeai", paused=True)

    refused = operator.press(page, "Poll now")

    assert (refused.status, "creativeai is paused" in refused) == (409, True)
    assert "Poll now" not in one(operator).buttons


def test_list_says_that_a_source_is_paused(job, operator, store):
    store.poll_soon("creativeai", job.job_id)
    store.pause_source("creativeai", paused=True)

    page = operator.get("/jobs")

    assert "creativeai is paused: nobody asks about it until it is resumed." in page
    assert "reconcile does not run" not in page


def test_job_that_ended_is_not_polled(post, operator):
    post("vgen_1")

    assert one(operator, "vgen_1").buttons == []


def test_withdraws_a_create_call(operator, store):
    intent = store.intend("creativeai", kind="video")

    page = operator.press(operator.get("/jobs"), "Withdraw", intent=intent.id, sure="yes")

    assert "withdrawn" in page
    assert store.intent(intent.id) is None


def test_list_says_that_there_are_more_create_calls(operator, store):
    for _ in range(50):
        store.intend("creativeai", kind="video")
    before = operator.get("/jobs")
    store.intend("creativeai", kind="video")

    told = "These are the newest 50; there are older ones."
    assert told not in before
    assert told in operator.get("/jobs")


def test_story_says_where_all_events_are(post, operator, monkeypatch):
    monkeypatch.setattr("receiver.admin.api.jobs.MOST_EVENTS", 1)
    post("vgen_1", status="failed")
    post("vgen_1")

    page = one(operator, "vgen_1")
    [address] = [link for link in page.links() if link.startswith("/events?")]

    assert "Its newest 1 events are shown here." in page
    assert len([link for link in operator.get(address).links() if link.startswith("/events/")]) == 2


def test_withdraws_nothing_unless_somebody_looked(operator, store):
    intent = store.intend("creativeai", kind="video")

    page = operator.press(operator.get("/jobs"), "Withdraw", intent=intent.id)

    assert (page.status, store.intent(intent.id)) == (422, intent)


class TestWhy:
    @pytest.fixture
    def why(self, app, job, store):
        source = app.extensions[NAME].sources["creativeai"]

        def why(source=source, later=timedelta(0), paused_at=None):
            with app.test_request_context():
                shape = show_job(job.source, job.job_id)
            return why_open(shape, source, now=clock.now() + later, paused_at=paused_at)

        return why

    def test_first_poll_is_not_due(self, why):
        assert why() == "No webhook has come, and its first poll is not due yet."

    def test_poll_is_overdue(self, why):
        assert why(later=timedelta(minutes=5)).startswith("Its poll has been due for 3 min")

    def test_polls_failed(self, why, job, store):
        store.record_poll(job, PollResult(wait=timedelta(minutes=1), error="it answered 502"))

        assert why() == "The last 1 poll failed: it answered 502"

    def test_source_is_paused(self, why):
        assert why(paused_at=clock.now()) == "creativeai is paused: nobody asks about it until it is resumed."

    def test_source_is_gone(self, why):
        assert why(source=None).startswith("creativeai is no longer configured")

    def test_job_that_ended_needs_no_reason(self, post, operator):
        post("vgen_1")

        assert "Why it is still open" not in one(operator, "vgen_1")
