"""Two machines set up as the README says: what comes to both is one event, and its handlers run once."""

import re
from collections import Counter
from contextlib import ExitStack, closing

import httpx
import pytest

from receiver import sandbox
from receiver.store.base import DispatchFilter
from receiver.store.postgres import PostgresStore
from tests.pages import API_KEY, ROOT, Described, Page
from tests.watch import eventually

README = Page(ROOT / "README.md")
STORE = "postgresql://receiver:password@db.example/receiver"
BIND = "0.0.0.0:8080"
SECRET = "try-me"
# Whoever is bound to 127.0.0.1 alone is not heard there, as it is not from another machine.
ELSEWHERE = "127.0.0.2"
ORDERS = {"both": 1, "first": 2, "second": 3}
HANDLERS = 2


class Machine(Described):
    """One that the README was followed on, to the letter but for the database's address and the port."""

    def __init__(self, folder, provider, url):
        folder.mkdir()
        super().__init__(folder, README, provider)
        written = self.config.read_text()
        assert STORE in written
        assert BIND in written
        port = self.url.rpartition(":")[2]
        self.config.write_text(written.replace(STORE, url).replace(BIND, BIND.replace("8080", port)))
        self.url = f"http://{ELSEWHERE}:{port}"

    @property
    def environment(self):
        overruling = ("RECEIVER_STORE", "RECEIVER_WEB__BIND")
        return {name: value for name, value in super().environment.items() if name not in overruling}

    def post(self, job_id):
        body = sandbox.webhook_body("video", job_id)
        headers = sandbox.signed(body, SECRET)
        return httpx.post(f"{self.url}/webhooks/creativeai", content=body, headers=headers, timeout=10).status_code

    @property
    def handled(self):
        """The orders that the README's handler has printed here."""
        return [int(order) for order in re.findall(r"^order (\d+): https?://", self.log, re.MULTILINE)]


@pytest.fixture
def machines(tmp_path, postgres_url):
    with ExitStack() as running:
        provider = running.enter_context(sandbox.Sandbox(secret=SECRET, api_key=API_KEY))
        both = [Machine(tmp_path / name, provider, postgres_url) for name in ("a", "b")]
        for machine in both:
            running.enter_context(machine.serving())
        yield both


def test_what_comes_to_two_machines_is_handled_once(machines, postgres_url):
    one, other = machines
    for job_id, order in ORDERS.items():
        one.shell(f"receiver track creativeai {job_id} --kind video --metadata '{{\"order\": {order}}}'")

    answers = [one.post("both"), other.post("both"), one.post("first"), other.post("second")]

    assert answers == [202, 200, 202, 202]
    with closing(PostgresStore(postgres_url)) as store:
        done = DispatchFilter(state="done")
        eventually(lambda: len(store.list_dispatches(done, limit=99).rows) >= HANDLERS * len(ORDERS), within=30)
        events = Counter(row["job"] for row in store.list_events(limit=9).rows)
        runs = Counter(
            (row["job"], row["handler"])
            for row in store.list_dispatches(limit=99).rows
            for attempt in store.list_attempts(row["id"])
            if attempt["outcome"] == "done"
        )
    assert events == dict.fromkeys(ORDERS, 1)
    assert runs == {(job_id, handler): 1 for job_id in ORDERS for handler in ("orders", "results")}
    assert sorted(one.handled + other.handled) == sorted(ORDERS.values())
