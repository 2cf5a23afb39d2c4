"""Rows made into values, and values into what rows keep.

The same for every database: a time in a row is text as `clock.to_text` writes it, and what is JSON is text as well.
As text it comes back as it was; the JSON types of databases take no NUL, no half of a surrogate pair and no NaN, and
change numbers and the order of names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from receiver.clock import from_text, to_text
from receiver.models import (
    Claim,
    Event,
    Failure,
    Hold,
    Intent,
    Job,
    KeySet,
    Limits,
    Origin,
    Output,
    Schedule,
    Standing,
    State,
    Status,
    Trust,
    Via,
    standing,
)
from receiver.outcomes import Decision, Outcome
from receiver.store.base import PollResult, Record, Refusal, Row, Selection

_JSON = frozenset(["metadata", "outputs", "failure", "data", "results", "result", "headers"])
_LONGEST_ERROR = 4000


class Kept(Protocol):
    """One row as a database gives it."""

    def __getitem__(self, name: str, /) -> Any: ...


# Rows made into values


def event_of(row: Kept) -> Event:
    failure = json.loads(row["failure"]) if row["failure"] is not None else None
    return Event(
        id=row["id"],
        source=row["source"],
        key=row["key"],
        type=row["type"],
        data=json.loads(row["data"]),
        job_id=row["job_id"],
        kind=row["kind"],
        status=Status(row["status"]) if row["status"] is not None else None,
        raw_status=row["raw_status"],
        outputs=tuple(Output(**output) for output in json.loads(row["outputs"])),
        failure=Failure(*failure) if failure is not None else None,
        occurred_at=_moment(row["occurred_at"]),
        trust=Trust(row["trust"]),
        via=Via(row["via"]),
        standing=Standing(row["standing"]),
        recorded_at=_moment(row["recorded_at"]),
    )


def job_of(row: Kept) -> Job:
    return Job(
        source=row["source"],
        job_id=row["job_id"],
        kind=row["kind"],
        status=Status(row["status"]),
        raw_status=row["raw_status"],
        progress=row["progress"],
        step=row["step"],
        reference=row["reference"],
        metadata=json.loads(row["metadata"]),
        created_at=from_text(row["created_at"]),
        finished_at=_moment(row["finished_at"]),
        deadline_at=from_text(row["deadline_at"]),
        next_poll_at=_moment(row["next_poll_at"]),
        poll_count=row["poll_count"],
        error_count=row["error_count"],
        origin=Origin(row["origin"]),
        missing_count=row["missing_count"],
        incomplete_count=row["incomplete_count"],
        last_error=row["last_error"],
    )


def claim_of(row: Kept, event: Kept, job: Kept | None, *, probe: bool) -> Claim:
    return Claim(
        id=row["id"],
        token=row["token"],
        handler=row["handler"],
        attempt=row["attempt_count"],
        idempotency_key=row["idempotency_key"],
        event=event_of(event),
        job=job_of(job) if job is not None else None,
        probe=probe,
    )


def hold_of(row: Kept) -> Hold:
    return Hold(failure_count=row["failure_count"], parked_until=_moment(row["parked_until"]))


def intent_of(row: Kept) -> Intent:
    return Intent(
        id=row["id"],
        source=row["source"],
        kind=row["kind"],
        metadata=json.loads(row["metadata"]),
        created_at=from_text(row["created_at"]),
        error=row["error"],
    )


def key_set_of(row: Kept) -> KeySet:
    return KeySet(keys=tuple(json.loads(row["keys"])), fetched_at=from_text(row["fetched_at"]))


def shown(row: Mapping[str, Any]) -> Row:
    """A row for people and programs to read."""
    return {name: json.loads(value) if name in _JSON and value is not None else value for name, value in row.items()}


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)


# Values made into what rows keep


def delivery_values(record: Record, now: datetime) -> dict[str, Any]:
    delivery = record.delivery
    return {
        "source": delivery.source,
        "via": delivery.via,
        "trust": record.trust,
        "verdict": record.verdict,
        "note": record.note,
        "path": delivery.path,
        "headers": json.dumps(dict(delivery.headers)),
        "body": delivery.body,
        "received_at": to_text(delivery.received_at),
        "now": to_text(now),
    }


def refusal_values(refusal: Refusal) -> dict[str, Any]:
    delivery = refusal.delivery
    return {
        "source": delivery.source,
        "reason": refusal.reason,
        "hint": refusal.hint,
        "path": delivery.path,
        "headers": json.dumps(dict(delivery.headers)),
        "body": delivery.body,
        "received_at": to_text(delivery.received_at),
    }


def recorded(event: Event, record: Record, known: str | None, now: datetime, *, id: int | None = None) -> Event:
    """A new event as it is recorded, given the status that its job is known to have."""
    # A status word we do not know is progress, as far as we can tell.
    told = event.status or (Status.RUNNING if event.raw_status is not None else None)
    return replace(
        event,
        id=id,
        trust=record.trust,
        via=record.delivery.via,
        standing=standing(Status(known) if known is not None else None, told),
        recorded_at=now,
    )


def event_values(event: Event, delivery_id: int, now: datetime) -> dict[str, Any]:
    return {
        "source": event.source,
        "key": event.key,
        "type": event.type,
        "job_id": event.job_id,
        "kind": event.kind,
        "status": event.status,
        "raw_status": event.raw_status,
        "standing": event.standing,
        "trust": event.trust,
        "via": event.via,
        "outputs": json.dumps([asdict(output) for output in event.outputs]),
        "failure": event.failure and json.dumps([event.failure.message, event.failure.code]),
        "data": json.dumps(event.data),
        "occurred_at": event.occurred_at and to_text(event.occurred_at),
        "delivery_id": delivery_id,
        "dispatched": event.standing.dispatched,
        "now": to_text(now),
    }


def job_values(
    source: str,
    job_id: str,
    kind: str,
    schedule: Schedule,
    origin: str,
    now: datetime,
    *,
    status: Status | None = None,
    raw_status: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    reference: str | None = None,
    first_poll: timedelta | None = None,
) -> dict[str, Any]:
    status = status or Status.QUEUED
    first_poll = schedule.first if first_poll is None else first_poll
    return {
        "source": source,
        "job_id": job_id,
        "kind": kind,
        "status": status,
        "raw_status": raw_status,
        "metadata": object_text(metadata),
        "reference": reference,
        "origin": origin,
        "now": to_text(now),
        "finished_at": to_text(now) if status.terminal else None,
        "deadline_at": to_text(now + schedule.deadline),
        "next_poll_at": None if status.terminal else to_text(now + first_poll),
    }


def poll_values(result: PollResult, now: datetime) -> dict[str, Any]:
    # A terminal status arrives with its event; only that closes a job.
    status = result.status if result.status is not None and not result.status.terminal else None
    return {
        "next": to_text(now + result.wait),
        "now": to_text(now),
        "error": result.error,
        "status": status,
        "raw_status": result.raw_status,
        "progress": result.progress,
        "step": result.step,
        "reference": result.reference,
        "deadline": result.deadline_at and to_text(result.deadline_at),
        "incomplete": result.incomplete,
        "missing": result.missing,
    }


def outcome_values(claim: Claim, outcome: Outcome, now: datetime) -> dict[str, Any]:
    state = outcome.decision.state
    return {
        "id": claim.id,
        "token": claim.token,
        "state": state,
        "due": to_text(now + outcome.wait),
        "now": to_text(now),
        "over": state is not State.PENDING,
        "snoozed": int(outcome.decision is Decision.SNOOZE),
        "outcome": outcome.decision,
        "number": claim.attempt,
        "error": outcome.error and kept_error(outcome.error),
        "result": json.dumps(dict(outcome.result)) if outcome.result is not None else None,
    }


def limit_values(source: str, limits: Limits, now: datetime) -> dict[str, Any]:
    return {
        "now": to_text(now),
        "source": source,
        "count": limits.count,
        "remaining": limits.remaining,
        "resets_at": to_text(now + limits.resets_after) if limits.resets_after is not None else None,
        "paused_until": to_text(now + limits.pause) if limits.pause is not None else None,
    }


def selection_values(selection: Selection) -> dict[str, Any]:
    return {
        "source": selection.source,
        "type": selection.type,
        "status": selection.status,
        "kind": selection.kind,
        "since": selection.since and to_text(selection.since),
        "until": selection.until and to_text(selection.until),
        "error": selection.error,
    }


def object_text(metadata: Mapping[str, Any] | None) -> str:
    """An object of ours as it is kept."""
    return json.dumps(dict(metadata or {}), allow_nan=False)


def merged(known: str, told: str) -> str:
    """Two objects as one; where both have a name, the second's value. SQLite's `json_patch` drops what is null."""
    return json.dumps({**json.loads(known), **json.loads(told)})


def kept_error(error: str) -> str:
    """As much of an error as is kept, of what a database can keep."""
    return error[:_LONGEST_ERROR].encode("utf-8", "replace").decode()


def moments(row: Kept, names: Sequence[str]) -> list[datetime]:
    """Those of the row's times that it has."""
    return [from_text(row[name]) for name in names if row[name] is not None]
