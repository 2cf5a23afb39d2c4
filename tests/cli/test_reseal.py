"""Sealing anew, and what the commands say about keys."""

from contextlib import closing

import pytest

from receiver.store.sealing import Seal
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import DUE

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_KEY = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="


@pytest.fixture
def keys(monkeypatch):
    """Sets the keys that commands run with from then on."""
    return lambda *found: monkeypatch.setenv("RECEIVER_SEAL_KEYS", str(list(found)).replace("'", '"'))


@pytest.fixture
def sealed(receiver, keys):
    """A store with a job whose metadata is sealed."""
    keys(OTHER_KEY)
    receiver("track", "creativeai", "vgen_1", "--kind", "video", "--metadata", '{"order": "of mrs smith"}')


def test_says_what_it_wrote(as_json, sealed, keys):
    keys(KEY, OTHER_KEY)

    rows = as_json("reseal")

    assert rows == [{"table": "jobs", "looked_at": 1, "written": 1, "unopened": 0}]


def test_afterwards_the_new_key_is_enough(receiver, as_json, sealed, keys):
    keys(KEY, OTHER_KEY)
    receiver("reseal")
    keys(KEY)

    [job] = as_json("jobs")

    assert job["metadata"] == {"order": "of mrs smith"}


def test_fails_while_something_still_seals_with_the_old_key(receiver, sealed, keys, config, monkeypatch):
    keys(KEY, OTHER_KEY)
    looks, reseal = [], SQLiteStore.reseal

    def sealed_behind(self, **how):
        yield from reseal(self, **how)
        if not looks:
            looks.append("first")
            with closing(SQLiteStore(config.with_name("receiver.db"), seal=Seal([OTHER_KEY]))) as late:
                late.track("creativeai", "vgen_2", kind="video", schedule=DUE, metadata={"late": True})

    monkeypatch.setattr(SQLiteStore, "reseal", sealed_behind)

    first, second = receiver("reseal"), receiver("reseal")

    assert (first.exit_code, second.exit_code) == (1, 0)
    assert "start it again with the new key first, and run this once more" in first.stderr


def test_opens_everything(receiver, as_json, sealed, monkeypatch):
    receiver("reseal", "--open")
    monkeypatch.delenv("RECEIVER_SEAL_KEYS")

    [job] = as_json("jobs")

    assert job["metadata"] == {"order": "of mrs smith"}


def test_says_that_a_key_is_missing(receiver, sealed, keys):
    keys(KEY)

    result = receiver("reseal")

    assert result.exit_code == 1
    assert "receiver: seal_keys: none of them opens what is stored" in result.stderr


def test_says_how_to_make_a_key_where_there_is_none(receiver):
    result = receiver("reseal")

    assert result.exit_code == 2
    assert "seal_keys: is empty; `openssl rand -base64 32` makes a key" in result.stderr


@pytest.mark.parametrize("command", [["work"], ["reconcile"], ["check", "--offline"], ["jobs"]], ids=" ".join)
def test_a_command_that_needs_a_key_says_that_it_is_missing(receiver, sealed, keys, command):
    keys(KEY)

    result = receiver(*command)

    assert result.exit_code == 1
    assert "receiver: seal_keys: none of them opens what is stored" in result.stderr


def test_a_store_that_is_sealed_is_not_used_without_keys(receiver, sealed, monkeypatch):
    monkeypatch.delenv("RECEIVER_SEAL_KEYS")

    result = receiver("track", "creativeai", "vgen_2", "--kind", "video")

    assert result.exit_code == 2
    assert "seal_keys: is empty, and the store is sealed" in result.stderr


def test_check_masks_the_keys(receiver, keys):
    keys(KEY)

    assert 'seal_keys = ["**********"]' in receiver("check", "--offline").stdout


def test_doctor_says_that_a_key_is_missing(as_json, sealed, keys):
    keys(KEY)

    findings = as_json("doctor", "--offline")

    assert [row["state"] for row in findings if row["about"] == "seal_keys"] == ["wrong"]


def test_doctor_says_that_the_keys_open_everything(as_json, sealed):
    findings = as_json("doctor", "--offline")

    assert [row["state"] for row in findings if row["about"] == "seal_keys"] == ["ok"]
