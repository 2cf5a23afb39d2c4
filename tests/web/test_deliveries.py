"""The answers that senders get, and what is kept."""

import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from receiver import signals
from receiver.config import from_tables
from receiver.models import Status
from receiver.providers.creativeai import CreativeAI
from receiver.web import create_app
from tests.store.contract import all_deliveries, all_events
from tests.support import sample, vector, vectors
from tests.trouble import database_locked, disk_full, flock_held
from tests.watch import eventually, hearing

KNOWN = vector("CA-video_completed")
SECRET = KNOWN["secret"]
OTHER = vector("CA-api-key-secret")
BODY = KNOWN["body"].encode()
SIGNED = KNOWN["headers"]
LIMIT = 20_000


@pytest.fixture
def app(tmp_path, database):
    tables = {
        "store": f"sqlite:///{database}",
        "commit_timeout": "200ms",
        "web": {"max_body": LIMIT, "body_timeout": "200ms"},
        "sources": {
            "studio": {"provider": "creativeai", "secrets": [SECRET, OTHER["secret"]]},
            "unsigned": {"provider": "creativeai", "unsigned": True, "api_key": "key"},
        },
    }
    made = create_app(from_tables(tables, file=tmp_path / "receiver.toml"))
    yield made
    held = made.extensions["receiver"]
    eventually(lambda: held.quarantine._thread is None)
    held.store.close()


@pytest.fixture
def store(app):
    return app.extensions["receiver"].store


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def refused(app, store):
    """What is in the quarantine by now."""

    def refused():
        app.extensions["receiver"].quarantine.flush()
        return [(row["source"], row["reason"]) for row in store.list_refusals(limit=1000).rows]

    return refused


def sign(body, secret=SECRET):
    return CreativeAI.scheme.sign(body, secret, datetime.now(UTC))


def post(client, body=BODY, headers=SIGNED, *, path="/webhooks/studio", **more):
    return client.post(path, data=body, headers=headers, **more)


# Those who insist


def test_answers_as_the_provider_insists(app, client):
    app.extensions["receiver"].sources["studio"].provider.acknowledgement = '{"code": 200}'

    answers = [post(client), post(client)]

    assert [(answer.status_code, answer.get_json()) for answer in answers] == [(200, {"code": 200})] * 2


# New, genuine: 202


@pytest.mark.parametrize("known", [known for known in vectors("creativeai") if known.values[0]["expect"] == "valid"])
def test_accepts_what_is_genuine(client, store, known):
    answer = post(client, known["body"].encode(), known["headers"])

    assert answer.status_code == 202
    assert [row["body"] for row in all_deliveries(store)] == [known["body"].encode()]


def test_records_the_event_before_it_answers(client, store):
    post(client)

    [event] = all_events(store)
    assert (event["key"], event["trust"], event["via"]) == ("vgen_abc123:succeeded", "signed", "webhook")
    assert store.job("studio", "vgen_abc123").status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/webhooks/studio", id="plain"),
        pytest.param("/webhooks/studio/", id="slash"),
        pytest.param("/webhooks/studio/video/7", id="deeper"),
        pytest.param("/webhooks/studio/video/7/", id="deeper-slash"),
        pytest.param("/webhooks/studio?user=7", id="query"),
        pytest.param("/webhooks//studio", id="slash-before"),
        pytest.param("/webhooks///studio//", id="slashes-around"),
        pytest.param("/webhooks/studio//video", id="slashes-inside"),
    ],
)
def test_accepts_it_at_every_path_of_the_source(client, store, path):
    assert post(client, path=path).status_code == 202
    assert [row["path"] for row in all_deliveries(store)] == [path.partition("?")[0]]


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("application/json", id="json"),
        pytest.param("application/x-www-form-urlencoded", id="form"),
        pytest.param("multipart/form-data; boundary=x", id="multipart"),
        pytest.param("text/plain; charset=utf-16", id="charset"),
        pytest.param("nonsense", id="nonsense"),
        pytest.param("", id="none"),
    ],
)
def test_takes_the_bytes_as_they_are(client, store, content_type):
    assert post(client, headers=SIGNED | {"Content-Type": content_type}).status_code == 202
    assert [row["body"] for row in all_deliveries(store)] == [BODY]


def test_accepts_what_is_as_long_as_it_may_be(client):
    body = BODY + b" " * (LIMIT - len(BODY))

    assert post(client, body, sign(body)).status_code == 202


def test_accepts_half_of_a_surrogate_pair_in_the_data(client, store):
    body = rb'{"id": "vgen_1", "object": "video.generation", "status": "completed", "prompt": "\ud800\u0000"}'

    assert post(client, body, sign(body)).status_code == 202
    assert [row["data"]["prompt"] for row in all_events(store)] == ["\ud800\0"]


def test_answers_in_json_and_says_no_more_than_needed(client):
    answer = post(client)

    assert answer.get_json() == {"status": "accepted"}
    assert set(answer.headers.keys()) == {"Content-Type", "Content-Length"}


# Seen before: 200


def test_knows_what_it_has_seen(client):
    post(client)

    answer = post(client)

    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_one_delivery_under_many_ids_is_one_event(client, store):
    answers = [post(client, headers=SIGNED | {"X-CreativeAI-Delivery-Id": f"id_{n}"}) for n in range(100)]

    assert [answer.status_code for answer in answers] == [202] + [200] * 99
    assert len(all_events(store)) == 1
    assert [row["seen_count"] for row in all_deliveries(store)] == [100]


def test_one_delivery_under_many_names_and_paths_is_one_event(client, store):
    answers = [
        post(client, headers=SIGNED | {"X-CreativeAI-Event": f"image.{n}.failed"}, path=f"/webhooks/studio/{n}")
        for n in range(10)
    ]

    assert [answer.status_code for answer in answers] == [202] + [200] * 9
    assert len(all_events(store)) == 1


# Hints: 202


def test_takes_a_hint(client, store):
    answer = post(client, sample("creativeai/webhooks/video_completed"), {}, path="/webhooks/unsigned")

    assert answer.status_code == 202
    assert all_events(store) == []
    assert [job.job_id for job in store.due_jobs("unsigned", limit=1000)] == ["vgen_abc123"]


# Genuine but unreadable: 202

UNREADABLE = [
    pytest.param(b"", id="empty"),
    pytest.param(b" ", id="blank"),
    pytest.param(BODY[:-20], id="cut-off"),
    pytest.param(b"\xff\xfe\xfd", id="not-utf-8"),
    pytest.param(BODY[:-1] + b'\xff"}', id="not-utf-8-inside"),
    pytest.param(b"\xef\xbb\xbf" + BODY, id="byte-order-mark"),
    pytest.param(BODY.decode().encode("utf-16"), id="utf-16"),
    pytest.param(b"[" * 10_000, id="deep-list"),
    pytest.param(b'{"a":' * 3_000 + b"1" + b"}" * 3_000, id="deep-object"),
    pytest.param(b'{"id": "vgen_1", "a": ' + b"[" * 900 + b"]" * 900 + b"}", id="barely-readable"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"null", id="null"),
    pytest.param(b"true", id="true"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"7", id="number"),
    pytest.param(b"{}", id="empty-object"),
    pytest.param(b'{"id": "vgen_1", "credits": NaN}', id="not-a-number"),
    pytest.param(b'{"id": "vgen_1", "credits": -Infinity}', id="infinity"),
    pytest.param(b'{"id": "vgen_1", "credits": 1e999}', id="overflow"),
    pytest.param(b'{"id": "vgen_1", "credits": ' + b"9" * 10_000 + b"}", id="digits"),
    pytest.param(rb'{"id": "\ud800"}', id="surrogate"),
    pytest.param(rb'{"id": "a\u0000b"}', id="nul"),
    pytest.param(b'{"id": 7}', id="id-is-a-number"),
    pytest.param(b"<html></html>", id="html"),
    pytest.param(b"id=vgen_1&status=completed", id="form"),
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_keeps_what_is_genuine_but_unreadable(client, store, body):
    assert post(client, body, sign(body)).status_code == 202
    assert [(row["verdict"], row["body"]) for row in all_deliveries(store)] == [("unreadable", body)]
    assert all_events(store) == []


@pytest.mark.parametrize("body", UNREADABLE)
def test_knows_what_is_unreadable_again(client, body):
    post(client, body, sign(body))

    assert post(client, body, sign(body)).status_code == 200


@pytest.mark.parametrize("body", UNREADABLE)
def test_answers_an_unsigned_source_the_same(client, body):
    assert post(client, body, {}, path="/webhooks/unsigned").status_code == 202


# Not proven: 401

FORGED = [
    pytest.param(BODY, {}, "missing_signature", id="unsigned"),
    pytest.param(BODY, sign(BODY, "another"), "signature_mismatch", id="another-secret"),
    pytest.param(BODY, sign(BODY, ""), "signature_mismatch", id="no-secret"),
    pytest.param(BODY + b" ", SIGNED, "signature_mismatch", id="longer"),
    pytest.param(json.dumps(json.loads(BODY), indent=1).encode(), SIGNED, "signature_mismatch", id="written-anew"),
    pytest.param(b"", SIGNED, "signature_mismatch", id="empty"),
    pytest.param(BODY, {"X-CreativeAI-Signature": ""}, "malformed", id="empty-signature"),
    pytest.param(BODY, {"X-CreativeAI-Signature": "sha256="}, "malformed", id="only-the-prefix"),
    pytest.param(BODY, {"X-CreativeAI-Signature": "sha256=" + "é" * 64}, "malformed", id="not-ascii"),
    pytest.param(BODY, {"X-CreativeAI-Signature": "x" * 5000}, "malformed", id="long"),
    pytest.param(
        BODY, [("X-CreativeAI-Signature", SIGNED["X-CreativeAI-Signature"])] * 2, "malformed", id="signed-twice"
    ),
    pytest.param(BODY, {"X_CreativeAI_Signature": "sha256=" + "0" * 64}, "signature_mismatch", id="underscores"),
]


@pytest.mark.parametrize(("body", "headers", "reason"), FORGED)
def test_refuses_what_is_not_proven(client, store, body, headers, reason):
    answer = post(client, body, headers)

    assert (answer.status_code, answer.get_json()) == (401, {"status": "unauthorized"})
    assert all_deliveries(store) == []
    assert store.list_jobs(limit=10).rows == []


@pytest.mark.parametrize(("body", "headers", "reason"), FORGED)
def test_keeps_the_reason_of_a_refusal(client, refused, body, headers, reason):
    post(client, body, headers)

    assert refused() == [("studio", reason)]


def test_a_forgery_claims_nothing(client):
    post(client, headers=sign(BODY, "another"))

    assert post(client).status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/webhooks/nobody", id="other-name"),
        pytest.param("/webhooks/Studio", id="case"),
        pytest.param("/webhooks/studio ", id="space"),
        pytest.param("/webhooks/nobody/deeper", id="deeper"),
        pytest.param("/webhooks/", id="no-name"),
        pytest.param("/webhooks", id="no-name-and-no-slash"),
        pytest.param("/webhooks//", id="only-slashes"),
        pytest.param("/webhooks/nobody/studio", id="name-too-late"),
        pytest.param("/webhooks/%ff", id="not-utf-8"),
        pytest.param("/webhooks/%00", id="nul"),
        pytest.param("/webhooks/%0a", id="new-line"),
        pytest.param("/webhooks/..%2fstudio", id="dots"),
        pytest.param("/webhooks/" + "x" * 5000, id="long"),
    ],
)
def test_answers_an_unknown_source_like_a_wrong_signature(client, path):
    wrong = post(client, headers=sign(BODY, "another"))

    unknown = post(client, path=path)

    assert (unknown.status_code, unknown.data, unknown.headers) == (wrong.status_code, wrong.data, wrong.headers)


def test_keeps_nothing_of_an_unknown_source(client, store, refused):
    with hearing(signals.delivery_refused) as heard:
        post(client, path="/webhooks/nobody")

    assert (all_deliveries(store), refused()) == ([], [])
    assert heard == [(None, {"reason": "unknown_source"})]


# Cut off on the way: 401, which is rarely heard

CUT_OFF = {"CONTENT_LENGTH": str(len(BODY) + 10)}


@pytest.mark.parametrize("source", ["studio", "unsigned"])
def test_takes_nothing_of_a_body_that_was_cut_off(client, store, refused, source):
    answer = post(client, path=f"/webhooks/{source}", environ_overrides=CUT_OFF)

    assert answer.status_code == 401
    assert all_deliveries(store) == []
    assert refused() == [(source, "truncated")]


def test_announces_a_body_that_was_cut_off(client):
    with hearing(signals.delivery_refused) as heard:
        post(client, environ_overrides=CUT_OFF)

    assert heard == [("studio", {"reason": "truncated"})]


# Too long: 413


@pytest.mark.parametrize("path", ["/webhooks/studio", "/webhooks/unsigned", "/webhooks/nobody"])
def test_turns_away_what_is_too_long(client, path):
    body = BODY + b" " * (LIMIT + 1 - len(BODY))

    answer = post(client, body, sign(body), path=path)

    assert (answer.status_code, answer.get_json()) == (413, {"status": "request entity too large"})


def test_turns_away_what_is_too_long_without_saying_so(client):
    answer = client.post(
        "/webhooks/studio",
        input_stream=io.BytesIO(b"x" * (LIMIT + 1)),
        headers=SIGNED,
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413


def test_takes_so_many_large_bodies_at_once_and_says_when_to_try_again(app, client):
    places = app.extensions["receiver"].large_bodies
    taken = iter(lambda: places.acquire(blocking=False), False)
    count = sum(1 for _ in taken)
    large = BODY + b" " * (70_000 - len(BODY))

    answer = post(client, large, sign(large))

    assert count == 64
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_gives_the_place_of_a_large_body_back(app, client):
    large = BODY + b" " * (70_000 - len(BODY))

    answers = [post(client, large, sign(large)).status_code for _ in range(70)]

    assert answers == [413] * 70
    assert app.extensions["receiver"].large_bodies.counter == 64


def test_takes_the_usual_body_while_there_is_no_place_for_large_ones(app, client):
    places = app.extensions["receiver"].large_bodies
    while places.acquire(blocking=False):
        pass

    assert post(client).status_code == 202


def test_keeps_nothing_of_what_is_too_long(client, store, refused):
    with hearing(signals.delivery_refused) as heard:
        post(client, b"x" * (LIMIT + 1))

    assert (all_deliveries(store), refused()) == ([], [])
    assert heard == [(None, {"reason": "too_large"})]


# Another method: 405


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/webhooks/studio", "/webhooks/studio/deeper", "/webhooks/nobody"])
def test_turns_away_another_method(client, method, path):
    answer = client.open(path, method=method, data=BODY, headers=SIGNED)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_keeps_nothing_of_another_method(client, store, refused):
    with hearing(signals.delivery_refused) as heard:
        client.put("/webhooks/studio", data=BODY, headers=SIGNED)

    assert (all_deliveries(store), refused()) == ([], [])
    assert heard == [(None, {"reason": "method_not_allowed"})]


# Never a redirect


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/webhooks",
        "/webhooks/",
        "/webhooks//",
        "//webhooks/studio",
        "///webhooks///studio",
        "/webhooks//studio",
        "/webhooks/studio//",
        "/webhooks/studio///deeper//",
        "/webhooks/./studio",
        "/webhooks/../webhooks/studio",
        "/WEBHOOKS/studio",
        "/webhooks/studio/%2e%2e/",
        "/healthz/",
        "//healthz",
    ],
)
def test_never_redirects(client, method, path):
    answer = client.open(path, method=method, data=BODY, headers=SIGNED)

    assert answer.status_code in (202, 401, 404, 405)
    assert "Location" not in answer.headers


# Nothing can be stored: 503


@pytest.fixture(params=[pytest.param(database_locked, id="database-locked"), pytest.param(flock_held, id="flock-held")])
def busy(request):
    return request.param


def test_says_when_it_cannot_store(client, database, busy):
    with busy(database):
        answer = post(client)

    assert (answer.status_code, answer.get_json()) == (503, {"status": "service unavailable"})
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(BODY, "/webhooks/studio", id="event"),
        pytest.param(BODY, "/webhooks/unsigned", id="hint"),
        pytest.param(b"<html>", "/webhooks/studio", id="unreadable"),
    ],
)
def test_what_it_said_it_could_not_store_is_not_stored(client, store, database, busy, body, path):
    with busy(database):
        assert post(client, body, sign(body), path=path).status_code == 503

    assert (all_deliveries(store), all_events(store)) == ([], [])
    assert post(client, body, sign(body), path=path).status_code == 202


def test_refuses_a_forgery_even_if_it_cannot_store(client, database, busy):
    with busy(database):
        assert post(client, headers={}).status_code == 401


def test_says_when_the_disk_is_full(client, store):
    post(client)
    body = BODY.replace(b"vgen_abc123", b"vgen_second")

    with disk_full():
        assert post(client, body, sign(body)).status_code == 503

    assert len(all_events(store)) == 1
    assert post(client, body, sign(body)).status_code == 202


def test_announces_nothing_that_it_could_not_store(client, database, busy):
    with (
        busy(database),
        hearing(signals.delivery_received) as deliveries,
        hearing(signals.event_recorded) as events,
    ):
        post(client)

    assert (deliveries, events) == ([], [])


# Is it well?


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_says_that_it_is_well(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_lives_but_is_not_ready_when_it_cannot_store(client, database, busy):
    with busy(database):
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503


def test_is_ready_again_when_it_can_store(client, database, busy):
    with busy(database):
        client.get("/readyz")

    assert client.get("/readyz").status_code == 200


# What it does not need


def test_needs_no_handler_and_no_network():
    script = "import sys, receiver.web; print('\\n'.join(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    unwanted = r"handlers|receiver_handlers|receiver\.(handlers|outbound|reconcile|engine|cli|sandbox)|httpx|requests"
    assert re.findall(rf"^(?:{unwanted})(?:\..*)?$", loaded, re.MULTILINE) == []
    assert "receiver.web.app" in loaded.splitlines()


def test_does_not_look_at_the_handlers(tmp_path):
    broken = {"broken": {"path": "no_such_file.py"}}

    made = create_app(from_tables({"handlers": broken}, file=tmp_path / "receiver.toml"))

    made.extensions["receiver"].store.close()
