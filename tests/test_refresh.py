"""Asking a provider on loopback anew for what an event's outputs are."""

import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver import isolation, plugins
from receiver.config import load
from receiver.engine.local import LocalEngine
from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed
from receiver.inbox import Source
from receiver.models import Budget, Claim, Limits, Output, Reading, Status
from receiver.outcomes import Decision
from receiver.providers.creativeai import CreativeAI
from receiver.providers.kpainter import KPainter
from receiver.refresh import refresher
from receiver.store import open_store
from receiver.store.base import DispatchFilter
from receiver.store.sqlite import SQLiteStore
from receiver.testing import make_job
from tests.scripted import Answer, Scripted, always, in_turn, job
from tests.store.contract import HOUR, SOURCE, a_record, an_event, the_job
from tests.support import sample
from tests.trouble import database_locked

KEY = "private-key"
FRESH = "https://cdn.example/a.mp4?signature=new"
PLENTY = Budget(100, per=HOUR)


class Endless(CreativeAI):
    """An adapter whose answer is always elsewhere."""

    def read(self, job, response):
        return Reading(status=Status.RUNNING, follow_up=True)


class Clumsy(CreativeAI):
    """An adapter with a mistake in it."""

    def read(self, job, response):
        raise ZeroDivisionError(response.body.decode())


@pytest.fixture
def provider():
    with Scripted(job("completed", output_url=FRESH)) as scripted:
        yield scripted


@pytest.fixture
def source(provider):
    return Source(SOURCE, CreativeAI(api_key=KEY, base_url=provider.url), PLENTY)


@pytest.fixture
def claim(store):
    """A succeeded event of a finished job, as a worker claims it."""
    store.receive(a_record(replace(an_event(), outputs=(Output("https://cdn.example/a.mp4?signature=old"),))))
    return claim_of(an_event(), the_job(store))


def claim_of(event, known):
    return Claim(id=1, token="", handler="own", attempt=1, idempotency_key="key-1", event=event, job=known)


def ask(claim, source, store):
    return refresher(claim, source, lambda: contextlib.nullcontext(store))()


def test_gives_the_outputs_as_the_provider_names_them_now(claim, source, store):
    assert list(ask(claim, source, store)) == [Output(FRESH)]


def test_leaves_the_job_and_its_events_as_they_are(claim, source, store):
    before = the_job(store)

    ask(claim, source, store)

    assert the_job(store) == before
    assert len(store.list_events(limit=10).rows) == 1
    assert len(store.list_deliveries(limit=10).rows) == 1


def test_asks_with_the_key(claim, source, store, provider):
    ask(claim, source, store)

    assert [asked.headers["authorization"] for asked in provider.asked] == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("changes", "configured"),
    [
        pytest.param({"job": None}, True, id="no-job"),
        pytest.param({}, False, id="no-source"),
    ],
)
def test_nobody_can_be_asked(claim, source, store, changes, configured):
    assert refresher(replace(claim, **changes), source if configured else None, lambda: store) is None


def test_nobody_can_be_asked_without_a_key(claim, store):
    assert refresher(claim, Source(SOURCE, CreativeAI()), lambda: store) is None


class TestWhichOutputs:
    def test_are_those_of_the_same_event(self, claim, source, store, provider):
        clips = [{"id": f"job_{n}", "status": "completed", "output_url": f"https://cdn.example/{n}"} for n in range(3)]
        provider.answer = always(Answer({"batch_id": "batch_1", "status": "completed", "total_jobs": 3, "jobs": clips}))
        batch = replace(make_job("batch_1", kind="batch", source=SOURCE), status=Status.SUCCEEDED)

        outputs = ask(claim_of(an_event("job_2"), batch), source, store)

        assert list(outputs) == [Output("https://cdn.example/2")]

    def test_are_those_of_the_job_where_the_event_was_keyed_otherwise(self, claim, source, store):
        event = replace(claim.event, key="made by an older adapter")

        assert list(ask(replace(claim, event=event), source, store)) == [Output(FRESH)]

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(job("failed"), id="failed"),
            pytest.param(job("processing"), id="running"),
            pytest.param(job("completed"), id="without-outputs"),
        ],
    )
    def test_are_none_any_more(self, claim, source, store, provider, answer):
        provider.answer = answer

        with pytest.raises(RequestFailed, match="creative: the provider names no results of the job any more"):
            ask(claim, source, store)


class TestFollowing:
    @pytest.fixture
    def source(self, provider):
        return Source(SOURCE, KPainter(api_key=KEY, base_url=provider.url), PLENTY)

    @pytest.fixture
    def known(self):
        return replace(make_job("1001", kind="explainer_video", source=SOURCE), status=Status.SUCCEEDED)

    def test_asks_where_the_answer_is(self, source, store, provider, known):
        told = json.loads(sample("kpainter/polls/job_succeeded"))
        known = replace(known, job_id=str(told["job_id"]))
        provider.answer = in_turn(Answer(told), Answer(json.loads(sample("kpainter/polls/creation"))))

        outputs = ask(claim_of(an_event(known.job_id), known), source, store)

        assert provider.paths == [f"/creations/jobs/{known.job_id}", f"/creations/{told['creation_id']}"]
        assert outputs

    def test_goes_straight_there_where_the_job_knows(self, source, store, provider, known):
        told = json.loads(sample("kpainter/polls/creation"))
        provider.answer = always(Answer(told))
        known = replace(known, raw_status="succeeded", reference=str(told["creation_id"]))

        assert ask(claim_of(an_event("1001"), known), source, store)
        assert len(provider.paths) == 1

    def test_does_not_go_on_without_end(self, claim, store, provider):
        source = Source(SOURCE, Endless(api_key=KEY, base_url=provider.url), PLENTY)

        with pytest.raises(RequestFailed, match="still elsewhere after 3 requests"):
            ask(claim, source, store)
        assert len(provider.paths) == 3

    def test_spends_a_request_on_each_step(self, claim, store, provider):
        source = Source(SOURCE, Endless(api_key=KEY, base_url=provider.url), Budget(2, per=HOUR))

        with pytest.raises(RateLimited, match="budget"):
            ask(claim, source, store)
        assert len(provider.paths) == 2


class TestBudget:
    def test_is_spent(self, claim, source, store):
        ask(claim, replace(source, budget=Budget(2, per=HOUR)), store)

        assert [store.spend(SOURCE, budget=Budget(2, per=HOUR), learn=False) for _ in range(2)] == [True, False]

    def test_that_is_spent_is_no_reason_to_ask(self, claim, source, store, provider):
        store.spend(SOURCE, budget=Budget(1, per=HOUR), learn=False)

        with pytest.raises(RateLimited, match="creative: the request budget is spent; try again later"):
            ask(claim, replace(source, budget=Budget(1, per=HOUR)), store)
        assert provider.asked == []

    def test_is_the_providers_where_the_operator_says_nothing(self, claim, source, store, provider):
        source = replace(source, budget=None)
        for _ in range(source.provider.budget.count):
            store.spend(SOURCE, budget=source.provider.budget, learn=True)

        with pytest.raises(RateLimited):
            ask(claim, source, store)

    def test_is_learned_from_the_answer(self, claim, source, store, provider):
        told = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}
        provider.answer = lambda path: replace(job("completed", output_url=FRESH)(path), headers=told)

        ask(claim, replace(source, budget=None), store)

        assert not store.spend(SOURCE, budget=PLENTY, learn=True)

    def test_pauses_when_the_provider_asks_for_it(self, claim, source, store, provider):
        provider.answer = always(Answer({"error": {"code": "rate_limit_exceeded"}}, status=429))

        with pytest.raises(RateLimited):
            ask(claim, source, store)
        assert not store.spend(SOURCE, budget=PLENTY, learn=True)

    def test_is_not_spent_in_a_pause(self, claim, source, store, provider):
        store.remember_limits(SOURCE, Limits(pause=HOUR))

        with pytest.raises(RateLimited):
            ask(claim, source, store)
        assert provider.asked == []


class TestTrouble:
    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            pytest.param(Answer({"error": "gone"}, status=404), NotFound, id="not-found"),
            pytest.param(Answer({"error": "no"}, status=401), CredentialsRefused, id="key"),
            pytest.param(Answer(b"<html>", status=502), RequestFailed, id="proxy"),
            pytest.param(None, RequestFailed, id="hangs-up"),
        ],
    )
    def test_is_told_as_it_is(self, claim, source, store, provider, answer, error):
        provider.answer = always(answer)

        with pytest.raises(error, match=r"^creative: "):
            ask(claim, source, store)

    def test_does_not_show_the_key_that_a_provider_echoes(self, claim, source, store, provider):
        provider.answer = always(Answer({"error": {"message": f"bad key {KEY}"}}, status=400))

        with pytest.raises(RequestFailed) as failure:
            ask(claim, source, store)
        assert KEY not in str(failure.value)

    def test_with_an_adapter_does_not_quote_the_answer(self, claim, store, provider):
        source = Source(SOURCE, Clumsy(api_key=KEY, base_url=provider.url), PLENTY)

        with pytest.raises(RequestFailed, match=r"^creative: the adapter failed: ZeroDivisionError$"):
            ask(claim, source, store)

    def test_with_the_store_is_a_reason_to_try_later(self, claim, source, store, database, provider):
        with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=10))) as impatient:  # noqa: SIM117
            with database_locked(database), pytest.raises(RequestFailed, match="budget of creative cannot be spent"):
                ask(claim, source, impatient)
        assert provider.asked == []


HANDLER = """
from receiver import Done, Router
router = Router()
@router.on()
def own(event, context):
    return Done({"urls": [output.url for output in context.refresh()] if context.refresh else None})
"""


@pytest.fixture
def config(tmp_path, provider):
    """A configuration with a handler that asks anew."""
    (tmp_path / "own.py").write_text(HANDLER)
    (tmp_path / "receiver.toml").write_text(
        f'[sources.creative]\nprovider = "creativeai"\nunsigned = true\napi_key = "{KEY}"\n'
        f'base_url = "{provider.url}"\n'
        '[handlers.own]\npath = "own.py"\n'
    )
    return load(tmp_path / "receiver.toml")


def test_is_in_the_context_of_a_handler(store, config):
    store.receive(a_record(an_event()))

    LocalEngine(store, plugins.handlers(config), plugins.sources(config)).run_until_idle()

    [row] = store.list_dispatches(DispatchFilter(handler="own"), limit=1).rows
    assert row["result"] == {"urls": [FRESH]}


def test_is_not_in_the_context_where_nobody_can_be_asked(store, config):
    store.receive(a_record(an_event()))

    LocalEngine(store, plugins.handlers(config), {}).run_until_idle()

    [row] = store.list_dispatches(DispatchFilter(handler="own"), limit=1).rows
    assert row["result"] == {"urls": None}


def test_is_in_the_context_of_an_isolated_handler_and_spends_the_same_budget(config):
    with contextlib.closing(open_store(config)) as store:
        store.receive(a_record(an_event()))
        claim = claim_of(an_event(), the_job(store))
        [handler] = plugins.handlers(config)

        outcome = isolation.attempt(claim, handler, config=config.file)

        assert (outcome.decision, outcome.result) == (Decision.DONE, {"urls": [FRESH]})
        assert not store.spend(SOURCE, budget=Budget(1, per=HOUR), learn=False)


def test_does_not_print_the_key(claim, source, store):
    assert KEY not in repr(refresher(claim, source, lambda: contextlib.nullcontext(store)))
