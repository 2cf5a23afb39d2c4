"""What a command imports before it does anything: whoever runs it waits for that."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import receiver.cli
from receiver.cli import commands

HEAVY = {"asyncpg", "celery", "cryptography", "flask", "gunicorn", "httpcore", "httpx", "prometheus_client", "psycopg"}
OURS = {"admin", "discover", "engine", "inbox", "metrics", "outbound", "plugins", "providers", "reconcile", "web"}
MODULES = [path.stem for path in Path(receiver.cli.__file__).parent.glob("[a-z]*.py")]


def imported(config, *arguments):
    """The packages that a command imports, and the modules and packages of ours."""
    command = [sys.executable, "-X", "importtime", "-m", "receiver", *arguments]
    done = subprocess.run(command, env={"RECEIVER_CONFIG": str(config)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE)
    return {name.removeprefix("receiver.").partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "arguments",
    [
        ["events"],
        ["events", "--type", "*", "--since", "2h", "--json"],
        ["jobs", "--open"],
        ["deliveries", "--rejected"],
        ["dispatches", "--state", "dead"],
    ],
    ids=" ".join,
)
def test_a_list_takes_no_adapter_no_handler_and_no_http(config, arguments):
    assert imported(config, *arguments) & (HEAVY | OURS) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_takes_nothing_but_click(config, arguments):
    assert imported(config, *arguments) & (HEAVY | OURS | {"config", "pydantic", "sqlite_utils", "store"}) == set()


@pytest.mark.parametrize("home", MODULES)
def test_every_command_is_found(home):
    known = commands()

    assert [
        command
        for command in getattr(import_module(f"receiver.cli.{home}"), "COMMANDS", ())
        if command not in known.values()
    ] == []


@pytest.mark.parametrize(
    ("home", "name", "text"),
    [(home, name, text) for home, names in receiver.cli.HOMES.items() for name, text in names.items()],
)
def test_the_help_in_short_is_the_first_sentence_of_the_whole(home, name, text):
    assert commands()[name].get_short_help_str(limit=1000) == text
