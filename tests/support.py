"""What several tests need: recorded bodies and signature vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

_SAMPLES = Path(__file__).parent / "samples"
_VECTORS = [json.loads(line) for line in (_SAMPLES / "vectors.jsonl").read_text("utf-8").splitlines()]


def sample(path: str) -> bytes:
    """One recorded body: `creativeai/webhooks/video_completed`."""
    return (_SAMPLES / f"{path}.json").read_bytes()


def samples(folder: str) -> dict[str, bytes]:
    """The recorded bodies of one folder, by name."""
    return {file.stem: file.read_bytes() for file in sorted((_SAMPLES / folder).glob("*.json"))}


def vector(name: str) -> dict[str, Any]:
    """One known answer: a secret, headers, a body, and whether they belong together."""
    [found] = [known for known in _VECTORS if known["id"] == name]
    return found


def vectors(*schemes: str) -> list[Any]:
    """The known answers for these signature schemes, as parameters of a test."""
    return [pytest.param(known, id=known["id"]) for known in _VECTORS if known["scheme"] in schemes]
