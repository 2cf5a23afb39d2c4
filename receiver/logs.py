"""One line per fact, for people or for programs. Secrets, signatures, bodies and URLs are never logged."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

from receiver import clock, signals
from receiver.masking import mask_urls
from receiver.models import Claim, Event, Hold, Status
from receiver.outcomes import Outcome

_log = logging.getLogger("receiver")

# What a record has besides the facts given to it as `extra`.
_ITS_OWN = frozenset([*vars(logging.makeLogRecord({})), "message", "asctime"])
_WIDTH = 28
_said: dict[str, int] = {}
"""In which minute it was last said of a source that its hints are turned away."""


def configure(log_format: str) -> None:
    """Send everything logged to stderr, as `text` or `json`, and announce what happens as lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # These say every request they make, with its whole URL.
    for chatty in ("httpx", "httpcore", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _observe()


class _Formatter(logging.Formatter):
    """What the two forms have in common. There is a line for each event, so it is kept cheap."""

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """What was given to the record, without anything that could open a result."""
        facts = {name: _shown(value) for name, value in vars(record).items() if name not in _ITS_OWN}
        if record.exc_info:
            facts["exception"] = mask_urls(self.formatException(record.exc_info))
        return facts


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": _shown(record.getMessage()),
            "level": record.levelname.lower(),
            "timestamp": _time(record),
            **self.facts(record),
        }
        return json.dumps(line, default=repr)


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = self.facts(record)
        exception = facts.pop("exception", None)
        told = f"{_time(record)} [{record.levelname.lower():<8}] {_one_line(_shown(record.getMessage())):<{_WIDTH}} "
        line = (told + " ".join(f"{name}={_word(value)}" for name, value in facts.items())).rstrip()
        return line if exception is None else f"{line}\n{exception}"


def _time(record: logging.LogRecord) -> str:
    return clock.to_text(datetime.fromtimestamp(record.created, UTC))


def _shown(value: Any) -> Any:
    return mask_urls(value) if isinstance(value, str) and "://" in value else value


def _word(value: object) -> str:
    """A value as it stands behind its name: quoted, if it would not be one word."""
    text = str(value)
    return text if text.isprintable() and " " not in text and text else repr(text)


def _one_line(text: str) -> str:
    return text if text.isprintable() else repr(text)


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
    signals.hints_turned_away.connect(_hints_turned_away)


def _delivery_received(source: str, *, repeated: bool, note: str | None, **facts: object) -> None:
    if note is not None:
        _log.warning("delivery is odd", extra={"source": source, "delivery": facts["delivery"], "note": note})
    elif repeated:
        _log.info("delivery seen before", extra={"source": source, "delivery": facts["delivery"]})


def _delivery_refused(source: str | None, *, reason: str) -> None:
    _log.warning("delivery refused", extra={"source": source, "reason": str(reason)})


def _hints_turned_away(source: str, *, count: int) -> None:
    # There are as many as somebody cares to forge: one line in a minute says it.
    minute = int(time.monotonic() // 60)
    if _said.get(source) != minute:
        _said[source] = minute
        _log.warning(
            "hints are turned away: too many jobs are only hinted at; see quarantine.max_count",
            extra={"source": source},
        )


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
