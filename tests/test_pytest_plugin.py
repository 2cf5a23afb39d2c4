"""What authors of handlers get from pytest: the tests of one, run by a pytest of its own."""

import socket
import subprocess
import sys

import pytest

from receiver.errors import NotConfigured
from receiver.running import RunningReceiver
from receiver.store.base import EventFilter, RefusalFilter
from tests.watch import eventually

pytest_plugins = ["pytester"]

HANDLER = '''
"""A handler as somebody else wrote it."""

from receiver import Done, Event, Router

router = Router()


@router.on(status=["succeeded", "failed"])
def orders(event: Event) -> Done:
    if event.status == "failed":
        raise ValueError(f"no order for {event.job_id}")
    return Done({"told": event.job_id})
'''

TABLES = """
[handlers.orders]
path = "orders.py"
max_attempts = 1
"""

SOURCES = """
[sources.studio]
provider = "standard"
secrets = ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_b2xkLWtleS1vbGQta2V5LW9sZC1rZXkt"]

[sources.dream]
provider = "luma"
api_key = "any"
base_url = "http://127.0.0.1:9"

[sources.keyed]
provider = "fal"
keys_url = "http://127.0.0.1:9"

[sources.open]
provider = "creativeai"
unsigned = true
api_key = "any"
base_url = "http://127.0.0.1:9"
"""


@pytest.fixture
def author(pytester):
    """The folder of an author; runs a test that is written there and has `receiver`, and gives the result."""
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makepyfile(orders=HANDLER)
    pytester.makeconftest(
        f"""
        import pytest

        @pytest.fixture
        def receiver(running_receiver):
            return running_receiver({TABLES!r})
        """
    )

    def run(test):
        pytester.makepyfile(test)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=60)

    return run


def test_a_webhook_reaches_the_handler(author):
    result = author(
        """
        def test_tells(receiver):
            assert receiver.send(job="a") == [202]
            [row] = receiver.wait_for("orders")
            assert row["result"] == {"told": "a"}
        """
    )

    result.assert_outcomes(passed=1)


def test_a_failure_shows_the_dispatches_and_the_log(author):
    result = author(
        """
        def test_tells(receiver):
            receiver.send(type="video.generation.failed", job="b")
            receiver.wait_for("orders", state="dead")
            receiver.wait_for("orders", timeout=0.1)
        """
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*not within 0.1 s: 1 done of orders",
            "E*attempt finished*ValueError: no order for b*",
            "E*orders*b*dead*1*ValueError: no order for b",
        ]
    )


def test_a_handler_that_cannot_be_loaded_shows_why(author, pytester):
    pytester.makepyfile(orders="import nothing_of_this_name")

    result = author("def test_tells(receiver): pass")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*the receiver ended*", "E*handlers.orders: cannot be imported*"])


def test_it_is_gone_when_the_test_ends(author, pytester):
    result = author(
        """
        from pathlib import Path

        def test_fails(receiver):
            Path("port").write_text(receiver.url.rpartition(":")[2])
            raise ValueError
        """
    )

    result.assert_outcomes(failed=1)
    # Not with httpx: `pytester` has what was imported meanwhile forgotten, and httpx imports while it works.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int((pytester.path / "port").read_text())))


def test_several_run_beside_each_other(author):
    result = author(
        """
        def test_tells(receiver, running_receiver):
            other = running_receiver({})
            receiver.send(job="a")
            receiver.wait_for("orders")
            assert other.dispatches() == []
        """
    )

    result.assert_outcomes(passed=1)


def test_it_costs_nobody_anything_who_does_not_ask_for_it(pytester):
    # Or our own settings would be found, should this folder be inside the checkout.
    pytester.makeini("[pytest]")
    pytester.makepyfile(
        """
        import sys

        def test_nothing_was_imported():
            names = ["receiver.running", "receiver.sandbox", "receiver.store", "httpx", "flask", "pydantic"]
            assert "receiver.pytest_plugin" in sys.modules
            assert [name for name in names if name in sys.modules] == []
        """
    )

    result = pytester.runpytest_subprocess("-W", "error")

    result.assert_outcomes(passed=1)


# What a test can send and see


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A receiver with the author's handler; tests keep apart by jobs."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "orders.py").write_text(HANDLER)
    (folder / "receiver").mkdir()
    with RunningReceiver(folder / "receiver", TABLES + SOURCES, handlers_in=folder) as receiver:
        yield receiver


def told(running):
    return [row["job"] for row in running.dispatches("orders")]


def test_what_was_changed_after_signing_is_refused(running):
    assert running.send(job="tampered", tamper=True) == [401]
    assert "tampered" not in told(running)


def test_what_nobody_signed_is_refused(running):
    assert running.send(job="unsigned", unsigned=True) == [401]


def test_what_was_signed_too_long_ago_is_refused(running):
    assert running.send(job="stale", stale=True) == [401]
    refused = eventually(lambda: running._store.list_refusals(RefusalFilter(source="standard"), limit=10).rows)
    assert {row["reason"] for row in refused} == {"timestamp_too_old"}


def test_what_comes_twice_is_counted_and_runs_once(running):
    assert running.send(job="twice", repeat=2) == [202, 200]
    eventually(lambda: "twice" in told(running))
    assert told(running).count("twice") == 1


def test_webhooks_can_come_out_of_order(running):
    jobs = [f"ordered_{number}" for number in range(5)]

    answers = running.send_all(jobs, reordered=True)

    assert answers == [202] * 5
    eventually(lambda: [job for job in told(running) if job in jobs] == jobs[::-1])


def test_progress_can_come_after_the_end(running):
    told_of = [("video.generation.processing", "late"), ("video.generation.completed", "late")]

    assert running.send_all(told_of, reordered=True) == [202, 202]

    eventually(lambda: "late" in told(running))
    assert {
        row["status"]: row["standing"]
        for row in running._store.list_events(EventFilter(source="creativeai", job_id="late"), limit=10).rows
    } == {"succeeded": "current", "running": "stale"}


class TestAnotherSource:
    def test_is_sent_what_its_provider_signs(self, running):
        body = {"type": "render.done", "data": {"id": "r1"}}

        assert running.send(source="studio", body=body, repeat=2) == [202, 200]
        assert running.send(source="studio", body={**body, "type": "other"}, tamper=True) == [401]

    def test_refuses_what_was_signed_too_long_ago(self, running):
        assert running.send(source="studio", body={"type": "render.late"}, stale=True) == [401]

    def test_takes_what_nobody_signs_for_a_hint(self, running):
        assert running.send(source="dream", body={"id": "d1", "state": "completed"}) == [200]

    @pytest.mark.parametrize(
        ("arguments", "error", "told"),
        [
            pytest.param({"source": "studio"}, ValueError, "write a body for studio", id="no-body"),
            pytest.param({"source": "none", "body": {}}, NotConfigured, "there is no source 'none'", id="none"),
            pytest.param({"source": "creativeai", "stale": True}, ValueError, "signs no time", id="timeless"),
            pytest.param({"source": "keyed", "body": {}}, ValueError, "fal signs with a key", id="key-pair"),
            pytest.param({"source": "open", "body": {}}, ValueError, "open has no secrets", id="no-secrets"),
        ],
    )
    def test_says_what_it_cannot_be_sent(self, running, arguments, error, told):
        with pytest.raises(error, match=told):
            running.send(**arguments)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"id": "own", "object": "voice.generation", "status": "completed"}, id="mapping"),
        pytest.param(b'{"id": "raw", "object": "voice.generation", "status": "completed"}', id="bytes"),
    ],
)
def test_a_body_may_be_the_authors_own(running, body):
    assert running.send(body=body) == [202]


@pytest.mark.parametrize(
    "type", ["video.generation.completed", "chart-to-video.generation.failed", "video.batch.completed"]
)
def test_sends_what_the_type_says(running, type):
    running.send(type=type, job=type)

    assert f"type={type}" in running.log


def test_a_type_that_there_is_not_is_said_to_be_none(running):
    with pytest.raises(ValueError, match=r"no webhook of type 'video.ready'; write one such as"):
        running.send(type="video.ready")


@pytest.mark.parametrize(
    "tables",
    [
        pytest.param({"handlers": {"orders": {"path": "orders.py", "max_attempts": 1}}}, id="mapping"),
        pytest.param({"worker": {"lease": "5s"}, "log_format": "json"}, id="other-tables"),
        pytest.param({"store": "sqlite:///other.db", "web": {"bind": "0.0.0.0:80", "connections": 2}}, id="overruled"),
    ],
)
def test_the_tables_are_checked_by_the_command(tmp_path, tables):
    (tmp_path / "orders.py").write_text(HANDLER)
    receiver = RunningReceiver(tmp_path, tables, handlers_in=tmp_path)

    checked = subprocess.run(
        [sys.executable, "-m", "receiver", "check", "--offline", "--config", str(receiver.config)],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert checked.returncode == 0, checked.stderr
    assert receiver.url.removeprefix("http://") in checked.stdout
