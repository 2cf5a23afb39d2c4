"""Configuration files for tests."""

import json
from collections.abc import Mapping
from typing import Any


def toml(value: object) -> str:
    """A value on one line, as TOML has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    # What JSON writes as text or a number, TOML reads as such.
    return json.dumps(value)


def assignments(settings: Mapping[str, Any]) -> str:
    """A line for each setting."""
    return "".join(f"{key} = {toml(value)}\n" for key, value in settings.items())
