"""The command that shows the configuration and proves that it works."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import click
from pydantic import SecretStr

from receiver import doctor, plugins
from receiver.cli.common import config_option, loaded_config, opened_store
from receiver.config import Config
from receiver.engine import open_engine
from receiver.inbox import Source
from receiver.masking import mask_password
from receiver.models import Budget
from receiver.outbound import ProviderClient
from receiver.routing import Handler
from receiver.units import written

_MASK = "**********"


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Do not ask the providers whether they accept the API keys.")
def check(offline: bool) -> None:
    """Print the merged configuration, secrets masked, and prove that it works.

    Sources and handlers are loaded, the store commits, and each API key is tried at its provider.
    """
    config = loaded_config()
    sources, handlers = plugins.sources(config), plugins.handlers(config)
    for key, value in _flattened(_tables(config, sources, handlers)):
        click.echo(f"{key} = {json.dumps(value)}")
    for variable in strange_variables(click.get_current_context()):
        click.echo(f"{variable}: no setting or option has that name", err=True)
    with opened_store(config) as store:
        store.prove()
        store.require_keys()
        trouble = open_engine(config, store, handlers, sources).health()
        left_over = {
            name: count for name, count in store.waiting().items() if name not in {handler.name for handler in handlers}
        }
    click.echo("\nstore: commits")
    for handler in handlers:
        click.echo(f"handler {handler.name}: loaded")
    for name, count in left_over.items():
        click.echo(f"handler {name}: not configured, and {count} dispatches wait for it", err=True)
    if trouble is not None:
        click.echo(f"engine {config.engine}: {trouble}", err=True)
    with ProviderClient() as client:
        ok = [offline or _key_accepted(source, client) for source in sources.values()]
    if trouble is not None or not all(ok):
        raise click.exceptions.Exit(1)


COMMANDS = (check,)


def strange_variables(context: click.Context) -> list[str]:
    """The variables that look like ours and mean nothing, because they are misspelt."""
    group = context.find_root().command
    commands = group.list_commands(context) if isinstance(group, click.Group) else []
    known = [f"RECEIVER_{name.upper()}" for name in (*Config.model_fields, "config")]
    options = [f"RECEIVER_{name.upper()}_" for name in commands]
    return [
        name
        for name in sorted(os.environ)
        if name.startswith("RECEIVER_") and name.partition("__")[0] not in known and not name.startswith(tuple(options))
    ]


def _tables(config: Config, sources: Mapping[str, Source], handlers: Sequence[Handler]) -> dict[str, Any]:
    """The merged configuration, with own settings as their classes know them: secrets are marked there.

    Those of a handler that is switched off are left out, because nothing says which of them are secret.
    """
    tables = config.model_dump() | {"store": mask_password(config.store)}
    for part, opened in (("sources", config.sources), ("handlers", config.handlers)):
        for name, table in opened.items():
            tables[part][name] = {
                key: value for key, value in tables[part][name].items() if key not in table.own_settings
            }
    for name, source in sources.items():
        tables["sources"][name].update(source.provider.settings.model_dump())
    for handler in handlers:
        if handler.settings is not None:
            tables["handlers"][handler.name.partition(".")[0]].update(handler.settings.model_dump())
    return tables


def _flattened(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", _shown(value)


def _shown(value: object) -> object:
    match value:
        case SecretStr():
            return _MASK
        case timedelta():
            return written(value)
        case Budget():
            return f"{value.count} in {value.per.total_seconds():g}s"
        case list() | tuple():
            return [_shown(item) for item in value]
        case bool() | int() | float():
            return value
        case _:
            return str(value)


def _key_accepted(source: Source, client: ProviderClient) -> bool:
    found = list(doctor.ask(source, client))
    for finding in found:
        click.echo(f"{finding.about}: {finding.text}", err=finding.state is not doctor.State.OK)
    return all(finding.state is not doctor.State.WRONG for finding in found)
