"""kie.ai: many models behind one API. The signature of its webhooks covers no more than a task's id.

https://docs.kie.ai
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from receiver.backoff import asked_to_wait
from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
    Delivery,
    Event,
    Failure,
    Job,
    Origin,
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
    json_object,
    link,
    readable,
    sentence,
    spelled,
    unix_moment,
    whole,
    word,
)
from receiver.signatures import SCHEMES

_SCHEDULE = Schedule(
    first=timedelta(seconds=3),
    every={
        timedelta(0): timedelta(seconds=3),
        timedelta(seconds=30): timedelta(seconds=10),
        timedelta(minutes=2): timedelta(seconds=30),
    },
    deadline=timedelta(minutes=15),
)

_RECORDS = {
    "market": "/api/v1/jobs/recordInfo",
    "runway": "/api/v1/runway/record-detail",
    "veo": "/api/v1/veo/record-info",
}
_LONGEST_RESULT = 2**20

_FINE = 200
_GENERATION_FAILED = 501
_NO_SUCH_TASK = "recordinfo is null"
# Many of these mean something else than the HTTP status of the same number: whether it may pass by itself.
_PASSING = {
    400: False,
    402: False,  # no credits
    408: True,  # nothing heard from the model's own provider for ten minutes
    422: False,
    433: False,  # the limit of a sub-key
    455: True,  # maintenance
    500: True,
    501: False,
    505: False,  # switched off
}
_PERHAPS_CREATED = (None, 408, 500)


class Kie(Provider):
    name = "kie"
    base_url = "https://api.kie.ai"
    scheme = SCHEMES["kie"]
    acknowledgement = '{"code": 200, "msg": "success"}'
    # The market's words, those of the older Runway API, and the numbers of Veo's `successFlag`.
    statuses = {
        "waiting": Status.QUEUED,
        "queuing": Status.QUEUED,
        "wait": Status.QUEUED,
        "queueing": Status.QUEUED,
        "generating": Status.RUNNING,
        "success": Status.SUCCEEDED,
        "fail": Status.FAILED,
        "0": Status.RUNNING,
        "1": Status.SUCCEEDED,
        "2": Status.FAILED,
        "3": Status.FAILED,
    }
    noun = "task"
    kinds = {"runway": _SCHEDULE, "veo": _SCHEDULE, "market": _SCHEDULE}
    # As documented for new tasks of one account; how often they may be asked about is not.
    budget = Budget(20, per=timedelta(seconds=10))
    results_last = timedelta(hours=24)
    create_calls = {
        "market": CreateCall(path="/api/v1/jobs/createTask", required=("model",), callback="callBackUrl"),
    }

    def parse(self, delivery: Delivery) -> list[Event]:
        envelope = json_object(delivery.body)
        task = envelope.get("data")
        if not isinstance(task, dict):
            raise Unreadable("it has no data")
        kind = "veo" if "successFlag" in task else None
        return [self._event(delivery.source, kind, _task_id(task), envelope)]

    def poll(self, job: Job) -> Request:
        return Request(path=f"{_RECORDS[self._asked_as(job)]}?taskId={quote(job.job_id, safe='')}")

    def places(self, job: Job) -> int:
        return len(_RECORDS) if self._unproven(job) else 1

    def _unproven(self, job: Job) -> bool:
        """Whether what kind of task it is was only told by a body that nobody signed."""
        return job.origin is Origin.HINT and job.reference not in _RECORDS

    def _asked_as(self, job: Job) -> str:
        """The kind of task that is asked for: for one that may be of any, each in turn."""
        if job.reference in _RECORDS:
            return str(job.reference)
        kind = self.kind_or_default(job.kind)
        if not self._unproven(job):
            return kind
        return [kind, *(other for other in _RECORDS if other != kind)][job.missing_count % len(_RECORDS)]

    def read(self, job: Job, response: Response) -> Reading:
        try:
            envelope = self._record(response)
        except NotFound as error:
            if self._unproven(job) or self._asked_as(job) == "market":
                raise
            # How the older APIs say that there is no such task is not documented.
            raise RequestFailed(str(error)) from error
        task = envelope.get("data")
        if not isinstance(task, dict) or _raw_status(task) is None:
            raise RequestFailed("the answer cannot be understood: it has neither state nor successFlag")
        expect_job(_task_id(task), job.job_id)
        with understood():
            event = self._event(job.source, self._asked_as(job), job.job_id or _task_id(task), envelope)
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            events=(event,) if ended else (),
            incomplete=event.status is Status.SUCCEEDED and not event.outputs,
            # From now on it is known where to ask.
            reference=self._asked_as(job) if self._unproven(job) else None,
        )

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        data = self.accepted(response).get("data")
        if not isinstance(data, dict):
            raise Unreadable("the answer has no data")
        return [Created(job_id=identifier(_task_id(data), field="taskId"), kind=kind)]

    def answered(self, response: Response) -> dict[str, Any]:
        """`code` has the last word where it is an error, behind whichever HTTP status; else that counts."""
        envelope = readable(response.body)
        code = _code(envelope)
        if code in (None, _FINE) and not 200 <= response.status_code < 300:
            code = response.status_code
        told = f"HTTP {response.status_code}, code {code}{self.said(envelope)}"
        if code == 422 and _NO_SUCH_TASK in told.lower():
            raise NotFound(told)
        if code == 401:
            raise CredentialsRefused(told)
        if code == 429:
            raise RateLimited(told, retry_after=asked_to_wait(response.headers))
        if code in _PASSING:
            raise RequestFailed(told, retry=_PASSING[code])
        answer = super().answered(response)
        if code == 404:
            raise NotFound(told)
        if code != _FINE:
            raise RequestFailed(told, retry=False)
        return answer

    def reason(self, data: Mapping[str, Any]) -> str | None:
        return _reason(data)

    def accepted(self, response: Response) -> dict[str, Any]:
        if 200 <= response.status_code < 300 and _code(json_object(response.body)) in _PERHAPS_CREATED:
            raise Unreadable(f"the answer does not say whether there is a task{self.said(readable(response.body))}")
        return super().accepted(response)

    def check(self) -> Sequence[Request]:
        return [Request(path=f"{_RECORDS['market']}?taskId=receiver-check")]

    def checked(self, response: Response) -> None:
        # No documented call both changes nothing and needs no task, so the one asked about is made up: to be told that
        # there is none takes a good key.
        try:
            self.answered(response)
        except NotFound:
            return

    def _record(self, response: Response) -> dict[str, Any]:
        """What is on record of a task. That its generation failed is no failure of the request."""
        envelope = readable(response.body)
        told = _code(envelope) == _GENERATION_FAILED and isinstance(envelope.get("data"), dict)
        return envelope if told and response.status_code in (200, _GENERATION_FAILED) else self.answered(response)

    def _event(self, source: str, kind: str | None, job_id: str | None, envelope: Mapping[str, Any]) -> Event:
        task = envelope["data"]
        job_id = identifier(job_id, field="taskId")
        raw_status = _raw_status(task)
        status = self.fold(raw_status)
        return Event(
            source=source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(kind, status),
            data=task,
            job_id=job_id,
            kind=self.kind_or_default(kind),
            status=status,
            raw_status=raw_status,
            outputs=_outputs(task) if status is Status.SUCCEEDED else (),
            failure=_failure(envelope, task) if status is Status.FAILED else None,
            occurred_at=unix_moment(task.get("completeTime")),
        )


def _code(envelope: Mapping[str, Any]) -> int | None:
    return whole(envelope.get("code"))


def _reason(envelope: Mapping[str, Any]) -> str | None:
    """`message` when polled, `msg` in callbacks and elsewhere."""
    return sentence(envelope.get("message")) or sentence(envelope.get("msg"))


def _task_id(task: Mapping[str, Any]) -> str | None:
    """The id that was signed: `taskId`, and in older APIs `task_id`."""
    ids = (spelled(task.get(name)) for name in ("taskId", "task_id"))
    return next((value for value in ids if isinstance(value, str)), None)


def _raw_status(task: Mapping[str, Any]) -> str | None:
    """`state`, or `successFlag` as text. `true` and `1.0` are not what is documented, and stay what they are."""
    flag = task.get("successFlag")
    return word(task.get("state")) or (
        None if flag is None else word(flag if isinstance(flag, str) else json.dumps(flag))
    )


def _outputs(task: Mapping[str, Any]) -> tuple[Output, ...]:
    """The market's results; else Veo's; else the video of the older Runway API.

    https://docs.kie.ai/veo3-api/get-veo-3-video-details
    https://docs.kie.ai/runway-api/get-ai-video-details
    """
    video = as_object(task.get("videoInfo")).get("videoUrl")
    lists = [
        _result(task.get("resultJson")).get("resultUrls"),
        as_object(task.get("response")).get("resultUrls"),
        [video],
    ]
    found = [[url for value in urls if (url := link(value))] for urls in lists if isinstance(urls, list)]
    return tuple(map(Output, next(filter(None, found), [])))


def _result(text: object) -> Mapping[str, Any]:
    """The object that is written as JSON inside a text of JSON; an empty one where it is anything else."""
    if not isinstance(text, str) or len(text) > _LONGEST_RESULT:
        return as_object(text)
    return readable(text.encode("utf-8", "replace"))


def _failure(envelope: Mapping[str, Any], task: Mapping[str, Any]) -> Failure:
    """The market's and Runway's names for it, or Veo's; else what the answer says as a whole, if that failed too."""
    code = next((value for name in ("failCode", "errorCode") if (value := word(spelled(task.get(name))))), None)
    reasons = [sentence(task.get(name)) for name in ("failMsg", "errorMessage")]
    overall = _reason(envelope) if _code(envelope) != _FINE else None
    return Failure(next(filter(None, [*reasons, overall]), "no reason given"), code=code)
