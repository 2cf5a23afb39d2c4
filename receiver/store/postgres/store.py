"""The questions of `Store`, answered by PostgreSQL. Writing is done by the functions of the modules beside this one."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg

from receiver.clock import from_text
from receiver.errors import ConfigError, StoreUnavailable
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
    Trust,
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
from receiver.store.postgres import (
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
    partitions,
    queued,
    retention,
    schema,
    sealed,
    turns,
)
from receiver.store.postgres.bell import Bell
from receiver.store.postgres.connection import Address, Connection
from receiver.store.postgres.locks import job_lock, lock
from receiver.store.postgres.pool import Pool
from receiver.store.postgres.quarantine import quarantine
from receiver.store.postgres.receiving import PostgresLedger, goes_together, locks_for
from receiver.store.postgres.tables import refuse_unfinished_copy
from receiver.store.postgres.writer import Writer
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
    moments,
    shown,
    token_of,
)
from receiver.store.sealing import UNSEALED, Seal

_HINTS_AT_ONCE = 2


class PostgresStore(Store):
    """One database for any number of nodes.

    An empty one gets its tables by being opened. One that an older Receiver made is refused until `migrate` has run:
    the moment at which a cluster's tables change is for a person to choose.

    Anyone may send hints, so `max_hints` bounds, for each source, how many are kept and how many open jobs are known
    from nothing else, and `max_hint_body` how much of a hint's body is kept.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta = timedelta(seconds=5),
        max_hints: int = 1000,
        max_hint_body: int = 2**16,
        seal: Seal = UNSEALED,
        gather: Callable[[], object] = lambda: None,
    ) -> None:
        """`gather` is called before each commit, to let other threads hand over what can share it."""
        self._bounds = Bounds(max_hints=max_hints, max_hint_body=max_hint_body)
        self._timeout = timeout.total_seconds()
        # However many strangers there are, genuine deliveries find a connection.
        self._hints = threading.BoundedSemaphore(_HINTS_AT_ONCE)
        address = Address(url)
        self._pool = Pool(address, timeout=timeout, seal=seal)
        self._writer = Writer(self._pool, timeout=self._timeout, gather=gather)
        self._partitions = partitions.Partitions(self._pool)
        self._bell = Bell(self._pool.listen, self._pool.notify)
        try:
            self._open(url)
        except ConfigError:
            self.close()
            raise
        except StoreUnavailable as error:
            self.close()
            raise StoreUnavailable(f"the store at {address} cannot be opened: {error}") from error

    def _open(self, url: str) -> None:
        applied = self._pool.run(schema.applied_in)
        if not applied:
            schema.migrate(url)
        elif schema.pending(applied):
            raise StoreUnavailable("an older Receiver made its tables; run `receiver migrate` on one node")

        def take_up(db: Connection) -> None:
            refuse_unfinished_copy(db)
            sealed.note_key(db)

        self._pool.run(take_up)

    # A delivery comes in

    def receive(self, record: Record) -> Receipt:
        self._partitions.prepare(record.delivery.received_at)
        try:
            return self._received(record)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.CheckViolation):
                raise
            # Another node has dropped the partition.
            self._partitions.forget()
            self._partitions.prepare(record.delivery.received_at)
            return self._received(record)

    def _received(self, record: Record) -> Receipt:
        if goes_together(record):
            return self._writer.run_together(self._receive, record, told=self._wake_for)
        deadline = time.monotonic() + self._timeout
        if record.trust is not Trust.HINT:
            return self._received_alone(record, deadline)
        if not self._hints.acquire(timeout=self._timeout):
            raise StoreUnavailable("the store is busy: too many hints before this one")
        try:
            return self._received_alone(record, deadline)
        finally:
            self._hints.release()

    def _received_alone(self, record: Record, deadline: float) -> Receipt:
        receipts = self._pool.run(lambda db: self._receive(db, [record]), deadline=deadline)
        self._wake_for(receipts)
        return receipts[0]

    def _wake_for(self, receipts: Sequence[Receipt]) -> None:
        if any(receipt.events for receipt in receipts):
            self.wake()

    def _receive(self, db: Connection, records: Sequence[Record]) -> list[Receipt]:
        now = lock(db, *locks_for(records))
        return receive(PostgresLedger(db, now), records, self._bounds)

    def quarantine(self, refusals: Sequence[Refusal], *, max_count: int) -> None:
        self._pool.run(lambda db: quarantine(db, refusals, max_count))

    def prove(self) -> None:
        self._pool.run(
            lambda db: db.execute(
                "INSERT INTO proofs (id, proved_at) VALUES (1, clock_timestamp()) "
                "ON CONFLICT (id) DO UPDATE SET proved_at = excluded.proved_at"
            )
        )

    # Keys that check signatures

    def keys(self, source: str) -> KeySet | None:
        rows = self._pool.read(
            "SELECT keys, fetched_at FROM keys WHERE source = %s AND fetched_at IS NOT NULL", (source,)
        )
        return key_set_of(rows[0]) if rows else None

    def want_keys(self, source: str) -> None:
        # Looking first keeps forgeries from writing, but for one.
        if not self._pool.read("SELECT 1 FROM keys WHERE source = %s AND wanted", (source,)):
            self._pool.run(lambda db: db.execute("UPDATE keys SET wanted = true WHERE source = %s", (source,)))

    def claim_keys(self, source: str, *, every: timedelta, pause: timedelta) -> bool:
        # Looking first keeps an idle pass from writing.
        if not self._pool.read(keys.DUE, keys.due_parameters(source, every, pause)):
            return False
        return self._pool.run(lambda db: keys.claim(db, source, every, pause))

    def keep_keys(self, source: str, found: Sequence[str]) -> None:
        self._pool.run(lambda db: keys.keep(db, source, found))

    # Events become dispatches, and dispatches run

    def unrouted(self, limit: int) -> list[Event]:
        rows = self._pool.read("SELECT * FROM events WHERE routed_at IS NULL ORDER BY id LIMIT %s", (limit,))
        return [event_of(row) for row in rows]

    def route(self, plan: Mapping[int, Sequence[str]]) -> int:
        return self._pool.run(lambda db: dispatches.route(db, plan))

    def claim(
        self, slots: Mapping[str, int], *, lease: timedelta, worker: str, limits: Mapping[str, Budget] | None = None
    ) -> list[Claim]:
        # Looking first keeps an idle worker from writing.
        due = self._due_among([name for name, free in slots.items() if free > 0])
        if not due:
            return []
        return self._pool.run(
            lambda db: dispatches.claim(db, {name: slots[name] for name in due}, lease, worker, limits or {})
        )

    def _due_among(self, handlers: Sequence[str]) -> list[str]:
        rows = self._pool.read(
            """
            SELECT wanted.name FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (name, number)
            WHERE EXISTS (
                SELECT 1 FROM dispatches
                WHERE state = 'pending' AND handler = wanted.name AND rank IN (0, 1)
                    AND due_at <= statement_timestamp())
            AND NOT EXISTS (
                SELECT 1 FROM handlers WHERE handlers.name = wanted.name
                    AND (paused_at IS NOT NULL OR greatest(parked_until, limited_until) > statement_timestamp()))
            ORDER BY number
            """,
            (handlers,),
        )
        return [row["name"] for row in rows]

    def claim_one(
        self, dispatch_id: int, *, lease: timedelta, worker: str, limits: Mapping[str, Budget] | None = None
    ) -> Claim | None:
        return self._pool.run(lambda db: dispatches.claim_one(db, dispatch_id, lease, worker, limits or {}))

    def renew(self, claims: Iterable[Claim], *, lease: timedelta) -> set[int]:
        tokens = {claim.id: claim.token for claim in claims}
        return self._pool.run(lambda db: dispatches.renew(db, tokens, lease)) if tokens else set()

    def give_back(self, claims: Iterable[Claim]) -> None:
        own = list(claims)
        if own:
            self._pool.run(lambda db: dispatches.give_back(db, own))
            self.wake()

    def finish_all(
        self, ended: Sequence[tuple[Claim, Outcome]], *, park_after: Mapping[str, int] | None = None
    ) -> list[State | None]:
        if not ended:
            return []
        states = self._pool.run(lambda db: dispatches.finish_all(db, ended, park_after or {}))
        # What it held back is for whoever has a free slot, and this worker has one now.
        self._bell.ring_here()
        return states

    def hold(self, handler: str) -> Hold:
        rows = self._pool.read(
            "SELECT failure_count, parked_until, paused_at FROM handlers WHERE name = %s", (handler,)
        )
        return hold_of(rows[0]) if rows else Hold()

    def sweep(self, *, spare: Iterable[Claim] = ()) -> int:
        if not self._pool.read(
            "SELECT 1 FROM dispatches WHERE state = 'running' AND leased_until < statement_timestamp() LIMIT 1"
        ):
            return 0
        spared = [claim.token for claim in spare]
        return self._pool.run(lambda db: dispatches.sweep(db, spared))

    def leased_until(self, dispatch_id: int, *, worker: str) -> datetime | None:
        rows = self._pool.read(
            "SELECT leased_until FROM dispatches WHERE id = %s AND state = 'running' AND worker = %s",
            (dispatch_id, worker),
        )
        return from_text(rows[0]["leased_until"]) if rows else None

    def rescue(self, dispatch_id: int, *, worker: str, leased_until: datetime) -> bool:
        return self._pool.run(lambda db: dispatches.rescue(db, dispatch_id, worker, leased_until))

    def next_due(self, handlers: Iterable[str]) -> timedelta | None:
        [row] = self._pool.read(
            """
            SELECT statement_timestamp() AS now,
                (SELECT recorded_at FROM events WHERE routed_at IS NULL LIMIT 1) AS unrouted,
                (SELECT min(leased_until) FROM dispatches WHERE state = 'running') AS leased,
                (SELECT min(first) FROM (
                    SELECT (
                        SELECT greatest(due_at, (
                            SELECT greatest(parked_until, limited_until)
                            FROM handlers WHERE handlers.name = due.handler)) FROM dispatches AS due
                        WHERE state = 'pending' AND handler = wanted.name AND rank = ranks.rank AND NOT EXISTS (
                            SELECT 1 FROM dispatches AS other
                            WHERE other.source = due.source AND other.job_id = due.job_id
                                AND other.handler = due.handler AND other.state IN ('pending', 'running')
                                AND (other.state = 'running' OR (other.rank, other.id) < (due.rank, due.id))
                            OFFSET 0)
                        ORDER BY due_at LIMIT 1) AS first
                    FROM unnest(%s::text[]) AS wanted (name), unnest(ARRAY[0, 1]) AS ranks (rank)
                    WHERE wanted.name NOT IN (SELECT name FROM handlers WHERE paused_at IS NOT NULL)
                    ) AS firsts) AS pending
            """,
            (list(handlers),),
        )
        coming = moments(row, ["unrouted", "leased", "pending"])
        return max(min(coming) - from_text(row["now"]), timedelta(0)) if coming else None

    def waiting(self) -> dict[str, int]:
        rows = self._pool.read(
            "SELECT handler, count(*) AS count FROM dispatches WHERE state = 'pending' GROUP BY handler", patient=True
        )
        return {row["handler"]: row["count"] for row in rows}

    # Dispatches that a broker hands to the workers

    def enqueue(self, most: Mapping[str, int]) -> list[tuple[int, str]]:
        # Looking first keeps an idle engine from writing.
        due = {handler: ids for handler, count in most.items() if (ids := self._unqueued(handler, count))}
        return self._pool.run(lambda db: queued.enqueue(db, due)) if due else []

    def _unqueued(self, handler: str, most: int) -> list[int]:
        """The ids of a handler's dispatches that could be put in a queue, as long as at most so many wait there."""
        ids = list[int]()
        [row] = self._pool.read(queued.ROOM, {"handler": handler, "most": most})
        for rank in queued.RANKS:
            room = max(row["room"] - len(ids), 0)
            rows = self._pool.read(queued.DUE, {"handler": handler, "rank": rank, "room": room}) if room else []
            ids += [row["id"] for row in rows]
        return ids

    def dequeue(self, dispatch_ids: Iterable[int]) -> None:
        ids = list(dispatch_ids)
        self._pool.run(lambda db: queued.dequeue(db, ids))

    def dequeue_lost(self, handlers: Iterable[str], *, older_than: timedelta, keep: int) -> int:
        names = list(handlers)
        return self._pool.run(lambda db: queued.dequeue_lost(db, names, older_than, keep))

    # What a person does with dispatches

    def select_events(self, selection: Selection, *, limit: int, after: int = 0) -> list[Event]:
        values = lists.selected(selection) | {"after": after, "limit": limit}
        return [event_of(row) for row in self._pool.read(lists.SELECTED_EVENTS, values, patient=True)]

    def count_events(self, selection: Selection) -> int:
        [row] = self._pool.read(lists.SELECTED_EVENTS_COUNT, lists.selected(selection), patient=True)
        return int(row["count"])

    def replay(
        self,
        plan: Mapping[int, Sequence[str]],
        *,
        replay_id: str,
        wait: timedelta = timedelta(0),
        every: timedelta = timedelta(0),
    ) -> list[int]:
        ids = self._pool.run(lambda db: dispatches.replay(db, plan, replay_id, wait, every))
        self.wake()
        return ids

    def cancel_replay(self, replay_id: str, *, limit: int) -> int:
        return self._pool.run(lambda db: dispatches.cancel_replay(db, replay_id, limit))

    def select_dead(self, selection: Selection, *, limit: int, after: int = 0) -> list[int]:
        values = lists.selected(selection) | {"after": after, "limit": limit}
        return [row["id"] for row in self._pool.read(lists.SELECTED_DEAD, values, patient=True)]

    def count_dead(self, selection: Selection) -> dict[str, int]:
        rows = self._pool.read(lists.SELECTED_DEAD_COUNT, lists.selected(selection), patient=True)
        return {row["handler"]: row["count"] for row in rows}

    def retry(self, dispatch_ids: Iterable[int]) -> list[int]:
        ids = list(dispatch_ids)
        changed = self._pool.run(lambda db: dispatches.retry(db, ids))
        self.wake()
        return changed

    def discard(self, dispatch_ids: Iterable[int], *, reason: str, gone: Iterable[str] = ()) -> list[int]:
        ids, handlers = list(dispatch_ids), list(gone)
        return self._pool.run(lambda db: dispatches.discard(db, ids, reason, handlers))

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
        def work(db: Connection) -> bool:
            now = lock(db, job_lock(source, job_id))
            return jobs.track(
                db, source, job_id, now, kind=kind, schedule=schedule, metadata=metadata, reference=reference
            )

        return self._pool.run(work)

    def take_listed(self, source: str, listed: Listed, *, schedule: Schedule) -> bool:
        def work(db: Connection) -> bool:
            now = lock(db, job_lock(source, listed.job_id))
            return jobs.take_listed(db, source, listed, schedule, now)

        # Looking first keeps those that are known, which are most, from being locked.
        return self.job(source, listed.job_id) is None and self._pool.run(work)

    def intend(self, source: str, *, kind: str, metadata: Mapping[str, Any] | None = None) -> Intent:
        return self._pool.run(lambda db: intents.intend(db, source, kind, metadata or {}))

    def settle(self, intent: Intent, created: Sequence[Created], *, schedules: Mapping[str, Schedule]) -> list[Job]:
        return self._pool.run(lambda db: intents.settle(db, intent, created, schedules))

    def doubt(self, intent: Intent, error: str) -> bool:
        return self._pool.run(lambda db: intents.doubt(db, intent.id, error))

    def withdraw(self, intent_id: str) -> bool:
        return self._pool.run(lambda db: intents.withdraw(db, intent_id))

    def intent(self, intent_id: str) -> Intent | None:
        rows = self._pool.read("SELECT * FROM intents WHERE id = %s", (intent_id,))
        return intent_of(rows[0]) if rows else None

    def claim_polls(self, source: str, *, budget: Budget, learn: bool, limit: int, lease: timedelta) -> list[Job]:
        if not self.due_jobs(source, limit=1):
            return []
        return self._pool.run(lambda db: jobs.claim_polls(db, source, budget, learn, limit, lease))

    def spend(self, source: str, *, budget: Budget, learn: bool) -> bool:
        return self._pool.run(lambda db: budgets.spend_one(db, source, budget, learn))

    def remember_limits(self, source: str, limits: Limits) -> None:
        self._pool.run(lambda db: budgets.remember(db, source, limits))

    def postpone(self, waits: Sequence[tuple[Job, timedelta]]) -> None:
        self._pool.run(lambda db: jobs.postpone(db, waits))

    def job_times(self, source: str, *, limit: int) -> list[JobTime]:
        rows = self._pool.read(
            """
            SELECT kind, created_at, open_at, ended_at, finished_at, unwatched
            FROM (SELECT * FROM jobs ORDER BY id DESC LIMIT %s) AS newest
            WHERE source = %s AND origin = 'track' AND status = 'succeeded' AND finished_at > created_at
            ORDER BY finished_at DESC
            """,
            (limit, source),
        )
        return [time for row in rows if (time := job_time_of(row)) is not None]

    def record_poll(self, job: Job, result: PollResult) -> bool:
        return self._pool.run(lambda db: jobs.record_poll(db, job, result))

    def forget(self, job: Job) -> None:
        def work(db: Connection) -> None:
            lock(db, job_lock(job.source, job.job_id))
            db.execute(
                "DELETE FROM jobs WHERE source = %s AND job_id = %s AND origin = 'hint' AND finished_at IS NULL",
                (job.source, job.job_id),
            )

        self._pool.run(work)

    def due_jobs(self, source: str, *, limit: int) -> list[Job]:
        rows = self._pool.read(
            """
            SELECT *, statement_timestamp() AS now FROM jobs
            WHERE source = %s AND next_poll_at <= statement_timestamp()
            ORDER BY next_poll_at LIMIT %s
            """,
            (source, limit),
        )
        return [job_of(row, asked_at=from_text(row["now"])) for row in rows]

    def count_due_jobs(self, source: str) -> int:
        [row] = self._pool.read(
            "SELECT count(*) AS due FROM jobs WHERE source = %s AND next_poll_at <= statement_timestamp()", (source,)
        )
        return int(row["due"])

    def job(self, source: str, job_id: str) -> Job | None:
        rows = self._pool.read("SELECT * FROM jobs WHERE source = %s AND job_id = %s", (source, job_id))
        return job_of(rows[0]) if rows else None

    # What people look at

    def event(self, event_id: int) -> Event | None:
        rows = self._pool.read("SELECT * FROM events WHERE id = %s", (event_id,))
        return event_of(rows[0]) if rows else None

    def event_row(self, event_id: int) -> Row | None:
        return self._row(lists.EVENT, event_id)

    def list_events(self, wanted: EventFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.events(self._look, wanted or EventFilter(), limit, before)

    def delivery(self, delivery_id: int) -> Row | None:
        rows = self._look(lists.DELIVERY, {"id": delivery_id})
        return delivery_row(rows[0]) if rows else None

    def list_deliveries(self, wanted: DeliveryFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.deliveries(self._look, wanted or DeliveryFilter(), limit, before)

    def refusal(self, refusal_id: int) -> Row | None:
        rows = self._look(lists.REFUSAL, {"id": refusal_id})
        return delivery_row(rows[0]) if rows else None

    def list_refusals(self, wanted: RefusalFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.refusals(self._look, wanted or RefusalFilter(), limit, before)

    def list_jobs(self, wanted: JobFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.jobs(self._look, wanted or JobFilter(), limit, before)

    def list_intents(self, *, source: str | None, limit: int) -> list[Row]:
        return self._shown(lists.INTENTS, {"source": source, "limit": limit})

    def dispatch(self, dispatch_id: int) -> Row | None:
        return self._row(lists.DISPATCH, dispatch_id)

    def list_dispatches(self, wanted: DispatchFilter | None = None, *, limit: int, before: int | None = None) -> Page:
        return lists.dispatches(self._look, wanted or DispatchFilter(), limit, before)

    def list_attempts(self, dispatch_id: int) -> list[Row]:
        return self._shown(lists.ATTEMPTS, {"dispatch_id": dispatch_id})

    # People, and what they ask for

    def add_token(
        self, name: str, digest: str, *, role: Role, scopes: frozenset[Scope], lasts: timedelta | None = None
    ) -> bool:
        return self._pool.run(lambda db: access.add_token(db, name, digest, role, scopes, lasts))

    def remove_token(self, name: str) -> bool:
        return self._pool.run(lambda db: access.remove_token(db, name))

    def tokens(self) -> list[Token]:
        return [token_of(row) for row in self._pool.read('SELECT * FROM tokens ORDER BY name COLLATE "C"')]

    def token(self, digest: str) -> Token | None:
        rows = self._pool.read(
            """
            SELECT * FROM tokens WHERE digest = %s AND (expires_at IS NULL OR expires_at > statement_timestamp())
            """,
            (digest,),
        )
        return token_of(rows[0]) if rows else None

    def note_use(self, name: str) -> None:
        # Looking first keeps all but one request a minute from writing.
        if self._pool.read(access.USE_TO_NOTE, (name,)):
            self._pool.run(
                lambda db: db.execute("UPDATE tokens SET last_used_at = statement_timestamp() WHERE name = %s", (name,))
            )

    def open_session(self, digest: str, *, token_digest: str, lasts: timedelta) -> None:
        self._pool.run(lambda db: access.open_session(db, digest, token_digest, lasts))

    def session(self, digest: str) -> Token | None:
        rows = self._pool.read(
            """
            SELECT tokens.* FROM sessions JOIN tokens ON tokens.digest = sessions.token_digest
            WHERE sessions.digest = %s AND sessions.expires_at > statement_timestamp()
                AND (tokens.expires_at IS NULL OR tokens.expires_at > statement_timestamp())
            """,
            (digest,),
        )
        return token_of(rows[0]) if rows else None

    def close_session(self, digest: str) -> None:
        self._pool.run(lambda db: db.execute("DELETE FROM sessions WHERE digest = %s", (digest,)))

    def begin_request(self, token: str, key: str, *, fingerprint: str, keep: timedelta) -> KeptAnswer | None:
        return self._pool.run(lambda db: access.begin_request(db, token, key, fingerprint, keep))

    def keep_answer(self, token: str, key: str, *, status: int, body: str) -> None:
        self._pool.run(
            lambda db: db.execute(
                "UPDATE answers SET status = %s, body = %s WHERE token = %s AND key = %s",
                (status, db.seal.sealed(body), token, key),
            )
        )

    def forget_request(self, token: str, key: str) -> None:
        self._pool.run(lambda db: db.execute("DELETE FROM answers WHERE token = %s AND key = %s", (token, key)))

    def pause_handler(self, handler: str, *, paused: bool) -> None:
        self._pool.run(lambda db: holds.pause_handler(db, handler, paused))
        self.wake()

    def pause_source(self, source: str, *, paused: bool) -> None:
        self._pool.run(lambda db: holds.pause_source(db, source, paused))

    def source_paused_at(self, source: str) -> datetime | None:
        rows = self._pool.read("SELECT paused_at FROM sources WHERE name = %s AND paused_at IS NOT NULL", (source,))
        return from_text(rows[0]["paused_at"]) if rows else None

    def poll_soon(self, source: str, job_id: str) -> bool:
        return self._pool.run(lambda db: jobs.poll_soon(db, source, job_id))

    def refuse_again(self, refusal_id: int, *, reason: str, hint: str) -> bool:
        return self._pool.run(
            lambda db: (
                db.execute(
                    "UPDATE quarantine SET reason = %s, hint = %s WHERE id = %s", (reason, hint, refusal_id)
                ).rowcount
                == 1
            )
        )

    def release(self, refusal_id: int) -> bool:
        return self._pool.run(
            lambda db: db.execute("DELETE FROM quarantine WHERE id = %s", (refusal_id,)).rowcount == 1
        )

    # Figures

    def now(self) -> datetime:
        [row] = self._pool.read("SELECT statement_timestamp() AS now")
        return from_text(row["now"])

    def figures(self) -> Figures:
        return figures.standing(self._pool.read)

    def requests_left(self, source: str, *, budget: Budget, learn: bool) -> int:
        return figures.requests_left(self._pool.read, source, budget, learn)

    def webhook_health(self, sources: Iterable[str]) -> list[WebhookHealth]:
        return figures.webhook_health(self._pool.read, sources)

    def count_refused(self, *, since: datetime) -> list[Refused]:
        return figures.count_refused(self._pool.read, since)

    def count_by_minute(self, *, since: datetime) -> list[EventCount]:
        return figures.count_by_minute(self._pool.read, since)

    def counted_since(self, *, since: datetime) -> datetime:
        return figures.counted_since(self._pool.read, since)

    def spending(self, *, since: datetime) -> list[Spending]:
        return figures.spending(self._pool.read, since)

    def spending_since(self, *, since: datetime) -> datetime:
        return figures.spending_since(self._pool.read, since)

    def charged(self, *, since: datetime, limit: int) -> list[Charged]:
        return figures.charged(self._pool.read, since, limit)

    def workers(self) -> list[Worker]:
        return figures.workers(self._pool.read)

    def last_turns(self) -> dict[str, datetime]:
        return {row["name"]: from_text(row["taken_at"]) for row in self._pool.read("SELECT name, taken_at FROM turns")}

    def examine(self, *, within: timedelta) -> Examined:
        return integrity.examine(self._pool.read)

    # Alerts

    def alerts(self) -> list[Alert]:
        rows = self._pool.read("SELECT * FROM alerts ORDER BY since, cause")
        return [alert_of(row) for row in rows]

    def keep_alert(self, alert: Alert) -> None:
        self._pool.run(lambda db: alerts.keep(db, alert))

    def drop_alert(self, cause: str) -> None:
        self._pool.run(lambda db: db.execute("DELETE FROM alerts WHERE cause = %s", (cause,)))

    # What is old goes

    def prune(self, what: Prunable, *, older_than: timedelta, dry_run: bool = False) -> Iterator[int]:
        return retention.prune(self._pool, self._partitions, what, older_than, dry_run=dry_run)

    # What is private is sealed

    def require_keys(self) -> None:
        self._pool.run(sealed.require_keys)

    def reseal(self, *, unseal: bool = False) -> Iterator[Resealed]:
        return sealed.reseal_all(self._pool, unseal=unseal)

    # Between processes

    def claim_turn(self, name: str, *, every: timedelta) -> bool:
        # Looking first keeps those whose turn it is not from writing.
        if self._pool.read(turns.TAKEN, (name, every)):
            return False
        return self._pool.run(lambda db: turns.claim(db, name, every))

    def wake(self) -> None:
        self._bell.ring()

    def wait(self, timeout: timedelta) -> None:
        self._bell.wait(timeout.total_seconds())

    def close(self) -> None:
        self._bell.close()
        self._pool.close()

    def _look(self, statement: LiteralString, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._pool.read(statement, values, patient=True)

    def _row(self, statement: LiteralString, row_id: int) -> Row | None:
        rows = self._shown(statement, {"id": row_id})
        return rows[0] if rows else None

    def _shown(self, statement: LiteralString, values: Mapping[str, Any]) -> list[Row]:
        return [shown(row) for row in self._pool.read(statement, values, patient=True)]
