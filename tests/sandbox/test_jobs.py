"""How far a job is."""

import time
from datetime import timedelta

import pytest

from receiver.models import Status
from receiver.sandbox import Conditions, Fate
from receiver.sandbox.jobs import Jobs, Stage

MINUTE = timedelta(minutes=1)


@pytest.fixture
def jobs():
    """Jobs that take a minute."""
    return Jobs(Conditions(duration=MINUTE))


def start(jobs, *, age=0.0, fates=(), provider="creativeai", kind="video", **ids):
    """A job that began so many seconds ago."""
    job = jobs.start(provider, kind, {}, fates=frozenset(fates), **({"id": "vgen_{}"} | ids))
    job.began -= age
    return job


@pytest.mark.parametrize(
    ("age", "stage"),
    [
        pytest.param(0, Stage(Status.QUEUED, 0), id="new"),
        pytest.param(5, Stage(Status.QUEUED, 0), id="in-its-first-tenth"),
        pytest.param(6.01, Stage(Status.RUNNING, 10), id="begun"),
        pytest.param(30.01, Stage(Status.RUNNING, 50), id="half"),
        pytest.param(59, Stage(Status.RUNNING, 98), id="almost"),
        pytest.param(60, Stage(Status.SUCCEEDED, 100), id="ended"),
    ],
)
def test_goes_from_the_queue_to_the_end(jobs, age, stage):
    assert start(jobs, age=age).stage == stage


def test_ends_otherwise_if_it_fails(jobs):
    assert start(jobs, age=60, fates=[Fate.FAILED]).stage.status is Status.FAILED


def test_that_takes_no_time_has_ended():
    job = start(Jobs(Conditions(duration=timedelta(0))))

    assert job.stage.status is Status.SUCCEEDED


def test_waits_half_way_for_a_person(jobs):
    assert start(jobs, age=3600, fates=[Fate.PAUSED]).stage == Stage(Status.RUNNING, 50, paused=True)


def test_goes_on_once_resumed(jobs):
    job = start(jobs, age=3600, fates=[Fate.PAUSED])

    assert job.resume()
    assert job.stage == Stage(Status.RUNNING, 50)


def test_ends_half_of_its_time_after_it_was_resumed(jobs):
    job = start(jobs, age=3600, fates=[Fate.PAUSED])
    job.resume()
    job.resumed -= 30

    assert job.stage.status is Status.SUCCEEDED


@pytest.mark.parametrize("fates", [[], [Fate.PAUSED]], ids=["never", "not-yet"])
def test_that_does_not_wait_is_not_resumed(jobs, fates):
    assert not start(jobs, age=10, fates=fates).resume()


def test_says_when_it_began_to_be_worked_on_and_ended(jobs):
    job = start(jobs)

    assert (job.started_at - job.created_at, job.ended_at - job.created_at) == (MINUTE / 10, MINUTE)


def test_of_several_ends_with_the_last(jobs):
    batch, quick, slow = start(jobs), start(jobs), start(jobs)
    quick.seconds, slow.seconds = 10, 90

    batch.consist_of([quick, slow])

    assert batch.ends == slow.ends == batch.began + 90


def test_is_found_by_its_id_and_its_reference(jobs):
    job = start(jobs, id="task{}", reference="kie_{}")

    assert jobs.find("creativeai", job.id) is jobs.find("creativeai", job.reference) is job


@pytest.mark.parametrize(("provider", "kinds"), [("newapi", []), ("creativeai", ["voice"])])
def test_is_not_found_elsewhere(jobs, provider, kinds):
    job = start(jobs)

    assert jobs.find(provider, job.id, *kinds) is None


def test_has_an_id_that_no_other_has(jobs):
    again = Jobs(Conditions())

    assert len({start(found).id for found in (jobs, jobs, again, again)}) == 4


def test_begins_now(jobs):
    assert start(jobs).began == pytest.approx(time.monotonic(), abs=1)
