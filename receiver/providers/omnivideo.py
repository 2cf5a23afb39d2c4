"""Omni Video's Open API: images and videos, polled for; a number stands for each status.

https://omnivideo.net/api-docs
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from receiver.errors import InvalidBody, NotFound, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
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
from receiver.providers.values import identifier, json_object, link, segment, sentence, word

_SCHEDULE = Schedule(
    first=timedelta(seconds=3),
    every={
        timedelta(0): timedelta(seconds=3),
        timedelta(seconds=30): timedelta(seconds=10),
        timedelta(minutes=2): timedelta(seconds=30),
    },
    deadline=timedelta(minutes=15),
)

_TASKS = "/api/v1/tasks/"
_MODELS = {"seedance-2": "video", "gpt-image-2": "image", "nano-banana-2": "image"}
_RESULTS = {"video": "video_url", "image": "image_url", "audio": "audio_url"}
_REASONS = ("error", "error_message", "fail_reason", "reason")


class OmniVideo(Provider):
    name = "omnivideo"
    sends_webhooks = False
    statuses = {
        "1": Status.QUEUED,
        "2": Status.RUNNING,
        "3": Status.SUCCEEDED,
        "4": Status.FAILED,
    }
    noun = "task"
    kinds = {"video": _SCHEDULE, "image": _SCHEDULE, "audio": _SCHEDULE, "task": _SCHEDULE}
    # Neither the documentation nor an answer names a limit; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    create_calls = {
        model: CreateCall(path=f"{_TASKS}create", required=("prompt",), kind=kind) for model, kind in _MODELS.items()
    }
    offers = [Offer(name=model, kind=model, data={"result": _RESULTS[kind]}) for model, kind in _MODELS.items()]

    def poll(self, job: Job) -> Request:
        return Request(path=_TASKS + segment(job.job_id))

    def read(self, job: Job, response: Response) -> Reading:
        data = self.answered(response).get("data")
        if not isinstance(data, dict) or data.get("task_status") is None:
            raise RequestFailed("the answer cannot be understood: it has no task_status")
        expect_job(data.get("task_id"), job.job_id)
        raw_status = _spelled(data["task_status"])
        status = self.fold(raw_status)
        if status is None or not status.terminal:
            return Reading(status=status, raw_status=raw_status)
        with understood():
            event = self._event(job, data, status, raw_status)
        incomplete = status is Status.SUCCEEDED and not _has_result(event)
        return Reading(status=status, raw_status=raw_status, events=(event,), incomplete=incomplete)

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        if body.get("model_id", kind) != kind:
            raise InvalidBody(f"in a body for {self.name} {kind}, model_id must be {kind} too, or left out")
        return super().submit(kind, {"model_id": kind, **body}, callback_url)

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        data = self.accepted(response).get("data")
        if not isinstance(data, dict):
            raise Unreadable("the answer has no data")
        job_id = identifier(data.get("task_id"), field="task_id")
        return [Created(job_id=job_id, kind=_MODELS[kind], reference=word(data.get("request_id")))]

    def answered(self, response: Response) -> dict[str, Any]:
        """Any `code` but 200 says that the request failed, also in an HTTP 200. It says nothing about the task."""
        envelope = super().answered(response)
        self._expect(envelope, "200")
        return envelope

    def reason(self, data: Mapping[str, Any]) -> str | None:
        return sentence(data.get("msg")) or super().reason(data)

    def accepted(self, response: Response) -> dict[str, Any]:
        if 200 <= response.status_code < 300 and "code" not in json_object(response.body):
            raise Unreadable("the answer has no code")
        return super().accepted(response)

    def check(self) -> Sequence[Request]:
        return [Request(path=f"{_TASKS}receiver-check")]

    def checked(self, response: Response) -> None:
        # No documented call both changes nothing and needs no task, so the one asked about is made up. A wrong key is
        # answered HTTP 401; to be told that there is no such task, in whichever form, takes a good one.
        try:
            self._expect(super().answered(response), "200", "0")
        except NotFound:
            return

    def _expect(self, envelope: Mapping[str, Any], *codes: str) -> None:
        """Refuse an answer whose `code` is none of these."""
        code = _spelled(envelope.get("code"))
        if code not in codes:
            raise RequestFailed(f"code {code}{self.said(envelope)}")

    def _event(self, job: Job, data: Mapping[str, Any], status: Status, raw_status: str | None) -> Event:
        job_id = identifier(data.get("task_id", job.job_id), field="task_id")
        told = (word(data.get("task_type")) or "").lower()
        kind = told if told in _RESULTS else self.kind_or_default(job.kind)
        # There is no time of its end: `created_at` is that of its start.
        return Event(
            source=job.source,
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


def _spelled(value: object) -> str | None:
    """A status or a code as text, whether it came as a number or as text. `true` and `3.0` stay what they are."""
    return word(value if isinstance(value, str) else json.dumps(value))


def _outputs(kind: str, data: Mapping[str, Any]) -> tuple[Output, ...]:
    """Every result, the one of the task's own kind first."""
    names = sorted(_RESULTS.values(), key=lambda name: name != _RESULTS.get(kind))
    return tuple(Output(url) for name in names if (url := link(data.get(name))))


def _has_result(event: Event) -> bool:
    """Whether the result of the task's own kind is there, which a preview of another kind does not replace."""
    expected = _RESULTS.get(event.kind or "")
    return bool(link(event.data.get(expected)) if expected else event.outputs)


def _failure(data: Mapping[str, Any]) -> Failure:
    """Where the reason stands is not documented; the envelope's `msg` says "ok"."""
    reasons = (sentence(data.get(name)) for name in _REASONS)
    return Failure(next((reason for reason in reasons if reason), "no reason given"))
