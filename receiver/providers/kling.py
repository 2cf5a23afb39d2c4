"""Kling's own API: videos from text or an image. It tells every change, unsigned, and does not say of which kind."""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.backoff import asked_to_wait
from receiver.errors import CredentialsRefused, NotFound, RateLimited, RequestFailed
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
    as_list,
    as_object,
    identifier,
    identifier_or_none,
    json_object,
    link,
    readable,
    segment,
    sentence,
    unix_moment,
    whole,
    word,
)

_SCHEDULE = Schedule(
    first=timedelta(seconds=5),
    every={timedelta(0): timedelta(seconds=10)},
    deadline=timedelta(minutes=30),
)

_PATHS = {"text2video": "/v1/videos/text2video", "image2video": "/v1/videos/image2video"}
_ANY_KIND = "video"
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
    noun = "task"
    # A callback does not say of which kind its job is, so one of the last kind is looked for at each path in turn.
    kinds = dict.fromkeys((*_PATHS, _ANY_KIND), _SCHEDULE)
    # The documentation names no limit; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    results_last = timedelta(days=30)
    lists_jobs = True
    lists = tuple(f"{kind}:1" for kind in _PATHS)

    def parse(self, delivery: Delivery) -> list[Event]:
        return [self._event(delivery.source, None, json_object(delivery.body))]

    def poll(self, job: Job) -> Request:
        return Request(path=f"{_PATHS[_asked_as(job)]}/{segment(job.job_id)}")

    def places(self, job: Job) -> int:
        return 1 if job.kind in _PATHS or job.reference in _PATHS else len(_PATHS)

    def read(self, job: Job, response: Response) -> Reading:
        task = self.answered(response).get("data")
        if not isinstance(task, dict) or "task_status" not in task:
            raise RequestFailed("the answer cannot be understood: it has no task_status")
        with understood():
            _expect_task(task, job.job_id)
            event = self._event(job.source, _asked_as(job), {"task_id": job.job_id, **task})
        ended = event.status is not None and event.status.terminal
        return Reading(
            status=event.status,
            raw_status=event.raw_status,
            # From now on it is known where to ask.
            reference=_asked_as(job) if job.kind not in _PATHS else None,
            events=(event,) if ended else (),
            incomplete=event.status is Status.SUCCEEDED and not event.outputs,
        )

    def listing(self, cursor: str | None = None) -> Request:
        kind, page = _page(cursor)
        return Request(path=f"{_PATHS[kind]}?pageNum={page}&pageSize={_PAGE_SIZE}")

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        kind, page = _page(cursor)
        rows = self.answered(response).get("data")
        if not isinstance(rows, list):
            raise RequestFailed("the answer cannot be understood: it has no list of tasks")
        more = len(rows) >= _PAGE_SIZE and page < _LAST_PAGE
        return Listing(
            jobs=tuple(
                Listed(job_id=job_id, kind=kind, created_at=unix_moment(row.get("created_at")))
                for row in rows
                if isinstance(row, dict) and (job_id := identifier_or_none(row.get("task_id"), numbered=True))
            ),
            cursor=f"{kind}:{page + 1}" if more else None,
        )

    def check(self) -> Sequence[Request]:
        return [Request(path=f"{_PATHS['text2video']}?pageNum=1&pageSize=1")]

    def answered(self, response: Response) -> dict[str, Any]:
        """Only `code` tells what an error means: a 429 may be about the rate, or about money."""
        envelope = readable(response.body)
        code = whole(envelope.get("code"))
        told = f"HTTP {response.status_code}, code {code}{self.said(envelope)}"
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

    def reason(self, data: Mapping[str, Any]) -> str | None:
        # For half an hour a token is as good as the keys, and a provider may echo it.
        told = super().reason(data)
        return told and _TOKEN.sub("(token)", told)

    def sign_request(self, *, method: str, url: str, body: bytes, now: datetime) -> dict[str, str]:
        if not self.api_key:
            return {}
        return {"Authorization": f"Bearer {_token(*self.access_keys, int(now.timestamp()))}"}

    def _event(self, source: str, kind: str | None, task: Mapping[str, Any]) -> Event:
        # A number of 18 digits, as text.
        job_id = identifier(task.get("task_id"), field="task_id", numbered=True)
        raw_status = word(task.get("task_status"))
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
            failure=_failure(task) if status is Status.FAILED else None,
            occurred_at=unix_moment(task.get("updated_at")),
        )


def _asked_as(job: Job) -> str:
    """The kind that a job is asked about as: its own; else the one it was found as, and until then each in turn."""
    kinds = list(_PATHS)
    found = next((kind for kind in (job.kind, job.reference) if kind in _PATHS), None)
    return found or kinds[job.missing_count % len(kinds)]


def _page(cursor: str | None) -> tuple[str, int]:
    """The list and the page that a cursor stands for: `image2video:2`."""
    kind, _, page = (cursor or Kling.lists[0] or "").partition(":")
    return kind, int(page)


def _token(access_key: str, secret_key: str, now: int) -> str:
    """A JSON Web Token. Nothing is verified here, so it takes no library: two pieces of JSON and their HMAC."""
    claims = {"iss": access_key, "exp": now + _TOKEN_LASTS, "nbf": now - _CLOCKS_DIFFER}
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    return f"{signed}.{_base64(hmac.digest(secret_key.encode(), signed.encode(), 'sha256'))}"


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _expect_task(task: Mapping[str, Any], asked: str) -> None:
    """Refuse an answer about another task. Callbacks know a job by its `task_id`, so only that one will do."""
    other_name = as_object(task.get("task_info")).get("external_task_id")
    if asked and other_name == asked and task.get("task_id", asked) != asked:
        raise RequestFailed("the job is tracked by its external_task_id; track it by its task_id", retry=False)
    expect_job(task.get("task_id"), asked)


def _outputs(task: Mapping[str, Any]) -> tuple[Output, ...]:
    """The videos, then the images. The copy with a watermark counts only where it is the only one."""
    found = as_object(task.get("task_result"))
    rows = [row for name in ("videos", "images") for row in as_list(found.get(name)) if isinstance(row, dict)]
    urls = (link(row.get("url")) or link(row.get("watermark_url")) for row in rows)
    return tuple(Output(url) for url in urls if url)


def _failure(task: Mapping[str, Any]) -> Failure:
    return Failure(sentence(task.get("task_status_msg")) or "no reason given")
