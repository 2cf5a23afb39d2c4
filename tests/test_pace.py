"""When jobs are asked about: what is learned, and how often sources are asked, by the stand-in's own count."""

import sqlite3
import time
from collections import Counter, deque
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from statistics import mean, median

import pytest

from receiver import Receiver, clock, pace, plugins
from receiver.config import load
from receiver.models import Budget, JobTime, Schedule
from receiver.outbound import ProviderClient
from receiver.reconcile import Reconciler
from receiver.sandbox import Conditions, Sandbox
from receiver.store import open_store
from receiver.store.base import JobFilter
from tests.aging import let_pass
from tests.running import API_KEY, SECRET, Running
from tests.watch import eventually

NEVER = timedelta(hours=10)
HALF_A_DAY, WEEK = 12 * 3600, 7 * 24 * 3600
BODIES = {
    "kpainter": ("slide_deck", {"prompt": "a lesson"}),
    "omnivideo": ("seedance-2", {"prompt": "a scene"}),
    "newapi": ("videos", {"model": "sora-2", "prompt": "a scene"}),
}
# From which age of a job on it is asked about how often, in seconds; and when it is given up.
INTERVALS = {
    "kpainter": ({0: 3, 30: 6, 120: 15}, 3600),
    "omnivideo": ({0: 3, 30: 10, 120: 30}, 900),
    "newapi": ({0: 15, 120: 30}, 3600),
}
FIRST = {"kpainter": 3, "omnivideo": 3, "newapi": 5}


# What is learned

SCHEDULE = Schedule(first=timedelta(seconds=3), every={timedelta(0): timedelta(seconds=10)}, deadline=NEVER)


def took(open_until, ended_by, *, called_back=False):
    since, until = timedelta(seconds=open_until), timedelta(seconds=ended_by)
    return JobTime("video", open_until=since, ended_by=until, called_back=called_back)


def waits_of(learned, age):
    """What two hundred jobs of this age wait for their next poll, in seconds, ascending."""
    return sorted(pace.next_poll(learned, SCHEDULE, timedelta(seconds=age)).total_seconds() for _ in range(200))


def test_a_job_may_have_ended_anywhere_between_two_polls():
    learned = pace.learn([took(45, 135)] * 20)

    assert learned.ended(timedelta(seconds=90)) == pytest.approx(0.5)
    assert [age.total_seconds() for age in learned.usual] == pytest.approx([54, 126])


def test_each_job_counts_as_much_as_another():
    learned = pace.learn([took(0, 10)] * 10 + [took(5, 10)] * 10 + [took(20, 120)] * 20)

    # Until 5 s a quarter of the first ten's half, until 10 s all of both, and none until 20 s.
    ended = [learned.ended(timedelta(seconds=age)) for age in (5, 10, 20, 70, 120)]
    assert ended == pytest.approx([0.125, 0.5, 0.5, 0.75, 1])


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_the_age_of_a_share_is_where_the_share_has_ended(share):
    learned = pace.learn([took(0, number) for number in range(1, 101)])

    assert learned.ended(learned.age(share)) == pytest.approx(share)


def test_learns_nothing_from_a_few_jobs():
    assert pace.learn([took(40, 50)] * 19) is None


def test_learns_from_the_jobs_that_ended_last():
    learned = pace.learn([took(10, 20)] * 200 + [took(100, 200)] * 300)

    assert learned.count == 200
    assert learned.age(1) == timedelta(seconds=20)


def test_without_jobs_to_learn_from_the_schedule_counts():
    waits = waits_of(None, 50)

    assert pace.first_poll(None, SCHEDULE) == SCHEDULE.first
    assert 8 <= waits[0] <= waits[-1] <= 12


def test_the_first_poll_comes_when_some_jobs_have_ended():
    learned = pace.learn([took(0, 100)] * 20)

    ages = [pace.first_poll(learned, SCHEDULE).total_seconds() for _ in range(200)]

    # 15 % of them, and a fifth more or less.
    assert 12 <= min(ages) < 13 < 17 < max(ages) <= 18


def test_the_first_poll_comes_no_sooner_than_the_schedule_says():
    learned = pace.learn([took(0, 2)] * 20)

    assert pace.first_poll(learned, SCHEDULE) == SCHEDULE.first


def test_the_next_poll_finds_a_share_of_those_that_are_left():
    waits = waits_of(pace.learn([took(0, 100)] * 20), 50)

    # Fifty are left of a hundred, and of them 15 % end within 7.5 s.
    assert 6 <= waits[0] < 6.5 < 8.5 < waits[-1] <= 9


def test_where_all_call_back_the_first_poll_comes_when_nearly_all_have():
    learned = pace.learn([took(0, 100, called_back=True)] * 20)

    assert pace.first_poll(learned, SCHEDULE).total_seconds() == pytest.approx(95)


def test_where_half_call_back_the_first_poll_comes_later_than_where_none_does():
    learned = pace.learn([took(0, 100, called_back=number % 2 == 0) for number in range(20)])

    ages = [pace.first_poll(learned, SCHEDULE).total_seconds() for _ in range(200)]

    # When a quarter have ended, half of those have called: 12.5 of 87.5 that are left are found, a seventh.
    assert min(ages) < 25 < max(ages)


def test_two_polls_keep_a_distance():
    waits = waits_of(pace.learn([took(90, 90)] * 20), 89.5)

    assert 3 <= waits[0] <= waits[-1] <= 3.6


@pytest.mark.parametrize("age", [99, 101, 10_000])
def test_a_job_that_takes_longer_than_nearly_all_is_asked_about_as_the_schedule_says(age):
    waits = waits_of(pace.learn([took(0, 100)] * 20), age)

    assert 8 <= waits[0] <= waits[-1] <= 12


def test_a_job_waits_no_longer_than_it_already_has():
    learned = pace.learn([took(20, 20)] * 10 + [took(3600, 3600)] * 10)

    assert waits_of(learned, 60)[-1] == 60


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([took(0, 0.001)] * 50, id="no-time"),
        pytest.param([took(0, 1e9)] * 50, id="any-time"),
        pytest.param([took(1e9, 1e9)] * 50, id="years"),
        pytest.param([took(5, 5)] * 49 + [took(1e9, 1e9)], id="one-of-years"),
        pytest.param([took(5, 5)] * 25 + [took(4000, 4000)] * 25, id="two-kinds"),
        pytest.param([took(0, 1e9), took(10, 10, called_back=True)] * 25, id="mixed"),
    ],
)
def test_whatever_was_learned_an_open_job_has_a_next_poll(times):
    learned = pace.learn(times)
    first = learned.age(0.95).total_seconds()

    for age in (-60, 0, 1, 4.9, 5, 60, 3999, 4000, 1e6, 2e9):
        waits = waits_of(learned, age)
        assert waits[0] >= 3
        assert waits[-1] <= max(age, first - age, 12)


@pytest.mark.parametrize(("before", "since"), [(90, 30), (90, 300), (300, 20)])
def test_a_provider_that_becomes_slower_or_faster_is_followed(before, since):
    learned, times, asked, late = None, deque(), [], []
    for number in range(900):
        if number % 10 == 0:
            learned = pace.learn(list(times))
        # Evenly spread, a quarter less or more.
        duration = (before if number < 300 else since) * (0.75 + 0.5 * (number * 0.618 % 1))
        ages = [pace.first_poll(learned, SCHEDULE)]
        while ages[-1].total_seconds() < duration:
            ages.append(ages[-1] + pace.next_poll(learned, SCHEDULE, ages[-1]))
        times.appendleft(took(([timedelta(0), *ages])[-2].total_seconds(), ages[-1].total_seconds()))
        asked.append(len(ages))
        late.append(ages[-1].total_seconds() - duration)

    assert mean(asked[-200:]) < 8
    assert median(late[-200:]) < since / 10


# How often sources that never call back are asked


class PollOnly(Running):
    """A receiver whose sources never call back."""

    def __init__(self, folder, sandbox, *, budget="1000/min"):
        tables = [
            f"""
            [sources.{name}]
            provider = "{name}"
            api_key = "{API_KEY}"
            base_url = "{sandbox.base_urls[name]}"
            budget = "{budget}"
            """
            for name in BODIES
        ]
        super().__init__(folder, "\n".join(tables), base_url=sandbox.base_urls["creativeai"])

    def submit(self, *sources, count=1):
        with Receiver(self.config) as receiver:
            for source in sources * count:
                receiver.submit(source, *BODIES[source])

    def let_pass(self, seconds):
        let_pass(self.folder / "receiver.db", seconds)


@pytest.fixture
def sandbox():
    with Sandbox(Conditions(duration=NEVER), secret=SECRET, api_key=API_KEY) as serving:
        yield serving


def waits(receiver, source, *, down=0):
    """Ask whenever the job is due, until it ends; gives its age and the wait that followed, in seconds.

    With `down`, nobody asks for so long each time.
    """
    config = load(receiver.config)
    with closing(open_store(config)) as store, ProviderClient() as client:
        reconciler, found = Reconciler(store, client), plugins.sources(config)[source]
        while True:
            [row] = store.list_jobs(JobFilter(source=source), limit=2).rows
            if row["finished_at"] is not None:
                return
            job = store.job(source, row["job"])
            now = clock.now()
            yield (now - job.created_at).total_seconds(), (job.next_poll_at - now).total_seconds()
            receiver.let_pass((job.next_poll_at - now).total_seconds() + down)
            reconciler.run([found])


@pytest.mark.parametrize("source", INTERVALS)
def test_the_intervals_stretch_with_the_age_of_the_job_until_it_is_given_up(sandbox, tmp_path, source):
    receiver = PollOnly(tmp_path, sandbox)
    receiver.submit(source)
    intervals, given_up = INTERVALS[source]

    (_, first), *later = waits(receiver, source)

    assert first == pytest.approx(FIRST[source], abs=0.5)
    for age, wait in later:
        expected = intervals[max(since for since in intervals if since <= age)]
        # Jitter of a fifth; the last wait ends with the deadline.
        assert 0.8 * expected - 0.5 <= wait <= 1.2 * expected + 0.5 or age + wait == pytest.approx(given_up, abs=1)
    assert later[-1][0] + later[-1][1] == pytest.approx(given_up, abs=1)
    assert len(sandbox.polls) == len(later) + 1


def test_a_job_that_waits_for_a_person_is_asked_about_every_five_minutes_for_a_week(tmp_path):
    with Sandbox(Conditions(duration=timedelta(0)), secret=SECRET, api_key=API_KEY) as sandbox:
        receiver = PollOnly(tmp_path, sandbox)
        with Receiver(receiver.config) as program:
            program.submit("kpainter", "video", {"prompt": "a scene", "sandbox": "paused"})

        _, *later = waits(receiver, "kpainter", down=HALF_A_DAY)

    assert {round(wait) for _, wait in later} == {300}
    last, _ = later[-1]
    assert last < WEEK <= last + 300 + HALF_A_DAY


def test_the_request_budget_is_spent_and_not_exceeded(tmp_path):
    conditions = Conditions(duration=NEVER, budget=Budget(20, timedelta(minutes=1)))
    with Sandbox(conditions, secret=SECRET, api_key=API_KEY) as sandbox:
        receiver = PollOnly(tmp_path, sandbox, budget="20/min")
        receiver.submit(*BODIES, count=12)
        for _ in range(3):
            with closing(sqlite3.connect(tmp_path / "receiver.db")) as db, db:
                db.execute("UPDATE jobs SET next_poll_at = created_at WHERE next_poll_at IS NOT NULL")
            receiver.run("reconcile")

    assert Counter(asked.provider for asked in sandbox.requests) == dict.fromkeys(BODIES, 20)
    assert 429 not in {asked.status for asked in sandbox.requests}


def test_a_follow_up_spends_the_budget_too(tmp_path):
    conditions = Conditions(duration=timedelta(0), budget=Budget(5, timedelta(minutes=1)))
    with Sandbox(conditions, secret=SECRET, api_key=API_KEY) as sandbox:
        receiver = PollOnly(tmp_path, sandbox, budget="5/min")
        receiver.submit("kpainter", count=2)
        receiver.let_pass(10)

        receiver.run("reconcile")

    # Two to create, two to ask how far they are, and one of the two results.
    assert [asked.is_poll for asked in sandbox.requests] == [False, False, True, True, True]


@pytest.mark.drill
def test_a_budget_that_is_too_small_for_the_jobs_is_kept_for_minutes(tmp_path):
    conditions = Conditions(duration=NEVER, budget=Budget(40, timedelta(minutes=1)))
    with Sandbox(conditions, secret=SECRET, api_key=API_KEY) as sandbox:
        receiver = PollOnly(tmp_path, sandbox, budget="40/min")
        receiver.submit(*BODIES, count=30)
        began = time.monotonic()
        with receiver.serving():
            eventually(lambda: time.monotonic() - began > 200, within=300)

    for name in BODIES:
        times = [asked.at for asked in sandbox.requests if asked.provider == name]
        # The stand-in hears of a request a moment after the budget was spent on it.
        most = max(sum(start <= at < start + 59 for at in times) for start in times)
        assert 30 < most <= 40
    assert 429 not in {asked.status for asked in sandbox.requests}


@pytest.mark.drill
@pytest.mark.parametrize("source", INTERVALS)
def test_the_intervals_are_kept_in_real_time(sandbox, tmp_path, source):
    receiver = PollOnly(tmp_path, sandbox)
    receiver.submit(source)
    created = sandbox.requests[0].at
    with receiver.serving():
        eventually(lambda: time.monotonic() - created > 180, within=300)
    times = [asked.at - created for asked in sandbox.polls]
    intervals, _ = INTERVALS[source]

    assert 0 <= times[0] - FIRST[source] < 4
    for before, after in pairwise(times):
        expected = intervals[max(since for since in intervals if since <= before)]
        # Jitter, and `receiver serve` looks every two seconds.
        assert 0.8 * expected - 0.5 <= after - before <= 1.2 * expected + 4
