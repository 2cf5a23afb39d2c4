"""A whole store becomes another, whichever kinds they are."""

import contextlib
import math
import random
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from receiver.config import from_tables
from receiver.errors import ConfigError, StoreUnavailable
from receiver.models import Alert, Failure, Limits, Output, Role, Scope, Status
from receiver.store import copy, open_store, open_tables
from receiver.store.base import PollResult, Prunable
from receiver.store.copying import NAMES
from tests.store.contract import (
    AT,
    CANCEL,
    DEAD,
    DONE,
    HANDLER,
    HOUR,
    LAPSED,
    MANY,
    PLENTY,
    RETRY_LATER,
    SOURCE,
    a_delivery,
    a_hint,
    a_record,
    all_deliveries,
    all_dispatches,
    all_events,
    all_intents,
    all_refusals,
    an_event,
    claim,
    dispatch,
    incomplete,
    intend,
    refusals,
    replay,
    the_job,
    track,
    unreadable,
)
from tests.store.retention import OLD, ago
from tests.trouble import child, said

SEAL_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NOT_COPIED = {"proofs", "_sqlite_migrations", "receiver_migrations"}
ODD = "\0 \x1a0000 夜 \\u0000 '\""

COPY = """
import sys
from contextlib import closing
from receiver.config import from_tables
from receiver.store import copy, open_tables

source, target = [from_tables({"store": url}) for url in sys.argv[1:]]
with closing(open_tables(source)) as ours, closing(open_tables(target, target=True)) as theirs:
    copy(ours, theirs, told=lambda table, done, total: print("on", flush=True))
print("done", flush=True)
"""

KEEP_OPEN = """
import sys
from receiver.config import from_tables
from receiver.store import open_store

store = open_store(from_tables({"store": sys.argv[1], "seal_keys": sys.argv[2]}))
store.prove()
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def place(tmp_path, postgres):
    """Gives the URL of a new place for a store: `place("sqlite")`."""
    with contextlib.ExitStack() as stack:

        def new(kind, name="store", *, empty=False):
            if kind == "sqlite":
                return f"sqlite:///{tmp_path}/{name}.db"
            return stack.enter_context(postgres.empty() if empty else postgres.copied())

        yield new


@contextlib.contextmanager
def opened(url, *, seal_keys=(SEAL_KEY,)):
    with contextlib.closing(open_store(from_tables({"store": url, "seal_keys": seal_keys}))) as store:
        yield store


def copied(source, target):
    """Copy, and say of each table how many rows were written and removed."""
    with (
        contextlib.closing(open_tables(from_tables({"store": source}))) as ours,
        contextlib.closing(open_tables(from_tables({"store": target}), target=True)) as theirs,
    ):
        done = copy(ours, theirs, told=lambda table, count, total: None)
    assert [table.table for table in done if table.source_count != table.target_count] == []
    return {table.table: (table.written, table.removed) for table in done if table.written or table.removed}


def contents(url):
    """All rows of all tables, without regard to their order and that of their columns."""
    with contextlib.closing(open_tables(from_tables({"store": url}))) as tables:
        return {
            name: sorted(repr(sorted(row.items())) for row in tables.rows(table))
            for name, table in tables.tables().items()
        }


def seen(url):
    """What people and programs get to see."""
    with opened(url) as store:
        dispatches = all_dispatches(store)
        return {
            "jobs": store.list_jobs(limit=MANY).rows,
            "each job": [store.job(row["source"], row["job"]) for row in store.list_jobs(limit=MANY).rows],
            "events": all_events(store),
            "each event": [repr(store.event(row["id"])) for row in all_events(store)],
            "each event's row": [store.event_row(row["id"]) for row in all_events(store)],
            "deliveries": all_deliveries(store),
            "refusals": all_refusals(store),
            "dispatches": dispatches,
            "attempts": [store.list_attempts(row["id"]) for row in dispatches],
            "intents": all_intents(store),
            "keys": store.keys(SOURCE),
            "hold": store.hold(HANDLER),
            "tokens": store.tokens(),
            "paused": store.source_paused_at(SOURCE) is not None,
            "alerts": store.alerts(),
        }


def fill(url):
    """Something of everything, some of it odd, and some of it sealed."""
    with opened(url, seal_keys=[]) as store:
        fill_deliveries(store)
        fill_dispatches(store)
        fill_jobs(store)
        store.claim_keys(SOURCE, every=HOUR, pause=HOUR)
        store.keep_keys(SOURCE, [ODD])
        store.want_keys(SOURCE)
        store.add_token(ODD, "digest", role=Role.VIEWER, scopes=frozenset([Scope.READ]))
        store.open_session("session", token_digest="digest", lasts=HOUR)
        store.begin_request(ODD, ODD, fingerprint="f", keep=HOUR)
        store.keep_answer(ODD, ODD, status=200, body=ODD)
        store.pause_source(SOURCE, paused=True)
        store.pause_handler(ODD, paused=True)
        store.keep_alert(Alert(cause=ODD, summary=ODD, since=AT))
        store.claim_turn(ODD, every=HOUR)
        store.enqueue({"other": 1})
    with opened(url) as store:
        store.receive(a_record(an_event("job_s", data={"prompt": ODD})))


def fill_deliveries(store):
    odd = replace(a_delivery(bytes(range(256)) * 300), path=f"/{ODD}", headers={"x-odd": f"{ODD} \ud800"})
    numbers = {"z": 2**63, "a": -(2**80), "f": 0.1 + 0.2, "e": 1e-320, "i": math.inf, "zero": -0.0, "": [1.0, 1]}
    event = an_event(
        f"job {ODD}",
        type=ODD,
        raw_status=ODD,
        data={"prompt": "\ud800 \0", ODD: numbers},
        outputs=(Output(f"https://cdn.example/{ODD}", authorized=True),),
        failure=Failure(ODD, code=ODD),
        occurred_at=AT,
    )
    store.receive(replace(a_record(event), delivery=odd, note=ODD))
    # A delivery that is gone, of an event and of a fingerprint that are not.
    store.receive(ago(a_record(an_event("job_old")), OLD))
    store.receive(ago(a_record(), OLD))
    store.receive(ago(a_record(an_event("job_0")), timedelta(0)))
    list(store.prune(Prunable.DELIVERIES, older_than=timedelta(days=60)))
    for record in (unreadable(b"\xff\x00"), a_hint(an_event("job_h")), incomplete(an_event("job_i")), a_record()):
        store.receive(ago(record, timedelta(0)))
    store.receive(a_record(an_event("job_0", Status.RUNNING)))
    [refusal, *others] = refusals(3)
    store.quarantine([replace(refusal, hint=ODD, delivery=odd), *others], max_count=10)


def fill_dispatches(store):
    store.route({event.id: [] for event in store.unrouted(MANY)})
    outcomes = [DONE, CANCEL, DEAD, replace(DONE, result={"n": 0.1, "s": "\0"}), RETRY_LATER]
    for number, outcome in enumerate(outcomes):
        dispatch(store, an_event(f"job_{number + 1}"))
        [claimed] = store.claim({HANDLER: 1}, lease=HOUR, worker=ODD, limits={HANDLER: PLENTY})
        store.finish(claimed, outcome, park_after=1)
        if number == 0:
            replay(store, claimed.event, replay_id="first")
            store.cancel_replay("first", limit=1)
    dispatch(store, an_event("job_r"), handlers=["other"])
    claim(store, handler="other", lease=LAPSED)
    dispatch(store, an_event("job_w"), handlers=["other"])
    store.receive(a_record(an_event("job_u")))


def fill_jobs(store):
    track(store, "job_p", "job_q")
    store.track(SOURCE, "job_m", kind="video", schedule=a_record().schedules["video"], metadata={"n": 2**70, "s": ODD})
    polled = PollResult(wait=HOUR, status=Status.RUNNING, raw_status=ODD, progress=100 / 3, step=ODD, reference=ODD)
    store.record_poll(the_job(store, "job_p"), polled)
    for number in range(3):
        intend(store, number=number)
    store.doubt(intend(store), ODD)
    store.remember_limits(SOURCE, Limits(count=10, remaining=3, resets_after=HOUR, pause=HOUR))


KINDS = [
    pytest.param("sqlite", "postgres", id="file-to-server"),
    pytest.param("postgres", "sqlite", id="server-to-file"),
    pytest.param("sqlite", "sqlite", id="file-to-file"),
    pytest.param("postgres", "postgres", id="server-to-server"),
]
every_way = pytest.mark.parametrize(("from_kind", "to_kind"), KINDS)
both_ways = pytest.mark.parametrize(("from_kind", "to_kind"), KINDS[:2])


# Everything arrives as it was


@every_way
def test_copies_every_row_as_it_is(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)

    copied(source, target)

    before, after = contents(source), contents(target)
    assert [name for name, rows in before.items() if not rows] == []
    assert after == before


@every_way
def test_people_see_the_same_in_the_copy(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)

    copied(source, target)

    assert seen(target) == seen(source)


@both_ways
def test_copies_an_empty_store(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target", empty=True)
    with opened(source, seal_keys=[]):
        pass

    assert copied(source, target) == {}


def test_text_that_sqlite_keeps_nowhere_arrives_with_a_question_mark(place):
    source, target = place("postgres"), place("sqlite", "target")
    with opened(source) as store:
        store.receive(a_record(an_event(raw_status="half \ud800", key="k")))

    copied(source, target)

    with opened(target) as store:
        assert store.event(1).raw_status == "half ?"
    assert copied(source, target) == {}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_table_is_forgotten(place, kind):
    url = place(kind)
    with opened(url):
        pass

    assert tables_in(url) - NOT_COPIED == set(NAMES)


def tables_in(url):
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return {name for [name] in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    with psycopg.connect(url) as connection:
        return {
            name
            for [name] in connection.execute(
                "SELECT relname::text FROM pg_class "
                "WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace"
            )
        }


def test_both_kinds_of_store_have_the_same_columns(place):
    columns = []
    for url in (place("sqlite"), place("postgres")):
        with opened(url):
            pass
        with contextlib.closing(open_tables(from_tables({"store": url}))) as tables:
            columns.append({name: set(table.columns) for name, table in tables.tables().items()})

    assert columns[0] == columns[1]


# The copy goes on where the store was


@both_ways
def test_a_copy_knows_what_the_store_knew(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    copied(source, target)

    with opened(target) as store:
        known = [a_record(an_event("job_1")), a_record(an_event("job_old")), unreadable(b"\xff\x00"), a_record()]
        assert [store.receive(record).repeated for record in known] == [True] * 4


@both_ways
def test_what_is_new_in_a_copy_gets_numbers_of_its_own(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    copied(source, target)

    with opened(target) as store:
        known = {row["id"] for row in all_events(store)}, {row["id"] for row in all_deliveries(store)}
        receipt = dispatch(store, an_event("job_new"))
        assert receipt.events[0].id not in known[0]
        assert receipt.delivery_id not in known[1]
        assert store.intend(SOURCE, kind="video")


@both_ways
def test_what_was_running_is_run_again_in_the_copy(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    copied(source, target)

    with opened(target) as store:
        assert store.sweep() == 1
        claims = [claim for _ in range(2) for claim in store.claim({"other": 2}, lease=HOUR, worker="new")]
    assert sorted(claimed.event.job_id for claimed in claims) == ["job_r", "job_w"]


# Again


@every_way
def test_copying_again_changes_nothing(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    copied(source, target)

    assert copied(source, target) == {}


@both_ways
def test_copying_again_brings_what_is_new_changed_or_gone(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    copied(source, target)
    with opened(source) as store:
        store.sweep()
        for claimed in claim(store, 2, handler="other"):
            store.finish(claimed, DONE)
        store.receive(a_record(an_event("job_1"), an_event("job_new")))
        store.record_poll(the_job(store, "job_q"), PollResult(wait=HOUR, progress=1.5))
        store.withdraw(all_intents(store)[1]["intent"])
        store.forget(the_job(store, "job_h"))
        list(store.prune(Prunable.DISPATCHES, older_than=timedelta(microseconds=1)))
        list(store.prune(Prunable.QUARANTINE, older_than=timedelta(microseconds=1)))

    again = copied(source, target)

    assert contents(target) == contents(source)
    assert {name for name, (_, removed) in again.items() if removed} >= {"jobs", "dispatches", "attempts", "quarantine"}


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.drill)])
@both_ways
def test_a_copy_that_was_killed_goes_on(place, from_kind, to_kind, kills):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    with opened(source) as store:
        for part in range(10):
            store.receive(a_record(*[an_event(f"job_{part}_{number}") for number in range(150)]))
    chance = random.Random(7)  # noqa: S311 - any will do

    for _ in range(kills):
        with child(COPY, source, target) as process:
            for _ in range(chance.randrange(1, 25)):
                said(process, "on")
            process.kill()
            process.wait()

    copied(source, target)
    assert contents(target) == contents(source)


@both_ways
def test_nobody_works_with_a_part_of_a_store(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    with child(COPY, source, target) as process:
        said(process, "on")
        process.kill()
        process.wait()

    with pytest.raises(StoreUnavailable, match="has not finished; run `receiver copy` again"), opened(target):
        pass
    copied(source, target)
    with opened(target) as store:
        assert store.job(SOURCE, "job_p") is not None


# What is refused


@both_ways
def test_a_target_that_holds_something_else_is_refused(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    with opened(target) as store:
        store.receive(a_record(an_event("job_other")))

    with pytest.raises(StoreUnavailable, match="the target already holds jobs, deliveries, events"):
        copied(source, target)
    with opened(target) as store:
        assert [row["job"] for row in all_events(store)] == ["job_other"]


@both_ways
def test_a_target_that_has_been_used_since_is_refused(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    fill(source)
    copied(source, target)
    with opened(target) as store:
        store.receive(a_record(an_event("job_other")))

    with pytest.raises(StoreUnavailable, match="has been used since"):
        copied(source, target)


@both_ways
def test_a_target_that_holds_a_copy_of_another_store_is_refused(place, from_kind, to_kind):
    source, other, target = place(from_kind, "source"), place(from_kind, "other", empty=True), place(to_kind, "target")
    fill(source)
    with opened(other):
        pass
    copied(source, target)

    with pytest.raises(StoreUnavailable, match="a copy of another store"):
        copied(other, target)


@pytest.mark.parametrize("used", ["source", "target"])
@both_ways
def test_a_store_that_somebody_uses_is_refused(place, from_kind, to_kind, used):
    urls = {"source": place(from_kind, "source"), "target": place(to_kind, "target")}
    fill(urls["source"])

    with child(KEEP_OPEN, urls[used], SEAL_KEY) as process:
        said(process, "open")

        with pytest.raises(StoreUnavailable, match="stop everything that uses it"):
            copied(urls["source"], urls["target"])


@both_ways
def test_nobody_writes_to_the_source_meanwhile(place, from_kind, to_kind):
    source = place(from_kind, "source")
    fill(source)
    config = from_tables({"store": source, "seal_keys": SEAL_KEY, "commit_timeout": "200ms"})

    with (
        contextlib.closing(open_tables(from_tables({"store": source}))),
        pytest.raises(StoreUnavailable),
        contextlib.closing(open_store(config)) as store,
    ):
        store.receive(a_record(an_event("job_meanwhile")))


@both_ways
def test_a_source_whose_dispatches_run_is_refused(place, from_kind, to_kind):
    source, target = place(from_kind, "source"), place(to_kind, "target")
    with opened(source) as store:
        dispatch(store, an_event())
        claim(store)

    with pytest.raises(StoreUnavailable, match="stop every worker, and try again after 20"):
        copied(source, target)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_source_that_is_not_there_is_refused_and_not_made(place, kind, tmp_path):
    with pytest.raises(ConfigError, match="there is no store at"):
        copied(place(kind, "source", empty=True), place("sqlite", "target"))

    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.parametrize("newer", ["source", "target"])
@both_ways
def test_a_store_of_a_newer_version_is_refused(place, from_kind, to_kind, newer):
    urls = {"source": place(from_kind, "source"), "target": place(to_kind, "target")}
    for url in urls.values():
        with opened(url):
            pass
    make_newer(urls[newer])

    with pytest.raises(StoreUnavailable, match=r"newer Receiver \(in_2030\)"):
        copied(urls["source"], urls["target"])


def make_newer(url):
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('receiver', 'in_2030', '')"
            )
    else:
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO receiver_migrations (name) VALUES ('in_2030')")


def test_two_copies_into_one_server_at_once_are_refused(place):
    target = place("postgres")
    config = from_tables({"store": target})

    with contextlib.closing(open_tables(config, target=True)), pytest.raises(StoreUnavailable, match="stop everything"):
        open_tables(config, target=True)


def test_a_password_is_not_shown(tmp_path):
    url = "postgresql://me:hush-hush@127.0.0.1:1/db"

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as raised:
        open_tables(from_tables({"store": url}, file=Path(tmp_path / "receiver.toml")))

    assert "hush" not in str(raised.value)
