"""Send every event on to a URL, as a CloudEvent with a signature by the Standard Webhooks scheme.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import Field, Secret, SecretStr, ValidationInfo, field_validator

from receiver import Cancel, Context, Done, Event, HandlerSettings, PermanentError, RetryAfter, Router, clock
from receiver.backoff import retry_after
from receiver.cloudevents import CONTENT_TYPE, cloud_event
from receiver.errors import RequestFailed
from receiver.models import Response
from receiver.outbound import HandlerClient, is_public, without_query
from receiver.outbound.addresses import checked_url
from receiver.signatures import SCHEMES
from receiver.units import Duration, Several

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[!-~]([\t -~]*[!-~])?")
_OWN_HEADERS = {
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}
_SCHEME = SCHEMES["standard_webhooks"]
_SECRET = "whsec_"  # noqa: S105 - what every secret begins with
_TRY_LATER = {408, 425, 429}


class Address(Secret[str]):
    """A URL that is shown without its query, which may be what lets one in."""

    def _display(self) -> str:
        return without_query(self.get_secret_value())


class Settings(HandlerSettings):
    """`[handlers.forward]`: where the events go, and what proves that they are ours."""

    url: Address
    """Where each event is posted. For several URLs write several tables with `module = "receiver_handlers.forward"`."""
    secrets: Several[SecretStr]
    """The signing secrets, or the only one: `whsec_` and 24 to 64 bytes in base64. Each signs, so that the other side
    may change from one to the next at its own time."""
    headers: Mapping[str, SecretStr] = {}
    """More headers to send, such as `Authorization`."""
    call_timeout: Duration = timedelta(seconds=30)
    """How long the other side may take to answer. Less than `timeout`, which ends the attempt."""
    include_data: bool = True
    """Whether to send the provider's own object along. Without it, events are small."""
    allow_private: bool = Field(default=False, validate_default=True)
    """Whether the URL may lead to an address that is not public, such as a server of your own."""

    @field_validator("url")
    @classmethod
    def _of_the_web(cls, url: Address) -> Address:
        try:
            parsed = checked_url(url.get_secret_value())
        except RequestFailed as error:
            raise ValueError(f'{error}; write one such as "https://orders.example/events"') from None
        if not re.fullmatch(r"[^\s%]+", parsed.host) or not 0 < (443 if parsed.port is None else parsed.port) < 2**16:
            raise ValueError('that host or port cannot be; write a URL such as "https://orders.example/events"')
        return url

    @field_validator("secrets")
    @classmethod
    def _strong(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not secrets or not all(_is_strong(secret) for secret in secrets):
            raise ValueError('each is "whsec_" and 24 to 64 bytes in base64: echo "whsec_$(openssl rand -base64 32)"')
        return secrets

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value.get_secret_value()):
                raise ValueError(f"{name!r} or its value holds what HTTP does not allow in a header")
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is set by Receiver itself; remove it")
        return headers

    @field_validator("allow_private")
    @classmethod
    def _public(cls, allow_private: bool, others: ValidationInfo) -> bool:
        url = others.data.get("url")
        if url is not None and not allow_private and _is_private(host := _host(url)):
            raise ValueError(f"{host} is not a public address; set it to true if it is one of yours")
        return allow_private


router = Router(settings=Settings)


@router.on()
def forward(event: Event, context: Context) -> Done | Cancel:
    """Post the event. The other side knows a retry by its `webhook-id`, and a fact by its `source` and `id`."""
    settings: Settings = context.settings
    body = json.dumps(cloud_event(event, context.job, include_data=settings.include_data)).encode()
    timestamp = int(clock.now().timestamp())
    client = context.client or HandlerClient()
    try:
        response = client.send(
            "POST",
            settings.url.get_secret_value(),
            headers={
                **{name: value.get_secret_value() for name, value in settings.headers.items()},
                "Content-Type": CONTENT_TYPE,
                "webhook-id": context.idempotency_key,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signatures(context.idempotency_key, timestamp, body, settings.secrets),
            },
            content=body,
            timeout=settings.call_timeout,
            allow_private=settings.allow_private,
        )
    except RequestFailed as error:
        if error.retry:
            raise
        raise PermanentError(f"{context.table} url: {error}") from None
    return _answered(response, settings.url, context.table)


def signatures(webhook_id: str, timestamp: int, body: bytes, secrets: Iterable[SecretStr]) -> str:
    """One signature for each secret. Whoever verifies them takes the one that they have the secret of."""
    now = datetime.fromtimestamp(timestamp, UTC)
    headers = [_SCHEME.sign(body, secret.get_secret_value(), now, id=webhook_id) for secret in secrets]
    return " ".join(added[_SCHEME.header] for added in headers)


def _is_strong(secret: SecretStr) -> bool:
    """Whether a secret is as the scheme wants it."""
    text = secret.get_secret_value()
    # Four letters of base64 are three bytes; some leave out the padding.
    size = len(text.removeprefix(_SECRET).rstrip("=")) * 3 // 4
    return text.startswith(_SECRET) and _SCHEME.fault(text) is None and 24 <= size <= 64


def _answered(response: Response, url: Address, table: str) -> Done | Cancel:
    """What the answer means for the dispatch.

    Raises:
        RetryAfter, RequestFailed: another attempt may do better.
        PermanentError: none will.
    """
    status = response.status_code
    told = f"{_host(url)} answered {status}"
    if 200 <= status < 300:
        return Done({"status": status, "url": str(url)})
    if status == 410:
        return Cancel(f"{table} url: {told}, gone; set enabled = false if it does not come back")
    if status in _TRY_LATER or status >= 500:
        wait = retry_after(response.headers)
        raise RetryAfter(wait, told) if wait else RequestFailed(told)
    if 300 <= status < 400:
        raise PermanentError(f"{table} url: {told}, a redirect, which is not followed; write where it leads")
    if status == 413:
        raise PermanentError(f"{table} include_data: {told}, too large; set it to false if the rest is enough")
    raise PermanentError(f"{table} url: {told}; see whether url, secrets and headers are what it wants")


def _host(url: Address) -> str:
    return checked_url(url.get_secret_value()).host


def _is_private(host: str) -> bool:
    """Whether it is an address and not public. Where a name leads is known only when it is called."""
    try:
        return not is_public(host)
    except ValueError:
        return False
