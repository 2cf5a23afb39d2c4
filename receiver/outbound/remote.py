"""Places that are not folders of this machine: object stores and servers, through fsspec.

https://filesystem-spec.readthedocs.io/en/latest/api.html#other-known-implementations
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from receiver.errors import RequestFailed
from receiver.masking import mask_urls, mask_values
from receiver.outbound.deadlines import in_time
from receiver.outbound.network import deadline_after
from receiver.outbound.places import Place

_URL = re.compile(r"([a-z0-9+.-]+)://(.+)")
_PASSWORD = re.compile(r"[^:]+://[^@:]*:[^@]*@")
_EXTRA = 'pip install "ai-media-receiver[s3]"'
# Their own words about the address would be wrong: one is a folder, the others cannot be written to.
_REFUSED = {
    "file": "write the folder itself, without file://",
    "local": "write the folder itself, without local://",
    "http": "the web cannot be written to",
    "https": "the web cannot be written to",
}
# Whoever asks for a file there sees all of it or none; others are renamed to their name once they are whole.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"}
# Parts of 50 MB are held in memory, ten at once if nothing is said.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"s3": {"max_concurrency": 2}, "s3a": {"max_concurrency": 2}}
_LONGEST_ERROR = 300


def is_url(directory: str) -> bool:
    """Whether a place is written as a URL, not as a folder."""
    return "://" in directory


def check_url(url: str) -> None:
    """Let pass only URLs that can be opened.

    Raises:
        ValueError: what is wrong, or what to install.
    """
    found = _URL.fullmatch(url)
    if found is None or "::" in url or set("?#") & set(url):
        raise ValueError("write a folder, or a URL such as s3://bucket/prefix, without a query")
    if _PASSWORD.match(url):
        raise ValueError("holds a password, which would show; put it into the table `options`")
    if found[1] in _REFUSED:
        raise ValueError(_REFUSED[found[1]])
    _file_system(found[1])


class Remote(Place):
    """A place at a URL of fsspec. Files wait on this machine until they are there."""

    def __init__(
        self, url: str, *, options: Mapping[str, Any], local: Path, timeout: timedelta, setting: str = "directory"
    ) -> None:
        """`timeout` is for all that is put there, from now on. `setting` is what errors point to."""
        super().__init__(local)
        self._url = url
        self._scheme = url.partition("://")[0]
        self._options = {**_DEFAULTS.get(self._scheme, {}), **options}
        self._deadline = deadline_after(timeout)
        self._setting = setting

    def put(self, file: Path, name: str, *, content_type: str | None = None, again: bool = False) -> None:
        try:
            in_time(self._deadline, partial(self._put, file, name, content_type, again))
        except TimeoutError:
            raise self._failed("took too long") from None
        # The libraries behind fsspec raise whatever they like.
        except Exception as error:
            raise self._failed(f"{type(error).__name__}: {error}") from None

    def _put(self, file: Path, name: str, content_type: str | None, again: bool) -> None:
        fs, folder = self._opened()
        path, size = f"{folder.rstrip('/')}/{name}", file.stat().st_size
        if not again and _size(fs, path) == size:
            return
        if self._scheme in _OBJECT_STORES:
            fs.put_file(str(file), path, **self._headers(content_type))
        else:
            _put_and_rename(fs, str(file), f"{folder.rstrip('/')}/.{secrets.token_hex(16)}.partial", path)
        there = _size(fs, path)
        if there != size:
            raise OSError(f"{name} has {there} bytes there, not {size}")

    def _opened(self) -> tuple[Any, str]:
        """The file system, and the path in it."""
        # Those that are not asynchronous are cached for each thread, for ever, and threads come and go.
        shared = getattr(_file_system(self._scheme), "async_impl", False)
        fs, path = import_module("fsspec.core").url_to_fs(self._url, skip_instance_cache=not shared, **self._options)
        return fs, str(path)

    def _headers(self, content_type: str | None) -> dict[str, str]:
        return {"ContentType": content_type} if content_type and self._scheme in ("s3", "s3a") else {}

    def _failed(self, why: str) -> RequestFailed:
        masked = " ".join(mask_urls(mask_values(why, _texts(self._options))).split())
        return RequestFailed(f"{self._setting}: cannot be written to: {masked[:_LONGEST_ERROR]}")


def _file_system(scheme: str) -> Any:
    """The class of file systems of that scheme.

    Raises:
        ValueError: it is not known, or not installed.
    """
    try:
        fsspec: ModuleType = import_module("fsspec")
    except ImportError:
        needed = _EXTRA if scheme in ("s3", "s3a") else f"pip install fsspec, and what it needs for {scheme}"
        raise ValueError(f"a URL needs fsspec: {needed}") from None
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        needed = _EXTRA if scheme in ("s3", "s3a") else str(error)
        raise ValueError(f"{scheme}:// needs another package: {needed}") from None
    except ValueError:
        raise ValueError(f"fsspec knows no {scheme}://") from None


def _put_and_rename(fs: Any, file: str, temporary: str, path: str) -> None:
    try:
        fs.put_file(file, temporary)
        fs.mv(temporary, path)
    except BaseException:
        with suppress(Exception):
            fs.rm_file(temporary)
        raise


def _size(fs: Any, path: str) -> int | None:
    """How large a file is there; None if there is none, or nobody may know."""
    fs.invalidate_cache()
    try:
        found = fs.info(path)
    # S3 says "forbidden" of what is not there to those who may not list.
    except (FileNotFoundError, PermissionError):
        return None
    return int(found["size"]) if found["type"] == "file" else None


def _texts(options: object) -> Iterator[str]:
    """Every text in the options, any of which may be secret."""
    if isinstance(options, str):
        yield options
    elif isinstance(options, Mapping):
        for value in options.values():
            yield from _texts(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from _texts(value)
