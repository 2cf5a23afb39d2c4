"""The questions of `Store`, answered by SQLite. Writing is done by the functions of the modules beside this one."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from receiver.clock import from_text, to_text
from receiver.errors import StoreUnavailable
from receiver.models import (
    Budget,
    Claim,
    Created,
    Event,
    Hold,
    Intent,
    Job,
    KeySet,
    Limits,
    Listed,
    Schedule,
    State,
)
from receiver.outcomes import Outcome
from receiver.store.base import PollResult, Receipt, Record, Refusal, Row, Selection, Store
from receiver.store.rows import (
    event_of,
    hold_of,
    intent_of,
    job_of,
    key_set_of,
    limit_values,
    moments,
    selection_values,
    shown,
)
from receiver.store.sqlite import budgets, dispatches, intents, jobs, keys
from receiver.store.sqlite.bell import Bell
from receiver.store.sqlite.connection import connect, now_in, refuse_network_file_system
from receiver.store.sqlite.quarantine import quarantine
from receiver.store.sqlite.receiving import Bounds, receive
from receiver.store.sqlite.schema import migrate
from receiver.store.sqlite.writer import Writer


class SQLiteStore(Store):
    """WAL, `synchronous=FULL`: what is acknowledged survives a power cut.

    Anyone may send hints, so `max_hints` bounds, for each source, how many are kept and how many open jobs are known
    from nothing else, and `max_hint_body` how much of a hint's body is kept.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: timedelta = timedelta(seconds=5),
        max_hints: int = 1000,
        max_hint_body: int = 2**16,
    ) -> None:
        refuse_network_file_system(path)
        self._bounds = Bounds(max_hints=max_hints, max_hint_body=max_hint_body)
        try:
            with contextlib.ExitStack() as opened:
                self._reader = opened.enter_context(contextlib.closing(connect(path)))
                migrate(Database(self._reader))
                self._reading = threading.Lock()
                writing = opened.enter_context(contextlib.closing(connect(path)))
                self._writer = Writer(writing, path.with_name(f"{path.name}-lock"), timeout=timeout.total_seconds())
                self._bell = Bell(path.with_name(f"{path.name}-bell"))
                opened.pop_all()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the store at {path} cannot be opened: {error}") from error

    # A delivery comes in

    def receive(self, record: Record) -> Receipt:
        return self._writer.run_together(self._receive, record, told=self._wake_for)

    def _wake_for(self, receipts: Sequence[Receipt]) -> None:
        if any(receipt.events for receipt in receipts):
            self.wake()

    def _receive(self, db: sqlite3.Connection, records: Sequence[Record]) -> list[Receipt]:
        return receive(db, records, self._bounds)

    def quarantine(self, refusals: Sequence[Refusal], *, max_count: int) -> None:
        self._writer.run(lambda db: quarantine(db, refusals, max_count))

    def prove(self) -> None:
        self._writer.run(
            lambda db: db.execute(
                "INSERT INTO proofs (id, proved_at) VALUES (1, ?) "
                "ON CONFLICT (id) DO UPDATE SET proved_at = excluded.proved_at",
                (to_text(now_in(db)),),
            )
        )

    # Keys that check signatures

    def keys(self, source: str) -> KeySet | None:
        rows = self._read("SELECT keys, fetched_at FROM keys WHERE source = ? AND fetched_at IS NOT NULL", (source,))
        return key_set_of(rows[0]) if rows else None

    def want_keys(self, source: str) -> None:
        # Looking first keeps forgeries from taking the write lock, but for one.
        if not self._read("SELECT 1 FROM keys WHERE source = ? AND wanted", (source,)):
            self._writer.run(lambda db: db.execute("UPDATE keys SET wanted = 1 WHERE source = ?", (source,)))

    def claim_keys(self, source: str, *, every: timedelta, pause: timedelta) -> bool:
        # Looking first keeps an idle pass from taking the write lock.
        if not self._read(keys.DUE, keys.due_parameters(source, every, pause)):
            return False
        return self._writer.run(lambda db: keys.claim(db, source, every, pause))

    def keep_keys(self, source: str, found: Sequence[str]) -> None:
        self._writer.run(lambda db: keys.keep(db, source, found))

    # Events become dispatches, and dispatches run

    def unrouted(self, limit: int) -> list[Event]:
        rows = self._read("SELECT * FROM events WHERE routed_at IS NULL ORDER BY id LIMIT ?", (limit,))
        return [event_of(row) for row in rows]

    def route(self, plan: Mapping[int, Sequence[str]]) -> int:
        return self._writer.run(lambda db: dispatches.route(db, plan))

    def claim(
        self, slots: Mapping[str, int], *, lease: timedelta, worker: str, limits: Mapping[str, Budget] | None = None
    ) -> list[Claim]:
        # Looking first keeps an idle worker from taking the write lock.
        due = [name for name, free in slots.items() if free > 0 and self._has_due(name)]
        if not due:
            return []

        def work(db: sqlite3.Connection) -> list[Claim]:
            return [
                taken
                for name in due
                for taken in dispatches.claim(db, name, slots[name], lease, worker, (limits or {}).get(name))
            ]

        return self._writer.run(work)

    def _has_due(self, handler: str) -> bool:
        return bool(
            self._read(
                """
                SELECT 1 FROM dispatches WHERE state = 'pending' AND handler = :handler AND rank IN (0, 1)
                    AND due_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                    AND NOT EXISTS (
                        SELECT 1 FROM handlers WHERE name = :handler
                        AND max(coalesce(parked_until, ''), coalesce(limited_until, ''))
                            > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                LIMIT 1
                """,
                {"handler": handler},
            )
        )

    def renew(self, claims: Iterable[Claim], *, lease: timedelta) -> None:
        tokens = [(claim.id, claim.token) for claim in claims]

        def work(db: sqlite3.Connection) -> None:
            until = to_text(now_in(db) + lease)
            db.executemany(
                "UPDATE dispatches SET leased_until = ? WHERE id = ? AND token = ?",
                [(until, *token) for token in tokens],
            )

        if tokens:
            self._writer.run(work)

    def finish(self, claim: Claim, outcome: Outcome, *, park_after: int | None = None) -> State | None:
        state = self._writer.run(lambda db: dispatches.finish(db, claim, outcome, park_after))
        self.wake()
        return state

    def hold(self, handler: str) -> Hold:
        rows = self._read("SELECT failure_count, parked_until FROM handlers WHERE name = ?", (handler,))
        return hold_of(rows[0]) if rows else Hold()

    def sweep(self, *, spare: Iterable[Claim] = ()) -> int:
        if not self._read(
            """
            SELECT 1 FROM dispatches WHERE state = 'running'
            AND leased_until < strftime('%Y-%m-%dT%H:%M:%fZ', 'now') LIMIT 1
            """
        ):
            return 0
        spared = {claim.token for claim in spare}
        return self._writer.run(lambda db: dispatches.sweep(db, spared))

    def next_due(self, handlers: Iterable[str]) -> timedelta | None:
        [row] = self._read(
            """
            SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now,
                (SELECT recorded_at FROM events WHERE routed_at IS NULL LIMIT 1) AS unrouted,
                (SELECT min(leased_until) FROM dispatches WHERE state = 'running') AS leased,
                (SELECT min(first) FROM (
                    SELECT (
                        SELECT max(due_at, coalesce((
                            SELECT max(coalesce(parked_until, ''), coalesce(limited_until, ''))
                            FROM handlers WHERE handlers.name = due.handler), '')) FROM dispatches AS due
                        WHERE state = 'pending' AND handler = name.value AND rank = ranks.value AND NOT EXISTS (
                            SELECT 1 FROM dispatches AS other
                            WHERE other.source = due.source AND other.job_id = due.job_id
                                AND other.handler = due.handler AND other.state IN ('pending', 'running')
                                AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id)))
                        ORDER BY due_at LIMIT 1) AS first
                    FROM json_each(?) AS name, json_each('[0, 1]') AS ranks)) AS pending
            """,
            (json.dumps(list(handlers)),),
        )
        coming = moments(row, ["unrouted", "leased", "pending"])
        return max(min(coming) - from_text(row["now"]), timedelta(0)) if coming else None

    def waiting(self) -> dict[str, int]:
        rows = self._read("SELECT handler, count(*) AS count FROM dispatches WHERE state = 'pending' GROUP BY handler")
        return {row["handler"]: row["count"] for row in rows}

    # What a person does with dispatches

    def select_events(self, selection: Selection, *, limit: int, after: int = 0) -> list[Event]:
        rows = self._read(
            """
            SELECT * FROM events
            WHERE id > :after AND routed_at IS NOT NULL AND standing IN ('current', 'correction')
                AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
                AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
                AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
            ORDER BY id LIMIT :limit
            """,
            _parameters(selection) | {"after": after, "limit": limit},
        )
        return [event_of(row) for row in rows]

    def count_events(self, selection: Selection) -> int:
        [row] = self._read(
            """
            SELECT count(*) AS count FROM events
            WHERE routed_at IS NOT NULL AND standing IN ('current', 'correction')
                AND (:source IS NULL OR source = :source) AND (:type IS NULL OR type GLOB :type)
                AND (:status IS NULL OR status = :status) AND (:kind IS NULL OR kind = :kind)
                AND (:since IS NULL OR recorded_at >= :since) AND (:until IS NULL OR recorded_at < :until)
            """,
            _parameters(selection),
        )
        return int(row["count"])

    def replay(
        self,
        plan: Mapping[int, Sequence[str]],
        *,
        replay_id: str,
        wait: timedelta = timedelta(0),
        every: timedelta = timedelta(0),
    ) -> list[int]:
        ids = self._writer.run(lambda db: dispatches.replay(db, plan, replay_id, wait, every))
        self.wake()
        return ids

    def cancel_replay(self, replay_id: str, *, limit: int) -> int:
        return self._writer.run(lambda db: dispatches.cancel_replay(db, replay_id, limit))

    def select_dead(self, selection: Selection, *, limit: int, after: int = 0) -> list[int]:
        rows = self._read(
            """
            SELECT dispatches.id FROM dispatches INDEXED BY dispatches_dead JOIN events ON events.id = event_id
            WHERE dispatches.id > :after AND state = 'dead'
                AND (:handlers IS NULL OR handler IN (SELECT value FROM json_each(:handlers)))
                AND (:error IS NULL OR instr(error, :error) > 0)
                AND (:source IS NULL OR events.source = :source) AND (:type IS NULL OR events.type GLOB :type)
                AND (:status IS NULL OR events.status = :status) AND (:kind IS NULL OR events.kind = :kind)
                AND (:since IS NULL OR finished_at >= :since) AND (:until IS NULL OR finished_at < :until)
            ORDER BY dispatches.id LIMIT :limit
            """,
            _parameters(selection) | {"after": after, "limit": limit},
        )
        return [row["id"] for row in rows]

    def count_dead(self, selection: Selection) -> dict[str, int]:
        rows = self._read(
            """
            SELECT handler, count(*) AS count
            FROM dispatches INDEXED BY dispatches_dead JOIN events ON events.id = event_id
            WHERE state = 'dead'
                AND (:handlers IS NULL OR handler IN (SELECT value FROM json_each(:handlers)))
                AND (:error IS NULL OR instr(error, :error) > 0)
                AND (:source IS NULL OR events.source = :source) AND (:type IS NULL OR events.type GLOB :type)
                AND (:status IS NULL OR events.status = :status) AND (:kind IS NULL OR events.kind = :kind)
                AND (:since IS NULL OR finished_at >= :since) AND (:until IS NULL OR finished_at < :until)
            GROUP BY handler ORDER BY handler
            """,
            _parameters(selection),
        )
        return {row["handler"]: row["count"] for row in rows}

    def retry(self, dispatch_ids: Iterable[int]) -> list[int]:
        changed = self._writer.run(lambda db: dispatches.retry(db, dispatch_ids))
        self.wake()
        return changed

    def discard(self, dispatch_ids: Iterable[int], *, reason: str) -> list[int]:
        return self._writer.run(lambda db: dispatches.discard(db, dispatch_ids, reason))

    # Jobs are watched

    def track(
        self,
        source: str,
        job_id: str,
        *,
        kind: str,
        schedule: Schedule,
        metadata: Mapping[str, Any] | None = None,
        reference: str | None = None,
    ) -> bool:
        return self._writer.run(
            lambda db: jobs.track(
                db, source, job_id, kind=kind, schedule=schedule, metadata=metadata, reference=reference
            )
        )

    def take_listed(self, source: str, listed: Listed, *, schedule: Schedule) -> bool:
        # Looking first keeps those that are known, which are most, from taking the write lock.
        if self.job(source, listed.job_id) is not None:
            return False
        return self._writer.run(lambda db: jobs.take_listed(db, source, listed, schedule))

    def intend(self, source: str, *, kind: str, metadata: Mapping[str, Any] | None = None) -> Intent:
        return self._writer.run(lambda db: intents.intend(db, source, kind, metadata or {}))

    def settle(self, intent: Intent, created: Sequence[Created], *, schedules: Mapping[str, Schedule]) -> list[Job]:
        return self._writer.run(lambda db: intents.settle(db, intent, created, schedules))

    def doubt(self, intent: Intent, error: str) -> bool:
        return self._writer.run(lambda db: intents.doubt(db, intent.id, error))

    def withdraw(self, intent_id: str) -> bool:
        return self._writer.run(lambda db: intents.withdraw(db, intent_id))

    def intent(self, intent_id: str) -> Intent | None:
        rows = self._read("SELECT * FROM intents WHERE id = ?", (intent_id,))
        return intent_of(rows[0]) if rows else None

    def claim_polls(self, source: str, *, budget: Budget, learn: bool, limit: int, lease: timedelta) -> list[Job]:
        if not self.due_jobs(source, limit=1):
            return []
        return self._writer.run(lambda db: jobs.claim_polls(db, source, budget, learn, limit, lease))

    def spend(self, source: str, *, budget: Budget, learn: bool) -> bool:
        return self._writer.run(lambda db: budgets.spend_one(db, source, budget, learn))

    def remember_limits(self, source: str, limits: Limits) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(
                """
                INSERT INTO limits (source, count, remaining, resets_at, paused_until)
                VALUES (:source, :count, :remaining, :resets_at, :paused_until)
                ON CONFLICT (source) DO UPDATE SET
                    count = coalesce(excluded.count, count),
                    -- Answers overtake each other: until the reset, what is left only ever becomes less.
                    remaining = iif(resets_at > :now,
                        min(coalesce(remaining, excluded.remaining), coalesce(excluded.remaining, remaining)),
                        excluded.remaining),
                    resets_at = iif(resets_at > :now, resets_at, excluded.resets_at),
                    paused_until = coalesce(excluded.paused_until, paused_until)
                """,
                limit_values(source, limits, now_in(db)),
            )

        self._writer.run(work)

    def record_poll(self, job: Job, result: PollResult) -> bool:
        return self._writer.run(lambda db: jobs.record_poll(db, job, result))

    def forget(self, job: Job) -> None:
        self._writer.run(
            lambda db: db.execute(
                "DELETE FROM jobs WHERE source = ? AND job_id = ? AND origin = 'hint'", (job.source, job.job_id)
            )
        )

    def due_jobs(self, source: str, *, limit: int) -> list[Job]:
        rows = self._read(
            """
            SELECT * FROM jobs WHERE source = ? AND next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            ORDER BY next_poll_at LIMIT ?
            """,
            (source, limit),
        )
        return [job_of(row) for row in rows]

    def count_due_jobs(self, source: str) -> int:
        [row] = self._read(
            """
            SELECT count(*) AS due FROM jobs
            WHERE source = ? AND next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            """,
            (source,),
        )
        return int(row["due"])

    def job(self, source: str, job_id: str) -> Job | None:
        rows = self._read("SELECT * FROM jobs WHERE source = ? AND job_id = ?", (source, job_id))
        return job_of(rows[0]) if rows else None

    # What people look at

    def event(self, event_id: int) -> Event | None:
        rows = self._read("SELECT * FROM events WHERE id = ?", (event_id,))
        return event_of(rows[0]) if rows else None

    def list_jobs(self, *, source: str | None, status: str | None, open_only: bool, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT source, job_id AS job, kind, status, raw_status, progress, step, created_at, deadline_at,
                next_poll_at, finished_at, poll_count, error_count, last_error, reference, metadata
            FROM jobs
            WHERE (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status)
                AND (NOT :open_only OR finished_at IS NULL)
            ORDER BY id DESC LIMIT :limit
            """,
            {"source": source, "status": status, "open_only": open_only, "limit": limit},
        )

    def list_intents(self, *, source: str | None, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT source, id AS intent, kind, 'unknown' AS status, created_at, error AS last_error, metadata
            FROM intents WHERE (:source IS NULL OR source = :source) ORDER BY created_at DESC, rowid DESC LIMIT :limit
            """,
            {"source": source, "limit": limit},
        )

    def list_events(self, *, source: str | None, job_id: str | None, status: str | None, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT events.id, source, type, job_id AS job, kind, status, raw_status, standing, trust, via, occurred_at,
                recorded_at, webhook_at, poll_at, outputs, failure, key, data,
                (SELECT json_group_object(handler, json(result)) FROM dispatches
                 WHERE event_id = events.id AND result IS NOT NULL) AS results
            FROM events
            WHERE (:source IS NULL OR source = :source) AND (:job_id IS NULL OR job_id = :job_id)
                AND (:status IS NULL OR status = :status)
            ORDER BY id DESC LIMIT :limit
            """,
            {"source": source, "job_id": job_id, "status": status, "limit": limit},
        )

    def list_deliveries(self, *, source: str | None, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT id, source, via, trust, verdict, received_at, seen_count, last_seen_at, path, note, headers, body
            FROM deliveries WHERE (:source IS NULL OR source = :source) ORDER BY id DESC LIMIT :limit
            """,
            {"source": source, "limit": limit},
        )

    def list_refusals(self, *, source: str | None, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT id, source, reason, received_at, hint, path, headers, body
            FROM quarantine WHERE (:source IS NULL OR source = :source) ORDER BY id DESC LIMIT :limit
            """,
            {"source": source, "limit": limit},
        )

    def dispatch(self, dispatch_id: int) -> Row | None:
        rows = self._rows(
            """
            SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
                created_at, due_at, started_at, finished_at, error, result, idempotency_key
            FROM dispatches WHERE id = :id
            """,
            {"id": dispatch_id},
        )
        return rows[0] if rows else None

    def list_dispatches(
        self,
        *,
        handler: str | None,
        state: str | None,
        event_id: int | None,
        replay_id: str | None = None,
        limit: int,
    ) -> list[Row]:
        return self._rows(
            """
            SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, replay_id,
                due_at, finished_at, error, result, idempotency_key
            FROM dispatches
            WHERE (:handler IS NULL OR handler = :handler) AND (:state IS NULL OR state = :state)
                AND (:event_id IS NULL OR event_id = :event_id) AND (:replay_id IS NULL OR replay_id = :replay_id)
            ORDER BY id DESC LIMIT :limit
            """,
            {"handler": handler, "state": state, "event_id": event_id, "replay_id": replay_id, "limit": limit},
        )

    def list_attempts(self, dispatch_id: int) -> list[Row]:
        return self._rows(
            """
            SELECT number, outcome, started_at, ended_at, worker, error FROM attempts
            WHERE dispatch_id = :dispatch_id ORDER BY id
            """,
            {"dispatch_id": dispatch_id},
        )

    # Between processes

    def wake(self) -> None:
        self._bell.ring()

    def wait(self, timeout: timedelta) -> None:
        self._bell.wait(timeout.total_seconds())

    def close(self) -> None:
        self._bell.close()
        self._writer.close()
        self._reader.close()

    def _read(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        try:
            with self._reading:
                return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        return [shown(dict(row)) for row in self._read(statement, parameters)]


def _parameters(selection: Selection) -> dict[str, Any]:
    handlers = json.dumps(selection.handlers) if selection.handlers else None
    return selection_values(selection) | {"handlers": handlers}
