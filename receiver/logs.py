"""One line per fact, for people or for programs. Secrets, signatures, bodies and URLs are never logged."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from receiver import clock, signals
from receiver.masking import mask_urls
from receiver.models import Claim, Event, Hold, Status
from receiver.outcomes import Outcome

_log = logging.getLogger("receiver")


def configure(log_format: str) -> None:
    """Send everything logged to stderr, as `text` or `json`, and announce what happens as lines."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _shorten_urls,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # These say every request they make, with its whole URL.
    for chatty in ("httpx", "httpcore", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _observe()


def _shorten_urls(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    return {name: mask_urls(value) if isinstance(value, str) else value for name, value in line.items()}


def _observe() -> None:
    signals.delivery_received.connect(_delivery_received)
    signals.delivery_refused.connect(_delivery_refused)
    signals.event_recorded.connect(_event_recorded)
    signals.status_unknown.connect(_status_unknown)
    signals.job_paused.connect(_job_paused)
    signals.poll_failed.connect(_poll_failed)
    signals.dispatch_finished.connect(_dispatch_finished)
    signals.handler_parked.connect(_handler_parked)
    signals.handler_resumed.connect(_handler_resumed)


def _delivery_received(source: str, *, repeated: bool, note: str | None, **facts: object) -> None:
    if note is not None:
        _log.warning("delivery is odd", extra={"source": source, "delivery": facts["delivery"], "note": note})
    elif repeated:
        _log.info("delivery seen before", extra={"source": source, "delivery": facts["delivery"]})


def _delivery_refused(source: str | None, *, reason: str) -> None:
    _log.warning("delivery refused", extra={"source": source, "reason": str(reason)})


def _event_recorded(source: str, *, event: Event) -> None:
    level = logging.WARNING if event.status in (Status.EXPIRED, Status.LOST) else logging.INFO
    _log.log(
        level,
        "event recorded",
        extra={
            "source": source,
            "event_id": event.id,
            "type": event.type,
            "job": event.job_id,
            "status": event.status and str(event.status),
            "via": str(event.via),
            "standing": str(event.standing),
        },
    )


def _status_unknown(source: str, *, job: str, raw_status: str | None) -> None:
    _log.warning(
        "status is unknown; the job stays open", extra={"source": source, "job": job, "raw_status": raw_status}
    )


def _job_paused(source: str, *, job: str, step: str | None) -> None:
    _log.warning("job waits for a person at its provider", extra={"source": source, "job": job, "step": step})


def _poll_failed(source: str, *, job: str, error: str) -> None:
    _log.warning("poll failed", extra={"source": source, "job": job, "error": error})


def _dispatch_finished(handler: str, *, claim: Claim, outcome: Outcome, state: str | None, seconds: float) -> None:
    level = logging.INFO if outcome.error is None else logging.WARNING
    _log.log(
        level,
        "attempt finished" if state is not None else "attempt finished too late to count",
        extra={
            "handler": handler,
            "dispatch": claim.id,
            "event_id": claim.event.id,
            "job": claim.event.job_id,
            "attempt": claim.attempt,
            "outcome": str(outcome.decision),
            "error": outcome.error,
            "seconds": round(seconds, 3),
        },
    )


def _handler_parked(handler: str, *, hold: Hold) -> None:
    until = hold.parked_until and clock.to_text(hold.parked_until)
    _log.error(
        "handler fails again and again; its dispatches wait",
        extra={"handler": handler, "failures": hold.failure_count, "next_try_at": until},
    )


def _handler_resumed(handler: str) -> None:
    _log.info("handler works again", extra={"handler": handler})
