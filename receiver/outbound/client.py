"""Asking a provider."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import httpx

from receiver import clock
from receiver.errors import NotFound, RequestFailed, TooLarge
from receiver.models import Request, Response, Upload
from receiver.outbound.answers import COMPRESSED, Answer
from receiver.outbound.network import AGENT, CONNECTIONS, Network, deadline_after
from receiver.providers.base import Provider

_COMPRESSED_AS_ASKED = {"gzip", "x-gzip", "deflate"}
T = TypeVar("T")

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class ProviderClient:
    """Asks providers. Threads may share one; connections are kept for the next request.

    A source's base URL is the operator's choice, so its address may be private.
    """

    def __init__(self, *, timeout: timedelta = timedelta(seconds=30), max_bytes: int = 10 * 10**6) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._network = Network(allow_private=True, keep=CONNECTIONS)

    def __enter__(self) -> "ProviderClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._network.close()

    def first(self, provider: Provider, requests: Sequence[Request], read: Callable[[Response], T]) -> T:
        """What is read of the answer to the first of these requests that the API knows: its versions differ.

        Raises:
            RequestFailed: as the last of them, or the first that failed in another way.
            Unreadable: by `read`.
        """
        for request in requests[:-1]:
            try:
                return read(self.send(provider, request))
            except RequestFailed as error:
                if not _unknown(error):
                    raise
        return read(self.send(provider, requests[-1]))

    def fetch(self, url: str) -> Response:
        """What is at a URL that an adapter or the operator named, without any credentials.

        Raises:
            RequestFailed: there is no answer, or not in time.
            TooLarge: it is over the size limit.
        """
        return self._ask(_written("GET", url))

    def send(self, provider: Provider, request: Request) -> Response:
        """The provider's answer, whatever its status; a redirect is an answer too.

        Raises:
            RequestFailed: there is no answer, or not in time.
            TooLarge: it is over the size limit.
        """
        return self._ask(_addressed(provider, request), leave_file=request.leave_file)

    def _ask(self, request: httpx.Request, *, leave_file: bool = False) -> Response:
        with self._network.ask(request, deadline_after(self._timeout)) as answer:
            body = b"" if leave_file and _is_file(answer) else _decoded(answer, self._max_bytes)
            return Response(status_code=answer.status, headers=dict(answer.headers), body=body)


def _unknown(error: RequestFailed) -> bool:
    """Whether the API says that it has no such path, or nothing there."""
    return isinstance(error, NotFound) or str(error).startswith("HTTP 404")


def _addressed(provider: Provider, request: Request) -> httpx.Request:
    form = {name: _field(value) for name, value in request.form.items()} if request.form else None
    url = f"{provider.base_url}/{request.path.removeprefix('/')}"
    written = _written(request.method, url, request.headers, provider.authorize(), json=request.json, files=form)
    proof = provider.sign_request(
        method=written.method, url=str(written.url), body=written.content if form is None else b"", now=clock.now()
    )
    try:
        written.headers.update(proof)
    except (ValueError, TypeError) as error:
        raise RequestFailed(
            f"the request cannot be signed ({type(error).__name__}); see the source's settings", retry=False, sent=False
        ) from None
    return written


def _written(method: str, url: str, *headers: Mapping[str, str], **content: Any) -> httpx.Request:
    try:
        together = httpx.Headers()
        # Names may be spelled in another case: the last one counts.
        for some in (*headers, {"User-Agent": AGENT, "Accept-Encoding": "gzip"}):
            together.update(some)
        return httpx.Request(method, httpx.URL(url), headers=together, **content)
    except (httpx.InvalidURL, ValueError, TypeError, RecursionError) as error:
        raise RequestFailed(
            f"the request cannot be written ({type(error).__name__}); see the base_url and the api_key",
            retry=False,
            sent=False,
        ) from None


def _field(value: str | Upload) -> tuple[str | None, str | bytes, str | None]:
    """A field of a form as httpx takes it: text, or a file."""
    return (value.name, value.data, value.content_type) if isinstance(value, Upload) else (None, value, None)


def _is_file(answer: Answer) -> bool:
    """Whether an answer is a success that says it is neither JSON nor a page."""
    readable = answer.content_type is None or answer.content_type.startswith(("application/json", "text/"))
    return 200 <= answer.status < 300 and not readable


def _decoded(answer: Answer, max_bytes: int) -> bytes:
    """The body, inflated no further than the limit."""
    too_large = TooLarge(f"the answer of {answer.host} is larger than {max_bytes} bytes")
    if answer.encoding in COMPRESSED - _COMPRESSED_AS_ASKED or "," in answer.encoding:
        raise RequestFailed(f"{answer.host} answers in {answer.encoding[:50]!r}, which was not asked for", retry=False)
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
