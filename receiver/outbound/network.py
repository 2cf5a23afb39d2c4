"""Connections with a deadline, to addresses that are checked first."""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import httpcore
import httpx

from receiver import __version__
from receiver.errors import RequestFailed
from receiver.outbound.addresses import check_public, host_of, resolve
from receiver.outbound.answers import Answer

AGENT = f"receiver/{__version__}"
CONNECTIONS = 64
# Shorter than servers wait, or a request could meet a connection that is just being closed.
_KEEP_ALIVE = 1.0
_CONNECT = 10.0
_SILENCE = 30.0
_SLICE = 64 * 2**10


class Network:
    """Connections to addresses that are checked first."""

    def __init__(self, *, allow_private: bool, keep: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=keep,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=_Backend(allow_private=allow_private),
        )

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def ask(self, request: httpx.Request, deadline: float) -> Iterator[Answer]:
        """Send a request; the answer's bytes come as they are read.

        Raises:
            AddressRefused: it leads to a private address, and may not.
            RequestFailed: there is no answer, or not before the deadline.
        """
        host = host_of(request.url)
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
            yield Answer(answer.status, httpx.Headers(answer.headers), _chunks(answer, host), host)


def deadline_after(timeout: timedelta) -> float:
    """The moment of the monotonic clock when this time will be over."""
    return time.monotonic() + timeout.total_seconds()


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
        addresses = resolve(host, port)
        if not self._allow_private:
            check_public(host, addresses)
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


def _left(moment: float | None, *, at_most: float = _SILENCE) -> float:
    """The seconds until a moment."""
    if moment is None:
        return at_most
    left = moment - time.monotonic()
    if left <= 0:
        raise httpcore.TimeoutException
    return min(left, at_most)


@contextmanager
def _failures_of(host: str) -> Iterator[None]:
    """Raise `RequestFailed` for whatever can go wrong on the wire.

    The original is not attached: what it says of a header that cannot be sent is the header.
    """
    try:
        yield
    except (httpcore.ConnectTimeout, httpcore.PoolTimeout):
        raise RequestFailed(f"{host} took too long to connect to", sent=False) from None
    except httpcore.ConnectError as error:
        raise RequestFailed(f"the call to {host} failed: {error}", sent=False) from None
    except httpcore.TimeoutException:
        raise RequestFailed(f"{host} took too long") from None
    except httpcore.LocalProtocolError:
        raise RequestFailed(
            f"a header for {host} holds what HTTP does not allow; see the api_key", retry=False, sent=False
        ) from None
    except httpcore.ProtocolError:
        raise RequestFailed(f"the answer of {host} breaks off, or is not HTTP") from None
    except (httpcore.NetworkError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        raise RequestFailed(f"the call to {host} failed: {error}") from None


def _chunks(answer: httpcore.Response, host: str) -> Iterator[bytes]:
    with _failures_of(host):
        yield from answer.iter_stream()
