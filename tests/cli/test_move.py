"""Commands about the store as a whole."""

import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver import clock
from receiver.config import load
from receiver.models import Delivery, Trust
from receiver.store import open_store
from receiver.store.base import Record, Verdict
from receiver.store.sqlite import SQLiteStore
from tests.cli.conftest import TABLES

OLD = timedelta(days=400)


@pytest.fixture
def old(store, post):
    """Two deliveries that are old, and a recent one with an event."""
    delivery = Delivery(source="creativeai", body=b"{}", received_at=clock.now() - OLD)
    record = Record(delivery=delivery, trust=Trust.SIGNED, verdict=Verdict.RECORDED)
    store.receive(record)
    store.receive(replace(record, delivery=replace(delivery, body=b"odd"), verdict=Verdict.UNREADABLE))
    post("vgen_1")


def deliveries(store):
    return len(store.list_deliveries(limit=10).rows)


class TestPrune:
    def test_drops_what_is_old(self, receiver, store, old):
        result = receiver("prune")

        lines = [line.split() for line in result.stdout.splitlines()]
        assert (result.exit_code, deliveries(store)) == (0, 1)
        assert ["unreadable", "365d", "1"] in lines
        assert ["deliveries", "90d", "1"] in lines

    def test_counts_without_dropping_anything(self, receiver, store, old):
        result = receiver("prune", "--dry-run")

        assert result.stdout.endswith("nothing was changed\n")
        assert ["deliveries", "90d", "1"] in [line.split() for line in result.stdout.splitlines()]
        assert deliveries(store) == 3

    def test_goes_by_the_settings(self, receiver, config, store, old):
        config.write_text(f'{TABLES}\n[retention]\ndeliveries = "3650d"\nunreadable = "3650d"\nevents = "12h"')

        assert {"data": "events", "older_than": "43200s", "count": 0} in [
            json.loads(line) for line in receiver("prune", "--json").stdout.splitlines()
        ]
        assert deliveries(store) == 3

    def test_an_emptied_event_is_not_replayed(self, receiver, config, store, post):
        event = post("vgen_1")
        store.route({event.id: []})
        config.write_text(f'{TABLES}\n[retention]\nevents = "1ms"')
        receiver("prune")

        result = receiver("replay", event.id)

        assert result.exit_code == 2
        assert f"the data of event {event.id} is kept no longer (`retention.events`)" in result.stderr


class TestCopy:
    @pytest.fixture
    def filled(self, receiver, config):
        """The configured store, with a job in it, and used by nobody."""
        receiver("track", "creativeai", "vgen_1", "--kind", "video")
        return config

    def test_copies_from_the_configured_store(self, receiver, filled, tmp_path):
        result = receiver("copy", "--to", "sqlite:///copy.db")

        with contextlib.closing(SQLiteStore(tmp_path / "copy.db")) as copy:
            assert copy.job("creativeai", "vgen_1") is not None
        assert result.exit_code == 0
        assert result.stdout.splitlines()[2].split() == ["jobs", "1", "1", "1", "0"]

    def test_changes_nothing_when_it_is_run_again(self, receiver, filled):
        receiver("copy", "--to", "sqlite:///copy.db")

        result = receiver("copy", "--from", "sqlite:///receiver.db", "--to", "sqlite:///copy.db", "--json")

        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert rows[0] == {"table": "jobs", "source_count": 1, "target_count": 1, "written": 0, "removed": 0}
        assert all(row["written"] == row["removed"] == 0 for row in rows)

    def test_copies_to_a_server_and_back(self, receiver, filled, postgres_url, tmp_path):
        there = receiver("copy", "--to", postgres_url)
        back = receiver("copy", "--from", postgres_url, "--to", "sqlite:///back.db")

        with contextlib.closing(SQLiteStore(tmp_path / "back.db")) as copy:
            assert copy.job("creativeai", "vgen_1") is not None
        assert (there.exit_code, back.exit_code) == (0, 0)

    def test_reads_the_places_from_the_environment(self, receiver, filled, monkeypatch, tmp_path):
        monkeypatch.setenv("RECEIVER_COPY_TO", "sqlite:///copy.db")

        assert receiver("copy").exit_code == 0
        assert (tmp_path / "copy.db").exists()

    def test_refuses_a_store_that_is_in_use(self, receiver, filled):
        with contextlib.closing(open_store(load(filled))):
            result = receiver("copy", "--to", "sqlite:///copy.db")

        assert result.exit_code == 1
        assert result.stderr.endswith("is in use: stop everything that uses it\n")

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            pytest.param([], "Missing option '--to'", id="no-target"),
            pytest.param(["--to", "sqlite:///receiver.db"], "--from and --to are the same store", id="same"),
            pytest.param(["--from", "sqlite:///none.db", "--to", "sqlite:///b.db"], "there is no store at", id="none"),
            pytest.param(["--to", "mongodb://me:hush-hush@db"], 'store: must be "sqlite:///FILE"', id="unknown"),
            pytest.param(["--to", "postgresql://me:hush@hush@db/x"], "%40", id="unreadable"),
        ],
    )
    def test_says_what_is_wrong(self, receiver, filled, arguments, error):
        result = receiver("copy", *arguments)

        assert result.exit_code == 2
        assert error in result.stderr
        assert "hush" not in result.output

    def test_a_server_that_is_not_there_is_named_without_the_password(self, receiver, filled):
        result = receiver("copy", "--to", "postgresql://me:hush-hush@127.0.0.1:1/db")

        assert result.exit_code == 1
        assert "127.0.0.1" in result.stderr
        assert "hush" not in result.output
