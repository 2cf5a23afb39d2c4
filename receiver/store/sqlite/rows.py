"""Rows made into values."""

import json
import sqlite3
from datetime import datetime

from receiver.clock import from_text
from receiver.models import Event, Failure, Hold, Intent, Job, KeySet, Origin, Output, Standing, Status, Trust, Via


def event_of(row: sqlite3.Row) -> Event:
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


def job_of(row: sqlite3.Row) -> Job:
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


def hold_of(row: sqlite3.Row) -> Hold:
    return Hold(failure_count=row["failure_count"], parked_until=_moment(row["parked_until"]))


def intent_of(row: sqlite3.Row) -> Intent:
    return Intent(
        id=row["id"],
        source=row["source"],
        kind=row["kind"],
        metadata=json.loads(row["metadata"]),
        created_at=from_text(row["created_at"]),
        error=row["error"],
    )


def key_set_of(row: sqlite3.Row) -> KeySet:
    return KeySet(keys=tuple(json.loads(row["keys"])), fetched_at=from_text(row["fetched_at"]))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)
