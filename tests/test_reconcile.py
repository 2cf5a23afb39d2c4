"""Reconcile: a real store, real requests, and a provider that answers what each test tells it to."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from receiver import clock, inbox, signals
from receiver.config import load
from receiver.errors import Unreadable
from receiver.models import (
    Budget,
    Delivery,
    Event,
    Output,
    Reading,
    Request,
    Schedule,
    Standing,
    Status,
    Via,
)
from receiver.outbound import ProviderClient
from receiver.providers.base import Provider, event_key
from receiver.providers.creativeai import CreativeAI
from receiver.providers.kling import Kling
from receiver.reconcile import Finding, Reconciler
from receiver.sandbox import Conditions, Sandbox, signed, webhook_body
from receiver.store import open_store
from receiver.store.sqlite import SQLiteStore
from tests import aging
from tests.running import API_KEY, SECRET, Running, free_port
from tests.scripted import Allowance, Answer, Scripted, always, in_turn, job
from tests.support import sample
from tests.watch import eventually, hearing

NOTHING, HOUR = timedelta(0), timedelta(hours=1)
PLENTY = Budget(1000, per=timedelta(minutes=1))
DUE = Schedule(first=NOTHING, every={NOTHING: HOUR}, deadline=HOUR)
OVERDUE = replace(DUE, deadline=timedelta(seconds=-1))
ALMOST_A_DAY_OVERDUE = replace(DUE, deadline=timedelta(hours=-23, minutes=-59))
A_DAY_OVERDUE = replace(DUE, deadline=timedelta(hours=-24))

UNKNOWN_JOB = Answer({"error": {"code": "not_found", "message": "No such generation"}}, status=404)
PAGE = b"<html>Not found</html>"


class Eager(CreativeAI):
    """Asks again at once, where the others wait."""

    kinds = {kind: Schedule(first=NOTHING, every={NOTHING: NOTHING}, deadline=HOUR) for kind in CreativeAI.kinds}


class EagerKling(Kling):
    """One whose jobs may be at two places."""

    kinds = dict.fromkeys(Kling.kinds, Eager.kinds["video"])


class Late(CreativeAI):
    """Its jobs are past their deadline as soon as they are heard of."""

    kinds = dict.fromkeys(CreativeAI.kinds, OVERDUE)


class VeryLate(CreativeAI):
    """Its jobs have been past their deadline for a day."""

    kinds = dict.fromkeys(CreativeAI.kinds, A_DAY_OVERDUE)


class Literal(Provider):
    """Its answers say themselves what to make of them."""

    name = "literal"
    statuses = {}
    kinds = {"video": DUE}
    budget = PLENTY
    sends_webhooks = False

    def poll(self, job):
        return Request(path=f"/results/{job.reference}" if job.reference else f"/jobs/{job.job_id}")

    def read(self, job, response):
        data = self.answered(response)
        status = Status(data["status"])
        end = Event(
            source=job.source,
            key=event_key(job.job_id, status, None),
            type=f"video.{status}",
            data=data,
            job_id=job.job_id,
            kind="video",
            status=status,
            outputs=tuple(Output(url) for url in data.get("outputs", ())),
        )
        return Reading(
            status=status,
            raw_status=data.get("raw_status", status),
            progress=data.get("progress"),
            step=data.get("step"),
            reference=data.get("reference"),
            events=(end,) if status.terminal else (),
            follow_up=data.get("follow_up", False),
            incomplete=data.get("incomplete", False),
            pause=timedelta(minutes=data["pause"]) if "pause" in data else None,
        )


class EagerLiteral(Literal):
    kinds = Eager.kinds


class Clumsy(CreativeAI):
    """An adapter with a mistake in it."""

    def read(self, job, response):
        raise ZeroDivisionError(response.body.decode())


class Forgetful(CreativeAI):
    """One that leaves an error of its own helpers as it is."""

    def read(self, job, response):
        raise Unreadable("id is not an id")


class Careless(CreativeAI):
    """One whose event no database can hold."""

    def read(self, job, response):
        reading = super().read(job, response)
        return replace(reading, events=tuple(replace(event, data={"a", "set"}) for event in reading.events))


class Silent(CreativeAI):
    """One that tells an end and no event."""

    def read(self, job, response):
        return replace(super().read(job, response), events=())


@pytest.fixture
def provider():
    with Scripted() as server:
        yield server


@pytest.fixture
def client():
    with ProviderClient(timeout=timedelta(seconds=5)) as opened:
        yield opened


@pytest.fixture
def reconciler(store, client):
    return Reconciler(store, client)


@pytest.fixture
def source(provider):
    return source_at(provider.url)


@pytest.fixture
def eager(provider):
    return source_at(provider.url, adapter=Eager)


def source_at(url, *, adapter=CreativeAI, api_key=API_KEY, budget=PLENTY):
    return inbox.Source("creative", adapter(secrets=[SECRET], api_key=api_key, base_url=url), budget)


def hinting_at(url, *, adapter=Eager, api_key=API_KEY):
    """A source whose webhooks anybody can make up."""
    return inbox.Source("creative", adapter(unsigned=True, api_key=api_key, base_url=url), PLENTY)


def track(store, *job_ids, kind="video", schedule=DUE, **more):
    for job_id in job_ids:
        store.track("creative", job_id, kind=kind, schedule=schedule, **more)


def track_many(store, count):
    track(store, *(f"vgen_{number}" for number in range(count)))


def webhook(source, store, *, kind="video", job_id="vgen_1", status="completed"):
    """Take in what the provider would post."""
    body = webhook_body(kind, job_id, status=status)
    headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
    delivery = Delivery(source=source.name, body=body, headers=headers, received_at=clock.now())
    return inbox.accept(source, delivery, store=store, now=clock.now())


def events(store):
    """What is known, oldest first."""
    rows = store.list_events(limit=1000).rows
    return [store.event(row["id"]) for row in reversed(rows)]


def types(store):
    return [event.type for event in events(store)]


def findings(done):
    return [checked.finding for checked in done.checked]


class TestWhatIsAsked:
    @pytest.mark.parametrize(
        ("kind", "path"),
        [
            ("video", "/v1/video/generations/job_1"),
            ("batch", "/v1/video/generations/batch/job_1"),
            ("image", "/api/v1/model/prediction/job_1"),
            ("voice", "/api/generate/status/job_1"),
            ("compose", "/api/generate/status/job_1"),
            ("chart-to-video", "/api/generate/status/job_1"),
            ("background-removal", "/api/generate/status/job_1"),
            ("other", "/api/generate/status/job_1"),
        ],
    )
    def test_each_kind_has_its_route(self, store, reconciler, provider, source, kind, path):
        track(store, "job_1", kind=kind)

        reconciler.run([source])

        assert provider.paths == [path]

    def test_the_key_goes_along(self, store, reconciler, provider, source):
        track(store, "vgen_1")

        reconciler.run([source])

        assert provider.asked[0].headers["authorization"] == f"Bearer {API_KEY}"

    def test_nothing_is_asked_about_a_job_whose_time_has_not_come(self, store, reconciler, provider, source):
        track(store, "vgen_1", schedule=CreativeAI.kinds["video"])

        reconciler.run([source])

        assert provider.asked == []

    def test_nothing_is_asked_about_a_source_that_is_paused(self, store, reconciler, provider, source):
        track(store, "vgen_1")
        store.pause_source(source.name, paused=True)

        [done] = reconciler.run([source])

        assert (provider.asked, done.quiet, done.waiting) == ([], True, 0)

    def test_nothing_is_asked_about_a_job_that_ended(self, store, reconciler, provider, source):
        track(store, "vgen_1")
        webhook(source, store)

        reconciler.run([source])

        assert provider.asked == []

    def test_each_source_has_its_jobs(self, store, reconciler, provider, source):
        other = replace(source, name="other")
        track(store, "vgen_1")
        store.track("other", "vgen_2", kind="video", schedule=DUE)

        passes = reconciler.run([source, other])

        assert [[checked.job.job_id for checked in done.checked] for done in passes] == [["vgen_1"], ["vgen_2"]]

    def test_what_is_due_can_be_seen_without_asking(self, store, reconciler, provider, source):
        track(store, "vgen_1")

        due = reconciler.due(source)

        assert [found.job_id for found in due] == ["vgen_1"]
        assert provider.asked == []


class TestAgainstTheSandbox:
    @pytest.fixture
    def sandbox(self):
        with Sandbox(Conditions(duration=NOTHING), secret=SECRET, api_key=API_KEY) as served:
            yield served

    @pytest.fixture
    def source(self, sandbox):
        return source_at(sandbox.base_urls["creativeai"])

    @pytest.fixture
    def lost(self, sandbox, store):
        """A job that has ended, and whose webhook was lost."""
        answer = httpx.post(
            f"{sandbox.base_urls['creativeai']}/v1/video/generations",
            json={"prompt": "a scene", "webhook_url": "http://127.0.0.1:9/"},
            headers={"Authorization": f"Bearer {API_KEY}", "X-Sandbox": "lost"},
        ).json()
        track(store, answer["id"])
        return answer["id"]

    def test_what_a_lost_webhook_would_have_told_is_recovered(self, store, reconciler, source, lost):
        [done] = reconciler.run([source])

        assert findings(done) == [Finding.RECOVERED]
        assert [(event.key, event.via) for event in events(store)] == [(f"{lost}:succeeded", Via.POLL)]

    def test_a_webhook_that_comes_after_the_poll_is_a_duplicate(self, store, reconciler, source, lost):
        reconciler.run([source])

        receipt = webhook(source, store, job_id=lost)

        assert receipt.repeated
        assert len(events(store)) == 1

    def test_a_job_that_was_recovered_is_not_asked_about_again(self, store, reconciler, sandbox, source, lost):
        reconciler.run([source])
        reconciler.run([source])

        assert len(sandbox.polls) == 1

    def test_the_sandbox_refuses_another_key(self, store, reconciler, sandbox, lost):
        [done] = reconciler.run([source_at(sandbox.base_urls["creativeai"], api_key="another-key")])

        assert not done.ok


class TestAnswers:
    def test_a_running_job_stays_open(self, store, reconciler, source):
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.OPEN]
        assert store.job("creative", "vgen_1").status is Status.RUNNING

    def test_progress_is_kept_with_the_job(self, store, reconciler, provider, source):
        provider.answer = job("processing", progress=42)
        track(store, "vgen_1")

        reconciler.run([source])

        assert store.job("creative", "vgen_1").progress == 42

    def test_progress_is_no_event(self, store, reconciler, source):
        track(store, "vgen_1")

        reconciler.run([source])

        assert events(store) == []

    def test_a_failed_job_is_an_event_with_its_reason(self, store, reconciler, provider, source):
        provider.answer = job("failed", error={"message": "too dark", "code": "generation_failed"})
        track(store, "vgen_1")

        reconciler.run([source])

        [event] = events(store)
        assert (event.type, event.failure.message) == ("video.generation.failed", "too dark")

    def test_the_next_poll_follows_the_schedule(self, store, reconciler, source):
        track(store, "vgen_1")

        reconciler.run([source])

        wait = store.job("creative", "vgen_1").next_poll_at - clock.now()
        assert timedelta(seconds=7) < wait <= timedelta(seconds=12)

    def test_the_next_poll_is_not_after_the_deadline(self, store, reconciler, source):
        track(store, "vgen_1", schedule=replace(DUE, deadline=timedelta(seconds=5)))

        reconciler.run([source])

        known = store.job("creative", "vgen_1")
        assert known.next_poll_at <= known.deadline_at + timedelta(milliseconds=100)

    def test_what_a_webhook_told_meanwhile_is_known(self, store, reconciler, provider, source):
        def tell_and_answer(path):
            webhook(source, store)
            return job("completed")(path)

        provider.answer = tell_and_answer
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.KNOWN]
        assert [event.via for event in events(store)] == [Via.WEBHOOK]

    def test_a_batch_tells_of_clips_as_they_finish(self, store, reconciler, provider, source):
        provider.answer = always(Answer(sample("creativeai/polls/batch_running")))
        track(store, "video_batch_abc123", kind="batch")

        [done] = reconciler.run([source])

        assert [event.key for event in events(store)] == ["vid_xyz1:succeeded", "vid_xyz2:succeeded"]
        assert findings(done) == [Finding.OPEN]

    def test_a_batch_that_ends_tells_only_what_is_new(self, store, reconciler, provider):
        provider.answer = in_turn(
            Answer(sample("creativeai/polls/batch_running")), Answer(sample("creativeai/polls/batch_finished"))
        )
        track(store, "video_batch_abc123", kind="batch")
        source = source_at(provider.url, adapter=Eager)

        reconciler.run([source])
        [done] = reconciler.run([source])

        assert [event.key for event in events(store)[2:]] == ["vid_xyz3:failed", "video_batch_abc123:succeeded"]
        assert findings(done) == [Finding.RECOVERED]

    def test_a_word_nobody_knows_keeps_the_job_open(self, store, reconciler, provider, source):
        provider.answer = job("pondering")
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        known = store.job("creative", "vgen_1")
        assert findings(done) == [Finding.OPEN]
        assert (known.status, known.raw_status) == (Status.QUEUED, "pondering")

    def test_a_word_nobody_knows_is_warned_of_once(self, store, reconciler, provider, eager):
        provider.answer = job("pondering")
        track(store, "vgen_1")

        with hearing(signals.status_unknown) as heard:
            for _ in range(3):
                reconciler.run([eager])

        assert heard == [("creative", {"job": "vgen_1", "raw_status": "pondering"})]

    def test_an_answer_is_announced(self, store, reconciler, source):
        track(store, "vgen_1")

        with hearing(signals.job_polled) as heard:
            reconciler.run([source])

        assert heard == [("creative", {"job": "vgen_1", "status": Status.RUNNING})]


class TestMissing:
    def test_a_job_that_is_missing_once_stays_open(self, store, reconciler, provider, source):
        provider.answer = always(UNKNOWN_JOB)
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.OPEN]
        assert store.job("creative", "vgen_1").missing_count == 1

    def test_a_job_that_is_missing_three_times_is_lost(self, store, reconciler, provider, eager):
        provider.answer = always(UNKNOWN_JOB)
        track(store, "vgen_1")

        all_findings = [findings(reconciler.run([eager])[0]) for _ in range(3)]

        assert all_findings == [[Finding.OPEN], [Finding.OPEN], [Finding.LOST]]
        assert types(store) == ["job.lost"]

    def test_a_job_that_may_be_at_two_places_is_lost_when_each_misses_it_three_times(self, store, reconciler, provider):
        provider.answer = always(Answer({"code": 1203, "message": "no such task"}, status=404))
        source = source_at(provider.url, adapter=EagerKling, api_key="access:secret")
        track(store, "t1", kind="video")

        all_findings = [findings(reconciler.run([source])[0]) for _ in range(6)]

        assert all_findings == [[Finding.OPEN]] * 5 + [[Finding.LOST]]
        assert provider.paths == ["/v1/videos/text2video/t1", "/v1/videos/image2video/t1"] * 3

    def test_a_job_that_was_found_at_one_of_two_places_is_lost_when_that_one_misses_it(
        self, store, reconciler, provider
    ):
        missing = Answer({"code": 1203, "message": "no such task"}, status=404)
        found = Answer({"code": 0, "data": {"task_id": "t1", "task_status": "processing"}})
        provider.answer = in_turn(missing, found, missing, missing, missing)
        source = source_at(provider.url, adapter=EagerKling, api_key="access:secret")
        track(store, "t1", kind="video")

        all_findings = [findings(reconciler.run([source])[0]) for _ in range(5)]

        assert all_findings == [[Finding.OPEN]] * 4 + [[Finding.LOST]]
        assert provider.paths[1:] == ["/v1/videos/image2video/t1"] * 4

    def test_a_job_that_is_found_between_is_not_lost(self, store, reconciler, provider, eager):
        running = Answer({"id": "vgen_1", "status": "processing"})
        provider.answer = in_turn(UNKNOWN_JOB, UNKNOWN_JOB, running, UNKNOWN_JOB, UNKNOWN_JOB)
        track(store, "vgen_1")

        for _ in range(5):
            reconciler.run([eager])

        assert events(store) == []

    def test_a_page_says_nothing_about_a_job(self, store, reconciler, provider, eager):
        provider.answer = always(Answer(PAGE, status=404))
        track(store, "vgen_1")

        all_findings = [findings(reconciler.run([eager])[0]) for _ in range(4)]

        assert all_findings == [[Finding.FAILED]] * 4
        assert events(store) == []

    def test_a_path_that_the_api_does_not_have_says_nothing_about_a_job(self, store, reconciler, provider, eager):
        provider.answer = always(Answer({"detail": "Not Found"}, status=404))
        track(store, "vgen_1")

        all_findings = [findings(reconciler.run([eager])[0]) for _ in range(4)]

        assert all_findings == [[Finding.FAILED]] * 4
        assert "base_url" in store.job("creative", "vgen_1").last_error

    def test_a_job_that_was_lost_and_tracked_again_can_be_lost_again(self, store, reconciler, provider, eager):
        provider.answer = always(UNKNOWN_JOB)
        track(store, "vgen_1")
        for _ in range(3):
            reconciler.run([eager])
        track(store, "vgen_1")

        for _ in range(3):
            reconciler.run([eager])

        assert store.job("creative", "vgen_1").status is Status.LOST

    def test_a_job_that_is_missing_after_its_deadline_is_lost(self, store, reconciler, provider, source):
        provider.answer = always(UNKNOWN_JOB)
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.LOST]

    def test_the_event_says_what_the_provider_said(self, store, reconciler, provider, source):
        provider.answer = always(UNKNOWN_JOB)
        track(store, "vgen_1", schedule=OVERDUE)

        reconciler.run([source])

        assert events(store)[0].data["error"] == "HTTP 404: No such generation"


class TestHints:
    @pytest.fixture
    def source(self, provider):
        return hinting_at(provider.url)

    def test_a_hint_is_asked_about(self, store, reconciler, provider, source):
        provider.answer = job("completed")
        webhook(source, store)

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.RECOVERED]
        assert types(store) == ["video.generation.completed"]

    def test_a_hint_that_nobody_confirms_is_dropped(self, store, reconciler, provider, source):
        provider.answer = always(UNKNOWN_JOB)
        webhook(source, store)

        all_findings = [findings(reconciler.run([source])[0]) for _ in range(3)]

        assert all_findings == [[Finding.OPEN], [Finding.OPEN], [Finding.UNCONFIRMED]]
        assert store.job("creative", "vgen_1") is None

    def test_a_hint_that_nobody_confirms_is_no_event(self, store, reconciler, provider, source):
        provider.answer = always(UNKNOWN_JOB)
        webhook(source, store)

        for _ in range(3):
            reconciler.run([source])

        assert events(store) == []

    def test_a_hint_that_nobody_confirms_is_no_failure(self, store, reconciler, provider):
        provider.answer = always(UNKNOWN_JOB)
        source = hinting_at(provider.url, adapter=Late)
        webhook(source, store)

        [done] = reconciler.run([source])

        assert done.ok
        assert not done.quiet

    def test_a_hint_about_a_job_that_is_missing_after_its_deadline_is_dropped(self, store, reconciler, provider):
        provider.answer = always(UNKNOWN_JOB)
        source = hinting_at(provider.url, adapter=Late)
        webhook(source, store)

        [done] = reconciler.run([source])

        assert (findings(done), store.job("creative", "vgen_1"), events(store)) == ([Finding.UNCONFIRMED], None, [])

    def test_a_hint_that_is_answered_for_only_after_its_deadline_expires(self, store, reconciler, provider):
        provider.answer = job("processing")
        source = hinting_at(provider.url, adapter=Late)
        webhook(source, store)

        [done] = reconciler.run([source])

        assert (findings(done), types(store)) == ([Finding.EXPIRED], ["job.expired"])

    def test_a_hint_at_a_provider_that_cannot_be_reached_for_a_day_is_dropped(self, store, reconciler):
        source = hinting_at(f"http://127.0.0.1:{free_port()}", adapter=VeryLate)
        webhook(source, store)

        [done] = reconciler.run([source])

        assert (findings(done), store.job("creative", "vgen_1"), events(store)) == ([Finding.UNCONFIRMED], None, [])

    def test_a_hint_that_nobody_can_be_asked_about_is_dropped_at_its_deadline(self, store, reconciler, provider):
        source = hinting_at(provider.url, adapter=Late, api_key=None)
        webhook(source, store)

        [done] = reconciler.run([source])

        assert (findings(done), store.job("creative", "vgen_1"), events(store)) == ([Finding.UNCONFIRMED], None, [])

    def test_a_job_that_the_provider_answered_for_ends_like_others(self, store, reconciler, provider, source):
        provider.answer = in_turn(
            Answer({"id": "vgen_1", "status": "processing"}), UNKNOWN_JOB, UNKNOWN_JOB, UNKNOWN_JOB
        )
        webhook(source, store)

        all_findings = [findings(reconciler.run([source])[0]) for _ in range(4)]

        assert all_findings[-1] == [Finding.LOST]
        assert types(store) == ["job.lost"]

    def test_a_job_that_was_tracked_after_its_hint_ends_like_others(self, store, reconciler, provider, source):
        provider.answer = always(UNKNOWN_JOB)
        webhook(source, store)
        track(store, "vgen_1")

        for _ in range(3):
            reconciler.run([source])

        assert types(store) == ["job.lost"]

    def test_a_hint_that_was_dropped_may_come_again(self, store, reconciler, provider, source):
        provider.answer = in_turn(UNKNOWN_JOB, UNKNOWN_JOB, UNKNOWN_JOB, Answer({"id": "vgen_1", "status": "failed"}))
        webhook(source, store)
        for _ in range(3):
            reconciler.run([source])

        webhook(source, store)
        reconciler.run([source])

        assert types(store) == ["video.generation.failed"]


class TestDeadline:
    def test_a_job_is_asked_about_once_more_and_then_expires(self, store, reconciler, provider, source):
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([source])

        assert provider.paths == ["/v1/video/generations/vgen_1"]
        assert findings(done) == [Finding.EXPIRED]

    def test_expiry_is_an_event_that_handlers_can_want(self, store, reconciler, source):
        track(store, "vgen_1", schedule=OVERDUE)

        reconciler.run([source])

        [event] = events(store)
        assert (event.type, event.status, event.kind, event.via) == (
            "job.expired",
            Status.EXPIRED,
            "video",
            Via.DEADLINE,
        )
        assert event.standing.dispatched

    def test_an_expired_job_is_not_asked_about_again(self, store, reconciler, provider, source):
        track(store, "vgen_1", schedule=OVERDUE)

        reconciler.run([source])
        reconciler.run([source])

        assert len(provider.asked) == 1

    def test_a_job_that_ended_in_time_is_recovered_after_its_deadline(self, store, reconciler, provider, source):
        provider.answer = job("completed")
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.RECOVERED]
        assert types(store) == ["video.generation.completed"]

    def test_a_word_nobody_knows_does_not_keep_it_open_for_ever(self, store, reconciler, provider, source):
        provider.answer = job("pondering")
        track(store, "vgen_1", schedule=OVERDUE)

        reconciler.run([source])

        assert types(store) == ["job.expired"]

    @pytest.mark.parametrize(
        ("schedule", "finding"),
        [
            pytest.param(OVERDUE, Finding.FAILED, id="just-after"),
            pytest.param(ALMOST_A_DAY_OVERDUE, Finding.FAILED, id="almost-a-day-after"),
            pytest.param(A_DAY_OVERDUE, Finding.EXPIRED, id="a-day-after"),
        ],
    )
    def test_a_provider_that_cannot_be_reached_is_given_a_day(self, store, reconciler, schedule, finding):
        track(store, "vgen_1", schedule=schedule)

        [done] = reconciler.run([source_at(f"http://127.0.0.1:{free_port()}")])

        assert findings(done) == [finding]

    @pytest.mark.parametrize(
        ("ending", "status"), [("completed", Status.SUCCEEDED), ("failed", Status.FAILED)], ids=["completed", "failed"]
    )
    def test_a_late_webhook_corrects_an_expiry(self, store, reconciler, source, ending, status):
        track(store, "vgen_1", schedule=OVERDUE)
        reconciler.run([source])

        webhook(source, store, status=ending)

        assert events(store)[-1].standing is Standing.CORRECTION
        assert store.job("creative", "vgen_1").status is status

    def test_a_correction_is_dispatched(self, store, reconciler, source):
        track(store, "vgen_1", schedule=OVERDUE)
        reconciler.run([source])

        webhook(source, store)

        assert [event.type for event in store.unrouted(10)] == ["job.expired", "video.generation.completed"]


@pytest.fixture
def literal(provider):
    return source_at(provider.url, adapter=Literal)


@pytest.fixture
def eager_literal(provider):
    return source_at(provider.url, adapter=EagerLiteral)


RUNNING = Answer({"status": "running"})
ELSEWHERE = Answer({"status": "running", "raw_status": "done", "reference": "result_1", "follow_up": True})
SUCCEEDED = Answer({"status": "succeeded", "outputs": ["https://cdn.example/a.mp4"]})
INCOMPLETE = Answer({"status": "succeeded", "incomplete": True})
PAUSED = Answer({"status": "running", "raw_status": "paused", "pause": 180, "step": "top up your account"})


class TestWhatIsToldOnTheWay:
    def test_is_kept_with_the_job(self, store, reconciler, provider, literal):
        provider.answer = always(
            Answer({"status": "running", "raw_status": "at_work", "progress": 42, "step": "cut", "reference": "film_1"})
        )
        track(store, "vgen_1")

        reconciler.run([literal])

        known = store.job("creative", "vgen_1")
        assert (known.raw_status, known.progress, known.step, known.reference) == ("at_work", 42, "cut", "film_1")

    def test_is_known_to_the_adapter_when_it_asks_again(self, store, reconciler, provider, eager_literal):
        provider.answer = in_turn(Answer({"status": "running", "reference": "film_1"}), RUNNING)
        track(store, "vgen_1")

        for _ in range(2):
            reconciler.run([eager_literal])

        assert provider.paths == ["/jobs/vgen_1", "/results/film_1"]


class TestFollowUp:
    def test_the_rest_of_an_answer_is_asked_for_in_the_same_pass(self, store, reconciler, provider, literal):
        provider.answer = in_turn(ELSEWHERE, SUCCEEDED)
        track(store, "vgen_1")

        reconciler.run([literal])

        assert provider.paths == ["/jobs/vgen_1", "/results/result_1"]
        assert types(store) == ["video.succeeded"]

    def test_the_job_counts_once(self, store, reconciler, provider, literal):
        provider.answer = in_turn(ELSEWHERE, SUCCEEDED)
        track(store, "vgen_1")

        [done] = reconciler.run([literal])

        assert (findings(done), done.waiting) == ([Finding.RECOVERED], 0)

    def test_it_is_a_request_of_its_own(self, store, reconciler, provider, literal):
        provider.answer = lambda path: ELSEWHERE if path.startswith("/jobs/") else SUCCEEDED
        track(store, "vgen_1", "vgen_2")

        [done] = reconciler.run([replace(literal, budget=Budget(3, per=HOUR))])

        assert len(provider.asked) == 3
        assert (findings(done), done.waiting) == ([Finding.RECOVERED], 1)

    def test_it_waits_for_the_budget(self, store, reconciler, provider, literal):
        provider.answer = in_turn(ELSEWHERE, SUCCEEDED)
        track(store, "vgen_1")

        [done] = reconciler.run([replace(literal, budget=Budget(1, per=HOUR))])
        [after] = reconciler.run([replace(literal, budget=Budget(2, per=HOUR))])

        assert (findings(done), done.waiting, done.ok) == ([], 1, True)
        assert (findings(after), after.waiting) == ([Finding.RECOVERED], 0)

    def test_it_is_asked_for_again_after_a_failure(self, store, reconciler, provider, eager_literal):
        provider.answer = in_turn(ELSEWHERE, Answer(PAGE, status=502), SUCCEEDED)
        track(store, "vgen_1")

        passes = [reconciler.run([eager_literal])[0] for _ in range(2)]

        assert provider.paths == ["/jobs/vgen_1", "/results/result_1", "/results/result_1"]
        assert [findings(done) for done in passes] == [[Finding.FAILED], [Finding.RECOVERED]]

    def test_other_jobs_have_their_turn(self, store, reconciler, provider, literal):
        provider.answer = lambda path: SUCCEEDED if path.startswith("/results/") else ELSEWHERE
        track_many(store, 20)

        [done] = reconciler.run([literal])

        assert len(provider.asked) == 40
        assert findings(done) == [Finding.RECOVERED] * 20

    def test_an_end_whose_result_comes_later_is_followed_up_too(self, store, reconciler, provider, eager_literal):
        provider.answer = in_turn(Answer({**INCOMPLETE.body, "raw_status": "done"}), ELSEWHERE, SUCCEEDED)
        track(store, "vgen_1")

        reconciler.run([eager_literal])
        [done] = reconciler.run([eager_literal])

        assert (findings(done), len(provider.asked)) == ([Finding.RECOVERED], 3)

    def test_an_adapter_that_always_follows_up_asks_at_the_usual_intervals(self, store, reconciler, provider, literal):
        provider.answer = always(ELSEWHERE)
        track(store, "vgen_1")

        [done] = reconciler.run([literal])

        assert (findings(done), len(provider.asked)) == ([Finding.OPEN], 2)
        assert store.job("creative", "vgen_1").next_poll_at - clock.now() > timedelta(minutes=40)

    def test_an_adapter_that_always_follows_up_with_something_new_asks_twice_in_a_pass(
        self, store, reconciler, provider, literal
    ):
        provider.answer = lambda path: Answer({**ELSEWHERE.body, "raw_status": f"done {len(provider.asked)} times"})
        track(store, "vgen_1")

        [done] = reconciler.run([replace(literal, budget=Budget(10, per=HOUR))])

        assert (findings(done), len(provider.asked)) == ([Finding.OPEN], 2)

    def test_a_follow_up_may_go_past_the_deadline(self, store, reconciler, provider, literal):
        provider.answer = in_turn(ELSEWHERE, SUCCEEDED)
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([literal])

        assert findings(done) == [Finding.RECOVERED]

    def test_an_adapter_that_always_follows_up_keeps_no_job_open_for_ever(self, store, reconciler, provider, literal):
        provider.answer = always(ELSEWHERE)
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([literal])

        assert (findings(done), types(store)) == ([Finding.EXPIRED], ["job.expired"])


class TestIncomplete:
    def test_an_end_without_its_result_is_believed_after_three_more_polls(
        self, store, reconciler, provider, eager_literal
    ):
        provider.answer = always(INCOMPLETE)
        track(store, "vgen_1")

        all_findings = [findings(reconciler.run([eager_literal])[0]) for _ in range(4)]

        assert all_findings == [[Finding.OPEN], [Finding.OPEN], [Finding.OPEN], [Finding.RECOVERED]]
        assert [event.outputs for event in events(store)] == [()]

    def test_until_then_it_is_no_event_and_no_end(self, store, reconciler, provider, eager_literal):
        provider.answer = always(INCOMPLETE)
        track(store, "vgen_1")

        for _ in range(3):
            reconciler.run([eager_literal])

        assert events(store) == []
        assert not store.job("creative", "vgen_1").status.terminal

    def test_a_better_answer_wins(self, store, reconciler, provider, eager_literal):
        provider.answer = in_turn(INCOMPLETE, INCOMPLETE, SUCCEEDED)
        track(store, "vgen_1")

        for _ in range(3):
            reconciler.run([eager_literal])

        [event] = events(store)
        assert event.outputs == (Output("https://cdn.example/a.mp4"),)

    def test_the_job_is_polled_again_at_the_usual_interval(self, store, reconciler, provider, literal):
        provider.answer = always(INCOMPLETE)
        track(store, "vgen_1")

        reconciler.run([literal])

        assert store.job("creative", "vgen_1").next_poll_at - clock.now() > timedelta(minutes=40)

    def test_past_the_deadline_it_is_believed_at_once(self, store, reconciler, provider, literal):
        provider.answer = always(INCOMPLETE)
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([literal])

        assert (findings(done), types(store)) == ([Finding.RECOVERED], ["video.succeeded"])


class TestPause:
    @pytest.mark.parametrize("minutes", [5, 180], ids=["shorter-than-the-deadline", "longer-than-the-deadline"])
    def test_a_job_that_waits_for_a_person_is_left_alone(self, store, reconciler, provider, literal, minutes):
        provider.answer = always(Answer({**PAUSED.body, "pause": minutes}))
        track(store, "vgen_1")
        before = clock.now()

        reconciler.run([literal])

        wait = store.job("creative", "vgen_1").next_poll_at - before
        assert timedelta(minutes=minutes) <= wait < timedelta(minutes=minutes + 1)

    def test_it_has_its_usual_time_once_the_pause_is_over(self, store, reconciler, provider, literal):
        provider.answer = always(PAUSED)
        track(store, "vgen_1")

        reconciler.run([literal])

        known = store.job("creative", "vgen_1")
        assert abs(known.deadline_at - known.next_poll_at - DUE.deadline) < timedelta(seconds=10)

    def test_it_is_not_given_up_at_its_deadline(self, store, reconciler, provider, literal):
        provider.answer = always(PAUSED)
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([literal])

        assert (findings(done), types(store)) == ([Finding.OPEN], [])

    def test_a_later_deadline_stays(self, store, reconciler, provider, literal):
        provider.answer = always(PAUSED)
        track(store, "vgen_1", schedule=replace(DUE, deadline=timedelta(days=30)))
        deadline = store.job("creative", "vgen_1").deadline_at

        reconciler.run([literal])

        assert store.job("creative", "vgen_1").deadline_at == deadline

    def test_it_is_not_waited_for_longer_than_a_week(self, store, reconciler, provider, literal):
        provider.answer = always(Answer({**PAUSED.body, "pause": 60 * 24 * 30}))
        track(store, "vgen_1")

        reconciler.run([literal])

        known = store.job("creative", "vgen_1")
        assert known.deadline_at == known.created_at + timedelta(days=7)
        assert known.next_poll_at <= known.deadline_at + timedelta(milliseconds=100)

    @pytest.mark.parametrize(
        ("days", "finding"),
        [pytest.param(6.9, Finding.OPEN, id="within-a-week"), pytest.param(7, Finding.EXPIRED, id="after-a-week")],
    )
    def test_it_expires_after_a_week(self, store, database, reconciler, provider, literal, days, finding):
        provider.answer = always(PAUSED)
        track(store, "vgen_1", schedule=OVERDUE)
        make_older(database, timedelta(days=days))

        [done] = reconciler.run([literal])

        assert findings(done) == [finding]

    def test_it_is_announced_once(self, store, reconciler, provider, eager_literal):
        provider.answer = always(Answer({**PAUSED.body, "pause": 0}))
        track(store, "vgen_1")

        with hearing(signals.job_paused) as heard:
            for _ in range(3):
                reconciler.run([eager_literal])

        assert len(provider.asked) == 3
        assert heard == [("creative", {"job": "vgen_1", "step": "top up your account"})]

    def test_each_pause_is_announced(self, store, reconciler, provider, eager_literal):
        paused = Answer({**PAUSED.body, "pause": 0})
        provider.answer = in_turn(paused, RUNNING, paused)
        track(store, "vgen_1")

        with hearing(signals.job_paused) as heard:
            for _ in range(3):
                reconciler.run([eager_literal])

        assert len(heard) == 2

    def test_a_job_that_goes_on_is_announced_to_nobody(self, store, reconciler, provider, literal):
        provider.answer = always(RUNNING)
        track(store, "vgen_1")

        with hearing(signals.job_paused) as heard:
            reconciler.run([literal])

        assert heard == []


def make_older(database, age):
    """Make all jobs older than they are."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE jobs SET created_at = ?", (clock.to_text(clock.now() - age),))


class TestDeadlineOfTheSource:
    def test_overrules_those_of_the_kinds(self, source):
        schedules = replace(source, deadline=3 * HOUR).schedules

        assert schedules == {kind: replace(schedule, deadline=3 * HOUR) for kind, schedule in CreativeAI.kinds.items()}

    def test_those_of_the_kinds_count_where_there_is_none(self, source):
        assert source.schedules == CreativeAI.kinds

    def test_a_job_that_a_webhook_tells_of_gets_it(self, store, source):
        webhook(replace(source, deadline=3 * HOUR), store, status="processing")

        known = store.job("creative", "vgen_1")
        assert known.deadline_at - known.created_at == 3 * HOUR

    def test_a_job_that_waited_for_a_person_gets_it(self, store, reconciler, provider, literal):
        provider.answer = always(PAUSED)
        track(store, "vgen_1")

        reconciler.run([replace(literal, deadline=3 * HOUR)])

        known = store.job("creative", "vgen_1")
        assert abs(known.deadline_at - known.next_poll_at - 3 * HOUR) < timedelta(seconds=10)


class TestWithoutAKey:
    @pytest.fixture
    def source(self, provider):
        return source_at(provider.url, api_key=None)

    def test_a_job_waits_for_a_key(self, store, reconciler, source):
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.OPEN]
        assert "api_key is not set" in store.job("creative", "vgen_1").last_error

    def test_a_job_expires_at_its_deadline(self, store, reconciler, source):
        track(store, "vgen_1", schedule=OVERDUE)

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.EXPIRED]
        assert types(store) == ["job.expired"]

    @pytest.mark.parametrize("schedule", [DUE, OVERDUE], ids=["due", "overdue"])
    def test_nobody_is_asked(self, store, reconciler, provider, source, schedule):
        track(store, "vgen_1", schedule=schedule)

        [done] = reconciler.run([source])

        assert provider.asked == []
        assert done.ok


class TestTrouble:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(Answer({"error": {"message": "oh"}}, status=500), id="500"),
            pytest.param(Answer(PAGE, status=503), id="503-page"),
            pytest.param(Answer(PAGE), id="page"),
            pytest.param(Answer(b""), id="nothing"),
            pytest.param(Answer([]), id="list"),
            pytest.param(Answer({"id": "vgen_1"}), id="no-status"),
            pytest.param(Answer({"id": "vgen_2", "status": "completed"}), id="another-job"),
            pytest.param(Answer(b"", status=302, headers={"Location": "/elsewhere"}), id="redirect"),
            pytest.param(Answer(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), id="half-compressed"),
        ],
    )
    def test_an_answer_that_says_nothing_is_a_failed_poll(self, store, reconciler, provider, source, answer):
        provider.answer = always(answer)
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.FAILED]
        assert not done.ok

    def test_a_provider_that_takes_too_long_is_a_failed_poll(self, store, provider, source):
        ended = threading.Event()
        provider.answer = lambda path: Answer({"ended": ended.wait(10)})
        track(store, "vgen_1")

        with ProviderClient(timeout=timedelta(milliseconds=100)) as client:
            [done] = Reconciler(store, client).run([source])
        ended.set()

        assert [checked.error for checked in done.checked] == ["127.0.0.1 took too long"]

    def test_a_provider_that_is_away_is_a_failed_poll(self, store, reconciler):
        track(store, "vgen_1")

        [done] = reconciler.run([source_at(f"http://127.0.0.1:{free_port()}")])

        assert findings(done) == [Finding.FAILED]

    def test_a_failed_poll_is_announced(self, store, reconciler, provider, source):
        provider.answer = always(Answer({"error": {"message": "oh"}}, status=500))
        track(store, "vgen_1")

        with hearing(signals.poll_failed) as heard:
            reconciler.run([source])

        assert heard == [("creative", {"job": "vgen_1", "error": "HTTP 500: oh"})]

    def test_a_failed_poll_is_kept_with_the_job(self, store, reconciler, provider, source):
        provider.answer = always(Answer({"error": {"message": "oh"}}, status=500))
        track(store, "vgen_1")

        reconciler.run([source])

        assert store.job("creative", "vgen_1").last_error == "HTTP 500: oh"

    def test_the_job_waits_before_it_is_asked_about_again(self, store, reconciler, provider, source):
        provider.answer = always(Answer(PAGE, status=500))
        track(store, "vgen_1")

        reconciler.run([source])

        wait = store.job("creative", "vgen_1").next_poll_at - clock.now()
        assert timedelta(seconds=7) < wait <= timedelta(seconds=12)

    def test_failures_in_a_row_are_counted(self, store, reconciler, provider, eager):
        provider.answer = always(Answer(PAGE, status=500))
        track(store, "vgen_1")

        for _ in range(3):
            reconciler.run([eager])

        assert store.job("creative", "vgen_1").error_count == 3

    def test_an_answer_ends_the_count(self, store, reconciler, provider, eager):
        provider.answer = in_turn(Answer(PAGE, status=500), Answer({"id": "vgen_1", "status": "processing"}))
        track(store, "vgen_1")

        for _ in range(2):
            reconciler.run([eager])

        known = store.job("creative", "vgen_1")
        assert (known.error_count, known.last_error) == (0, None)

    def test_one_failure_does_not_keep_others_from_being_asked_about(self, store, reconciler, provider, source):
        provider.answer = lambda path: Answer(PAGE, status=500) if path.endswith("_3") else job("completed")(path)
        track_many(store, 10)

        [done] = reconciler.run([source])

        assert (done.count(Finding.RECOVERED), done.count(Finding.FAILED)) == (9, 1)

    def test_an_adapters_mistake_is_a_failed_poll(self, store, reconciler, provider):
        track(store, "vgen_1")

        [done] = reconciler.run([source_at(provider.url, adapter=Clumsy)])

        assert [checked.error for checked in done.checked] == ["the adapter failed: ZeroDivisionError"]

    @pytest.mark.parametrize("adapter", [Clumsy, Forgetful, Careless, Silent])
    def test_an_adapters_mistake_keeps_no_other_source_from_being_asked(
        self, store, reconciler, provider, source, adapter
    ):
        provider.answer = job("completed")
        track(store, "vgen_1")
        store.track("other", "vgen_2", kind="video", schedule=DUE)

        failed, fine = reconciler.run([source_at(provider.url, adapter=adapter), replace(source, name="other")])

        assert (findings(failed), findings(fine)) == ([Finding.FAILED], [Finding.RECOVERED])
        assert store.job("creative", "vgen_1").finished_at is None

    def test_findings_are_counted_over_all_sources(self, store, reconciler, provider, source):
        provider.answer = job("completed")
        track_many(store, 3)
        store.track("other", "vgen_1", kind="video", schedule=DUE)

        passes = reconciler.run([source, replace(source, name="other")])

        assert sum(done.count(Finding.RECOVERED) for done in passes) == 4


class TestCredentials:
    @pytest.fixture
    def provider(self, provider):
        provider.answer = always(Answer({"error": {"message": "Invalid API key"}}, status=401))
        return provider

    def test_the_error_names_the_setting(self, store, reconciler, source):
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert done.error == "HTTP 401: Invalid API key; check sources.creative.api_key"
        assert not done.ok

    def test_nothing_more_is_asked_with_a_key_that_is_refused(self, store, reconciler, provider, source):
        track_many(store, 30)

        [done] = reconciler.run([source])

        assert len(provider.asked) <= 8
        assert done.waiting == 30 - len(provider.asked)

    def test_the_jobs_stay_open(self, store, reconciler, source):
        track(store, "vgen_1")

        reconciler.run([source])

        assert events(store) == []


class TestSecrets:
    """The provider quotes the key it was sent, and a secret of ours, in its errors."""

    TOLD = f"the key {API_KEY} and the secret {SECRET} are wrong"

    @pytest.fixture(params=[500, 404, 401, 429])
    def provider(self, provider, request):
        error = {"error": {"message": self.TOLD}}
        provider.answer = always(Answer(error, status=request.param, headers={"Set-Cookie": API_KEY}))
        return provider

    def test_are_not_kept_with_the_job(self, store, reconciler, source):
        track(store, "vgen_1")

        reconciler.run([source])

        assert not shown(store.job("creative", "vgen_1").last_error)

    def test_are_not_in_what_was_found(self, store, reconciler, source):
        track(store, "vgen_1")

        [done] = reconciler.run([source])

        assert not shown(done.error, *(checked.error for checked in done.checked))

    def test_are_not_announced(self, store, reconciler, source):
        track(store, "vgen_1")

        with hearing(signals.poll_failed) as heard:
            reconciler.run([source])

        assert not shown(*heard)

    def test_are_not_in_the_event_of_an_end(self, store, reconciler, source):
        track(store, "vgen_1", schedule=A_DAY_OVERDUE)

        reconciler.run([source])

        assert types(store) in (["job.expired"], ["job.lost"])
        assert not shown(events(store)[0].data)


def test_a_cookie_of_the_provider_is_not_kept(store, reconciler, provider, source):
    provider.answer = always(Answer({"id": "vgen_1", "status": "completed"}, headers={"Set-Cookie": "private"}))
    track(store, "vgen_1")

    reconciler.run([source])

    [row] = store.list_deliveries(limit=10).rows
    assert store.delivery(row["id"])["headers"]["set-cookie"] == "(masked)"


def shown(*told):
    """Whether a secret can be read in it."""
    return any(secret in str(text) for text in told for secret in (API_KEY, SECRET))


class TestBudget:
    def test_a_provider_that_asks_us_to_wait_is_asked_nothing_more(self, store, reconciler, provider, source):
        provider.answer = always(Answer(status=429, headers={"Retry-After": "60"}))
        track_many(store, 30)

        [done] = reconciler.run([source])

        # Those that were on their way already.
        assert len(provider.asked) <= 8
        assert done.waiting == 30 - len(provider.asked)

    def test_the_whole_source_is_paused(self, store, reconciler, provider, source):
        provider.answer = in_turn(Answer(status=429, headers={"Retry-After": "60"}))
        track(store, "vgen_1")
        reconciler.run([source])
        track(store, "vgen_2")

        [done] = reconciler.run([source])

        assert (done.checked, done.waiting) == ([], 1)

    def test_the_job_itself_waits_as_long(self, store, reconciler, provider, source):
        provider.answer = always(Answer(status=429, headers={"Retry-After": "600"}))
        track(store, "vgen_1")

        reconciler.run([source])

        wait = store.job("creative", "vgen_1").next_poll_at - clock.now()
        assert timedelta(seconds=590) < wait <= timedelta(seconds=600)

    def test_other_sources_are_not_paused(self, store, reconciler, provider, source):
        provider.answer = always(Answer(status=429, headers={"Retry-After": "60"}))
        track(store, "vgen_1")
        reconciler.run([source])
        store.track("other", "vgen_2", kind="video", schedule=DUE)

        [done] = reconciler.run([replace(source, name="other")])

        assert len(done.checked) == 1

    def test_the_providers_budget_is_kept_where_nobody_says_more(self, store, reconciler, provider):
        track_many(store, 30)

        [done] = reconciler.run([source_at(provider.url, budget=None)])

        assert len(provider.asked) == CreativeAI.budget.count
        assert done.waiting == 20

    def test_what_the_headers_say_is_learned(self, store, reconciler, provider):
        provider.answer = Allowance(25)
        track_many(store, 30)

        reconciler.run([source_at(provider.url, budget=None)])

        assert len(provider.asked) == 25

    def test_what_is_left_counts_others_with_the_same_key(self, store, reconciler, provider):
        provider.answer = Allowance(100, used=85)
        track_many(store, 30)

        reconciler.run([source_at(provider.url, budget=None)])

        assert len(provider.asked) == 15

    @pytest.mark.parametrize("told", [4, 100], ids=["told-less", "told-more"])
    def test_a_configured_budget_is_never_exceeded(self, store, reconciler, provider, told):
        provider.answer = Allowance(told)
        track_many(store, 30)

        reconciler.run([source_at(provider.url, budget=Budget(6, per=timedelta(minutes=1)))])

        assert len(provider.asked) == 6

    def test_what_the_headers_say_limits_a_configured_budget(self, store, reconciler, provider):
        provider.answer = Allowance(12)
        track_many(store, 30)

        reconciler.run([source_at(provider.url)])

        assert len(provider.asked) == 12

    def test_a_budget_is_shared_by_passes_that_follow_each_other(self, store, reconciler, provider, source):
        source = replace(source, budget=Budget(12, per=timedelta(minutes=1)))
        track_many(store, 8)
        reconciler.run([source])
        track(store, *(f"more_{number}" for number in range(8)))

        [done] = reconciler.run([source])

        assert (len(done.checked), done.waiting) == (4, 4)

    def test_jobs_that_wait_for_the_budget_are_no_failure(self, store, reconciler, source):
        track_many(store, 10)

        [done] = reconciler.run([replace(source, budget=Budget(3, per=timedelta(minutes=1)))])

        assert done.ok


class TestAtOnce:
    @pytest.fixture
    def passes(self, database, store, client):
        """Makes passes at once, each with a store of its own."""

        def run(source, count=3):
            start = threading.Barrier(count)

            def one(number):
                with closing(SQLiteStore(database)) as own:
                    start.wait()
                    return Reconciler(own, client).run([source])[0]

            with ThreadPoolExecutor(count) as pool:
                return list(pool.map(one, range(count)))

        return run

    def test_no_job_is_asked_about_twice(self, store, provider, source, passes):
        track_many(store, 60)

        passes(source)

        assert (len(provider.asked), provider.most_often) == (60, 1)

    def test_together_they_keep_the_budget(self, store, provider, source, passes):
        provider.answer = Allowance(20, headers=False)
        track_many(store, 60)

        passes(replace(source, budget=Budget(20, per=timedelta(minutes=1))))

        assert (provider.answer.used, provider.answer.refused) == (20, 0)

    def test_together_they_learn_what_is_left(self, store, provider, source, passes):
        provider.answer = Allowance(40)
        track_many(store, 60)

        passes(source, count=2)

        assert (provider.answer.used, provider.answer.refused) == (40, 0)

    def test_an_expiry_is_one_event(self, store, provider, source, passes):
        track(store, *(f"vgen_{number}" for number in range(20)), schedule=OVERDUE)

        passes(source_at(provider.url, api_key=None))

        assert len(events(store)) == 20

    def test_processes_share_the_jobs_too(self, tmp_path, provider):
        receiver = Running(tmp_path, 'budget = "1000/min"', base_url=provider.url)
        with closing(open_store(load(receiver.config))) as store:
            for number in range(60):
                store.track("creativeai", f"vgen_{number}", kind="video", schedule=DUE)

        passes = [
            subprocess.Popen(
                [sys.executable, "-m", "receiver", "reconcile"], env=receiver.environment, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        for process in passes:
            process.communicate(timeout=30)

        assert [process.returncode for process in passes] == [0, 0]
        assert (len(provider.asked), provider.most_often) == (60, 1)


class TestPublishedKeys:
    """Those of one provider that publishes a list of them."""

    class Publishing(CreativeAI):
        def read_keys(self, response):
            return tuple(self.answered(response)["keys"])

    @pytest.fixture
    def source(self, provider):
        made = self.Publishing(api_key=None, base_url=provider.url)
        made.keys_url = f"{provider.url}/jwks.json"
        provider.answer = always(Answer({"keys": ["one", "two"]}))
        return inbox.Source("creative", made)

    def test_are_fetched(self, store, reconciler, source):
        reconciler.run([source])

        assert store.keys("creative").keys == ("one", "two")

    def test_are_fetched_without_the_api_key(self, reconciler, provider, source):
        source.provider.api_key = API_KEY

        reconciler.run([source])

        [asked] = provider.asked
        assert asked.path == "/jwks.json"
        assert API_KEY not in str(asked.headers)

    def test_are_not_fetched_in_every_pass(self, reconciler, provider, source):
        for _ in range(5):
            reconciler.run([source])

        assert provider.paths == ["/jwks.json"]

    def test_stay_while_their_place_cannot_be_reached(self, store, reconciler, provider, source, database):
        reconciler.run([source])
        provider.answer = always(Answer(status=503))
        aging.let_pass(database, timedelta(hours=13).total_seconds())

        reconciler.run([source])

        assert len(provider.asked) == 2
        assert store.keys("creative").keys == ("one", "two")

    def test_do_not_keep_jobs_from_being_asked_about(self, store, reconciler, provider, source):
        source.provider.api_key = API_KEY
        track(store, "vgen_1")
        provider.answer = lambda path: None if "jwks" in path else job("completed")(path)

        [done] = reconciler.run([source])

        assert findings(done) == [Finding.RECOVERED]


class TestSideBySide:
    def test_a_provider_that_does_not_answer_holds_up_no_other(self, store, reconciler, provider):
        answered = threading.Event()
        with Scripted(lambda path: answered.wait(20) and job("completed")(path)) as slow:
            stuck = replace(source_at(slow.url), name="stuck")
            quick = source_at(provider.url)
            for name in ("stuck", "creative"):
                store.track(name, "vgen_1", kind="video", schedule=DUE)
            provider.answer = job("completed")
            with ThreadPoolExecutor(1) as pool:
                passes = pool.submit(reconciler.run, [stuck, quick])

                eventually(lambda: store.job("creative", "vgen_1").status is Status.SUCCEEDED)
                assert not passes.done()
                answered.set()

                assert [findings(done) for done in passes.result(20)] == [[Finding.RECOVERED]] * 2

    def test_a_pass_that_is_to_stop_asks_nothing_more(self, store, client, provider, source):
        stopped = threading.Event()
        track_many(store, 30)

        def answer(path):
            stopped.set()
            return job("processing")(path)

        provider.answer = answer

        [done] = Reconciler(store, client, stopped=stopped).run([source])

        assert len(provider.asked) == len(done.checked) == 8
        assert done.waiting == 22


class TestWhatIsLearned:
    """From twenty jobs that ended by webhook at the age of a minute."""

    @pytest.fixture
    def taught(self, store, source, database):
        schedule = source.schedules["video"]
        track(store, *(f"vgen_{number}" for number in range(20)), schedule=schedule)
        aging.let_pass(database, 60)
        for number in range(20):
            webhook(source, store, job_id=f"vgen_{number}")
        return source

    def test_a_job_is_not_asked_about_before_others_like_it_end(self, store, database, reconciler, provider, taught):
        track(store, "young", schedule=taught.schedules["video"])
        aging.let_pass(database, 10)

        [done] = reconciler.run([taught])

        young = store.job("creative", "young")
        assert (done.checked, done.waiting, provider.paths) == ([], 0, [])
        assert young.next_poll_at - young.created_at == pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=1))

    def test_a_job_that_waited_is_asked_about_when_others_like_it_have_ended(
        self, store, database, reconciler, provider, taught
    ):
        track(store, "young", schedule=taught.schedules["video"])
        aging.let_pass(database, 10)
        reconciler.run([taught])
        aging.let_pass(database, 51)
        provider.answer = job("completed", video_url="https://example.com/1.mp4")

        [done] = reconciler.run([taught])

        assert findings(done) == [Finding.RECOVERED]

    def test_a_job_that_somebody_asks_for_does_not_wait(self, store, database, reconciler, provider, taught):
        track(store, "young", schedule=taught.schedules["video"])
        aging.let_pass(database, 20)
        store.poll_soon("creative", "young")
        provider.answer = job("processing")

        [done] = reconciler.run([taught])

        assert findings(done) == [Finding.OPEN]

    def test_a_job_that_is_still_open_waits_for_when_others_end(self, store, database, reconciler, provider, taught):
        track(store, "young", schedule=taught.schedules["video"])
        aging.let_pass(database, 40)
        store.poll_soon("creative", "young")
        provider.answer = job("processing")

        reconciler.run([taught])

        young = store.job("creative", "young")
        assert young.next_poll_at - young.created_at == pytest.approx(timedelta(minutes=1), abs=timedelta(seconds=1))

    @pytest.mark.parametrize("kind", ["image", "voice"])
    def test_other_kinds_have_taught_nothing(self, store, database, reconciler, provider, taught, kind):
        track(store, "young", kind=kind, schedule=taught.schedules[kind])
        aging.let_pass(database, 10)
        provider.answer = job("processing")

        [done] = reconciler.run([taught])

        assert findings(done) == [Finding.OPEN]

    def test_a_job_whose_beginning_nobody_knows_is_asked_about_as_ever(
        self, store, database, reconciler, provider, taught
    ):
        webhook(taught, store, job_id="told", status="processing")
        aging.let_pass(database, 10)
        provider.answer = job("processing")

        [done] = reconciler.run([taught])

        assert findings(done) == [Finding.OPEN]

    def test_says_what_it_learned_once(self, store, database, reconciler, taught, caplog):
        caplog.set_level("INFO", logger="receiver")
        track(store, "young", schedule=taught.schedules["video"])
        aging.let_pass(database, 10)

        for _ in range(2):
            reconciler.run([taught])
            store.poll_soon("creative", "young")

        [told] = [record for record in caplog.records if record.getMessage() == "learned when jobs end"]
        assert (told.kind, told.learned_from, told.usually_after) == ("video", 20, "59 to 60 s")


def test_a_hint_that_nobody_can_answer_is_dropped_at_its_deadline(store, reconciler, provider):
    hinting = hinting_at(provider.url, adapter=Late)
    inbox.accept(
        hinting,
        Delivery(source="creative", body=webhook_body("video", "made_up", status="completed"), received_at=clock.now()),
        store=store,
        now=clock.now(),
    )
    provider.answer = always(Answer({"error": {"message": "no UUID"}}, status=422))

    [done] = reconciler.run([hinting])

    assert findings(done) == [Finding.UNCONFIRMED]
    assert store.job("creative", "made_up") is None
