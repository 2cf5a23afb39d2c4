"""Hand every event to a broker of yours, as a CloudEvent: Redis Streams, NATS JetStream or RabbitMQ."""

import json
import re
from datetime import timedelta
from string import Formatter

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from receiver import Context, Done, Event, HandlerSettings, PermanentError, Router
from receiver.cloudevents import CONTENT_TYPE, cloud_event
from receiver.errors import RequestFailed
from receiver.facts import METADATA, texts
from receiver.outbound import brokers
from receiver.units import Duration

# Those of which places are made.
_NAMES = ("source", "type", "kind", "job", "status", "raw_status")
_LONGEST_VALUE = 60
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


class Settings(HandlerSettings):
    """`[handlers.publish]`: which broker gets the events, and under which name."""

    url: SecretStr
    """The broker: `redis://user:password@host:6379/0`, `nats://user:password@host:4222` (or `nats://token@host`),
    `amqp://user:password@host:5672/vhost`; with TLS `rediss://`, `tls://` and `amqps://`. Write `%40` for an @ in a
    password."""
    to: str
    """Where in it, a template: the stream (Redis), the subject (NATS) or `exchange/routing key` (RabbitMQ; `/queue` for
    the default exchange).

    Its names: `{source}`, `{type}`, `{kind}`, `{job}`, `{status}` (in our words), `{raw_status}` (in the provider's),
    and `{metadata_KEY}` for what the job was tracked with. Each is one word of at most 60 letters, digits, `-` and `_`:
    anything else in it, dots too, becomes `_`. What there is not is `-`.
    """
    max_length: int | None = Field(default=None, gt=0)
    """About how many entries a Redis stream keeps; the oldest go first. Unset, it grows until you trim it."""
    publish_timeout: Duration = timedelta(seconds=10)
    """How long connecting and the broker's confirmation may take together. Less than `timeout`, which ends the
    attempt."""
    include_data: bool = True
    """Whether to send the provider's own object along. Without it, events are small."""

    @field_validator("url")
    @classmethod
    def _understood(cls, url: SecretStr) -> SecretStr:
        brokers.parse(url.get_secret_value()).broker.require()
        return url

    @field_validator("to")
    @classmethod
    def _accepted(cls, to: str, others: ValidationInfo) -> str:
        longest = dict.fromkeys(_names(to), "x" * _LONGEST_VALUE)
        if "url" in others.data:
            brokers.parse(others.data["url"].get_secret_value()).broker.check(to.format_map(longest))
        return to

    @field_validator("max_length")
    @classmethod
    def _trimming(cls, max_length: int | None, others: ValidationInfo) -> int | None:
        url = others.data.get("url")
        if max_length is not None and url and not brokers.parse(url.get_secret_value()).broker.trims:
            raise ValueError("is for Redis; other brokers have limits of their own")
        return max_length


router = Router(settings=Settings)


@router.on()
def publish(event: Event, context: Context) -> Done:
    """Publish the event, and wait until the broker says that it has it. The id is the same on every retry."""
    settings: Settings = context.settings
    item = brokers.Item(
        id=context.idempotency_key,
        to=settings.to.format_map(_values(event, context, _names(settings.to))),
        body=json.dumps(cloud_event(event, context.job, include_data=settings.include_data)).encode(),
        content_type=CONTENT_TYPE,
        max_length=settings.max_length,
    )
    try:
        return Done(
            brokers.publish(brokers.parse(settings.url.get_secret_value()), item, timeout=settings.publish_timeout)
        )
    except brokers.TooLargeForBroker as error:
        told = f"{error}; set it to false if the rest is enough, or raise the broker's limit"
        raise PermanentError(f"{context.table} include_data: {len(item.body)} bytes for {told}") from None
    # Also a password that is refused: once somebody mends it, what waits goes through by itself.
    except RequestFailed as error:
        key = "to" if isinstance(error, brokers.PlaceRefused) else "url"
        raise RequestFailed(f"{context.table} {key}: {error}") from None


def _names(template: str) -> set[str]:
    """The names in a template.

    Raises:
        ValueError: it is none, or has a name that we do not know.
    """
    try:
        fields = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError:
        raise ValueError("a { or } stands alone; write {{ or }} for one that is meant") from None
    for name, form, conversion in fields:
        if name not in _NAMES and not re.fullmatch(rf"{METADATA}[^.\[\]]+", name or ""):
            raise ValueError(f"there is no {{{name}}}; there are {{{'}, {'.join(_NAMES)}}} and {{{METADATA}KEY}}")
        if form or conversion:
            raise ValueError(f"write {{{name}}} without anything behind the name")
    return {name for name, _, _ in fields if name}


def _values(event: Event, context: Context, names: set[str]) -> dict[str, str]:
    told = texts(event, context.job)
    return {name: _plain(told.get(name, "")) for name in names}


def _plain(text: str) -> str:
    """A text as one word that no broker reads anything into."""
    return _NOT_PLAIN.sub("_", text[:_LONGEST_VALUE]) or "-"
