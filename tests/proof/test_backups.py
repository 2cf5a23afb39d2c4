"""Copies made as the page about backups says, while deliveries come in: each is whole, and can be gone on with."""

import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from receiver import clock, inbox, sandbox
from receiver.config import load
from receiver.models import Delivery
from receiver.providers.creativeai import CreativeAI
from receiver.store import Store, open_store
from receiver.store.base import DispatchFilter, Row
from tests.pages import ROOT, Page
from tests.postgres import programs
from tests.proof.load import Journal, Load, Posted, every, read_back
from tests.running import SECRET, Running
from tests.watch import eventually

_PAGE = Page(ROOT / "docs" / "backup.md")
_HANDLER = '[handlers.work]\npath = "work.py"\nconcurrency = {concurrency}'
_FINISHED_WITHIN = 120


def receiver(folder: Path, store_url: str, *, run: timedelta, concurrency: int) -> Running:
    """One in a folder of its own, whose handler takes so long."""
    Journal(folder, run=run)
    return Running(folder, _HANDLER.format(concurrency=concurrency), settings={"store": store_url})


def as_the_page_says(beginning: str, folder: Path, **variables: str) -> None:
    """Run a command of the page in a folder: the one that begins so."""
    [command] = re.findall(rf"^(?:\$ )?({re.escape(beginning)} .*)$", _PAGE.text, re.MULTILINE)
    path = os.pathsep.join([str(programs() / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def place(request, tmp_path):
    """Where a receiver is, by name of its store: its folder, its store, how to copy that, and how to open the copy."""
    folder = tmp_path / "first"
    folder.mkdir()
    if request.param == "SQLite":

        @contextmanager
        def restored(there: Path):
            (folder / "backup.db").rename(there / "receiver.db")
            yield f"sqlite:///{there}/receiver.db"

        yield (
            request.param,
            folder,
            f"sqlite:///{folder}/receiver.db",
            lambda: as_the_page_says("sqlite-utils query", folder),
            restored,
        )
        return
    databases = request.getfixturevalue("postgres")

    @contextmanager
    def restored(there: Path):
        with databases.empty() as url:
            as_the_page_says("pg_restore", folder, RESTORED_STORE=url)
            (folder / "receiver.dump").unlink()
            yield url

    with databases.copied() as url:
        yield request.param, folder, url, lambda: as_the_page_says("pg_dump", folder, RECEIVER_STORE=url), restored


@pytest.mark.parametrize(
    ("copies", "each"),
    [
        pytest.param(1, 50, id="short"),
        pytest.param(5, 300, id="full", marks=pytest.mark.drill),
    ],
)
def test_a_copy_made_while_it_runs_has_all_that_was_acknowledged_and_is_gone_on_with(
    place, copies, each, tmp_path, record_property
):
    store, folder, store_url, copy, restored = place
    record_property("drill", "backup and restore while it runs")
    record_property("store", store)
    record_property("copies", copies)
    # Slower than what comes in, so that something is left to do in each copy.
    first = receiver(folder, store_url, run=timedelta(milliseconds=100), concurrency=2)
    senders = Load([first.url])
    told: Counter[str] = Counter()
    with closing(senders), first.serving():
        for number in range(copies):
            there = tmp_path / f"copy-{number}"
            there.mkdir()
            with senders.posting(pause=timedelta(milliseconds=20)):
                began = len(senders.posted)
                eventually(lambda began=began: len(senders.posted) >= began + each, within=60)
                before = [posted for posted in senders.posted if posted.acknowledged]
                copy()
                meanwhile = len(senders.posted)
            with restored(there) as copy_url:
                told.update(gone_on_with(there, copy_url, before))
            told["taken in while it was copied"] += meanwhile - len(before)

    for name, count in told.items():
        record_property(name, count)
    assert told["lost"] == 0
    assert told["damaged"] == 0
    # Otherwise there was nothing to go on with.
    assert told["unfinished in the copy and finished by a receiver on it"]
    assert told["of them posted again and known"] == copies


def gone_on_with(folder: Path, url: str, before: list[Posted]) -> Counter[str]:
    """What a receiver makes of a copy, in figures."""
    second = receiver(folder, url, run=timedelta(0), concurrency=16)
    told: Counter[str] = Counter({"acknowledged before": len(before)})
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / "receiver.db")) as connection:
            told["damaged"] = int(connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)])
    with closing(open_store(load(second.config))) as store:
        kept = read_back(store)
        events = len(list(every(store.list_events)))
        told["lost"] = sum(posted.digest not in kept for posted in before)
        told["unfinished in the copy and finished by a receiver on it"] = events - len(finished(store))
        with second.running("work"):
            eventually(lambda: len(finished(store)) == events, within=_FINISHED_WITHIN)
        source = inbox.Source("creativeai", CreativeAI(secrets=[SECRET]))
        again = inbox.accept(source, delivery_of(before[0].job), store=store, now=clock.now())
        told["of them posted again and known"] = int(again.repeated)
    return told


def delivery_of(job: str) -> Delivery:
    """What a provider posts again."""
    body = sandbox.webhook_body("video", job)
    headers = {name.lower(): value for name, value in sandbox.signed(body, SECRET).items()}
    return Delivery(source="creativeai", body=body, headers=headers, received_at=clock.now())


def finished(store: Store) -> list[Row]:
    """The dispatches that are done."""
    return list(every(partial(store.list_dispatches, DispatchFilter(state="done"))))
