"""What receiving reads and writes, in SQLite's words."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from receiver.clock import to_text
from receiver.models import Event, Origin, Schedule, Via
from receiver.store.base import Record
from receiver.store.receiving import Arrival, Ledger, Values
from receiver.store.rows import Kept, delivery_values, event_values, told_credits
from receiver.store.sqlite import intents, jobs
from receiver.store.sqlite.connection import Connection, insert_rows, next_id, now_in

_SEEN_AT = {Via.WEBHOOK: "webhook_at", Via.POLL: "poll_at"}


class SQLiteLedger(Ledger):
    """One transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.now = now_in(db)

    def known_events(self, events: Sequence[Event]) -> Mapping[tuple[str, str], Kept]:
        wanted = json.dumps([[event.source, event.key] for event in events])
        rows = self._db.execute(
            """
            SELECT events.source, events.key, events.id, delivery_id, webhook_at, poll_at,
                jobs.id IS NOT NULL AND jobs.finished_at IS NULL AS is_open
            FROM json_each(?) AS wanted
                CROSS JOIN events ON events.source = wanted.value ->> 0 AND events.key = wanted.value ->> 1
                LEFT JOIN jobs ON jobs.source = events.source AND jobs.job_id = events.job_id
            """,
            (wanted,),
        )
        return {(row["source"], row["key"]): row for row in rows}

    def known_jobs(self, events: Sequence[Event]) -> Mapping[tuple[str, str | None], Kept]:
        wanted = json.dumps([[event.source, event.job_id] for event in events if event.job_id is not None])
        rows = self._db.execute(
            """
            SELECT jobs.source, jobs.job_id, jobs.id, status, raw_status, last_poll_at
            FROM json_each(?) AS wanted CROSS JOIN jobs
                ON jobs.source = wanted.value ->> 0 AND jobs.job_id = wanted.value ->> 1
            """,
            (wanted,),
        )
        return {(row["source"], row["job_id"]): row for row in rows}

    def insert_deliveries(self, records: Sequence[Record]) -> Sequence[int]:
        first = next_id(self._db, "deliveries")
        ids = range(first, first + len(records))
        rows = []
        for delivery_id, record in zip(ids, records, strict=True):
            values = delivery_values(record, self.now, self._db.seal)
            at = values.pop("now")
            rows.append({"id": delivery_id, **values, "last_seen_at": at})
        insert_rows(self._db, "deliveries", rows)
        return ids

    def insert_events(self, arrivals: Sequence[Arrival]) -> None:
        for event_id, arrival in enumerate(arrivals, start=next_id(self._db, "events")):
            arrival.number(event_id)
        insert_rows(self._db, "events", [self._event_row(arrival) for arrival in arrivals])

    def _event_row(self, arrival: Arrival) -> dict[str, object]:
        event = arrival.event
        values = event_values(event, arrival.delivery_id, self.now, self._db.seal)
        at, dispatched = values.pop("now"), values.pop("dispatched")
        return {
            "id": event.id,
            **values,
            "recorded_at": at,
            "webhook_at": at if event.via is Via.WEBHOOK else None,
            "poll_at": at if event.via is Via.POLL else None,
            "routed_at": None if dispatched else at,
        }

    def insert_jobs(self, rows: Sequence[Values]) -> None:
        jobs.insert_jobs(self._db, rows)

    def move_jobs(self, moves: Sequence[Values]) -> None:
        self._db.executemany(
            """
            UPDATE jobs SET status = coalesce(:status, status), raw_status = :raw_status, updated_at = :now,
                origin = iif(origin IN ('hint', 'listed'), 'event', origin),
                finished_at = iif(:terminal, :now, finished_at), next_poll_at = iif(:terminal, NULL, next_poll_at),
                ended_at = iif(:terminal, :ended, ended_at), credits = iif(:terminal, :credits, credits)
            WHERE id = :id
            """,
            [{**move, "now": to_text(self.now)} for move in moves],
        )

    def close_jobs(self, events: Sequence[Event]) -> None:
        self._db.executemany(
            """
            UPDATE jobs SET status = :status, raw_status = :raw_status, updated_at = :now, finished_at = :now,
                next_poll_at = NULL, credits = :credits
            WHERE source = :source AND job_id = :job_id AND finished_at IS NULL
            """,
            [
                {
                    "status": event.status,
                    "raw_status": event.raw_status,
                    "now": to_text(self.now),
                    "source": event.source,
                    "job_id": event.job_id,
                    "credits": told_credits(event),
                }
                for event in events
            ],
        )

    def see_again(self, event_ids: Sequence[int], via: Via) -> None:
        self._db.execute(
            f"UPDATE events SET {_SEEN_AT[via]} = ? WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - ours
            (to_text(self.now), json.dumps(list(event_ids))),
        )

    def count_again(self, deliveries: Sequence[Kept]) -> None:
        counts = Counter(row["delivery_id"] for row in deliveries)
        self._db.execute(
            """
            UPDATE deliveries SET seen_count = seen_count + (again.value ->> 1), last_seen_at = ?
            FROM json_each(?) AS again WHERE deliveries.id = again.value ->> 0
            """,
            (to_text(self.now), json.dumps(list(counts.items()))),
        )

    def delivery_of(self, source: str, fingerprint: str) -> Kept | None:
        row: Kept | None = self._db.execute(
            "SELECT delivery_id FROM fingerprints WHERE source = ? AND fingerprint = ?", (source, fingerprint)
        ).fetchone()
        return row

    def insert_fingerprint(self, record: Record, fingerprint: str, delivery_id: int) -> None:
        self._db.execute(
            "INSERT INTO fingerprints (source, fingerprint, delivery_id, received_at) VALUES (?, ?, ?, ?)",
            (record.delivery.source, fingerprint, delivery_id, to_text(record.delivery.received_at)),
        )

    def bound_hints(self, source: str, max_count: int) -> None:
        gone = self._db.execute(
            """
            DELETE FROM deliveries WHERE source = :source AND trust = 'hint' AND id <= (
                SELECT id FROM deliveries WHERE source = :source AND trust = 'hint'
                ORDER BY id DESC LIMIT 1 OFFSET :most)
            RETURNING id
            """,
            {"source": source, "most": max_count},
        ).fetchall()
        self._db.executemany("DELETE FROM fingerprints WHERE delivery_id = ?", [(row["id"],) for row in gone])

    def hinted_job_count(self, source: str) -> int:
        [count] = self._db.execute(
            "SELECT count(*) FROM jobs WHERE source = ? AND origin = 'hint' AND finished_at IS NULL", (source,)
        ).fetchone()
        return int(count)

    def open_again(self, job: int, schedule: Schedule) -> None:
        jobs.open_again(self._db, job, schedule, self.now)

    def poll_at_once(self, job: int, origin: Origin, *, lately: bool) -> None:
        self._db.execute(
            """
            UPDATE jobs SET origin = iif(origin = 'hint', :origin, origin),
                next_poll_at = iif(:lately, next_poll_at, min(next_poll_at, :now))
            WHERE id = :id AND finished_at IS NULL
            """,
            {"id": job, "now": to_text(self.now), "lately": lately, "origin": origin},
        )

    def intent(self, intent_id: str) -> Kept | None:
        row: Kept | None = self._db.execute(
            "SELECT source, kind, metadata FROM intents WHERE id = ?", (intent_id,)
        ).fetchone()
        return row

    def withdraw(self, intent_id: str) -> None:
        intents.withdraw(self._db, intent_id)

    def job(self, source: str, job_id: str) -> Kept | None:
        return jobs.job_row(self._db, source, job_id)

    def own(self, job: int, metadata: str) -> None:
        self._db.execute(
            "UPDATE jobs SET metadata = ?, origin = 'track' WHERE id = ?",
            (self._db.seal.sealed(metadata), job),
        )
