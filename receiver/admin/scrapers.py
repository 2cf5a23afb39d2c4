"""Who was let in to `/metrics` lately."""

import threading
import time
from collections.abc import Callable

LASTS_SECONDS = 3600.0
_MOST = 100


class Scrapers:
    """Remembers for an hour whose token was good: while the store that knows them is down, the counters matter most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._let_in: dict[str, float] = {}
        self._guard = threading.Lock()

    def let_in(self, token_digest: str) -> None:
        """Remember one whose token is good now."""
        with self._guard:
            self._let_in.pop(token_digest, None)
            self._let_in[token_digest] = self._clock()
            if len(self._let_in) > _MOST:
                del self._let_in[next(iter(self._let_in))]

    def refused(self, token_digest: str) -> None:
        """Forget one whose token is good no longer."""
        with self._guard:
            self._let_in.pop(token_digest, None)

    def known(self, token_digest: str) -> bool:
        """Whether one was let in within the last hour."""
        with self._guard:
            at = self._let_in.get(token_digest)
            return at is not None and self._clock() - at < LASTS_SECONDS
