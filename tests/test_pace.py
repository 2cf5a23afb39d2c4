"""How often sources that never call back are asked, by the stand-in's own count."""

import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from itertools import pairwise

import pytest

from receiver import Receiver, clock, plugins
from receiver.config import load
from receiver.models import Budget
from receiver.outbound import ProviderClient
from receiver.reconcile import Reconciler
from receiver.sandbox import Conditions, Sandbox
from receiver.store import open_store
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
            [row] = store.list_jobs(source=source, status=None, open_only=False, limit=2)
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
