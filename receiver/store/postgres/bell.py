"""Wakes workers on every node: NOTIFY, heard by LISTEN."""

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from receiver.errors import StoreUnavailable
from receiver.store.postgres.connection import Connection

_CONNECT_AGAIN_AFTER = 1.0
_LONGEST_GOODBYE = 5.0
_RING, _LISTEN = b"!", b"."
_MANY = 4096


class Bell:
    """A thread that rings and listens, so that nobody who rings waits for the database.

    Who listens in vain looks by itself now and then: a transaction pooler brings no notifications, and while the
    connection is lost none is heard.
    """

    def __init__(self, connect: Callable[[], Connection], tell: Callable[[], None]) -> None:
        """`connect` makes the connection to listen on, `tell` notifies everyone."""
        self._connect = connect
        self._tell = tell
        self._heard = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked, self._asks = os.pipe()
        os.set_blocking(self._asked, False)
        os.set_blocking(self._asks, False)
        self._listens = False
        self._closed = False

    def ring(self) -> None:
        """Wake everyone who waits, on every node. Any thread may call it."""
        self._ask_for(_RING)

    def ring_here(self) -> None:
        """Wake who waits in this process."""
        self._heard.set()

    def wait(self, timeout: float) -> None:
        """Sleep until someone rings, at most `timeout` seconds. Rings since the last wait count."""
        if not self._listens:
            self._listens = True
            self._ask_for(_LISTEN)
        self._heard.wait(max(timeout, 0))
        self._heard.clear()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        thread = self._thread
        if thread is not None:
            self._ask_for(_LISTEN)
            thread.join(_LONGEST_GOODBYE)
        if thread is None or not thread.is_alive():
            os.close(self._asked)
            os.close(self._asks)

    def _ask_for(self, what: bytes) -> None:
        # Whoever has the lock starts it.
        if self._thread is None and self._guard.acquire(blocking=False):
            try:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                    self._thread.start()
            finally:
                self._guard.release()
        # A pipe that is full will be read.
        with suppress(BlockingIOError):
            os.write(self._asks, what)

    def _run(self) -> None:
        line: Connection | None = None
        while not self._closed:
            if self._listens and line is None:
                line = self._listening()
            again_after = _CONNECT_AGAIN_AFTER if self._listens and line is None else None
            ears = [self._asked] if line is None else [self._asked, line.fileno()]
            ready, _, _ = select.select(ears, [], [], again_after)
            if self._asked in ready and _RING in os.read(self._asked, _MANY):
                self._heard.set()
                with suppress(StoreUnavailable):
                    self._tell()
            if line is not None and line.fileno() in ready and not self._hears(line):
                line.close()
                line = None
        if line is not None:
            line.close()

    def _listening(self) -> Connection | None:
        try:
            line = self._connect()
        except psycopg.Error:
            return None
        # What was rung while nobody listened.
        self._heard.set()
        return line

    def _hears(self, line: Connection) -> bool:
        try:
            for _ in line.notifies(timeout=0):
                self._heard.set()
        except psycopg.Error:
            return False
        return True
