"""What the commands share: the configuration, the store, and how rows are printed."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from tabulate import tabulate

from receiver import plugins
from receiver.config import Config, load
from receiver.inbox import Source
from receiver.store import Store, open_store
from receiver.store.base import Row

NUMBER = click.IntRange(1, 10**9)
"""An id or a count: no larger than a database can take."""

_WIDEST = 60


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    # Both the group and the command have the option: what is written on the line overrules the variable.
    written = ctx.get_parameter_source("config_file") is ParameterSource.COMMANDLINE
    if value is not None and (written or ctx.find_root().obj is None):
        ctx.find_root().obj = value


config_option = click.option(
    "--config",
    "config_file",
    envvar="RECEIVER_CONFIG",
    metavar="FILE",
    expose_value=False,
    is_eager=True,
    callback=_remember,
    help="The configuration file.  [default: receiver.toml]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
limit_option = click.option("--limit", default=50, show_default=True, type=NUMBER, help="Print at most so many.")


def config_file() -> str | None:
    """The file that `--config` or `RECEIVER_CONFIG` names."""
    value: str | None = click.get_current_context().find_root().obj
    return value


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


def configured_source(config: Config, name: str) -> Source:
    """The source of that name.

    Raises:
        NotConfigured: there is none.
    """
    [source] = configured_sources(config, [name])
    return source


def configured_sources(config: Config, names: Collection[str]) -> list[Source]:
    """The sources of these names.

    Raises:
        NotConfigured: there is none of such a name.
    """
    sources = plugins.sources(config)
    return [plugins.source(sources, name) for name in names]


def print_rows(rows: Sequence[Row], *, as_json: bool, columns: Sequence[str], nothing: str | None) -> None:
    """A table with some columns for people, or everything as JSON for programs."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, default=_plain))
    elif rows:
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
