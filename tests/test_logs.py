"""What the logs say, and what they do not."""

import json
import logging
from datetime import UTC, datetime

import pytest

from receiver import logs, signals
from receiver.models import Claim, Event, Output, Standing, Status, Via
from receiver.outcomes import Decision, Outcome
from receiver.signals import announce

PRIVATE = "not-for-anybody"
EVENT = Event(
    id=7,
    source="studio",
    key="job_1:succeeded",
    type="video.generation.completed",
    data={"prompt": PRIVATE},
    job_id="job_1",
    status=Status.SUCCEEDED,
    outputs=(Output(f"https://cdn.example/{PRIVATE}.mp4"),),
    recorded_at=datetime(2026, 3, 9, tzinfo=UTC),
)
CLAIM = Claim(id=3, token=PRIVATE, handler="archive", attempt=2, idempotency_key=PRIVATE, event=EVENT, job=None)


@pytest.fixture
def log(capsys):
    """Configure the logs; what was logged since, as lines."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def lines():
        return capsys.readouterr().err.splitlines()

    def configure(log_format):
        logs.configure(log_format)
        return lines

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in signals.__all__:
        if observer := getattr(logs, f"_{name}", None):
            getattr(signals, name).disconnect(observer)


def finished(error=None, *, decision=Decision.DONE, state="done"):
    outcome = Outcome(decision=decision, error=error, result={"path": PRIVATE})
    announce(signals.dispatch_finished, "archive", claim=CLAIM, outcome=outcome, state=state, seconds=0.12345)


def received(**facts):
    known = {"delivery": 5, "via": Via.WEBHOOK, "trust": "signed", "verdict": "recorded"}
    announce(signals.delivery_received, "studio", **({"repeated": False, "note": None} | known | facts))


def announce_everything():
    received(repeated=True)
    announce(signals.delivery_refused, "studio", reason="signature_mismatch")
    announce(signals.event_recorded, "studio", event=EVENT)
    announce(signals.status_unknown, "studio", job="job_1", raw_status="paused")
    announce(signals.job_polled, "studio", job="job_1", status=Status.RUNNING)
    announce(signals.poll_failed, "studio", job="job_1", error="HTTP 500")
    finished()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_says_each_fact_in_a_line(log, log_format):
    lines = log(log_format)

    announce_everything()

    # A poll that went well is no news.
    assert len(lines()) == 6


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_says_nothing_private(log, log_format):
    lines = log(log_format)

    announce_everything()

    assert PRIVATE not in "\n".join(lines())


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"Client error '404' for url 'https://cdn.example/a.mp4?token={PRIVATE}'", id="query"),
        pytest.param(f"<https://cdn.example/{PRIVATE}>", id="path"),
        pytest.param(f"HTTPS://user:{PRIVATE}@cdn.example", id="password"),
        pytest.param(f"https://cdn.example#{PRIVATE} and https://cdn.example/?{PRIVATE}", id="several"),
    ],
)
def test_of_a_url_says_only_the_host(log, log_format, text):
    lines = log(log_format)

    finished(text, decision=Decision.RETRY)

    [line] = lines()
    assert "cdn.example" in line
    assert PRIVATE not in line


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_of_several_lines_is_one_line(log, log_format):
    lines = log(log_format)

    finished("first\nsecond\r\nthird", decision=Decision.RETRY)

    assert len(lines()) == 1


def test_a_line_is_json(log):
    lines = log("json")

    finished("no such bucket: 夜 \ud800", decision=Decision.RETRY)

    [line] = [json.loads(line) for line in lines()]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "attempt finished",
        "level": "warning",
        "handler": "archive",
        "dispatch": 3,
        "event_id": 7,
        "job": "job_1",
        "attempt": 2,
        "outcome": "retry",
        "error": "no such bucket: 夜 \ud800",
        "seconds": 0.123,
    }


def test_every_line_is_json(log):
    lines = log("json")

    announce_everything()
    logging.getLogger("another").warning("with %s", "arguments", extra={"strange": object()})
    try:
        raise ValueError("on purpose")
    except ValueError:
        logging.getLogger("another").exception("with a traceback")

    assert [json.loads(line)["event"] for line in lines()][-2:] == ["with arguments", "with a traceback"]


@pytest.mark.parametrize(
    ("tell", "event", "level"),
    [
        pytest.param(lambda: received(note="the body is not JSON"), "delivery is odd", "warning", id="odd"),
        pytest.param(lambda: received(repeated=True), "delivery seen before", "info", id="repeated"),
        pytest.param(
            lambda: announce(signals.delivery_refused, None, reason="unknown_source"),
            "delivery refused",
            "warning",
            id="refused",
        ),
        pytest.param(
            lambda: announce(signals.event_recorded, "studio", event=EVENT), "event recorded", "info", id="recorded"
        ),
        pytest.param(
            lambda: announce(
                signals.event_recorded,
                "studio",
                event=Event(source="s", key="k", type="job.expired", data={}, status=Status.EXPIRED),
            ),
            "event recorded",
            "warning",
            id="expired",
        ),
        pytest.param(lambda: finished(), "attempt finished", "info", id="finished"),
        pytest.param(lambda: finished("no"), "attempt finished", "warning", id="failed"),
        pytest.param(lambda: finished(state=None), "attempt finished too late to count", "info", id="too-late"),
    ],
)
def test_says_how_grave_it_is(log, tell, event, level):
    lines = log("json")

    tell()

    [line] = [json.loads(line) for line in lines()]
    assert (line["event"], line["level"]) == (event, level)


def test_hints_that_are_turned_away_fill_no_log(log):
    lines = log("json")

    for _ in range(100):
        announce(signals.hints_turned_away, "flooded", count=1)

    # Or two, if a minute ends just then.
    assert 1 <= len(lines()) <= 2


def test_a_new_delivery_is_said_by_its_events(log):
    lines = log("json")

    received()

    assert lines() == []


def test_says_how_an_event_stands_to_its_job(log):
    lines = log("json")

    announce(signals.event_recorded, "studio", event=EVENT)

    [line] = [json.loads(line) for line in lines()]
    assert (line["standing"], line["status"], line["via"]) == (Standing.CURRENT, "succeeded", "webhook")


def test_does_not_repeat_itself_when_configured_twice(log):
    log("text")
    lines = log("json")

    finished()

    assert len(lines()) == 1


@pytest.mark.parametrize("name", ["httpx", "httpcore", "werkzeug"])
def test_keeps_the_chatty_quiet(log, name):
    lines = log("text")

    logging.getLogger(name).info("GET https://cdn.example/")

    assert lines() == []


def test_writes_no_colours_into_a_file(log):
    lines = log("text")

    finished("no")

    assert "\x1b" not in "".join(lines())
