"""A delivery comes in: verify, parse, key, record. Webhooks and poll answers meet here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from receiver import signals
from receiver.errors import Reason, Refused, Unreadable
from receiver.masking import mask_headers, mask_values
from receiver.models import Budget, Delivery, Event, Trust
from receiver.providers.base import Provider
from receiver.signals import announce
from receiver.store.base import Receipt, Record, Store, Verdict

_LONGEST_TEXT = 300


@dataclass(frozen=True)
class Source:
    """One configured instance of a provider."""

    name: str
    provider: Provider
    budget: Budget | None = None
    """The operator's request budget; None where the provider's own counts."""

    def masked(self, text: str) -> str:
        """A text of the provider's, such as an error, without our secrets, which it may echo."""
        # Cut only now: half a secret would not be found.
        return mask_values(text, filter(None, [self.provider.api_key, *self.provider.secrets]))[:_LONGEST_TEXT]


def accept(source: Source, delivery: Delivery, *, store: Store, now: datetime) -> Receipt:
    """Take in a webhook. When this returns, it is stored.

    Raises:
        Refused: it is not proven genuine; the caller keeps it in the quarantine.
        StoreUnavailable: nothing was stored; the sender should try again.
    """
    provider = source.provider
    trust = _verified(source, delivery, now)
    delivery = masked(delivery)
    try:
        events = provider.parse(delivery)
        note = provider.remark(delivery, events)
    except Exception as error:
        # An adapter that fails on a genuine body loses nothing: it is kept, to be read again after a fix.
        note = str(error) if isinstance(error, Unreadable) else f"the adapter failed: {type(error).__name__}"
        return _record(store, Record(delivery=delivery, trust=trust, verdict=Verdict.UNREADABLE, note=note))
    return _record(
        store,
        Record(
            delivery=delivery,
            trust=trust,
            verdict=Verdict.HINT if trust is Trust.HINT else Verdict.RECORDED,
            events=_recordable(provider, events),
            note=note,
            schedules=provider.kinds,
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
            schedules=source.provider.kinds,
        ),
    )


def masked(delivery: Delivery) -> Delivery:
    """The delivery as it may be kept: without what its headers may hold of secrets."""
    return replace(delivery, headers=mask_headers(delivery.headers))


def _verified(source: Source, delivery: Delivery, now: datetime) -> Trust:
    try:
        return source.provider.verify(delivery, now)
    except Refused as refused:
        announce(signals.delivery_refused, source.name, reason=refused.reason)
        raise
    except Exception as error:
        # What a stranger sends must not be able to make an adapter's mistake look like ours.
        announce(signals.delivery_refused, source.name, reason=Reason.MALFORMED)
        raise Refused(Reason.MALFORMED, f"the adapter failed on it: {type(error).__name__}") from error


def _record(store: Store, record: Record) -> Receipt:
    receipt = store.receive(record)
    source = record.delivery.source
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
    for event in receipt.unknown_statuses:
        announce(signals.status_unknown, source, job=event.job_id, raw_status=event.raw_status)
    return receipt


def _recordable(provider: Provider, events: Sequence[Event]) -> tuple[Event, ...]:
    """The events, of kinds the provider has, without those that repeat a key, which one batch may well hold."""
    by_key = {event.key: event for event in reversed(events)}
    return tuple(
        replace(event, kind=provider.kind_or_default(event.kind)) if event.job_id is not None else event
        for event in events
        if by_key[event.key] is event
    )
