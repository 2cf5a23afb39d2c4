"""Receiver inside a program of your own."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from receiver import plugins, submit
from receiver.config import Config, load
from receiver.errors import InvalidBody, NotConfigured, RequestFailed, Unreadable
from receiver.inbox import Source
from receiver.models import Created, Job, Offer
from receiver.outbound import ProviderClient
from receiver.providers.base import identifier, json_object
from receiver.store import Store, open_store


class Receiver:
    """What an application needs: create jobs, expect them to finish, look them up. Threads may share one.

    Open it after a fork, never before, and close it, or use it as a context manager.
    """

    def __init__(self, config: Config | str | os.PathLike[str] | None = None, *, store: Store | None = None) -> None:
        """`config` is a configuration or its file; by default `RECEIVER_CONFIG`, else `receiver.toml`.

        `store` is the configured one, if it is open already.

        Raises:
            ConfigError: naming the file and the key.
            StoreUnavailable: the store cannot be opened.
        """
        self.config = config if isinstance(config, Config) else load(config)
        self._sources = plugins.sources(self.config)
        self._store = store or open_store(self.config)
        self._client = ProviderClient()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release what is held. It is not used afterwards."""
        self._client.close()
        self._store.close()

    def submit(
        self, source: str, kind: str, body: Mapping[str, Any], *, metadata: Mapping[str, Any] | None = None
    ) -> list[Job]:
        """Create a job at a source's provider and track it; of a batch, the batch and all its jobs.

        `metadata` (anything JSON can hold) comes back to handlers with the job. The call is made once and never
        repeated.

        Raises:
            NotConfigured: there is no such source, or its provider has no such kind to create.
            ConfigError: the source has no API key.
            InvalidBody: the body lacks a required field, or the metadata is not JSON; nothing was sent.
            RateLimited: nothing was created; `retry_after` says when to try again.
            OutcomeUnknown: a job may have been created, or was and could not be recorded; the intent is kept, and the
                text says what to do.
            RequestFailed: nothing was created; the text has the provider's own message.
            StoreUnavailable: nothing was sent.
        """
        return submit.submit(
            self._source(source),
            kind,
            body,
            metadata=_metadata(metadata),
            public_url=self.config.public_url,
            store=self._store,
            client=self._client,
        )

    def track(
        self,
        source: str,
        job_id: str,
        *,
        kind: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        intent: str | None = None,
    ) -> bool:
        """Expect a job to finish that was created some other way. False if it was known already.

        With the id of an `intent` whose outcome is unknown, the job is what it led to: it gets the intent's metadata,
        and its kind if none is given. A job of another kind, such as a batch's clip, leaves the intent open. Without a
        kind and an intent, the kind is the provider's default.

        Raises:
            NotConfigured: there is no such source, kind or intent.
            InvalidBody: the id is none, or the metadata is not JSON.
            StoreUnavailable: nothing was stored.
        """
        found = self._source(source)
        own, named = _metadata(metadata), _job_id(job_id)
        if intent is None:
            tracked_as = found.provider.kind_or_default(None) if kind is None else found.provider.tracked_as(kind)
            return self._store.track(source, named, kind=tracked_as, schedule=found.schedules[tracked_as], metadata=own)
        led = self._store.intent(intent)
        if led is None or led.source != source:
            raise NotConfigured(f"{source} has no open intent {intent!r}; see `receiver jobs`")
        created = Created(job_id=named, kind=found.provider.tracked_as(kind or led.kind))
        own = {**led.metadata, **own}
        if created.kind != led.kind:
            # One clip of a batch, say. The intent waits for the batch itself.
            return self._store.track(
                source, named, kind=created.kind, schedule=found.schedules[created.kind], metadata=own
            )
        new = self._store.job(source, named) is None
        self._store.settle(replace(led, metadata=own), [created], schedules=found.schedules)
        return new

    def withdraw(self, intent: str) -> None:
        """Drop an intent that is known to have led to nothing.

        Raises:
            NotConfigured: there is no such intent.
            StoreUnavailable: nothing was changed.
        """
        if not self._store.withdraw(intent):
            raise NotConfigured(f"there is no open intent {intent!r}; see `receiver jobs`")

    def job(self, source: str, job_id: str) -> Job | None:
        """A job as it is now; None if nobody has heard of it."""
        return self._store.job(source, job_id)

    def takes_callback(self, source: str, kind: str) -> bool:
        """Whether the provider can be told where to call back about such a job."""
        creation = self._source(source).provider.create_calls.get(kind)
        return creation is not None and creation.callback is not None

    def catalog(self, source: str) -> list[Offer]:
        """What a source's provider offers to make: models, types of content.

        Raises:
            NotConfigured: there is no such source.
            RequestFailed: the provider could not be asked; the text has its own message.
        """
        found = self._source(source)
        requests = found.provider.catalog()
        if not requests:
            return list(found.provider.offers)
        try:
            return self._client.first(found.provider, requests, found.provider.read_catalog)
        except Unreadable as error:
            raise RequestFailed(found.explained(error)) from None
        except RequestFailed as error:
            error.args = (found.explained(error),)
            raise

    def _source(self, name: str) -> Source:
        return plugins.source(self._sources, name)


def _metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    try:
        own: dict[str, Any] = json_object(json.dumps(dict(metadata or {}), allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError, Unreadable) as error:
        raise InvalidBody(f"the metadata cannot be kept as JSON: {error}") from None
    return own


def _job_id(job_id: str) -> str:
    try:
        return identifier(job_id, field="job_id")
    except Unreadable as error:
        raise InvalidBody(str(error)) from None
