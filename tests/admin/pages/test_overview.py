"""The overview and what jobs cost."""

from datetime import timedelta

import pytest

from receiver import clock
from receiver.admin.pages import words
from receiver.errors import Reason
from receiver.models import Delivery, Schedule, Status, Via
from receiver.store.base import Refusal
from receiver.testing import make_event
from tests.aging import let_pass
from tests.store.contract import a_record

SCHEDULE = Schedule(first=timedelta(minutes=1), every={timedelta(0): timedelta(minutes=1)}, deadline=timedelta(hours=1))


def tiles(page):
    """The numbers at the top."""
    return {text: text in page for text in ("1 dead letters", "1 waiting", "1 open jobs", "1 refused")}


def test_tells_what_waits_and_what_failed(post, attempted, refuse, store, operator):
    attempted(post("vgen_1"), "dead", "no disk")
    store.route({post("vgen_2").id: ["orders"]})
    store.track("creativeai", "vgen_3", kind="video", schedule=SCHEDULE)
    refuse()

    assert all(tiles(operator.get("/")).values())


def test_warns_of_signatures_that_failed(refuse, operator):
    refuse()

    assert "1 was refused in a day for the signature" in operator.get("/")


def test_warns_of_clocks_that_disagree(store, operator):
    delivery = Delivery(source="creativeai", body=b"{}", received_at=clock.now())
    store.quarantine([Refusal(delivery=delivery, reason=Reason.TIMESTAMP_TOO_OLD, hint="by an hour")], max_count=10)

    assert "for a time too far from ours" in operator.get("/")


def test_tells_the_share_of_webhooks_that_never_came(post, operator):
    post("vgen_1")

    assert "0 % 0 of the last 1" in operator.get("/")


def test_claims_only_of_late_that_no_webhook_came(store, operator):
    ended = make_event(id=None, job_id="vgen_1", key="vgen_1", status=Status.SUCCEEDED)
    store.receive(a_record(ended, via=Via.POLL))

    page = operator.get("/")

    assert "None came lately: is the address /webhooks/creativeai still set up at the provider?" in page
    assert "none lately" in page


def test_numbers_count_from_the_same_moment_as_the_chart(post, operator, database):
    post("vgen_1")
    # In most cases the five minutes that it belongs to have begun before the six hours.
    let_pass(database, 6 * 3600 - 5)

    page = operator.get("/", span="6h")

    assert ("creativeai 1 0 0" in page) == ("1 succeeded 0 not succeeded" in page)


@pytest.mark.parametrize("span", ["1h", "6h", "24h"])
def test_chart_counts_the_events_of_its_span(post, operator, span):
    post("vgen_1")

    assert "1 succeeded 0 not succeeded" in operator.get("/", span=span)


def test_chart_of_another_source_leaves_it_out(post, operator):
    post("vgen_1")

    assert "No events in the last 1h." in operator.get("/", source="kpainter")


def test_numbers_stand_beside_the_chart(post, operator):
    post("vgen_1", status="failed")

    assert "creativeai 0 1 0" in operator.get("/")


def test_chart_says_since_when_it_counts(post, operator, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_COUNTED", 1)
    post("vgen_1")
    before = operator.get("/")
    event = post("vgen_2")

    told = f"events are counted here, since {words.moment(event.recorded_at)}."
    assert told not in before
    assert told in operator.get("/")


def test_webhook_health_says_how_far_back_it_looks(operator, monkeypatch):
    monkeypatch.setattr("receiver.admin.pages.overview.NEWEST_ENDS", 7)

    assert "by its newest 7 jobs that ended" in operator.get("/")


def test_handler_that_left_the_configuration_does_not_work(post, operator, store):
    store.route({post("vgen_1").id: ["gone"]})

    page = operator.get("/")

    assert "gone 1 0 0" in page
    assert "no longer configured" in page


def test_paused_handler_is_told(post, operator, store):
    store.route({post("vgen_1").id: ["orders"]})
    store.pause_handler("orders", paused=True)

    assert operator.get("/").text.endswith("paused All times are UTC.")


def test_spend_tells_credits_by_outcome(post, operator):
    post("vgen_1")

    assert "creativeai video succeeded 1 30" in operator.get("/spend")


def test_spend_lists_what_was_charged_newest_first(store, operator, database):
    for job_id, kind in [("vgen_1", "video"), ("img_2", "image"), ("vgen_3", "video")]:
        charged = make_event(kind=kind, id=None, job_id=job_id, key=job_id, status=Status.FAILED, data={"credits": 30})
        store.receive(a_record(charged))
        let_pass(database, 60)

    links = [link for link in operator.get("/spend").links() if link.startswith("/jobs/one")]

    assert [link.rpartition("job=")[2] for link in links] == ["vgen_3", "img_2", "vgen_1"]


def test_spend_of_nothing_says_so(operator):
    assert "No provider has told what a job cost" in operator.get("/spend")


def test_spend_says_since_when_it_counts(post, operator, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_COSTS", 1)
    post("vgen_1")
    event = post("vgen_2")

    page = operator.get("/spend")

    assert f"since {words.moment(event.recorded_at)}" in page
    assert "do not reach back 7d" in page


def test_spend_of_all_that_was_asked_for_says_so(post, operator):
    post("vgen_1")
    page = operator.get("/spend")

    assert "in the last 7d" in page
    assert "do not reach back" not in page
