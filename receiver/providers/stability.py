"""Stability AI: videos from images, polled for; the HTTP code is the status, and the last answer is the file itself.

https://platform.stability.ai/docs/api-reference
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from receiver.errors import CredentialsRefused, RequestFailed
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
)
from receiver.providers.base import Provider, event_key, expect_job, understood
from receiver.providers.forms import form
from receiver.providers.values import as_list, identifier, readable, segment, sentence, word

_SCHEDULE = Schedule(
    first=timedelta(seconds=10),
    # A job may be asked about once in 10 s, and intervals are varied by a fifth.
    every={timedelta(0): timedelta(seconds=13), timedelta(minutes=10): timedelta(minutes=1)},
    closest=timedelta(seconds=10),
    deadline=timedelta(hours=24),
)

_FILE = re.compile(r"(?:video|image|audio|model)/[a-z0-9.+-]+|application/octet-stream")
# The file in base64, for those who ask for JSON: too large to keep twice.
_FILES = ("video", "image", "audio", "result")


class Stability(Provider):
    name = "stability"
    base_url = "https://api.stability.ai"
    sends_webhooks = False
    statuses = {"in-progress": Status.RUNNING}
    noun = "generation"
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
        return replace(request, json=None, form=form(body, files=["image"]))

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        return [Created(job_id=identifier(self.accepted(response).get("id"), field="id"), kind=kind)]

    def answered(self, response: Response) -> dict[str, Any]:
        """A 403 may be about the image, not about the key."""
        try:
            return super().answered(response)
        except CredentialsRefused as error:
            if readable(response.body).get("name") == "content_moderation":
                raise RequestFailed(str(error), retry=False) from error
            raise

    def reason(self, data: Mapping[str, Any]) -> str | None:
        texts = filter(None, map(sentence, as_list(data.get("errors"))))
        return "; ".join(texts) or super().reason(data) or word(data.get("name"))

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
            type=self.event_type(job.kind, Status.SUCCEEDED),
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
