"""What is private is sealed, on every store, and can be sealed anew."""

import contextlib
import json
import sqlite3
import zlib
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from receiver import clock
from receiver.config import from_tables
from receiver.errors import ConfigError, KeyMissing, Refused
from receiver.inbox import Source, accept
from receiver.models import Delivery, Failure, Output, Status
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import webhook_body
from receiver.store import copy, open_tables, resealing
from receiver.store.base import EventFilter, Prunable, Refusal
from receiver.store.copying import NAMES
from receiver.store.sealing import Seal
from tests.opened import opened
from tests.store.contract import (
    DUE,
    HOUR,
    MANY,
    SOURCE,
    a_delivery,
    a_record,
    all_deliveries,
    all_dispatches,
    all_events,
    all_intents,
    all_refusals,
    an_event,
    claim,
    dispatch,
    intend,
    refusals,
    track,
    unreadable,
)
from tests.trouble import child, said

KEY = b64encode(b"+" * 15 + b"\xff" * 17).decode()
OTHER_KEY = urlsafe_b64encode(b"\xff" * 32).decode()
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
CREATIVE = Source(SOURCE, CreativeAI(secrets=[SECRET]))
WORDS = [
    "a fox by the frozen lake",
    "cdn.creativeai.run",
    "timed out after 10 minutes",
    "agent-of-the-sender",
    "forged by somebody",
    "agent-of-the-forger",
    "not even JSON",
    "order of mrs smith",
    "order of mr jones",
    "answered over the API",
]

RESEAL = """
import sys
from pathlib import Path
from receiver.store.sealing import Seal
from tests.opened import opened

where, *keys = sys.argv[1:]
store = opened(where if "://" in where else Path(where), seal=Seal(keys))
for done in store.reseal():
    print(done.table, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def open_with(where):
    """Opens one more store on the same data, with these keys."""
    with contextlib.ExitStack() as stack:
        yield lambda *keys: stack.enter_context(contextlib.closing(opened(where, seal=Seal(keys))))


def post(store, body, agent, *, sign=True):
    """Take in a webhook, as the endpoint does."""
    headers = {"user-agent": agent}
    if sign:
        headers |= {name.lower(): value for name, value in CreativeAI.scheme.sign(body, SECRET, clock.now()).items()}
    delivery = Delivery(source=SOURCE, body=body, headers=headers, received_at=clock.now(), path="/webhooks/creative")
    try:
        accept(CREATIVE, delivery, store=store, now=clock.now())
    except Refused as refused:
        store.quarantine([Refusal(delivery=delivery, reason=refused.reason, hint=refused.hint)], max_count=MANY)


def fill(store):
    """Everything that may be private, in each place where it is kept."""
    told = json.loads(webhook_body("video", "vgen_1", status="completed")) | {"prompt": "a fox by the frozen lake"}
    post(store, json.dumps(told).encode(), "agent-of-the-sender")
    post(store, webhook_body("video", "vgen_2", status="failed"), "agent-of-the-sender")
    post(store, b"forged by somebody", "agent-of-the-forger", sign=False)
    post(store, b"not even JSON", "agent-of-the-sender")
    store.track(SOURCE, "vgen_3", kind="video", schedule=DUE, metadata={"note": "order of mrs smith"})
    intend(store, note="order of mr jones")
    store.begin_request("me", "once", fingerprint="f", keep=HOUR)
    store.keep_answer("me", "once", status=200, body='"answered over the API"')


def read(store):
    """All that people and handlers can see."""
    kept = store.begin_request("me", "once", fingerprint="f", keep=HOUR)
    events = [store.event(row["id"]) for row in all_events(store)]
    jobs = store.list_jobs(limit=MANY).rows
    return [events, all_events(store), all_deliveries(store), all_refusals(store), jobs, all_intents(store), kept]


def kept(where):
    """All that is in the tables, and for a file, in the file; what is only packed is unpacked."""
    values = []
    with connected(where) as db:
        for name in NAMES:
            values += [value for row in db.execute(f"SELECT * FROM {name}") for value in row]  # noqa: S608
    if isinstance(where, Path):
        values += [file.read_bytes() for file in (where, Path(f"{where}-wal")) if file.exists()]
    return b"\n".join(legible(value) for value in values)


@contextlib.contextmanager
def connected(where):
    """A connection of somebody else's."""
    if isinstance(where, Path):
        connection = sqlite3.connect(where)
    else:
        # The tests' server writes times as psycopg does not read them.
        connection = psycopg.connect(where, options="-c datestyle=ISO -c timezone=UTC")
    with contextlib.closing(connection) as db:
        yield db


def legible(value):
    if not isinstance(value, bytes):
        return str(value).encode()
    with contextlib.suppress(zlib.error):
        return zlib.decompress(value)
    return value


# What is kept


def test_without_keys_everything_is_in_clear(where):
    with contextlib.closing(opened(where)) as store:
        fill(store)

    assert [word for word in WORDS if word.encode() not in kept(where)] == []


def test_with_a_key_nothing_private_is_in_clear(where):
    with contextlib.closing(opened(where, seal=Seal([KEY]))) as store:
        fill(store)

    assert [word for word in WORDS if word.encode() in kept(where)] == []


def test_who_has_the_key_sees_what_there_would_be_in_clear(open_with):
    store = open_with(KEY)
    fill(store)

    [events, _, deliveries, [refused], *_, answer] = read(store)

    assert [event.failure.message if event.failure else event.outputs[0].url for event in events] == [
        "Generation timed out after 10 minutes",
        "https://cdn.creativeai.run/output/vgen_1.mp4",
    ]
    assert [row["headers"]["user-agent"] for row in deliveries] == ["agent-of-the-sender"] * 3
    assert (refused["body"], refused["headers"]["user-agent"]) == (b"forged by somebody", "agent-of-the-forger")
    assert store.job(SOURCE, "vgen_3").metadata == {"note": "order of mrs smith"}
    assert answer.body == '"answered over the API"'


def test_ids_statuses_and_times_stay_in_clear(where):
    with contextlib.closing(opened(where, seal=Seal([KEY]))) as store:
        fill(store)

    assert all(word in kept(where) for word in [b"vgen_1:succeeded", b"video.generation.failed", b"signature"])


def test_the_same_is_never_sealed_alike(open_with, where):
    store = open_with(KEY)

    store.receive(a_record(an_event("job_1", data={"same": 1}), an_event("job_2", data={"same": 1})))

    assert len(set(column(where, "events", "data"))) == 2


def column(where, table, name):
    with connected(where) as db:
        return [value for [value] in db.execute(f"SELECT {name} FROM {table}")]  # noqa: S608


def test_a_body_that_looks_like_something_sealed_is_kept_as_it_came(open_with):
    body = bytes.fromhex("80000000") + b"gAAAAA"
    plain = open_with()

    plain.receive(unreadable(body))
    plain.receive(a_record(an_event(data="gAAAAA", outputs=(Output("gAAAAA"),), failure=Failure("gAAAAA", code=None))))

    store = open_with(KEY)
    assert body in [row["body"] for row in all_deliveries(store)]
    assert store.event_row(1)["data"] == "gAAAAA"


def test_what_is_emptied_stays_empty(open_with, let_pass):
    store = open_with(KEY)
    event = dispatch(store, an_event(data={"secret": 1}), handlers=()).events[0]
    let_pass(timedelta(days=9))

    pruned = sum(store.prune(Prunable.EVENTS, older_than=timedelta(days=1)))

    assert (pruned, store.event(event.id).data, sum(done.written for done in store.reseal())) == (1, {}, 0)


def test_text_is_looked_for_in_what_is_in_clear(open_with):
    store = open_with(KEY)
    store.receive(a_record(an_event("job_1", data={"prompt": "a fox"}), an_event("job_2")))

    found = [
        [row["job"] for row in store.list_events(EventFilter(text=text), limit=MANY).rows]
        for text in ("job_1", "video", "fox", "gAAAA")
    ]

    assert found == [["job_1"], ["job_2", "job_1"], [], []]


def test_a_copy_is_sealed_as_the_store_was(where, tmp_path):
    with contextlib.closing(opened(where, seal=Seal([KEY]))) as store:
        fill(store)
        known = read(store)
    target = tmp_path / "copy.db"

    url = where if isinstance(where, str) else f"sqlite:///{where}"
    places = [from_tables({"store": place}) for place in (url, f"sqlite:///{target}")]
    with (
        contextlib.closing(open_tables(places[0])) as ours,
        contextlib.closing(open_tables(places[1], target=True)) as theirs,
    ):
        copy(ours, theirs, told=lambda *_: None)

    with contextlib.closing(opened(target, seal=Seal([KEY]))) as copied:
        assert read(copied) == known


# Keys


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", "x" * 44, "é" * 43 + "="])
def test_what_is_no_key_is_refused_without_quoting_it(key):
    with pytest.raises(ConfigError, match=r"seal_keys: .*openssl rand -base64 32") as refused:
        from_tables({"seal_keys": [key]})

    assert key == "" or key not in str(refused.value)


def test_keys_do_not_show():
    config = from_tables({"seal_keys": [KEY]})

    assert KEY not in repr(config)
    assert KEY not in repr(vars(Seal([KEY])))


def test_what_an_older_key_sealed_is_read_while_it_is_there(open_with):
    fill(old := open_with(OTHER_KEY))

    assert read(open_with(KEY, OTHER_KEY)) == read(old)


def test_without_the_key_reading_says_which_setting_to_look_at(open_with):
    [event] = open_with(KEY).receive(a_record(an_event())).events
    store = open_with(OTHER_KEY)

    with pytest.raises(KeyMissing, match="seal_keys"):
        store.event(event.id)
    with pytest.raises(KeyMissing, match="seal_keys"):
        store.require_keys()


def test_without_the_key_no_attempt_is_spent(open_with):
    dispatch(open_with(KEY), an_event())
    store = open_with(OTHER_KEY)

    with pytest.raises(KeyMissing):
        claim(store)

    [row] = all_dispatches(store)
    assert (row["state"], row["attempt_count"]) == ("pending", 0)
    assert [claimed.event.job_id for claimed in claim(open_with(KEY))] == ["job_1"]


def test_without_the_key_new_deliveries_are_taken_in(open_with):
    before = open_with(KEY)
    fill(before)
    intent = intend(before, note="order of mr jones")
    before.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"note": "order of mrs smith"})
    store = open_with(OTHER_KEY)

    post(store, webhook_body("video", "vgen_1", status="completed"), "agent-of-the-sender")
    post(store, webhook_body("video", "vgen_3", status="completed"), "agent-of-the-sender")
    post(store, b"forged by somebody", "agent-of-the-forger", sign=False)
    receipt = store.receive(a_record(an_event(), intent=intent))

    everything = open_with(KEY, OTHER_KEY)
    assert [event.job_id for event in receipt.events] == ["job_1"]
    assert store.job(SOURCE, "vgen_1").status is Status.SUCCEEDED
    assert everything.job(SOURCE, "vgen_3").status is Status.SUCCEEDED
    assert everything.job(SOURCE, "job_1").metadata == {"note": "order of mrs smith"}
    assert everything.intent(intent.id).metadata == {"note": "order of mr jones"}


def test_metadata_of_an_intent_reaches_its_job_without_the_key(open_with):
    intent = intend(open_with(KEY), note="order of mr jones")

    open_with(OTHER_KEY).receive(a_record(an_event(), intent=intent))

    assert open_with(KEY, OTHER_KEY).job(SOURCE, "job_1").metadata == {"note": "order of mr jones"}


def test_a_process_that_began_without_keys_says_what_it_lacks(open_with):
    early = open_with()
    [event] = open_with(KEY).receive(a_record(an_event())).events

    with pytest.raises(KeyMissing, match="seal_keys"):
        early.event(event.id)


def test_a_sealed_store_is_not_opened_without_keys(open_with):
    open_with(KEY)

    with pytest.raises(ConfigError, match=r"seal_keys: is empty, and the store is sealed"):
        open_with()


def test_a_value_that_was_tampered_with_is_not_opened(open_with, where):
    [event] = open_with(KEY).receive(a_record(an_event())).events
    swap(where, "UPDATE events SET data = substr(data, 1, 60) || 'AAAA' || substr(data, 65)")

    with pytest.raises(KeyMissing):
        open_with(KEY).event(event.id)


def swap(where, statement):
    with connected(where) as db:
        db.execute(statement)
        db.commit()


# Sealing anew


def test_what_was_in_clear_is_sealed(open_with, where):
    fill(plain := open_with())
    known = read(plain)
    store = open_with(KEY)

    written = {done.table: done.written for done in store.reseal()}

    assert written == {"deliveries": 3, "quarantine": 1, "events": 2, "jobs": 1, "intents": 1, "answers": 1}
    assert read(store) == known
    assert all("gAAAA" in text for text in column(where, "events", "data"))


def test_after_a_rotation_the_old_key_is_not_needed(open_with):
    fill(open_with(OTHER_KEY))
    both = open_with(KEY, OTHER_KEY)

    for _ in range(2):
        list(both.reseal())

    store = open_with(KEY)
    store.require_keys()
    assert read(store) == read(both)


def test_sealing_anew_twice_writes_once(open_with):
    fill(open_with(OTHER_KEY))
    store = open_with(KEY, OTHER_KEY)
    list(store.reseal())

    assert [done.written for done in store.reseal()] == [0] * 6


def test_sealing_anew_goes_on_where_it_was_killed(open_with, where):
    fill(open_with(OTHER_KEY))
    with child(RESEAL, where, KEY, OTHER_KEY) as process:
        said(process, "deliveries")
        process.kill()
        process.wait()
    store = open_with(KEY, OTHER_KEY)
    known = read(store)

    done = list(store.reseal())

    assert sum(part.written for part in done) >= 5
    assert done[0].written == 0
    assert read(open_with(KEY)) == known


def test_a_key_is_required_until_nothing_is_left_of_it(open_with, where):
    fill(open_with(OTHER_KEY))
    interrupted = open_with(KEY, OTHER_KEY).reseal()

    next(interrupted)
    interrupted.close()

    with pytest.raises(KeyMissing):
        open_with(KEY).require_keys()


def test_a_key_is_required_while_somebody_still_seals_with_it(open_with):
    fill(old := open_with(OTHER_KEY))
    parts = open_with(KEY, OTHER_KEY).reseal()
    next(parts)

    post(old, webhook_body("video", "vgen_9", status="completed"), "agent-of-the-sender")
    list(parts)

    with pytest.raises(KeyMissing):
        open_with(KEY).require_keys()


def test_what_is_changed_meanwhile_is_sealed_anew_as_well(open_with, where, monkeypatch):
    fill(open_with(OTHER_KEY))
    again = Seal([OTHER_KEY]).sealed('{"changed": true}')
    renewed = resealing._renewed

    def changed_meanwhile(seal, row, *, unseal):
        if "data" in row and again not in column(where, "events", "data"):
            swap(where, f"UPDATE events SET data = '{again}'")  # noqa: S608
        return renewed(seal, row, unseal=unseal)

    monkeypatch.setattr("receiver.store.resealing._renewed", changed_meanwhile)

    list(open_with(KEY, OTHER_KEY).reseal())

    assert [event["data"] for event in all_events(open_with(KEY))] == [{"changed": True}] * 2


def test_what_no_key_opens_is_left_as_it_is(open_with):
    fill(open_with(OTHER_KEY))
    known = read(open_with(OTHER_KEY))

    done = list(open_with(KEY).reseal())

    assert [part.unopened for part in done] == [3, 1, 2, 1, 1, 1]
    assert read(open_with(OTHER_KEY)) == known
    with pytest.raises(KeyMissing):
        open_with(KEY).require_keys()


def test_many_rows_are_sealed_anew_a_few_at_a_time(open_with):
    plain = open_with()
    plain.quarantine(refusals(250), max_count=250)
    store = open_with(KEY)

    assert [done.written for done in store.reseal()] == [100, 100, 50]
    assert [store.refusal(number + 1)["body"] for number in range(250)] == [b"%d" % number for number in range(250)]


@pytest.mark.parametrize("table", ["deliveries", "quarantine", "events"])
def test_the_larger_the_rows_the_fewer_are_sealed_anew_at_once(open_with, monkeypatch, table):
    monkeypatch.setattr("receiver.store.resealing._BYTES_AT_ONCE", 100)
    plain = open_with()
    for number in range(5):
        body = f"{number:060}".encode()
        plain.receive(unreadable(body))
        plain.quarantine([replace(refusals(1)[0], delivery=a_delivery(body))], max_count=MANY)
    plain.receive(a_record(*(an_event(f"job_{number}", data={"text": "x" * 60}) for number in range(5))))

    written = [done.written for done in open_with(KEY).reseal() if done.table == table]

    assert written[:2] == [2, 2]
    assert sum(written) == sum(done.looked_at for done in plain.reseal() if done.table == table)


def test_every_answer_is_sealed_anew_whatever_its_token_is_called(open_with, where, monkeypatch):
    monkeypatch.setattr("receiver.store.resealing._AT_ONCE", 1)
    plain = open_with()
    for token, key in [("ann", "b c"), ("ann b", "c"), ("", "once")]:
        plain.begin_request(token, key, fingerprint="f", keep=HOUR)
        plain.keep_answer(token, key, status=200, body=f'"to {token}"')

    list(open_with(KEY).reseal())

    assert [text[:5] for text in column(where, "answers", "body")] == ["gAAAA"] * 3


def test_what_is_emptied_meanwhile_does_not_come_back(open_with, where):
    fill(open_with())
    store = open_with(KEY)
    track(store, "vgen_4")
    parts = store.reseal()
    next(parts)

    swap(where, "UPDATE events SET data = '{}', outputs = '[]', failure = NULL")
    list(parts)

    assert [event["data"] for event in all_events(store)] == [{}, {}]


def test_everything_is_opened_again(open_with, where):
    fill(store := open_with(KEY))
    known = read(store)

    for _ in range(2):
        list(store.reseal(unseal=True))

    assert read(open_with()) == known
    assert [word for word in WORDS if word.encode() not in kept(where)] == []


def test_credits_are_counted_in_a_sealed_store(open_with):
    store = open_with(KEY)
    store.receive(a_record(an_event(data={"credits": 30}, status=Status.SUCCEEDED)))

    [spent] = store.spending(since=clock.now() - HOUR)

    assert spent.credits == 30
