"""Brokers that take what is published: Redis Streams, NATS JetStream and RabbitMQ.

Each call has a connection of its own. That costs some milliseconds, and leaves nothing to keep alive, to share between
threads, or to mend when a broker comes back. The libraries are extras, imported when they are needed.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from receiver.errors import RequestFailed
from receiver.masking import mask_values

_SUBJECT = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_LONGEST_AMQP_NAME = 255
_TOO_LARGE = "larger than it takes"
_JETSTREAM_TOO_LARGE = 10054
# What was confirmed stays so, however the connection ends.
_GOODBYE = 1.0
_LONGEST = 10**6


class TooLargeForBroker(RequestFailed):
    """The broker takes nothing of that size."""

    retry = False


class PlaceRefused(RequestFailed):
    """The broker is there, but where to publish is not, or takes nothing."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is to be published."""

    id: str
    to: str
    """The stream, the subject, or exchange and routing key with a slash between them."""
    body: bytes
    content_type: str
    max_length: int | None = None
    """About how many entries the stream keeps, where the writer says so."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """What there is to know of one kind of broker."""

    library: str
    extra: str
    port: int
    tls_port: int
    path: str
    """What may stand behind the host, as a pattern."""
    check: Callable[[str], None]
    """Raises ValueError if nothing can be published there."""
    publish: Callable[["Address", Item], Awaitable[Mapping[str, Any]]]
    trims: bool = False
    """Whether the writer says how long a stream gets."""

    def require(self) -> None:
        """Import its library.

        Raises:
            ValueError: it is not installed.
        """
        try:
            import_module(self.library)
        except ImportError:
            raise ValueError(f'needs the extra: pip install "ai-media-receiver[{self.extra}]"') from None


@dataclass(frozen=True, kw_only=True)
class Address:
    """A broker's URL, taken apart."""

    broker: Broker
    tls: bool
    host: str
    port: int
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    path: str
    secrets: frozenset[str] = field(repr=False)
    """What must not show, as it is written and as it is meant."""

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def context(self) -> ssl.SSLContext | None:
        """Who the broker has to prove to be, by the system's certificates or those of `SSL_CERT_FILE`."""
        return ssl.create_default_context() if self.tls else None


def parse(url: str) -> Address:
    """Take a broker's URL apart.

    Raises:
        ValueError: it cannot be one. The URL is not in the text.
    """
    try:
        parts = urlsplit(url)
        broker, tls = _SCHEMES[parts.scheme]
    except (ValueError, KeyError):
        raise ValueError(f"write a URL that begins with {'://, '.join(_SCHEMES)}://") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None:
        port = broker.tls_port if tls else broker.port
    if not parts.hostname or not url.isprintable() or " " in url or port == 0:
        raise ValueError("that host or port cannot be; percent-encode what is special in a password")
    if parts.query or parts.fragment or not re.fullmatch(broker.path, parts.path):
        raise ValueError("what follows the host means nothing here; percent-encode what is special in a password")
    user, password = unquote(parts.username or "") or None, unquote(parts.password or "") or None
    # A user without a password may be a token.
    written = {parts.password, password} if password else {parts.username, user}
    return Address(
        broker=broker,
        tls=tls,
        host=parts.hostname,
        port=port,
        user=user,
        password=password,
        path=unquote(parts.path[1:]),
        secrets=frozenset(text for text in written if text),
    )


def publish(address: Address, item: Item, *, timeout: timedelta) -> Mapping[str, Any]:
    """Publish it, wait until the broker confirms that, and say where it is now.

    Raises:
        TooLargeForBroker: trying again cannot help.
        RequestFailed: nobody knows whether the broker has it, or why not.
    """
    try:
        return asyncio.run(_in_time(address, item, timeout.total_seconds()))
    except RequestFailed as error:
        raise type(error)(mask_values(f"{address}: {error}", address.secrets)) from None
    # Each library has exceptions of its own, and some quote the URL.
    except Exception as error:
        told = str(error) or type(error).__name__
        raise RequestFailed(mask_values(f"{address}: {told}", address.secrets)) from None


async def _in_time(address: Address, item: Item, limit: float) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(limit):
            return await address.broker.publish(address, item)
    except TimeoutError:
        raise RequestFailed(f"did not confirm within {limit:g} s") from None


@asynccontextmanager
async def _closing(close: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with suppress(Exception):
            await asyncio.wait_for(close(), _GOODBYE)


# Redis


def _check_stream(to: str) -> None:
    if not to or not to.isprintable():
        raise ValueError('write the name of a stream, such as "ai-media:{source}"')


async def _to_redis(address: Address, item: Item) -> Mapping[str, Any]:
    """Add an entry to the stream, which begins to exist with its first."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ResponseError

    client = Redis(
        host=address.host,
        port=address.port,
        db=int(address.path or 0),
        username=address.user,
        password=address.password,
        ssl=address.tls,
        protocol=2,
        socket_timeout=None,
        socket_connect_timeout=None,
        # Or one attempt of ours could add several.
        retry=Retry(NoBackoff(), 0),
    )
    # Servers since 8.6 can drop an id that they have had (IDMP), by default for 100 seconds: too short for our retries.
    fields: dict[Any, Any] = {"id": item.id, "content-type": item.content_type, "event": item.body}
    async with _closing(client.aclose):
        try:
            entry: Any = await client.xadd(item.to, fields, maxlen=item.max_length, approximate=True)
        except ResponseError as error:
            raise PlaceRefused(f"stream {item.to}: {error}") from None
    return {"stream": item.to, "entry": entry.decode()}


# NATS JetStream


def _check_subject(to: str) -> None:
    if not _SUBJECT.fullmatch(to) or not to.isprintable():
        raise ValueError('write a subject without spaces and wildcards, such as "ai-media.{source}.{type}"')


async def _to_nats(address: Address, item: Item) -> Mapping[str, Any]:
    """Publish to the stream that takes the subject. It drops an id that it has had within its window."""
    from nats.aio.client import Client
    from nats.errors import MaxPayloadError
    from nats.js.errors import APIError, NoStreamResponseError

    class Connection(Client):
        def _connect_command(self) -> bytes:
            # The library goes on in plain text with a server that offers no TLS, whatever the URL says.
            if address.tls and not self._server_info.get("tls_required"):
                raise RequestFailed("offers no TLS; nothing was sent")
            return super()._connect_command()

    said: list[Exception] = []

    async def listen(error: Exception) -> None:
        said.append(error)

    connection = Connection()
    # Its own limits want to be numbers; the one around all of it is shorter.
    options: dict[str, Any] = {"connect_timeout": _LONGEST} | ({"tls": address.context} if address.tls else {})
    async with _closing(connection.close):
        try:
            await connection.connect(
                f"nats://{address}",
                user=address.user if address.password else None,
                password=address.password,
                token=None if address.password else address.user,
                error_cb=listen,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                **options,
            )
            done = await connection.jetstream().publish(
                item.to,
                item.body,
                timeout=_LONGEST,
                headers={"Nats-Msg-Id": item.id, "Content-Type": item.content_type},
            )
        except NoStreamResponseError:
            raise PlaceRefused(f"no JetStream stream takes the subject {item.to}; add one that does") from None
        except MaxPayloadError:
            raise TooLargeForBroker(_TOO_LARGE) from None
        except APIError as error:
            if error.err_code == _JETSTREAM_TOO_LARGE:
                raise TooLargeForBroker(_TOO_LARGE) from None
            raise PlaceRefused(f"the stream of {item.to}: {error.description}") from None
        except RequestFailed:
            raise
        # What the server says of a connection or a subject comes by the side, and no confirmation follows.
        except (Exception, asyncio.CancelledError) as error:
            if not said:
                raise
            raise RequestFailed(str(said[-1]) or type(said[-1]).__name__) from error
    return {"stream": done.stream, "sequence": done.seq, "duplicate": bool(done.duplicate)}


# RabbitMQ


def _check_exchange(to: str) -> None:
    exchange, slash, routing_key = to.partition("/")
    if not slash or not (exchange or routing_key) or not to.isprintable():
        raise ValueError('write "exchange/routing.key", such as "media/{source}.{type}", or "/queue"')
    if max(len(exchange.encode()), len(routing_key.encode())) > _LONGEST_AMQP_NAME:
        raise ValueError(f"could be longer than the {_LONGEST_AMQP_NAME} bytes that RabbitMQ takes; use fewer names")


async def _to_rabbitmq(address: Address, item: Item) -> Mapping[str, Any]:
    """Publish to the exchange, which has to lead to a queue."""
    import aio_pika
    from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed, InvalidFrameError, PublishError

    # What is worth knowing of it becomes the error.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    exchange, _, routing_key = item.to.partition("/")
    shown = f"exchange {exchange or '(the default one)'}, routing key {routing_key}"
    try:
        connection = await aio_pika.connect(
            host=address.host,
            port=address.port,
            login=address.user or "guest",
            password=address.password or "guest",
            virtualhost=address.path or "/",
            ssl=address.tls,
            ssl_context=address.context,
        )
    # The library does not say what the broker says then.
    except InvalidFrameError:
        raise RequestFailed(
            f"closed the connection; see whether there is a virtual host {address.path or '/'}, "
            "and whether the user may enter it"
        ) from None
    async with _closing(connection.close):
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        place = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        outgoing = aio_pika.Message(
            item.body,
            message_id=item.id,
            content_type=item.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            await place.publish(outgoing, routing_key, mandatory=True)
        except PublishError:
            raise PlaceRefused(f"{shown}: leads to no queue; bind one") from None
        except ChannelNotFoundEntity:
            raise PlaceRefused(f"{shown}: there is no such exchange; declare it") from None
        except ChannelPreconditionFailed as error:
            if "size" not in str(error):
                raise
            raise TooLargeForBroker(_TOO_LARGE) from None
    return {"exchange": exchange, "routing_key": routing_key}


_REDIS = Broker(
    library="redis",
    extra="redis",
    port=6379,
    tls_port=6379,
    path=r"/?|/\d{1,5}",
    check=_check_stream,
    publish=_to_redis,
    trims=True,
)
_NATS = Broker(
    library="nats", extra="nats", port=4222, tls_port=4222, path="/?", check=_check_subject, publish=_to_nats
)
_RABBITMQ = Broker(
    library="aio_pika",
    extra="rabbitmq",
    port=5672,
    tls_port=5671,
    path="/?|/[^/]+",
    check=_check_exchange,
    publish=_to_rabbitmq,
)
_SCHEMES = {
    "redis": (_REDIS, False),
    "rediss": (_REDIS, True),
    "nats": (_NATS, False),
    "tls": (_NATS, True),
    "amqp": (_RABBITMQ, False),
    "amqps": (_RABBITMQ, True),
}
