"""The commands that say what is wrong."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from receiver import clock
from tests.cli.conftest import TABLES
from tests.running import API_KEY, SECRET
from tests.scripted import Answer, Scripted, always

# Apprise imports it for encrypted mail, wherever Python still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TOLD = """
[alerts]
urls = ["json://127.0.0.1:9/a-secret-of-the-url"]
"""


@pytest.fixture
def examine(receiver, config, as_json):
    """What the doctor finds: state and text by what it is about."""

    def found(*arguments, tables=TABLES):
        config.write_text(tables)
        rows = as_json("doctor", *(arguments or ["--offline"]))
        return {row["about"]: (row["state"], row["found"]) for row in rows}

    return found


@pytest.fixture
def looping(store):
    """The reconcile loop has just looked for alerts."""
    store.claim_turn("alerts", every=timedelta(minutes=1))


@pytest.mark.usefixtures("looping")
class TestDoctor:
    def test_finds_nothing_wrong_with_what_is_sound(self, receiver, config):
        config.write_text(TABLES + TOLD)

        result = receiver("doctor", "--offline")

        assert (result.exit_code, result.stderr) == (0, "")
        assert [line for line in result.stdout.splitlines() if not line.startswith("ok ")] == []

    def test_says_what_is_wrong_last_and_by_the_exit_status(self, receiver, post, attempted):
        attempted(post("vgen_1"), "dead", "no such bucket")

        result = receiver("doctor", "--offline")

        assert result.exit_code == 1
        assert result.stdout.splitlines()[-1] == (
            "wrong figures: orders has 1 dead letters: see `receiver dispatches --state dead --handler orders`"
        )

    def test_what_is_odd_is_not_wrong(self, receiver):
        result = receiver("doctor", "--offline")

        assert result.exit_code == 0
        assert "odd   alerts.urls: is empty: when something is wrong, only the log says so" in result.stdout

    def test_a_configuration_that_is_wrong_is_a_finding(self, examine):
        found = examine(tables=TABLES + "[wbe]")

        assert list(found) == ["configuration"]
        assert found["configuration"][0] == "wrong"
        assert "wbe: unknown key" in found["configuration"][1]

    def test_a_store_that_cannot_be_opened_is_a_finding(self, examine, tmp_path):
        (tmp_path / "folder.db").mkdir()

        found = examine(tables='store = "sqlite:///folder.db"\n' + TABLES)

        assert found["store"][0] == "wrong"
        assert "cannot be opened" in found["store"][1]

    @pytest.mark.parametrize(
        ("secret", "state"),
        [
            pytest.param("try-me", "wrong", id="sample"),
            pytest.param("Change-Me", "wrong", id="sample-in-other-letters"),
            pytest.param("fifteen-letters", "odd", id="short"),
            pytest.param("sixteen-letters!", "ok", id="long"),
        ],
    )
    def test_looks_at_secrets_without_showing_them(self, examine, secret, state):
        found = examine(tables=TABLES.replace(SECRET, secret))

        assert found["sources.creativeai.secrets[0]"][0] == state
        assert secret not in str(found)

    def test_looks_at_whom_alerts_are_told(self, examine):
        found = examine(tables=TABLES + TOLD.replace("json", "nonsense"))

        assert found["alerts.urls"][0] == "wrong"
        assert "URL 1: Apprise does not accept it" in found["alerts.urls"][1]
        assert "a-secret-of-the-url" not in str(found)

    def test_looks_at_limits_that_do_not_fit(self, examine):
        archive = '[handlers.archive]\ntimeout = "1m"\ndownload_timeout = "2m"\n'

        assert examine(tables=TABLES + archive)["handlers.archive.download_timeout"] == (
            "odd",
            "is not below archive's timeout, which would end the attempt first: raise that",
        )

    def test_says_how_much_room_there_is(self, examine):
        state, text = examine()["disk"]

        assert state in ("ok", "odd")
        assert "free for a store of" in text

    def test_says_which_handler_is_not_configured(self, examine, post, store):
        store.route({post("vgen_1").id: ["forgotten"]})

        assert examine()["handler forgotten"] == ("odd", "is not configured, and 1 dispatches wait for it")

    def test_says_who_works(self, examine, post, store):
        store.route({post("vgen_1").id: ["orders"]})
        store.claim({"orders": 1}, lease=timedelta(minutes=1), worker="studio-1:7")

        assert examine()["worker studio-1:7"] == ("ok", "runs 1 dispatches")

    def test_says_who_went_silent(self, examine, post, store):
        store.route({post("vgen_1").id: ["orders"]})
        store.claim({"orders": 1}, lease=timedelta(seconds=-1), worker="studio-1:7")

        assert examine()["worker studio-1:7"][0] == "odd"

    def test_asks_whether_the_key_is_accepted(self, examine):
        with Scripted(always(Answer({"error": {"message": f"not with {API_KEY}"}}, status=401))) as server:
            found = examine("--json", tables=TABLES.replace("http://127.0.0.1:9", server.url))

        assert found["source creativeai"][0] == "wrong"
        assert "check sources.creativeai.api_key" in found["source creativeai"][1]
        assert API_KEY not in str(found)

    @pytest.mark.parametrize(
        ("seconds", "state"),
        [pytest.param(60, "odd", id="a-minute"), pytest.param(-600, "wrong", id="ten-minutes")],
    )
    def test_compares_the_clock_with_the_providers(self, receiver, config, seconds, state):
        date = format_datetime(clock.now() + timedelta(seconds=seconds), usegmt=True)
        with Scripted(always(Answer({"data": []}, headers={"Date": date}))) as server:
            config.write_text(TABLES.replace("http://127.0.0.1:9", server.url))

            lines = receiver("doctor").stdout.splitlines()

        [line] = [line for line in lines if "its clock is" in line]
        assert line.startswith(f"{state:<6}source creativeai: its clock is")


def test_says_that_the_loop_does_not_run(examine, store):
    assert examine()["reconcile"][0] == "wrong"


def test_passes_without_a_loop_are_odd(examine, receiver, store):
    receiver("reconcile")

    assert examine()["reconcile"][0] == "odd"


class TestAlerts:
    def test_nothing_is_wrong(self, receiver):
        assert receiver("alerts").stdout == "nothing is wrong\n"

    def test_lists_what_is_wrong_now(self, as_json, post, attempted):
        attempted(post("vgen_1"), "dead", "no such bucket")

        [row] = as_json("alerts")

        assert row == {
            "cause": "dead-letters orders",
            "summary": "orders has 1 dead letters: see `receiver dispatches --state dead --handler orders`",
            "since": None,
            "told_at": None,
        }

    def test_prints_a_line_for_each(self, receiver, post, attempted):
        attempted(post("vgen_1"), "dead", "no such bucket")

        assert receiver("alerts").stdout.startswith("just now                  orders has 1 dead letters")
