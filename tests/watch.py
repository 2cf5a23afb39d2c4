"""Waiting for what must happen, and hearing what is announced."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from blinker import NamedSignal

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within: float = 10.0) -> T:
    """What the condition gives once it is true; fails if it is not in time."""
    deadline = time.monotonic() + within
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s"
        time.sleep(0.005)
    return met


@contextmanager
def hearing(signal: NamedSignal) -> Iterator[list[tuple[Any, dict[str, Any]]]]:
    """Who sent the signal, and with which facts, meanwhile."""
    heard: list[tuple[Any, dict[str, Any]]] = []

    def observer(sender: Any, **facts: Any) -> None:
        heard.append((sender, facts))

    with signal.connected_to(observer):
        yield heard
