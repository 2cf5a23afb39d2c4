"""What servers answer: headers, as far as they can be believed, and bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

import httpx

COMPRESSED = {"gzip", "x-gzip", "deflate", "compress", "br", "zstd"}


@dataclass(frozen=True)
class Part:
    """Where a part of a file begins, and how large the whole file is."""

    first: int
    total: int


@dataclass(frozen=True)
class Answer:
    """What a server says, and the bytes it goes on to send."""

    status: int
    headers: httpx.Headers
    chunks: Iterator[bytes]
    host: str

    @property
    def encoding(self) -> str:
        return str(self.headers.get("content-encoding", "")).strip().lower()

    @property
    def content_type(self) -> str | None:
        value = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return value if re.fullmatch(r"[a-z0-9.+-]{1,60}/[a-z0-9.+_-]{1,100}", value) else None

    @property
    def etag(self) -> str | None:
        """Only a strong one: a weak one may stand for several sequences of bytes."""
        etag = self.headers.get("etag")
        return etag if is_strong(etag) else None

    @property
    def length(self) -> int | None:
        length = self.headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else None

    @property
    def part(self) -> Part | None:
        """What part of the whole this is, if it is one that goes up to the end."""
        value = self.headers.get("content-range", "")
        match = re.fullmatch(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", value)
        return Part(int(match[1]), int(match[3])) if match else None


def is_strong(etag: str | None) -> TypeGuard[str]:
    """Whether an etag stands for one sequence of bytes, and can be sent."""
    return etag is not None and etag.startswith('"') and etag.isascii()
