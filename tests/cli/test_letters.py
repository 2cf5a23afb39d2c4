"""Commands for dead letters."""

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.outcomes import Decision, Outcome
from tests.store.contract import HOUR, a_record, an_event

COMMANDS = (
    pytest.param(["retry"], "pending", id="retry"),
    pytest.param(["discard", "--reason", "too old"], "cancelled", id="discard"),
)


@pytest.fixture
def letters(store):
    """Make so many dead letters. Gives their ids."""

    def make(count, *, handler="orders", error="no such order", **changes):
        fields = {"source": "creativeai", "type": "video.generation.completed"} | changes
        events = [an_event(f"{handler}_{number}", **fields) for number in range(count)]
        receipt = store.receive(a_record(*events))
        store.route({event.id: [handler] for event in receipt.events})
        claims = store.claim({handler: count}, lease=HOUR, worker="test")
        for claim in claims:
            store.finish(claim, Outcome(decision=Decision.DEAD, error=error))
        return [claim.id for claim in claims]

    return make


def states(store):
    """The dispatches' states, oldest first."""
    rows = store.list_dispatches(limit=1000).rows
    return [row["state"] for row in reversed(rows)]


class TestRetry:
    @pytest.mark.parametrize("decision", ["dead", "cancel"])
    def test_makes_a_dispatch_due_again(self, receiver, store, post, attempted, decision):
        dispatch = attempted(post("vgen_1"), decision, "no such order")

        result = receiver("retry", dispatch)

        assert (result.exit_code, result.stdout) == (0, f"dispatch {dispatch} is due again\n")
        row = store.dispatch(dispatch)
        assert (row["state"], row["attempt_count"]) == ("pending", 0)

    def test_takes_several(self, receiver, store, letters):
        first, _, third = letters(3)

        result = receiver("retry", third, first, first)

        assert result.stdout == f"dispatch {first} is due again\ndispatch {third} is due again\n"
        assert states(store) == ["pending", "dead", "pending"]

    @pytest.mark.parametrize("others", [0, 1])
    def test_changes_nothing_if_one_cannot_be_retried(self, receiver, store, letters, post, attempted, others):
        others = letters(others)
        done = attempted(post("vgen_1"), "done")

        result = receiver("retry", *others, done)

        assert result.exit_code == 2
        assert f"dispatch {done} is neither dead nor cancelled, so nothing was changed" in result.stderr
        assert states(store) == [*["dead"] * len(others), "done"]

    def test_says_that_there_are_none(self, receiver):
        result = receiver("retry", "7", "8")

        assert result.exit_code == 2
        assert "dispatches 7, 8 are neither dead nor cancelled" in result.stderr

    def test_chosen_by_filter_leaves_what_was_cancelled(self, receiver, store, letters, post, attempted):
        attempted(post("vgen_1"), "cancel")
        letters(1)

        receiver("retry", "--type", "*")

        assert states(store) == ["cancelled", "pending"]


class TestDiscard:
    def test_ends_a_dead_letter_with_the_reason(self, receiver, store, letters):
        [letter] = letters(1)

        result = receiver("discard", letter, "--reason", "too old")

        assert (result.exit_code, result.stdout) == (0, f"dispatch {letter} is discarded\n")
        row = store.dispatch(letter)
        assert (row["state"], row["error"]) == ("cancelled", "discarded: too old")

    @pytest.mark.parametrize("decision", ["done", "cancel", "retry"])
    def test_ends_nothing_else(self, receiver, store, post, attempted, decision):
        dispatch = attempted(post("vgen_1"), decision)
        before = store.dispatch(dispatch)

        result = receiver("discard", dispatch, "--reason", "too old")

        assert result.exit_code == 2
        assert f"dispatch {dispatch} is not dead, so nothing was changed" in result.stderr
        assert store.dispatch(dispatch) == before

    def test_ends_what_waits_for_a_handler_that_left(self, receiver, store, post, attempted, config):
        dispatch = attempted(post("vgen_1"), "retry")
        config.write_text(config.read_text().partition("[handlers.orders]")[0])

        result = receiver("discard", dispatch, "--reason", "left")

        assert (result.exit_code, result.stdout) == (0, f"dispatch {dispatch} is discarded\n")
        assert store.dispatch(dispatch)["state"] == "cancelled"

    def test_ends_all_there_is_of_a_handler_that_left(self, receiver, store, post, letters):
        letters(2, handler="gone")
        store.route({post("vgen_1").id: ["gone"], post("vgen_2").id: ["orders"]})

        result = receiver("discard", "--left-handler", "gone", "--reason", "left")

        assert (result.exit_code, result.stdout) == (0, "dispatches discarded: 3\n")
        assert (store.waiting(), states(store).count("cancelled")) == ({"orders": 1}, 3)

    def test_ends_not_all_of_a_handler_that_did_not_leave(self, receiver, store, post):
        store.route({post("vgen_1").id: ["orders"]})

        result = receiver("discard", "--left-handler", "orders", "--reason", "by hand")

        assert (result.exit_code, store.waiting()) == (2, {"orders": 1})
        assert "orders is in the configuration" in result.stderr

    @pytest.mark.parametrize("other", [["7"], ["--since", "2h"]], ids=["named", "filter"])
    def test_ends_all_of_a_handler_or_what_is_chosen(self, receiver, other):
        result = receiver("discard", "--left-handler", "gone", "--reason", "left", *other)

        assert result.exit_code == 2
        assert "--left-handler goes with no DISPATCH and no filter" in result.stderr

    def test_loads_no_handler_for_a_dead_letter(self, receiver, store, letters, config):
        [letter] = letters(1)
        config.with_name("orders.py").write_text("broken")

        assert receiver("discard", letter, "--reason", "too old").exit_code == 0

    def test_keeps_a_reason_of_any_bytes(self, receiver, store, letters):
        [letter] = letters(1)

        assert receiver("discard", letter, "--reason", "too old \udcff").exit_code == 0
        assert store.dispatch(letter)["error"] == "discarded: too old ?"


class TestBoth:
    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    @pytest.mark.parametrize(
        ("options", "changed"),
        [
            pytest.param(["--type", "*"], [True, True, True], id="all"),
            pytest.param(["--handler", "orders"], [True, False, False], id="handler"),
            pytest.param(["--handler", "orders", "--handler", "log"], [True, False, True], id="handlers"),
            pytest.param(["--source", "other"], [False, True, False], id="source"),
            pytest.param(["--type", "image.*"], [False, True, False], id="type"),
            pytest.param(["--error", "HTTP 503"], [False, False, True], id="error"),
            pytest.param(["--since", "1h"], [True, True, True], id="since"),
            pytest.param(["--since", "2100-01-01"], [False, False, False], id="since-then"),
            pytest.param(["--handler", "orders", "--error", "HTTP"], [False, False, False], id="both"),
        ],
    )
    def test_choose_by_filter(self, receiver, store, letters, command, state, options, changed):
        letters(1)
        letters(1, handler="audit", source="other", type="image.generation.failed")
        letters(1, handler="log", error="it said HTTP 503")

        result = receiver(*command, *options)

        assert result.exit_code == 0
        assert result.stdout.rstrip().endswith(f": {sum(changed)}")
        assert states(store) == [state if each else "dead" for each in changed]

    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    def test_take_page_by_page(self, receiver, store, letters, monkeypatch, command, state):
        monkeypatch.setattr("receiver.operations.CHUNK", 2)
        letters(5)

        receiver(*command, "--type", "*")

        assert states(store) == [state] * 5

    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    @pytest.mark.parametrize("named", [True, False])
    def test_count_and_change_nothing_in_a_dry_run(self, receiver, store, letters, command, state, named):
        ids = letters(2) + letters(1, handler="log")

        result = receiver(*command, "--dry-run", *(ids if named else ["--type", "*"]))

        lines = [line.split() for line in result.stdout.splitlines()]
        assert lines[2:] == [["log", "1"], ["orders", "2"], ["nothing", "was", "changed"]]
        assert states(store) == ["dead"] * 3

    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    @pytest.mark.parametrize("named", [True, False])
    def test_print_an_object_for_each_that_was_changed(self, as_json, letters, command, state, named):
        ids = letters(3)

        rows = as_json(*command, *(ids if named else ["--type", "*"]))

        assert [row["dispatch"] for row in rows] == ids

    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    def test_print_an_object_for_each_handler_in_a_dry_run(self, as_json, letters, command, state):
        letters(2)
        letters(1, handler="log")

        rows = as_json(*command, "--type", "*", "--dry-run")

        assert rows == [{"handler": "log", "dispatches": 1}, {"handler": "orders", "dispatches": 2}]

    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    @pytest.mark.parametrize(
        ("text", "code", "agreed"),
        [pytest.param("y\n", 0, True, id="yes"), pytest.param("n\n", 1, False, id="no"), ("", 2, False)],
    )
    def test_ask_before_more_than_a_hundred_are_changed(
        self, config, monkeypatch, store, letters, command, state, text, code, agreed
    ):
        monkeypatch.setenv("RECEIVER_CONFIG", str(config))
        letters(101)

        result = CliRunner().invoke(main, [*command, "--type", "*"], input=text)

        assert result.exit_code == code
        assert f"{command[0]} 101 dispatches, 101 of orders? [y/N]" in result.stderr
        assert states(store) == [state if agreed else "dead"] * 101

    @pytest.mark.parametrize(("command", "state"), COMMANDS)
    def test_do_not_ask_with_yes(self, receiver, store, letters, command, state):
        letters(101)

        assert receiver(*command, "--type", "*", "--yes").exit_code == 0
        assert states(store) == [state] * 101
