"""What people look at, newest first: statements that only read.

What is chosen by the columns of an index has a statement for it: SQLite plans before it knows what is asked for.

Text is not looked for in what is sealed, which begins with `gAAAA`.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from receiver.clock import from_text
from receiver.models import State, Status
from receiver.store.base import (
    DeliveryFilter,
    DispatchFilter,
    EventFilter,
    Filter,
    JobFilter,
    Page,
    RefusalFilter,
    Verdict,
)
from receiver.store.rows import filter_values, page_of
from receiver.store.search import ABOVE_ALL, Ids, NextAfter, asks_besides, each_id, span, through

Read = Callable[[str, Mapping[str, Any]], list[sqlite3.Row]]

_UNFINISHED = (State.PENDING, State.RUNNING)
_UNSUCCESSFUL = (Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.LOST)


def events(read: Read, wanted: EventFilter, limit: int, before: int | None) -> Page:
    return _page(read, _events_statement(wanted), wanted, _ids(read, "events", "recorded_at", before), limit)


def _events_statement(wanted: EventFilter) -> str:
    if wanted.job_id is not None:
        return EVENTS_OF_JOB
    if wanted.state == State.DEAD:
        return EVENTS_OF_DEAD
    if wanted.state in _UNFINISHED:
        return EVENTS_OF_UNFINISHED
    if wanted.status not in (None, Status.SUCCEEDED):
        return EVENTS_OF_STATUS
    return EVENTS


def deliveries(read: Read, wanted: DeliveryFilter, limit: int, before: int | None) -> Page:
    statement = DELIVERIES if wanted.verdict in (None, Verdict.RECORDED) else DELIVERIES_OF_VERDICT
    return _page(read, statement, wanted, _ids(read, "deliveries", "received_at", before), limit)


def refusals(read: Read, wanted: RefusalFilter, limit: int, before: int | None) -> Page:
    return _page(read, REFUSALS, wanted, _ids(read, "quarantine", "received_at", before), limit)


def jobs(read: Read, wanted: JobFilter, limit: int, before: int | None) -> Page:
    return _page(read, _jobs_statement(wanted), wanted, _ids(read, "jobs", "created_at", before), limit)


def _jobs_statement(wanted: JobFilter) -> str:
    if wanted.job_id is not None:
        return JOBS_OF_ID
    if wanted.open or wanted.overdue or wanted.status in (Status.QUEUED, Status.RUNNING):
        return OPEN_JOBS
    if wanted.status in _UNSUCCESSFUL:
        return JOBS_OF_STATUS
    return JOBS


def dispatches(read: Read, wanted: DispatchFilter, limit: int, before: int | None) -> Page:
    return _page(read, _dispatches_statement(wanted), wanted, _ids(read, "dispatches", "created_at", before), limit)


def _dispatches_statement(wanted: DispatchFilter) -> str:
    if wanted.event_id is not None:
        return DISPATCHES_OF_EVENT
    if wanted.replay_id is not None:
        return DISPATCHES_OF_REPLAY
    if wanted.state == State.DEAD:
        return DEAD_DISPATCHES
    if wanted.state in _UNFINISHED:
        return UNFINISHED_DISPATCHES
    return DISPATCHES


def _page(read: Read, statement: str, wanted: Filter, ids: Ids, limit: int) -> Page:
    values = filter_values(wanted)
    searched = span(
        ids,
        since=getattr(wanted, "since", None),
        until=getattr(wanted, "until", None),
        next_after=_next_after(read, statement, values),
    )
    asked = {"before": searched.before, "floor": searched.floor, "limit": limit + 1}
    return page_of([dict(row) for row in read(statement, values | asked)], limit, searched)


def _next_after(read: Read, statement: str, values: Mapping[str, Any]) -> NextAfter | None:
    """What is gone through for a statement; None if what it finds by an index is all that is wanted, or is little."""
    if statement in _OF_LITTLE:
        return None
    if statement not in _INDEXED:
        return each_id
    columns, ids = _INDEXED[statement]
    return through(read, ids, values) if asks_besides(values, columns) else None


def _ids(read: Read, table: str, column: str, before: int | None) -> Ids:
    [row] = read(
        f"""
        SELECT (SELECT coalesce(min(id), 1) FROM {table}) AS oldest,
            (SELECT coalesce(max(id), 0) FROM {table} WHERE id < :before) AS newest
        """,  # noqa: S608 - names of ours
        {"before": ABOVE_ALL if before is None else before},
    )

    def moment(row_id: int) -> datetime:
        [row] = read(
            f"SELECT {column} AS moment FROM {table} WHERE id >= :id ORDER BY id LIMIT 1",  # noqa: S608 - names of ours
            {"id": row_id},
        )
        return from_text(row["moment"])

    return Ids(oldest=row["oldest"], newest=row["newest"], moment=moment)


EVENT = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key, data, delivery_id AS delivery,
        (SELECT json_group_object(handler, json(result)) FROM dispatches
         WHERE event_id = events.id AND result IS NOT NULL) AS results
    FROM events WHERE id = :id
    """

EVENTS = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events
    WHERE id < :before AND id >= :floor AND (:job_id IS NULL OR job_id = :job_id)
        AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
        AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
        AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
        AND (:state IS NULL OR EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id AND state = :state))
        AND (:text IS NULL OR instr(key, :text) OR instr(job_id, :text) OR instr(type, :text)
            OR (substr(outputs, 1, 5) <> 'gAAAA' AND instr(outputs, :text))
            OR (substr(data, 1, 5) <> 'gAAAA' AND instr(data, :text)))
    ORDER BY id DESC LIMIT :limit
    """

EVENTS_OF_JOB = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events INDEXED BY events_job
    WHERE job_id = :job_id AND id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
        AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
        AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
        AND (:state IS NULL OR EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id AND state = :state))
        AND (:text IS NULL OR instr(key, :text) OR instr(job_id, :text) OR instr(type, :text)
            OR (substr(outputs, 1, 5) <> 'gAAAA' AND instr(outputs, :text))
            OR (substr(data, 1, 5) <> 'gAAAA' AND instr(data, :text)))
    ORDER BY id DESC LIMIT :limit
    """

EVENTS_OF_STATUS = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events INDEXED BY events_not_succeeded
    WHERE status = :status AND status <> 'succeeded' AND id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
        AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
        AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
        AND (:state IS NULL OR EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id AND state = :state))
        AND (:text IS NULL OR instr(key, :text) OR instr(job_id, :text) OR instr(type, :text)
            OR (substr(outputs, 1, 5) <> 'gAAAA' AND instr(outputs, :text))
            OR (substr(data, 1, 5) <> 'gAAAA' AND instr(data, :text)))
    ORDER BY id DESC LIMIT :limit
    """

EVENTS_OF_DEAD = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events
    WHERE id IN (SELECT event_id FROM dispatches INDEXED BY dispatches_dead WHERE dispatches.state = 'dead')
        AND id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
        AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
        AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
        AND (:state IS NULL OR EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id AND state = :state))
        AND (:text IS NULL OR instr(key, :text) OR instr(job_id, :text) OR instr(type, :text)
            OR (substr(outputs, 1, 5) <> 'gAAAA' AND instr(outputs, :text))
            OR (substr(data, 1, 5) <> 'gAAAA' AND instr(data, :text)))
    ORDER BY id DESC LIMIT :limit
    """

EVENTS_OF_UNFINISHED = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events
    WHERE id IN (SELECT event_id FROM dispatches INDEXED BY dispatches_unfinished
            WHERE dispatches.state IN ('pending', 'running') AND dispatches.state = :state)
        AND id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
        AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
        AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
        AND (:state IS NULL OR EXISTS (SELECT 1 FROM dispatches WHERE event_id = events.id AND state = :state))
        AND (:text IS NULL OR instr(key, :text) OR instr(job_id, :text) OR instr(type, :text)
            OR (substr(outputs, 1, 5) <> 'gAAAA' AND instr(outputs, :text))
            OR (substr(data, 1, 5) <> 'gAAAA' AND instr(data, :text)))
    ORDER BY id DESC LIMIT :limit
    """

DELIVERY = """
    SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note, headers, body
    FROM deliveries WHERE id = :id
    """

DELIVERIES = """
    SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note
    FROM deliveries
    WHERE id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:verdict IS NULL OR verdict = :verdict)
        AND (:via IS NULL OR via = :via)
        AND (:since IS NULL OR received_at >= :since) AND (:until IS NULL OR received_at < :until)
    ORDER BY id DESC LIMIT :limit
    """

DELIVERIES_OF_VERDICT = """
    SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note
    FROM deliveries INDEXED BY deliveries_not_recorded
    WHERE verdict = :verdict AND verdict <> 'recorded' AND id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:verdict IS NULL OR verdict = :verdict)
        AND (:via IS NULL OR via = :via)
        AND (:since IS NULL OR received_at >= :since) AND (:until IS NULL OR received_at < :until)
    ORDER BY id DESC LIMIT :limit
    """

REFUSAL = """
    SELECT id, source, reason, received_at, hint, path, headers, body FROM quarantine WHERE id = :id
    """

REFUSALS = """
    SELECT id, source, reason, received_at, hint, path
    FROM quarantine
    WHERE id < :before AND id >= :floor
        AND (:source IS NULL OR source = :source) AND (:reason IS NULL OR reason = :reason)
    ORDER BY id DESC LIMIT :limit
    """

JOBS = """
    SELECT id, source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
        next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
    FROM jobs
    WHERE id < :before AND id >= :floor AND (:job_id IS NULL OR job_id = :job_id)
        AND (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status)
        AND (:kind IS NULL OR kind = :kind) AND (NOT :open OR finished_at IS NULL)
        AND (NOT :overdue OR next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ORDER BY id DESC LIMIT :limit
    """

JOBS_OF_ID = """
    WITH RECURSIVE known (name) AS (            -- the sources that have jobs, found without looking at all of these
        SELECT min(source) FROM jobs
        UNION ALL SELECT (SELECT min(source) FROM jobs WHERE source > name) FROM known WHERE name IS NOT NULL)
    SELECT id, source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
        next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
    FROM jobs
    WHERE source IN (SELECT name FROM known) AND job_id = :job_id
        AND (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status)
        AND (:kind IS NULL OR kind = :kind) AND (NOT :open OR finished_at IS NULL)
        AND (NOT :overdue OR next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ORDER BY id DESC LIMIT :limit
    """

OPEN_JOBS = """
    SELECT id, source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
        next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
    FROM jobs INDEXED BY jobs_open
    WHERE next_poll_at IS NOT NULL AND id < :before AND id >= :floor
        AND (:job_id IS NULL OR job_id = :job_id)
        AND (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status)
        AND (:kind IS NULL OR kind = :kind) AND (NOT :open OR finished_at IS NULL)
        AND (NOT :overdue OR next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ORDER BY id DESC LIMIT :limit
    """

JOBS_OF_STATUS = """
    SELECT id, source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
        next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
    FROM jobs INDEXED BY jobs_unsuccessful
    WHERE status = :status AND status IN ('failed', 'cancelled', 'expired', 'lost')
        AND id < :before AND id >= :floor AND (:job_id IS NULL OR job_id = :job_id)
        AND (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status)
        AND (:kind IS NULL OR kind = :kind) AND (NOT :open OR finished_at IS NULL)
        AND (NOT :overdue OR next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    ORDER BY id DESC LIMIT :limit
    """

INTENTS = """
    SELECT source, id AS intent, kind, 'unknown' AS status, created_at, error AS last_error, metadata
    FROM intents WHERE (:source IS NULL OR source = :source) ORDER BY created_at DESC, rowid DESC LIMIT :limit
    """

DISPATCH = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        created_at, due_at, started_at, finished_at, error, result, idempotency_key
    FROM dispatches WHERE id = :id
    """

DISPATCHES = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        due_at, finished_at, error, result, idempotency_key
    FROM dispatches
    WHERE id < :before AND id >= :floor
        AND (:handler IS NULL OR handler = :handler) AND (:state IS NULL OR state = :state)
        AND (:source IS NULL OR source = :source)
        AND (:event_id IS NULL OR event_id = :event_id) AND (:replay_id IS NULL OR replay_id = :replay_id)
        AND (:error IS NULL OR instr(error, :error))
        AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
            instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
    ORDER BY id DESC LIMIT :limit
    """

DISPATCHES_OF_EVENT = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        due_at, finished_at, error, result, idempotency_key
    FROM dispatches
    WHERE event_id = :event_id AND id < :before AND id >= :floor
        AND (:handler IS NULL OR handler = :handler) AND (:state IS NULL OR state = :state)
        AND (:source IS NULL OR source = :source)
        AND (:replay_id IS NULL OR replay_id = :replay_id)
        AND (:error IS NULL OR instr(error, :error))
        AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
            instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
    ORDER BY id DESC LIMIT :limit
    """

DISPATCHES_OF_REPLAY = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        due_at, finished_at, error, result, idempotency_key
    FROM dispatches INDEXED BY dispatches_replayed
    WHERE replay_id = :replay_id AND id < :before AND id >= :floor
        AND (:handler IS NULL OR handler = :handler) AND (:state IS NULL OR state = :state)
        AND (:source IS NULL OR source = :source)
        AND (:event_id IS NULL OR event_id = :event_id)
        AND (:error IS NULL OR instr(error, :error))
        AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
            instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
    ORDER BY id DESC LIMIT :limit
    """

DEAD_DISPATCHES = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        due_at, finished_at, error, result, idempotency_key
    FROM dispatches INDEXED BY dispatches_dead
    WHERE state = 'dead' AND id < :before AND id >= :floor
        AND (:handler IS NULL OR handler = :handler)
        AND (:source IS NULL OR source = :source)
        AND (:event_id IS NULL OR event_id = :event_id) AND (:replay_id IS NULL OR replay_id = :replay_id)
        AND (:error IS NULL OR instr(error, :error))
        AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
            instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
    ORDER BY id DESC LIMIT :limit
    """

UNFINISHED_DISPATCHES = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        due_at, finished_at, error, result, idempotency_key
    FROM dispatches INDEXED BY dispatches_unfinished
    WHERE state IN ('pending', 'running') AND id < :before AND id >= :floor
        AND (:handler IS NULL OR handler = :handler) AND (:state IS NULL OR state = :state)
        AND (:source IS NULL OR source = :source)
        AND (:event_id IS NULL OR event_id = :event_id) AND (:replay_id IS NULL OR replay_id = :replay_id)
        AND (:error IS NULL OR instr(error, :error))
        AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
            instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
    ORDER BY id DESC LIMIT :limit
    """

ATTEMPTS = """
    SELECT number, outcome, started_at, ended_at, worker, error FROM attempts
    WHERE dispatch_id = :dispatch_id ORDER BY id
    """

_OF_LITTLE = (EVENTS_OF_JOB, REFUSALS, JOBS_OF_ID, DISPATCHES_OF_EVENT)


def _ids_by(table: str, index: str, condition: str, *, row_id: str = "id") -> str:
    """The id of the next row after so many that the index finds below a cursor."""
    return f"""
        SELECT {row_id} AS id FROM {table} INDEXED BY {index} WHERE {condition} AND {row_id} < :before
        ORDER BY {row_id} DESC LIMIT 1 OFFSET :count
        """  # noqa: S608 - words of ours


_INDEXED: Mapping[str, tuple[Collection[str], str]] = {
    EVENTS_OF_STATUS: (
        ["status"],
        _ids_by("events", "events_not_succeeded", "status = :status AND status <> 'succeeded'"),
    ),
    EVENTS_OF_DEAD: (["state"], _ids_by("dispatches", "dispatches_dead", "state = 'dead'", row_id="event_id")),
    EVENTS_OF_UNFINISHED: (
        ["state"],
        _ids_by(
            "dispatches",
            "dispatches_unfinished",
            "state IN ('pending', 'running') AND state = :state",
            row_id="event_id",
        ),
    ),
    DELIVERIES_OF_VERDICT: (
        ["verdict"],
        _ids_by("deliveries", "deliveries_not_recorded", "verdict = :verdict AND verdict <> 'recorded'"),
    ),
    OPEN_JOBS: (["open", "overdue", "status"], _ids_by("jobs", "jobs_open", "next_poll_at IS NOT NULL")),
    JOBS_OF_STATUS: (
        ["status"],
        _ids_by(
            "jobs", "jobs_unsuccessful", "status = :status AND status IN ('failed', 'cancelled', 'expired', 'lost')"
        ),
    ),
    DISPATCHES_OF_REPLAY: (
        ["replay_id", "state"],
        _ids_by("dispatches", "dispatches_replayed", "replay_id = :replay_id"),
    ),
    DEAD_DISPATCHES: (["state"], _ids_by("dispatches", "dispatches_dead", "state = 'dead'")),
    UNFINISHED_DISPATCHES: (
        ["state"],
        _ids_by("dispatches", "dispatches_unfinished", "state IN ('pending', 'running') AND state = :state"),
    ),
}
"""The columns by which a statement's index finds rows, and what goes through their ids, newest first."""
