"""The signature schemes that senders share, as values that adapters name."""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from receiver.errors import Reason, Refused

__all__ = ["SCHEMES", "HmacHex", "dummy_check"]

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class HmacHex:
    """HMAC-SHA256 of the raw body, as 64 lower-case hex digits behind a prefix, in one header. No timestamp."""

    header: str
    prefix: str = ""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
        """Return if one of the secrets made the signature.

        Raises:
            Refused: it is missing, malformed, or made with none of the secrets.
        """
        value = headers.get(self.header.lower())
        if value is None:
            raise Refused(Reason.MISSING_SIGNATURE, f"no {self.header} header; is a signing secret set at the sender?")
        if not value.startswith(self.prefix) or not _HEX_SHA256.fullmatch(value[len(self.prefix) :]):
            raise Refused(Reason.MALFORMED, f"{self.header} is not '{self.prefix}' and 64 lower-case hex digits")
        claimed = bytes.fromhex(value[len(self.prefix) :])
        # Every secret is tried, so that the time taken does not tell which one matched.
        if not sum(hmac.compare_digest(claimed, _digest(secret, body)) for secret in secrets if secret):
            raise Refused(
                Reason.SIGNATURE_MISMATCH, "no configured secret makes this signature over the bytes received"
            )

    def sign(self, body: bytes, secret: str) -> dict[str, str]:
        """The header a genuine sender would add."""
        return {self.header: self.prefix + _digest(secret, body).hex()}


SCHEMES: Mapping[str, HmacHex] = {
    "creativeai": HmacHex("X-CreativeAI-Signature", prefix="sha256="),
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    "github": HmacHex("X-Hub-Signature-256", prefix="sha256="),
    "heygen_legacy": HmacHex("Signature"),
    "newapi_notify": HmacHex("X-Webhook-Signature"),
}


def dummy_check(body: bytes) -> None:
    """As much work as one check, so that an unknown source takes no less time than a wrong signature."""
    hmac.compare_digest(bytes(32), _digest("no source of this name", body))


def _digest(secret: str, body: bytes) -> bytes:
    return hmac.digest(secret.encode(), body, "sha256")
