"""What is old goes, at once."""

import threading
from datetime import timedelta

from receiver import retention
from receiver.admin.api.operations import Resource
from receiver.admin.api.shapes import Shape
from receiver.admin.api.values import Taken
from receiver.admin.extension import admin
from receiver.models import Scope
from receiver.store.base import Prunable

resource = Resource("retention")

_WITHIN = timedelta(seconds=20)


class Prune(Taken):
    """What is to be done with what is old."""

    dry_run: bool = False
    """Only count it. What is dropped once its dispatches are gone is not counted."""


class PrunedItem(Shape):
    """How much went of one kind of data."""

    data: Prunable
    older_than_seconds: float
    count: int


class Pruned(Shape):
    """How much went, or with `dry_run` would go, of all that is not kept for ever."""

    changed: bool
    complete: bool
    """False if there was no time to look at everything: ask again."""
    items: list[PrunedItem]


@resource.post("/prunes", scope=Scope.OPERATE)
def prune(body: Prune) -> Pruned:
    """Drop what is older than `[retention]` says, as far as that is done in 20 seconds.

    `receiver serve` does so by itself, once an hour.
    """
    ages, stopped = admin().config.retention, threading.Event()
    timer = threading.Timer(_WITHIN.total_seconds(), stopped.set)
    timer.start()
    try:
        done = retention.prune(admin().store, ages, dry_run=body.dry_run, stopped=stopped)
    finally:
        timer.cancel()
    return Pruned(
        changed=not body.dry_run,
        complete=done.complete,
        items=[
            PrunedItem(data=what, older_than_seconds=getattr(ages, what).total_seconds(), count=count)
            for what, count in done.counts.items()
        ],
    )
