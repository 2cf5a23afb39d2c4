"""What people look at, newest first, and what they choose: statements that only read.

Text is not looked for in what is sealed, which begins with `gAAAA`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString

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
    Selection,
    Verdict,
)
from receiver.store.rows import filter_values, page_of, selection_values
from receiver.store.search import ABOVE_ALL, Ids, NextAfter, asks_besides, each_id, span, through

Read = Callable[[LiteralString, Mapping[str, Any]], list[dict[str, Any]]]

_Index = tuple[Collection[str], LiteralString]

_UNSETTLED = (State.PENDING, State.RUNNING, State.DEAD)
_UNFINISHED = (Status.QUEUED, Status.RUNNING)


def events(read: Read, wanted: EventFilter, limit: int, before: int | None) -> Page:
    statement = EVENTS_OF_STATE if wanted.state in _UNSETTLED else EVENTS
    ids = _ids(read, "events", "recorded_at", before)
    return _page(read, statement, wanted, ids, limit, index=_events_index(wanted))


def _events_index(wanted: EventFilter) -> _Index | None:
    if wanted.job_id is not None:
        return OF_LITTLE
    if wanted.state in _UNSETTLED:
        return EVENTS_BY_STATE
    return EVENTS_BY_STATUS if wanted.status not in (None, Status.SUCCEEDED) else None


def deliveries(read: Read, wanted: DeliveryFilter, limit: int, before: int | None) -> Page:
    index = DELIVERIES_BY_VERDICT if wanted.verdict not in (None, Verdict.RECORDED) else None
    return _page(read, DELIVERIES, wanted, _ids(read, "deliveries", "received_at", before), limit, index=index)


def refusals(read: Read, wanted: RefusalFilter, limit: int, before: int | None) -> Page:
    return _page(read, REFUSALS, wanted, _ids(read, "quarantine", "received_at", before), limit, index=OF_LITTLE)


def jobs(read: Read, wanted: JobFilter, limit: int, before: int | None) -> Page:
    # An index has those that are open, none those with one of their statuses.
    asked = replace(wanted, open=True) if wanted.status in _UNFINISHED else wanted
    return _page(read, JOBS, asked, _ids(read, "jobs", "created_at", before), limit, index=_jobs_index(asked))


def _jobs_index(wanted: JobFilter) -> _Index | None:
    if wanted.job_id is not None:
        return OF_LITTLE
    if wanted.open or wanted.overdue:
        return JOBS_OPEN
    return JOBS_BY_STATUS if wanted.status not in (None, Status.SUCCEEDED) else None


def dispatches(read: Read, wanted: DispatchFilter, limit: int, before: int | None) -> Page:
    ids = _ids(read, "dispatches", "created_at", before)
    return _page(read, DISPATCHES, wanted, ids, limit, index=_dispatches_index(wanted))


def _dispatches_index(wanted: DispatchFilter) -> _Index | None:
    if wanted.event_id is not None:
        return OF_LITTLE
    if wanted.replay_id is not None:
        return DISPATCHES_BY_REPLAY
    return DISPATCHES_BY_STATE if wanted.state in _UNSETTLED else None


def _page(read: Read, statement: LiteralString, wanted: Filter, ids: Ids, limit: int, *, index: _Index | None) -> Page:
    values = filter_values(wanted)
    if isinstance(wanted, EventFilter):
        values["type"] = like(wanted.type)
    searched = span(
        ids,
        since=getattr(wanted, "since", None),
        until=getattr(wanted, "until", None),
        next_after=_next_after(read, index, values),
    )
    asked = {"before": searched.before, "floor": searched.floor, "limit": limit + 1}
    return page_of(read(statement, values | asked), limit, searched)


def _next_after(read: Read, index: _Index | None, values: Mapping[str, Any]) -> NextAfter | None:
    """What is gone through for a page; None if what an index finds is all that is wanted, or is little."""
    if index is None:
        return each_id
    columns, statement = index
    if index is OF_LITTLE or not asks_besides(values, columns):
        return None
    return through(read, statement, values)


def _ids(read: Read, table: LiteralString, column: LiteralString, before: int | None) -> Ids:
    [row] = read(
        f"""
        SELECT (SELECT coalesce(min(id), 1) FROM {table}) AS oldest,
            (SELECT coalesce(max(id), 0) FROM {table} WHERE id < %(before)s) AS newest
        """,  # noqa: S608 - names of ours
        {"before": ABOVE_ALL if before is None else before},
    )

    def moment(row_id: int) -> datetime:
        [row] = read(
            f"SELECT {column} AS moment FROM {table} WHERE id >= %(id)s ORDER BY id LIMIT 1",  # noqa: S608 - names of ours
            {"id": row_id},
        )
        return from_text(row["moment"])

    return Ids(oldest=row["oldest"], newest=row["newest"], moment=moment)


EVENT: LiteralString = """
    SELECT events.id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at,
        recorded_at, webhook_at, poll_at, outputs, failure, key, data, delivery_id AS delivery,
        (SELECT '{' || coalesce(string_agg(to_json(handler)::text || ':' || result, ',' ORDER BY id), '') || '}'
         FROM dispatches WHERE event_id = events.id AND result IS NOT NULL) AS results
    FROM events WHERE id = %(id)s
    """

EVENTS: LiteralString = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events
    WHERE id < %(before)s AND id >= %(floor)s
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(type)s::text IS NULL OR type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s)
        AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
        AND (%(state)s::text IS NULL OR EXISTS (
            SELECT 1 FROM dispatches WHERE event_id = events.id AND state = %(state)s))
        AND (%(text)s::text IS NULL OR strpos(key, %(text)s) > 0 OR strpos(job_id, %(text)s) > 0
            OR strpos(type, %(text)s) > 0
            OR (NOT starts_with(outputs, 'gAAAA') AND strpos(outputs, %(text)s) > 0)
            OR (NOT starts_with(data, 'gAAAA') AND strpos(data, %(text)s) > 0))
    ORDER BY id DESC LIMIT %(limit)s
    """

EVENTS_OF_STATE: LiteralString = """
    SELECT id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at, recorded_at,
        webhook_at, poll_at, outputs, failure, key
    FROM events
    WHERE id IN (SELECT event_id FROM dispatches WHERE dispatches.state = %(state)s)
        AND id < %(before)s AND id >= %(floor)s
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(type)s::text IS NULL OR type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s)
        AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
        AND (%(text)s::text IS NULL OR strpos(key, %(text)s) > 0 OR strpos(job_id, %(text)s) > 0
            OR strpos(type, %(text)s) > 0
            OR (NOT starts_with(outputs, 'gAAAA') AND strpos(outputs, %(text)s) > 0)
            OR (NOT starts_with(data, 'gAAAA') AND strpos(data, %(text)s) > 0))
    ORDER BY id DESC LIMIT %(limit)s
    """

DELIVERY: LiteralString = """
    SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note, headers, body
    FROM deliveries WHERE id = %(id)s
    """

DELIVERIES: LiteralString = """
    SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note
    FROM deliveries
    WHERE id < %(before)s AND id >= %(floor)s
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(verdict)s::text IS NULL OR verdict = %(verdict)s)
        AND (%(via)s::text IS NULL OR via = %(via)s)
        AND (%(since)s::timestamptz IS NULL OR received_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR received_at < %(until)s)
    ORDER BY id DESC LIMIT %(limit)s
    """

REFUSAL: LiteralString = """
    SELECT id, source, reason, received_at, hint, path, headers, body FROM quarantine WHERE id = %(id)s
    """

REFUSALS: LiteralString = """
    SELECT id, source, reason, received_at, hint, path
    FROM quarantine
    WHERE id < %(before)s AND id >= %(floor)s AND (%(source)s::text IS NULL OR source = %(source)s)
        AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    ORDER BY id DESC LIMIT %(limit)s
    """

JOBS: LiteralString = """
    SELECT id, source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
        next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
    FROM jobs
    WHERE id < %(before)s AND id >= %(floor)s
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s)
        AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (NOT %(open)s OR next_poll_at IS NOT NULL)
        AND (NOT %(overdue)s OR next_poll_at <= statement_timestamp())
    ORDER BY id DESC LIMIT %(limit)s
    """

INTENTS: LiteralString = """
    SELECT source, id AS intent, kind, 'unknown' AS status, created_at, error AS last_error, metadata
    FROM intents WHERE %(source)s::text IS NULL OR source = %(source)s
    ORDER BY created_at DESC, number DESC LIMIT %(limit)s
    """

DISPATCH: LiteralString = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        created_at, due_at, started_at, finished_at, error, result, idempotency_key
    FROM dispatches WHERE id = %(id)s
    """

DISPATCHES: LiteralString = """
    SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
        due_at, finished_at, error, result, idempotency_key
    FROM dispatches
    WHERE id < %(before)s AND id >= %(floor)s
        AND (%(handler)s::text IS NULL OR handler = %(handler)s) AND (%(state)s::text IS NULL OR state = %(state)s)
        AND (%(source)s::text IS NULL OR source = %(source)s)
        AND (%(event_id)s::bigint IS NULL OR event_id = %(event_id)s)
        AND (%(replay_id)s::text IS NULL OR replay_id = %(replay_id)s)
        AND (%(error)s::text IS NULL OR strpos(error, %(error)s) > 0)
        AND (%(first_line)s::text IS NULL OR %(first_line)s = coalesce(
            trim(left(split_part(translate(error, chr(13), chr(10)), chr(10), 1), 200)), ''))
    ORDER BY id DESC LIMIT %(limit)s
    """

ATTEMPTS: LiteralString = """
    SELECT number, outcome, started_at, ended_at, worker, error FROM attempts
    WHERE dispatch_id = %(dispatch_id)s ORDER BY id
    """


def _ids_by(table: LiteralString, condition: LiteralString, *, row_id: LiteralString = "id") -> LiteralString:
    """The id of the next row after so many that an index finds below a cursor."""
    return f"""
        SELECT {row_id} AS id FROM {table} WHERE {condition} AND {row_id} < %(before)s
        ORDER BY {row_id} DESC LIMIT 1 OFFSET %(count)s
        """  # noqa: S608 - words of ours


# The columns by which an index finds rows, and what goes through their ids, newest first.

OF_LITTLE: _Index = ((), "")
"""Finds so few rows that all of them may be looked at."""

EVENTS_BY_STATE: _Index = (["state"], _ids_by("dispatches", "state = %(state)s", row_id="event_id"))
EVENTS_BY_STATUS: _Index = (["status"], _ids_by("events", "status = %(status)s"))
DELIVERIES_BY_VERDICT: _Index = (["verdict"], _ids_by("deliveries", "verdict = %(verdict)s"))
JOBS_OPEN: _Index = (["open", "overdue", "status"], _ids_by("jobs", "next_poll_at IS NOT NULL"))
JOBS_BY_STATUS: _Index = (["status"], _ids_by("jobs", "status = %(status)s"))
DISPATCHES_BY_REPLAY: _Index = (["replay_id", "state"], _ids_by("dispatches", "replay_id = %(replay_id)s"))
DISPATCHES_BY_STATE: _Index = (["state"], _ids_by("dispatches", "state = %(state)s"))

SELECTED_EVENTS: LiteralString = """
    SELECT * FROM events
    WHERE id > %(after)s AND routed_at IS NOT NULL AND standing IN ('current', 'correction') AND emptied_at IS NULL
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(type)s::text IS NULL OR type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
    ORDER BY id LIMIT %(limit)s
    """

SELECTED_EVENTS_COUNT: LiteralString = """
    SELECT count(*) AS count FROM events
    WHERE routed_at IS NOT NULL AND standing IN ('current', 'correction') AND emptied_at IS NULL
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(type)s::text IS NULL OR type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
    """

SELECTED_DEAD: LiteralString = """
    SELECT dispatches.id FROM dispatches JOIN events ON events.id = event_id
    WHERE dispatches.id > %(after)s AND state = 'dead'
        AND (%(handlers)s::text[] IS NULL OR handler = ANY(%(handlers)s))
        AND (%(error)s::text IS NULL OR strpos(error, %(error)s) > 0)
        AND (%(first_line)s::text IS NULL OR %(first_line)s = coalesce(
            trim(left(split_part(translate(error, chr(13), chr(10)), chr(10), 1), 200)), ''))
        AND (%(source)s::text IS NULL OR events.source = %(source)s)
        AND (%(type)s::text IS NULL OR events.type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR events.status = %(status)s)
        AND (%(kind)s::text IS NULL OR events.kind = %(kind)s)
        AND (%(since)s::timestamptz IS NULL OR finished_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR finished_at < %(until)s)
    ORDER BY dispatches.id LIMIT %(limit)s
    """

SELECTED_DEAD_COUNT: LiteralString = """
    SELECT handler, count(*) AS count FROM dispatches JOIN events ON events.id = event_id
    WHERE state = 'dead'
        AND (%(handlers)s::text[] IS NULL OR handler = ANY(%(handlers)s))
        AND (%(error)s::text IS NULL OR strpos(error, %(error)s) > 0)
        AND (%(first_line)s::text IS NULL OR %(first_line)s = coalesce(
            trim(left(split_part(translate(error, chr(13), chr(10)), chr(10), 1), 200)), ''))
        AND (%(source)s::text IS NULL OR events.source = %(source)s)
        AND (%(type)s::text IS NULL OR events.type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR events.status = %(status)s)
        AND (%(kind)s::text IS NULL OR events.kind = %(kind)s)
        AND (%(since)s::timestamptz IS NULL OR finished_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR finished_at < %(until)s)
    GROUP BY handler ORDER BY handler COLLATE "C"
    """


def selected(selection: Selection) -> dict[str, Any]:
    """A selection as the statements above take it."""
    values = selection_values(selection)
    return values | {"type": like(selection.type), "handlers": list(selection.handlers) or None}


def like(pattern: str | None) -> str | None:
    """A pattern in which only `*` stands for something, as LIKE takes it."""
    return pattern and pattern.translate(_LIKE)


_LIKE = str.maketrans({"*": "%", "%": r"\%", "_": r"\_", "\\": r"\\"})
