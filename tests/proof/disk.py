"""What a disk may hold after a power cut, told from a log of what was written and synced (`write_log.c`)."""

import mmap
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import pytest

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
    compiler = shutil.which("cc")
    if compiler is None:
        missing = "no C compiler: apt-get install gcc libc6-dev"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    library = folder / "write_log.so"
    code = Path(__file__).with_name("write_log.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(code), "-ldl"], check=True)
    log.touch()
    return {"LD_PRELOAD": str(library), "WRITE_LOG": str(log), "WRITE_LOG_OF": str(database.resolve())}


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
        """What each stood for when the folder was last synced."""

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
            self._entries[record.path] = None
        elif not _is_sync(record):
            self._file(record.path).pending.append(record)
        elif not self._heed_syncs:
            pass
        elif record.kind is Kind.SYNC:
            self._file(record.path).sync(record.began)
        else:
            self._synced_entries = dict(self._entries)

    def _file(self, path: str) -> _File:
        file = self._entries.get(path)
        if file is None:
            file = self._entries[path] = _File()
        return file

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
