"""What the tests of `table` tell it, and every kind of place that it can keep a table in, as others read it."""

import csv
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow.parquet
import pymysql
from receiver_handlers.table import Settings, table

from receiver import Context, Event, Failure, Job, Output, Status
from receiver.clock import to_text

AT = datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)
DONE = Event(
    id=7,
    source="creative",
    key="vgen_1:succeeded",
    type="video.generation.completed",
    data={"id": "vgen_1", "credits": 30, "model": {"name": "夜"}},
    kind="video",
    job_id="vgen_1",
    status=Status.SUCCEEDED,
    outputs=(Output("https://cdn.example/a.mp4?signature=b"), Output("https://cdn.example/b.png")),
    occurred_at=AT,
    recorded_at=AT.replace(second=44),
)
FAILED = replace(
    DONE,
    key="vgen_1:failed",
    type="video.generation.failed",
    status=Status.FAILED,
    outputs=(),
    failure=Failure("no", "e1"),
)
JOB = Job(
    source="creative",
    job_id="vgen_1",
    kind="video",
    metadata={"order": 17, "tags": ["a", "b"], "rush": True, "note": None},
    created_at=AT.replace(second=3),
    deadline_at=AT.replace(hour=20),
)


def tell(to, event=DONE, *, job=JOB, metadata=None, **settings):
    """Have the handler told of an event."""
    job = replace(job, metadata=metadata) if metadata is not None else job
    context = Context(settings=Settings(to=to, **settings), job=job, handler="sheet")
    return table(event, context)


class Place:
    """A table, read without the help of what wrote it."""

    to: str
    longest_name = 100

    def rows(self, name="jobs"):
        """The rows by source and job; every cell as text, an empty one if there is nothing."""
        found = [{column: _text(cell) for column, cell in row.items()} for row in self.read(name)]
        return sorted(found, key=lambda row: (row["source"], row["job"]))

    def row(self):
        [row] = self.rows()
        return row

    def read(self, name="jobs"):
        """The rows as they are there."""
        raise NotImplementedError

    def add_column(self, name, value):
        """Do what somebody else may do: add a column of text, with a value for every row."""
        self.run(f"ALTER TABLE jobs ADD {name} VARCHAR(20)", f"UPDATE jobs SET {name} = '{value}'")  # noqa: S608

    def run(self, *statements):
        """Run SQL, and commit."""
        with closing(self.connect()) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
            connection.commit()

    def connect(self):
        raise NotImplementedError

    def select(self, name):
        with closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {name}")  # noqa: S608
            return [dict(zip([column[0] for column in cursor.description], row, strict=True)) for row in cursor]


class SQLite(Place):
    to = "sqlite:///tables/media.db"

    def connect(self):
        return sqlite3.connect("tables/media.db")

    def read(self, name="jobs"):
        return self.select(name)


class CSV(Place):
    to = "tables/media.csv"
    path = Path(to)

    def read(self, name="jobs"):
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def add_column(self, name, value):
        first, *lines = self.path.read_text("utf-8-sig").splitlines()
        self.write("\r\n".join([f"{name},{first}", *(f"{value},{line}" for line in lines), "", ""]))

    def write(self, text, encoding="utf-8-sig"):
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(text.encode(encoding))


class Parquet(Place):
    to = "tables/media.parquet"
    path = Path(to)

    def read(self, name="jobs"):
        return self.table().to_pylist()

    def table(self):
        return pyarrow.parquet.read_table(self.path)

    def write(self, table):
        self.path.parent.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(table, self.path)

    def add_column(self, name, value):
        table = self.table()
        self.write(table.add_column(0, name, [[value] * len(table)]))


class PostgreSQL(Place):
    longest_name = 63

    def __init__(self, url):
        self._url = url
        self.to = url.replace("postgresql://", "postgresql+psycopg://")

    def connect(self):
        # The only style of dates that psycopg reads.
        return psycopg.connect(self._url, options="-c datestyle=ISO")

    def read(self, name="jobs"):
        return self.select(name)


class MariaDB(Place):
    longest_name = 63

    def __init__(self, where):
        self._where = where
        self.to = "mysql+pymysql://{user}@{host}:{port}/{database}".format(**where)

    def connect(self):
        return pymysql.connect(**self._where)

    def read(self, name="jobs"):
        return self.select(name)


def _text(cell):
    match cell:
        case None:
            return ""
        case datetime():
            # MariaDB has no zones.
            return to_text(cell if cell.tzinfo else cell.replace(tzinfo=UTC))
        case _:
            return str(cell)
