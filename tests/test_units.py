"""Settings that are written in a shape of their own."""

import pytest
from pydantic import TypeAdapter, ValidationError

from receiver import units
from receiver.models import Status
from receiver.units import Several

STATUSES = TypeAdapter(Several[Status])


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(["failed", "lost"], id="list"),
        pytest.param(("failed", Status.LOST), id="tuple"),
        pytest.param(iter(["failed", "lost"]), id="iterator"),
        pytest.param('["failed", "lost"]', id="json-in-a-variable"),
    ],
)
def test_several_are_a_tuple(written):
    assert STATUSES.validate_python(written) == (Status.FAILED, Status.LOST)


@pytest.mark.parametrize("written", ["failed", Status.FAILED])
def test_one_stands_for_a_tuple_of_one(written):
    assert STATUSES.validate_python(written) == (Status.FAILED,)


@pytest.mark.parametrize(
    ("written", "error"),
    [
        pytest.param('["failed"', "must be a list as JSON", id="half-a-list"),
        pytest.param("odd", "Input should be 'queued'", id="none-of-them"),
        pytest.param(7, "Input should be 'queued'", id="number"),
        pytest.param(None, "Input should be 'queued'", id="nothing"),
    ],
)
def test_says_what_is_wrong(written, error):
    with pytest.raises(ValidationError, match=error):
        STATUSES.validate_python(written)


@pytest.mark.parametrize("text", ["90d", "1d", "3600s", "90000s", "0.5s"])
def test_a_duration_is_written_as_it_can_be_read(text):
    assert units.written(units.parse_duration(text)) == text
