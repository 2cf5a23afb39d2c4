"""Create calls that are sent as forms: text as it is, files out of `data:` URLs, the rest as JSON writes it."""

import base64
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from receiver.errors import InvalidBody
from receiver.models import Upload

_DATA_URL = re.compile(r"data:([a-z]+/([a-z0-9.+-]+))(?:;[a-z0-9=._-]+)*;base64", re.ASCII | re.IGNORECASE)


def form(body: Mapping[str, Any], *, files: Collection[str]) -> dict[str, str | Upload]:
    """The fields of a form, without those that are null; those named in `files` are given as `data:` URLs.

    Raises:
        InvalidBody: a file is not given as one.
    """
    return {
        name: _upload(name, value) if name in files else _text(value)
        for name, value in body.items()
        if value is not None
    }


def is_data_url(value: object) -> bool:
    """Whether a field holds a file, and not the address of one."""
    return isinstance(value, str) and value[:5].lower() == "data:"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _upload(name: str, url: object) -> Upload:
    head, _, encoded = str(url).partition(",")
    match = _DATA_URL.fullmatch(head)
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        data = b""
    if match is None or not data:
        raise InvalidBody(f"{name} is not a whole data: URL, such as data:image/png;base64,iVBORw0KGgo=")
    return Upload(name=f"{name}.{match[2].lower()}", content_type=match[1].lower(), data=data)
