"""Counts for people, metrics and alerts: statements that only read, and look at no more rows than they must."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, LiteralString

from receiver.clock import from_text, to_text
from receiver.models import Budget
from receiver.store import figures, rules
from receiver.store.figures import Charged, EventCount, Figures, Refused, Spending, WebhookHealth, Worker

Read = Callable[[LiteralString, Mapping[str, Any]], list[dict[str, Any]]]


def standing(read: Read) -> Figures:
    """How everything stands now."""
    return figures.figures_of(
        unrouted=read(
            """
            SELECT statement_timestamp() AS read_at, count(*) AS unrouted_count,
                (SELECT recorded_at FROM events WHERE routed_at IS NULL ORDER BY id LIMIT 1) AS oldest_unrouted_at
            FROM events WHERE routed_at IS NULL
            """,
            {},
        ),
        dispatches=[
            *read(
                """
                SELECT handler, count(*) AS waiting_count,
                    min(due_at) FILTER (WHERE due_at <= statement_timestamp()) AS oldest_waiting_at
                FROM dispatches WHERE state = 'pending' GROUP BY handler
                """,
                {},
            ),
            *read(
                "SELECT handler, count(*) AS running_count FROM dispatches WHERE state = 'running' GROUP BY handler",
                {},
            ),
            *read("SELECT handler, count(*) AS dead_count FROM dispatches WHERE state = 'dead' GROUP BY handler", {}),
            *read(
                """
                SELECT name AS handler, failure_count, parked_until, paused_at FROM handlers
                WHERE failure_count > 0 OR parked_until IS NOT NULL OR paused_at IS NOT NULL
                """,
                {},
            ),
        ],
        jobs=[
            *read(
                """
                SELECT source, count(*) AS open_count,
                    count(*) FILTER (WHERE next_poll_at <= statement_timestamp()) AS overdue_count,
                    min(next_poll_at) FILTER (WHERE next_poll_at <= statement_timestamp())
                        AS oldest_overdue_at
                FROM jobs WHERE next_poll_at IS NOT NULL GROUP BY source
                """,
                {},
            ),
            *read("SELECT source, count(*) AS quarantine_count FROM quarantine GROUP BY source", {}),
            *read("SELECT name AS source, paused_at FROM sources WHERE paused_at IS NOT NULL", {}),
        ],
    )


def requests_left(read: Read, source: str, budget: Budget, learn: bool) -> int:
    [row] = read("SELECT statement_timestamp() AS now", {})
    now = from_text(row["now"])
    [sent] = read(
        "SELECT count(*) AS count FROM requests WHERE source = %(source)s AND sent_at > %(since)s::timestamptz",
        {"source": source, "since": rules.counts_since(budget, now)},
    )
    told = read("SELECT * FROM limits WHERE source = %(source)s", {"source": source})
    left, _ = rules.requests_left(budget, sent["count"], told[0] if told else None, learn=learn, now=now)
    return max(left, 0)


def webhook_health(read: Read, sources: Iterable[str]) -> list[WebhookHealth]:
    # Of a source whose neighbours are busy the last webhook may be older. Those that lead to polls are fewer.
    last = read(
        """
        SELECT DISTINCT ON (source, verdict) source, verdict, received_at
        FROM (
            SELECT * FROM (
                SELECT id, source, via, verdict, received_at FROM deliveries ORDER BY id DESC LIMIT %(most)s) AS newest
            WHERE via = 'webhook'
            UNION ALL
            SELECT * FROM (
                SELECT id, source, via, verdict, received_at FROM deliveries
                WHERE verdict = 'hint' AND via = 'webhook' ORDER BY id DESC LIMIT %(most)s) AS hints
            UNION ALL
            SELECT * FROM (
                SELECT id, source, via, verdict, received_at FROM deliveries
                WHERE verdict = 'incomplete' AND via = 'webhook' ORDER BY id DESC LIMIT %(most)s) AS incomplete
        ) AS found
        ORDER BY source, verdict, id DESC
        """,
        {"most": figures.NEWEST_DELIVERIES},
    )
    newest = defaultdict[str, list[dict[str, Any]]](list)
    for row in last:
        newest[row["source"]].append(row)
    ends = _newest_ends(read)
    return [figures.health_of(source, _ends_of(read, source, ends[source]), newest[source]) for source in sources]


def _newest_ends(read: Read) -> defaultdict[str, list[dict[str, Any]]]:
    """The ends of jobs among the newest events, newest first, by source."""
    rows = read(
        """
        SELECT source, job_id, webhook_at, poll_at
        FROM (
            SELECT *, row_number() OVER (PARTITION BY source ORDER BY id DESC) AS number
            FROM (
                SELECT id, source, job_id, status, standing, webhook_at, poll_at FROM events
                ORDER BY id DESC LIMIT %(most)s) AS newest
            WHERE status IN ('succeeded', 'failed', 'cancelled', 'expired', 'lost')
                AND job_id IS NOT NULL AND standing IN ('current', 'correction')
        ) AS ends
        WHERE number <= %(ends)s ORDER BY id DESC
        """,
        {"most": figures.NEWEST_EVENTS, "ends": figures.NEWEST_ENDS},
    )
    ends: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        ends[row["source"]].append(row)
    return ends


def _ends_of(read: Read, source: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(found) >= figures.NEWEST_ENDS:
        return found[: figures.NEWEST_ENDS]
    [known] = read(
        "SELECT count(*) AS count FROM (SELECT 1 FROM events WHERE source = %(source)s LIMIT %(most)s) AS few",
        {"source": source, "most": figures.FEW_EVENTS},
    )
    if known["count"] >= figures.FEW_EVENTS:
        # It was busy once, and to look at all of that would take long.
        return found
    # With `id + 0` they are sorted, not looked for in the table.
    return read(
        """
        SELECT source, job_id, webhook_at, poll_at FROM events
        WHERE source = %(source)s AND status IN ('succeeded', 'failed', 'cancelled', 'expired', 'lost')
            AND job_id IS NOT NULL AND standing IN ('current', 'correction')
        ORDER BY id + 0 DESC LIMIT %(most)s
        """,
        {"source": source, "most": figures.NEWEST_ENDS},
    )


def count_refused(read: Read, since: datetime) -> list[Refused]:
    rows = read(
        """
        SELECT source, reason, count(*) AS count FROM quarantine WHERE received_at >= %(since)s::timestamptz
        GROUP BY source, reason ORDER BY source, reason
        """,
        {"since": to_text(since)},
    )
    return [Refused(**row) for row in rows]


def count_by_minute(read: Read, since: datetime) -> list[EventCount]:
    rows = read(
        """
        SELECT date_trunc('minute', recorded_at, 'UTC') AS minute, source, status, count(*) AS count
        FROM (SELECT recorded_at, source, status FROM events ORDER BY id DESC LIMIT %(most)s) AS newest
        WHERE recorded_at >= %(since)s::timestamptz GROUP BY minute, source, status ORDER BY minute, source, status
        """,
        {"since": to_text(since), "most": figures.NEWEST_COUNTED},
    )
    return [figures.event_count_of(row) for row in rows]


def counted_since(read: Read, since: datetime) -> datetime:
    return _reached(read, figures.NEWEST_COUNTED, since)


def spending(read: Read, since: datetime) -> list[Spending]:
    rows = read(
        """
        SELECT source, kind, status, count(*) AS job_count, sum(credits) AS credits,
            count(*) FILTER (WHERE credits > 0 AND status <> 'succeeded') AS charged_count
        FROM (
            SELECT source, kind, status, credits FROM jobs
            WHERE credits IS NOT NULL AND finished_at >= %(since)s::timestamptz
            ORDER BY finished_at DESC LIMIT %(most)s) AS newest
        GROUP BY source, kind, status ORDER BY source, kind, status
        """,
        {"since": to_text(since), "most": figures.NEWEST_COSTS},
    )
    return [figures.spending_of(row) for row in rows]


def spending_since(read: Read, since: datetime) -> datetime:
    oldest = read(
        """
        SELECT finished_at FROM jobs
        WHERE credits IS NOT NULL AND finished_at >= %(since)s::timestamptz
        ORDER BY finished_at DESC LIMIT 2 OFFSET %(others)s
        """,
        {"since": to_text(since), "others": figures.NEWEST_COSTS - 1},
    )
    return from_text(oldest[0]["finished_at"]) if len(oldest) == 2 else since


def charged(read: Read, since: datetime, limit: int) -> list[Charged]:
    rows = read(
        """
        SELECT source, job_id, kind, status, credits, finished_at FROM jobs
        WHERE credits > 0 AND status <> 'succeeded' AND finished_at >= %(since)s::timestamptz
        ORDER BY finished_at DESC LIMIT %(limit)s
        """,
        {"since": to_text(spending_since(read, since)), "limit": limit},
    )
    return [figures.charged_of(row) for row in rows]


def _reached(read: Read, most: int, since: datetime) -> datetime:
    """That moment, or the one of the first of the newest events, if that is later and there are older ones."""
    oldest = read("SELECT recorded_at FROM events ORDER BY id DESC LIMIT 2 OFFSET %(others)s", {"others": most - 1})
    return max(since, from_text(oldest[0]["recorded_at"])) if len(oldest) == 2 else since


def workers(read: Read) -> list[Worker]:
    rows = read(
        """
        SELECT worker, count(*) AS running_count, min(leased_until) AS leased_until
        FROM dispatches WHERE state = 'running' GROUP BY worker ORDER BY worker
        """,
        {},
    )
    return [figures.worker_of(row) for row in rows]
