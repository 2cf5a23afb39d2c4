"""Connections: where they lead, how long they may take, and how values pass."""

import math
import re
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format
from psycopg.rows import DictRow, RowMaker, dict_row
from psycopg.types.string import StrDumperUnknown

from receiver.clock import to_text
from receiver.errors import ConfigError
from receiver.masking import mask_values
from receiver.store.sealing import UNSEALED, Seal

T = TypeVar("T")

SCHEMES = ("postgresql://", "postgres://")

_SECRETS = ("password", "sslpassword")
_SHORTEST_CONNECT = 2
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NEVER_UNASKED = sys.maxsize
_ESCAPE = "\x1a"
_UNKEEPABLE = re.compile("[\0\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")


class Connection(psycopg.Connection[DictRow]):
    """One that gives up at its deadline: a server that hangs tells no error, and its own limits hang with it."""

    deadline = math.inf
    began_at = _EPOCH
    """What the database's clock said as the transaction began."""
    seal = UNSEALED

    def set_seal(self, seal: Seal) -> None:
        """Seal with these keys, and open what rows have sealed."""
        self.seal = seal
        self.row_factory = partial(_opened_rows, seal) if seal else dict_row

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if math.isinf(self.deadline):
            return super().wait(gen, interval, timeout)
        return super().wait(gen, interval, max(self.deadline - time.monotonic(), 0.0))


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows of the same names, turned, as `unnest` takes them: of each name the values of all."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def _opened_rows(seal: Seal, cursor: psycopg.Cursor[Any]) -> RowMaker[DictRow]:
    row_of = dict_row(cursor)

    def opened(values: Sequence[Any]) -> DictRow:
        row = row_of(values)
        return row | seal.opened(row)

    return opened


class _Cursor(psycopg.Cursor[DictRow]):
    """Takes results in binary: they then depend on no setting of the server, such as its time zone."""

    def __init__(self, connection: Connection, **settings: Any) -> None:
        super().__init__(connection, **settings)
        self.format = Format.BINARY


class Address:
    """Where the database is. Its text form holds no secret."""

    def __init__(self, url: str) -> None:
        """The address that a URL names, as PostgreSQL's own library reads it.

        Raises:
            ConfigError: it is none; the text quotes nothing of it, because a password may be anywhere.
        """
        try:
            self._parameters = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        except psycopg.Error:
            raise _unreadable() from None
        # What follows an @ or a / in a password is taken for something else, which errors would show.
        host, database, port = (self._parameters.get(name, "") for name in ("host", "dbname", "port"))
        if "@" in host or "@" in database or not re.fullmatch(r"[\d,]*", port):
            raise _unreadable()

    def __str__(self) -> str:
        parts = [f"{name}={self._parameters[name]}" for name in ("host", "port", "dbname") if name in self._parameters]
        return " ".join(parts) or "the default server"

    def masked(self, text: object) -> str:
        """The text without the address's secrets."""
        return mask_values(str(text), [self._parameters[name] for name in _SECRETS if name in self._parameters])

    def connect(self, *, timeout: float) -> Connection:
        """A new connection, which may lead through a transaction pooler: it then keeps nothing in its session.

        Without one, it keeps prepared what is executed with `prepare=True`.
        """
        defaults: Mapping[str, Any] = {
            "application_name": "receiver",
            "connect_timeout": max(math.ceil(timeout), _SHORTEST_CONNECT),
            # A database of another encoding is refused; one without any would give bytes for text.
            "client_encoding": "UTF8",
        }
        connection = Connection.connect(
            **{**defaults, **self._parameters},
            autocommit=True,
            # A prepared statement is one server process's, and a pooler gives us another for each transaction.
            prepare_threshold=None,
            row_factory=dict_row,
            cursor_factory=_Cursor,
            context=_ADAPTERS,
        )
        try:
            connection.deadline = time.monotonic() + timeout
            # A pooler that shares server processes cannot tell the id of one as a connection begins.
            [server] = connection.execute("SELECT pg_backend_pid() AS pid").fetchall()
            if server["pid"] == connection.info.backend_pid:
                connection.prepare_threshold = _NEVER_UNASKED
            connection.deadline = math.inf
        except BaseException:
            connection.close()
            raise
        return connection


def _unreadable() -> ConfigError:
    return ConfigError(
        'store: write "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"; in the user name and the password, '
        "@ is %40, : is %3A, / is %2F, ? is %3F, # is %23 and % is %25"
    )


class _TimeLoader(Loader):
    """Gives a time as text, in the form that SQLite's rows have."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        [microseconds] = struct.unpack("!q", data)
        return to_text(_EPOCH + timedelta(microseconds=microseconds))


class _TextDumper(StrDumperUnknown):
    """Escapes what PostgreSQL keeps in no text: NUL and halves of surrogate pairs. Strangers may send them anywhere."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(_escaped(obj))


class _ListDumper(Dumper):
    """Writes a list of texts, bytes or numbers as an array, escaped likewise. Statements say of what type it is.

    Deliveries come in as arrays, and psycopg, which looks up how to write each item, takes seven times as long.
    """

    def dump(self, obj: list[Any]) -> Buffer:
        return _escaped(f"{{{','.join(map(_item, obj))}}}").encode()


def _item(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    if value is None or isinstance(value, int | float):
        return "NULL" if value is None else str(value)
    raise TypeError(f"a {type(value).__name__} is no item of an array here")


def _escaped(text: str) -> str:
    return _UNKEEPABLE.sub(lambda match: f"{_ESCAPE}{ord(match[0]):04x}", text)


class _TextLoader(Loader):
    """Undoes what `_TextDumper` did."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if _ESCAPE in text else text


def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_dumper(str, _TextDumper)
    adapters.register_dumper(list, _ListDumper)
    adapters.register_loader("text", _TextLoader)
    adapters.register_loader("timestamptz", _TimeLoader)
    return adapters


class _Context:
    """What psycopg takes adapters from."""

    adapters = _adapters()
    connection = None


_ADAPTERS = _Context()
