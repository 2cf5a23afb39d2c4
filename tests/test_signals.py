"""Announcing facts."""

import pytest
from blinker import NamedSignal

from receiver import signals
from receiver.signals import announce
from tests.watch import hearing


@pytest.fixture
def signal():
    """A signal of its own, so that nobody else hears it."""
    return NamedSignal("something-happened")


def fail(sender, **facts):
    raise RuntimeError("an observer's own trouble")


def test_tells_every_observer(signal):
    with hearing(signal) as first, hearing(signal) as second:
        announce(signal, "studio", job="job_1")

    assert first == second == [("studio", {"job": "job_1"})]


def test_one_that_fails_does_not_keep_it_from_the_others(signal, caplog):
    with signal.connected_to(fail), hearing(signal) as first, signal.connected_to(fail), hearing(signal) as second:
        announce(signal, "studio")

    assert len(first) == len(second) == 1


def test_says_which_signal_an_observer_failed_on(signal, caplog):
    with signal.connected_to(fail):
        announce(signal, "studio")

    [record] = caplog.records
    assert (record.levelname, record.signal) == ("ERROR", "something-happened")


def test_nobody_need_hear(signal):
    announce(signal, "studio")


def test_a_sender_may_be_unknown(signal):
    with hearing(signal) as heard:
        announce(signal, None, reason="unknown_source")

    assert heard == [(None, {"reason": "unknown_source"})]


def test_every_signal_is_public():
    named = {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}

    assert named == set(signals.__all__) - {"announce"}


@pytest.mark.parametrize("name", sorted(set(signals.__all__) - {"announce"}))
def test_is_named_like_its_variable(name):
    assert getattr(signals, name).name == name.replace("_", "-")
