"""The endpoint as it is deployed: real gunicorn, real sockets, whatever senders put into them."""

import contextlib
import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver.providers.creativeai import CreativeAI
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import at_once
from tests.trouble import database_locked, disk_full, flock_held
from tests.watch import eventually

ROOT = Path(__file__).parents[2]
SECRET = "the-secret-of-a-test"
LIMIT = 20_000
PATIENCE = 10.0

CONFIGURATION = f"""
store = "sqlite:///receiver.db"
commit_timeout = "300ms"

[web]
workers = 2

max_body = {LIMIT}
body_timeout = "1s"

[sources.studio]
provider = "creativeai"
secrets = ["{SECRET}"]
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Server:
    """A gunicorn, and what it stored."""

    def __init__(self, folder, port, process):
        self.database = folder / "receiver.db"
        self.log = folder / "log"
        self.port = port
        self.process = process

    def connect(self):
        return contextlib.closing(socket.create_connection(("127.0.0.1", self.port), PATIENCE))

    def send(self, *parts):
        """The answer to what is written to a connection of its own."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return answer_on(connection)

    def post(self, body, *headers, path="/webhooks/studio"):
        return self.send(request(body, *headers, path=path))

    def ready(self):
        try:
            return self.send(b"GET /readyz HTTP/1.1\r\nHost: receiver\r\n\r\n").status == 200
        except OSError:
            return False

    def workers(self):
        """The ids of the processes that answer."""
        return [
            int(pid)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]

    def deliveries_of(self, job_id):
        """What is kept of the deliveries about a job."""
        with contextlib.closing(SQLiteStore(self.database)) as store:
            rows = [store.delivery(row["id"]) for row in store.list_deliveries(limit=10_000).rows]
        return [row for row in rows if job_id.encode() in row["body"]]

    def refusals_of(self, job_id):
        with contextlib.closing(SQLiteStore(self.database)) as store:
            rows = store.list_refusals(limit=10_000).rows
        return [row["reason"] for row in rows if job_id in row["path"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gunicorn")
    (folder / "receiver.toml").write_text(CONFIGURATION)
    port = free_port()
    environment = os.environ | {
        "RECEIVER_CONFIG": str(folder / "receiver.toml"),
        "RECEIVER_WEB__BIND": f"127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "receiver.web:create_app()"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log) as process,
    ):
        try:
            running = Server(folder, port, process)
            eventually(running.ready, within=30)
            yield running
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.fixture
def job_id(request):
    """A job that no other test speaks of."""
    return f"vgen_{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def body(job_id):
    return b'{"id": "%s", "object": "video.generation", "status": "completed"}' % job_id.encode()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def signature(body):
    [(name, value)] = CreativeAI.scheme.sign(body, SECRET, datetime.now(UTC)).items()
    return f"{name}: {value}"


def head(*headers, path="/webhooks/studio", version="1.1", method="POST"):
    lines = [f"{method} {path} HTTP/{version}", "Host: receiver", "Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def request(body, *headers, **line):
    """A signed request."""
    return head(signature(body), f"Content-Length: {len(body)}", *headers, **line) + body


def answer_on(connection):
    with contextlib.closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        return Answer(response.status, response.headers, response.read())


def chunked(body, size=7):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


# What senders do


def test_takes_a_delivery(server, body, job_id):
    assert server.post(body).status == 202
    assert len(server.deliveries_of(job_id)) == 1


def test_knows_a_delivery_whichever_process_took_it(server, body):
    assert [server.post(body).status for _ in range(8)] == [202] + [200] * 7


def test_one_delivery_sent_by_many_at_once_is_one_event(server, body, job_id):
    answers = at_once(*[lambda: server.post(body).status] * 16)

    assert Counter(answers) == {202: 1, 200: 15}
    [row] = server.deliveries_of(job_id)
    assert row["seen_count"] == 16


def test_many_deliveries_at_once_are_all_taken(server, job_id):
    bodies = [b'{"id": "%s_%d", "status": "completed"}' % (job_id.encode(), number) for number in range(32)]

    answers = at_once(*[lambda body=body: server.post(body).status for body in bodies])

    assert answers == [202] * 32
    assert len(server.deliveries_of(job_id)) == 32


def test_takes_a_body_in_chunks(server, body, job_id):
    answer = server.send(head(signature(body), "Transfer-Encoding: chunked"), chunked(body))

    assert answer.status == 202
    assert [row["body"] for row in server.deliveries_of(job_id)] == [body]


def test_takes_http_1_0(server, body):
    answer = server.send(request(body, version="1.0"))

    assert answer.status == 202


def test_takes_header_names_in_lower_case(server, body):
    answer = server.send(
        head(signature(body).replace("X-CreativeAI-S", "x-creativeai-s"), f"content-length: {len(body)}"), body
    )

    assert answer.status == 202


def test_takes_two_deliveries_on_one_connection(server, body):
    with server.connect() as connection:
        connection.sendall(request(body))
        first = answer_on(connection)
        connection.sendall(request(body))

        assert (first.status, answer_on(connection).status) == (202, 200)


def test_tells_a_sender_that_asks_to_go_on(server, body):
    with server.connect() as connection:
        connection.sendall(head(signature(body), f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")

        connection.sendall(body)
        assert answer_on(connection).status == 202


def test_slow_senders_do_not_hold_up_others(server, body, job_id):
    slow = body + b" "
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(6)]
        for connection in connections:
            connection.sendall(request(slow)[:-10])

        began = time.monotonic()
        assert server.post(body).status == 202
        assert time.monotonic() - began < PATIENCE / 2

        for connection in connections:
            connection.sendall(slow[-10:])
        assert [answer_on(connection).status for connection in connections] == [200] * 6


def test_senders_that_fall_silent_are_let_go(server, body, job_id):
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            stack.enter_context(server.connect()).sendall(b"POST /webhooks/studio HTTP/1.1\r\nHost: rec")

        assert server.post(body).status == 202


def test_a_body_that_only_trickles_in_is_let_go(server, body, job_id):
    path = f"/webhooks/studio/{job_id}"
    with server.connect() as connection:
        connection.sendall(request(body, path=path)[: -len(body)])
        began, sent = time.monotonic(), 0
        # Never silent for as long as a body may take in all.
        while not select.select([connection], [], [], 0.2)[0] and sent < len(body) - 1:
            connection.sendall(body[sent : sent + 1])
            sent += 1

        assert time.monotonic() - began < PATIENCE / 2
        assert answer_on(connection).status == 401
    assert eventually(lambda: server.refusals_of(job_id)) == ["truncated"]


def test_a_head_that_only_trickles_in_is_let_go(server):
    with server.connect() as connection:
        began, sent = time.monotonic(), 0
        while not select.select([connection], [], [], 0.2)[0] and time.monotonic() - began < PATIENCE:
            connection.sendall(b"POST / HTTP/1.1\r\n"[sent : sent + 1] or b"x")
            sent += 1

        assert connection.recv(1) == b""
        assert time.monotonic() - began < PATIENCE


# What only others do


def test_refuses_a_forgery(server, body, job_id):
    answer = server.send(head("X-CreativeAI-Signature: sha256=" + "0" * 64, f"Content-Length: {len(body)}"), body)

    assert answer.status == 401
    assert server.deliveries_of(job_id) == []


def test_keeps_a_forgery_in_the_quarantine(server, body, job_id):
    path = f"/webhooks/studio/{job_id}"
    server.send(head(f"Content-Length: {len(body)}", path=path), body)

    assert eventually(lambda: server.refusals_of(job_id)) == ["missing_signature"]


def test_takes_nothing_of_a_body_that_ends_too_soon(server, body, job_id):
    path = f"/webhooks/studio/{job_id}"
    with server.connect() as connection:
        connection.sendall(head(signature(body), f"Content-Length: {len(body) + 10}", path=path) + body)
        connection.shutdown(socket.SHUT_WR)
        answer = answer_on(connection)

    assert answer.status == 401
    assert server.deliveries_of(job_id) == []
    assert eventually(lambda: server.refusals_of(job_id)) == ["truncated"]


def test_takes_nothing_of_a_body_that_is_cut_off(server, body, job_id):
    path = f"/webhooks/studio/{job_id}"
    with server.connect() as connection:
        connection.sendall(head(signature(body), f"Content-Length: {len(body) + 10}", path=path) + body)

    assert eventually(lambda: server.refusals_of(job_id)) == ["truncated"]
    assert server.deliveries_of(job_id) == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda body: chunked(body)[:-5], id="no-end"),
        pytest.param(lambda body: chunked(body)[:-20], id="half-a-chunk"),
        pytest.param(lambda body: b"zz\r\n" + chunked(body), id="odd-size"),
        pytest.param(lambda body: b"5\r\n" + chunked(body), id="wrong-size"),
        pytest.param(lambda body: b"", id="nothing"),
    ],
)
def test_takes_nothing_of_chunks_that_are_wrong(server, body, job_id, sent):
    with server.connect() as connection:
        connection.sendall(head(signature(body), "Transfer-Encoding: chunked") + sent(body))
        connection.shutdown(socket.SHUT_WR)
        answer = answer_on(connection)

    assert answer.status == 401
    assert server.deliveries_of(job_id) == []


def test_takes_nothing_of_a_body_that_goes_on_too_long(server, body, job_id):
    answer = server.send(head(signature(body), f"Content-Length: {len(body) - 10}"), body)

    assert answer.status == 401
    assert server.deliveries_of(job_id) == []


@pytest.mark.parametrize("second", [pytest.param("0" * 64, id="another"), pytest.param(None, id="the-same")])
def test_refuses_two_signatures(server, body, job_id, second):
    other = signature(body) if second is None else f"X-CreativeAI-Signature: sha256={second}"

    answer = server.post(body, other)

    assert answer.status == 401
    assert server.deliveries_of(job_id) == []


def test_refuses_a_signature_in_a_name_that_only_looks_like_it(server, body, job_id):
    answer = server.send(head(signature(body).replace("-", "_"), f"Content-Length: {len(body)}"), body)

    assert answer.status in (400, 401)
    assert server.deliveries_of(job_id) == []


def test_turns_away_what_is_too_long(server, job_id):
    body = job_id.encode() + b"x" * LIMIT

    assert server.post(body).status == 413
    assert server.deliveries_of(job_id) == []


def test_turns_away_what_says_it_is_too_long_at_once(server, body):
    assert server.send(head(signature(body), f"Content-Length: {10**12}")).status == 413


def test_turns_away_what_is_too_long_in_chunks(server, job_id):
    body = job_id.encode() + b"x" * LIMIT

    answer = server.send(head(signature(body), "Transfer-Encoding: chunked"), chunked(body, 1000))

    assert answer.status == 413
    assert server.deliveries_of(job_id) == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(["X-Long: " + "x" * 9000], id="long-header"),
        pytest.param([f"X-Header-{number}: x" for number in range(100)], id="many-headers"),
        pytest.param(["Content-Length: 5"], id="two-lengths"),
        pytest.param(["Content-Length: -1"], id="negative-length"),
        pytest.param(["Content-Length: 1e3"], id="odd-length"),
        pytest.param(["Transfer-Encoding: chunked"], id="length-and-chunks"),
        pytest.param(["X-Bad: a\0b"], id="nul"),
        pytest.param(["X Bad: a"], id="space-in-name"),
        pytest.param(["no colon"], id="no-colon"),
    ],
)
def test_turns_away_what_is_not_http(server, body, job_id, headers):
    answer = server.post(body, *headers)

    assert 400 <= answer.status < 500
    assert server.deliveries_of(job_id) == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200 + b"\r\n\r\n", id="tls"),
        pytest.param(b"GET " + b"/" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="long-line"),
        pytest.param(b"POST /webhooks/studio\r\n\r\n", id="no-version"),
        pytest.param(head("Transfer-Encoding: chunked") + b"zz\r\nx\r\n0\r\n\r\n", id="bad-chunk"),
        pytest.param(head("Transfer-Encoding: gzip") + b"x", id="other-encoding"),
    ],
)
def test_survives_what_is_not_http(server, sent):
    assert 400 <= server.send(sent).status < 502
    assert server.ready()


def test_survives_connections_that_say_nothing(server):
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(server.connect())

        assert server.ready()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_turns_away_another_method(server, method):
    answer = server.send(head("Content-Length: 0", method=method))

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path",
    [
        "//webhooks/studio",
        "/webhooks//studio",
        "/webhooks/studio//",
        "/webhooks/studio/",
        "/webhooks",
        "/webhooks/../webhooks/studio",
        "http://another/webhooks/studio",
        "*",
    ],
)
def test_never_redirects(server, body, path):
    answer = server.post(body, path=path)

    assert not 300 <= answer.status < 400
    assert answer.status < 500
    assert answer.headers["Location"] is None


def test_says_nothing_about_itself(server, body):
    headers = server.post(body).headers

    assert {name.lower() for name in headers} <= {"server", "date", "connection", "content-type", "content-length"}
    assert headers["Server"] == "gunicorn"


# Trouble


@pytest.mark.parametrize("busy", [pytest.param(database_locked, id="database"), pytest.param(flock_held, id="flock")])
def test_says_when_it_cannot_store(server, body, job_id, busy):
    with busy(server.database):
        answer = server.post(body)

    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert server.deliveries_of(job_id) == []
    assert server.post(body).status == 202


def test_says_when_the_disk_is_full(server, body, job_id):
    with contextlib.ExitStack() as stack:
        for pid in server.workers():
            stack.enter_context(disk_full(pid))

        assert server.post(body).status == 503

    assert server.deliveries_of(job_id) == []
    assert server.post(body).status == 202


def test_goes_on_after_a_process_was_killed(server, body):
    server.post(body)
    [pid, _] = server.workers()

    os.kill(pid, signal.SIGKILL)

    eventually(lambda: len(server.workers()) == 2 and pid not in server.workers(), within=30)
    assert server.post(body).status == 200


def test_goes_on_while_the_configuration_is_being_written(server, body):
    file = server.database.with_name("receiver.toml")
    before = file.read_text()
    file.write_text(before.replace("[sources.studio]", "[sources.studio"))
    try:
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)

        assert eventually(server.ready, within=30)
        assert server.post(body).status == 202
    finally:
        file.write_text(before)


def test_logs_no_secret(server, body):
    server.post(body)

    log = server.log.read_text()
    assert SECRET not in log
    assert "Traceback" not in log
