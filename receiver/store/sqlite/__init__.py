"""Everything in one SQLite file: the default, for one machine."""

from receiver.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
