"""The command that says which handler gets what, and why."""

import json
import re
from datetime import timedelta

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.clock import to_text
from receiver.models import Status
from receiver.outcomes import Decision, Outcome
from tests.cli.conftest import TABLES
from tests.store.contract import a_record, an_event

HANDLERS = """
from receiver import Router

router = Router()


def is_long(event):
    return event.data["seconds"] > 60


@router.on("creativeai", "video.*", status=["succeeded", "failed"], where=is_long)
@router.on("studio")
def told(event):
    pass


@router.on("*", "voice.*", kind="voice")
def spoken(event):
    pass
"""

NARROWED = """
[handlers.team]
path = "team.py"
type = "*.generation.*"
status = ["failed", "expired"]
"""

EVENT = {"source": "creativeai", "type": "video.generation.failed", "kind": "video", "status": "failed"}


@pytest.fixture
def team(config, tmp_path):
    """Two functions, narrowed by their table, beside the one of `orders`."""
    (tmp_path / "team.py").write_text(HANDLERS)
    config.write_text(TABLES + NARROWED)


@pytest.fixture
def ask(as_json, tmp_path):
    """Why the handlers do not get an event: None for those that do."""

    def run(**event):
        file = tmp_path / "event.json"
        file.write_text(json.dumps(event))
        return {row["handler"]: row["why_not"] for row in as_json("routes", "--event", file)}

    return run


class TestTable:
    def test_says_what_each_handler_gets(self, receiver):
        lines = receiver("routes").stdout.splitlines()

        headings = ["handler", "source", "type", "status", "kind", "where", "failure count", "parked until"]
        headings += ["paused at"]
        assert re.split(r" {2,}", lines[0].strip()) == headings
        assert [line.split() for line in lines[2:]] == [["orders", "creativeai", "*", "succeeded", "*", "0"]]

    def test_puts_module_and_table_together(self, receiver, team):
        lines = receiver("routes").stdout.splitlines()

        assert [" ".join(line.split()) for line in lines[3:]] == [
            "team.told studio *.generation.* expired or failed * 0",
            "team.told creativeai video.* and *.generation.* failed * is_long 0",
            "team.spoken * voice.* and *.generation.* expired or failed voice 0",
        ]

    def test_says_where_nothing_fits_both(self, receiver, config):
        config.write_text(f'{TABLES}status = "failed"')

        assert receiver("routes").stdout.splitlines()[2].split() == ["orders", "creativeai", "*", "nothing", "*", "0"]

    def test_keeps_module_and_table_apart_in_json(self, as_json, team):
        assert as_json("routes")[2] == {
            "handler": "team.told",
            "source": "creativeai",
            "type": "video.*",
            "status": ["failed", "succeeded"],
            "kind": [],
            "where": "is_long",
            "table": {
                "source": "*",
                "type": "*.generation.*",
                "status": ["expired", "failed"],
                "kind": [],
                "where": None,
            },
            "failure_count": 0,
            "parked_until": None,
            "paused_at": None,
        }

    def test_says_which_handler_is_parked(self, receiver, store, as_json, post):
        store.route({post("vgen_1").id: ["orders"]})
        [claim] = store.claim({"orders": 1}, lease=timedelta(minutes=1), worker="test")
        store.finish(claim, Outcome(decision=Decision.RETRY, error="down", failed=True), park_after=1)

        [row] = as_json("routes")

        assert (row["failure_count"], row["parked_until"]) == (1, to_text(store.hold("orders").parked_until))
        assert row["parked_until"] in receiver("routes").stdout

    def test_says_which_handler_is_paused(self, receiver, store, as_json):
        store.pause_handler("orders", paused=True)

        [row] = as_json("routes")

        assert row["paused_at"] == to_text(store.hold("orders").paused_at)

    def test_without_handlers_is_a_sentence(self, receiver, config):
        config.write_text("")

        assert receiver("routes").stdout == "no handlers are configured\n"


class TestOneEvent:
    def test_says_who_gets_it_and_why_others_do_not(self, team, ask):
        assert ask(**EVENT, data={"seconds": 90}) == {
            "orders": "status is failed, it wants succeeded",
            "team.told": None,
            "team.spoken": "type is video.generation.failed, it wants voice.*",
        }

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            pytest.param(
                {"data": {"seconds": 30}}, "source is creativeai, it wants studio; is_long says no", id="where"
            ),
            pytest.param(
                {"type": "credits.low"},
                "type is credits.low, it wants *.generation.* (in its table)",
                id="table",
            ),
        ],
    )
    def test_names_the_filter(self, team, ask, change, reason):
        assert ask(**EVENT | change)["team.told"] == reason

    def test_says_of_a_predicate_that_fails_that_it_does(self, receiver, team, tmp_path):
        file = tmp_path / "event.json"
        file.write_text(json.dumps(EVENT))

        result = receiver("routes", "--event", file)

        assert ["team.told", "yes"] in [line.split() for line in result.stdout.splitlines()]
        assert "a predicate failed; the event is taken as wanted" in result.stderr
        assert "KeyError" in result.stderr

    def test_prints_a_table(self, receiver, tmp_path):
        file = tmp_path / "event.json"
        file.write_text(json.dumps(EVENT))

        result = receiver("routes", "--event", file)

        assert result.exit_code == 0
        assert " ".join(result.stdout.splitlines()[2].split()) == "orders no status is failed, it wants succeeded"

    def test_takes_what_events_prints_and_of_that_the_first(self, receiver, post, tmp_path):
        post("vgen_1")
        post("vgen_2", status="failed")
        file = tmp_path / "events.jsonl"
        file.write_text(receiver("events", "--json").stdout)

        assert receiver("routes", "--event", file).stdout.splitlines()[2].split()[:2] == ["orders", "no"]

    def test_takes_an_event_of_several_lines(self, receiver, tmp_path):
        file = tmp_path / "event.json"
        file.write_text(json.dumps(EVENT, indent=2))

        assert receiver("routes", "--event", file).exit_code == 0

    def test_takes_standard_input(self, receiver):
        result = CliRunner().invoke(main, ["routes", "--event", "-", "--json"], input=json.dumps(EVENT))

        assert json.loads(result.stdout)["gets_it"] is False

    @pytest.mark.parametrize(("status", "standing"), [(Status.RUNNING, "stale"), (Status.FAILED, "conflict")])
    def test_says_that_an_event_is_only_kept(self, receiver, store, as_json, tmp_path, status, standing):
        source = {"source": "creativeai", "type": "video"}
        store.receive(a_record(an_event(status=Status.SUCCEEDED, **source)))
        store.receive(a_record(an_event(status=status, **source)))
        [row, _] = as_json("events")
        file = tmp_path / "event.json"
        file.write_text(json.dumps(row | {"status": "succeeded"}))

        [verdict] = as_json("routes", "--event", file)

        assert verdict["why_not"] == f"the event is only kept, as it is {standing}"

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            pytest.param("", "Expecting value", id="empty"),
            pytest.param("[]", "a JSON object is expected", id="list"),
            pytest.param('{"type": "video"}', "source: Field required", id="no-source"),
            pytest.param('{"source": "a", "type": "b", "status": "odd"}', "status: Input should be", id="status"),
            pytest.param('{"source": "a", "type": "b", "outputs": [1]}', "outputs.0: ", id="output"),
            pytest.param("[" * 100_000, "recursion", id="deep"),
        ],
    )
    def test_says_what_is_wrong(self, receiver, tmp_path, text, error):
        file = tmp_path / "event.json"
        file.write_text(text)

        result = receiver("routes", "--event", file)

        assert result.exit_code == 2
        assert error in result.stderr
        assert len(result.stderr.splitlines()) <= 4
