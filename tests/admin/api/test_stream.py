"""The stream of what is new."""

import json
import threading
from contextlib import contextmanager

import httpx
import pytest

from receiver.admin.extension import NAME
from receiver.tokens import digest
from tests.admin.serving import serving
from tests.watch import eventually


@pytest.fixture
def url(app):
    with serving(app) as served:
        yield f"{served}/api/v1/stream"


@pytest.fixture
def follow(app, url, token):
    """Follow in a block: gives the next event told, as its name, id and data."""

    @contextmanager
    def follow(last=None):
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last} if last is not None else {})
        with httpx.stream("GET", url, headers=headers, timeout=20) as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": hello"
            yield lambda: told(lines)

    return follow


def told(lines):
    fields = {}
    for line in lines:
        if line == "" and fields:
            return fields["event"], fields["id"], json.loads(fields["data"])
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
    raise AssertionError("the stream has ended")


def test_tells_a_new_event(follow, post):
    before = post("before")
    with follow(f"{before.id}-0") as following:
        event = post("vgen_1")

        name, position, data = following()

    assert (name, position, data["id"], data["job"]) == ("event", f"{event.id}-0", event.id, "vgen_1")


def test_tells_a_new_dispatch(follow, post, store):
    event = post("vgen_1")
    with follow(f"{event.id}-0") as following:
        store.route({event.id: ["orders"]})

        name, _, data = following()

    assert (name, data["event"], data["state"]) == ("dispatch", event.id, "pending")


def test_goes_on_after_what_was_told_last(follow, post):
    events = [post(f"vgen_{number}") for number in range(3)]

    with follow(f"{events[0].id}-0") as following:
        jobs = [following()[2]["job"] for _ in range(2)]

    assert jobs == ["vgen_1", "vgen_2"]


def test_says_that_it_leaves_some_out(follow, post, monkeypatch):
    monkeypatch.setattr("receiver.admin.stream._PAGE", 1)
    monkeypatch.setattr("receiver.admin.stream._MOST_AT_ONCE", 2)
    events = [post(f"vgen_{number}") for number in range(4)]

    with follow(f"{events[0].id}-0") as following:
        names = [following() for _ in range(3)]

    assert [(name, data.get("job")) for name, _, data in names] == [
        ("gap", None),
        ("event", "vgen_2"),
        ("event", "vgen_3"),
    ]


def test_does_not_take_an_id_of_nobodys(app, token):
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": "17"}

    assert app.test_client().get("/api/v1/stream", headers=headers).status_code == 422


def test_so_many_may_follow_at_once(app, url, token, follow):
    most = app.extensions[NAME].config.admin.threads // 2
    headers = {"Authorization": f"Bearer {token}"}

    with follow(), follow(), follow(), follow():
        answer = httpx.get(url, headers=headers, timeout=20)

    assert most == 4
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_a_place_is_free_again_after_somebody_went(app, follow):
    stream = app.extensions[NAME].stream
    places = [stream.enter() for _ in range(4)]
    stream.leave()

    with follow():
        pass

    assert places == [True] * 4


def test_ends_when_the_token_is_removed(app, follow, store):
    app.extensions[NAME].stream._silence = 0.1
    with follow() as following:
        store.remove_token("operator")

        with pytest.raises(AssertionError, match="has ended"):
            following()


def test_ends_when_the_session_does(app, url, token):
    app.extensions[NAME].stream._silence = 0.1
    with httpx.Client(base_url=url.removesuffix("/api/v1/stream"), timeout=20) as browser:
        browser.post("/sign-in", data={"token": token})
        with browser.stream("GET", "/api/v1/stream") as answer:
            lines = answer.iter_lines()
            first = next(lines)
            app.extensions[NAME].store.close_session(digest(browser.cookies["receiver"]))
            rest = set(lines)

    assert (answer.status_code, first) == (200, ": hello")
    assert rest <= {"", ": nothing new"}


def test_one_thread_looks_however_often_people_come_and_go(app):
    stream, before = app.extensions[NAME].stream, threads()
    for _ in range(20):
        stream.enter()
        stream.leave()

    assert len(threads() - before) == 1


def test_looks_again_for_whoever_comes_after_all_have_gone(app, follow, post):
    stream, before = app.extensions[NAME].stream, threads()
    stream.enter()
    stream.leave()
    eventually(lambda: not threads() - before)

    with follow("0-0") as following:
        post("vgen_1")
        name, _, _ = following()

    assert name == "event"


def threads():
    return {thread for thread in threading.enumerate() if thread.name == "stream"}
