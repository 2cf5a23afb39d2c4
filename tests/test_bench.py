"""The bench runs, and has something to show for every group that it runs by itself."""

import re
import signal
import subprocess
import sys

import pytest

from tests.pages import ROOT

LONGEST_SECONDS = 600
STOPS_WITHIN = 60


def quick():
    """A quick run's exit status and what it printed; one that takes too long is asked to end what it has started."""
    command = [sys.executable, "-m", "bench", "--quick"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bench:
        try:
            output, _ = bench.communicate(timeout=LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            bench.send_signal(signal.SIGINT)
            output, _ = bench.communicate(timeout=STOPS_WITHIN)
        finally:
            bench.kill()
    return bench.returncode, output


@pytest.mark.drill
def test_every_group_measures_something():
    status, output = quick()

    assert status == 0, output
    assert set(re.findall(r"^measuring: (\S+)", output, re.MULTILINE)) == {
        "ingest",
        "dispatching",
        "million",
        "reconciling",
        "watching",
    }
