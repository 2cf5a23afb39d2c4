"""One request to a source's provider, within its request budget."""

from collections.abc import Callable
from typing import TypeVar

from receiver import backoff
from receiver.errors import RateLimited, RequestFailed, StoreUnavailable
from receiver.inbox import Source
from receiver.models import Limits, Request, Response
from receiver.outbound import ProviderClient
from receiver.store.base import Store

T = TypeVar("T")


def ask(
    source: Source,
    describe: Callable[[], Request],
    read: Callable[[Response], T],
    *,
    store: Store,
    client: ProviderClient,
    spent: bool = False,
) -> tuple[Request, Response, T]:
    """The request, the answer, and what is read in it. What it says of the budget is remembered.

    `describe` and `read` are the adapter's, whose mistakes are failures of this one request. `spent` says that the
    budget was spent on it before.

    Raises:
        RateLimited: the budget is spent, or the provider says so.
        RequestFailed: there is no answer, or `read` says that it is none.
        StoreUnavailable: the budget cannot be spent, or nothing remembered.
    """
    provider = source.provider
    budget = source.budget or provider.budget
    if not spent and not store.spend(source.name, budget=budget, learn=source.budget is None):
        raise RateLimited("the request budget is spent")
    try:
        request = describe()
        response = client.send(provider, request)
        limits = provider.limits(response)
        if limits is not None:
            store.remember_limits(source.name, limits)
        return request, response, read(response)
    except RateLimited as error:
        store.remember_limits(source.name, Limits(pause=error.retry_after or backoff.PAUSE_IF_NOT_TOLD))
        raise
    except (RequestFailed, StoreUnavailable):
        raise
    # An adapter's mistake must not keep other jobs from being asked about; its text may quote the answer.
    except Exception as error:
        raise RequestFailed(f"the adapter failed: {type(error).__name__}") from error
