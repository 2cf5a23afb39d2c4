"""Answer and store agree, whatever ails the store: 2xx means stored, and 503 means to send it again.

What was answered 503 is not stored. Only if PostgreSQL fell silent in the middle of a commit may it be, and then it is
known when it comes again.
"""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from receiver.config import load
from receiver.store import open_store
from tests import postgres, trouble
from tests.proof.load import Journal, Load, every, read_back, settled
from tests.proof.node import WEB_WORKER, Node
from tests.running import Running
from tests.watch import eventually

_WITHIN = 120
_FEWEST = 10
_ROUNDS = 10
_PAUSE = timedelta(milliseconds=30)


class Site:
    """A receiver under load."""

    def __init__(self, folder: Path, store_url: str) -> None:
        Journal(folder)
        settings = {"store": store_url, "commit_timeout": "500ms"}
        self._running = Running(folder, '[handlers.work]\npath = "work.py"\nconcurrency = 8', settings=settings)
        self.load = Load([self._running.url])

    @contextmanager
    def open(self) -> Iterator["Site"]:
        self.node = Node(self._running)
        try:
            with closing(self.load), closing(open_store(load(self._running.config))) as self.store:
                eventually(self.load.ready, within=_WITHIN)
                yield self
            self.node.stop()
        finally:
            self.node.end()

    def start_anew(self) -> None:
        """Ask all its processes to stop, and start them again."""
        self.node.stop()
        self.node.start_again()

    def feel(self, trouble: AbstractContextManager[None]) -> None:
        """Have the trouble until some webhooks were not acknowledged."""
        with trouble:
            self.wait_for(acknowledged=False)

    def wait_for(self, *, acknowledged: bool, count: int = _FEWEST, since: int | None = None) -> None:
        """Wait until so many more webhooks were, or were not; `since` is how many there had been before."""
        began = len(self.load.posted) if since is None else since
        eventually(
            lambda: sum(each.acknowledged is acknowledged for each in self.load.posted[began:]) >= count,
            within=_WITHIN,
        )


class SQLiteSite(Site):
    """One whose store is a file."""

    def __init__(self, folder: Path) -> None:
        self._database = folder / "receiver.db"
        super().__init__(folder, f"sqlite:///{self._database}")

    def lock(self) -> None:
        """Another program writes, and does not end."""
        self.feel(trouble.database_locked(self._database))

    def hold(self) -> None:
        """A process of ours writes, and does not end."""
        self.feel(trouble.flock_held(self._database))

    def fill(self) -> None:
        """For those that take webhooks, the disk is full."""
        with ExitStack() as limited:
            for pid in self.node.processes()[WEB_WORKER]:
                limited.enter_context(trouble.disk_full(pid))
            self.wait_for(acknowledged=False)


class PostgresSite(Site):
    """One whose store is a server."""

    def __init__(self, folder: Path, server: postgres.Server, url: str) -> None:
        self._server, self._url = server, url
        super().__init__(folder, url)

    def lock(self) -> None:
        """Another program holds a table."""
        with psycopg.connect(self._url) as connection:
            connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            self.wait_for(acknowledged=False)

    def freeze(self) -> None:
        """The server answers nothing."""
        with self._server.frozen():
            self.wait_for(acknowledged=False)

    def start_server_anew(self) -> None:
        """The server breaks every connection off, whatever it is for."""
        self._server.stop()
        self.wait_for(acknowledged=False)
        self._server.start()

    def fill(self) -> None:
        """The disk is full for the server's log of transactions: it stops in panic, and recovers."""
        # Only its own user may do so, not even root where that has not all its powers.
        user = (self._server.folder / "data").owner()
        [_, *children] = self._server.processes
        began = len(self.load.posted)
        for pid in children:
            # The first that writes takes the others with it.
            subprocess.run(["prlimit", f"--pid={pid}", "--fsize=4096:"], user=user, capture_output=True)
        self.wait_for(acknowledged=False, count=1, since=began)

    def miss_the_standby(self) -> None:
        """Every commit waits for a standby, and there is none."""
        self.feel(self._server.awaiting_a_standby())


@dataclass
class Tally:
    """How answers and store compare."""

    statuses: Counter[int | None]
    unstored: list[str]
    """Acknowledged, but not stored."""
    stored: list[str]
    """Answered 503, but stored."""
    doubled: list[str]
    """Stored, or recorded as events, more than once after everything was sent again."""

    def __str__(self) -> str:
        refused, broken = self.statuses[503], self.statuses[None]
        acknowledged = self.statuses.total() - refused - broken
        return (
            f"{acknowledged:,} acknowledged ({len(self.unstored)} not stored), {refused:,} answered 503 "
            f"({len(self.stored)} stored), {broken:,} broken off, {len(self.doubled)} doubled"
        )


def endured(site: Site, suffer: Callable[[], None], rounds: int) -> Tally:
    """Trouble the store under load, some times; later send all again that was not acknowledged."""
    first = len(site.load.posted)
    with site.load.posting(pause=_PAUSE, patient=False):
        for _ in range(rounds):
            site.wait_for(acknowledged=True)
            suffer()
        site.wait_for(acknowledged=True)
    own = site.load.posted[first:]
    stored = read_back(site.store)
    for each in own:
        if not each.acknowledged:
            site.load.post_until_acknowledged(each.job, each.body)
    eventually(lambda: settled(site.store), within=_WITHIN)
    kept, events = read_back(site.store), Counter(row["job"] for row in every(site.store.list_events))
    return Tally(
        statuses=Counter(each.status for each in own),
        unstored=[each.job for each in own if each.acknowledged and each.digest not in stored],
        stored=[each.job for each in own if each.status == 503 and each.digest in stored],
        doubled=[each.job for each in own if (kept[each.digest], events[each.job]) != (1, 1)],
    )


@pytest.fixture(scope="module")
def sqlite_site(tmp_path_factory):
    with SQLiteSite(tmp_path_factory.mktemp("site")).open() as site:
        yield site


@pytest.fixture(scope="module")
def postgres_site(tmp_path_factory):
    with postgres.running() as server:
        databases = postgres.Databases(server.url("postgres"))
        with ExitStack() as opened:
            opened.enter_context(databases.prepared())
            url = opened.enter_context(databases.copied())
            site = PostgresSite(tmp_path_factory.mktemp("site"), server, url)
            yield opened.enter_context(site.open())


@pytest.mark.parametrize(
    ("name", "suffer", "rounds"),
    [
        pytest.param("database locked:", SQLiteSite.lock, 1, id="locked-short"),
        pytest.param("another process writes:", SQLiteSite.hold, 1, id="held-short"),
        pytest.param("disk full:", SQLiteSite.fill, 1, id="full-short"),
        pytest.param("database locked:", SQLiteSite.lock, _ROUNDS, id="locked-long", marks=pytest.mark.drill),
        pytest.param("another process writes:", SQLiteSite.hold, _ROUNDS, id="held-long", marks=pytest.mark.drill),
        pytest.param("disk full:", SQLiteSite.fill, _ROUNDS, id="full-long", marks=pytest.mark.drill),
        pytest.param(
            "receiver started anew:", SQLiteSite.start_anew, _ROUNDS, id="started-anew-long", marks=pytest.mark.drill
        ),
    ],
)
def test_sqlite_has_what_was_acknowledged_and_nothing_else(sqlite_site, name, suffer, rounds, record_property):
    record_property("drill", "answer and store agree")
    record_property("store", "SQLite")
    tally = endured(sqlite_site, lambda: suffer(sqlite_site), rounds)
    record_property(name, str(tally))

    assert set(tally.statuses) <= {200, 202, 503, None}
    assert (tally.unstored, tally.stored, tally.doubled) == ([], [], [])


@pytest.mark.drill
@pytest.mark.parametrize(
    ("name", "suffer"),
    [
        pytest.param("table locked:", PostgresSite.lock, id="locked"),
        pytest.param("receiver started anew:", PostgresSite.start_anew, id="started-anew"),
    ],
)
def test_postgresql_has_what_was_acknowledged_and_nothing_else(postgres_site, name, suffer, record_property):
    record_property("drill", "answer and store agree")
    record_property("store", "PostgreSQL")
    tally = endured(postgres_site, lambda: suffer(postgres_site), _ROUNDS)
    record_property(name, str(tally))

    assert set(tally.statuses) <= {200, 202, 503, None}
    assert (tally.unstored, tally.stored, tally.doubled) == ([], [], [])


@pytest.mark.drill
@pytest.mark.parametrize(
    ("name", "suffer"),
    [
        pytest.param("server frozen:", PostgresSite.freeze, id="frozen"),
        pytest.param("server started anew:", PostgresSite.start_server_anew, id="server-started-anew"),
        pytest.param("disk full:", PostgresSite.fill, id="full"),
        pytest.param("no standby:", PostgresSite.miss_the_standby, id="no-standby"),
    ],
)
def test_a_commit_that_nobody_heard_of_is_harmless(postgres_site, name, suffer, record_property):
    """Where the server falls silent as it commits, nobody knows whether it did: then 503 may be stored, but once."""
    record_property("drill", "answer lost in a commit")
    record_property("store", "PostgreSQL")
    tally = endured(postgres_site, lambda: suffer(postgres_site), _ROUNDS)
    record_property(name, str(tally))

    assert set(tally.statuses) <= {200, 202, 503, None}
    assert (tally.unstored, tally.doubled) == ([], [])
