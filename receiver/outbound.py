"""The only way out: HTTP with limits on time, size and addresses."""

import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import TracebackType
from typing import Any, BinaryIO, TypeGuard

import httpcore
import httpx

from receiver import __version__
from receiver.errors import AddressRefused, RequestFailed, TooLarge
from receiver.models import Request, Response
from receiver.providers.base import Provider

__all__ = ["Download", "ProviderClient", "download", "is_public", "without_query"]

_AGENT = f"receiver/{__version__}"
_CONNECT = 10.0
_SILENCE = 30.0
_SLICE = 64 * 2**10
_CONNECTIONS = 64
# Shorter than servers wait, or a request could meet a connection that is just being closed.
_KEEP_ALIVE = 1.0
_MOST_REDIRECTS = 5
_TRY_LATER = {408, 425, 429}
_COMPRESSED = {"gzip", "x-gzip", "deflate", "compress", "br", "zstd"}
_COMPRESSED_AS_ASKED = {"gzip", "x-gzip", "deflate"}
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
# What `ipaddress` calls global in some version of Python, and is not, or leads elsewhere.
_NOT_PUBLIC = [
    ip_network("192.0.0.0/24"),  # protocol assignments; a metadata service in one cloud
    ip_network("192.88.99.0/24"),  # relays of 6to4
    ip_network("168.63.129.16/32"),  # the platform's own services in another cloud
    ip_network("2001::/23"),  # protocol assignments, among them Teredo, which holds an IPv4 address
    ip_network("2002::/16"),  # 6to4, which holds an IPv4 address
    ip_network("3fff::/20"),  # documentation
]


class ProviderClient:
    """Asks providers. Threads may share one; connections are kept for the next request.

    A source's base URL is the operator's choice, so its address may be private.
    """

    def __init__(self, *, timeout: timedelta = timedelta(seconds=30), max_bytes: int = 10 * 10**6) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._network = _Network(allow_private=True, keep=_CONNECTIONS)

    def __enter__(self) -> "ProviderClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._network.close()

    def send(self, provider: Provider, request: Request) -> Response:
        """The provider's answer, whatever its status; a redirect is an answer too.

        Raises:
            RequestFailed: there is no answer, or not in time.
            TooLarge: it is over the size limit.
        """
        deadline = _deadline(self._timeout)
        with self._network.ask(_addressed(provider, request), deadline) as answer:
            body = _decoded(answer, self._max_bytes)
            return Response(status_code=answer.status, headers=dict(answer.headers), body=body)


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
) -> Download:
    """Get the file at a URL that somebody else named.

    With the `offset` an earlier call got to and the strong `etag` it was given, only the rest is asked for; if the
    file has changed since, or there is no rest to be had, it starts again from nothing. `started` is called with the
    strong etag, if any, before the first byte is written. `max_bytes` is for the whole file.

    Raises:
        AddressRefused: the URL, or one it redirects to, is not HTTP, has a password or leads to a private address.
        TooLarge: the file is over the size limit.
        RequestFailed: it did not arrive whole or in time; what did arrive is in the file.
    """
    deadline = _deadline(timeout)
    target = _Target(file, max_bytes, started or _ignore)
    if _is_strong(etag):
        target.offset, target.etag = offset, etag
    here = _checked(url)
    with closing(_Network(allow_private=allow_private, keep=0)) as network:
        for _ in range(_MOST_REDIRECTS + 1):
            with network.ask(httpx.Request("GET", here, headers=target.headers()), deadline) as answer:
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
                    case status:
                        retry = status >= 500 or status in _TRY_LATER
                        raise RequestFailed(f"{answer.host} answers HTTP {status}", retry=retry)
    raise RequestFailed(f"{_host(here)} redirects too often", retry=False)


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet can reach, and nothing nearer."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip in _NAT64:
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)
    # Only unicast: the other forms of IPv6 that hold an IPv4 address are outside of it.
    if isinstance(ip, IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def without_query(url: str) -> str:
    """A URL without what may be secret in it: user name, password, query and fragment."""
    return re.sub(r"//[^/]*@", "//", re.split("[?#]", url, maxsplit=1)[0], count=1)


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
        headers = {"User-Agent": _AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        if self.offset and self.etag:
            headers |= {"Range": f"bytes={self.offset}-", "If-Range": self.etag}
        return headers

    def goes_on_with(self, answer: "_Answer") -> bool:
        """Whether a partial answer is the rest of what is here."""
        part = answer.part
        return bool(self.offset) and part is not None and part.first == self.offset and answer.etag in (None, self.etag)

    def start_again(self) -> None:
        self.offset, self.etag = 0, None

    def save(self, answer: "_Answer", here: httpx.URL) -> Download:
        too_large = TooLarge(
            f"the file at {answer.host} is larger than {self.max_bytes} bytes; raise max_bytes if it is wanted"
        )
        total = answer.part.total if self.offset and answer.part else answer.length
        if total is not None and total > self.max_bytes:
            raise too_large
        # Object stores hand on what they were once told, such as `aws-chunked`, which means nothing here.
        if answer.encoding in _COMPRESSED:
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


@dataclass(frozen=True)
class _Part:
    first: int
    total: int


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    chunks: Iterator[bytes]
    host: str

    @property
    def encoding(self) -> str:
        return str(self.headers.get("content-encoding", "")).strip().lower()

    @property
    def content_type(self) -> str | None:
        value = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return value if re.fullmatch(r"[a-z0-9.+-]{1,60}/[a-z0-9.+_-]{1,100}", value) else None

    @property
    def etag(self) -> str | None:
        """Only a strong one: a weak one may stand for several sequences of bytes."""
        etag = self.headers.get("etag")
        return etag if _is_strong(etag) else None

    @property
    def length(self) -> int | None:
        length = self.headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else None

    @property
    def part(self) -> _Part | None:
        """What part of the whole this is, if it is one that goes up to the end."""
        value = self.headers.get("content-range", "")
        match = re.fullmatch(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", value)
        return _Part(int(match[1]), int(match[3])) if match else None


class _Network:
    """Connections to addresses that are checked first."""

    def __init__(self, *, allow_private: bool, keep: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=_CONNECTIONS,
            max_keepalive_connections=keep,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=_Backend(allow_private=allow_private),
        )

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def ask(self, request: httpx.Request, deadline: float) -> Iterator[_Answer]:
        host = _host(request.url)
        with _failures_of(host):
            answer = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.read(),
                    # `_Backend` takes moments; the pool, which waits for a free connection, a duration.
                    extensions={
                        "timeout": {
                            "connect": deadline,
                            "read": deadline,
                            "write": deadline,
                            "pool": max(deadline - time.monotonic(), 0),
                        }
                    },
                )
            )
        with closing(answer):
            yield _Answer(answer.status, httpx.Headers(answer.headers), _chunks(answer, host), host)


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that were checked.

    Its timeouts, and its streams', are moments of the monotonic clock: a duration would begin again with each byte
    of an answer that trickles in.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolve(host, port)
        if not self._allow_private:
            _check_public(host, addresses)
        # By address, not by name: a name may lead elsewhere when it is asked for a second time.
        for address in addresses[:-1]:
            try:
                return _Stream(self._tcp.connect_tcp(address, port, _left(timeout, at_most=_CONNECT)))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return _Stream(self._tcp.connect_tcp(addresses[-1], port, _left(timeout, at_most=_CONNECT)))


class _Stream(httpcore.NetworkStream):
    """A connection whose timeouts are moments."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE):
            self._stream.write(buffer[start : start + _SLICE], _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _failures_of(host: str) -> Iterator[None]:
    """Raise `RequestFailed` for whatever can go wrong on the wire.

    The original is not attached: what it says of a header that cannot be sent is the header.
    """
    try:
        yield
    except httpcore.TimeoutException:
        raise RequestFailed(f"{host} took too long") from None
    except httpcore.LocalProtocolError:
        raise RequestFailed(
            f"a header for {host} holds what HTTP does not allow; see the api_key", retry=False
        ) from None
    except httpcore.ProtocolError:
        raise RequestFailed(f"the answer of {host} breaks off, or is not HTTP") from None
    except (httpcore.NetworkError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        raise RequestFailed(f"the call to {host} failed: {error}") from None


def _chunks(answer: httpcore.Response, host: str) -> Iterator[bytes]:
    with _failures_of(host):
        yield from answer.iter_stream()


def _addressed(provider: Provider, request: Request) -> httpx.Request:
    try:
        headers = httpx.Headers(request.headers)
        headers.update({**provider.authorize(), "User-Agent": _AGENT, "Accept-Encoding": "gzip"})
        url = httpx.URL(f"{provider.base_url}/{request.path.removeprefix('/')}")
        return httpx.Request(request.method, url, headers=headers, json=request.json)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise RequestFailed(
            f"the request cannot be written ({type(error).__name__}); see the base_url and the api_key", retry=False
        ) from None


def _decoded(answer: _Answer, max_bytes: int) -> bytes:
    """The body, inflated no further than the limit."""
    too_large = TooLarge(f"the answer of {answer.host} is larger than {max_bytes} bytes")
    if answer.encoding in _COMPRESSED - _COMPRESSED_AS_ASKED or "," in answer.encoding:
        raise RequestFailed(f"{answer.host} answers in {answer.encoding[:50]}, which was not asked for", retry=False)
    inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if answer.encoding in _COMPRESSED_AS_ASKED else None
    body = bytearray()
    received = 0
    for chunk in answer.chunks:
        received += len(chunk)
        body += chunk if inflate is None else _inflated(inflate, chunk, max_bytes + 1 - len(body), answer.host)
        if max(received, len(body)) > max_bytes:
            raise too_large
    if inflate is not None and received and not inflate.eof:
        raise RequestFailed(f"the compressed answer of {answer.host} breaks off")
    return bytes(body)


def _inflated(inflate: "zlib._Decompress", chunk: bytes, most: int, host: str) -> bytes:
    try:
        return inflate.decompress(chunk, most)
    except zlib.error:
        raise RequestFailed(f"the compressed answer of {host} is damaged") from None


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        # Raises for a name that is not one, only now.
        _host(parsed)
    except (httpx.InvalidURL, ValueError):
        raise RequestFailed("that is not a URL", retry=False) from None
    if parsed.scheme not in ("http", "https"):
        raise AddressRefused(f"only http and https are fetched, not {parsed.scheme[:20]!r}")
    if parsed.userinfo:
        raise AddressRefused(f"the URL at {_host(parsed)} has a user name or password in it")
    return parsed


def _redirected(here: httpx.URL, answer: _Answer) -> httpx.URL:
    try:
        joined = str(here.join(answer.headers["location"]))
    except (KeyError, httpx.InvalidURL, ValueError):
        raise RequestFailed(f"{answer.host} redirects to nowhere", retry=False) from None
    there = _checked(joined)
    if here.scheme == "https" and there.scheme != "https":
        raise AddressRefused(f"{answer.host} redirects from https to http")
    return there


def _ignore(etag: str | None) -> None:
    pass


def _is_strong(etag: str | None) -> TypeGuard[str]:
    return etag is not None and etag.startswith('"') and etag.isascii()


def _resolve(host: str, port: int) -> list[str]:
    # The C library would take a larger port modulo 65536.
    if not 0 < port < 2**16:
        raise RequestFailed(f"{host[:253]} has no port {port}", retry=False)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RequestFailed(f"the name {host[:253]} cannot be resolved: {error}") from None
    return [str(address[0]) for *_, address in found]


def _check_public(host: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(
                f"{host[:253]} leads to {address}, which is not a public address; "
                "set allow_private = true if it is one of yours"
            )


def _deadline(timeout: timedelta) -> float:
    return time.monotonic() + timeout.total_seconds()


def _left(moment: float | None, *, at_most: float = _SILENCE) -> float:
    """The seconds until a moment."""
    if moment is None:
        return at_most
    left = moment - time.monotonic()
    if left <= 0:
        raise httpcore.TimeoutException
    return min(left, at_most)


def _host(url: httpx.URL) -> str:
    return url.host[:253]
