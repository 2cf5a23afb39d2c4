"""Calls that handlers make, to addresses that somebody configured or named."""

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta

import httpx

from receiver import tracing
from receiver.errors import RequestFailed, TooLarge
from receiver.models import Response
from receiver.outbound.addresses import checked_url, host_of
from receiver.outbound.network import AGENT, Network, deadline_after


class HandlerClient:
    """Sends one request at a time, over a connection of its own. Threads may share one."""

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        timeout: timedelta = timedelta(seconds=30),
        max_bytes: int = 2**20,
        allow_private: bool = False,
    ) -> Response:
        """The answer, whatever its status; redirects are not followed.

        Raises:
            AddressRefused: it leads to a private address, and may not.
            TooLarge: the answer is over the size limit.
            RequestFailed: there is no answer, or not in time.
        """
        request = _request(method, checked_url(url), headers or {}, content)
        with (
            closing(Network(allow_private=allow_private, keep=0)) as network,
            network.ask(request, deadline_after(timeout)) as answer,
        ):
            body = bytearray()
            for chunk in answer.chunks:
                body += chunk
                if len(body) > max_bytes:
                    raise TooLarge(f"the answer of {answer.host} is larger than {max_bytes} bytes")
            return Response(status_code=answer.status, headers=dict(answer.headers), body=bytes(body))


def _request(method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes) -> httpx.Request:
    own = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    traceparent = tracing.traceparent()
    if traceparent is not None:
        own["traceparent"] = traceparent
    try:
        return httpx.Request(method, url, headers={**own, **headers}, content=content)
    except ValueError:
        raise RequestFailed(
            f"a header for {host_of(url)} holds what HTTP does not allow", retry=False, sent=False
        ) from None
