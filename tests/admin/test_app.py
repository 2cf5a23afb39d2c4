"""What every request meets: host names, headers, limits; and the server it runs on."""

import signal

import httpx
import pytest

from receiver import tokens
from receiver.config import load
from receiver.models import Role
from receiver.running import free_port
from receiver.store import open_store
from tests.admin.conftest import another_app
from tests.admin.serving import serving
from tests.running import Running
from tests.watch import eventually

PUBLIC = "https://admin.example.com"


class RunningAdmin(Running):
    """One `receiver admin` in a folder of its own."""

    def __init__(self, folder, tables=""):
        super().__init__(folder, tables)
        self.admin = f"http://127.0.0.1:{free_port()}"

    @property
    def environment(self):
        return {
            **super().environment,
            "RECEIVER_ADMIN__BIND": self.admin.removeprefix("http://"),
            "RECEIVER_ADMIN__THREADS": "4",
        }

    def ready(self):
        try:
            return httpx.get(f"{self.admin}/healthz", timeout=2).is_success
        except httpx.HTTPError:
            return False


def test_says_that_it_lives(app):
    answer = app.test_client().get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_begins_while_the_store_is_away(tmp_path, tables, database):
    database.mkdir()
    with another_app(tables, tmp_path) as app:
        api, token = app.test_client(), {"Authorization": "Bearer rcv_wrong"}
        answers = [api.get(path, headers=token).status_code for path in ("/healthz", "/api/v1/jobs")]
        database.rmdir()

        assert answers == [200, 503]
        assert api.get("/api/v1/jobs", headers=token).status_code == 401


# Host names


@pytest.fixture
def behind(tables):
    """Behind a proxy, as `admin.public_url` says."""
    tables["admin"] = {"bind": "admin.internal:8081", "public_url": PUBLIC}


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("127.0.0.1:8081", id="address"),
        pytest.param("127.0.0.1", id="no-port"),
        pytest.param("192.0.2.7:9000", id="another-address"),
        pytest.param("[::1]:8081", id="ipv6"),
        pytest.param("localhost:8081", id="localhost"),
        pytest.param("admin.internal:8081", id="bind"),
        pytest.param("admin.example.com", id="public"),
        pytest.param("ADMIN.example.com", id="in-capitals"),
    ],
)
@pytest.mark.usefixtures("behind")
def test_answers_to_its_own_names(app, host):
    assert app.test_client().get("/sign-in", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("evil.example", id="name"),
        pytest.param("evil.example:8081", id="name-and-port"),
        pytest.param("127.0.0.1.evil.example", id="looks-like-an-address"),
        pytest.param("admin.example.com.evil.example", id="looks-like-ours"),
        pytest.param("admin.example.com@evil.example", id="user"),
        pytest.param("[::1", id="broken"),
    ],
)
@pytest.mark.usefixtures("behind")
def test_answers_to_no_other_name(app, host):
    assert app.test_client().get("/sign-in", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.usefixtures("behind")
def test_a_probe_may_use_any_name(app):
    assert app.test_client().get("/healthz", headers={"Host": "receiver-admin:8081"}).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/events"])
@pytest.mark.usefixtures("behind")
def test_a_token_may_use_any_name(app, token, path):
    headers = {"Host": "receiver-admin:8081", "Authorization": f"Bearer {token}"}

    assert app.test_client().get(path, headers=headers).status_code == 200


@pytest.mark.usefixtures("behind")
def test_a_session_may_not(app, token):
    client = app.test_client()
    client.post("/sign-in", data={"token": token}, base_url=PUBLIC)

    assert client.get("/api/v1/events", headers={"Host": "evil.example"}).status_code == 421


# Headers


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/healthz", id="text"),
        pytest.param("/sign-in", id="page"),
        pytest.param("/api/v1/events", id="problem"),
        pytest.param("/nowhere", id="not-found"),
        pytest.param("/static/nowhere.js", id="static"),
    ],
)
def test_every_answer_is_marked(app, path):
    headers = app.test_client().get(path).headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
    assert {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }.items() <= dict(headers).items()


def test_what_is_private_is_kept_by_no_cache(api):
    assert api.get("/events").headers["Cache-Control"] == "no-store"


def test_no_other_site_may_read_it(app, token):
    headers = {"Origin": "https://evil.example", "Authorization": f"Bearer {token}"}

    answer = app.test_client().get("/api/v1/events", headers=headers)

    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


# Limits


def test_a_body_has_a_limit(app, token):
    with serving(app) as url:
        answer = httpx.post(
            f"{url}/api/v1/polls",
            content=b'"' + b"x" * 2**20,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )

    assert answer.status_code == 413
    assert answer.json()["title"] == "Request Entity Too Large"


# The real server


def test_runs_by_itself_and_stops_though_somebody_follows(tmp_path):
    running = RunningAdmin(tmp_path)
    with running.running("admin") as process:
        eventually(lambda: running.ready() or process.poll() is not None, within=30)
        store = open_store(load(running.config))
        token = tokens.add(store, "me", role=Role.VIEWER)
        store.close()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", f"{running.admin}/api/v1/stream", headers=headers, timeout=20) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            process.send_signal(signal.SIGTERM)
            rest = list(lines)

    assert (answer.status_code, first, rest) == (200, ": hello", [""])


def test_says_how_to_make_a_token_as_long_as_there_is_none(tmp_path):
    running = RunningAdmin(tmp_path)
    with running.running("admin") as process:
        eventually(lambda: running.ready() or process.poll() is not None, within=30)

    assert f"admin: {running.admin}; make a token for it: receiver tokens add NAME --role operator\n" in running.log


def test_serve_runs_it_too(tmp_path):
    running = RunningAdmin(tmp_path)
    running.config.write_text(running.config.read_text().replace("enabled = false", "enabled = true"))
    with running.serving():
        eventually(lambda: httpx.get(f"{running.url}/readyz", timeout=5).is_success, within=30)

    assert running.log.count(f"admin: {running.admin}; make a token for it") == 1
