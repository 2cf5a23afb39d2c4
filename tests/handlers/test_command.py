"""Real programs, run by the handler `command`."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from receiver_handlers.command import ProgramFailed, Settings, command

from receiver import Context, Done, Event, Failure, Job, Output, PermanentError, Status, Trust, clock
from receiver import config as configuration
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError
from receiver.inbox import Source
from receiver.models import Via
from receiver.plugins import handlers
from receiver.providers.creativeai import CreativeAI
from tests.store.contract import DUE, SOURCE, a_record, an_event, the_dispatch
from tests.watch import eventually

EVENT = Event(
    id=7,
    source="creative",
    key="vgen_abc123:succeeded",
    type="video.generation.completed",
    data={"id": "vgen_abc123", "credits": 30},
    kind="video",
    job_id="vgen_abc123",
    status=Status.SUCCEEDED,
    raw_status="completed",
    trust=Trust.SIGNED,
    via=Via.WEBHOOK,
    outputs=(Output("https://cdn.example/a.mp4?signature=private"), Output("https://api.example/c", authorized=True)),
    occurred_at=datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC),
    recorded_at=datetime(2026, 3, 9, 16, 12, 44, 5000, tzinfo=UTC),
)
NOTICE = Event(source="creative", key="n1", type="balance.low", data={})
JOB = Job(
    source="creative",
    job_id="vgen_abc123",
    kind="video",
    metadata={"order": 17},
    created_at=datetime(2026, 3, 9, tzinfo=UTC),
    deadline_at=datetime(2026, 3, 10, tzinfo=UTC),
)
ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
# Two processes that ignore SIGTERM, but for the one that is named.
STUBBORN = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
name = "parent" if os.fork() else "child"
if name in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
written = pathlib.Path(f"{name}.partial")
written.write_text(str(os.getpid()))
written.rename(name)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the configuration, where a worker runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run():
    """Run a program for an event: a list, or the text of one in Python."""

    def run(program, event=EVENT, **settings):
        return command(event, a_context(program, **settings))

    return run


def a_context(program, **settings):
    arguments = [sys.executable, "-c", program] if isinstance(program, str) else program
    return Context(
        settings=Settings(command=arguments, **settings),
        job=JOB,
        attempt=3,
        idempotency_key="key-1",
        handler="transcode",
    )


def script(folder, text="#!/bin/sh\necho ran in $(pwd)\n", name="bin/done", mode=0o755):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return name


def runs(file):
    """Whether the process runs whose number is in the file."""
    try:
        state = Path(f"/proc/{file.read_text()}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


# What it is told


def test_gets_the_event_on_standard_input(run):
    done = run("print(input())")

    assert done.result == {
        "event_id": 7,
        "source": "creative",
        "key": "vgen_abc123:succeeded",
        "type": "video.generation.completed",
        "kind": "video",
        "job": "vgen_abc123",
        "status": "succeeded",
        "raw_status": "completed",
        "outputs": [
            {"url": "https://cdn.example/a.mp4?(masked)", "authorized": False},
            {"url": "https://api.example/c", "authorized": True},
        ],
        "failure": None,
        "metadata": {"order": 17},
        "standing": "current",
        "trust": "signed",
        "via": "webhook",
        "occurred_at": "2026-03-09T16:12:43.000Z",
        "recorded_at": "2026-03-09T16:12:44.005Z",
        "data": {"id": "vgen_abc123", "credits": 30},
        "attempt": 3,
        "idempotency_key": "key-1",
    }


def test_gets_the_facts_in_its_environment(run):
    done = run(ENVIRONMENT)

    assert {name: value for name, value in done.result.items() if name.startswith("RECEIVER_")} == {
        "RECEIVER_EVENT_ID": "7",
        "RECEIVER_SOURCE": "creative",
        "RECEIVER_TYPE": "video.generation.completed",
        "RECEIVER_JOB": "vgen_abc123",
        "RECEIVER_KIND": "video",
        "RECEIVER_STATUS": "succeeded",
        "RECEIVER_ATTEMPT": "3",
        "RECEIVER_IDEMPOTENCY_KEY": "key-1",
        "RECEIVER_OUTPUT": "https://cdn.example/a.mp4?(masked)",
    }


def test_gets_the_url_of_the_output_whole(run):
    run("import os, pathlib; pathlib.Path('url').write_text(os.environ['RECEIVER_OUTPUT'])")

    assert Path("url").read_text() == "https://cdn.example/a.mp4?signature=private"


def test_what_is_not_known_is_empty(run):
    environment = run(ENVIRONMENT, NOTICE).result

    assert {environment[f"RECEIVER_{name}"] for name in ("EVENT_ID", "JOB", "KIND", "STATUS", "OUTPUT")} == {""}


@pytest.mark.parametrize(
    ("job_id", "told"),
    [
        pytest.param("夜\n\u2028=1", "夜\n\u2028=1", id="unicode-and-lines"),
        pytest.param("a\0b", "a\ufffdb", id="zero-byte"),
        pytest.param("a\ud800b", "a?b", id="half-character"),
        pytest.param("$(touch hacked); `id`", "$(touch hacked); `id`", id="shell"),
        pytest.param("a" * 200_000, "", id="longer-than-a-variable"),
    ],
)
def test_a_fact_is_what_a_variable_can_hold(run, folder, job_id, told):
    assert run(ENVIRONMENT, replace(EVENT, job_id=job_id)).result["RECEIVER_JOB"] == told
    assert not (folder / "hacked").exists()


def test_a_huge_event_arrives_whole(run):
    event = replace(EVENT, data={"text": "夜" * 2_000_000})

    assert run("import json; print(len(json.loads(input())['data']['text']))", event).result == {"output": "2000000"}


def test_a_program_may_leave_its_input_unread(run):
    event = replace(EVENT, data={"text": "x" * 2_000_000})

    assert run("import os; os.close(0); print('fine')", event).result == {"output": "fine"}


def test_a_program_may_speak_before_it_listens(run):
    event = replace(EVENT, data={"text": "x" * 2_000_000})
    program = "import sys; print('y' * 2_000_000); sys.stdout.flush(); print(len(sys.stdin.read()) > 2_000_000)"

    assert run(program, event).result["output"].endswith("y\nTrue")


class TestEnvironment:
    def test_has_nothing_else_of_ours(self, run, monkeypatch):
        monkeypatch.setenv("CREATIVEAI_API_KEY", "private")
        monkeypatch.setenv("RECEIVER_STORE", "sqlite:///private.db")
        monkeypatch.setenv("TZ", "Europe/Paris")
        names = {name for name in run(ENVIRONMENT).result if not name.startswith("RECEIVER_")}

        # Python itself sets the last one where there is no locale.
        assert names - {"LC_CTYPE"} <= {"PATH", "HOME", "LANG", "TZ"}
        assert {"PATH", "TZ"} <= names
        assert "RECEIVER_STORE" not in run(ENVIRONMENT).result

    def test_has_what_is_configured(self, run):
        run("import os, pathlib; pathlib.Path('key').write_text(os.environ['API_KEY'])", environment={"API_KEY": "k1"})

        assert Path("key").read_text() == "k1"

    def test_may_overrule_what_is_passed_on(self, run):
        assert run([script_on_path(), "x"], environment={"PATH": str(Path("tools").resolve())}).result == {
            "output": "x"
        }

    @pytest.mark.parametrize("status", [0, 1, 64])
    def test_never_shows_what_is_configured(self, run, status):
        program = "import os, sys; print(os.environ['KEY']); sys.stderr.write(os.environ['KEY']); sys.exit(%d)"
        try:
            told = str(run(program % status, environment={"KEY": "private-key"}))
        except (ProgramFailed, PermanentError) as error:
            told = str(error)

        assert "(masked)" in told
        assert "private-key" not in told

    def test_is_masked_in_the_settings(self):
        assert "private" not in repr(Settings(command=["true"], environment={"KEY": "private"}))


def script_on_path():
    Path("tools").mkdir()
    return Path(script(Path("tools"), '#!/bin/sh\necho "$1"\n', "own-echo")).name


# What it says


@pytest.mark.parametrize("status", [1, 2, 63, 75, 79, 126, 127, 255])
def test_tries_again(run, status):
    with pytest.raises(ProgramFailed, match=rf"^exit status {status}$"):
        run(f"raise SystemExit({status})")


@pytest.mark.parametrize("status", [*range(64, 75), 76, 77, 78])
def test_gives_up(run, status):
    with pytest.raises(PermanentError, match=rf"^exit status {status}$"):
        run(["sh", "-c", f"exit {status}"])


def test_tries_again_what_a_signal_ended(run):
    with pytest.raises(ProgramFailed, match=r"^ended by signal 9 \(Killed\)$"):
        run(["sh", "-c", "kill -9 $$"])


@pytest.mark.parametrize(
    ("said", "result"),
    [
        pytest.param('{"file": "a.mp4", "n": [1]}', {"file": "a.mp4", "n": [1]}, id="object"),
        pytest.param('working\n{"file": "夜\u2028.mp4"}\n\n', {"file": "夜\u2028.mp4"}, id="object-in-the-last-line"),
        pytest.param('{"file": 1}\nbye', {"output": '{"file": 1}\nbye'}, id="object-before-it"),
        pytest.param("[1]", {"output": "[1]"}, id="list"),
        pytest.param("7", {"output": "7"}, id="number"),
        pytest.param('{"file":', {"output": '{"file":'}, id="half-an-object"),
        pytest.param("[" * 60_000, {"output": "[" * 60_000}, id="deep"),
        pytest.param("one\ntwo\n", {"output": "one\ntwo"}, id="text"),
        pytest.param("\udcff\0a", {"output": "\ufffd\0a"}, id="not-unicode"),
    ],
)
def test_keeps_what_it_said(run, folder, said, result):
    (folder / "said").write_bytes(said.encode("utf-8", "surrogateescape"))

    assert run(["cat", "said"]) == Done(result)


def test_keeps_nothing_where_nothing_is_said(run):
    assert run(["true"]) is None


def test_keeps_the_end_of_what_it_said(run):
    assert run("print('a' * 1_000_000 + 'b' * 10)", max_output=20).result == {"output": "a" * 9 + "b" * 10}


def test_a_program_that_never_stops_talking_is_never_blocked(run):
    done = run("import sys\nfor n in range(2000): print('x' * 10_000); sys.stderr.write('y' * 10_000)\nprint('{}')")

    assert done == Done({})


def test_the_error_has_the_last_lines(run):
    program = "import sys\nfor n in range(50): print('line', n, file=sys.stderr)\nsys.exit(1)"
    with pytest.raises(ProgramFailed) as failed:
        run(program)

    assert str(failed.value).splitlines() == ["exit status 1", *(f"line {n}" for n in range(40, 50))]


def test_the_error_is_short(run):
    with pytest.raises(ProgramFailed) as failed:
        run("import sys; sys.exit('x' * 60_000)")

    assert len(str(failed.value)) < 2100


def test_the_query_of_an_output_is_not_kept(run):
    with pytest.raises(ProgramFailed, match=r"cannot read https://cdn\.example/a\.mp4\?\(masked\)$"):
        run(["sh", "-c", 'echo "cannot read $RECEIVER_OUTPUT" >&2; exit 1'])


def test_what_it_says_on_standard_error_is_no_failure(run):
    assert run(["sh", "-c", "echo careful >&2"]) is None


# Time limits


class TestTime:
    def test_ends_what_takes_too_long(self, run):
        with pytest.raises(ProgramFailed, match=r"^was ended after 0\.\d+ s; .* raise run_timeout"):
            run(["sleep", "600"], run_timeout="200ms")

    def test_tells_what_it_said_until_then(self, run):
        with pytest.raises(ProgramFailed, match=r"\nhalf way$"):
            run(["sh", "-c", "echo half way >&2; exec sleep 600"], run_timeout="1s")

    def test_lets_it_end_by_itself(self, run, folder):
        program = "trap 'echo ended > ended; exit 0' TERM; echo ready; sleep 600 & wait"
        with pytest.raises(ProgramFailed):
            run(["sh", "-c", program], run_timeout="1s")

        assert (folder / "ended").read_text() == "ended\n"

    @pytest.mark.parametrize("polite", ["nobody", "parent", "child"])
    def test_kills_whoever_will_not_end(self, run, folder, polite):
        with pytest.raises(ProgramFailed):
            run([sys.executable, "-c", STUBBORN, polite], run_timeout="2s", grace="200ms")

        assert (folder / "parent").exists()
        assert (folder / "child").exists()
        eventually(lambda: not runs(folder / "parent") and not runs(folder / "child"))

    def test_kills_what_a_program_leaves_running(self, run, folder):
        assert run(["sh", "-c", "sleep 600 & echo $! > child; echo left"]).result == {"output": "left"}
        assert (folder / "child").read_text()
        eventually(lambda: not runs(folder / "child"))

    def test_does_not_wait_for_who_left_the_group_with_the_pipe(self, run, folder):
        program = "setsid sh -c 'echo $$ > child; exec sleep 600' & until [ -s child ]; do :; done; echo left"
        try:
            assert run(["sh", "-c", program]).result == {"output": "left"}
        finally:
            os.kill(int((folder / "child").read_text()), signal.SIGKILL)

    def test_ends_before_the_attempt_does(self, run):
        context = replace(a_context(["sleep", "600"]), deadline=clock.now() + timedelta(seconds=1))
        with pytest.raises(ProgramFailed):
            command(EVENT, context)

        assert clock.now() < context.deadline

    def test_what_runs_ends_with_the_worker(self, folder):
        worker = f"""
import pathlib, sys, threading, time
from receiver import Context, Event
from receiver_handlers.command import Settings, command

context = Context(settings=Settings(command=[sys.executable, "-c", {STUBBORN!r}]))
event = Event(source="creative", key="n1", type="balance.low", data={{}})
threading.Thread(target=command, args=(event, context), daemon=True).start()
while not (pathlib.Path("child").exists() and pathlib.Path("parent").exists()):
    time.sleep(0.01)
"""
        subprocess.run([sys.executable, "-c", worker], timeout=60, check=True)

        eventually(lambda: not runs(folder / "parent") and not runs(folder / "child"))


# Where it is found, and where it runs


def test_a_path_starts_at_the_configuration(run, folder):
    assert run([script(folder)]).result == {"output": f"ran in {folder}"}


def test_a_path_does_not_start_at_the_directory(run, folder):
    (folder / "work").mkdir()

    assert run([script(folder)], directory="work").result == {"output": f"ran in {folder / 'work'}"}


def test_arguments_are_not_read_by_a_shell(run):
    assert run(["echo", "$HOME", "*", "a b;", "`id`"]).result == {"output": "$HOME * a b; `id`"}


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        pytest.param("bin/other", "", 0o755, id="not-there"),
        pytest.param("bin/done", "#!/bin/sh\n", 0o644, id="not-executable"),
        pytest.param("bin/done", "#!/no/such/program\n", 0o755, id="no-interpreter"),
        pytest.param("bin/done", "\x01\x02", 0o755, id="not-a-program"),
        pytest.param("./bin", "", 0o755, id="folder"),
        pytest.param("bin/done/more", "", 0o755, id="below-a-file"),
        pytest.param("no-such-program", "", 0o755, id="not-on-the-path"),
        pytest.param("a" * 5000, "", 0o755, id="long-name"),
    ],
)
def test_names_the_setting_of_a_program_that_cannot_be_run(run, folder, name, text, mode):
    script(folder, text, mode=mode)

    with pytest.raises(PermanentError, match=rf"^\[handlers\.transcode\] command: {name} cannot be run: "):
        run([name])


def test_names_the_setting_of_a_directory_that_is_not_there(run):
    with pytest.raises(PermanentError, match=r"^\[handlers\.transcode\] directory: work cannot be entered: No such"):
        run(["true"], directory="work")


# Settings


def load(folder, **table):
    tables = {"handlers": {"transcode": {"module": "receiver_handlers.command", **table}}}
    return handlers(configuration.from_tables(tables, file=folder / "receiver.toml"))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        pytest.param({"command": "rm -rf x"}, r'command: write a list, such as command = \["python3"', id="text"),
        pytest.param({"command": []}, r"command: name a program", id="empty"),
        pytest.param({"command": [""]}, r"command: name a program", id="no-name"),
        pytest.param({"command": ["a", "b\0"]}, r"command: no argument can hold a zero byte", id="zero-byte"),
        pytest.param({"command": ["a", 7]}, r"command\.1: Input should be a valid string", id="number"),
        pytest.param({}, r"command: Field required", id="missing"),
        pytest.param({"environment": {"A=B": "private"}}, r"environment: a variable's name", id="name-of-a-variable"),
        pytest.param({"environment": {"A": "private\0"}}, r"environment: A cannot hold", id="value-of-a-variable"),
        pytest.param({"environment": {"RECEIVER_JOB": "private"}}, r"environment: RECEIVER_JOB tells", id="fact"),
        pytest.param({"run_timeout": "soon"}, r"run_timeout: write a duration", id="duration"),
        pytest.param({"max_output": "much"}, r"max_output: write a size", id="size"),
    ],
)
def test_names_a_setting_that_is_wrong(folder, table, told):
    table = table if "command" in table or not table else {"command": ["true"], **table}

    with pytest.raises(ConfigError, match=rf"handlers\.transcode\.{told}") as refused:
        load(folder, **table)
    assert "private" not in str(refused.value)


def test_sizes_and_durations_are_written_for_people():
    settings = Settings(command=["true"], run_timeout="90s", max_output="1MB")

    assert (settings.run_timeout, settings.max_output) == (timedelta(seconds=90), 10**6)


# From a store to a program


@pytest.mark.parametrize(
    ("program", "state", "result", "error"),
    [
        pytest.param('echo "{\\"job\\": \\"$RECEIVER_JOB\\"}"', "done", {"job": "job_1"}, None, id="done"),
        pytest.param("echo wait >&2; exit 75", "pending", None, "ProgramFailed: exit status 75\nwait", id="retry"),
        pytest.param("exit 65", "dead", None, "PermanentError: exit status 65", id="dead"),
    ],
)
def test_a_dispatch_runs_a_program(store, folder, program, state, result, error):
    store.track(SOURCE, "job_1", kind="video", schedule=DUE)
    store.receive(a_record(an_event(failure=Failure("no\nmore", "e1"))))
    loaded = load(folder, command=["sh", "-c", program])

    LocalEngine(store, loaded, {SOURCE: Source(SOURCE, CreativeAI())}).run_until_idle()

    row = the_dispatch(store)
    assert (row["state"], row["result"], row["error"]) == (state, result, error)
