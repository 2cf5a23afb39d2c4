"""Events: the list, one of them, and replaying it."""

import pytest

from receiver.admin.pages import words
from receiver.clock import from_text
from receiver.models import State
from receiver.store.base import DispatchFilter

PICTURE = "https://cdn.creativeai.run/output/img_1.png"


def listed(page):
    """The ids of the events on it."""
    return [int(link.removeprefix("/events/")) for link in page.links() if link.removeprefix("/events/").isdigit()]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"job": "vgen_2"}, id="job"),
        pytest.param({"status": "failed"}, id="status"),
        pytest.param({"type": "*.failed"}, id="type"),
        pytest.param({"state": "dead"}, id="state"),
        pytest.param({"text": "vgen_2"}, id="text"),
        pytest.param({"job": " vgen_2 ", "source": "", "since": ""}, id="what-is-empty-says-nothing"),
    ],
)
def test_filter(post, attempted, operator, query):
    post("vgen_1")
    wanted = post("vgen_2", status="failed")
    attempted(wanted, "dead", "no disk")

    assert listed(operator.get("/events", **query)) == [wanted.id]


def test_filter_by_time_is_in_utc(post, operator):
    event = post("vgen_1")
    minute = f"{event.recorded_at:%Y-%m-%dT%H:%M}"

    assert listed(operator.get("/events", since=minute)) == [event.id]
    assert listed(operator.get("/events", until=minute)) == []


def test_a_time_that_is_searched_for_as_text_stays_as_it_is(post, operator):
    event = post("2026-11-21T17:34")

    assert listed(operator.get("/events", text="2026-11-21T17:34")) == [event.id]


def test_filter_by_kind_stays_when_it_is_narrowed_further(operator):
    [search] = [form for form in operator.get("/events", kind="video").forms if form.action == "/events"]

    assert search.fields["kind"] == "video"


def test_filters_stay_filled_in(operator):
    page = operator.get("/events", job="vgen_1", since="2026-03-09T16:00")

    assert {"vgen_1", "2026-03-09T16:00"} <= {values.get("value") for values in page.all("input")}


def test_list_goes_on_where_it_stopped(post, operator):
    events = [post(f"vgen_{number}").id for number in range(5)]
    first = operator.get("/events", limit="3")
    [older] = [link for link in first.links() if "before=" in link]

    assert listed(first) + listed(operator.get(older)) == events[::-1]


def test_later_part_of_a_list_is_not_live(post, operator):
    page = operator.get("/events", before=str(post("vgen_1").id + 1))

    assert "hx-trigger" not in page.html


def test_whoever_stops_it_is_not_live(operator):
    assert "hx-trigger" not in operator.get("/events", live="off").html


def test_timeline_leads_from_the_delivery_to_the_attempts(post, attempted, operator):
    event = post("vgen_1")
    attempted(event, "dead", "no disk")

    page = operator.get(f"/events/{event.id}")

    steps = ["Delivery 1", "Event recorded", "to orders dead", "attempt 1", "no disk"]
    assert sorted(steps, key=page.text.index) == steps


def test_timeline_tells_of_a_delivery_that_came_again(post, operator, store):
    event = post("vgen_1")
    before = operator.get(f"/events/{event.id}")
    for _ in range(2):
        post("vgen_1")

    page = operator.get(f"/events/{event.id}")

    last = words.moment(from_text(store.delivery(1)["last_seen_at"]))
    assert "Delivered again" not in before
    assert f"Delivered again 2 times, the last {last}" in page


def test_delivery_of_the_event_can_be_downloaded(post, operator):
    assert "/api/v1/deliveries/1/body" in operator.get(f"/events/{post('vgen_1').id}").links()


class TestResults:
    @pytest.fixture
    def event(self, post):
        return post("img_1", kind="image")

    def test_is_not_fetched_unasked(self, event, operator):
        assert operator.get(f"/events/{event.id}").all("img") == []

    def test_is_shown_after_a_click(self, event, operator):
        page = operator.get(f"/events/{event.id}", shown="1")

        assert [(image["src"], image["referrerpolicy"]) for image in page.all("img")] == [(PICTURE, "no-referrer")]

    def test_only_then_the_browser_may_fetch_it(self, event, operator):
        page = operator.get(f"/events/{event.id}", shown="1")

        assert "img-src 'self' https:" in page.response.headers["Content-Security-Policy"]

    def test_unknown_number_shows_nothing(self, event, operator):
        page = operator.get(f"/events/{event.id}", shown="9")

        assert "https:" not in page.response.headers["Content-Security-Policy"]


class TestReplay:
    def test_replays_for_one_handler(self, post, attempted, operator, store):
        event = post("vgen_1")
        attempted(event)

        page = operator.press(operator.get(f"/events/{event.id}"), "Replay for orders")

        assert "Replayed: 1 dispatch new." in page
        assert len(store.list_dispatches(DispatchFilter(event_id=event.id), limit=5).rows) == 2

    def test_a_button_that_is_pressed_twice_replays_once(self, post, operator, store):
        event = post("vgen_1")
        opened = operator.get(f"/events/{event.id}")
        operator.press(opened, "Replay for orders")

        page = operator.press(opened, "Replay for orders")

        assert "This was replayed before" in page
        assert len(store.list_dispatches(DispatchFilter(event_id=event.id), limit=5).rows) == 1

    def test_replays_again_on_a_page_that_was_loaded_again(self, post, operator, store):
        event = post("vgen_1")
        for _ in range(2):
            operator.press(operator.get(f"/events/{event.id}"), "Replay for orders")

        assert len(store.list_dispatches(DispatchFilter(event_id=event.id), limit=5).rows) == 2

    def test_what_failed_can_be_sent_again(self, post, operator, store):
        event = post("vgen_1")
        opened = operator.get(f"/events/{event.id}")
        operator.press(opened, "Replay for orders", handler="unknown")

        page = operator.press(opened, "Replay for orders")

        assert "Replayed: 1 dispatch new." in page

    def test_replays_for_all_that_want_it(self, tables, request):
        tables["handlers"]["log"] = {}
        post, operator = (request.getfixturevalue(name) for name in ("post", "operator"))
        event = post("vgen_1")

        page = operator.press(operator.get(f"/events/{event.id}"), "Replay for all of them")

        assert "Replayed: 2 dispatches new." in page

    def test_has_no_button_for_a_handler_that_does_not_want_it(self, post, operator):
        page = operator.get(f"/events/{post('vgen_1', status='failed').id}")

        assert page.buttons == []
        assert "no: status is failed, it wants succeeded" in page

    def test_says_if_nobody_wants_it(self, post, operator):
        event = post("vgen_1", status="failed")
        form = operator.get("/").form("Sign out")

        page = operator.post(f"/events/{event.id}/replay", {**form.fields, "key": "made-up"})

        assert "no handler wants this event" in page


class TestDispatches:
    def test_says_where_all_are(self, post, attempted, operator, monkeypatch):
        monkeypatch.setattr("receiver.admin.api.events.MOST_DISPATCHES", 1)
        event = post("vgen_1")
        attempted(event)

        page = operator.get(f"/events/{event.id}")
        [address] = [link for link in page.links() if link.startswith("/api/v1/dispatches?")]

        assert "Its newest 1 dispatches are shown here." in page
        assert [item["event"] for item in operator.get(address).response.get_json()["items"]] == [event.id]

    def test_retries_what_is_dead(self, post, attempted, operator, store):
        event = post("vgen_1")
        dispatch = attempted(event, "dead", "no disk")

        page = operator.press(operator.get(f"/events/{event.id}"), "Retry")

        assert "1 dispatch due again." in page
        assert store.dispatch(dispatch)["state"] == State.PENDING

    def test_discards_what_is_dead_with_a_reason(self, post, attempted, operator, store):
        event = post("vgen_1")
        attempted(event, "dead", "no disk")

        page = operator.press(operator.get(f"/events/{event.id}"), "Discard", reason="not worth it")

        assert "discarded: not worth it" in page
