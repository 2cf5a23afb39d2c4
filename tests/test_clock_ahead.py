"""A node whose clock is ten minutes ahead of its database's tells nothing false of what the store knows."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver import clock, tokens
from receiver.models import Alert, Role
from receiver.store.postgres import PostgresStore
from tests.circumstances import Circumstances
from tests.store.contract import DUE, SOURCE, a_record, an_event, claim, dead, dispatch, refusals, track
from tests.toml import assignments

ROOT = Path(__file__).parents[1]
MINUTE = timedelta(minutes=1)
AHEAD = 10 * MINUTE

TABLES = f"""
[sources.{SOURCE}]
provider = "creativeai"
secrets = ["the-signing-secret"]
api_key = "the-api-key"

[handlers.archive]
"""

LATE = """
import sys
from pathlib import Path
from tests.opened import opened
from tests.store.contract import an_event, dispatch

where = sys.argv[1]
store = opened(where if "://" in where else Path(where))
dispatch(store, an_event())
figures = store.figures()
print((figures.read_at - figures.handlers[0].oldest_waiting_at).total_seconds())
"""

LOOK = """
import sys, threading
from receiver import alerts
from receiver.config import AlertsConfig
from receiver.store.postgres import PostgresStore
from tests.watch import eventually

store, stopped = PostgresStore(sys.argv[1]), threading.Event()
loop = threading.Thread(target=alerts.watch, args=(store, {}, {}, AlertsConfig(), stopped))
loop.start()
eventually(store.last_turns)
stopped.set()
loop.join()
"""

SCRAPE = """
from receiver.config import load
from receiver.exposition import exposition
from receiver.plugins import sources
from receiver.store import open_store

config = load()
print(exposition(open_store(config), sources(config), config.handlers, None).decode())
"""

PAGES = """
import json, sys
from pathlib import Path
from tests.admin.conftest import another_app
from tests.admin.pages.conftest import Person

with another_app({"store": sys.argv[1]}, Path(sys.argv[2])) as app:
    person = Person(app, sys.argv[3])
    print(json.dumps({path: person.get(path).text for path in sys.argv[4:]}))
"""


@pytest.fixture
def store(postgres_url):
    with closing(PostgresStore(postgres_url)) as opened:
        yield opened


@pytest.fixture
def circumstances(tmp_path):
    return Circumstances(tmp_path, clock_ahead=int(AHEAD.total_seconds()))


@pytest.fixture
def node(circumstances, postgres_url, tmp_path):
    """Runs Python in a process of that node, by default one of our commands; gives what it prints."""
    config = tmp_path / "receiver.toml"
    config.write_text(assignments({"store": postgres_url}) + TABLES)
    variables = {**os.environ, **circumstances.variables, "RECEIVER_CONFIG": str(config)}

    def run(*arguments, by=("-m", "receiver")):
        command = [sys.executable, *by, *map(str, arguments)]
        process = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)
        assert "Traceback" not in process.stderr, process.stderr
        return process.stdout

    return run


def busy(store):
    """What was just recorded, is just due, and is just being done."""
    store.receive(a_record(an_event("unrouted")))
    dispatch(store, an_event("running"), an_event("due"))
    claim(store, lease=MINUTE)
    track(store, "open", schedule=DUE)
    store.claim_turn("alerts", every=MINUTE)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_figures_are_read_by_the_clock_that_wrote_them(node, database, postgres_url, kind):
    late = float(node(database if kind == "sqlite" else postgres_url, by=("-c", LATE)))

    assert 0 <= late < 60


def test_what_is_just_due_is_no_backlog(node, store):
    busy(store)

    assert node("alerts") == "nothing is wrong\n"


def test_a_worker_that_lives_is_not_taken_for_silent(node, store):
    busy(store)

    found = node("doctor", "--offline")

    assert "ok    worker worker-1: runs 1 dispatches" in found
    assert "ok    reconcile: its loop runs" in found


def test_alerts_begin_and_end_by_the_clock_of_the_database(node, store, postgres_url):
    dead(store, an_event())
    over = Alert(cause="parked archive", summary="it was", since=clock.now(), told_at=clock.now(), over_at=clock.now())
    store.keep_alert(over)

    node(postgres_url, by=("-c", LOOK))

    kept = {alert.cause: alert for alert in store.alerts()}
    assert set(kept) == {"dead-letters archive", over.cause}
    assert abs(kept["dead-letters archive"].since - clock.now()) < MINUTE
    assert abs(kept["dead-letters archive"].told_at - clock.now()) < MINUTE


def test_ages_in_gauges_are_by_the_clock_of_the_database(node, store):
    busy(store)

    told = node(by=("-c", SCRAPE))

    seconds = {
        sample.name: sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if sample.name.startswith("receiver_oldest_")
    }
    assert len(seconds) == 3
    assert max(seconds.values()) < 60


def test_pages_tell_ages_by_the_clock_of_the_database(node, store, postgres_url, tmp_path):
    dead(store, an_event("dead", data={"credits": 30}))
    busy(store)
    token = tokens.add(store, "vera", role=Role.VIEWER)
    words = {
        "/": "2 waiting the oldest due",
        "/events": "unrouted",
        "/events/1": "no such bucket",
        "/jobs?open=true": "due",
        f"/jobs/one?source={SOURCE}&job=open": "Expires unless",
        "/spend?span=24h": "30 credits",
        "/dead-letters": "no such bucket",
    }

    told = json.loads(node(postgres_url, tmp_path, token, *words, by=("-c", PAGES)))

    assert [path for path in words if words[path] not in told[path]] == []
    assert [path for path in words if "min ago" in told[path]] == []


def test_a_node_that_is_far_behind_finds_what_it_refused(node, store, circumstances):
    """The quarantine's times are those of the node that received."""
    circumstances.be(clock_ahead=-1200)
    refused_at = clock.now() - 20 * MINUTE
    refused = [
        replace(refusal, delivery=replace(refusal.delivery, received_at=refused_at), reason="timestamp_too_new")
        for refusal in refusals(3)
    ]
    store.quarantine(refused, max_count=10)

    assert f"3 webhooks of {SOURCE} were signed too long ago or in the future" in node("alerts")
