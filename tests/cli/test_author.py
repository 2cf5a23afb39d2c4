"""The command that writes a handler to begin with."""

import os
import subprocess
import sys

import pytest

from receiver import plugins
from receiver.config import load


@pytest.fixture
def written(receiver, tmp_path, monkeypatch):
    """What `receiver new handler orders` leaves, and what it prints."""
    monkeypatch.chdir(tmp_path)
    # Or pytest would go by our own settings, should this folder be inside the checkout.
    (tmp_path / "pytest.ini").write_text("[pytest]")
    return receiver("new", "handler", "orders_ready")


def test_writes_a_handler_whose_test_passes(written, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_handlers"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (result.returncode, "3 passed" in result.stdout) == (0, True), result.stdout


def test_prints_the_table_that_switches_it_on(written, tmp_path):
    (tmp_path / "own.toml").write_text(written.stdout)

    [handler] = plugins.handlers(load(tmp_path / "own.toml"))

    assert handler.name == "orders_ready"


def test_overwrites_nothing(written, receiver, tmp_path):
    again = receiver("new", "handler", "orders_ready")

    assert again.exit_code == 2
    assert "is there already" in again.stderr


@pytest.mark.parametrize("name", ["", "Orders", "../orders", "1st", "a-b", "import os"])
def test_takes_names_that_python_takes(receiver, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    assert receiver("new", "handler", name).exit_code == 2
    assert not (tmp_path / "my_handlers").exists()
