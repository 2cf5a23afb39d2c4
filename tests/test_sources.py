"""From submit to handler, over real HTTP: every source, whatever becomes of its webhooks."""

import json
import time
from collections import Counter
from datetime import timedelta

import pytest

from receiver import Receiver
from receiver.errors import OutcomeUnknown, RequestFailed
from receiver.models import Status
from receiver.sandbox import Conditions, Sandbox
from receiver.sandbox.traffic import Outcome
from tests.aging import let_pass
from tests.running import API_KEY, SECRET, Running
from tests.watch import eventually

KINDS = [
    pytest.param("creativeai", "video", {"prompt": "a scene"}, id="creativeai-video"),
    pytest.param("creativeai", "image-to-video", {"image_url": "https://example.com/a.png"}, id="creativeai-i2v"),
    pytest.param("creativeai", "voice", {"text": "Welcome"}, id="creativeai-voice"),
    pytest.param("creativeai", "image", {"prompt": "a scene"}, id="creativeai-image"),
    pytest.param("creativeai", "compose", {"video": "a.mp4", "audio": "b.mp3"}, id="creativeai-compose"),
    pytest.param("creativeai", "chart-to-video", {"data": [1, 2, 3]}, id="creativeai-chart"),
    pytest.param("kpainter", "explainer_video", {"prompt": "a scene"}, id="kpainter"),
    pytest.param("kpainter", "web_app", {"prompt": "a lesson"}, id="kpainter-alias"),
    pytest.param("kpainter", "video", {"prompt": "a scene"}, id="kpainter-newer"),
    pytest.param("omnivideo", "seedance-2", {"prompt": "a scene"}, id="omnivideo-video"),
    pytest.param("omnivideo", "gpt-image-2", {"prompt": "a scene"}, id="omnivideo-image"),
    pytest.param("newapi", "videos", {"model": "sora-2", "prompt": "a scene", "seconds": "5"}, id="newapi-videos"),
    pytest.param("newapi", "generations", {"model": "kling-v1", "prompt": "a scene"}, id="newapi-generations"),
    pytest.param("newapi", "kling-text2video", {"model": "kling-v1", "prompt": "a scene"}, id="newapi-kling-text"),
    pytest.param("newapi", "kling-image2video", {"model": "kling-v1", "image": "a.png"}, id="newapi-kling-image"),
    pytest.param("newapi", "jimeng", {"req_key": "jimeng_t2v_v30", "prompt": "a scene"}, id="newapi-jimeng"),
]

BATCH = ("creativeai", "batch", {"prompts": ["one", "two"]})
SPEED = 60
# Kinds that are polled soon, so that what is lost is found soon.
QUICK = [
    ("creativeai", "voice", {"text": "Welcome"}),
    ("kpainter", "slide_deck", {"prompt": "a lesson"}),
    ("omnivideo", "nano-banana-2", {"prompt": "a scene"}),
    ("newapi", "videos", {"model": "sora-2", "prompt": "a scene"}),
]

HANDLER = '''
"""Write down every run: what it was for, and the key under which it would have an effect."""

import json
from pathlib import Path

from receiver import Router

router = Router()


@router.on()
def finished(event, context):
    if event.kind == "batch" or not event.status.terminal:
        return
    line = {
        "source": event.source,
        "job": event.job_id,
        "status": event.status,
        "outputs": [output.url for output in event.outputs],
        "metadata": context.job.metadata,
        "key": context.idempotency_key,
    }
    with Path("runs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")
'''


class FourSources(Running):
    """A receiver with the stand-in's four systems as its sources."""

    def __init__(self, folder, sandbox):
        others = [
            f"""
            [sources.{name}]
            provider = "{name}"
            api_key = "{API_KEY}"
            base_url = "{sandbox.base_urls[name]}"
            """
            for name in ("kpainter", "omnivideo", "newapi")
        ]
        handlers = """
            [reconcile]
            every = "200ms"

            [handlers.finished]
            path = "finished.py"

            [handlers.archive]
            directory = "media"
            allow_private = true
            """
        # Of its own CreativeAI would be asked no more than ten times a minute, create calls included.
        tables = ['budget = "600/min"', *others, handlers]
        super().__init__(folder, "\n".join(tables), base_url=sandbox.base_urls["creativeai"])
        (folder / "finished.py").write_text(HANDLER)
        self.config.write_text(f'public_url = "{self.url}"\n{self.config.read_text()}')

    @property
    def runs(self):
        """What the handler wrote down."""
        file = self.folder / "runs.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def runs_of(self, jobs):
        """The runs for these jobs, once each of them has had one."""
        wanted = {(job.source, job.job_id) for job in jobs}

        def found():
            runs = [run for run in self.runs if (run["source"], run["job"]) in wanted]
            return runs if {(run["source"], run["job"]) for run in runs} == wanted else None

        return eventually(found, within=60)


def submit_several(receiver, count):
    """Some jobs at each source."""
    return [
        job
        for number in range(count)
        for source, kind, body in QUICK
        for job in receiver.submit(source, kind, body, metadata={"order": number})
    ]


def effects(runs):
    """How many effects each job's end has had: a retry has the same key and so has none of its own."""
    return Counter(job for job, _ in {((run["source"], run["job"]), run["key"]) for run in runs})


@pytest.fixture(scope="module")
def calm():
    """A stand-in where nothing goes wrong."""
    with Sandbox(Conditions(duration=timedelta(milliseconds=300)), secret=SECRET, api_key=API_KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def running(tmp_path_factory, calm):
    receiver = FourSources(tmp_path_factory.mktemp("sources"), calm)
    with receiver.serving():
        yield receiver


@pytest.fixture(scope="module")
def submitted(running):
    """The ids of jobs of all kinds, created by the command at about the same time."""
    ids = {}
    for source, kind, body in (param.values for param in KINDS):
        (running.folder / "body.json").write_text(json.dumps(body))
        metadata = json.dumps({"order": kind})
        result = running.run("submit", source, kind, f"{running.folder}/body.json", "--metadata", metadata, "--json")
        assert result.returncode == 0, result.stderr
        ids[source, kind] = json.loads(result.stdout)["job"]
    return ids


class TestFromSubmitToHandler:
    @pytest.mark.parametrize(("source", "kind", "body"), KINDS)
    def test_a_job_reaches_the_handler_with_its_result(self, running, submitted, source, kind, body):
        job_id = submitted[source, kind]

        [run] = eventually(lambda: [run for run in running.runs if run["job"] == job_id], within=60)

        assert (run["status"], run["metadata"]) == (Status.SUCCEEDED, {"order": kind})
        assert run["outputs"]

    def test_every_clip_of_a_batch_does(self, running):
        with Receiver(running.config) as receiver:
            batch, *clips = receiver.submit(
                "creativeai", "batch", {"prompts": ["one", "two", "three"]}, metadata={"order": 18}
            )

        runs = running.runs_of(clips)

        assert (batch.kind, len(clips)) == ("batch", 3)
        assert all(run["metadata"] == {"order": 18} for run in runs)

    def test_a_file_that_takes_the_token_is_archived(self, running):
        with Receiver(running.config) as receiver:
            [job] = receiver.submit("newapi", "videos", {"model": "sora-2", "prompt": "a scene"})

        def archived():
            rows = map(json.loads, running.run("events", "--job", job.job_id, "--json").stdout.splitlines())
            return [row["results"]["archive"] for row in rows if "archive" in (row["results"] or {})]

        [result] = eventually(archived, within=30)
        [saved] = result["saved"]
        assert (running.folder / "media" / saved["file"]).stat().st_size == saved["bytes"] > 0

    @pytest.mark.usefixtures("submitted")
    def test_what_can_be_called_back_about_is(self, running, calm):
        rows = map(json.loads, running.run("events", "--source", "creativeai", "--json").stdout.splitlines())

        assert {row["via"] for row in rows} == {"webhook"}
        assert {posted.outcome for posted in calm.webhooks} == {Outcome.DELIVERED}

    def test_a_job_that_was_created_without_an_answer_comes_in_with_its_metadata(self, running):
        with Receiver(running.config) as receiver, pytest.raises(OutcomeUnknown):
            receiver.submit(
                "creativeai", "voice", {"text": "Welcome", "sandbox": "unanswered"}, metadata={"order": "unanswered"}
            )

        [run] = eventually(
            lambda: [run for run in running.runs if run["metadata"] == {"order": "unanswered"}], within=30
        )

        assert run["status"] == Status.SUCCEEDED
        assert running.run("jobs", "--status", "unknown").stdout == "no jobs\n"


class TestWhateverBecomesOfWebhooks:
    def test_all_are_lost(self, tmp_path):
        conditions = Conditions(duration=timedelta(seconds=1), lost=1)
        with Sandbox(conditions, secret=SECRET, api_key=API_KEY) as sandbox:
            receiver = FourSources(tmp_path, sandbox)
            with receiver.serving(), Receiver(receiver.config) as program:
                receiver.runs_of(submit_several(program, 3))

        assert outcomes(sandbox) == {Outcome.LOST}
        assert set(effects(receiver.runs).values()) == {1}

    def test_they_are_lost_doubled_late_reordered_forged_and_jobs_fail(self, tmp_path):
        conditions = Conditions(
            duration=timedelta(seconds=1),
            duration_spread=0.9,
            lost=0.3,
            doubled=0.3,
            delayed=0.3,
            delay=timedelta(seconds=3),
            reordered=0.3,
            forged=0.3,
            failed=0.3,
            errors=0.1,
            seed=17,
        )
        with Sandbox(conditions, secret=SECRET, api_key=API_KEY) as sandbox:
            receiver = FourSources(tmp_path, sandbox)
            with receiver.serving(), Receiver(receiver.config) as program:
                jobs = []
                while len(jobs) < 48:
                    jobs += submit_in_spite_of_errors(program, [*QUICK, QUICK[0], BATCH])
                receiver.runs_of([job for job in jobs if job.kind != "batch"])
                eventually(lambda: sandbox.idle, within=30)

        assert set(effects(receiver.runs).values()) == {1}
        assert {run["status"] for run in receiver.runs} == {Status.SUCCEEDED, Status.FAILED}
        assert outcomes(sandbox) >= {Outcome.LOST, Outcome.DELIVERED, Outcome.FORGERY}
        assert {posted.status for posted in sandbox.webhooks if posted.outcome is Outcome.FORGERY} == {401}
        delivered = Counter(posted.job_id for posted in sandbox.webhooks if posted.outcome is Outcome.DELIVERED)
        assert max(delivered.values()) == 2
        assert list(delivered) != sorted(delivered, key=number_of)

    def test_the_receiver_is_down_for_five_minutes(self, tmp_path):
        conditions = Conditions(duration=timedelta(seconds=30), speed=SPEED)
        with Sandbox(conditions, secret=SECRET, api_key=API_KEY) as sandbox:
            receiver = FourSources(tmp_path, sandbox)
            with Receiver(receiver.config) as program:
                jobs = submit_several(program, 3)
            began = sandbox.requests[-1].at
            eventually(lambda: outcomes(sandbox) == {Outcome.REFUSED, Outcome.GIVEN_UP} and sandbox.idle, within=30)
            eventually(lambda: time.monotonic() - began > 5 * 60 / SPEED, within=30)
            # The receiver's own clock went as usual meanwhile. To it, too, five minutes have passed.
            let_pass(tmp_path / "receiver.db", 5 * 60)
            with receiver.serving():
                receiver.runs_of(jobs)

        assert set(effects(receiver.runs).values()) == {1}


def submit_in_spite_of_errors(program, wanted):
    """Jobs, as far as the stand-in takes them: some create calls are answered with an error."""
    jobs = []
    for source, kind, body in wanted:
        try:
            jobs += program.submit(source, kind, body)
        except RequestFailed:
            continue
    return jobs


def outcomes(sandbox):
    return {posted.outcome for posted in sandbox.webhooks}


def number_of(job_id):
    """When a job was created, among the others."""
    return int(job_id.rpartition("_")[2])
