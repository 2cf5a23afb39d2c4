"""What is done once in the cluster, on every store."""

import contextlib
import itertools
import time
from datetime import timedelta

import pytest

from tests.store.contract import HOUR, MINUTE, at_once
from tests.trouble import child, said, tell
from tests.watch import eventually

CLAIM = """
import sys
from datetime import timedelta
from pathlib import Path
from tests.opened import opened

where = sys.argv[1]
store = opened(where if "://" in where else Path(where))
print("ready", flush=True)
sys.stdin.readline()
print(sum(store.claim_turn("prune", every=timedelta(hours=1)) for _ in range(20)), flush=True)
"""


@pytest.fixture
def store(open_either):
    return open_either()


def test_one_caller_has_the_turn(store):
    assert [store.claim_turn("prune", every=HOUR), store.claim_turn("prune", every=HOUR)] == [True, False]


def test_turns_of_different_names_are_nothing_to_each_other(store):
    store.claim_turn("reconcile:creative", every=HOUR)

    assert store.claim_turn("reconcile:luma", every=HOUR)


def test_the_next_turn_comes_when_the_last_is_so_old(store, let_pass):
    store.claim_turn("prune", every=HOUR)
    let_pass(HOUR - MINUTE)
    early = store.claim_turn("prune", every=HOUR)
    let_pass(MINUTE)

    assert [early, store.claim_turn("prune", every=HOUR), store.claim_turn("prune", every=HOUR)] == [False, True, False]


def test_a_turn_that_was_taken_before_the_clock_was_set_back_keeps_nobody_waiting(store, let_pass):
    store.claim_turn("prune", every=HOUR)
    let_pass(-24 * HOUR)

    assert [store.claim_turn("prune", every=HOUR), store.claim_turn("prune", every=HOUR)] == [True, False]


def test_one_of_many_threads_has_the_turn(store, open_either):
    stores = [store, open_either()] * 8

    had = at_once(*[lambda store=store: store.claim_turn("prune", every=HOUR) for store in stores])

    assert had.count(True) == 1


def test_one_of_many_processes_has_the_turn(store, where):
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(child(CLAIM, where)) for _ in range(4)]
        for process in processes:
            said(process, "ready")
        for process in processes:
            tell(process)

        counts = [int(process.stdout.readline()) for process in processes]

    assert sum(counts) == 1


def test_no_two_turns_are_closer_than_they_may_be(store, open_either):
    every, turns, stores = timedelta(milliseconds=40), [], [store, open_either()]

    def claim_one_after_the_other():
        for claiming in stores:
            before = time.monotonic()
            if claiming.claim_turn("prune", every=every):
                turns.append((before, time.monotonic()))
        return len(turns) >= 10

    eventually(claim_one_after_the_other)

    # The store's clock counts milliseconds.
    assert min(after[1] - before[0] for before, after in itertools.pairwise(turns)) >= 0.039
