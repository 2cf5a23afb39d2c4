"""Commands that show what is known."""

from datetime import timedelta

import pytest

from receiver import clock
from receiver.cli import commands
from receiver.errors import Reason
from receiver.models import Delivery
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import Conditions, Sandbox
from receiver.store.base import Refusal
from tests.cli.conftest import TABLES
from tests.running import API_KEY, SECRET, free_port
from tests.scripted import Answer, Scripted, always

VIDEO = CreativeAI.kinds["video"]
VERB_LIKE = {
    "Make",
    "Ask",
    "Copy",
    "Create",
    "Drop",
    "Expect",
    "List",
    "Print",
    "Run",
    "Say",
    "Seal",
    "Serve",
    "Show",
    "Sign",
    "Write",
}
HOSTILE = "\x1b[31mred\nsecond line\x1b]0;title\x07"

PRIVATE_HANDLER = """
from pydantic import SecretStr
from receiver import HandlerSettings, Router


class Settings(HandlerSettings):
    token: SecretStr
    tokens: list[SecretStr] = []
    channel: str = "general"


router = Router(settings=Settings)


@router.on()
def tell(event):
    pass
"""


@pytest.fixture(scope="module")
def provider():
    """One that accepts our key, and no other."""
    with Sandbox(Conditions(duration=timedelta(0)), secret=SECRET, api_key=API_KEY) as sandbox:
        yield sandbox


@pytest.fixture
def jobs(store):
    """Three jobs, one of them at another source."""
    store.track("creativeai", "vgen_1", kind="video", schedule=VIDEO)
    store.track("creativeai", "vgen_2", kind="video", schedule=VIDEO, metadata={"order": 17})
    store.track("other", "vgen_3", kind="video", schedule=VIDEO)


@pytest.fixture
def refused(store):
    """A delivery in the quarantine, from somebody who would like to write on the terminal."""
    delivery = Delivery(
        source="creativeai", body=b"\xff{}", received_at=clock.now(), path=f"/webhooks/creativeai/{HOSTILE}"
    )
    store.quarantine([Refusal(delivery=delivery, reason=Reason.MISSING_SIGNATURE, hint="no header")], max_count=10)


class TestEveryCommand:
    @pytest.mark.parametrize("name", commands())
    @pytest.mark.parametrize("option", ["-h", "--help"])
    def test_has_help(self, receiver, name, option):
        result = receiver(name, option)

        assert (result.exit_code, result.stdout[:6]) == (0, "Usage:")

    @pytest.mark.parametrize("name", commands())
    def test_has_help_that_begins_with_a_verb(self, name):
        assert commands()[name].help.split()[0] in VERB_LIKE

    @pytest.mark.parametrize("name", commands())
    def test_has_help_for_every_option(self, name):
        options = [option for option in commands()[name].params if option.param_type_name == "option"]

        assert all(option.help for option in options)

    def test_says_its_version(self, receiver):
        assert receiver("--version").stdout.startswith("receiver, version ")

    def test_takes_the_configuration_before_or_after_the_command(self, receiver, tmp_path):
        missing = tmp_path / "missing.toml"

        results = [receiver("--config", missing, "jobs"), receiver("jobs", "--config", missing)]

        assert [result.stderr for result in results] == [
            f"receiver: {missing}: there is no such file; write one or set RECEIVER_CONFIG\n"
        ] * 2


class TestErrors:
    @pytest.mark.parametrize(
        ("tables", "error"),
        [
            pytest.param("store = ", "{file}: cannot be read: ", id="bad-toml"),
            pytest.param("colour = 1", "{file}: colour: unknown key", id="unknown-key"),
            pytest.param("[web]\nport = 1", "{file}: web.port: unknown key", id="unknown-key-in-a-table"),
            pytest.param(
                'store = "${NO_SUCH_VARIABLE}"',
                "{file}: store: the environment has no NO_SUCH_VARIABLE",
                id="missing-variable",
            ),
            pytest.param('store = "${file:none}"', "{file}: store: cannot read none", id="missing-file"),
            pytest.param('[web]\nworkers = "x"', "{file}: web.workers: ", id="wrong-type"),
            pytest.param('store = "sqlite:///none/receiver.db"', "{file}: store: the folder ", id="no-folder"),
            pytest.param('store = "mongodb://"', "{file}: store: must be ", id="unknown-store"),
        ],
    )
    def test_each_is_one_line_that_names_the_key(self, receiver, config, tables, error):
        config.write_text(tables)

        result = receiver("jobs")

        assert result.exit_code == 2
        assert result.stderr.startswith(f"receiver: {error.format(file=config)}")
        assert (result.stdout, result.stderr.count("\n")) == ("", 1)

    @pytest.mark.parametrize(
        ("tables", "error"),
        [
            pytest.param('[sources.a]\nprovider = "none"', "sources.a.provider: there is no ", id="provider"),
            pytest.param('[sources.a]\nprovider = "creativeai"', "sources.a.secrets: ", id="no-secrets"),
            pytest.param("[handlers.none]", "handlers.none: no installed handler has that name", id="handler"),
            pytest.param('[handlers.a]\npath = "none.py"', "handlers.a.path: there is no file ", id="handler-file"),
            pytest.param("[handlers.log]\ncolour = 1", "handlers.log.colour: unknown key", id="handler-setting"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_found_is_named(self, receiver, config, tables, error):
        config.write_text(tables)

        result = receiver("check", "--offline")

        assert result.exit_code == 2
        assert result.stderr.startswith(f"receiver: {config}: {error}")
        assert result.stderr.count("\n") == 1

    def test_a_store_that_is_none_is_one_line(self, receiver, tmp_path):
        (tmp_path / "receiver.db").write_text("this is not a database, although it is long enough to be one" * 20)

        result = receiver("jobs")

        assert result.exit_code == 1
        assert result.stderr.startswith("receiver: the store at ")
        assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ["nothing"],
            ["jobs", "--status", "odd"],
            ["jobs", "--limit", "0"],
            ["events", "--since", "tomorrow"],
            ["events", "--before", "0"],
            ["deliveries", "--reason", "malformed"],
            ["deliveries", "--rejected", "--via", "poll"],
            ["dispatches", "--state", "odd"],
            ["retry", "x"],
            ["retry", "99999999999999999999"],
            ["replay", "99999999999999999999"],
            ["replay"],
            ["replay", "1", "--since", "2h"],
            ["replay", "--since", "tomorrow"],
            ["replay", "--type", "*", "--rate", "often"],
            ["replay", "--cancel", "a", "--type", "*"],
            ["retry"],
            ["retry", "1", "--handler", "orders"],
            ["discard", "1"],
            ["discard", "--reason", "old"],
            ["show", "x"],
            ["routes", "--event", "none.json"],
            ["jobs", "--limit", "99999999999999999999"],
            ["dispatches", "--event", "99999999999999999999"],
            ["reconcile", "--every", "soon"],
            ["reconcile", "--every", "0s"],
            ["send", "--repeat", "0"],
        ],
        ids=" ".join,
    )
    def test_what_is_asked_wrongly_is_status_2(self, receiver, arguments):
        assert receiver(*arguments).exit_code == 2


class TestJobs:
    def test_are_listed_newest_first(self, receiver, jobs):
        lines = receiver("jobs").stdout.splitlines()

        assert lines[0].split()[:4] == ["source", "job", "kind", "status"]
        assert [line.split()[1] for line in lines[2:]] == ["vgen_3", "vgen_2", "vgen_1"]

    @pytest.mark.parametrize(
        ("options", "listed"),
        [
            pytest.param([], ["vgen_3", "vgen_2", "vgen_1"], id="all"),
            pytest.param(["--source", "creativeai"], ["vgen_2", "vgen_1"], id="source"),
            pytest.param(["--open"], ["vgen_3", "vgen_2"], id="open"),
            pytest.param(["--status", "succeeded"], ["vgen_1"], id="status"),
            pytest.param(["--status", "lost"], [], id="status-rare"),
            pytest.param(["--kind", "image"], [], id="kind"),
            pytest.param(["--job", "vgen_2"], ["vgen_2"], id="job"),
            pytest.param(["--overdue"], [], id="overdue"),
            pytest.param(["--before", "3"], ["vgen_2", "vgen_1"], id="before"),
            pytest.param(["--limit", "1"], ["vgen_3"], id="limit"),
        ],
    )
    def test_can_be_chosen(self, as_json, jobs, post, options, listed):
        post("vgen_1")

        assert [row["job"] for row in as_json("jobs", *options)] == listed

    def test_have_their_metadata_in_json(self, as_json, jobs):
        assert as_json("jobs")[1]["metadata"] == {"order": 17}

    def test_of_which_there_are_none_are_a_sentence(self, receiver):
        assert receiver("jobs").stdout == "no jobs\n"

    def test_of_which_there_are_none_are_no_lines_in_json(self, receiver):
        assert receiver("jobs", "--json").stdout == ""


class TestEvents:
    def test_are_listed_newest_first(self, receiver, post):
        post("vgen_1")
        post("vgen_2", status="failed")

        lines = receiver("events").stdout.splitlines()

        assert [line.split()[2:5] for line in lines[2:]] == [
            ["video.generation.failed", "vgen_2", "failed"],
            ["video.generation.completed", "vgen_1", "succeeded"],
        ]

    @pytest.mark.parametrize(
        ("options", "listed"),
        [
            pytest.param(["--job", "vgen_1"], ["vgen_1"], id="job"),
            pytest.param(["--status", "failed"], ["vgen_2"], id="status"),
            pytest.param(["--source", "other"], [], id="source"),
            pytest.param(["--type", "*.failed"], ["vgen_2"], id="type"),
            pytest.param(["--kind", "video"], ["vgen_2", "vgen_1"], id="kind"),
            pytest.param(["--state", "dead"], [], id="state"),
            pytest.param(["--since", "1h"], ["vgen_2", "vgen_1"], id="since"),
            pytest.param(["--until", "1h"], [], id="until"),
            pytest.param(["--text", "output/vgen_1"], ["vgen_1"], id="text"),
            pytest.param(["--before", "2"], ["vgen_1"], id="before"),
            pytest.param(["--limit", "1"], ["vgen_2"], id="limit"),
        ],
    )
    def test_can_be_chosen(self, as_json, post, options, listed):
        post("vgen_1")
        post("vgen_2", status="failed")

        assert [row["job"] for row in as_json("events", *options)] == listed

    def test_say_where_to_go_on(self, receiver, post):
        post("vgen_1")
        post("vgen_2")

        assert receiver("events", "--limit", "1").stderr == "there are more: --before 2\n"

    def test_do_not_say_where_to_go_on_at_the_end(self, receiver, post):
        post("vgen_1")

        assert receiver("events", "--limit", "1").stderr == ""

    def test_that_are_rare_are_looked_for_until_they_are_found(self, as_json, post, monkeypatch):
        monkeypatch.setattr("receiver.store.search.WINDOW", 2)
        post("vgen_0", kind="image")
        for number in range(1, 8):
            post(f"vgen_{number}")

        assert [row["job"] for row in as_json("events", "--kind", "image")] == ["vgen_0"]

    def test_have_their_data_and_outputs_in_json(self, as_json, post):
        post("vgen_1")

        [row] = as_json("events")
        assert row["data"]["id"] == "vgen_1"
        assert row["outputs"] == [{"url": "https://cdn.creativeai.run/output/vgen_1.mp4", "authorized": False}]


class TestDeliveries:
    def test_are_listed(self, receiver, post):
        post("vgen_1")

        assert receiver("deliveries").stdout.splitlines()[2].split()[1:5] == [
            "creativeai",
            "webhook",
            "signed",
            "recorded",
        ]

    def test_that_came_twice_are_one_line_with_a_count(self, as_json, post):
        post("vgen_1")
        with pytest.raises(ValueError, match="not enough values"):
            post("vgen_1")

        assert [row["seen_count"] for row in as_json("deliveries")] == [2]

    def test_have_their_body_in_json(self, as_json, post):
        post("vgen_1")

        assert '"id": "vgen_1"' in as_json("deliveries")[0]["body"]

    def test_that_were_refused_are_listed_with_the_reason(self, receiver, refused):
        assert "missing_signature" in receiver("deliveries", "--rejected").stdout

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            pytest.param(["--verdict", "recorded"], 1, id="verdict"),
            pytest.param(["--verdict", "hint"], 0, id="verdict-rare"),
            pytest.param(["--via", "poll"], 0, id="via"),
            pytest.param(["--since", "1h"], 1, id="since"),
            pytest.param(["--until", "1h"], 0, id="until"),
            pytest.param(["--before", "1"], 0, id="before"),
        ],
    )
    def test_can_be_chosen(self, as_json, post, options, count):
        post("vgen_1")

        assert len(as_json("deliveries", *options)) == count

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            pytest.param(["--reason", "missing_signature"], 1, id="reason"),
            pytest.param(["--reason", "malformed"], 0, id="other-reason"),
            pytest.param(["--source", "other"], 0, id="source"),
        ],
    )
    def test_that_were_refused_can_be_chosen(self, as_json, refused, options, count):
        assert len(as_json("deliveries", "--rejected", *options)) == count

    def test_that_were_refused_need_not_be_text(self, as_json, refused):
        assert as_json("deliveries", "--rejected")[0]["body"] == "\\xff{}"

    def test_of_strangers_do_not_write_on_the_terminal(self, receiver, refused):
        result = receiver("deliveries", "--rejected")

        assert len(result.stdout.splitlines()) == 3
        assert "\x1b" not in result.stdout
        assert "\x07" not in result.stdout


class TestDispatches:
    def test_are_listed(self, receiver, post, attempted):
        dispatch = attempted(post("vgen_1"), "dead", "no such order")

        assert receiver("dispatches").stdout.splitlines()[2].split()[:5] == [
            str(dispatch),
            "1",
            "orders",
            "vgen_1",
            "dead",
        ]

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            pytest.param(["--state", "dead"], 1, id="state"),
            pytest.param(["--state", "done"], 0, id="other-state"),
            pytest.param(["--handler", "orders"], 1, id="handler"),
            pytest.param(["--handler", "log"], 0, id="other-handler"),
            pytest.param(["--event", "1"], 1, id="event"),
            pytest.param(["--event", "2"], 0, id="other-event"),
            pytest.param(["--replay", "abc"], 0, id="replay"),
            pytest.param(["--source", "creativeai"], 1, id="source"),
            pytest.param(["--source", "other"], 0, id="other-source"),
            pytest.param(["--error", "such"], 1, id="error"),
            pytest.param(["--before", "1"], 0, id="before"),
        ],
    )
    def test_can_be_chosen(self, as_json, post, attempted, options, count):
        attempted(post("vgen_1"), "dead", "no such order")

        assert len(as_json("dispatches", *options)) == count

    def test_have_their_attempts_in_json(self, as_json, post, attempted):
        attempted(post("vgen_1"), "dead", "no such order")

        [row] = as_json("dispatches")
        assert [(attempt["outcome"], attempt["error"]) for attempt in row["attempts"]] == [("dead", "no such order")]

    def test_with_hostile_errors_do_not_write_on_the_terminal(self, receiver, post, attempted):
        attempted(post("vgen_1"), "dead", HOSTILE)

        result = receiver("dispatches")

        assert len(result.stdout.splitlines()) == 3
        assert "\x1b" not in result.stdout

    def test_of_a_replay_can_be_chosen(self, as_json, store, post, attempted):
        event = post("vgen_1")
        attempted(event, "done")
        [replayed] = store.replay({event.id: ["orders"]}, replay_id="abc")

        assert [(row["id"], row["replay_id"]) for row in as_json("dispatches", "--replay", "abc")] == [
            (replayed, "abc")
        ]


class TestShow:
    @pytest.fixture
    def letter(self, store, post, attempted):
        event = post("vgen_1")
        first = attempted(event, "dead", f"no such order{' at all' * 20}")
        store.retry([first])
        assert attempted(event, "dead", HOSTILE) == first
        return first

    def test_shows_a_dispatch_with_all_that_belongs_to_it(self, receiver, letter):
        result = receiver("show", letter)

        lines = [line.split() for line in result.stdout.splitlines()]
        titles = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
        assert result.exit_code == 0
        assert titles == [f"dispatch {letter}", "event", "job", "attempt 1", "attempt 1"]
        assert ["type", "video.generation.completed"] in lines
        assert ["state", "dead"] in lines

    def test_shows_every_error_whole(self, receiver, letter):
        assert f"no such order{' at all' * 20}" in receiver("show", letter).stdout

    def test_does_not_write_on_the_terminal(self, receiver, letter):
        assert "\x1b" not in receiver("show", letter).stdout

    def test_is_one_object_for_programs(self, as_json, letter):
        [row] = as_json("show", letter)

        assert (row["id"], row["state"], row["event"]["job"]) == (letter, "dead", "vgen_1")
        assert row["event"]["data"]["id"] == "vgen_1"
        assert row["job"]["status"] == "succeeded"
        assert [attempt["outcome"] for attempt in row["attempts"]] == ["dead", "dead"]

    def test_shows_its_event_and_job_as_the_lists_do(self, as_json, letter):
        [shown], [event], [job] = as_json("show", letter), as_json("events"), as_json("jobs")

        assert shown["event"].items() <= event.items()
        assert shown["job"].items() <= job.items()

    def test_says_that_there_is_none(self, receiver):
        result = receiver("show", 7)

        assert (result.exit_code, result.stderr) == (
            2,
            "receiver: there is no dispatch 7; see `receiver dispatches`\n",
        )


class TestCheck:
    def test_prints_the_merged_configuration(self, receiver, monkeypatch):
        monkeypatch.setenv("RECEIVER_WEB__CONNECTIONS", "7")

        lines = receiver("check", "--offline").stdout.splitlines()

        assert "web.connections = 7" in lines
        assert 'worker.lease = "60s"' in lines
        assert 'handlers.orders.path = "orders.py"' in lines

    def test_masks_secrets(self, receiver):
        result = receiver("check", "--offline")

        assert 'sources.creativeai.secrets = ["**********"]' in result.stdout.splitlines()
        assert SECRET not in result.output
        assert API_KEY not in result.output

    def test_masks_secrets_of_handlers(self, receiver, config, tmp_path):
        (tmp_path / "tell.py").write_text(PRIVATE_HANDLER)
        config.write_text('[handlers.tell]\npath = "tell.py"\ntoken = "hunter2"\ntokens = ["hunter3"]')

        result = receiver("check", "--offline")

        lines = result.stdout.splitlines()
        assert 'handlers.tell.token = "**********"' in lines
        assert 'handlers.tell.tokens = ["**********"]' in lines
        assert 'handlers.tell.channel = "general"' in lines
        assert "hunter" not in result.output

    def test_leaves_out_the_settings_of_a_handler_that_is_off(self, receiver, config, tmp_path):
        (tmp_path / "tell.py").write_text(PRIVATE_HANDLER)
        config.write_text('[handlers.tell]\npath = "tell.py"\ntoken = "hunter2"\nenabled = false')

        result = receiver("check", "--offline")

        assert result.exit_code == 0
        assert "hunter" not in result.output

    def test_masks_secrets_where_a_setting_is_wrong(self, receiver, config, tmp_path):
        (tmp_path / "tell.py").write_text(PRIVATE_HANDLER)
        config.write_text('[handlers.tell]\npath = "tell.py"\ntoken = ["hunter2"]')

        assert "hunter" not in receiver("check", "--offline").output

    def test_loads_handlers_and_tries_the_store(self, receiver):
        lines = receiver("check", "--offline").stdout.splitlines()

        assert lines[-2:] == ["store: commits", "handler orders: loaded"]

    def test_names_dispatches_whose_handler_left_the_configuration(self, receiver, store, post):
        for job_id in ("vgen_1", "vgen_2"):
            store.route({post(job_id).id: ["orders", "removed"]})

        result = receiver("check", "--offline")

        assert result.exit_code == 0
        assert result.stderr.splitlines() == ["handler removed: not configured, and 2 dispatches wait for it"]

    @pytest.mark.parametrize("status", [401, 404, 500])
    def test_shows_no_key_that_the_provider_echoes(self, receiver, config, status):
        echo = Answer({"error": {"message": f"not with {API_KEY} nor {SECRET}"}}, status=status)
        with Scripted(always(echo)) as server:
            config.write_text(TABLES.replace("http://127.0.0.1:9", server.url))

            result = receiver("check")

        assert (result.exit_code, "not with (masked) nor (masked)" in result.stderr) == (1, True)
        assert API_KEY not in result.output
        assert SECRET not in result.output

    def test_accepts_a_key_that_the_provider_accepts(self, receiver, config, provider):
        config.write_text(TABLES.replace("http://127.0.0.1:9", provider.base_urls["creativeai"]))

        result = receiver("check")

        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == "source creativeai: the API key is accepted"

    def test_fails_for_a_key_that_the_provider_refuses(self, receiver, config, provider):
        config.write_text(
            TABLES.replace("http://127.0.0.1:9", provider.base_urls["creativeai"]).replace(API_KEY, "another-key")
        )

        result = receiver("check")

        assert result.exit_code == 1
        assert "check sources.creativeai.api_key" in result.stderr
        assert "another-key" not in result.output

    def test_fails_for_a_provider_that_cannot_be_reached(self, receiver, config):
        config.write_text(TABLES.replace("http://127.0.0.1:9", f"http://127.0.0.1:{free_port()}"))

        assert receiver("check").exit_code == 1

    def test_asks_nobody_when_offline(self, receiver):
        assert receiver("check", "--offline").exit_code == 0

    def test_says_what_a_source_without_key_means(self, receiver, config):
        config.write_text(TABLES.replace(f'api_key = "{API_KEY}"', ""))

        result = receiver("check")

        assert result.exit_code == 0
        assert "source creativeai: no API key" in result.stdout
