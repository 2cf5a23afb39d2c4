"""A delivery comes in: verify, parse, key, record. Webhooks and poll answers meet here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from receiver import signals, tracing
from receiver.errors import RateLimited, Reason, ReceiverError, Refused, StoreUnavailable, Unreadable
from receiver.masking import mask_headers, mask_values
from receiver.models import Access, Budget, Delivery, Event, Schedule, Trust
from receiver.providers.base import Provider
from receiver.signals import announce
from receiver.store.base import Receipt, Record, Store, Verdict

_LONGEST_TEXT = 300
_MOST_HEADERS = 16 * 2**10
_INTENT = re.compile(r"/intents/([0-9a-f]{22})/?\Z")


@dataclass(frozen=True)
class Source:
    """One configured instance of a provider."""

    name: str
    provider: Provider
    budget: Budget | None = None
    """The operator's request budget; None where the provider's own counts."""
    deadline: timedelta | None = None
    """The operator's deadline for jobs; None where those of the provider's kinds count."""

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """When to poll each kind of job."""
        if self.deadline is None:
            return self.provider.kinds
        return {kind: replace(schedule, deadline=self.deadline) for kind, schedule in self.provider.kinds.items()}

    @property
    def askable(self) -> bool:
        """Whether its provider can be asked about jobs."""
        return self.provider.polls and self.provider.api_key is not None

    @property
    def expects_webhooks(self) -> bool:
        """Whether it is set up for webhooks, so that it means something if none come."""
        return self.provider.sends_webhooks and bool(self.provider.secrets or self.provider.unsigned)

    def requests_left(self, store: Store) -> int:
        """How many requests its budget allows at this moment."""
        return store.requests_left(self.name, budget=self.budget or self.provider.budget, learn=self.budget is None)

    @property
    def access(self) -> Access:
        """What opens the provider's own addresses, such as those of `authorized` outputs."""
        return Access(base_url=self.provider.base_url, headers=self.provider.authorize())

    def masked(self, text: str) -> str:
        """A text of the provider's, such as an error, without our secrets, which it may echo."""
        # Cut only now: half a secret would not be found.
        return mask_values(text, self.provider.confidential)[:_LONGEST_TEXT]

    def explained(self, error: ReceiverError) -> str:
        """What went wrong at the provider, in one line for people: whose error it is, and when to try again."""
        when = ""
        if isinstance(error, RateLimited):
            wait = error.retry_after
            when = "; try again later" if wait is None else f"; try again in {wait.total_seconds():.0f} s"
        return f"{self.name}: {self.masked(str(error))}{when}"


def accept(source: Source, delivery: Delivery, *, store: Store, now: datetime) -> Receipt:
    """Take in a webhook. When this returns, it is stored.

    Raises:
        Refused: it is not proven genuine; the caller keeps it in the quarantine.
        StoreUnavailable: nothing was stored; the sender should try again.
    """
    provider = source.provider
    trust = _verified(source, delivery, store, now)
    delivery = masked(delivery)
    try:
        events = provider.parse(delivery)
        note = provider.remark(delivery, events)
    except Exception as error:
        # An adapter that fails on a genuine body loses nothing: it is kept, to be read again after a fix.
        note = str(error) if isinstance(error, Unreadable) else f"the adapter failed: {type(error).__name__}"
        kept = _bounded(delivery, trust)
        return _record(store, Record(delivery=kept, trust=trust, verdict=Verdict.UNREADABLE, note=note))
    return _record(
        store,
        Record(
            delivery=_bounded(delivery, trust),
            trust=trust,
            verdict=_verdict(source, trust, events),
            events=_recordable(provider, events),
            note=note,
            schedules=source.schedules,
            intent=_intent(delivery),
        ),
    )


def learn(source: Source, delivery: Delivery, events: Sequence[Event], *, store: Store) -> Receipt | None:
    """Take in what we found out ourselves: by a poll, or because a job's time ran out. None if that is no event.

    Raises:
        StoreUnavailable: nothing was stored.
    """
    if not events:
        return None
    return _record(
        store,
        Record(
            delivery=masked(delivery),
            trust=Trust.CONFIRMED,
            verdict=Verdict.RECORDED,
            events=_recordable(source.provider, events),
            schedules=source.schedules,
        ),
    )


def callback_path(source: str, intent_id: str) -> str:
    """Where a provider posts what became of an intent, below the public URL."""
    return f"/webhooks/{source}/intents/{intent_id}"


def masked(delivery: Delivery) -> Delivery:
    """The delivery as it may be kept: without what its headers may hold of secrets."""
    headers = mask_headers(delivery.headers)
    return delivery if headers == delivery.headers else replace(delivery, headers=headers)


def bounded_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """As many of a stranger's headers as are worth keeping: 16 KiB in all, the shortest first.

    Those of signatures are short; a server lets through half a megabyte of others.
    """
    if sum(len(name) + len(value) for name, value in headers.items()) <= _MOST_HEADERS:
        return headers
    kept, left = {}, _MOST_HEADERS
    for name, value in sorted(headers.items(), key=lambda header: len(header[0]) + len(header[1])):
        left -= len(name) + len(value)
        if left < 0:
            break
        kept[name] = value
    return kept


def _verdict(source: Source, trust: Trust, events: Sequence[Event]) -> Verdict:
    if trust is Trust.HINT:
        return Verdict.HINT
    return Verdict.INCOMPLETE if source.askable and any(event.incomplete for event in events) else Verdict.RECORDED


def _verified(source: Source, delivery: Delivery, store: Store, now: datetime) -> Trust:
    keys = store.keys(source.name) if source.provider.keys_url is not None else None
    try:
        return source.provider.verify(delivery, now, keys)
    except StoreUnavailable:
        raise
    except Refused as refused:
        if keys is not None and refused.reason is Reason.SIGNATURE_MISMATCH:
            # Or they were changed since they were fetched.
            store.want_keys(source.name)
        announce(signals.delivery_refused, source.name, reason=refused.reason)
        raise
    except Exception as error:
        # What a stranger sends must not be able to make an adapter's mistake look like ours.
        announce(signals.delivery_refused, source.name, reason=Reason.MALFORMED)
        raise Refused(Reason.MALFORMED, f"the adapter failed on it: {type(error).__name__}") from error


def _bounded(delivery: Delivery, trust: Trust) -> Delivery:
    """What is kept of it. Only now: what an adapter reads of a delivery must not depend on what strangers add to it."""
    if trust is not Trust.HINT:
        return delivery
    return replace(delivery, headers=bounded_headers(delivery.headers))


def _intent(delivery: Delivery) -> str | None:
    """The intent that the callback URL named. The path is not signed, but the intent's id cannot be guessed."""
    found = _INTENT.search(delivery.path)
    return found[1] if found else None


def _record(store: Store, record: Record) -> Receipt:
    source = record.delivery.source
    with tracing.span("delivery", since=record.delivery.received_at, source=source, via=str(record.delivery.via)):
        receipt = store.receive(_traced(record))
    announce(
        signals.delivery_received,
        source,
        delivery=receipt.delivery_id,
        via=record.delivery.via,
        trust=record.trust,
        verdict=record.verdict,
        repeated=receipt.repeated,
        note=record.note,
    )
    for event in receipt.events:
        announce(signals.event_recorded, source, event=event)
    if receipt.turned_away:
        announce(signals.hints_turned_away, source, count=receipt.turned_away)
    for event in receipt.unknown_statuses:
        announce(signals.status_unknown, source, job=event.job_id, raw_status=event.raw_status)
    return receipt


def _traced(record: Record) -> Record:
    """The record, its events with the step of a trace that they are to go on."""
    traceparent = tracing.traceparent()
    if traceparent is None:
        return record
    return replace(record, events=tuple(replace(event, traceparent=traceparent) for event in record.events))


def _recordable(provider: Provider, events: Sequence[Event]) -> tuple[Event, ...]:
    """The events, of kinds the provider has, without those that repeat a key, which one batch may well hold."""
    by_key = {event.key: event for event in reversed(events)}
    return tuple(_of_a_kind(provider, event) for event in events if by_key[event.key] is event)


def _of_a_kind(provider: Provider, event: Event) -> Event:
    kind = provider.kind_or_default(event.kind) if event.job_id is not None else event.kind
    return event if kind == event.kind else replace(event, kind=kind)
