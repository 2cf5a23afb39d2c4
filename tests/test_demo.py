"""The demonstration shows the main job, and leaves nothing behind."""

import os
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.usefixtures("shown")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where it runs, and where it may put what it removes."""
    return tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def shown(folders):
    """The demonstration, once, and how many seconds it took."""
    here, temporary = folders
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "receiver", "demo"],
        cwd=here,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return process, time.monotonic() - began


def test_ends_well_within_half_a_minute(shown):
    process, seconds = shown

    assert process.returncode == 0, process.stdout + process.stderr
    assert seconds < 30


@pytest.mark.parametrize(
    "line",
    [
        "events recorded                              12 of 12",
        "results of creativeai                        7 by webhook, 1 by polling",
        "results of kpainter                          1 by polling",
        "results of omnivideo                         1 by polling",
        "results of newapi                            2 by polling",
        "duplicates counted, not run                  1",
        "forgeries refused                            1",
        "webhooks lost, results recovered by polling  1",
        "handler runs done                            23 of 23",
        "Nothing is missing.",
    ],
)
def test_sums_up(shown, line):
    process, _ = shown

    assert line in process.stdout.splitlines()


def test_shows_the_lost_result_coming_in_by_a_poll(shown):
    process, _ = shown

    [recovered] = [line for line in process.stdout.splitlines() if "creativeai" in line and "via poll" in line]
    assert "video.generation.completed" in recovered


def test_saves_the_file_that_only_the_token_opens(shown):
    process, _ = shown

    assert [line for line in process.stdout.splitlines() if "archive task_" in line and "saved" in line]


def test_has_nothing_to_complain_about(shown):
    process, _ = shown

    assert process.stderr == ""


def test_leaves_no_files(folders):
    assert [list(folder.iterdir()) for folder in folders] == [[], []]
