"""What is special about a table in a CSV file."""

from dataclasses import replace

import pytest

from receiver import Failure, PermanentError
from tests.handlers.tables import CSV, DONE, FAILED, tell


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return CSV()


def test_is_made_for_spreadsheets(place):
    tell(place.to)

    assert place.path.read_bytes().startswith(b"\xef\xbb\xbfsource,job,")


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_has_no_formulas(place, start):
    tell(place.to, replace(FAILED, failure=Failure(f"{start}cmd|' /C calc'!A0")), metadata={"x": start})

    assert (place.row()["error"], place.row()["metadata_x"]) == (f"'{start}cmd|' /C calc'!A0", f"'{start}")


def test_a_negative_number_is_no_formula(place):
    tell(place.to, metadata={"x": -5, "y": -0.5})

    assert (place.row()["metadata_x"], place.row()["metadata_y"]) == ("-5", "-0.5")


def test_the_row_of_a_job_that_looks_like_a_formula_is_found_again(place):
    tell(place.to, replace(DONE, job_id="=1+1"))
    tell(place.to, replace(FAILED, job_id="=1+1", id=8))

    assert (place.row()["job"], place.row()["status"]) == ("'=1+1", "failed")


def test_a_cell_is_no_longer_than_a_spreadsheet_takes(place):
    tell(place.to, metadata={"text": "x" * 2_000_000})
    tell(place.to, replace(DONE, job_id="vgen_2"))

    cell = place.rows()[0]["metadata_text"]
    assert (len(cell), cell[-2:]) == (32_767, "x…")


def test_a_row_that_somebody_has_spoilt_is_put_right(place):
    tell(place.to)
    place.write(place.path.read_text("utf-8-sig").replace(",7,", ",seven,"))
    tell(place.to)

    assert (place.row()["status"], place.row()["event_id"]) == ("succeeded", "7")


@pytest.mark.parametrize("text", ["name,price\r\na,1\r\n", "source;job;event_id\r\n"])
def test_a_file_of_somebody_else_is_left_alone(place, text):
    place.write(text)
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: there is a media\.csv of somebody else's"):
        tell(place.to)

    assert place.path.read_bytes() == text.encode("utf-8-sig")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param('source,job,event_id\r\n"a,b', "utf-8", id="cut-off"),
        pytest.param("source,job,event_id\r\né,b,1\r\n", "latin-1", id="not-utf-8"),
        pytest.param(f"source,job,event_id\r\n{'x' * 200_000},b,1\r\n", "utf-8", id="huge-cell"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(place, text, encoding):
    place.write(text, encoding)
    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: media\.csv cannot be read as CSV in UTF-8"):
        tell(place.to)

    assert place.path.read_bytes() == text.encode(encoding)
