"""What is special about a table in a Parquet file."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow
import pyarrow.parquet
import pytest

from receiver import PermanentError
from tests.handlers.tables import AT, DONE, FAILED, Parquet, tell

OURS = pyarrow.table({"source": ["creative"], "job": ["vgen_1"], "event_id": [6]})


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Parquet()


def types(place):
    return {field.name: str(field.type) for field in place.table().schema}


def test_the_times_and_the_id_have_types_and_all_else_is_text(place):
    tell(place.to, data_columns=["credits"])

    told = types(place)
    assert {told.pop(name) for name in ("created_at", "occurred_at", "recorded_at")} == {"timestamp[ms, tz=UTC]"}
    assert told.pop("event_id") == "int64"
    assert set(told.values()) == {"string"}


def test_times_are_moments(place):
    tell(place.to)

    [row] = place.read()
    assert (row["occurred_at"], row["event_id"]) == (AT, 7)


def test_rows_keep_their_places(place):
    for job in ("b", "c", "a"):
        tell(place.to, replace(DONE, job_id=job))
    tell(place.to, replace(FAILED, job_id="c", id=8))

    assert [(row["job"], row["status"]) for row in place.read()] == [
        ("b", "succeeded"),
        ("c", "failed"),
        ("a", "succeeded"),
    ]


def test_huge_texts_stay_whole(place):
    tell(place.to, metadata={"text": "x" * 2_000_000})
    tell(place.to, FAILED, metadata={})

    assert len(place.row()["metadata_text"]) == 2_000_000


def test_a_row_without_an_id_is_put_right(place):
    place.write(OURS.set_column(2, "event_id", pyarrow.array([None], pyarrow.int64())))
    tell(place.to)

    assert (place.row()["status"], place.row()["event_id"]) == ("succeeded", "7")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        pytest.param("event_id", pyarrow.array([6.0]), id="id-as-pandas-makes-it"),
        pytest.param("event_id", pyarrow.array([float("nan")]), id="not-a-number"),
        pytest.param("job", pyarrow.array(["vgen_1"], pyarrow.large_string()), id="large-text"),
        pytest.param("job", pyarrow.array(["vgen_1"]).dictionary_encode(), id="categories"),
        pytest.param("metadata_order", pyarrow.array([16]), id="number"),
        pytest.param("metadata_rush", pyarrow.array([False]), id="yes-or-no"),
        pytest.param("status", pyarrow.array(["running"]).dictionary_encode(), id="status-as-category"),
        pytest.param(
            "occurred_at", pyarrow.array([datetime(2026, 1, 1, tzinfo=UTC)], pyarrow.timestamp("ns", "UTC")), id="ns"
        ),
        pytest.param("mine", pyarrow.array([[{"a": 1}]]), id="nested"),
    ],
)
def test_a_type_that_somebody_else_has_chosen_stays(place, name, column):
    table = OURS.drop_columns([name]) if name in OURS.column_names else OURS
    place.write(table.append_column(name, column))
    before = types(place)[name]
    tell(place.to)

    assert (place.row()["status"], types(place)[name]) == ("succeeded", before)


def test_a_value_that_does_not_fit_the_type_of_somebody_else_is_told(place):
    place.write(OURS.append_column("metadata_order", pyarrow.array([16])))
    before = place.path.read_bytes()

    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: the column metadata_order .* takes int64"):
        tell(place.to, metadata={"order": "x17"})
    assert place.path.read_bytes() == before


def test_a_moment_of_somebody_elses_keeps_its_nanoseconds(place):
    moments = pyarrow.array([1_700_000_000_123_456_789], pyarrow.int64()).cast(pyarrow.timestamp("ns", "UTC"))
    place.write(OURS.append_column("mine", moments))
    tell(place.to)

    assert place.table()["mine"].cast(pyarrow.int64()).to_pylist() == [1_700_000_000_123_456_789]


def test_the_name_of_a_folder_is_no_column(place, tmp_path):
    path = tmp_path / "year=2026" / "media.parquet"
    tell(str(path))
    tell(str(path), FAILED)

    assert "year" not in pyarrow.parquet.ParquetFile(path).schema_arrow.names


def test_a_file_of_somebody_else_is_left_alone(place):
    place.write(pyarrow.table({"name": ["a"]}))
    before = place.path.read_bytes()
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: there is a media\.parquet of somebody else's"):
        tell(place.to)

    assert place.path.read_bytes() == before


@pytest.mark.parametrize(
    "spoil", [pytest.param(lambda file: file[:-9], id="cut-off"), pytest.param(lambda file: b"a,b", id="csv")]
)
def test_a_file_that_cannot_be_read_is_left_alone(place, spoil):
    tell(place.to)
    spoilt = spoil(place.path.read_bytes())
    place.path.write_bytes(spoilt)

    with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: media\.parquet cannot be read as Parquet"):
        tell(place.to, FAILED)
    assert place.path.read_bytes() == spoilt


READER = """
import sys
from pathlib import Path
import pyarrow.parquet

path, end = map(Path, sys.argv[1:])
print("reading", flush=True)
count = 0
while not end.exists():
    count += pyarrow.parquet.read_table(path).num_rows > 0
print(count)
"""


def test_a_reader_never_finds_half_a_file(place, tmp_path):
    tell(place.to, metadata={"text": os.urandom(500_000).hex()})
    end = tmp_path / "end"
    command = [sys.executable, "-c", READER, place.path, end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout.readline() == "reading\n"
            for number in range(8, 38):
                tell(place.to, replace(DONE, id=number))
        finally:
            end.touch()
        told, _ = reader.communicate(timeout=60)

    assert (reader.returncode, int(told) > 0) == (0, True)


def test_needs_its_extra():
    program = "import sys; sys.modules['pyarrow'] = None; from receiver_handlers.table import Settings; "
    told = subprocess.run(
        [sys.executable, "-c", f"{program} Settings(to='media.parquet')"], capture_output=True, text=True, timeout=60
    )

    assert 'needs the extra: pip install "ai-media-receiver[parquet]"' in told.stderr


def test_nothing_else_imports_it():
    program = "import sys; import receiver_handlers.table; print(sys.modules.keys() & {'pyarrow', 'sqlalchemy'})"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert told.stdout == "set()\n"
