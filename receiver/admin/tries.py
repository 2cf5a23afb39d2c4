"""How often signing in may fail."""

import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable

PER_ADDRESS = 10
IN_ALL = 100
SPAN_SECONDS = 60.0


class Tries:
    """Counts the tries that failed within the last minute: those of one address, and all.

    It remembers no more of them than are allowed in all, whoever tries.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque(maxlen=IN_ALL)
        self._guard = threading.Lock()

    def allowed(self, address: str) -> bool:
        """Whether one more try from there is looked at."""
        with self._guard:
            since = self._clock() - SPAN_SECONDS
            while self._failed and self._failed[0][0] <= since:
                self._failed.popleft()
            own = sum(network == _network(address) for _, network in self._failed)
            return own < PER_ADDRESS and len(self._failed) < IN_ALL

    def failed(self, address: str) -> None:
        """Count a try that failed."""
        with self._guard:
            self._failed.append((self._clock(), _network(address)))


def _network(address: str) -> str:
    """What one person has: an IPv4 address, or a /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{parsed}/64", strict=False)) if parsed.version == 6 else str(parsed)
