"""One attempt and what it decides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receiver import clock, executor
from receiver.models import Claim, Event
from receiver.outbound import HandlerClient
from receiver.outcomes import Cancel, Decision, Done, Outcome, PermanentError, RetryAfter, Snooze
from receiver.routing import Handler, HandlerSettings, Route

EVENT = Event(source="creative", key="job_1:succeeded", type="video.generation.completed", data={"id": "job_1"})
CLAIM = Claim(id=1, token="t", handler="archive", attempt=1, idempotency_key="key", event=EVENT, job=None)
LAST = replace(CLAIM, attempt=3)
SECOND = timedelta(seconds=1)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


class UnprintableExit(Exception):
    def __str__(self):
        raise SystemExit


class Strange:
    def __eq__(self, other):
        raise RuntimeError("compared")

    def __repr__(self):
        raise RuntimeError("shown")


def a_handler(function, *, settings=None):
    return Handler(
        name="archive",
        function=function,
        routes=(Route(),),
        settings=settings,
        max_attempts=3,
        timeout=90 * SECOND,
        concurrency=1,
        first_wait=10 * SECOND,
        longest_wait=60 * SECOND,
    )


def returning(value, *, claim=CLAIM):
    return executor.run(claim, a_handler(lambda event: value))


def raising(error, *, claim=CLAIM):
    def function(event):
        raise error

    return executor.run(claim, a_handler(function))


def test_gives_the_event_to_the_handler():
    given = []

    executor.run(CLAIM, a_handler(given.append))

    assert given == [EVENT]


def test_gives_what_the_handler_may_want_besides():
    contexts, settings = [], HandlerSettings()

    executor.run(
        replace(CLAIM, attempt=2), a_handler(lambda event, context: contexts.append(context), settings=settings)
    )

    [context] = contexts
    assert (context.settings, context.job, context.attempt, context.idempotency_key) == (settings, None, 2, "key")


@pytest.mark.parametrize(
    ("returned", "outcome"),
    [
        pytest.param(None, Outcome(decision=Decision.DONE), id="nothing"),
        pytest.param(Done(), Outcome(decision=Decision.DONE), id="done"),
        pytest.param(Done({"a": [1]}), Outcome(decision=Decision.DONE, result={"a": [1]}), id="result"),
        pytest.param(Snooze(SECOND), Outcome(decision=Decision.SNOOZE, wait=SECOND), id="snooze"),
        pytest.param(Snooze(0 * SECOND), Outcome(decision=Decision.SNOOZE, wait=SECOND), id="snooze-for-no-time"),
        pytest.param(Snooze(-SECOND), Outcome(decision=Decision.SNOOZE, wait=SECOND), id="snooze-into-the-past"),
        pytest.param(Cancel("why"), Outcome(decision=Decision.CANCEL, error="why"), id="cancel"),
        pytest.param(Cancel(7), Outcome(decision=Decision.CANCEL, error="7"), id="cancel-with-a-number"),
    ],
)
def test_does_what_the_handler_returns(returned, outcome):
    assert returning(returned) == outcome


@pytest.mark.parametrize(
    "returned",
    [
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param("done", id="text"),
        pytest.param(Done, id="class"),
        pytest.param(Strange(), id="strange"),
        pytest.param(RuntimeError("returned"), id="exception"),
    ],
)
def test_takes_what_means_nothing_as_done(returned):
    assert returning(returned) == Outcome(decision=Decision.DONE)


def test_warns_of_what_means_nothing(caplog):
    returning("secret")

    [record] = caplog.records
    assert (record.levelname, record.handler, record.returned) == ("WARNING", "archive", "str")
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({"a": object()}, id="object"),
        pytest.param({"a": float("nan")}, id="not-a-number"),
        pytest.param({"a": datetime(2026, 3, 9, tzinfo=UTC)}, id="moment"),
        pytest.param({("a", "b"): 1}, id="key"),
        pytest.param(["a"], id="list"),
        pytest.param("a", id="text"),
    ],
)
def test_what_cannot_be_kept_is_done_all_the_same(result):
    outcome = returning(Done(result))

    assert (outcome.decision, outcome.result) == (Decision.DONE, None)
    assert outcome.error.startswith("the result was not kept: ")


def test_a_result_that_holds_itself_is_not_kept():
    result = {}
    result["itself"] = result

    assert returning(Done(result)).error.startswith("the result was not kept: ")


def test_a_snooze_has_an_end():
    assert returning(Snooze(timedelta.max)).wait < timedelta(days=4000)


def test_a_snooze_without_a_duration_is_a_failure():
    assert returning(Snooze("5 minutes")).decision is Decision.RETRY


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(ValueError("no such bucket"), "ValueError: no such bucket", id="exception"),
        pytest.param(SystemExit(3), "SystemExit: 3", id="exit"),
        pytest.param(KeyboardInterrupt(), "KeyboardInterrupt: ", id="interrupt"),
        pytest.param(BaseException("worst"), "BaseException: worst", id="base"),
        pytest.param(Unprintable(), "Unprintable", id="unprintable"),
        pytest.param(UnprintableExit(), "UnprintableExit", id="exits-when-printed"),
        pytest.param(RecursionError("deep"), "RecursionError: deep", id="recursion"),
    ],
)
def test_retries_what_raises(error, text):
    outcome = raising(error)

    assert (outcome.decision, outcome.error) == (Decision.RETRY, text)


def test_an_error_says_of_a_url_only_the_host():
    outcome = raising(ValueError("404 for url 'https://cdn.example/a.mp4?X-Amz-Signature=private'"))

    assert outcome.error == "ValueError: 404 for url 'https://cdn.example/…'"


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [pytest.param(1, 8, 12, id="first"), pytest.param(2, 16, 24, id="second")]
)
def test_waits_longer_after_each_failure(attempt, least, most):
    wait = raising(ValueError(), claim=replace(CLAIM, attempt=attempt)).wait

    assert least * SECOND <= wait <= most * SECOND


def test_the_last_failure_makes_a_dead_letter():
    assert raising(ValueError("no"), claim=LAST) == Outcome(decision=Decision.DEAD, error="ValueError: no", failed=True)


def test_a_snooze_on_the_last_attempt_is_a_snooze():
    assert returning(Snooze(SECOND), claim=LAST).decision is Decision.SNOOZE


def test_does_not_run_what_took_its_worker_down_every_time():
    ran = []

    outcome = executor.run(replace(CLAIM, attempt=4), a_handler(ran.append))

    assert (outcome.decision, ran) == (Decision.DEAD, [])


@pytest.mark.parametrize(
    ("claim", "decision"),
    [pytest.param(CLAIM, Decision.RETRY, id="first"), pytest.param(LAST, Decision.DEAD, id="last")],
)
def test_taking_too_long_is_a_failure(claim, decision):
    outcome = executor.overran(claim, a_handler(lambda event: None))

    assert (outcome.decision, outcome.error) == (decision, "took longer than 90 s")


def test_a_permanent_error_is_a_dead_letter_at_once():
    assert raising(PermanentError("no such bucket")) == Outcome(
        decision=Decision.DEAD, error="PermanentError: no such bucket"
    )


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        pytest.param(17, 17 * SECOND, id="seconds"),
        pytest.param(17 * SECOND, 17 * SECOND, id="duration"),
        pytest.param(3600, 60 * SECOND, id="over-the-longest-wait"),
        pytest.param(1e300, 60 * SECOND, id="absurd"),
        pytest.param(-5, 0 * SECOND, id="past"),
    ],
)
def test_waits_as_long_as_it_is_asked_to(asked, wait):
    assert raising(RetryAfter(asked, "busy")) == Outcome(
        decision=Decision.RETRY, wait=wait, error="RetryAfter: busy", failed=True
    )


def test_being_asked_to_wait_counts_as_an_attempt():
    assert raising(RetryAfter(17), claim=LAST).decision is Decision.DEAD


def test_gives_the_time_limit_the_way_out_and_a_logger(caplog):
    contexts, client = [], HandlerClient()
    caplog.set_level("INFO")

    def function(event, context):
        contexts.append(context)
        context.log.info("fetched", extra={"bytes": 7})

    before = clock.now()
    executor.run(CLAIM, a_handler(function), client=client)

    [context] = contexts
    assert before + 90 * SECOND <= context.deadline <= clock.now() + 90 * SECOND
    assert context.client is client
    [line] = caplog.records
    assert (line.name, line.handler, line.attempt, line.bytes) == ("receiver.handlers.archive", "archive", 1, 7)


def test_a_failed_trial_of_a_parked_handler_spends_no_attempt():
    outcome = raising(ValueError("still down"), claim=replace(LAST, probe=True))

    assert (outcome.decision, outcome.error, outcome.failed) == (Decision.SNOOZE, "ValueError: still down", True)


@pytest.mark.parametrize("value", [None, Done(), Snooze(SECOND), Cancel("no")])
def test_what_a_handler_decides_is_no_failure(value):
    assert not returning(value).failed


def test_a_permanent_error_is_no_failure_of_the_handler():
    assert not raising(PermanentError("no such order")).failed
