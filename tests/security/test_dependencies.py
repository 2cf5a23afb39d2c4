"""What is installed is what was pinned, and all of it was."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = [Requirement(line) for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines()]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
_EXTRAS = _PROJECT["project"]["optional-dependencies"].values()
_GROUPS = _PROJECT["dependency-groups"].values()
WANTED = sorted(
    {
        named
        for several in [_PROJECT["project"]["dependencies"], *_EXTRAS, *_GROUPS]
        for named in several
        if isinstance(named, str)
    }
)


def test_the_lock_names_one_version_of_each():
    loose = [locked for locked in LOCK if locked.url or not re.fullmatch(r"==[\w.]+", str(locked.specifier))]

    assert loose == []


@pytest.mark.parametrize("wanted", WANTED)
def test_every_dependency_is_locked_as_it_is_wanted(wanted):
    requirement = Requirement(wanted)

    versions = [
        str(locked.specifier).removeprefix("==")
        for locked in LOCK
        if canonicalize_name(locked.name) == canonicalize_name(requirement.name)
    ]

    assert versions
    assert all(requirement.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("built", [Path("Makefile"), Path("deploy/Containerfile")], ids=str)
def test_what_is_built_is_built_from_the_lock(built):
    assert re.search(
        r"pip install .*(--requirement|--constraint) requirements\.lock", (ROOT / built).read_text("utf-8")
    )
