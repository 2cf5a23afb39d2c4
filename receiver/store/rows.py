"""Rows made into values, and values into what rows keep.

The same for every database: a time in a row is text as `clock.to_text` writes it, and what is JSON is text as well.
As text it comes back as it was; the JSON types of databases take no NUL, no half of a surrogate pair and no NaN, and
change numbers and the order of names.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from receiver.clock import from_text, to_text
from receiver.models import (
    Alert,
    Claim,
    Event,
    Failure,
    Hold,
    Intent,
    Job,
    JobTime,
    KeptAnswer,
    KeySet,
    Limits,
    Origin,
    Output,
    Role,
    Schedule,
    Scope,
    Standing,
    State,
    Status,
    Token,
    Trust,
    Via,
    standing,
)
from receiver.outcomes import Decision, Outcome
from receiver.store.base import Filter, Page, PollResult, Record, Refusal, Row, Selection, Verdict
from receiver.store.sealing import Seal, legible, parsed, unpacked
from receiver.store.search import Span

_JSON = frozenset(["metadata", "outputs", "failure", "data", "results", "result", "headers"])
_LONGEST_ERROR = 4000
# Where providers say what a job cost. A batch's sum is left out: its jobs have events of their own.
_CREDITS = ("credits", "actual_credits")


class Kept(Protocol):
    """One row as a database gives it."""

    def __getitem__(self, name: str, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


# Rows made into values


def event_of(row: Kept) -> Event:
    failure = parsed(row["failure"]) if row["failure"] is not None else None
    return Event(
        id=row["id"],
        source=row["source"],
        key=row["key"],
        type=row["type"],
        data=parsed(row["data"]),
        job_id=row["job_id"],
        kind=row["kind"],
        status=Status(row["status"]) if row["status"] is not None else None,
        raw_status=row["raw_status"],
        outputs=tuple(Output(**output) for output in parsed(row["outputs"])),
        failure=Failure(*failure) if failure is not None else None,
        occurred_at=_moment(row["occurred_at"]),
        trust=Trust(row["trust"]),
        via=Via(row["via"]),
        standing=Standing(row["standing"]),
        recorded_at=_moment(row["recorded_at"]),
        emptied=row["emptied_at"] is not None,
        traceparent=row["traceparent"],
    )


def job_of(row: Kept, *, asked_at: datetime | None = None) -> Job:
    return Job(
        source=row["source"],
        job_id=row["job_id"],
        kind=row["kind"],
        status=Status(row["status"]),
        raw_status=row["raw_status"],
        progress=row["progress"],
        step=row["step"],
        reference=row["reference"],
        metadata=parsed(row["metadata"]),
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
        asked_at=asked_at,
    )


def job_time_of(row: Kept) -> JobTime | None:
    """How long a job took; None if it may have ended long before it was noticed."""
    created_at, finished_at = from_text(row["created_at"]), from_text(row["finished_at"])
    open_at, ended_at = _moment(row["open_at"]) or created_at, _moment(row["ended_at"])
    if ended_at is not None and ended_at >= open_at:
        took = ended_at - created_at
        return JobTime(row["kind"], open_until=took, ended_by=took, called_back=ended_at == finished_at)
    if row["unwatched"]:
        return None
    return JobTime(row["kind"], open_until=open_at - created_at, ended_by=finished_at - created_at)


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
        due_at=from_text(row["due_at"]),
    )


def hold_of(row: Kept) -> Hold:
    return Hold(
        failure_count=row["failure_count"],
        parked_until=_moment(row["parked_until"]),
        paused_at=_moment(row["paused_at"]),
    )


def intent_of(row: Kept) -> Intent:
    return Intent(
        id=row["id"],
        source=row["source"],
        kind=row["kind"],
        metadata=parsed(row["metadata"]),
        created_at=from_text(row["created_at"]),
        error=row["error"],
    )


def key_set_of(row: Kept) -> KeySet:
    return KeySet(keys=tuple(json.loads(row["keys"])), fetched_at=from_text(row["fetched_at"]))


def token_of(row: Kept) -> Token:
    return Token(
        name=row["name"],
        role=Role(row["role"]),
        scopes=frozenset(Scope(scope) for scope in json.loads(row["scopes"])),
        created_at=from_text(row["created_at"]),
        expires_at=_moment(row["expires_at"]),
        last_used_at=_moment(row["last_used_at"]),
    )


def kept_answer_of(row: Kept) -> KeptAnswer:
    return KeptAnswer(
        fingerprint=row["fingerprint"],
        status=row["status"],
        body=legible(row["body"]) if row["body"] is not None else None,
        began_at=from_text(row["began_at"]),
    )


def alert_of(row: Kept) -> Alert:
    return Alert(
        cause=row["cause"],
        summary=row["summary"],
        since=from_text(row["since"]),
        told_at=_moment(row["told_at"]),
        over_at=_moment(row["over_at"]),
    )


def shown(row: Mapping[str, Any]) -> Row:
    """A row for people and programs to read."""
    return {name: parsed(value) if name in _JSON and value is not None else value for name, value in row.items()}


def delivery_row(row: Mapping[str, Any]) -> Row:
    """A delivery, let in or refused, for people and programs to read."""
    headers, body = unpacked(row["headers"], row["body"])
    return shown({**row, "headers": headers, "body": body})


def page_of(rows: Sequence[Mapping[str, Any]], limit: int, searched: Span) -> Page:
    """A page, of one row more than it may have, which says whether another one follows."""
    some = [shown(row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(rows=some, next=some[-1]["id"])
    return Page(rows=some, next=searched.floor if searched.more else None)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)


# Values made into what rows keep


def delivery_values(record: Record, now: datetime, seal: Seal) -> dict[str, Any]:
    """What a delivery led to can be read in its events; how it came in is kept packed where there are any."""
    delivery = record.delivery
    packed = record.verdict is Verdict.RECORDED
    headers, body = seal.request(json.dumps(dict(delivery.headers)), delivery.body, packed=packed)
    return {
        "source": delivery.source,
        "via": delivery.via,
        "trust": record.trust,
        "verdict": record.verdict,
        "note": record.note,
        "path": delivery.path,
        "headers": headers,
        "body": body,
        "received_at": to_text(delivery.received_at),
        "now": to_text(now),
    }


def refusal_values(refusal: Refusal, seal: Seal) -> dict[str, Any]:
    delivery = refusal.delivery
    headers, body = seal.request(json.dumps(dict(delivery.headers)), delivery.body, packed=False)
    return {
        "source": delivery.source,
        "reason": refusal.reason,
        "hint": refusal.hint,
        "path": delivery.path,
        "headers": headers,
        "body": body,
        "received_at": to_text(delivery.received_at),
    }


def recorded(event: Event, record: Record, known: str | None, now: datetime) -> Event:
    """A new event as it is recorded, given the status that its job is known to have."""
    # A status word we do not know is progress, as far as we can tell.
    told = event.status or (Status.RUNNING if event.raw_status is not None else None)
    return replace(
        event,
        trust=record.trust,
        via=record.delivery.via,
        standing=standing(Status(known) if known is not None else None, told),
        recorded_at=now,
    )


def event_values(event: Event, delivery_id: int, now: datetime, seal: Seal) -> dict[str, Any]:
    failure = event.failure and json.dumps([event.failure.message, event.failure.code])
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
        "outputs": seal.sealed(json.dumps([asdict(output) for output in event.outputs])),
        "failure": failure and seal.sealed(failure),
        "data": seal.sealed(json.dumps(event.data)),
        "occurred_at": event.occurred_at and to_text(event.occurred_at),
        "delivery_id": delivery_id,
        "traceparent": event.traceparent,
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
    metadata: str = "{}",
    reference: str | None = None,
    first_poll: timedelta | None = None,
    credits: float | None = None,
) -> dict[str, Any]:
    """The row of a job that is heard of for the first time."""
    status = status or Status.QUEUED
    first_poll = schedule.first if first_poll is None else first_poll
    return {
        "source": source,
        "job_id": job_id,
        "kind": kind,
        "status": status,
        "raw_status": raw_status,
        "metadata": metadata,
        "reference": reference,
        "origin": origin,
        "created_at": to_text(now),
        "updated_at": to_text(now),
        "finished_at": to_text(now) if status.terminal else None,
        "deadline_at": to_text(now + schedule.deadline),
        "next_poll_at": None if status.terminal else to_text(now + first_poll),
        "credits": credits if status.terminal else None,
    }


def told_credits(event: Event) -> float | None:
    """What its job cost, if its event tells."""
    # What an adapter has found may be anything.
    data = event.data if isinstance(event.data, Mapping) else {}
    for value in map(data.get, _CREDITS):
        # In Python's JSON, numbers may be of any size, infinite or none at all.
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            return float(value)
    return None


def told_end(event: Event, now: datetime) -> str | None:
    """When a job ended, if its event tells: a webhook by its coming, a poll's answer by what the provider says."""
    if event.via is Via.WEBHOOK:
        return to_text(now)
    # The provider's clock is another than ours.
    past = event.occurred_at is not None and event.occurred_at < now
    return to_text(event.occurred_at) if event.occurred_at is not None and past else None


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
        "open": result.open,
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


def alert_values(alert: Alert) -> dict[str, Any]:
    return {
        "cause": alert.cause,
        "summary": alert.summary,
        "since": to_text(alert.since),
        "told_at": alert.told_at and to_text(alert.told_at),
        "over_at": alert.over_at and to_text(alert.over_at),
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
        "first_line": selection.first_line,
    }


def filter_values(wanted: Filter) -> dict[str, Any]:
    values = asdict(wanted)
    return {name: to_text(value) if isinstance(value, datetime) else value for name, value in values.items()}


def object_text(metadata: Mapping[str, Any] | None) -> str:
    """An object of ours as it is kept."""
    return json.dumps(dict(metadata or {}), allow_nan=False)


def merged(known: str, told: str) -> str:
    """Two objects as one; where both have a name, the second's value. SQLite's `json_patch` drops what is null."""
    # What only one of them says need not be opened.
    if known == "{}" or told == "{}":
        return told if known == "{}" else known
    return json.dumps({**parsed(known), **parsed(told)})


def kept_error(error: str) -> str:
    """As much of an error as is kept, of what a database can keep."""
    return error[:_LONGEST_ERROR].encode("utf-8", "replace").decode()


def moments(row: Kept, names: Sequence[str]) -> list[datetime]:
    """Those of the row's times that it has."""
    return [from_text(row[name]) for name in names if row[name] is not None]
