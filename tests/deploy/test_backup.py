"""What is backed up as the page says can be restored, and is what there was."""

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from receiver import clock, inbox, sandbox
from receiver.models import Delivery
from receiver.providers.creativeai import CreativeAI
from receiver.store.postgres import PostgresStore
from receiver.store.sqlite import SQLiteStore
from tests.pages import ROOT, Page
from tests.postgres import programs
from tests.running import SECRET

PAGE = Page(ROOT / "docs" / "backup.md")
JOBS = [f"vgen_{number}" for number in range(20)]


def fill(store):
    source = inbox.Source("creativeai", CreativeAI(secrets=[SECRET]))
    for job in JOBS:
        body = sandbox.webhook_body("video", job, status="completed")
        headers = {name.lower(): value for name, value in sandbox.signed(body, SECRET).items()}
        delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=clock.now())
        inbox.accept(source, delivery, store=store, now=clock.now())


def kept(store):
    """What a store has of each event, but for the order of the keys."""
    return sorted((row["job"], row["type"], row["status"]) for row in store.list_events(limit=100).rows)


@pytest.fixture
def shell(tmp_path):
    """Runs a command of the page in a folder of its own: the one that begins so."""

    def run(beginning, **variables):
        commands = re.findall(rf"^(?:\$ )?({re.escape(beginning)} .*)$", PAGE.text, re.MULTILINE)
        here = Path(sys.executable).parent
        path = os.pathsep.join([str(programs() / "bin"), str(here), os.environ["PATH"]])
        process = subprocess.run(
            ["bash", "-c", commands[0]],
            cwd=tmp_path,
            env={**os.environ, **variables, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert process.returncode == 0, process.stderr

    return run


def test_a_copy_of_the_file_has_everything(store, shell, tmp_path):
    fill(store)

    shell("sqlite-utils query")

    with closing(SQLiteStore(tmp_path / "backup.db")) as restored:
        assert kept(restored) == kept(store)
    assert len(kept(store)) == len(JOBS)


def test_a_dump_of_the_server_can_be_restored(postgres, postgres_url, shell):
    with closing(PostgresStore(postgres_url)) as store, postgres.empty() as empty:
        fill(store)

        shell("pg_dump", RECEIVER_STORE=postgres_url)
        shell("pg_restore", RESTORED_STORE=empty)

        with closing(PostgresStore(empty)) as restored:
            assert kept(restored) == kept(store)
            fill(restored)
            assert len(kept(restored)) == len(JOBS)
