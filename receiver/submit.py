"""Create a job at its provider and track it, in one step that a crash cannot tear apart.

An intent is recorded before the call and dropped with the record of its jobs. In between, nothing is lost: a crash
leaves the intent, and a callback that comes first finds it.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from receiver.backoff import PAUSE_IF_NOT_TOLD
from receiver.errors import (
    ConfigError,
    InvalidBody,
    NotConfigured,
    OutcomeUnknown,
    RateLimited,
    RequestFailed,
    StoreUnavailable,
)
from receiver.inbox import Source, callback_path
from receiver.models import Created, Intent, Job, Limits, Response
from receiver.outbound import ProviderClient
from receiver.store import Store

# With these a server says that it did not even try; with any other 5xx that it lost sight of the request, or may have.
_NOT_TRIED = {501, 503}
# See elsewhere what became of it; took too long; was hung up on.
_PERHAPS_DONE = {303, 408, 499}


def submit(
    source: Source,
    kind: str,
    body: Mapping[str, Any],
    *,
    metadata: Mapping[str, Any] | None = None,
    public_url: str | None = None,
    store: Store,
    client: ProviderClient,
) -> list[Job]:
    """Create a job and track it; of a batch, the batch and all its jobs. The call is made once and never repeated.

    Raises:
        NotConfigured: the provider has no such kind of job to create.
        ConfigError: the source has no API key.
        InvalidBody: a required field is missing; nothing was sent.
        RequestFailed: nothing was created; the text has the provider's own message.
        OutcomeUnknown: a job may have been created, or was and could not be recorded; the intent is kept.
        StoreUnavailable: nothing was sent.
    """
    provider = source.provider
    if kind not in provider.create_calls:
        known = ", ".join(provider.create_calls) or "none"
        raise NotConfigured(f"{provider.name} cannot create {kind!r}; it can create: {known}")
    if provider.api_key is None:
        raise ConfigError(f"sources.{source.name}.api_key: is not set, so nothing can be created")
    # Whatever is wrong with the body shows before anything is recorded.
    _check(body)
    provider.submit(kind, body, None)
    intent = store.intend(source.name, kind=provider.tracked_as(kind), metadata=metadata)
    callback_url = public_url and public_url + callback_path(source.name, intent.id)
    try:
        created = _create(source, kind, body, callback_url, store, client)
    except OutcomeUnknown as error:
        told = source.masked(str(error))
        open_still = True
        with suppress(StoreUnavailable):
            open_still = store.doubt(intent, told)
        raise OutcomeUnknown(_in_doubt(source, intent, told, open_still=open_still)) from None
    except RequestFailed as error:
        with suppress(StoreUnavailable):
            store.withdraw(intent.id)
        error.args = (source.explained(error),)
        raise
    try:
        return store.settle(intent, created, schedules=source.schedules)
    except StoreUnavailable as error:
        raise OutcomeUnknown(_by_hand(source, intent, created, error)) from error


def _check(body: Mapping[str, Any]) -> None:
    try:
        json.dumps(dict(body), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidBody(f"the body cannot be written as JSON: {type(error).__name__}: {error}"[:200]) from None


def _create(
    source: Source,
    kind: str,
    body: Mapping[str, Any],
    callback_url: str | None,
    store: Store,
    client: ProviderClient,
) -> list[Created]:
    provider = source.provider
    request = provider.submit(kind, body, callback_url)
    try:
        response = client.send(provider, request)
    except RequestFailed as error:
        raise OutcomeUnknown(f"no answer came: {error}") if error.sent else error from None
    _remember(source, provider.limits(response), store)
    try:
        created = provider.read_submission(kind, response)
    except RequestFailed as error:
        if isinstance(error, RateLimited):
            _remember(source, Limits(pause=error.retry_after or PAUSE_IF_NOT_TOLD), store)
        code = response.status_code
        if code in _PERHAPS_DONE or (code >= 500 and code not in _NOT_TRIED):
            raise OutcomeUnknown(str(error)) from None
        raise
    # The adapter does not understand the answer, or fails on it; its text may quote what it does not understand.
    except Exception as error:
        raise OutcomeUnknown(f"the answer cannot be read: {_described(error, response)}") from None
    if not created:
        raise OutcomeUnknown("the answer names no job")
    return created


def _remember(source: Source, limits: Limits | None, store: Store) -> None:
    # What the provider did matters more than what it says of its budget.
    if limits is not None:
        with suppress(StoreUnavailable):
            store.remember_limits(source.name, limits)


def _by_hand(source: Source, intent: Intent, created: Sequence[Created], error: StoreUnavailable) -> str:
    """What to run for each job. The one that was asked for comes last: with it the intent is settled."""
    commands = [
        # A provider's text is about to be pasted into a shell.
        f"receiver track {source.name} {shlex.quote(job.job_id)} --kind {job.kind} --intent {intent.id}"
        for job in sorted(created, key=lambda job: job.kind == intent.kind)
    ]
    return "\n".join([f"created, but not recorded ({error}); once the store works, run:", *commands])


def _described(error: Exception, response: Response) -> str:
    return f"HTTP {response.status_code}, {type(error).__name__}: {error}"


def _in_doubt(source: Source, intent: Intent, told: str, *, open_still: bool) -> str:
    if not open_still:
        return f"{source.name}: {told}; but its webhook has come, so the job exists: see `receiver jobs`"
    return (
        f"{source.name}: {told}; a job may have been created. Look for it at the provider, then run "
        f"`receiver track {source.name} JOB --intent {intent.id}` if there is one, "
        f"else `receiver withdraw {intent.id}`"
    )
