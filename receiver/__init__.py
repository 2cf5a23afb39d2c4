"""Receiver: take webhooks from AI media APIs, lose nothing, poll for what never called back."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from receiver.models import Delivery, Event, Failure, Job, Output, Status, Trust
    from receiver.outcomes import Cancel, Done, PermanentError, RetryAfter, Snooze
    from receiver.receiver import Receiver
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


_HOMES = {
    "receiver.models": ("Delivery", "Event", "Failure", "Job", "Output", "Status", "Trust"),
    "receiver.outcomes": ("Cancel", "Done", "PermanentError", "RetryAfter", "Snooze"),
    "receiver.receiver": ("Receiver",),
    "receiver.routing": ("Context", "HandlerSettings", "Router"),
}


def __getattr__(name: str) -> object:
    # Only those who ask for it need the store, the way out and pydantic: the endpoint and pytest must not.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
