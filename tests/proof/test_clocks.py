"""This machine's clock is ten minutes wrong, and is then set right: it says so, and goes on by itself."""

import base64
import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import pytest

from receiver import clock
from receiver.clock import from_text
from receiver.models import Delivery
from receiver.providers.replicate import Replicate
from tests.circumstances import Circumstances
from tests.proof.serving import Serving, forms, processes
from tests.running import SECRET
from tests.scripted import Scripted, job
from tests.watch import eventually

# What the one signs holds a time, what the other signs does not.
UNTIMED, TIMED = "untimed", "timed"
TIMED_SECRET = f"whsec_{base64.b64encode(SECRET.encode()).decode()}"
TIMED_JOBS = [f"timed_{number}" for number in range(3)]
WRONG = timedelta(minutes=10)
# When CreativeAI is asked about a job for the first time, with jitter and to spare.
FIRST_POLL = timedelta(seconds=10)
SOON = 60.0

pytestmark = pytest.mark.parametrize(
    ("store_url", "form"), forms(short=WRONG, ahead=WRONG, behind=-WRONG), indirect=True
)


@dataclass
class Aftermath:
    """What was to be seen before and after the clock was set right."""

    wrong: timedelta
    answered: list[int]
    """What timed webhooks were answered by the wrong clock,"""
    answered_again: list[int]
    """and by the right one."""
    untimed: int
    reasons: set[str]
    """Why they were refused."""
    doctor: str
    alerts: str
    effects: dict[str, int]
    runs: dict[str, int]
    """Both of the end of each job."""
    polled_after: float
    """How many seconds after it was tracked the end of a job was learned by the wrong clock,"""
    polled_after_again: float
    """and by the right one."""
    planned: timedelta
    """How long a poll that was planned by the wrong clock still has to wait."""
    same_processes: bool


@pytest.fixture(scope="module")
def aftermath(form, tmp_path_factory, store_url):
    folder = tmp_path_factory.mktemp("clocks")
    circumstances = Circumstances(folder, clock_ahead=int(form.total_seconds()))
    with Scripted(job("completed", output_url="https://cdn.example/speech.mp3")) as provider:
        sources = {
            UNTIMED: {"base_url": provider.url},
            TIMED: {"base_url": provider.url, "provider": "replicate", "secrets": [TIMED_SECRET]},
        }
        receiver = Serving(folder, store_url, sources, every="500ms", variables=circumstances.variables)
        with receiver.serving() as process:
            return _gone_through(receiver, process.pid, circumstances, form)


def _gone_through(receiver: Serving, pid: int, circumstances: Circumstances, wrong: timedelta) -> Aftermath:
    before, name = processes(pid), _name(wrong)
    untimed = receiver.post(UNTIMED, f"untimed_{name}").status_code
    answered = [_post_timed(receiver, f"{job_id}_{name}") for job_id in TIMED_JOBS]
    polled_after = _learned(receiver, f"polled_{name}")
    # They are written to the quarantine by and by.
    eventually(lambda: len(_refused(receiver)) >= len(TIMED_JOBS), within=SOON)
    reasons = {row["reason"] for row in _refused(receiver)}
    doctor, alerts = receiver.run("doctor").stdout, receiver.run("alerts").stdout
    _track(receiver, f"planned_{name}")
    circumstances.be()
    planned = _next_poll(receiver, f"planned_{name}")
    answered_again = [_post_timed(receiver, f"{job_id}_{name}") for job_id in TIMED_JOBS]
    polled_after_again = _learned(receiver, f"polled_again_{name}")
    jobs = [f"{job_id}_{name}" for job_id in ["untimed", *TIMED_JOBS, "polled", "polled_again"]]
    eventually(lambda: {job_id for _, job_id in receiver.effects} >= set(jobs), within=SOON)
    effects = {job_id: count for (_, job_id), count in receiver.effects.items()}
    runs = Counter(run["job"] for run in receiver.runs)
    return Aftermath(
        wrong=wrong,
        answered=answered,
        answered_again=answered_again,
        untimed=untimed,
        reasons=reasons,
        doctor=doctor,
        alerts=alerts,
        effects={job_id: effects[job_id] for job_id in jobs},
        runs={job_id: runs[job_id] for job_id in jobs},
        polled_after=polled_after,
        polled_after_again=polled_after_again,
        planned=(planned or clock.now()) - clock.now(),
        same_processes=processes(pid) == before,
    )


def _name(wrong: timedelta) -> str:
    return "ahead" if wrong > timedelta(0) else "behind"


def _post_timed(receiver: Serving, job_id: str) -> int:
    body = json.dumps({"id": job_id, "status": "succeeded", "output": "https://cdn.example/speech.mp3"}).encode()
    headers = Replicate().sign(Delivery(source=TIMED, body=body, received_at=clock.now()), TIMED_SECRET)
    url = f"{receiver.url}/webhooks/{TIMED}"
    return httpx.post(url, content=body, headers=headers, timeout=30, trust_env=False).status_code


def _learned(receiver: Serving, job_id: str) -> float:
    """How many seconds after it was tracked the end of a job that nobody calls back about had its effect."""
    _track(receiver, job_id)
    tracked = time.monotonic()
    eventually(lambda: (UNTIMED, job_id) in receiver.effects, within=SOON)
    return time.monotonic() - tracked


def _track(receiver: Serving, job_id: str) -> None:
    tracked = receiver.run("track", UNTIMED, job_id, "--kind", "voice")
    assert tracked.returncode == 0, tracked.stderr


def _refused(receiver: Serving) -> list[dict[str, str]]:
    told = receiver.run("deliveries", "--rejected", "--json")
    return [json.loads(line) for line in told.stdout.splitlines()]


def _next_poll(receiver: Serving, job_id: str) -> datetime | None:
    """None if it was asked about already, or is just now."""
    told = receiver.run("jobs", "--job", job_id, "--json")
    [row] = [json.loads(line) for line in told.stdout.splitlines()]
    return from_text(row["next_poll_at"]) if row["next_poll_at"] else None


@pytest.fixture
def tell(aftermath, store_name, record_property):
    """Tell a figure of a wrong clock."""
    record_property("drill", f"clock 10 min {_name(aftermath.wrong)}")
    record_property("store", store_name)
    return record_property


def test_it_says_so(aftermath, tell):
    tell("timed webhooks refused", aftermath.answered.count(401))
    late = aftermath.wrong > timedelta(0)

    assert aftermath.answered == [401] * len(TIMED_JOBS)
    assert aftermath.reasons == {"timestamp_too_old" if late else "timestamp_too_new"}
    assert f"{len(TIMED_JOBS)} webhooks of {TIMED} were signed too long ago or in the future" in aftermath.alerts
    assert "s off ours: signatures will seem stale" in aftermath.doctor


def test_what_does_not_depend_on_it_goes_on(aftermath, tell):
    tell("a poll took", f"{aftermath.polled_after:.1f} s")

    assert aftermath.untimed == 202
    assert aftermath.polled_after <= FIRST_POLL.total_seconds()


def test_it_recovers_by_itself(aftermath, tell):
    tell("taken when sent again", aftermath.answered_again.count(202))
    tell("a poll took after it was set right", f"{aftermath.polled_after_again:.1f} s")
    tell("effects", sum(aftermath.effects.values()))
    tell("runs", sum(aftermath.runs.values()))

    assert aftermath.answered_again == [202] * len(TIMED_JOBS)
    assert set(aftermath.effects.values()) == set(aftermath.runs.values()) == {1}
    assert aftermath.polled_after_again <= FIRST_POLL.total_seconds()
    assert aftermath.same_processes


def test_what_was_planned_waits_no_longer_than_the_clock_was_wrong(aftermath, tell):
    """A database on a server has a clock of its own, by which everything is planned."""
    tell("a poll planned before then waits", f"{max(aftermath.planned, timedelta(0)).total_seconds():.0f} s more")
    wrong = max(aftermath.wrong, timedelta(0))

    assert aftermath.planned <= wrong + FIRST_POLL
