"""Kling's own API: videos from text or an image. It tells every change, unsigned, and does not say of which kind."""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.backoff import asked_to_wait
from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed, Unreadable
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
from receiver.providers.base import (
    Provider,
    event_key,
    expect_job,
    identifier,
    json_object,
    link,
    said,
    segment,
    sentence,
    understood,
    unix_moment,
    word,
)

_SCHEDULE = Schedule(
    first=timedelta(seconds=5),
    every={timedelta(0): timedelta(seconds=10)},
    deadline=timedelta(minutes=30),
)

_ROUTES = ("text2video", "image2video")
_PAGE_SIZE = 100
_LAST_PAGE = 1000

_TOKEN_LASTS = 1800
_CLOCKS_DIFFER = 5
_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]+", re.ASCII)

_CREDENTIALS = {1000, 1001, 1002, 1003, 1004, 1103}
# The account is blocked or out of money: behind a 429, but no wait helps.
_ACCOUNT = {1100, 1101, 1102}
_MISSING = {1202, 1203}
_RATE = {1302, 1303, 1304}
_SERVER = {5000, 5001, 5002}


class Kling(Provider):
    name = "kling"
    base_url = "https://api-singapore.klingai.com"
    key_pair = True
    statuses = {
        "submitted": Status.QUEUED,
        "processing": Status.RUNNING,
        "succeed": Status.SUCCEEDED,
        "failed": Status.FAILED,
    }
    # A callback does not say which of the routes knows its job, so the last one tries them in turn.
    kinds = dict.fromkeys((*_ROUTES, "video"), _SCHEDULE)
    # The documentation names no limit; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    results_last = timedelta(days=30)
    lists_jobs = True
    lists = tuple(f"{route}:1" for route in _ROUTES)

    def parse(self, delivery: Delivery) -> list[Event]:
        return [self._event(delivery.source, None, json_object(delivery.body))]

    def poll(self, job: Job) -> Request:
        return Request(path=f"/v1/videos/{_route(job)}/{segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        task = self.answered(response).get("data")
        if not isinstance(task, dict) or "task_status" not in task:
            raise RequestFailed("the answer cannot be understood: it has no task_status")
        with understood():
            _expect_task(task, job.job_id)
            event = self._event(job.source, _route(job), {"task_id": job.job_id, **task})
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            # From now on it is known where to ask.
            reference=_route(job) if job.kind not in _ROUTES else None,
            events=(event,) if ended else (),
            incomplete=event.status is Status.SUCCEEDED and not event.outputs,
        )

    def listing(self, cursor: str | None = None) -> Request:
        route, page = _place(cursor)
        return Request(path=f"/v1/videos/{route}?pageNum={page}&pageSize={_PAGE_SIZE}")

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        route, page = _place(cursor)
        rows = self.answered(response).get("data")
        if not isinstance(rows, list):
            raise RequestFailed("the answer cannot be understood: it has no list of tasks")
        more = len(rows) >= _PAGE_SIZE and page < _LAST_PAGE
        return Listing(
            jobs=tuple(
                Listed(job_id=job_id, kind=route, created_at=unix_moment(row.get("created_at")))
                for row in rows
                if isinstance(row, dict) and (job_id := _id_or_none(row.get("task_id")))
            ),
            cursor=f"{route}:{page + 1}" if more else None,
        )

    def check(self) -> Sequence[Request]:
        return [Request(path=f"/v1/videos/{_ROUTES[0]}?pageNum=1&pageSize=1")]

    def answered(self, response: Response) -> dict[str, Any]:
        """Only `code` tells what an error means: a 429 may be about the rate, or about money."""
        try:
            return self._succeeded(response)
        except RequestFailed as error:
            # For half an hour a token is as good as the keys, and a provider may echo it.
            error.args = (_TOKEN.sub("(token)", str(error)),)
            raise

    def sign_request(self, *, method: str, url: str, body: bytes, now: datetime) -> dict[str, str]:
        if not self.api_key:
            return {}
        return {"Authorization": f"Bearer {_token(*self.access_keys, int(now.timestamp()))}"}

    def _succeeded(self, response: Response) -> dict[str, Any]:
        envelope = _readable(response.body)
        code = _code(envelope.get("code"))
        told = f"HTTP {response.status_code}, code {code}{said(envelope)}"
        if code in _RATE:
            raise RateLimited(told, retry_after=asked_to_wait(response.headers))
        if code in _CREDENTIALS:
            raise CredentialsRefused(told)
        if code in _MISSING:
            raise NotFound(told)
        if code in _ACCOUNT or code in _SERVER:
            raise RequestFailed(told, retry=code in _SERVER)
        answer = super().answered(response)
        if code != 0:
            raise RequestFailed(told, retry=False)
        return answer

    def _event(self, source: str, kind: str | None, task: Mapping[str, Any]) -> Event:
        job_id = _id(task.get("task_id"))
        raw_status = word(task.get("task_status"))
        status = self.fold(raw_status)
        return Event(
            source=source,
            key=event_key(job_id, status, raw_status),
            type=f"task.{status or 'unknown'}",
            data=task,
            job_id=job_id,
            kind=self.kind_or_default(kind),
            status=status,
            raw_status=raw_status,
            outputs=_outputs(task) if status is Status.SUCCEEDED else (),
            failure=_failure(task) if status is Status.FAILED else None,
            occurred_at=unix_moment(task.get("updated_at")),
        )


def _route(job: Job) -> str:
    """Where a job is asked about: by its kind; else where it was found, and until then at each in turn."""
    if job.kind in _ROUTES:
        return job.kind
    return job.reference if job.reference in _ROUTES else _ROUTES[job.missing_count % len(_ROUTES)]


def _place(cursor: str | None) -> tuple[str, int]:
    """The list and the page that a cursor stands for: `image2video:2`."""
    route, _, page = (cursor or f"{_ROUTES[0]}:1").partition(":")
    return route, int(page)


def _token(access_key: str, secret_key: str, now: int) -> str:
    """A JSON Web Token. Nothing is verified here, so it takes no library: two pieces of JSON and their HMAC."""
    claims = {"iss": access_key, "exp": now + _TOKEN_LASTS, "nbf": now - _CLOCKS_DIFFER}
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{signed}.{_base64(hmac.digest(secret_key.encode(), signed.encode(), 'sha256'))}"


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _readable(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; an empty one if it is none."""
    try:
        return json_object(body)
    except Unreadable:
        return {}


def _code(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _expect_task(task: Mapping[str, Any], asked: str) -> None:
    """Refuse an answer about another task. Callbacks know a job by its `task_id`, so only that one will do."""
    info = task.get("task_info")
    other_name = info.get("external_task_id") if isinstance(info, dict) else None
    if asked and other_name == asked and task.get("task_id", asked) != asked:
        raise RequestFailed("the job is tracked by its external_task_id; track it by its task_id", retry=False)
    expect_job(task.get("task_id"), asked)


def _id(value: object) -> str:
    """A task's id: a number of 18 digits, as text."""
    numbered = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return identifier(str(value) if numbered else value, field="task_id")


def _id_or_none(value: object) -> str | None:
    try:
        return _id(value)
    except Unreadable:
        return None


def _outputs(task: Mapping[str, Any]) -> tuple[Output, ...]:
    """The videos, then the images. The copy with a watermark counts only where it is the only one."""
    result = task.get("task_result")
    found = result if isinstance(result, dict) else {}
    rows = [row for name in ("videos", "images") for row in _list(found.get(name)) if isinstance(row, dict)]
    urls = (link(row.get("url")) or link(row.get("watermark_url")) for row in rows)
    return tuple(Output(url) for url in urls if url)


def _failure(task: Mapping[str, Any]) -> Failure:
    return Failure(sentence(task.get("task_status_msg")) or "no reason given")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
