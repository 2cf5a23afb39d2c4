"""A few connections for many threads, and transactions that end in time."""

import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from receiver import signals
from receiver.errors import StoreUnavailable
from receiver.signals import announce
from receiver.store.postgres.connection import Address, Connection
from receiver.store.sealing import UNSEALED, Seal

T = TypeVar("T")
Work = Callable[[Connection], T]

_SIZE = 8
# The server's limit comes first: it says what took so long, and leaves the connection usable.
_GRACE = 0.5
_CANCEL_WITHIN = 1.0
_PATIENCE = 120.0
_TRIES = 5
_LOST_A_RACE = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)


class Pool:
    """Opens connections as they are needed, in the thread that needs one, so that nothing crosses a fork."""

    def __init__(self, address: Address, *, timeout: timedelta, seal: Seal = UNSEALED) -> None:
        self._address = address
        self.seal = seal
        self._timeout = timeout.total_seconds()
        self._idle: deque[Connection] = deque()
        self._places = threading.BoundedSemaphore(_SIZE)

    def without_keys(self) -> "Pool":
        """Another one, to the same database, whose rows come as they are kept."""
        return Pool(self._address, timeout=timedelta(seconds=self._timeout))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def run(self, work: Work[T], *, deadline: float | None = None, lock_timeout: timedelta | None = None) -> T:
        """Do the work in a transaction and return its result once that is durable; by default in the usual time.

        With a `lock_timeout` it waits for no lock longer than that.

        Work that lost a race against another node's is done again from the start.

        If the connection is lost while it commits, nobody knows whether it did. Then this raises, too: a sender that
        hears 503 sends the delivery again, whose keys are known if it did. What has no key of its own is not as safe:
        a replay or an intent that is asked for again may be there twice, a budget spent twice, and what was claimed
        waits until its lease ends.

        Raises:
            StoreUnavailable: it could not be committed in time; nothing of it is stored, but for that case.
        """
        deadline = time.monotonic() + self._timeout if deadline is None else deadline
        begin = partial(_begin, deadline=deadline, lock_timeout=lock_timeout or timedelta(0))
        for attempt in range(1, _TRIES + 1):
            try:
                began = time.monotonic()
                with self._unavailable("commit"), self._lent(deadline, begin) as (db, _):
                    result = work(db)
                    db.execute("COMMIT")
                announce(signals.store_committed, None, seconds=time.monotonic() - began)
                return result
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, _LOST_A_RACE) or attempt == _TRIES or time.monotonic() > deadline:
                    raise
                # Those that met would meet again.
                time.sleep(random.random() * 0.005 * attempt)  # noqa: S311 - spreads load, hides nothing
        raise AssertionError("unreachable")

    def read(
        self, statement: LiteralString, parameters: Mapping[str, Any] | Sequence[Any] = (), *, patient: bool = False
    ) -> list[dict[str, Any]]:
        """The rows of one statement that changes nothing; `patient` where a person waits for a large answer.

        Raises:
            StoreUnavailable: there was no answer in time.
        """
        deadline = time.monotonic() + (_PATIENCE if patient else self._timeout)

        def ask(db: Connection) -> list[dict[str, Any]]:
            try:
                return db.execute(statement, parameters).fetchall()
            except psycopg.OperationalError:
                if db.info.transaction_status is TransactionStatus.ACTIVE:
                    with suppress(psycopg.Error):
                        db.cancel_safe(timeout=_CANCEL_WITHIN)
                raise

        with self._unavailable("be read"), self._lent(deadline, ask) as (_, rows):
            return rows

    def notify(self) -> None:
        """Tell everyone who listens.

        In a transaction of its own, and one that nobody waits for: of those that notify, PostgreSQL commits one at a
        time in the whole cluster, so that deliveries would wait for each other's syncs.

        Raises:
            StoreUnavailable: it could not be done in time.
        """
        deadline = time.monotonic() + self._timeout
        with self._unavailable("notify"), self._lent(deadline, _notify):
            pass

    def listen(self) -> Connection:
        """A connection that hears what `notify` tells."""
        line = self._address.connect(timeout=self._timeout)
        line.deadline = time.monotonic() + self._timeout
        try:
            line.execute("LISTEN receiver")
        except BaseException:
            line.close()
            raise
        line.deadline = math.inf
        return line

    @contextmanager
    def _unavailable(self, what: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            told = str(error).strip().partition("\n")[0] or type(error).__name__
            raise StoreUnavailable(f"the store cannot {what}: {self._address.masked(told)}") from error

    @contextmanager
    def _lent(self, deadline: float, first: Work[T]) -> Iterator[tuple[Connection, T]]:
        """A connection, and what came of the first thing done with it."""
        if not self._places.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise StoreUnavailable("the store is busy: every connection to it is in use")
        try:
            db, done = self._started(deadline, first)
            try:
                yield db, done
            finally:
                self._take_back(db)
        finally:
            self._places.release()

    def _started(self, deadline: float, first: Work[T]) -> tuple[Connection, T]:
        while True:
            try:
                db, idle = self._idle.pop(), True
            except IndexError:
                db, idle = self._address.connect(timeout=deadline - time.monotonic()), False
                # Without a handler, notifications that a pooler lets through to us would be kept for ever.
                db.add_notify_handler(lambda notify: None)
                db.set_seal(self.seal)
            db.deadline = deadline + _GRACE
            try:
                return db, first(db)
            except BaseException as error:
                # One that lay idle may have died meanwhile, which shows only now; nothing has been done yet.
                died = idle and db.closed and isinstance(error, psycopg.OperationalError)
                self._take_back(db)
                if not died:
                    raise

    def _take_back(self, db: Connection) -> None:
        """Keep a connection for whoever needs one next, if it can be used again."""
        status = db.info.transaction_status
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                db.execute("ROLLBACK")
        if db.info.transaction_status is TransactionStatus.IDLE:
            db.deadline = math.inf
            self._idle.append(db)
        else:
            db.close()


def _begin(db: Connection, *, deadline: float, lock_timeout: timedelta) -> None:
    """Begin a transaction that the server itself ends, should it take too long or its client fall silent.

    A node that freezes would else keep its locks, and every other node waiting. All settings end with the transaction,
    so that they pass through a pooler; the last keeps one that commits without a sync from losing what we acknowledge.
    """
    limit = max(math.ceil((deadline - time.monotonic()) * 1000), 1)
    # In a cursor for text, several statements make one round trip.
    told = psycopg.Cursor(db, row_factory=tuple_row).execute(
        f"""
        BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
        SET LOCAL statement_timeout = {limit};
        SET LOCAL idle_in_transaction_session_timeout = {limit};
        SET LOCAL lock_timeout = {math.ceil(lock_timeout / timedelta(milliseconds=1))};
        SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
        SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
        """.encode()  # noqa: S608 - numbers of ours
    )
    while told.nextset():
        pass
    [(milliseconds,)] = told.fetchall()
    db.began_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def _notify(db: Connection) -> None:
    psycopg.Cursor(db).execute("BEGIN; SET LOCAL synchronous_commit = off; NOTIFY receiver; COMMIT")
