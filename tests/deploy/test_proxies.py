"""What stands before Receiver: real proxies with the settings of `deploy/`, before a real receiver."""

import time

import pytest

from receiver import sandbox
from receiver.running import free_port
from receiver.store.sqlite import SQLiteStore
from tests.deploy.machine import ADMIN, HOOKS, Load
from tests.deploy.proxies import Caddy, Nginx
from tests.running import SECRET, Running
from tests.watch import eventually

LIMIT = 2**20
# What a provider has no business with.
PRIVATE = ["/", "/healthz", "/readyz", "/metrics", "/api/v1/jobs", "/webhooks", "/webhooks/../readyz"]


class Before(Running):
    """A receiver with both of its sides, that waits no longer than a second for a body."""

    def __init__(self, folder):
        super().__init__(folder, "")
        self.admin = f"127.0.0.1:{free_port()}"

    @property
    def environment(self):
        return {
            **super().environment,
            "RECEIVER_WEB__BODY_TIMEOUT": "1s",
            "RECEIVER_ADMIN__ENABLED": "true",
            "RECEIVER_ADMIN__BIND": self.admin,
            "RECEIVER_ADMIN__PUBLIC_URL": f"https://{ADMIN}",
        }


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    running = Before(tmp_path_factory.mktemp("receiver"))
    with running.serving():
        yield running


@pytest.fixture(scope="module", params=[Nginx, Caddy], ids=["nginx", "caddy"])
def proxy(request, receiver, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proxy")
    made = request.param(folder, web=receiver.url.removeprefix("http://"), admin=receiver.admin)
    with made.running():
        yield made


def webhook(job):
    """A signed delivery: its body and its headers."""
    body = sandbox.webhook_body("video", job, status="completed")
    return body, sandbox.signed(body, SECRET)


def jobs(receiver):
    """Of which jobs there are events."""
    store = SQLiteStore(receiver.folder / "receiver.db")
    try:
        return {row["job"] for row in store.list_events(limit=10_000).rows}
    finally:
        store.close()


def test_a_delivery_comes_through(proxy, receiver):
    body, headers = webhook(f"vgen_{type(proxy).__name__}_through")

    assert proxy.ask("POST", "/webhooks/creativeai", content=body, headers=headers).status_code == 202


@pytest.mark.parametrize("path", PRIVATE)
def test_nothing_else_is_public(proxy, path):
    assert proxy.ask("GET", path).status_code == 404


def test_a_body_over_the_limit_is_refused(proxy):
    assert proxy.ask("POST", "/webhooks/creativeai", content=b"x" * (LIMIT + 1)).status_code == 413


def test_a_slow_sender_is_waited_for_at_the_proxy(proxy):
    """Receiver itself would not wait so long for a body."""
    body, headers = webhook(f"vgen_{type(proxy).__name__}_slow")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with proxy.connect() as connection:
        connection.sendall(
            f"POST /webhooks/creativeai HTTP/1.1\r\nHost: {HOOKS}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode()
        )
        connection.sendall(body[:10])
        # Longer than `body_timeout`: this is no waiting for something to happen, but the sender being slow.
        time.sleep(2)
        connection.sendall(body[10:])

        assert connection.recv(100).startswith(b"HTTP/1.1 202")


def test_the_admin_side_has_a_name_of_its_own(proxy):
    eventually(lambda: proxy.ask("GET", "/healthz", host=ADMIN).status_code == 200)

    assert proxy.ask("GET", "/api/v1/jobs", host=ADMIN).status_code == 401


def test_every_delivery_of_many_senders_is_stored(proxy, receiver):
    with Load(proxy.url, verify=proxy.context).running() as load:
        load.goes_on(100)

    assert set(load.answers.values()) <= {200, 202}
    assert set(load.answers) <= jobs(receiver)
