"""Figures and alerts, the same from every store."""

import math
import re
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlite_utils import Database

from receiver import clock
from receiver.models import Alert, Budget, Limits, Status, Via
from receiver.store.base import Prunable
from receiver.store.figures import EventCount, HandlerFigures, Refused, SourceFigures, Spending, WebhookHealth
from receiver.store.sqlite import SQLiteStore, figures
from receiver.store.sqlite.connection import connect
from receiver.store.sqlite.schema import migrate
from tests.store.contract import (
    AT,
    DUE,
    HANDLER,
    HOUR,
    MINUTE,
    NOT_DUE,
    RETRY,
    SOURCE,
    a_hint,
    a_record,
    an_event,
    claim,
    dead,
    dispatch,
    incomplete,
    refusals,
    track,
)
from tests.store.retention import prune

STATUSES = [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BUDGET = Budget(10, per=HOUR)


@pytest.fixture
def store(open_either):
    """Each kind of store."""
    return open_either()


def told_by(store, *ways, name="job"):
    """Jobs that ended, the oldest first, each told by these ways."""
    for number, vias in enumerate(ways):
        for via in vias:
            store.receive(a_record(an_event(f"{name}_{number}"), via=via))


def health(store):
    [found] = store.webhook_health([SOURCE])
    return found


WEBHOOK, POLL, BOTH = [Via.WEBHOOK], [Via.POLL], [Via.WEBHOOK, Via.POLL]


# How everything stands


def test_an_empty_store_has_nothing_to_show(store):
    figures = store.figures()

    assert (figures.unrouted_count, figures.oldest_unrouted_at) == (0, None)
    assert figures.handlers == figures.sources == ()


def test_says_when_they_were_read(store):
    assert abs(clock.now() - store.figures().read_at) < MINUTE


def test_counts_what_no_worker_has_routed(store):
    store.receive(a_record(an_event("job_1")))
    store.receive(a_record(an_event("job_2")))

    figures = store.figures()

    assert figures.unrouted_count == 2
    assert clock.now() - figures.oldest_unrouted_at < MINUTE


def test_counts_dispatches_by_handler(store):
    dead(store, an_event("job_1"))
    dispatch(store, *(an_event(f"other_{number}") for number in range(3)), handlers=[HANDLER, "notify"])
    claim(store)

    archive, notify = store.figures().handlers

    assert (archive.handler, archive.waiting_count, archive.running_count, archive.dead_count) == (HANDLER, 2, 1, 1)
    assert (notify.handler, notify.waiting_count, notify.running_count, notify.dead_count) == ("notify", 3, 0, 0)


def test_what_waits_for_its_next_attempt_is_not_late(store):
    dispatch(store, an_event())
    [claimed] = claim(store)
    store.finish(claimed, replace(RETRY, wait=HOUR))

    [handler] = store.figures().handlers

    assert handler == HandlerFigures(handler=HANDLER, waiting_count=1)


def test_says_since_when_the_oldest_is_due(store):
    before = clock.now()
    dispatch(store, an_event("job_1"), an_event("job_2"))

    [handler] = store.figures().handlers

    assert abs(handler.oldest_waiting_at - before) < MINUTE


def test_says_which_handler_is_parked(store):
    dispatch(store, an_event())
    [claimed] = claim(store)
    store.finish(claimed, replace(RETRY, failed=True), park_after=1)

    [handler] = store.figures().handlers

    assert handler.failure_count == 1
    assert handler.parked_until > clock.now()


def test_says_what_a_person_has_paused(store):
    store.pause_handler(HANDLER, paused=True)
    store.pause_source(SOURCE, paused=True)

    figures = store.figures()

    assert clock.now() - figures.handlers[0].paused_at < MINUTE
    assert clock.now() - figures.sources[0].paused_at < MINUTE


def test_counts_open_jobs_and_those_whose_poll_is_due(store):
    track(store, "job_1", "job_2", schedule=DUE)
    track(store, "job_3", schedule=NOT_DUE)

    [source] = store.figures().sources

    assert (source.source, source.open_count, source.overdue_count) == (SOURCE, 3, 2)
    assert clock.now() - source.oldest_overdue_at < MINUTE


def test_a_job_that_is_not_due_is_not_overdue(store):
    track(store, "job_1", schedule=NOT_DUE)

    assert store.figures().sources == (SourceFigures(source=SOURCE, open_count=1),)


def test_counts_the_quarantine_by_source(store):
    store.quarantine([*refusals(3), *refusals(2, source="other")], max_count=10)

    assert [(found.source, found.quarantine_count) for found in store.figures().sources] == [(SOURCE, 3), ("other", 2)]


# Budgets


def test_a_budget_that_nobody_spent_is_left_whole(store):
    assert store.requests_left(SOURCE, budget=BUDGET, learn=True) == 10


def test_what_was_spent_is_not_left(store):
    store.spend(SOURCE, budget=BUDGET, learn=True)

    assert store.requests_left(SOURCE, budget=BUDGET, learn=True) == 9


def test_nothing_is_left_while_the_provider_wants_a_pause(store):
    store.remember_limits(SOURCE, Limits(pause=HOUR))

    assert store.requests_left(SOURCE, budget=BUDGET, learn=True) == 0


# Whether webhooks come


def test_of_a_source_without_jobs_nothing_is_known(store):
    assert health(store) == WebhookHealth(source=SOURCE)
    assert health(store).missed_share is None


def test_counts_the_jobs_whose_webhook_never_came(store):
    told_by(store, WEBHOOK, POLL, POLL, BOTH)

    found = health(store)

    assert (found.ended_count, found.missed_count, found.missed_share) == (4, 2, 0.5)


def test_a_job_that_failed_and_then_succeeded_is_one_job(store):
    store.receive(a_record(an_event("job_1", Status.FAILED)))
    store.receive(a_record(an_event("job_1"), via=Via.POLL))

    found = health(store)

    assert (found.ended_count, found.missed_count) == (1, 1)


@pytest.mark.parametrize(
    ("few", "ended"),
    [pytest.param(4, 3, id="few-in-all"), pytest.param(3, 0, id="busy-once")],
)
def test_a_source_that_was_busy_once_is_judged_by_the_newest_events(store, monkeypatch, few, ended):
    monkeypatch.setattr("receiver.store.figures.NEWEST_EVENTS", 2)
    monkeypatch.setattr("receiver.store.figures.FEW_EVENTS", few)
    told_by(store, WEBHOOK, POLL, BOTH)
    for number in range(2):
        store.receive(a_record(an_event(f"new_{number}", source="other")))

    assert health(store).ended_count == ended


def test_a_busy_source_is_judged_by_its_newest_jobs(store, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_ENDS", 2)
    monkeypatch.setattr("receiver.store.figures.NEWEST_EVENTS", 20)
    told_by(store, POLL, WEBHOOK, POLL, WEBHOOK)

    found = health(store)

    assert (found.ended_count, found.missed_count, found.missed_in_a_row) == (2, 1, 0)


def test_counts_those_since_a_webhook_came(store):
    told_by(store, POLL, WEBHOOK, POLL, POLL)

    assert health(store).missed_in_a_row == 2


@pytest.mark.parametrize(
    ("ways", "quiet"),
    [
        pytest.param([WEBHOOK, *[POLL] * 5], True, id="five-missed"),
        pytest.param([WEBHOOK, *[POLL] * 4], False, id="four-missed"),
        pytest.param([*[POLL] * 9], False, id="never-came"),
        pytest.param([*[POLL] * 9, WEBHOOK], False, id="comes-again"),
    ],
)
def test_a_source_went_quiet_if_webhooks_used_to_come(store, ways, quiet):
    told_by(store, *ways)

    assert health(store).went_quiet is quiet


def test_says_how_much_later_the_poll_told_it(store):
    told_by(store, BOTH, BOTH)

    assert timedelta(0) <= health(store).median_delay < MINUTE


def test_says_when_the_last_webhook_came(store):
    told_by(store, WEBHOOK, POLL)

    # The delivery's own time.
    assert health(store).last_webhook_at >= AT


def test_where_webhooks_are_hints_nobody_knows_which_never_came(store):
    store.receive(a_hint(an_event("job_0")))
    told_by(store, POLL, POLL)

    found = health(store)

    assert (found.indirect, found.missed_share, found.went_quiet) == (True, None, False)


def test_progress_does_not_hide_that_ends_come_without_their_result(store):
    for number in range(5):
        store.receive(incomplete(an_event(f"job_{number}")))
        told_by(store, POLL, name=f"job_{number}")
    store.receive(a_record(an_event("job_5", Status.RUNNING)))

    found = health(store)

    assert (found.indirect, found.missed_share, found.went_quiet) == (True, None, False)


def test_an_end_that_a_webhook_told_is_newer_than_the_hints_before(store):
    store.receive(a_hint(an_event("job_0")))
    told_by(store, WEBHOOK, *[POLL] * 5)

    found = health(store)

    assert (found.indirect, found.went_quiet) == (False, True)


def test_a_hint_of_long_ago_says_nothing_of_why_no_webhook_comes(store, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_ENDS", 5)
    store.receive(a_hint(an_event("job_0")))
    told_by(store, WEBHOOK, *[POLL] * 5)

    found = health(store)

    assert (found.indirect, found.went_quiet) == (False, True)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(figures.standing, id="standing"),
        pytest.param(lambda read: figures.webhook_health(read, [SOURCE]), id="health"),
        pytest.param(lambda read: figures.count_refused(read, AT), id="refused"),
        pytest.param(lambda read: figures.count_by_minute(read, AT), id="by-minute"),
        pytest.param(lambda read: figures.spending(read, AT), id="spending"),
        pytest.param(lambda read: figures.spending_since(read, AT), id="spending-since"),
        pytest.param(lambda read: figures.charged(read, AT, 10), id="charged"),
    ],
)
def test_sqlite_looks_at_no_table_as_a_whole(tmp_path, ask):
    steps = list[str]()
    with closing(connect(tmp_path / "receiver.db")) as db:
        migrate(Database(db))

        def read(statement, values):
            steps.extend(row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            return db.execute(statement, values).fetchall()

        ask(read)

    assert {
        step for step in steps if re.fullmatch(r"SCAN (events|deliveries|jobs|dispatches|quarantine)", step)
    } == set()


def test_where_webhooks_are_hints_busy_neighbours_change_nothing(store, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_DELIVERIES", 3)
    store.receive(a_hint(an_event("job_0")))
    told_by(store, *[POLL] * 5)
    for number in range(5):
        store.receive(a_record(an_event(f"theirs_{number}", source="other")))

    assert health(store).indirect


def test_progress_is_no_end(store):
    store.receive(a_record(an_event("job_1", Status.RUNNING)))

    assert health(store).ended_count == 0


# All of them


@pytest.fixture
def traffic(store):
    """What came in at random, told by whichever way: sources, statuses, ways and credits."""
    random, came = Random(17), list[tuple[str, Status, Via, int]]()  # noqa: S311 - the same each time
    for number in range(80):
        source, status = random.choice([SOURCE, "other"]), random.choice([*STATUSES, Status.RUNNING])
        via, credits = random.choice([Via.WEBHOOK, Via.POLL]), random.randrange(3)
        event = an_event(f"job_{number}", status, source=source, data={"credits": credits})
        store.receive(a_record(event, via=via))
        came.append((source, status, via, credits))
    return came


def test_counts_by_minute_all_that_came_in(store, traffic):
    counted = Counter[tuple[str, Status | None]]()
    for found in store.count_by_minute(since=LONG_AGO):
        counted[found.source, found.status] += found.count

    assert counted == Counter((source, status) for source, status, _, _ in traffic)


def test_judges_webhooks_by_all_that_came_in(store, traffic):
    ended = [(source, via) for source, status, via, _ in traffic if status in STATUSES]

    found = {
        health.source: (health.ended_count, health.missed_count) for health in store.webhook_health([SOURCE, "other"])
    }

    assert found == {
        wanted: (
            sum(source == wanted for source, _ in ended),
            sum(source == wanted and via is Via.POLL for source, via in ended),
        )
        for wanted in (SOURCE, "other")
    }


def test_sums_the_cost_of_all_that_came_in(store, traffic):
    spent = Counter[tuple[str, Status]]()
    for source, status, _, credits in traffic:
        if status in STATUSES:
            spent[source, status] += credits

    assert {(found.source, found.status): found.credits for found in store.spending(since=LONG_AGO)} == dict(spent)


# Refusals


def test_counts_refusals_by_source_and_reason(store):
    store.quarantine([*refusals(2), replace(refusals(1)[0], reason="timestamp_too_old")], max_count=10)

    counted = store.count_refused(since=AT - MINUTE)

    assert counted == [
        Refused(source=SOURCE, reason="signature_mismatch", count=2),
        Refused(source=SOURCE, reason="timestamp_too_old", count=1),
    ]
    assert [(found.unproven, found.skewed) for found in counted] == [(True, False), (False, True)]


def test_leaves_out_what_was_refused_before(store):
    store.quarantine(refusals(2), max_count=10)

    assert store.count_refused(since=AT + MINUTE) == []


# Events by the minute


def test_counts_events_by_minute_source_and_status(store):
    for number in range(3):
        store.receive(a_record(an_event(f"job_{number}")))
    store.receive(a_record(an_event("job_3", Status.FAILED)))
    store.receive(a_record(an_event("job_4", None, raw_status=None)))

    counted = store.count_by_minute(since=LONG_AGO)

    by_status = {status: sum(found.count for found in counted if found.status is status) for status in (*Status, None)}
    assert {status: count for status, count in by_status.items() if count} == {
        Status.SUCCEEDED: 3,
        Status.FAILED: 1,
        None: 1,
    }
    assert {(found.source, found.minute.second, found.minute.microsecond) for found in counted} == {(SOURCE, 0, 0)}


def test_a_minute_is_told_as_the_time_it_began(store):
    store.receive(a_record(an_event()))

    [counted] = store.count_by_minute(since=LONG_AGO)

    assert timedelta(0) <= clock.now() - counted.minute < 2 * MINUTE
    assert counted == EventCount(minute=counted.minute, source=SOURCE, status=Status.SUCCEEDED, count=1)


def test_counts_no_events_from_before(store):
    store.receive(a_record(an_event()))

    assert store.count_by_minute(since=clock.now() + MINUTE) == []


def test_counts_by_minute_no_further_back_than_the_newest_events(store, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_COUNTED", 2)
    events = [event for number in range(3) for event in store.receive(a_record(an_event(f"job_{number}"))).events]

    assert sum(found.count for found in store.count_by_minute(since=LONG_AGO)) == 2
    assert store.counted_since(since=LONG_AGO) == store.event(events[1].id).recorded_at


def test_counts_by_minute_from_when_it_is_asked_for(store, monkeypatch):
    monkeypatch.setattr("receiver.store.figures.NEWEST_COUNTED", 1)
    store.receive(a_record(an_event()))

    assert store.counted_since(since=LONG_AGO) == LONG_AGO


# What jobs cost


def test_sums_what_jobs_cost_by_source_kind_and_outcome(store):
    for number, credits in enumerate([30, 2.5]):
        store.receive(a_record(an_event(f"job_{number}", data={"credits": credits})))
    store.receive(a_record(an_event("job_2", Status.FAILED, data={"credits": 0})))

    assert store.spending(since=LONG_AGO) == [
        Spending(source=SOURCE, kind="video", status=Status.FAILED, job_count=1, credits=0),
        Spending(source=SOURCE, kind="video", status=Status.SUCCEEDED, job_count=2, credits=32.5),
    ]


def test_names_the_jobs_that_failed_and_were_charged(store):
    for job_id, status, credits in [
        ("job_1", Status.FAILED, 60),
        ("job_2", Status.FAILED, 0),
        ("job_3", Status.SUCCEEDED, 30),
        ("job_4", Status.CANCELLED, 2.5),
    ]:
        store.receive(a_record(an_event(job_id, status, data={"credits": credits})))

    assert {found.status: found.charged_count for found in store.spending(since=LONG_AGO)} == {
        Status.CANCELLED: 1,
        Status.FAILED: 1,
        Status.SUCCEEDED: 0,
    }
    found = store.charged(since=LONG_AGO, limit=10)
    assert {(one.job_id, one.kind, one.status, one.credits) for one in found} == {
        ("job_1", "video", Status.FAILED, 60),
        ("job_4", "video", Status.CANCELLED, 2.5),
    }
    assert all(one.finished_at == store.job(SOURCE, one.job_id).finished_at for one in found)
    assert len(store.charged(since=LONG_AGO, limit=1)) == 1


def test_a_job_of_ours_that_is_followed_costs_what_its_end_says(store):
    track(store, "job_1")
    store.receive(a_record(an_event("job_1", Status.RUNNING, data={"credits": 10})))
    before = store.spending(since=LONG_AGO)

    store.receive(a_record(an_event("job_1", data={"credits": 30})))

    assert before == []
    assert [found.credits for found in store.spending(since=LONG_AGO)] == [30]


def test_a_job_that_was_given_up_costs_what_its_end_says_after_all(store):
    store.receive(a_record(an_event("job_1", Status.LOST, data={})))
    before = store.spending(since=LONG_AGO)

    store.receive(a_record(an_event("job_1", Status.FAILED, data={"credits": 30})))

    assert before == []
    assert [found.credits for found in store.spending(since=LONG_AGO)] == [30]


def test_an_end_that_is_told_once_more_costs_what_it_did(store, let_pass):
    end = a_record(an_event("job_1", Status.FAILED, data={"credits": 30}))
    [event] = store.receive(end).events
    store.route({event.id: []})
    let_pass(HOUR)
    assert prune(store, Prunable.JOBS, older_than=MINUTE) == 1
    track(store, "job_1")
    before = store.spending(since=LONG_AGO)

    store.receive(end)

    assert before == []
    assert [(found.status, found.credits) for found in store.spending(since=LONG_AGO)] == [(Status.FAILED, 30)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="not-told"),
        pytest.param({"credits": "many"}, id="text"),
        pytest.param({"credits": True}, id="bool"),
        pytest.param({"credits": None}, id="null"),
        pytest.param({"credits": math.nan}, id="no-number"),
        pytest.param({"credits": math.inf}, id="infinite"),
        pytest.param({"credits": 10**400}, id="beyond-any-column"),
        pytest.param({"total_credits": 90}, id="sum-of-a-batch"),
    ],
)
def test_a_job_of_which_no_cost_is_known_is_left_out(store, data):
    store.receive(a_record(an_event(data=data)))

    assert store.spending(since=LONG_AGO) == []


def test_of_a_job_that_failed_and_then_succeeded_the_last_end_counts(store):
    store.receive(a_record(an_event("job_1", Status.FAILED, data={"credits": 60})))
    store.receive(a_record(an_event("job_1", data={"credits": 60})))

    [spent] = store.spending(since=LONG_AGO)

    assert (spent.status, spent.job_count, spent.credits) == (Status.SUCCEEDED, 1, 60)


def test_spending_counts_from_when_it_is_asked_for(store):
    store.receive(a_record(an_event()))

    assert store.spending_since(since=LONG_AGO) == LONG_AGO


def test_spending_counts_no_further_back_than_the_newest_jobs(store, monkeypatch, let_pass):
    monkeypatch.setattr("receiver.store.figures.NEWEST_COSTS", 2)
    for number in range(3):
        store.receive(a_record(an_event(f"job_{number}", Status.FAILED, data={"credits": 10 * number})))
        let_pass(MINUTE)

    assert store.spending_since(since=LONG_AGO) == store.job(SOURCE, "job_1").finished_at
    assert [(found.job_count, found.credits) for found in store.spending(since=LONG_AGO)] == [(2, 30)]
    assert [found.job_id for found in store.charged(since=LONG_AGO, limit=10)] == ["job_2", "job_1"]


# Alerts


def test_keeps_an_alert_until_it_is_dropped(store):
    alert = Alert(cause="dead-letters archive", summary="2 dead letters", since=AT, told_at=AT + MINUTE)

    store.keep_alert(alert)
    kept = store.alerts()
    store.drop_alert(alert.cause)

    assert (kept, store.alerts()) == ([alert], [])


def test_keeps_one_alert_for_a_cause(store):
    alert = Alert(cause="dead-letters archive", summary="2 dead letters", since=AT)
    store.keep_alert(alert)

    store.keep_alert(replace(alert, summary="3 dead letters", over_at=AT + HOUR))

    assert store.alerts() == [replace(alert, summary="3 dead letters", over_at=AT + HOUR)]


# For whoever looks for the cause


def test_says_who_runs_dispatches(store):
    dispatch(store, an_event("job_1"), an_event("job_2"))
    claim(store, 2)

    [worker] = store.workers()

    assert (worker.worker, worker.running_count) == ("worker-1", 2)
    assert timedelta(minutes=50) < worker.leased_until - clock.now() < timedelta(minutes=70)


def test_says_when_a_turn_was_taken(store):
    store.claim_turn("alerts", every=MINUTE)

    assert abs(clock.now() - store.last_turns()["alerts"]) < MINUTE


def test_a_sound_store_has_no_problems(store):
    examined = store.examine(within=MINUTE)

    assert re.match(r"(SQLite|PostgreSQL) \d", examined.version)
    assert examined.complete


def test_finds_damage(database):
    with closing(SQLiteStore(database)) as store:
        for number in range(300):
            store.receive(a_record(an_event(f"job_{number}")))
    damaged = bytearray(database.read_bytes())
    middle = len(damaged) // 2 // 4096 * 4096
    damaged[middle + 100 : middle + 10_000] = b"\xff" * 9_900
    database.write_bytes(damaged)

    with closing(SQLiteStore(database)) as store:
        assert store.examine(within=MINUTE).problems
