"""The admin side: the app with its store, and what asks it."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from receiver import clock, inbox, tokens
from receiver.admin import create_app
from receiver.admin.extension import NAME
from receiver.config import from_tables
from receiver.errors import Refused
from receiver.models import Delivery, Role
from receiver.outcomes import Decision, Outcome
from receiver.quarantine import Quarantine
from receiver.sandbox import signed, webhook_body
from tests.running import SECRET
from tests.scripted import Answer, Scripted

HANDLER = """
from receiver import Router

router = Router()


@router.on("creativeai", status="succeeded")
def order_ready(event):
    pass
"""

LATER = timedelta(minutes=1)
CREATED = Answer({"id": "vgen_1", "status": "processing"}, status=202)


@pytest.fixture
def provider():
    """Creates every job it is asked for; a test may have it answer something else."""
    with Scripted(lambda path: CREATED) as served:
        yield served


@pytest.fixture
def tables(tmp_path, database, provider):
    """The configuration as it would be in a file: one source, one handler. A test may change it."""
    (tmp_path / "orders.py").write_text(HANDLER)
    return {
        "store": f"sqlite:///{database}",
        "commit_timeout": "500ms",
        "sources": {
            "creativeai": {
                "provider": "creativeai",
                "secrets": [SECRET],
                "api_key": "the-api-key",
                "base_url": provider.url,
            }
        },
        "handlers": {"orders": {"path": "orders.py"}},
    }


@contextmanager
def another_app(tables, folder):
    """The app for a configuration in a folder."""
    made = create_app(from_tables(tables, file=folder / "receiver.toml"))
    yield made
    made.extensions[NAME].receiver.close()


@pytest.fixture
def app(tmp_path, tables):
    with another_app(tables, tmp_path) as made:
        yield made


@pytest.fixture
def store(app):
    """The app's own."""
    return app.extensions[NAME].store


@pytest.fixture
def token(store):
    """A token that may do everything."""
    return tokens.add(store, "operator", role=Role.OPERATOR)


class Api:
    """Asks the API with a token, in this process."""

    def __init__(self, app, token):
        self._client = app.test_client()
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path, **query):
        return self._client.get(f"/api/v1{path}", query_string=query or None, headers=self._headers)

    def post(self, path, body=None, **headers):
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self._client.post(f"/api/v1{path}", json=body, headers=sent)

    def delete(self, path):
        return self._client.delete(f"/api/v1{path}", headers=self._headers)


@pytest.fixture
def api(app, token):
    return Api(app, token)


@pytest.fixture
def post(app, store):
    """Take in a webhook as the endpoint would: `post("vgen_1", status="failed")` gives its event, None if not new."""
    source = app.extensions[NAME].sources["creativeai"]

    def take(job_id, *, kind="video", status="completed"):
        body = webhook_body(kind, job_id, status=status)
        headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
        delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=clock.now(), path="/webhooks")
        events = inbox.accept(source, delivery, store=store, now=clock.now()).events
        return events[-1] if events else None

    return take


@pytest.fixture
def refuse(app, store):
    """Have a delivery refused and kept in the quarantine: `refuse(key="old")` gives its id."""
    source = app.extensions[NAME].sources["creativeai"]

    def refuse(job_id="vgen_1", *, key="another-secret", received_at=None):
        body = webhook_body("video", job_id)
        headers = {name.lower(): value for name, value in signed(body, key).items()}
        now = received_at or clock.now()
        delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=now, path="/webhooks")
        quarantine = Quarantine(store, max_count=100, max_body=2**16)
        with pytest.raises(Refused) as refused:
            inbox.accept(source, delivery, store=store, now=now)
        quarantine.add(delivery, refused.value)
        quarantine.flush()
        return store.list_refusals(limit=1).rows[0]["id"]

    return refuse


@pytest.fixture
def attempted(store):
    """Dispatch an event to `orders` and record an attempt: `attempted(event, "dead", "no disk")` gives its id."""

    def attempt(event, decision="done", error=None):
        store.route({event.id: ["orders"]})
        [claim] = store.claim({"orders": 1}, lease=LATER, worker="test")
        store.finish(claim, Outcome(decision=Decision(decision), error=error))
        return claim.id

    return attempt
