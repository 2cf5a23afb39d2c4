"""The command that runs handlers again for recorded events."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from receiver import clock, logs, plugins
from receiver.cli.choose import (
    CHUNK,
    Moment,
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
from receiver.errors import NotConfigured, ReceiverError, StoreUnavailable
from receiver.models import Budget, Event, Status
from receiver.routing import Handler
from receiver.store import Store
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
        plan = _Plan(store, config, events=events, selection=selection, names=names)
        if dry_run or not yes:
            found = plan.counted()
            if not dry_run and found.events:
                confirm(f"replay {found.events} events, {found}?", found.events, yes=yes)
        if not dry_run:
            found = plan.carried_out(rate)
    rows = [{"handler": name, "dispatches": count, "replay_id": found.replay_id} for name, count in found.rows()]
    print_rows(rows, as_json=as_json, columns=["handler", "dispatches"], nothing="no handler wants any such event")
    if not as_json and dry_run:
        click.echo(f"events: {found.events}; nothing was changed")
    elif not as_json and rows:
        click.echo(f"replay {found.replay_id}: `receiver dispatches --replay {found.replay_id}` lists its dispatches")


COMMANDS = (replay,)


@dataclass(kw_only=True)
class _Found:
    """How many events go to handlers, and to which."""

    replay_id: str | None = None
    events: int = 0
    dispatches: Counter[str]

    def add(self, plan: Mapping[int, Sequence[str]]) -> None:
        self.events += sum(1 for handlers in plan.values() if handlers)
        self.dispatches.update(handler for handlers in plan.values() for handler in handlers)

    def rows(self) -> list[tuple[str, int]]:
        return sorted(self.dispatches.items())

    def __str__(self) -> str:
        return ", ".join(f"{count} for {name}" for name, count in self.rows())


class _Plan:
    """Which events go to which handlers again."""

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        events: Iterable[int],
        selection: Selection,
        names: Sequence[str],
    ) -> None:
        self._store = store
        self._config = config
        self._selection = selection
        self._handlers = _named_handlers(config, names)
        self._named = [_recorded(store, event_id) for event_id in dict.fromkeys(events)]
        if names:
            self._refuse_unwanted()

    def counted(self) -> _Found:
        """How many there are, without changing anything."""
        found = _Found(dispatches=Counter())
        with progress("looking", self._total()) as advance:
            for page in self._pages():
                found.add(self._wanted(page))
                advance(len(page))
        return found

    def carried_out(self, rate: Budget | None) -> _Found:
        """Create the dispatches.

        Raises:
            ReceiverError: the store was not available in the middle of it.
        """
        found = _Found(replay_id=secrets.token_hex(4), dispatches=Counter())
        every = rate.per / rate.count if rate is not None else timedelta(0)
        try:
            with progress(f"replay {found.replay_id}", self._total()) as advance:
                for page in self._pages():
                    wanted = self._wanted(page)
                    self._store.replay(
                        wanted, replay_id=str(found.replay_id), wait=every * found.dispatches.total(), every=every
                    )
                    found.add(wanted)
                    advance(len(page))
        except StoreUnavailable as error:
            if not found.events:
                raise
            raise ReceiverError(
                f"replay {found.replay_id} stopped after {found.events} events: {error}; "
                f"`receiver replay --cancel {found.replay_id}` cancels what waits of it"
            ) from error
        return found

    def _total(self) -> int:
        return len(self._named) or self._store.count_events(self._selection)

    def _pages(self) -> Iterator[Sequence[Event]]:
        """The events, some at a time."""
        for start in range(0, len(self._named), CHUNK):
            yield self._named[start : start + CHUNK]
        if self._named:
            return
        after = 0
        while page := self._store.select_events(self._selection, limit=CHUNK, after=after):
            yield page
            after = page[-1].id or 0

    def _wanted(self, events: Iterable[Event]) -> dict[int, list[str]]:
        return {
            event.id: [
                handler.name
                for handler in self._handlers
                if handler.wants(event, self._config.provider_of(event.source))
            ]
            for event in events
            if event.id is not None
        }

    def _refuse_unwanted(self) -> None:
        for event in self._named:
            for handler in self._handlers:
                reason = handler.mismatch(event, self._config.provider_of(event.source))
                if reason is not None:
                    raise NotConfigured(f"{handler.name} does not want event {event.id}: {reason}")


def _named_handlers(config: Config, names: Sequence[str]) -> list[Handler]:
    handlers = plugins.handlers(config)
    unknown = set(names) - {handler.name for handler in handlers}
    if unknown:
        known = ", ".join(handler.name for handler in handlers) or "none"
        raise NotConfigured(
            f"there is no handler {', '.join(sorted(unknown))} in the configuration (there are: {known})"
        )
    return [handler for handler in handlers if not names or handler.name in names]


def _recorded(store: Store, event_id: int) -> Event:
    event = store.event(event_id)
    if event is None:
        raise NotConfigured(f"there is no event {event_id}; see `receiver events`")
    return event


def _cancel(replay_id: str) -> None:
    with opened_store(loaded_config()) as store:
        if not store.list_dispatches(handler=None, state=None, event_id=None, replay_id=replay_id, limit=1):
            raise NotConfigured(f"there is no replay {replay_id!r}; see `receiver dispatches`")
        total = 0
        while count := store.cancel_replay(replay_id, limit=CHUNK):
            total += count
    click.echo(f"replay {replay_id}: {total} dispatches are cancelled; what has begun goes on")
