"""A store with an hour of everything that the pages show, made by the code that would have made it."""

import random
import sqlite3
from contextlib import closing
from datetime import timedelta

from receiver import clock, inbox
from receiver.admin.extension import NAME
from receiver.errors import Refused
from receiver.models import Alert, Budget, Delivery, Schedule, State, Status, Via
from receiver.outcomes import Decision, Outcome
from receiver.quarantine import Quarantine
from receiver.sandbox import signed, webhook_body
from receiver.store.base import DispatchFilter, PollResult
from receiver.testing import make_event
from tests.running import SECRET

_PREFIXES = {"creativeai": "vgen_", "kpainter": "kp-", "newapi": "task_"}
DEAD = DispatchFilter(state=State.DEAD)
NO_DISK = "OSError: [Errno 28] No space left on device: '/srv/media'"
NO_CRM = "HandlerError: the CRM answered 503\nservice unavailable"

_MOMENTS = """
    SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND (columns.name GLOB '*_at' OR columns.name GLOB '*_until')
    """

ORDERS = """
from receiver import Router

router = Router()


@router.on(status="succeeded")
def tell_shop(event):
    pass
"""


def tables(folder, database):
    """The configuration that belongs to it."""
    (folder / "orders.py").write_text(ORDERS)
    media = folder / "media"
    media.mkdir(exist_ok=True)
    return {
        "store": f"sqlite:///{database}",
        "sources": {
            "creativeai": {"provider": "creativeai", "secrets": [SECRET], "api_key": "the-api-key"},
            "kpainter": {"provider": "kpainter", "api_key": "the-api-key"},
            "newapi": {"provider": "newapi", "api_key": "the-api-key", "base_url": "https://gateway.example.com"},
        },
        "handlers": {
            "archive": {"directory": str(media)},
            "log": {},
            "orders": {"path": str(folder / "orders.py")},
        },
    }


class Filler:
    """Takes in what providers tell, and lets time pass."""

    def __init__(self, app, database, seed=7):
        self._extension = app.extensions[NAME]
        self._database = database
        self._random = random.Random(seed)  # noqa: S311
        self.store = self._extension.store
        self._count = 1040
        self._submitted = []

    def fill(self, minutes=60):
        """So much of it, minute by minute, and how it stands at its end."""
        for minute in range(minutes):
            for _ in range(self._random.choice([1, 2, 2, 3, 4])):
                self._submitted.append((minute + self._random.choice([1, 1, 2, 3]), self._track("creativeai")))
            if minute % 4 == 1:
                self._submitted.append((minute + 3, self._track("kpainter")))
            if minute % 5 == 2:
                self._submitted.append((minute + 2, self._track("newapi")))
            for job in [job for due, job in self._submitted if due == minute]:
                self._end(job, failed=self._random.random() < (0.35 if 30 <= minute < 36 else 0.06))
            if minute in (2, 13, 44):
                self.refused()
            self._age(60)
        for job in [job for due, job in self._submitted if due >= minutes]:
            self._end(job, failed=False)
        self.dead("archive", NO_DISK, 9)
        self.dead("orders", NO_CRM, 3)
        self._open_jobs()
        self._waiting()
        self._age(95)

    def webhook(self, kind="video", *, status="completed", job=None):
        """An event by webhook."""
        self._count += 1
        body = webhook_body(kind, job or f"vgen_{self._count}", status=status)
        source = self._extension.sources["creativeai"]
        return inbox.accept(source, self._delivery(body), store=self.store, now=clock.now()).events[-1]

    def refused(self):
        """A delivery that is refused."""
        self._count += 1
        delivery = self._delivery(webhook_body("video", f"vgen_{self._count}"), key="an-older-secret")
        quarantine = Quarantine(self.store, max_count=1000, max_body=2**16)
        try:
            inbox.accept(self._extension.sources["creativeai"], delivery, store=self.store, now=clock.now())
        except Refused as refused:
            quarantine.add(delivery, refused)
            quarantine.flush()

    def dead(self, handler, error, count):
        """Dead letters of a handler, one for each of new events."""
        for _ in range(count):
            self._age(self._random.randrange(20, 90))
            self.dispatched(self.webhook(), [handler], decision=Decision.DEAD, error=error)

    def dispatched(self, event, handlers, *, decision=Decision.DONE, error=None, result=None):
        """Have the handlers run, each once, with that end."""
        self.store.route({event.id: handlers})
        for claim in self.store.claim(dict.fromkeys(handlers, 50), lease=timedelta(minutes=5), worker="worker-1"):
            self.store.finish(claim, Outcome(decision=decision, error=error, result=result))

    def _track(self, source):
        self._count += 1
        kind, schedule = next(iter(self._extension.sources[source].schedules.items()))
        kind = self._random.choice([kind, kind, "image"]) if source == "creativeai" else kind
        job_id = f"{_PREFIXES[source]}{self._count}"
        self.store.track(source, job_id, kind=kind, schedule=schedule, metadata={"order": self._count})
        return self.store.job(source, job_id)

    def _end(self, job, *, failed):
        wanted = ["log"] if failed else ["archive", "log", "orders"]
        calls_back = job.source == "creativeai" and self._random.random() > 0.06
        if calls_back:
            event = self.webhook(job.kind, status="failed" if failed else "completed", job=job.job_id)
        else:
            event = self._polled(job, failed=failed)
        if self._random.random() < 0.1:
            self.dispatched(event, wanted[:1], decision=Decision.RETRY, error="TimeoutError: timed out")
            self._age(20)
        self.dispatched(event, wanted)

    def _polled(self, job, *, failed):
        source = self._extension.sources[job.source]
        status = Status.FAILED if failed else Status.SUCCEEDED
        changes = {"data": {"credits": 12}} if job.source == "kpainter" else {}
        event = make_event(
            job.source, job.kind, status=status, id=None, job_id=job.job_id, key=f"{job.job_id}:{status}", **changes
        )  # fmt: skip
        told = Delivery(
            source=job.source, body=b'{"status": "finished"}', received_at=clock.now(), path="/jobs", via=Via.POLL
        )
        return inbox.learn(source, told, [event], store=self.store).events[0]

    def _open_jobs(self):
        slow = Schedule(
            first=timedelta(minutes=2), every={timedelta(0): timedelta(minutes=1)}, deadline=timedelta(hours=6)
        )
        for source, job_id, progress, error, wait in [
            ("creativeai", "vgen_2101", 0.4, None, timedelta(minutes=4)),
            ("creativeai", "vgen_2102", 0.85, None, timedelta(minutes=3)),
            ("kpainter", "kp-2103", None, "the provider answered 502", timedelta(minutes=6)),
            ("newapi", "task_2104", 0.1, None, timedelta(seconds=1)),
        ]:
            kind = next(iter(self._extension.sources[source].schedules))
            self.store.track(source, job_id, kind=kind, schedule=slow, metadata={"order": 4711, "customer": "studio-9"})
            job = self.store.job(source, job_id)
            for number in range(1, 4):
                self.store.poll_soon(source, job_id)
                [job] = self.store.claim_polls(
                    source, budget=Budget(99, timedelta(minutes=1)), learn=False, limit=1, lease=timedelta(minutes=1)
                )
                self.store.record_poll(
                    job,
                    PollResult(
                        wait=wait if number == 3 else timedelta(hours=1),
                        status=None if error else Status.RUNNING,
                        raw_status="processing",
                        progress=progress,
                        step="rendering" if progress else None,
                        error=error,
                    ),
                )
        self.store.intend("creativeai", kind="video", metadata={"order": 4712})

    def _waiting(self):
        for _ in range(4):
            self.store.route({self.webhook().id: ["orders"]})

    def alert(self):
        """An alert that fires."""
        self.store.keep_alert(
            Alert(
                cause="dead-letters archive",
                summary="9 dead letters of archive wait for a person; mend the cause, then retry them.",
                since=clock.now() - timedelta(minutes=12),
            )
        )

    def _delivery(self, body, key=SECRET):
        headers = {name.lower(): value for name, value in signed(body, key).items()}
        headers |= {"user-agent": "CreativeAI-Webhooks/1.0", "authorization": "Bearer of-somebody"}
        return Delivery(
            source="creativeai", body=body, headers=headers, received_at=clock.now(), path="/webhooks/creativeai"
        )

    def _age(self, seconds):
        """Everything becomes so much older."""
        with closing(sqlite3.connect(self._database, timeout=10)) as db, db:
            for table, column in db.execute(_MOMENTS).fetchall():
                db.execute(
                    f"UPDATE {table} SET {column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, ?)"  # noqa: S608
                    f" WHERE {column} IS NOT NULL",
                    (f"-{seconds} seconds",),
                )
