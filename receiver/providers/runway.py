"""Runway: videos and images, polled for; each answer has fresh addresses of the same results.

https://docs.dev.runwayml.com/api
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from receiver.errors import Unreadable
from receiver.models import Budget, Event, Failure, Job, Output, Reading, Request, Response, Schedule, Status
from receiver.providers.base import Provider, event_key, expect_job, understood
from receiver.providers.values import as_list, identifier, link, number, segment, sentence, word

_VERSION = {"X-Runway-Version": "2024-11-06"}


class Runway(Provider):
    name = "runway"
    base_url = "https://api.dev.runwayml.com"
    sends_webhooks = False
    statuses = {
        "pending": Status.QUEUED,
        "throttled": Status.QUEUED,
        "running": Status.RUNNING,
        "succeeded": Status.SUCCEEDED,
        "failed": Status.FAILED,
        "cancelled": Status.CANCELLED,
    }
    noun = "task"
    kinds = {
        "task": Schedule(
            first=timedelta(seconds=6),
            every={timedelta(0): timedelta(seconds=6)},
            deadline=timedelta(hours=1),
        )
    }
    # No limit is documented; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    results_last = timedelta(hours=24)

    def poll(self, job: Job) -> Request:
        return Request(path=f"/v1/tasks/{segment(job.job_id)}", headers=_VERSION)

    def read(self, job: Job, response: Response) -> Reading:
        data = self.answered(response)
        expect_job(data.get("id"), job.job_id)
        with understood():
            event = self._event(job, data)
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            progress=_percent(data.get("progress")),
            events=(event,) if ended else (),
            incomplete=event.status is Status.SUCCEEDED and not event.outputs,
        )

    def check(self) -> Sequence[Request]:
        return [Request(path="/v1/organization", headers=_VERSION)]

    def spelling(self, status: Status) -> str | None:
        told = super().spelling(status)
        return told and told.upper()

    def _event(self, job: Job, data: Mapping[str, Any]) -> Event:
        raw_status = word(data.get("status"))
        if raw_status is None:
            raise Unreadable("it has no status")
        job_id = identifier(job.job_id or data.get("id"), field="id")
        status = self.fold(raw_status)
        # There is no time of its end: `createdAt` is that of its start.
        return Event(
            source=job.source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(job.kind, status),
            data=data,
            job_id=job_id,
            kind=self.kind_or_default(job.kind),
            status=status,
            raw_status=raw_status,
            outputs=_outputs(data.get("output")) if status is Status.SUCCEEDED else (),
            failure=_failure(data) if status is Status.FAILED else None,
        )


def _outputs(urls: object) -> tuple[Output, ...]:
    return tuple(Output(url) for url in dict.fromkeys(filter(None, map(link, as_list(urls)))))


def _failure(data: Mapping[str, Any]) -> Failure:
    return Failure(sentence(data.get("failure")) or "no reason given", code=word(data.get("failureCode")))


def _percent(value: object) -> float | None:
    """A percentage, told as a part of one."""
    part = number(value)
    return round(part * 100, 2) if part is not None and 0 <= part <= 1 else None
