"""Luma's Dream Machine: videos and images. Its callbacks are unsigned hints, and few: jobs are polled for as well.

https://docs.lumalabs.ai/docs/api
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from receiver.errors import RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
    Delivery,
    Event,
    Failure,
    Job,
    Listed,
    Listing,
    Output,
    Reading,
    Request,
    Response,
    Schedule,
    Status,
)
from receiver.providers.base import Provider, event_key, expect_job, understood
from receiver.providers.values import (
    as_object,
    identifier,
    identifier_or_none,
    json_object,
    link,
    moment,
    number,
    segment,
    sentence,
    word,
)

_SCHEDULE = Schedule(
    first=timedelta(seconds=5),
    every={timedelta(0): timedelta(seconds=10)},
    deadline=timedelta(minutes=30),
)

_GENERATIONS = "/generations"
_PAGE_SIZE = 50


class Luma(Provider):
    name = "luma"
    base_url = "https://api.lumalabs.ai/dream-machine/v1"
    # It takes a 200 for an answer and nothing else, and gives up after three tries within 0.2 s.
    acknowledgement = "{}"
    statuses = {
        "queued": Status.QUEUED,
        "dreaming": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "failed": Status.FAILED,
    }
    noun = "generation"
    # Each kind's result is the asset of the same name.
    kinds = {"image": _SCHEDULE, "video": _SCHEDULE}
    # No limit is documented; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    lists_jobs = True
    create_calls = {
        "image": CreateCall(path=f"{_GENERATIONS}/image", callback="callback_url"),
        "video": CreateCall(path=_GENERATIONS, callback="callback_url"),
    }

    def parse(self, delivery: Delivery) -> list[Event]:
        return [self._event(delivery.source, json_object(delivery.body))]

    def poll(self, job: Job) -> Request:
        return Request(path=f"{_GENERATIONS}/{segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        data = self.answered(response)
        expect_job(data.get("id"), job.job_id)
        with understood():
            event = self._event(job.source, data, job)
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            events=(event,) if ended else (),
            incomplete=event.status is Status.SUCCEEDED and not _has_result(event),
        )

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        return [Created(job_id=identifier(self.accepted(response).get("id"), field="id"), kind=kind)]

    def listing(self, cursor: str | None = None) -> Request:
        return Request(path=f"{_GENERATIONS}?limit={_PAGE_SIZE}&offset={cursor or 0}")

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        data = self.answered(response)
        rows = data.get("generations")
        if not isinstance(rows, list):
            raise RequestFailed("the answer cannot be understood: it has no list of generations")
        jobs = (self._listed(job_id, row) for row in rows if (job_id := identifier_or_none(as_object(row).get("id"))))
        return Listing(jobs=tuple(jobs), cursor=_next(data, rows))

    def check(self) -> Sequence[Request]:
        return [Request(path="/credits")]

    def _event(self, source: str, data: Mapping[str, Any], job: Job | None = None) -> Event:
        raw_status = word(data.get("state"))
        if raw_status is None:
            raise Unreadable("it has no state")
        job_id = identifier((job.job_id if job else None) or data.get("id"), field="id")
        status = self.fold(raw_status)
        kind = self._kind(data, job.kind if job else None)
        # There is no time of its end: `created_at` is that of its start.
        return Event(
            source=source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(kind, status),
            data=data,
            job_id=job_id,
            kind=kind,
            status=status,
            raw_status=raw_status,
            outputs=_outputs(kind, data) if status is Status.SUCCEEDED else (),
            failure=_failure(data) if status is Status.FAILED else None,
        )

    def _listed(self, job_id: str, row: Mapping[str, Any]) -> Listed:
        return Listed(job_id=job_id, kind=self._kind(row), created_at=moment(row.get("created_at")))

    def _kind(self, data: Mapping[str, Any], known: str | None = None) -> str:
        """What the generation says that it is, else what it is known as. The rest, such as upscaling, makes videos."""
        told = (word(data.get("generation_type")) or "").lower()
        return told if told in self.kinds else self.kind_or_default(known)


def _outputs(kind: str, data: Mapping[str, Any]) -> tuple[Output, ...]:
    """The asset of the generation's own kind first: the image of a video is a still.

    `progress_video`, which shows how an image came to be, is left to those who look for it in the data.
    """
    names = sorted(Luma.kinds, key=lambda name: name != kind)
    return tuple(Output(url) for name in names if (url := link(_assets(data).get(name))))


def _has_result(event: Event) -> bool:
    """Whether the asset of the generation's own kind is there, which a still does not replace."""
    return link(_assets(event.data).get(event.kind or "")) is not None


def _assets(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_object(data.get("assets"))


def _failure(data: Mapping[str, Any]) -> Failure:
    return Failure(sentence(data.get("failure_reason")) or "no reason given")


def _next(data: Mapping[str, Any], rows: Sequence[object]) -> str | None:
    """The offset of the next page, if this one says where it is and that there is more."""
    offset = number(data.get("offset"))
    if data.get("has_more") is not True or not isinstance(offset, int) or offset < 0 or not rows:
        return None
    return str(offset + len(rows))
