"""Parts of the README and of the pages, made from the code, so that they cannot be wrong for long."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from inspect import getsource

import click
from pydantic import BaseModel, Secret
from pydantic.fields import FieldInfo

from receiver import plugins
from receiver import signals as every_signal
from receiver.admin.api import OPERATIONS, PREFIX
from receiver.cli import commands as every_command
from receiver.config import Config, HandlerConfig, SourceConfig
from receiver.metrics import METRICS
from receiver.models import Schedule, Status
from receiver.providers.base import Provider
from receiver.routing import Router
from receiver.units import written

_OPENED: dict[str, type[BaseModel]] = {"sources": SourceConfig, "handlers": HandlerConfig}


def commands() -> str:
    """Every command: its arguments and its first sentence."""
    return _table(["command", "what it does"], [_command(*named) for named in every_command().items()])


def command_help() -> str:
    """What each command prints with `--help`."""
    return "\n\n".join(
        f"## {path}\n\n```text\n{command.get_help(context)}\n```"
        for name, top in sorted(every_command().items())
        for path, command, context in _with_subcommands(f"receiver {name}", top)
    )


def api() -> str:
    """Every operation of the admin side's API."""
    rows = [
        [f"`{operation.method} {PREFIX}{operation.path}`", f"`{operation.scope}`", operation.summary]
        for operation in OPERATIONS
    ]
    return _table(["operation", "scope", "what it does"], rows)


def layers(contract: Iterable[str]) -> str:
    """The layers of an import contract, the highest first, with the first line of each module."""
    rows = [
        ["" if index else f"{number}", f"`{name}`", (import_module(name).__doc__ or "").partition("\n")[0]]
        for number, layer in enumerate(contract, start=1)
        for index, name in enumerate(layer.split(" : "))
    ]
    return _table(["layer", "module", "what it is"], rows)


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


def ways_in() -> str:
    """How results come in, and from which providers."""
    adapters = sorted(plugins.providers().items())
    rows = {
        "signed webhooks, else polling": [n for n, a in adapters if a.sends_webhooks and a.polls and not _hints(a)],
        "signed webhooks": [n for n, a in adapters if a.sends_webhooks and not a.polls],
        "webhooks that are hints, and the polls they lead to": [n for n, a in adapters if a.polls and _hints(a)],
        "polling": [n for n, a in adapters if not a.sends_webhooks],
    }
    return _table(["results come by", "providers"], [[way, _codes(names)] for way, names in rows.items()])


def words() -> str:
    """For every provider that has jobs: what can be created, and its words for a status."""
    rows = [
        [f"`{name}`", _codes(adapter.create_calls), _statuses(adapter.statuses)]
        for name, adapter in sorted(plugins.providers().items())
        if adapter.kinds
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


def handlers() -> str:
    """The handlers that ship, with the first line of each."""
    rows = [
        [f"`{entry.name}`", (import_module(entry.value).__doc__ or "").partition("\n")[0]]
        for entry in sorted(entry_points(group=plugins.HANDLERS))
    ]
    return _table(["handler", "what it does"], rows)


def handler_settings() -> str:
    """The settings of each handler's own, beside those that every handler has."""
    rows = [
        [f"`{entry.name}`", *row]
        for entry in sorted(entry_points(group=plugins.HANDLERS))
        for row in _own_settings(entry.load().router)
    ]
    return _table(["handler", "setting", "default", "what it means"], rows)


def metrics() -> str:
    """Every metric: its type, its labels, what it counts or measures, and which alert rules ask for it."""
    rules = (files("receiver_deploy") / "prometheus-rules.yml").read_text("utf-8")
    expressions = re.findall(r"- alert: (\w+)\n +expr: (.*?)\n +(?:for|labels):", rules, re.DOTALL)
    rows = [
        [
            f"`{metric.name}`",
            metric.type.value,
            _codes(metric.labels),
            metric.means,
            _codes(alert for alert, expression in expressions if re.search(rf"\b{metric.name}(_count)?\b", expression)),
        ]
        for metric in METRICS
    ]
    return _table(["metric", "type", "labels", "what it means", "alert rules"], rows)


def signals() -> str:
    """Every signal, with the facts that it announces."""
    announced = re.findall(r'signal\("([a-z-]+)"\)\n"""(.*?)"""', getsource(every_signal))
    return _table(["signal", "what it announces"], [[f"`{name}`", told] for name, told in announced])


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
        return f"polling{_given(adapter)}"
    return f"webhooks, else polling{_given(adapter)}" if adapter.polls else "webhooks"


def _trust(adapter: type[Provider]) -> str:
    if not adapter.sends_webhooks:
        return ""
    if adapter.signed_by is not None:
        return f"signed {adapter.signed_by}"
    if adapter.scheme is None:
        return "hints: not signed" if adapter.verify is Provider.verify else "verified in its own way"
    headers = " or ".join(f"`{header}`" for header in adapter.scheme.headers)
    return f"signed in {headers}" if adapter.scheme.covers_body else f"hints: {headers} does not cover the body"


def _hints(adapter: type[Provider]) -> bool:
    return _trust(adapter).startswith("hints")


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
    tracked = f"tracked jobs{_given(adapter)}"
    return f"{tracked}, and others in its list{with_settings}" if adapter.lists_jobs else tracked


def _given(adapter: type[Provider]) -> str:
    """`, given its `model``, where it can be asked only then."""
    return f", given its `{adapter.polls_by}`" if adapter.polls_by is not None else ""


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _intervals(schedule: Schedule) -> str:
    """`3 s; 10 s from 30 s of age on`"""
    (_, first), *later = schedule.every.items()
    return "; ".join([_span(first), *(f"{_span(every)} from the age of {_span(since)}" for since, every in later)])


def _span(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes} min" if minutes and not seconds else f"{minutes * 60 + seconds} s"


def _with_subcommands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(command, info_name=path, terminal_width=100, help_option_names=["-h", "--help"])
    yield path, command, context
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from _with_subcommands(f"{path} {name}", below)


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


def _own_settings(router: Router) -> Iterable[list[str]]:
    return [["", "", "none of its own"]] if router.settings is None else _settings(router.settings, "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default()
    if isinstance(value, Secret):
        value = value.get_secret_value()
    if value is None or value == ():
        return ""
    if isinstance(value, timedelta):
        return f'`"{written(value)}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{json.dumps(value, ensure_ascii=False)}`" if isinstance(value, str) else f"`{value}`"


def _statuses(statuses: Mapping[str, Status]) -> str:
    words = {status: [word for word, folded in statuses.items() if folded is status] for status in statuses.values()}
    return "; ".join(f"{', '.join(spellings)} → {status}" for status, spellings in words.items())


def _table(header: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
