"""Opening the file so that what is committed is on disk, and refusing where that cannot be had."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from receiver.clock import from_text
from receiver.errors import ConfigError
from receiver.store.sealing import UNSEALED, Seal

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
_LONGEST_SWITCH = 5.0
_SWITCH_POLL = 0.005
_ROWS_AT_ONCE = 32
_STATEMENTS_KEPT = 256


class Connection(sqlite3.Connection):
    """One that knows how to seal. What its rows have sealed, it opens."""

    seal = UNSEALED

    def set_seal(self, seal: Seal) -> None:
        """Seal and open with these keys."""
        self.seal = seal
        # Without keys there is nothing to open, and rows come as fast as SQLite gives them.
        self.row_factory = partial(_opened, seal) if seal else sqlite3.Row


def _opened(seal: Seal, cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> sqlite3.Row:
    row = sqlite3.Row(cursor, values)
    opened = seal.opened(dict(row))
    if not opened:
        return row
    return sqlite3.Row(cursor, tuple(opened.get(name, value) for name, value in zip(row.keys(), values, strict=True)))


def connect(path: Path, seal: Seal = UNSEALED) -> Connection:
    # What providers send is nobody else's business; the WAL gets the same mode. Only ever a new file is opened here:
    # to close any descriptor of a database in use drops all the locks this process holds on it (POSIX), and another
    # process would then take itself for the last one and delete the WAL.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    # Threads share it, one at a time; `isolation_level=None` leaves every BEGIN to us.
    connection = sqlite3.connect(
        path,
        timeout=0.1,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_KEPT,
        factory=Connection,
    )
    connection.set_seal(seal)
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


def refuse_network_file_system(path: Path) -> None:
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


def now_in(db: sqlite3.Connection) -> datetime:
    return from_text(db.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()[0])


def next_id(db: sqlite3.Connection, table: str) -> int:
    """The id that the table's next row would get."""
    [row] = db.execute(f"SELECT coalesce(max(id), 0) + 1 AS id FROM {table}")  # noqa: S608 - a name of ours
    return int(row["id"])


def insert_rows(db: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows of the same columns, many with each statement: `executemany` makes one of each."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        columns = list(some[0])
        places = ", ".join([f"({', '.join('?' * len(columns))})"] * len(some))
        db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES {places}",  # noqa: S608 - names of ours
            [row[column] for row in some for column in columns],
        )
