"""Commands that show what is known: jobs, events, deliveries, dispatches, show, catalog, check."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import click
from pydantic import SecretStr

from receiver import clock, plugins
from receiver.cli.common import (
    NUMBER,
    config_option,
    json_option,
    limit_option,
    loaded_config,
    opened_store,
    print_rows,
    printable,
)
from receiver.cli.rows import event_row, job_row
from receiver.clock import from_text
from receiver.config import Config
from receiver.errors import NotConfigured, RequestFailed
from receiver.inbox import Source
from receiver.masking import mask_password
from receiver.models import Budget, State, Status
from receiver.outbound import ProviderClient
from receiver.receiver import Receiver
from receiver.routing import Handler
from receiver.store.base import Row

_MASK = "**********"
_UNKNOWN = "unknown"
_LONGEST_CALL = timedelta(minutes=1)
_CALLING = "the create call is being made"
_NO_ANSWER = "the create call was never answered; see `receiver track --intent` and `receiver withdraw`"

source_option = click.option("--source", metavar="SOURCE", help="Only of this source.")


@click.command()
@config_option
@source_option
@click.option(
    "--status", type=click.Choice([*(str(status) for status in Status), _UNKNOWN]), help="Only with this status."
)
@click.option("--open", "open_only", is_flag=True, help="Only those that have not ended.")
@limit_option
@json_option
def jobs(source: str | None, status: str | None, open_only: bool, limit: int, as_json: bool) -> None:
    """List jobs, newest first, after the intents of which nobody knows whether they became jobs."""
    with opened_store(loaded_config()) as store:
        rows = store.list_intents(source=source, limit=limit) if status in (None, _UNKNOWN) else []
        if status != _UNKNOWN:
            rows += store.list_jobs(source=source, status=status, open_only=open_only, limit=limit)
    if not as_json:
        rows = [_with_intent(row) for row in rows]
    columns = [
        "source",
        "job",
        "kind",
        "status",
        "progress",
        "step",
        "created_at",
        "next_poll_at",
        "finished_at",
        "poll_count",
        "last_error",
    ]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no jobs")


@click.command()
@config_option
@source_option
@click.option("--job", "job_id", metavar="JOB", help="Only about this job.")
@click.option("--status", type=click.Choice([str(status) for status in Status]), help="Only with this status.")
@limit_option
@json_option
def events(source: str | None, job_id: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """List events, newest first. With --json also their data, outputs and what handlers saved."""
    with opened_store(loaded_config()) as store:
        rows = store.list_events(source=source, job_id=job_id, status=status, limit=limit)
    columns = ["id", "source", "type", "job", "status", "standing", "trust", "via", "recorded_at"]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no events")


@click.command()
@config_option
@source_option
@click.option("--rejected", is_flag=True, help="The quarantine instead: what was refused, and why.")
@limit_option
@json_option
def deliveries(source: str | None, rejected: bool, limit: int, as_json: bool) -> None:
    """List deliveries, newest first. With --json also their headers and bodies."""
    with opened_store(loaded_config()) as store:
        if rejected:
            rows = store.list_refusals(source=source, limit=limit)
            columns = ["id", "source", "received_at", "reason", "path", "hint"]
        else:
            rows = store.list_deliveries(source=source, limit=limit)
            columns = ["id", "source", "via", "trust", "verdict", "received_at", "seen_count", "note"]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no deliveries")


@click.command()
@config_option
@click.option("--handler", metavar="HANDLER", help="Only of this handler.")
@click.option(
    "--state", type=click.Choice([str(state) for state in State]), help="Only in this state; dead ones await `retry`."
)
@click.option("--event", "event_id", type=NUMBER, metavar="EVENT", help="Only of this event.")
@click.option("--replay", "replay_id", metavar="REPLAY", help="Only of this replay.")
@limit_option
@json_option
def dispatches(
    handler: str | None, state: str | None, event_id: int | None, replay_id: str | None, limit: int, as_json: bool
) -> None:
    """List dispatches, newest first. With --json also every attempt."""
    with opened_store(loaded_config()) as store:
        rows = store.list_dispatches(handler=handler, state=state, event_id=event_id, replay_id=replay_id, limit=limit)
        if as_json:
            rows = [{**row, "attempts": store.list_attempts(row["id"])} for row in rows]
    columns = ["id", "event", "handler", "job", "state", "attempt_count", "due_at", "finished_at", "replay_id", "error"]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no dispatches")


@click.command()
@config_option
@click.argument("dispatch", type=NUMBER)
@json_option
def show(dispatch: int, as_json: bool) -> None:
    """Show one DISPATCH with its event, its job and every attempt. With --json also the event's data."""
    with opened_store(loaded_config()) as store:
        row = store.dispatch(dispatch)
        if row is None:
            raise NotConfigured(f"there is no dispatch {dispatch}; see `receiver dispatches`")
        event = store.event(row["event"])
        job = store.job(row["source"], row["job"]) if row["job"] is not None else None
        attempts = store.list_attempts(dispatch)
    event_shown, job_shown = event and event_row(event), job and job_row(job)
    if as_json:
        whole = {**row, "event": event_shown, "job": job_shown, "attempts": attempts}
        print_rows([whole], as_json=True, columns=[], nothing=None)
        return
    _print_section(f"dispatch {dispatch}", row)
    _print_section("event", event_shown or {}, without=["data"])
    _print_section("job", job_shown or {})
    for attempt in attempts:
        _print_section(f"attempt {attempt['number']}", attempt)


@click.command()
@config_option
@click.argument("source")
@json_option
def catalog(source: str, as_json: bool) -> None:
    """List what SOURCE's provider offers to make. With --json also its own words about each."""
    with Receiver(loaded_config()) as receiver:
        rows = [{"name": offer.name, "kind": offer.kind, "data": offer.data} for offer in receiver.catalog(source)]
    print_rows(rows, as_json=as_json, columns=["name", "kind"], nothing="it offers nothing")


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
    for variable in _strange_variables(click.get_current_context()):
        click.echo(f"{variable}: no setting or option has that name", err=True)
    with opened_store(config) as store:
        store.prove()
        left_over = {
            name: count for name, count in store.waiting().items() if name not in {handler.name for handler in handlers}
        }
    click.echo("\nstore: commits")
    for handler in handlers:
        click.echo(f"handler {handler.name}: loaded")
    for name, count in left_over.items():
        click.echo(f"handler {name}: not configured, and {count} dispatches wait for it", err=True)
    with ProviderClient() as client:
        ok = [offline or _key_accepted(source, client) for source in sources.values()]
    if not all(ok):
        raise click.exceptions.Exit(1)


COMMANDS = (jobs, events, deliveries, dispatches, show, catalog, check)


def _print_section(title: str, values: Row, *, without: Collection[str] = ()) -> None:
    """One thing, whole, a line for each value that it has."""
    if not values:
        return
    click.echo(title)
    for name, value in values.items():
        if value is not None and name not in without:
            click.echo(f"  {name.replace('_', ' '):<16} {printable(value)}")


def _with_intent(row: Row) -> Row:
    """An intent among jobs, told in their columns."""
    if "intent" not in row:
        return row
    young = clock.now() - from_text(row["created_at"]) < _LONGEST_CALL
    told = row["last_error"] or (_CALLING if young else _NO_ANSWER)
    return {**row, "job": f"intent {row['intent']}", "last_error": told}


def _strange_variables(context: click.Context) -> list[str]:
    """The variables that look like ours and mean nothing, because they are misspelt."""
    group = context.find_root().command
    commands = group.commands if isinstance(group, click.Group) else {}
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
            return f"{value.total_seconds():g}s"
        case Budget():
            return f"{value.count} in {value.per.total_seconds():g}s"
        case list() | tuple():
            return [_shown(item) for item in value]
        case bool() | int() | float():
            return value
        case _:
            return str(value)


def _key_accepted(source: Source, client: ProviderClient) -> bool:
    requests = source.provider.check()
    if not source.provider.polls:
        click.echo(f"source {source.name}: its webhooks are all there is")
        return True
    if not requests or source.provider.api_key is None:
        click.echo(f"source {source.name}: no API key; jobs that nobody calls back about will expire unasked")
        return True
    try:
        client.first(source.provider, requests, source.provider.checked)
    except RequestFailed as error:
        click.echo(
            f"source {source.name}: {source.masked(str(error))}; check sources.{source.name}.api_key and base_url",
            err=True,
        )
        return False
    click.echo(f"source {source.name}: the API key is accepted")
    return True
