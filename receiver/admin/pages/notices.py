"""What a page says first: what was just done, and what is wrong."""

from collections.abc import Mapping

from flask import request

from receiver.admin.extension import admin
from receiver.admin.pages.words import count
from receiver.models import Alert

DONE: Mapping[str, str] = {
    "replayed": "Replayed: {dispatches} new.",
    "replayed-before": "This was replayed before: the button was pressed twice. Below is what became of it.",
    "replayed-nothing": "Nothing was replayed: no handler wants this event.",
    "retried": "{dispatches} due again.",
    "discarded": "{dispatches} discarded.",
    "poll": "The provider is asked as soon as the source's request budget allows.",
    "accepted": "Verified, taken in, and no longer in the quarantine.",
    "accepted-repeated": "Verified. Nothing in it was new; it is no longer in the quarantine.",
    "refused": "Verified again, and still refused, for the reason below.",
    "paused": "Paused.",
    "resumed": "Resumed.",
    "withdrawn": "The create call is withdrawn.",
}


def done() -> str | None:
    """What was just done, in words of ours: of the address only a name and a number are taken."""
    told = DONE.get(request.args.get("done", ""))
    number = request.args.get("number", "")
    if told is None:
        return None
    how_many = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    return told.format(dispatches=count(how_many, "dispatch", "dispatches"))


def alerts() -> list[Alert]:
    """What is wrong now, oldest first."""
    return [alert for alert in admin().store.alerts() if alert.over_at is None]
