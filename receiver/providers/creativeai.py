"""CreativeAI: signed webhooks for jobs that ended, four routes to ask about jobs that did not say so.

https://docs.creativeai.run/webhooks
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from receiver.backoff import asked_to_wait
from receiver.errors import CredentialsRefused, InvalidBody, RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
    Delivery,
    Event,
    Failure,
    Job,
    Offer,
    Output,
    Reading,
    Request,
    Response,
    Schedule,
    Status,
)
from receiver.providers.base import Provider, event_key, expect_job, understood
from receiver.providers.values import (
    as_list,
    as_object,
    identifier,
    identifier_or_none,
    json_object,
    link,
    moment,
    number,
    readable,
    segment,
    sentence,
    word,
)
from receiver.signatures import SCHEMES

_LONG = Schedule(
    first=timedelta(seconds=10),
    every={timedelta(0): timedelta(seconds=10)},
    deadline=timedelta(minutes=12),  # the provider itself gives up after 10
)
_SHORT = Schedule(
    first=timedelta(seconds=3),
    every={timedelta(0): timedelta(seconds=3), timedelta(seconds=30): timedelta(seconds=10)},
    deadline=timedelta(minutes=5),
)

_VIDEO = "/v1/video/generations/"
_BATCH = "/v1/video/generations/batch/"
_NATIVE = "/api/v1/model/prediction/"
_SHARED = "/api/generate/status/"
_ROUTES = {"video": _VIDEO, "batch": _BATCH, "image": _NATIVE}
_CALLBACK = "webhook_url"
_MOST_CLIPS = 20

_ALIASES = {"chart": "chart-to-video", "utility": "other"}
_COUNTS = ("completed", "failed", "pending", "processing", "total_jobs")
_EVENT_NAME = re.compile(r"([a-z][a-z_-]*)\.[a-z_]+\.(completed|failed)", re.ASCII)


class CreativeAI(Provider):
    name = "creativeai"
    base_url = "https://api.creativeai.run"
    scheme = SCHEMES["creativeai"]
    results_last = timedelta(days=7)
    statuses = {
        "pending": Status.QUEUED,
        "processing": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "failed": Status.FAILED,
    }
    kinds = {
        "video": _LONG,
        "batch": _LONG,
        "image": _SHORT,
        "voice": _SHORT,
        "compose": _SHORT,
        "chart-to-video": _SHORT,
        "background-removal": _SHORT,
        "other": _SHORT,
    }
    # The free plan's limit for all calls; the answers' headers tell the real one.
    budget = Budget(10, per=timedelta(minutes=1))
    create_calls = {
        "video": CreateCall(path="/v1/video/generations", required=("prompt",), callback=_CALLBACK),
        "image-to-video": CreateCall(
            path="/v1/video/generations", required=("image_url",), callback=_CALLBACK, kind="video"
        ),
        "batch": CreateCall(path="/v1/video/generations/batch", callback=_CALLBACK),
        "voice": CreateCall(path="/api/generate/voice", required=("text",), callback=_CALLBACK),
        "compose": CreateCall(path="/api/generate/compose", callback=_CALLBACK),
        "chart-to-video": CreateCall(path="/api/generate/chart-to-video", callback=_CALLBACK),
        "image": CreateCall(path="/api/v1/model/generateImage", required=("prompt",), callback=_CALLBACK),
    }

    def sign(self, delivery: Delivery, secret: str) -> dict[str, str]:
        [event, *_] = reversed(self.parse(delivery))
        return {
            "X-CreativeAI-Event": event.type,
            "X-CreativeAI-Delivery-Id": str(event.job_id),
            **super().sign(delivery, secret),
        }

    def parse(self, delivery: Delivery) -> list[Event]:
        data = json_object(delivery.body)
        kind = _kind(data.get("object"))
        if kind == "batch" or (kind is None and "batch_id" in data):
            return self._batch(delivery.source, data)
        return [self._event(delivery.source, kind or _kind(delivery.headers.get("x-creativeai-event")), data)]

    def remark(self, delivery: Delivery, events: Sequence[Event]) -> str | None:
        unnamed = sum(
            not _named(row) for event in events if event.kind == "batch" for row in as_list(event.data.get("jobs"))
        )
        if unnamed:
            return f"{unnamed} of the batch's clips have no id that can be used"
        claimed = delivery.headers.get("x-creativeai-delivery-id")
        if claimed is not None and claimed not in {event.job_id for event in events}:
            return "X-CreativeAI-Delivery-Id, which is not signed, differs from the id in the body"
        return None

    def poll(self, job: Job) -> Request:
        return Request(path=_ROUTES.get(job.kind, _SHARED) + segment(job.job_id))

    def read(self, job: Job, response: Response) -> Reading:
        data = self.answered(response)
        expect_job(data.get("batch_id" if job.kind == "batch" else "id"), job.job_id)
        with understood():
            if job.kind == "batch":
                return self._read_batch(job, data)
            if "status" not in data:
                raise Unreadable("it has no status")
            event = self._event(job.source, job.kind, {"id": job.job_id, **data})
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            progress=number(data.get("progress")),
            events=(event,) if ended else (),
        )

    def answered(self, response: Response) -> dict[str, Any]:
        """Error identifiers stand in `type` or in `code`, and behind which HTTP code is not always documented."""
        envelope = _error_envelope(response.body)
        error = envelope.get("error", {})
        named = {word(error.get("type")), word(error.get("code"))}
        if "rate_limit_exceeded" in named:
            raise RateLimited(f"rate limit{self.said(envelope)}", retry_after=asked_to_wait(response.headers))
        if "authentication_error" in named:
            raise CredentialsRefused(f"credentials refused{self.said(envelope)}")
        data = super().answered(response)
        if error:
            raise RequestFailed(f"error{self.said(envelope)}", retry="provider_unavailable" in named)
        return data

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        if kind == "batch" and not _fits_a_batch(body):
            raise InvalidBody(f"a body for {self.name} batch needs prompts or jobs, a list of 1 to {_MOST_CLIPS}")
        return super().submit(kind, body, callback_url)

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        data = self.accepted(response)
        if kind == "batch":
            batch_id = identifier(data.get("batch_id"), field="batch_id")
            clips = [Created(job_id=row["id"], kind="video") for row in as_list(data.get("jobs")) if _named(row)]
            return [Created(job_id=batch_id, kind="batch"), *clips]
        return [Created(job_id=identifier(data.get("id"), field="id"), kind=self.create_calls[kind].kind or kind)]

    def catalog(self) -> Sequence[Request]:
        return [Request(path="/v1/models")]

    def read_catalog(self, response: Response) -> list[Offer]:
        rows = self.answered(response).get("data")
        if not isinstance(rows, list):
            raise Unreadable("the answer has no list of models")
        return [Offer(name=row["id"], data=row) for row in rows if _named(row)]

    def check(self) -> Sequence[Request]:
        return self.catalog()

    def event_type(self, kind: str | None, status: Status | None, raw_status: str | None = None) -> str:
        """As it says in `X-CreativeAI-Event`."""
        told = (status and self.spelling(status)) or (raw_status or status or "unknown").lower()
        return f"video.batch.{told}" if kind == "batch" else f"{kind or 'other'}.generation.{told}"

    def _event(self, source: str, kind: str | None, data: Mapping[str, Any]) -> Event:
        job_id = identifier(data.get("id"), field="id")
        raw_status = word(data.get("status"))
        status = self.fold(raw_status)
        return Event(
            source=source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(kind, status, raw_status),
            data=data,
            job_id=job_id,
            kind=self.kind_or_default(kind),
            status=status,
            raw_status=raw_status,
            outputs=_outputs(data) if status is Status.SUCCEEDED else (),
            failure=_failure(data) if status is Status.FAILED else None,
            occurred_at=moment(data.get("completed_at")),
        )

    def _batch(self, source: str, data: Mapping[str, Any]) -> list[Event]:
        """The batch's clips that ended, each as its own webhook would tell it, then the batch itself.

        A finished batch counts as succeeded even where clips failed: that is what its webhook says, and the clips'
        own events say the rest. A poll answer has no status, only counts.
        """
        batch_id = identifier(data.get("batch_id"), field="batch_id")
        clips = [self._event(source, "video", row) for row in as_list(data.get("jobs")) if _named(row)]
        raw_status = word(data.get("status")) or ("completed" if _all_ended(data, clips) else "processing")
        status = self.fold(raw_status)
        batch = Event(
            source=source,
            key=event_key(batch_id, status, raw_status),
            type=self.event_type("batch", status, raw_status),
            data=data,
            job_id=batch_id,
            kind="batch",
            status=status,
            raw_status=raw_status,
            failure=_failure(data) if status is Status.FAILED else None,
            occurred_at=moment(data.get("completed_at")),
        )
        return [*(clip for clip in clips if clip.status and clip.status.terminal), batch]

    def _read_batch(self, job: Job, data: Mapping[str, Any]) -> Reading:
        if not {"status", "jobs", *_COUNTS} & data.keys():
            raise Unreadable("it has neither clips nor counts")
        *clips, batch = self._batch(job.source, {"batch_id": job.job_id, **data})
        ended, total = len(clips), len(as_list(data.get("jobs")))
        return Reading(
            status=batch.status,
            raw_status=batch.raw_status,
            progress=100 * ended / total if total else None,
            events=(*clips, batch) if batch.status and batch.status.terminal else tuple(clips),
        )


def _kind(name: object) -> str | None:
    """The kind of job that an `object` or an event name speaks of: `voice.generation.completed` → voice."""
    if not isinstance(name, str):
        return None
    if name == "video.batch" or name.startswith("video.batch."):
        return "batch"
    named = _EVENT_NAME.fullmatch(name if name.count(".") == 2 else f"{name}.completed")
    if named is None:
        return None
    kind = named[1].replace("_", "-")
    return _ALIASES.get(kind, kind)


def _error_envelope(body: bytes) -> dict[str, Any]:
    """The answer if it is `{"error": {…}}` and not a job that failed; else nothing."""
    data = readable(body)
    told_of_a_job = {"status", "jobs", "batch_id"} & data.keys()
    return data if isinstance(data.get("error"), dict) and not told_of_a_job else {}


def _fits_a_batch(body: Mapping[str, Any]) -> bool:
    """Whether it says what to make, and not of more clips than a batch takes."""
    lists = [body[name] for name in ("prompts", "jobs") if body.get(name)]
    return bool(lists) and all(isinstance(rows, list) and len(rows) <= _MOST_CLIPS for rows in lists)


def _named(row: object) -> bool:
    """Whether a row, of a batch or of the catalogue, has an id."""
    return identifier_or_none(as_object(row).get("id")) is not None


def _outputs(data: Mapping[str, Any]) -> tuple[Output, ...]:
    """`output_url`, else the native API's `outputs`, else the OpenAI form's `data[].url`."""
    rows = [row.get("url") for row in as_list(data.get("data")) if isinstance(row, dict)]
    for found in ([data.get("output_url")], as_list(data.get("outputs")), rows):
        if urls := [url for value in found if (url := link(value))]:
            return tuple(Output(url) for url in urls)
    return ()


def _failure(data: Mapping[str, Any]) -> Failure:
    """`error.message` when polled, `error_message` in webhooks and batches, or `error` as plain text."""
    error = data.get("error")
    details = error if isinstance(error, dict) else {"message": error}
    message = sentence(details.get("message")) or sentence(data.get("error_message"))
    return Failure(message or "no reason given", code=word(details.get("code")) or word(details.get("type")))


def _all_ended(data: Mapping[str, Any], clips: Sequence[Event]) -> bool:
    """Whether a batch is over: by its counts, or where they are missing by its clips."""
    completed, failed, pending, processing, total = (number(data.get(name)) for name in _COUNTS)
    if completed is not None and failed is not None and total is not None:
        return completed + failed >= total > 0
    if pending is not None and processing is not None:
        return pending + processing == 0
    return bool(clips) and all(clip.status and clip.status.terminal for clip in clips)
