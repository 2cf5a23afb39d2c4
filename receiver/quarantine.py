"""Refused deliveries on their way to the quarantine: kept in bulk by a thread, so that a forgery costs no commit."""

import logging
import threading
from collections import deque
from dataclasses import replace

from receiver.clock import from_text
from receiver.errors import NotConfigured, Refused, StoreUnavailable
from receiver.inbox import Source, accept, bounded_headers, masked
from receiver.models import Delivery
from receiver.store.base import Receipt, Refusal, Store

_log = logging.getLogger(__name__)
_MOST_WAITING = 1000
_PAUSE = 0.1


def verify_again(store: Store, source: Source, refusal_id: int, *, max_body: int) -> Receipt:
    """Take in a delivery that was refused, now that the source's settings are right.

    It is judged by the time at which it was received. If it is genuine, it leaves the quarantine; otherwise it stays
    there, with the reason it is refused for now. `max_body` is how much of a body the quarantine keeps.

    Raises:
        NotConfigured: there is no such delivery of the source's in the quarantine.
        Refused: it is still not proven genuine.
        StoreUnavailable: nothing was changed, or it was taken in and is still in the quarantine, too.
    """
    row = store.refusal(refusal_id)
    if row is None or row["source"] != source.name:
        raise NotConfigured(f"there is no delivery {refusal_id} of {source.name} in the quarantine")
    delivery = Delivery(
        source=source.name,
        body=row["body"],
        headers=row["headers"],
        received_at=from_text(row["received_at"]),
        path=row["path"],
    )
    try:
        receipt = accept(source, delivery, store=store, now=delivery.received_at)
    except Refused as refused:
        hint = refused.hint
        if len(delivery.body) >= max_body:
            hint += f"; of its body only the first {max_body} bytes were kept (quarantine.max_body)"
        store.refuse_again(refusal_id, reason=refused.reason, hint=hint)
        raise Refused(refused.reason, hint) from None
    store.release(refusal_id)
    return receipt


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
        """Keep a refused delivery soon, its body and headers cut to the limit. Returns at once and never fails."""
        headers = bounded_headers(masked(delivery).headers)
        delivery = replace(delivery, body=delivery.body[: self._max_body], headers=headers)
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
