"""Submitting: a real store, real requests, and a provider that answers what each test tells it to."""

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver import Receiver, clock, inbox
from receiver.config import from_tables
from receiver.engine.local import LocalEngine
from receiver.errors import (
    ConfigError,
    InvalidBody,
    NotConfigured,
    OutcomeUnknown,
    RateLimited,
    ReceiverError,
    RequestFailed,
    StoreUnavailable,
)
from receiver.models import Budget, Delivery
from receiver.outbound import ProviderClient
from receiver.providers.creativeai import CreativeAI
from receiver.routing import Handler, Route
from receiver.sandbox import signed, webhook_body
from receiver.store.sqlite import SQLiteStore
from receiver.submit import submit
from tests.running import API_KEY, SECRET, Running, free_port
from tests.scripted import Answer, Scripted, always
from tests.support import sample
from tests.trouble import database_locked, flock_held
from tests.watch import eventually

PUBLIC = "https://hooks.example.com/receiver"
VIDEO = {"prompt": "A drone shot over a coastal city"}
ACCEPTED = Answer({"id": "vgen_1", "status": "processing"}, status=202)
SOON = timedelta(milliseconds=200)


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
def provider():
    with Scripted(always(ACCEPTED)) as server:
        yield server


@pytest.fixture
def source(provider):
    return source_at(provider.url)


@pytest.fixture
def create(source, store):
    """Submits a video: `create(metadata=…)`."""
    return lambda **more: submit_to(source, store, **more)


def source_at(url, *, api_key=API_KEY):
    return inbox.Source("creative", CreativeAI(secrets=[SECRET], api_key=api_key, base_url=url))


def submit_to(source, store, *, kind="video", body=VIDEO, timeout=timedelta(seconds=10), **more):
    with ProviderClient(timeout=timeout) as client:
        return submit(source, kind, body, store=store, client=client, **more)


def intents(store):
    return store.list_intents(source=None, limit=100)


def jobs(store):
    return store.list_jobs(limit=100).rows


def sent(provider):
    """The bodies that were posted."""
    return [json.loads(asked.body) for asked in provider.asked]


def called_back(source, store, path, *, kind="video", job_id="vgen_1"):
    """Take in the webhook that the provider posts to a path of ours."""
    body = webhook_body(kind, job_id)
    headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
    delivery = Delivery(source=source.name, body=body, headers=headers, received_at=clock.now(), path=path)
    return inbox.accept(source, delivery, store=store, now=clock.now())


def path_of(provider):
    """The path of the callback URL in the last request."""
    return sent(provider)[-1]["webhook_url"].removeprefix(PUBLIC)


class TestWhatIsAccepted:
    def test_becomes_a_job_that_is_watched(self, create, store):
        [job] = create()

        assert store.job("creative", "vgen_1") == job
        assert job.next_poll_at is not None

    def test_keeps_metadata_with_it(self, create):
        [job] = create(metadata={"order": 17})

        assert job.metadata == {"order": 17}

    def test_leaves_no_intent(self, create, store):
        create()

        assert intents(store) == []

    def test_posts_the_body_as_it_is(self, create, provider):
        create(body=VIDEO | {"model": "auto"})

        assert sent(provider) == [VIDEO | {"model": "auto"}]

    def test_tracks_an_image_to_video_job_as_a_video(self, create):
        [job] = create(kind="image-to-video", body={"image_url": "https://example.com/a.png"})

        assert job.kind == "video"

    def test_tracks_a_batch_and_all_its_clips(self, create, provider):
        provider.answer = always(Answer(sample("creativeai/polls/batch_created"), status=202))

        created = create(kind="batch", body={"prompts": ["one", "two", "three"]}, metadata={"order": 17})

        assert [(job.job_id, job.kind) for job in created] == [
            ("video_batch_abc123", "batch"),
            ("vid_xyz1", "video"),
            ("vid_xyz2", "video"),
            ("vid_xyz3", "video"),
        ]
        assert all(job.metadata == {"order": 17} for job in created)

    def test_spends_the_request_budget(self, create, store):
        create()
        store.track("creative", "vgen_2", kind="video", schedule=CreativeAI.kinds["video"])

        assert not store.claim_polls(
            "creative", budget=Budget(1, timedelta(hours=1)), learn=True, limit=9, lease=timedelta(minutes=1)
        )

    def test_remembers_what_the_answer_says_of_the_budget(self, create, provider, store):
        told = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}
        provider.answer = always(Answer(ACCEPTED.body, status=202, headers=told))

        create()

        assert spare_requests(store) == 0


def spare_requests(store):
    """How many polls the budget of the source allows now."""
    schedule = replace(CreativeAI.kinds["video"], first=timedelta(0))
    for number in range(20):
        store.track("creative", f"due_{number}", kind="video", schedule=schedule)
    claimed = store.claim_polls(
        "creative", budget=Budget(10, timedelta(minutes=1)), learn=True, limit=20, lease=timedelta(minutes=1)
    )
    return len(claimed)


class TestCallback:
    def test_is_asked_for_at_the_public_url(self, create, provider):
        create(public_url=PUBLIC)

        assert sent(provider)[0]["webhook_url"].startswith(f"{PUBLIC}/webhooks/creative/intents/")

    def test_is_not_asked_for_without_one(self, create, provider):
        create()

        assert "webhook_url" not in sent(provider)[0]

    def test_has_a_url_that_no_command_takes_for_an_option(self, create, store, provider):
        create(public_url=PUBLIC)

        assert re.fullmatch(r"[0-9a-f]{22}", path_of(provider).rpartition("/")[2])

    def test_has_another_url_for_each_job(self, create, provider):
        create(public_url=PUBLIC)
        create(public_url=PUBLIC)

        assert len({body["webhook_url"] for body in sent(provider)}) == 2

    def test_may_come_before_the_answer_and_finds_the_metadata(self, create, provider, source, store):
        seen = []
        handler = Handler(
            name="seen",
            function=lambda event, context: seen.append(context.job.metadata),
            routes=(Route(),),
            max_attempts=1,
            timeout=timedelta(seconds=10),
            concurrency=1,
            first_wait=SOON,
            longest_wait=SOON,
        )

        def answer(path):
            called_back(source, store, path_of(provider))
            LocalEngine(store, [handler], {}).run_until_idle()
            return ACCEPTED

        provider.answer = answer
        [job] = create(public_url=PUBLIC, metadata={"order": 17})

        assert seen == [{"order": 17}]
        assert (job.status, job.metadata) == ("succeeded", {"order": 17})
        assert (len(jobs(store)), intents(store)) == (1, [])

    def test_settles_what_was_in_doubt(self, create, provider, source, store):
        provider.answer = always(None)
        with pytest.raises(OutcomeUnknown):
            create(public_url=PUBLIC, metadata={"order": 17})

        called_back(source, store, path_of(provider))

        assert store.job("creative", "vgen_1").metadata == {"order": 17}
        assert intents(store) == []

    def test_that_came_is_told_of_when_the_answer_is_lost(self, create, provider, source, store):
        provider.answer = lambda path: called_back(source, store, path_of(provider)) and None

        with pytest.raises(OutcomeUnknown, match="its webhook has come, so the job exists"):
            create(public_url=PUBLIC)


class TestWhatIsNotSent:
    @pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": None}])
    def test_a_body_without_a_required_field(self, create, provider, store, body):
        with pytest.raises(InvalidBody, match="creativeai video needs prompt"):
            create(body=body)

        assert (provider.asked, intents(store)) == ([], [])

    @pytest.mark.parametrize(
        "value", [{1, 2}, b"", float("nan"), "\ud800", deep(3000)], ids=["set", "bytes", "nan", "surrogate", "deep"]
    )
    def test_a_body_that_is_no_json(self, create, provider, store, value):
        with pytest.raises(InvalidBody, match="the body cannot be written as JSON"):
            create(body=VIDEO | {"more": value})

        assert (provider.asked, intents(store)) == ([], [])

    def test_a_kind_that_cannot_be_created(self, create, provider):
        with pytest.raises(NotConfigured, match="creativeai cannot create 'other'; it can create: video, "):
            create(kind="other")

        assert provider.asked == []

    def test_anything_without_an_api_key(self, provider, store):
        with pytest.raises(ConfigError, match=r"sources\.creative\.api_key: is not set"):
            submit_to(source_at(provider.url, api_key=None), store)

    def test_anything_while_the_store_is_locked(self, source, provider, database):
        with (
            contextlib.closing(SQLiteStore(database, timeout=SOON)) as store,
            database_locked(database),
            pytest.raises(StoreUnavailable),
        ):
            submit_to(source, store)

        assert provider.asked == []


class TestWhatIsRefused:
    def test_is_told_in_the_providers_own_words(self, create, provider):
        provider.answer = always(Answer(sample("creativeai/errors/content_policy_violation"), status=400))

        with pytest.raises(RequestFailed, match="creative: HTTP 400: Your request was rejected because"):
            create()

    @pytest.mark.parametrize("status", [307, 400, 401, 402, 403, 404, 409, 422, 429, 501, 503])
    def test_leaves_neither_intent_nor_job(self, create, provider, store, status):
        provider.answer = always(Answer({"error": {"message": "no"}}, status=status))

        with pytest.raises(RequestFailed):
            create()

        assert (intents(store), jobs(store)) == ([], [])

    def test_is_told_without_our_key(self, create, provider):
        provider.answer = always(Answer({"error": {"message": f"bad key {API_KEY}"}}, status=401))

        with pytest.raises(RequestFailed) as failure:
            create()

        assert API_KEY not in str(failure.value)

    def test_says_when_to_try_again(self, create, provider):
        provider.answer = always(Answer({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "17"}))

        with pytest.raises(RateLimited, match="try again in 17 s") as failure:
            create()

        assert failure.value.retry_after == timedelta(seconds=17)

    def test_says_when_to_try_again_where_only_the_budget_tells(self, create, provider):
        told = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "42"}
        provider.answer = always(Answer({"error": {"message": "slow down"}}, status=429, headers=told))

        with pytest.raises(RateLimited, match="slow down; try again in 42 s"):
            create()

    def test_keeps_polls_waiting_for_a_while_where_nobody_says_how_long(self, create, provider, store):
        provider.answer = always(Answer({"error": {"message": "slow down"}}, status=429))

        with pytest.raises(RateLimited, match="slow down; try again later"):
            create()

        assert spare_requests(store) == 0

    def test_keeps_polls_waiting_too_when_there_were_too_many_requests(self, create, provider, store):
        provider.answer = always(Answer({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "60"}))

        with pytest.raises(RateLimited):
            create()

        assert spare_requests(store) == 0

    def test_by_nobody_because_nobody_listens_leaves_no_intent(self, store):
        with pytest.raises(RequestFailed, match="the call to 127") as failure:
            submit_to(source_at(f"http://127.0.0.1:{free_port()}"), store)

        assert not isinstance(failure.value, OutcomeUnknown)
        assert intents(store) == []


class TestWhatNobodyKnows:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(None, id="hung-up"),
            pytest.param(Answer(b"<html>", status=200), id="page"),
            pytest.param(Answer({}, status=202), id="no-id"),
            pytest.param(Answer({"id": 17}, status=202), id="odd-id"),
            pytest.param(Answer({"error": {"message": "crashed"}}, status=500), id="500"),
            pytest.param(Answer(b"<html>", status=502), id="502"),
            pytest.param(Answer(b"<html>", status=504), id="504"),
            pytest.param(Answer(b"<html>", status=524), id="524"),
            pytest.param(Answer({"error": {"message": "too slow"}}, status=408), id="408"),
        ],
    )
    def test_is_kept_as_an_intent(self, create, provider, store, answer):
        provider.answer = always(answer)

        with pytest.raises(OutcomeUnknown) as failure:
            create(metadata={"order": 17})

        [kept] = intents(store)
        assert (kept["status"], kept["kind"], kept["metadata"]) == ("unknown", "video", {"order": 17})
        assert f"receiver track creative JOB --intent {kept['intent']}" in str(failure.value)

    def test_is_asked_for_once_only(self, create, provider):
        provider.answer = always(None)

        with pytest.raises(OutcomeUnknown):
            create()

        assert len(provider.asked) == 1

    def test_is_what_takes_too_long(self, create, provider, store):
        done = threading.Event()
        provider.answer = lambda path: done.wait(10) and ACCEPTED

        with pytest.raises(OutcomeUnknown, match="no answer came"):
            create(timeout=SOON)

        done.set()
        assert len(intents(store)) == 1

    def test_is_what_an_adapter_fails_on(self, provider, store):
        class Clumsy(CreativeAI):
            def read_submission(self, kind, response):
                raise ZeroDivisionError

        source = inbox.Source("creative", Clumsy(secrets=[SECRET], api_key=API_KEY, base_url=provider.url))

        with pytest.raises(OutcomeUnknown, match="HTTP 202, ZeroDivisionError"):
            submit_to(source, store)

    def test_names_the_jobs_that_could_not_be_recorded(self, source, provider, database):
        with contextlib.ExitStack() as locked:
            provider.answer = lambda path: locked.enter_context(flock_held(database)) or ACCEPTED
            with (
                contextlib.closing(SQLiteStore(database, timeout=SOON)) as store,
                pytest.raises(OutcomeUnknown, match="created, but not recorded") as failure,
            ):
                submit_to(source, store)

        assert "receiver track creative vgen_1 --kind video --intent " in str(failure.value)

    def test_names_them_so_that_a_shell_does_nothing_else(self, source, provider, database):
        hostile = Answer({"id": "$(reboot); a", "status": "processing"}, status=202)
        with contextlib.ExitStack() as locked:
            provider.answer = lambda path: locked.enter_context(flock_held(database)) or hostile
            with (
                contextlib.closing(SQLiteStore(database, timeout=SOON)) as store,
                pytest.raises(OutcomeUnknown) as failure,
            ):
                submit_to(source, store)

        assert shlex.split(str(failure.value).splitlines()[-1])[3] == "$(reboot); a"


LIMITS = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "60"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(Answer(ACCEPTED.body, status=202, headers=LIMITS), "vgen_1 --kind video --intent", id="accepted"),
        pytest.param(Answer({"error": {"message": "no"}}, status=402, headers=LIMITS), "HTTP 402: no", id="refused"),
        pytest.param(None, "a job may have been created", id="unanswered"),
    ],
)
def test_what_the_provider_did_is_told_even_if_the_store_fails_meanwhile(provider, database, answer, told):
    with contextlib.ExitStack() as locked:
        provider.answer = lambda path: locked.enter_context(flock_held(database)) or answer
        with (
            contextlib.closing(SQLiteStore(database, timeout=SOON)) as store,
            pytest.raises(ReceiverError, match=told),
        ):
            submit_to(source_at(provider.url), store)


def test_a_batch_that_could_not_be_recorded_can_be_tracked_by_hand(provider, database, tmp_path):
    source = source_at(provider.url)
    with contextlib.ExitStack() as locked:
        created = Answer(sample("creativeai/polls/batch_created"), status=202)
        provider.answer = lambda path: locked.enter_context(flock_held(database)) or created
        with (
            contextlib.closing(SQLiteStore(database, timeout=SOON)) as store,
            pytest.raises(OutcomeUnknown) as failure,
        ):
            submit_to(source, store, kind="batch", body={"prompts": ["one"]}, metadata={"order": 17})
    config = from_tables(
        {"sources": {"creative": {"provider": "creativeai", "secrets": [SECRET]}}}, file=tmp_path / "receiver.toml"
    )

    with Receiver(config) as receiver:
        for command in str(failure.value).splitlines()[1:]:
            _, _, name, job, _, kind, _, intent = command.split()
            receiver.track(name, job, kind=kind, intent=intent)

    with contextlib.closing(SQLiteStore(database)) as store:
        assert {(row["kind"], row["metadata"]["order"]) for row in jobs(store)} == {("batch", 17), ("video", 17)}
        assert (len(jobs(store)), intents(store)) == (4, [])


SUBMIT = ["submit", "creativeai", "video", "body.json", "--metadata", '{"order": 17}']


def test_a_crash_in_between_leaves_an_intent_that_jobs_shows(tmp_path):
    answered = threading.Event()
    with Scripted(lambda path: answered.wait(30) and None) as provider:
        receiver = Running(tmp_path, "", base_url=provider.url)
        (tmp_path / "body.json").write_text(json.dumps(VIDEO))
        process = subprocess.Popen([sys.executable, "-m", "receiver", *SUBMIT], env=receiver.environment, cwd=tmp_path)
        eventually(lambda: provider.asked)
        process.send_signal(signal.SIGKILL)
        process.wait()
        answered.set()

        shown = receiver.run("jobs", "--json").stdout

    [row] = map(json.loads, shown.splitlines())
    assert (row["status"], row["metadata"]) == ("unknown", {"order": 17})
