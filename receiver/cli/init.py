"""The command that begins a new receiver: init."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from receiver import plugins
from receiver.cli.author import handler_files, write_new
from receiver.config import DEFAULT_FILE, Config, SourceConfig
from receiver.errors import ConfigError
from receiver.providers.base import Provider
from receiver.units import written

_HANDLER = "results"
_HANDLERS_FOLDER = "my_handlers"

_HEAD = """\
# What this receiver does. `receiver check` prints what is in force and proves that it works.
#
# ${NAME} is taken from the environment, ${file:PATH} from a file. Lines such as `# key = value` show a default: to
# change it, take the "# " away, also before the name of its table. Each key is also a variable, which overrules this
# file, such as RECEIVER_WEB__BIND.
"""

_HANDLER_TABLE = f"""\
# A function of yours that runs once for each result. Others ship: archive, forward, notify, …
[handlers.{_HANDLER}]
path = "{_HANDLERS_FOLDER}/{_HANDLER}.py"
"""

_ENVIRONMENT = """\
# Copy this to .env, fill it in and keep it to yourself: it holds secrets. A shell takes it in with
#   set -a; . ./.env; set +a
# and systemd with EnvironmentFile=.
"""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option(
    "--provider",
    "names",
    multiple=True,
    default=["creativeai"],
    show_default=True,
    metavar="PROVIDER",
    help="Write a source for this provider; may be repeated.",
)
def init(folder: Path, names: tuple[str, ...]) -> None:
    """Write a commented receiver.toml, a first handler with its test, and .env.example into FOLDER.

    Nothing that is there already is overwritten.
    """
    adapters = [_describable(name) for name in dict.fromkeys(names)]
    write_new(
        {
            folder / DEFAULT_FILE: _configuration(adapters),
            folder / ".env.example": _environment(adapters),
            **handler_files(_HANDLER, folder / _HANDLERS_FOLDER),
        }
    )
    click.echo(
        "next: copy .env.example to .env, fill it in and take it in with `set -a; . ./.env; set +a`; "
        "then `receiver check` and `receiver serve`",
        err=True,
    )


COMMANDS = (init,)


def _describable(name: str) -> type[Provider]:
    """The adapter of that name.

    Raises:
        ConfigError: there is none, or a source of it cannot be written without knowing more.
    """
    adapter = plugins.provider(name)
    if adapter.signed_by is not None:
        raise ConfigError(f"a source of {name} depends on who sends; write it yourself, as the README shows")
    return adapter


def _configuration(adapters: Iterable[type[Provider]]) -> str:
    """The whole file: what a table holds has its comment from the class that reads it."""
    known = {name: field.annotation for name, field in Config.model_fields.items()}
    tables = {name: kind for name, kind in known.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    plain = {name: Config.model_fields[name] for name in known if name not in (*tables, "sources", "handlers")}
    return "\n".join(
        [
            _HEAD,
            *_settings(plain),
            *map(_source, adapters),
            _HANDLER_TABLE,
            *(_table(name, model) for name, model in tables.items()),
        ]
    )


def _table(name: str, model: type[BaseModel]) -> str:
    return "\n".join([f"{_comment(model.__doc__ or '')}# [{name}]", *_settings(model.model_fields)])


def _settings(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        yield f"{_comment(field.description or '')}# {name} = {_toml(field.get_default())}".rstrip() + "\n"


def _source(adapter: type[Provider]) -> str:
    keys = {"provider": f'"{adapter.name}"'} | {
        key: f'["${{{variable}}}"]' if key == "secrets" else f'"${{{variable}}}"'
        for key, variable in _variables(adapter).items()
    }
    webhooks = f"Its webhooks arrive at /webhooks/{adapter.name}." if adapter.sends_webhooks else "It is polled."
    lines = [f"{_comment(SourceConfig.model_fields[key].description or '')}{key} = {keys[key]}\n" for key in keys]
    return "\n".join([f"{_comment(webhooks)}[sources.{adapter.name}]", *lines])


def _environment(adapters: Iterable[type[Provider]]) -> str:
    lines = [
        f"{_comment(f'{adapter.name}: {SourceConfig.model_fields[key].description}')}{variable}=\n"
        for adapter in adapters
        for key, variable in _variables(adapter).items()
    ]
    return "\n".join([_ENVIRONMENT, *lines])


def _variables(adapter: type[Provider]) -> dict[str, str]:
    """What a source of this provider cannot do without, and the variable for each."""
    needed = {
        "secrets": adapter.sends_webhooks and adapter.scheme is not None and adapter.keys_url is None,
        "api_key": adapter.polls,
        "base_url": adapter.polls and not adapter.base_url,
    }
    names = {"secrets": "WEBHOOK_SECRET", "api_key": "API_KEY", "base_url": "BASE_URL"}
    return {key: f"{adapter.name.upper()}_{names[key]}" for key, is_needed in needed.items() if is_needed}


def _toml(value: object) -> str:
    """A default as TOML; empty where a key is unset."""
    if value is None or value == ():
        return ""
    return json.dumps(written(value) if isinstance(value, timedelta) else value)


def _comment(text: str) -> str:
    """Lines of a comment, ended by a line break."""
    return textwrap.indent(textwrap.fill(" ".join(text.split()), width=116), "# ") + "\n"
