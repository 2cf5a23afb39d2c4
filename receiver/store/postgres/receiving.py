"""What receiving reads and writes, in PostgreSQL's words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.clock import to_text
from receiver.models import Event, Origin, Schedule, Via
from receiver.store.base import Record
from receiver.store.postgres import intents, jobs
from receiver.store.postgres.connection import Connection, columns
from receiver.store.postgres.locks import job_lock
from receiver.store.receiving import Arrival, Ledger, Values, names
from receiver.store.rows import Kept, delivery_values, event_values, told_credits

_AT_ONCE = 4


class PostgresLedger(Ledger):
    """One transaction, which has the locks that `locks_for` names."""

    def __init__(self, db: Connection, now: datetime) -> None:
        self._db = db
        self.now = now

    def known_events(self, events: Sequence[Event]) -> Mapping[tuple[str, str], Kept]:
        rows = self._db.execute(
            """
            SELECT found.*, EXISTS (
                SELECT 1 FROM jobs
                WHERE jobs.source = found.source AND jobs.job_id = found.job_id AND finished_at IS NULL) AS is_open
            FROM unnest(%s::text[], %s::text[]) AS wanted (source, key)
            CROSS JOIN LATERAL (
                SELECT id, source, key, job_id, delivery_id, delivered_at, webhook_at, poll_at FROM events
                WHERE events.source = wanted.source AND events.key = wanted.key OFFSET 0) AS found
            """,
            ([event.source for event in events], [event.key for event in events]),
            prepare=True,
        ).fetchall()
        return {(row["source"], row["key"]): row for row in rows}

    def known_jobs(self, events: Sequence[Event]) -> Mapping[tuple[str, str | None], Kept]:
        own = [event for event in events if event.job_id is not None]
        rows = self._db.execute(
            """
            SELECT found.* FROM unnest(%s::text[], %s::text[]) AS wanted (source, job_id)
            CROSS JOIN LATERAL (
                SELECT id, source, job_id, status, raw_status, last_poll_at FROM jobs
                WHERE jobs.source = wanted.source AND jobs.job_id = wanted.job_id OFFSET 0) AS found
            """,
            ([event.source for event in own], [event.job_id for event in own]),
            prepare=True,
        ).fetchall()
        return {(row["source"], row["job_id"]): row for row in rows}

    def insert_deliveries(self, records: Sequence[Record]) -> Sequence[int]:
        values = columns([delivery_values(record, self.now, self._db.seal) for record in records])
        rows = self._db.execute(
            """
            WITH numbered AS MATERIALIZED (
                SELECT nextval('deliveries_id') AS id, told.* FROM unnest(
                    %(source)s::text[], %(via)s::text[], %(trust)s::text[], %(verdict)s::text[], %(note)s::text[],
                    %(path)s::text[], %(headers)s::text[], %(body)s::bytea[], %(received_at)s::timestamptz[],
                    %(now)s::timestamptz[])
                WITH ORDINALITY AS told (source, via, trust, verdict, note, path, headers, body, received_at, seen_at,
                    number)),
            inserted AS (
                INSERT INTO deliveries (id, source, via, trust, verdict, note, path, headers, body, received_at,
                    last_seen_at)
                SELECT id, source, via, trust, verdict, note, path, headers, body, received_at, seen_at FROM numbered)
            SELECT id FROM numbered ORDER BY number
            """,
            values,
            prepare=True,
        ).fetchall()
        return [row["id"] for row in rows]

    def insert_events(self, arrivals: Sequence[Arrival]) -> None:
        values = columns([self._event_values(arrival) for arrival in arrivals])
        rows = self._db.execute(
            """
            INSERT INTO events (source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs,
                failure, data, occurred_at, recorded_at, webhook_at, poll_at, delivery_id, delivered_at, routed_at,
                traceparent)
            SELECT source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs,
                failure, data, occurred_at, recorded_at, CASE WHEN via = 'webhook' THEN recorded_at END,
                CASE WHEN via = 'poll' THEN recorded_at END, delivery_id, delivered_at,
                CASE WHEN NOT dispatched THEN recorded_at END, traceparent
            FROM unnest(
                %(source)s::text[], %(key)s::text[], %(type)s::text[], %(job_id)s::text[], %(kind)s::text[],
                %(status)s::text[], %(raw_status)s::text[], %(standing)s::text[], %(trust)s::text[], %(via)s::text[],
                %(outputs)s::text[], %(failure)s::text[], %(data)s::text[], %(occurred_at)s::timestamptz[],
                %(now)s::timestamptz[], %(delivery_id)s::bigint[], %(delivered_at)s::timestamptz[],
                %(dispatched)s::boolean[], %(traceparent)s::text[])
            AS told (source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs, failure, data,
                occurred_at, recorded_at, delivery_id, delivered_at, dispatched, traceparent)
            RETURNING id, source, key
            """,
            values,
            prepare=True,
        ).fetchall()
        ids = {(row["source"], row["key"]): row["id"] for row in rows}
        for arrival in arrivals:
            arrival.number(ids[arrival.event.source, arrival.event.key])

    def _event_values(self, arrival: Arrival) -> dict[str, Any]:
        values = event_values(arrival.event, arrival.delivery_id, self.now, self._db.seal)
        return values | {"delivered_at": to_text(arrival.record.delivery.received_at)}

    def insert_jobs(self, rows: Sequence[Values]) -> None:
        jobs.insert_jobs(self._db, rows)

    def move_jobs(self, moves: Sequence[Values]) -> None:
        self._db.execute(
            """
            UPDATE jobs SET status = coalesce(told.status, jobs.status), raw_status = told.raw_status,
                updated_at = %(now)s, origin = CASE WHEN origin IN ('hint', 'listed') THEN 'event' ELSE origin END,
                finished_at = CASE WHEN terminal THEN %(now)s ELSE finished_at END,
                next_poll_at = CASE WHEN terminal THEN NULL ELSE next_poll_at END,
                ended_at = CASE WHEN terminal THEN ended ELSE ended_at END,
                credits = CASE WHEN terminal THEN told.credits ELSE jobs.credits END
            FROM unnest(%(id)s::bigint[], %(status)s::text[], %(raw_status)s::text[], %(terminal)s::boolean[],
                %(ended)s::timestamptz[], %(credits)s::float8[])
                AS told (id, status, raw_status, terminal, ended, credits)
            WHERE jobs.id = told.id
            """,
            {**columns(sorted(moves, key=lambda move: move["id"])), "now": to_text(self.now)},
        )

    def close_jobs(self, events: Sequence[Event]) -> None:
        self._db.execute(
            """
            UPDATE jobs SET status = told.status, raw_status = told.raw_status, updated_at = %(now)s,
                finished_at = %(now)s, next_poll_at = NULL, credits = told.credits
            FROM unnest(%(sources)s::text[], %(jobs)s::text[], %(statuses)s::text[], %(raw_statuses)s::text[],
                %(credits)s::float8[]) AS told (source, job_id, status, raw_status, credits)
            WHERE jobs.source = told.source AND jobs.job_id = told.job_id AND finished_at IS NULL
            """,
            {
                "now": to_text(self.now),
                "sources": [event.source for event in events],
                "jobs": [event.job_id for event in events],
                "statuses": [event.status for event in events],
                "raw_statuses": [event.raw_status for event in events],
                "credits": [told_credits(event) for event in events],
            },
        )

    def see_again(self, event_ids: Sequence[int], via: Via) -> None:
        self._db.execute(
            """
            UPDATE events SET webhook_at = CASE WHEN %(via)s = 'webhook' THEN %(now)s ELSE webhook_at END,
                poll_at = CASE WHEN %(via)s = 'poll' THEN %(now)s ELSE poll_at END
            WHERE id = ANY(%(ids)s::bigint[])
            """,
            {"ids": list(event_ids), "via": via, "now": to_text(self.now)},
        )

    def count_again(self, deliveries: Sequence[Kept]) -> None:
        # When it was received says in which partition it is.
        # In the same order everywhere: a delivery may tell of several jobs, so that their locks do not tell who waits.
        counts = sorted(Counter((row["delivery_id"], row["delivered_at"]) for row in deliveries).items())
        self._db.execute(
            """
            UPDATE deliveries SET seen_count = seen_count + again.count, last_seen_at = %(now)s
            FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[], %(counts)s::bigint[])
                AS again (id, received_at, count)
            WHERE deliveries.id = again.id AND deliveries.received_at = again.received_at
            """,
            {
                "now": to_text(self.now),
                "ids": [delivery_id for (delivery_id, _), _ in counts],
                "times": [received_at for (_, received_at), _ in counts],
                "counts": [count for _, count in counts],
            },
        )

    def delivery_of(self, source: str, fingerprint: str) -> Kept | None:
        return self._db.execute(
            """
            SELECT delivery_id, received_at AS delivered_at FROM fingerprints
            WHERE source = %s AND fingerprint = %s
            """,
            (source, fingerprint),
        ).fetchone()

    def insert_fingerprint(self, record: Record, fingerprint: str, delivery_id: int) -> None:
        self._db.execute(
            "INSERT INTO fingerprints (source, fingerprint, delivery_id, received_at) VALUES (%s, %s, %s, %s)",
            (record.delivery.source, fingerprint, delivery_id, to_text(record.delivery.received_at)),
        )

    def bound_hints(self, source: str, max_count: int) -> None:
        self._db.execute(
            """
            WITH gone AS (
                DELETE FROM deliveries WHERE source = %(source)s AND trust = 'hint' AND id <= (
                    SELECT id FROM deliveries WHERE source = %(source)s AND trust = 'hint'
                    ORDER BY id DESC LIMIT 1 OFFSET %(most)s)
                RETURNING id)
            DELETE FROM fingerprints USING gone WHERE delivery_id = gone.id
            """,
            {"source": source, "most": max_count},
        )

    def hinted_job_count(self, source: str) -> int:
        [row] = self._db.execute(
            "SELECT count(*) AS hinted FROM jobs WHERE source = %s AND origin = 'hint' AND finished_at IS NULL",
            (source,),
        ).fetchall()
        return int(row["hinted"])

    def open_again(self, job: int, schedule: Schedule) -> None:
        jobs.open_again(self._db, job, schedule, self.now)

    def poll_at_once(self, job: int, origin: Origin, *, lately: bool) -> None:
        self._db.execute(
            """
            UPDATE jobs SET origin = CASE WHEN origin = 'hint' THEN %(origin)s ELSE origin END,
                next_poll_at = CASE WHEN %(lately)s THEN next_poll_at ELSE least(next_poll_at, %(now)s) END
            WHERE id = %(id)s AND finished_at IS NULL
            """,
            {"id": job, "now": to_text(self.now), "lately": lately, "origin": origin},
        )

    def intent(self, intent_id: str) -> Kept | None:
        return self._db.execute("SELECT source, kind, metadata FROM intents WHERE id = %s", (intent_id,)).fetchone()

    def withdraw(self, intent_id: str) -> None:
        intents.withdraw(self._db, intent_id)

    def job(self, source: str, job_id: str) -> Kept | None:
        return jobs.job_row(self._db, source, job_id)

    def own(self, job: int, metadata: str) -> None:
        self._db.execute(
            "UPDATE jobs SET metadata = %s, origin = 'track' WHERE id = %s",
            (self._db.seal.sealed(metadata), job),
        )


def goes_together(record: Record) -> bool:
    """Whether a record is stored together with others.

    What strangers send takes locks and statements of its own, for which nobody genuine is to wait; and all that is
    stored together may need no more locks than `lock` takes one by one.
    """
    return record.proven and len(record.events) <= _AT_ONCE


def locks_for(records: Sequence[Record]) -> set[str]:
    """What two transactions must not deal with at the same time. Of two with the same key the table lets one in."""
    found = set[str]()
    for record in records:
        for kind, *parts in names(record):
            if kind == "job":
                found.add(job_lock(*parts))
            elif kind != "key":
                found.add(" ".join((kind, *parts)))
    return found
