"""Deliveries come in: what the threads of a process hand over at once is stored with a few statements in all.

Each statement costs a turn, with SQLite at Python's lock, with PostgreSQL on the way to the server and back: what
counts is how many statements there are, not how many rows. What to do is decided here; a database has its statements.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from receiver.clock import to_text
from receiver.errors import KeyMissing
from receiver.models import Event, Origin, Schedule, Status, Trust, Via
from receiver.store.base import Receipt, Record
from receiver.store.rows import Kept, job_values, merged, recorded, told_credits, told_end
from receiver.store.rules import SECOND_CHANCE

_T = TypeVar("_T")
Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much is kept of what anybody may send, for each source."""

    max_hints: int
    max_hint_body: int

    def bounded(self, record: Record) -> Record:
        """As much of a record as is kept."""
        if record.trust is not Trust.HINT:
            return record
        return replace(record, delivery=replace(record.delivery, body=record.delivery.body[: self.max_hint_body]))


@dataclass
class Arrival:
    """A new event on its way in."""

    event: Event
    record: Record
    delivery_id: int
    unknown: bool = False
    """Its status is a word not seen for the job before."""

    def number(self, event_id: int) -> None:
        """Give the event its id."""
        self.event = replace(self.event, id=event_id)


class Ledger(ABC):
    """The rows that are read and written when deliveries come in, within one transaction."""

    now: datetime
    """The database's clock."""

    @abstractmethod
    def known_events(self, events: Sequence[Event]) -> Mapping[tuple[str, str], Kept]:
        """Those events that are known, by source and key.

        Each with `id`, `delivery_id`, `webhook_at`, `poll_at`, and `is_open` if it has a job that is.
        """

    @abstractmethod
    def known_jobs(self, events: Sequence[Event]) -> Mapping[tuple[str, str | None], Kept]:
        """Those of the events' jobs that are known, by source and job id.

        Each with `id`, `status`, `raw_status` and `last_poll_at`.
        """

    @abstractmethod
    def insert_deliveries(self, records: Sequence[Record]) -> Sequence[int]:
        """Insert deliveries. Their ids."""

    @abstractmethod
    def insert_events(self, arrivals: Sequence[Arrival]) -> None:
        """Insert events, no two of the same source and key. From then on they have their ids."""

    @abstractmethod
    def insert_jobs(self, rows: Sequence[Values]) -> None:
        """Insert jobs, as `rows.job_values` makes them."""

    @abstractmethod
    def move_jobs(self, moves: Sequence[Values]) -> None:
        """Bring jobs to where events say they are: `id`, `status`, `raw_status`, `terminal`, `ended`, `credits`."""

    @abstractmethod
    def close_jobs(self, events: Sequence[Event]) -> None:
        """Close the jobs of events that are known to have ended them, should they be open."""

    @abstractmethod
    def see_again(self, event_ids: Sequence[int], via: Via) -> None:
        """Note that known events came this way, too, for the first time."""

    @abstractmethod
    def count_again(self, deliveries: Sequence[Kept]) -> None:
        """Count deliveries once more for each time that they are named, as what told of them has them."""

    @abstractmethod
    def delivery_of(self, source: str, fingerprint: str) -> Kept | None:
        """The delivery with the body of this fingerprint: its `delivery_id`."""

    @abstractmethod
    def insert_fingerprint(self, record: Record, fingerprint: str, delivery_id: int) -> None:
        """Remember which delivery had this body."""

    @abstractmethod
    def bound_hints(self, source: str, max_count: int) -> None:
        """Of a source's hints keep the newest."""

    @abstractmethod
    def hinted_job_count(self, source: str) -> int:
        """How many open jobs of a source are known only from hints."""

    @abstractmethod
    def open_again(self, job: int, schedule: Schedule) -> None:
        """Watch a job once more that was given up."""

    @abstractmethod
    def poll_at_once(self, job: int, origin: Origin, *, lately: bool) -> None:
        """Make a job due, unless it was polled `lately`. One that was only hinted at has this origin from then on."""

    @abstractmethod
    def intent(self, intent_id: str) -> Kept | None:
        """An intent: its `source`, `kind` and `metadata`."""

    @abstractmethod
    def withdraw(self, intent_id: str) -> None:
        """Drop an intent, whose job is known."""

    @abstractmethod
    def job(self, source: str, job_id: str) -> Kept | None:
        """A job: its `id` and `metadata`."""

    @abstractmethod
    def own(self, job: int, metadata: str) -> None:
        """Note that a job is one of ours, with this metadata."""


def receive(ledger: Ledger, records: Sequence[Record], bounds: Bounds) -> list[Receipt]:
    """Store deliveries, their events and what they mean for their jobs."""
    receipts: dict[int, Receipt] = {}
    for apart in _apart(list(enumerate(records)), lambda item: names(item[1])):
        proven = []
        for index, record in apart:
            if record.proven:
                proven.append((index, record))
            else:
                receipts[index] = _keep_unproven(ledger, record, bounds)
        if proven:
            receipts |= _keep_proven(ledger, proven)
        for _, record in apart:
            if record.intent is not None:
                _fulfil(ledger, record.intent, record.events)
    return [receipts[index] for index in range(len(records))]


def names(record: Record) -> Iterable[tuple[str, ...]]:
    """What a record has to do with: of two that share any of it, the second has to find what the first left."""
    source = record.delivery.source
    for event in record.events:
        yield "key", source, event.key
        yield "job", source, event.job_id or event.key
    if not record.proven:
        yield "fingerprint", source, _fingerprint(record)
    if record.trust is Trust.HINT:
        yield "hints", source
    if record.intent is not None:
        yield "intent", record.intent


def _keep_proven(ledger: Ledger, records: Sequence[tuple[int, Record]]) -> dict[int, Receipt]:
    """Keep what is proven; no two of the records have to do with each other."""
    receipts: dict[int, Receipt] = {}
    fresh: list[tuple[int, Record, list[Event]]] = []
    again: list[Kept] = []
    repeated: list[tuple[Event, Via, Kept]] = []
    known = ledger.known_events([event for _, record in records for event in record.events])
    for index, record in records:
        rows = [known.get((event.source, event.key)) for event in record.events]
        repeated += [
            (event, record.delivery.via, row) for event, row in zip(record.events, rows, strict=True) if row is not None
        ]
        new = [event for event, row in zip(record.events, rows, strict=True) if row is None]
        if new:
            fresh.append((index, record, new))
        else:
            # A batch's own event is its last; those of its clips may have come in on their own before.
            first = next(row for row in reversed(rows) if row is not None)
            again.append(first)
            receipts[index] = Receipt(delivery_id=first["delivery_id"], repeated=True)
    if repeated:
        _see_again(ledger, repeated)
    if again:
        ledger.count_again(again)
    if fresh:
        receipts |= _keep_fresh(ledger, fresh)
    return receipts


def _see_again(ledger: Ledger, repeated: Sequence[tuple[Event, Via, Kept]]) -> None:
    """Note by which way known events came, too, and close their jobs, should they be open: an end told stays told."""
    for via, column in ((Via.WEBHOOK, "webhook_at"), (Via.POLL, "poll_at")):
        ids = [row["id"] for _, way, row in repeated if way is via and row[column] is None]
        if ids:
            ledger.see_again(ids, via)
    ended: dict[tuple[str, str | None], Event] = {}
    for event, _, row in repeated:
        if row["is_open"] and event.status is not None and event.status.terminal:
            # A delivery may tell two ends of one job.
            ended.setdefault((event.source, event.job_id), event)
    if ended:
        ledger.close_jobs(list(ended.values()))


def _keep_fresh(ledger: Ledger, fresh: Sequence[tuple[int, Record, Sequence[Event]]]) -> dict[int, Receipt]:
    """Keep deliveries with their new events."""
    ids = ledger.insert_deliveries([record for _, record, _ in fresh])
    arrivals = {
        index: [Arrival(event, record, delivery_id) for event in events]
        for (index, record, events), delivery_id in zip(fresh, ids, strict=True)
    }
    # A delivery may tell several events of one job: what the first makes of it, the next has to find.
    everything = [arrival for own in arrivals.values() for arrival in own]
    for apart in _apart(everything, lambda arrival: _job_of(arrival.event)):
        _keep_events(ledger, apart)
    return {
        index: Receipt(
            delivery_id=own[0].delivery_id,
            repeated=False,
            events=tuple(arrival.event for arrival in own),
            unknown_statuses=tuple(arrival.event for arrival in own if arrival.unknown),
        )
        for index, own in arrivals.items()
    }


def _keep_events(ledger: Ledger, arrivals: Sequence[Arrival]) -> None:
    """Insert new events, no two about the same job, and bring their jobs to where they say these are."""
    jobs = ledger.known_jobs([arrival.event for arrival in arrivals])
    for arrival in arrivals:
        job = jobs.get((arrival.event.source, arrival.event.job_id))
        arrival.event = recorded(arrival.event, arrival.record, job["status"] if job else None, ledger.now)
    ledger.insert_events(arrivals)
    new, moves = [], []
    for arrival in arrivals:
        event = arrival.event
        if event.job_id is None or event.kind is None:
            continue
        job = jobs.get((event.source, event.job_id))
        if job is None:
            schedule = arrival.record.schedules[event.kind]
            told: dict[str, Any] = {
                "status": event.status,
                "raw_status": event.raw_status,
                "credits": told_credits(event),
            }
            new.append(job_values(event.source, event.job_id, event.kind, schedule, Origin.EVENT, ledger.now, **told))
            arrival.unknown = event.status is None
        elif event.standing.dispatched:
            moves.append(_move(event, job["id"], ledger.now))
            arrival.unknown = event.status is None and event.raw_status != job["raw_status"]
    if moves:
        ledger.move_jobs(moves)
    if new:
        ledger.insert_jobs(new)


def _fulfil(ledger: Ledger, intent_id: str, events: Sequence[Event]) -> None:
    """Give the intent's metadata to the jobs that its callback speaks of, should the answer not have come yet.

    Once the job that was asked for is known, the intent is dropped.
    """
    intent = ledger.intent(intent_id)
    for event in events:
        if intent is None or event.source != intent["source"]:
            return
        job = ledger.job(event.source, event.job_id) if event.job_id is not None else None
        if job is None:
            continue
        try:
            metadata = merged(intent["metadata"], job["metadata"])
        except KeyMissing:
            # What came in is taken in all the same; the intent stays for when its key is there.
            return
        ledger.own(job["id"], metadata)
        if event.kind == intent["kind"]:
            ledger.withdraw(intent_id)


def _move(event: Event, job: int, now: datetime) -> Values:
    return {
        "id": job,
        "status": event.status,
        "raw_status": event.raw_status,
        "terminal": bool(event.status and event.status.terminal),
        "ended": told_end(event, now),
        "credits": told_credits(event),
    }


def _job_of(event: Event) -> list[tuple[str, str]]:
    return [(event.source, event.job_id)] if event.job_id is not None else []


def _apart(items: Sequence[_T], names_of: Callable[[_T], Iterable[Hashable]]) -> Iterable[list[_T]]:
    """The items in groups in which no two share a name, in their order."""
    while items:
        group, later = list[_T](), list[_T]()
        taken, blocked = set[Hashable](), set[Hashable]()
        for item in items:
            own = set(names_of(item))
            if own & (taken | blocked):
                later.append(item)
                blocked |= own
            else:
                group.append(item)
                taken |= own
        yield group
        items = later


# What is not proven, or says nothing


def _keep_unproven(ledger: Ledger, record: Record, bounds: Bounds) -> Receipt:
    """Keep a hint, what is incomplete, an unreadable body or one without events, told apart by its bytes.

    The jobs that the first two speak of become due.
    """
    source, fingerprint = record.delivery.source, _fingerprint(record)
    known = ledger.delivery_of(source, fingerprint)
    if known is None:
        [delivery_id] = ledger.insert_deliveries([bounds.bounded(record)])
        ledger.insert_fingerprint(record, fingerprint, delivery_id)
    else:
        delivery_id = known["delivery_id"]
        ledger.count_again([known])
    if record.trust is Trust.HINT:
        ledger.bound_hints(source, bounds.max_hints)
    turned_away = sum(not _make_due(ledger, event, record, bounds) for event in record.events)
    return Receipt(delivery_id=delivery_id, repeated=known is not None, turned_away=turned_away)


def _fingerprint(record: Record) -> str:
    return hashlib.sha256(record.delivery.body).hexdigest()


def _make_due(ledger: Ledger, event: Event, record: Record, bounds: Bounds) -> bool:
    """Poll the job at once, but no more often than its schedule asks anyway. False if there is no room for it."""
    if event.job_id is None or event.kind is None:
        return True
    schedule, origin = record.schedules[event.kind], Origin.HINT if record.trust is Trust.HINT else Origin.EVENT
    job = ledger.known_jobs([event]).get((event.source, event.job_id))
    if job is None:
        if origin is Origin.HINT and ledger.hinted_job_count(event.source) >= bounds.max_hints:
            return False
        at_once = timedelta(0)
        ledger.insert_jobs(
            [job_values(event.source, event.job_id, event.kind, schedule, origin, ledger.now, first_poll=at_once)]
        )
        return True
    lately = job["last_poll_at"] is not None and job["last_poll_at"] >= to_text(ledger.now - schedule.shortest)
    if Status(job["status"]).ours and not lately and event.status is not None and event.status.terminal:
        # We gave it up, and are told that it ended after all. Should that prove to be untrue, it is given up once more.
        ledger.open_again(job["id"], replace(schedule, first=timedelta(0), deadline=SECOND_CHANCE))
    ledger.poll_at_once(job["id"], origin, lately=lately)
    return True
