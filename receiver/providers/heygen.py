"""HeyGen: avatar videos. Webhooks for what ended, one route to ask about videos.

https://docs.heygen.com/docs/using-heygens-webhook-events
"""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from receiver.errors import RequestFailed, Unreadable
from receiver.models import (
    Budget,
    Delivery,
    Event,
    Failure,
    Job,
    Output,
    Reading,
    Request,
    Response,
    Schedule,
    Status,
)
from receiver.providers.base import Provider, ProviderSettings, event_key, expect_job, understood
from receiver.providers.values import (
    identifier,
    identifier_or_none,
    json_object,
    link,
    segment,
    sentence,
    spelled,
    word,
)
from receiver.signatures import SCHEMES, AnyOf

_SCHEDULE = Schedule(
    first=timedelta(seconds=5), every={timedelta(0): timedelta(seconds=10)}, deadline=timedelta(minutes=30)
)
_FINE = ("100", 100)
_SUFFIXES = {Status.SUCCEEDED: "success", Status.FAILED: "fail"}
# A poll's name for it, and a webhook's; then what may come with it.
_RESULTS = ("video_url", "url", "gif_url", "gif_download_url")


class HeyGenSettings(ProviderSettings):
    """What is HeyGen's own in a source's table."""

    api: Literal["v1", "v3"] = "v1"
    """The version of the API that videos are asked about in."""


class HeyGen(Provider):
    name = "heygen"
    base_url = "https://api.heygen.com"
    # Both sign the body alone, so that taking the older one too proves no less.
    scheme = AnyOf(SCHEMES["heygen_v3"], SCHEMES["heygen_legacy"])
    settings_class = HeyGenSettings
    settings: HeyGenSettings
    statuses = {
        "pending": Status.QUEUED,
        "waiting": Status.QUEUED,
        "processing": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "failed": Status.FAILED,
        "success": Status.SUCCEEDED,
        "fail": Status.FAILED,
    }
    kinds = {"video_agent": _SCHEDULE, "avatar_video": _SCHEDULE}
    # No limit is documented; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    results_last = timedelta(days=7)

    def parse(self, delivery: Delivery) -> list[Event]:
        body = json_object(delivery.body)
        named = word(body.get("event_type"))
        if named is None:
            raise Unreadable("it has no event_type")
        data = body["event_data"] if isinstance(body.get("event_data"), dict) else body
        kind, _, suffix = named.rpartition(".")
        video_id = identifier_or_none(data.get("video_id"))
        if kind not in self.kinds or video_id is None:
            return [self._notice(delivery, named, video_id, data)]
        return [self._event(delivery.source, kind, named, video_id, suffix, data)]

    def poll(self, job: Job) -> Request:
        if self.settings.api == "v3":
            return Request(path=f"/v3/videos/{segment(job.job_id)}")
        return Request(path=f"/v1/video_status.get?video_id={segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        data = self.answered(response).get("data")
        if not isinstance(data, dict) or data.get("status") is None:
            raise RequestFailed("the answer cannot be understood: it has no status")
        told = data.get("video_id") if data.get("id") is None else data["id"]
        expect_job(told, job.job_id)
        raw_status = word(data["status"])
        status = self.fold(raw_status)
        if status is None or not status.terminal:
            return Reading(status=status, raw_status=raw_status)
        kind = self.kind_or_default(job.kind)
        with understood():
            video_id = identifier(job.job_id or told, field="id")
            event = self._event(job.source, kind, self.event_type(kind, status), video_id, raw_status, data)
        return Reading(status=status, raw_status=raw_status, events=(event,), incomplete=event.incomplete)

    def answered(self, response: Response) -> dict[str, Any]:
        """In v1, any `code` but 100 says that the request failed, also in an HTTP 200."""
        envelope = super().answered(response)
        code = envelope.get("code")
        if self.settings.api == "v1" and code not in _FINE:
            raise RequestFailed(f"code {word(str(code))}{self.said(envelope)}")
        return envelope

    def authorize(self) -> dict[str, str]:
        return {"X-Api-Key": self.api_key} if self.api_key else {}

    def event_type(self, kind: str | None, status: Status | None, raw_status: str | None = None) -> str:
        """As webhooks are named, which only tell of ends."""
        suffix = _SUFFIXES.get(status) if status is not None else "unknown"
        return f"{kind}.{suffix or status}"

    def _event(
        self, source: str, kind: str, named: str, video_id: str, raw_status: str | None, data: Mapping[str, Any]
    ) -> Event:
        status = self.fold(raw_status)
        outputs = _outputs(data) if status is Status.SUCCEEDED else ()
        return Event(
            source=source,
            # Not of Heygen-Event-Id, which is not signed, nor of a URL, which is another one in each answer.
            key=event_key(video_id, status, raw_status),
            type=named,
            data=data,
            job_id=video_id,
            kind=kind,
            status=status,
            raw_status=raw_status,
            outputs=outputs,
            failure=_failure(data) if status is Status.FAILED else None,
            incomplete=status is Status.SUCCEEDED and not outputs,
        )

    def _notice(self, delivery: Delivery, named: str, video_id: str | None, data: Mapping[str, Any]) -> Event:
        """An end of something else, such as a video's GIF, which must not be taken for the end of the video."""
        status = self.fold(named.rpartition(".")[2])
        # The type is no status, so the key of no job's end begins with it.
        key = event_key(video_id, None, named) if video_id else hashlib.sha256(delivery.body).hexdigest()
        return Event(
            source=delivery.source,
            key=key,
            type=named,
            data=data,
            status=status,
            outputs=_outputs(data) if status is Status.SUCCEEDED else (),
            failure=_failure(data) if status is Status.FAILED else None,
        )


def _outputs(data: Mapping[str, Any]) -> tuple[Output, ...]:
    """The video first. The share page is left out: it is no file."""
    urls = dict.fromkeys(filter(None, (link(data.get(name)) for name in _RESULTS)))
    return tuple(Output(url) for url in urls)


def _failure(data: Mapping[str, Any]) -> Failure:
    """`msg` in a webhook, `error` when polled in v1, `failure_message` in v3."""
    error = data.get("error")
    details = error if isinstance(error, dict) else {"message": error}
    texts = (details.get("detail"), details.get("message"), data.get("failure_message"), data.get("msg"))
    message = next(filter(None, map(sentence, texts)), "no reason given")
    return Failure(message, code=word(spelled(details.get("code", data.get("failure_code")))))
