"""Everything in one SQLite file: the default, for one machine."""

import contextlib
import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from receiver.backoff import after_loss
from receiver.clock import from_text, to_text
from receiver.errors import ConfigError, StoreUnavailable
from receiver.models import (
    Budget,
    Claim,
    Event,
    Failure,
    Job,
    Limits,
    Origin,
    Output,
    Schedule,
    Standing,
    State,
    Status,
    Trust,
    Via,
    standing,
)
from receiver.outcomes import Decision, Outcome
from receiver.store.base import PollResult, Receipt, Record, Refusal, Row, Store, Verdict
from receiver.store.bell import Bell
from receiver.store.schema import migrate
from receiver.store.writer import Writer

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
_LONGEST_ERROR = 4000
_LONGEST_SWITCH = 5.0
_SWITCH_POLL = 0.005


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
        _refuse_network_file_system(path)
        self._max_hints = max_hints
        self._max_hint_body = max_hint_body
        try:
            with contextlib.ExitStack() as opened:
                self._reader = opened.enter_context(contextlib.closing(_connect(path)))
                migrate(Database(self._reader))
                self._reading = threading.Lock()
                writing = opened.enter_context(contextlib.closing(_connect(path)))
                self._writer = Writer(writing, path.with_name(f"{path.name}-lock"), timeout=timeout.total_seconds())
                self._bell = Bell(path.with_name(f"{path.name}-bell"))
                opened.pop_all()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the store at {path} cannot be opened: {error}") from error

    # A delivery comes in

    def receive(self, record: Record) -> Receipt:
        receipt = self._writer.run(lambda db: self._receive(db, record))
        if receipt.events:
            self.wake()
        return receipt

    def _receive(self, db: sqlite3.Connection, record: Record) -> Receipt:
        now = _now(db)
        if record.verdict is not Verdict.RECORDED or not record.events:
            return self._keep_unproven(db, record, now)
        known = [_known(db, event) for event in record.events]
        for event, row in zip(record.events, known, strict=True):
            if row is not None:
                _seen_again(db, row["id"], record.delivery.via, now)
                _close(db, event, now)
        new = [event for event, row in zip(record.events, known, strict=True) if row is None]
        if not new:
            # A batch's own event is its last; those of its clips may have come in on their own before.
            first = next(row["delivery_id"] for row in reversed(known) if row is not None)
            _count(db, first, now)
            return Receipt(delivery_id=first, repeated=True)
        delivery_id = _insert_delivery(db, record, now)
        events, unknown = [], []
        for event in new:
            stored, first_seen = _store_event(db, event, record, delivery_id, now)
            events.append(stored)
            unknown += [stored] if first_seen else []
        return Receipt(delivery_id=delivery_id, repeated=False, events=tuple(events), unknown_statuses=tuple(unknown))

    def _keep_unproven(self, db: sqlite3.Connection, record: Record, now: datetime) -> Receipt:
        """Keep a hint, an unreadable body or one without events, told apart by its bytes; a hint makes its jobs due."""
        fingerprint = hashlib.sha256(record.delivery.body).hexdigest()
        row = db.execute(
            "SELECT id FROM deliveries WHERE source = ? AND fingerprint = ?", (record.delivery.source, fingerprint)
        ).fetchone()
        if row is None:
            delivery_id = _insert_delivery(db, self._bounded(record), now, fingerprint=fingerprint)
        else:
            delivery_id = row["id"]
            _count(db, delivery_id, now)
        if record.trust is Trust.HINT:
            db.execute(
                """
                DELETE FROM deliveries WHERE source = :source AND trust = 'hint' AND id <= (
                    SELECT id FROM deliveries WHERE source = :source AND trust = 'hint'
                    ORDER BY id DESC LIMIT 1 OFFSET :most)
                """,
                {"source": record.delivery.source, "most": self._max_hints},
            )
        for event in record.events:
            self._make_due(db, event, record.schedules, now)
        return Receipt(delivery_id=delivery_id, repeated=row is not None)

    def _bounded(self, record: Record) -> Record:
        if record.trust is not Trust.HINT:
            return record
        return replace(record, delivery=replace(record.delivery, body=record.delivery.body[: self._max_hint_body]))

    def _make_due(self, db: sqlite3.Connection, event: Event, schedules: Mapping[str, Schedule], now: datetime) -> None:
        """Poll the job a hint speaks of at once, but no more often than its schedule asks anyway."""
        if event.job_id is None or event.kind is None:
            return
        schedule = schedules[event.kind]
        job = _job_row(db, event.source, event.job_id)
        if job is not None:
            db.execute(
                """
                UPDATE jobs SET next_poll_at = :now
                WHERE id = :id AND next_poll_at > :now AND (last_poll_at IS NULL OR last_poll_at < :lately)
                """,
                {"id": job["id"], "now": to_text(now), "lately": to_text(now - schedule.every)},
            )
            return
        [hinted] = db.execute(
            "SELECT count(*) FROM jobs WHERE source = ? AND origin = 'hint' AND finished_at IS NULL", (event.source,)
        ).fetchone()
        if hinted < self._max_hints:
            _insert_job(db, event.source, event.job_id, event.kind, schedule, "hint", now, first_poll=timedelta(0))

    def quarantine(self, refusals: Sequence[Refusal], *, max_count: int) -> None:
        self._writer.run(lambda db: _quarantine(db, refusals, max_count))

    def prove(self) -> None:
        self._writer.run(
            lambda db: db.execute(
                "INSERT INTO proofs (id, proved_at) VALUES (1, ?) "
                "ON CONFLICT (id) DO UPDATE SET proved_at = excluded.proved_at",
                (to_text(_now(db)),),
            )
        )

    # Events become dispatches, and dispatches run

    def unrouted(self, limit: int) -> list[Event]:
        rows = self._read("SELECT * FROM events WHERE routed_at IS NULL ORDER BY id LIMIT ?", (limit,))
        return [_event(row) for row in rows]

    def route(self, plan: Mapping[int, Sequence[str]]) -> int:
        return self._writer.run(lambda db: _route(db, plan))

    def claim(self, slots: Mapping[str, int], *, lease: timedelta, worker: str) -> list[Claim]:
        # Looking first keeps an idle worker from taking the write lock.
        due = [name for name, free in slots.items() if free > 0 and self._has_due(name)]
        if not due:
            return []
        return self._writer.run(lambda db: [_ for name in due for _ in _claim(db, name, slots[name], lease, worker)])

    def _has_due(self, handler: str) -> bool:
        return bool(
            self._read(
                """
                SELECT 1 FROM dispatches WHERE state = 'pending' AND handler = ?
                AND due_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now') LIMIT 1
                """,
                (handler,),
            )
        )

    def renew(self, claims: Iterable[Claim], *, lease: timedelta) -> None:
        tokens = [(claim.id, claim.token) for claim in claims]

        def work(db: sqlite3.Connection) -> None:
            until = to_text(_now(db) + lease)
            db.executemany(
                "UPDATE dispatches SET leased_until = ? WHERE id = ? AND token = ?",
                [(until, *token) for token in tokens],
            )

        if tokens:
            self._writer.run(work)

    def finish(self, claim: Claim, outcome: Outcome) -> State | None:
        state = self._writer.run(lambda db: _finish(db, claim, outcome))
        self.wake()
        return state

    def sweep(self, *, spare: Iterable[Claim] = ()) -> int:
        if not self._read(
            """
            SELECT 1 FROM dispatches WHERE state = 'running'
            AND leased_until < strftime('%Y-%m-%dT%H:%M:%fZ', 'now') LIMIT 1
            """
        ):
            return 0
        spared = {claim.token for claim in spare}
        return self._writer.run(lambda db: _sweep(db, spared))

    def next_due(self, handlers: Iterable[str]) -> timedelta | None:
        [row] = self._read(
            """
            SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now,
                (SELECT recorded_at FROM events WHERE routed_at IS NULL LIMIT 1) AS unrouted,
                (SELECT min(leased_until) FROM dispatches WHERE state = 'running') AS leased,
                (SELECT min(first) FROM (
                    SELECT (
                        SELECT due_at FROM dispatches AS due
                        WHERE state = 'pending' AND handler = name.value AND NOT EXISTS (
                            SELECT 1 FROM dispatches AS older
                            WHERE older.source = due.source AND older.job_id = due.job_id
                                AND older.handler = due.handler AND older.id < due.id
                                AND older.state IN ('pending', 'running'))
                        ORDER BY due_at LIMIT 1) AS first
                    FROM json_each(?) AS name)) AS pending
            """,
            (json.dumps(list(handlers)),),
        )
        moments = [row[name] for name in ("unrouted", "leased", "pending") if row[name] is not None]
        if not moments:
            return None
        return max(from_text(min(moments)) - from_text(row["now"]), timedelta(0))

    def waiting(self) -> dict[str, int]:
        rows = self._read("SELECT handler, count(*) AS count FROM dispatches WHERE state = 'pending' GROUP BY handler")
        return {row["handler"]: row["count"] for row in rows}

    def retry(self, dispatch_id: int) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            changed = db.execute(
                """
                UPDATE dispatches SET state = 'pending', due_at = ?, attempt_count = 0, finished_at = NULL
                WHERE id = ? AND state IN ('dead', 'cancelled')
                """,
                (to_text(_now(db)), dispatch_id),
            )
            return changed.rowcount == 1

        changed = self._writer.run(work)
        self.wake()
        return changed

    def replay(self, event_id: int, handlers: Sequence[str]) -> list[int]:
        ids = self._writer.run(lambda db: _replay(db, event_id, handlers))
        self.wake()
        return ids

    # Jobs are watched

    def track(
        self, source: str, job_id: str, *, kind: str, schedule: Schedule, metadata: Mapping[str, Any] | None = None
    ) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            now, known = _now(db), _job_row(db, source, job_id)
            if known is None:
                _insert_job(db, source, job_id, kind, schedule, "track", now, metadata=metadata)
                return True
            db.execute(
                """
                UPDATE jobs SET kind = ?, metadata = json_patch(metadata, ?), origin = 'track', updated_at = ?
                WHERE id = ?
                """,
                (kind, json.dumps(dict(metadata or {}), allow_nan=False), to_text(now), known["id"]),
            )
            if Status(known["status"]).ours:
                _open_again(db, known["id"], schedule, now)
            return False

        return self._writer.run(work)

    def claim_polls(self, source: str, *, budget: Budget, learn: bool, limit: int, lease: timedelta) -> list[Job]:
        if not self.due_jobs(source, limit=1):
            return []
        return self._writer.run(lambda db: _claim_polls(db, source, budget, learn, limit, lease))

    def remember_limits(self, source: str, limits: Limits) -> None:
        def work(db: sqlite3.Connection) -> None:
            now = _now(db)
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
                {
                    "now": to_text(now),
                    "source": source,
                    "count": limits.count,
                    "remaining": limits.remaining,
                    "resets_at": to_text(now + limits.resets_after) if limits.resets_after is not None else None,
                    "paused_until": to_text(now + limits.pause) if limits.pause is not None else None,
                },
            )

        self._writer.run(work)

    def record_poll(self, job: Job, result: PollResult) -> bool:
        return self._writer.run(lambda db: _record_poll(db, job, result))

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
        return [_job(row) for row in rows]

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
        return _job(rows[0]) if rows else None

    # What people look at

    def event(self, event_id: int) -> Event | None:
        rows = self._read("SELECT * FROM events WHERE id = ?", (event_id,))
        return _event(rows[0]) if rows else None

    def list_jobs(self, *, source: str | None, status: str | None, open_only: bool, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT source, job_id AS job, kind, status, raw_status, progress, created_at, deadline_at, next_poll_at,
                finished_at, poll_count, error_count, last_error, metadata
            FROM jobs
            WHERE (:source IS NULL OR source = :source) AND (:status IS NULL OR status = :status)
                AND (NOT :open_only OR finished_at IS NULL)
            ORDER BY id DESC LIMIT :limit
            """,
            {"source": source, "status": status, "open_only": open_only, "limit": limit},
        )

    def list_events(self, *, source: str | None, job_id: str | None, status: str | None, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT events.id, source, type, job_id AS job, kind, status, standing, trust, via, recorded_at, webhook_at,
                poll_at, outputs, failure, key, data,
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

    def list_dispatches(self, *, handler: str | None, state: str | None, event_id: int | None, limit: int) -> list[Row]:
        return self._rows(
            """
            SELECT id, event_id AS event, handler, source, job_id AS job, state, attempt_count, replay, due_at,
                finished_at, error, result, idempotency_key
            FROM dispatches
            WHERE (:handler IS NULL OR handler = :handler) AND (:state IS NULL OR state = :state)
                AND (:event_id IS NULL OR event_id = :event_id)
            ORDER BY id DESC LIMIT :limit
            """,
            {"handler": handler, "state": state, "event_id": event_id, "limit": limit},
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
        return [
            {
                name: json.loads(value) if name in _JSON and value is not None else value
                for name, value in dict(row).items()
            }
            for row in self._read(statement, parameters)
        ]


_JSON = {"metadata", "outputs", "failure", "data", "results", "result", "headers"}


def _connect(path: Path) -> sqlite3.Connection:
    # What providers send is nobody else's business; the WAL gets the same mode. Only ever a new file is opened here:
    # to close any descriptor of a database in use drops all the locks this process holds on it (POSIX), and another
    # process would then take itself for the last one and delete the WAL.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    # Threads share it, one at a time; `isolation_level=None` leaves every BEGIN to us.
    connection = sqlite3.connect(path, timeout=0.1, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Of several processes that switch a new file at once, SQLite turns all but one away without any wait."""
    deadline = time.monotonic() + _LONGEST_SWITCH
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_SWITCH_POLL)
        else:
            return


def _refuse_network_file_system(path: Path) -> None:
    """SQLite's WAL and our `flock` are unsafe between machines.

    Raises:
        ConfigError: the file would be on a file system that we know to be shared over a network.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"store: the folder {folder} does not exist; create it, or set another store")
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return
    inside = [mount for mount in mounts if folder.is_relative_to(mount[1].replace("\\040", " "))]
    # Of several at one place the last covers the others.
    kind = max(reversed(inside), key=lambda mount: len(mount[1]))[2] if inside else ""
    if kind in _NETWORK_FILE_SYSTEMS:
        raise ConfigError(f"store: {folder} is on {kind}, where SQLite is unsafe; use a local disk")


def _now(db: sqlite3.Connection) -> datetime:
    return from_text(db.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()[0])


# Deliveries


def _insert_delivery(db: sqlite3.Connection, record: Record, now: datetime, fingerprint: str | None = None) -> int:
    delivery = record.delivery
    row = db.execute(
        """
        INSERT INTO deliveries (source, via, trust, verdict, note, path, headers, body, fingerprint, received_at,
            last_seen_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
        """,
        (
            delivery.source,
            delivery.via,
            record.trust,
            record.verdict,
            record.note,
            delivery.path,
            json.dumps(dict(delivery.headers)),
            delivery.body,
            fingerprint,
            to_text(delivery.received_at),
            to_text(now),
        ),
    ).fetchone()
    return int(row["id"])


def _count(db: sqlite3.Connection, delivery_id: int, now: datetime) -> None:
    db.execute(
        "UPDATE deliveries SET seen_count = seen_count + 1, last_seen_at = ? WHERE id = ?", (to_text(now), delivery_id)
    )


def _quarantine(db: sqlite3.Connection, refusals: Sequence[Refusal], max_count: int) -> None:
    for refusal in refusals:
        delivery = refusal.delivery
        db.execute(
            """
            INSERT INTO quarantine (source, reason, hint, path, headers, body, received_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            (
                delivery.source,
                refusal.reason,
                refusal.hint,
                delivery.path,
                json.dumps(dict(delivery.headers)),
                delivery.body,
                to_text(delivery.received_at),
            ),
        )
    for source in {refusal.delivery.source for refusal in refusals}:
        db.execute(
            """
            DELETE FROM quarantine WHERE source = :source AND id <= (
                SELECT id FROM quarantine WHERE source = :source ORDER BY id DESC LIMIT 1 OFFSET :most)
            """,
            {"source": source, "most": max_count},
        )


# Events


def _known(db: sqlite3.Connection, event: Event) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT id, delivery_id FROM events WHERE source = ? AND key = ?", (event.source, event.key)
    ).fetchone()
    return row


def _seen_again(db: sqlite3.Connection, event_id: int, via: Via, now: datetime) -> None:
    db.execute(
        """
        UPDATE events SET webhook_at = iif(:via = 'webhook', coalesce(webhook_at, :now), webhook_at),
            poll_at = iif(:via = 'poll', coalesce(poll_at, :now), poll_at)
        WHERE id = :id
        """,
        {"id": event_id, "via": via, "now": to_text(now)},
    )


def _store_event(
    db: sqlite3.Connection, event: Event, record: Record, delivery_id: int, now: datetime
) -> tuple[Event, bool]:
    """Insert a new event and move its job. Also whether its status is a word not seen for the job before."""
    job = _job_row(db, event.source, event.job_id) if event.job_id is not None else None
    # A status word we do not know is progress, as far as we can tell.
    told = event.status or (Status.RUNNING if event.raw_status is not None else None)
    recorded = replace(
        event,
        trust=record.trust,
        via=record.delivery.via,
        standing=standing(Status(job["status"]) if job else None, told),
        recorded_at=now,
    )
    row = db.execute(
        """
        INSERT INTO events (source, key, type, job_id, kind, status, raw_status, standing, trust, via, outputs,
            failure, data, occurred_at, recorded_at, webhook_at, poll_at, delivery_id, routed_at)
        VALUES (:source, :key, :type, :job_id, :kind, :status, :raw_status, :standing, :trust, :via, :outputs,
            :failure, :data, :occurred_at, :now, iif(:via = 'webhook', :now, NULL), iif(:via = 'poll', :now, NULL),
            :delivery_id, iif(:dispatched, NULL, :now))
        RETURNING id
        """,
        {
            "source": recorded.source,
            "key": recorded.key,
            "type": recorded.type,
            "job_id": recorded.job_id,
            "kind": recorded.kind,
            "status": recorded.status,
            "raw_status": recorded.raw_status,
            "standing": recorded.standing,
            "trust": recorded.trust,
            "via": recorded.via,
            "outputs": json.dumps([output.url for output in recorded.outputs]),
            "failure": recorded.failure and json.dumps([recorded.failure.message, recorded.failure.code]),
            "data": json.dumps(recorded.data),
            "occurred_at": recorded.occurred_at and to_text(recorded.occurred_at),
            "now": to_text(now),
            "delivery_id": delivery_id,
            "dispatched": recorded.standing.dispatched,
        },
    ).fetchone()
    recorded = replace(recorded, id=row["id"])
    return recorded, _move_job(db, recorded, job, record.schedules, now)


def _move_job(
    db: sqlite3.Connection, event: Event, job: sqlite3.Row | None, schedules: Mapping[str, Schedule], now: datetime
) -> bool:
    """Bring a job to where the event says it is. True for a status word that is unknown and new for the job."""
    if event.job_id is None or event.kind is None:
        return False
    if job is None:
        _insert_job(
            db, event.source, event.job_id, event.kind, schedules[event.kind], "event", now, status=event.status,
            raw_status=event.raw_status,
        )  # fmt: skip
        return event.status is None
    if not event.standing.dispatched:
        return False
    db.execute(
        """
        UPDATE jobs SET status = coalesce(:status, status), raw_status = :raw_status, updated_at = :now,
            finished_at = iif(:terminal, :now, finished_at), next_poll_at = iif(:terminal, NULL, next_poll_at)
        WHERE id = :id
        """,
        {
            "id": job["id"],
            "status": event.status,
            "raw_status": event.raw_status,
            "terminal": bool(event.status and event.status.terminal),
            "now": to_text(now),
        },
    )
    return event.status is None and event.raw_status != job["raw_status"]


def _close(db: sqlite3.Connection, event: Event, now: datetime) -> None:
    """Close the job of an event that is known, should the job be open: an end that was told stays told."""
    if event.status is None or not event.status.terminal:
        return
    db.execute(
        """
        UPDATE jobs SET status = :status, raw_status = :raw_status, updated_at = :now, finished_at = :now,
            next_poll_at = NULL
        WHERE source = :source AND job_id = :job_id AND finished_at IS NULL
        """,
        {
            "status": event.status,
            "raw_status": event.raw_status,
            "now": to_text(now),
            "source": event.source,
            "job_id": event.job_id,
        },
    )


# Jobs


def _open_again(db: sqlite3.Connection, job: int, schedule: Schedule, now: datetime) -> None:
    db.execute(
        """
        UPDATE jobs SET status = 'queued', finished_at = NULL, deadline_at = ?, next_poll_at = ?, error_count = 0,
            missing_count = 0
        WHERE id = ?
        """,
        (to_text(now + schedule.deadline), to_text(now + schedule.first), job),
    )


def _job_row(db: sqlite3.Connection, source: str, job_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT id, status, raw_status FROM jobs WHERE source = ? AND job_id = ?", (source, job_id)
    ).fetchone()
    return row


def _insert_job(
    db: sqlite3.Connection,
    source: str,
    job_id: str,
    kind: str,
    schedule: Schedule,
    origin: str,
    now: datetime,
    *,
    status: Status | None = None,
    raw_status: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    first_poll: timedelta | None = None,
) -> None:
    status = status or Status.QUEUED
    first_poll = schedule.first if first_poll is None else first_poll
    db.execute(
        """
        INSERT INTO jobs (source, job_id, kind, status, raw_status, metadata, origin, created_at, updated_at,
            finished_at, deadline_at, next_poll_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            source,
            job_id,
            kind,
            status,
            raw_status,
            json.dumps(dict(metadata or {}), allow_nan=False),
            origin,
            to_text(now),
            to_text(now),
            to_text(now) if status.terminal else None,
            to_text(now + schedule.deadline),
            None if status.terminal else to_text(now + first_poll),
        ),
    )


def _claim_polls(
    db: sqlite3.Connection, source: str, budget: Budget, learn: bool, limit: int, lease: timedelta
) -> list[Job]:
    """Take due jobs by moving their next poll past the lease: whoever looks meanwhile does not find them due."""
    now = _now(db)
    left, count = _requests_left(db, source, budget, learn, now)
    jobs = _take_due(db, source, min(left, limit), now, lease, hinted=False)
    left_for_hints = min(left - count // 2, limit) - len(jobs)
    jobs += _take_due(db, source, left_for_hints, now, lease, hinted=True)
    _spend(db, source, len(jobs), now)
    return jobs


def _take_due(
    db: sqlite3.Connection, source: str, most: int, now: datetime, lease: timedelta, *, hinted: bool
) -> list[Job]:
    if most <= 0:
        return []
    rows = db.execute(
        """
        UPDATE jobs SET next_poll_at = :lease, last_poll_at = :now, poll_count = poll_count + 1
        WHERE id IN (
            SELECT id FROM jobs
            WHERE source = :source AND next_poll_at <= :now AND (origin = 'hint') = :hinted
            ORDER BY next_poll_at LIMIT :most)
        RETURNING *
        """,
        {"source": source, "now": to_text(now), "lease": to_text(now + lease), "most": most, "hinted": hinted},
    ).fetchall()
    return [_job(row) for row in rows]


def _requests_left(db: sqlite3.Connection, source: str, budget: Budget, learn: bool, now: datetime) -> tuple[int, int]:
    """How many requests may be sent now, so that no span of time ever holds more than the budget; and its size."""
    db.execute("DELETE FROM requests WHERE source = ? AND sent_at <= ?", (source, to_text(now - budget.per)))
    [sent] = db.execute("SELECT count(*) FROM requests WHERE source = ?", (source,)).fetchone()
    told = db.execute("SELECT * FROM limits WHERE source = ?", (source,)).fetchone()
    if told is None:
        return budget.count - sent, budget.count
    if told["paused_until"] is not None and told["paused_until"] > to_text(now):
        return 0, budget.count
    count = budget.count
    # Some say 0 and mean that there is no limit; believing it, we would never ask again and never hear better.
    if told["count"]:
        count = told["count"] if learn else min(count, told["count"])
    left = count - sent
    if told["remaining"] is not None and told["resets_at"] is not None and told["resets_at"] > to_text(now):
        left = min(left, told["remaining"])
    return left, count


def _spend(db: sqlite3.Connection, source: str, count: int, now: datetime) -> None:
    db.executemany("INSERT INTO requests (source, sent_at) VALUES (?, ?)", [(source, to_text(now))] * count)
    db.execute("UPDATE limits SET remaining = max(remaining - ?, 0) WHERE source = ?", (count, source))


def _record_poll(db: sqlite3.Connection, job: Job, result: PollResult) -> bool:
    now = _now(db)
    row = _job_row(db, job.source, job.job_id)
    if row is None or Status(row["status"]).terminal:
        return False
    new_word = result.raw_status is not None and result.status is None and result.raw_status != row["raw_status"]
    # A terminal status arrives with its event; only that closes a job.
    status = result.status if result.status is not None and not result.status.terminal else None
    db.execute(
        """
        UPDATE jobs SET next_poll_at = :next, updated_at = :now, last_error = :error,
            status = coalesce(:status, status), raw_status = coalesce(:raw_status, raw_status),
            progress = coalesce(:progress, progress),
            error_count = iif(:error IS NULL, 0, error_count + 1),
            missing_count = iif(:missing, missing_count + 1, 0),
            -- A hint that the provider answers for is one no longer.
            origin = iif(origin = 'hint' AND :error IS NULL, 'event', origin)
        WHERE id = :id
        """,
        {
            "id": row["id"],
            "next": to_text(now + result.wait),
            "now": to_text(now),
            "error": result.error,
            "status": status,
            "raw_status": result.raw_status,
            "progress": result.progress,
            "missing": result.missing,
        },
    )
    return new_word


# Dispatches


def _route(db: sqlite3.Connection, plan: Mapping[int, Sequence[str]]) -> int:
    now, created = to_text(_now(db)), 0
    for event_id, handlers in plan.items():
        marked = db.execute("UPDATE events SET routed_at = ? WHERE id = ? AND routed_at IS NULL", (now, event_id))
        if marked.rowcount == 0:
            continue
        for handler in handlers:
            _insert_dispatch(db, event_id, handler, 0, now)
            created += 1
    return created


def _replay(db: sqlite3.Connection, event_id: int, handlers: Sequence[str]) -> list[int]:
    now, ids = to_text(_now(db)), []
    for handler in handlers:
        [replay] = db.execute(
            "SELECT coalesce(max(replay) + 1, 0) FROM dispatches WHERE event_id = ? AND handler = ?",
            (event_id, handler),
        ).fetchone()
        ids.append(_insert_dispatch(db, event_id, handler, replay, now))
    return ids


def _insert_dispatch(db: sqlite3.Connection, event_id: int, handler: str, replay: int, now: str) -> int:
    row = db.execute(
        """
        INSERT INTO dispatches (event_id, handler, replay, source, job_id, state, idempotency_key, due_at, created_at)
        SELECT id, :handler, :replay, source, job_id, 'pending', :key, :now, :now FROM events WHERE id = :event_id
        RETURNING id
        """,
        {"event_id": event_id, "handler": handler, "replay": replay, "key": secrets.token_hex(16), "now": now},
    ).fetchone()
    return int(row["id"])


def _claim(db: sqlite3.Connection, handler: str, free: int, lease: timedelta, worker: str) -> list[Claim]:
    now = _now(db)
    rows = db.execute(
        """
        UPDATE dispatches SET state = 'running', token = lower(hex(randomblob(16))), worker = :worker,
            started_at = :now, leased_until = :until, attempt_count = attempt_count + 1
        WHERE id IN (
            SELECT id FROM dispatches AS due
            WHERE handler = :handler AND state = 'pending' AND due_at <= :now AND NOT EXISTS (
                SELECT 1 FROM dispatches AS older
                WHERE older.source = due.source AND older.job_id = due.job_id AND older.handler = due.handler
                    AND older.id < due.id AND older.state IN ('pending', 'running'))
            ORDER BY due_at, id LIMIT :free)
        RETURNING id, token, event_id, handler, attempt_count, idempotency_key, source, job_id
        """,
        {"handler": handler, "free": free, "worker": worker, "now": to_text(now), "until": to_text(now + lease)},
    ).fetchall()
    claims = []
    for row in sorted(rows, key=lambda row: row["id"]):
        event = db.execute("SELECT * FROM events WHERE id = ?", (row["event_id"],)).fetchone()
        job = db.execute(
            "SELECT * FROM jobs WHERE source = ? AND job_id = ?", (row["source"], row["job_id"])
        ).fetchone()
        claims.append(
            Claim(
                id=row["id"],
                token=row["token"],
                handler=row["handler"],
                attempt=row["attempt_count"],
                idempotency_key=row["idempotency_key"],
                event=_event(event),
                job=_job(job) if job is not None else None,
            )
        )
    return claims


def _finish(db: sqlite3.Connection, claim: Claim, outcome: Outcome) -> State | None:
    now, state = _now(db), outcome.decision.state
    parameters = {
        "id": claim.id,
        "token": claim.token,
        "state": state,
        "due": to_text(now + outcome.wait),
        "now": to_text(now),
        "over": state is not State.PENDING,
        "snoozed": outcome.decision is Decision.SNOOZE,
        "outcome": outcome.decision,
        "number": claim.attempt,
        "error": outcome.error and outcome.error[:_LONGEST_ERROR].encode("utf-8", "replace").decode(),
        "result": json.dumps(dict(outcome.result)) if outcome.result is not None else None,
    }
    attempt = db.execute(
        """
        INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
        SELECT id, :number, worker, started_at, :now, :outcome, :error FROM dispatches WHERE id = :id AND token = :token
        """,
        parameters,
    )
    if attempt.rowcount == 0:
        return None
    db.execute(
        """
        UPDATE dispatches SET state = :state, due_at = :due, token = NULL, leased_until = NULL, error = :error,
            result = :result, attempt_count = attempt_count - :snoozed, finished_at = iif(:over, :now, NULL)
        WHERE id = :id AND token = :token
        """,
        parameters,
    )
    return state


def _sweep(db: sqlite3.Connection, spared: set[str]) -> int:
    now = _now(db)
    lapsed = db.execute(
        "SELECT id, token, attempt_count FROM dispatches WHERE state = 'running' AND leased_until < ?", (to_text(now),)
    ).fetchall()
    lapsed = [row for row in lapsed if row["token"] not in spared]
    for row in lapsed:
        db.execute(
            """
            INSERT INTO attempts (dispatch_id, number, worker, started_at, ended_at, outcome, error)
            SELECT id, attempt_count, worker, started_at, ?, 'lost', 'the worker died or froze: its lease ended'
            FROM dispatches WHERE id = ?
            """,
            (to_text(now), row["id"]),
        )
        db.execute(
            "UPDATE dispatches SET state = 'pending', due_at = ?, token = NULL, leased_until = NULL WHERE id = ?",
            (to_text(now + after_loss(row["attempt_count"])), row["id"]),
        )
    return len(lapsed)


# Rows and values


def _event(row: sqlite3.Row) -> Event:
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
        outputs=tuple(Output(url) for url in json.loads(row["outputs"])),
        failure=Failure(*failure) if failure is not None else None,
        occurred_at=_moment(row["occurred_at"]),
        trust=Trust(row["trust"]),
        via=Via(row["via"]),
        standing=Standing(row["standing"]),
        recorded_at=_moment(row["recorded_at"]),
    )


def _job(row: sqlite3.Row) -> Job:
    return Job(
        source=row["source"],
        job_id=row["job_id"],
        kind=row["kind"],
        status=Status(row["status"]),
        raw_status=row["raw_status"],
        progress=row["progress"],
        metadata=json.loads(row["metadata"]),
        created_at=from_text(row["created_at"]),
        finished_at=_moment(row["finished_at"]),
        deadline_at=from_text(row["deadline_at"]),
        next_poll_at=_moment(row["next_poll_at"]),
        poll_count=row["poll_count"],
        error_count=row["error_count"],
        origin=Origin(row["origin"]),
        missing_count=row["missing_count"],
        last_error=row["last_error"],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)
