"""fal: a queue in front of many models, webhooks signed with keys that fal publishes.

https://docs.fal.ai/model-endpoints/webhooks
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote, unquote

from pydantic import Field

from receiver.errors import ConfigError, InvalidBody, NotFound, Reason, Refused, RequestFailed
from receiver.models import (
    Budget,
    CreateCall,
    Created,
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
    Trust,
)
from receiver.providers.base import Provider, ProviderSettings, answered_object, event_key, expect_job, understood
from receiver.providers.values import (
    as_list,
    as_object,
    identifier,
    json_object,
    link,
    number,
    reason_in,
    segment,
    sentence,
    word,
)
from receiver.signatures import SCHEMES

_KEYS_URL = "https://rest.fal.ai/.well-known/jwks.json"
_MOST_KEYS = 16

_KIND = "request"
_CALLBACK = "fal_webhook"
_USER = "X-Fal-Webhook-User-Id"
_REQUEST = re.compile(r"/requests/([^/?#]+)", re.ASCII)
# What may stand before the owner. Documented nowhere; other clients of the queue tell them apart.
_NAMESPACES = ("workflows", "comfy")

_PART = "[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_Model = Annotated[str, Field(pattern=f"^{_PART}(/{_PART})+$")]


class FalSettings(ProviderSettings):
    """What is fal's own in a source's table."""

    model: _Model | None = None
    """The model that this source's requests are for, such as `fal-ai/flux/dev`.

    A poll needs it, and no webhook names it: each model has a source of its own. Unset, webhooks are all there is.
    """
    keys_url: Annotated[str, Field(pattern="^https?://")] = _KEYS_URL
    """Where fal publishes the keys of its signatures. Its older pages name `rest.alpha.fal.ai`."""


class Fal(Provider):
    name = "fal"
    base_url = "https://queue.fal.run"
    polls_by = "model"
    scheme = SCHEMES["fal"]
    keys_url = _KEYS_URL
    settings_class = FalSettings
    settings: FalSettings
    statuses = {
        "in_queue": Status.QUEUED,
        "in_progress": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "ok": Status.SUCCEEDED,
        "error": Status.FAILED,
    }
    noun = _KIND
    kinds = {
        _KIND: Schedule(
            first=timedelta(seconds=5), every={timedelta(0): timedelta(seconds=10)}, deadline=timedelta(minutes=30)
        )
    }
    # No limit is documented; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    # The path is the model's name, and the callback URL goes into the query.
    create_calls = {_KIND: CreateCall(path="/", callback=_CALLBACK)}

    def set_up(self) -> None:
        self.keys_url = self.settings.keys_url

    def read_keys(self, response: Response) -> tuple[str, ...]:
        rows = as_list(answered_object(response).get("keys"))
        keys = [key for row in rows if (key := _public_key(row))]
        if not keys:
            raise RequestFailed(f"there is no Ed25519 key at {self.keys_url}")
        return tuple(keys[:_MOST_KEYS])

    def sign(self, delivery: Delivery, secret: str) -> dict[str, str]:
        [event] = self.parse(delivery)
        user = delivery.headers.get(_USER.lower(), "usr_receiver")
        signed = SCHEMES["fal"].sign(
            delivery.body, secret, delivery.received_at, id=str(event.job_id), headers={_USER.lower(): user}
        )
        return {_USER: user, **signed}

    def parse(self, delivery: Delivery) -> list[Event]:
        data = json_object(delivery.body)
        raw_status = word(data.get("status"))
        event = self._event(delivery.source, data, self.fold(raw_status), raw_status)
        # A result that is no JSON is left out. Where nobody can be asked for it, this is all there is.
        lacking = event.status is Status.SUCCEEDED and data.get("payload") is None
        return [replace(event, incomplete=lacking and self.settings.model is not None)]

    def poll(self, job: Job) -> Request:
        app = job.reference or self._app()
        if app is None:
            raise RequestFailed("a request can only be asked about by its model: set `model`", retry=False, sent=False)
        path = f"/{app}/requests/{segment(job.job_id)}"
        return Request(path=path if self._completed(job) else f"{path}/status")

    def read(self, job: Job, response: Response) -> Reading:
        if self._completed(job):
            with understood():
                return self._read_result(job, response)
        data = self.answered(response)
        told = _request_id(data)
        expect_job(told, job.job_id)
        raw_status = word(data.get("status"))
        if raw_status is None:
            raise RequestFailed("the answer cannot be understood: it has no status")
        status = self.fold(raw_status)
        if status is Status.SUCCEEDED and (data.get("error") or data.get("error_type")):
            status = Status.FAILED
        if status is Status.SUCCEEDED:
            return Reading(status=Status.RUNNING, raw_status=raw_status, follow_up=True)
        if status is Status.FAILED:
            with understood():
                return self._ended(job, {**data, "request_id": job.job_id or told}, status, raw_status)
        position = number(data.get("queue_position"))
        step = None if position is None else f"position {position:.0f} in the queue"
        return Reading(status=status, raw_status=raw_status, step=step)

    def reason(self, data: Mapping[str, Any]) -> str | None:
        return _complaint(data) or super().reason(data)

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        if self.settings.model is None:
            raise ConfigError("a source of fal creates requests for one model: set `model`, such as fal-ai/flux/dev")
        callback = body.get(_CALLBACK) or callback_url
        if not isinstance(callback, str | None):
            raise InvalidBody(f"{_CALLBACK} is not a URL")
        query = f"?{_CALLBACK}={quote(callback, safe='')}" if callback else ""
        fields = {name: value for name, value in body.items() if name != _CALLBACK}
        return Request(method="POST", path=f"/{self.settings.model}{query}", json=fields)

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        request_id = identifier(self.accepted(response).get("request_id"), field="request_id")
        # Kept with the job, which outlives a change of the setting.
        return [Created(job_id=request_id, kind=_KIND, reference=self._app())]

    def authorize(self) -> dict[str, str]:
        return {"Authorization": f"Key {self.api_key}"} if self.api_key else {}

    def _without_keys(self) -> Trust:
        # A hint that cannot be followed up would be lost. What is refused, fal sends again for two hours.
        if self.settings.model is None:
            raise Refused(Reason.NO_KEYS, f"the keys at {self.keys_url} are not known, nor is the model to ask about")
        return super()._without_keys()

    def spelling(self, status: Status) -> str | None:
        told = super().spelling(status)
        return told and told.upper()

    def _app(self) -> str | None:
        """The part of the model's name that its requests are asked about by: owner and app."""
        parts = (self.settings.model or "").split("/")
        return "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2]) or None

    def _completed(self, job: Job) -> bool:
        """Whether the result is the only thing left to ask for."""
        return self.fold(job.raw_status) is Status.SUCCEEDED

    def _read_result(self, job: Job, response: Response) -> Reading:
        """The model's own answer, in the place where a webhook has it."""
        told: dict[str, Any] = {"request_id": job.job_id, "status": job.raw_status}
        if response.status_code == 202:
            raise RequestFailed("HTTP 202: the result is not there yet")
        if response.status_code == 422:
            return self._ended(job, {**told, "payload": json_object(response.body)}, Status.FAILED, job.raw_status)
        if response.status_code == 200 and _is_file(response):
            # Its own address needs the key.
            file = Output(self.base_url + self.poll(job).path, authorized=True)
            return self._ended(job, {**told, "payload": None}, Status.SUCCEEDED, job.raw_status, (file,))
        try:
            payload = self.answered(response)
        except NotFound:
            # It was told to be complete; results are not kept for long.
            reading = self._ended(job, {**told, "payload": None}, Status.SUCCEEDED, job.raw_status)
            return replace(reading, incomplete=True)
        return self._ended(job, {**told, "payload": payload}, Status.SUCCEEDED, job.raw_status)

    def _ended(
        self,
        job: Job,
        data: Mapping[str, Any],
        status: Status,
        raw_status: str | None,
        files: tuple[Output, ...] = (),
    ) -> Reading:
        event = self._event(job.source, data, status, raw_status)
        return Reading(status=status, raw_status=raw_status, events=(replace(event, outputs=files or event.outputs),))

    def _event(self, source: str, data: Mapping[str, Any], status: Status | None, raw_status: str | None) -> Event:
        """A fact about the request itself: `gateway_request_id` is another one for each time that fal tried."""
        request_id = identifier(data.get("request_id"), field="request_id")
        urls = dict.fromkeys(_urls(data.get("payload"))) if status is Status.SUCCEEDED else {}
        return Event(
            source=source,
            key=event_key(request_id, status, raw_status),
            type=self.event_type(_KIND, status),
            data=data,
            job_id=request_id,
            kind=_KIND,
            status=status,
            raw_status=raw_status,
            outputs=tuple(Output(url) for url in urls),
            failure=_failure(data) if status is Status.FAILED else None,
        )


def _public_key(row: object) -> str | None:
    """The key in a row of a JWKS, if it is one for these signatures."""
    if not isinstance(row, dict) or (row.get("kty"), row.get("crv")) != ("OKP", "Ed25519"):
        return None
    key = row.get("x")
    return key if isinstance(key, str) and SCHEMES["fal"].fault(key) is None else None


def _request_id(data: Mapping[str, Any]) -> str | None:
    """The request that a status is about: named in it, or only in its links, which are never called."""
    if data.get("request_id") is not None:
        return str(data["request_id"])
    links = (data.get("response_url"), data.get("status_url"))
    found = (_REQUEST.search(url) for url in links if isinstance(url, str))
    return next((unquote(named[1]) for named in found if named), None)


def _is_file(response: Response) -> bool:
    """Whether a result is what the model made, not JSON about it, nor some proxy's page."""
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return "/" in media and not media.startswith("text/") and not media.endswith("json")


def _urls(value: object) -> Iterator[str]:
    """The files in a result, wherever the model puts them: each is an object with a `url`."""
    if isinstance(value, dict):
        url = link(value.get("url"))
        if url and url.startswith(("https://", "http://")):
            yield url
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _urls(part)


def _failure(data: Mapping[str, Any]) -> Failure:
    """What the model complains of; else the queue's `error`, which may be no more than "Invalid status code: 422"."""
    payload, error = data.get("payload"), data.get("error")
    message = _complaint(payload) or reason_in({"error": error})
    codes = [word(data.get("error_type")), *(word(row.get("type")) for row in _rows(payload) if isinstance(row, dict))]
    return Failure(message or "no reason given", code=next(filter(None, codes), None))


def _complaint(data: object) -> str | None:
    """The reason in `detail`, a text or with a row for each field: `body.prompt: field required`."""
    return sentence("; ".join(filter(None, map(_line, _rows(data)))))


def _line(row: object) -> str:
    if not isinstance(row, dict):
        return row if isinstance(row, str) else ""
    message, where = sentence(row.get("msg")), row.get("loc")
    path = ".".join(str(part) for part in where) if isinstance(where, list) else ""
    return f"{path}: {message}" if path and message else message or ""


def _rows(data: object) -> list[Any]:
    detail = as_object(data).get("detail")
    return detail if isinstance(detail, list) else [detail]
