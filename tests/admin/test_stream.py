"""What the stream tells of a store whose commits are not in the order of their ids."""

import contextlib
import itertools
from datetime import timedelta

import psycopg

from receiver.admin.stream import Stream
from tests.opened import opened
from tests.store.contract import a_record, an_event

SOON = timedelta(milliseconds=50)
COPY = "CREATE TEMPORARY TABLE late AS SELECT * FROM events"
RENAME = "UPDATE late SET id = nextval(pg_get_serial_sequence('events', 'id')), key = 'late', job_id = 'late'"


def test_tells_what_shows_up_behind_greater_ids(postgres_url):
    with contextlib.closing(opened(postgres_url)) as store, psycopg.connect(postgres_url) as slow:
        store.receive(a_record(an_event("first")))
        news = itertools.islice(Stream(store, most=1, silence=SOON).news(None, welcome=lambda: True), 100)
        assert next(news) is None
        slow.execute(COPY)
        slow.execute(RENAME)
        slow.execute("INSERT INTO events SELECT * FROM late")
        store.receive(a_record(an_event("fast")))
        fast = next(told for told in news if told is not None)
        slow.commit()

        late = next(told for told in news if told is not None)

    assert [fast.row["job"], late.row["job"]] == ["fast", "late"]
    assert (fast.position, fast.row["id"] > late.row["id"]) == (late.position, True)
