"""Dispatches that a broker hands to the workers, on every store."""

from datetime import timedelta

import pytest

from receiver.models import Budget, Status
from tests.store.contract import (
    DONE,
    HANDLER,
    HOUR,
    MINUTE,
    all_dispatches,
    an_event,
    at_once,
    claim,
    dispatch,
    fail,
    replay,
    the_dispatch,
)

MANY = 1000
LEASE = MINUTE


@pytest.fixture
def store(open_either):
    return open_either()


def enqueue(store, most=MANY, handler=HANDLER):
    return [dispatch_id for dispatch_id, _ in store.enqueue({handler: most})]


def claim_one(store, dispatch_id, *, worker="celery:1", limits=None):
    return store.claim_one(dispatch_id, lease=LEASE, worker=worker, limits=limits)


def ids(store):
    """In the order of the events."""
    return sorted(row["id"] for row in all_dispatches(store))


# Claiming one


def test_claims_the_one_that_is_asked_for(store):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    _, second = ids(store)

    taken = claim_one(store, second)

    assert (taken.id, taken.event.job_id, taken.attempt) == (second, "job_2", 1)
    assert {row["id"]: row["state"] for row in all_dispatches(store)}[second] == "running"


def test_claims_no_other(store):
    dispatch(store, an_event())

    assert claim_one(store, the_dispatch(store)["id"] + 1) is None
    assert the_dispatch(store)["state"] == "pending"


def test_claims_it_once(store):
    dispatch(store, an_event())
    dispatch_id = the_dispatch(store)["id"]

    assert [claim_one(store, dispatch_id) is None, claim_one(store, dispatch_id) is None] == [False, True]


def test_one_of_many_claims_it(store, open_either):
    dispatch(store, an_event())
    dispatch_id = the_dispatch(store)["id"]
    stores = [store, open_either()] * 8

    claims = at_once(*[lambda store=store: claim_one(store, dispatch_id) for store in stores])

    assert len([taken for taken in claims if taken]) == 1


def test_claims_none_that_is_over(store):
    dispatch(store, an_event())
    store.finish_all([(claim_one(store, the_dispatch(store)["id"]), DONE)])

    assert claim_one(store, the_dispatch(store)["id"]) is None


def test_claims_none_that_is_not_due(store):
    fail(store, 1, park_after=MANY)

    assert claim_one(store, the_dispatch(store)["id"]) is None


def test_claims_none_while_another_of_its_job_runs(store):
    dispatch(store, an_event(status=Status.RUNNING), an_event())
    first, second = ids(store)
    taken = claim_one(store, first)
    early = claim_one(store, second)
    store.finish_all([(taken, DONE)])

    assert [early is None, claim_one(store, second) is None] == [True, False]


def test_claims_none_before_the_earlier_of_its_job(store):
    dispatch(store, an_event(status=Status.RUNNING), an_event())

    assert claim_one(store, ids(store)[1]) is None


def test_claims_none_beyond_the_limit(store):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    limits = {HANDLER: Budget(1, per=HOUR)}

    claims = [claim_one(store, dispatch_id, limits=limits) for dispatch_id in ids(store)]

    assert [taken is None for taken in claims] == [False, True]


def test_claims_none_of_a_parked_handler_but_one_to_try_it(store, let_pass):
    fail(store, 1, park_after=1)
    dispatch(store, an_event("job_1"), an_event("job_2"))
    _, first, second = ids(store)
    parked = claim_one(store, first)
    let_pass(10 * MINUTE)

    taken = claim_one(store, first)

    assert parked is None
    assert taken.probe
    assert claim_one(store, second) is None


def test_claims_none_of_a_paused_handler(store):
    dispatch(store, an_event())
    store.pause_handler(HANDLER, paused=True)

    assert claim_one(store, the_dispatch(store)["id"]) is None


# What waits in a queue


def test_what_is_due_is_enqueued_once(store):
    dispatch(store, an_event("job_1"), an_event("job_2"))

    assert store.enqueue({HANDLER: MANY}) == [(dispatch_id, HANDLER) for dispatch_id in ids(store)]
    assert store.enqueue({HANDLER: MANY}) == []


def test_several_that_enqueue_at_once_share_it(store, open_either):
    dispatch(store, *[an_event(f"job_{number}") for number in range(20)])
    stores = [store, open_either()] * 4

    batches = at_once(*[lambda store=store: enqueue(store) for store in stores])

    assert sorted(dispatch_id for batch in batches for dispatch_id in batch) == ids(store)


def test_no_more_wait_than_may(store):
    dispatch(store, *[an_event(f"job_{number}") for number in range(5)])
    first, second, third = ids(store)[:3]

    assert [enqueue(store, 2), enqueue(store, 2), enqueue(store, 3)] == [[first, second], [], [third]]


def test_what_somebody_has_tried_to_claim_waits_no_more(store):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    [first] = enqueue(store, 1)
    claim_one(store, first)

    assert enqueue(store, 1) == [ids(store)[1]]


def test_what_could_not_be_claimed_is_enqueued_again(store):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    first, second = enqueue(store)
    limits = {HANDLER: Budget(1, per=timedelta(milliseconds=1))}
    claim_one(store, first)
    store.pause_handler(HANDLER, paused=True)
    claim_one(store, second, limits=limits)
    store.pause_handler(HANDLER, paused=False)

    assert enqueue(store) == [second]


def test_a_retry_is_enqueued_when_it_is_due(store, let_pass):
    fail(store, 1, park_after=MANY)
    early = enqueue(store)
    let_pass(HOUR)

    assert [early, enqueue(store)] == [[], ids(store)]


def test_of_one_job_the_first_is_enqueued(store):
    dispatch(store, an_event(status=Status.RUNNING), an_event())
    first, second = ids(store)
    before = enqueue(store)
    taken = claim_one(store, first)
    meanwhile = enqueue(store)
    store.finish_all([(taken, DONE)])

    assert [before, meanwhile, enqueue(store)] == [[first], [], [second]]


def test_live_ones_are_enqueued_before_replayed_ones(store):
    dispatch(store, an_event("job_1"))
    store.finish_all([(claimed, DONE) for claimed in claim(store)])
    event = store.event(the_dispatch(store)["event"])
    [replayed] = replay(store, event)
    dispatch(store, an_event("job_2"))

    assert enqueue(store) == [max(ids(store)), replayed]


@pytest.mark.parametrize("hold", ["parked", "paused"])
def test_none_of_a_handler_that_is_held_is_enqueued(store, hold):
    if hold == "parked":
        fail(store, 1, park_after=1)
    else:
        store.pause_handler(HANDLER, paused=True)
    dispatch(store, an_event("job_1"))

    assert enqueue(store) == []


def test_of_a_parked_handler_one_is_enqueued_to_try_it(store, let_pass):
    fail(store, 1, park_after=1)
    dispatch(store, an_event("job_1"), an_event("job_2"))
    let_pass(10 * MINUTE)

    assert [len(enqueue(store)), len(enqueue(store))] == [1, 0]


def test_none_is_enqueued_until_the_limit_lets_one_begin(store, let_pass):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    first, second = ids(store)
    limits = {HANDLER: Budget(1, per=MINUTE)}
    claim_one(store, first, limits=limits)
    claim_one(store, second, limits=limits)
    early = enqueue(store)
    let_pass(MINUTE)

    assert [early, enqueue(store)] == [[], [second]]


def test_what_could_not_be_put_there_is_enqueued_again(store):
    dispatch(store, an_event())
    store.dequeue(enqueue(store))

    assert enqueue(store) == ids(store)


def test_the_oldest_are_lost_where_the_queue_holds_fewer(store, let_pass):
    dispatch(store, *[an_event(f"job_{number}") for number in range(3)])
    first, second, _ = enqueue(store)
    let_pass(MINUTE)

    assert store.dequeue_lost([HANDLER], older_than=MINUTE, keep=1) == 2
    assert enqueue(store) == [first, second]


def test_none_is_lost_that_has_not_waited_for_long(store, let_pass):
    dispatch(store, an_event())
    enqueue(store)
    let_pass(MINUTE / 2)

    assert store.dequeue_lost([HANDLER], older_than=MINUTE, keep=0) == 0


def test_none_of_other_handlers_is_lost(store, let_pass):
    dispatch(store, an_event(), handlers=["other"])
    enqueue(store, handler="other")
    let_pass(MINUTE)

    assert store.dequeue_lost([HANDLER], older_than=MINUTE, keep=0) == 0


# Rescuing one


def test_rescues_what_its_worker_renews_no_more(store):
    dispatch(store, an_event())
    dispatch_id = the_dispatch(store)["id"]
    claim_one(store, dispatch_id, worker="celery:1")
    seen = store.leased_until(dispatch_id, worker="celery:1")

    assert store.rescue(dispatch_id, worker="celery:1", leased_until=seen)
    assert claim_one(store, dispatch_id).attempt == 2
    assert [row["outcome"] for row in store.list_attempts(dispatch_id)] == ["lost"]


def test_rescues_nothing_that_is_renewed(store):
    dispatch(store, an_event())
    dispatch_id = the_dispatch(store)["id"]
    taken = claim_one(store, dispatch_id, worker="celery:1")
    seen = store.leased_until(dispatch_id, worker="celery:1")
    store.renew([taken], lease=HOUR)

    assert not store.rescue(dispatch_id, worker="celery:1", leased_until=seen)
    assert store.leased_until(dispatch_id, worker="celery:1") > seen


def test_rescues_nothing_from_another_worker(store):
    dispatch(store, an_event())
    dispatch_id = the_dispatch(store)["id"]
    claim_one(store, dispatch_id, worker="celery:2")
    seen = store.leased_until(dispatch_id, worker="celery:2")

    assert store.leased_until(dispatch_id, worker="celery:1") is None
    assert not store.rescue(dispatch_id, worker="celery:1", leased_until=seen)


def test_what_was_rescued_is_no_longer_its_former_workers(store):
    dispatch(store, an_event())
    dispatch_id = the_dispatch(store)["id"]
    taken = claim_one(store, dispatch_id, worker="celery:1")
    seen = store.leased_until(dispatch_id, worker="celery:1")
    store.rescue(dispatch_id, worker="celery:1", leased_until=seen)

    assert store.finish_all([(taken, DONE)]) == [None]
