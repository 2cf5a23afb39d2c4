"""Where files go: a folder, or with `receiver.outbound.remote` what fsspec can write to."""

import os
import secrets
from abc import ABC, abstractmethod
from pathlib import Path

from receiver.files import sync_directory
from receiver.outbound.progress import opened


class Place(ABC):
    """Takes files under names that are told by what is in them. Whole or not at all, from any number of processes."""

    def __init__(self, local: Path) -> None:
        """`local` is the folder on this machine whose `.partial` holds what is not complete."""
        self._local = local

    @property
    def partials(self) -> Path:
        """The folder of what is not complete; made if need be."""
        self._local.mkdir(mode=0o700, parents=True, exist_ok=True)
        partials = self._local / ".partial"
        partials.mkdir(mode=0o700, exist_ok=True)
        return partials

    @abstractmethod
    def put(self, file: Path, name: str, *, content_type: str | None = None, again: bool = False) -> None:
        """Put a complete file there; whether it stays where it was is left open.

        What is there under that name, and as large, is the same. With `again` it is replaced all the same.

        Raises:
            RequestFailed: it is not there; the file is still where it was.
        """

    def write(self, name: str, text: bytes) -> None:
        """Put a small file there, in place of one of that name.

        Raises:
            RequestFailed: it is not there.
        """
        path = self.partials / f"{secrets.token_hex(16)}.text"
        try:
            with opened(path) as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self.put(path, name, content_type="application/json", again=True)
        finally:
            path.unlink(missing_ok=True)


class Folder(Place):
    """A folder of this machine."""

    def put(self, file: Path, name: str, *, content_type: str | None = None, again: bool = False) -> None:
        # Replaces a symbolic link of that name, and does not follow it.
        file.replace(self._local / name)
        sync_directory(self._local)
