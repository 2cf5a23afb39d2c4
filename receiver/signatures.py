"""The signature schemes that senders share, as values that adapters and settings name.

A scheme says which bytes are signed, where the signature stands, and with what it is checked. Whatever a stranger sends
is answered with `Refused`, never with another exception.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from receiver.errors import Reason, Refused

__all__ = ["SCHEMES", "AnyOf", "Ed25519", "Hmac", "Scheme", "dummy_check", "template_fault"]

_FIVE_MINUTES = timedelta(minutes=5)
_MOST_SIGNATURES = 16
_FIRST_MILLISECOND = 10**11
_DIGITS = re.compile(r"[0-9]{1,14}", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)
_PLACE = re.compile(r"\{(id|timestamp|body|sha256|header:[!#-'*+.^-`|~\w-]+)\}", re.ASCII)
_MOVABLE = re.compile(r"\{body\}.*\{(id|header:)", re.DOTALL)
_ED25519_SIZES = (32, 64)


class Scheme(Protocol):
    """A way to sign a request."""

    @property
    def header(self) -> str:
        """The header that holds the signature."""

    @property
    def headers(self) -> tuple[str, ...]:
        """All the headers that may hold it, in the order in which they are sent by now."""

    @property
    def covers_body(self) -> bool:
        """Whether the signature is of the whole body: otherwise it proves less."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
        """Return if one of the secrets, or public keys, belongs to the signature. Header names are in lower case.

        Raises:
            Refused: it is missing, malformed, too old, too new, or made with none of the secrets.
        """

    def sign(
        self, body: bytes, secret: str, now: datetime, *, id: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The headers a genuine sender would add. `headers` are others that are signed with it, in lower case."""

    def fault(self, secret: str) -> str | None:
        """What is wrong with a secret that was configured; None if nothing is."""


@dataclass(frozen=True, kw_only=True)
class _Envelope(ABC):
    """Where signature, id and time stand, and what is signed: all but the way to compute it."""

    header: str
    """The header of the signature."""
    prefix: str = ""
    """What stands before a signature, such as `sha256=`, or labels those of this scheme, such as `v1,`."""
    separator: str | None = None
    """What stands between several signatures; None where there is only one. Those with other labels are skipped."""
    bare: bool = False
    """Whether one without any label counts, too."""
    encoding: Literal["hex", "base64"] = "hex"
    signed: str = "{body}"
    """The signed bytes: `{body}`, `{sha256}` (of the body, in hex), `{timestamp}`, `{id}`, `{header:NAME}`."""
    id_header: str | None = None
    id_paths: tuple[str, ...] = ()
    """Where the id may stand in a JSON body, such as `data.id`, if no header holds it."""
    timestamp_header: str | None = None
    """Seconds or milliseconds since 1970. May be the header of the signature itself."""
    timestamp_prefix: str = ""
    """What stands before the time, in a header that holds more."""
    tolerance: timedelta | None = _FIVE_MINUTES
    """How old a signature may be, where it has a time; None where that is not checked."""
    ahead: timedelta = _FIVE_MINUTES
    """How far a sender's clock may be ahead of ours."""

    @property
    def headers(self) -> tuple[str, ...]:
        return (self.header,)

    @property
    def covers_body(self) -> bool:
        return "{body}" in self.signed or "{sha256}" in self.signed

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
        claimed = self._claimed(headers)
        timestamp = self._timestamp(headers)
        message = self._message(headers, body, timestamp)
        # Every secret is tried, so that the time taken does not tell which one matched.
        if not sum(self._made_one(claimed, message, secret) for secret in secrets):
            raise Refused(
                Reason.SIGNATURE_MISMATCH, "no configured secret makes this signature over the bytes received"
            )
        # Only now: what a genuine sender signed too long ago is told apart from what anybody made up.
        if timestamp is not None and self.tolerance is not None:
            self._check_time(timestamp, now, self.tolerance)

    def sign(
        self, body: bytes, secret: str, now: datetime, *, id: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        timestamp = str(int(now.timestamp()))
        message = self._message({**(headers or {}), (self.id_header or "").lower(): id}, body, timestamp)
        signature = self.prefix + self._encoded(self._make(message, secret))
        if self.timestamp_header == self.header:
            return {self.header: f"{self.timestamp_prefix}{timestamp}{self.separator or ''}{signature}"}
        named = {self.id_header: id, self.timestamp_header: self.timestamp_prefix + timestamp, self.header: signature}
        return {name: value for name, value in named.items() if name is not None}

    def fault(self, secret: str) -> str | None:
        return "it is empty; anybody could sign with it" if not secret else None

    @abstractmethod
    def _made_one(self, signatures: Sequence[bytes], message: bytes, secret: str) -> bool:
        """Whether the secret, or the private twin of this key, made one of the signatures."""

    @abstractmethod
    def _make(self, message: bytes, secret: str) -> bytes:
        """The signature."""

    @abstractmethod
    def _sizes(self) -> tuple[int, ...]:
        """How many bytes a signature may have."""

    def _claimed(self, headers: Mapping[str, str]) -> list[bytes]:
        """The signatures of this scheme."""
        value = headers.get(self.header.lower())
        if value is None:
            raise Refused(Reason.MISSING_SIGNATURE, f"no {self.header} header; is a signing secret set at the sender?")
        entries = [value] if self.separator is None else value.split(self.separator)
        if "" in entries:
            raise Refused(Reason.MALFORMED, f"{self.header} holds an empty entry")
        if len(entries) > _MOST_SIGNATURES:
            raise Refused(Reason.MALFORMED, f"{self.header} holds more than {_MOST_SIGNATURES} entries")
        labelled = [entry.removeprefix(self.prefix) for entry in entries if entry.startswith(self.prefix)]
        if self.bare:
            # Base64 has no comma, so what has one is labelled.
            labelled += [entry for entry in entries if "," not in entry]
        if not labelled and self.separator is not None:
            raise Refused(Reason.NO_SUPPORTED_SIGNATURE, f"{self.header} holds no signature that begins {self.prefix}")
        decoded = [self._decoded(text) for text in labelled]
        claimed = [signature for signature in decoded if signature is not None]
        if not claimed:
            raise Refused(Reason.MALFORMED, f"{self.header} is not {self._form()}")
        return claimed

    def _form(self) -> str:
        what = "lower-case hex digits" if self.encoding == "hex" else "base64"
        sizes = " or ".join(str(size) for size in self._sizes())
        return f"{repr(self.prefix) + ' and ' if self.prefix else ''}{sizes} bytes in {what}"

    def _decoded(self, text: str) -> bytes | None:
        """The bytes, if they are written in the one way that a sender would."""
        if self.encoding == "hex":
            signature = bytes.fromhex(text) if _HEX.fullmatch(text) else None
        else:
            signature = _from_base64(text)
        return signature if signature is not None and len(signature) in self._sizes() else None

    def _encoded(self, signature: bytes) -> str:
        return signature.hex() if self.encoding == "hex" else base64.b64encode(signature).decode()

    def _timestamp(self, headers: Mapping[str, str]) -> str | None:
        """The time as the sender wrote it, which is how it was signed; None where there is none to check."""
        if self.timestamp_header is None:
            return None
        value = headers.get(self.timestamp_header.lower())
        if value is None and "{timestamp}" not in self.signed:
            # It would prove nothing: whoever leaves it out could as well have dated it anew.
            return None
        if value is None:
            raise Refused(Reason.MALFORMED, f"no {self.timestamp_header} header")
        same = self.timestamp_header == self.header and self.separator is not None
        entries = value.split(self.separator) if same else [value]
        times = [
            entry.removeprefix(self.timestamp_prefix) for entry in entries if entry.startswith(self.timestamp_prefix)
        ]
        if len(times) != 1 or not _DIGITS.fullmatch(times[0]):
            raise Refused(Reason.MALFORMED, f"{self.timestamp_header} has no time as seconds since 1970")
        return times[0]

    def _check_time(self, timestamp: str, now: datetime, tolerance: timedelta) -> None:
        seconds = int(timestamp) / 1000 if int(timestamp) >= _FIRST_MILLISECOND else int(timestamp)
        try:
            age = now - datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            raise Refused(Reason.MALFORMED, f"{self.timestamp_header} is no moment of this world") from None
        if age > tolerance:
            raise Refused(Reason.TIMESTAMP_TOO_OLD, f"signed {_seconds(age)} ago: a replay, or a clock is wrong")
        if -age > self.ahead:
            raise Refused(Reason.TIMESTAMP_TOO_NEW, f"signed {_seconds(-age)} from now: a clock is wrong")

    def _message(self, headers: Mapping[str, str], body: bytes, timestamp: str | None) -> bytes:
        """The bytes that were signed."""
        message = b""
        # Literal text and the names of places alternate.
        parts = _PLACE.split(self.signed)
        for index, part in enumerate(parts):
            if index % 2 == 0:
                message += part.encode()
            elif part == "body":
                message += body
            else:
                value = self._value(part, headers, body, timestamp)
                # Or a byte could move from one value to the next without a change in what is signed.
                after = parts[index + 1]
                if after and (value + after).index(after) < len(value):
                    raise Refused(Reason.MALFORMED, f"the {part} holds {after!r}, or ends as that begins")
                message += _as_bytes(part, value)
        return message

    def _value(self, place: str, headers: Mapping[str, str], body: bytes, timestamp: str | None) -> str:
        match place:
            case "sha256":
                return hashlib.sha256(body).hexdigest()
            case "timestamp":
                return timestamp or ""
            case "id" if self.id_header is None:
                name, value = f"{' or '.join(self.id_paths)} in the body", _found(body, self.id_paths)
            case "id":
                name, value = f"{self.id_header} header", headers.get((self.id_header or "").lower())
            case _:
                name = f"{place.removeprefix('header:')} header"
                value = headers.get(place.removeprefix("header:").lower())
        if not value:
            raise Refused(Reason.MALFORMED, f"no {name}, which is signed")
        return value


@dataclass(frozen=True, kw_only=True)
class Hmac(_Envelope):
    """HMAC with a secret that both sides know."""

    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    key: Literal["text", "base64", "whsec"] = "text"
    """How a secret is written: as it is, in base64 behind `whsec_`, or in base64 only if it begins so."""

    def fault(self, secret: str) -> str | None:
        if secret.startswith("whpk_") and self.key != "text":
            return "it is a public key, which is for another scheme"
        if super().fault(secret) is None and self._key(secret) is None:
            return "it is not base64, or empty after its prefix"
        return super().fault(secret)

    def _made_one(self, signatures: Sequence[bytes], message: bytes, secret: str) -> bool:
        # With a public key, which everybody knows, anybody could make an HMAC.
        if self.fault(secret) is not None:
            return False
        made = self._make(message, secret)
        return bool(sum(hmac.compare_digest(signature, made) for signature in signatures))

    def _make(self, message: bytes, secret: str) -> bytes:
        return hmac.digest(self._key(secret) or b"", message, self.algorithm)

    def _sizes(self) -> tuple[int, ...]:
        return (hashlib.new(self.algorithm).digest_size,)

    def _key(self, secret: str) -> bytes | None:
        if self.key == "text" or (self.key == "whsec" and not secret.startswith("whsec_")):
            return secret.encode()
        return _from_base64(secret.removeprefix("whsec_"), padded=False) or None


@dataclass(frozen=True, kw_only=True)
class Ed25519(_Envelope):
    """Signatures that a public key checks; in place of secrets there are public keys, in base64, also behind `whpk_`.

    `sign` takes the private key: 32 bytes, or these and the public ones, also behind `whsk_`.
    """

    def fault(self, secret: str) -> str | None:
        if secret.startswith(("whsk_", "whsec_")):
            return "it is a secret of the sender's; here belongs the public key, which begins whpk_"
        return None if _public_key(secret) is not None else "it is not a public key: 32 bytes in base64"

    def _made_one(self, signatures: Sequence[bytes], message: bytes, secret: str) -> bool:
        key = _public_key(secret)
        return key is not None and any(_checks(key, signature, message) for signature in signatures)

    def _make(self, message: bytes, secret: str) -> bytes:
        seed = _from_base64(secret.removeprefix("whsk_"), padded=False) or b""
        if len(seed) not in _ED25519_SIZES:
            raise ValueError("not a private key: 32 or 64 bytes in base64")
        return Ed25519PrivateKey.from_private_bytes(seed[:32]).sign(message)

    def _sizes(self) -> tuple[int, ...]:
        return (64,)


class AnyOf:
    """Several schemes of one sender, such as an old and a new one: each is tried whose header is there."""

    def __init__(self, *schemes: Scheme) -> None:
        # Flat, because each is known by its own header.
        self._schemes: list[Scheme] = []
        for scheme in schemes:
            self._schemes += scheme._schemes if isinstance(scheme, AnyOf) else [scheme]
        self.covers_body = all(scheme.covers_body for scheme in schemes)

    @property
    def header(self) -> str:
        """The header of the first, which is what senders use by now."""
        return self._schemes[0].header

    @property
    def headers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scheme.header for scheme in self._schemes))

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
        """Return if one of the schemes accepts it.

        Raises:
            Refused: as the scheme that came closest.
        """
        refusals = []
        for scheme in [scheme for scheme in self._schemes if scheme.header.lower() in headers] or self._schemes[:1]:
            try:
                # A secret is never used as what it is not.
                fitting = [secret for secret in secrets if scheme.fault(secret) is None]
                scheme.verify(headers, body, fitting, now)
            except Refused as refused:
                refusals.append(refused)
            else:
                return
        raise max(refusals, key=lambda refused: refused.reason in _GENUINE_BUT)

    def sign(
        self, body: bytes, secret: str, now: datetime, *, id: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """As the first scheme would."""
        return self._schemes[0].sign(body, secret, now, id=id, headers=headers)

    def fault(self, secret: str) -> str | None:
        """What is wrong with a secret, if it fits none of them."""
        faults = [scheme.fault(secret) for scheme in self._schemes]
        return None if None in faults else faults[0]


_GENUINE_BUT = {Reason.TIMESTAMP_TOO_OLD, Reason.TIMESTAMP_TOO_NEW}


def template_fault(signed: str) -> str | None:
    """What is wrong with a template of what is signed; None if nothing is."""
    parts = _PLACE.split(signed)
    if len(parts) == 1:
        return "holds no place such as {body}"
    if any("{" in part or "}" in part for part in parts[::2]):
        return "holds a place that is none of {body}, {sha256}, {timestamp}, {id}, {header:NAME}"
    if "" in parts[2:-1:2]:
        return "has two places with nothing between them"
    if _MOVABLE.search(signed):
        return "has an id or a header behind {body}, for which the end of a body could pass"
    if any(part.isdigit() for part in parts[2:-1:2]):
        return "has only digits between two places, which a digit of the time could pass for"
    return None


def _standard(names: str) -> Iterator[Hmac | Ed25519]:
    """Standard Webhooks under these header names: signed with a secret, and with a key pair.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    yield Hmac(
        header=f"{names}-signature", prefix="v1,", separator=" ", encoding="base64", key="base64",
        signed="{id}.{timestamp}.{body}", id_header=f"{names}-id", timestamp_header=f"{names}-timestamp",
    )  # fmt: skip
    yield Ed25519(
        header=f"{names}-signature", prefix="v1a,", separator=" ", encoding="base64",
        signed="{id}.{timestamp}.{body}", id_header=f"{names}-id", timestamp_header=f"{names}-timestamp",
    )  # fmt: skip


_WEBHOOK, _WEBHOOK_PAIR = _standard("webhook")
_SVIX, _SVIX_PAIR = _standard("svix")


def _timed(header: str, label: str, tolerance: timedelta = _FIVE_MINUTES) -> Hmac:
    """`t=<seconds>,<label>=<hex>`, as Stripe first wrote it."""
    return Hmac(
        header=header,
        prefix=f"{label}=",
        separator=",",
        signed="{timestamp}.{body}",
        timestamp_header=header,
        timestamp_prefix="t=",
        tolerance=tolerance,
    )


SCHEMES: Mapping[str, Scheme] = {
    "creativeai": Hmac(header="X-CreativeAI-Signature", prefix="sha256="),
    # https://elevenlabs.io/docs/product-guides/administration/webhooks
    "elevenlabs": _timed("ElevenLabs-Signature", "v0", tolerance=timedelta(minutes=30)),
    # https://docs.fal.ai/model-endpoints/webhooks
    "fal": Ed25519(
        header="X-Fal-Webhook-Signature",
        signed="{id}\n{header:x-fal-webhook-user-id}\n{timestamp}\n{sha256}",
        id_header="X-Fal-Webhook-Request-Id",
        timestamp_header="X-Fal-Webhook-Timestamp",
    ),
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    "github": Hmac(header="X-Hub-Signature-256", prefix="sha256="),
    "heygen_legacy": Hmac(header="Signature"),
    # The time is not signed, so it is checked only where it is told.
    "heygen_v3": Hmac(header="Heygen-Signature", timestamp_header="Heygen-Timestamp"),
    # Of the body only the task's id is signed, so it is a hint, whose age does not matter.
    "kie": Hmac(
        header="X-Webhook-Signature",
        encoding="base64",
        signed="{id}.{timestamp}",
        id_paths=("data.taskId", "data.task_id"),
        timestamp_header="X-Webhook-Timestamp",
        tolerance=None,
    ),
    # https://github.com/muxinc/mux-node-sdk
    "mux": _timed("Mux-Signature", "v1"),
    "newapi_notify": Hmac(header="X-Webhook-Signature"),
    # As its own library checks it: secrets without `whsec_` are text, signatures without a label count.
    "openai": Hmac(
        header="webhook-signature",
        prefix="v1,",
        separator=" ",
        bare=True,
        encoding="base64",
        key="whsec",
        signed="{id}.{timestamp}.{body}",
        id_header="webhook-id",
        timestamp_header="webhook-timestamp",
    ),
    # https://replicate.com/docs/topics/webhooks/verify-webhook
    "replicate": _WEBHOOK,
    # https://shopify.dev/docs/apps/build/webhooks/subscribe/https
    "shopify": Hmac(header="X-Shopify-Hmac-Sha256", encoding="base64"),
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    "slack": Hmac(
        header="X-Slack-Signature",
        prefix="v0=",
        signed="v0:{timestamp}:{body}",
        timestamp_header="X-Slack-Request-Timestamp",
    ),
    "standard_webhooks": AnyOf(_WEBHOOK, _SVIX),
    "standard_webhooks_ed25519": AnyOf(_WEBHOOK_PAIR, _SVIX_PAIR),
    # https://docs.stripe.com/webhooks
    "stripe": _timed("Stripe-Signature", "v1"),
}
"""Every scheme by the name that settings and recorded requests know it by."""


def dummy_check(body: bytes) -> None:
    """As much work as one check, so that an unknown source takes no less time than a wrong signature."""
    hmac.compare_digest(bytes(32), hmac.digest(b"no source of this name", body, "sha256"))


def _as_bytes(place: str, value: str) -> bytes:
    """A value as it was signed. Header bytes that are not UTF-8 arrive as surrogates; JSON may hold any of these."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Refused(Reason.MALFORMED, f"the {place} is not text") from None


def _found(body: bytes, paths: Sequence[str]) -> str | None:
    """The first text or number at one of these paths in a JSON body that nobody has proven yet."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for path in paths:
        found = value
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found)
    return None


def _public_key(text: str) -> Ed25519PublicKey | None:
    raw = _from_base64(text.removeprefix("whpk_").replace("-", "+").replace("_", "/"), padded=False)
    return Ed25519PublicKey.from_public_bytes(raw) if raw is not None and len(raw) == 32 else None


def _checks(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _from_base64(text: str, *, padded: bool = True) -> bytes | None:
    """The bytes, if the text is the one that stands for them; others decode to the same. `padded` only with its `=`."""
    if not text.isascii():
        return None
    whole = text if padded else text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        decoded = base64.b64decode(whole, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == whole else None


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
