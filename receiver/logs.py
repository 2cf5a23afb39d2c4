"""One line per fact, for people or for programs. Secrets, signatures, bodies and URLs are never logged."""

import json
import logging
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
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
_MOST_LINES = 60
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_request: ContextVar[str | None] = ContextVar("request", default=None)


def configure(log_format: str) -> None:
    """Send everything logged to stderr, as `text` or `json`, and announce what happens as lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # These say every request they make, with its whole URL.
    for chatty in ("httpx", "httpcore", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _observe()


def begin_request(given: str | None) -> None:
    """Have all lines name the request that is being answered: as its proxy calls it, or by an id of our own."""
    named = given is not None and _REQUEST_ID.fullmatch(given)
    _request.set(given if named else secrets.token_hex(8))


def store_unavailable(error: Exception) -> None:
    """Say that nothing could be stored; while that goes on, not for each request."""
    if _outages.allows((None, "store unavailable")):
        _log.error("store unavailable", extra={"error": str(error)})


def _outage_besides(kind: tuple[str | None, str], count: int) -> None:
    _log.error("store unavailable for more requests", extra={"count": count})


class _Formatter(logging.Formatter):
    """What the two forms have in common. There is a line for each event, so it is kept cheap."""

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """What was given to the record, without anything that could open a result."""
        facts = {name: _shown(value) for name, value in vars(record).items() if name not in _ITS_OWN}
        request = _request.get()
        if request is not None:
            facts["request"] = request
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
        # Indented, what somebody put into an exception looks like no line of ours.
        traced = [] if exception is None else [f"    {_one_line(told)}" for told in exception.splitlines()]
        return "\n".join([line, *traced])


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
    # Unsigned sources take in whatever anybody sends, and what was genuine once can be sent again and again.
    if note is not None:
        if _taken_in.allows((source, "odd")):
            _log.warning("delivery is odd", extra={"source": source, "delivery": facts["delivery"], "note": note})
    elif repeated and _taken_in.allows((source, "seen before")):
        _log.info("delivery seen before", extra={"source": source, "delivery": facts["delivery"]})


def _taken_in_besides(kind: tuple[str | None, str], count: int) -> None:
    source, what = kind
    _log.warning("more such deliveries", extra={"source": source, "what": what, "count": count})


def _delivery_refused(source: str | None, *, reason: str) -> None:
    # There are as many as somebody cares to forge.
    if _refusals.allows((source, str(reason))):
        _log.warning("delivery refused", extra={"source": source, "reason": str(reason)})


def _refused_besides(kind: tuple[str | None, str], count: int) -> None:
    source, reason = kind
    _log.warning("more deliveries refused", extra={"source": source, "reason": reason, "count": count})


def _hints_besides(kind: tuple[str | None, str], count: int) -> None:
    source, _ = kind
    _log.warning("hints of more deliveries are turned away", extra={"source": source, "count": count})


class Flood:
    """Lets some lines of each kind through in a span of time, and at its end tells how many there were besides."""

    def __init__(
        self, most: int, besides: Callable[[tuple[str | None, str], int], None], *, seconds: float = 60.0
    ) -> None:
        self._most = most
        self._besides = besides
        self._seconds = seconds
        self._guard = threading.Lock()
        self._spans: dict[tuple[str | None, str], tuple[float, int]] = {}

    def allows(self, kind: tuple[str | None, str]) -> bool:
        """Whether one more line of this kind may be written. There must be only so many kinds."""
        now = time.monotonic()
        with self._guard:
            began, count = self._spans.get(kind, (now, 0))
            if count <= self._most and now - began >= self._seconds:
                began, count = now, 0
            self._spans[kind] = began, count + 1
        if count == self._most:
            timer = threading.Timer(max(began + self._seconds - now, 0), self._end, [kind])
            timer.daemon = True
            timer.start()
        return count < self._most

    def _end(self, kind: tuple[str | None, str]) -> None:
        with self._guard:
            _, count = self._spans.pop(kind)
        self._besides(kind, count - self._most)


_refusals = Flood(_MOST_LINES, _refused_besides)
_taken_in = Flood(_MOST_LINES, _taken_in_besides)
_outages = Flood(_MOST_LINES, _outage_besides)
# What to do about them is the same for all.
_hints = Flood(1, _hints_besides)


def _hints_turned_away(source: str, *, count: int) -> None:
    # There are as many as somebody cares to forge.
    if _hints.allows((source, "hints turned away")):
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
            "source": claim.event.source,
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
