"""Stability AI: videos from images, polled for; the HTTP code is the status, and the last answer is the file itself.

https://platform.stability.ai/docs/api-reference
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from receiver.errors import CredentialsRefused, InvalidBody, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
    Event,
    Job,
    Output,
    Reading,
    Request,
    Response,
    Schedule,
    Status,
    Upload,
)
from receiver.providers.base import (
    Provider,
    event_key,
    expect_job,
    identifier,
    json_object,
    said,
    segment,
    sentence,
    understood,
    word,
)

_SCHEDULE = Schedule(
    first=timedelta(seconds=10),
    # A job may be asked about once in 10 s, and intervals are varied by a fifth.
    every={timedelta(0): timedelta(seconds=13), timedelta(minutes=10): timedelta(minutes=1)},
    deadline=timedelta(hours=24),
)

_FILE = re.compile(r"(?:video|image|audio|model)/[a-z0-9.+-]+|application/octet-stream")
# The file in base64, for those who ask for JSON: too large to keep twice.
_FILES = ("video", "image", "audio", "result")
_DATA_URL = re.compile(r"data:([a-z]+/([a-z0-9.+-]+))(?:;[a-z0-9=._-]+)*;base64", re.ASCII | re.IGNORECASE)


class Stability(Provider):
    name = "stability"
    base_url = "https://api.stability.ai"
    sends_webhooks = False
    statuses = {"in-progress": Status.RUNNING}
    # Newer endpoints share one address for their results.
    kinds = {"generation": _SCHEDULE, "image-to-video": _SCHEDULE}
    # This one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    results_last = timedelta(hours=24)
    create_calls = {"image-to-video": CreateCall(path="/v2beta/image-to-video", required=("image",))}

    def poll(self, job: Job) -> Request:
        wanted = "video/*" if self.kind_or_default(job.kind) == "image-to-video" else "*/*"
        # The file may be large, and is fetched by whoever wants it: here its headers say all.
        return Request(path=self._result_path(job, job.job_id), headers={"Accept": wanted}, leave_file=True)

    def read(self, job: Job, response: Response) -> Reading:
        if _is_file(response):
            with understood():
                return self._finished(job, {**_told(response), "content_type": _content_type(response)})
        data = self.answered(response)
        if response.status_code == 202:
            expect_job(data.get("id"), job.job_id)
            return Reading(status=Status.RUNNING, raw_status=word(data.get("status")))
        if not any(isinstance(data.get(name), str) and data[name] for name in _FILES):
            raise RequestFailed(f"HTTP {response.status_code}: the answer cannot be understood: it holds no file")
        with understood():
            return self._finished(job, {name: value for name, value in data.items() if name not in _FILES})

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        request = super().submit(kind, body, callback_url)
        form = {name: _form_field(name, value) for name, value in body.items() if value is not None}
        return replace(request, json=None, form=form)

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        return [Created(job_id=identifier(self.accepted(response).get("id"), field="id"), kind=kind)]

    def answered(self, response: Response) -> dict[str, Any]:
        """Errors are a `name` and a list of texts, `errors`; a 403 may be about the image, not about the key."""
        try:
            return super().answered(response)
        except RequestFailed as error:
            name, told = _reasons(response)
            if told not in str(error):
                error.args = (f"{error}{told}",)
            if isinstance(error, CredentialsRefused) and name == "content_moderation":
                raise RequestFailed(str(error), retry=False) from error
            raise

    def check(self) -> Sequence[Request]:
        return [Request(path="/v1/user/balance")]

    def _result_path(self, job: Job, job_id: str) -> str:
        newer = self.kind_or_default(job.kind) == "generation"
        return f"/v2beta/{'results' if newer else 'image-to-video/result'}/{segment(job_id)}"

    def _finished(self, job: Job, data: Mapping[str, Any]) -> Reading:
        """The file is not in the event: whoever wants it fetches it from where it was found."""
        job_id = identifier(job.job_id, field="the job's id, which the answer does not tell,")
        # The code says that it succeeded. This may add that the result was blurred.
        raw_status = word(data.get("finish_reason"))
        event = Event(
            source=job.source,
            key=event_key(job_id, Status.SUCCEEDED, raw_status),
            type=f"generation.{Status.SUCCEEDED}",
            data={"id": job_id, **data},
            job_id=job_id,
            kind=self.kind_or_default(job.kind),
            status=Status.SUCCEEDED,
            raw_status=raw_status,
            outputs=(Output(f"{self.base_url}{self._result_path(job, job_id)}", authorized=True),),
        )
        return Reading(status=Status.SUCCEEDED, raw_status=raw_status, events=(event,))


def _content_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_file(response: Response) -> bool:
    """Whether this is the result, and not what some proxy says."""
    return response.status_code == 200 and _FILE.fullmatch(_content_type(response)) is not None


def _told(response: Response) -> dict[str, str]:
    """What the headers say about a file."""
    headers = {"finish_reason": "finish-reason", "seed": "seed"}
    return {name: value for name, header in headers.items() if (value := word(response.headers.get(header)))}


def _reasons(response: Response) -> tuple[str | None, str]:
    """The name of an error, and its reasons for the end of our own message."""
    try:
        data = json_object(response.body)
    except Unreadable:
        return None, ""
    errors = data.get("errors")
    texts = [text for value in (errors if isinstance(errors, list) else []) if (text := sentence(value))]
    name = word(data.get("name"))
    return name, said({"message": "; ".join(texts) or name})


def _form_field(name: str, value: object) -> str | Upload:
    """A field as a form takes it: text as it is, the image as a file, the rest as JSON writes it."""
    if name == "image":
        return _upload(name, value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _upload(name: str, url: object) -> Upload:
    head, _, encoded = str(url).partition(",")
    match = _DATA_URL.fullmatch(head)
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        data = b""
    if match is None or not data:
        raise InvalidBody(f"{name} is not a whole data: URL, such as data:image/png;base64,iVBORw0KGgo=")
    return Upload(name=f"{name}.{match[2].lower()}", content_type=match[1].lower(), data=data)
