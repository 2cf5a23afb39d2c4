"""What the stand-in serves, and what it remembers."""

import time
import tomllib
from itertools import pairwise

import httpx
import pytest

from receiver.errors import ReceiverError
from receiver.models import Created
from receiver.providers.creativeai import CreativeAI
from receiver.providers.omnivideo import OmniVideo
from receiver.sandbox import Conditions, Sandbox
from tests.running import API_KEY, SECRET
from tests.sandbox.conftest import serving
from tests.sandbox.support import At, get


@pytest.fixture
def fresh():
    """One that was not asked anything yet."""
    with serving() as sandbox:
        yield sandbox


def test_stands_in_for_the_systems_it_says(quick):
    assert set(quick.base_urls) == {"creativeai", "kpainter", "newapi", "omnivideo"}


def test_tells_the_sources_to_configure(quick):
    sources = tomllib.loads(quick.tables())["sources"]

    assert {name: source["base_url"] for name, source in sources.items()} == quick.base_urls
    assert {source["api_key"] for source in sources.values()} == {API_KEY}
    assert [name for name, source in sources.items() if "secrets" in source] == ["creativeai"]


def test_listens_on_this_machine_only(quick):
    assert quick.url.startswith("http://127.0.0.1:")


def test_says_that_the_port_is_taken(quick):
    port = int(quick.url.rpartition(":")[2])

    with pytest.raises(ReceiverError, match=f"cannot listen on 127.0.0.1:{port}"):
        Sandbox(secret=SECRET, api_key=API_KEY, port=port)


def test_can_be_served_again_at_the_same_port():
    with serving() as sandbox:
        httpx.get(sandbox.url)
    port = int(sandbox.url.rpartition(":")[2])

    with Sandbox(secret=SECRET, api_key=API_KEY, port=port) as again:
        assert again.url == sandbox.url


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        pytest.param("vgen_1.mp4", "video/mp4", id="video"),
        pytest.param("img_1.png", "image/png", id="image"),
        pytest.param("voice_1.mp3", "audio/mpeg", id="speech"),
        pytest.param("1.pdf", "application/pdf", id="slides"),
        pytest.param("1.html", "text/html", id="lesson"),
    ],
)
def test_serves_files_of_a_plausible_type(quick, name, content_type):
    answer = httpx.get(f"{quick.url}/output/{name}")

    assert answer.headers["Content-Type"].partition(";")[0] == content_type
    assert name in answer.text


def test_serves_parts_of_files(quick):
    answer = httpx.get(f"{quick.url}/output/a.mp4", headers={"Range": "bytes=5-"})

    assert (answer.status_code, answer.text[:5]) == (206, "a.mp4")


def test_remembers_what_it_was_asked(fresh):
    at = At(fresh, CreativeAI)
    created = at.create("video", prompt="a scene")
    at.ask(created)

    first, second = fresh.requests

    assert str(first) == "POST /creativeai/v1/video/generations 202"
    assert str(second) == f"GET /creativeai/v1/video/generations/{created.job_id} 200"
    assert [first.is_poll, second.is_poll] == [False, True]
    assert fresh.polls == [second]


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("creativeai", "/v1/models"),
        ("kpainter", "/me"),
        ("kpainter", "/catalog"),
        ("kpainter", "/creations"),
        ("newapi", "/v1/models"),
    ],
)
def test_takes_no_question_about_everything_for_a_poll(fresh, provider, path):
    get(fresh, provider, path)

    [asked] = fresh.requests
    assert (asked.provider, asked.status, asked.is_poll) == (provider, 200, False)


def test_remembers_what_it_refused(fresh):
    get(fresh, "newapi", "/v1/videos/a", headers={"Authorization": ""})
    get(fresh, "newapi", "/nothing")

    assert [asked.status for asked in fresh.requests] == [401, 404]


def test_remembers_no_downloads(fresh):
    httpx.get(f"{fresh.url}/output/a.mp4")

    assert fresh.requests == []


def test_remembers_when_it_was_asked(fresh):
    began = time.monotonic()
    for _ in range(3):
        get(fresh, "newapi", "/v1/models")

    moments = [began, *(asked.at for asked in fresh.requests), time.monotonic()]

    assert all(earlier <= later for earlier, later in pairwise(moments))


def test_tells_as_it_happens():
    told = []
    with Sandbox(Conditions(), secret=SECRET, api_key=API_KEY, tell=told.append) as sandbox:
        get(sandbox, "newapi", "/v1/models")

    assert told == sandbox.requests


def test_refuses_what_is_too_odd_for_a_path(quick):
    at = At(quick, CreativeAI)

    with pytest.raises(Exception, match="404"):
        at.ask(Created(job_id="../\x1b[31m", kind="video"))


def test_goes_on_when_nobody_reads_along_any_more():
    def gone(what):
        raise BrokenPipeError

    with Sandbox(secret=SECRET, api_key=API_KEY, tell=gone) as sandbox:
        at = At(sandbox, CreativeAI)

        assert at.send(at.adapter.check()[0]).status_code == 200


def test_can_hide_that_a_job_was_created(fresh):
    at = At(fresh, OmniVideo)
    body = {"prompt": "a scene", "sandbox": "unanswered"}

    answer = at.send(at.adapter.submit("gpt-image-2", body, None))

    assert answer.status_code == 500
    assert [asked.status for asked in fresh.requests] == [500]
