"""Whether the server keeps what it has committed."""

from collections.abc import Callable
from typing import Any, LiteralString

from receiver.store.figures import Examined

_SETTINGS = {
    "fsync": "a power cut can damage the whole database",
    "full_page_writes": "a power cut can damage pages of the database",
}


def examine(read: Callable[[LiteralString], list[dict[str, Any]]]) -> Examined:
    """What its settings say. A server finds damage by itself, as it reads, if it keeps checksums."""
    [row] = read("SELECT current_setting('server_version') AS version")
    settings = read("SELECT name::text, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')")
    off = [row["name"] for row in settings if row["setting"] == "off"]
    return Examined(
        version=f"PostgreSQL {row['version']}",
        problems=tuple(f"{name} is off: {_SETTINGS[name]}" for name in off),
    )
