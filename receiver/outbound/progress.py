"""What is noted of files that are fetched over several attempts."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from receiver import clock

_KEPT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A file that arrived whole."""

    url: str
    """Where it was to be had at first, without the query."""
    file: str
    """Its name: the hash of its content, and an extension if one is known."""
    bytes: int
    sha256: str
    content_type: str | None


@dataclass
class Progress:
    """What the calls so far have got: files in their place, a part of the next, and notes, locked meanwhile."""

    notes: Path
    part: Path
    file: BinaryIO
    """The notes, open."""
    saved: list[Saved] = field(default_factory=list)
    arrived: Saved | None = None
    """What the part is, once it is whole; what belongs to it is not written yet."""
    moved: bool = False
    """Whether it is in its place already."""
    url: str | None = None
    """Where the part is from, without the query."""
    etag: str | None = None
    """The version that it is of."""

    def started(self, url: str | None, etag: str | None) -> None:
        """Note what the part will be of."""
        self.arrived, self.moved, self.url, self.etag = None, False, url, etag
        self._write()

    def whole(self, arrived: Saved) -> None:
        """Note that the part is all of it."""
        self.arrived = arrived
        self._write()

    def put_there(self) -> None:
        """Note that it is in its place."""
        self.moved = True
        self._write()

    def add(self, saved: Saved) -> None:
        """Note that the file is in its place, and what belongs to it too."""
        self.saved.append(saved)
        self.started(None, None)
        self.part.unlink(missing_ok=True)

    def waiting(self) -> Saved | None:
        """What an earlier call fetched whole, if it is still here, or in its place."""
        if self.moved:
            return self.arrived
        if self.arrived is None or self.part.is_symlink() or not self.part.is_file():
            return None
        return self.arrived if self.part.stat().st_size == self.arrived.bytes else None

    def forget(self) -> None:
        """Throw away what is left."""
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _write(self) -> None:
        noted = {
            "saved": [asdict(saved) for saved in self.saved],
            "arrived": asdict(self.arrived) if self.arrived else None,
            "moved": self.moved,
            "url": self.url,
            "etag": self.etag,
        }
        self.file.seek(0)
        self.file.truncate()
        self.file.write(json.dumps(noted).encode())
        self.file.flush()


@contextmanager
def progress_of(partials: Path, key: str) -> Iterator[Progress]:
    """The progress of the calls with this key, for one of them at a time.

    Raises:
        BlockingIOError: an earlier call with this key is still at it.
    """
    name = hashlib.sha256(key.encode()).hexdigest()
    _throw_away_old(partials)
    notes = partials / f"{name}.json"
    with opened(notes) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        progress = Progress(notes, partials / f"{name}.part", file)
        _recall(progress)
        yield progress


def opened(path: Path) -> BufferedRandom:
    """The file, made if need be; never what a symbolic link leads to."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    return os.fdopen(descriptor, "r+b")


def _throw_away_old(partials: Path) -> None:
    """Delete what nobody came back for."""
    for path in partials.iterdir():
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < clock.now().timestamp() - _KEPT.total_seconds():
                path.unlink()


def _recall(progress: Progress) -> None:
    """Take over what the notes say; nothing if they are new or damaged."""
    try:
        noted = json.load(progress.file)
        saved = [Saved(**saved) for saved in noted["saved"]]
        arrived = Saved(**noted["arrived"]) if noted["arrived"] else None
        progress.url, progress.etag = noted["url"], noted["etag"]
        progress.saved, progress.arrived, progress.moved = saved, arrived, noted["moved"] is True
    except (ValueError, TypeError, KeyError):
        pass
