"""Being asked to stop."""

import signal

import pytest

from tests.trouble import child, said

ASKED_IN_THE_WORST_MOMENT = """
import os, sys, threading
from receiver.cli.stopping import on_stop

stopped = threading.Event()
on_stop(stopped.set)
# As whoever waits for it does for a moment.
with stopped._cond:
    os.kill(os.getpid(), int(sys.argv[1]))
print("asked", flush=True)
stopped.wait()
print("stopped", flush=True)
"""
TWICE = """
import threading
from receiver.cli.stopping import on_stop

asked = threading.Semaphore(0)
on_stop(asked.release)
print("ready", flush=True)
for _ in range(2):
    asked.acquire()
    print("asked", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_interrupts_who_waits_is_heard(number):
    with child(ASKED_IN_THE_WORST_MOMENT, int(number)) as process:
        said(process, "asked")
        said(process, "stopped")


def test_whoever_asks_twice_is_heard_twice():
    with child(TWICE) as process:
        said(process, "ready")
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            said(process, "asked")
