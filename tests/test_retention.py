"""What is old goes by itself."""

import threading
from datetime import timedelta

from receiver.config import RetentionConfig
from receiver.retention import prune, prune_now_and_then
from receiver.store.base import Prunable
from tests.store.contract import a_record, all_deliveries, an_event, unreadable
from tests.store.retention import OLD, ago
from tests.trouble import database_locked
from tests.watch import eventually


def receive_old(store, count=1):
    for number in range(count):
        store.receive(ago(a_record(an_event(f"job_{number}")), OLD))
    store.receive(ago(a_record(an_event("job_young")), timedelta(0)))


def in_the_background(store, stopped):
    thread = threading.Thread(target=prune_now_and_then, args=(store, RetentionConfig(), stopped))
    thread.start()
    return thread


def test_leaves_what_is_kept_for_ever_out():
    assert {Prunable.EVENTS, Prunable.JOBS}.isdisjoint(
        Prunable(name) for name, age in RetentionConfig() if age is not None
    )


def test_every_setting_is_a_kind_of_data():
    assert list(RetentionConfig.model_fields) == list(Prunable)


def test_drops_what_is_older_than_its_setting(store):
    receive_old(store)

    done = prune(store, RetentionConfig(deliveries=timedelta(days=1)))

    assert (done.counts[Prunable.DELIVERIES], done.complete) == (1, True)
    assert len(all_deliveries(store)) == 1


def test_stops_when_it_is_told_to(store):
    receive_old(store, 450)
    stopped = threading.Event()
    stopped.set()

    done = prune(store, RetentionConfig(), stopped=stopped)

    assert 0 < done.counts[Prunable.DELIVERIES] < 450
    assert not done.complete


def test_stops_where_there_is_nothing_to_drop(store, monkeypatch):
    monkeypatch.setattr("receiver.store.sqlite.retention._LOOKED_AT", 1)
    odd = [ago(unreadable(b"<%d>" % number), OLD) for number in range(3)]
    for record in [*odd, ago(a_record(an_event()), timedelta(0))]:
        store.receive(record)
    stopped = threading.Event()
    stopped.set()

    done = prune(store, RetentionConfig(), stopped=stopped)

    assert (done.counts[Prunable.DELIVERIES], done.complete) == (0, False)


def test_what_was_done_when_it_was_told_to_stop_is_complete(store):
    stopped = threading.Event()
    stopped.set()

    assert prune(store, RetentionConfig(), stopped=stopped).complete


def test_prunes_in_the_background_until_it_is_stopped(store):
    receive_old(store)
    stopped = threading.Event()

    thread = in_the_background(store, stopped)

    eventually(lambda: len(all_deliveries(store)) == 1)
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()


def test_one_of_all_prunes(store):
    receive_old(store)
    stopped = threading.Event()
    assert store.claim_turn("prune", every=timedelta(hours=1))

    thread = in_the_background(store, stopped)
    stopped.set()
    thread.join(10)

    assert len(all_deliveries(store)) == 2


def test_goes_on_when_the_store_was_not_available(store, database, caplog):
    stopped = threading.Event()
    with database_locked(database):
        thread = in_the_background(store, stopped)
        eventually(lambda: "what is old cannot be dropped; trying again later" in caplog.messages, within=20)

    assert thread.is_alive()
    stopped.set()
    thread.join(10)
    assert not thread.is_alive()
