"""The engine for one machine, over a real store."""

import contextlib
import math
import sqlite3
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver import signals
from receiver.engine.local import LocalEngine
from receiver.errors import StoreUnavailable
from receiver.inbox import Source
from receiver.models import Access, Budget, Status
from receiver.outcomes import Cancel, Done, Snooze
from receiver.providers.creativeai import CreativeAI
from receiver.routing import Handler, Route
from receiver.store.base import DispatchFilter
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import DUE, HANDLER, HOUR, LAPSED, SOURCE, a_record, an_event, claim, dispatch, the_dispatch
from tests.trouble import database_locked
from tests.watch import eventually, hearing

SOON = timedelta(milliseconds=1)
LONG = 30.0


def a_handler(function, name="archive", **changes):
    handler = Handler(
        name=name,
        function=function,
        routes=(Route(),),
        max_attempts=3,
        timeout=HOUR,
        concurrency=4,
        first_wait=HOUR,
        longest_wait=HOUR,
        park_after=1000,
    )
    return replace(handler, **changes)


def an_engine(store, *handlers, **settings):
    return LocalEngine(store, handlers, {SOURCE: Source(SOURCE, CreativeAI())}, **settings)


def handle(store, *handlers, **settings):
    """Run everything that is due."""
    an_engine(store, *handlers, **settings).run_until_idle()


def receive(store, *events):
    for event in events or [an_event()]:
        store.receive(a_record(event))


def states(store):
    rows = store.list_dispatches(limit=100).rows
    return {(row["handler"], row["job"]): row["state"] for row in rows}


def attempts(store):
    return [row["outcome"] for row in store.list_attempts(the_dispatch(store)["id"])]


@contextlib.contextmanager
def working(engine):
    """The engine at work in a thread, stopped at the end. The thread's `told` is what `run` returned."""
    thread = threading.Thread(target=lambda: setattr(thread, "told", engine.run()))
    thread.start()
    try:
        yield thread
    finally:
        engine.stop()
        thread.join(LONG)
        assert not thread.is_alive()


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self):
        self.entered = []
        self.opened = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.opened.set()

    def __call__(self, event):
        self.entered.append(event.job_id)
        self.opened.wait(LONG)


@pytest.fixture
def gate():
    return Gate()


def raising(error):
    def function(event):
        raise error

    return function


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


# Outcomes


@pytest.mark.parametrize(
    ("function", "state", "error"),
    [
        pytest.param(lambda event: None, "done", None, id="nothing"),
        pytest.param(lambda event: Done({"path": "a.mp4"}), "done", None, id="done"),
        pytest.param(lambda event: Snooze(HOUR), "pending", None, id="snooze"),
        pytest.param(lambda event: Cancel("not for us"), "cancelled", "not for us", id="cancel"),
        pytest.param(raising(ValueError("no")), "pending", "ValueError: no", id="raises"),
        pytest.param(raising(BaseException("no")), "pending", "BaseException: no", id="raises-base"),
        pytest.param(raising(Unprintable()), "pending", "Unprintable", id="raises-unprintable"),
        pytest.param(lambda event: sys.exit(3), "pending", "SystemExit: 3", id="exits"),
        pytest.param(lambda event: object(), "done", None, id="returns-junk"),
        pytest.param(lambda event, context, more: None, "pending", "TypeError: ", id="wants-too-much"),
    ],
)
def test_records_what_the_handler_decided(store, function, state, error):
    receive(store)

    handle(store, a_handler(function))

    row = the_dispatch(store)
    assert row["state"] == state
    assert (row["error"] or "").startswith(error or "")


def test_keeps_a_result(store):
    receive(store)

    handle(store, a_handler(lambda event: Done({"path": "a.mp4"})))

    assert the_dispatch(store)["result"] == {"path": "a.mp4"}


def test_a_result_that_cannot_be_kept_says_so(store):
    receive(store)

    handle(store, a_handler(lambda event: Done({"file": object()})))

    row = the_dispatch(store)
    assert (row["state"], row["result"]) == ("done", None)
    assert row["error"].startswith("the result was not kept: ")


def test_keeps_no_signature_of_a_url_in_an_error(store):
    receive(store)

    handle(store, a_handler(raising(ValueError("no answer from https://cdn.example/a.mp4?signature=private"))))

    row = the_dispatch(store)
    kept = [row["error"], *(attempt["error"] for attempt in store.list_attempts(row["id"]))]
    assert kept == ["ValueError: no answer from https://cdn.example/…"] * 2


def test_the_last_attempt_makes_a_dead_letter(store):
    receive(store)

    handle(store, a_handler(raising(ValueError("no")), max_attempts=1))

    assert the_dispatch(store)["state"] == "dead"


def test_tries_again_until_it_succeeds(store):
    receive(store)
    tries = []

    def fails_twice(event):
        tries.append(event.key)
        if len(tries) < 3:
            raise ValueError("not yet")

    with working(an_engine(store, a_handler(fails_twice, first_wait=SOON, longest_wait=SOON))):
        eventually(lambda: store.list_dispatches(DispatchFilter(state="done"), limit=1).rows)

    assert attempts(store) == ["retry", "retry", "done"]


def test_runs_again_what_was_snoozed(store):
    receive(store)
    numbers = []

    def snoozes_once(event, context):
        numbers.append(context.attempt)
        return Snooze(SOON) if len(numbers) == 1 else None

    with working(an_engine(store, a_handler(snoozes_once))):
        eventually(lambda: store.list_dispatches(DispatchFilter(state="done"), limit=1).rows)

    assert numbers == [1, 1]


def test_announces_what_happened(store):
    receive(store)

    with hearing(signals.dispatch_finished) as heard:
        handle(store, a_handler(lambda event: Cancel("why")))

    [(sender, facts)] = heard
    assert (sender, facts["claim"].attempt, facts["outcome"].error, facts["state"]) == (
        "archive",
        1,
        "why",
        "cancelled",
    )


def test_gives_the_job_with_its_metadata(store):
    store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"user": 7})
    receive(store)
    jobs = []

    handle(store, a_handler(lambda event, context: jobs.append(context.job)))

    [job] = jobs
    assert (job.status, job.metadata) == (Status.SUCCEEDED, {"user": 7})


# Access to the source's own addresses


@pytest.fixture
def contexts():
    """What a handler was given besides the event."""
    return []


@pytest.fixture
def keeping(contexts):
    """A handler that keeps it."""
    return a_handler(lambda event, context: contexts.append(context))


def test_gives_access_to_the_addresses_of_the_source(store, contexts, keeping):
    receive(store, an_event())
    provider = CreativeAI(api_key="private-key", base_url="https://api.example/")

    LocalEngine(store, [keeping], {SOURCE: Source(SOURCE, provider)}).run_until_idle()

    [context] = contexts
    assert context.access == Access(base_url="https://api.example", headers={"Authorization": "Bearer private-key"})


def test_gives_each_event_the_access_of_its_own_source(store, contexts, keeping):
    receive(store, an_event("job_1"), an_event("job_2", source="other"))
    sources = {name: Source(name, CreativeAI(api_key=f"key-of-{name}")) for name in (SOURCE, "other")}

    LocalEngine(store, [keeping], sources).run_until_idle()

    keys = {context.job.source: context.access.headers["Authorization"] for context in contexts}
    assert keys == {SOURCE: f"Bearer key-of-{SOURCE}", "other": "Bearer key-of-other"}


def test_gives_no_key_where_a_source_has_none(store, contexts, keeping):
    receive(store)

    handle(store, keeping)

    [context] = contexts
    assert context.access == Access(base_url="https://api.creativeai.run", headers={})


def test_gives_no_access_for_a_source_that_is_not_configured(store, contexts, keeping):
    receive(store)

    LocalEngine(store, [keeping], {}).run_until_idle()

    [context] = contexts
    assert context.access is None


def test_what_a_handler_is_given_does_not_print_the_key(store, contexts, keeping):
    receive(store)
    source = Source(SOURCE, CreativeAI(api_key="private-key"))

    LocalEngine(store, [keeping], {SOURCE: source}).run_until_idle()

    assert "private-key" not in repr(contexts) + repr(source)


def test_an_adapter_that_cannot_authorize_fails_the_attempt_and_nothing_else(store, contexts, keeping):
    class Clumsy(CreativeAI):
        def authorize(self):
            raise ZeroDivisionError

    receive(store)

    LocalEngine(store, [keeping], {SOURCE: Source(SOURCE, Clumsy())}).run_until_idle()

    assert (contexts, the_dispatch(store)["error"]) == ([], "could not be tried: ZeroDivisionError")


# What keeps handlers


def failing(event):
    raise ConnectionError("down")


def test_a_handler_that_fails_again_and_again_is_parked_and_that_is_said(store):
    receive(store, an_event("job_1"), an_event("job_2"), an_event("job_3"))

    with hearing(signals.handler_parked) as heard:
        handle(store, a_handler(failing, concurrency=1, park_after=2))

    assert [handler for handler, _ in heard] == [HANDLER]
    rows = store.list_dispatches(DispatchFilter(state="pending"), limit=10).rows
    assert sorted(row["attempt_count"] for row in rows) == [0, 1, 1]


def test_the_others_go_on_while_one_is_parked(store):
    receive(store, *(an_event(f"job_{number}") for number in range(5)))

    handle(store, a_handler(failing, park_after=2), a_handler(lambda event: None, name="other"))

    assert [state for (handler, _), state in states(store).items() if handler == "other"] == ["done"] * 5


def test_a_parked_handler_that_works_again_is_freed_and_that_is_said(store, database):
    receive(store, an_event("job_1"), an_event("job_2"), an_event("job_3"))
    handle(store, a_handler(failing, concurrency=1, park_after=2))
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE handlers SET parked_until = '2026-01-01T00:00:00.000Z'")

    with hearing(signals.handler_resumed) as heard:
        handle(store, a_handler(lambda event: None, concurrency=1, park_after=2))

    assert [handler for handler, _ in heard] == [HANDLER]
    assert states(store)[HANDLER, "job_3"] == "done"


def test_a_limit_lets_only_so_many_attempts_begin(store):
    receive(store, *(an_event(f"job_{number}") for number in range(5)))

    handle(store, a_handler(lambda event: None, limit=Budget(2, HOUR)))

    assert Counter(states(store).values()) == {"done": 2, "pending": 3}


# Routing


def test_every_handler_that_wants_an_event_gets_it(store):
    receive(store)
    got = []

    handle(
        store,
        a_handler(lambda event: got.append("archive")),
        a_handler(lambda event: got.append("log"), "log"),
        a_handler(lambda event: got.append("other"), "other", routes=(Route(source="other"),)),
    )

    assert sorted(got) == ["archive", "log"]


def test_knows_which_provider_a_source_has(store):
    receive(store)
    got = []

    handle(store, a_handler(got.append, routes=(Route(source="creativeai"),)))

    assert len(got) == 1


def test_an_event_that_nobody_wants_is_looked_at_once(store):
    receive(store)

    handle(store, a_handler(print, routes=(Route(source="other"),)))

    assert store.unrouted(10) == []
    assert states(store) == {}


def test_a_handler_added_later_does_not_get_old_events(store):
    receive(store)
    handle(store)
    got = []

    handle(store, a_handler(got.append))

    assert got == []


def test_a_handler_that_left_the_configuration_keeps_its_dispatches(store):
    dispatch(store, an_event(), handlers=["archive", "removed"])
    got = []

    handle(store, a_handler(got.append))
    assert states(store) == {("archive", "job_1"): "done", ("removed", "job_1"): "pending"}

    handle(store, a_handler(got.append, "removed"))
    assert states(store)["removed", "job_1"] == "done"


def test_warns_of_dispatches_whose_handler_left_the_configuration(store, caplog):
    dispatch(store, an_event("job_1"), an_event("job_2"), handlers=["archive", "removed"])

    with working(an_engine(store, a_handler(print))):
        eventually(lambda: left_over(caplog))

    assert left_over(caplog) == [("removed", 2)]


def test_warns_of_nothing_where_every_handler_is_there(store, caplog):
    dispatch(store, an_event())

    with working(an_engine(store, a_handler(print))):
        eventually(lambda: the_dispatch(store)["state"] == "done")

    assert left_over(caplog) == []


def left_over(caplog):
    """The handlers that were warned of, and how many dispatches wait for each."""
    told = "dispatches wait for a handler that is not configured"
    return [(record.handler, record.count) for record in caplog.records if record.message == told]


def test_one_handler_does_not_see_what_another_did_to_the_event(store):
    receive(store)
    seen = []

    def spoils(event):
        seen.append(dict(event.data))
        event.data.clear()
        event.data["spoilt"] = True

    handle(store, a_handler(spoils), a_handler(spoils, "log"))

    assert seen == [{"id": "job_1"}, {"id": "job_1"}]


# Slots and order


def test_a_blocked_handler_does_not_delay_another(store, gate):
    receive(store, *[an_event(f"job_{number}") for number in range(10)])
    got = []

    with working(an_engine(store, a_handler(gate), a_handler(got.append, "log"))), gate:
        eventually(lambda: len(got) == 10)

        assert len(gate.entered) == 4


def test_a_handler_runs_no_more_at_once_than_it_may(store, gate):
    receive(store, *[an_event(f"job_{number}") for number in range(5)])

    with working(an_engine(store, a_handler(gate, concurrency=2))), gate:
        eventually(lambda: len(gate.entered) == 2)

        assert sorted(states(store).values()) == ["pending", "pending", "pending", "running", "running"]


def test_takes_the_next_as_soon_as_a_slot_is_free(store, gate):
    receive(store, an_event("job_1"), an_event("job_2"))

    with working(an_engine(store, a_handler(gate, concurrency=1))), gate:
        eventually(lambda: gate.entered == ["job_1"])
        gate.opened.set()

        eventually(lambda: gate.entered == ["job_1", "job_2"])


def test_events_of_one_job_are_handled_in_their_order(store):
    told = [Status.QUEUED, Status.RUNNING, Status.FAILED, Status.SUCCEEDED]
    receive(store, *[an_event(status=status) for status in told])
    got = []

    handle(store, a_handler(lambda event: got.append(event.status)))

    assert got == told


def test_an_event_waits_for_the_one_before_it(store, gate):
    receive(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))

    with working(an_engine(store, a_handler(gate))), gate:
        eventually(lambda: gate.entered)

        assert store.next_due(["archive"]) > timedelta(0)
        assert len(gate.entered) == 1


def test_hears_of_a_new_event_in_another_store(store, database):
    got = []

    with working(an_engine(store, a_handler(got.append))), contextlib.closing(SQLiteStore(database)) as other:
        receive(other)

        eventually(lambda: got)


def test_two_engines_share_the_work(store, database):
    receive(store, *[an_event(f"job_{number}") for number in range(20)])
    got = []
    handler = a_handler(lambda event: got.append(event.job_id))

    with (
        contextlib.closing(SQLiteStore(database)) as other,
        working(an_engine(store, handler)),
        working(an_engine(other, handler)),
    ):
        eventually(lambda: len(got) >= 20)

    assert len(got) == len(set(got)) == 20


# What is taken ahead

QUICK = 50


class Slowing(Gate):
    """A handler that is quick for a while, and then waits until it is let go."""

    def __call__(self, event):
        if len(self.entered) < QUICK:
            self.entered.append(event.job_id)
        else:
            super().__call__(event)


@pytest.fixture
def slowing():
    return Slowing()


def count(store, state):
    return Counter(states(store).values())[state]


def test_more_than_it_can_run_at_once_is_taken_for_a_quick_handler(store, slowing):
    receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])

    with working(an_engine(store, a_handler(slowing, concurrency=1))), slowing:
        eventually(lambda: len(slowing.entered) == QUICK + 1)

        assert count(store, "running") > 1


def test_what_was_taken_ahead_of_a_handler_that_got_slow_is_given_back(store, slowing):
    receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])

    with working(an_engine(store, a_handler(slowing, concurrency=1))), slowing:
        eventually(lambda: len(slowing.entered) == QUICK + 1)

        eventually(lambda: (count(store, "running"), count(store, "pending")) == (1, 39))
        rows = store.list_dispatches(DispatchFilter(state="pending"), limit=100).rows
        assert {row["attempt_count"] for row in rows} == {0}


def test_what_has_not_begun_is_given_back_when_it_is_stopped(store, slowing):
    receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])

    with working(engine := an_engine(store, a_handler(slowing, concurrency=1))), slowing:
        eventually(lambda: len(slowing.entered) == QUICK + 1)
        engine.stop()
        eventually(lambda: count(store, "pending") == 39)
        slowing.opened.set()

    assert (count(store, "done"), count(store, "pending")) == (QUICK + 1, 39)


def test_what_was_taken_ahead_is_not_run_once_the_handler_fails(store):
    receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])
    failed = []

    def breaks(event):
        if int(event.job_id.removeprefix("job_")) >= QUICK:
            failed.append(event.job_id)
            raise ConnectionError("down")

    handle(store, a_handler(breaks, concurrency=1, park_after=2))

    # One more may begin while the second is being recorded.
    assert len(failed) in (2, 3)


def test_nothing_is_taken_ahead_for_a_handler_with_a_limit(store, slowing):
    receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])

    with working(an_engine(store, a_handler(slowing, concurrency=1, limit=Budget(1000, HOUR)))), slowing:
        eventually(lambda: len(slowing.entered) == QUICK + 1)

        assert count(store, "running") == 1


def test_does_not_begin_what_another_worker_may_have(database, caplog, slowing):
    lease = timedelta(milliseconds=400)
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=50))) as store:
        receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])
        engine = an_engine(store, a_handler(slowing, concurrency=1), lease=lease)
        with working(engine), slowing:
            eventually(lambda: len(slowing.entered) == QUICK + 1)
            assert engine._lanes[HANDLER].threads.waiting_count > 0
            with database_locked(database):
                eventually(lambda: "leases not renewed" in caplog.messages)
                end = time.monotonic() + lease.total_seconds()
                eventually(lambda: time.monotonic() > end)
                slowing.opened.set()
                eventually(lambda: engine._lanes[HANDLER].threads.waiting_count == 0)

                assert len(slowing.entered) == QUICK + 1


def test_does_not_begin_what_lost_its_lease(store, slowing):
    lease = timedelta(milliseconds=400)
    receive(store, *[an_event(f"job_{number}") for number in range(QUICK + 40)])
    engine = an_engine(store, a_handler(slowing, concurrency=1), lease=lease)
    with working(engine), slowing:
        eventually(lambda: len(slowing.entered) == QUICK + 1)
        [running] = engine._running()
        waiting = {run.claim.event.job_id for run in engine._runs if math.isinf(run.began)}
        assert waiting
        store._writer.run(
            lambda db: db.execute(
                "UPDATE dispatches SET token = 'of another' || id WHERE state = 'running' AND id <> ?",
                (running.claim.id,),
            )
        )
        end = time.monotonic()
        eventually(lambda: running.leased > end)
        with engine._guard:
            slowing.opened.set()
        eventually(lambda: engine._lanes[HANDLER].threads.waiting_count == 0)

        assert waiting.isdisjoint(slowing.entered)


# Time limits and leases


def test_an_attempt_that_takes_too_long_has_failed(store, gate):
    receive(store)

    with gate:
        handle(store, a_handler(gate, timeout=timedelta(milliseconds=20)))

    row = the_dispatch(store)
    assert (row["state"], row["error"]) == ("pending", "took longer than 0.02 s")


def test_an_attempt_that_takes_too_long_frees_its_slot(store, gate):
    receive(store, an_event("job_1"), an_event("job_2"))

    with gate:
        handle(store, a_handler(gate, timeout=timedelta(milliseconds=20), concurrency=1))

        assert gate.entered == ["job_1", "job_2"]


def test_what_an_attempt_returns_too_late_does_not_count(store, gate):
    receive(store)
    returned = threading.Event()

    def late(event):
        gate(event)
        returned.set()
        return Cancel("late")

    with gate:
        handle(store, a_handler(late, timeout=timedelta(milliseconds=20), max_attempts=1))
    assert returned.wait(LONG)

    assert (the_dispatch(store)["state"], attempts(store)) == ("dead", ["dead"])


def test_keeps_its_lease_while_a_handler_runs(store, gate):
    receive(store)
    lease = timedelta(milliseconds=400)

    with working(an_engine(store, a_handler(gate), lease=lease)), gate:
        eventually(lambda: gate.entered)
        end = time.monotonic() + 3 * lease.total_seconds()

        def outlasted_three_leases():
            assert store.sweep() == 0
            return time.monotonic() > end

        eventually(outlasted_three_leases)


def test_does_not_run_again_what_it_still_runs(store, gate):
    receive(store, an_event("job_1"))
    got = []

    with working(an_engine(store, a_handler(gate), a_handler(got.append, "log"))), gate:
        eventually(lambda: gate.entered and got)
        # What happens to leases when a machine was asleep.
        store._writer.run(
            lambda db: db.execute(
                "UPDATE dispatches SET leased_until = '2000-01-01T00:00:00.000Z' WHERE state = 'running'"
            )
        )
        receive(store, an_event("job_2"))
        eventually(lambda: len(got) == 2 and "job_2" in gate.entered)

    assert gate.entered == ["job_1", "job_2"]


def test_rests_while_what_it_still_runs_has_lost_its_lease(database, gate):
    with contextlib.closing(Counting(database)) as store:
        receive(store)
        with working(an_engine(store, a_handler(gate))), gate:
            eventually(lambda: gate.entered)
            store._writer.run(lambda db: db.execute("UPDATE dispatches SET leased_until = '2000-01-01T00:00:00.000Z'"))
            end, before = time.monotonic() + 0.5, store.asked_count
            store.wake()
            eventually(lambda: time.monotonic() > end)

            assert 0 < store.asked_count - before < 60


class Counting(SQLiteStore):
    """Counts how often it is asked what comes next."""

    asked_count = 0

    def next_due(self, handlers):
        self.asked_count += 1
        return super().next_due(handlers)


def test_gives_up_when_too_many_attempts_that_ran_past_their_time_still_go_on(store, caplog, gate):
    receive(store, *[an_event(f"job_{number}") for number in range(100)])
    engine = an_engine(store, a_handler(gate, timeout=SOON, concurrency=100))

    with working(engine) as thread, gate:
        thread.join(LONG)

        assert (thread.is_alive(), thread.told) == (False, False)
    assert caplog.messages.count("too many attempts ran past their time and still go on") == 1


def test_goes_on_when_attempts_that_ran_past_their_time_end_after_all(store, gate):
    receive(store, *[an_event(f"early_{number}") for number in range(99)])
    second = Gate()
    handler = a_handler(
        lambda event: (gate if event.job_id.startswith("early") else second)(event), timeout=SOON, concurrency=100
    )

    with working(an_engine(store, handler)) as thread, second, gate:
        eventually(lambda: len(gate.entered) == 99 and "running" not in states(store).values())
        gate.opened.set()
        eventually(lambda: not any(thread.name.startswith("archive-") for thread in threading.enumerate()))
        receive(store, an_event("late_1"), an_event("late_2"))

        eventually(lambda: len(second.entered) == 2 and "running" not in states(store).values())

    assert thread.told


def test_runs_again_what_a_dead_worker_left(store):
    dispatch(store, an_event())
    claim(store, lease=LAPSED)
    numbers = []

    handle(store, a_handler(lambda event, context: numbers.append(context.attempt)))

    assert numbers == [2]
    assert attempts(store) == ["lost", "done"]


def test_gives_up_on_what_kills_every_worker(store):
    dispatch(store, an_event())
    claim(store, lease=LAPSED)
    store.sweep()
    got = []

    handle(store, a_handler(got.append, max_attempts=1))

    assert (got, the_dispatch(store)["state"]) == ([], "dead")


def test_a_worker_that_lost_its_lease_says_that_its_outcome_did_not_count(store):
    receive(store)

    def freezes(event):
        # What happens to a worker that is stopped for longer than its lease, seen from inside.
        store._writer.run(lambda db: db.execute("UPDATE dispatches SET leased_until = '2000-01-01T00:00:00.000Z'"))
        store.sweep()
        return Cancel("frozen")

    with hearing(signals.dispatch_finished) as heard:
        handle(store, a_handler(freezes, max_attempts=1))

    assert [facts["state"] for _, facts in heard] == [None, "dead"]


# Stopping, and trouble


def test_lets_what_runs_finish_when_it_is_stopped(store, gate):
    receive(store)

    with working(engine := an_engine(store, a_handler(gate))) as thread, gate:
        eventually(lambda: gate.entered)
        engine.stop()
        gate.opened.set()
        thread.join(LONG)

        assert the_dispatch(store)["state"] == "done"


def test_leaves_to_others_what_does_not_finish(store, caplog, gate):
    receive(store)

    with gate:
        with working(an_engine(store, a_handler(gate), drain=timedelta(milliseconds=20))):
            eventually(lambda: gate.entered)

        assert the_dispatch(store)["state"] == "running"
        assert "stopped before every handler had finished" in caplog.messages
    eventually(lambda: the_dispatch(store)["state"] == "done")


def test_takes_nothing_once_it_is_stopped(store):
    dispatch(store, an_event())
    engine = an_engine(store, a_handler(print))
    engine.stop()

    engine.run()

    assert the_dispatch(store)["state"] == "pending"


def test_goes_on_when_the_store_is_there_again(database, caplog):
    got = []
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=50))) as store:
        receive(store)
        with contextlib.ExitStack() as lock:
            lock.enter_context(database_locked(database))
            with working(an_engine(store, a_handler(got.append))):
                eventually(lambda: "store unavailable; trying again" in caplog.messages)
                lock.close()

                eventually(lambda: got)


def test_records_an_outcome_when_the_store_is_there_again(database, gate):
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=50))) as store:
        receive(store)
        with working(an_engine(store, a_handler(gate))), gate:
            eventually(lambda: gate.entered)
            with database_locked(database):
                gate.opened.set()
                eventually(lambda: store._writer._led)
                # This waits its turn behind the outcome.
                with pytest.raises(StoreUnavailable):
                    store.prove()

            eventually(lambda: the_dispatch(store)["state"] == "done")
        assert attempts(store) == ["done"]


def test_what_comes_in_after_a_round_that_took_few_shares_the_commits_of_the_next(store, database, monkeypatch):
    monkeypatch.setattr("receiver.engine.local._ROUND_SECONDS", 2.0)
    events = [an_event(f"later_{number}") for number in range(8)]

    with working(an_engine(store, a_handler(lambda event: None))):
        receive(store, an_event("first"))
        eventually(lambda: [row["state"] for row in store.list_dispatches(limit=1).rows] == ["done"])
        receive(store, *events)
        eventually(lambda: len(store.list_dispatches(limit=100).rows) == 1 + len(events))

    with contextlib.closing(sqlite3.connect(database)) as read:
        routed = read.execute("SELECT DISTINCT created_at FROM dispatches WHERE job_id <> 'first'").fetchall()
    assert len(routed) == 1
