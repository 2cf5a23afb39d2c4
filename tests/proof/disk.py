"""What a disk may hold after a power cut, told from a log of what was written and synced (`write_log.c`)."""

import mmap
import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from tests.preload import library

_HEAD = struct.Struct("=6q")
_SECTOR = 512
_NANOSECONDS = 10**9


class Kind(IntEnum):
    """As in `write_log.c`."""

    WRITE = 1
    TRUNCATE = 2
    DELETE = 3
    SYNC = 4
    SYNC_FOLDER = 5


@dataclass(frozen=True)
class Record:
    """Something that a process did. Times are in seconds of the monotonic clock."""

    kind: Kind
    path: str
    began: float
    ended: float
    offset: int
    """Of a truncation, the new size."""
    data: memoryview


def preloaded(folder: Path, log: Path, database: Path) -> dict[str, str]:
    """The variables that have a process note in `log` what it does to a database's files."""
    preloaded = library(Path(__file__).with_name("write_log.c"), folder)
    log.touch()
    return {"LD_PRELOAD": str(preloaded), "WRITE_LOG": str(log), "WRITE_LOG_OF": str(database.resolve())}


def records(log: Path) -> Iterator[Record]:
    """What the log tells, in the order in which it was noted."""
    with log.open("rb") as file:
        noted = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    start = 0
    while start < len(noted):
        began, ended, kind, offset, path_length, length = _HEAD.unpack_from(noted, start)
        data = start + _HEAD.size + path_length
        path = bytes(noted[start + _HEAD.size : data]).decode()
        start = data + length
        yield Record(Kind(kind), path, began / _NANOSECONDS, ended / _NANOSECONDS, offset, noted[data:start])


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    """What is there for certain."""
    pending: list[Record] = field(default_factory=list)
    """What may or may not be there, in whatever parts."""

    def sync(self, since: float) -> None:
        """What was done before then is there for certain."""
        done = [record for record in self.pending if record.ended <= since]
        for record in done:
            _apply(self.synced, record)
        self.pending = [record for record in self.pending if record.ended > since]


@dataclass
class Cut:
    """What a power cut left, by path, and how much of what was not synced is lost with it."""

    files: dict[str, bytearray] = field(default_factory=dict)
    lost: int = 0
    torn: int = 0


class Disk:
    """Goes through a log up to any moment; only forwards."""

    def __init__(self, log: Iterable[Record], *, heed_syncs: bool = True) -> None:
        # A sync counts from when it ended, anything else may be on disk from when it began.
        by_time = sorted(log, key=lambda record: record.ended if _is_sync(record) else record.began)
        self._rest = iter(by_time)
        self._next = next(self._rest, None)
        self._heed_syncs = heed_syncs
        self._entries: dict[str, _File | None] = {}
        """What each name stands for now."""
        self._synced_entries: dict[str, _File | None] = {}
        """What each stands for after a power cut for certain."""
        self._named: list[tuple[Record, _File | None]] = []
        """Names made or deleted of which the folder was not yet synced, with what they stand for since."""

    def advance(self, moment: float) -> None:
        """Go on to a moment."""
        while self._next is not None:
            record = self._next
            if (record.ended if _is_sync(record) else record.began) > moment:
                return
            self._do(record)
            self._next = next(self._rest, None)

    def _do(self, record: Record) -> None:
        if record.kind is Kind.DELETE:
            self._name(record, None)
        elif record.kind is Kind.SYNC_FOLDER:
            if self._heed_syncs:
                self._sync_names(record.began)
        elif record.kind is not Kind.SYNC:
            self._file(record).pending.append(record)
        elif self._heed_syncs:
            self._file(record).sync(record.began)

    def _file(self, record: Record) -> _File:
        file = self._entries.get(record.path)
        if file is None:
            file = _File()
            self._name(record, file)
        return file

    def _name(self, record: Record, file: _File | None) -> None:
        self._entries[record.path] = file
        self._named.append((record, file))

    def _sync_names(self, since: float) -> None:
        """What names stood for by then, they stand for for certain."""
        for record, file in self._named:
            if record.ended <= since:
                self._synced_entries[record.path] = file
        self._named = [(record, file) for record, file in self._named if record.ended > since]

    def cut(self, chance: random.Random) -> Cut:
        """What may be left if the power fails now: all, nothing, or any sectors of what was not synced."""
        kept, cut = chance.choice([0.0, *[chance.random()] * 3, 1.0]), Cut()
        for path, file in self._entries.items():
            before = self._synced_entries.get(path)
            found = file if file is before or chance.random() < kept else before
            if found is not None:
                cut.files[path] = _left(found, kept, chance, cut)
        return cut

    def whole(self) -> dict[str, bytes]:
        """What the files hold as long as the power is there."""
        files = {}
        for path, file in self._entries.items():
            if file is not None:
                files[path] = bytes(_left(file, 1.0, random.Random(), Cut()))  # noqa: S311 - hides nothing
        return files


def _is_sync(record: Record) -> bool:
    return record.kind in (Kind.SYNC, Kind.SYNC_FOLDER)


def _left(file: _File, kept: float, chance: random.Random, cut: Cut) -> bytearray:
    content = bytearray(file.synced)
    for record in file.pending:
        if record.kind is Kind.TRUNCATE:
            if chance.random() < kept:
                _apply(content, record)
            continue
        sectors = range(0, len(record.data), _SECTOR)
        survived = [start for start in sectors if chance.random() < kept]
        cut.lost += not survived
        cut.torn += 0 < len(survived) < len(sectors)
        for start in survived:
            _put(content, record.offset + start, record.data[start : start + _SECTOR])
    return content


def _apply(content: bytearray, record: Record) -> None:
    if record.kind is Kind.WRITE:
        _put(content, record.offset, record.data)
    else:
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))


def _put(content: bytearray, offset: int, data: memoryview) -> None:
    # What lies between the old end and a write behind it reads as zeros.
    content.extend(bytes(max(offset + len(data) - len(content), 0)))
    content[offset : offset + len(data)] = data
