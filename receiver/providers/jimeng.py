"""Jimeng, on Volcengine: videos and images. It calls nobody back, and each question about a task is signed."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import Field

from receiver.backoff import asked_to_wait
from receiver.errors import InvalidBody, NotFound, RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
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
from receiver.providers.values import as_list, as_object, identifier, json_object, link, readable, sentence, whole, word

_SCHEDULE = Schedule(
    first=timedelta(seconds=5),
    every={timedelta(0): timedelta(seconds=10)},
    deadline=timedelta(minutes=30),
)

_VERSION = "Version=2022-08-31"
_SUBMIT = f"/?Action=CVSync2AsyncSubmitTask&{_VERSION}"
_RESULT = f"/?Action=CVSync2AsyncGetResult&{_VERSION}"

_KINDS = ("image", "image2video", "text2video")
_REQ_KEYS = {"text2video": "jimeng_vgfm_t2v_l20"}

_ALGORITHM = "HMAC-SHA256"
_REGION = "cn-north-1"
_SERVICE = "cv"

_FINE = 10000
_OUTPUT_MODERATION = {50511, 50516, 50517, 50519}
# A question about a task holds nothing to object to: if its answer is one of these, the task failed.
_MODERATION = {50411, 50412, 50413, 50512, 50513, 50518, 50520, 50521, 50522, *_OUTPUT_MODERATION}
_RATE = {50429, 50430}
_SERVER = {50500, 50501}
# With these the same request may succeed another time: what comes out is never the same.
_PASSING = {*_SERVER, *_OUTPUT_MODERATION}


class JimengSettings(ProviderSettings):
    """What a source says of the models it is used with."""

    req_keys: Mapping[Literal["image", "image2video", "text2video"], Annotated[str, Field(min_length=1)]] = {}
    """The `req_key` of each kind of job, such as `{image2video = "…"}`; a task is asked about with its model's."""
    req_json: str | None = None
    """The `req_json` that questions about tasks are asked with, as text; what it may hold is up to the model."""


class Jimeng(Provider):
    name = "jimeng"
    base_url = "https://visual.volcengineapi.com"
    sends_webhooks = False
    key_pair = True
    settings_class = JimengSettings
    settings: JimengSettings
    # A task may also be `not_found`, which is no status: it may be too early to tell.
    statuses = {
        "in_queue": Status.QUEUED,
        "generating": Status.RUNNING,
        "done": Status.SUCCEEDED,
        "expired": Status.FAILED,
    }
    noun = "task"
    kinds = dict.fromkeys(_KINDS, _SCHEDULE)
    # The limits of rate and concurrency are not documented; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    # A video's; images last a day.
    results_last = timedelta(hours=1)
    create_calls = dict.fromkeys(_KINDS, CreateCall(path=_SUBMIT, required=("req_key",)))

    def poll(self, job: Job) -> Request:
        kind = self.kind_or_default(job.kind)
        req_key = self._req_key(kind)
        if req_key is None:
            raise RequestFailed(f"the source's req_keys does not name the model of {kind}", retry=False, sent=False)
        more = {"req_json": self.settings.req_json} if self.settings.req_json is not None else {}
        return Request(method="POST", path=_RESULT, json={"req_key": req_key, "task_id": job.job_id, **more})

    def read(self, job: Job, response: Response) -> Reading:
        answer = readable(response.body)
        if not _failed(answer):
            answer = self.answered(response)
        task = _task(answer)
        expect_job(task.get("task_id"), job.job_id)
        raw_status = word(task.get("status"))
        status = self.fold(raw_status)
        if _failed(answer):
            status, raw_status = Status.FAILED, raw_status or str(_code(answer))
        elif (raw_status or "").lower() == "not_found":
            raise NotFound("there is no such task, or none younger than 12 hours")
        if status is None or not status.terminal:
            return Reading(status=status, raw_status=raw_status)
        with understood():
            event = self._event(job, answer, status, raw_status)
        incomplete = status is Status.SUCCEEDED and not event.outputs and not task.get("binary_data_base64")
        return Reading(status=status, raw_status=raw_status, events=(event,), incomplete=incomplete)

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        req_key = self._req_key(kind)
        if req_key is None or body.get("req_key", req_key) != req_key:
            raise InvalidBody(
                f"in a body for {self.name} {kind}, req_key must be what the source's req_keys says for {kind}, "
                "or left out: a task is asked about with that one"
            )
        return super().submit(kind, {"req_key": req_key, **body}, callback_url)

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        data = self.accepted(response).get("data")
        if not isinstance(data, dict):
            raise Unreadable("the answer has no data")
        return [Created(job_id=identifier(data.get("task_id"), field="task_id"), kind=kind)]

    def answered(self, response: Response) -> dict[str, Any]:
        """Any `code` but 10000 says that the request failed, behind whichever HTTP status."""
        envelope = readable(response.body)
        code = _code(envelope)
        told = f"HTTP {response.status_code}, code {code}{self.said(envelope)}"
        if code in _RATE:
            raise RateLimited(told, retry_after=asked_to_wait(response.headers))
        if code in _MODERATION or code in _PASSING:
            raise RequestFailed(told, retry=code in _PASSING)
        answer = super().answered(response)
        if code != _FINE:
            raise RequestFailed(told, retry=False)
        return answer

    def accepted(self, response: Response) -> dict[str, Any]:
        if 200 <= response.status_code < 300 and _code(json_object(response.body)) in (None, *_SERVER):
            raise Unreadable(f"the answer does not say whether there is a task{self.said(readable(response.body))}")
        return super().accepted(response)

    def sign_request(self, *, method: str, url: str, body: bytes, now: datetime) -> dict[str, str]:
        """Volcengine's signature, of these headers and of all else.

        https://github.com/QuantumNous/new-api/blob/main/relay/channel/task/jimeng/adaptor.go
        """
        if not self.api_key:
            return {}
        access_key, secret_key = self.access_keys
        address = urlsplit(url)
        date = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        headers = {
            "content-type": "application/json",
            "host": address.netloc.rpartition("@")[2],
            "x-content-sha256": digest,
            "x-date": date,
        }
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = "\n".join([method, address.path or "/", _sorted(address.query), lines, names, digest])
        scope = f"{date[:8]}/{_REGION}/{_SERVICE}/request"
        to_sign = "\n".join([_ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = secret_key.encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        signature = _hmac(key, to_sign).hex()
        proof = f"Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {
            "Content-Type": headers["content-type"],
            "X-Date": date,
            "X-Content-Sha256": digest,
            "Authorization": f"{_ALGORITHM} {proof}",
        }

    def _req_key(self, kind: str) -> str | None:
        told = {str(name): req_key for name, req_key in self.settings.req_keys.items()}
        return {**_REQ_KEYS, **told}.get(kind)

    def _event(self, job: Job, answer: Mapping[str, Any], status: Status, raw_status: str | None) -> Event:
        # No answer names its task, nor when it ended.
        job_id = identifier(job.job_id, field="task_id")
        return Event(
            source=job.source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(job.kind, status),
            data=answer,
            job_id=job_id,
            kind=self.kind_or_default(job.kind),
            status=status,
            raw_status=raw_status,
            outputs=_outputs(_task(answer)) if status is Status.SUCCEEDED else (),
            failure=_failure(answer, raw_status) if status is Status.FAILED else None,
        )


def _code(envelope: Mapping[str, Any]) -> int | None:
    return whole(envelope.get("code"))


def _task(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer says of the task; nothing where a failure left no data."""
    data = envelope.get("data")
    if isinstance(data, dict) and data.get("status") is not None:
        return data
    if _failed(envelope):
        return {}
    raise RequestFailed("the answer cannot be understood: it has no status")


def _failed(envelope: Mapping[str, Any]) -> bool:
    """Whether it is the task that failed: `done` is only over, and `code` tells how it ended."""
    code, status = _code(envelope), word(as_object(envelope.get("data")).get("status"))
    over = (status or "").lower() == "done"
    return code in _MODERATION or (over and code not in (None, _FINE, *_RATE))


def _outputs(task: Mapping[str, Any]) -> tuple[Output, ...]:
    """The video, then the images. What comes as base64 has no address; it stays in the event's data."""
    values = [task.get("video_url"), *as_list(task.get("image_urls"))]
    return tuple(Output(url) for value in values if (url := link(value)))


def _failure(envelope: Mapping[str, Any], raw_status: str | None) -> Failure:
    """With a code of its own, or as a status of a request that went well."""
    if _failed(envelope):
        return Failure(sentence(envelope.get("message")) or "no reason given", code=str(_code(envelope)))
    return Failure("the task expired; create it again", code=raw_status)


def _sorted(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
