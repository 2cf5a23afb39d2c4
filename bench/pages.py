"""How long the operator's pages take when a million events are stored: the time in the server, without the network."""

import time
from collections.abc import Mapping
from statistics import quantiles

from flask.testing import FlaskClient

from bench.plan import Plan
from bench.receivers import Receiver
from bench.table import Row, Target
from bench.tools import BenchError
from receiver import tokens
from receiver.admin import create_app
from receiver.admin.extension import NAME
from receiver.config import load
from receiver.models import Role

_TIMES = 20
_TOKEN = "bench"
_NOBODY = "vgen_of_nobody"


def measure(receiver: Receiver, plan: Plan) -> list[Row]:
    """A row about the slowest page of a store that is filled."""
    app = create_app(load(receiver.environment["RECEIVER_CONFIG"]))
    store = app.extensions[NAME].store
    try:
        secret = tokens.add(store, _TOKEN, role=Role.OPERATOR)
        client = app.test_client()
        client.post("/sign-in", data={"token": secret})
        times = {name: _p95(client, path) for name, path in _paths(plan).items()}
        store.remove_token(_TOKEN)
    finally:
        app.extensions[NAME].receiver.close()
    slowest = max(times, key=lambda name: times[name])
    others = ", ".join(f"{name} {took:.0f}" for name, took in sorted(times.items()) if name != slowest)
    return [
        Row(key="pages", what=f"slowest page at {plan.events:,} stored events, in the server (p95)",
            settings=f"{slowest}; the others: {others}", figures=[times[slowest]], unit="ms",
            target=Target(at_most=100)),
    ]  # fmt: skip


def _paths(plan: Plan) -> Mapping[str, str]:
    """Every page, and lists as they are filtered and read on."""
    middle = plan.events // 2
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
        "spend": "/spend?span=30d",
        "dead letters": "/dead-letters",
        "a group of dead letters": "/dead-letters/group?handler=noop",
        "quarantine": "/quarantine",
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
