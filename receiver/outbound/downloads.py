"""Getting a file at a URL that somebody else named."""

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import BinaryIO
from urllib.parse import unquote

import httpx

from receiver.errors import AddressRefused, CredentialsRefused, RequestFailed, TooLarge
from receiver.models import Access
from receiver.outbound.addresses import checked_url, host_of, without_query
from receiver.outbound.answers import COMPRESSED, Answer, is_strong
from receiver.outbound.network import AGENT, Network, deadline_after

_MOST_REDIRECTS = 5
_WAY_UP = re.compile(r"[/\\]\.\.?([/\\;]|$)|\\")
_TRY_LATER = {408, 425, 429}


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that arrived whole."""

    url: str
    """Where it was in the end, without the query."""
    size: int
    content_type: str | None
    """In lower case, without parameters; None if there was none."""
    etag: str | None
    """Only if it is a strong one."""


def download(
    url: str,
    file: BinaryIO,
    *,
    max_bytes: int,
    timeout: timedelta,
    allow_private: bool = False,
    offset: int = 0,
    etag: str | None = None,
    started: Callable[[str | None], None] | None = None,
    access: Access | None = None,
) -> Download:
    """Get the file at a URL that somebody else named.

    With the `offset` an earlier call got to and the strong `etag` it was given, only the rest is asked for; if the
    file has changed since, or there is no rest to be had, it starts again from nothing. `started` is called with the
    strong etag, if any, before the first byte is written. `max_bytes` is for the whole file. `access` goes to the
    addresses it covers, which may then be private, and not to where those redirect to.

    Raises:
        AddressRefused: the URL, or one it redirects to, is not HTTP, has a password or leads to a private address.
        TooLarge: the file is over the size limit.
        CredentialsRefused: an address that the access covers does not accept it.
        RequestFailed: it did not arrive whole or in time; what did arrive is in the file. `status` is the HTTP status
            that it was refused with.
    """
    deadline = deadline_after(timeout)
    target = _Target(file, max_bytes, started or _ignore)
    if is_strong(etag):
        target.offset, target.etag = offset, etag
    here = checked_url(url)
    with (
        closing(Network(allow_private=allow_private, keep=0)) as network,
        closing(Network(allow_private=True, keep=0)) as own,
    ):
        for _ in range(_MOST_REDIRECTS + 1):
            covered = access is not None and _covers(access, here)
            headers = {**target.headers(), **(access.headers if access and covered else {})}
            ask = own.ask if covered else network.ask
            with ask(_request(here, headers), deadline) as answer:
                match answer.status:
                    case 301 | 302 | 303 | 307 | 308:
                        here = _redirected(here, answer)
                    case 206 if target.goes_on_with(answer):
                        return target.save(answer, here)
                    case 206 | 416 if target.offset:
                        target.start_again()
                    case 200:
                        target.start_again()
                        return target.save(answer, here)
                    case 401 if covered:
                        raise CredentialsRefused(
                            f"{answer.host} answers HTTP 401: it does not accept the source's api_key", status=401
                        )
                    case status:
                        retry = status >= 500 or status in _TRY_LATER
                        raise RequestFailed(f"{answer.host} answers HTTP {status}", retry=retry, status=status)
    raise RequestFailed(f"{host_of(here)} redirects too often", retry=False)


@dataclass
class _Target:
    """The file that a download goes to, and how far it is."""

    file: BinaryIO
    max_bytes: int
    started: Callable[[str | None], None]
    offset: int = 0
    etag: str | None = None

    def headers(self) -> dict[str, str]:
        """What to ask for: all of it, or the rest if nothing has changed."""
        headers = {"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        if self.offset and self.etag:
            headers |= {"Range": f"bytes={self.offset}-", "If-Range": self.etag}
        return headers

    def goes_on_with(self, answer: Answer) -> bool:
        """Whether a partial answer is the rest of what is here."""
        part = answer.part
        # A weak tag, too, may be of another version.
        same = answer.headers.get("etag") in (None, self.etag)
        return bool(self.offset) and part is not None and part.first == self.offset and same

    def start_again(self) -> None:
        self.offset, self.etag = 0, None

    def save(self, answer: Answer, here: httpx.URL) -> Download:
        too_large = TooLarge(
            f"the file at {answer.host} is larger than {self.max_bytes} bytes; raise max_bytes if it is wanted"
        )
        total = answer.part.total if self.offset and answer.part else answer.length
        if total is not None and total > self.max_bytes:
            raise too_large
        # Object stores hand on what they were once told, such as `aws-chunked`, which means nothing here.
        if answer.encoding in COMPRESSED:
            raise RequestFailed(f"{answer.host} compresses with {answer.encoding}, though asked not to", retry=False)
        self.etag = answer.etag or self.etag
        self.file.seek(self.offset)
        self.file.truncate()
        self.started(self.etag)
        for chunk in answer.chunks:
            self.offset += len(chunk)
            if self.offset > self.max_bytes:
                raise too_large
            self.file.write(chunk)
        self.file.flush()
        if total is not None and self.offset != total:
            raise RequestFailed(f"{answer.host} sent {self.offset} of {total} bytes")
        return Download(
            url=without_query(str(here)), size=self.offset, content_type=answer.content_type, etag=self.etag
        )


def _covers(access: Access, here: httpx.URL) -> bool:
    """Whether the headers may go there. A base URL may be written in another way: upper case, the usual port."""
    # Servers may take these for a way up, out of the base URL.
    if _WAY_UP.search(unquote(unquote(here.path))):
        return False
    return replace(access, base_url=str(httpx.URL(access.base_url)).rstrip("/")).covers(str(here))


def _request(here: httpx.URL, headers: Mapping[str, str]) -> httpx.Request:
    try:
        return httpx.Request("GET", here, headers=headers)
    except ValueError:
        raise RequestFailed(
            f"a header for {host_of(here)} holds what HTTP does not allow; see the api_key", retry=False, sent=False
        ) from None


def _redirected(here: httpx.URL, answer: Answer) -> httpx.URL:
    try:
        joined = str(here.join(answer.headers["location"]))
    except (KeyError, httpx.InvalidURL, ValueError):
        raise RequestFailed(f"{answer.host} redirects to nowhere", retry=False) from None
    there = checked_url(joined)
    if here.scheme == "https" and there.scheme != "https":
        raise AddressRefused(f"{answer.host} redirects from https to http")
    return there


def _ignore(etag: str | None) -> None:
    pass
