"""Save the results of finished jobs before their URLs expire, each in a file named by the hash of its content.

A retry goes on where the attempt before it stopped. Nothing a provider says becomes a path, but for a short extension.
"""

import fcntl
import hashlib
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from io import BufferedRandom
from pathlib import Path
from typing import Any, BinaryIO

from receiver import Cancel, Context, Done, Event, HandlerSettings, Router, Snooze, clock
from receiver.config import Duration, Size
from receiver.errors import AddressRefused, TooLarge
from receiver.outbound import download, without_query

_STILL_AT_IT = timedelta(seconds=30)
_KEPT = timedelta(days=7)
_EXTENSIONS = {
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "image/avif": ".avif",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "model/gltf-binary": ".glb",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
}


class Settings(HandlerSettings):
    """`[handlers.archive]`: where the files go, and what may be fetched."""

    directory: str = "media"
    """Where the files go, relative to the configuration file."""
    max_bytes: Size = 2 * 2**30
    """The largest file that is fetched."""
    download_timeout: Duration = timedelta(minutes=4)
    """How long one attempt may fetch; the next goes on from there. Less than `timeout`, which ends the attempt."""
    allow_private: bool = False
    """Whether to fetch from addresses that are not public, such as a storage server of your own."""


router = Router(settings=Settings)


@router.on(status="succeeded")
def archive(event: Event, context: Context) -> Done | Snooze | Cancel | None:
    """Fetch the outputs that no earlier attempt has fetched."""
    if not event.outputs:
        return None
    settings: Settings = context.settings
    deadline = time.monotonic() + settings.download_timeout.total_seconds()
    partials = _partials(Path(settings.directory))
    key = hashlib.sha256("\n".join([context.idempotency_key, event.source, event.key]).encode()).hexdigest()
    progress_path, part = partials / f"{key}.json", partials / f"{key}.part"
    with _opened(progress_path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # An attempt that took too long goes on unheard.
            return Snooze(_STILL_AT_IT)
        progress = _Progress.read(file)
        try:
            for output in event.outputs[len(progress.saved) :]:
                progress.add(_save(output.url, part, progress, settings, deadline))
        except (AddressRefused, TooLarge) as error:
            part.unlink(missing_ok=True)
            progress_path.unlink()
            return Cancel(f"[handlers.archive] {error}")
        progress_path.unlink(missing_ok=True)
        return Done({"saved": progress.saved})


@dataclass
class _Progress:
    """What the attempts so far have got, in a file that is locked while one of them runs."""

    file: BinaryIO
    saved: list[dict[str, Any]]
    etag: str | None = None
    """The version that the partial file is a part of."""

    @classmethod
    def read(cls, file: BinaryIO) -> "_Progress":
        try:
            return cls(file, **json.load(file))
        except (ValueError, TypeError):
            return cls(file, [])

    def add(self, output: dict[str, Any]) -> None:
        self.saved.append(output)
        self.started(None)

    def started(self, etag: str | None) -> None:
        self.etag = etag
        self.file.seek(0)
        self.file.truncate()
        self.file.write(json.dumps({"saved": self.saved, "etag": etag}).encode())
        self.file.flush()


def _save(url: str, part: Path, progress: _Progress, settings: Settings, deadline: float) -> dict[str, Any]:
    directory = part.parent.parent
    with _opened(part) as file:
        got = download(
            url,
            file,
            max_bytes=settings.max_bytes,
            timeout=timedelta(seconds=deadline - time.monotonic()),
            allow_private=settings.allow_private,
            offset=file.seek(0, os.SEEK_END),
            etag=progress.etag,
            started=progress.started,
        )
        os.fsync(file.fileno())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = digest + _extension(got.content_type, url)
    # Replaces a symbolic link of that name, and does not follow it.
    part.replace(directory / name)
    _sync(directory)
    return {
        "url": without_query(url),
        "file": name,
        "bytes": got.size,
        "sha256": digest,
        "content_type": got.content_type,
    }


def _extension(content_type: str | None, url: str) -> str:
    suffix = re.search(r"//[^/]+/.*(\.[a-z0-9]{1,5})\Z", without_query(url).lower())
    return _EXTENSIONS.get(content_type or "", suffix[1] if suffix else "")


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


def _opened(path: Path) -> BufferedRandom:
    """The file, made if need be; never what a symbolic link leads to."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    return os.fdopen(descriptor, "r+b")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
