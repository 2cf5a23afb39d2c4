"""Receiver: take webhooks from AI media APIs, lose nothing, poll for what never called back."""

from receiver.models import Delivery, Event, Failure, Job, Output, Status, Trust
from receiver.outcomes import Cancel, Done, Snooze
from receiver.routing import Context, HandlerSettings, Router

__all__ = [
    "Cancel",
    "Context",
    "Delivery",
    "Done",
    "Event",
    "Failure",
    "HandlerSettings",
    "Job",
    "Output",
    "Router",
    "Snooze",
    "Status",
    "Trust",
    "__version__",
]

__version__ = "0.1.0"
