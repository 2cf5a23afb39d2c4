"""Drop what is older than the settings want it kept."""

import logging
import threading
from datetime import timedelta

from receiver.config import RetentionConfig
from receiver.errors import StoreUnavailable
from receiver.store.base import Prunable, Store

_log = logging.getLogger(__name__)

_EVERY = timedelta(hours=1)
_LOOK_EVERY = 60.0
# Deliveries that come in meanwhile want their turns to write, too.
_PAUSE = 0.02


def prune(
    store: Store, retention: RetentionConfig, *, dry_run: bool = False, stopped: threading.Event | None = None
) -> dict[Prunable, int]:
    """How much went of each kind of data that is not kept for ever; with `dry_run`, how much would.

    Once `stopped` is set, the rest is left for the next time.

    Raises:
        StoreUnavailable: the store was not available in the middle of it; what is gone is gone.
    """
    counts = {Prunable(name): 0 for name, age in retention if age is not None}
    for what in counts:
        for count in store.prune(what, older_than=getattr(retention, what), dry_run=dry_run):
            counts[what] += count
            if stopped is not None and stopped.wait(_PAUSE):
                return counts
    return counts


def prune_now_and_then(store: Store, retention: RetentionConfig, stopped: threading.Event) -> None:
    """Prune once an hour, until stopped. Of all who do this with one store, one has the turn."""
    while not stopped.is_set():
        try:
            if store.claim_turn("prune", every=_EVERY):
                gone = {str(what): count for what, count in prune(store, retention, stopped=stopped).items() if count}
                if gone:
                    _log.info("dropped what is old", extra=gone)
        except StoreUnavailable as error:
            _log.warning("what is old cannot be dropped; trying again later", extra={"error": str(error)})
        except Exception:
            # Nobody else would go on with it.
            _log.exception("what is old cannot be dropped; trying again later")
        stopped.wait(_LOOK_EVERY)
