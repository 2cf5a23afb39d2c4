"""Which metrics there are, and the counters among them, which signals feed in every process.

The processes of one node keep their counters as files in one folder, in the way of prometheus-client's multiprocess
mode. How many series there are depends on the configuration, not on what strangers send.
"""

import fcntl
import logging
import os
import re
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from receiver import clock, signals
from receiver.models import Claim, Event, Status, Via
from receiver.outcomes import Outcome

_log = logging.getLogger(__name__)

# Providers may name as many types as they like.
_MOST_TYPES = 30
_OTHER = "other"
# No source can be called so.
_UNKNOWN = "-"
_FILE = re.compile(r"(counter|histogram|summary|gauge_live\w*)_(\d+)\.db")
# Of processes that ended, added up; no process has this for its id.
_ENDED = "0"
_PATIENCE = 1.0
_LOOK_EVERY = 0.01


class Type(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric as Prometheus knows it. A gauge is read from the store."""

    name: str
    type: Type
    labels: tuple[str, ...]
    means: str
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in seconds."""


DELIVERIES = Metric(
    "receiver_deliveries_total",
    Type.COUNTER,
    ("source", "verdict"),
    "Webhooks that were let in: recorded, repeated, hint, incomplete or unreadable.",
)
REFUSED = Metric(
    "receiver_deliveries_refused_total",
    Type.COUNTER,
    ("source", "reason"),
    "Requests that were turned away; those for no source that is configured, too large, no POST, not HTTP, or for "
    'which there was no place as source "-".',
)
EVENTS = Metric(
    "receiver_events_total",
    Type.COUNTER,
    ("source", "type", "status", "via"),
    f'New events. After {_MOST_TYPES} types of a source in one process, the others count as "other".',
)
TURNED_AWAY = Metric(
    "receiver_hints_turned_away_total", Type.COUNTER, ("source",), "Jobs of hints for which there was no room."
)
POLLS = Metric(
    "receiver_polls_total",
    Type.COUNTER,
    ("source", "result"),
    "Polls: by the answer, the job has ended, is open or is missing there; or the poll failed.",
)
ATTEMPTS = Metric(
    "receiver_attempts_total",
    Type.COUNTER,
    ("handler", "outcome"),
    "Attempts of handlers that ended: done, snooze, cancel, retry or dead.",
)
ANSWER_SECONDS = Metric(
    "receiver_answer_seconds",
    Type.HISTOGRAM,
    ("status",),
    "From a whole webhook to its answer, by HTTP status.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
COMMIT_SECONDS = Metric(
    "receiver_commit_seconds",
    Type.HISTOGRAM,
    (),
    "Transactions of the store, from waiting for their turn until they are durable.",
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
WAIT_SECONDS = Metric(
    "receiver_dispatch_wait_seconds",
    Type.HISTOGRAM,
    ("handler",),
    "From the time a dispatch is due to the beginning of its attempt.",
    (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 3600),
)
ATTEMPT_SECONDS = Metric(
    "receiver_attempt_seconds",
    Type.HISTOGRAM,
    ("handler",),
    "How long attempts took.",
    (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900),
)
STORE_UP = Metric("receiver_store_up", Type.GAUGE, (), "1 if the store could be read for this answer, else 0.")
UNROUTED = Metric("receiver_events_unrouted", Type.GAUGE, (), "Events that no worker has routed yet.")
UNROUTED_SECONDS = Metric(
    "receiver_oldest_unrouted_seconds", Type.GAUGE, (), "For how long the oldest of them has waited."
)
DISPATCHES = Metric(
    "receiver_dispatches", Type.GAUGE, ("handler", "state"), "Dispatches that are pending, running or dead."
)
OVERDUE_SECONDS = Metric(
    "receiver_oldest_due_dispatch_seconds",
    Type.GAUGE,
    ("handler",),
    "For how long the oldest pending one has been due; left out where the handler is switched off or paused.",
)
PARKED = Metric(
    "receiver_handler_parked",
    Type.GAUGE,
    ("handler",),
    "1 while the handler is parked, else 0; left out where it is switched off.",
)
JOBS_OPEN = Metric("receiver_jobs_open", Type.GAUGE, ("source",), "Jobs that have not ended.")
JOBS_OVERDUE = Metric("receiver_jobs_overdue", Type.GAUGE, ("source",), "Open jobs whose poll is due.")
JOB_SECONDS = Metric(
    "receiver_oldest_due_poll_seconds",
    Type.GAUGE,
    ("source",),
    "For how long the oldest of these polls has been due; left out while the source is paused or has no API key.",
)
REQUESTS_LEFT = Metric(
    "receiver_requests_left", Type.GAUGE, ("source",), "Requests that the source's budget allows at this moment."
)
QUARANTINE = Metric("receiver_quarantine", Type.GAUGE, ("source",), "Refused deliveries that are kept.")
MISSED = Metric(
    "receiver_webhooks_missed_ratio",
    Type.GAUGE,
    ("source",),
    "Of the newest jobs that ended, the share whose webhook never came, from 0 to 1; where 20 or more are known.",
)
QUIET = Metric(
    "receiver_webhooks_quiet",
    Type.GAUGE,
    ("source",),
    "1 where webhooks came, and none for the last five jobs, else 0.",
)
LAST_WEBHOOK = Metric(
    "receiver_last_webhook_timestamp_seconds", Type.GAUGE, ("source",), "When the last webhook came, in Unix time."
)

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in the order in which they are explained."""


# Counting


class Counters:
    """What one process counts. Signals tell it; `observe` makes it listen."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        # Of its own: what is shown comes from the files.
        registry = CollectorRegistry()
        self._families: dict[Metric, Any] = {}
        for metric in METRICS:
            if metric.type is Type.COUNTER:
                self._families[metric] = Counter(metric.name, metric.means, metric.labels, registry=registry)
            elif metric.type is Type.HISTOGRAM:
                self._families[metric] = Histogram(
                    metric.name, metric.means, metric.labels, registry=registry, buckets=metric.buckets
                )
        self._children: dict[tuple[Metric, tuple[str, ...]], Any] = {}
        self._types: defaultdict[str, set[str]] = defaultdict(set)

    def listen(self) -> None:
        """Count from now on."""
        for signal, observer in (
            (signals.delivery_received, self.received),
            (signals.delivery_refused, self.refused),
            (signals.delivery_answered, self.answered),
            (signals.event_recorded, self.recorded),
            (signals.hints_turned_away, self.turned_away),
            (signals.job_polled, self.polled),
            (signals.job_missing, self.missing),
            (signals.poll_failed, self.poll_failed),
            (signals.dispatch_finished, self.finished),
            (signals.store_committed, self.committed),
        ):
            signal.connect(observer, weak=False)

    def received(self, source: str, *, via: Via, verdict: str, repeated: bool, **facts: object) -> None:
        if via is Via.WEBHOOK:
            self._count(DELIVERIES, source, "repeated" if repeated else str(verdict))

    def refused(self, source: str | None, *, reason: str) -> None:
        self._count(REFUSED, source or _UNKNOWN, str(reason))

    def answered(self, source: str | None, *, status: int, seconds: float) -> None:
        self._measure(ANSWER_SECONDS, seconds, str(status))

    def recorded(self, source: str, *, event: Event) -> None:
        type_ = self._bounded(source, event.type)
        status = str(event.status) if event.status is not None else "unknown"
        self._count(EVENTS, source, type_, status, str(event.via))

    def turned_away(self, source: str, *, count: int) -> None:
        self._count(TURNED_AWAY, source, by=count)

    def polled(self, source: str, *, job: str, status: Status | None) -> None:
        ended = status is not None and status.terminal
        self._count(POLLS, source, "ended" if ended else "open")

    def missing(self, source: str, *, job: str) -> None:
        self._count(POLLS, source, "missing")

    def poll_failed(self, source: str, *, job: str, error: str) -> None:
        self._count(POLLS, source, "failed")

    def finished(self, handler: str, *, claim: Claim, outcome: Outcome, state: str | None, seconds: float) -> None:
        self._count(ATTEMPTS, handler, str(outcome.decision))
        self._measure(ATTEMPT_SECONDS, seconds, handler)
        if claim.due_at is not None:
            waited = (clock.now() - claim.due_at).total_seconds() - seconds
            self._measure(WAIT_SECONDS, max(waited, 0), handler)

    def committed(self, store: None, *, seconds: float) -> None:
        self._measure(COMMIT_SECONDS, seconds)

    def _count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        self._child(metric, labels).inc(by)

    def _measure(self, metric: Metric, seconds: float, *labels: str) -> None:
        self._child(metric, labels).observe(seconds)

    def _child(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        """The series with these labels, remembered: to look it up in the library takes as long as to count."""
        child = self._children.get((metric, labels))
        if child is None:
            family = self._families[metric]
            child = self._children[metric, labels] = family.labels(*labels) if labels else family
        return child

    def _bounded(self, source: str, type_: str) -> str:
        """The type, or a word for all that are too many."""
        known = self._types[source]
        if type_ not in known:
            if len(known) >= _MOST_TYPES:
                return _OTHER
            known.add(type_)
        return type_


def observe(directory: Path | None) -> None:
    """Count what happens in this process, once, in a folder that all processes of this node share; None: do not.

    What handlers count with prometheus-client themselves is then shown, too, if they import it after this.
    """
    if directory is None:
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # prometheus-client decides by it as it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    # Whoever adds files sees to those that nobody adds to any more: so there are never many.
    try:
        with alone(directory) as locked:
            if locked:
                _add_up_ended(directory)
    except OSError as error:
        _log.warning("the counters of processes that ended are not added up", extra={"error": str(error)})
    Counters().listen()


@contextmanager
def shared(directory: Path | None) -> Iterator[Path]:
    """The folder for processes that are about to be started, empty; None: a temporary one."""
    if directory is not None:
        for file in directory.glob("*.db"):
            file.unlink(missing_ok=True)
        yield directory
        return
    with TemporaryDirectory(prefix="receiver-metrics-") as temporary:
        yield Path(temporary)


# Files


@contextmanager
def alone(directory: Path) -> Iterator[bool]:
    """Whether nobody else reads the folder's files or adds them up meanwhile; False if somebody keeps doing so."""
    deadline = time.monotonic() + _PATIENCE
    with open(directory / "lock", "a") as file:
        locked = _locked(file.fileno())
        while not locked and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)
            locked = _locked(file.fileno())
        yield locked


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _add_up_ended(directory: Path) -> None:
    """Make one file of each kind of those of processes that ended; what only live processes tell goes."""
    ended: defaultdict[str, list[Path]] = defaultdict(list)
    for file in directory.glob("*.db"):
        named = _FILE.fullmatch(file.name)
        if named is not None and named[2] != _ENDED and not _lives(int(named[2])):
            ended[named[1]].append(file)
    for kind, files in ended.items():
        if kind.startswith("gauge"):
            for file in files:
                file.unlink()
        else:
            _add_up(files, directory / f"{kind}_{_ENDED}.db")


def _add_up(files: Sequence[Path], total: Path) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    kept: Any = MmapedDict  # which has no types
    values: defaultdict[str, float] = defaultdict(float)
    for file in [*files, *([total] if total.exists() else [])]:
        try:
            read = list(kept.read_all_values_from_file(file))
        except (struct.error, RuntimeError, ValueError):
            # Its process was killed as it made it, or it is damaged, which would keep all others from being read.
            _log.warning("a file of counters cannot be read and is dropped", extra={"file": file.name})
            continue
        for key, value, *_ in read:
            values[key] += value
    made = total.with_suffix(".new")
    made.unlink(missing_ok=True)
    written = kept(made)
    for key, value in values.items():
        written.write_value(key, value, 0.0)
    written.close()
    # Should we die in between, the counters begin anew, which Prometheus knows how to read; twice as much it does not.
    for file in files:
        file.unlink()
    made.replace(total)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
