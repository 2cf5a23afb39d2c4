"""Run one dispatch once and decide its outcome. Nothing that a handler does gets past here."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from receiver import clock, tracing
from receiver.backoff import next_attempt
from receiver.masking import mask_urls
from receiver.models import Access, Claim, Output
from receiver.outbound import HandlerClient
from receiver.outcomes import Cancel, Decision, Done, Outcome, PermanentError, RetryAfter, Snooze
from receiver.routing import BoundLogger, Context, Handler

_log = logging.getLogger(__name__)

# A handler that snoozes for no time would run without end.
_SHORTEST_SNOOZE = timedelta(seconds=1)
_LONGEST_SNOOZE = timedelta(days=3650)


def run(
    claim: Claim,
    handler: Handler,
    *,
    access: Access | None = None,
    client: HandlerClient | None = None,
    refresh: Callable[[], Sequence[Output]] | None = None,
) -> Outcome:
    """What the handler made of the event.

    `access` opens the source's own addresses, `client` is for all others, `refresh` asks for the outputs anew.
    """
    if claim.attempt > handler.max_attempts:
        # Each attempt before took its worker down, so there was nobody to count it.
        return Outcome(decision=Decision.DEAD, error="the worker died or froze in every attempt")
    context = Context(
        handler=handler.name.partition(".")[0],
        settings=handler.settings,
        job=claim.job,
        attempt=claim.attempt,
        idempotency_key=claim.idempotency_key,
        deadline=clock.now() + handler.timeout,
        access=access,
        client=client,
        refresh=refresh,
        traceparent=tracing.traceparent() or claim.event.traceparent,
        log=BoundLogger(
            handler.name,
            dispatch=claim.id,
            event_id=claim.event.id,
            source=claim.event.source,
            job=claim.event.job_id,
            attempt=claim.attempt,
        ),
    )
    try:
        return _decided(handler.call(claim.event, context), handler)
    except PermanentError as error:
        return Outcome(decision=Decision.DEAD, error=_described(error))
    except RetryAfter as error:
        return failed(claim, handler, _described(error), wait=min(error.wait, handler.longest_wait))
    # A handler may raise anything, SystemExit included; it harms only its own dispatch.
    except BaseException as error:
        return failed(claim, handler, _described(error))


def overran(claim: Claim, handler: Handler) -> Outcome:
    """The outcome of an attempt that took longer than it may."""
    return failed(claim, handler, f"took longer than {handler.timeout.total_seconds():g} s")


def failed(claim: Claim, handler: Handler, error: str, *, wait: timedelta | None = None) -> Outcome:
    """Retry after `wait`, by default the next one of the backoff; a dead letter if that was the last attempt."""
    if wait is None:
        wait = next_attempt(claim.attempt, first=handler.first_wait, longest=handler.longest_wait)
    if claim.probe:
        # It was tried for the others' sake, too.
        return Outcome(decision=Decision.SNOOZE, wait=wait, error=error, failed=True)
    if claim.attempt >= handler.max_attempts:
        return Outcome(decision=Decision.DEAD, error=error, failed=True)
    return Outcome(decision=Decision.RETRY, wait=wait, error=error, failed=True)


def _decided(returned: object, handler: Handler) -> Outcome:
    match returned:
        case None:
            return Outcome(decision=Decision.DONE)
        case Done(result=result):
            return _done(result)
        case Snooze(wait=wait):
            return Outcome(decision=Decision.SNOOZE, wait=min(max(wait, _SHORTEST_SNOOZE), _LONGEST_SNOOZE))
        case Cancel(reason=reason):
            return Outcome(decision=Decision.CANCEL, error=str(reason))
        case _:
            _log.warning(
                "handler returned something that means nothing; taken as done",
                extra={"handler": handler.name, "returned": type(returned).__name__},
            )
            return Outcome(decision=Decision.DONE)


def _done(result: object) -> Outcome:
    """Done, even if the result cannot be kept: running again would not make it better."""
    try:
        kept = None if result is None else json.loads(json.dumps(result, allow_nan=False))
        if not isinstance(kept, dict | None):
            raise TypeError("it is not a mapping")
    except (TypeError, ValueError, RecursionError) as error:
        return Outcome(decision=Decision.DONE, error=f"the result was not kept: {error}")
    return Outcome(decision=Decision.DONE, result=kept)


def _described(error: BaseException) -> str:
    try:
        return mask_urls(f"{type(error).__name__}: {error}")
    except BaseException:
        return type(error).__name__
