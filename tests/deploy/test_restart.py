"""Machines are started anew, reconfigured and upgraded while webhooks arrive: none is refused, none is lost."""

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.deploy.machine import DEPLOY, Load, Service
from tests.deploy.proxies import Nginx, Proxy
from tests.running import SECRET
from tests.watch import eventually

TABLES = f"""
[sources.creativeai]
provider = "creativeai"
secrets = ["{SECRET}"]

[handlers.log]
"""
# What an unsigned delivery of 64 KiB is answered as shipped, and with a setting that is changed.
UNAUTHORIZED, TOO_LARGE = 401, 413
SMALLER = """
[web]
max_body = "32KiB"
"""
# What a next version might add to its tables.
STEP = "ALTER TABLE events ADD COLUMN of_the_next_version TEXT"
SQLITE_STEP = f"""

@migrations()
def of_the_next_version(db: Database) -> None:
    db.execute("{STEP}")
"""
POSTGRES_STEP = f"""

MIGRATIONS = (*MIGRATIONS, Migration("of_the_next_version", ("{STEP}",)))
"""


@dataclass
class Node:
    """One machine: an endpoint with its socket, and a worker, as their units say."""

    web: Service
    worker: Service
    address: str
    folder: Path
    store: str

    def write(self, tables: str) -> None:
        """Change its configuration."""
        write_config(self.folder, self.store, tables)


@dataclass
class Site:
    """All machines, and nginx before them."""

    nodes: list[Node]
    proxy: Proxy

    def outcomes(self) -> dict[str, str]:
        """The state of each job's dispatch."""
        printed = self.nodes[0].web.run("dispatches", "--json", "--limit", "100000")
        return {row["job"]: row["state"] for row in map(json.loads, printed.splitlines())}

    def load(self) -> contextlib.AbstractContextManager[Load]:
        """Senders, until the end of the block."""
        return Load(self.proxy.url, verify=self.proxy.context).running()


def write_config(folder: Path, store: str, tables: str) -> None:
    (folder / "receiver.toml").write_text(f'store = "{store}"\n{tables}')


@contextlib.contextmanager
def running_node(folder: Path, store: str, tables: str = TABLES) -> Iterator[Node]:
    write_config(folder, store, tables)
    environment, log = {"RECEIVER_CONFIG": str(folder / "receiver.toml")}, folder / "log"
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        web = Service("receiver-web.service", environment, log, listener=listener)
        opened.callback(web.stop)
        worker = Service("receiver-worker.service", environment, log)
        opened.callback(worker.stop)
        yield Node(web, worker, f"127.0.0.1:{listener.getsockname()[1]}", folder, store)


@contextlib.contextmanager
def running_site(folder: Path, store: str = "sqlite:///receiver.db", count: int = 1) -> Iterator[Site]:
    with contextlib.ExitStack() as opened:
        nodes = []
        for number in range(count):
            (folder / f"node{number}").mkdir()
            nodes.append(opened.enter_context(running_node(folder / f"node{number}", store)))
        web = "; server ".join(node.address for node in nodes)
        yield Site(nodes, opened.enter_context(Nginx(folder, web=web).running()))


@pytest.fixture
def site(tmp_path):
    with running_site(tmp_path) as running:
        yield running


@pytest.fixture
def next_version(tmp_path):
    """The variables of an installation of a version that has one more step for each kind of store."""
    package = shutil.copytree(DEPLOY.parent / "receiver", tmp_path / "next" / "receiver")
    for kind, step in (("sqlite", SQLITE_STEP), ("postgres", POSTGRES_STEP)):
        with open(package / "store" / kind / "schema.py", "a") as schema:
            schema.write(step)
    return {"PYTHONPATH": str(tmp_path / "next")}


def steps_taken(database):
    """How many steps have made the tables of a file what they are."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        [[count]] = db.execute("SELECT count(*) FROM _sqlite_migrations")
    return count


def status_of_an_unsigned(node):
    """What a stranger's delivery of 64 KiB is answered."""
    return httpx.post(f"http://{node.address}/webhooks/creativeai", content=b" " * 2**16, timeout=60).status_code


def assert_nothing_is_refused_or_lost(site, load, record_property):
    record_property("deliveries", len(load.answers))
    assert set(load.answers.values()) == {202}
    eventually(lambda: set(site.outcomes().values()) == {"done"}, within=60)
    assert set(site.outcomes()) == set(load.answers)


def test_a_restart_and_a_reload_that_takes_in_a_change(site, record_property):
    [node] = site.nodes
    with site.load() as load:
        load.goes_on()
        node.web.restart()
        load.goes_on()
        before = status_of_an_unsigned(node)
        node.write(f"{TABLES}{SMALLER}")
        node.web.reload()
        eventually(lambda: status_of_an_unsigned(node) == TOO_LARGE, within=60)
        load.goes_on(100)
        node.worker.restart()

    assert before == UNAUTHORIZED
    assert_nothing_is_refused_or_lost(site, load, record_property)


def test_a_reload_of_a_file_that_is_wrong_changes_nothing(tmp_path):
    # Of several, one might read the file only after it was changed.
    one_process = f"{TABLES}[web]\nworkers = 1"
    with running_node(tmp_path, "sqlite:///receiver.db", one_process) as node:
        eventually(lambda: status_of_an_unsigned(node) == UNAUTHORIZED, within=60)
        node.write(f"{TABLES}colour = ")

        with pytest.raises(subprocess.CalledProcessError):
            node.web.reload()

        assert status_of_an_unsigned(node) == UNAUTHORIZED
        assert node.web.process.poll() is None


def test_an_upgrade_that_changes_the_tables(site, next_version, tmp_path, record_property):
    [node] = site.nodes
    with site.load() as load:
        load.goes_on()
        before = steps_taken(tmp_path / "node0" / "receiver.db")
        node.worker.restart(next_version)
        eventually(lambda: steps_taken(tmp_path / "node0" / "receiver.db") > before, within=60)
        load.goes_on()
        node.web.restart(next_version)
        load.goes_on()

    assert_nothing_is_refused_or_lost(site, load, record_property)


@pytest.mark.drill
def test_an_upgrade_of_two_nodes_one_by_one(postgres_url, next_version, tmp_path, record_property):
    with running_site(tmp_path, postgres_url, count=2) as site:
        with site.load() as load:
            load.goes_on()
            assert "of_the_next_version" in site.nodes[0].web.run("migrate", environment=next_version)
            load.goes_on()
            for node in site.nodes:
                node.web.restart(next_version)
                node.worker.restart(next_version)
                load.goes_on(100)

        assert_nothing_is_refused_or_lost(site, load, record_property)
