"""Tables for the README, made from the code, so that they cannot be wrong for long."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from receiver import plugins
from receiver.cli import main
from receiver.config import Config, HandlerConfig, SourceConfig
from receiver.models import Schedule, Status
from receiver.providers.base import Provider

_OPENED: dict[str, type[BaseModel]] = {"sources": SourceConfig, "handlers": HandlerConfig}


def commands() -> str:
    """Every command: its arguments and its first sentence."""
    return _table(["command", "what it does"], [_command(name, command) for name, command in main.commands.items()])


def settings() -> str:
    """Every setting: its key, its default and what it means."""
    return _table(["setting", "default", "what it means"], _settings(Config, ""))


def providers() -> str:
    """Every provider: how its results come in, what can be believed, how long they last, what reconcile finds."""
    rows = [
        [f"`{name}`", _address(adapter), _ways_in(adapter), _trust(adapter), _lifetime(adapter), _findable(adapter)]
        for name, adapter in sorted(plugins.providers().items())
    ]
    return _table(
        ["provider", "its API", "results come by", "webhooks are", "results last", "`receiver reconcile` finds"], rows
    )


def words() -> str:
    """For every provider that has jobs: what can be created, and its words for a status."""
    rows = [
        [f"`{name}`", _codes(adapter.create_calls), _statuses(adapter.statuses)]
        for name, adapter in sorted(plugins.providers().items())
        if adapter.statuses
    ]
    return _table(["provider", "`receiver submit` creates", "its words for a status"], rows)


def provider_settings() -> str:
    """The settings that only some providers have, in the table of their source."""
    rows = [
        [f"`{name}`", *row]
        for name, adapter in sorted(plugins.providers().items())
        for row in _settings(adapter.settings_class, "")
    ]
    return _table(["provider", "setting", "default", "what it means"], rows)


def schedules() -> str:
    """When each provider's kinds of job are polled, and when they expire."""
    rows = []
    for name, adapter in sorted(plugins.providers().items()):
        if not adapter.polls:
            continue
        # Kinds share schedules: one row for each of these, with its kinds.
        for schedule in {id(schedule): schedule for schedule in adapter.kinds.values()}.values():
            kinds = [kind for kind, own in adapter.kinds.items() if own is schedule]
            first, deadline = _span(schedule.first), _span(schedule.deadline)
            rows.append([f"`{name}`", _codes(kinds), first, _intervals(schedule), deadline])
    return _table(["provider", "kinds of job", "first poll after", "then every", "expires after"], rows)


def _address(adapter: type[Provider]) -> str:
    if not adapter.polls:
        return ""
    return f"`{adapter.base_url}`" if adapter.base_url else "yours: set `base_url`"


def _ways_in(adapter: type[Provider]) -> str:
    if not adapter.sends_webhooks:
        return "polling"
    return "webhooks, else polling" if adapter.polls else "webhooks"


def _trust(adapter: type[Provider]) -> str:
    if not adapter.sends_webhooks:
        return ""
    if adapter.scheme is None:
        own_way = adapter.verify is not Provider.verify or not adapter.polls
        return "signed, as its settings say" if own_way else "hints: not signed"
    if not adapter.scheme.covers_body:
        return f"hints: `{adapter.scheme.header}` does not cover the body"
    return f"signed in `{adapter.scheme.header}`"


def _lifetime(adapter: type[Provider]) -> str:
    if adapter.results_last is None:
        return ""
    hours = int(adapter.results_last.total_seconds()) // 3600
    return f"{hours // 24} days" if hours >= 48 else f"{hours} h"


def _findable(adapter: type[Provider]) -> str:
    if not adapter.polls:
        return "nothing: it cannot be asked"
    # A property is there, but depends on a setting.
    with_settings = ", given some settings" if isinstance(adapter.lists_jobs, property) else ""
    return f"tracked jobs, and others in its list{with_settings}" if adapter.lists_jobs else "tracked jobs"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _intervals(schedule: Schedule) -> str:
    """`3 s; 10 s from 30 s of age on`"""
    (_, first), *later = schedule.every.items()
    return "; ".join([_span(first), *(f"{_span(every)} from the age of {_span(since)}" for since, every in later)])


def _span(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes} min" if minutes and not seconds else f"{minutes * 60 + seconds} s"


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
    words = {status: [word for word, folded in statuses.items() if folded is status] for status in statuses.values()}
    return "; ".join(f"{', '.join(spellings)} → {status}" for status, spellings in words.items())


def _table(header: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
