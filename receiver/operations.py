"""What people do with what is recorded, whether by command, by the API or on the page."""

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from receiver.config import Config
from receiver.errors import NotConfigured, ReceiverError, StoreUnavailable
from receiver.models import Budget, Event, State
from receiver.routing import Handler
from receiver.store import Store
from receiver.store.base import DispatchFilter, Selection

CHUNK = 500
"""So many are changed in one commit, so that nobody else waits long for a turn to write."""

Advance = Callable[[int], None]
"""What is called with the number of those just done."""


def _unheard(count: int) -> None:
    """Nobody wants to know how far it is."""


@dataclass(kw_only=True)
class Replayed:
    """How many events go to handlers again, and to which."""

    replay_id: str | None = None
    """None as long as they are only counted."""
    event_count: int = 0
    dispatches: Counter[str]
    """How many by handler."""

    def add(self, plan: Mapping[int, Sequence[str]]) -> None:
        """Count some more: handler names by event id."""
        self.event_count += sum(1 for handlers in plan.values() if handlers)
        self.dispatches.update(handler for handlers in plan.values() for handler in handlers)

    def rows(self) -> list[tuple[str, int]]:
        """Handlers and how many, by name."""
        return sorted(self.dispatches.items())

    def __str__(self) -> str:
        return ", ".join(f"{count} for {name}" for name, count in self.rows())


class Replay:
    """Which events go to which handlers again: those that are named, or else those that are selected."""

    def __init__(
        self,
        store: Store,
        config: Config,
        handlers: Sequence[Handler],
        *,
        events: Iterable[int] = (),
        selection: Selection,
        names: Collection[str] = (),
    ) -> None:
        """`handlers` are those there are, `names` those that are wanted; all of them, if none is named.

        Raises:
            NotConfigured: there is no such handler or event, or an event can no longer be replayed, or a handler that
                is named does not want an event that is.
        """
        self._store = store
        self._config = config
        self._selection = selection
        self._handlers = _named_handlers(handlers, names)
        self._named = [_recorded(store, event_id) for event_id in dict.fromkeys(events)]
        if names:
            self._refuse_unwanted()

    def total(self) -> int:
        """How many events there are to look at."""
        return len(self._named) or self._store.count_events(self._selection)

    def counted(self, advance: Advance = _unheard) -> Replayed:
        """How many there are, without changing anything."""
        found = Replayed(dispatches=Counter())
        for page in self._pages():
            found.add(self._wanted(page))
            advance(len(page))
        return found

    def carried_out(self, replay_id: str, *, rate: Budget | None = None, advance: Advance = _unheard) -> Replayed:
        """Create the dispatches; with a rate, so many become due in a span of time.

        Raises:
            StoreUnavailable: nothing was done.
            ReceiverError: the store was not available in the middle of it.
        """
        found = Replayed(replay_id=replay_id, dispatches=Counter())
        every = rate.per / rate.count if rate is not None else timedelta(0)
        try:
            for page in self._pages():
                wanted = self._wanted(page)
                wait = every * found.dispatches.total()
                made = self._store.replay(wanted, replay_id=replay_id, wait=wait, every=every)
                found.add(self._without_emptied(wanted) if len(made) < sum(map(len, wanted.values())) else wanted)
                advance(len(page))
        except StoreUnavailable as error:
            if not found.event_count:
                raise
            raise ReceiverError(
                f"replay {replay_id} stopped after {found.event_count} events: {error}; "
                f"`receiver replay --cancel {replay_id}` cancels what waits of it"
            ) from error
        return found

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

    def _without_emptied(self, plan: Mapping[int, Sequence[str]]) -> dict[int, Sequence[str]]:
        """Those of a plan that were carried out: of what is emptied nothing is replayed."""
        events = {event_id: self._store.event(event_id) for event_id in plan}
        return {event.id: plan[event.id] for event in events.values() if event and event.id and not event.emptied}

    def _refuse_unwanted(self) -> None:
        for event in self._named:
            for handler in self._handlers:
                reason = handler.mismatch(event, self._config.provider_of(event.source))
                if reason is not None:
                    raise NotConfigured(f"{handler.name} does not want event {event.id}: {reason}")


def new_replay_id() -> str:
    """What a replay is called, by which its dispatches are listed and cancelled."""
    return secrets.token_hex(4)


def cancel_replay(store: Store, replay_id: str) -> int:
    """Cancel what waits of a replay. Returns how many; what has begun goes on.

    Raises:
        NotConfigured: there is no such replay.
    """
    if not store.list_dispatches(DispatchFilter(replay_id=replay_id), limit=1).rows:
        raise NotConfigured(f"there is no replay {replay_id!r}; see `receiver dispatches`")
    total = 0
    while count := store.cancel_replay(replay_id, limit=CHUNK):
        total += count
    return total


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Dispatches to retry or discard, and how many there are of each handler."""

    named: bool
    counts: Mapping[str, int]
    pages: Iterator[Sequence[int]]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        by_handler = ", ".join(f"{count} of {name}" for name, count in sorted(self.counts.items()))
        return f"{self.total} dispatches, {by_handler}"


def gone(store: Store, handlers: Sequence[Handler]) -> set[str]:
    """The names of handlers that left the configuration, while dispatches wait for them."""
    return set(store.waiting()) - {handler.name for handler in handlers}


def choose_named(
    store: Store, dispatches: Iterable[int], *, states: Collection[State], gone: Collection[str] = ()
) -> Chosen:
    """The dispatches with these ids: in these states, or waiting for a handler that is gone.

    Raises:
        NotConfigured: some are neither.
    """
    ids = list(dict.fromkeys(dispatches))
    rows = [store.dispatch(dispatch_id) for dispatch_id in ids]
    wrong = [
        str(number)
        for number, row in zip(ids, rows, strict=True)
        if row is None or not (row["state"] in states or (row["state"] == State.PENDING and row["handler"] in gone))
    ]
    if wrong:
        which = f"dispatch {wrong[0]} is" if len(wrong) == 1 else f"dispatches {', '.join(wrong)} are"
        lacking = "neither dead nor cancelled" if State.CANCELLED in states else "not dead"
        raise NotConfigured(f"{which} {lacking}, so nothing was changed; see `receiver dispatches`")
    counts = Counter(row["handler"] for row in rows if row is not None)
    return Chosen(named=True, counts=counts, pages=(ids[at : at + CHUNK] for at in range(0, len(ids), CHUNK)))


def choose_dead(store: Store, selection: Selection) -> Chosen:
    """The dead letters of a selection."""
    return Chosen(named=False, counts=store.count_dead(selection), pages=_found(store, selection))


def choose_left_over(store: Store, handler: str, *, handlers: Sequence[Handler], now: datetime) -> Chosen:
    """What there still is of a handler that left the configuration: what waits for it, and its dead letters until now.

    Raises:
        NotConfigured: it did not.
    """
    if handler in {known.name for known in handlers}:
        raise NotConfigured(f"{handler} is in the configuration: what waits for it will be run")
    dead = Selection(handlers=(handler,), until=now)
    count = store.waiting().get(handler, 0) + store.count_dead(dead).get(handler, 0)
    pages = chain(_waiting(store, handler), _found(store, dead))
    return Chosen(named=False, counts={handler: count} if count else {}, pages=pages)


def _waiting(store: Store, handler: str) -> Iterator[Sequence[int]]:
    wanted, before = DispatchFilter(handler=handler, state=State.PENDING), None
    while True:
        page = store.list_dispatches(wanted, limit=CHUNK, before=before)
        if page.rows:
            yield [row["id"] for row in page.rows]
        if page.next is None:
            return
        before = page.next


def _found(store: Store, selection: Selection) -> Iterator[Sequence[int]]:
    after = 0
    while ids := store.select_dead(selection, limit=CHUNK, after=after):
        yield ids
        after = ids[-1]


def _named_handlers(handlers: Sequence[Handler], names: Collection[str]) -> list[Handler]:
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
    if event.emptied:
        raise NotConfigured(
            f"the data of event {event_id} is kept no longer (`retention.events`): it cannot be replayed"
        )
    return event
