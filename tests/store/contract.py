"""What every store promises, as tests to inherit: give an `open_store` fixture."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.clock import from_text, to_text
from receiver.models import (
    Budget,
    Claim,
    Created,
    Delivery,
    Event,
    Failure,
    Hold,
    Intent,
    Job,
    Limits,
    Listed,
    Origin,
    Output,
    Schedule,
    Standing,
    State,
    Status,
    Trust,
    Via,
)
from receiver.outcomes import Decision, Outcome
from receiver.providers.base import event_key
from receiver.store.base import (
    DeliveryFilter,
    DispatchFilter,
    EventFilter,
    JobFilter,
    Page,
    PollResult,
    Receipt,
    Record,
    Refusal,
    RefusalFilter,
    Row,
    Selection,
    Store,
    Verdict,
)
from receiver.store.rules import first_line
from tests.watch import eventually

SOURCE = "creative"
HANDLER = "archive"
AT = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
HALF_A_DAY = timedelta(hours=12)
LAPSED = timedelta(seconds=-1)
DUE = Schedule(first=timedelta(0), every={timedelta(0): timedelta(seconds=10)}, deadline=HOUR)
NOT_DUE = replace(DUE, first=HOUR)
PLENTY = Budget(1000, per=HOUR)
MANY = 100

DONE = Outcome(decision=Decision.DONE)
DEAD = Outcome(decision=Decision.DEAD, error="no such bucket")
CANCEL = Outcome(decision=Decision.CANCEL, error="not for us")
RETRY = Outcome(decision=Decision.RETRY, error="no answer")
RETRY_LATER = replace(RETRY, wait=HOUR)
SNOOZE = Outcome(decision=Decision.SNOOZE)
FAILED = replace(RETRY_LATER, failed=True)


def an_event(job_id: str | None = "job_1", status: Status | None = Status.SUCCEEDED, **changes: Any) -> Event:
    """One fact; its key is made as adapters make it."""
    word = changes.get("raw_status", status)
    fields: dict[str, Any] = {
        "source": SOURCE,
        "key": event_key(str(job_id), status, word),
        "type": f"video.generation.{word}",
        "data": {"id": job_id},
        "job_id": job_id,
        "kind": "video" if job_id else None,
        "status": status,
        "raw_status": word,
    }
    return Event(**(fields | changes))


def a_delivery(body: bytes = b"{}", *, source: str = SOURCE, via: Via = Via.WEBHOOK) -> Delivery:
    return Delivery(source=source, body=body, received_at=AT, headers={"x-id": "1"}, path="/webhooks/x", via=via)


def a_record(
    *events: Event, via: Via = Via.WEBHOOK, schedule: Schedule = NOT_DUE, intent: Intent | None = None
) -> Record:
    """A delivery that proved to be genuine; to the callback URL of an intent, if one is given."""
    source = events[0].source if events else SOURCE
    return Record(
        delivery=a_delivery(source=source, via=via),
        trust=Trust.CONFIRMED if via is Via.POLL else Trust.SIGNED,
        verdict=Verdict.RECORDED,
        events=events,
        schedules=dict.fromkeys(["video", "image", "batch"], schedule),
        intent=intent and intent.id,
    )


def a_hint(*events: Event, body: bytes | None = None, intent: Intent | None = None) -> Record:
    """A delivery that nobody signed."""
    source = events[0].source if events else SOURCE
    return Record(
        delivery=a_delivery(body or "".join(event.key for event in events).encode(), source=source),
        trust=Trust.HINT,
        verdict=Verdict.HINT,
        events=events,
        schedules={"video": DUE},
        intent=intent and intent.id,
    )


def incomplete(*events: Event) -> Record:
    """A genuine delivery without the result."""
    return replace(a_hint(*events), trust=Trust.SIGNED, verdict=Verdict.INCOMPLETE)


def pages_of_one(listed: Callable[..., Page], wanted: object) -> list[Page]:
    """All pages of a list, with one row on each at most."""
    pages = [listed(wanted, limit=1)]
    while (following := pages[-1].next) is not None:
        pages.append(listed(wanted, limit=1, before=following))
    return pages


def unreadable(body: bytes = b"<html>") -> Record:
    """A genuine delivery that nobody understands."""
    return Record(
        delivery=a_delivery(body), trust=Trust.SIGNED, verdict=Verdict.UNREADABLE, note="the body is not JSON"
    )


def may_fetch(store: Store, source: str = SOURCE) -> bool:
    return store.claim_keys(source, every=HALF_A_DAY, pause=MINUTE)


def refusals(count: int, *, source: str = SOURCE) -> list[Refusal]:
    return [
        Refusal(
            delivery=a_delivery(str(number).encode(), source=source), reason="signature_mismatch", hint="no secret fits"
        )
        for number in range(count)
    ]


def dispatch(store: Store, *events: Event, handlers: Sequence[str] = (HANDLER,)) -> Receipt:
    """Receive events, each in a delivery of its own, and route them."""
    for event in events:
        receipt = store.receive(a_record(event))
        store.route({stored.id: handlers for stored in receipt.events if stored.id is not None})
    return receipt


def claim(store: Store, free: int = 1, *, handler: str = HANDLER, lease: timedelta = HOUR) -> list[Claim]:
    return store.claim({handler: free}, lease=lease, worker="worker-1")


def replay(store: Store, event: Event, *handlers: str, replay_id: str = "first", **when: timedelta) -> list[int]:
    """Replay one event, for one handler if none is named."""
    assert event.id is not None
    return store.replay({event.id: handlers or (HANDLER,)}, replay_id=replay_id, **when)


def dead(store: Store, event: Event, *, error: str | None = "no such bucket", handler: str = HANDLER) -> int:
    """A dead letter's id."""
    dispatch(store, event, handlers=[handler])
    [claimed] = claim(store, handler=handler)
    store.finish(claimed, replace(DEAD, error=error))
    return claimed.id


def claimed_jobs(claims: Iterable[Claim]) -> list[str | None]:
    return [claim.event.job_id for claim in claims]


def the_dispatch(store: Store) -> Row:
    [row] = all_dispatches(store)
    return row


def all_dispatches(store: Store) -> list[Row]:
    return store.list_dispatches(limit=MANY).rows


def the_job(store: Store, job_id: str = "job_1") -> Any:
    job = store.job(SOURCE, job_id)
    assert job is not None
    return job


def all_deliveries(store: Store) -> list[Row]:
    """Whole, newest first."""
    return [store.delivery(row["id"]) for row in store.list_deliveries(limit=MANY).rows]  # type: ignore[misc]


def all_events(store: Store) -> list[Row]:
    """Whole, newest first."""
    return [store.event_row(row["id"]) for row in store.list_events(limit=MANY).rows]  # type: ignore[misc]


def all_refusals(store: Store) -> list[Row]:
    """Whole, newest first."""
    return [store.refusal(row["id"]) for row in store.list_refusals(limit=MANY).rows]  # type: ignore[misc]


def track(store: Store, *job_ids: str, schedule: Schedule = DUE) -> None:
    for job_id in job_ids:
        store.track(SOURCE, job_id, kind="video", schedule=schedule)


def intend(store: Store, *, source: str = SOURCE, kind: str = "video", **metadata: Any) -> Intent:
    return store.intend(source, kind=kind, metadata=metadata)


def settle(store: Store, intent: Intent, *created: Created, schedule: Schedule = DUE) -> list[Job]:
    """Settle an intent with these jobs, or with one video."""
    jobs = created or (Created(job_id="job_1", kind="video"),)
    return store.settle(intent, jobs, schedules={"video": schedule, "batch": schedule})


def all_intents(store: Store) -> list[Row]:
    return store.list_intents(source=None, limit=MANY)


def claim_polls(
    store: Store, *, budget: Budget = PLENTY, learn: bool = True, limit: int = MANY, lease: timedelta = HOUR
) -> list[str]:
    jobs = store.claim_polls(SOURCE, budget=budget, learn=learn, limit=limit, lease=lease)
    return [job.job_id for job in jobs]


def poll_open(store: Store, *, wait: timedelta) -> None:
    """Ask about the one job that is due, and hear that it goes on."""
    [job_id] = claim_polls(store)
    store.record_poll(the_job(store, job_id), PollResult(wait=wait, status=Status.RUNNING, open=True))


def poll_ended(store: Store, **told: Any) -> None:
    """Ask about the one job that is due, and hear that it has succeeded."""
    [job_id] = claim_polls(store)
    store.receive(a_record(an_event(job_id, **told), via=Via.POLL))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return, each made in a thread of its own, all let go together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


class StoreContract:
    """Inherit it in a class whose name begins with `Test`, with an `open_store` fixture.

    `open_store(**settings)` opens one more store on the same data, which is new for each test. A fixture
    `let_pass(time)` makes everything so much older.
    """

    @pytest.fixture
    def store(self, open_store):
        return open_store()

    # A delivery comes in

    def test_receives_what_is_new(self, store):
        receipt = store.receive(a_record(an_event()))

        assert not receipt.repeated
        assert [event.key for event in receipt.events] == ["job_1:succeeded"]

    def test_an_event_keeps_the_step_of_the_trace_that_recorded_it(self, store, open_store):
        step = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

        [event] = store.receive(a_record(an_event(traceparent=step))).events

        assert open_store().event(event.id).traceparent == step

    def test_what_was_received_is_there_for_others(self, store, open_store):
        receipt = store.receive(a_record(an_event()))

        [event] = receipt.events
        assert open_store().event(event.id) == event

    def test_knows_what_it_received_before(self, store):
        first = store.receive(a_record(an_event()))

        second = store.receive(a_record(an_event()))

        assert second == Receipt(delivery_id=first.delivery_id, repeated=True)

    def test_counts_a_repetition_on_the_first_delivery(self, store):
        for _ in range(3):
            store.receive(a_record(an_event()))

        [row] = all_deliveries(store)
        assert row["seen_count"] == 3

    def test_stores_only_what_is_new_of_a_batch(self, store):
        store.receive(a_record(an_event("job_1")))

        receipt = store.receive(a_record(an_event("job_1"), an_event("job_2"), an_event("job_3")))

        assert not receipt.repeated
        assert [event.job_id for event in receipt.events] == ["job_2", "job_3"]

    def test_knows_a_batch_of_which_every_event_is_known(self, store):
        store.receive(a_record(an_event("job_1")))
        store.receive(a_record(an_event("job_2")))

        assert store.receive(a_record(an_event("job_1"), an_event("job_2"))).repeated

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param(Via.WEBHOOK, Via.POLL, id="poll-after-webhook"),
            pytest.param(Via.POLL, Via.WEBHOOK, id="webhook-after-poll"),
        ],
    )
    def test_webhook_and_poll_of_one_fact_are_one_event(self, store, first, second):
        store.receive(a_record(an_event(), via=first))
        store.receive(a_record(an_event(), via=second))

        [row] = all_events(store)
        assert row["via"] == first
        assert row["webhook_at"] is not None
        assert row["poll_at"] is not None

    @pytest.mark.parametrize(
        ("via", "told", "not_told"),
        [
            pytest.param(Via.WEBHOOK, "webhook_at", "poll_at", id="webhook"),
            pytest.param(Via.POLL, "poll_at", "webhook_at", id="poll"),
        ],
    )
    def test_remembers_who_told_it(self, store, via, told, not_told):
        for _ in range(2):
            store.receive(a_record(an_event(), via=via))

        [row] = all_events(store)
        assert row[told] is not None
        assert row[not_told] is None

    def test_the_same_key_of_another_source_is_another_event(self, store):
        store.receive(a_record(an_event()))

        assert not store.receive(a_record(an_event(source="other"))).repeated

    def test_keeps_the_delivery_whole(self, store):
        delivery = a_delivery(b'\xff\x00{"id": ')
        store.receive(replace(a_record(an_event()), delivery=delivery, note="odd"))

        [row] = all_deliveries(store)
        kept = row["source"], row["body"], row["headers"], row["path"], row["note"]
        assert kept == (SOURCE, delivery.body, dict(delivery.headers), delivery.path, "odd")

    def test_keeps_the_event_whole(self, store):
        event = an_event(
            data={"prompt": "夜明け \ud800 \0", "list": [1.5, None, True, {"a": 10**30}]},
            outputs=(
                Output("https://cdn.example/a.mp4?x=%20"),
                Output("https://api.example/b/content", authorized=True),
            ),
            failure=Failure("too long", code="timeout"),
            occurred_at=AT,
        )
        [stored] = store.receive(a_record(event)).events

        kept = store.event(stored.id)
        assert kept == replace(event, id=stored.id, trust=Trust.SIGNED, recorded_at=kept.recorded_at)

    def test_gives_no_event_that_it_does_not_have(self, store):
        assert store.event(1) is None

    def test_keeps_a_delivery_without_events(self, store):
        store.receive(a_record())

        assert store.receive(a_record()).repeated
        assert [row["seen_count"] for row in all_deliveries(store)] == [2]

    def test_threads_that_bring_the_same_make_one_event(self, store):
        receipts = at_once(*[lambda: store.receive(a_record(an_event()))] * 8)

        assert [receipt.repeated for receipt in receipts].count(False) == 1
        assert len(all_events(store)) == 1

    def test_stores_that_bring_the_same_make_one_event(self, store, open_store):
        stores = [store, open_store()]
        records = [a_record(an_event(f"vgen_{number}")) for number in range(50)]

        rounds = [
            at_once(*[lambda store=store, record=record: store.receive(record) for store in stores])
            for record in records
        ]

        assert {receipt.repeated for receipts in rounds for receipt in receipts} == {False, True}
        assert all(sum(receipt.repeated for receipt in receipts) == 1 for receipts in rounds)

    # What an event means for its job

    STANDINGS = (
        pytest.param(Status.QUEUED, Status.RUNNING, Standing.CURRENT, Status.RUNNING, id="progress"),
        pytest.param(Status.RUNNING, Status.SUCCEEDED, Standing.CURRENT, Status.SUCCEEDED, id="end"),
        pytest.param(Status.RUNNING, Status.EXPIRED, Standing.CURRENT, Status.EXPIRED, id="deadline"),
        pytest.param(Status.SUCCEEDED, Status.RUNNING, Standing.STALE, Status.SUCCEEDED, id="late-progress"),
        pytest.param(Status.SUCCEEDED, Status.EXPIRED, Standing.STALE, Status.SUCCEEDED, id="late-deadline"),
        pytest.param(Status.SUCCEEDED, Status.FAILED, Standing.CONFLICT, Status.SUCCEEDED, id="another-end"),
        pytest.param(Status.FAILED, Status.CANCELLED, Standing.CONFLICT, Status.FAILED, id="cancelled-after-failed"),
        pytest.param(
            Status.FAILED, Status.SUCCEEDED, Standing.CORRECTION, Status.SUCCEEDED, id="failed-then-succeeded"
        ),
        pytest.param(Status.EXPIRED, Status.SUCCEEDED, Standing.CORRECTION, Status.SUCCEEDED, id="succeeded-after-all"),
        pytest.param(Status.LOST, Status.FAILED, Standing.CORRECTION, Status.FAILED, id="failed-after-all"),
    )

    @pytest.mark.parametrize(("known", "told", "standing", "status"), STANDINGS)
    def test_says_how_an_event_stands_to_its_job(self, store, known, told, standing, status):
        store.receive(a_record(an_event(status=known)))

        [event] = store.receive(a_record(an_event(status=told))).events

        assert event.standing is standing

    @pytest.mark.parametrize(("known", "told", "standing", "status"), STANDINGS)
    def test_moves_the_job_by_the_rules(self, store, known, told, standing, status):
        store.receive(a_record(an_event(status=known)))

        store.receive(a_record(an_event(status=told)))

        job = the_job(store)
        assert job.status is status
        assert (job.finished_at is None) == (job.next_poll_at is not None) == (not status.terminal)

    @pytest.mark.parametrize(("known", "told", "standing", "status"), STANDINGS)
    def test_routes_what_is_current_or_corrects(self, store, known, told, standing, status):
        store.receive(a_record(an_event(status=known)))

        store.receive(a_record(an_event(status=told)))

        unrouted = [event.status for event in store.unrouted(MANY)]
        assert unrouted == ([known, told] if standing.dispatched else [known])

    def test_an_event_makes_its_job_known(self, store):
        store.receive(a_record(an_event(status=Status.RUNNING), schedule=NOT_DUE))

        job = the_job(store)
        assert (job.kind, job.status, job.raw_status) == ("video", Status.RUNNING, "running")
        assert job.deadline_at - job.created_at == HOUR

    def test_two_events_of_one_job_in_one_delivery_follow_each_other(self, store):
        events = store.receive(a_record(an_event(status=Status.FAILED), an_event(status=Status.SUCCEEDED))).events

        assert [event.standing for event in events] == [Standing.CURRENT, Standing.CORRECTION]

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.LOST])
    def test_an_end_told_again_closes_a_job_that_was_opened_again(self, store, status):
        store.receive(a_record(an_event(status=status)))
        track(store, "job_1")

        receipt = store.receive(a_record(an_event(status=status)))

        job = the_job(store)
        assert receipt.repeated
        assert (job.status, job.next_poll_at, job.finished_at is None) == (status, None, False)

    def test_an_end_told_again_beside_news_closes_its_job_too(self, store):
        store.receive(a_record(an_event(status=Status.LOST)))
        track(store, "job_1")

        store.receive(a_record(an_event(status=Status.LOST), an_event("job_2")))

        assert the_job(store).status is Status.LOST

    def test_progress_told_again_closes_nothing(self, store):
        for _ in range(2):
            store.receive(a_record(an_event(status=Status.RUNNING)))

        assert the_job(store).next_poll_at is not None

    def test_an_end_told_again_does_not_undo_a_correction(self, store):
        for status in (Status.FAILED, Status.SUCCEEDED, Status.FAILED):
            store.receive(a_record(an_event(status=status)))

        assert the_job(store).status is Status.SUCCEEDED

    def test_a_notice_has_no_job(self, store):
        store.receive(a_record(an_event(None, None, key="credits-low", type="credits.low", raw_status=None)))

        assert store.list_jobs(limit=MANY).rows == []

    # Words that nobody knows

    def test_an_unknown_status_leaves_the_job_open(self, store):
        store.receive(a_record(an_event(status=None, raw_status="paused")))

        job = the_job(store)
        assert (job.status, job.raw_status) == (Status.QUEUED, "paused")
        assert job.next_poll_at is not None

    def test_tells_of_an_unknown_status(self, store):
        receipt = store.receive(a_record(an_event(status=None, raw_status="paused")))

        assert receipt.unknown_statuses == receipt.events

    def test_tells_of_an_unknown_status_once_for_a_job(self, store):
        store.receive(a_record(an_event(status=None, raw_status="paused")))

        receipt = store.receive(a_record(an_event(status=None, raw_status="paused", key="job_1:again")))

        assert receipt.unknown_statuses == ()

    def test_tells_of_an_unknown_status_in_a_poll_once(self, store):
        track(store, "job_1")
        result = PollResult(wait=HOUR, raw_status="paused")

        assert [store.record_poll(the_job(store), result) for _ in range(3)] == [True, False, False]

    def test_tells_of_an_unknown_status_once_whoever_says_it(self, store):
        store.receive(a_record(an_event(status=None, raw_status="paused")))

        assert not store.record_poll(the_job(store), PollResult(wait=HOUR, raw_status="paused"))

    def test_tells_nothing_of_a_status_that_is_known(self, store):
        receipt = store.receive(a_record(an_event(status=Status.RUNNING)))

        assert receipt.unknown_statuses == ()

    # Bodies that nobody understands

    def test_keeps_what_cannot_be_read(self, store):
        store.receive(unreadable(b"<html>"))

        [row] = all_deliveries(store)
        assert (row["verdict"], row["body"], row["note"]) == ("unreadable", b"<html>", "the body is not JSON")

    def test_counts_what_cannot_be_read(self, store):
        assert not store.receive(unreadable()).repeated
        assert store.receive(unreadable()).repeated
        assert [row["seen_count"] for row in all_deliveries(store)] == [2]

    def test_tells_unreadable_bodies_apart(self, store):
        store.receive(unreadable(b"<html>"))

        assert not store.receive(unreadable(b"<xml>")).repeated

    # Hints

    def test_a_hint_is_kept(self, store):
        store.receive(a_hint(an_event()))

        assert [row["verdict"] for row in all_deliveries(store)] == ["hint"]

    def test_a_hint_is_no_event(self, store):
        assert store.receive(a_hint(an_event())).events == ()
        assert all_events(store) == []

    def test_a_hint_does_not_say_how_a_job_is(self, store):
        store.receive(a_hint(an_event(status=Status.SUCCEEDED)))

        assert the_job(store).status is Status.QUEUED

    def test_a_hint_makes_an_unknown_job_due(self, store):
        store.receive(a_hint(an_event()))

        assert claim_polls(store) == ["job_1"]

    def test_a_hint_makes_a_known_job_due(self, store):
        track(store, "job_1", schedule=NOT_DUE)

        store.receive(a_hint(an_event()))

        assert claim_polls(store) == ["job_1"]

    def test_hints_do_not_make_a_job_due_that_was_just_polled(self, store):
        store.receive(a_hint(an_event()))
        claim_polls(store)

        for number in range(5):
            store.receive(a_hint(an_event(), body=b"%d" % number))

        assert claim_polls(store) == []

    def test_a_hint_does_not_open_a_job_that_ended(self, store):
        store.receive(a_record(an_event()))

        store.receive(a_hint(an_event(status=Status.RUNNING)))

        assert the_job(store).status is Status.SUCCEEDED
        assert claim_polls(store) == []

    @pytest.mark.parametrize("make", [pytest.param("hint", id="hint"), pytest.param("incomplete", id="incomplete")])
    @pytest.mark.parametrize("given_up", [Status.EXPIRED, Status.LOST])
    def test_an_end_that_is_told_opens_a_job_again_that_we_had_given_up(self, store, let_pass, make, given_up):
        track(store, "job_1")
        store.receive(a_record(an_event(status=given_up, raw_status=None, key=f"job_1:{given_up}"), via=Via.DEADLINE))
        let_pass(MINUTE)

        store.receive({"hint": a_hint, "incomplete": incomplete}[make](an_event()))

        [job] = store.due_jobs(SOURCE, limit=10)
        assert (job.job_id, job.status) == ("job_1", Status.QUEUED)

    def test_what_is_not_the_end_opens_no_job_again(self, store, let_pass):
        track(store, "job_1")
        store.receive(a_record(an_event(status=Status.EXPIRED, raw_status=None, key="job_1:expired"), via=Via.DEADLINE))
        let_pass(MINUTE)

        store.receive(incomplete(an_event(status=Status.RUNNING)))

        assert store.due_jobs(SOURCE, limit=10) == []

    def test_a_second_chance_does_not_last(self, store, let_pass):
        track(store, "job_1")
        expired = a_record(an_event(status=Status.EXPIRED, raw_status=None, key="job_1:expired"), via=Via.DEADLINE)
        store.receive(expired)
        let_pass(MINUTE)
        store.receive(incomplete(an_event()))

        store.receive(expired)

        assert store.job(SOURCE, "job_1").status is Status.EXPIRED
        assert store.due_jobs(SOURCE, limit=10) == []

    def test_a_hint_claims_no_key(self, store):
        store.receive(a_hint(an_event()))

        assert not store.receive(a_record(an_event())).repeated
        assert the_job(store).status is Status.SUCCEEDED

    def test_what_is_incomplete_is_no_event(self, store):
        receipt = store.receive(incomplete(an_event()))

        assert (receipt.events, [row["verdict"] for row in all_deliveries(store)]) == ((), ["incomplete"])

    def test_what_is_incomplete_makes_its_job_due(self, store):
        store.receive(incomplete(an_event()))

        [job] = store.due_jobs(SOURCE, limit=10)
        assert (job.job_id, job.status, job.origin) == ("job_1", Status.QUEUED, Origin.EVENT)

    def test_what_is_incomplete_proves_a_job_that_was_only_hinted_at(self, store):
        store.receive(a_hint(an_event()))
        store.claim_polls(SOURCE, budget=PLENTY, learn=False, limit=1, lease=HOUR)

        store.receive(incomplete(an_event()))

        assert store.job(SOURCE, "job_1").origin is Origin.EVENT

    def test_what_is_incomplete_is_not_bounded_like_hints(self, open_store):
        store = open_store(max_hints=1, max_hint_body=1)
        for number in range(3):
            store.receive(incomplete(an_event(f"job_{number}")))

        assert [row["body"] for row in all_deliveries(store)] == [
            b"job_2:succeeded",
            b"job_1:succeeded",
            b"job_0:succeeded",
        ]
        assert len(store.due_jobs(SOURCE, limit=10)) == 3

    def test_jobs_known_only_from_hints_are_bounded_for_each_source(self, open_store):
        store = open_store(max_hints=3)
        for number in range(10):
            store.receive(a_hint(an_event(f"job_{number}")))
        store.receive(a_hint(an_event(source="other")))

        counts = Counter(row["source"] for row in store.list_jobs(JobFilter(open=True), limit=MANY).rows)
        assert counts == {SOURCE: 3, "other": 1}

    def test_says_which_hints_found_no_room(self, open_store):
        store = open_store(max_hints=1)

        receipts = [store.receive(a_hint(an_event(job_id))) for job_id in ("job_1", "job_2", "job_1")]

        assert [receipt.turned_away for receipt in receipts] == [0, 1, 0]

    def test_hints_kept_are_bounded_for_each_source(self, open_store):
        store = open_store(max_hints=3)
        store.receive(a_hint(an_event(source="other")))
        for number in range(10):
            store.receive(a_hint(an_event(f"job_{number}")))

        bodies = [row["body"] for row in all_deliveries(store)]
        assert bodies == [b"job_9:succeeded", b"job_8:succeeded", b"job_7:succeeded", b"job_1:succeeded"]

    def test_hints_push_out_nothing_that_is_genuine(self, open_store):
        store = open_store(max_hints=1)
        store.receive(a_record(an_event()))
        store.receive(unreadable())

        for number in range(5):
            store.receive(a_hint(an_event(f"job_{number}")))

        assert Counter(row["verdict"] for row in all_deliveries(store)) == {"recorded": 1, "unreadable": 1, "hint": 1}

    def test_a_tracked_job_does_not_count_among_the_hinted(self, open_store):
        store = open_store(max_hints=1)
        store.receive(a_hint(an_event("job_1")))
        track(store, "job_1")

        store.receive(a_hint(an_event("job_2")))

        assert store.job(SOURCE, "job_2") is not None

    def test_a_job_known_only_from_a_hint_says_so(self, store):
        store.receive(a_hint(an_event()))

        assert the_job(store).origin is Origin.HINT

    def test_an_answer_makes_a_hinted_job_one_like_others(self, store):
        store.receive(a_hint(an_event()))

        store.record_poll(the_job(store), PollResult(wait=HOUR, status=Status.RUNNING))

        assert the_job(store).origin is Origin.EVENT

    @pytest.mark.parametrize("missing", [False, True], ids=["failed", "missing"])
    def test_a_poll_without_an_answer_confirms_no_hint(self, store, missing):
        store.receive(a_hint(an_event()))

        store.record_poll(the_job(store), PollResult(wait=HOUR, error="HTTP 404", missing=missing))

        assert the_job(store).origin is Origin.HINT

    def test_an_answer_does_not_change_that_a_job_was_tracked(self, store):
        track(store, "job_1")

        store.record_poll(the_job(store), PollResult(wait=HOUR, status=Status.RUNNING))

        assert the_job(store).origin is Origin.TRACK

    def test_forgets_a_job_known_only_from_a_hint(self, store):
        store.receive(a_hint(an_event()))

        store.forget(the_job(store))

        assert store.job(SOURCE, "job_1") is None

    def test_forgets_no_job_that_a_proven_event_told_of_meanwhile(self, store):
        store.receive(a_hint(an_event(status=Status.SUCCEEDED)))
        hinted = the_job(store)

        store.receive(a_record(an_event(status=Status.SUCCEEDED)))
        store.forget(hinted)

        assert the_job(store).status is Status.SUCCEEDED

    def test_forgets_no_job_that_a_proven_event_told_to_run(self, store):
        store.receive(a_hint(an_event(status=Status.SUCCEEDED)))
        hinted = the_job(store)

        store.receive(a_record(an_event(status=Status.RUNNING, key="job_1:running")))
        store.forget(hinted)

        assert the_job(store).status is Status.RUNNING

    def test_forgets_no_job_that_was_tracked_meanwhile(self, store):
        store.receive(a_hint(an_event()))
        hinted = the_job(store)
        track(store, "job_1")

        store.forget(hinted)

        assert the_job(store).origin is Origin.TRACK

    def test_keeps_only_the_beginning_of_a_hint(self, open_store):
        store = open_store(max_hint_body=10)

        store.receive(a_hint(an_event(), body=b"0123456789abcdef"))

        assert [row["body"] for row in all_deliveries(store)] == [b"0123456789"]

    def test_tells_hints_apart_by_all_that_was_said(self, open_store):
        store = open_store(max_hint_body=1)
        store.receive(a_hint(an_event(), body=b"xa"))

        assert not store.receive(a_hint(an_event(), body=b"xb")).repeated
        assert store.receive(a_hint(an_event(), body=b"xa")).repeated

    def test_keeps_all_of_what_is_genuine(self, open_store):
        store = open_store(max_hint_body=1)
        store.receive(a_record(an_event()))

        store.receive(unreadable(b"<html>"))

        assert [row["body"] for row in all_deliveries(store)] == [b"<html>", b"{}"]

    # The quarantine

    def test_keeps_refused_deliveries_with_the_reason(self, store):
        store.quarantine(refusals(1), max_count=10)

        [row] = all_refusals(store)
        kept = row["source"], row["reason"], row["hint"], row["body"], row["path"]
        assert kept == (SOURCE, "signature_mismatch", "no secret fits", b"0", "/webhooks/x")

    def test_keeps_the_newest_refusals_of_each_source(self, store):
        store.quarantine(refusals(1, source="other"), max_count=3)
        store.quarantine(refusals(10), max_count=3)
        store.quarantine(refusals(1), max_count=3)

        rows = [row for row in all_refusals(store) if row["source"] == SOURCE]
        assert [row["body"] for row in rows] == [b"0", b"9", b"8"]
        assert len(store.list_refusals(RefusalFilter(source="other"), limit=MANY).rows) == 1

    def test_keeps_no_refusals_where_none_are_wanted(self, store):
        store.quarantine(refusals(3), max_count=0)

        assert store.list_refusals(limit=MANY).rows == []

    # Jobs that are expected

    def test_expects_a_new_job(self, store):
        assert store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"user": 7})

        job = the_job(store)
        assert (job.status, job.kind, job.metadata) == (Status.QUEUED, "video", {"user": 7})

    def test_merges_what_is_said_of_a_known_job(self, store):
        store.track(SOURCE, "job_1", kind="other", schedule=DUE, metadata={"user": 7, "plan": "free"})

        new = store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"plan": "pro"})

        assert not new
        assert (the_job(store).kind, the_job(store).metadata) == ("video", {"user": 7, "plan": "pro"})

    def test_a_job_tracked_after_its_event_stays_ended(self, store):
        store.receive(a_record(an_event()))

        new = store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"user": 7})

        job = the_job(store)
        assert not new
        assert (job.status, job.next_poll_at, job.metadata) == (Status.SUCCEEDED, None, {"user": 7})

    @pytest.mark.parametrize("status", [Status.EXPIRED, Status.LOST])
    def test_a_job_that_was_given_up_is_expected_again(self, store, status):
        store.receive(a_record(an_event(status=status)))

        new = store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"user": 7})

        job = the_job(store)
        assert not new
        assert (job.status, job.finished_at, job.metadata) == (Status.QUEUED, None, {"user": 7})
        assert claim_polls(store) == ["job_1"]

    def test_a_job_that_is_expected_again_has_a_new_deadline(self, store):
        store.track(SOURCE, "job_1", kind="video", schedule=replace(DUE, deadline=LAPSED))
        store.receive(a_record(an_event(status=Status.EXPIRED)))

        track(store, "job_1")

        job = the_job(store)
        assert job.deadline_at > job.created_at + timedelta(minutes=59)

    def test_a_job_that_is_expected_again_is_polled_when_its_schedule_says(self, store):
        store.receive(a_record(an_event(status=Status.LOST)))

        track(store, "job_1", schedule=NOT_DUE)

        job = the_job(store)
        assert job.next_poll_at - job.created_at > timedelta(minutes=59)

    def test_a_job_that_is_expected_again_has_its_polls_counted_anew(self, store):
        track(store, "job_1")
        for _ in range(2):
            store.record_poll(the_job(store), PollResult(wait=HOUR, error="HTTP 404", missing=True))
        store.receive(a_record(an_event(status=Status.LOST)))

        track(store, "job_1")

        assert (the_job(store).error_count, the_job(store).missing_count) == (0, 0)

    @pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
    def test_a_job_that_the_provider_ended_stays_ended(self, store, status):
        store.receive(a_record(an_event(status=status)))

        track(store, "job_1")

        assert (the_job(store).status, the_job(store).next_poll_at) == (status, None)

    def test_tracking_an_open_job_again_does_not_extend_it(self, store):
        track(store, "job_1")
        before = the_job(store)

        track(store, "job_1", schedule=replace(NOT_DUE, deadline=100 * HOUR))

        assert (the_job(store).deadline_at, the_job(store).next_poll_at) == (before.deadline_at, before.next_poll_at)

    def test_a_job_that_is_expected_again_may_be_told_incomplete_as_often_as_before(self, store):
        track(store, "job_1")
        store.record_poll(the_job(store), PollResult(wait=HOUR, incomplete=True))
        store.receive(a_record(an_event(status=Status.LOST)))

        track(store, "job_1")

        assert the_job(store).incomplete_count == 0

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param({"user": 7, "plan": None}, {"user": None}, id="null"),
            pytest.param({"user": {"id": 7}, "plan": {"a": 1}}, {"user": {"name": "Ada"}}, id="object"),
        ],
    )
    def test_merging_replaces_whole_values_and_drops_none(self, store, first, second):
        for metadata in (first, second):
            store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata=metadata)

        assert the_job(store).metadata == first | second

    def test_keeps_the_providers_other_name_for_a_job(self, store):
        store.track(SOURCE, "job_1", kind="video", schedule=DUE, reference="creation_1")

        assert the_job(store).reference == "creation_1"

    @pytest.mark.parametrize(
        ("told", "kept"),
        [pytest.param(None, "creation_1", id="not-told"), pytest.param("creation_2", "creation_2", id="told-another")],
    )
    def test_tracking_again_sets_the_other_name_only_if_it_is_told(self, store, told, kept):
        store.track(SOURCE, "job_1", kind="video", schedule=DUE, reference="creation_1")

        store.track(SOURCE, "job_1", kind="video", schedule=DUE, reference=told)

        assert the_job(store).reference == kept

    def test_gives_no_job_that_it_does_not_know(self, store):
        assert store.job(SOURCE, "job_1") is None

    # A job is about to be created

    def test_an_intent_is_there_for_others(self, store, open_store):
        intent = store.intend(SOURCE, kind="video", metadata={"user": 7, "tags": ["夜明け", None]})

        assert (intent.source, intent.kind, intent.error) == (SOURCE, "video", None)
        assert open_store().intent(intent.id) == intent

    def test_an_intent_needs_no_metadata(self, store):
        assert store.intend(SOURCE, kind="video").metadata == {}

    def test_an_intents_id_cannot_be_guessed_and_fits_a_url(self, store):
        ids = {intend(store).id for _ in range(20)}

        assert len(ids) == 20
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", intent_id) for intent_id in ids)

    def test_an_intent_is_no_job(self, store):
        intend(store)

        assert store.list_jobs(limit=MANY).rows == []

    def test_an_intent_spends_a_request_of_the_budget(self, store):
        track(store, "job_1", "job_2")
        intend(store)

        assert len(claim_polls(store, budget=Budget(2, per=HOUR))) == 1

    def test_an_intent_spends_a_request_of_what_remains(self, store):
        track(store, "job_1", "job_2")
        store.remember_limits(SOURCE, Limits(count=100, remaining=2, resets_after=HOUR))
        intend(store)

        assert len(claim_polls(store)) == 1

    def test_an_intent_spends_nothing_of_other_sources(self, store):
        track(store, "job_1")
        intend(store, source="other")

        assert claim_polls(store, budget=Budget(1, per=HOUR)) == ["job_1"]

    # It was created, or not

    def test_settling_tracks_the_jobs(self, store):
        clip = Created(job_id="job_1", kind="video", reference="creation_1")
        batch = Created(job_id="job_2", kind="batch")

        settle(store, intend(store, user=7), clip, batch)

        known = [the_job(store, job_id) for job_id in ("job_1", "job_2")]
        assert [(job.kind, job.reference) for job in known] == [("video", "creation_1"), ("batch", None)]
        assert [(job.status, job.origin, job.metadata) for job in known] == [
            (Status.QUEUED, Origin.TRACK, {"user": 7})
        ] * 2

    def test_settling_gives_the_jobs_in_order(self, store):
        created = [Created(job_id=f"job_{number}", kind="video") for number in (2, 0, 1)]

        jobs = settle(store, intend(store, user=7), *created)

        assert jobs == [the_job(store, job.job_id) for job in created]

    def test_each_settled_job_is_polled_when_its_kind_says(self, store):
        created = [Created(job_id="job_1", kind="video"), Created(job_id="job_2", kind="image")]

        store.settle(intend(store), created, schedules={"video": DUE, "image": NOT_DUE})

        assert claim_polls(store) == ["job_1"]

    def test_settling_drops_the_intent(self, store):
        intent = intend(store)
        settle(store, intent)

        assert store.intent(intent.id) is None
        assert all_intents(store) == []

    def test_settling_leaves_other_intents(self, store):
        other = intend(store)
        settle(store, intend(store))

        assert store.intent(other.id) == other

    def test_settling_merges_what_is_said_of_a_known_job(self, store):
        store.track(SOURCE, "job_1", kind="other", schedule=DUE, metadata={"user": 1, "plan": "free"})

        [job] = settle(store, intend(store, user=7))

        assert (job.kind, job.metadata) == ("video", {"user": 7, "plan": "free"})

    def test_settling_does_not_open_a_job_that_ended(self, store):
        store.receive(a_record(an_event()))

        [job] = settle(store, intend(store, user=7))

        assert (job.status, job.next_poll_at, job.metadata) == (Status.SUCCEEDED, None, {"user": 7})

    def test_settling_twice_is_harmless(self, store):
        intent = intend(store, user=7)
        first = settle(store, intent)

        assert settle(store, intent) == first

    def test_settles_all_or_nothing(self, store):
        intent = intend(store)
        with pytest.raises(KeyError):
            settle(store, intent, Created(job_id="job_1", kind="video"), Created(job_id="job_2", kind="unheard-of"))

        assert store.job(SOURCE, "job_1") is None
        assert store.intent(intent.id) == intent

    def test_keeps_why_nobody_knows_what_an_intent_led_to(self, store):
        intent = intend(store)

        assert store.doubt(intent, "the answer was lost")
        assert store.intent(intent.id) == replace(intent, error="the answer was lost")

    def test_doubts_one_intent(self, store):
        other = intend(store)
        store.doubt(intend(store), "the answer was lost")

        assert store.intent(other.id) == other

    def test_does_not_doubt_an_intent_that_is_settled(self, store):
        intent = intend(store)
        settle(store, intent)

        assert not store.doubt(intent, "the answer was lost")
        assert store.intent(intent.id) is None

    def test_withdraws_an_intent_once(self, store):
        intent, other = intend(store), intend(store)

        assert [store.withdraw(intent.id), store.withdraw(intent.id)] == [True, False]
        assert [store.intent(intent.id), store.intent(other.id)] == [None, other]

    def test_gives_no_intent_that_it_does_not_have(self, store):
        assert store.intent("A" * 22) is None

    # A callback names its intent

    def test_a_callback_gives_its_job_the_metadata(self, store):
        intent = intend(store, user=7)

        store.receive(a_record(an_event(), intent=intent))

        job = the_job(store)
        assert (job.status, job.origin, job.metadata) == (Status.SUCCEEDED, Origin.TRACK, {"user": 7})

    def test_whoever_handles_the_callback_finds_the_metadata(self, store):
        intent = intend(store, user=7)
        [event] = store.receive(a_record(an_event(), intent=intent)).events
        store.route({event.id: [HANDLER]})

        [claimed] = claim(store)

        assert claimed.job.metadata == {"user": 7}

    def test_a_callback_gives_every_job_it_speaks_of_the_metadata(self, store):
        intent = intend(store, kind="batch", user=7)
        clips = [an_event("job_1"), an_event("job_2", Status.FAILED)]

        store.receive(a_record(*clips, an_event("job_3", kind="batch"), intent=intent))

        assert [the_job(store, f"job_{number}").metadata for number in (1, 2, 3)] == [{"user": 7}] * 3

    def test_what_a_job_was_tracked_with_counts_more_than_what_its_callback_brings(self, store):
        store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"user": 1, "plan": None})

        store.receive(a_record(an_event(), intent=intend(store, user=7, plan="pro", order=17)))

        assert the_job(store).metadata == {"user": 1, "plan": None, "order": 17}

    def test_a_callback_about_the_job_that_was_asked_for_closes_the_intent(self, store):
        intent = intend(store)

        store.receive(a_record(an_event(status=Status.RUNNING), intent=intent))

        assert store.intent(intent.id) is None

    def test_a_callback_about_a_part_of_what_was_asked_for_leaves_the_intent_open(self, store):
        intent = intend(store, kind="batch", user=7)

        store.receive(a_record(an_event("job_1"), intent=intent))

        assert store.intent(intent.id) == intent
        assert the_job(store).metadata == {"user": 7}

    def test_a_callback_that_tells_nothing_new_closes_the_intent_too(self, store):
        store.receive(a_record(an_event(), via=Via.POLL))
        intent = intend(store, user=7)

        assert store.receive(a_record(an_event(), intent=intent)).repeated
        assert store.intent(intent.id) is None
        assert the_job(store).metadata == {"user": 7}

    def test_a_callback_that_names_an_intent_of_another_source_is_one_without(self, store):
        intent = intend(store, source="other", user=7)

        assert len(store.receive(a_record(an_event(), intent=intent)).events) == 1
        assert store.intent(intent.id) == intent
        assert (the_job(store).metadata, the_job(store).origin) == ({}, Origin.EVENT)

    def test_a_callback_that_names_no_open_intent_is_one_without(self, store):
        intent = intend(store, user=7)
        store.withdraw(intent.id)

        assert len(store.receive(a_record(an_event(), intent=intent)).events) == 1
        assert (the_job(store).metadata, the_job(store).origin) == ({}, Origin.EVENT)

    def test_a_callback_changes_no_other_job(self, store):
        track(store, "job_2")

        store.receive(a_record(an_event(), intent=intend(store, user=7)))

        assert the_job(store, "job_2").metadata == {}

    def test_a_callback_that_cannot_be_read_leaves_the_intent_open(self, store):
        intent = intend(store)

        store.receive(replace(unreadable(), intent=intent.id))

        assert store.intent(intent.id) == intent

    def test_an_intent_can_be_settled_after_its_callback(self, store):
        intent = intend(store, user=7, plan=None)
        store.receive(a_record(an_event(), intent=intent))

        [job] = settle(store, intent, Created(job_id="job_1", kind="video", reference="creation_1"))

        assert (job.status, job.next_poll_at, job.reference) == (Status.SUCCEEDED, None, "creation_1")
        assert job.metadata == {"user": 7, "plan": None}

    def test_an_intent_whose_callback_has_come_is_not_doubted(self, store):
        intent = intend(store)
        store.receive(a_record(an_event(), intent=intent))

        assert not store.doubt(intent, "the answer was lost")

    def test_a_callback_settles_an_intent_that_is_doubted(self, store):
        intent = intend(store, user=7)
        store.doubt(intent, "the answer was lost")

        store.receive(a_record(an_event(), intent=intent))

        assert (the_job(store).metadata, store.intent(intent.id)) == ({"user": 7}, None)

    def test_a_hint_that_names_an_intent_tells_of_a_job_like_others(self, store):
        intent = intend(store, user=7)

        store.receive(a_hint(an_event(), intent=intent))

        job = the_job(store)
        assert (job.status, job.origin, job.metadata) == (Status.QUEUED, Origin.TRACK, {"user": 7})
        assert store.intent(intent.id) is None
        assert claim_polls(store) == ["job_1"]

    def test_a_hint_that_is_turned_away_leaves_its_intent_open(self, open_store):
        store = open_store(max_hints=1)
        store.receive(a_hint(an_event("job_1")))
        intent = intend(store, user=7)

        store.receive(a_hint(an_event("job_2"), intent=intent))

        assert store.job(SOURCE, "job_2") is None
        assert store.intent(intent.id) == intent

    # Events become dispatches

    def test_gives_unrouted_events_oldest_first(self, store):
        for number in range(3):
            store.receive(a_record(an_event(f"job_{number}")))

        assert [event.job_id for event in store.unrouted(2)] == ["job_0", "job_1"]

    def test_an_event_for_nobody_is_routed(self, store):
        dispatch(store, an_event(), handlers=())

        assert store.unrouted(MANY) == []

    def test_routes_once(self, store):
        [event] = store.receive(a_record(an_event())).events
        plan = {event.id: ["archive", "log"]}

        assert [store.route(plan), store.route(plan)] == [2, 0]

    def test_workers_that_route_at_once_make_one_dispatch(self, store, open_store):
        [event] = store.receive(a_record(an_event())).events
        stores = [store, open_store()]

        created = at_once(*[lambda store=store: store.route({event.id: [HANDLER]}) for store in stores])

        assert sorted(created) == [0, 1]

    # Dispatches run

    def test_claims_a_dispatch_with_its_event_and_job(self, store):
        [event] = dispatch(store, an_event()).events

        [claimed] = claim(store)

        assert (claimed.handler, claimed.attempt) == (HANDLER, 1)
        assert (claimed.event, claimed.job) == (event, the_job(store))

    def test_claims_a_dispatch_once(self, store):
        dispatch(store, an_event())

        assert len(claim(store)) == 1
        assert claim(store) == []

    def test_claims_only_what_is_due(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)
        store.finish(claimed, RETRY_LATER)

        assert claim(store) == []

    def test_claims_only_for_the_handlers_it_is_asked_for(self, store):
        dispatch(store, an_event(), handlers=["archive", "removed"])

        assert [claimed.handler for claimed in claim(store, 10)] == ["archive"]

    def test_claims_no_more_than_there_are_slots(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(5)], handlers=["archive", "log"])

        claims = store.claim({"archive": 2, "log": 3}, lease=HOUR, worker="worker-1")

        assert Counter(claimed.handler for claimed in claims) == {"archive": 2, "log": 3}

    @pytest.mark.parametrize("free", [pytest.param(0, id="none"), pytest.param(-1, id="fewer")])
    def test_claims_nothing_without_a_slot(self, store, free):
        dispatch(store, an_event())

        assert claim(store, free) == []

    def test_claims_what_came_first_first(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(3)])

        assert claimed_jobs(claim(store, 2)) == ["job_0", "job_1"]

    def test_of_one_job_claims_the_oldest_dispatch_only(self, store):
        dispatch(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))

        assert [claimed.event.status for claimed in claim(store, 10)] == [Status.RUNNING]

    def test_a_running_dispatch_holds_back_the_next_of_its_job(self, store):
        dispatch(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))
        claim(store, 10)

        assert claim(store, 10) == []

    @pytest.mark.parametrize(
        "outcome", [pytest.param(RETRY_LATER, id="retry"), pytest.param(replace(SNOOZE, wait=HOUR), id="snooze")]
    )
    def test_a_waiting_dispatch_holds_back_the_next_of_its_job(self, store, outcome):
        dispatch(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))
        [claimed] = claim(store, 10)
        store.finish(claimed, outcome)

        assert claim(store, 10) == []

    @pytest.mark.parametrize(
        "outcome", [pytest.param(DONE, id="done"), pytest.param(DEAD, id="dead"), pytest.param(CANCEL, id="cancelled")]
    )
    def test_a_finished_dispatch_lets_the_next_of_its_job_go(self, store, outcome):
        dispatch(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))
        [claimed] = claim(store, 10)
        store.finish(claimed, outcome)

        assert [claimed.event.status for claimed in claim(store, 10)] == [Status.SUCCEEDED]

    def test_other_jobs_and_handlers_are_not_held_back(self, store):
        dispatch(store, an_event("job_1"), handlers=["archive", "log"])
        dispatch(store, an_event("job_2"))
        claim(store, 1)

        claims = store.claim({"archive": 10, "log": 10}, lease=HOUR, worker="worker-1")

        assert [(claimed.handler, claimed.event.job_id) for claimed in claims] == [
            ("archive", "job_2"),
            ("log", "job_1"),
        ]

    def test_a_job_of_that_id_at_another_source_is_not_held_back(self, store):
        dispatch(store, an_event(), an_event(source="other"))

        assert len(claim(store, 10)) == 2

    def test_notices_do_not_wait_for_each_other(self, store):
        dispatch(store, *[an_event(None, None, key=key, raw_status=None) for key in ("first", "second")])

        assert len(claim(store, 10)) == 2

    def test_threads_never_claim_the_same_dispatch(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(20)])

        batches = at_once(*[lambda: claim(store, 5)] * 8)

        ids = [claimed.id for batch in batches for claimed in batch]
        assert len(ids) == len(set(ids)) == 20

    def test_stores_never_claim_the_same_dispatch(self, store, open_store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(20)])
        stores = [store, open_store()]

        batches = at_once(*[lambda store=store: claim(store, 20) for store in stores * 2])

        ids = [claimed.id for batch in batches for claimed in batch]
        assert len(ids) == len(set(ids)) == 20

    # Attempts end

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            pytest.param(DONE, State.DONE, id="done"),
            pytest.param(RETRY, State.PENDING, id="retry"),
            pytest.param(SNOOZE, State.PENDING, id="snooze"),
            pytest.param(CANCEL, State.CANCELLED, id="cancel"),
            pytest.param(DEAD, State.DEAD, id="dead"),
        ],
    )
    def test_an_outcome_decides_the_state(self, store, outcome, state):
        dispatch(store, an_event())
        [claimed] = claim(store)

        assert store.finish(claimed, outcome) is state
        row = the_dispatch(store)
        assert (row["state"], row["error"]) == (state, outcome.error)
        assert (row["finished_at"] is not None) == (state is not State.PENDING)

    def test_records_each_attempt(self, store):
        dispatch(store, an_event())
        for outcome in (RETRY, SNOOZE, DEAD):
            [claimed] = claim(store)
            store.finish(claimed, outcome)

        rows = store.list_attempts(claimed.id)
        assert [(row["number"], row["outcome"], row["error"], row["worker"]) for row in rows] == [
            (1, "retry", "no answer", "worker-1"),
            (2, "snooze", None, "worker-1"),
            (2, "dead", "no such bucket", "worker-1"),
        ]

    def test_keeps_a_result_beside_the_event(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)

        store.finish(claimed, Outcome(decision=Decision.DONE, result={"path": "a.mp4"}))

        assert the_dispatch(store)["result"] == {"path": "a.mp4"}
        assert [row["results"] for row in all_events(store)] == [{HANDLER: {"path": "a.mp4"}}]

    def test_keeps_an_error_of_any_text(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)

        store.finish(claimed, replace(RETRY, error="\ud800 \0 夜" + "x" * 100_000))

        assert len(the_dispatch(store)["error"]) < 10_000

    def test_finishes_once(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)

        assert [store.finish(claimed, DONE), store.finish(claimed, DEAD)] == [State.DONE, None]
        assert the_dispatch(store)["state"] == "done"

    def test_a_retry_counts_an_attempt(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)
        store.finish(claimed, RETRY)

        assert [claimed.attempt for claimed in claim(store)] == [2]

    def test_a_snooze_counts_no_attempt(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)
        store.finish(claimed, SNOOZE)

        assert [claimed.attempt for claimed in claim(store)] == [1]

    @pytest.mark.parametrize("outcome", [pytest.param(RETRY, id="retry"), pytest.param(SNOOZE, id="snooze")])
    def test_the_idempotency_key_stays_from_attempt_to_attempt(self, store, outcome):
        dispatch(store, an_event())
        [first] = claim(store)
        store.finish(first, outcome)

        [second] = claim(store)

        assert first.idempotency_key == second.idempotency_key

    def test_each_dispatch_has_its_own_idempotency_key(self, store):
        dispatch(store, an_event("job_1"), an_event("job_2"))

        assert len({claimed.idempotency_key for claimed in claim(store, 10)}) == 2

    # Attempts end together

    def test_each_of_several_gets_its_own_outcome(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(4)])
        outcomes = [DONE, RETRY_LATER, CANCEL, replace(DEAD, error="\0 夜")]

        states = store.finish_all(list(zip(claim(store, 4), outcomes, strict=True)))

        assert states == [State.DONE, State.PENDING, State.CANCELLED, State.DEAD]
        rows = sorted(all_dispatches(store), key=lambda row: row["job"])
        assert [(row["state"], row["error"]) for row in rows] == [
            ("done", None),
            ("pending", "no answer"),
            ("cancelled", "not for us"),
            ("dead", "\0 夜"),
        ]
        assert [[each["outcome"] for each in store.list_attempts(row["id"])] for row in rows] == [
            ["done"],
            ["retry"],
            ["cancel"],
            ["dead"],
        ]

    def test_one_whose_lease_was_lost_harms_no_other(self, store):
        dispatch(store, an_event("job_1"), an_event("job_2"), an_event("job_3"))
        [frozen] = claim(store, lease=LAPSED)
        store.sweep()
        [_, *own] = claim(store, 3)

        states = store.finish_all([(own[0], DONE), (frozen, DEAD), (own[1], DONE)])

        assert states == [State.DONE, None, State.DONE]
        assert [row["outcome"] for row in store.list_attempts(frozen.id)] == ["lost"]

    def test_a_dispatch_that_was_lost_and_taken_again_ends_once(self, store):
        dispatch(store, an_event())
        [lost] = claim(store, lease=LAPSED)
        store.sweep()
        [taken] = claim(store)

        assert store.finish_all([(lost, DEAD), (taken, DONE)]) == [None, State.DONE]
        assert [row["outcome"] for row in store.list_attempts(taken.id)] == ["lost", "done"]

    @pytest.mark.parametrize(
        ("outcomes", "failure_count", "parked"),
        [
            pytest.param([FAILED, FAILED, FAILED], 3, True, id="in-a-row"),
            pytest.param([FAILED, FAILED, DONE, FAILED], 1, False, id="a-success-in-between"),
            pytest.param([FAILED, FAILED, DEAD, FAILED], 3, True, id="a-dead-letter-in-between"),
            pytest.param([DONE, FAILED, FAILED], 2, False, id="too-few"),
            pytest.param([FAILED, FAILED, FAILED, DONE], 0, False, id="a-success-at-the-end"),
        ],
    )
    def test_those_that_end_together_park_their_handler_by_their_order(self, store, outcomes, failure_count, parked):
        dispatch(store, *[an_event(f"job_{number}") for number in range(len(outcomes))])

        ended = list(zip(claim(store, len(outcomes)), outcomes, strict=True))
        store.finish_all(ended, park_after={HANDLER: 3})

        hold = store.hold(HANDLER)
        assert (hold.failure_count, hold.parked_until is not None) == (failure_count, parked)

    def test_the_failures_of_one_handler_park_no_other(self, store):
        dispatch(store, an_event("job_1"), an_event("job_2"), handlers=[HANDLER, "other"])
        own, others = claim(store, 2), claim(store, 2, handler="other")

        ended = [(own[0], FAILED), (others[0], DONE), (own[1], FAILED), (others[1], FAILED)]
        store.finish_all(ended, park_after={HANDLER: 2, "other": 2})

        assert [store.hold(name).failure_count for name in (HANDLER, "other")] == [2, 1]
        assert [store.hold(name).parked_until is not None for name in (HANDLER, "other")] == [True, False]

    def test_many_end_together(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(200)])

        states = store.finish_all([(claimed, DONE) for claimed in claim(store, 200)])

        assert states == [State.DONE] * 200
        assert all(len(store.list_attempts(row["id"])) == 1 for row in all_dispatches(store))

    def test_nothing_ends(self, store):
        assert store.finish_all([]) == []

    # What has not begun is given back

    def test_what_is_given_back_is_due_again_and_no_attempt_was_made(self, store):
        dispatch(store, an_event())
        [first] = claim(store)

        store.give_back([first])

        assert store.list_attempts(first.id) == []
        [again] = claim(store)
        assert (again.id, again.attempt, again.token == first.token) == (first.id, 1, False)

    def test_what_is_given_back_keeps_its_place_before_what_is_newer(self, store):
        dispatch(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))
        [first] = claim(store, 2)

        store.give_back([first])

        assert [claimed.id for claimed in claim(store, 2)] == [first.id]

    def test_gives_back_nothing_that_was_lost(self, store):
        dispatch(store, an_event())
        [frozen] = claim(store, lease=LAPSED)
        store.sweep()
        [other] = claim(store)

        store.give_back([frozen])

        assert store.finish(other, DONE) is State.DONE

    def test_gives_back_nothing(self, store):
        store.give_back([])

        assert claim(store) == []

    # Leases

    def test_keeps_a_lease_that_has_not_ended(self, store):
        dispatch(store, an_event())
        claim(store, lease=HOUR)

        assert store.sweep() == 0
        assert claim(store) == []

    def test_frees_a_dispatch_whose_lease_ended(self, store):
        dispatch(store, an_event())
        [first] = claim(store, lease=LAPSED)

        assert store.sweep() == 1
        [second] = claim(store)
        assert (second.id, second.attempt, second.idempotency_key) == (first.id, 2, first.idempotency_key)

    def test_frees_no_other_with_it(self, store):
        dispatch(store, an_event("vgen_1"), an_event("vgen_2"))
        [lapsed] = claim(store, 1, lease=LAPSED)
        claim(store, 1, lease=HOUR)

        assert store.sweep() == 1
        assert [freed.id for freed in claim(store)] == [lapsed.id]

    def test_leaves_the_callers_own_alone(self, store):
        dispatch(store, an_event("job_1"), an_event("job_2"))
        [own, other] = claim(store, 2, lease=LAPSED)

        assert store.sweep(spare=[own]) == 1
        assert (len(store.list_attempts(own.id)), len(store.list_attempts(other.id))) == (0, 1)
        assert store.finish(own, DONE) is State.DONE

    def test_what_was_lost_twice_waits_each_for_a_time_of_its_own(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(20)])
        for _ in range(2):
            claim(store, 20, lease=LAPSED)
            store.sweep()

        rows = store.list_dispatches(DispatchFilter(state="pending"), limit=MANY).rows
        # The store's clock counts milliseconds, of which they are spread over a thousand.
        assert len({row["due_at"] for row in rows}) > 10

    def test_what_was_lost_once_is_due_at_once(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(20)])
        claim(store, 20, lease=LAPSED)

        store.sweep()

        assert len(claim(store, 20)) == 20

    def test_records_a_lost_attempt(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store, lease=LAPSED)

        store.sweep()

        [row] = store.list_attempts(claimed.id)
        assert (row["number"], row["outcome"], row["worker"]) == (1, "lost", "worker-1")

    def test_a_worker_that_lost_its_lease_records_nothing(self, store):
        dispatch(store, an_event())
        [frozen] = claim(store, lease=LAPSED)
        store.sweep()
        [other] = claim(store)

        assert store.finish(frozen, DEAD) is None
        assert the_dispatch(store)["state"] == "running"
        assert store.finish(other, DONE) is State.DONE
        assert [row["outcome"] for row in store.list_attempts(other.id)] == ["lost", "done"]

    def test_a_worker_that_lost_its_lease_records_nothing_even_if_nobody_took_over(self, store):
        dispatch(store, an_event())
        [frozen] = claim(store, lease=LAPSED)
        store.sweep()

        assert store.finish(frozen, DONE) is None
        assert the_dispatch(store)["state"] == "pending"

    def test_renews_a_lease(self, store):
        dispatch(store, an_event("job_1"), an_event("job_2"))
        claims = claim(store, 2, lease=LAPSED)

        renewed = store.renew(claims, lease=HOUR)

        assert renewed == {claimed.id for claimed in claims}
        assert store.sweep() == 0

    def test_renews_no_lease_that_was_lost(self, store):
        dispatch(store, an_event())
        [frozen] = claim(store, lease=LAPSED)
        store.sweep()
        claim(store, lease=LAPSED)

        assert store.renew([frozen], lease=HOUR) == set()
        assert store.sweep() == 1

    def test_renews_nothing(self, store):
        assert store.renew([], lease=HOUR) == set()

    # What a person does with a dispatch

    @pytest.mark.parametrize("outcome", [pytest.param(DEAD, id="dead"), pytest.param(CANCEL, id="cancelled")])
    def test_retries_what_ended_without_success(self, store, outcome):
        dispatch(store, an_event())
        [first] = claim(store)
        store.finish(first, outcome)

        assert store.retry([first.id]) == [first.id]
        [second] = claim(store)
        assert (second.id, second.attempt, second.idempotency_key) == (first.id, 1, first.idempotency_key)

    def test_a_retry_keeps_the_attempts_of_before(self, store):
        dispatch(store, an_event())
        for outcome in (DEAD, DONE):
            [claimed] = claim(store)
            store.finish(claimed, outcome)
            store.retry([claimed.id])

        assert [row["outcome"] for row in store.list_attempts(claimed.id)] == ["dead", "done"]

    @pytest.mark.parametrize(
        "outcome", [pytest.param(DONE, id="done"), pytest.param(RETRY, id="pending"), pytest.param(None, id="running")]
    )
    def test_retries_nothing_else(self, store, outcome):
        dispatch(store, an_event())
        [claimed] = claim(store)
        if outcome is not None:
            store.finish(claimed, outcome)

        assert store.retry([claimed.id]) == []

    def test_retries_nothing_unknown(self, store):
        assert store.retry([1]) == []

    def test_retries_several_at_once(self, store):
        ids = [dead(store, an_event(f"job_{number}")) for number in range(3)]

        assert store.retry([*ids[:2], 99]) == ids[:2]
        assert [row["state"] for row in all_dispatches(store)] == ["dead", "pending", "pending"]

    def test_discards_what_is_dead(self, store):
        letter = dead(store, an_event())

        assert store.discard([letter], reason="too old") == [letter]
        row = the_dispatch(store)
        assert (row["state"], row["error"]) == ("cancelled", "discarded: too old")

    def test_what_is_discarded_keeps_its_attempts(self, store):
        letter = dead(store, an_event(), error="no such bucket")

        store.discard([letter], reason="too old")

        assert [row["error"] for row in store.list_attempts(letter)] == ["no such bucket"]

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            pytest.param(DONE, "done", id="done"),
            pytest.param(RETRY, "pending", id="pending"),
            pytest.param(CANCEL, "cancelled", id="cancelled"),
            pytest.param(None, "running", id="running"),
        ],
    )
    def test_discards_nothing_else(self, store, outcome, state):
        dispatch(store, an_event())
        [claimed] = claim(store)
        if outcome is not None:
            store.finish(claimed, outcome)

        assert store.discard([claimed.id], reason="too old") == []
        assert the_dispatch(store)["state"] == state

    def test_discards_what_waits_for_a_handler_that_is_gone(self, store):
        dispatch(store, an_event(), handlers=["left", HANDLER])
        waiting = {row["handler"]: row["id"] for row in store.list_dispatches(limit=9).rows}

        assert store.discard(waiting.values(), reason="it left", gone=["left"]) == [waiting["left"]]
        assert store.dispatch(waiting["left"])["state"] == "cancelled"

    def test_shows_one_dispatch(self, store):
        letter = dead(store, an_event())
        dispatch(store, an_event("another"))

        row = store.dispatch(letter)

        assert (row["id"], row["handler"], row["job"], row["state"]) == (letter, HANDLER, "job_1", "dead")
        assert store.dispatch(99) is None

    # Dead letters are chosen

    @pytest.mark.parametrize(
        ("selection", "jobs"),
        [
            pytest.param(Selection(), ["job_0", "job_1", "job_2"], id="all"),
            pytest.param(Selection(handlers=(HANDLER,)), ["job_0", "job_1"], id="handler"),
            pytest.param(Selection(handlers=(HANDLER, "log")), ["job_0", "job_1", "job_2"], id="handlers"),
            pytest.param(Selection(source="other"), ["job_1"], id="source"),
            pytest.param(Selection(type="*.succeeded"), ["job_1", "job_2"], id="type"),
            pytest.param(Selection(status="failed"), ["job_0"], id="status"),
            pytest.param(Selection(kind="image"), [], id="kind"),
            pytest.param(Selection(error="HTTP 50"), ["job_1"], id="error"),
            pytest.param(Selection(first_line="it said: HTTP 503"), ["job_1"], id="first-line"),
            pytest.param(Selection(first_line="it said"), [], id="part-of-the-first-line"),
            pytest.param(Selection(since=AT), ["job_0", "job_1", "job_2"], id="since"),
            pytest.param(Selection(until=AT), [], id="until"),
            pytest.param(Selection(source="other", error="bucket"), [], id="both"),
        ],
    )
    def test_chooses_dead_letters(self, store, selection, jobs):
        ids = {
            dead(store, an_event("job_0", Status.FAILED)): "job_0",
            dead(store, an_event("job_1", source="other"), error="it said: HTTP 503"): "job_1",
            dead(store, an_event("job_2"), handler="log"): "job_2",
        }

        assert [ids[letter] for letter in store.select_dead(selection, limit=MANY)] == jobs
        assert sum(store.count_dead(selection).values()) == len(jobs)

    def test_chooses_dead_letters_only(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)
        store.finish(claimed, CANCEL)

        assert store.select_dead(Selection(), limit=MANY) == []
        assert store.count_dead(Selection()) == {}

    def test_chooses_dead_letters_a_page_at_a_time(self, store):
        ids = [dead(store, an_event(f"job_{number}")) for number in range(3)]

        assert store.select_dead(Selection(), limit=2) == ids[:2]
        assert store.select_dead(Selection(), limit=2, after=ids[1]) == ids[2:]

    def test_counts_dead_letters_by_handler(self, store):
        dead(store, an_event("job_1"))
        dead(store, an_event("job_2"))
        dead(store, an_event("job_3"), handler="log")

        assert store.count_dead(Selection()) == {HANDLER: 2, "log": 1}

    # Events are replayed

    @pytest.mark.parametrize(
        ("selection", "keys"),
        [
            pytest.param(Selection(), ["job_0:failed", "job_1:succeeded", "job_2:running"], id="all"),
            pytest.param(Selection(source="other"), ["job_1:succeeded"], id="source"),
            pytest.param(Selection(type="video.*.running"), ["job_2:running"], id="type"),
            pytest.param(Selection(type="Video.*"), [], id="case-of-type"),
            pytest.param(Selection(status="failed"), ["job_0:failed"], id="status"),
            pytest.param(Selection(kind="video"), ["job_0:failed", "job_1:succeeded", "job_2:running"], id="kind"),
            pytest.param(Selection(kind="image"), [], id="other-kind"),
            pytest.param(Selection(since=AT), ["job_0:failed", "job_1:succeeded", "job_2:running"], id="since"),
            pytest.param(Selection(until=AT), [], id="until"),
        ],
    )
    def test_chooses_events(self, store, selection, keys):
        dispatch(
            store,
            an_event("job_0", Status.FAILED),
            an_event("job_1", source="other"),
            an_event("job_2", Status.RUNNING),
        )

        assert [event.key for event in store.select_events(selection, limit=MANY)] == keys
        assert store.count_events(selection) == len(keys)

    def test_chooses_events_from_a_moment_on_to_another(self, store):
        [first] = dispatch(store, an_event("job_1")).events
        moment = first.recorded_at

        assert store.count_events(Selection(since=moment)) == 1
        assert store.count_events(Selection(until=moment)) == 0

    def test_chooses_events_a_page_at_a_time(self, store):
        dispatch(store, *[an_event(f"job_{number}") for number in range(3)])

        first = store.select_events(Selection(), limit=2)
        second = store.select_events(Selection(), limit=2, after=first[-1].id)

        assert [event.job_id for event in [*first, *second]] == ["job_0", "job_1", "job_2"]

    def test_chooses_no_event_that_is_yet_to_be_routed(self, store):
        store.receive(a_record(an_event()))

        assert store.select_events(Selection(), limit=MANY) == []
        assert store.count_events(Selection()) == 0

    def test_chooses_no_event_that_is_only_kept(self, store):
        dispatch(store, an_event(status=Status.SUCCEEDED))
        store.receive(a_record(an_event(status=Status.RUNNING)))
        store.receive(a_record(an_event(status=Status.FAILED)))

        assert [event.status for event in store.select_events(Selection(), limit=MANY)] == [Status.SUCCEEDED]

    def test_a_replay_is_a_new_dispatch_with_a_new_idempotency_key(self, store):
        [event] = dispatch(store, an_event()).events
        [first] = claim(store)
        store.finish(first, DONE)

        [replayed] = replay(store, event)

        [second] = claim(store)
        assert (second.id, second.attempt) == (replayed, 1)
        assert replayed != first.id
        assert second.idempotency_key != first.idempotency_key

    def test_replays_for_several_handlers_as_often_as_asked(self, store):
        [event] = dispatch(store, an_event()).events

        ids = [new for _ in range(2) for new in replay(store, event, "archive", "new")]

        assert len(set(ids)) == 4
        rows = store.list_dispatches(DispatchFilter(event_id=event.id), limit=MANY).rows
        assert Counter(row["handler"] for row in rows) == {"archive": 3, "new": 2}

    def test_an_event_that_was_replayed_before_it_was_routed_is_routed(self, store):
        [event] = store.receive(a_record(an_event())).events
        replay(store, event)

        assert store.route({event.id: [HANDLER]}) == 1

    def test_replays_nothing_unknown(self, store):
        assert store.replay({99: [HANDLER]}, replay_id="first") == []

    def test_lists_the_dispatches_of_a_replay(self, store):
        [event] = dispatch(store, an_event()).events
        replay(store, event, replay_id="other")
        [replayed] = replay(store, event, replay_id="first")

        rows = store.list_dispatches(DispatchFilter(replay_id="first"), limit=MANY).rows

        assert [(row["id"], row["replay_id"]) for row in rows] == [(replayed, "first")]

    def test_a_replay_can_be_spread(self, store):
        receipts = [dispatch(store, an_event(f"job_{number}"), handlers=()) for number in range(3)]
        plan = {event.id: [HANDLER] for receipt in receipts for event in receipt.events}

        store.replay(plan, replay_id="first", every=HOUR)

        assert claimed_jobs(claim(store, 10)) == ["job_0"]
        assert timedelta(minutes=59) < store.next_due([HANDLER]) <= HOUR

    def test_a_replay_can_begin_later(self, store):
        [event] = dispatch(store, an_event(), handlers=()).events

        replay(store, event, wait=HOUR)

        assert claim(store) == []
        assert timedelta(minutes=59) < store.next_due([HANDLER]) <= HOUR

    # What is replayed lets live dispatches go first

    def test_claims_live_dispatches_before_replayed_ones(self, store):
        [event] = dispatch(store, an_event("old"), handlers=()).events
        replay(store, event)
        dispatch(store, an_event("new"))

        assert [claimed_jobs(claim(store)) for _ in range(3)] == [["new"], ["old"], []]

    def test_claims_replayed_dispatches_with_the_slots_that_live_ones_leave(self, store):
        [event] = dispatch(store, an_event("old"), handlers=()).events
        replay(store, event)
        dispatch(store, an_event("new"))

        assert claimed_jobs(claim(store, 10)) == ["new", "old"]

    def test_a_live_dispatch_does_not_wait_for_a_replayed_one_of_its_job(self, store):
        [event] = dispatch(store, an_event(status=Status.RUNNING), handlers=()).events
        replay(store, event, wait=HOUR)
        dispatch(store, an_event(status=Status.SUCCEEDED))

        assert store.next_due([HANDLER]) == timedelta(0)
        assert [claimed.event.status for claimed in claim(store, 10)] == [Status.SUCCEEDED]

    @pytest.mark.parametrize("outcome", [pytest.param(None, id="running"), pytest.param(RETRY_LATER, id="waiting")])
    def test_a_replayed_dispatch_waits_for_a_live_one_of_its_job(self, store, outcome):
        [event] = dispatch(store, an_event(status=Status.RUNNING), handlers=()).events
        dispatch(store, an_event(status=Status.SUCCEEDED))
        [claimed] = claim(store)
        if outcome is not None:
            store.finish(claimed, outcome)

        replay(store, event)

        assert claim(store, 10) == []

    def test_a_live_dispatch_waits_for_a_replayed_one_of_its_job_that_runs(self, store):
        [event] = dispatch(store, an_event(status=Status.RUNNING), handlers=()).events
        replay(store, event)
        [running] = claim(store)
        dispatch(store, an_event(status=Status.SUCCEEDED))

        assert claim(store, 10) == []
        store.finish(running, DONE)
        assert [claimed.event.status for claimed in claim(store, 10)] == [Status.SUCCEEDED]

    def test_replayed_dispatches_of_one_job_keep_their_order(self, store):
        for status in (Status.RUNNING, Status.SUCCEEDED):
            [event] = dispatch(store, an_event(status=status), handlers=()).events
            replay(store, event)

        [first] = claim(store, 10)
        assert claim(store, 10) == []
        store.finish(first, DONE)
        [second] = claim(store, 10)

        assert [first.event.status, second.event.status] == [Status.RUNNING, Status.SUCCEEDED]

    def test_stores_never_run_a_live_and_a_replayed_dispatch_of_a_job_at_once(self, store, open_store):
        [event] = dispatch(store, an_event(status=Status.RUNNING), handlers=()).events
        replay(store, event)
        dispatch(store, an_event(status=Status.SUCCEEDED))
        stores = [store, open_store()]

        batches = at_once(*[lambda store=store: claim(store, 10) for store in stores * 2])

        assert [claimed.event.status for batch in batches for claimed in batch] == [Status.SUCCEEDED]

    # A replay is cancelled

    def test_cancels_what_waits_of_a_replay(self, store):
        [event] = dispatch(store, an_event(), handlers=()).events
        replay(store, event, "archive", "log")

        assert store.cancel_replay("first", limit=MANY) == 2
        assert {row["state"] for row in all_dispatches(store)} == {"cancelled"}
        assert claim(store) == []

    def test_cancels_so_many_at_once(self, store):
        [event] = dispatch(store, an_event(), handlers=()).events
        replay(store, event, "archive", "log", "orders")

        assert [store.cancel_replay("first", limit=2) for _ in range(3)] == [2, 1, 0]

    def test_what_runs_of_a_cancelled_replay_goes_on(self, store):
        [event] = dispatch(store, an_event(), handlers=()).events
        replay(store, event)
        [running] = claim(store)

        assert store.cancel_replay("first", limit=MANY) == 0
        assert store.finish(running, DONE) is State.DONE

    def test_cancels_nothing_else(self, store):
        [event] = dispatch(store, an_event()).events
        replay(store, event, replay_id="other")

        assert store.cancel_replay("first", limit=MANY) == 0
        assert {row["state"] for row in all_dispatches(store)} == {"pending"}

    # Who waits

    def test_counts_what_waits_for_each_handler(self, store):
        dispatch(store, an_event("job_1"), an_event("job_2"), handlers=["archive", "removed"])

        assert store.waiting() == {"archive": 2, "removed": 2}

    @pytest.mark.parametrize(
        "outcome", [pytest.param(DONE, id="done"), pytest.param(DEAD, id="dead"), pytest.param(None, id="running")]
    )
    def test_counts_nothing_that_does_not_wait(self, store, outcome):
        dispatch(store, an_event())
        [claimed] = claim(store)
        if outcome is not None:
            store.finish(claimed, outcome)

        assert store.waiting() == {}

    # How long until something is to be done

    def test_nothing_is_in_sight(self, store):
        assert store.next_due([HANDLER]) is None

    def test_an_unrouted_event_is_to_be_routed_now(self, store):
        store.receive(a_record(an_event()))

        assert store.next_due([HANDLER]) == timedelta(0)

    def test_a_due_dispatch_is_to_be_run_now(self, store):
        dispatch(store, an_event())

        assert store.next_due(["log", HANDLER]) == timedelta(0)

    def test_a_retry_is_to_be_run_when_it_is_due(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)
        store.finish(claimed, RETRY_LATER)

        assert timedelta(minutes=59) < store.next_due([HANDLER]) <= HOUR

    def test_a_lease_is_to_be_swept_when_it_ends(self, store):
        dispatch(store, an_event())
        claim(store, lease=timedelta(minutes=2))

        assert timedelta(minutes=1) < store.next_due([]) <= timedelta(minutes=2)

    def test_what_is_for_other_handlers_is_not_in_sight(self, store):
        dispatch(store, an_event())

        assert store.next_due(["log"]) is None

    def test_what_is_held_back_is_not_in_sight(self, store):
        dispatch(store, an_event(status=Status.RUNNING), an_event(status=Status.SUCCEEDED))
        [claimed] = claim(store)
        store.finish(claimed, RETRY_LATER)

        assert store.next_due([HANDLER]) > timedelta(minutes=59)

    # Polls

    def test_claims_polls_that_are_due(self, store):
        track(store, "job_1")
        track(store, "job_2", schedule=NOT_DUE)

        assert claim_polls(store) == ["job_1"]

    def test_claims_the_polls_of_one_source(self, store):
        track(store, "job_1")

        assert store.claim_polls("other", budget=PLENTY, learn=True, limit=MANY, lease=HOUR) == []

    def test_claims_no_more_polls_than_wanted(self, store):
        track(store, "job_1", "job_2", "job_3")

        assert len(claim_polls(store, limit=2)) == 2

    def test_looks_at_due_jobs_without_taking_them(self, store):
        track(store, "job_1")

        assert [job.job_id for job in store.due_jobs(SOURCE, limit=1000)] == ["job_1"]
        assert claim_polls(store) == ["job_1"]
        assert store.due_jobs(SOURCE, limit=1000) == []

    def test_a_due_job_tells_what_time_it_is_for_the_database(self, store, let_pass):
        track(store, "job_1", schedule=replace(DUE, every={timedelta(0): HOUR}))
        let_pass(MINUTE)

        jobs = store.due_jobs(SOURCE, limit=1)
        jobs += store.claim_polls(SOURCE, budget=PLENTY, learn=True, limit=1, lease=HOUR)

        assert [MINUTE <= job.asked_at - job.created_at < 2 * MINUTE for job in jobs] == [True, True]

    def test_a_claimed_poll_counts(self, store):
        track(store, "job_1")

        claim_polls(store)

        assert the_job(store).poll_count == 1

    def test_a_poll_whose_claim_lapsed_is_due_again(self, store):
        track(store, "job_1")
        claim_polls(store, lease=LAPSED)

        assert claim_polls(store) == ["job_1"]

    def test_a_job_that_is_to_wait_is_not_due(self, store):
        track(store, "job_1", "job_2")

        store.postpone([(the_job(store, "job_1"), HOUR)])

        assert claim_polls(store) == ["job_2"]
        assert the_job(store, "job_1").next_poll_at - the_job(store, "job_1").created_at >= HOUR

    def test_a_job_that_was_made_due_meanwhile_does_not_wait(self, store):
        track(store, "job_1", schedule=NOT_DUE)
        known = the_job(store)
        store.receive(a_hint(an_event()))

        store.postpone([(known, HOUR)])

        assert claim_polls(store) == ["job_1"]

    def test_a_webhook_tells_when_a_job_ended(self, store, let_pass):
        track(store, "job_1")
        let_pass(MINUTE)

        store.receive(a_record(an_event()))

        [took] = store.job_times(SOURCE, limit=MANY)
        assert took.kind == "video"
        assert took.open_until == took.ended_by == pytest.approx(MINUTE, abs=10 * SECOND)
        assert took.called_back

    def test_a_poll_tells_that_a_job_ended_since_the_one_that_found_it_open(self, store, let_pass):
        track(store, "job_1")
        let_pass(MINUTE)
        poll_open(store, wait=MINUTE)
        let_pass(MINUTE)

        poll_ended(store)

        [took] = store.job_times(SOURCE, limit=MANY)
        assert took.open_until == pytest.approx(MINUTE, abs=10 * SECOND)
        assert took.ended_by == pytest.approx(2 * MINUTE, abs=SECOND)
        assert not took.called_back

    def test_the_first_poll_tells_that_a_job_ended_since_its_beginning(self, store, let_pass):
        track(store, "job_1", schedule=replace(DUE, first=MINUTE))
        let_pass(MINUTE)

        poll_ended(store)

        [took] = store.job_times(SOURCE, limit=MANY)
        assert took.open_until == timedelta(0)
        assert took.ended_by == pytest.approx(MINUTE, abs=10 * SECOND)

    def test_what_the_provider_says_of_the_end_counts(self, store, let_pass):
        track(store, "job_1")
        let_pass(2 * MINUTE)

        poll_ended(store, occurred_at=the_job(store).created_at + MINUTE)

        [took] = store.job_times(SOURCE, limit=MANY)
        assert (took.open_until, took.ended_by, took.called_back) == (MINUTE, MINUTE, False)

    @pytest.mark.parametrize("off", [-HOUR, HOUR], ids=["before-it-began", "in-the-future"])
    def test_what_the_provider_says_of_the_end_does_not_count_if_it_cannot_be(self, store, let_pass, off):
        track(store, "job_1", schedule=replace(DUE, first=MINUTE))
        let_pass(MINUTE)

        poll_ended(store, occurred_at=the_job(store).created_at + off)

        [took] = store.job_times(SOURCE, limit=MANY)
        assert took.open_until == timedelta(0)
        assert took.ended_by == pytest.approx(MINUTE, abs=10 * SECOND)

    def test_a_poll_that_came_late_does_not_tell_how_long_a_job_took(self, store, let_pass):
        track(store, "job_1", schedule=replace(DUE, first=MINUTE))
        let_pass(HOUR)

        poll_ended(store)

        assert store.job_times(SOURCE, limit=MANY) == []

    @pytest.mark.parametrize(
        "failed",
        [
            pytest.param(PollResult(wait=MINUTE, error="HTTP 500"), id="no-answer"),
            pytest.param(PollResult(wait=MINUTE, error="HTTP 404", missing=True), id="missing"),
        ],
    )
    def test_a_poll_after_one_that_failed_does_not_tell_how_long_a_job_took(self, store, let_pass, failed):
        track(store, "job_1")
        claim_polls(store)
        store.record_poll(the_job(store), failed)
        let_pass(MINUTE)

        poll_ended(store)

        assert store.job_times(SOURCE, limit=MANY) == []

    def test_a_job_that_is_found_open_is_watched_again(self, store, let_pass):
        track(store, "job_1")
        let_pass(HOUR)
        poll_open(store, wait=MINUTE)
        let_pass(MINUTE)

        poll_ended(store)

        [took] = store.job_times(SOURCE, limit=MANY)
        assert took.open_until == pytest.approx(HOUR, abs=SECOND)

    def test_an_answer_that_leads_elsewhere_does_not_say_that_a_job_is_open(self, store, let_pass):
        track(store, "job_1", schedule=replace(DUE, first=MINUTE))
        let_pass(MINUTE)
        claim_polls(store)
        store.record_poll(the_job(store), PollResult(wait=timedelta(0), status=Status.RUNNING))

        poll_ended(store)

        [took] = store.job_times(SOURCE, limit=MANY)
        assert took.open_until == timedelta(0)

    def test_tells_how_long_those_took_that_succeeded_and_whose_beginning_is_known(self, store, let_pass):
        track(store, "tracked", "failed", "open")
        store.receive(a_record(an_event("told_of", Status.RUNNING)))
        store.receive(a_record(an_event("at_once")))
        track(store, "at_once")
        store.track("other", "elsewhere", kind="video", schedule=DUE)
        let_pass(MINUTE)

        for job_id in ("tracked", "told_of"):
            store.receive(a_record(an_event(job_id)))
        store.receive(a_record(an_event("failed", Status.FAILED)))
        store.receive(a_record(an_event("elsewhere", source="other")))

        assert len(store.job_times(SOURCE, limit=MANY)) == 1

    def test_the_job_that_ended_last_is_told_of_first(self, store, let_pass):
        track(store, "job_1", "job_2", "job_3")
        for job_id in ("job_2", "job_3", "job_1"):
            let_pass(MINUTE)
            store.receive(a_record(an_event(job_id)))

        took = [round(time.ended_by / MINUTE) for time in store.job_times(SOURCE, limit=MANY)]

        assert took == [3, 2, 1]

    def test_looks_at_the_newest_jobs_only(self, store, let_pass):
        track(store, "job_1", "job_2", "job_3")
        let_pass(MINUTE)
        for job_id in ("job_1", "job_3"):
            store.receive(a_record(an_event(job_id)))

        assert [len(store.job_times(SOURCE, limit=limit)) for limit in (2, 3)] == [1, 2]

    def test_threads_never_claim_the_same_poll(self, store):
        track(store, *[f"job_{number}" for number in range(20)])

        batches = at_once(*[lambda: claim_polls(store, limit=5)] * 8)

        job_ids = [job_id for batch in batches for job_id in batch]
        assert len(job_ids) == len(set(job_ids)) == 20

    def test_stores_never_claim_the_same_poll(self, store, open_store):
        track(store, *[f"job_{number}" for number in range(20)])
        stores = [store, open_store()]

        batches = at_once(*[lambda store=store: claim_polls(store) for store in stores * 2])

        job_ids = [job_id for batch in batches for job_id in batch]
        assert len(job_ids) == len(set(job_ids)) == 20

    def test_claims_no_more_polls_than_the_budget_allows(self, store):
        track(store, *[f"job_{number}" for number in range(5)])

        counts = [len(claim_polls(store, budget=Budget(3, per=HOUR), limit=2)) for _ in range(4)]

        assert counts == [2, 1, 0, 0]

    def test_stores_share_the_budget(self, store, open_store):
        track(store, *[f"job_{number}" for number in range(20)])
        stores = [store, open_store()]

        batches = at_once(*[lambda store=store: claim_polls(store, budget=Budget(7, per=HOUR)) for store in stores * 2])

        assert sum(map(len, batches)) == 7

    def test_sources_have_budgets_of_their_own(self, store):
        track(store, "job_1")
        store.track("other", "job_1", kind="video", schedule=DUE)
        once = Budget(1, per=HOUR)
        claim_polls(store, budget=once)

        assert len(store.claim_polls("other", budget=once, learn=True, limit=1, lease=HOUR)) == 1

    def test_no_span_of_time_holds_more_polls_than_the_budget(self, store):
        track(store, *[f"job_{number}" for number in range(50)])
        budget, polls = Budget(4, per=timedelta(milliseconds=40)), []

        def claim_one_after_the_other():
            before = time.monotonic()
            claimed = claim_polls(store, budget=budget, limit=3)
            polls.extend([(before, time.monotonic())] * len(claimed))
            return len(polls) >= 16

        eventually(claim_one_after_the_other)

        # The store's clock counts milliseconds.
        spans = [polls[number + budget.count][1] - polls[number][0] for number in range(len(polls) - budget.count)]
        assert min(spans) >= 0.039

    def test_asks_about_hinted_jobs_last(self, store):
        store.receive(a_hint(an_event("job_1")))
        track(store, "job_2", "job_3")

        assert [claim_polls(store, limit=2), claim_polls(store, limit=2)] == [["job_2", "job_3"], ["job_1"]]

    def test_hinted_jobs_never_get_the_second_half_of_the_budget(self, store):
        for number in range(5):
            store.receive(a_hint(an_event(f"job_{number}")))

        counts = [len(claim_polls(store, budget=Budget(4, per=HOUR), limit=limit)) for limit in (1, MANY, MANY)]

        assert counts == [1, 1, 0]

    def test_hinted_jobs_leave_the_second_half_of_the_budget_to_others(self, store):
        for number in range(5):
            store.receive(a_hint(an_event(f"job_{number}")))
        claim_polls(store, budget=Budget(4, per=HOUR))

        track(store, "job_6", "job_7", "job_8")

        assert claim_polls(store, budget=Budget(4, per=HOUR)) == ["job_6", "job_7"]

    def test_others_may_spend_the_first_half_of_the_budget_too(self, store):
        store.receive(a_hint(an_event("job_1")))
        track(store, "job_2", "job_3", "job_4")

        assert claim_polls(store, budget=Budget(4, per=HOUR)) == ["job_2", "job_3", "job_4"]

    def test_a_budget_of_one_reaches_hinted_jobs(self, store):
        store.receive(a_hint(an_event()))

        assert claim_polls(store, budget=Budget(1, per=HOUR)) == ["job_1"]

    def test_learns_a_higher_limit(self, store):
        track(store, *[f"job_{number}" for number in range(10)])
        store.remember_limits(SOURCE, Limits(count=5))

        assert len(claim_polls(store, budget=Budget(2, per=HOUR), learn=True)) == 5

    @pytest.mark.parametrize("learn", [pytest.param(True, id="learning"), pytest.param(False, id="configured")])
    def test_obeys_a_lower_limit(self, store, learn):
        track(store, *[f"job_{number}" for number in range(10)])
        store.remember_limits(SOURCE, Limits(count=2))

        assert len(claim_polls(store, budget=Budget(5, per=HOUR), learn=learn)) == 2

    def test_a_higher_limit_does_not_overrule_the_operator(self, store):
        track(store, *[f"job_{number}" for number in range(10)])
        store.remember_limits(SOURCE, Limits(count=5))

        assert len(claim_polls(store, budget=Budget(2, per=HOUR), learn=False)) == 2

    def test_a_limit_of_nothing_is_not_believed(self, store):
        track(store, "job_1")
        store.remember_limits(SOURCE, Limits(count=0))

        assert claim_polls(store) == ["job_1"]

    def test_obeys_what_remains_until_the_reset(self, store):
        track(store, *[f"job_{number}" for number in range(10)])
        store.remember_limits(SOURCE, Limits(count=100, remaining=3, resets_after=HOUR))

        assert [len(claim_polls(store, limit=2)) for _ in range(3)] == [2, 1, 0]

    def test_what_remained_does_not_count_after_the_reset(self, store):
        track(store, *[f"job_{number}" for number in range(10)])
        store.remember_limits(SOURCE, Limits(count=100, remaining=0, resets_after=LAPSED))

        assert len(claim_polls(store)) == 10

    def test_asks_nothing_in_a_pause(self, store):
        track(store, "job_1")
        store.remember_limits(SOURCE, Limits(pause=HOUR))

        assert claim_polls(store) == []

    def test_a_pause_outlasts_other_limits(self, store):
        track(store, "job_1")
        store.remember_limits(SOURCE, Limits(pause=HOUR))
        store.remember_limits(SOURCE, Limits(count=100, remaining=99))

        assert claim_polls(store) == []

    def test_asks_again_after_a_pause(self, store):
        track(store, "job_1")
        store.remember_limits(SOURCE, Limits(pause=LAPSED))

        assert claim_polls(store) == ["job_1"]

    # Requests that are no polls

    def test_spends_no_more_requests_than_the_budget_allows(self, store):
        spent = [store.spend(SOURCE, budget=Budget(2, per=HOUR), learn=True) for _ in range(4)]

        assert spent == [True, True, False, False]

    def test_polls_and_other_requests_share_the_budget(self, store):
        track(store, *[f"job_{number}" for number in range(5)])
        budget = Budget(3, per=HOUR)
        store.spend(SOURCE, budget=budget, learn=True)

        assert len(claim_polls(store, budget=budget)) == 2
        assert not store.spend(SOURCE, budget=budget, learn=True)

    def test_stores_share_the_budget_of_other_requests(self, store, open_store):
        stores, budget = [store, open_store()], Budget(5, per=HOUR)

        spent = at_once(*[lambda store=store: store.spend(SOURCE, budget=budget, learn=True) for store in stores * 5])

        assert sum(spent) == 5

    def test_other_requests_of_one_source_leave_the_others_theirs(self, store):
        once = Budget(1, per=HOUR)
        store.spend(SOURCE, budget=once, learn=True)

        assert store.spend("other", budget=once, learn=True)

    def test_spends_nothing_in_a_pause(self, store):
        store.remember_limits(SOURCE, Limits(pause=HOUR))

        assert not store.spend(SOURCE, budget=PLENTY, learn=True)

    @pytest.mark.parametrize(
        ("learn", "spent"), [pytest.param(True, 5, id="learning"), pytest.param(False, 2, id="configured")]
    )
    def test_spends_as_many_requests_as_were_learned(self, store, learn, spent):
        store.remember_limits(SOURCE, Limits(count=5))

        assert sum(store.spend(SOURCE, budget=Budget(2, per=HOUR), learn=learn) for _ in range(10)) == spent

    def test_spends_what_remains_until_the_reset(self, store):
        store.remember_limits(SOURCE, Limits(count=100, remaining=3, resets_after=HOUR))

        assert sum(store.spend(SOURCE, budget=PLENTY, learn=True) for _ in range(10)) == 3

    # Poll answers

    def test_a_poll_sets_the_next(self, store):
        track(store, "job_1")
        claim_polls(store)

        store.record_poll(the_job(store), PollResult(wait=timedelta(0)))

        assert claim_polls(store) == ["job_1"]

    def test_a_poll_tells_how_the_job_goes(self, store):
        track(store, "job_1")

        store.record_poll(
            the_job(store), PollResult(wait=HOUR, status=Status.RUNNING, raw_status="processing", progress=40.0)
        )

        job = the_job(store)
        assert (job.status, job.raw_status, job.progress) == (Status.RUNNING, "processing", 40.0)

    def test_a_poll_tells_what_is_being_done(self, store):
        track(store, "job_1")

        store.record_poll(the_job(store), PollResult(wait=HOUR, step="upscaling"))

        assert the_job(store).step == "upscaling"

    @pytest.mark.parametrize(
        ("error", "step"),
        [pytest.param(None, None, id="answer"), pytest.param("HTTP 500", "upscaling", id="no-answer")],
    )
    def test_what_is_being_done_holds_until_the_next_answer(self, store, error, step):
        track(store, "job_1")
        store.record_poll(the_job(store), PollResult(wait=HOUR, step="upscaling"))

        store.record_poll(the_job(store), PollResult(wait=HOUR, error=error))

        assert the_job(store).step == step

    @pytest.mark.parametrize(
        ("told", "kept"),
        [pytest.param(None, "creation_1", id="not-told"), pytest.param("creation_2", "creation_2", id="told-another")],
    )
    def test_a_poll_tells_the_providers_other_name_for_a_job(self, store, told, kept):
        track(store, "job_1")
        store.record_poll(the_job(store), PollResult(wait=HOUR, reference="creation_1"))

        store.record_poll(the_job(store), PollResult(wait=HOUR, reference=told))

        assert the_job(store).reference == kept

    def test_counts_polls_that_told_the_end_without_the_result(self, store):
        track(store, "job_1")

        for incomplete in (True, False, True, True):
            store.record_poll(the_job(store), PollResult(wait=HOUR, status=Status.SUCCEEDED, incomplete=incomplete))
        store.record_poll(the_job(store), PollResult(wait=HOUR, error="no answer"))

        assert the_job(store).incomplete_count == 2

    def test_a_poll_may_put_the_deadline_off(self, store):
        track(store, "job_1")
        later = the_job(store).deadline_at + HOUR

        store.record_poll(the_job(store), PollResult(wait=HOUR, deadline_at=later))

        assert the_job(store).deadline_at == later

    def test_a_poll_leaves_the_deadline_where_it_is(self, store):
        track(store, "job_1")
        before = the_job(store)

        store.record_poll(before, PollResult(wait=HOUR))

        assert the_job(store).deadline_at == before.deadline_at

    def test_a_poll_alone_does_not_end_a_job(self, store):
        track(store, "job_1")

        store.record_poll(the_job(store), PollResult(wait=HOUR, status=Status.SUCCEEDED, raw_status="completed"))

        assert not the_job(store).status.terminal

    def test_a_late_poll_does_not_open_a_job_that_ended(self, store):
        track(store, "job_1")
        job = the_job(store)
        store.receive(a_record(an_event()))

        store.record_poll(job, PollResult(wait=HOUR, status=Status.RUNNING, raw_status="paused"))

        assert (the_job(store).status, the_job(store).next_poll_at) == (Status.SUCCEEDED, None)

    def test_counts_polls_that_failed_in_a_row(self, store):
        track(store, "job_1")

        for _ in range(2):
            store.record_poll(the_job(store), PollResult(wait=HOUR, error="HTTP 500"))

        assert (the_job(store).error_count, the_job(store).last_error) == (2, "HTTP 500")

    def test_counts_polls_that_found_no_job_in_a_row(self, store):
        track(store, "job_1")

        for _ in range(2):
            store.record_poll(the_job(store), PollResult(wait=HOUR, error="HTTP 404", missing=True))

        assert the_job(store).missing_count == 2

    def test_an_answer_ends_the_row(self, store):
        track(store, "job_1")
        store.record_poll(the_job(store), PollResult(wait=HOUR, error="HTTP 404", missing=True))

        store.record_poll(the_job(store), PollResult(wait=HOUR, status=Status.RUNNING))

        job = the_job(store)
        assert (job.error_count, job.missing_count, job.last_error) == (0, 0, None)

    @pytest.mark.parametrize(
        "make_known",
        [
            pytest.param(lambda store: track(store, "job_1"), id="tracked"),
            pytest.param(lambda store: store.receive(a_hint(an_event())), id="hinted"),
            pytest.param(lambda store: store.receive(a_record(an_event(status=Status.RUNNING))), id="progress"),
            pytest.param(
                lambda store: store.receive(a_record(an_event(status=None, raw_status="paused"))), id="unknown-status"
            ),
        ],
    )
    def test_an_open_job_has_a_next_poll(self, store, make_known):
        make_known(store)
        assert the_job(store).next_poll_at is not None

        claim_polls(store)
        assert the_job(store).next_poll_at is not None

        store.record_poll(the_job(store), PollResult(wait=HOUR, error="HTTP 500"))
        assert the_job(store).next_poll_at is not None

    def test_a_job_that_ended_has_no_next_poll(self, store):
        track(store, "job_1")

        store.receive(a_record(an_event(), via=Via.POLL))

        assert the_job(store).next_poll_at is None
        assert claim_polls(store) == []

    # What people look at

    @pytest.mark.parametrize(
        ("wanted", "job_ids"),
        [
            pytest.param({}, ["job_2", "job_1", "job_0"], id="newest-first"),
            pytest.param({"source": "other"}, ["job_1"], id="source"),
            pytest.param({"status": "succeeded"}, ["job_0"], id="status"),
            pytest.param({"status": "queued"}, ["job_2", "job_1"], id="status-open"),
            pytest.param({"status": "lost"}, [], id="status-rare"),
            pytest.param({"open": True}, ["job_2", "job_1"], id="open"),
            pytest.param({"open": True, "source": "other"}, ["job_1"], id="open-and-source"),
            pytest.param({"overdue": True}, ["job_2", "job_1"], id="overdue"),
            pytest.param({"kind": "image"}, [], id="kind"),
            pytest.param({"job_id": "job_1"}, ["job_1"], id="job"),
            pytest.param({"job_id": "job_1", "source": SOURCE}, [], id="job-and-source"),
        ],
    )
    def test_lists_jobs(self, store, wanted, job_ids):
        store.receive(a_record(an_event("job_0")))
        store.track("other", "job_1", kind="video", schedule=DUE)
        track(store, "job_2")

        rows = store.list_jobs(JobFilter(**wanted), limit=MANY).rows
        assert [row["job"] for row in rows] == job_ids

    @pytest.mark.parametrize(
        ("wanted", "kinds"),
        [
            pytest.param({"source": None, "limit": 10}, ["batch", "image", "video"], id="newest-first"),
            pytest.param({"source": None, "limit": 1}, ["batch"], id="limit"),
            pytest.param({"source": "other"}, ["image"], id="source"),
        ],
    )
    def test_lists_intents(self, store, wanted, kinds):
        intend(store, kind="video")
        intend(store, kind="image", source="other")
        intend(store, kind="batch")

        assert [row["kind"] for row in store.list_intents(**({"limit": MANY} | wanted))] == kinds

    def test_lists_an_intent_like_a_job_of_unknown_status(self, store):
        intent = intend(store, user=7)
        store.doubt(intent, "the answer was lost")

        [row] = all_intents(store)
        assert row.pop("created_at") == to_text(intent.created_at)
        assert row == {
            "source": SOURCE,
            "intent": intent.id,
            "kind": "video",
            "status": "unknown",
            "last_error": "the answer was lost",
            "metadata": {"user": 7},
        }

    @pytest.mark.parametrize(
        ("wanted", "keys"),
        [
            pytest.param({}, ["job_2:running", "job_1:succeeded", "job_0:failed"], id="newest-first"),
            pytest.param({"source": "other"}, ["job_1:succeeded"], id="source"),
            pytest.param({"job_id": "job_0"}, ["job_0:failed"], id="job"),
            pytest.param({"job_id": "job_0", "status": "running"}, [], id="job-and-status"),
            pytest.param({"status": "running"}, ["job_2:running"], id="status"),
            pytest.param({"status": "succeeded"}, ["job_1:succeeded"], id="status-common"),
            pytest.param({"status": "failed", "source": "other"}, [], id="status-and-source"),
            pytest.param({"type": "*.failed"}, ["job_0:failed"], id="type"),
            pytest.param({"type": "*_failed"}, [], id="type-with-what-others-take-for-a-pattern"),
            pytest.param({"kind": "image"}, [], id="kind"),
            pytest.param({"text": "b_1"}, ["job_1:succeeded"], id="text"),
            pytest.param({"text": "%"}, [], id="text-nowhere"),
        ],
    )
    def test_lists_events(self, store, wanted, keys):
        store.receive(a_record(an_event("job_0", Status.FAILED)))
        store.receive(a_record(an_event("job_1", source="other")))
        store.receive(a_record(an_event("job_2", Status.RUNNING)))

        rows = store.list_events(EventFilter(**wanted), limit=MANY).rows
        assert [row["key"] for row in rows] == keys

    @pytest.mark.parametrize(
        ("wanted", "handlers"),
        [
            pytest.param({}, ["log", "archive"], id="newest-first"),
            pytest.param({"handler": "archive"}, ["archive"], id="handler"),
            pytest.param({"state": "running"}, ["archive"], id="state"),
            pytest.param({"state": "pending"}, ["log"], id="state-pending"),
            pytest.param({"state": "dead"}, [], id="state-dead"),
            pytest.param({"state": "done"}, [], id="state-done"),
            pytest.param({"source": "other"}, [], id="source"),
            pytest.param({"error": "oh"}, [], id="error"),
            pytest.param({"replay_id": "a"}, [], id="replay"),
            pytest.param({"event_id": -1}, [], id="event"),
        ],
    )
    def test_lists_dispatches(self, store, wanted, handlers):
        dispatch(store, an_event(), handlers=["archive", "log"])
        claim(store, handler="archive")

        rows = store.list_dispatches(DispatchFilter(**wanted), limit=MANY).rows
        assert [row["handler"] for row in rows] == handlers

    @pytest.mark.parametrize(
        ("wanted", "sources"),
        [
            pytest.param({}, ["other", SOURCE], id="newest-first"),
            pytest.param({"source": SOURCE}, [SOURCE], id="source"),
            pytest.param({"verdict": "recorded"}, ["other", SOURCE], id="verdict"),
            pytest.param({"verdict": "unreadable"}, [], id="verdict-rare"),
            pytest.param({"via": "poll"}, [], id="via"),
            pytest.param({"since": AT + HOUR}, [], id="since"),
            pytest.param({"until": AT + HOUR}, ["other", SOURCE], id="until"),
        ],
    )
    def test_lists_deliveries(self, store, wanted, sources):
        store.receive(a_record(an_event()))
        store.receive(a_record(an_event(source="other")))

        rows = store.list_deliveries(DeliveryFilter(**wanted), limit=MANY).rows
        assert [row["source"] for row in rows] == sources

    @pytest.mark.parametrize("state", ["done", "dead", "pending", "running"])
    def test_lists_the_events_that_have_a_dispatch_in_a_state(self, store, state):
        for number, decision in enumerate((Decision.DONE, Decision.DEAD)):
            dispatch(store, an_event(f"job_{number}"))
            store.finish(*claim(store), Outcome(decision=decision, error="oh"))
        dispatch(store, an_event("job_2"))
        claim(store)
        dispatch(store, an_event("job_3"))

        rows = store.list_events(EventFilter(state=state), limit=MANY).rows
        assert [row["job"] for row in rows] == [f"job_{['done', 'dead', 'running', 'pending'].index(state)}"]

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(None, id="none"),
            pytest.param("", id="empty"),
            pytest.param("\nno disk", id="empty-first-line"),
            pytest.param("ValueError:", id="one-line"),
            pytest.param("  no disk\t \nat line 1", id="white-space"),
            pytest.param("no disk\r\nat line 1", id="windows"),
            pytest.param("10 %\r20 %", id="carriage-return"),
            pytest.param("é\N{SNOWMAN}" * 150, id="long"),
            pytest.param("x" * 199 + " y", id="long-with-a-space-at-the-end"),
        ],
    )
    def test_dead_letters_are_found_by_the_first_line_of_their_error(self, store, error):
        letter = dead(store, an_event(), error=error)
        dead(store, an_event("another"), error="ValueError: another")
        line = first_line(error)

        [row] = store.list_dispatches(DispatchFilter(state="dead", first_line=line), limit=MANY).rows
        assert row["id"] == letter
        assert store.select_dead(Selection(first_line=line), limit=MANY) == [letter]
        assert store.count_dead(Selection(first_line=line)) == {HANDLER: 1}

    def test_lists_dead_dispatches_by_their_error(self, store):
        for number, error in enumerate(("no such bucket", "HTTP 500")):
            dispatch(store, an_event(f"job_{number}"))
            store.finish(*claim(store), Outcome(decision=Decision.DEAD, error=error))

        rows = store.list_dispatches(DispatchFilter(state="dead", error="bucket"), limit=MANY).rows
        assert [row["job"] for row in rows] == ["job_0"]

    @pytest.mark.parametrize(
        ("wanted", "count"),
        [
            pytest.param({"since": -HOUR}, 3, id="since-before"),
            pytest.param({"since": HOUR}, 0, id="since-after"),
            pytest.param({"until": HOUR}, 3, id="until-after"),
            pytest.param({"until": -HOUR}, 0, id="until-before"),
            pytest.param({"since": -HOUR, "until": HOUR}, 3, id="between"),
        ],
    )
    def test_lists_events_by_when_they_were_recorded(self, store, wanted, count):
        for number in range(3):
            store.receive(a_record(an_event(f"job_{number}")))

        moments = {name: datetime.now(UTC) + shift for name, shift in wanted.items()}
        assert len(store.list_events(EventFilter(**moments), limit=MANY).rows) == count

    def test_lists_exactly_what_was_recorded_between_two_moments(self, store):
        for number in range(9):
            store.receive(a_record(an_event(f"job_{number}")))
        ids = [row["id"] for row in store.list_events(limit=MANY).rows]
        moments = {row["id"]: from_text(row["recorded_at"]) for row in store.list_events(limit=MANY).rows}

        wanted = EventFilter(since=moments[ids[6]], until=moments[ids[3]])
        expected = [event for event in ids if moments[ids[6]] <= moments[event] < moments[ids[3]]]
        assert [row["id"] for row in store.list_events(wanted, limit=MANY).rows] == expected

    @pytest.mark.parametrize("what", ["events", "deliveries", "jobs", "dispatches", "refusals"])
    def test_lists_in_pages_what_it_lists_at_once(self, store, what):
        for number in range(5):
            dispatch(store, an_event(f"job_{number}"))
        store.quarantine(refusals(5), max_count=MANY)
        ask = getattr(store, f"list_{what}")

        pages = [ask(limit=2)]
        while pages[-1].next is not None:
            pages.append(ask(limit=2, before=pages[-1].next))

        assert [len(page.rows) for page in pages] == [2, 2, 1]
        assert [row for page in pages for row in page.rows] == ask(limit=MANY).rows

    @pytest.mark.parametrize(
        ("what", "wanted"),
        [
            pytest.param("events", EventFilter(source="rare"), id="events"),
            pytest.param("deliveries", DeliveryFilter(source="rare"), id="deliveries"),
            pytest.param("jobs", JobFilter(source="rare"), id="jobs"),
            pytest.param("dispatches", DispatchFilter(source="rare"), id="dispatches"),
        ],
    )
    def test_looks_for_what_is_rare_in_a_part_at_a_time(self, store, monkeypatch, what, wanted):
        monkeypatch.setattr("receiver.store.search.WINDOW", 2)
        dispatch(store, an_event("job", source="rare"))
        for number in range(4):
            dispatch(store, an_event(f"job_{number}"))

        pages = pages_of_one(getattr(store, f"list_{what}"), wanted)

        assert [[row["source"] for row in page.rows] for page in pages] == [[], [], ["rare"]]

    @pytest.mark.parametrize(
        ("what", "wanted"),
        [
            pytest.param("events", EventFilter(source="rare", status="failed"), id="events-failed"),
            pytest.param("events", EventFilter(source="rare", state="pending"), id="events-pending"),
            pytest.param("events", EventFilter(source="rare", state="dead"), id="events-dead"),
            pytest.param("deliveries", DeliveryFilter(source="rare", verdict="unreadable"), id="deliveries"),
            pytest.param("jobs", JobFilter(source="rare", status="failed"), id="jobs-failed"),
            pytest.param("jobs", JobFilter(source="rare", open=True), id="jobs-open"),
            pytest.param("jobs", JobFilter(source="rare", status="queued"), id="jobs-queued"),
            pytest.param("dispatches", DispatchFilter(source="rare", state="pending"), id="dispatches-pending"),
            pytest.param("dispatches", DispatchFilter(source="rare", state="dead"), id="dispatches-dead"),
        ],
    )
    def test_looks_through_a_part_at_a_time_of_what_an_index_finds(self, store, monkeypatch, what, wanted):
        monkeypatch.setattr("receiver.store.search.WINDOW", 2)
        for number, source in enumerate(["rare", *[SOURCE] * 4]):
            dispatch(store, an_event(f"failed_{number}", Status.FAILED, source=source))
            dead(store, an_event(f"dead_{number}", Status.CANCELLED, source=source), handler="broken")
            store.track(source, f"open_{number}", kind="video", schedule=DUE)
            odd = unreadable(b"%d" % number)
            store.receive(replace(odd, delivery=replace(odd.delivery, source=source)))
        for number in range(4):
            dispatch(store, an_event(f"done_{number}"), handlers=["works"])
            store.finish(*claim(store, handler="works"), DONE)

        pages = pages_of_one(getattr(store, f"list_{what}"), wanted)

        # Rows that the index leaves out take up nothing of a part.
        assert [[row["source"] for row in page.rows] for page in pages] == [[], [], ["rare"]]

    @pytest.mark.parametrize(
        ("what", "wanted"),
        [
            pytest.param("events", EventFilter(status="failed"), id="events"),
            pytest.param("events", EventFilter(source=SOURCE, job_id="job"), id="events-job-and-source"),
            pytest.param("jobs", JobFilter(source=SOURCE, job_id="job"), id="jobs-id-and-source"),
            pytest.param("dispatches", DispatchFilter(event_id=1, handler=HANDLER), id="dispatches-event-and-handler"),
            pytest.param("dispatches", DispatchFilter(state="pending"), id="dispatches"),
        ],
    )
    def test_what_an_index_finds_is_found_at_once(self, store, monkeypatch, what, wanted):
        monkeypatch.setattr("receiver.store.search.WINDOW", 2)
        dispatch(store, an_event("job", Status.FAILED))
        for number in range(4):
            dispatch(store, an_event(f"job_{number}"), handlers=["works"])
            store.finish(*claim(store, handler="works"), DONE)

        page = getattr(store, f"list_{what}")(wanted, limit=2)

        assert ([row["job"] for row in page.rows], page.next) == (["job"], None)

    def test_a_list_of_nothing_has_no_next_page(self, store):
        assert store.list_events(EventFilter(since=AT, until=AT), limit=1) == Page(rows=[], next=None)

    def test_there_is_nothing_below_the_first_row(self, store):
        store.receive(a_record(an_event()))
        [row] = store.list_events(limit=MANY).rows

        assert store.list_events(limit=MANY, before=row["id"]) == Page(rows=[], next=None)

    def test_shows_one_event_whole(self, store):
        [event] = dispatch(store, an_event()).events
        store.finish(*claim(store), Outcome(decision=Decision.DONE, result={"saved": 1}))

        row = store.event_row(event.id)
        assert (row["data"], row["results"], row["delivery"]) == (
            dict(event.data),
            {HANDLER: {"saved": 1}},
            all_deliveries(store)[0]["id"],
        )

    @pytest.mark.parametrize("what", ["event_row", "delivery", "refusal", "dispatch"])
    def test_what_is_not_there_is_none(self, store, what):
        assert getattr(store, what)(17) is None

    # Between processes

    def test_proves_that_it_can_commit(self, store):
        store.prove()
        store.prove()

    def test_wakes_who_waits(self, store, open_store):
        waiting = threading.Thread(target=store.wait, args=(HOUR,), daemon=True)
        waiting.start()
        other = open_store()

        def woken():
            other.wake()
            return not waiting.is_alive()

        assert eventually(woken)

    def test_waits_no_longer_than_asked(self, store):
        began = time.monotonic()

        store.wait(timedelta(milliseconds=20))

        assert time.monotonic() - began < 5

    # Handlers are held

    def test_a_handler_that_fails_again_and_again_is_parked(self, store):
        fail(store, 3, park_after=3)
        dispatch(store, an_event("another"))

        assert store.hold(HANDLER).failure_count == 3
        assert store.hold(HANDLER).parked_until is not None
        assert claim(store) == []

    def test_fewer_failures_do_not_park_it(self, store):
        fail(store, 2, park_after=3)
        dispatch(store, an_event("another"))

        assert len(claim(store)) == 1

    def test_a_success_in_between_counts_from_the_start(self, store):
        fail(store, 2, park_after=3)
        succeed(store, "fine")
        fail(store, 2, park_after=3, first=10)

        assert store.hold(HANDLER).parked_until is None

    def test_a_dead_letter_by_decision_neither_parks_nor_frees(self, store):
        fail(store, 2, park_after=3)
        dispatch(store, an_event("poison"))
        [claimed] = claim(store)
        store.finish(claimed, DEAD, park_after=3)

        assert store.hold(HANDLER).failure_count == 2

    def test_another_handler_goes_on(self, store):
        fail(store, 3, park_after=3)
        dispatch(store, an_event("another"), handlers=["other"])

        assert len(claim(store, handler="other")) == 1

    def test_a_parked_handler_is_due_when_it_is_tried_next(self, store):
        fail(store, 3, park_after=3)
        dispatch(store, an_event("another"))

        assert timedelta(seconds=25) < store.next_due([HANDLER]) <= timedelta(seconds=30)

    def test_one_dispatch_is_tried_when_the_time_has_come(self, store, let_pass):
        fail(store, 3, park_after=3)
        dispatch(store, an_event("one"), an_event("two"))
        let_pass(timedelta(seconds=31))

        [tried] = claim(store, 5)

        assert tried.probe
        assert claim(store, 5) == []

    def test_a_vain_trial_parks_it_for_longer_and_spends_no_attempt(self, store, let_pass):
        fail(store, 3, park_after=3)
        dispatch(store, an_event("one"))
        let_pass(timedelta(seconds=31))
        [tried] = claim(store)

        store.finish(tried, Outcome(decision=Decision.SNOOZE, error="still down", failed=True), park_after=3)

        assert timedelta(seconds=55) < store.next_due([HANDLER]) <= timedelta(seconds=60)
        rows = store.list_dispatches(DispatchFilter(state="pending", event_id=tried.event.id), limit=MANY).rows
        assert [row["attempt_count"] for row in rows] == [0]

    def test_a_trial_that_works_frees_it(self, store, let_pass):
        fail(store, 3, park_after=3)
        dispatch(store, an_event("one"), an_event("two"))
        let_pass(timedelta(seconds=31))
        [tried] = claim(store)

        store.finish(tried, DONE, park_after=3)

        assert store.hold(HANDLER) == Hold()
        [next_one] = claim(store)
        assert not next_one.probe

    def test_a_limit_lets_only_so_many_begin(self, store):
        dispatch(store, *(an_event(f"job_{number}") for number in range(5)))
        limits = {HANDLER: Budget(2, per=HOUR)}

        claimed = [store.claim({HANDLER: 5}, lease=HOUR, worker="worker-1", limits=limits) for _ in range(3)]

        assert [len(taken) for taken in claimed] == [2, 0, 0]

    def test_what_a_limit_keeps_is_due_when_it_lets_go(self, store):
        dispatch(store, *(an_event(f"job_{number}") for number in range(5)))
        for _ in range(2):
            store.claim({HANDLER: 5}, lease=HOUR, worker="worker-1", limits={HANDLER: Budget(2, per=HOUR)})

        assert timedelta(minutes=59) < store.next_due([HANDLER]) <= HOUR

    def test_a_limit_lets_more_begin_when_its_span_is_over(self, store, let_pass):
        dispatch(store, *(an_event(f"job_{number}") for number in range(5)))
        limits = {HANDLER: Budget(2, per=timedelta(minutes=1))}
        for _ in range(2):
            store.claim({HANDLER: 5}, lease=HOUR, worker="worker-1", limits=limits)
        let_pass(timedelta(seconds=61))

        assert len(store.claim({HANDLER: 5}, lease=HOUR, worker="worker-1", limits=limits)) == 2

    # Jobs out of a list

    def test_takes_a_job_out_of_a_list(self, store):
        assert store.take_listed(SOURCE, Listed(job_id="job_1", kind="video", reference="ref_1"), schedule=NOT_DUE)

        [job] = store.due_jobs(SOURCE, limit=10)
        assert (job.job_id, job.kind, job.reference, job.origin) == ("job_1", "video", "ref_1", Origin.LISTED)

    def test_leaves_a_job_that_is_known_as_it_is(self, store):
        store.track(SOURCE, "job_1", kind="video", schedule=NOT_DUE, metadata={"order": 17})

        assert not store.take_listed(SOURCE, Listed(job_id="job_1", kind="image"), schedule=DUE)

        job = store.job(SOURCE, "job_1")
        assert (job.kind, job.metadata, job.origin) == ("video", {"order": 17}, Origin.TRACK)
        assert store.due_jobs(SOURCE, limit=10) == []

    def test_two_that_take_the_same_job_at_once_take_it_once(self, store, open_store):
        listed, other = Listed(job_id="job_1", kind="video"), open_store()

        taken = at_once(*[lambda at=at: at.take_listed(SOURCE, listed, schedule=DUE) for at in (store, other)])

        assert sorted(taken) == [False, True]

    def test_those_of_a_list_wait_until_the_others_were_asked_about(self, store):
        for number in range(10):
            store.take_listed(SOURCE, Listed(job_id=f"listed_{number}", kind="video"), schedule=DUE)
        store.track(SOURCE, "live", kind="video", schedule=DUE)

        first = store.claim_polls(SOURCE, budget=Budget(6, per=HOUR), learn=False, limit=2, lease=HOUR)
        second = store.claim_polls(SOURCE, budget=Budget(6, per=HOUR), learn=False, limit=10, lease=HOUR)

        assert first[0].job_id == "live"
        assert len(first) + len(second) == 3

    def test_one_that_its_provider_answers_for_is_as_good_as_told(self, store):
        store.take_listed(SOURCE, Listed(job_id="job_1", kind="video"), schedule=DUE)
        [job] = store.claim_polls(SOURCE, budget=PLENTY, learn=False, limit=1, lease=HOUR)

        store.record_poll(job, PollResult(wait=HOUR, status=Status.RUNNING, raw_status="running"))

        assert store.job(SOURCE, "job_1").origin is Origin.EVENT

    # Keys that check signatures

    def test_there_are_no_keys_at_first(self, store):
        assert store.keys(SOURCE) is None
        assert may_fetch(store)

    def test_there_are_no_keys_while_they_are_fetched_for_the_first_time(self, store):
        may_fetch(store)

        assert store.keys(SOURCE) is None

    def test_one_fetches_the_keys_at_a_time(self, store):
        assert [may_fetch(store), may_fetch(store), may_fetch(store, "other")] == [True, False, True]

    def test_keys_are_kept(self, store):
        before = datetime.now(UTC)
        may_fetch(store)

        store.keep_keys(SOURCE, ["one", "two"])

        kept = store.keys(SOURCE)
        assert kept is not None
        assert kept.keys == ("one", "two")
        assert before - timedelta(seconds=1) <= kept.fetched_at <= datetime.now(UTC) + timedelta(seconds=1)
        assert store.keys("other") is None

    def test_new_keys_replace_the_old(self, store):
        store.keep_keys(SOURCE, ["one"])
        store.keep_keys(SOURCE, ["two"])

        assert store.keys(SOURCE).keys == ("two",)

    def test_keys_are_fetched_again_when_they_are_old(self, store, let_pass):
        store.keep_keys(SOURCE, ["one"])
        young = may_fetch(store)
        let_pass(HALF_A_DAY)

        assert [young, may_fetch(store), may_fetch(store)] == [False, True, False]

    def test_keys_are_fetched_again_when_they_are_wanted_but_not_at_once(self, store, let_pass):
        may_fetch(store)
        store.keep_keys(SOURCE, ["one"])
        store.want_keys(SOURCE)
        at_once = may_fetch(store)
        let_pass(MINUTE)

        assert [at_once, may_fetch(store), may_fetch(store)] == [False, True, False]

    def test_keys_that_were_fetched_are_wanted_no_longer(self, store, let_pass):
        store.keep_keys(SOURCE, ["one"])
        store.want_keys(SOURCE)
        store.keep_keys(SOURCE, ["two"])
        let_pass(MINUTE)

        assert not may_fetch(store)

    def test_keys_that_could_not_be_fetched_are_tried_again_after_a_pause(self, store, let_pass):
        may_fetch(store)
        let_pass(MINUTE)

        assert may_fetch(store)


def fail(store: Store, count: int, *, park_after: int, first: int = 0) -> None:
    """So many dispatches, each tried once, in vain."""
    for number in range(first, first + count):
        dispatch(store, an_event(f"failing_{number}"))
        [claimed] = claim(store)
        store.finish(claimed, replace(RETRY_LATER, failed=True), park_after=park_after)


def succeed(store: Store, job_id: str) -> None:
    dispatch(store, an_event(job_id))
    [claimed] = claim(store)
    store.finish(claimed, DONE)
