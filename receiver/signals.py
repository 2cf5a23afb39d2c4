"""Facts announced to observers inside the process: logs, metrics, the dashboard. They carry no work."""

import logging

from blinker import NamedSignal, Namespace

__all__ = [
    "announce",
    "delivery_answered",
    "delivery_received",
    "delivery_refused",
    "dispatch_finished",
    "event_recorded",
    "handler_parked",
    "handler_resumed",
    "hints_turned_away",
    "job_missing",
    "job_paused",
    "job_polled",
    "poll_failed",
    "status_unknown",
    "store_committed",
]

_signals = Namespace()
_log = logging.getLogger(__name__)

delivery_received = _signals.signal("delivery-received")
"""A genuine delivery was stored: source, trust, repeated, note."""
delivery_refused = _signals.signal("delivery-refused")
"""A delivery was turned away: source (None if unknown), reason."""
delivery_answered = _signals.signal("delivery-answered")
"""A whole delivery was answered: source (None if unknown), status (HTTP), seconds."""
event_recorded = _signals.signal("event-recorded")
"""A new event was stored: source, key, type, job, status, via, standing."""
hints_turned_away = _signals.signal("hints-turned-away")
"""Jobs that a hint spoke of found no room among those only hinted at: source, count. Nobody asks about them."""
job_polled = _signals.signal("job-polled")
"""A provider answered a poll: source, job, status."""
poll_failed = _signals.signal("poll-failed")
"""A poll brought no answer about the job: source, job, error."""
job_missing = _signals.signal("job-missing")
"""A provider did not know a job that it was asked about: source, job."""
job_paused = _signals.signal("job-paused")
"""A job waits for a person at its provider: source, job, step. Announced once for each pause."""
status_unknown = _signals.signal("status-unknown")
"""A provider used a status its adapter does not know: source, job, raw_status. Announced once for a job."""
dispatch_finished = _signals.signal("dispatch-finished")
"""An attempt ended: dispatch, handler, attempt, outcome, state, error, seconds."""
handler_parked = _signals.signal("handler-parked")
"""Too many attempts in a row failed, so the handler's dispatches wait: handler, hold. Again after each vain trial."""
handler_resumed = _signals.signal("handler-resumed")
"""A parked handler works again: handler."""
store_committed = _signals.signal("store-committed")
"""A transaction is durable: seconds, with the wait for its turn. Announced by the thread that committed it."""


def announce(signal: NamedSignal, sender: object, **facts: object) -> None:
    """Tell every observer. One that fails is logged; the others still hear, and the caller never does.

    `Signal.send` stops at the first observer that raises.
    """
    for observer in signal.receivers_for(sender):
        try:
            observer(sender, **facts)
        except Exception:
            _log.exception("observer failed", extra={"signal": signal.name})
