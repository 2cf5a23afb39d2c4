"""Traces: real processes, a real exporter, and what a collector would get."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver import tracing
from receiver.sandbox import signed, webhook_body
from tests.running import SECRET, Running
from tests.scripted import Answer, Scripted, always
from tests.trouble import child, said
from tests.watch import eventually

HANDLER = """
from datetime import timedelta
from pathlib import Path

from receiver import Router, Snooze

router = Router()
here = Path(__file__).parent


@router.on()
def call(event, context):
    with open(here / "seen.txt", "a") as file:
        file.write(f"{context.traceparent}\\n")
    context.client.send("POST", "%s/called", allow_private=True)
    if len((here / "seen.txt").read_text().splitlines()) == 1:
        return Snooze(timedelta(seconds=1))
"""


PRIVATE = "not-for-anybody"

FAILING = f"""
from receiver import Router

router = Router()


@router.on()
def fail(event):
    raise ValueError("{PRIVATE}")
"""

RAISES = f"""
import sys
from receiver import tracing

tracing.configure()
try:
    with tracing.span("delivery"):
        raise ValueError("{PRIVATE}")
except ValueError:
    print("ready", flush=True)
sys.stdin.readline()
"""

NOTHING_SAID, FAILED = (0, ""), (2, "")


@dataclass(frozen=True)
class Span:
    """One step, as a collector gets it."""

    name: str
    trace_id: str
    id: str
    parent_id: str
    attributes: dict
    status: tuple[int, str]
    """Its code, and what it says."""


@pytest.fixture
def collector():
    """Takes what exporters post; `spans(collector)` are those that have arrived."""
    with Scripted(always(Answer())) as server:
        yield server


def spans(collector):
    found = []
    for asked in [asked for asked in collector.asked if asked.path == "/v1/traces"]:
        zipped = asked.headers.get("content-encoding") == "gzip"
        request = ExportTraceServiceRequest.FromString(gzip.decompress(asked.body) if zipped else asked.body)
        found += [
            Span(
                name=span.name,
                trace_id=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                attributes={pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes},
                status=(span.status.code, span.status.message),
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return found


@pytest.fixture
def exporting(collector, monkeypatch):
    """Processes that are started trace what they do."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture(params=["", "isolated = true"], ids=["in-the-worker", "isolated"])
def traced(tmp_path, collector, exporting, request):
    """A receiver that has traced one delivery and the attempts of its handler."""
    (tmp_path / "calling.py").write_text(HANDLER % collector.url)
    running = Running(tmp_path, f'[handlers.calling]\npath = "calling.py"\n{request.param}')
    with running.serving():
        post(running)
        eventually(
            lambda: sorted(span.name for span in spans(collector)) == ["attempt", "attempt", "delivery"], within=30
        )
    return running


def post(running):
    body = webhook_body("video", "vgen_1")
    httpx.post(f"{running.url}/webhooks/creativeai", content=body, headers=signed(body, SECRET), timeout=10)


def seen(folder: Path):
    file = folder / "seen.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_one_trace_leads_from_the_delivery_to_the_last_attempt(traced, collector):
    [delivery] = [span for span in spans(collector) if span.name == "delivery"]
    attempts = [span for span in spans(collector) if span.name == "attempt"]

    assert {span.trace_id for span in attempts} == {delivery.trace_id}
    assert {span.parent_id for span in attempts} == {delivery.id}
    assert (delivery.parent_id, delivery.attributes["receiver.source"]) == ("", "creativeai")
    assert {(span.attributes["receiver.outcome"], span.status) for span in attempts} == {
        ("snooze", NOTHING_SAID),
        ("done", NOTHING_SAID),
    }


def test_handlers_and_whom_they_call_are_told_where_they_are(traced, collector, tmp_path):
    attempts = {(span.trace_id, span.id) for span in spans(collector) if span.name == "attempt"}
    called = {asked.headers["traceparent"] for asked in collector.asked if asked.path == "/called"}

    assert set(seen(tmp_path)) == called
    assert {tuple(traceparent.split("-")[1:3]) for traceparent in called} == attempts


def test_an_attempt_that_failed_says_so_and_not_why(tmp_path, collector, exporting):
    (tmp_path / "failing.py").write_text(FAILING)
    running = Running(tmp_path, '[handlers.failing]\npath = "failing.py"\nmax_attempts = 1')

    with running.serving():
        post(running)
        [attempt] = eventually(lambda: [span for span in spans(collector) if span.name == "attempt"], within=30)

    assert (attempt.attributes["receiver.outcome"], attempt.status) == ("dead", FAILED)


def test_what_an_exception_says_does_not_leave(collector, exporting):
    with child(RAISES) as process:
        said(process, "ready")
        [span] = eventually(lambda: spans(collector))

    assert (span.attributes["error.type"], span.status) == ("ValueError", FAILED)
    assert not [asked for asked in collector.asked if PRIVATE.encode() in asked.body]


def test_without_the_variables_nothing_is_traced(tmp_path, collector):
    (tmp_path / "calling.py").write_text(HANDLER % collector.url)
    running = Running(tmp_path, '[handlers.calling]\npath = "calling.py"')

    with running.serving():
        post(running)
        eventually(lambda: len(collector.asked) == 2, within=30)

    assert seen(tmp_path) == ["None", "None"]
    assert [asked.headers.get("traceparent") for asked in collector.asked] == [None, None]


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        pytest.param({}, False, id="none"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1"}, True, id="endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1"}, True, id="endpoint-of-traces"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, True, id="exporter"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1", "OTEL_TRACES_EXPORTER": "none"}, False, id="no-exporter"
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1", "OTEL_SDK_DISABLED": "true"}, False, id="disabled"
        ),
    ],
)
def test_only_the_standard_variables_count(monkeypatch, variables, wanted):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert tracing._wanted() is wanted


def test_outside_of_a_trace_there_is_no_traceparent():
    with tracing.span("delivery", source="studio"):
        assert tracing.traceparent() is None
