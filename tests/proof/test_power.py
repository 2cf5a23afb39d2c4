"""The power fails at any moment: SQLite's files, as a disk may then hold them, have all that was acknowledged."""

import random
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from receiver.errors import StoreUnavailable
from receiver.store.sqlite import SQLiteStore
from tests.proof.disk import Cut, Disk, Kind, Record, preloaded, records
from tests.proof.load import Journal, Load, Posted, read_back
from tests.running import Running
from tests.watch import eventually

_POSTED_WITHIN = 300


@dataclass(frozen=True)
class Size:
    """How much is posted, and at how many moments the power fails."""

    deliveries: int
    cuts: int


@dataclass
class Evidence:
    """What was acknowledged when, what was written and synced, and what the files were in the end."""

    posted: list[Posted]
    log: list[Record]
    database: Path

    def moments(self) -> Iterator[float]:
        """Half of them right after an acknowledgement, half in the middle of a write: of the WAL, or to the file."""
        answers = [posted.answered_at for posted in self.posted]
        writes = [each for each in self.log if each.kind is Kind.WRITE and each.began > min(answers)]
        copied = [each for each in writes if each.path == str(self.database)]
        while True:
            yield random.choice(answers)  # noqa: S311 - any will do
            yield random.choice(writes).began  # noqa: S311
            yield random.choice(answers)  # noqa: S311
            yield random.choice(copied).began  # noqa: S311


@dataclass
class Outage:
    """A power cut, and what was found after it."""

    cut: Cut
    acknowledged: set[str]
    """The hashes of what had been acknowledged by then."""
    found: set[str]
    integrity: str


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(Size(deliveries=60, cuts=30), id="short"),
        pytest.param(Size(deliveries=1500, cuts=400), id="full", marks=pytest.mark.drill),
    ],
)
def size(request):
    return request.param


@pytest.fixture(scope="module")
def evidence(size, tmp_path_factory):
    """A receiver has taken webhooks and run their handler, and has ended; all it wrote is known."""
    folder = tmp_path_factory.mktemp("power")
    Journal(folder, run=timedelta(0))
    # In a folder of its own, whose syncs are then about nothing else.
    database, log = folder / "store" / "receiver.db", folder / "log"
    database.parent.mkdir()
    receiver = Running(folder, '[handlers.work]\npath = "work.py"', settings={"store": f"sqlite:///{database}"})
    with pytest.MonkeyPatch.context() as environment, closing(Load([receiver.url])) as load:
        for name, value in preloaded(folder, log, database).items():
            environment.setenv(name, value)
        with receiver.serving(), load.posting(pause=timedelta(0)):
            eventually(lambda: len(load.posted) >= size.deliveries, within=_POSTED_WITHIN)
    return Evidence(load.posted, list(records(log)), database)


@pytest.fixture(scope="module")
def outages(size, evidence, tmp_path_factory):
    """The power fails at many moments, and each time a receiver is started on what is left."""
    disk, folder = Disk(evidence.log), tmp_path_factory.mktemp("left")
    return [
        _outage(disk, evidence, moment, folder / str(number))
        for number, moment in enumerate(sorted(islice(evidence.moments(), size.cuts)))
    ]


def _outage(disk: Disk, evidence: Evidence, moment: float, folder: Path) -> Outage:
    disk.advance(moment)
    cut = disk.cut(random.Random())  # noqa: S311
    folder.mkdir()
    for path, content in cut.files.items():
        # The WAL's index is made anew after a crash.
        if not path.endswith("-shm"):
            (folder / Path(path).name).write_bytes(content)
    found, integrity = _found(folder / evidence.database.name)
    shutil.rmtree(folder)
    acknowledged = {posted.digest for posted in evidence.posted if posted.answered_at <= moment}
    return Outage(cut, acknowledged, found, integrity)


def _found(database: Path) -> tuple[set[str], str]:
    """The hashes of the deliveries that a receiver finds there, and what SQLite says of the file."""
    try:
        with closing(SQLiteStore(database)) as store:
            found = set(read_back(store))
        with closing(sqlite3.connect(database)) as connection:
            [(integrity,)] = connection.execute("PRAGMA integrity_check(1)")
    except (StoreUnavailable, sqlite3.Error, zlib.error) as error:
        return set(), str(error)
    return found, integrity


@pytest.fixture
def figure(record_property):
    """Adds a figure to the drill's row."""
    record_property("drill", "power cut")
    record_property("store", "SQLite")
    return record_property


def test_all_that_is_written_is_known(evidence, figure):
    figure("writes", sum(record.kind is Kind.WRITE for record in evidence.log))
    figure("syncs", sum(record.kind in (Kind.SYNC, Kind.SYNC_FOLDER) for record in evidence.log))
    disk = Disk(evidence.log)
    disk.advance(evidence.log[-1].ended)

    assert disk.whole()[str(evidence.database)] == evidence.database.read_bytes()


def test_all_that_was_acknowledged_before_a_power_cut_is_there_after_it(outages, figure):
    lost = [outage.acknowledged - outage.found for outage in outages]
    figure("power cuts", len(outages))
    figure("acknowledged deliveries looked for", sum(len(outage.acknowledged) for outage in outages))
    figure("lost", sum(map(len, lost)))

    assert not any(lost)


def test_the_file_is_sound_after_a_power_cut(outages, figure):
    damaged = [outage.integrity for outage in outages if outage.integrity != "ok"]
    figure("damaged files", len(damaged))

    assert damaged == []


def test_writes_were_lost_and_torn(outages, figure):
    """Otherwise the drill shows nothing."""
    lost, torn = sum(outage.cut.lost for outage in outages), sum(outage.cut.torn for outage in outages)
    figure("writes lost with the power", lost)
    figure("writes torn", torn)

    assert lost
    assert torn


def test_a_disk_that_heeds_no_sync_loses_what_was_acknowledged(size, evidence, tmp_path, figure):
    """Otherwise the drill could not fail."""
    disk, moment = Disk(evidence.log, heed_syncs=False), evidence.posted[-1].answered_at
    outages = [_outage(disk, evidence, moment, tmp_path / str(number)) for number in range(size.cuts // 4)]
    losing = sum(bool(outage.acknowledged - outage.found) for outage in outages)
    figure("on a disk that heeds no sync", f"{losing} of {len(outages)} lose something")

    assert losing
