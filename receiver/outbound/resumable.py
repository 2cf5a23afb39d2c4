"""Files fetched over several attempts, each kept under the hash of its content."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from receiver import clock
from receiver.errors import AddressRefused, RequestFailed, TooLarge
from receiver.files import sync_directory
from receiver.models import Access, Output
from receiver.outbound.addresses import checked_url, host_of, without_query
from receiver.outbound.downloads import download
from receiver.outbound.extensions import extension, fault
from receiver.outbound.network import deadline_after

_KEPT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A file that arrived whole and is in its place."""

    url: str
    """Where it was asked for, without the query."""
    file: str
    """Its name: the hash of its content, and an extension if one is known."""
    bytes: int
    sha256: str
    content_type: str | None


def save_all(
    outputs: Sequence[Output],
    directory: Path,
    *,
    key: str,
    max_bytes: int,
    timeout: timedelta,
    allow_private: bool = False,
    access: Access | None = None,
    kind: str | None = None,
    saved: Callable[[Saved], None] | None = None,
) -> list[Saved]:
    """Fetch outputs into a directory; with the key of an earlier call, go on where that one stopped.

    Those that are `authorized` are fetched with the access. `kind` is the job's: where it promises media, a page is
    not taken for it. `saved` is called with each file once it is in its place, perhaps again in the next call.

    Raises:
        BlockingIOError: an earlier call with this key is still at it.
        AddressRefused, TooLarge: one of them is not to be had; what was noted for this key is thrown away.
        RequestFailed: one of them did not arrive whole, or all of them not in time; the next call goes on from there.
            Or what arrived is not the file; the next call fetches it anew.
    """
    deadline = deadline_after(timeout)
    with _progress(directory, key) as progress:
        try:
            for output in outputs[len(progress.saved) :]:
                own = access if output.authorized else None
                file = _save(output.url, directory, progress, deadline, max_bytes, allow_private, own, kind)
                if saved is not None:
                    saved(file)
                progress.add(file)
        except (AddressRefused, TooLarge):
            progress.forget()
            raise
        progress.forget()
        return progress.saved


@dataclass
class _Progress:
    """What the calls so far have got: whole files, a part of the next, and notes, which are locked meanwhile."""

    notes: Path
    part: Path
    file: BinaryIO
    """The notes, open."""
    saved: list[Saved]
    etag: str | None
    """The version that the part is of."""

    def add(self, saved: Saved) -> None:
        self.saved.append(saved)
        self.started(None)

    def started(self, etag: str | None) -> None:
        self.etag = etag
        self.file.seek(0)
        self.file.truncate()
        self.file.write(json.dumps({"saved": [asdict(saved) for saved in self.saved], "etag": etag}).encode())
        self.file.flush()

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


@contextmanager
def _progress(directory: Path, key: str) -> Iterator[_Progress]:
    """The progress of the calls with this key, for one of them at a time."""
    name = hashlib.sha256(key.encode()).hexdigest()
    partials = _partials(directory)
    notes, part = partials / f"{name}.json", partials / f"{name}.part"
    with _opened(notes) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        saved, etag = _noted(file)
        yield _Progress(notes, part, file, saved, etag)


def _partials(directory: Path) -> Path:
    """The folder of what is not complete, without what nobody came back for."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    partials = directory / ".partial"
    partials.mkdir(mode=0o700, exist_ok=True)
    for path in partials.iterdir():
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < clock.now().timestamp() - _KEPT.total_seconds():
                path.unlink()
    return partials


def _noted(file: BinaryIO) -> tuple[list[Saved], str | None]:
    """What the notes say; nothing if they are new or damaged."""
    try:
        noted = json.load(file)
        return [Saved(**saved) for saved in noted["saved"]], noted["etag"]
    except (ValueError, TypeError, KeyError):
        return [], None


def _save(
    url: str,
    directory: Path,
    progress: _Progress,
    deadline: float,
    max_bytes: int,
    allow_private: bool,
    access: Access | None,
    kind: str | None,
) -> Saved:
    with _opened(progress.part) as file:
        got = download(
            url,
            file,
            max_bytes=max_bytes,
            timeout=timedelta(seconds=deadline - time.monotonic()),
            allow_private=allow_private,
            offset=file.seek(0, os.SEEK_END),
            etag=progress.etag,
            started=progress.started,
            access=access,
        )
        if wrong := fault(file, got.content_type, url, kind):
            file.truncate(0)
            progress.started(None)
            raise RequestFailed(f"{host_of(checked_url(url))} sent {wrong}")
        os.fsync(file.fileno())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = digest + extension(got.content_type, url)
    # Replaces a symbolic link of that name, and does not follow it.
    progress.part.replace(directory / name)
    sync_directory(directory)
    return Saved(url=without_query(url), file=name, bytes=got.size, sha256=digest, content_type=got.content_type)


def _opened(path: Path) -> BufferedRandom:
    """The file, made if need be; never what a symbolic link leads to."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    return os.fdopen(descriptor, "r+b")
