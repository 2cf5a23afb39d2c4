"""Find jobs that nobody tracked, in the providers' own lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from receiver import clock
from receiver.asking import ask
from receiver.errors import CredentialsRefused, RequestFailed
from receiver.inbox import Source
from receiver.models import Listed, Listing
from receiver.outbound import ProviderClient
from receiver.store import Store

_MOST_PAGES = 1000


@dataclass
class Discovery:
    """What one look through a provider's list found."""

    source: str
    listed: int = 0
    """Jobs in it that are young enough."""
    tracked: int = 0
    """Those of them that were not known; the next pass asks about them."""
    error: str | None = None
    """Why the list was not read to its end, or not at all."""


def discover(source: Source, *, since: timedelta, store: Store, client: ProviderClient) -> Discovery:
    """Track the jobs of the last `since` that nobody tracked, finished ones too.

    Each page is one request of the source's budget.

    Raises:
        StoreUnavailable: what was found until then is tracked.
    """
    found = Discovery(source.name)
    if not source.provider.lists_jobs:
        found.error = f"{source.provider.name} cannot be asked for its jobs"
        return found
    for first in source.provider.lists:
        try:
            for job in _listed(source, first, since, store, client):
                found.listed += 1
                found.tracked += store.take_listed(source.name, job, schedule=source.schedules[job.kind])
        except RequestFailed as error:
            found.error = source.explained(error)
    return found


def _listed(
    source: Source, cursor: str | None, since: timedelta, store: Store, client: ProviderClient
) -> Iterator[Listed]:
    """The jobs of one of its lists, each once, until they are too old."""
    seen = set[str]()
    for _ in range(_MOST_PAGES):
        listing = _page(source, cursor, store, client)
        new = [job for job in listing.jobs if job.job_id not in seen]
        young = [job for job in new if _young(job, since)]
        yield from young
        seen.update(job.job_id for job in new)
        # The newest come first: what follows a page of old ones is older. A page of known ones has nothing behind it.
        if listing.cursor in (None, cursor) or (listing.jobs and not young):
            return
        cursor = listing.cursor
    raise RequestFailed(f"stopped after {_MOST_PAGES} pages; ask for less with --since")


def _page(source: Source, cursor: str | None, store: Store, client: ProviderClient) -> Listing:
    provider = source.provider
    if provider.api_key is None:
        raise CredentialsRefused(f"sources.{source.name}.api_key is not set, so nobody can be asked")
    describe = partial(provider.listing, cursor)
    _, _, listing = ask(source, describe, partial(provider.read_listing, cursor=cursor), store=store, client=client)
    return listing


def _young(job: Listed, since: timedelta) -> bool:
    """Whether a job is worth a poll; yes, if nobody says how old it is."""
    return job.created_at is None or clock.now() - job.created_at <= since
