"""What people look at, newest first, and what they choose: statements that only read."""

from typing import Any, LiteralString

from receiver.store.base import Selection
from receiver.store.rows import selection_values

JOBS: LiteralString = """
    SELECT source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
        next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
    FROM jobs
    WHERE (%(source)s::text IS NULL OR source = %(source)s) AND (%(status)s::text IS NULL OR status = %(status)s)
        AND (NOT %(open_only)s OR finished_at IS NULL)
    ORDER BY id DESC LIMIT %(limit)s
    """

INTENTS: LiteralString = """
    SELECT source, id AS intent, kind, 'unknown' AS status, created_at, error AS last_error, metadata
    FROM intents WHERE %(source)s::text IS NULL OR source = %(source)s
    ORDER BY created_at DESC, number DESC LIMIT %(limit)s
    """

EVENTS: LiteralString = """
    SELECT events.id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at,
        recorded_at, webhook_at, poll_at, outputs, failure, key, data,
        (SELECT '{' || coalesce(string_agg(to_json(handler)::text || ':' || result, ',' ORDER BY id), '') || '}'
         FROM dispatches WHERE event_id = events.id AND result IS NOT NULL) AS results
    FROM events
    WHERE (%(source)s::text IS NULL OR source = %(source)s) AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s)
        AND (%(status)s::text IS NULL OR status = %(status)s)
    ORDER BY events.id DESC LIMIT %(limit)s
    """

DELIVERIES: LiteralString = """
    SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note, headers, body
    FROM deliveries WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY id DESC LIMIT %(limit)s
    """

REFUSALS: LiteralString = """
    SELECT id, source, reason, received_at, hint, path, headers, body
    FROM quarantine WHERE %(source)s::text IS NULL OR source = %(source)s ORDER BY id DESC LIMIT %(limit)s
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
    WHERE (%(handler)s::text IS NULL OR handler = %(handler)s) AND (%(state)s::text IS NULL OR state = %(state)s)
        AND (%(event_id)s::bigint IS NULL OR event_id = %(event_id)s)
        AND (%(replay_id)s::text IS NULL OR replay_id = %(replay_id)s)
    ORDER BY id DESC LIMIT %(limit)s
    """

ATTEMPTS: LiteralString = """
    SELECT number, outcome, started_at, ended_at, worker, error FROM attempts
    WHERE dispatch_id = %(dispatch_id)s ORDER BY id
    """

SELECTED_EVENTS: LiteralString = """
    SELECT * FROM events
    WHERE id > %(after)s AND routed_at IS NOT NULL AND standing IN ('current', 'correction')
        AND (%(source)s::text IS NULL OR source = %(source)s) AND (%(type)s::text IS NULL OR type LIKE %(type)s)
        AND (%(status)s::text IS NULL OR status = %(status)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
    ORDER BY id LIMIT %(limit)s
    """

SELECTED_EVENTS_COUNT: LiteralString = """
    SELECT count(*) AS count FROM events
    WHERE routed_at IS NOT NULL AND standing IN ('current', 'correction')
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
    pattern = selection.type and selection.type.translate(_LIKE)
    return values | {"type": pattern, "handlers": list(selection.handlers) or None}


_LIKE = str.maketrans({"*": "%", "%": r"\%", "_": r"\_", "\\": r"\\"})
