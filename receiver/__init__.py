"""Receiver: take webhooks from AI media APIs, lose nothing, poll for what never called back."""

from importlib import import_module
from typing import TYPE_CHECKING

from receiver.models import Delivery, Event, Failure, Job, Output, Status, Trust
from receiver.outcomes import Cancel, Done, PermanentError, RetryAfter, Snooze
from receiver.routing import Context, HandlerSettings, Router

if TYPE_CHECKING:
    from receiver.receiver import Receiver

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
    "PermanentError",
    "Receiver",
    "RetryAfter",
    "Router",
    "Snooze",
    "Status",
    "Trust",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Only those who ask for it need the store and the way out: the endpoint must not.
    if name == "Receiver":
        return import_module("receiver.receiver").Receiver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
