"""What every engine does with a dispatch: route it, try it, record the outcome."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

from receiver import executor, signals, tracing
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.models import Claim, Event, State
from receiver.outbound import HandlerClient
from receiver.outcomes import Decision, Outcome
from receiver.refresh import refresher
from receiver.routing import Handler
from receiver.signals import announce
from receiver.store.base import Store

_log = logging.getLogger(__name__)

_ROUTED_AT_ONCE = 500
_AFTER_TROUBLE = 1.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An attempt that was made, and how many seconds it took."""

    claim: Claim
    outcome: Outcome
    seconds: float


class Attempts:
    """Routes events to handlers, makes attempts and records them. An engine says when, and in which thread."""

    def __init__(
        self,
        store: Store,
        handlers: Sequence[Handler],
        sources: Mapping[str, Source],
        *,
        isolate: Callable[[Claim, Handler], Outcome] | None = None,
    ) -> None:
        """`sources` are those that events come from: their providers' names, and what opens their outputs.

        `isolate` makes an attempt in a process of its own, for handlers that want that.
        """
        self.handlers = {handler.name: handler for handler in handlers}
        self.limits = {handler.name: handler.limit for handler in handlers if handler.limit is not None}
        self._store = store
        self._sources = sources
        self._isolate = isolate
        self._client = HandlerClient()
        self._park_after = {handler.name: handler.park_after for handler in handlers}

    def warn_of_left_over(self) -> None:
        """Say how many dispatches wait for handlers that are not configured."""
        for name, count in self._store.waiting().items():
            if name not in self.handlers:
                _log.warning(
                    "dispatches wait for a handler that is not configured", extra={"handler": name, "count": count}
                )

    def route(self) -> int:
        """Create the dispatches of events that have none yet. Returns how many events were routed."""
        events = self._store.unrouted(_ROUTED_AT_ONCE)
        if events:
            self._store.route({event.id: self._wanted_by(event) for event in events if event.id is not None})
        return len(events)

    def _wanted_by(self, event: Event) -> list[str]:
        source = self._sources.get(event.source)
        provider = source.provider.name if source is not None else ""
        return [handler.name for handler in self.handlers.values() if handler.wants(event, provider)]

    def make(self, claim: Claim) -> Outcome:
        """Run the handler once. Whatever goes wrong is an outcome, too."""
        handler = self.handlers[claim.handler]
        with tracing.span(
            "attempt", parent=claim.event.traceparent, handler=claim.handler, dispatch=claim.id, attempt=claim.attempt
        ):
            outcome = self._made(claim, handler)
            dead = outcome.decision is Decision.DEAD
            tracing.tell(outcome=str(outcome.decision), failed=outcome.failed or dead)
            return outcome

    def _made(self, claim: Claim, handler: Handler) -> Outcome:
        try:
            return self._outcome(claim, handler)
        # The handler is not to blame: an adapter cannot sign with its key, or there is no process to be had.
        except Exception as error:
            return executor.failed(claim, handler, f"could not be tried: {type(error).__name__}")

    def _outcome(self, claim: Claim, handler: Handler) -> Outcome:
        if handler.isolated and self._isolate is not None:
            return self._isolate(claim, handler)
        source = self._sources.get(claim.event.source)
        return executor.run(
            claim,
            handler,
            access=source.access if source else None,
            client=self._client,
            refresh=refresher(claim, source, lambda: nullcontext(self._store)),
        )

    def overran(self, claim: Claim) -> Outcome:
        """The outcome of an attempt that took longer than its handler may."""
        return executor.overran(claim, self.handlers[claim.handler])

    def record(self, ended: Sequence[Ended], *, patience: timedelta) -> None:
        """Record attempts and announce them.

        While the store is unavailable, try again until `patience` is over: past its lease, a dispatch is another
        worker's, which will run it again.
        """
        try:
            states = self._states(ended, time.monotonic() + patience.total_seconds())
        except StoreUnavailable as error:
            for each in ended:
                _log.warning("outcome not recorded", extra={"dispatch": each.claim.id, "error": str(error)})
        else:
            _announce(ended, states)
            self._announce_holds(ended)

    def _states(self, ended: Sequence[Ended], deadline: float) -> list[State | None]:
        outcomes = [(each.claim, each.outcome) for each in ended]
        while True:
            try:
                return self._store.finish_all(outcomes, park_after=self._park_after)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AFTER_TROUBLE)

    def _announce_holds(self, ended: Iterable[Ended]) -> None:
        failed = {each.claim.handler for each in ended if each.outcome.failed}
        tried = {each.claim.handler for each in ended if each.claim.probe}
        for handler in failed | tried:
            try:
                hold = self._store.hold(handler)
            except StoreUnavailable:
                continue
            if hold.parked_until is not None and handler in failed:
                announce(signals.handler_parked, handler, hold=hold)
            elif hold.parked_until is None and handler in tried:
                announce(signals.handler_resumed, handler)


def _announce(ended: Sequence[Ended], states: Sequence[State | None]) -> None:
    for each, state in zip(ended, states, strict=True):
        announce(
            signals.dispatch_finished,
            each.claim.handler,
            claim=each.claim,
            outcome=each.outcome,
            state=state,
            seconds=each.seconds,
        )
