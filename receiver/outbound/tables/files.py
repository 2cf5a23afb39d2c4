"""Files that are written anew for each change: who reads them never finds half of one."""

import fcntl
import os
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from receiver.files import sync_directory
from receiver.outbound.tables.base import Row, Table
from receiver.outcomes import PermanentError

# URLs of results may open them: not for everybody.
MODE = 0o640
_LOOK_EVERY = 0.01


class FileTable(Table):
    """A table that is a file. The new one is written beside the old one, and put in its place."""

    def __init__(self, path: Path, *, lock_timeout: timedelta) -> None:
        self._path = path
        self._patience = lock_timeout.total_seconds()

    def update(self, row: Row) -> None:
        path = self._path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        with _locked(path.with_name(f".{path.name}.lock"), self._patience):
            try:
                _make(partial, like=path)
                if self.rewrite(path if _is_there(path) else None, partial, row):
                    _sync(partial)
                    partial.replace(path)
                    sync_directory(path.parent)
            finally:
                partial.unlink(missing_ok=True)

    @abstractmethod
    def rewrite(self, old: Path | None, new: Path, row: Row) -> bool:
        """Write the table with the row brought up to date; `new` is empty. False if the old one is to stay.

        Raises:
            OSError: the old one cannot be read.
            PermanentError: it is not ours, or cannot take the row.
        """


def not_ours(path: Path) -> PermanentError:
    """What to raise for a file that lacks our columns."""
    return PermanentError(
        f"to: there is a {path.name} of somebody else's, without the columns of this one; choose another file"
    )


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Alone among all threads and processes. The lock is a file that stays, since the table's own is replaced."""
    with open(path, "ab") as lock:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"somebody else has {path.name} locked") from None
                time.sleep(_LOOK_EVERY)
        yield


def _make(path: Path, *, like: Path) -> None:
    """A new file with the permissions of the old one."""
    path.unlink(missing_ok=True)
    path.touch(MODE, exist_ok=False)
    if like.exists():
        path.chmod(like.stat().st_mode & 0o777)


def _is_there(path: Path) -> bool:
    """Whether there is a table; somebody may have made an empty file."""
    return path.exists() and path.stat().st_size > 0


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
