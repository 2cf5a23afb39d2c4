"""The questions of `Store`, answered by SQLite. Writing is done by the functions of the modules beside this one."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from receiver.clock import from_text, to_text
from receiver.errors import StoreUnavailable
from receiver.models import (
    Alert,
    Budget,
    Claim,
    Created,
    Event,
    Hold,
    Intent,
    Job,
    JobTime,
    KeptAnswer,
    KeySet,
    Limits,
    Listed,
    Role,
    Schedule,
    Scope,
    State,
    Token,
)
from receiver.outcomes import Outcome
from receiver.store.base import (
    DeliveryFilter,
    DispatchFilter,
    EventFilter,
    JobFilter,
    Page,
    PollResult,
    Prunable,
    Receipt,
    Record,
    Refusal,
    RefusalFilter,
    Resealed,
    Row,
    Selection,
    Store,
)
from receiver.store.figures import Charged, EventCount, Examined, Figures, Refused, Spending, WebhookHealth, Worker
from receiver.store.receiving import Bounds, receive
from receiver.store.rows import (
    alert_of,
    delivery_row,
    event_of,
    hold_of,
    intent_of,
    job_of,
    job_time_of,
    key_set_of,
    limit_values,
    moments,
    selection_values,
    shown,
    token_of,
)
from receiver.store.sealing import UNSEALED, Seal
from receiver.store.sqlite import (
    access,
    alerts,
    budgets,
    dispatches,
    figures,
    holds,
    integrity,
    intents,
    jobs,
    keys,
    lists,
    queued,
    retention,
    sealed,
    turns,
)
from receiver.store.sqlite.bell import Bell
from receiver.store.sqlite.connection import Connection, connect, now_in, refuse_network_file_system
from receiver.store.sqlite.quarantine import quarantine
from receiver.store.sqlite.receiving import SQLiteLedger
from receiver.store.sqlite.schema import migrate
from receiver.store.sqlite.tables import refuse_unfinished_copy
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
        seal: Seal = UNSEALED,
        gather: Callable[[], object] = lambda: None,
    ) -> None:
        """`gather` is called before each commit, to let other threads hand over what can share it."""
        refuse_network_file_system(path)
        self._path = path
        self._bounds = Bounds(max_hints=max_hints, max_hint_body=max_hint_body)
        try:
            with contextlib.ExitStack() as opened:
                self._reader = opened.enter_context(contextlib.closing(connect(path, seal)))
                migrate(Database(self._reader))
                refuse_unfinished_copy(self._reader)
                sealed.note_key(self._reader)
                self._reading = threading.Lock()
                writing = opened.enter_context(contextlib.closing(connect(path, seal)))
                self._writer = Writer(
                    writing,
                    path.with_name(f"{path.name}-lock"),
                    timeout=timeout.total_seconds(),
                    gather=gather,
                )
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

    def _receive(self, db: Connection, records: Sequence[Record]) -> list[Receipt]:
        return receive(SQLiteLedger(db), records, self._bounds)

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
                        AND (paused_at IS NOT NULL OR max(coalesce(parked_until, ''), coalesce(limited_until, ''))
                            > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
                LIMIT 1
                """,
                {"handler": handler},
            )
        )

    def claim_one(
        self, dispatch_id: int, *, lease: timedelta, worker: str, limits: Mapping[str, Budget] | None = None
    ) -> Claim | None:
        return self._writer.run(lambda db: dispatches.claim_one(db, dispatch_id, lease, worker, limits or {}))

    def renew(self, claims: Iterable[Claim], *, lease: timedelta) -> set[int]:
        tokens = {claim.id: claim.token for claim in claims}
        return self._writer.run(lambda db: dispatches.renew(db, tokens, lease)) if tokens else set()

    def give_back(self, claims: Iterable[Claim]) -> None:
        own = list(claims)
        if own:
            self._writer.run(lambda db: dispatches.give_back(db, own))
            self.wake()

    def finish_all(
        self, ended: Sequence[tuple[Claim, Outcome]], *, park_after: Mapping[str, int] | None = None
    ) -> list[State | None]:
        if not ended:
            return []
        states = self._writer.run(lambda db: dispatches.finish_all(db, ended, park_after or {}))
        # What it held back is for whoever has a free slot, and this worker has one now.
        self._bell.ring_here()
        return states

    def hold(self, handler: str) -> Hold:
        rows = self._read("SELECT failure_count, parked_until, paused_at FROM handlers WHERE name = ?", (handler,))
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

    def leased_until(self, dispatch_id: int, *, worker: str) -> datetime | None:
        rows = self._read(
            "SELECT leased_until FROM dispatches WHERE id = ? AND state = 'running' AND worker = ?",
            (dispatch_id, worker),
        )
        return from_text(rows[0]["leased_until"]) if rows else None

    def rescue(self, dispatch_id: int, *, worker: str, leased_until: datetime) -> bool:
        return self._writer.run(lambda db: dispatches.rescue(db, dispatch_id, worker, leased_until))

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
                    FROM json_each(?) AS name, json_each('[0, 1]') AS ranks
                    WHERE name.value NOT IN (SELECT name FROM handlers WHERE paused_at IS NOT NULL))) AS pending
            """,
            (json.dumps(list(handlers)),),
        )
        coming = moments(row, ["unrouted", "leased", "pending"])
        return max(min(coming) - from_text(row["now"]), timedelta(0)) if coming else None

    def waiting(self) -> dict[str, int]:
        rows = self._read("SELECT handler, count(*) AS count FROM dispatches WHERE state = 'pending' GROUP BY handler")
        return {row["handler"]: row["count"] for row in rows}

    # Dispatches that a broker hands to the workers

    def enqueue(self, most: Mapping[str, int]) -> list[tuple[int, str]]:
        # Looking first keeps an idle engine from writing.
        due = {handler: ids for handler, count in most.items() if (ids := self._unqueued(handler, count))}
        return self._writer.run(lambda db: queued.enqueue(db, due)) if due else []

    def _unqueued(self, handler: str, most: int) -> list[int]:
        """The ids of a handler's dispatches that could be put in a queue, as long as at most so many wait there."""
        ids = list[int]()
        [row] = self._read(queued.ROOM, {"handler": handler, "most": most})
        for rank in queued.RANKS:
            room = max(row["room"] - len(ids), 0)
            rows = self._read(queued.DUE, {"handler": handler, "rank": rank, "room": room}) if room else []
            ids += [row["id"] for row in rows]
        return ids

    def dequeue(self, dispatch_ids: Iterable[int]) -> None:
        ids = list(dispatch_ids)
        self._writer.run(lambda db: queued.dequeue(db, ids))

    def dequeue_lost(self, handlers: Iterable[str], *, older_than: timedelta, keep: int) -> int:
        names = list(handlers)
        return self._writer.run(lambda db: queued.dequeue_lost(db, names, older_than, keep))

    # What a person does with dispatches

    def select_events(self, selection: Selection, *, limit: int, after: int = 0) -> list[Event]:
        rows = self._read(
            """
            SELECT * FROM events
            WHERE id > :after AND routed_at IS NOT NULL AND standing IN ('current', 'correction') AND emptied_at IS NULL
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
            WHERE routed_at IS NOT NULL AND standing IN ('current', 'correction') AND emptied_at IS NULL
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
                AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
                    instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
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
                AND (:first_line IS NULL OR :first_line = coalesce(trim(substr(error, 1, min(200,
                    instr(replace(error || char(10), char(13), char(10)), char(10)) - 1))), ''))
                AND (:source IS NULL OR events.source = :source) AND (:type IS NULL OR events.type GLOB :type)
                AND (:status IS NULL OR events.status = :status) AND (:kind IS NULL OR events.kind = :kind)
                AND (:since IS NULL OR finished_at >= :since) AND (:until IS NULL OR finished_at < :until)
            GROUP BY handler ORDER BY handler
            """,
            _parameters(selection),
        )
        return {row["handler"]: row["count"] for row in rows}

    def retry(self, dispatch_ids: Iterable[int]) -> list[int]:
        ids = list(dispatch_ids)
        changed = self._writer.run(lambda db: dispatches.retry(db, ids))
        self.wake()
        return changed

    def discard(self, dispatch_ids: Iterable[int], *, reason: str, gone: Iterable[str] = ()) -> list[int]:
        ids, handlers = list(dispatch_ids), list(gone)
        return self._writer.run(lambda db: dispatches.discard(db, ids, reason, handlers))

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

    def postpone(self, waits: Sequence[tuple[Job, timedelta]]) -> None:
        self._writer.run(lambda db: jobs.postpone(db, waits))

    def job_times(self, source: str, *, limit: int) -> list[JobTime]:
        rows = self._read(
            """
            SELECT kind, created_at, open_at, ended_at, finished_at, unwatched
            FROM (SELECT * FROM jobs ORDER BY id DESC LIMIT ?)
            WHERE source = ? AND origin = 'track' AND status = 'succeeded' AND finished_at > created_at
            ORDER BY finished_at DESC
            """,
            (limit, source),
        )
        return [time for row in rows if (time := job_time_of(row)) is not None]

    def record_poll(self, job: Job, result: PollResult) -> bool:
        return self._writer.run(lambda db: jobs.record_poll(db, job, result))

    def forget(self, job: Job) -> None:
        self._writer.run(
            lambda db: db.execute(
                "DELETE FROM jobs WHERE source = ? AND job_id = ? AND origin = 'hint' AND finished_at IS NULL",
                (job.source, job.job_id),
            )
        )

    def due_jobs(self, source: str, *, limit: int) -> list[Job]:
        rows = self._read(
            """
            SELECT *, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now FROM jobs
            WHERE source = ? AND next_poll_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
            ORDER BY next_poll_at LIMIT ?
            """,
            (source, limit),
        )
        return [job_of(row, asked_at=from_text(row["now"])) for row in rows]

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

    def event_row(self, event_id: int) -> Row | None:
        return self._row(lists.EVENT, event_id)

    def list_events(self, wanted: EventFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.events(self._read, wanted or EventFilter(), limit, before)

    def delivery(self, delivery_id: int) -> Row | None:
        rows = self._read(lists.DELIVERY, {"id": delivery_id})
        return delivery_row(dict(rows[0])) if rows else None

    def list_deliveries(self, wanted: DeliveryFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.deliveries(self._read, wanted or DeliveryFilter(), limit, before)

    def refusal(self, refusal_id: int) -> Row | None:
        rows = self._read(lists.REFUSAL, {"id": refusal_id})
        return delivery_row(dict(rows[0])) if rows else None

    def list_refusals(self, wanted: RefusalFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.refusals(self._read, wanted or RefusalFilter(), limit, before)

    def list_jobs(self, wanted: JobFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.jobs(self._read, wanted or JobFilter(), limit, before)

    def list_intents(self, *, source: str | None, limit: int) -> list[Row]:
        return self._rows(lists.INTENTS, {"source": source, "limit": limit})

    def dispatch(self, dispatch_id: int) -> Row | None:
        return self._row(lists.DISPATCH, dispatch_id)

    def list_dispatches(self, wanted: DispatchFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.dispatches(self._read, wanted or DispatchFilter(), limit, before)

    def list_attempts(self, dispatch_id: int) -> list[Row]:
        return self._rows(lists.ATTEMPTS, {"dispatch_id": dispatch_id})

    # People, and what they ask for

    def add_token(
        self, name: str, digest: str, *, role: Role, scopes: frozenset[Scope], lasts: timedelta | None = None
    ) -> bool:
        return self._writer.run(lambda db: access.add_token(db, name, digest, role, scopes, lasts))

    def remove_token(self, name: str) -> bool:
        return self._writer.run(lambda db: access.remove_token(db, name))

    def tokens(self) -> list[Token]:
        return [token_of(row) for row in self._read("SELECT * FROM tokens ORDER BY name")]

    def token(self, digest: str) -> Token | None:
        rows = self._read(
            """
            SELECT * FROM tokens WHERE digest = ?
                AND (expires_at IS NULL OR expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
            """,
            (digest,),
        )
        return token_of(rows[0]) if rows else None

    def note_use(self, name: str) -> None:
        # Looking first keeps all but one request a minute from taking the write lock.
        if self._read(access.USE_TO_NOTE, (name,)):
            self._writer.run(
                lambda db: db.execute("UPDATE tokens SET last_used_at = ? WHERE name = ?", (to_text(now_in(db)), name))
            )

    def open_session(self, digest: str, *, token_digest: str, lasts: timedelta) -> None:
        self._writer.run(lambda db: access.open_session(db, digest, token_digest, lasts))

    def session(self, digest: str) -> Token | None:
        rows = self._read(
            """
            SELECT tokens.* FROM sessions JOIN tokens ON tokens.digest = sessions.token_digest
            WHERE sessions.digest = ? AND sessions.expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                AND (tokens.expires_at IS NULL OR tokens.expires_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
            """,
            (digest,),
        )
        return token_of(rows[0]) if rows else None

    def close_session(self, digest: str) -> None:
        self._writer.run(lambda db: db.execute("DELETE FROM sessions WHERE digest = ?", (digest,)))

    def begin_request(self, token: str, key: str, *, fingerprint: str, keep: timedelta) -> KeptAnswer | None:
        return self._writer.run(lambda db: access.begin_request(db, token, key, fingerprint, keep))

    def keep_answer(self, token: str, key: str, *, status: int, body: str) -> None:
        self._writer.run(
            lambda db: db.execute(
                "UPDATE answers SET status = ?, body = ? WHERE token = ? AND key = ?",
                (status, db.seal.sealed(body), token, key),
            )
        )

    def forget_request(self, token: str, key: str) -> None:
        self._writer.run(lambda db: db.execute("DELETE FROM answers WHERE token = ? AND key = ?", (token, key)))

    def pause_handler(self, handler: str, *, paused: bool) -> None:
        self._writer.run(lambda db: holds.pause_handler(db, handler, paused))
        self.wake()

    def pause_source(self, source: str, *, paused: bool) -> None:
        self._writer.run(lambda db: holds.pause_source(db, source, paused))

    def source_paused_at(self, source: str) -> datetime | None:
        rows = self._read("SELECT paused_at FROM sources WHERE name = ? AND paused_at IS NOT NULL", (source,))
        return from_text(rows[0]["paused_at"]) if rows else None

    def poll_soon(self, source: str, job_id: str) -> bool:
        return self._writer.run(lambda db: jobs.poll_soon(db, source, job_id))

    def refuse_again(self, refusal_id: int, *, reason: str, hint: str) -> bool:
        statement = "UPDATE quarantine SET reason = ?, hint = ? WHERE id = ?"
        return self._writer.run(lambda db: db.execute(statement, (reason, hint, refusal_id)).rowcount == 1)

    def release(self, refusal_id: int) -> bool:
        return self._writer.run(
            lambda db: db.execute("DELETE FROM quarantine WHERE id = ?", (refusal_id,)).rowcount == 1
        )

    # Figures

    def now(self) -> datetime:
        [row] = self._read("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now")
        return from_text(row["now"])

    def figures(self) -> Figures:
        return figures.standing(self._read)

    def requests_left(self, source: str, *, budget: Budget, learn: bool) -> int:
        return figures.requests_left(self._read, source, budget, learn)

    def webhook_health(self, sources: Iterable[str]) -> list[WebhookHealth]:
        return figures.webhook_health(self._read, sources)

    def count_refused(self, *, since: datetime) -> list[Refused]:
        return figures.count_refused(self._read, since)

    def count_by_minute(self, *, since: datetime) -> list[EventCount]:
        return figures.count_by_minute(self._read, since)

    def counted_since(self, *, since: datetime) -> datetime:
        return figures.counted_since(self._read, since)

    def spending(self, *, since: datetime) -> list[Spending]:
        return figures.spending(self._read, since)

    def spending_since(self, *, since: datetime) -> datetime:
        return figures.spending_since(self._read, since)

    def charged(self, *, since: datetime, limit: int) -> list[Charged]:
        return figures.charged(self._read, since, limit)

    def workers(self) -> list[Worker]:
        return figures.workers(self._read)

    def last_turns(self) -> dict[str, datetime]:
        return {row["name"]: from_text(row["taken_at"]) for row in self._read("SELECT name, taken_at FROM turns")}

    def examine(self, *, within: timedelta) -> Examined:
        return integrity.examine(self._path, within)

    # Alerts

    def alerts(self) -> list[Alert]:
        rows = self._read("SELECT * FROM alerts ORDER BY since, cause")
        return [alert_of(row) for row in rows]

    def keep_alert(self, alert: Alert) -> None:
        self._writer.run(lambda db: alerts.keep(db, alert))

    def drop_alert(self, cause: str) -> None:
        self._writer.run(lambda db: db.execute("DELETE FROM alerts WHERE cause = ?", (cause,)))

    # What is old goes

    def prune(self, what: Prunable, *, older_than: timedelta, dry_run: bool = False) -> Iterator[int]:
        return retention.prune(self._read, self._writer, what, older_than, dry_run=dry_run)

    # What is private is sealed

    def require_keys(self) -> None:
        with self._reading:
            sealed.require_keys(self._reader)

    def reseal(self, *, unseal: bool = False) -> Iterator[Resealed]:
        return sealed.reseal_all(self._path, self._writer, self._reader.seal, unseal=unseal)

    # Between processes

    def claim_turn(self, name: str, *, every: timedelta) -> bool:
        # Looking first keeps those whose turn it is not from writing.
        if self._read(turns.TAKEN, turns.taken_parameters(name, every)):
            return False
        return self._writer.run(lambda db: turns.claim(db, name, every))

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

    def _row(self, statement: str, row_id: int) -> Row | None:
        rows = self._rows(statement, {"id": row_id})
        return rows[0] if rows else None

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        return [shown(dict(row)) for row in self._read(statement, parameters)]


def _parameters(selection: Selection) -> dict[str, Any]:
    handlers = json.dumps(selection.handlers) if selection.handlers else None
    return selection_values(selection) | {"handlers": handlers}
