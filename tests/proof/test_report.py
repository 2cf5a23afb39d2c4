"""The table of the proof: what drills recorded, and whether they hold."""

from pathlib import Path

import pytest

from tests.proof import report

PASSED = """
    <testcase name="a" time="1.5"><properties>
        <property name="drill" value="kill -9"/><property name="store" value="sqlite"/>
        <property name="kills" value="1000"/><property name="slowest" value="1.5 s"/>
    </properties></testcase>
    """
FAILED = """
    <testcase name="b" time="2"><properties>
        <property name="drill" value="kill -9"/><property name="store" value="sqlite"/>
        <property name="lost" value="0"/>
    </properties><failure message="no"/></testcase>
    """
CONTRADICTING = PASSED.replace("1000", "999")
NO_DRILL = '<testcase name="c" time="1"/>'
NOT_YET_NAMED = '<testcase classname="tests.proof.test_kill" name="d" time="1"><error message="no"/></testcase>'


@pytest.fixture
def told(tmp_path):
    def write(*cases: str) -> Path:
        file = tmp_path / "proof.xml"
        file.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
        return file

    return write


def test_tells_figures_by_drill_and_store(told):
    text = report.written(report.read(told(PASSED, NO_DRILL)))

    assert "| kill -9 | sqlite | 1,000 kills; slowest 1.5 s | 2 s | holds |" in text


def test_a_drill_fails_if_any_of_its_tests_does(told):
    rows = report.read(told(PASSED, FAILED))

    assert not rows["kill -9", "sqlite"].passed
    assert "**fails**" in report.written(rows)


def test_what_fails_before_it_names_a_drill_has_a_row(told):
    rows = report.read(told(PASSED, NOT_YET_NAMED))

    assert {drill: row.passed for (drill, _), row in rows.items()} == {
        "kill -9": True,
        "tests.proof.test_kill.d": False,
    }


def test_figures_that_differ_are_refused(told):
    with pytest.raises(ValueError, match=r"kill -9: kills is both 1000 and 999"):
        report.read(told(PASSED, CONTRADICTING))


def test_the_same_figure_may_come_twice(told):
    rows = report.read(told(PASSED, PASSED))

    assert rows["kill -9", "sqlite"].figures["kills"] == "1000"
