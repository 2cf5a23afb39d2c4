"""new-api: a gateway that everyone runs at an address of their own. It calls nobody back, so jobs are polled for.

https://github.com/QuantumNous/new-api
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, SecretStr

from receiver.backoff import asked_to_wait
from receiver.errors import NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
    Event,
    Failure,
    Job,
    Listed,
    Listing,
    Offer,
    Output,
    Reading,
    Request,
    Response,
    Schedule,
    Status,
)
from receiver.providers.base import Provider, ProviderSettings, event_key, expect_job, understood
from receiver.providers.forms import form, is_data_url
from receiver.providers.values import (
    address,
    as_object,
    identifier,
    identifier_or_none,
    number,
    readable,
    segment,
    sentence,
    spelled,
    unix_moment,
    word,
)

_SCHEDULE = Schedule(
    first=timedelta(seconds=5),
    # The gateway asks its upstreams every 15 s or so: asking it more often brings no news, unless an end is likely.
    every={timedelta(0): timedelta(seconds=15), timedelta(minutes=2): timedelta(seconds=30)},
    closest=timedelta(seconds=5),
    # Each deployment sets its own timeout for tasks.
    deadline=timedelta(hours=1),
)

# Where a gateway streams a result to whoever has a token.
_CONTENT = re.compile(r"/v1/videos/[^/]+/content/?\Z")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%?")

_TASKS = "/api/task/self"
_PAGE_SIZE = 100


class NewAPISettings(ProviderSettings):
    user_token: SecretStr | None = Field(default=None, min_length=1)
    """The access token of your account, which is not the API key: with it, the gateway can be asked for your tasks."""
    user_id: PositiveInt | None = None
    """The number of your account, which most builds want to see beside that token."""


class NewAPI(Provider):
    name = "newapi"
    sends_webhooks = False
    settings: NewAPISettings
    settings_class = NewAPISettings
    # It folds the words of many upstreams itself, but not in every build and not on every route.
    statuses = {
        "queued": Status.QUEUED,
        "pending": Status.QUEUED,
        "submitted": Status.QUEUED,
        "not_start": Status.QUEUED,
        "notstarted": Status.QUEUED,
        "preparing": Status.QUEUED,
        "created": Status.QUEUED,
        "starting": Status.QUEUED,
        "unknown": Status.QUEUED,
        "processing": Status.RUNNING,
        "in_progress": Status.RUNNING,
        "running": Status.RUNNING,
        "generating": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "complete": Status.SUCCEEDED,
        "success": Status.SUCCEEDED,
        "succeeded": Status.SUCCEEDED,
        "finished": Status.SUCCEEDED,
        "failed": Status.FAILED,
        "failure": Status.FAILED,
        "fail": Status.FAILED,
        "error": Status.FAILED,
        "cancelled": Status.CANCELLED,
        "canceled": Status.CANCELLED,
    }
    noun = "task"
    # The route of the last one answers for every task, however it was created.
    kinds = {
        "videos": _SCHEDULE,
        "kling-text2video": _SCHEDULE,
        "kling-image2video": _SCHEDULE,
        "jimeng": _SCHEDULE,
        "generations": _SCHEDULE,
    }
    # No limits are documented; each deployment has its own.
    budget = Budget(60, per=timedelta(minutes=1))
    create_calls = {
        "videos": CreateCall(path="/v1/videos", required=("model", "prompt")),
        "kling-text2video": CreateCall(path="/kling/v1/videos/text2video", required=("prompt",)),
        "kling-image2video": CreateCall(path="/kling/v1/videos/image2video", required=("image",)),
        "jimeng": CreateCall(path="/jimeng/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31", required=("req_key",)),
        "generations": CreateCall(path="/v1/video/generations", required=("model", "prompt")),
    }

    def poll(self, job: Job) -> Request:
        kind = self.kind_or_default(job.kind)
        if kind == "jimeng":
            # One route for everything: what a POST to it does is up to its parameter.
            path = "/jimeng/?Action=CVSync2AsyncGetResult&Version=2022-08-31"
            return Request(method="POST", path=path, json={"task_id": job.job_id})
        return Request(path=f"{self.create_calls[kind].path}/{segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        answer = self.answered(response)
        if answer.get("code") == "success" and "data" in answer and answer["data"] is None:
            return Reading(status=None)
        with understood():
            event = self._event(job, _task(answer))
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            progress=_percent(event.data.get("progress")),
            events=(event,) if ended else (),
        )

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        request = super().submit(kind, body, callback_url)
        if kind != "videos":
            return request
        files = [name for name in ("input_reference",) if is_data_url(body.get(name))]
        return replace(request, json=None, form=form(body, files=files))

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        answer = self.accepted(response)
        task = answer if _task_id(answer) is not None else _task(answer)
        return [Created(job_id=identifier(_task_id(task), field="id"), kind=kind)]

    def catalog(self) -> Sequence[Request]:
        return [Request(path="/v1/models")]

    def read_catalog(self, response: Response) -> list[Offer]:
        rows = self.answered(response).get("data")
        if not isinstance(rows, list):
            raise Unreadable("the answer has no list of models")
        return [Offer(name=name, data=row) for row in rows if isinstance(row, dict) and (name := word(row.get("id")))]

    def check(self) -> Sequence[Request]:
        return self.catalog()

    @property
    def lists_jobs(self) -> bool:  # type: ignore[override] # nobody sets it; it depends on the settings
        """Only where it is given the token that the list wants."""
        return self.settings.user_token is not None

    def listing(self, cursor: str | None = None) -> Request:
        return Request(path=f"{_TASKS}?p={cursor or 1}&page_size={_PAGE_SIZE}")

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        answer = self.answered(response)
        page = answer.get("data")
        rows = page.get("items") if isinstance(page, dict) else None
        # Many a refusal comes with HTTP 200.
        if answer.get("success") is not True or not isinstance(page, dict) or not isinstance(rows, list):
            raise RequestFailed(f"the answer is no list of tasks{self.said(answer)}", retry=False)
        jobs = (self._listed(row) for row in rows if isinstance(row, dict))
        return Listing(jobs=tuple(job for job in jobs if job is not None), cursor=_next_page(page, rows))

    def sign_request(self, *, method: str, url: str, body: bytes, now: datetime) -> dict[str, str]:
        """The list of tasks wants the token of the account in place of the API key; nothing else gets to see it."""
        token, user_id = self.settings.user_token, self.settings.user_id
        if token is None or method != "GET" or not urlsplit(url).path.endswith(_TASKS):
            return {}
        named = {} if user_id is None else {"New-Api-User": str(user_id)}
        return {"Authorization": f"Bearer {token.get_secret_value()}", **named}

    @property
    def confidential(self) -> list[str]:
        token = self.settings.user_token
        return [*super().confidential, *([token.get_secret_value()] if token is not None else [])]

    def answered(self, response: Response) -> dict[str, Any]:
        """Errors are flat when they are about a task, and an `error` object when they come before that."""
        answer = readable(response.body)
        code = word(answer.get("code"))
        told = f"HTTP {response.status_code}{self.said(answer)}"
        if response.status_code == 429:
            raise RateLimited(told, retry_after=asked_to_wait(response.headers))
        # The documentation says 404, the gateway says 400.
        if code == "task_not_exist":
            raise NotFound(told)
        # With the upstream's own HTTP code: its 401 says nothing about our key, its 404 nothing about our job.
        if code == "fail_to_fetch_task":
            raise RequestFailed(told, retry=response.status_code >= 500)
        if response.status_code == 404 and "Invalid URL (" in told:
            raise RequestFailed("HTTP 404: the API has no such path; see base_url", retry=False)
        super().answered(response)
        about_a_task = {"status", "id", "task_id"} & answer.keys()
        if not about_a_task and (answer.get("error") or code not in (None, "success")):
            raise RequestFailed(told, retry=False)
        return answer

    def _listed(self, row: Mapping[str, Any]) -> Listed | None:
        """A task in the list, whose own `id` is the number of a row. The last kind's route answers for every task."""
        job_id = identifier_or_none(row.get("task_id"))
        created_at = unix_moment(row.get("submit_time")) or unix_moment(row.get("created_at"))
        return Listed(job_id=job_id, kind=self.kind_or_default(None), created_at=created_at) if job_id else None

    def _event(self, job: Job, task: Mapping[str, Any]) -> Event:
        if "status" not in task:
            raise Unreadable("it has no status")
        told_id = _task_id(task)
        expect_job(told_id, job.job_id)
        job_id = identifier(job.job_id or told_id, field="task_id")
        raw_status = word(task.get("status"))
        status = self.fold(raw_status)
        return Event(
            source=job.source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(job.kind, status),
            data=task,
            job_id=job_id,
            kind=job.kind,
            status=status,
            raw_status=raw_status,
            outputs=(self._output(job_id, task),) if status is Status.SUCCEEDED else (),
            failure=_failure(task) if status is Status.FAILED else None,
            occurred_at=unix_moment(task.get("completed_at")) or unix_moment(task.get("finish_time")),
        )

    def _output(self, job_id: str, task: Mapping[str, Any]) -> Output:
        """The first address that is one, else the gateway's own, which streams the result of any task.

        The gateway tells its own address as its operator set it, or left it; and older builds tell the result as the
        reason for a failure that there was not.
        """
        told = as_object(task.get("metadata")).get("url")
        values = (told, task.get("result_url"), task.get("url"), task.get("fail_reason"))
        url = next(filter(None, map(address, values)), None)
        if url and not _CONTENT.search(urlsplit(url).path):
            return Output(url)
        return Output(f"{self.base_url}/v1/videos/{segment(job_id)}/content", authorized=True)


def _next_page(page: Mapping[str, Any], rows: Sequence[object]) -> str | None:
    """The number of the next page, if this one says which it is and that there is more."""
    number_of_page, size, total = (number(page.get(name)) for name in ("page", "page_size", "total"))
    if not rows or not isinstance(number_of_page, int) or size is None or total is None or number_of_page < 1:
        return None
    return str(number_of_page + 1) if number_of_page * size < total else None


def _task(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task itself: in an envelope or without. The shape tells, the route does not."""
    inside = answer.get("data")
    return inside if isinstance(inside, dict) and "status" not in answer else answer


def _task_id(task: Mapping[str, Any]) -> str | None:
    """`id`, else `task_id`. In an envelope `id` is the number of a row; without, `task_id` may be the upstream's."""
    return next((value for name in ("id", "task_id") if isinstance(value := task.get(name), str) and value), None)


def _failure(task: Mapping[str, Any]) -> Failure:
    """`error`, else `fail_reason`, else what stands where a URL should."""
    error = task.get("error")
    details = error if isinstance(error, dict) else {"message": error}
    misplaced = None if address(task.get("url")) else task.get("url")
    reasons = [sentence(value) for value in (details.get("message"), task.get("fail_reason"), misplaced)]
    return Failure(next(filter(None, reasons), "no reason given"), code=word(spelled(details.get("code"))))


def _percent(value: object) -> float | None:
    """A percentage as a number, or as text: `30%`."""
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) if match else number(value)
