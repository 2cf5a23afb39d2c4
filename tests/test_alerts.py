"""What people are told when something is wrong: once, and once when it is over."""

import json
import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver import alerts, clock
from receiver.config import AlertsConfig, HandlerConfig, from_tables
from receiver.errors import ConfigError
from receiver.inbox import Source
from receiver.models import Alert, Budget, Via
from receiver.providers.creativeai import CreativeAI
from receiver.store.figures import NEWEST_ENDS
from tests import aging
from tests.scripted import Answer, Scripted, always, in_turn
from tests.store.contract import (
    DUE,
    RETRY,
    SOURCE,
    a_record,
    an_event,
    claim,
    dead,
    dispatch,
    refusals,
    track,
)
from tests.watch import eventually

# Apprise imports it for encrypted mail, wherever Python still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = clock.now().replace(microsecond=0)
MINUTE = timedelta(minutes=1)
CONFIG = AlertsConfig()
HANDLERS = {"archive": HandlerConfig(), "notify": HandlerConfig(enabled=False)}
SOURCES = {SOURCE: Source(SOURCE, CreativeAI(secrets=["secret"], api_key="key"), budget=Budget(1, timedelta(hours=1)))}
UNREACHABLE = "json://127.0.0.1:9/a-secret-of-the-url"
WRONG = {"dead-letters archive": "archive has 1 dead letters"}


def causes(store, sources=SOURCES, **settings):
    return list(alerts.firing(store, sources, HANDLERS, AlertsConfig(**settings)))


def told_by(store, *ways):
    """Jobs that ended, the oldest first, each told this way."""
    for number, via in enumerate(ways):
        store.receive(a_record(an_event(f"job_{number}"), via=via))


@pytest.fixture
def age(database):
    """Makes everything so many seconds older."""
    return lambda seconds: aging.let_pass(database, seconds)


# What is wrong


def test_nothing_is_wrong_with_an_empty_store(store):
    assert causes(store) == []


def test_dead_letters_of_each_handler_are_a_cause(store):
    dead(store, an_event("job_1"))
    dead(store, an_event("job_2"), handler="notify")

    assert causes(store) == ["dead-letters archive", "dead-letters notify"]


def test_fewer_dead_letters_than_the_threshold_are_none(store):
    dead(store, an_event("job_1"))

    assert causes(store, dead_letters=2) == []


def test_a_dispatch_that_waits_for_too_long_is_a_backlog(store, age):
    dispatch(store, an_event())
    age(601)

    assert causes(store) == ["backlog archive"]


def test_what_waits_for_a_handler_that_is_switched_off_may_wait(store, age):
    dispatch(store, an_event(), handlers=["notify", "gone"])
    age(601)

    assert causes(store) == []


def test_a_dispatch_that_waits_for_a_moment_is_none(store, age):
    dispatch(store, an_event())
    age(500)

    assert causes(store) == []


def test_of_a_parked_handler_only_that_is_told(store, age):
    dispatch(store, an_event())
    [claimed] = claim(store)
    store.finish(claimed, replace(RETRY, failed=True), park_after=1)
    age(601)

    assert causes(store) == ["parked archive"]


def test_what_a_person_paused_may_wait(store, age):
    dispatch(store, an_event("job_1"))
    track(store, "job_2", schedule=DUE)
    store.pause_handler("archive", paused=True)
    store.pause_source(SOURCE, paused=True)
    age(601)

    assert causes(store) == []


@pytest.mark.parametrize(
    ("spent", "cause"), [pytest.param(1, "budget", id="spent"), pytest.param(0, "overdue", id="not-spent")]
)
def test_polls_that_are_overdue_say_whether_the_budget_is_spent(store, age, spent, cause):
    track(store, "job_1", schedule=DUE)
    age(601)
    for _ in range(spent):
        store.spend(SOURCE, budget=SOURCES[SOURCE].budget, learn=False)

    assert causes(store) == [f"{cause} {SOURCE}"]


def test_a_source_that_went_quiet_is_a_cause(store):
    told_by(store, Via.WEBHOOK, *[Via.POLL] * 5)

    assert causes(store) == [f"webhooks {SOURCE}"]


def test_a_source_stays_quiet_when_all_jobs_looked_at_were_missed(store):
    told_by(store, Via.WEBHOOK, *[Via.POLL] * NEWEST_ENDS)

    [summary] = alerts.firing(store, SOURCES, HANDLERS, CONFIG).values()
    assert summary.startswith(f"no webhook came for the last {NEWEST_ENDS} jobs")


def test_misses_in_a_row_and_misses_in_between_are_one_cause(store):
    told_by(store, *[Via.WEBHOOK] * 15)
    found = []
    for number, via in enumerate([*[Via.POLL] * 5, Via.WEBHOOK] * 2):
        store.receive(a_record(an_event(f"later_{number}"), via=via))
        found.append(causes(store))

    assert found[4:] == [[f"webhooks {SOURCE}"]] * 8


def test_a_share_of_missed_webhooks_is_a_cause(store):
    told_by(store, *[Via.POLL, Via.WEBHOOK, Via.WEBHOOK, Via.WEBHOOK] * 5)

    assert causes(store) == [f"webhooks {SOURCE}"]


def test_a_share_of_few_jobs_says_nothing(store):
    told_by(store, *[Via.POLL, Via.WEBHOOK] * 5)

    assert causes(store) == []


def test_a_source_that_expects_no_webhooks_misses_none(store):
    told_by(store, *[Via.POLL] * 30)

    assert causes(store, sources={SOURCE: Source(SOURCE, CreativeAI(api_key="key"))}) == []


def test_many_refusals_are_a_cause(store):
    store.quarantine(fresh(100), max_count=1000)

    assert causes(store) == [f"quarantine {SOURCE}"]


def test_signatures_from_another_time_are_about_the_clock(store):
    store.quarantine([replace(refusal, reason="timestamp_too_old") for refusal in fresh(3)], max_count=1000)

    assert causes(store) == [f"clock {SOURCE}"]


def fresh(count):
    """Refusals of this moment."""
    return [
        replace(refusal, delivery=replace(refusal.delivery, received_at=clock.now())) for refusal in refusals(count)
    ]


# When it is told


def after(store, *looks):
    """What each look finds to tell, with what was wrong then; each is told, a minute after the one before."""
    found = []
    for minute, wrong in enumerate(looks):
        changes = alerts.update(store, wrong, NOW + minute * MINUTE)
        found.append(([alert.cause for alert in changes.begun], [alert.cause for alert in changes.ended]))
        alerts.tell(store, changes, CONFIG)
    return found


def test_a_cause_is_told_once(store):
    assert after(store, WRONG, WRONG, WRONG) == [(list(WRONG), []), ([], []), ([], [])]


def test_its_end_is_told_after_a_while(store):
    assert after(store, WRONG, *[{}] * 7)[-2:] == [([], list(WRONG)), ([], [])]


def test_what_comes_and_goes_is_told_once(store):
    assert after(store, *[WRONG, {}] * 6)[1:] == [([], [])] * 11


def test_what_begins_again_after_its_end_is_told_again(store):
    assert after(store, WRONG, *[{}] * 6, WRONG)[-1] == (list(WRONG), [])


def test_the_summary_is_the_newest(store):
    after(store, WRONG, {cause: "archive has 7 dead letters" for cause in WRONG})

    assert [alert.summary for alert in store.alerts()] == ["archive has 7 dead letters"]


# Whom


def config(*urls):
    return AlertsConfig(urls=urls)


def hook(server):
    return f"json://{server.url.removeprefix('http://')}"


def begun(*causes):
    return alerts.Changes(
        found_at=NOW,
        begun=tuple(Alert(cause=cause, summary=f"{cause} is wrong", since=NOW) for cause in causes),
        ended=(),
    )


def test_tells_by_apprise_in_one_text(store):
    with Scripted(always(Answer())) as server:
        alerts.tell(store, begun("one", "two"), config(hook(server)))

    [asked] = server.asked
    told = json.loads(asked.body)
    assert (told["title"], told["message"]) == ("Receiver: one and 1 more", "one is wrong\ntwo is wrong")


def test_notes_when_it_was_told(store):
    alerts.tell(store, begun("one"), CONFIG)

    [alert] = store.alerts()
    assert alert.told_at == NOW


def test_what_did_not_arrive_is_told_again(store):
    with Scripted(in_turn(Answer(status=500), Answer())) as server:
        for _ in range(2):
            alerts.tell(store, alerts.update(store, WRONG, NOW), config(hook(server)))

    assert len(server.asked) == 2
    assert store.alerts()[0].told_at is not None


def test_says_over_when_it_is_over(store):
    ended = Alert(cause="one", summary="one is wrong", since=NOW, told_at=NOW, over_at=NOW)
    with Scripted(always(Answer())) as server:
        alerts.tell(store, alerts.Changes(found_at=NOW, begun=(), ended=(ended,)), config(hook(server)))

    told = json.loads(server.asked[0].body)
    assert (told["title"], told["message"]) == ("Receiver: one is over", "over: one is wrong")


def test_of_an_end_nobody_hears_who_heard_of_no_beginning(store):
    ended = Alert(cause="one", summary="one is wrong", since=NOW, over_at=NOW)
    with Scripted(always(Answer())) as server:
        alerts.tell(store, alerts.Changes(found_at=NOW, begun=(), ended=(ended,)), config(hook(server)))

    assert server.asked == []


def test_the_log_tells_it_without_the_url(store, caplog):
    alerts.tell(store, alerts.update(store, {"one": "one is wrong"}, NOW), config(UNREACHABLE))

    assert [record.cause for record in caplog.records if record.message == "alert"] == ["one"]
    assert "a-secret-of-the-url" not in caplog.text
    assert "an alert did not arrive" in caplog.text


def test_the_log_tells_it_once_even_if_nobody_can_be_told(store, caplog):
    for _ in range(3):
        alerts.tell(store, alerts.update(store, WRONG, NOW), config(UNREACHABLE))

    assert [record.message for record in caplog.records].count("alert") == 1


def test_what_reached_one_is_told_to_no_other_again(store):
    with Scripted(always(Answer())) as server:
        for _ in range(2):
            alerts.tell(store, alerts.update(store, WRONG, NOW), config(UNREACHABLE, hook(server)))

    assert len(server.asked) == 1


def test_has_told_all_before_the_next_turn(store, monkeypatch):
    monkeypatch.setattr("receiver.alerts._TELL_WITHIN", timedelta(seconds=2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"json://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        alerts.tell(store, begun("one"), config(*[url] * 6))
        took = time.monotonic() - began

    # At a second for each URL it would be 6.
    assert took < 4


def test_of_several_loops_one_tells(store):
    dead(store, an_event())
    stopped = threading.Event()
    with Scripted(always(Answer())) as server:
        watching = config(hook(server))
        watched = (store, SOURCES, HANDLERS, watching, stopped)
        loops = [threading.Thread(target=alerts.watch, args=watched) for _ in range(3)]
        for loop in loops:
            loop.start()
        eventually(lambda: store.alerts() and store.alerts()[0].told_at)
        stopped.set()
        for loop in loops:
            loop.join()

    assert len(server.asked) == 1


# Settings


def test_refuses_a_url_that_is_none():
    with pytest.raises(ConfigError, match=r"alerts\.urls: URL 2: Apprise does not accept it"):
        alerts.check(config("json://127.0.0.1", "nonsense://x"))


def test_shows_no_url():
    tables = from_tables({"alerts": {"urls": ["json://127.0.0.1/a-secret-of-the-url"]}})

    assert "a-secret-of-the-url" not in repr(tables)
