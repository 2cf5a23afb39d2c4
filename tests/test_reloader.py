"""Starting anew when a file changes."""

import os
import sys
import threading
from contextlib import contextmanager

import pytest

from receiver.reloader import Reloader
from tests.running import Running
from tests.watch import eventually

SAY = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
END = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.exit(2)"
HANDLER = """
from pathlib import Path
from receiver import Router

router = Router()


@router.on()
def own(event):
    Path("told").write_text("{told}")
"""


@pytest.fixture
def file(tmp_path):
    """What is watched."""
    file = tmp_path / "own.py"
    file.write_text("")
    return file


@contextmanager
def reloading(tmp_path, file, script):
    """A reloader in a thread; gives the file that each of its processes writes its id to."""
    started, changed = tmp_path / "started", []
    reloader = Reloader(
        [sys.executable, "-c", script, str(started)], lambda: tmp_path.glob("*.py"), changed=changed.append
    )
    thread = threading.Thread(target=reloader.run)
    thread.start()
    try:
        yield lambda: [int(pid) for pid in started.read_text().split()] if started.exists() else [], changed
    finally:
        reloader.stop()
        thread.join(20)
        assert not thread.is_alive()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("script", [pytest.param(SAY, id="running"), pytest.param(END, id="ended-by-itself")])
def test_starts_another_process_when_a_file_changes(tmp_path, file, script):
    with reloading(tmp_path, file, script) as (started, changed):
        eventually(started)
        file.write_text("changed")

        first, second = eventually(lambda: len(started()) == 2 and started())

        assert (alive(first), changed) == (False, [file])

    assert not alive(second)


def test_sees_a_file_that_is_new_and_one_that_is_gone(tmp_path, file):
    with reloading(tmp_path, file, SAY) as (started, changed):
        eventually(started)
        (tmp_path / "another.py").write_text("")
        eventually(lambda: len(started()) == 2)
        file.unlink()
        eventually(lambda: len(started()) == 3)

        assert changed == [tmp_path / "another.py", file]


def test_a_worker_picks_up_what_was_edited(tmp_path):
    receiver = Running(tmp_path, '[handlers.own]\npath = "my_handlers/own.py"\n')
    (tmp_path / "my_handlers").mkdir()
    own = tmp_path / "my_handlers" / "own.py"
    own.write_text(HANDLER.format(told="before"))
    with receiver.running("work", "--reload"), receiver.running("web"):
        eventually(receiver.ready, within=30)
        receiver.run("send", "--job", "vgen_1")
        eventually(lambda: told(tmp_path) == "before", within=30)
        own.write_text(HANDLER.format(told="after it was edited"))
        eventually(lambda: "has changed; starting anew" in receiver.log, within=30)
        receiver.run("send", "--job", "vgen_2")

        eventually(lambda: told(tmp_path) == "after it was edited", within=30)


def told(folder):
    return (folder / "told").read_text() if (folder / "told").exists() else None
