"""Running the dispatch that a message names, over a real store."""

import threading
from contextlib import closing
from datetime import timedelta

import pytest

from receiver.engine.runner import Runner
from receiver.models import State
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import HANDLER, HOUR, MINUTE, an_event, claim, dispatch, the_dispatch
from tests.test_engine import a_handler
from tests.trouble import database_locked
from tests.watch import eventually

LEASE = timedelta(seconds=1)


def a_runner(store, *handlers, lease=LEASE):
    return Runner(store, handlers, {}, lease=lease)


def run(runner, store, *, message_id="1", again=False):
    return runner.run(the_dispatch(store)["id"], message_id=message_id, again=again)


@pytest.fixture
def called():
    """The events that the handler was called with."""
    return []


@pytest.fixture
def handler(called):
    return a_handler(called.append, HANDLER)


def claim_as(store, message_id):
    """What a worker does before it dies, or its connection."""
    return store.claim_one(the_dispatch(store)["id"], lease=LEASE, worker=f"celery:{message_id}")


def test_runs_it(store, handler, called):
    dispatch(store, an_event())

    assert run(a_runner(store, handler), store) is State.DONE
    assert [event.job_id for event in called] == ["job_1"]
    assert the_dispatch(store)["state"] == "done"


def test_runs_nothing_twice(store, handler, called):
    dispatch(store, an_event())
    runner = a_runner(store, handler)
    run(runner, store)

    assert [run(runner, store), run(runner, store, again=True)] == [None, None]
    assert len(called) == 1


def test_runs_nothing_that_is_gone(store, handler):
    assert a_runner(store, handler).run(1, message_id="1", again=False) is None


def test_leaves_what_another_runs(store, handler, called):
    dispatch(store, an_event())
    claim(store)

    assert run(a_runner(store, handler), store) is None
    assert called == []


def test_leaves_what_it_has_no_handler_for(store):
    dispatch(store, an_event())

    store.enqueue({HANDLER: 1})

    assert run(a_runner(store), store) is None
    assert the_dispatch(store)["state"] == "pending"
    assert len(store.enqueue({HANDLER: 1})) == 1


def test_takes_over_from_a_worker_that_died_with_its_message(store, handler, called):
    dispatch(store, an_event())
    claim_as(store, "1")

    assert run(a_runner(store, handler), store, message_id="1", again=True) is State.DONE
    assert len(called) == 1


def test_takes_over_nothing_that_is_renewed(store, handler, called):
    dispatch(store, an_event())
    taken, stopped = claim_as(store, "1"), threading.Event()

    def renew():
        while not stopped.wait(0.05):
            store.renew([taken], lease=LEASE)

    renewing = threading.Thread(target=renew)
    renewing.start()
    state = run(a_runner(store, handler), store, message_id="1", again=True)
    stopped.set()
    renewing.join()

    assert state is None
    assert called == []


def test_takes_over_nothing_from_one_that_could_not_renew(database, called, caplog):
    ended = threading.Event()
    with (
        closing(SQLiteStore(database, timeout=timedelta(milliseconds=50))) as first,
        closing(SQLiteStore(database)) as second,
    ):
        dispatch(first, an_event())
        handler = a_handler(lambda event: called.append(event) or ended.wait(30), HANDLER)
        running = threading.Thread(target=run, args=(a_runner(first, handler, lease=MINUTE), first))
        running.start()
        eventually(lambda: called)
        with database_locked(database):
            eventually(lambda: caplog.messages.count("lease not renewed") == 4)
            other = threading.Thread(
                target=run, args=(a_runner(second, handler, lease=MINUTE), second), kwargs={"again": True}
            )
            other.start()
            eventually(lambda: second._writer._led)
        other.join(30)
        ended.set()
        running.join(30)

        assert len(called) == 1


def test_takes_over_nothing_from_another_message(store, handler, called):
    dispatch(store, an_event())
    store.claim_one(the_dispatch(store)["id"], lease=HOUR, worker="celery:2")

    assert run(a_runner(store, handler), store, message_id="1", again=True) is None
    assert called == []


def test_renews_the_lease_of_what_runs(store):
    dispatch(store, an_event())
    ended = threading.Event()
    runner = a_runner(store, a_handler(lambda event: ended.wait(30), HANDLER))
    running = threading.Thread(target=run, args=(runner, store))
    running.start()
    eventually(lambda: the_dispatch(store)["state"] == "running")
    lapsed = []

    eventually(lambda: lapsed.append(store.sweep()) or len(lapsed) > 300)
    ended.set()
    running.join(30)

    assert sum(lapsed) == 0
    assert the_dispatch(store)["state"] == "done"


def test_what_takes_too_long_has_failed(store):
    dispatch(store, an_event())
    ended = threading.Event()
    handler = a_handler(lambda event: ended.wait(30), HANDLER, timeout=timedelta(milliseconds=50))

    state = run(a_runner(store, handler, lease=MINUTE), store)
    ended.set()

    assert state is State.PENDING
    assert the_dispatch(store)["error"] == "took longer than 0.05 s"


def test_many_that_never_end_wear_it_out(store):
    ended = threading.Event()
    runner = a_runner(store, a_handler(lambda event: ended.wait(30), HANDLER, timeout=timedelta(milliseconds=1)))
    worn_out = []
    for number in range(20):
        dispatch(store, an_event(f"job_{number}"))
    for row in store.list_dispatches(limit=20).rows:
        worn_out.append(runner.worn_out)
        runner.run(row["id"], message_id="1", again=False)

    assert runner.worn_out
    assert not any(worn_out)
    ended.set()
    eventually(lambda: not runner.worn_out)
