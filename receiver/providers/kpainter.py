"""KPainter's OpenAPI: videos, slides, images and lessons, polled for; success is told first, its result elsewhere.

https://kpainter.ai/docs/openapi
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from receiver.errors import NotFound, RequestFailed, Unreadable
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
from receiver.providers.base import Provider, event_key, expect_job, understood
from receiver.providers.values import (
    as_list,
    as_object,
    identifier,
    identifier_or_none,
    link,
    moment,
    number,
    segment,
    sentence,
    unix_moment,
    word,
)

_SCHEDULE = Schedule(
    first=timedelta(seconds=3),
    every={
        timedelta(0): timedelta(seconds=3),
        timedelta(seconds=30): timedelta(seconds=6),
        timedelta(minutes=2): timedelta(seconds=15),
    },
    deadline=timedelta(minutes=60),
)
_PAUSE = timedelta(minutes=5)

# Two contracts share one base URL, and only their ids tell them apart. In the older one a numbered job makes a
# numbered creation; in the newer one a creation is its own job, and its id begins like this.
_NEWER = "cr_"

_TYPES = ("explainer_video", "slides_video", "vector_animation", "slide_deck", "image", "interactive_lesson")
_NEWER_TYPES = ("video", "app")
_ANY_TYPE = "creation"
_ALIASES = {"knowledge_video": "explainer_video", "web_app": "interactive_lesson"}

_RESULTS = {"main_url", "artifacts", "scenes"}
# What the newer contract's outputs look like is not published; the older one has artifacts and scenes.
_LISTS = ("outputs", "items", "artifacts", "data", "results", "scenes")
_PAGES = ("items", "creations", "results", "data")
_PAGE_SIZE = 100
_LINKS = ("url", "download_url", "file_url", "main_url")


class KPainter(Provider):
    name = "kpainter"
    base_url = "https://api.kpainter.ai/openapi/v1"
    sends_webhooks = False
    statuses = {
        "queued": Status.QUEUED,
        "pending": Status.QUEUED,
        "planning": Status.RUNNING,
        "processing": Status.RUNNING,
        "running": Status.RUNNING,
        "paused": Status.RUNNING,
        "succeeded": Status.SUCCEEDED,
        "ready": Status.SUCCEEDED,
        "failed": Status.FAILED,
        "invalid": Status.FAILED,
        "cancelled": Status.CANCELLED,
    }
    noun = "creation"
    kinds = dict.fromkeys((*_TYPES, *_NEWER_TYPES, _ANY_TYPE), _SCHEDULE)
    # No limit is documented; this one is ours.
    budget = Budget(60, per=timedelta(minutes=1))
    lists_jobs = True
    create_calls = {
        **{kind: CreateCall(path="/creations", required=("prompt",)) for kind in (*_TYPES, *_NEWER_TYPES)},
        **{alias: CreateCall(path="/creations", required=("prompt",), kind=kind) for alias, kind in _ALIASES.items()},
        _ANY_TYPE: CreateCall(path="/creations", required=("type", "prompt")),
    }

    def poll(self, job: Job) -> Request:
        creation = self._finished_creation(job)
        if job.job_id.startswith(_NEWER):
            return Request(path=f"/creations/{segment(job.job_id)}{'/outputs' if creation else ''}")
        if creation:
            return Request(path=f"/creations/{segment(creation)}")
        return Request(path=f"/creations/jobs/{segment(job.job_id)}")

    def read(self, job: Job, response: Response) -> Reading:
        try:
            data = self.answered(response)
        except NotFound as error:
            if not self._finished_creation(job):
                raise
            # It was told to be over: its result may be late, but the job is not lost.
            raise RequestFailed(str(error)) from error
        with understood():
            job_id = job.job_id or _newer_id(data)
            if job_id and job_id.startswith(_NEWER):
                return self._read_creation(job, identifier(job_id, field="id"), data)
            return self._read_job(job, data)

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        named = {} if kind == _ANY_TYPE else {"type": kind}
        return super().submit(kind, {**named, **body}, callback_url)

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        data = self.accepted(response)
        tracked = self.tracked_as(kind)
        if newer := _newer_id(data):
            return [Created(job_id=identifier(newer, field="id"), kind=tracked)]
        job_id = _id(_inner_job_id(data), field="job.job_id")
        return [Created(job_id=job_id, kind=tracked, reference=_id_or_none(data.get("creation_id")))]

    def catalog(self) -> Sequence[Request]:
        return [Request(path="/catalog"), Request(path="/capabilities")]

    def read_catalog(self, response: Response) -> list[Offer]:
        rows = _catalog_rows(self.answered(response))
        # `submit` takes an offered type as its kind where it has that kind; the others go as `creation`.
        return [Offer(name=name, kind=name if name in self.create_calls else None, data=data) for name, data in rows]

    def listing(self, cursor: str | None = None) -> Request:
        return Request(path=f"/creations?page={cursor or 1}&page_size={_PAGE_SIZE}")

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        data = self.answered(response)
        # What the list looks like is not published.
        rows = next((rows for name in _PAGES if isinstance(rows := data.get(name), list)), None)
        if rows is None:
            raise RequestFailed("the answer cannot be understood: it has no list of creations")
        jobs = (self._listed(row) for row in rows if isinstance(row, dict))
        return Listing(jobs=tuple(job for job in jobs if job is not None), cursor=_next_page(data, rows, cursor))

    def reason(self, data: Mapping[str, Any]) -> str | None:
        return _reason(data) or super().reason(data)

    def check(self) -> Sequence[Request]:
        # Only the older contract documents the first; both have the second.
        return [Request(path="/me"), Request(path="/creations?page=1&page_size=1")]

    def authorize(self) -> dict[str, str]:
        # The older contract documents the first header, the newer one only the second.
        return {"X-KGP-Api-Key": self.api_key, **super().authorize()} if self.api_key else {}

    def kind_or_default(self, kind: str | None) -> str:
        return super().kind_or_default(_ALIASES.get(kind, kind) if kind else kind)

    def fold(self, word: str | None) -> Status | None:
        # The words for an end are published, those for being at work are not.
        return super().fold(word) or (Status.RUNNING if word else None)

    def _listed(self, row: Mapping[str, Any]) -> Listed | None:
        """A creation in the list. An older one is known by its job: where the list names none, it cannot be polled."""
        newer = _newer_id(row)
        inner = _inner_job_id(row)
        job_id = _id_or_none(newer or (row.get("job_id") if inner is None else inner))
        if job_id is None:
            return None
        created = _field(row, "created_at")
        return Listed(
            job_id=job_id,
            kind=self.kind_or_default(word(row.get("type")) or _ANY_TYPE),
            created_at=moment(created) or unix_moment(created),
            reference=None if newer else _id_or_none(row.get("creation_id")),
        )

    def _finished_creation(self, job: Job) -> str | None:
        """The creation whose result is the only thing left to ask for; None while the job is not known to be over.

        A newer creation gets its reference when its outputs can be fetched: `ready` alone does not promise that.
        """
        return job.reference if self.fold(job.raw_status) is Status.SUCCEEDED else None

    def _read_job(self, job: Job, data: Mapping[str, Any]) -> Reading:
        """What the older contract says of a job, or of the creation that it made."""
        expect_job(_newer_id(data), job.job_id)
        if self._finished_creation(job) or self._is_finished_creation(data):
            expect_job(data.get("creation_id"), job.reference)
            return self._result(job, _id(job.job_id or _inner_job_id(data), field="job.job_id"), data)
        job_id = _id(job.job_id or data.get("job_id"), field="job_id")
        expect_job(data.get("job_id"), job_id)
        reference = _id_or_none(data.get("creation_id")) or job.reference
        reading = replace(self._reading(job, job_id, data), reference=reference)
        if reading.status is not Status.SUCCEEDED:
            return reading
        # Without a creation there is no result to ask for; a later answer may name it.
        return _follow_up(reading) if reference else replace(reading, incomplete=True)

    def _is_finished_creation(self, data: Mapping[str, Any]) -> bool:
        """Whether this is a creation with its result, not a job, by its looks."""
        status = self.fold(word(data.get("status")))
        return "job_id" not in data and bool(_RESULTS & data.keys()) and status in (None, Status.SUCCEEDED)

    def _read_creation(self, job: Job, job_id: str, data: Mapping[str, Any]) -> Reading:
        """What the newer contract says of a creation, or its outputs."""
        if self._finished_creation(job) or ("status" not in data and _outputs(data)):
            expect_job(_field(data, "creation_id"), job_id)
            return self._result(job, job_id, data)
        expect_job(data.get("id"), job_id)
        reading = self._reading(job, job_id, data)
        if reading.status is Status.SUCCEEDED:
            usable = _field(data, "has_usable_delivery") is True
            return _follow_up(replace(reading, reference=job_id)) if usable else replace(reading, incomplete=True)
        if reading.raw_status and reading.raw_status.lower() == "paused":
            return replace(reading, pause=_PAUSE, step=_waiting_for(data))
        return reading

    def _reading(self, job: Job, job_id: str, data: Mapping[str, Any]) -> Reading:
        raw_status = word(data.get("status"))
        status = self.fold(raw_status)
        if status is None:
            raise Unreadable("it has no status")
        return Reading(
            status=status,
            raw_status=raw_status,
            progress=number(_field(data, "progress_pct")),
            step=word(data.get("current_step")),
            events=(self._event(job, job_id, data, status, raw_status),) if status.terminal else (),
        )

    def _result(self, job: Job, job_id: str, data: Mapping[str, Any]) -> Reading:
        raw_status = job.raw_status if self._finished_creation(job) else word(data.get("status"))
        event = self._event(job, job_id, data, Status.SUCCEEDED, raw_status)
        event = replace(event, outputs=_outputs(data))
        return Reading(status=Status.SUCCEEDED, raw_status=raw_status, events=(event,), incomplete=not event.outputs)

    def _event(self, job: Job, job_id: str, data: Mapping[str, Any], status: Status, raw_status: str | None) -> Event:
        return Event(
            source=job.source,
            key=event_key(job_id, status, raw_status),
            type=self.event_type(job.kind, status),
            data=data,
            job_id=job_id,
            kind=self.kind_or_default(job.kind),
            status=status,
            raw_status=raw_status,
            failure=_failure(data) if status is Status.FAILED else None,
        )


def _follow_up(reading: Reading) -> Reading:
    """A success whose result is elsewhere."""
    return replace(reading, status=Status.RUNNING, events=(), follow_up=True)


def _waiting_for(data: Mapping[str, Any]) -> str:
    """What a paused creation waits for somebody to do: `paused: resume_after_recharge`."""
    actions = [action for value in as_list(_field(data, "available_actions")) if (action := word(value))]
    return f"paused: {', '.join(actions)}" if actions else "paused"


def _outputs(data: Mapping[str, Any]) -> tuple[Output, ...]:
    """The main result first, then the others, each once."""
    rows = [row for name in _LISTS for row in as_list(data.get(name)) if isinstance(row, dict)]
    urls = [_field(data, "main_url"), *(_first_link(row) for row in rows)]
    return tuple(Output(url) for url in dict.fromkeys(filter(None, map(link, urls))))


def _first_link(row: Mapping[str, Any]) -> str | None:
    return next((url for name in _LINKS if (url := link(_field(row, name)))), None)


def _failure(data: Mapping[str, Any]) -> Failure:
    code = as_object(data.get("error")).get("code")
    return Failure(_reason(data) or "no reason given", code=word(code) or word(_field(data, "result_code")))


def _reason(data: Mapping[str, Any]) -> str | None:
    """Why a job or a request failed: each of these is a text, or an object with a message."""
    values = [data.get(name) for name in ("error", "detail", "message")]
    texts = (sentence(value.get("message") if isinstance(value, dict) else value) for value in values)
    return next((text for text in texts if text), None)


def _newer_id(data: Mapping[str, Any]) -> str | None:
    """The id of a creation of the newer contract; None where the answer names none."""
    ids = (data.get("id"), _field(data, "creation_id"))
    return next((value for value in ids if isinstance(value, str) and value.startswith(_NEWER)), None)


def _inner_job_id(data: Mapping[str, Any]) -> object:
    """The id of the job that stands inside a creation of the older contract."""
    return as_object(data.get("job")).get("job_id")


def _id(value: object, *, field: str) -> str:
    """An id as text; the older contract's are numbers."""
    return identifier(value, field=field, numbered=True)


def _id_or_none(value: object) -> str | None:
    return identifier_or_none(value, numbered=True)


def _next_page(data: Mapping[str, Any], rows: Sequence[object], cursor: str | None) -> str | None:
    """The number of the next page, if this one is full."""
    size = number(_field(data, "page_size"))
    full = len(rows) >= (size if size is not None and size > 0 else _PAGE_SIZE)
    return str(int(cursor or 1) + 1) if full else None


def _catalog_rows(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each type by name: from a list of names or of objects, or from an object that has an entry for each."""
    types = _catalog_types(data)
    for row in types:
        details = types[row] if isinstance(types, dict) else row
        data = details if isinstance(details, dict) else {}
        names = [row] if isinstance(row, str) else [data.get(name) for name in ("type", "name", "id")]
        if name := next(filter(None, map(word, names)), None):
            yield name, data


def _catalog_types(data: Mapping[str, Any]) -> list[Any] | dict[str, Any]:
    """`content_types` in the older contract; the newer one's name for it is not published."""
    named = [data.get(name) for name in ("content_types", "capabilities", "types")]
    lists = [value for value in data.values() if isinstance(value, list)]
    found = [value for value in named if isinstance(value, list | dict)] or (lists if len(lists) == 1 else [])
    if not found:
        raise Unreadable("the answer has no list of content types")
    return found[0]


def _field(data: Mapping[str, Any], name: str) -> Any:
    """A field that the newer contract documents as `progress_pct`, and sends as `progressPct` too."""
    first, *rest = name.split("_")
    value = data.get(name)
    return value if value is not None else data.get(first + "".join(map(str.capitalize, rest)))
