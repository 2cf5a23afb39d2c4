"""Handlers in processes of their own, whatever they do there."""

import contextlib
import os
import textwrap
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from receiver import isolation, plugins
from receiver.config import load
from receiver.engine.local import LocalEngine
from receiver.models import Claim, Event
from receiver.outcomes import Decision, Outcome
from receiver.store import open_store
from tests.store.contract import a_record, an_event
from tests.watch import eventually

CLAIM = Claim(
    id=7,
    token="t",
    handler="own",
    attempt=2,
    idempotency_key="key-7",
    event=Event(source="creative", key="job_1:succeeded", type="video.generation.completed", data={"id": "job_1"}),
    job=None,
)


@pytest.fixture
def attempt(tmp_path):
    """Runs a handler's body in another process: `attempt("return Done({...})", timeout="2s")`."""

    def run(body, *, claim=CLAIM, **settings):
        handler = written(tmp_path, body, **settings)
        return isolation.attempt(claim, handler, config=tmp_path / "receiver.toml")

    return run


def written(folder: Path, body: str, **settings: str):
    """The handler of a configuration that is put into the folder."""
    (folder / "own.py").write_text(
        "import ctypes, os, signal, subprocess, sys, time\n"
        "from receiver import Cancel, Context, Done, HandlerSettings, PermanentError, Router, Snooze\n"
        "class Settings(HandlerSettings):\n    greeting: str = ''\n"
        "router = Router(settings=Settings)\n"
        f"@router.on()\ndef own(event, context):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    )
    rows = "\n".join(f'{name} = "{value}"' for name, value in settings.items())
    (folder / "receiver.toml").write_text(f'[handlers.own]\npath = "own.py"\nisolated = true\n{rows}\n')
    [handler] = plugins.handlers(load(folder / "receiver.toml"))
    return handler


def test_gives_back_what_the_handler_decides(attempt):
    assert attempt("return Done({'saved': ['a.mp4']})") == Outcome(decision=Decision.DONE, result={"saved": ["a.mp4"]})


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        pytest.param("return Cancel('no')", Decision.CANCEL, id="cancel"),
        pytest.param("raise PermanentError('no')", Decision.DEAD, id="permanent"),
        pytest.param("raise ValueError('no')", Decision.RETRY, id="error"),
        pytest.param("sys.exit(3)", Decision.RETRY, id="exit"),
    ],
)
def test_decides_as_in_the_worker(attempt, body, decision):
    assert attempt(body).decision is decision


def test_gives_it_the_event_and_what_it_may_want_besides(attempt):
    outcome = attempt(
        """
        return Done({"key": context.idempotency_key, "attempt": context.attempt, "type": event.type,
                     "greeting": context.settings.greeting})
        """,
        greeting="hello",
    )

    assert outcome.result == {
        "key": "key-7",
        "attempt": 2,
        "type": "video.generation.completed",
        "greeting": "hello",
    }


def test_takes_a_result_that_is_larger_than_a_pipe(attempt):
    assert len(attempt("return Done({'text': 'x' * 1_000_000})").result["text"]) == 1_000_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param("os._exit(7)", "exit status 7", id="exit"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL", id="killed"),
        pytest.param("ctypes.string_at(0)", "signal SIGSEGV", id="segmentation-fault"),
    ],
)
def test_survives_what_would_take_the_worker_down(attempt, body, error):
    outcome = attempt(body)

    assert (outcome.decision, outcome.failed) == (Decision.RETRY, True)
    assert outcome.error == f"its process ended without an outcome: {error}"


def test_kills_what_runs_past_its_time_and_all_it_has_started(attempt, tmp_path):
    outcome = attempt(
        f"""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        time.sleep(600)
        """,
        timeout="3s",
    )

    assert outcome.error == "took longer than 3 s"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    eventually(lambda: not any(map(alive, pids)))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_leaves_what_it_changes_to_itself(attempt):
    before = dict(os.environ)

    attempt("event.data.clear(); os.environ.clear(); os.chdir('/')")

    assert (dict(os.environ), CLAIM.event.data) == (before, {"id": "job_1"})


def test_runs_in_the_engine_like_any_other(tmp_path):
    handler = replace(written(tmp_path, "return Done({'pid': os.getpid()})"), timeout=timedelta(seconds=30))
    with contextlib.closing(open_store(load(tmp_path / "receiver.toml"))) as store:
        store.receive(a_record(an_event()))
        isolate = partial(isolation.attempt, config=tmp_path / "receiver.toml")

        LocalEngine(store, [handler], {}, isolate=isolate).run_until_idle()

        [row] = store.list_dispatches(limit=10).rows
    assert row["state"] == "done"
    assert row["result"]["pid"] != os.getpid()
