"""People before the pages: who they are, what they see, and what they press."""

import pytest

from receiver import clock, tokens
from receiver.errors import Reason
from receiver.models import Delivery, Role
from receiver.sandbox import signed, webhook_body
from receiver.store.base import Refusal
from tests.admin.pages.page import Page


class Person:
    """A browser without JavaScript, in this process."""

    def __init__(self, app, token=None):
        self.client = app.test_client()
        self.headers = {"Accept": "text/html"}
        if token is not None:
            self.client.post("/sign-in", data={"token": token})

    def get(self, path, **query):
        return Page(self.client.get(path, query_string=query or None, headers=self.headers))

    def press(self, page, button, **fields):
        """Fill in the form of that button, and press it; gives the page it leads to."""
        form = page.form(button)
        return self.post(form.action, {**form.fields, **fields})

    def post(self, path, fields=(), **headers):
        """What a form sends."""
        return Page(self.client.post(path, data=fields, headers={**self.headers, **headers}, follow_redirects=True))

    def refused(self, path, fields=()):
        """The status of a form's answer, not following where it leads."""
        return self.client.post(path, data=fields, headers=self.headers).status_code


@pytest.fixture
def stranger(app):
    return Person(app)


@pytest.fixture
def viewer(app, store):
    return Person(app, tokens.add(store, "vera", role=Role.VIEWER))


@pytest.fixture
def operator(app, store):
    return Person(app, tokens.add(store, "anna", role=Role.OPERATOR))


@pytest.fixture
def refuse_then_fixed(app, store):
    """A delivery that was refused, whose source has its secret by now."""
    body = webhook_body("video", "vgen_1")
    headers = {name.lower(): value for name, value in signed(body, "another-secret").items()}
    delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=clock.now(), path="/webhooks")
    refusal = Refusal(delivery=delivery, reason=Reason.SIGNATURE_MISMATCH, hint="no configured secret made it")
    store.quarantine([refusal], max_count=10)
    return store.list_refusals(limit=1).rows[0]["id"]
