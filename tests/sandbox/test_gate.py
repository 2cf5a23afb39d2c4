"""Who is let in, how often, and when."""

import time
from datetime import timedelta

import httpx
import pytest

from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed
from receiver.models import Budget, Created, Status
from receiver.plugins import providers
from receiver.providers.creativeai import CreativeAI
from tests.running import API_KEY
from tests.sandbox.conftest import serving
from tests.sandbox.support import At, get
from tests.watch import eventually

MINUTE = timedelta(minutes=1)
SOMETHING = {
    "creativeai": Created(job_id="vgen_none", kind="video"),
    "kpainter": Created(job_id="1", kind="image"),
    "omnivideo": Created(job_id="none", kind="video"),
    "newapi": Created(job_id="task_none", kind="videos"),
}
"""A job that does not exist, at each provider."""


@pytest.fixture(scope="module")
def failing():
    """Up for 200 ms, then for 20 ms of each 200."""
    with serving(outage_every=timedelta(seconds=10), outage_for=timedelta(seconds=9), speed=50) as sandbox:
        yield sandbox


@pytest.fixture(params=SOMETHING)
def name(request):
    """Each provider in turn."""
    return request.param


@pytest.fixture
def adapter(name):
    """Its adapter."""
    return providers()[name]


def ask(at):
    """What comes of asking about a job that does not exist."""
    return at.ask(SOMETHING[at.adapter.name])


def statuses(sandbox):
    return [asked.status for asked in sandbox.requests]


class TestKeys:
    def test_of_others_are_refused(self, quick, adapter):
        with pytest.raises(CredentialsRefused):
            ask(At(quick, adapter, api_key="another-key"))

    @pytest.mark.parametrize("header", [None, "", API_KEY, f"Basic {API_KEY}"])
    def test_must_be_there(self, quick, name, header):
        headers = {"Authorization": header} if header is not None else {}

        answer = httpx.get(quick.base_urls[name] + "/anything", headers=headers)

        assert answer.status_code == 401


class TestBudgets:
    @pytest.fixture
    def two(self):
        """Allows two requests a minute, however fast the rest goes."""
        with serving(budget=Budget(2, per=MINUTE), speed=1000) as sandbox:
            yield sandbox

    def test_end_in_a_429_that_says_when_to_come_back(self, two, adapter):
        at = At(two, adapter)
        for _ in range(2):
            with pytest.raises(RequestFailed):
                ask(at)

        with pytest.raises(RateLimited) as refusal:
            ask(at)

        assert timedelta(seconds=50) < refusal.value.retry_after <= MINUTE

    def test_are_each_providers_own(self, two):
        for provider in SOMETHING:
            get(two, provider, "/anything")
            get(two, provider, "/anything")

        assert 429 not in statuses(two)

    def test_are_not_spent_by_what_they_refuse(self, two):
        for _ in range(9):
            get(two, "newapi", "/anything")

        assert get(two, "newapi", "/anything").status_code == 429
        assert get(two, "omnivideo", "/anything").status_code == 404

    def test_are_not_spent_without_the_key(self, two):
        for _ in range(9):
            get(two, "newapi", "/anything", headers={"Authorization": "Bearer another-key"})

        assert get(two, "newapi", "/anything").status_code == 404

    def test_come_back(self):
        with serving(budget=Budget(1, per=timedelta(seconds=0.2))) as sandbox:
            began = time.monotonic()
            get(sandbox, "newapi", "/anything")

            eventually(lambda: get(sandbox, "newapi", "/anything").status_code == 404)

        assert time.monotonic() - began >= 0.2

    def test_are_told_in_every_answer_of_creativeai(self, two):
        at = At(two, CreativeAI)

        told = [at.adapter.limits(at.send(at.adapter.check()[0])) for _ in range(3)]

        assert [(limits.count, limits.remaining) for limits in told] == [(2, 1), (2, 0), (2, 0)]
        assert all(timedelta(seconds=50) < limits.resets_after <= MINUTE for limits in told)

    def test_are_not_told_by_the_others(self, two):
        headers = get(two, "newapi", "/v1/models").headers

        assert not [name for name in headers if name.startswith("x-ratelimit")]

    def test_are_not_told_where_there_are_none(self, quick):
        assert "X-RateLimit-Limit" not in get(quick, "creativeai", "/v1/models").headers


class TestWishes:
    @pytest.mark.parametrize(
        ("name", "kind", "body"),
        [
            pytest.param("creativeai", "video", {"prompt": "a scene"}, id="json"),
            pytest.param("newapi", "videos", {"model": "sora-2", "prompt": "a scene"}, id="form"),
        ],
    )
    def test_can_stand_in_the_body(self, quick, adapter, kind, body):
        at = At(quick, adapter)

        assert at.ask(at.create(kind, sandbox="failed", **body)).status is Status.FAILED

    def test_in_the_header_overrule_the_body(self, quick):
        at = At(quick, CreativeAI)

        assert at.ask(at.create("video", fate="", sandbox="failed", prompt="a scene")).status is Status.SUCCEEDED

    def test_that_cannot_be_are_refused(self, quick, adapter, name):
        kind = next(iter(adapter.create_calls))
        body = {"prompt": "a scene", "model": "sora-2", "sandbox": "los"}

        with pytest.raises(RequestFailed, match="there is no los; there are lost, doubled"):
            At(quick, adapter).create(kind, **body)


class TestErrors:
    def test_are_worth_another_try(self, adapter):
        with serving(errors=1) as sandbox, pytest.raises(RequestFailed, match="500") as failure:
            ask(At(sandbox, adapter))

        assert failure.value.retry
        assert not isinstance(failure.value, NotFound)

    def test_create_no_job(self):
        with serving(errors=1) as sandbox, pytest.raises(RequestFailed):
            At(sandbox, CreativeAI).create("video", prompt="a scene")

    def test_come_as_often_as_wanted(self):
        found = mixed(seed=1)

        assert found == mixed(seed=1)
        assert 5 < found.count(500) < 35


def mixed(**conditions):
    """How forty requests are answered where every other one fails."""
    with serving(errors=0.5, **conditions) as sandbox:
        for _ in range(40):
            get(sandbox, "newapi", "/v1/models")
        return statuses(sandbox)


class TestOutages:
    def test_are_worth_another_try(self, failing, adapter):
        at = At(failing, adapter)

        failure = eventually(lambda: failed(at, "503"))

        assert failure.retry

    def test_end(self, failing):
        eventually(lambda: get(failing, "newapi", "/v1/models").status_code == 503)

        assert eventually(lambda: get(failing, "newapi", "/v1/models").is_success)

    def test_do_not_hold_up_the_jobs(self, failing):
        at = At(failing, CreativeAI)
        created = eventually(lambda: attempt(lambda: at.create("video", prompt="a scene")))

        reading = eventually(lambda: attempt(lambda: at.ask(created)))

        assert reading.status is Status.SUCCEEDED

    def test_leave_the_results_where_they_are(self, failing):
        eventually(lambda: get(failing, "newapi", "/v1/models").status_code == 503)

        assert httpx.get(f"{failing.url}/output/some.mp4").is_success


def failed(at, text):
    """The failure that asking ends in, if it says this."""
    with pytest.raises(RequestFailed) as failure:
        ask(at)
    return failure.value if text in str(failure.value) else None


def attempt(what):
    """What it gives; None if the request failed."""
    try:
        return what()
    except RequestFailed:
        return None
