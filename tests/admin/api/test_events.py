"""Events over the API."""

import pytest


def test_an_event_is_listed_in_the_words_of_the_commands(api, post):
    event = post("vgen_1")

    [item] = api.get("/events").get_json()["items"]

    assert (item["id"], item["source"], item["job"], item["status"], item["trust"]) == (
        event.id,
        "creativeai",
        "vgen_1",
        "succeeded",
        "signed",
    )


@pytest.mark.parametrize(
    ("query", "jobs"),
    [
        pytest.param({"job": "vgen_1"}, ["vgen_1"], id="job"),
        pytest.param({"status": "failed"}, ["vgen_2"], id="status"),
        pytest.param({"type": "*.failed"}, ["vgen_2"], id="type"),
        pytest.param({"kind": "image"}, ["vgen_3"], id="kind"),
        pytest.param({"source": "another"}, [], id="source"),
        pytest.param({"state": "dead"}, ["vgen_1"], id="state"),
        pytest.param({"text": "vgen_3"}, ["vgen_3"], id="text"),
        pytest.param({"until": "2020-01-01T00:00:00Z"}, [], id="until"),
        pytest.param({"since": "2020-01-01T00:00:00+02:00", "status": "failed"}, ["vgen_2"], id="since"),
    ],
)
def test_events_are_filtered(api, post, attempted, query, jobs):
    attempted(post("vgen_1"), "dead", "no disk")
    post("vgen_2", status="failed")
    post("vgen_3", kind="image")

    assert [item["job"] for item in api.get("/events", **query).get_json()["items"]] == jobs


def test_events_of_the_longest_job_id_are_found(api, post):
    job_id = "v" * 256
    post(job_id)

    assert [item["job"] for item in api.get("/events", job=job_id).get_json()["items"]] == [job_id]


def test_shows_an_event_from_its_delivery_to_its_attempts(api, post, attempted):
    event = post("vgen_1")
    attempted(event, "dead", "no disk")

    shown = api.get(f"/events/{event.id}").get_json()

    assert (shown["delivery"]["verdict"], shown["data"]["id"]) == ("recorded", "vgen_1")
    [dispatch] = shown["dispatches"]
    assert (dispatch["handler"], dispatch["state"]) == ("orders", "dead")
    assert [(attempt["number"], attempt["error"]) for attempt in dispatch["attempts"]] == [(1, "no disk")]


def test_says_who_gets_an_event_and_why_not(api, post):
    wanted, unwanted = post("vgen_1"), post("vgen_2", status="failed")

    verdicts = [api.get(f"/events/{event.id}/routes").get_json()["items"] for event in (wanted, unwanted)]

    assert verdicts == [
        [{"handler": "orders", "gets_it": True, "why_not": None}],
        [{"handler": "orders", "gets_it": False, "why_not": "status is failed, it wants succeeded"}],
    ]
