"""What the handler `log` writes."""

import json
from datetime import UTC, datetime

import pytest
from receiver_handlers import log

from receiver import Event, Failure, Output, Status, Trust
from receiver.models import Via

EVENT = Event(
    id=7,
    source="creative",
    key="vgen_abc123:succeeded",
    type="video.generation.completed",
    data={"secret": "whole"},
    kind="video",
    job_id="vgen_abc123",
    status=Status.SUCCEEDED,
    trust=Trust.SIGNED,
    via=Via.WEBHOOK,
    outputs=(Output("https://cdn.example/a.mp4?signature=b"), Output("https://user:password@cdn.example/c.png#d")),
    occurred_at=datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC),
    recorded_at=datetime(2026, 3, 9, 16, 12, 44, 5000, tzinfo=UTC),
)
NOTICE = Event(source="creative", key="n1", type="balance.low\n\u2028夜", data={}, failure=Failure("no\nmore", "e1"))


@pytest.fixture
def written(capsys):
    def run(event):
        log.log(event)
        return capsys.readouterr().out

    return run


def test_says_what_happened(written):
    assert json.loads(written(EVENT)) == {
        "event_id": 7,
        "source": "creative",
        "type": "video.generation.completed",
        "kind": "video",
        "job": "vgen_abc123",
        "status": "succeeded",
        "trust": "signed",
        "via": "webhook",
        "outputs": ["https://cdn.example/a.mp4", "https://cdn.example/c.png"],
        "failure": None,
        "occurred_at": "2026-03-09T16:12:43.000Z",
        "recorded_at": "2026-03-09T16:12:44.005Z",
    }


@pytest.mark.parametrize("event", [EVENT, NOTICE])
def test_takes_one_line(written, event):
    assert len(written(event).splitlines()) == 1


def test_says_why_a_job_failed(written):
    assert json.loads(written(NOTICE))["failure"] == {"message": "no\nmore", "code": "e1"}


@pytest.mark.parametrize("secret", ["signature", "password", "whole"])
def test_keeps_to_itself(written, secret):
    assert secret not in written(EVENT)


@pytest.mark.parametrize("event", [EVENT, NOTICE])
def test_wants_every_event(event):
    [routes] = log.router.routes.values()

    assert any(route.matches(event, "creativeai") for route in routes)
