"""The answer to Prometheus: what the processes of this node counted, and gauges read from the store."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from receiver import metrics
from receiver.config import HandlerConfig, runs
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.metrics import Metric
from receiver.store import Store
from receiver.store.figures import FEWEST_ENDS, HandlerFigures, SourceFigures, WebhookHealth

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_Samples = Iterable[tuple[Metric, tuple[str, ...], float]]


def exposition(
    store: Store, sources: Mapping[str, Source], handlers: Mapping[str, HandlerConfig], directory: Path | None
) -> bytes:
    """All metrics of this node's processes and of the store, in Prometheus' text format, as `CONTENT_TYPE` says.

    Without the store there are still the counters, and `receiver_store_up` is 0.
    """
    registry = CollectorRegistry()
    if directory is not None and directory.is_dir():
        registry.register(_Counted(directory))
    registry.register(_Gauges(store, sources, handlers))
    return generate_latest(registry)


class _Counted(Collector):
    """What the processes of this node counted, as it was when this was made; nothing if it could not be read whole."""

    def __init__(self, directory: Path) -> None:
        self._families: list[MetricFamily] = []
        # A process that starts meanwhile makes one file of those of others that ended, and `serve` removes them all.
        # What is read in between would be too much or too little, which looks as if the counters began anew.
        # A file that a process is just beginning is empty.
        with suppress(FileNotFoundError, struct.error), metrics.alone(directory) as locked:
            if locked:
                self._families = list(MultiProcessCollector(None, path=str(directory)).collect())  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[MetricFamily]:
        return self._families


class _Gauges(Collector):
    """What the store knows, read whenever it is asked for."""

    def __init__(self, store: Store, sources: Mapping[str, Source], handlers: Mapping[str, HandlerConfig]) -> None:
        self._store = store
        self._sources = sources
        self._handlers = handlers

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: otherwise it would be read once more, for the names."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[Metric, GaugeMetricFamily] = {}
        for metric, labels, value in self._samples():
            if metric not in families:
                families[metric] = GaugeMetricFamily(metric.name, metric.means, labels=metric.labels)
            families[metric].add_metric(labels, value)
        yield from families.values()

    def _samples(self) -> _Samples:
        try:
            samples = list(_read(self._store, self._sources, self._handlers))
        except StoreUnavailable:
            return [(metrics.STORE_UP, (), 0)]
        return [(metrics.STORE_UP, (), 1), *samples]


def _read(store: Store, sources: Mapping[str, Source], handlers: Mapping[str, HandlerConfig]) -> _Samples:
    figures = store.figures()
    now = figures.read_at
    yield metrics.UNROUTED, (), figures.unrouted_count
    yield metrics.UNROUTED_SECONDS, (), _age(figures.oldest_unrouted_at, now)
    for handler in figures.handlers:
        yield from _handler(handler, runs(handler.handler, handlers), now)
    for source in figures.sources:
        yield from _source(source, sources.get(source.source), now)
    for name, asked in sources.items():
        if asked.askable:
            yield metrics.REQUESTS_LEFT, (name,), asked.requests_left(store)
    for health in store.webhook_health(sources):
        yield from _webhooks(health, sources[health.source])


def _handler(handler: HandlerFigures, switched_on: bool, now: datetime) -> _Samples:
    name = handler.handler
    yield metrics.DISPATCHES, (name, "pending"), handler.waiting_count
    yield metrics.DISPATCHES, (name, "running"), handler.running_count
    yield metrics.DISPATCHES, (name, "dead"), handler.dead_count
    if not switched_on:
        return
    if handler.paused_at is None:
        yield metrics.OVERDUE_SECONDS, (name,), _age(handler.oldest_waiting_at, now)
    yield metrics.PARKED, (name,), handler.parked_until is not None


def _source(source: SourceFigures, configured: Source | None, now: datetime) -> _Samples:
    name = source.source
    yield metrics.JOBS_OPEN, (name,), source.open_count
    yield metrics.JOBS_OVERDUE, (name,), source.overdue_count
    if configured is not None and configured.askable and source.paused_at is None:
        yield metrics.JOB_SECONDS, (name,), _age(source.oldest_overdue_at, now)
    yield metrics.QUARANTINE, (name,), source.quarantine_count


def _webhooks(health: WebhookHealth, source: Source) -> _Samples:
    if health.missed_share is not None and (source.expects_webhooks or health.came):
        if health.ended_count >= FEWEST_ENDS:
            yield metrics.MISSED, (health.source,), health.missed_share
        yield metrics.QUIET, (health.source,), health.went_quiet
    if health.last_webhook_at is not None:
        yield metrics.LAST_WEBHOOK, (health.source,), health.last_webhook_at.timestamp()


def _age(since: datetime | None, now: datetime) -> float:
    return max((now - since).total_seconds(), 0) if since is not None else 0
