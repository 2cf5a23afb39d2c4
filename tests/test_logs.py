"""What the logs say, and what they do not."""

import json
import logging
import re
from datetime import UTC, datetime

import pytest

from receiver import logs, signals
from receiver.errors import StoreUnavailable
from receiver.models import Claim, Event, Output, Standing, Status, Via
from receiver.outcomes import Decision, Outcome
from receiver.signals import announce
from tests.watch import eventually

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

    request = logs._request.set(None)
    yield configure
    logs._request.reset(request)
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
        "source": "studio",
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


def test_hints_that_are_turned_away_fill_no_log(log, monkeypatch):
    monkeypatch.setattr(logs, "_hints", logs.Flood(1, logs._hints_besides, seconds=0.2))
    lines = log("json")

    for _ in range(10):
        announce(signals.hints_turned_away, "flooded", count=1)

    [first] = [json.loads(line) for line in lines()]
    [last] = [json.loads(line) for line in eventually(lines)]
    assert (first["event"].partition(":")[0], first["source"]) == ("hints are turned away", "flooded")
    assert (last["event"], last["count"]) == ("hints of more deliveries are turned away", 9)


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


def refused(reason="signature_mismatch", source="studio"):
    announce(signals.delivery_refused, source, reason=reason)


def test_a_flood_of_refusals_fills_no_log(log, monkeypatch):
    monkeypatch.setattr(logs, "_refusals", logs.Flood(60, logs._refused_besides))
    lines = log("json")

    for _ in range(1000):
        refused()

    assert len(lines()) == 60


@pytest.mark.parametrize(
    ("note", "repeated"), [pytest.param("not JSON", False, id="odd"), pytest.param(None, True, id="seen-before")]
)
def test_a_flood_of_what_is_taken_in_fills_no_log(log, monkeypatch, note, repeated):
    monkeypatch.setattr(logs, "_taken_in", logs.Flood(60, logs._taken_in_besides))
    lines = log("json")

    for number in range(1000):
        announce(signals.delivery_received, "unsigned", delivery=number, repeated=repeated, note=note)

    assert len(lines()) == 60


def test_an_outage_fills_no_log(log, monkeypatch):
    monkeypatch.setattr(logs, "_outages", logs.Flood(60, logs._outage_besides))
    lines = log("json")

    for _ in range(1000):
        logs.store_unavailable(StoreUnavailable("it is locked"))

    assert len(lines()) == 60


def test_one_flood_hides_no_other_refusal(log, monkeypatch):
    monkeypatch.setattr(logs, "_refusals", logs.Flood(1, logs._refused_besides))
    lines = log("json")

    for reason, source in [("malformed", "studio"), ("malformed", "studio"), ("no_keys", "studio"), ("no_keys", None)]:
        refused(reason, source)

    told = [json.loads(line) for line in lines()]
    assert [(line["source"], line["reason"]) for line in told] == [
        ("studio", "malformed"),
        ("studio", "no_keys"),
        (None, "no_keys"),
    ]


def test_says_in_the_end_how_many_there_were_besides(log, monkeypatch):
    monkeypatch.setattr(logs, "_refusals", logs.Flood(2, logs._refused_besides, seconds=0.05))
    lines = log("json")
    for _ in range(10):
        refused()
    lines()

    [line] = [json.loads(line) for line in eventually(lines)]

    assert (line["event"], line["reason"], line["count"]) == ("more deliveries refused", "signature_mismatch", 8)


def test_after_a_flood_lines_are_written_again(log, monkeypatch):
    flood = logs.Flood(1, lambda kind, count: ended.append(count), seconds=0.05)
    ended = []
    kind = ("studio", "malformed")
    flood.allows(kind)
    flood.allows(kind)

    eventually(lambda: ended)

    assert flood.allows(kind)


FORGED = "2026-03-09T00:00:00.000Z [error   ] all is lost                  source=studio"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"first\n{FORGED}", id="newline"),
        pytest.param(f"first\r{FORGED}", id="carriage-return"),
        pytest.param(f"first\u2028{FORGED}", id="line-separator"),
        pytest.param(f"first\x85{FORGED}", id="next-line"),
        pytest.param("\x1b[2J\x1b[31mred", id="ansi"),
        pytest.param("\u202eflipped", id="bidi"),
        pytest.param('", "level": "error", "event": "forged', id="json"),
    ],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_strangers_send_makes_no_line_and_moves_no_cursor(log, log_format, text):
    lines = log(log_format)

    announce(signals.status_unknown, "studio", job=text, raw_status=text)
    logging.getLogger("another").warning("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("another").exception("failed")

    written = lines()
    assert not [line for line in written if line.startswith(("2026-03-09", "\x1b", "\u202e")) or not line.isprintable()]
    if log_format == "json":
        assert [json.loads(line)["level"] for line in written] == ["warning", "warning", "error"]


def test_names_the_request_that_is_answered(log):
    lines = log("json")

    logs.begin_request("proxy-7")
    refused("another_reason")

    [line] = [json.loads(line) for line in lines()]
    assert line["request"] == "proxy-7"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("a b", id="words"),
        pytest.param("x" * 65, id="too-long"),
    ],
)
def test_a_request_without_a_good_id_gets_one(log, given):
    lines = log("json")

    logs.begin_request(given)
    refused("yet_another_reason")

    [line] = [json.loads(line) for line in lines()]
    assert re.fullmatch("[0-9a-f]{16}", line["request"])
