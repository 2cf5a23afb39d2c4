"""Stand-ins that tests in this folder share."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from receiver.sandbox import Conditions, Sandbox
from tests.running import API_KEY, SECRET
from tests.sandbox.support import Inbox


@contextmanager
def serving(**conditions):
    """One under these conditions; its jobs end at once, unless these say otherwise."""
    chosen = Conditions(**({"duration": timedelta(0)} | conditions))
    with Sandbox(chosen, secret=SECRET, api_key=API_KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def quick():
    """One whose jobs end as soon as they begin."""
    with serving() as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def slow():
    """One whose jobs do not get out of the queue."""
    with serving(duration=timedelta(hours=10)) as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def busy():
    """One whose jobs are at work after a second, and for long enough to be asked about."""
    with serving(duration=timedelta(seconds=10)) as sandbox:
        yield sandbox


@pytest.fixture
def inbox():
    """What was posted to a URL of ours: `inbox.url`, `inbox.deliveries`."""
    with Inbox() as served:
        yield served
