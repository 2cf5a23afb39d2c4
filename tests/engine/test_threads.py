"""Threads that take what waits."""

import threading

import pytest

from receiver.engine.threads import Threads
from tests.watch import eventually

LONG = 30.0


@pytest.fixture
def gate():
    opened = threading.Event()
    yield opened
    opened.set()


def alive(name):
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}-")]


def test_works_on_all_in_their_order():
    done = []
    threads = Threads("orderly", lambda items: done.extend(items) or True, most=1)

    threads.put([1, 2])
    threads.put([3])

    eventually(lambda: done == [1, 2, 3])


def test_takes_several_at_once(gate):
    taken = []

    def work(items):
        taken.append(items)
        return gate.wait(LONG)

    threads = Threads("several", work, most=1, at_once=3)
    threads.put([0])
    eventually(lambda: taken)
    threads.put([1, 2, 3, 4])
    gate.set()

    eventually(lambda: taken == [[0], [1, 2, 3], [4]])


def test_starts_no_more_threads_than_it_may(gate):
    begun = []
    threads = Threads("few", lambda items: begun.extend(items) or gate.wait(LONG), most=2)

    threads.put(range(5))
    eventually(lambda: len(begun) == 2)

    assert (len(alive("few")), threads.waiting_count) == (2, 3)


def test_starts_no_thread_where_one_is_idle():
    done = []
    threads = Threads("idle", lambda items: done.append(threading.current_thread()) or True, most=4)

    for number in range(20):
        threads.put([number])
        eventually(lambda number=number: len(done) == number + 1 and threads._idle_count == threads._count)

    assert len(set(done)) == 1


def test_gives_back_what_waits(gate):
    begun = []
    threads = Threads("back", lambda items: begun.extend(items) or gate.wait(LONG), most=1)
    threads.put([1, 2, 3])
    eventually(lambda: begun)

    assert threads.take_back() == [2, 3]
    assert threads.waiting_count == 0


def test_another_thread_goes_on_for_one_that_hangs(gate):
    done = []

    def work(items):
        if items == ["hangs"]:
            gate.wait(LONG)
            return False
        done.extend(items)
        return True

    threads = Threads("replaced", work, most=1)
    threads.put(["hangs", "next"])
    eventually(lambda: threads.waiting_count == 1)
    threads.replace()
    eventually(lambda: done == ["next"])
    gate.set()

    eventually(lambda: not alive("replaced"))
    threads.put(["later"])
    eventually(lambda: done == ["next", "later"])


def test_goes_on_after_work_that_failed(caplog):
    done = []

    def work(items):
        if items == [1]:
            raise ValueError("no")
        done.extend(items)
        return True

    Threads("failing", work, most=1).put([1, 2])

    eventually(lambda: done == [2])
    assert caplog.messages == ["a thread of the engine failed"]


def test_threads_with_nothing_to_do_end_and_new_ones_start():
    done = []
    threads = Threads("resting", lambda items: done.extend(items) or True, most=3)
    threads.put([1, 2, 3])
    eventually(lambda: len(done) == 3)
    eventually(lambda: not alive("resting"))

    threads.put([4])

    eventually(lambda: done[3:] == [4])


def test_loses_nothing_while_threads_come_and_go():
    done = []
    threads = Threads("many", lambda items: done.extend(items) or True, most=4)

    for turn in range(2):
        for number in range(500):
            threads.put([(turn, number)])
        eventually(lambda: not alive("many"))

    assert sorted(done) == [(turn, number) for turn in range(2) for number in range(500)]
