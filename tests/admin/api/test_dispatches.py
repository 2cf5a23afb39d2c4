"""Dispatches, replays and dead letters over the API."""

import sqlite3
from contextlib import closing

import pytest

from receiver.store.base import DispatchFilter


@pytest.fixture
def dead(post, attempted):
    """Three dead letters; gives their ids."""
    return [attempted(post(f"vgen_{number}"), "dead", "no disk") for number in range(3)]


def states(store):
    return [row["state"] for row in store.list_dispatches(limit=100).rows[::-1]]


# Lists


def test_dispatches_are_filtered(api, dead, post, attempted):
    attempted(post("vgen_done"))

    listed = api.get("/dispatches", state="dead", handler="orders", error="disk").get_json()

    assert [item["id"] for item in listed["items"]] == dead[::-1]


def test_shows_a_dispatch_with_its_attempts(api, dead):
    shown = api.get(f"/dispatches/{dead[0]}").get_json()

    assert (shown["state"], shown["attempt_count"]) == ("dead", 1)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["dead"]


def test_there_is_no_other_dispatch(api):
    assert api.get("/dispatches/1").status_code == 404


# Retry


def test_retries_what_is_named(api, dead, store):
    answer = api.post("/retries", {"dispatches": dead[:2]})

    assert answer.get_json() == {"changed": True, "count": 2, "handlers": {"orders": 2}}
    assert states(store) == ["pending", "pending", "dead"]


def test_retries_nothing_if_one_of_them_is_not_dead(api, dead, store, post, attempted):
    done = attempted(post("vgen_done"))

    answer = api.post("/retries", {"dispatches": [*dead, done]})

    assert answer.status_code == 404
    assert states(store) == ["dead", "dead", "dead", "done"]


def test_counts_what_is_selected_before_it_is_retried(api, dead, store):
    answer = api.post("/retries", {"selection": {"error": "disk"}})

    assert answer.get_json() == {"changed": False, "count": 3, "handlers": {"orders": 3}}
    assert states(store) == ["dead"] * 3


def test_retries_what_is_selected_if_it_is_as_many_as_expected(api, dead, store):
    answer = api.post("/retries", {"selection": {"handlers": ["orders"]}, "expected_count": 3})

    assert answer.get_json()["count"] == 3
    assert states(store) == ["pending"] * 3


def test_retries_nothing_if_it_is_not_as_many_as_expected(api, dead, store):
    answer = api.post("/retries", {"selection": {}, "expected_count": 2})

    assert (answer.status_code, answer.get_json()["detail"]) == (409, "these are 3, not 2; nothing was changed")
    assert states(store) == ["dead"] * 3


# Discard


def test_discards_with_a_reason(api, dead, store):
    answer = api.post("/discards", {"dispatches": dead[:1], "reason": "by hand"})

    assert answer.get_json()["count"] == 1
    assert store.dispatch(dead[0])["error"] == "discarded: by hand"


def test_discards_a_selection(api, dead, store):
    answer = api.post("/discards", {"selection": {"source": "creativeai"}, "expected_count": 3, "reason": "by hand"})

    assert answer.get_json()["count"] == 3
    assert states(store) == ["cancelled"] * 3


def test_discards_what_waits_for_a_handler_that_left(api, post, store):
    store.route({post("vgen_1").id: ["left"]})
    [waiting] = store.list_dispatches(limit=1).rows

    answer = api.post("/discards", {"dispatches": [waiting["id"]], "reason": "it left"})

    assert answer.get_json()["handlers"] == {"left": 1}
    assert states(store) == ["cancelled"]


def test_discards_all_that_is_left_of_a_handler(api, post, store, monkeypatch):
    monkeypatch.setattr("receiver.operations.CHUNK", 2)
    store.route({post(f"vgen_{number}").id: ["gone"] for number in range(5)})
    body = {"left_handler": "gone", "reason": "it left"}

    counted = api.post("/discards", body).get_json()
    done = api.post("/discards", body | {"expected_count": counted["count"]}).get_json()

    assert (counted["changed"], counted["count"]) == (False, 5)
    assert done == {"changed": True, "count": 5, "handlers": {"gone": 5}}
    assert store.waiting() == {}


def test_discards_nothing_of_a_handler_that_did_not_leave(api, post, store):
    store.route({post("vgen_1").id: ["orders"]})

    answer = api.post("/discards", {"left_handler": "orders", "expected_count": 1, "reason": "by hand"})

    assert (answer.status_code, store.waiting()) == (404, {"orders": 1})


def test_discards_nothing_that_a_handler_will_run(api, post, store):
    store.route({post("vgen_1").id: ["orders"]})
    [waiting] = store.list_dispatches(limit=1).rows

    answer = api.post("/discards", {"dispatches": [waiting["id"]], "reason": "by hand"})

    assert (answer.status_code, states(store)) == (404, ["pending"])


def test_discards_nothing_without_a_reason(api, dead, store):
    assert api.post("/discards", {"dispatches": dead}).status_code == 422
    assert states(store) == ["dead"] * 3


# Replay


def test_replays_what_is_named(api, post, attempted, store):
    event = post("vgen_1")
    attempted(event)

    answer = api.post("/replays", {"events": [event.id]}).get_json()

    assert (answer["event_count"], answer["dispatches"]) == (1, {"orders": 1})
    [row] = store.list_dispatches(DispatchFilter(replay_id=answer["replay_id"]), limit=10).rows
    assert (row["event"], row["state"]) == (event.id, "pending")


def test_counts_what_is_selected_before_it_is_replayed(api, dead, store):
    answer = api.post("/replays", {"selection": {"type": "video.*"}})

    assert answer.get_json() == {"replay_id": None, "event_count": 3, "dispatches": {"orders": 3}}
    assert len(states(store)) == 3


def test_replays_what_is_selected(api, dead, store):
    answer = api.post("/replays", {"selection": {}, "expected_count": 3, "rate": "10/s"})

    assert answer.get_json()["event_count"] == 3
    assert states(store) == ["dead"] * 3 + ["pending"] * 3


def test_replays_nothing_if_it_is_not_as_many_as_expected(api, dead, store):
    assert api.post("/replays", {"selection": {}, "expected_count": 4}).status_code == 409
    assert len(states(store)) == 3


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"events": [999]}, id="event"),
        pytest.param({"selection": {}, "handlers": ["nobody"]}, id="handler"),
    ],
)
def test_replays_nothing_that_is_not_there(api, body):
    assert api.post("/replays", body).status_code == 404


def test_cancels_a_replay(api, dead):
    replay_id = api.post("/replays", {"selection": {}, "expected_count": 3}).get_json()["replay_id"]

    assert api.delete(f"/replays/{replay_id}").get_json() == {"cancelled_count": 3}


def test_there_is_no_other_replay_to_cancel(api):
    assert api.delete("/replays/unknown").status_code == 404


def test_of_very_many_none_is_changed(api, dead, monkeypatch, store):
    monkeypatch.setattr("receiver.admin.api.dispatches.MOST_AT_ONCE", 2)

    answers = [
        api.post("/retries", {"selection": {}, "expected_count": 3}),
        api.post("/replays", {"selection": {}, "expected_count": 3}),
    ]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert states(store) == ["dead"] * 3


def test_says_how_many_were_changed_before_the_store_failed(api, dead, database, monkeypatch):
    monkeypatch.setattr("receiver.operations.CHUNK", 1)
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON dispatches WHEN NEW.id = 2 BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )

    answer = api.post("/retries", {"selection": {}, "expected_count": 3})

    assert (answer.status_code, answer.get_json()["detail"][:42]) == (502, "1 of 3 were changed, the others were not: ")
