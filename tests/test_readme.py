"""The README is true: its tables name everything, and what it shows is what happens."""

import json
import re
import subprocess
import sys

import pytest

from receiver import plugins
from receiver.sandbox import Sandbox
from receiver.store.sqlite import SQLiteStore
from tests.pages import API_KEY, ROOT, Described, Page
from tests.watch import eventually

README = Page(ROOT / "README.md")


@pytest.fixture
def described(tmp_path):
    """A folder with what the README says to put there."""
    with Sandbox(secret="any", api_key=API_KEY) as sandbox:
        yield Described(tmp_path, README, sandbox)


@pytest.mark.parametrize("name", plugins.providers())
def test_it_names_every_provider(name):
    assert f"`{name}`" in README.text


@pytest.mark.parametrize("name", plugins.installed_handlers())
def test_it_names_every_shipped_handler(name):
    assert f"`{name}`" in README.text


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^\$ |`)make ([a-z]+)", README.text, re.MULTILINE))))
def test_its_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_its_steps_are_counted():
    told = re.search(r"(\w+) steps, (\w+) commands", README.text)
    steps = README.text.partition("<!-- start -->")[2].partition("Without an account, post")[0]
    numbers = re.findall(r"^\*\*(\d)\. ", steps, re.MULTILINE)

    assert numbers == ["1", "2", "3", "4", "5", "6"]
    assert f"to your handler in {told[1].lower()} steps" in README.text
    assert told.groups() == ("Six", "eight")
    assert len(re.findall(r"^\$ ", steps, re.MULTILINE)) == 8


def test_its_steps_lead_to_a_handler_that_has_run(described):
    with described.serving():
        for shown in described.to_run():
            described.shell(shown.command)
            if shown.command.startswith("receiver submit creativeai"):
                break
        store = SQLiteStore(described.folder / "receiver.db")
        try:
            eventually(lambda: "results" in handlers_done(store), within=60)
        finally:
            store.close()


def handlers_done(store):
    return {row["handler"] for row in store.list_dispatches(limit=9).rows if row["state"] == "done"}


def test_its_configuration_and_its_handler_work_as_they_are(described):
    checked = described.run("check", "--offline")

    assert checked.returncode == 0, checked.stderr
    assert {"handler orders: loaded", "handler results: loaded"} <= set(checked.stdout.splitlines())


def test_its_program_submits_a_job(described):
    program = subprocess.run(
        [sys.executable, "submit.py"],
        cwd=described.folder,
        env=described.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    [job] = map(json.loads, described.run("jobs", "--json").stdout.splitlines())
    assert program.returncode == 0, program.stderr
    assert "POST" in {asked.method for asked in described.sandbox.requests}
    assert (job["source"], job["kind"]) == ("creativeai", "video")


def test_its_consoles_show_what_is_printed(described):
    with described.serving():
        for shown in described.to_run():
            printed = described.shell(shown.command)
            assert printed == shown.output or not shown.output

        eventually(lambda: "order 17: https://" in described.log)
        assert "POST" in {asked.method for asked in described.sandbox.requests}
