"""The page about security names a test for each attack, or says why there is none."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ATTACKS = (
    (ROOT / ".github" / "SECURITY.md").read_text("utf-8").partition("## Attacks")[2].partition("## Dependencies")[0]
)
ROWS = [line.strip("| ").split(" | ") for line in _ATTACKS.splitlines() if re.match(r"\| (?!attack|---)", line)]
NAMED = sorted(set(re.findall(r"`(\w[\w/]*\.py::[\w:]+)`", _ATTACKS)))


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0][:40]) for row in ROWS])
def test_names_a_test_or_a_reason(row):
    _, _, shown = row

    assert re.search(r"\.py::\w+|^Not tested\b.*: \w", shown)


@pytest.mark.parametrize("named", NAMED)
def test_every_test_it_names_exists(named):
    file, *names = named.split("::")
    scope = ast.parse((ROOT / file).read_text("utf-8"))
    for name in names:
        [scope] = [
            node for node in scope.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        ]

    assert names[-1].startswith("test_")


def test_finds_the_table():
    assert len(ROWS) > 40
    assert len(NAMED) > len(ROWS)
