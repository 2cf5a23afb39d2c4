"""A store that cannot be opened yet."""

import contextlib
import threading

import pytest

from receiver.errors import ConfigError, StoreUnavailable
from receiver.store.late import opened_late
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import at_once


@pytest.fixture
def path(tmp_path):
    return tmp_path / "receiver.db"


@pytest.fixture
def opener(path):
    return lambda: SQLiteStore(path)


def test_one_that_can_be_opened_is_the_store_itself(opener):
    store = opened_late(opener)

    assert isinstance(store, SQLiteStore)
    store.close()


def test_each_use_tries_to_open_it_until_that_works(path, opener):
    path.mkdir()
    store = opened_late(opener)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            store.prove()
    path.rmdir()

    store.prove()

    store.close()


def test_it_is_opened_once(path, opener):
    path.mkdir()
    opened = []

    def counting():
        store = opener()
        opened.append(store)
        return store

    late = opened_late(counting)
    path.rmdir()
    late.prove()
    at_once(*[late.prove] * 8)

    assert len(opened) == 1
    late.close()


def test_while_one_tries_to_open_it_the_others_are_not_held_up():
    trying, go = threading.Event(), threading.Event()

    def slow():
        if threading.current_thread().name == "slow":
            trying.set()
            go.wait(10)
        raise StoreUnavailable("the server falls silent")

    store = opened_late(slow)

    def use():
        with contextlib.suppress(StoreUnavailable):
            store.prove()

    slowly = threading.Thread(target=use, name="slow")
    slowly.start()
    assert trying.wait(10)

    with pytest.raises(StoreUnavailable, match="falls silent"):
        store.prove()

    assert slowly.is_alive()
    go.set()
    slowly.join(10)


def test_a_wrong_setting_is_told_at_once():
    def wrong():
        raise ConfigError("store: must be another")

    with pytest.raises(ConfigError):
        opened_late(wrong)
