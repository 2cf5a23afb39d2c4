"""OpenAI: webhooks that name a video and nothing more, so that the rest is asked for; all others are notices.

OpenAI has announced that the Videos API and the Sora 2 models are shut down on 2026-09-24. The adapter stays, because
gateways serve the same routes at a `base_url` of their own, and because the same webhooks tell of batches, background
responses, evaluations and fine-tuning.

https://developers.openai.com/api/docs/guides/webhooks
https://platform.openai.com/docs/api-reference/videos
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from receiver.errors import NotFound, RequestFailed, Unreadable
from receiver.models import (
    Budget,
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
    number,
    segment,
    sentence,
    signed_id,
    unix_moment,
    word,
)
from receiver.signatures import SCHEMES

_SCHEDULE = Schedule(
    first=timedelta(seconds=10),
    every={timedelta(0): timedelta(seconds=15)},
    deadline=timedelta(minutes=20),
)

_VIDEOS = "/v1/videos"
_PAGE_SIZE = 100
_ENDS = ("video.completed", "video.failed")


class OpenAI(Provider):
    name = "openai"
    base_url = "https://api.openai.com"
    scheme = SCHEMES["openai"]
    statuses = {
        "queued": Status.QUEUED,
        "in_progress": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "failed": Status.FAILED,
    }
    kinds = {"video": _SCHEDULE}
    # No limit is documented for these calls; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    lists_jobs = True
    results_last = timedelta(hours=1)

    def parse(self, delivery: Delivery) -> list[Event]:
        data = json_object(delivery.body)
        told = word(data.get("type"))
        if told is None:
            raise Unreadable("it has no type")
        happened_at = unix_moment(data.get("created_at"))
        if told.lower() not in _ENDS:
            # New types come unannounced, and are nobody's mistake.
            key = signed_id(delivery, "webhook-id")
            return [Event(source=delivery.source, key=key, type=told, data=data, occurred_at=happened_at)]
        job_id = identifier(as_object(data.get("data")).get("id"), field="data.id")
        event = self._event(delivery.source, job_id, told.partition(".")[2], data)
        return [replace(event, occurred_at=happened_at, incomplete=True)]

    def poll(self, job: Job) -> Request:
        return Request(path=f"{_VIDEOS}/{segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        video = self.answered(response)
        expect_job(video.get("id"), job.job_id)
        raw_status = word(video.get("status"))
        if raw_status is None:
            raise RequestFailed(f"the answer cannot be understood: it has no status{self.said(video)}")
        status, progress = self.fold(raw_status), number(video.get("progress"))
        if status is None or not status.terminal:
            return Reading(status=status, raw_status=raw_status, progress=progress)
        with understood():
            job_id = identifier(job.job_id or video.get("id"), field="id")
        event = replace(
            self._event(job.source, job_id, raw_status, video),
            outputs=(self._content(job_id),) if status is Status.SUCCEEDED else (),
            occurred_at=unix_moment(video.get("completed_at")),
        )
        return Reading(status=status, raw_status=raw_status, progress=progress, events=(event,))

    def listing(self, cursor: str | None = None) -> Request:
        after = f"&after={quote(cursor, safe='')}" if cursor else ""
        return Request(path=f"{_VIDEOS}?order=desc&limit={_PAGE_SIZE}{after}")

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        page = self.answered(response)
        rows = page.get("data")
        if not isinstance(rows, list):
            raise RequestFailed("the answer cannot be understood: it has no list of videos")
        jobs = tuple(
            Listed(job_id=job_id, kind="video", created_at=unix_moment(row.get("created_at")))
            for row in rows
            if (job_id := identifier_or_none(as_object(row).get("id")))
        )
        # Its own library goes on unless it is told not to, too: not everybody says `has_more`.
        more = page.get("has_more") is not False
        return Listing(jobs=jobs, cursor=jobs[-1].job_id if jobs and more else None)

    def check(self) -> Sequence[Request]:
        # The first may be shut down, the second a gateway may not have.
        return [Request(path=f"{_VIDEOS}?limit=1"), Request(path="/v1/models")]

    def answered(self, response: Response) -> dict[str, Any]:
        try:
            return super().answered(response)
        except NotFound as error:
            # So it answers for a route that is not there, or no longer: no reason to give up every job as lost.
            if "Invalid URL (" in str(error):
                raise RequestFailed("HTTP 404: the API has no such path; see base_url", retry=False) from error
            raise

    def event_type(self, kind: str | None, status: Status | None, raw_status: str | None = None) -> str:
        return f"video.{(status and self.spelling(status)) or status or 'unknown'}"

    def _event(self, source: str, job_id: str, raw_status: str, data: Mapping[str, Any]) -> Event:
        status = self.fold(raw_status)
        return Event(
            source=source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type("video", status),
            data=data,
            job_id=job_id,
            kind="video",
            status=status,
            raw_status=raw_status,
            failure=_failure(data) if status is Status.FAILED else None,
        )

    def _content(self, job_id: str) -> Output:
        """Where the video itself is. The key goes there, so the address is never taken out of an answer."""
        return Output(f"{self.base_url}{_VIDEOS}/{segment(job_id)}/content", authorized=True)


def _failure(video: Mapping[str, Any]) -> Failure:
    """What a video says of it; a webhook does not say."""
    details = as_object(video.get("error"))
    return Failure(sentence(details.get("message")) or "no reason given", code=word(details.get("code")))
