"""Replicate: predictions of any model, which call back as they start, put something out, write logs, and end.

https://replicate.com/docs/topics/webhooks
https://replicate.com/docs/reference/http
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from receiver.errors import RateLimited, RequestFailed, Unreadable
from receiver.models import (
    Budget,
    CreateCall,
    Created,
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
    address,
    as_object,
    identifier,
    identifier_or_none,
    json_object,
    link,
    moment,
    segment,
    sentence,
    signed_id,
    word,
)
from receiver.signatures import SCHEMES

_SCHEDULE = Schedule(
    first=timedelta(seconds=5),
    every={timedelta(0): timedelta(seconds=10)},
    deadline=timedelta(minutes=30),
)

_PREDICTIONS = "/v1/predictions"
_CALLBACK = "webhook"
# Otherwise it calls with each output and each stretch of the logs as well, up to twice a second.
_CALL_ONLY = {"webhook_events_filter": ["start", "completed"]}
_MOST_OUTPUTS = 1000
_WAIT = re.compile(r"available in ([0-9]{1,4}) seconds?", re.ASCII)


class Replicate(Provider):
    name = "replicate"
    base_url = "https://api.replicate.com"
    scheme = SCHEMES["replicate"]
    statuses = {
        "starting": Status.QUEUED,
        "processing": Status.RUNNING,
        "succeeded": Status.SUCCEEDED,
        "failed": Status.FAILED,
        "canceled": Status.CANCELLED,
        "aborted": Status.CANCELLED,
    }
    noun = "prediction"
    kinds = {"prediction": _SCHEDULE}
    # It allows 600 create calls and 3,000 other calls a minute; a source has one budget for both.
    budget = Budget(600, per=timedelta(minutes=1))
    lists_jobs = True
    results_last = timedelta(hours=1)
    # A model may do without any input, but not without a version.
    create_calls = {"prediction": CreateCall(path=_PREDICTIONS, required=("version",), callback=_CALLBACK)}

    def parse(self, delivery: Delivery) -> list[Event]:
        event = self._event(delivery.source, json_object(delivery.body))
        if event.status is not None and event.status.terminal:
            return [event]
        # The same status is told many times, each time with something new.
        return [replace(event, key=f"{event.key}:{signed_id(delivery, 'webhook-id')}")]

    def poll(self, job: Job) -> Request:
        return Request(path=f"{_PREDICTIONS}/{segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        data = self.answered(response)
        expect_job(data.get("id"), job.job_id)
        with understood():
            event = self._event(job.source, {"id": job.job_id, **data})
        ended = event.status is not None and event.status.terminal
        return Reading(status=event.status, raw_status=event.raw_status, events=(event,) if ended else ())

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        request = super().submit(kind, body, callback_url)
        # An address of the caller's own is called as the caller says.
        ours = callback_url and request.json[_CALLBACK] == callback_url
        return replace(request, json={**_CALL_ONLY, **request.json}) if ours else request

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        return [Created(job_id=identifier(self.accepted(response).get("id"), field="id"), kind=kind)]

    def listing(self, cursor: str | None = None) -> Request:
        return Request(path=f"{_PREDICTIONS}?cursor={quote(cursor, safe='')}" if cursor else _PREDICTIONS)

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        page = self.answered(response)
        rows = page.get("results")
        if not isinstance(rows, list):
            raise RequestFailed("the answer cannot be understood: it has no list of predictions")
        jobs = (
            Listed(job_id=job_id, kind="prediction", created_at=moment(row.get("created_at")))
            for row in rows
            if (job_id := identifier_or_none(as_object(row).get("id")))
        )
        return Listing(jobs=tuple(jobs), cursor=_cursor(page.get("next")))

    def check(self) -> Sequence[Request]:
        return [Request(path="/v1/account")]

    def answered(self, response: Response) -> dict[str, Any]:
        """How long to wait stands in the reason, where no header says it."""
        try:
            return super().answered(response)
        except RateLimited as error:
            if error.retry_after is None and (wait := _WAIT.search(str(error))):
                error.retry_after = timedelta(seconds=int(wait[1]))
            raise

    def reason(self, data: Mapping[str, Any]) -> str | None:
        return sentence(data.get("detail")) or sentence(data.get("title")) or super().reason(data)

    def _event(self, source: str, data: Mapping[str, Any]) -> Event:
        raw_status = word(data.get("status"))
        if raw_status is None:
            raise Unreadable("it has no status")
        job_id = identifier(data.get("id"), field="id")
        status = self.fold(raw_status)
        return Event(
            source=source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type("prediction", status),
            data=data,
            job_id=job_id,
            kind="prediction",
            status=status,
            raw_status=raw_status,
            outputs=_outputs(data.get("output")) if status is Status.SUCCEEDED else (),
            failure=Failure(sentence(data.get("error")) or "no reason given") if status is Status.FAILED else None,
            occurred_at=moment(data.get("completed_at")),
        )


def _outputs(output: object) -> tuple[Output, ...]:
    """Every address in the output, once: each model has a form of its own, and some put out text."""
    found = dict.fromkeys(filter(None, map(address, _texts(output))))
    return tuple(Output(url) for url in islice(found, _MOST_OUTPUTS))


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, at any depth; what could be read is not too deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _cursor(url: object) -> str | None:
    """The cursor in the address of the next page. The address itself, which is not ours, is never called."""
    try:
        query = urlsplit(link(url) or "").query
    except ValueError:
        return None
    return next(iter(parse_qs(query).get("cursor", [])), None)
