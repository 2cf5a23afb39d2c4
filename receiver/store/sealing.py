"""What is private in rows, sealed: whoever has only the database, or a backup of it, cannot read it.

Sealed are the headers and bodies of deliveries and of what was refused, what events say (`data`, `outputs`, `failure`),
the metadata of jobs and intents, and the answers of the API that are kept for a day. It is done with Fernet, of
`cryptography`: a well-kept recipe that leaves nothing to choose and takes several keys. What is sealed needs no mark:
where a row keeps JSON, a Fernet token is none.
"""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from receiver.errors import ConfigError, KeyMissing

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_NO_KEYS = "seal_keys: is empty, and the store is sealed; write its keys, or have `receiver reseal --open` end it first"

PACKED = ""
"""What stands for the headers of a request that is packed: they are in its body."""
SEALED = "sealed"
"""What stands for the headers of a request that is packed and sealed."""

TEXTS = ("outputs", "failure", "data", "metadata", "body")
"""The columns that are sealed by themselves. A body that is not text is sealed with its headers."""
EMPTY = frozenset(["", "{}", "[]"])
"""What says nothing, and stays as it is."""

# The version and the time, until 2106.
_BEGINS = "gAAAA"
_PROOF = b"one of the keys that sealed this store"


class Seal:
    """The keys: the first seals, each of them opens. Without any, nothing is sealed."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """Each key is 32 bytes as base64, in either alphabet.

        Raises:
            ValueError: one is not.
        """
        self._keys = _fernets(keys) if keys else []

    def __bool__(self) -> bool:
        return bool(self._keys)

    def sealed(self, text: str) -> str:
        """A text as it is kept. One that says nothing stays as it is."""
        if not self._keys or text in EMPTY or is_sealed(text):
            return text
        return self._keys[0].encrypt(text.encode()).decode()

    def request(self, headers: str, body: bytes, *, packed: bool) -> tuple[str, bytes]:
        """The headers, as JSON, and the body of a request as they are kept; what is to be sealed is packed first."""
        if not self._keys:
            return (PACKED, _packed(headers, body)) if packed else (headers, body)
        # Base64 is for text; a body is kept as bytes.
        return SEALED, urlsafe_b64decode(self._keys[0].encrypt(_packed(headers, body)))

    def opened(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Those columns of a row that are sealed, opened. What none of the keys opens is left as it is."""
        found: dict[str, Any] = {}
        for name in TEXTS:
            if name in row and is_sealed(row[name]) and (text := self.opens(row[name])) is not None:
                found[name] = text.decode()
        if "headers" in row and row["headers"] == SEALED:
            content = self.opens(urlsafe_b64encode(row["body"]))
            if content is not None:
                found |= {"headers": PACKED, "body": content}
        return found

    def new_proof(self, proofs: Sequence[str]) -> str | None:
        """What is to be kept, besides the proofs that are, to tell that the first key is needed; None if that is told.

        Raises:
            ConfigError: there is no key, and others have sealed.
        """
        if not self._keys:
            if proofs:
                raise ConfigError(_NO_KEYS)
            return None
        if any(self.opens(proof, first=True) is not None for proof in proofs):
            return None
        return self._keys[0].encrypt(_PROOF).decode()

    def require(self, proofs: Sequence[str]) -> None:
        """See that there is each key that has left a proof.

        Raises:
            KeyMissing: there is not.
        """
        if any(self.opens(proof) is None for proof in proofs):
            raise KeyMissing

    def opens(self, token: str | bytes, *, first: bool = False) -> bytes | None:
        """What a token holds; None if none of the keys, or not the first one, opens it."""
        if not self._keys:
            return None
        from cryptography.fernet import InvalidToken

        for key in self._keys[:1] if first else self._keys:
            try:
                return key.decrypt(token)
            except InvalidToken:
                continue
        return None


def _fernets(keys: Sequence[str]) -> "list[Fernet]":
    # Where nothing is sealed, nobody waits for its import.
    from cryptography.fernet import Fernet

    return [Fernet(key.translate(_URL_SAFE)) for key in keys]


UNSEALED = Seal()
"""For a store in which nothing is sealed."""


def is_sealed(value: object) -> bool:
    """Whether a value of a column that keeps JSON is sealed."""
    return isinstance(value, str) and value.startswith(_BEGINS)


def legible(text: str) -> str:
    """A text that could be opened, or was never sealed.

    Raises:
        KeyMissing: it is still sealed.
    """
    if text.startswith(_BEGINS):
        raise KeyMissing
    return text


def parsed(text: str) -> Any:
    """What a column says that keeps JSON.

    Raises:
        KeyMissing: it is still sealed.
    """
    return json.loads(legible(text))


def unpacked(headers: str, body: bytes) -> tuple[str, bytes]:
    """The headers, as JSON, and the body of a request, given how they are kept.

    Raises:
        KeyMissing: they are still sealed.
    """
    if headers == SEALED:
        raise KeyMissing
    if headers != PACKED:
        return headers, body
    told, _, content = zlib.decompress(body).partition(b"\n")
    return told.decode(), content


def _packed(headers: str, body: bytes) -> bytes:
    return zlib.compress(headers.encode() + b"\n" + body)


_URL_SAFE = str.maketrans("+/", "-_")
