"""The command that runs handlers again for recorded events."""

from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from receiver import clock, logs, plugins
from receiver.cli.choose import (
    confirm,
    dry_run_option,
    progress,
    since_option,
    source_option,
    type_option,
    yes_option,
)
from receiver.cli.common import NUMBER, Moment, config_option, json_option, loaded_config, opened_store, print_rows
from receiver.models import Budget, Status
from receiver.operations import Replay, cancel_replay, new_replay_id
from receiver.store.base import Selection
from receiver.units import RequestBudget


class _Rate(click.ParamType[Budget]):
    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Budget:
        try:
            rate: Budget = TypeAdapter(RequestBudget).validate_python(value)
        except ValidationError:
            self.fail(f'write {value!r} as "10/s", "100/min" or "1000/h"', param, ctx)
        return rate


@click.command()
@config_option
@click.argument("events", nargs=-1, type=NUMBER, metavar="[EVENT]...")
@source_option
@type_option
@click.option("--status", type=click.Choice([str(status) for status in Status]), help="Choose those with this status.")
@click.option("--kind", metavar="KIND", help="Choose those about this kind of job.")
@since_option
@click.option("--until", type=Moment(), metavar="TIME", help="Choose what is older.")
@click.option("--handler", "names", multiple=True, metavar="HANDLER", help="Only for this handler; may be repeated.")
@click.option("--rate", type=_Rate(), metavar="RATE", help="Let so many dispatches become due, such as 10/s.")
@dry_run_option
@yes_option
@click.option("--cancel", "cancelled", metavar="REPLAY", help="Cancel instead what waits of this replay.")
@json_option
def replay(
    events: tuple[int, ...],
    names: tuple[str, ...],
    rate: Budget | None,
    dry_run: bool,
    yes: bool,
    cancelled: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Run the handlers for recorded EVENTs again, as new dispatches with new idempotency keys.

    EVENTs are named, or chosen by what they are; `--type '*'` chooses all. By a filter only those are chosen that
    handlers got to see: what is stale or in conflict is not. Each event goes to the handlers that want it now. Live
    dispatches go first. The replay has an id, by which `receiver dispatches --replay` lists its dispatches.
    """
    chosen = any(value is not None for value in filters.values())
    if cancelled is not None:
        if events or chosen or names or rate or dry_run:
            raise click.UsageError("--cancel goes with no EVENT and no other option")
        _cancel(cancelled)
        return
    if chosen == bool(events):
        raise click.UsageError("give either EVENTs or a filter, such as --since 2h")
    config = loaded_config()
    # A predicate that fails is told as a warning.
    logs.configure(config.log_format)
    # What comes in meanwhile is not chosen: it comes to its handlers anyway.
    selection = Selection(**filters | {"until": filters["until"] or clock.now()})
    with opened_store(config) as store:
        plan = Replay(store, config, plugins.handlers(config), events=events, selection=selection, names=names)
        if dry_run or not yes:
            with progress("looking", plan.total()) as advance:
                found = plan.counted(advance)
            if not dry_run and found.event_count:
                confirm(f"replay {found.event_count} events, {found}?", found.event_count, yes=yes)
        if not dry_run:
            replay_id = new_replay_id()
            with progress(f"replay {replay_id}", plan.total()) as advance:
                found = plan.carried_out(replay_id, rate=rate, advance=advance)
    rows = [{"handler": name, "dispatches": count, "replay_id": found.replay_id} for name, count in found.rows()]
    print_rows(rows, as_json=as_json, columns=["handler", "dispatches"], nothing="no handler wants any such event")
    if not as_json and dry_run:
        click.echo(f"events: {found.event_count}; nothing was changed")
    elif not as_json and rows:
        click.echo(f"replay {found.replay_id}: `receiver dispatches --replay {found.replay_id}` lists its dispatches")


COMMANDS = (replay,)


def _cancel(replay_id: str) -> None:
    with opened_store(loaded_config()) as store:
        total = cancel_replay(store, replay_id)
    click.echo(f"replay {replay_id}: {total} dispatches are cancelled; what has begun goes on")
