"""Either store, by where its data is."""

from pathlib import Path
from typing import Any

from receiver.store.base import Store
from receiver.store.sqlite import SQLiteStore


def opened(where: Path | str, **settings: Any) -> Store:
    """The store in a file, or at a URL."""
    if isinstance(where, Path):
        return SQLiteStore(where, **settings)
    from receiver.store.postgres import PostgresStore

    return PostgresStore(where, **settings)
