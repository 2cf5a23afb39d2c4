"""Sealing anew what is kept, a few rows at a time: with the first key, or, to end it, with none."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from receiver.errors import KeyMissing
from receiver.store.base import Resealed
from receiver.store.sealing import EMPTY, PACKED, SEALED, TEXTS, Seal, is_sealed, unpacked

S = TypeVar("S", bound=str)
Values = Mapping[str, Any]

_AT_ONCE = 100
_BYTES_AT_ONCE = 2**22


@dataclass(frozen=True)
class Part(Generic[S]):
    """One table in which something may be sealed, in the words of its database."""

    table: str
    page: S
    """The rows after one, in their order: at most `limit`, and none more once those before it have `bytes`."""
    change: S
    """Write a row, unless it has been changed since: `was_` and a column's name is what it held."""
    first: Values = field(default_factory=lambda: {"id": 0})
    """What comes before every row."""


def reseal(
    parts: Sequence[Part[S]],
    read: Callable[[S, Values], Sequence[dict[str, Any]]],
    write: Callable[[S, Sequence[Values]], int],
    seal: Seal,
    *,
    unseal: bool,
    proofs: Sequence[str],
    forget: Callable[[Sequence[str]], object],
) -> Iterator[Resealed]:
    """Write each row that is not as it should be. `read` gives rows as they are kept, `write` commits some.

    Once nothing was left to be written, `forget` drops the proofs of the keys that are needed no more. What was written
    says that somebody may still seal with them, behind where we are.
    """
    left = 0
    for part in parts:
        last = part.first
        while rows := read(part.page, {**last, "limit": _AT_ONCE, "bytes": _BYTES_AT_ONCE}):
            changes, unopened = list[Values](), 0
            for row in rows:
                try:
                    new = _renewed(seal, row, unseal=unseal)
                except KeyMissing:
                    unopened += 1
                    continue
                if new:
                    changes.append({**row, **new, **{f"was_{name}": value for name, value in row.items()}})
            written = write(part.change, changes) if changes else 0
            left += written + unopened
            yield Resealed(table=part.table, looked_at=len(rows), written=written, unopened=unopened)
            # What somebody changed meanwhile is looked at again.
            if written == len(changes):
                last = rows[-1]
    if not left:
        forget([proof for proof in proofs if unseal or seal.opens(proof, first=True) is None])


def _renewed(seal: Seal, row: Values, *, unseal: bool) -> dict[str, Any]:
    """Those columns of a row that are not as they should be, as they should be.

    Raises:
        KeyMissing: none of the keys opens one of them.
    """
    renew = _opened if unseal else _resealed
    changed: dict[str, Any] = {}
    for name in TEXTS:
        if isinstance(row.get(name), str) and (text := renew(seal, row[name])) != row[name]:
            changed[name] = text
    if "headers" in row:
        kept = row["headers"], row["body"]
        headers, body = (_opened_request if unseal else _resealed_request)(seal, *kept)
        if (headers, body) != kept:
            changed |= {"headers": headers, "body": body}
    return changed


def _resealed(seal: Seal, text: str) -> str:
    if text in EMPTY or (is_sealed(text) and seal.opens(text, first=True) is not None):
        return text
    return seal.sealed(_opened(seal, text))


def _opened(seal: Seal, text: str) -> str:
    return _open(seal, text).decode() if is_sealed(text) else text


def _resealed_request(seal: Seal, headers: str, body: bytes) -> tuple[str, bytes]:
    if headers == SEALED and seal.opens(urlsafe_b64encode(body), first=True) is not None:
        return headers, body
    return seal.request(*unpacked(*_opened_request(seal, headers, body)), packed=True)


def _opened_request(seal: Seal, headers: str, body: bytes) -> tuple[str, bytes]:
    return (PACKED, _open(seal, urlsafe_b64encode(body))) if headers == SEALED else (headers, body)


def _open(seal: Seal, token: str | bytes) -> bytes:
    content = seal.opens(token)
    if content is None:
        raise KeyMissing
    return content
