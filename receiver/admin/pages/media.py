"""Which results a page can show, and as what."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

_IMAGES = frozenset([".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".webp"])
_VIDEOS = frozenset([".m4v", ".mov", ".mp4", ".ogv", ".webm"])
_SOUNDS = frozenset([".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav"])
_BY_WORD = {"image": "image", "video": "video", "audio": "audio", "music": "audio", "speech": "audio", "voice": "audio"}


def is_link(url: str) -> bool:
    """Whether it is an address of the web, which a link may lead to; any other may be a script."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def medium(url: str, kind: str | None) -> str | None:
    """`image`, `video` or `audio`: by the file's name, else by the kind of job; None if neither tells.

    None, too, without https: browsers fetch nothing else into our pages.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme != "https":
        return None
    suffix = PurePosixPath(parts.path).suffix.lower()
    for name, suffixes in (("image", _IMAGES), ("video", _VIDEOS), ("audio", _SOUNDS)):
        if suffix in suffixes:
            return name
    return next((name for word, name in _BY_WORD.items() if word in (kind or "").lower()), None)
