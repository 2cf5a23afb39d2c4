"""A real `receiver serve` on any store, whose handler notes what had an effect."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import sandbox
from receiver.config import load
from receiver.store import Store, open_store
from tests.running import API_KEY, SECRET, Running, descendants
from tests.toml import assignments

SLOTS = 16
"""How many runs the handler has at once."""

_HANDLER = '''\
"""Notes every run for the end of a job: what it was for, and the key under which it would have an effect."""
import json, os, time
from pathlib import Path
from receiver import Router

router = Router()
journal = os.open(Path(__file__).with_name("journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@router.on()
def finished(event, context):
    if event.status is None or not event.status.terminal:
        return
    run = {"source": event.source, "job": event.job_id, "status": event.status, "key": context.idempotency_key}
    os.write(journal, (json.dumps({**run, "at": time.monotonic()}) + "\\n").encode())
'''


class Serving(Running):
    """One `receiver serve` with CreativeAI sources by name, and what its handler noted."""

    def __init__(
        self,
        folder: Path,
        store_url: str,
        sources: Mapping[str, Mapping[str, Any]],
        *,
        every: str,
        settings: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """`sources` holds the settings of each besides its secrets and key; `settings` are those outside of all tables.

        `variables` are of the processes' environment.
        """
        self._variables = variables or {}
        given = {"provider": "creativeai", "secrets": [SECRET], "api_key": API_KEY}
        tables = [f"[sources.{name}]\n{assignments({**given, **own})}" for name, own in sources.items()]
        tables += [
            f'[reconcile]\nevery = "{every}"',
            f'[handlers.finished]\npath = "finished.py"\nconcurrency = {SLOTS}',
        ]
        super().__init__(folder, "\n".join(tables), settings={"store": store_url, **(settings or {})})
        (folder / "finished.py").write_text(_HANDLER)
        self._journal = folder / "journal"

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self._variables}

    def post(self, source: str, job_id: str) -> httpx.Response:
        """The answer to a webhook about a job that has ended."""
        body = sandbox.webhook_body("voice", job_id)
        url, headers = f"{self.url}/webhooks/{source}", sandbox.signed(body, SECRET)
        return httpx.post(url, content=body, headers=headers, timeout=30, trust_env=False)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs for ends of jobs, in order; `at` is a moment of the monotonic clock, which all processes share."""
        return [json.loads(line) for line in self._journal.read_text().splitlines()] if self._journal.exists() else []

    @property
    def effects(self) -> Counter[tuple[str, str]]:
        """How many effects the end of each job, by source and id, has had: a retry has the same key."""
        return Counter(job for job, _ in {((run["source"], run["job"]), run["key"]) for run in self.runs})

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Its store, beside it."""
        with closing(open_store(load(self.config))) as opened:
            yield opened


def forms(short: Any, **full: Any) -> list[Any]:
    """Values for the fixtures `store_url` and `form`: the short form on SQLite, and full ones by name on each store.

    There is no short form on PostgreSQL: to start a receiver takes seconds of computing.
    """
    return [
        pytest.param("sqlite", ("short", short), id="sqlite-short"),
        *(
            pytest.param(store, (name, size), id=f"{store}-{name}", marks=pytest.mark.drill)
            for name, size in full.items()
            for store in ("sqlite", "postgresql")
        ),
    ]


def processes(pid: int) -> frozenset[int]:
    """Which processes run below this one: the same as before, if none was started again."""
    return frozenset(descendants(pid))
