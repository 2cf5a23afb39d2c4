"""Dead letters: groups, and what a person does with them."""

import pytest

from receiver.admin.pages.dead_letters import grouped
from receiver.models import State


@pytest.fixture
def letters(post, attempted):
    """Three of one cause and one of another; gives their ids."""
    errors = ["OSError: no disk\nat line 1", "OSError: no disk\nat line 9", "OSError: no disk", "timed out"]
    return [attempted(post(f"vgen_{number}"), "dead", error) for number, error in enumerate(errors)]


@pytest.fixture
def group(letters, operator):
    """The page of the three."""
    return operator.get("/dead-letters/group", handler="orders", first_line="OSError: no disk")


def states(store, letters):
    return [store.dispatch(letter)["state"] for letter in letters]


def test_groups_by_handler_and_first_line():
    rows = [
        {"handler": "archive", "error": "no disk\nat line 1", "finished_at": "2026-03-09T16:00:02.000Z"},
        {"handler": "archive", "error": "no disk\nat line 9", "finished_at": "2026-03-09T16:00:01.000Z"},
        {"handler": "orders", "error": "no disk", "finished_at": "2026-03-09T16:00:00.000Z"},
    ]

    assert [(group.handler, group.first_line, group.count) for group in grouped(rows)] == [
        ("archive", "no disk", 2),
        ("orders", "no disk", 1),
    ]


def test_group_knows_its_newest_and_its_oldest():
    rows = [
        {"handler": "archive", "error": "no disk", "finished_at": "2026-03-09T16:00:02.000Z"},
        {"handler": "archive", "error": "no disk", "finished_at": "2026-03-09T16:00:01.000Z"},
    ]
    [group] = grouped(rows)

    assert (group.newest_at, group.oldest_at) == ("2026-03-09T16:00:02.000Z", "2026-03-09T16:00:01.000Z")


def test_groups_lead_to_their_letters(letters, operator):
    page = operator.get("/dead-letters")
    [address, _] = [link for link in page.links() if link.startswith("/dead-letters/group")]

    assert "3 dead" in operator.get(address)


def test_retries_one(letters, group, operator, store):
    operator.press(group, "Retry the chosen", dispatch=letters[0])

    assert states(store, letters) == [State.PENDING, State.DEAD, State.DEAD, State.DEAD]


def test_retries_several(letters, group, operator, store):
    page = operator.press(group, "Retry the chosen", dispatch=letters[:2])

    assert "2 dispatches due again." in page


def test_nothing_chosen_is_an_error(group, operator):
    assert operator.press(group, "Retry the chosen").status == 400


def test_discards_several_with_a_reason(letters, group, operator, store):
    operator.press(group, "Discard the chosen", dispatch=letters[:2], reason="known")

    assert [store.dispatch(letter)["error"] for letter in letters[:2]] == ["discarded: known"] * 2


def test_discards_nothing_without_a_reason(letters, group, operator, store):
    page = operator.press(group, "Discard the chosen", dispatch=letters[:1])

    assert (page.status, store.dispatch(letters[0])["state"]) == (400, State.DEAD)


def test_retries_a_whole_group_and_no_other(letters, group, operator, store):
    page = operator.press(group, "Retry all 3")

    assert "3 dispatches due again." in page
    assert states(store, letters) == [State.PENDING, State.PENDING, State.PENDING, State.DEAD]


def test_discards_a_whole_group_with_a_reason(letters, group, operator, store):
    operator.press(group, "Discard all 3", reason="known")

    assert states(store, letters) == [State.CANCELLED, State.CANCELLED, State.CANCELLED, State.DEAD]


def test_changes_nothing_if_they_are_not_as_many_as_they_were(letters, group, operator, store):
    store.retry(letters[:1])

    page = operator.press(group, "Retry all 3")

    assert (page.status, "these are 2, not 3; nothing was changed" in page) == (409, True)


def test_what_died_later_is_not_agreed_to(letters, group, operator, post, attempted, store):
    later = attempted(post("vgen_9"), "dead", "OSError: no disk")

    operator.press(group, "Retry all 3")

    assert store.dispatch(later)["state"] == State.DEAD


@pytest.mark.parametrize(
    ("error", "other"),
    [
        pytest.param("TimeoutError:", "TimeoutError: read", id="one-begins-as-the-other"),
        pytest.param(None, "no disk", id="no-text"),
        pytest.param(" no disk\t\r\nat line 1", "no disk", id="white-space"),
        pytest.param("x" * 300, "x" * 199, id="long"),
    ],
)
def test_a_group_is_those_that_the_list_counts_and_no_other(post, attempted, operator, store, error, other):
    letters = [attempted(post(f"vgen_{number}"), "dead", kept) for number, kept in enumerate([error, error, other])]
    page = operator.get("/dead-letters")
    [address, _] = [link for link in page.links() if link.startswith("/dead-letters/group")]

    group = operator.get(address)
    operator.press(group, "Retry all 2")

    assert "2 dead" in group
    assert states(store, letters) == [State.PENDING, State.PENDING, State.DEAD]


def test_goes_back_to_the_group_after_some_of_it(letters, group, operator):
    page = operator.press(group, "Retry the chosen", dispatch=letters[:1])

    assert "2 dead" in page


def test_enter_in_the_reason_discards(letters, group):
    [(form, first)] = [(form, form.buttons[0]) for form in group.forms if len(form.buttons) == 2]

    assert (form.action, first[0]) == ("/dead-letters/discard", "Discard the chosen")


def test_an_event_that_no_store_can_have_leads_to_the_list(letters, group, operator):
    form = group.form("Retry the chosen")

    page = operator.post(form.action, {**form.fields, "dispatch": letters[:1], "event": "9" * 5000, "handler": ""})

    assert page.status == 200
