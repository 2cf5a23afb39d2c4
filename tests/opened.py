"""Either store, by where its data is."""

from pathlib import Path

from receiver.store.base import Store
from receiver.store.sqlite import SQLiteStore


def opened(where: Path | str) -> Store:
    """The store in a file, or at a URL."""
    if isinstance(where, Path):
        return SQLiteStore(where)
    from receiver.store.postgres import PostgresStore

    return PostgresStore(where)
