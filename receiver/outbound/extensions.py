"""What a file is that somebody else sent: its extension, the only part of a name that is theirs, and what is wrong."""

import re
from typing import BinaryIO

from receiver.outbound.addresses import without_query

_BY_TYPE = {
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "image/avif": ".avif",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "model/gltf-binary": ".glb",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
}

_TEXTS = {".csv", ".htm", ".html", ".json", ".srt", ".svg", ".txt", ".vtt", ".xml"}
_PAGE_TYPES = {"text/html", "application/xhtml+xml", "application/json", "application/problem+json"}
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<\?xml|<error|\{\s*\")", re.IGNORECASE)
_MEDIA = re.compile(
    rb"....ftyp|\x1a\x45\xdf\xa3|\x89PNG\r\n|\xff\xd8\xff|RIFF....(WEBP|WAVE)|GIF8|ID3|\xff[\xe2-\xfb]|%PDF-", re.DOTALL
)
_PROMISED = re.compile(r"video|image|audio|voice|music")
_FIRST_BYTES = 512


def fault(file: BinaryIO, content_type: str | None, url: str, kind: str | None) -> str | None:
    """Why this cannot be the file that was promised; None if it can. It is read from where it begins.

    Pages are told by their first bytes or else their type. They may be results of jobs of a kind that makes no media.
    """
    file.seek(0)
    head = file.read(_FIRST_BYTES)
    if not head:
        return "an empty file"
    promised = _suffix(url) in _BY_TYPE.values() or _PROMISED.search(f"{kind} {content_type}")
    if not promised or _suffix(url) in _TEXTS or content_type == "image/svg+xml" or _MEDIA.match(head):
        return None
    if content_type in _PAGE_TYPES or _PAGE.match(head):
        return "a page, such as an error page, in place of the file"
    return None


def extension(content_type: str | None, url: str) -> str:
    """The one of a content type we know, or else of the URL; a few plain letters and digits, or nothing."""
    return _BY_TYPE.get(content_type or "", _suffix(url))


def _suffix(url: str) -> str:
    suffix = re.search(r"//[^/]+/.*(\.[a-z0-9]{1,5})\Z", without_query(url).lower())
    return suffix[1] if suffix else ""
