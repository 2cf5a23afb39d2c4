"""The pages of `docs/` are true: what they build works as they say."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "adapter.md").read_text("utf-8")


def block(language, *, after="# Adding a provider"):
    """The first fenced block of a language that comes after a text."""
    rest = PAGE[PAGE.index(after) :]
    return re.search(rf"^```{language}\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def package(tmp_path):
    """A folder with what the page writes, as if it were installed."""
    (tmp_path / "acme.py").write_text(block("python", after="`acme.py`:"))
    (tmp_path / "test_acme.py").write_text(block("python", after="`test_acme.py`:"))
    (tmp_path / "answers.jsonl").write_text(block("json"))
    information = tmp_path / "acme-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entry = re.search(r'"(\S+)"\]\n(.*)', block("toml"))
    (information / "entry_points.txt").write_text(f"[{entry[1]}]\n{entry[2].replace(chr(34), '')}\n")
    return tmp_path


def run(package, *command):
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=package, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_adapter_keeps_the_contract(package):
    result = run(package, "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py")

    assert result.returncode == 0, result.stdout
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) > 100


def test_the_adapter_is_found_and_reads_the_recorded_answer(package):
    command = re.search(r"^\$ receiver (read .*)$", PAGE, re.MULTILINE)[1]

    result = run(package, "receiver", *command.split())

    assert result.returncode == 0, result.stderr
    assert "https://cdn.acme.example/r_1.mp4" in result.stdout


def test_every_field_it_names_is_one():
    from receiver.models import Output, Reading, Request

    known = {field.name for kind in (Reading, Request, Output) for field in fields(kind)}
    named = set(re.findall(r"(?:Reading|Request|Output)\([^)]*?(\w+)=", PAGE)) | set(re.findall(r"(\w+)=True\)", PAGE))

    assert named <= known
