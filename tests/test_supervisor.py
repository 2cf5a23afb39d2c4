"""Processes that die, that cannot start and that do not stop."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.supervisor import DiedAtStart, Supervisor
from tests.watch import eventually

# Notes that it runs, then waits for the end; `stubborn` does not stop when asked to, `broken` ends at once.
CHILD = """
import os, signal, sys, time
from pathlib import Path

name, folder, manner = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def stop(*_):
    with open(folder / "stopped", "a") as file:
        file.write(name + "\\n")
    if manner != "stubborn":
        sys.exit(0)

signal.signal(signal.SIGTERM, stop)
with open(folder / f"{name}.pids", "a") as file:
    file.write(f"{os.getpid()}\\n")
if manner == "broken":
    sys.exit(2)
while True:
    time.sleep(60)
"""

SUPERVISING = """
import os, sys
from receiver.supervisor import Supervisor

Supervisor({"child": sys.argv[1:]}, environment=os.environ, grace=5).run()
"""

IN_THE_BACKGROUND = """
import json, os, sys
from receiver.supervisor import Supervisor

Supervisor(json.loads(sys.argv[1]), environment=os.environ, grace=5, background=sys.argv[2:]).run()
"""


def command(folder, name, manner="obedient"):
    return [sys.executable, "-c", CHILD, name, str(folder), manner]


def pids(folder, name):
    """The processes that ran under this name, in order."""
    file = folder / f"{name}.pids"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def alive(pid):
    """Whether a process runs; one that ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def supervised(commands, *, grace=10.0, vital=()):
    """Run the supervisor in a thread, and stop it at the end."""
    supervisor = Supervisor(commands, environment=os.environ, grace=grace, vital=vital)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield
    finally:
        supervisor.stop()
        thread.join()


@pytest.mark.parametrize("niceness", [0, 10])
def test_the_background_lets_the_others_go_first(tmp_path, niceness):
    commands = {name: command(tmp_path, name) for name in ("first", "second")}
    polite = ["nice", "-n", str(niceness), sys.executable, "-c", IN_THE_BACKGROUND, json.dumps(commands), "second"]
    with subprocess.Popen(polite) as supervisor:
        eventually(lambda: pids(tmp_path, "first") and pids(tmp_path, "second"))
        [first], [second] = pids(tmp_path, "first"), pids(tmp_path, "second")
        priorities = [os.getpriority(os.PRIO_PROCESS, pid) for pid in (first, second)]
        supervisor.kill()

    assert priorities[1] > priorities[0]


def test_runs_every_command(tmp_path):
    with supervised({name: command(tmp_path, name) for name in ("first", "second")}):
        eventually(lambda: pids(tmp_path, "first") and pids(tmp_path, "second"))


def test_gives_its_environment_to_them(tmp_path):
    script = "import os, sys; open(sys.argv[1], 'w').write(os.environ['GREETING'])"
    supervisor = Supervisor(
        {"child": [sys.executable, "-c", script, str(tmp_path / "said")]},
        environment={**os.environ, "GREETING": "hello"},
        grace=5,
    )
    thread = threading.Thread(target=supervisor.run)
    thread.start()

    eventually(lambda: (tmp_path / "said").exists() and (tmp_path / "said").read_text() == "hello")

    supervisor.stop()
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
@pytest.mark.parametrize("vital", [["child"], []], ids=["vital", "not-vital"])
def test_starts_again_what_a_signal_ended(tmp_path, number, vital):
    with supervised({"child": command(tmp_path, "child")}, vital=vital):
        eventually(lambda: pids(tmp_path, "child"))
        os.kill(pids(tmp_path, "child")[0], number)

        eventually(lambda: len(pids(tmp_path, "child")) == 2)


def test_leaves_the_others_alone_when_one_dies(tmp_path):
    with supervised({name: command(tmp_path, name) for name in ("first", "second")}):
        eventually(lambda: pids(tmp_path, "first") and pids(tmp_path, "second"))
        os.kill(pids(tmp_path, "first")[0], signal.SIGKILL)

        eventually(lambda: len(pids(tmp_path, "first")) == 2)

        assert len(pids(tmp_path, "second")) == 1


def test_stops_all_of_them_with_sigterm(tmp_path):
    with supervised({name: command(tmp_path, name) for name in ("first", "second")}):
        eventually(lambda: pids(tmp_path, "first") and pids(tmp_path, "second"))

    assert sorted((tmp_path / "stopped").read_text().split()) == ["first", "second"]
    assert not any(map(alive, pids(tmp_path, "first") + pids(tmp_path, "second")))


def test_kills_what_does_not_stop_in_time(tmp_path):
    with supervised({"child": command(tmp_path, "child", "stubborn")}, grace=0.2):
        eventually(lambda: pids(tmp_path, "child"))

    assert (tmp_path / "stopped").read_text() == "child\n"
    assert not alive(pids(tmp_path, "child")[0])


def test_does_not_start_again_what_it_stops(tmp_path):
    with supervised({"child": command(tmp_path, "child")}):
        eventually(lambda: pids(tmp_path, "child"))

    assert len(pids(tmp_path, "child")) == 1


def test_gives_up_when_a_vital_command_cannot_start(tmp_path):
    commands = {"broken": [sys.executable, "-c", "raise SystemExit(2)"]}

    with pytest.raises(DiedAtStart, match="broken ended with status 2"):
        Supervisor(commands, environment=os.environ, grace=5, vital=["broken"]).run()


def test_starts_again_what_is_not_vital_and_cannot_start(tmp_path):
    with supervised({"child": command(tmp_path, "child", "broken")}, vital=["another"]):
        eventually(lambda: len(pids(tmp_path, "child")) == 2)


def test_stops_the_others_when_a_vital_one_cannot_start(tmp_path):
    commands = {
        "child": command(tmp_path, "child"),
        "broken": [sys.executable, "-c", "raise SystemExit(2)"],
    }

    with pytest.raises(DiedAtStart):
        Supervisor(commands, environment=os.environ, grace=5, vital=["broken"]).run()

    assert not any(map(alive, pids(tmp_path, "child")))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_they_stop_when_it_is_killed(tmp_path):
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISING, *command(tmp_path, "child")])
    eventually(lambda: pids(tmp_path, "child"))

    supervisor.kill()
    supervisor.wait()

    eventually(lambda: not alive(pids(tmp_path, "child")[0]))


@pytest.mark.drill
def test_a_vital_process_may_take_long_to_give_up(tmp_path):
    script = "import sys, time; time.sleep(12); sys.exit(1)"
    supervisor = Supervisor({"child": [sys.executable, "-c", script]}, environment=os.environ, grace=5, vital=["child"])

    with pytest.raises(DiedAtStart):
        supervisor.run()
