"""Whether the file is sound."""

import contextlib
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from receiver.errors import StoreUnavailable
from receiver.store.figures import Examined

_MOST_PROBLEMS = 10
_LOOK_AT_THE_CLOCK_EVERY = 100_000


def examine(path: Path, within: timedelta) -> Examined:
    """Look through the whole file for damage, on a connection of its own, until the time is over.

    Raises:
        StoreUnavailable: it cannot be read at all.
    """
    deadline = time.monotonic() + within.total_seconds()
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.set_progress_handler(lambda: time.monotonic() > deadline, _LOOK_AT_THE_CLOCK_EVERY)
            return _examined(db)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store cannot be read: {error}") from error


def _examined(db: sqlite3.Connection) -> Examined:
    version = f"SQLite {sqlite3.sqlite_version}"
    problems: list[str] = []
    try:
        for (told,) in db.execute(f"PRAGMA quick_check({_MOST_PROBLEMS})"):
            problems += [told] if told != "ok" else []
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            return Examined(version=version, problems=tuple(problems), complete=False)
        if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        problems.append(str(error))
    return Examined(version=version, problems=tuple(problems))
