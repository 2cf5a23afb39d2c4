"""Ask a provider anew where the outputs of an event are: URLs expire before the files they lead to."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from receiver.asking import ask
from receiver.errors import RequestFailed, StoreUnavailable
from receiver.inbox import Source
from receiver.models import Claim, Event, Job, Output, Reading, Status
from receiver.outbound import ProviderClient
from receiver.store.base import Store

# Of one attempt's time, which is for the files, this takes no more than half a minute.
_MOST_REQUESTS = 3
_TIMEOUT = timedelta(seconds=10)


def refresher(
    claim: Claim, source: Source | None, opened: Callable[[], AbstractContextManager[Store]]
) -> Callable[[], Sequence[Output]] | None:
    """What asks anew about the claim's event; None where nobody can be asked: no source, no API key, no job.

    `opened` gives the store that keeps the source's request budget, once it is needed.
    """
    if source is None or source.provider.api_key is None or claim.job is None:
        return None
    return partial(_outputs, claim.event, claim.job, source, opened)


def _outputs(
    event: Event, job: Job, source: Source, opened: Callable[[], AbstractContextManager[Store]]
) -> Sequence[Output]:
    """The event's outputs as the provider names them now. The job and its events stay as they are recorded.

    Raises:
        RequestFailed: the provider cannot be asked, or no longer knows.
    """
    try:
        with opened() as store, ProviderClient(timeout=_TIMEOUT) as client:
            return _named(_reading(job, source, store, client), event)
    except StoreUnavailable as error:
        raise RequestFailed(f"the request budget of {source.name} cannot be spent: {error}", sent=False) from None
    except RequestFailed as error:
        error.args = (source.explained(error),)
        raise


def _reading(job: Job, source: Source, store: Store, client: ProviderClient) -> Reading:
    """What the provider says of the job, followed to where it says it."""
    for _ in range(_MOST_REQUESTS):
        describe, read = partial(source.provider.poll, job), partial(source.provider.read, job)
        _, _, reading = ask(source, describe, read, store=store, client=client)
        if not reading.follow_up:
            return reading
        job = replace(
            job, raw_status=reading.raw_status or job.raw_status, reference=reading.reference or job.reference
        )
    raise RequestFailed(f"the answer is still elsewhere after {_MOST_REQUESTS} requests")


def _named(reading: Reading, event: Event) -> Sequence[Output]:
    """The outputs of the same event in the reading, or else of one that tells the same job's success."""
    same = [told for told in reading.events if told.key == event.key]
    same += [told for told in reading.events if told.job_id == event.job_id and told.status is Status.SUCCEEDED]
    for told in same:
        if told.outputs:
            return told.outputs
    raise RequestFailed("the provider names no results of the job any more")
