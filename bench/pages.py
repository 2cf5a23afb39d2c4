"""How long the operator's pages take when a million events are stored: the time in the server, without the network."""

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from statistics import quantiles
from urllib.parse import urlencode

from flask.testing import FlaskClient

from bench.load import SECRET
from bench.plan import Plan
from bench.receivers import Receiver
from bench.table import Row, Target
from bench.tools import BenchError
from receiver import clock, inbox, sandbox, tokens
from receiver.admin import create_app
from receiver.admin.extension import NAME
from receiver.config import load
from receiver.inbox import Source
from receiver.models import Delivery, Role, Schedule
from receiver.outcomes import Decision, Outcome
from receiver.providers.creativeai import CreativeAI
from receiver.store.base import Refusal, Store

_TIMES = 20
_TOKEN = "bench"
_NOBODY = "vgen_of_nobody"
_HANDLER = "noop"
_TROUBLES = 1_000
_AT_ONCE = 100
_ERROR = "HTTP 503 from the bench"


def measure(receiver: Receiver, plan: Plan) -> list[Row]:
    """A row about the slowest page of a store that is filled."""
    app = create_app(load(receiver.environment["RECEIVER_CONFIG"]))
    store = app.extensions[NAME].store
    try:
        _trouble(store)
        secret = tokens.add(store, _TOKEN, role=Role.OPERATOR)
        client = app.test_client()
        client.post("/sign-in", data={"token": secret})
        times = {name: _p95(client, path) for name, path in _paths(plan, store).items()}
        store.remove_token(_TOKEN)
    finally:
        app.extensions[NAME].receiver.close()
    slowest = max(times, key=lambda name: times[name])
    others = ", ".join(f"{name} {took:.0f}" for name, took in sorted(times.items()) if name != slowest)
    return [
        Row(key="pages", what=f"slowest page at {plan.events:,} stored events, in the server (p95)",
            settings=f"{slowest}; with {_TROUBLES:,} dead letters, open jobs and refusals each; the others: {others}",
            figures=[times[slowest]], unit="ms",
            target=Target(at_most=100)),
    ]  # fmt: skip


def _trouble(store: Store) -> None:
    """What people look at pages for: jobs that failed and were charged, dead letters, open jobs and refusals."""
    source = Source("creativeai", CreativeAI(secrets=[SECRET]))
    soon = Schedule(first=timedelta(hours=1), every={timedelta(0): timedelta(hours=1)}, deadline=timedelta(days=1))
    deliveries = [_failed(number) for number in range(_TROUBLES)]
    for number, delivery in enumerate(deliveries):
        inbox.accept(source, delivery, store=store, now=delivery.received_at)
        store.track(source.name, f"vgen_open_{number:04}", kind="video", schedule=soon)
    store.quarantine(
        [Refusal(delivery=one, reason="signature_mismatch", hint="no secret made it") for one in deliveries],
        max_count=_TROUBLES,
    )
    while events := store.unrouted(_AT_ONCE):
        store.route({event.id: [_HANDLER] for event in events if event.id is not None})
    dead = Outcome(decision=Decision.DEAD, error=_ERROR)
    while claims := store.claim({_HANDLER: _AT_ONCE}, lease=timedelta(minutes=1), worker="bench"):
        store.finish_all([(claim, dead) for claim in claims])


def _failed(number: int) -> Delivery:
    told = {
        "id": f"vgen_failed_{number:04}",
        "object": "video.generation",
        "status": "failed",
        "error_message": "the provider is down",
        "credits": 30,
    }
    body = json.dumps(told).encode()
    return Delivery(
        source="creativeai",
        body=body,
        headers={name.lower(): value for name, value in sandbox.signed(body, SECRET).items()},
        received_at=clock.now(),
        path="/webhooks/creativeai",
    )


def _paths(plan: Plan, store: Store) -> Mapping[str, str]:
    """Every page, and lists as they are filtered and read on."""
    middle = plan.events // 2
    [refusal] = store.list_refusals(limit=1).rows
    return {
        "overview": "/",
        "overview of a day": "/?span=24h",
        "events": "/events",
        "events far back": f"/events?before={middle}",
        "failed events": "/events?status=failed",
        "events of a job": f"/events?job={_NOBODY}",
        "events with a text": f"/events?text={_NOBODY}",
        "one event": f"/events/{middle}",
        "deliveries": "/deliveries",
        "one delivery": f"/deliveries/{middle}",
        "jobs": "/jobs",
        "open jobs": "/jobs?open=true",
        "failed jobs": "/jobs?status=failed",
        "one job": "/jobs/one?source=creativeai&job=vgen_failed_0500",
        "spend": "/spend?span=30d",
        "dead letters": "/dead-letters",
        "a group of dead letters": f"/dead-letters/group?{urlencode({'handler': _HANDLER, 'first_line': _ERROR})}",
        "quarantine": "/quarantine",
        "one refusal": f"/quarantine/{refusal['id']}",
        "sources": "/sources",
        "handlers": "/handlers",
    }


def _p95(client: FlaskClient, path: str) -> float:
    """In milliseconds, when what it reads has been read before."""
    taken = list[float]()
    for _ in range(_TIMES + 1):
        began = time.perf_counter()
        answer = client.get(path, headers={"Accept": "text/html"})
        taken.append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            raise BenchError(f"{path} was answered {answer.status_code}")
    return quantiles(taken[1:], n=20)[-1]
