"""Waking workers."""

import contextlib
import os
import socket
import threading
import time

import pytest

from receiver.store.sqlite.bell import Bell
from tests.trouble import child, said

LONG = 30.0

LISTEN = """
import sys
from pathlib import Path
from receiver.store.sqlite.bell import Bell

bell = Bell(Path(sys.argv[1]))
bell.wait(0)
print("ready", flush=True)
bell.wait(30)
print("woken", flush=True)
sys.stdin.readline()
"""


RING_WITH_NO_DESCRIPTOR_LEFT = """
import resource, sys
from pathlib import Path
from receiver.store.sqlite.bell import Bell

bell = Bell(Path(sys.argv[1]))
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
bell.ring()
print("rang", flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    # Longer than a socket's path may be.
    return tmp_path / ("long" * 40)


@pytest.fixture
def open_bell(folder):
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(Bell(folder)))


def seconds_waited(bell, timeout):
    began = time.monotonic()
    bell.wait(timeout)
    return time.monotonic() - began


def test_waits_until_the_time_is_over(open_bell):
    assert seconds_waited(open_bell(), 0.05) >= 0.05


@pytest.mark.parametrize("timeout", [pytest.param(0, id="zero"), pytest.param(-1, id="negative")])
def test_does_not_wait_where_there_is_no_time(open_bell, timeout):
    assert seconds_waited(open_bell(), timeout) < 5


def test_a_ring_that_finds_no_descriptor_is_no_error(folder):
    with child(RING_WITH_NO_DESCRIPTOR_LEFT, folder) as ringing:
        said(ringing, "rang")


def test_wakes_only_who_waits_here(open_bell):
    bell, other = open_bell(), open_bell()
    bell.wait(0)
    other.wait(0)

    bell.ring_here()

    assert seconds_waited(bell, LONG) < LONG
    assert seconds_waited(other, 0.05) >= 0.05


def test_rings_here_where_nobody_waits(open_bell):
    bell = open_bell()

    bell.ring_here()

    assert seconds_waited(bell, 0.05) >= 0.05


def test_hears_itself(open_bell):
    bell = open_bell()
    bell.wait(0)

    bell.ring()

    assert seconds_waited(bell, LONG) < 5


def test_rings_since_the_last_wait_count_once(open_bell):
    bell = open_bell()
    bell.wait(0)
    for _ in range(1000):
        bell.ring()

    bell.wait(LONG)

    assert seconds_waited(bell, 0.05) >= 0.05


def test_wakes_everyone(open_bell):
    ringer, listeners = open_bell(), [open_bell() for _ in range(3)]
    for listener in listeners:
        listener.wait(0)
    threads = [threading.Thread(target=listener.wait, args=(LONG,), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()

    ringer.ring()

    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)


def test_wakes_another_process(open_bell, folder):
    bell = open_bell()
    with child(LISTEN, folder) as process:
        said(process, "ready")

        bell.ring()

        said(process, "woken")


def test_clears_away_what_a_killed_process_left(open_bell, folder):
    bell = open_bell()
    with child(LISTEN, folder) as process:
        said(process, "ready")
    assert len(os.listdir(folder)) == 1

    bell.ring()

    assert os.listdir(folder) == []


def test_nobody_may_be_listening(open_bell):
    open_bell().ring()


def test_something_else_in_the_folder_does_not_matter(open_bell, folder):
    bell = open_bell()
    bell.wait(0)
    (folder / "0-note").write_text("not a socket")

    bell.ring()

    assert seconds_waited(bell, LONG) < 5


def test_looks_often_where_no_socket_can_be_had(open_bell, monkeypatch):
    bell = open_bell()
    monkeypatch.setattr(socket.socket, "bind", refuse)

    assert seconds_waited(bell, LONG) < 5


def refuse(*_):
    raise PermissionError("no sockets here")
