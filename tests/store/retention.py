"""What every store promises about what is old, as tests to inherit beside `StoreContract`."""

from dataclasses import replace
from datetime import timedelta

import pytest

from receiver import clock
from receiver.models import Failure, Output, Status
from receiver.store.base import Prunable, Selection
from tests.store.contract import (
    CANCEL,
    DONE,
    HANDLER,
    RETRY_LATER,
    SOURCE,
    a_delivery,
    a_hint,
    a_record,
    all_deliveries,
    all_dispatches,
    an_event,
    claim,
    dead,
    dispatch,
    incomplete,
    refusals,
    replay,
    track,
    unreadable,
)

DAY = timedelta(days=1)
OLD = timedelta(days=100)
"""So old that a whole month lies between: PostgreSQL drops months."""
KEPT = timedelta(days=60)
YOUNG = timedelta(days=1)


def prune(store, what, *, older_than=KEPT, dry_run=False):
    return sum(store.prune(what, older_than=older_than, dry_run=dry_run))


def ago(record, age):
    """The record, received so long ago."""
    return replace(record, delivery=replace(record.delivery, received_at=clock.now() - age))


def finished(store, event, outcome=DONE):
    """Dispatch an event and end its dispatch."""
    dispatch(store, event)
    [claimed] = claim(store)
    store.finish(claimed, outcome)
    return claimed


class RetentionContract:
    """Inherit it in a class with the fixtures of `StoreContract`."""

    # Deliveries

    def test_drops_old_deliveries(self, store):
        for number, age in enumerate([OLD, OLD, YOUNG]):
            store.receive(ago(a_record(an_event(f"job_{number}")), age))

        assert prune(store, Prunable.DELIVERIES) == 2
        assert len(all_deliveries(store)) == 1

    def test_an_event_is_known_after_its_delivery_was_dropped(self, store):
        first = store.receive(ago(a_record(an_event()), OLD))
        store.receive(ago(a_record(an_event("job_2")), YOUNG))
        prune(store, Prunable.DELIVERIES)

        again = store.receive(a_record(an_event()))

        assert (again.repeated, again.delivery_id) == (True, first.delivery_id)
        assert len(all_deliveries(store)) == 1

    def test_a_new_delivery_is_none_that_was_dropped(self, store):
        first = store.receive(ago(a_record(an_event()), OLD))
        prune(store, Prunable.DELIVERIES)

        second = store.receive(ago(a_record(an_event("job_2")), YOUNG))

        assert second.delivery_id != first.delivery_id

    @pytest.mark.parametrize("record", [incomplete(an_event()), a_record()], ids=["incomplete", "without-events"])
    def test_what_was_told_apart_by_its_bytes_is_known_after_it_was_dropped(self, store, record):
        store.receive(ago(record, OLD))
        store.receive(ago(a_record(an_event("job_2")), YOUNG))
        prune(store, Prunable.DELIVERIES)

        again = store.receive(record)

        assert again.repeated
        assert len(all_deliveries(store)) == 1

    def test_a_hint_is_new_after_it_was_dropped(self, store):
        store.receive(ago(a_hint(an_event()), OLD))
        store.receive(ago(a_record(an_event("job_2")), YOUNG))
        prune(store, Prunable.DELIVERIES)

        assert not store.receive(a_hint(an_event())).repeated

    def test_what_nobody_understood_is_kept_for_longer(self, store):
        store.receive(ago(a_record(an_event()), OLD))
        store.receive(ago(unreadable(), OLD))
        store.receive(ago(a_record(an_event("job_2")), YOUNG))

        assert prune(store, Prunable.DELIVERIES) == 1
        assert [row["verdict"] for row in all_deliveries(store)] == ["recorded", "unreadable"]

    def test_drops_what_nobody_understood(self, store):
        store.receive(ago(unreadable(), OLD))
        store.receive(ago(a_record(an_event()), OLD))

        assert prune(store, Prunable.UNREADABLE) == 1
        assert [row["verdict"] for row in all_deliveries(store)] == ["recorded"]

    def test_a_delivery_that_is_as_old_as_one_that_was_dropped_is_received(self, store):
        store.receive(ago(a_record(an_event()), OLD))
        prune(store, Prunable.DELIVERIES)

        assert store.receive(ago(a_record(an_event("job_2")), OLD)).events

    # Dispatches

    @pytest.mark.parametrize("outcome", [DONE, CANCEL], ids=["done", "cancelled"])
    def test_drops_old_dispatches_that_are_over_with_their_attempts(self, store, let_pass, outcome):
        old = finished(store, an_event(), outcome)
        let_pass(OLD)
        finished(store, an_event("job_2"))

        assert prune(store, Prunable.DISPATCHES) == 1
        assert store.dispatch(old.id) is None
        assert store.list_attempts(old.id) == []
        assert len(all_dispatches(store)) == 1

    def test_keeps_dispatches_that_wait_run_or_are_dead(self, store, let_pass):
        dead(store, an_event())
        finished(store, an_event("job_2"), RETRY_LATER)
        dispatch(store, an_event("job_3"), an_event("job_4"))
        [running] = claim(store, lease=2 * OLD)
        dispatch(store, an_event("job_5"))
        let_pass(OLD)

        assert prune(store, Prunable.DISPATCHES) == 0
        assert sorted(row["state"] for row in all_dispatches(store)) == ["dead", *["pending"] * 3, "running"]
        assert store.finish(running, DONE) is not None

    def test_what_is_retried_is_kept(self, store, let_pass):
        cancelled = finished(store, an_event(), CANCEL)
        let_pass(OLD)
        dispatch(store, an_event("job_2"))
        store.retry([cancelled.id])

        assert prune(store, Prunable.DISPATCHES) == 0

    # What events say

    def test_empties_old_events(self, store, let_pass):
        outputs = (Output("https://cdn.example/a.mp4"),)
        [event] = store.receive(a_record(an_event(outputs=outputs, failure=Failure("too long")))).events
        store.route({event.id: []})
        let_pass(OLD)
        [young] = store.receive(a_record(an_event("job_2"))).events
        store.route({young.id: []})

        assert prune(store, Prunable.EVENTS) == 1
        emptied = store.event(event.id)
        assert (emptied.emptied, emptied.data, emptied.outputs, emptied.failure) == (True, {}, (), None)
        assert store.event(young.id).data == {"id": "job_2"}

    def test_an_event_that_was_emptied_is_known(self, store, let_pass):
        [event] = store.receive(a_record(an_event())).events
        store.route({event.id: []})
        let_pass(OLD)
        prune(store, Prunable.EVENTS)

        assert store.receive(a_record(an_event())).repeated

    def test_empties_an_event_once(self, store, let_pass):
        [event] = store.receive(a_record(an_event())).events
        store.route({event.id: []})
        let_pass(OLD)
        prune(store, Prunable.EVENTS)

        assert prune(store, Prunable.EVENTS) == 0

    def test_does_not_empty_an_event_that_is_yet_to_be_routed(self, store, let_pass):
        store.receive(a_record(an_event()))
        let_pass(OLD)

        assert prune(store, Prunable.EVENTS) == 0

    @pytest.mark.parametrize("outcome", [DONE, RETRY_LATER, CANCEL], ids=["done", "waits", "cancelled"])
    def test_does_not_empty_an_event_that_has_a_dispatch(self, store, let_pass, outcome):
        finished(store, an_event(), outcome)
        let_pass(OLD)

        assert prune(store, Prunable.EVENTS) == 0

    def test_empties_an_event_whose_dispatches_are_gone(self, store, let_pass):
        finished(store, an_event())
        let_pass(OLD)
        finished(store, an_event("job_2"))
        prune(store, Prunable.DISPATCHES)

        assert prune(store, Prunable.EVENTS) == 1

    def test_replays_no_event_that_was_emptied(self, store, let_pass):
        [event] = store.receive(a_record(an_event())).events
        store.route({event.id: []})
        let_pass(OLD)
        prune(store, Prunable.EVENTS)

        assert replay(store, event) == []
        assert store.select_events(Selection(), limit=10) == []
        assert store.count_events(Selection()) == 0

    def test_an_event_whose_dispatches_are_gone_can_be_replayed(self, store, let_pass):
        event = finished(store, an_event()).event
        let_pass(OLD)
        finished(store, an_event("job_2"))
        prune(store, Prunable.DISPATCHES)

        assert len(replay(store, event)) == 1

    # Jobs

    def test_drops_old_jobs_that_ended(self, store, let_pass):
        finished(store, an_event())
        let_pass(OLD)
        finished(store, an_event("job_2"))
        prune(store, Prunable.DISPATCHES)

        assert prune(store, Prunable.JOBS) == 1
        assert store.job(SOURCE, "job_1") is None
        assert store.job(SOURCE, "job_2") is not None

    def test_keeps_open_jobs(self, store, let_pass):
        track(store, "job_1")
        store.receive(a_record(an_event("job_2", Status.RUNNING)))
        let_pass(OLD)

        assert prune(store, Prunable.JOBS) == 0

    def test_keeps_jobs_of_which_something_waits_runs_or_is_dead(self, store, let_pass):
        dead(store, an_event("job_1"))
        finished(store, an_event("job_2"), RETRY_LATER)
        dispatch(store, an_event("job_3"))
        claim(store)
        store.receive(a_record(an_event("job_4")))
        let_pass(OLD)

        assert prune(store, Prunable.JOBS) == 0

    # The quarantine

    def test_drops_old_refusals(self, store):
        old, young = refusals(2)
        store.quarantine([replace(old, delivery=a_delivery())], max_count=10)
        store.quarantine([replace(young, delivery=replace(a_delivery(), received_at=clock.now()))], max_count=10)

        assert prune(store, Prunable.QUARANTINE, older_than=DAY) == 1
        assert len(store.list_refusals(limit=10).rows) == 1

    # All alike

    @pytest.mark.parametrize("what", Prunable)
    def test_there_is_nothing_to_prune_in_an_empty_store(self, store, what):
        assert prune(store, what) == 0

    def test_counts_without_changing_anything(self, store, let_pass):
        finished(store, an_event())
        store.receive(ago(a_record(an_event("job_2")), OLD))
        dispatch(store, an_event("job_3"))
        let_pass(OLD)
        store.receive(ago(a_record(an_event("job_4")), YOUNG))
        before = all_dispatches(store), all_deliveries(store)

        counts = [prune(store, what, dry_run=True) for what in (Prunable.DISPATCHES, Prunable.DELIVERIES)]

        assert counts == [1, 3]
        assert (all_dispatches(store), all_deliveries(store)) == before

    def test_prunes_more_than_goes_at_once(self, store, let_pass):
        plan = {}
        for number in range(20):
            batch = [an_event(f"job_{number}_{part}") for part in range(60)]
            plan |= {event.id: [HANDLER] for event in store.receive(a_record(*batch)).events}
        store.route(plan)
        while claims := claim(store, 500):
            store.finish_all([(claimed, DONE) for claimed in claims])
        let_pass(OLD)
        finished(store, an_event())

        batches = list(store.prune(Prunable.DISPATCHES, older_than=KEPT))

        assert sum(batches) == 1200
        assert len(batches) > 1
