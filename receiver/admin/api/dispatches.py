"""Dispatches, replays and dead letters."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from pydantic import Field, Tag, TypeAdapter

from receiver import operations
from receiver.admin.api.operations import Resource, not_found
from receiver.admin.api.shapes import Cancelled, Changed, DispatchShape, PageOf, Replayed, WholeDispatch
from receiver.admin.api.values import BY_WAY, MOST_AT_ONCE, Chosen, Expected, Id, Line, Name, PageQuery, Rate, Taken
from receiver.admin.extension import admin, now
from receiver.admin.problems import Problem
from receiver.errors import ReceiverError, StoreUnavailable
from receiver.models import Budget, Scope, State
from receiver.store.base import DispatchFilter, Selection
from receiver.units import RequestBudget

resource = Resource("dispatches")

_RATE: TypeAdapter[Budget] = TypeAdapter(RequestBudget)

Ids = Annotated[list[Id], Field(min_length=1, max_length=500)]
Names = Annotated[list[Name], Field(max_length=100)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]


class DispatchQuery(PageQuery):
    """Which dispatches."""

    handler: Name | None = None
    state: State | None = None
    source: Name | None = None
    event: Id | None = None
    replay: Name | None = None
    error: Name | None = None
    """Found as it is written in the error."""
    first_line: Line | None = None
    """The first line of the error, as far as 200 letters, and nothing else."""


class ReplayEvents(Taken):
    """Replay these events."""

    events: Ids
    handlers: Names = []
    """Only for these handlers; for all that want them, if there are none."""
    rate: Rate | None = None
    """Let so many dispatches become due: `10/s`."""


class ReplaySelection(Taken):
    """Replay the events that are chosen by what they are."""

    selection: Chosen
    handlers: Names = []
    """Only for these handlers; for all that want them, if there are none."""
    rate: Rate | None = None
    """Let so many dispatches become due: `10/s`."""
    expected_count: Expected | None = None
    """How many events it is to be. Left out, they are only counted; if they are not so many, nothing is changed."""


class DeadSelection(Chosen):
    """Dead letters, chosen by what they are; what is left out does not narrow it."""

    handlers: Names = []
    """One of these handlers'."""
    error: Name | None = None
    """A part of the error."""
    first_line: Line | None = None
    """The first line of the error, as far as 200 letters, and nothing else."""

    def dead(self, *, now: datetime) -> Selection:
        """The same as the store is asked for it."""
        chosen = self.selection(now=now)
        return replace(chosen, handlers=tuple(self.handlers), error=self.error, first_line=self.first_line)


class Named(Taken):
    """These dispatches."""

    dispatches: Ids


class Selected(Taken):
    """The dead letters that are chosen by what they are."""

    selection: DeadSelection
    expected_count: Expected | None = None
    """How many it is to be. Left out, they are only counted; if they are not so many, nothing is changed."""


class DiscardNamed(Named):
    """These dispatches, and why."""

    reason: Reason
    """It becomes their error."""


class DiscardSelected(Selected):
    """The dead letters that are chosen by what they are, and why."""

    reason: Reason
    """It becomes their error."""


class DiscardLeftOver(Taken):
    """All that is left of a handler that left the configuration: its dead letters, and what waits for it; and why."""

    left_handler: Name
    expected_count: Expected | None = None
    """How many it is to be. Left out, they are only counted; if they are not so many, nothing is changed."""
    reason: Reason
    """It becomes their error."""


ReplayBody = Annotated[Annotated[ReplayEvents, Tag("named")] | Annotated[ReplaySelection, Tag("selected")], BY_WAY]
RetryBody = Annotated[Annotated[Named, Tag("named")] | Annotated[Selected, Tag("selected")], BY_WAY]
DiscardBody = Annotated[
    Annotated[DiscardNamed, Tag("named")]
    | Annotated[DiscardSelected, Tag("selected")]
    | Annotated[DiscardLeftOver, Tag("left")],
    BY_WAY,
]


@resource.get("/dispatches")
def list_dispatches(query: DispatchQuery) -> PageOf[DispatchShape]:
    """List dispatches, newest first; dead ones wait for a person."""
    wanted = DispatchFilter(
        handler=query.handler,
        state=query.state,
        source=query.source,
        event_id=query.event,
        replay_id=query.replay,
        error=query.error,
        first_line=query.first_line,
    )
    return PageOf[DispatchShape].of(admin().store.list_dispatches(wanted, limit=query.limit, before=query.before))


@resource.get("/dispatches/{dispatch}")
def show_dispatch(dispatch: Id) -> WholeDispatch:
    """Show one dispatch with every attempt."""
    row = admin().store.dispatch(dispatch)
    if row is None:
        raise not_found("dispatch", dispatch)
    return WholeDispatch.model_validate({**row, "attempts": admin().store.list_attempts(dispatch)})


@resource.post("/retries", scope=Scope.OPERATE)
def retry_dispatches(body: RetryBody) -> Changed:
    """Run dispatches again, with all their attempts and the same idempotency keys.

    Those that are named may be dead or cancelled; those that are selected are dead.
    """
    return _change(body, admin().store.retry, states=(State.DEAD, State.CANCELLED))


@resource.post("/discards", scope=Scope.OPERATE)
def discard_dispatches(body: DiscardBody) -> Changed:
    """Drop dead letters for good: they are cancelled.

    Those that are named may also wait for a handler that left the configuration; of such a handler (`left_handler`)
    all can be dropped at once, what waits for it, too.
    """
    store, handlers = admin().store, admin().handlers
    if isinstance(body, DiscardLeftOver):
        chosen = operations.choose_left_over(store, body.left_handler, handlers=handlers, now=now())
        discard = partial(store.discard, reason=body.reason, gone=[body.left_handler])
        return _change_counted(chosen, discard, expected_count=body.expected_count)
    gone = operations.gone(store, handlers) if isinstance(body, Named) else set[str]()
    return _change(body, partial(store.discard, reason=body.reason, gone=gone), states=(State.DEAD,), gone=gone)


@resource.post("/replays", scope=Scope.OPERATE, once=True)
def replay_events(body: ReplayBody) -> Replayed:
    """Run the handlers for recorded events again, as new dispatches with new idempotency keys.

    Of a selection those events are chosen that handlers got to see. Live dispatches go first.
    """
    chosen = Chosen() if isinstance(body, ReplayEvents) else body.selection
    plan = operations.Replay(
        admin().store,
        admin().config,
        admin().handlers,
        events=body.events if isinstance(body, ReplayEvents) else (),
        selection=chosen.selection(now=now()),
        names=body.handlers,
    )
    if isinstance(body, ReplaySelection):
        total = plan.total()
        if total > MOST_AT_ONCE:
            raise _too_many(total)
        if body.expected_count is None:
            counted = plan.counted()
            return Replayed(replay_id=None, event_count=counted.event_count, dispatches=dict(counted.rows()))
        _refuse_unexpected(plan.counted().event_count, body.expected_count)
    rate = _RATE.validate_python(body.rate) if body.rate is not None else None
    done = plan.carried_out(operations.new_replay_id(), rate=rate)
    return Replayed(replay_id=done.replay_id, event_count=done.event_count, dispatches=dict(done.rows()))


@resource.delete("/replays/{replay}", scope=Scope.OPERATE)
def cancel_replay(replay: Name) -> Cancelled:
    """Cancel what waits of a replay."""
    return Cancelled(cancelled_count=operations.cancel_replay(admin().store, replay))


def _change(
    body: Named | Selected,
    change: Callable[[Sequence[int]], Sequence[int]],
    *,
    states: Sequence[State],
    gone: Collection[str] = (),
) -> Changed:
    store = admin().store
    if isinstance(body, Named):
        return _changed(operations.choose_named(store, body.dispatches, states=states, gone=gone), change)
    chosen = operations.choose_dead(store, body.selection.dead(now=now()))
    return _change_counted(chosen, change, expected_count=body.expected_count)


def _change_counted(
    chosen: operations.Chosen, change: Callable[[Sequence[int]], Sequence[int]], *, expected_count: int | None
) -> Changed:
    """Change those that were chosen by what they are, if they are as many as expected."""
    if expected_count is None:
        return Changed(changed=False, count=chosen.total, handlers=dict(chosen.counts))
    if chosen.total > MOST_AT_ONCE:
        raise _too_many(chosen.total)
    _refuse_unexpected(chosen.total, expected_count)
    return _changed(chosen, change)


def _changed(chosen: operations.Chosen, change: Callable[[Sequence[int]], Sequence[int]]) -> Changed:
    count = 0
    try:
        for ids in chosen.pages:
            count += len(change(ids))
    except StoreUnavailable as error:
        if not count:
            raise
        raise ReceiverError(f"{count} of {chosen.total} were changed, the others were not: {error}") from error
    return Changed(changed=True, count=count, handlers=dict(chosen.counts))


def _refuse_unexpected(found: int, expected: int) -> None:
    if found != expected:
        raise Problem(HTTPStatus.CONFLICT, f"these are {found}, not {expected}; nothing was changed")


def _too_many(count: int) -> Problem:
    told = f"these are {count}, and one request changes at most {MOST_AT_ONCE}; narrow them, or use the command line"
    return Problem(HTTPStatus.CONFLICT, told)
