"""What the commands share: the configuration, the store, and how rows are printed."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver import clock
from receiver.cli.file import config_file, config_option
from receiver.config import Config, load
from receiver.store import Store, open_store
from receiver.store.base import Row
from receiver.units import parse_duration

if TYPE_CHECKING:
    from receiver.inbox import Source

__all__ = [
    "NUMBER",
    "Duration",
    "Moment",
    "config_file",
    "config_option",
    "configured_source",
    "configured_sources",
    "json_option",
    "limit_option",
    "loaded_config",
    "opened_store",
    "print_rows",
    "printable",
    "read_lines",
]

NUMBER = click.IntRange(1, 10**9)
"""An id or a count: no larger than a database can take."""

_WIDEST = 60


class Duration(click.ParamType[timedelta]):
    """A span of time, such as `30s` or `90d`."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[datetime]):
    """A time as ISO 8601, UTC unless it says otherwise, or how long ago it was, such as `2h`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return clock.from_text(str(value))
        except (ValueError, OverflowError):
            pass
        try:
            return clock.now() - parse_duration(value)
        except (ValueError, OverflowError):
            self.fail(f"write {value!r} as 2026-03-09T16:00, or as 30m, 2h or 7d for so long ago", param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
limit_option = click.option("--limit", default=50, show_default=True, type=NUMBER, help="Print at most so many.")


def loaded_config() -> Config:
    """The configuration the command runs with."""
    return load(config_file())


@contextmanager
def opened_store(config: Config) -> Iterator[Store]:
    """The configured store, closed at the end."""
    store = open_store(config)
    try:
        yield store
    finally:
        store.close()


def configured_source(config: Config, name: str) -> "Source":
    """The source of that name.

    Raises:
        NotConfigured: there is none.
    """
    [source] = configured_sources(config, [name])
    return source


def configured_sources(config: Config, names: Collection[str]) -> "list[Source]":
    """The sources of these names.

    Raises:
        NotConfigured: there is none of such a name.
    """
    # The commands that list what is stored need no adapters, which take long to import.
    from receiver import plugins

    sources = plugins.sources(config)
    return [plugins.source(sources, name) for name in names]


def print_rows(rows: Sequence[Row], *, as_json: bool, columns: Sequence[str], nothing: str | None) -> None:
    """A table with some columns for people, or everything as JSON for programs."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, default=_plain))
    elif rows:
        # Programs need not wait for it.
        from tabulate import tabulate

        table = [[_cell(row.get(column)) for column in columns] for row in rows]
        click.echo(tabulate(table, headers=[column.replace("_", " ") for column in columns], disable_numparse=True))
    elif nothing is not None:
        click.echo(nothing)


def read_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects in a file, one a line, with the numbers of their lines.

    Raises:
        click.UsageError: a line is not a JSON object.
    """
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"{file}:{number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise click.UsageError(f"{file}:{number}: a JSON object is expected")
        yield number, value


def printable(value: object) -> str:
    """A value as text in one line, in which nothing that strangers sent moves the cursor or colours the terminal."""
    if value is None:
        return ""
    text = json.dumps(value, default=_plain) if isinstance(value, dict | list) else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cell(value: object) -> str:
    text = printable(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _plain(value: object) -> object:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
