"""The endpoint as strangers meet it: real gunicorn with the settings it comes with, real sockets."""

import contextlib
import http.client
import socket
import time
from datetime import UTC, datetime

import pytest

from receiver.config import load
from receiver.providers.creativeai import CreativeAI
from receiver.store import open_store
from tests.running import SECRET, Running
from tests.watch import eventually

PATIENCE = 30.0
# What the most impatient of the providers waits for an answer.
IMPATIENCE = 5.0
OTHER = "the-secret-of-the-other-source"

SOURCES = f"""
[sources.other]
provider = "creativeai"
secrets = ["{OTHER}"]

[sources.unsigned]
provider = "creativeai"
unsigned = true
api_key = "the-api-key"
"""


class Endpoint(Running):
    """A receiver that only takes deliveries."""

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def connect(self):
        return contextlib.closing(socket.create_connection(("127.0.0.1", self.port), PATIENCE))

    def send(self, sent):
        """The status that is answered, and the body."""
        with self.connect() as connection:
            connection.sendall(sent)
            return answer_on(connection)

    def post(self, job, *headers, secret=SECRET, path="/webhooks/creativeai"):
        body = completed(job)
        return self.send(head(signature(body, secret), f"Content-Length: {len(body)}", *headers, path=path) + body)

    def deliveries_of(self, job):
        """The sources that have a delivery about a job."""
        store = open_store(load(self.config))
        try:
            rows = [store.delivery(row["id"]) for row in store.list_deliveries(limit=10_000).rows]
            return [row["source"] for row in rows if job.encode() in row["body"]]
        finally:
            store.close()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    running = Endpoint(tmp_path_factory.mktemp("endpoint"), SOURCES)
    with running.running("web"):
        eventually(running.ready, within=30)
        yield running


def completed(job):
    return b'{"id": "%s", "object": "video.generation", "status": "completed"}' % job.encode()


def signature(body, secret=SECRET):
    [(name, value)] = CreativeAI.scheme.sign(body, secret, datetime.now(UTC)).items()
    return f"{name}: {value}"


def head(*headers, path="/webhooks/creativeai", method="POST"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: receiver", *headers, "", ""]).encode("latin-1")


def answer_on(connection):
    with contextlib.closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return response.status, response.read()


def everything_on(connection):
    """All that is answered until the connection is closed."""
    received = b""
    with contextlib.suppress(OSError):
        while part := connection.recv(65_536):
            received += part
    return received


# Slow, and many


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="silent"),
        pytest.param(b"POST /webhooks/creativeai HTTP/1.1\r\nHost: receiver\r\nX-Slow: ", id="half-a-head"),
        pytest.param(head("Content-Length: 100") + b"{", id="half-a-body"),
        pytest.param(head("Transfer-Encoding: chunked") + b"5\r\n{", id="half-a-chunk"),
    ],
)
def test_a_thousand_slow_senders_keep_no_delivery_out(endpoint, request, begun):
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(endpoint.connect()).sendall(begun)
        began = time.monotonic()
        status, _ = endpoint.post(f"vgen_{request.node.callspec.id}")

        assert (status, time.monotonic() - began < IMPATIENCE) == (202, True)


def test_large_bodies_that_do_not_come_keep_no_usual_delivery_out(endpoint):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(endpoint.connect()).sendall(head("Content-Length: 1000000") + b" " * 1000)
        began = time.monotonic()
        status, _ = endpoint.post("vgen_usual")

        assert (status, time.monotonic() - began < IMPATIENCE) == (202, True)


# One request taken for two, or for another


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(["Content-Length: 6", "Transfer-Encoding: chunked"], b"0\r\n\r\n", id="length-and-chunks"),
        pytest.param(["Transfer-Encoding: chunked", "Content-Length: 6"], b"0\r\n\r\n", id="chunks-and-length"),
        pytest.param(["Content-Length: 0", "Content-Length: 6"], b"", id="two-lengths"),
        pytest.param(["Content-Length: 0, 6"], b"", id="list-of-lengths"),
        pytest.param(["Content-Length: +0"], b"", id="signed-length"),
        pytest.param(["Content-Length : 0"], b"", id="space-before-the-colon"),
        pytest.param(["Transfer-Encoding: xchunked"], b"0\r\n\r\n", id="unknown-coding"),
        pytest.param(["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n", id="chunked-is-not-last"),
        pytest.param(["Transfer-Encoding:\x0bchunked"], b"0\r\n\r\n", id="vertical-tab"),
        pytest.param(["X: a", " Transfer-Encoding: chunked"], b"0\r\n\r\n", id="folded"),
        pytest.param(["Transfer-Encoding: chunked"], b"0;\n\r\n\r\n", id="line-feed-in-an-extension"),
    ],
)
def test_what_could_be_read_as_two_requests_is_none(endpoint, request, headers, body):
    job = f"vgen_smuggled_{request.node.callspec.id}"
    inner = completed(job)
    smuggled = head(signature(inner), f"Content-Length: {len(inner)}", "Connection: close") + inner

    with endpoint.connect() as connection:
        connection.sendall(head(*headers) + body + smuggled)
        answers = everything_on(connection)

    assert answers[9:12] in (b"400", b"401", b"501")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert endpoint.deliveries_of(job) == []


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script_Name", "PATH_INFO", "SCRIPT-NAME", "PATH-INFO"])
@pytest.mark.parametrize("value", ["/webhooks/creativeai", "/nowhere", "//"])
def test_no_header_moves_a_request_to_another_path(endpoint, name, value):
    status, _ = endpoint.send(head(f"{name}: {value}", "Content-Length: 0", path="/webhooks/creativeai/readyz"))

    assert status == 401


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"], id="address"),
        pytest.param(["X-Forwarded-Proto: https", "X-Forwarded-Ssl: off"], id="contradicting-schemes"),
        pytest.param(["X-Forwarded-Host: evil.example", "X-Forwarded-Prefix: /evil"], id="host"),
        pytest.param(["X-HTTP-Method-Override: GET", "X-Original-URL: /readyz", "X-Rewrite-URL: /readyz"], id="method"),
    ],
)
def test_no_header_opens_what_a_signature_does_not(endpoint, request, headers):
    job = f"vgen_forwarded_{request.node.callspec.id}"
    body = completed(job)
    forged = head("X-CreativeAI-Signature: sha256=" + "0" * 64, f"Content-Length: {len(body)}", *headers) + body

    assert endpoint.send(forged)[0] == 401
    assert endpoint.post(job, *headers)[0] == 202


@pytest.mark.parametrize("method", ["HEAD", "TRACE", "CONNECT", "PATCH", "POSTS", "post"])
def test_no_other_method_is_taken(endpoint, method):
    with endpoint.connect() as connection:
        connection.sendall(head("Content-Length: 0", "Connection: close", method=method))
        answers = everything_on(connection)

    assert answers[9:12] in (b"400", b"405")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/webhooks/creativeai/../other", id="dots"),
        pytest.param("/webhooks/creativeai/%2e%2e/other", id="escaped-dots"),
        pytest.param("/webhooks/%63reativeai", id="escaped-letter"),
        pytest.param("/webhooks/creativeai%00", id="nul-behind"),
        pytest.param("/webhooks/creativeai;other", id="parameter"),
        pytest.param("/webhooks/creativeai%2fother", id="escaped-slash"),
        pytest.param("/webhooks/creativeai\\other", id="backslash"),
        pytest.param("http://evil.example/webhooks/creativeai", id="whole-url"),
        pytest.param("/webhooks/creativeai?source=other", id="query"),
        pytest.param("/webhooks/other%ff", id="not-utf-8"),
    ],
)
def test_no_path_makes_one_source_of_another(endpoint, request, path):
    job = f"vgen_path_{request.node.callspec.id}"

    status, _ = endpoint.post(job, secret=OTHER, path=path)

    assert (status, endpoint.deliveries_of(job)) == (401, [])


def test_a_delivery_to_one_source_proves_nothing_to_another(endpoint):
    answers = [endpoint.post("vgen_crossed", path=f"/webhooks/{source}")[0] for source in ("other", "creativeai")]

    assert answers == [401, 202]
    assert endpoint.deliveries_of("vgen_crossed") == ["creativeai"]


# What is written down


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"G@T / HTTP/1.1\r\n\r\n", id="method"),
        pytest.param(head("X-Bad: a\0b"), id="header"),
        pytest.param(head("Transfer-Encoding: gzip"), id="coding"),
        pytest.param(head("Expect: 200-ok"), id="expectation"),
    ],
)
def test_a_flood_of_what_is_not_http_fills_no_log(endpoint, sent):
    before = len(endpoint.log.splitlines())
    for _ in range(300):
        assert 400 <= endpoint.send(sent)[0] < 502

    # Each of the two processes may write sixty lines a minute.
    assert len(endpoint.log.splitlines()) - before <= 130


def test_nothing_in_a_request_writes_on_the_terminal(endpoint):
    for sent in (b"G\x1b[2JT / HTTP/1.1\r\n\r\n", head("X-\x1b[2J: a"), head(path="/\x1b[2J"), head("X: \x1b[2J")):
        with endpoint.connect() as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            everything_on(connection)

    assert "\x1b" not in endpoint.log


@pytest.mark.parametrize("path", ["/webhooks/creativeai", "/webhooks/nobody", "/nowhere"])
def test_a_token_in_the_query_is_not_logged_and_not_kept(endpoint, path):
    endpoint.post("vgen_query", path=f"{path}?token=in-the-query", secret="wrong")
    for broken in (b"G@T %s?token=in-the-query HTTP/1.1\r\n\r\n", b"POST %s?token=in-the-query\r\n\r\n"):
        endpoint.send(broken % path.encode())

    store = open_store(load(endpoint.config))
    try:
        eventually(lambda: path != "/webhooks/creativeai" or store.list_refusals(limit=1).rows)
        paths = [row["path"] for row in store.list_refusals(limit=1000).rows]
    finally:
        store.close()
    assert not any("in-the-query" in kept for kept in paths)
    assert "in-the-query" not in endpoint.log
