"""Tables for the README, made from the code, so that they cannot be wrong for long."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from receiver import plugins
from receiver.cli import main
from receiver.config import Config, HandlerConfig, SourceConfig
from receiver.models import Status

_OPENED: dict[str, type[BaseModel]] = {"sources": SourceConfig, "handlers": HandlerConfig}


def commands() -> str:
    """Every command: its arguments and its first sentence."""
    return _table(["command", "what it does"], [_command(name, command) for name, command in main.commands.items()])


def settings() -> str:
    """Every setting: its key, its default and what it means."""
    return _table(["setting", "default", "what it means"], _settings(Config, ""))


def providers() -> str:
    """Every provider: how its webhooks are trusted, and the kinds of job it can be asked about."""
    rows = []
    for name, adapter in sorted(plugins.providers().items()):
        trust = f"signed, `{adapter.scheme.header}`" if adapter.scheme is not None else "none: polled only"
        rows.append([f"`{name}`", trust, ", ".join(f"`{kind}`" for kind in adapter.kinds), _statuses(adapter.statuses)])
    return _table(["provider", "webhooks", "kinds of job", "its words for a status"], rows)


def _command(name: str, command: click.Command) -> list[str]:
    arguments = [
        param.make_metavar(click.Context(command)) for param in command.params if isinstance(param, click.Argument)
    ]
    return [
        f"`{' '.join(['receiver', name, *arguments])}`",
        (command.help or "").partition("\n\n")[0].replace("\n", " "),
    ]


def _settings(model: type[BaseModel], prefix: str) -> Iterator[list[str]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if name in _OPENED:
            yield from _settings(_OPENED[name], f"{name}.NAME.")
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _settings(annotation, f"{prefix}{name}.")
        else:
            yield [f"`{prefix}{name}`", _default(field), " ".join((field.description or "").split())]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default()
    if value is None or value == ():
        return ""
    if isinstance(value, timedelta):
        return f'`"{value.total_seconds():g}s"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _statuses(statuses: Mapping[str, Status]) -> str:
    return ", ".join(f"{word} → {status}" for word, status in statuses.items())


def _table(header: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
