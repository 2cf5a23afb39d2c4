"""A store for those who cannot wait for it: servers, which tell whoever asks meanwhile to come again."""

import threading
from collections.abc import Callable
from typing import Any, cast

from receiver.errors import StoreUnavailable
from receiver.store.base import Store


def opened_late(opener: Callable[[], Store]) -> Store:
    """The store, where it can be opened now; else one that each use of it tries to open, and that is told why not.

    Raises:
        ConfigError: the setting names no store we know, or one that is sealed while there are no keys.
    """
    try:
        return opener()
    except StoreUnavailable as error:
        return cast(Store, _LateStore(opener, error))


class _LateStore:
    """What is wanted of it is the opened store's. While one user tries to open it, the others are not held up."""

    def __init__(self, opener: Callable[[], Store], error: StoreUnavailable) -> None:
        self._opener = opener
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._error = str(error)

    def __getattr__(self, name: str) -> Any:
        if self._store is None and self._opening.acquire(blocking=False):
            try:
                self._store = self._store or self._opener()
            except StoreUnavailable as error:
                self._error = str(error)
            finally:
                self._opening.release()
        if self._store is None:
            raise StoreUnavailable(self._error)
        return getattr(self._store, name)
