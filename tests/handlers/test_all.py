"""What holds for every handler that ships, whatever it does."""

import copy
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from receiver import Event, Failure, Output, Status, plugins
from receiver.config import HandlerConfig
from receiver.errors import ConfigError
from receiver.outcomes import Decision
from receiver.testing import make_event, make_job, run_handler
from tests.brokers import Redis
from tests.running import free_port
from tests.scripted import Answer, Scripted, always

# Apprise imports it for encrypted mail, wherever Python still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "hunter2hunter2"
PAGE = (Path(__file__).parents[2] / "docs" / "shipped-handlers.md").read_text("utf-8")
LONG = "x" * 100_000

EVENTS = [
    pytest.param(Event(source="source", key="key", type="type", data={}), id="bare"),
    pytest.param(make_event(status="succeeded", outputs=()), id="no-outputs"),
    pytest.param(make_event(status="failed", failure=Failure("")), id="no-reason"),
    pytest.param(make_event(status=Status.LOST, raw_status=None, data={"error": None}), id="lost"),
    pytest.param(make_event(status="failed", failure=Failure("a\nb\r\n\x1b[31m\0", "c\nd")), id="control-characters"),
    pytest.param(make_event(status="failed", failure=Failure("夜明け 🎬 \u202e\u2028")), id="unicode"),
    pytest.param(replace(make_event(status="running"), type="t.*>/../{x} %s", kind="a/b"), id="odd-type"),
    pytest.param(make_event(status="failed", job_id="../../etc/passwd\n", key="a b\nc"), id="odd-job"),
    pytest.param(make_event(status="failed", data={"text": LONG, "seed": 2**63 + 1, "deep": [[[[{}]]]]}), id="large"),
]


@pytest.fixture
def target():
    """Who is told of events; takes everything."""
    with Scripted(always(Answer(b"media", headers={"Content-Type": "video/mp4"}))) as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    broker = Redis(tmp_path_factory.mktemp("redis"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def settings(target, tmp_path, request):
    """Settings with which the handler reaches whatever it needs."""
    address = target.url.removeprefix("http://")
    return {
        "archive": lambda: {"directory": str(tmp_path / "media"), "allow_private": True},
        "command": lambda: {
            "command": ["sh", "-c", 'echo "$RECEIVER_IDEMPOTENCY_KEY" >> "$0"; exec cat', str(tmp_path / "keys")],
            "environment": {"API_KEY": SECRET},
        },
        "forward": lambda: {"url": f"{target.url}/?token={SECRET}", "secrets": [WHSEC], "allow_private": True},
        "log": lambda: {},
        "notify": lambda: {"urls": f"json://user:{SECRET}@{address}/media"},
        "publish": lambda: {"url": request.getfixturevalue("redis").url, "to": "media:{source}"},
        "table": lambda: {"to": f"sqlite:///{tmp_path / 'media.db'}"},
    }


@pytest.fixture
def effects(target, tmp_path, request, capsys):
    """What came of all runs of a handler: files, rows, and by what others know what they were told."""

    def rows():
        with closing(sqlite3.connect(tmp_path / "media.db")) as database:
            return [job for (job,) in database.execute("SELECT job FROM jobs")]

    def published():
        return request.getfixturevalue("redis").published("media:creativeai")

    return {
        "archive": lambda: [path.name for path in (tmp_path / "media").glob("*.mp4")],
        "command": lambda: (tmp_path / "keys").read_text().split(),
        "forward": lambda: [asked.headers["webhook-id"] for asked in target.asked],
        "log": lambda: [json.loads(line)["event_id"] for line in capsys.readouterr().out.splitlines()],
        "notify": lambda: [asked.path for asked in target.asked],
        "publish": lambda: [item.id for item in published() if item.id == "twice"],
        "table": rows,
    }


WHSEC = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="
HANDLERS = ["archive", "command", "forward", "log", "notify", "publish", "table"]


def module(name):
    return import_module(f"receiver_handlers.{name}")


def run(name, event, settings, **more):
    job = make_job(event.job_id, kind=event.kind or "video", metadata={"order": 17}) if event.job_id else None
    return run_handler(module(name), event, settings=settings[name](), job=job, **more)


def test_these_are_all():
    assert plugins.installed_handlers() == HANDLERS


@pytest.mark.parametrize("name", HANDLERS)
class TestEveryHandler:
    def test_refuses_a_setting_it_does_not_know(self, name, settings):
        table = HandlerConfig(**settings[name](), colour="red")

        with pytest.raises(ConfigError, match=f"handlers.{name}.colour: unknown key"):
            plugins.handlers_of(name, module(name), table)

    def test_documents_its_settings(self, name):
        fields = module(name).router.settings.model_fields if module(name).router.settings else {}

        assert [key for key, field in fields.items() if not field.description] == []

    def test_is_on_its_page_with_its_settings(self, name):
        rows = re.findall(rf"^\| `{name}` \| `?(\w*)`? \|", PAGE, re.MULTILINE)

        assert re.search(rf"^`{name}` ", PAGE, re.MULTILINE)
        assert rows == (list(module(name).router.settings.model_fields) if module(name).router.settings else [""])

    @pytest.mark.parametrize("event", EVENTS)
    def test_ends_well_for_an_event_that_is(self, name, settings, event):
        outcome = run(name, event, settings)

        assert outcome is None or outcome.decision is Decision.DONE, outcome.error

    @pytest.mark.parametrize("provider", sorted(plugins.providers()))
    def test_ends_well_for_an_event_of(self, name, settings, target, provider):
        kinds = plugins.providers()[provider].kinds or [None]
        outputs = (Output(f"{target.url}/result.mp4?signature=1"),)

        outcomes = [
            run(name, make_event(provider, kind, status=status, outputs=outputs), settings)
            for kind in kinds
            for status in (Status.SUCCEEDED, Status.FAILED)
        ]

        assert {outcome.decision for outcome in outcomes if outcome} <= {Decision.DONE}

    def test_does_no_harm_when_run_twice(self, name, settings, target, effects):
        event = make_event(outputs=(Output(f"{target.url}/result.mp4"),))

        outcomes = [run(name, event, settings, attempt=attempt, idempotency_key="twice") for attempt in (1, 2)]

        assert [outcome.decision for outcome in outcomes] == [Decision.DONE] * 2
        # What is outside is told twice, and can tell by the same id or key that it was told before.
        seen = effects[name]()
        assert (len(seen), len(set(seen))) == (1 if name in ("archive", "notify", "table") else 2, 1)

    def test_leaves_its_event_as_it_is(self, name, settings, target):
        event = make_event(outputs=(Output(f"{target.url}/result.mp4"),))
        before = copy.deepcopy(event)

        run(name, event, settings)

        assert event == before

    def test_shows_no_secret(self, name, settings, target, capfd, caplog):
        outcome = run(name, make_event(outputs=(Output(f"{target.url}/result.mp4?signature={SECRET}"),)), settings)

        captured = capfd.readouterr()
        assert SECRET not in json.dumps([outcome.error, outcome.result])
        assert SECRET not in caplog.text + captured.out + captured.err


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param("archive", {"directory": "{folder}", "allow_private": True}, id="archive"),
        pytest.param(
            "forward",
            {"url": "http://127.0.0.1:{port}/?token={secret}", "secrets": [WHSEC], "allow_private": True},
            id="forward",
        ),
        pytest.param("notify", {"urls": "json://user:{secret}@127.0.0.1:{port}/"}, id="notify"),
        pytest.param("publish", {"url": "redis://user:{secret}@127.0.0.1:{port}", "to": "media"}, id="redis"),
        pytest.param("publish", {"url": "nats://user:{secret}@127.0.0.1:{port}", "to": "media"}, id="nats"),
        pytest.param("publish", {"url": "amqp://user:{secret}@127.0.0.1:{port}", "to": "/media"}, id="rabbitmq"),
        pytest.param("command", {"command": ["sh", "-c", "exit 75"], "environment": {"K": "{secret}"}}, id="command"),
        pytest.param("table", {"to": "sqlite:///{folder}"}, id="table"),
    ],
)
def test_tries_again_when_what_it_needs_is_away(name, settings, tmp_path, caplog):
    words = {"port": str(free_port()), "secret": SECRET, "folder": str(tmp_path)}
    written = json.loads(re.sub(r"\{(\w+)\}", lambda found: words[found[1]], json.dumps(settings)))
    outputs = (Output(f"http://127.0.0.1:{words['port']}/result.mp4?signature={SECRET}"),)

    outcome = run_handler(module(name), make_event(outputs=outputs), settings=written, idempotency_key="away")

    assert outcome.decision is Decision.RETRY
    assert SECRET not in outcome.error + caplog.text
