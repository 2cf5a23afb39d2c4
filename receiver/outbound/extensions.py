"""The extension for a file that somebody else sent: the only part of a name that is theirs."""

import re

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


def extension(content_type: str | None, url: str) -> str:
    """The one of a content type we know, or else of the URL; a few plain letters and digits, or nothing."""
    suffix = re.search(r"//[^/]+/.*(\.[a-z0-9]{1,5})\Z", without_query(url).lower())
    return _BY_TYPE.get(content_type or "", suffix[1] if suffix else "")
