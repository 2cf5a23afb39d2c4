"""Traces, in the way of OpenTelemetry: from a delivery to the last attempt of its handlers.

Its own variables configure it (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, …); without them nothing is traced.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

_log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: Any = None
_given: str | None = None


def configure() -> None:
    """Trace what this process does from now on, if the environment wants that. Call it after any fork."""
    global _tracer
    if not _wanted():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning('OTEL_ variables are set, but tracing needs the extra: pip install "ai-media-receiver[otel]"')
        return
    if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        os.environ.setdefault("OTEL_SERVICE_NAME", "receiver")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("receiver")


def _wanted() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    return exporter == "otlp" or (not exporter and any(os.environ.get(name) for name in _ENDPOINTS))


def span(
    name: str, *, parent: str | None = None, since: datetime | None = None, **attributes: str | int | None
) -> AbstractContextManager[None]:
    """A step of a trace: what is done inside belongs to it.

    It goes on the trace that the `traceparent` of `parent` names, and began at `since` if that was before.
    """
    return _NOTHING if _tracer is None else _span(name, parent, since, attributes)


def tell(*, failed: bool = False, **attributes: str | int | None) -> None:
    """Say more of the step that is being done, and whether it failed."""
    if _tracer is None:
        return
    from opentelemetry.trace import StatusCode, get_current_span

    step = get_current_span()
    step.set_attributes(_named(attributes))
    if failed:
        step.set_status(StatusCode.ERROR)


def go_on(step: str | None) -> None:
    """Have this process do a step that another one traces, which `traceparent` names there."""
    global _given
    _given = step


def traceparent() -> str | None:
    """The step that is being done, as the header `traceparent` names it; None if nothing is traced."""
    if _tracer is None:
        return _given
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def _span(
    name: str, parent: str | None, since: datetime | None, attributes: dict[str, str | int | None]
) -> Iterator[None]:
    from opentelemetry.context import Context
    from opentelemetry.trace import StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": parent} if parent is not None else {}
    with _tracer.start_as_current_span(
        name,
        context=TraceContextTextMapPropagator().extract(carrier, Context()),
        attributes=_named(attributes),
        start_time=int(since.timestamp() * 1e9) if since is not None else None,
        # What an exception says may hold what is nobody's business.
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        try:
            yield
        except Exception as error:
            begun.set_attribute("error.type", type(error).__name__)
            begun.set_status(StatusCode.ERROR)
            raise


def _named(attributes: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {f"receiver.{key}": value for key, value in attributes.items() if value is not None}
