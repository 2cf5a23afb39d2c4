"""What SQLite looks at for a list. How long that takes is for the benchmark; here no plan may become another unseen."""

import contextlib
from datetime import UTC, datetime

import pytest
from sqlite_utils import Database

from receiver.store.base import DeliveryFilter, DispatchFilter, EventFilter, JobFilter, RefusalFilter
from receiver.store.sqlite import lists
from receiver.store.sqlite.connection import connect
from receiver.store.sqlite.schema import migrate

BY_ID = "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
AT = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)


@pytest.fixture
def plan_of(tmp_path):
    """How SQLite finds the rows of a list."""
    with contextlib.closing(connect(tmp_path / "receiver.db")) as db:
        migrate(Database(db))

        def explain(ask, wanted):
            steps = []

            def read(statement, values):
                steps.append([row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)])
                return db.execute(statement, values).fetchall()

            ask(read, wanted, 50, None)
            return steps

        yield explain


@pytest.mark.parametrize(
    ("ask", "wanted", "found"),
    [
        pytest.param(lists.events, EventFilter(), f"events {BY_ID}", id="events"),
        pytest.param(lists.events, EventFilter(source="a"), f"events {BY_ID}", id="events-source"),
        pytest.param(lists.events, EventFilter(text="a"), f"events {BY_ID}", id="events-text"),
        pytest.param(lists.events, EventFilter(since=AT, until=AT), f"events {BY_ID}", id="events-since"),
        pytest.param(lists.events, EventFilter(status="succeeded"), f"events {BY_ID}", id="events-succeeded"),
        pytest.param(
            lists.events,
            EventFilter(source="a", status="failed"),
            "events USING INDEX events_not_succeeded (status=? AND id>? AND id<?)",
            id="events-failed-and-source",
        ),
        pytest.param(
            lists.events, EventFilter(job_id="a"), "events USING INDEX events_job (job_id=? AND", id="events-job"
        ),
        pytest.param(
            lists.events, EventFilter(state="dead"), "dispatches USING INDEX dispatches_dead", id="events-dead"
        ),
        pytest.param(
            lists.events,
            EventFilter(state="pending"),
            "dispatches USING INDEX dispatches_unfinished",
            id="events-pending",
        ),
        pytest.param(lists.events, EventFilter(state="done"), f"events {BY_ID}", id="events-done"),
        pytest.param(lists.deliveries, DeliveryFilter(), f"deliveries {BY_ID}", id="deliveries"),
        pytest.param(lists.deliveries, DeliveryFilter(via="poll"), f"deliveries {BY_ID}", id="deliveries-via"),
        pytest.param(
            lists.deliveries,
            DeliveryFilter(verdict="hint"),
            "deliveries USING INDEX deliveries_not_recorded (verdict=? AND id>? AND id<?)",
            id="deliveries-hint",
        ),
        pytest.param(lists.refusals, RefusalFilter(), f"quarantine {BY_ID}", id="refusals"),
        pytest.param(lists.jobs, JobFilter(), f"jobs {BY_ID}", id="jobs"),
        pytest.param(lists.jobs, JobFilter(source="a", kind="a"), f"jobs {BY_ID}", id="jobs-source-and-kind"),
        pytest.param(lists.jobs, JobFilter(open=True), "jobs USING INDEX jobs_open (id>? AND id<?)", id="jobs-open"),
        pytest.param(
            lists.jobs, JobFilter(overdue=True), "jobs USING INDEX jobs_open (id>? AND id<?)", id="jobs-overdue"
        ),
        pytest.param(
            lists.jobs, JobFilter(status="running"), "jobs USING INDEX jobs_open (id>? AND id<?)", id="jobs-running"
        ),
        pytest.param(
            lists.jobs,
            JobFilter(status="lost"),
            "jobs USING INDEX jobs_unsuccessful (status=? AND id>? AND id<?)",
            id="jobs-lost",
        ),
        pytest.param(
            lists.jobs,
            JobFilter(job_id="a"),
            "jobs USING INDEX sqlite_autoindex_jobs_1 (source=? AND job_id=?)",
            id="jobs-id",
        ),
        pytest.param(lists.dispatches, DispatchFilter(), f"dispatches {BY_ID}", id="dispatches"),
        pytest.param(lists.dispatches, DispatchFilter(error="a"), f"dispatches {BY_ID}", id="dispatches-error"),
        pytest.param(
            lists.dispatches,
            DispatchFilter(event_id=1),
            "dispatches USING INDEX sqlite_autoindex_dispatches_2 (event_id=?)",
            id="dispatches-event",
        ),
        pytest.param(
            lists.dispatches,
            DispatchFilter(replay_id="a"),
            "dispatches USING INDEX dispatches_replayed (replay_id=?)",
            id="dispatches-replay",
        ),
        pytest.param(
            lists.dispatches,
            DispatchFilter(state="dead"),
            "dispatches USING INDEX dispatches_dead (id>? AND id<?)",
            id="dispatches-dead",
        ),
        pytest.param(
            lists.dispatches,
            DispatchFilter(state="running"),
            "dispatches USING INDEX dispatches_unfinished",
            id="dispatches-running",
        ),
    ],
)
def test_a_list_is_found_by_an_index(plan_of, ask, wanted, found):
    *_, steps = plan_of(ask, wanted)

    assert [step for step in steps if found in step], steps
    assert not [step for step in steps if step.startswith("SCAN") and " USING " not in step and step != "SCAN known"]


@pytest.mark.parametrize(
    ("ask", "wanted", "found"),
    [
        pytest.param(
            lists.events,
            EventFilter(status="failed", text="a"),
            "events USING COVERING INDEX events_not_succeeded (status=? AND id<?)",
            id="events-failed",
        ),
        pytest.param(
            lists.events,
            EventFilter(state="dead", text="a"),
            "dispatches USING INDEX dispatches_dead",
            id="events-dead",
        ),
        pytest.param(
            lists.events,
            EventFilter(state="running", text="a"),
            "dispatches USING INDEX dispatches_unfinished",
            id="events-running",
        ),
        pytest.param(
            lists.deliveries,
            DeliveryFilter(verdict="hint", source="a"),
            "deliveries USING COVERING INDEX deliveries_not_recorded (verdict=? AND id<?)",
            id="deliveries",
        ),
        pytest.param(
            lists.jobs,
            JobFilter(open=True, kind="a"),
            "jobs USING INDEX jobs_open (id<?)",
            id="jobs-open",
        ),
        pytest.param(
            lists.jobs,
            JobFilter(status="lost", kind="a"),
            "jobs USING COVERING INDEX jobs_unsuccessful (status=? AND id<?)",
            id="jobs-lost",
        ),
        pytest.param(
            lists.dispatches,
            DispatchFilter(replay_id="a", error="a"),
            "dispatches USING COVERING INDEX dispatches_replayed (replay_id=?)",
            id="dispatches-replay",
        ),
        pytest.param(
            lists.dispatches,
            DispatchFilter(state="dead", error="a"),
            "dispatches USING INDEX dispatches_dead (id<?)",
            id="dispatches-dead",
        ),
        pytest.param(
            lists.dispatches,
            DispatchFilter(state="pending", error="a"),
            "dispatches USING INDEX dispatches_unfinished",
            id="dispatches-pending",
        ),
    ],
)
def test_how_many_rows_an_index_finds_is_told_by_it(plan_of, ask, wanted, found):
    *_, steps, _ = plan_of(ask, wanted)

    assert [step for step in steps if found in step], steps


@pytest.mark.parametrize("ask", [lists.events, lists.deliveries, lists.refusals, lists.jobs, lists.dispatches])
def test_where_a_list_begins_and_ends_is_found_without_looking_at_its_rows(plan_of, ask):
    filters = {lists.events: EventFilter, lists.deliveries: DeliveryFilter, lists.refusals: RefusalFilter}
    filters |= {lists.jobs: JobFilter, lists.dispatches: DispatchFilter}

    first, *_ = plan_of(ask, filters[ask]())

    assert all(step.startswith(("SCALAR SUBQUERY", "SCAN CONSTANT ROW", "SEARCH")) for step in first), first
    assert [step for step in first if "USING INTEGER PRIMARY KEY (rowid<?)" in step], first
