"""Commands for dead letters: retry, discard."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import click

from receiver import clock, operations, plugins
from receiver.cli.choose import (
    confirm,
    dry_run_option,
    progress,
    since_option,
    source_option,
    type_option,
    yes_option,
)
from receiver.cli.common import NUMBER, config_option, json_option, loaded_config, opened_store, print_rows
from receiver.config import Config
from receiver.models import State
from receiver.operations import Chosen
from receiver.store import Store
from receiver.store.base import Selection

_dispatches = click.argument("dispatches", nargs=-1, type=NUMBER, metavar="[DISPATCH]...")
_handler_option = click.option(
    "--handler", "handlers", multiple=True, metavar="HANDLER", help="Choose those of this handler; may be repeated."
)
_error_option = click.option("--error", metavar="TEXT", help="Choose those whose error holds this text.")


@click.command()
@config_option
@_dispatches
@_handler_option
@source_option
@type_option
@_error_option
@since_option
@dry_run_option
@yes_option
@json_option
def retry(dispatches: tuple[int, ...], dry_run: bool, yes: bool, as_json: bool, **filters: Any) -> None:
    """Run dead or cancelled DISPATCHes again, with all their attempts and the same idempotency keys.

    They are named, or chosen by what they are: then only dead ones, and `--type '*'` chooses them all.
    """
    with opened_store(loaded_config()) as store:
        chosen = _choose(store, dispatches, filters, states=[State.DEAD, State.CANCELLED])
        if _agreed("retry", chosen, dry_run=dry_run, yes=yes, as_json=as_json):
            _change(chosen, store.retry, doing="retry", done="due again", as_json=as_json)


@click.command()
@config_option
@_dispatches
@click.option("--reason", required=True, metavar="TEXT", help="Why; it becomes their error.")
@_handler_option
@source_option
@type_option
@_error_option
@since_option
@click.option(
    "--left-handler",
    metavar="HANDLER",
    help="Drop instead all there is of this handler, which left the configuration: what waits for it, too.",
)
@dry_run_option
@yes_option
@json_option
def discard(
    dispatches: tuple[int, ...],
    reason: str,
    left_handler: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Drop dead DISPATCHes for good: they are cancelled, and no longer among the dead letters.

    They are named, or chosen by what they are; `--type '*'` chooses them all. Those that are named may also wait for a
    handler that left the configuration.
    """
    config = loaded_config()
    if left_handler is not None and (dispatches or any(filters.values())):
        raise click.UsageError("--left-handler goes with no DISPATCH and no filter")
    with opened_store(config) as store:
        if left_handler is not None:
            gone = {left_handler}
            handlers = plugins.handlers(config)
            chosen = operations.choose_left_over(store, left_handler, handlers=handlers, now=clock.now())
        else:
            gone = _gone(store, config, dispatches)
            chosen = _choose(store, dispatches, filters, states=[State.DEAD], gone=gone)
        if _agreed("discard", chosen, dry_run=dry_run, yes=yes, as_json=as_json):
            drop = partial(store.discard, reason=reason, gone=gone)
            _change(chosen, drop, doing="discard", done="discarded", as_json=as_json)


COMMANDS = (retry, discard)


def _gone(store: Store, config: Config, dispatches: Sequence[int]) -> set[str]:
    """The handlers that left the configuration. None is loaded for what is dead, as one that is broken may be why."""
    rows = [store.dispatch(dispatch_id) for dispatch_id in dispatches]
    waits = any(row is not None and row["state"] == State.PENDING for row in rows)
    return operations.gone(store, plugins.handlers(config)) if waits else set()


def _choose(
    store: Store,
    dispatches: Sequence[int],
    filters: dict[str, Any],
    *,
    states: Collection[State],
    gone: Collection[str] = (),
) -> Chosen:
    if any(filters.values()) == bool(dispatches):
        raise click.UsageError("give either DISPATCHes or a filter, such as --since 2h")
    if dispatches:
        return operations.choose_named(store, dispatches, states=states, gone=gone)
    # What dies again meanwhile is not chosen anew.
    return operations.choose_dead(store, Selection(**filters, until=clock.now()))


def _agreed(doing: str, chosen: Chosen, *, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Whether to go on, after asking where they are many; with `dry_run` only how many they are is printed."""
    if dry_run:
        _print_counts(chosen, as_json=as_json)
    else:
        confirm(f"{doing} {chosen}?", chosen.total, yes=yes)
    return not dry_run


def _print_counts(chosen: Chosen, *, as_json: bool) -> None:
    rows = [{"handler": name, "dispatches": count} for name, count in sorted(chosen.counts.items())]
    print_rows(rows, as_json=as_json, columns=["handler", "dispatches"], nothing="no dispatches are chosen")
    if not as_json:
        click.echo("nothing was changed")


def _change(
    chosen: Chosen,
    change: Callable[[Sequence[int]], Sequence[int]],
    *,
    doing: str,
    done: str,
    as_json: bool,
) -> None:
    total = 0
    with progress(doing, chosen.total) as advance:
        for ids in chosen.pages:
            changed = change(ids)
            total += len(changed)
            advance(len(ids))
            if as_json:
                print_rows(
                    [{"dispatch": number, "done": done} for number in changed], as_json=True, columns=[], nothing=None
                )
            elif chosen.named:
                for number in changed:
                    click.echo(f"dispatch {number} is {done}")
    if not chosen.named and not as_json:
        click.echo(f"dispatches {done}: {total}")
