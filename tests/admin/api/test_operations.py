"""What all operations share: problems, parameters, bodies, paging, and requests that are made once."""

import json
import sqlite3
from contextlib import closing, contextmanager

import pytest

from receiver import tokens
from receiver.models import Role
from tests.admin.conftest import CREATED, Api
from tests.scripted import Answer
from tests.trouble import database_locked

VIDEO = {"source": "creativeai", "kind": "video", "body": {"prompt": "A drone shot over a coastal city"}}


# Problems


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/api/v1/nowhere", 404, id="no-such-path"),
        pytest.param("GET", "/api/v1", 404, id="the-root"),
        pytest.param("GET", "/api/v1/events/999", 404, id="no-such-event"),
        pytest.param("GET", "/api/v1/events/first", 404, id="no-number"),
        pytest.param("GET", "/api/v1/events/99999999999999999999", 404, id="too-large"),
        pytest.param("PUT", "/api/v1/events", 405, id="wrong-method"),
        pytest.param("OPTIONS", "/api/v1/events", 405, id="options"),
        pytest.param("GET", "/api/v1/events?limit=0", 400, id="wrong-parameter"),
        pytest.param("POST", "/api/v1/polls", 415, id="no-json"),
    ],
)
def test_every_error_is_a_problem(app, token, method, path, status):
    answer = app.test_client().open(path, method=method, headers={"Authorization": f"Bearer {token}"})

    told = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert (told["status"], told["type"]) == (status, "about:blank")
    assert told["title"]
    assert told["detail"]


def test_a_wrong_method_names_the_right_ones(app, token):
    answer = app.test_client().put("/api/v1/events", headers={"Authorization": f"Bearer {token}"})

    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_what_should_not_fail_says_nothing_of_why(app, api, caplog):
    app.extensions["receiver.admin"].store.list_events = None

    answer = api.get("/events")

    assert (answer.status_code, "NoneType" in answer.text) == (500, False)
    assert "NoneType" in caplog.text


def test_says_when_to_try_again_while_the_store_is_locked(api, database):
    with database_locked(database):
        answer = api.post("/handlers/orders/pause")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# Parameters


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        pytest.param("nonsense=1", "nonsense", id="unknown"),
        pytest.param("limit=0", "limit", id="too-few"),
        pytest.param("limit=201", "limit", id="too-many"),
        pytest.param("limit=1_0", "limit", id="not-digits"),
        pytest.param("limit=", "limit", id="empty"),
        pytest.param("before=0", "before", id="no-id"),
        pytest.param("before=9223372036854775808", "before", id="larger-than-a-database-takes"),
        pytest.param("status=done", "status", id="no-status"),
        pytest.param("since=yesterday", "since", id="no-time"),
        pytest.param("since=1700000000", "since", id="number-for-a-time"),
        pytest.param("since=2026-03-09T16:00:00", "since", id="no-zone"),
        pytest.param("text=" + "x" * 201, "text", id="too-long"),
        pytest.param("source=a&source=b", "source", id="twice"),
    ],
)
def test_a_wrong_parameter_is_named(app, token, query, parameter):
    answer = app.test_client().get(f"/api/v1/events?{query}", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.get_json()["errors"]] == [parameter]


def test_what_takes_no_parameter_is_given_none(api):
    answer = api.get("/sources", limit=1)

    assert (answer.status_code, answer.get_json()["errors"]) == (
        400,
        [{"parameter": "limit", "detail": "is not known"}],
    )


@pytest.mark.parametrize(
    "since",
    [
        pytest.param("0001-01-01T00:00:00+14:00", id="before-the-first-year"),
        pytest.param("9999-12-31T23:59:59-14:00", id="after-the-last"),
        pytest.param("2026-03-09t16:00:00.123456z", id="small-letters"),
    ],
)
def test_takes_every_time_there_is(api, since):
    assert api.get("/events", since=since).status_code == 200


# Bodies


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        pytest.param(b"{", 400, None, id="no-json"),
        pytest.param(b"", 400, None, id="empty"),
        pytest.param(b"\xff", 400, None, id="no-text"),
        pytest.param(b'"\\ud800"', 400, None, id="half-a-character"),
        pytest.param(b"[" * 100_000, 400, None, id="deep"),
        pytest.param(b"[]", 422, "#/", id="no-object"),
        pytest.param(b'{"source": "creativeai"}', 422, "#/job", id="missing"),
        pytest.param(b'{"source": "creativeai", "job": 1}', 422, "#/job", id="wrong-type"),
        pytest.param(b'{"source": "creativeai", "job": "a", "now": true}', 422, "#/now", id="unknown"),
    ],
)
def test_a_wrong_body_is_refused(app, token, body, status, pointer):
    answer = app.test_client().post(
        "/api/v1/polls", data=body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )

    errors = answer.get_json().get("errors", [{"pointer": None}])
    assert (answer.status_code, [error["pointer"] for error in errors]) == (status, [pointer])


def test_of_two_ways_to_choose_only_the_one_taken_is_told_of(api):
    answer = api.post("/retries", {"selection": {"handlers": [1]}})

    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["#/selection/handlers/0"]


def test_an_error_quotes_nothing_that_was_sent(api):
    answer = api.post("/polls", {"source": "creativeai", "job": {"token": "hush"}})

    assert "hush" not in answer.text


# Paging


def test_a_list_is_paged(api, post):
    ids = [post(f"vgen_{number}").id for number in range(5)]

    found, path = [], "/events?limit=2"
    while path:
        answer = api.get(path)
        found += [item["id"] for item in answer.get_json()["items"]]
        link = answer.headers.get("Link", "")
        path = link.partition(">")[0].removeprefix("</api/v1") if link.endswith('; rel="next"') else None

    assert found == ids[::-1]


def test_the_next_page_keeps_the_filter(api, post):
    for number in range(3):
        post(f"vgen_{number}")

    answer = api.get("/events", limit=1, source="creativeai", type="video.*")

    assert "source=creativeai&type=video.%2A&before=" in answer.headers["Link"].replace("limit=1&", "")
    assert answer.get_json()["next"] is not None


def test_the_last_page_names_no_other(api, post):
    post("vgen_1")

    answer = api.get("/events")

    assert (answer.get_json()["next"], "Link" in answer.headers) == (None, False)


# Requests that are made once


def test_the_same_request_with_the_same_key_is_done_once(api, provider):
    answers = [api.post("/submissions", VIDEO, Idempotency_Key="order-17") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].get_json() == answers[1].get_json()
    assert len(provider.asked) == 1


def test_says_that_an_answer_was_given_before(api, provider):
    answers = [api.post("/submissions", VIDEO, Idempotency_Key="order-17") for _ in range(2)]

    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]


def test_without_a_key_every_request_is_its_own(api, provider):
    for _ in range(2):
        api.post("/submissions", VIDEO)

    assert len(provider.asked) == 2


def test_another_request_with_the_same_key_is_refused(api, provider):
    api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    answer = api.post("/submissions", {**VIDEO, "metadata": {"order": 18}}, Idempotency_Key="order-17")

    assert (answer.status_code, len(provider.asked)) == (422, 1)


def test_another_tokens_key_is_another(app, api, store, provider):
    api.post("/submissions", VIDEO, Idempotency_Key="order-17")
    another = Api(app, tokens.add(store, "another", role=Role.OPERATOR))

    answer = another.post("/submissions", VIDEO, Idempotency_Key="order-17")

    assert (answer.status_code, len(provider.asked)) == (201, 2)


def test_a_request_that_is_being_answered_is_not_made_again(api, provider):
    again = []

    def create(path):
        again.append(api.post("/submissions", VIDEO, Idempotency_Key="order-17"))
        return CREATED

    provider.answer = create
    first = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    assert (first.status_code, [answer.status_code for answer in again]) == (201, [409])


def test_what_did_nothing_may_be_asked_for_again(api, provider):
    provider.answer = lambda path: Answer({"error": {"message": "no credits"}}, status=402)
    first = api.post("/submissions", VIDEO, Idempotency_Key="order-17")
    provider.answer = lambda path: CREATED

    second = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    assert [first.status_code, second.status_code] == [502, 201]


def test_what_may_have_done_something_is_not_done_again(api, provider):
    provider.answer = lambda path: None
    first = api.post("/submissions", VIDEO, Idempotency_Key="order-17")
    asked = len(provider.asked)
    second = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    assert [first.status_code, second.status_code] == [502, 502]
    assert (first.get_json(), len(provider.asked)) == (second.get_json(), asked)


@contextmanager
def unwritable(database, table):
    """A store that cannot record anything new in one of its tables."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute(f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no room'); END")
        yield
        db.execute("DROP TRIGGER full")


def test_what_the_store_could_not_begin_may_be_asked_for_again(api, database):
    with unwritable(database, "intents"):
        first = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    second = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    assert [first.status_code, second.status_code] == [503, 201]


def test_what_was_created_but_not_recorded_is_not_created_again(api, provider, database):
    with unwritable(database, "jobs"):
        first = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    second = api.post("/submissions", VIDEO, Idempotency_Key="order-17")

    assert [first.status_code, second.status_code] == [502, 502]
    assert (first.get_json(), len(provider.asked)) == (second.get_json(), 1)


def test_a_request_that_is_refused_before_it_begins_spends_no_key(api, provider):
    api.post("/submissions", {**VIDEO, "body": None}, Idempotency_Key="order-17")

    assert api.post("/submissions", VIDEO, Idempotency_Key="order-17").status_code == 201


@pytest.mark.parametrize(
    "key", [pytest.param("", id="empty"), pytest.param("a b", id="space"), pytest.param("x" * 256, id="long")]
)
def test_a_key_has_a_form(api, key):
    assert api.post("/submissions", VIDEO, Idempotency_Key=key).status_code == 400


def test_replays_are_made_once_too(api, post, store, attempted):
    event = post("vgen_1")
    attempted(event)

    answers = [api.post("/replays", {"events": [event.id]}, Idempotency_Key="once").get_json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert len(store.list_dispatches(limit=10).rows) == 2


# The description


def test_describes_itself(api):
    described = api.get("/openapi.json").get_json()

    assert described["openapi"] == "3.1.0"
    assert len(json.dumps(described)) > 10_000
