"""The command that begins a new receiver: what it writes works as it is."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from receiver import plugins
from receiver.config import Config, load
from receiver.store.sqlite import SQLiteStore
from tests.running import Running
from tests.watch import eventually

FILES = ["receiver.toml", ".env.example", "my_handlers/results.py", "my_handlers/test_results.py"]
# Where a source cannot be written without knowing who sends.
DESCRIBED = [name for name, adapter in plugins.providers().items() if adapter.signed_by is None]
FILLED_IN = {
    "API_KEY": "access:secret",
    "BASE_URL": "https://gateway.example",
    "WEBHOOK_SECRET": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}


class Begun(Running):
    """A receiver as `receiver init` leaves it, with its variables filled in, at a free port."""

    def __init__(self, folder):
        super().__init__(folder, "")
        self.config.unlink()
        assert subprocess.run([sys.executable, "-m", "receiver", "init", str(folder)], timeout=60).returncode == 0

    @property
    def environment(self):
        return {
            **super().environment,
            **filled_in(self.folder),
            "RECEIVER_WEB__BIND": self.url.removeprefix("http://"),
            "RECEIVER_ADMIN__ENABLED": "false",
            "RECEIVER_SOURCES__CREATIVEAI__BASE_URL": "http://127.0.0.1:9",
        }


def filled_in(folder):
    """The variables that `.env.example` asks for."""
    names = re.findall(r"^(\w+)=$", (folder / ".env.example").read_text(), re.MULTILINE)
    return {name: FILLED_IN[name.split("_", 1)[1]] for name in names}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "new"


def test_writes_what_a_receiver_needs(receiver, folder):
    assert receiver("init", folder).exit_code == 0
    assert [name for name in FILES if not (folder / name).is_file()] == []


@pytest.mark.parametrize("name", FILES)
def test_overwrites_nothing(receiver, folder, name):
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")

    result = receiver("init", folder)

    assert (result.exit_code, f"{name} is there already" in result.stderr) == (2, True)
    assert [path.read_text() for path in folder.rglob("*") if path.is_file()] == ["mine"]


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_source_of_each_provider_is_accepted_once_the_variables_are_filled_in(receiver, folder, monkeypatch, name):
    receiver("init", folder, "--provider", name)
    for variable, value in filled_in(folder).items():
        monkeypatch.setenv(variable, value)

    assert list(plugins.sources(load(folder / "receiver.toml"))) == [name]


@pytest.mark.parametrize("name", ["generic", "nobody"])
def test_refuses_a_provider_that_it_cannot_describe(receiver, folder, name):
    result = receiver("init", folder, "--provider", name)

    assert (result.exit_code, name in result.stderr) == (2, True)
    assert not folder.exists()


def test_an_empty_secret_is_refused(receiver, folder, monkeypatch):
    receiver("init", folder)
    monkeypatch.setenv("CREATIVEAI_WEBHOOK_SECRET", "")
    monkeypatch.setenv("CREATIVEAI_API_KEY", "key")

    result = receiver("--config", folder / "receiver.toml", "check", "--offline")

    assert (result.exit_code, "a secret is empty" in result.stderr) == (2, True)


def test_names_every_setting_and_shows_its_default(receiver, folder):
    receiver("init", folder)
    text = (folder / "receiver.toml").read_text()
    shown = tomllib.loads(re.sub(r"^# (?=[a-z_]+ = |\[\w+\]$)", "", text, flags=re.MULTILINE))
    unset = re.findall(r"^# ([a-z_]+) =$", text, re.MULTILINE)

    taken = Config(**{name: value for name, value in shown.items() if name not in ("sources", "handlers")})

    assert taken == Config()
    assert set(re.findall(r"^# \[(\w+)\]$", text, re.MULTILINE)) < set(Config.model_fields)
    assert [name for name in Config.model_fields if name not in {*shown, *unset}] == []


def test_what_it_writes_passes_its_own_test(receiver, folder):
    receiver("init", folder)
    # Or pytest would go by our own settings, should this folder be inside the checkout.
    (folder / "pytest.ini").write_text("[pytest]")

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_handlers"],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert result.returncode == 0, result.stdout


def test_a_shell_reads_the_variables_from_a_copy(receiver, folder):
    """As the README and `.env.example` say."""
    receiver("init", folder)
    values, example = filled_in(folder), (folder / ".env.example").read_text()
    (folder / ".env").write_text(
        re.sub(r"^(\w+)=$", lambda found: found[0] + values[found[1]], example, flags=re.MULTILINE)
    )
    command = "set -a; . ./.env; set +a; receiver check --offline"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    result = subprocess.run(
        ["sh", "-c", command], cwd=folder, env={"PATH": path}, capture_output=True, text=True, timeout=60
    )

    assert (result.returncode, "handler results: loaded" in result.stdout) == (0, True), result.stderr


def test_what_it_writes_is_checked_and_runs_its_handler(tmp_path):
    begun = Begun(tmp_path)

    checked = begun.run("check", "--offline")
    with begun.serving():
        sent = begun.run("send", "--job", "vgen_1")
        store = SQLiteStore(tmp_path / "receiver.db")
        try:
            [dispatch] = eventually(lambda: [row for row in store.list_dispatches(limit=5).rows if row["result"]])
        finally:
            store.close()

    assert (checked.returncode, "handler results: loaded" in checked.stdout) == (0, True), checked.stderr
    assert sent.stdout == "202 Accepted\n"
    assert dispatch["handler"] == "results"
