"""What Prometheus is told: counted by real processes, read from real stores."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver import metrics
from receiver.config import HandlerConfig
from receiver.exposition import exposition
from receiver.inbox import Source
from receiver.metrics import METRICS, Type
from receiver.models import Budget, Via
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import signed, webhook_body
from receiver.store.sqlite import SQLiteStore
from tests.running import SECRET, Running
from tests.store.contract import DUE, RETRY, SOURCE, a_record, an_event, claim, dead, dispatch, refusals, track
from tests.trouble import child, said, tell
from tests.watch import eventually

SOURCES = {SOURCE: Source(SOURCE, CreativeAI(secrets=["secret"], api_key="key"), budget=Budget(10, timedelta(hours=1)))}

HANDLERS = {"archive": HandlerConfig()}

LATE = {"receiver_oldest_due_dispatch_seconds", "receiver_oldest_due_poll_seconds"}

COUNT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from receiver import clock, metrics, signals
from receiver.models import Claim, Event, Status, Via
from receiver.outcomes import Decision, Outcome
from receiver.signals import announce

metrics.observe(Path(sys.argv[1]))
event = Event(source="studio", key="k", type="video.completed", data={}, job_id="job_1", status=Status.SUCCEEDED,
    via=Via.POLL, recorded_at=clock.now())
claim = Claim(id=1, token="t", handler="archive", attempt=1, idempotency_key="k", event=event, job=None,
    due_at=clock.now())

def receive(verdict="recorded", via=Via.WEBHOOK, repeated=False):
    announce(signals.delivery_received, "studio", delivery=1, via=via, trust="signed", verdict=verdict,
        repeated=repeated, note=None)

def everything():
    receive()
    announce(signals.delivery_refused, "studio", reason="signature_mismatch")
    announce(signals.delivery_answered, "studio", status=202, seconds=0.002)
    announce(signals.event_recorded, "studio", event=event)
    announce(signals.hints_turned_away, "studio", count=2)
    announce(signals.job_polled, "studio", job="job_1", status=Status.RUNNING)
    announce(signals.dispatch_finished, "archive", claim=claim, outcome=Outcome(decision=Decision.DONE), state="done",
        seconds=0.1)
    announce(signals.store_committed, None, seconds=0.001)

"""

FLOOD = """
import sys
from pathlib import Path
from receiver import metrics
from receiver.config import from_tables
from receiver.web import create_app

folder = Path(sys.argv[1])
metrics.observe(folder / "metrics")
tables = {"sources": {"open": {"provider": "kie", "unsigned": True, "api_key": "key"}}}
app = create_app(from_tables(tables, file=folder / "receiver.toml"))
client = app.test_client()

def flood(count):
    for number in range(count):
        client.post(f"/webhooks/stranger-{number}", data=b"{}")
        client.post(f"/{number}", data=b"{}")
        client.put(f"/webhooks/{number}", data=b"{}")
        client.post("/webhooks/open", json={"code": 200, "data": {"taskId": str(number), "state": f"state-{number}"}})
        client.post("/webhooks/open", data=str(number))

"""


@pytest.fixture
def directory(tmp_path):
    """Where the processes of a node keep their counters."""
    return tmp_path / "metrics"


def count(directory, *lines):
    """Let a process of its own count."""
    with child(COUNT + "\n".join([*lines, "print('ready', flush=True)"]), directory) as process:
        said(process, "ready")


def told(store, directory=None, sources=SOURCES, handlers=HANDLERS):
    """What Prometheus is told: values by name and labels."""
    text = exposition(store, sources, handlers, directory).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def names(samples):
    """The metrics that there are samples of."""
    found = {name for name, *_ in samples}
    return {metric.name for metric in METRICS if {metric.name, f"{metric.name}_count"} & found}


# What processes count


def test_counts_what_happens(store, directory):
    count(directory, "everything()", "everything()")

    samples = told(store, directory)

    assert samples["receiver_deliveries_total", "studio", "recorded"] == 2
    assert samples["receiver_deliveries_refused_total", "signature_mismatch", "studio"] == 2
    assert samples["receiver_hints_turned_away_total", "studio"] == 4
    assert samples["receiver_attempts_total", "archive", "done"] == 2
    assert samples["receiver_polls_total", "open", "studio"] == 2


def test_adds_up_what_several_processes_counted(store, directory):
    count(directory, "everything()")
    count(directory, "everything()")

    assert told(store, directory)["receiver_commit_seconds_count",] == 2


def test_files_of_processes_that_ended_become_one(store, directory):
    for _ in range(3):
        count(directory, "everything()")
    with child(COUNT + "everything(); print('ready', flush=True); sys.stdin.readline()", directory) as process:
        said(process, "ready")
        files = {file.name for file in directory.glob("*.db")}
        samples = told(store, directory)
        tell(process)

    assert files == {f"{kind}_{of}.db" for kind in ("counter", "histogram") for of in (0, process.pid)}
    assert samples["receiver_polls_total", "open", "studio"] == 4
    assert samples["receiver_commit_seconds_bucket", "+Inf"] == 4


@pytest.mark.parametrize(
    "content", [pytest.param(b"", id="only-begun"), pytest.param(b"\xff\xff\xff\x7f" * 1000, id="damaged")]
)
def test_a_file_that_cannot_be_read_is_in_nobodys_way(store, directory, content):
    count(directory, "everything()")
    for file in directory.glob("*.db"):
        file.write_bytes(content)
    count(directory, "everything()")

    assert told(store, directory)["receiver_polls_total", "open", "studio"] == 1


def test_what_somebody_else_adds_up_is_left_out(store, directory, monkeypatch):
    monkeypatch.setattr(metrics, "_PATIENCE", 0)
    count(directory, "everything()")

    with metrics.alone(directory):
        found = told(store, directory)

    assert names(found) & {metric.name for metric in METRICS if metric.type is not Type.GAUGE} == set()
    assert found["receiver_store_up",] == 1


@pytest.mark.parametrize(
    "change", [pytest.param(lambda file: file.symlink_to("gone"), id="removed"), pytest.param(Path.touch, id="begun")]
)
def test_while_files_come_and_go_there_are_no_counters(store, directory, change):
    count(directory, "everything()")
    change(directory / "counter_999.db")

    assert ("receiver_deliveries_total", "studio", "recorded") not in told(store, directory)


def test_every_counter_and_histogram_is_fed(store, directory):
    count(directory, "everything()")

    counted = {metric.name for metric in METRICS if metric.type is not Type.GAUGE}
    assert counted <= names(told(store, directory))


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        pytest.param("receive(repeated=True)", ("studio", "repeated"), id="repeated"),
        pytest.param("receive('unreadable')", ("studio", "unreadable"), id="unreadable"),
    ],
)
def test_tells_deliveries_apart(store, directory, line, labels):
    count(directory, line)

    assert told(store, directory)["receiver_deliveries_total", *labels] == 1


def test_an_answer_to_a_poll_is_no_delivery_from_outside(store, directory):
    count(directory, "receive(via=Via.POLL)")

    assert "receiver_deliveries_total" not in names(told(store, directory))


@pytest.mark.parametrize(
    ("line", "result"),
    [
        pytest.param(
            "announce(signals.job_polled, 'studio', job='j', status=Status.SUCCEEDED)", "ended", id="terminal"
        ),
        pytest.param("announce(signals.job_polled, 'studio', job='j', status=None)", "open", id="unknown-word"),
        pytest.param("announce(signals.job_missing, 'studio', job='j')", "missing", id="missing"),
        pytest.param("announce(signals.poll_failed, 'studio', job='j', error='HTTP 500')", "failed", id="failed"),
    ],
)
def test_tells_polls_apart(store, directory, line, result):
    count(directory, line)

    assert told(store, directory)["receiver_polls_total", result, "studio"] == 1


def test_a_provider_cannot_make_up_series_by_its_types(store, directory):
    count(
        directory,
        "from dataclasses import replace",
        "for number in range(1000):",
        "    announce(signals.event_recorded, 'studio', event=replace(event, type=f'type-{number}'))",
    )

    events = {key: value for key, value in told(store, directory).items() if key[0] == "receiver_events_total"}
    assert len(events) == 31
    assert events["receiver_events_total", "studio", "succeeded", "other", "poll"] == 970


def test_strangers_cannot_make_up_series(store, tmp_path):
    lines = [
        "flood(20)",
        "flood(20)",
        "print('ready', flush=True)",
        "sys.stdin.readline()",
        "flood(200)",
        "print('done', flush=True)",
    ]
    with child(FLOOD + "\n".join(lines), tmp_path) as process:
        said(process, "ready")
        before = set(told(store, tmp_path / "metrics"))
        tell(process)
        said(process, "done")

    assert set(told(store, tmp_path / "metrics")) == before


def test_a_process_without_a_folder_counts_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    metrics.observe(None)

    assert list(tmp_path.iterdir()) == []


def test_all_processes_of_serve_count_in_one_folder(store, tmp_path):
    running = Running(tmp_path, '[metrics]\ndirectory = "counters"\n[handlers.log]')
    body = webhook_body("video", "vgen_1")
    counted = {"receiver_deliveries_total", "receiver_answer_seconds", "receiver_attempts_total"}

    with running.serving():
        httpx.post(f"{running.url}/webhooks/creativeai", content=body, headers=signed(body, SECRET), timeout=10)

        eventually(lambda: counted <= names(told(store, tmp_path / "counters")))


# What the store tells


def everything(store):
    """A store in which there is something of everything."""
    dead(store, an_event("job_1"))
    dispatch(store, an_event("job_2"), an_event("job_3"))
    [claimed] = claim(store)
    store.finish(claimed, replace(RETRY, failed=True), park_after=1)
    store.receive(a_record(an_event("job_4"), via=Via.POLL))
    track(store, "open", schedule=DUE)
    store.quarantine(refusals(3), max_count=10)
    store.spend(SOURCE, budget=Budget(10, timedelta(hours=1)), learn=False)
    for number in range(16):
        [event] = store.receive(a_record(an_event(f"earlier_{number}"))).events
        store.route({event.id: []})


def test_every_gauge_is_told(store):
    everything(store)

    assert {metric.name for metric in METRICS if metric.type is Type.GAUGE} <= names(told(store))


def test_tells_what_the_store_knows(store):
    everything(store)

    samples = told(store)

    assert samples["receiver_store_up",] == 1
    assert samples["receiver_events_unrouted",] == 1
    assert samples["receiver_dispatches", "archive", "pending"] == 2
    assert samples["receiver_dispatches", "archive", "dead"] == 1
    assert samples["receiver_handler_parked", "archive"] == 1
    assert samples["receiver_jobs_overdue", SOURCE] == 1
    assert samples["receiver_requests_left", SOURCE] == 9
    assert samples["receiver_quarantine", SOURCE] == 3
    assert samples["receiver_webhooks_missed_ratio", SOURCE] == 0.05


def test_a_source_that_expects_no_webhooks_misses_none(store):
    for number in range(20):
        store.receive(a_record(an_event(f"job_{number}"), via=Via.POLL))

    samples = told(store, sources={SOURCE: Source(SOURCE, CreativeAI(api_key="key"))})

    assert "receiver_webhooks_missed_ratio" not in names(samples)


def test_the_share_of_few_jobs_is_not_told(store):
    store.receive(a_record(an_event(), via=Via.POLL))

    assert "receiver_webhooks_missed_ratio" not in names(told(store))


def test_what_is_paused_is_not_late(store):
    everything(store)
    store.pause_handler("archive", paused=True)
    store.pause_source(SOURCE, paused=True)

    assert LATE & names(told(store)) == set()


@pytest.mark.parametrize(
    "handlers",
    [pytest.param({}, id="gone"), pytest.param({"archive": HandlerConfig(enabled=False)}, id="switched-off")],
)
def test_a_handler_that_does_not_run_is_neither_late_nor_parked(store, handlers):
    everything(store)

    samples = told(store, handlers=handlers)

    assert {"receiver_oldest_due_dispatch_seconds", "receiver_handler_parked"} & names(samples) == set()
    assert samples["receiver_dispatches", "archive", "dead"] == 1


def test_jobs_that_nobody_can_ask_about_are_not_late(store):
    track(store, "open", schedule=DUE)

    samples = told(store, sources={SOURCE: Source(SOURCE, CreativeAI(secrets=["secret"]))})

    assert LATE & names(samples) == set()


def test_without_the_store_tells_what_was_counted(database, directory):
    count(directory, "everything()")
    with closing(SQLiteStore(database)) as store:
        pass

    samples = told(store, directory)

    assert samples["receiver_store_up",] == 0
    assert samples["receiver_deliveries_total", "studio", "recorded"] == 1


# The folder


def test_processes_that_are_started_together_begin_at_zero(store, directory):
    count(directory, "everything()")

    with metrics.shared(directory) as shared:
        assert names(told(store, shared)) == names(told(store))


def test_a_temporary_folder_is_gone_afterwards():
    with metrics.shared(None) as shared:
        (shared / "counter_1.db").touch()

    assert not shared.exists()


def test_says_what_each_metric_means():
    assert all(metric.means.endswith(".") for metric in METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 20


def test_prometheus_client_is_not_needed_to_import_the_rest():
    with child(
        "import sys, receiver.metrics, receiver.web\nprint('prometheus_client' in sys.modules, flush=True)"
    ) as process:
        said(process, "False")
