"""Databases that earlier versions have left in the middle of their work: nothing is lost, and it goes on."""

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from receiver import clock, sandbox
from receiver.config import load
from receiver.store import Store, migrate, open_store
from receiver.store.base import DispatchFilter
from tests import aging
from tests.proof.in_flight import DONE, FAILED, HINTED, OPEN, RUNNING, UNROUTED
from tests.running import API_KEY, SECRET, Running
from tests.scripted import Scripted, job
from tests.watch import eventually

_SAMPLES = Path(__file__).parents[1] / "samples" / "databases"
_FIRST = ["sqlite_1", "postgresql_1"]
_MIGRATIONS = {"_sqlite_migrations", "receiver_migrations"}
# A worker's lease of a minute has ended by then, the deadlines of twelve minutes have not.
_AGO = timedelta(minutes=2)
_WITHIN = 60

_HANDLER = """
from pathlib import Path
from receiver import Router

router = Router()


@router.on()
def work(event):
    with open(Path(__file__).with_name("ran"), "a") as file:
        file.write(f"{event.job_id}\\n")
"""

_TABLES = """
[reconcile]
every = "200ms"

# The samples are older than what is usually kept.
[retention]
deliveries = "3650d"
quarantine = "3650d"

[sources.{hinted}]
provider = "creativeai"
unsigned = true
api_key = "{api_key}"
base_url = "{base_url}"

[handlers.patient]
path = "work.py"

[handlers.strict]
path = "work.py"
max_attempts = 1
"""


class Left(Running):
    """A receiver over what an earlier one has left."""

    def __init__(self, folder: Path, store_url: str, base_url: str) -> None:
        tables = _TABLES.format(hinted=HINTED, api_key=API_KEY, base_url=base_url)
        super().__init__(folder, tables, base_url=base_url, settings={"store": store_url})
        (folder / "work.py").write_text(_HANDLER)
        # A new client for each request would spend its time reading certificates.
        self._client = httpx.Client(timeout=10, trust_env=False)

    def close(self) -> None:
        self._client.close()

    @property
    def ran(self) -> list[str]:
        """The job of each run, in order."""
        file = self.folder / "ran"
        return file.read_text().splitlines() if file.exists() else []

    def post_again(self, job_id: str) -> int:
        """What a provider hears that posts once more."""
        body = sandbox.webhook_body("video", job_id)
        url = f"{self.url}/webhooks/creativeai"
        return self._client.post(url, content=body, headers=sandbox.signed(body, SECRET)).status_code


def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """What is in all tables but those of the migrations, by table."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = sqlite3.Row
            listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            names = {row["name"] for row in listed if not row["name"].startswith("sqlite_")} - _MIGRATIONS
            return {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in names}  # noqa: S608
    with psycopg.connect(url, row_factory=dict_row, options="-c datestyle=ISO -c timezone=UTC") as server:
        listed = server.execute("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = {row["name"] for row in listed} - _MIGRATIONS
        return {name: server.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}  # type: ignore[misc]  # noqa: S608


def missing(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> list[tuple[str, Any]]:
    """Of the rows of before those that are no longer there, or have another value in a column that they had."""
    return [
        (table, row)
        for table, kept in before.items()
        for row in kept
        if not any(_outputs_apart(row).items() <= _outputs_apart(found).items() for found in after.get(table, []))
    ]


def _outputs_apart(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the outputs of an event, whose form one migration changes."""
    return {name: value for name, value in row.items() if name != "outputs"}


def grow_older(url: str, latest: Any) -> None:
    """Bring all times from those of the sample to some minutes before now."""
    moment = latest if not isinstance(latest, str) else clock.from_text(latest)
    seconds = (moment - clock.now() + _AGO).total_seconds()
    if url.startswith("sqlite"):
        aging.let_pass(Path(url.removeprefix("sqlite:///")), seconds)
    else:
        aging.let_pass_in_postgres(url, seconds)


def in_state(store: Store, state: str) -> int:
    """How many dispatches are."""
    return len(store.list_dispatches(DispatchFilter(state=state), limit=100).rows)


def samples() -> list[str]:
    """The names of all databases that earlier versions have left, `STORE_MIGRATIONS`."""
    names = [file.stem.rpartition("_") for file in _SAMPLES.glob("*.sql")]
    return [f"{store}_{count}" for store, count in sorted((store, int(count)) for store, _, count in names)]


@pytest.fixture
def left(request, tmp_path):
    """A receiver over one of the samples, before anything was migrated, and the store's URL."""
    code = (_SAMPLES / f"{request.param}.sql").read_text("utf-8")
    with Scripted(job("completed", output_url="https://cdn.example/a.mp4")) as provider:
        if request.param.startswith("sqlite"):
            with closing(sqlite3.connect(tmp_path / "receiver.db")) as connection:
                connection.executescript(code)
            url = f"sqlite:///{tmp_path}/receiver.db"
            with closing(Left(tmp_path, url, provider.url)) as receiver:
                yield receiver, url
            return
        with request.getfixturevalue("postgres").empty() as url:
            with psycopg.connect(url) as server:
                server.execute(code)  # type: ignore[arg-type]
            with closing(Left(tmp_path, url, provider.url)) as receiver:
                yield receiver, url


@pytest.mark.parametrize(
    "left",
    [
        *(pytest.param(name, id=f"{name}-short") for name in _FIRST),
        *(pytest.param(name, id=f"{name}-full", marks=pytest.mark.drill) for name in samples()),
    ],
    indirect=True,
)
def test_what_an_earlier_version_left_is_kept_and_finished(left, request, record_property):
    receiver, url = left
    store_name, _, migrations = request.node.callspec.params["left"].rpartition("_")
    record_property("drill", f"upgrade from migration {migrations} with work in flight")
    record_property("store", {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[store_name])
    before = rows(url)

    migrate(load(receiver.config))
    lacking = missing(before, rows(url))
    record_property("rows before", sum(map(len, before.values())))
    record_property("rows missing or changed after", len(lacking))

    grow_older(url, max(row["recorded_at"] for row in before["events"]))
    with receiver.serving(), closing(open_store(load(receiver.config))) as store:
        # Of `strict` two dispatches have failed, and the only attempt of two others died with its worker.
        eventually(lambda: (in_state(store, "done"), in_state(store, "dead")) == (20, 4), within=_WITHIN)
        retried = receiver.run("retry", "--handler", "strict")
        eventually(lambda: in_state(store, "done") == 24, within=_WITHIN)
        answers = [receiver.post_again(job_id) for job_id in [*DONE, *FAILED, *RUNNING, *UNROUTED, *OPEN]]
        events = store.list_events(limit=100).rows
        refusals = store.list_refusals(limit=100).rows
    ran = Counter(receiver.ran)
    record_property("runs left to do", ran.total())
    record_property("done again", sum(ran[job_id] for job_id in DONE))

    assert lacking == []
    assert retried.returncode == 0, retried.stderr
    assert ran == dict.fromkeys([*FAILED, *RUNNING, *UNROUTED, *OPEN, "vgen_hinted"], 2)
    assert set(answers) == {200}
    assert len(events) == len(before["events"]) + len(OPEN) + 1
    assert len(refusals) == len(before["quarantine"]) == 1


@pytest.mark.parametrize("left", _FIRST, indirect=True)
def test_a_database_of_a_newer_version_is_refused_and_left_alone(left):
    receiver, url = left
    migrate(load(receiver.config))
    if url.startswith("sqlite"):
        statement = (
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('receiver', 'in_2030', '')"
        )
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)
    else:
        with psycopg.connect(url) as server:
            server.execute("INSERT INTO receiver_migrations (name) VALUES ('in_2030')")
    before = rows(url)

    answers = [receiver.run(command) for command in ("serve", "migrate")]

    assert [answer.returncode for answer in answers] == [1, 1]
    assert all("was made by a newer Receiver (in_2030); upgrade this one" in answer.stderr for answer in answers)
    assert rows(url) == before
