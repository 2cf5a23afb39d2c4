"""The commands, run in this process against a folder of their own."""

import json
import logging
from datetime import timedelta

import pytest
from blinker import ANY
from click.testing import CliRunner

from receiver import clock, inbox, signals
from receiver.cli import main
from receiver.models import Delivery
from receiver.outcomes import Decision, Outcome
from receiver.providers.creativeai import CreativeAI
from receiver.sandbox import signed, webhook_body
from tests.running import API_KEY, SECRET

TABLES = f"""
[sources.creativeai]
provider = "creativeai"
secrets = ["{SECRET}"]
api_key = "{API_KEY}"
base_url = "http://127.0.0.1:9"

[handlers.orders]
path = "orders.py"
"""

HANDLER = """
from receiver import Router

router = Router()


@router.on("creativeai", status="succeeded")
def order_ready(event):
    pass
"""


@pytest.fixture(autouse=True)
def quiet_afterwards():
    """Commands set up logging for their process; here others come after them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name in signals.__all__:
        if name != "announce":
            signal = getattr(signals, name)
            for observer in list(signal.receivers_for(ANY)):
                signal.disconnect(observer)


@pytest.fixture
def config(tmp_path):
    """A configuration file, with one source and one handler."""
    file = tmp_path / "receiver.toml"
    file.write_text(TABLES)
    (tmp_path / "orders.py").write_text(HANDLER)
    return file


@pytest.fixture
def receiver(config, monkeypatch):
    """Runs a command: `receiver("jobs", "--open")`."""
    monkeypatch.setenv("RECEIVER_CONFIG", str(config))

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@pytest.fixture
def as_json(receiver):
    """The objects that a command prints with `--json`."""

    def run(*arguments):
        return [json.loads(line) for line in receiver(*arguments, "--json").stdout.splitlines()]

    return run


@pytest.fixture
def post(store):
    """Take in a webhook as the endpoint would: `post("vgen_1", kind="video", status="failed")`."""
    source = inbox.Source("creativeai", CreativeAI(secrets=[SECRET]))

    def take(job_id, *, kind="video", status="completed"):
        body = webhook_body(kind, job_id, status=status)
        headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
        delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=clock.now())
        [event, *_] = reversed(inbox.accept(source, delivery, store=store, now=clock.now()).events)
        return event

    return take


@pytest.fixture
def attempted(store):
    """Dispatch an event to `orders` and record an attempt. Gives the dispatch's id."""

    def attempt(event, decision, error=None):
        store.route({event.id: ["orders"]})
        [claim] = store.claim({"orders": 1}, lease=timedelta(minutes=1), worker="test")
        store.finish(claim, Outcome(decision=Decision(decision), error=error))
        return claim.id

    return attempt
