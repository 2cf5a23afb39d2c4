"""What is special about a table in a SQLite database."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from receiver import PermanentError
from tests.handlers.tables import DONE, FAILED, SQLite, tell


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables").mkdir()
    return SQLite()


def test_numbers_are_numbers(place):
    tell(place.to, data_columns=["credits"], metadata={"weight": 2.5})

    [row] = place.read()
    assert (row["event_id"], row["data_credits"], row["metadata_weight"]) == (7, 30, 2.5)


def test_a_table_has_the_name_it_is_given(place):
    tell(place.to, name="results")

    assert len(place.rows("results")) == 1


def test_huge_texts_stay_whole(place):
    tell(place.to, metadata={"text": "x" * 2_000_000})

    assert len(place.row()["metadata_text"]) == 2_000_000


def test_a_row_that_somebody_has_spoilt_is_put_right(place):
    tell(place.to)
    place.run("UPDATE jobs SET event_id = 'seven', status = 'x'")
    tell(place.to)

    assert (place.row()["status"], place.row()["event_id"]) == ("succeeded", "7")


def test_other_tables_are_left_alone(place):
    tell(place.to, name="first")
    tell(place.to, name="second")
    tell(place.to, FAILED, name="first")

    assert [row["status"] for row in place.rows("first") + place.rows("second")] == ["failed", "succeeded"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        pytest.param("CREATE TABLE jobs (id INTEGER PRIMARY KEY, source, job)", "a table jobs of somebody", id="table"),
        pytest.param("CREATE TABLE jobs (source, job, event_id)", "a table jobs of somebody else's", id="other-key"),
        pytest.param("CREATE VIEW jobs AS SELECT 1", "jobs is a view", id="view"),
    ],
)
def test_what_is_somebody_elses_is_left_alone(place, sql, told):
    place.run(sql)

    with pytest.raises(PermanentError, match=rf"^\[handlers\.sheet\] name: .*{told}"):
        tell(place.to)


@pytest.mark.parametrize("name", ["jobs", "results"])
def test_the_database_of_receiver_itself_is_left_alone(store, database, name):
    with pytest.raises(PermanentError, match=r"^\[handlers\.sheet\] to: that is Receiver's own database"):
        tell(f"sqlite:///{database}", name=name)

    assert store.list_jobs(limit=1).rows == []


def test_a_locked_database_is_tried_again(place):
    tell(place.to)
    with closing(sqlite3.connect("tables/media.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(RuntimeError, match=r"^\[handlers\.sheet\] to: database is locked$"):
            tell(place.to, replace(DONE, id=8), lock_timeout="10ms")
