"""Standard Webhooks: notices from whoever signs by that specification, such as customers of Svix.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from receiver.models import Delivery, Event
from receiver.providers.base import Provider
from receiver.providers.values import json_object, moment, signed_id, unix_moment, word
from receiver.signatures import SCHEMES, AnyOf

_BY_SECRET = SCHEMES["standard_webhooks"]
_BY_KEY_PAIR = SCHEMES["standard_webhooks_ed25519"]
_SIGNED = ("id", "timestamp", "signature")


class _Standard(AnyOf):
    """Either kind of signature, under either family of names.

    A secret says by its prefix what it is. Without one it could be either, and where a public key is taken for a
    secret, everybody who knows that key can sign.
    """

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
        family = _family(headers)
        signed = {f"webhook-{name}": headers[f"{family}-{name}"] for name in _SIGNED if f"{family}-{name}" in headers}
        super().verify(signed, body, [secret for secret in secrets if self.fault(secret) is None], now)

    def sign(
        self, body: bytes, secret: str, now: datetime, *, id: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """As a sender with this secret, or with this private key, would."""
        scheme = _BY_KEY_PAIR if secret.startswith("whsk_") else _BY_SECRET
        return scheme.sign(body, secret, now, id=id, headers=headers)

    def fault(self, secret: str) -> str | None:
        if secret.startswith("whpk_"):
            return _BY_KEY_PAIR.fault(secret)
        if secret.startswith("whsec_"):
            return _BY_SECRET.fault(secret)
        return "it begins neither with whsec_, as a secret does, nor with whpk_, as a public key does"


class Standard(Provider):
    name = "standard"
    polls = False
    scheme = _Standard(_BY_SECRET, _BY_KEY_PAIR)
    statuses = {}
    notice = "unknown"
    kinds = {}

    def parse(self, delivery: Delivery) -> list[Event]:
        data = json_object(delivery.body)
        return [
            Event(
                source=delivery.source,
                key=signed_id(delivery, f"{_family(delivery.headers)}-id"),
                # The specification asks for `type`; the events of Svix itself have `event_type`.
                type=word(data.get("type")) or word(data.get("event_type")) or self.notice,
                data=data,
                occurred_at=moment(data.get("timestamp")) or unix_moment(data.get("timestamp")),
            )
        ]


def _family(headers: Mapping[str, str]) -> str:
    """The family of names that counts. What stands under the other one is not signed, and anybody may have added it."""
    return "webhook" if "webhook-signature" in headers else "svix"
