"""Drop what is older than the settings want it kept."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from receiver.config import RetentionConfig
from receiver.errors import StoreUnavailable
from receiver.store.base import Prunable, Store

_log = logging.getLogger(__name__)

_EVERY = timedelta(hours=1)
_LOOK_EVERY = 60.0
# Deliveries that come in meanwhile want their turns to write, too.
_PAUSE = 0.02


@dataclass(frozen=True)
class Pruned:
    """How much went of each kind of data that is not kept for ever."""

    counts: Mapping[Prunable, int]
    complete: bool = True
    """False if it was stopped before everything was looked at."""


def prune(
    store: Store, retention: RetentionConfig, *, dry_run: bool = False, stopped: threading.Event | None = None
) -> Pruned:
    """Drop what is older than the settings want it kept; with `dry_run`, only count it.

    Once `stopped` is set, the rest is left for the next time.

    Raises:
        StoreUnavailable: the store was not available in the middle of it; what is gone is gone.
    """
    counts = {Prunable(name): 0 for name, age in retention if age is not None}
    for what in counts:
        for count in store.prune(what, older_than=getattr(retention, what), dry_run=dry_run):
            counts[what] += count
            if stopped is not None and stopped.wait(_PAUSE if count else 0):
                return Pruned(counts, complete=False)
    return Pruned(counts)


def prune_now_and_then(store: Store, retention: RetentionConfig, stopped: threading.Event) -> None:
    """Prune once an hour, until stopped. Of all who do this with one store, one has the turn."""
    while not stopped.is_set():
        try:
            if store.claim_turn("prune", every=_EVERY):
                counts = prune(store, retention, stopped=stopped).counts
                gone = {str(what): count for what, count in counts.items() if count}
                if gone:
                    _log.info("dropped what is old", extra=gone)
        except StoreUnavailable as error:
            _log.warning("what is old cannot be dropped; trying again later", extra={"error": str(error)})
        except Exception:
            # Nobody else would go on with it.
            _log.exception("what is old cannot be dropped; trying again later")
        stopped.wait(_LOOK_EVERY)
