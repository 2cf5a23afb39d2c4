"""Refused deliveries on their way to the quarantine: kept in bulk by a thread, so that a forgery costs no commit."""

import logging
import threading
from collections import deque
from dataclasses import replace

from receiver.errors import Refused, StoreUnavailable
from receiver.inbox import masked
from receiver.models import Delivery
from receiver.store.base import Refusal, Store

_log = logging.getLogger(__name__)
_MOST_WAITING = 1000
_PAUSE = 0.1


class Quarantine:
    """Hands refusals to the store a few times a second. A flood beyond that is counted and let go."""

    def __init__(self, store: Store, *, max_count: int, max_body: int) -> None:
        self._max_body = max_body
        self._store = store
        self._max_count = max_count
        self._waiting: deque[Refusal] = deque()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._let_go = 0

    def add(self, delivery: Delivery, refused: Refused) -> None:
        """Keep a refused delivery soon, its body cut to the limit. Returns at once and never fails."""
        delivery = replace(masked(delivery), body=delivery.body[: self._max_body])
        refusal = Refusal(delivery=delivery, reason=refused.reason, hint=refused.hint)
        with self._guard:
            if len(self._waiting) >= _MOST_WAITING:
                self._let_go += 1
                return
            self._waiting.append(refusal)
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_all, name="quarantine", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Keep what is waiting now."""
        with self._guard:
            refusals, self._waiting = list(self._waiting), deque()
            let_go, self._let_go = self._let_go, 0
        if let_go:
            _log.warning("refused deliveries were not kept: too many at once", extra={"count": let_go})
        try:
            if refusals:
                self._store.quarantine(refusals, max_count=self._max_count)
        except StoreUnavailable as error:
            _log.warning("refused deliveries were not kept", extra={"count": len(refusals), "error": str(error)})

    def _keep_all(self) -> None:
        """Until nothing has waited for a moment; the next refusal starts a new thread."""
        pause = threading.Event()
        while True:
            pause.wait(_PAUSE)
            self.flush()
            with self._guard:
                if not self._waiting:
                    self._thread = None
                    return
