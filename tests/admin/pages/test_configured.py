"""Sources and handlers: what each is doing, and pausing it."""

from datetime import timedelta

import pytest

from receiver.outcomes import Decision, Outcome
from receiver.store.base import DispatchFilter


def test_source_is_paused_and_resumed(operator, store):
    page = operator.press(operator.get("/sources"), "Pause polling")
    paused_at = store.source_paused_at("creativeai")
    operator.press(page, "Resume polling")

    assert paused_at is not None
    assert store.source_paused_at("creativeai") is None


def test_handler_is_paused_and_resumed(operator, store):
    page = operator.press(operator.get("/handlers"), "Pause")
    paused_at = store.hold("orders").paused_at
    operator.press(page, "Resume")

    assert paused_at is not None
    assert store.hold("orders").paused_at is None


def test_unknown_handler_is_not_paused(operator):
    form = operator.get("/").form("Sign out")

    assert operator.post("/handlers/nobody/pause", form.fields).status == 404


def test_source_tells_how_many_secrets_it_has(operator):
    page = operator.get("/sources")

    assert "Signing secrets 1, masked" in page
    assert "API key set, masked" in page


def test_handler_tells_what_it_wants(operator):
    assert "Wants source creativeai, status succeeded" in operator.get("/handlers")


def test_number_of_dead_letters_leads_to_them(post, attempted, store, operator):
    attempted(post("vgen_1"), "dead", "OSError: no disk")
    store.route({post("vgen_2").id: ["gone"]})
    [claim] = store.claim({"gone": 1}, lease=timedelta(minutes=1), worker="test")
    store.finish(claim, Outcome(decision=Decision.DEAD, error="timed out"))
    [address] = [link for link in operator.get("/handlers").links() if link.startswith("/dead-letters?")]

    page = operator.get(address)

    assert "OSError: no disk" in page
    assert "timed out" not in page


def test_parked_handler_says_until_when(post, store, operator):
    store.route({post("vgen_1").id: ["orders"]})
    [claim] = store.claim({"orders": 1}, lease=timedelta(minutes=1), worker="test")
    store.finish(claim, Outcome(decision=Decision.RETRY, error="no disk", failed=True), park_after=1)

    assert "After 1 failure in a row its dispatches wait" in operator.get("/handlers")


def test_handler_that_left_the_configuration_is_told(post, store, operator):
    store.route({post("vgen_1").id: ["gone"]})

    page = operator.get("/handlers")

    assert "gone: 1 wait, 0 are dead" in page
    assert store.list_dispatches(DispatchFilter(handler="gone"), limit=1).rows


@pytest.fixture
def left_over(post, store):
    """Two dispatches that wait for a handler that left, and a dead one."""
    for number in range(3):
        store.route({post(f"vgen_{number}").id: ["gone"]})
    [claim] = store.claim({"gone": 1}, lease=timedelta(minutes=1), worker="test")
    store.finish(claim, Outcome(decision=Decision.DEAD, error="no disk"))
    return lambda: [row["state"] for row in store.list_dispatches(DispatchFilter(handler="gone"), limit=9).rows]


def test_all_that_is_left_of_a_handler_is_discarded(left_over, operator):
    page = operator.press(operator.get("/handlers"), "Discard all 3 of gone", reason="it left")

    assert "3 dispatches discarded." in page
    assert left_over() == ["cancelled"] * 3


def test_nothing_is_discarded_if_they_are_not_as_many_as_they_were(left_over, operator, post, store):
    page = operator.get("/handlers")
    store.route({post("vgen_9").id: ["gone"]})

    refused = operator.press(page, "Discard all 3 of gone", reason="it left")

    assert (refused.status, "these are 4, not 3; nothing was changed" in refused) == (409, True)
    assert "cancelled" not in left_over()


@pytest.mark.parametrize("path", ["/sources", "/handlers"])
def test_nothing_configured_says_what_to_do(tables, path, request):
    tables["sources"], tables["handlers"] = {}, {}
    operator = request.getfixturevalue("operator")

    assert "is configured" in operator.get(path)
