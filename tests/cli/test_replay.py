"""The command that runs handlers again for recorded events."""

import re
from contextlib import closing
from datetime import timedelta
from itertools import pairwise

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.clock import from_text
from receiver.errors import StoreUnavailable
from receiver.models import Status
from receiver.store.base import DispatchFilter
from receiver.store.sqlite import SQLiteStore
from receiver.store.sqlite.connection import connect
from tests.cli.conftest import TABLES
from tests.store.contract import a_record, an_event

AUDIT = """
from receiver import Router

router = Router()


def failed_badly(event):
    return event.failure.code == "timeout"


@router.on("creativeai", status=["succeeded", "failed"])
def everything(event):
    pass


@router.on("creativeai", status="failed", where=failed_badly)
def badly(event):
    pass
"""


@pytest.fixture
def audited(config, tmp_path):
    """Two more handlers: one of every end, one whose predicate looks into the failure."""
    (tmp_path / "audit.py").write_text(AUDIT)
    config.write_text(f'{TABLES}\n[handlers.audit]\npath = "audit.py"')


@pytest.fixture
def recorded(store):
    """Record so many events of the source that were routed to nobody."""

    def record(count, **changes):
        fields = {"source": "creativeai", "type": "video.generation.completed"} | changes
        events = [an_event(f"vgen_{number}", **fields) for number in range(count)]
        receipt = store.receive(a_record(*events))
        store.route({event.id: [] for event in receipt.events})
        return [event.id for event in receipt.events]

    return record


@pytest.fixture
def pages_of_two(monkeypatch):
    """So that little data is much."""
    monkeypatch.setattr("receiver.operations.CHUNK", 2)
    monkeypatch.setattr("receiver.cli.choose.CHUNK", 2)


def dispatched(store, **chosen):
    """The dispatches, oldest first."""
    return store.list_dispatches(DispatchFilter(**chosen), limit=10_000).rows[::-1]


class TestNamedEvents:
    def test_are_run_again(self, receiver, store, post, attempted):
        event = post("vgen_1")
        attempted(event, "done")

        result = receiver("replay", event.id)

        assert result.exit_code == 0
        assert result.stdout.splitlines()[2].split() == ["orders", "1"]
        assert [row["state"] for row in dispatched(store, event_id=event.id)] == ["done", "pending"]

    def test_get_another_idempotency_key(self, receiver, store, post, attempted):
        event = post("vgen_1")
        attempted(event, "done")

        receiver("replay", event.id)

        assert len({row["idempotency_key"] for row in dispatched(store)}) == 2

    def test_can_be_several(self, receiver, store, recorded):
        first, second, _ = recorded(3)

        receiver("replay", second, first, second)

        assert [row["event"] for row in dispatched(store)] == [second, first]

    def test_can_be_for_one_handler(self, receiver, store, audited, recorded):
        [event] = recorded(1)

        receiver("replay", event, "--handler", "audit.everything")

        assert [row["handler"] for row in dispatched(store)] == ["audit.everything"]

    def test_that_nobody_wants_are_not_run(self, receiver, store, post):
        event = post("vgen_1", status="failed")

        assert receiver("replay", event.id).stdout == "no handler wants any such event\n"
        assert dispatched(store) == []

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            pytest.param(["7"], "there is no event 7; see `receiver events`", id="event"),
            pytest.param(["1", "7"], "there is no event 7; see `receiver events`", id="one-of-them"),
            pytest.param(
                ["1", "--handler", "log"],
                "there is no handler log in the configuration (there are: orders)",
                id="handler",
            ),
            pytest.param(
                ["1", "--handler", "orders"],
                "orders does not want event 1: status is failed, it wants succeeded",
                id="unwanted",
            ),
            pytest.param(["--cancel", "abc"], "there is no replay 'abc'; see `receiver dispatches`", id="replay"),
        ],
    )
    def test_that_cannot_be_run_are_told_in_one_line(self, receiver, store, post, arguments, error):
        post("vgen_1", status="failed")

        result = receiver("replay", *arguments)

        assert (result.exit_code, result.stderr) == (2, f"receiver: {error}\n")
        assert dispatched(store) == []


class TestChosenEvents:
    @pytest.mark.parametrize(
        ("options", "jobs"),
        [
            pytest.param(["--type", "*"], ["vgen_1", "vgen_2", "igen_3"], id="all"),
            pytest.param(["--type", "image.*"], ["igen_3"], id="type"),
            pytest.param(["--status", "failed"], ["vgen_2"], id="status"),
            pytest.param(["--kind", "video"], ["vgen_1", "vgen_2"], id="kind"),
            pytest.param(["--source", "creativeai"], ["vgen_1", "vgen_2", "igen_3"], id="source"),
            pytest.param(["--source", "other"], [], id="other-source"),
            pytest.param(["--since", "2h"], ["vgen_1", "vgen_2", "igen_3"], id="since"),
            pytest.param(["--since", "2100-01-01"], [], id="since-then"),
            pytest.param(["--until", "1 h"], [], id="until"),
            pytest.param(["--until", "2100-01-01T00:00+02:00"], ["vgen_1", "vgen_2", "igen_3"], id="until-then"),
            pytest.param(["--kind", "video", "--status", "succeeded"], ["vgen_1"], id="both"),
        ],
    )
    def test_are_run_again(self, receiver, store, audited, post, options, jobs):
        for job_id, kind, status in [
            ("vgen_1", "video", "completed"),
            ("vgen_2", "video", "failed"),
            ("igen_3", "image", "completed"),
        ]:
            store.route({post(job_id, kind=kind, status=status).id: []})

        result = receiver("replay", *options, "--handler", "audit.everything")

        assert result.exit_code == 0
        assert [row["job"] for row in dispatched(store)] == jobs

    def test_go_to_the_handlers_that_want_them(self, receiver, store, audited, recorded):
        recorded(1)

        receiver("replay", "--since", "1h")

        assert [row["handler"] for row in dispatched(store)] == ["orders", "audit.everything"]

    def test_whose_predicate_fails_are_run_with_a_warning(self, receiver, store, audited, recorded):
        recorded(1, status=Status.FAILED)

        result = receiver("replay", "--since", "1h", "--yes")

        assert [row["handler"] for row in dispatched(store)] == ["audit.everything", "audit.badly"]
        assert result.stderr.count("a predicate failed") == 1

    def test_that_are_still_to_come_are_left_alone(self, receiver, store, post):
        post("vgen_1")

        assert receiver("replay", "--since", "1h").stdout == "no handler wants any such event\n"
        assert dispatched(store) == []

    def test_are_taken_page_by_page(self, receiver, store, recorded, pages_of_two):
        ids = recorded(5)

        receiver("replay", "--since", "1h")

        assert [row["event"] for row in dispatched(store)] == ids

    def test_that_take_long_are_counted_on_the_way(self, receiver, recorded, pages_of_two):
        recorded(5)

        result = receiver("replay", "--since", "1h", "--yes")

        assert re.search(r"replay [0-9a-f]{8}", result.stderr)
        assert result.stderr.count("looking") == 0


class TestDryRun:
    def test_counts_by_handler_and_changes_nothing(self, receiver, store, audited, recorded):
        recorded(3)

        result = receiver("replay", "--since", "1h", "--dry-run")

        lines = [line.split() for line in result.stdout.splitlines()]
        assert lines[2:4] == [["audit.everything", "3"], ["orders", "3"]]
        assert result.stdout.splitlines()[-1] == "events: 3; nothing was changed"
        assert dispatched(store) == []

    def test_does_not_ask(self, receiver, recorded):
        recorded(101)

        assert receiver("replay", "--since", "1h", "--dry-run").exit_code == 0

    def test_is_objects_for_programs(self, as_json, recorded):
        recorded(3)

        assert as_json("replay", "--since", "1h", "--dry-run") == [
            {"handler": "orders", "dispatches": 3, "replay_id": None}
        ]


class TestMany:
    @pytest.fixture
    def answer(self, config, monkeypatch, recorded):
        """Replays 101 events, and answers what is asked."""
        recorded(101)
        monkeypatch.setenv("RECEIVER_CONFIG", str(config))
        return lambda text: CliRunner().invoke(main, ["replay", "--since", "1h"], input=text)

    def test_are_asked_about(self, answer, store):
        result = answer("y\n")

        assert "replay 101 events, 101 for orders? [y/N]" in result.stderr
        assert (result.exit_code, len(dispatched(store))) == (0, 101)

    @pytest.mark.parametrize(
        ("text", "code", "told"),
        [
            pytest.param("n\n", 1, "receiver: nothing was changed", id="no"),
            pytest.param("", 2, "nobody is there to be asked; give --yes", id="nobody"),
        ],
    )
    def test_are_left_alone_without_a_yes(self, answer, store, text, code, told):
        result = answer(text)

        assert result.exit_code == code
        assert told in result.stderr
        assert dispatched(store) == []

    def test_are_not_asked_about_with_yes(self, receiver, store, recorded):
        recorded(101)

        assert receiver("replay", "--since", "1h", "--yes").exit_code == 0
        assert len(dispatched(store)) == 101

    def test_are_more_than_a_hundred(self, receiver, recorded):
        recorded(100)

        assert receiver("replay", "--since", "1h").exit_code == 0


class TestReplay:
    def test_has_an_id_by_which_it_is_found(self, receiver, as_json, recorded):
        recorded(2)
        told = receiver("replay", "--since", "1h").stdout.splitlines()[-1]

        replay_id = re.search(r"replay ([0-9a-f]{8}): `receiver dispatches --replay \1`", told)[1]

        assert len(as_json("dispatches", "--replay", replay_id)) == 2

    def test_tells_its_id_to_programs(self, as_json, recorded):
        recorded(2)

        [row] = as_json("replay", "--since", "1h")

        assert len(as_json("dispatches", "--replay", row["replay_id"])) == row["dispatches"] == 2

    def test_can_be_spread(self, receiver, store, recorded, pages_of_two):
        recorded(5)

        receiver("replay", "--since", "1h", "--rate", "60/min")

        due = [from_text(row["due_at"]) for row in dispatched(store)]
        waits = [(later - earlier).total_seconds() for earlier, later in pairwise(due)]
        # Each page begins at its own moment.
        assert all(0.99 < wait < 5 for wait in waits)

    def test_lets_live_dispatches_go_first(self, receiver, store, post, recorded):
        recorded(1)
        receiver("replay", "--since", "1h")
        live = post("vgen_live")
        store.route({live.id: ["orders"]})

        [claim] = store.claim({"orders": 1}, lease=timedelta(minutes=1), worker="test")

        assert claim.event.job_id == "vgen_live"

    def test_can_be_cancelled(self, receiver, as_json, store, recorded, pages_of_two):
        recorded(5)
        [row] = as_json("replay", "--since", "1h")
        store.claim({"orders": 1}, lease=timedelta(minutes=1), worker="test")

        result = receiver("replay", "--cancel", row["replay_id"])

        assert result.stdout == (f"replay {row['replay_id']}: 4 dispatches are cancelled; what has begun goes on\n")
        assert [row["state"] for row in dispatched(store)] == ["running", *["cancelled"] * 4]

    def test_tells_what_was_made_where_something_was_emptied_meanwhile(
        self, as_json, store, audited, recorded, database, monkeypatch
    ):
        recorded(3)
        whole = SQLiteStore.replay

        def emptied_before(self, plan, **how):
            with closing(connect(database)) as db:
                db.execute("UPDATE events SET data = '{}', emptied_at = recorded_at WHERE id = 2")
            return whole(self, plan, **how)

        monkeypatch.setattr(SQLiteStore, "replay", emptied_before)

        [row] = as_json("replay", "--since", "1h", "--handler", "orders")

        assert (row["dispatches"], len(dispatched(store))) == (2, 2)

    def test_that_stops_halfway_says_how_to_take_it_back(self, receiver, store, recorded, pages_of_two, monkeypatch):
        recorded(5)
        whole = SQLiteStore.replay

        def fails_once_something_is_there(self, plan, **how):
            if self.waiting():
                raise StoreUnavailable("the disk is full")
            return whole(self, plan, **how)

        monkeypatch.setattr(SQLiteStore, "replay", fails_once_something_is_there)

        result = receiver("replay", "--since", "1h")

        assert result.exit_code == 1
        assert re.search(
            r"replay (\w{8}) stopped after 2 events: the disk is full; `receiver replay --cancel \1`", result.stderr
        )
