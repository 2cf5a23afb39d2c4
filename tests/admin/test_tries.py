"""How often signing in may fail."""

import pytest

from receiver.admin.tries import IN_ALL, PER_ADDRESS, SPAN_SECONDS, Tries


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tries(clock):
    return Tries(clock)


def fail(tries, address="192.0.2.1", count=PER_ADDRESS):
    for _ in range(count):
        tries.failed(address)


def test_so_many_may_fail(tries):
    fail(tries, count=PER_ADDRESS - 1)

    assert tries.allowed("192.0.2.1")


def test_no_more_may_fail(tries):
    fail(tries)

    assert not tries.allowed("192.0.2.1")


def test_another_address_is_its_own(tries):
    fail(tries)

    assert tries.allowed("192.0.2.2")


def test_a_network_of_ipv6_is_one(tries):
    fail(tries, "2001:db8::1")

    assert [tries.allowed("2001:db8::ffff"), tries.allowed("2001:db8:0:1::1")] == [False, True]


def test_all_together_may_fail_so_often(tries):
    for number in range(IN_ALL):
        tries.failed(f"192.0.2.{number}")

    assert not tries.allowed("198.51.100.1")


def test_a_minute_later_they_may_again(tries, clock):
    fail(tries)
    clock.now += SPAN_SECONDS

    assert tries.allowed("192.0.2.1")


def test_remembers_no_more_than_it_needs(tries):
    for number in range(10 * IN_ALL):
        tries.failed(f"10.0.{number // 256}.{number % 256}")

    assert len(tries._failed) == IN_ALL


def test_what_is_no_address_counts_too(tries):
    fail(tries, "")

    assert not tries.allowed("")
