"""What authors of handlers and adapters test with.

For handlers: events as they come in, and one attempt as the worker makes it. For adapters: the promises that Receiver
relies on, as tests to inherit; put `pytest.register_assert_rewrite("receiver.testing")` into `conftest.py`, so that a
failure shows its values.
"""

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from inspect import signature
from types import ModuleType
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from receiver import executor, plugins
from receiver.config import HandlerConfig
from receiver.errors import InvalidBody, NotConfigured, Reason, Refused, RequestFailed, Unreadable
from receiver.models import (
    Claim,
    Created,
    Delivery,
    Event,
    Failure,
    Job,
    Listed,
    Offer,
    Output,
    Reading,
    Request,
    Response,
    Status,
    Trust,
    Via,
)
from receiver.outbound import HandlerClient
from receiver.outcomes import Outcome
from receiver.providers.base import Provider, event_key

__all__ = ["ProviderContract", "make_event", "make_job", "run_handler"]

_API_KEY = "the-api-key-of-a-test"
_API_PAIR = f"the-access-key-of-a-test:{_API_KEY}"
_BASE_URL = "https://api.example.com/of/a/test"
_AT = datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)
_CALLBACK = "https://receiver.example.com/webhooks/source"

_BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\xff\xfe\xfd", id="not-utf-8"),
    pytest.param(b'\xef\xbb\xbf{"id": "a"}', id="byte-order-mark"),
    pytest.param('{"id": "a"}'.encode("utf-16"), id="utf-16"),
    pytest.param(b'{"id": "a", "stat', id="truncated"),
    pytest.param(b"[" * 100_000, id="deep-list"),
    pytest.param(b'{"id":' * 100_000, id="deep-object"),
    pytest.param(b'{"id": "a", "status": "completed", "x": ' + b"[" * 900 + b"]" * 900 + b"}", id="barely-readable"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"{}", id="empty-object"),
    pytest.param(b'{"id": NaN}', id="not-a-number"),
    pytest.param(b'{"id": "a", "status": "completed", "x": 1e999}', id="infinite"),
    pytest.param(b'{"id": ' + b"9" * 10_000 + b"}", id="digits"),
    pytest.param(b"<html></html>", id="html"),
]

_SIGNATURES = [
    pytest.param(lambda genuine: "", id="empty"),
    pytest.param(lambda genuine: genuine[: len(genuine) // 2], id="half"),
    pytest.param(lambda genuine: genuine[:-1], id="one-short"),
    pytest.param(lambda genuine: genuine + "0", id="one-long"),
    pytest.param(lambda genuine: genuine * 1000, id="very-long"),
    pytest.param(lambda genuine: genuine.upper(), id="upper-case"),
    pytest.param(lambda genuine: genuine[:-4] + "wxyz", id="not-hex"),
    pytest.param(lambda genuine: genuine[:-4] + "!*~?", id="not-base64"),
    pytest.param(lambda genuine: genuine[:-1] + "\xe9", id="latin-1"),
    pytest.param(lambda genuine: genuine.translate({48 + n: 0xFF10 + n for n in range(10)}), id="full-width-digits"),
    pytest.param(lambda genuine: genuine[:-1] + "\udcff", id="surrogate"),
    pytest.param(lambda genuine: genuine[:-1] + "\0", id="nul"),
    pytest.param(lambda genuine: genuine[:-8] + " " + genuine[-8:], id="space-inside"),
    pytest.param(lambda genuine: genuine + "\n", id="newline-at-the-end"),
    pytest.param(lambda genuine: f",{genuine}", id="comma-before"),
    pytest.param(lambda genuine: f"{genuine},,", id="commas-after"),
    pytest.param(lambda genuine: f"{genuine},{genuine}", id="joined"),
]

_PAGES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"<html><body>Bad gateway</body></html>", id="html"),
    pytest.param(b"[]", id="list"),
    pytest.param(b'{"error": null}', id="null-error"),
    pytest.param(b'{"error": {"code": [], "type": {}, "message": 1}}', id="odd-error"),
]

_ODD_IDS = [
    pytest.param("a/b", id="slash"),
    pytest.param("..", id="dots"),
    pytest.param("../../admin", id="dots-and-slashes"),
    pytest.param("a?b=c", id="query"),
    pytest.param("a&b=c", id="parameter"),
    pytest.param("a#b", id="fragment"),
    pytest.param("a%2fb", id="percent"),
    pytest.param("夜 明", id="not-ascii"),
]

_ODD_NUMBERS = [-1, 0, 0.5, 1e300, float("nan"), float("inf")]
_ODD_TEXTS = ["", "\0", "\ud800", "x" * 10_000, "0001-01-01T00:00:00+14:00"]
_ODD_VALUES: list[Any] = [None, True, *_ODD_NUMBERS, *_ODD_TEXTS, [], [[]], {}, {"a": {}}]

_LONGEST_KEY = 500


def make_job(job_id: str, *, kind: str, source: str = "source", metadata: Mapping[str, Any] | None = None) -> Job:
    """An open job."""
    created_at = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
    return Job(
        source=source,
        job_id=job_id,
        kind=kind,
        metadata=metadata or {},
        created_at=created_at,
        deadline_at=created_at + timedelta(hours=1),
    )


def make_event(
    provider: str = "creativeai", kind: str | None = None, *, status: Status | str | None = None, **changes: Any
) -> Event:
    """An event as a source named after its provider tells it: by default, of a job of its first kind that succeeded.

    Every installed provider can be asked for, and each of its kinds; where it has no jobs, the event is a notice.
    `changes` are fields of the event.

    Raises:
        ConfigError: there is no such provider.
        NotConfigured: it has no such kind.
    """
    adapter = plugins.provider(provider)(base_url=_BASE_URL)
    # Some notices tell how something ended, too.
    ends = bool(adapter.kinds or adapter.statuses)
    folded = Status(status) if status is not None else Status.SUCCEEDED if ends else None
    has_jobs = bool(adapter.kinds) or kind is not None
    fields: dict[str, Any] = {
        "id": 1,
        "source": provider,
        "status": folded,
        "failure": Failure("generation failed", "generation_failed") if folded is Status.FAILED else None,
        "occurred_at": _AT,
        "recorded_at": _AT,
        "trust": Trust.CONFIRMED if adapter.polls else Trust.SIGNED,
        "via": Via.POLL if adapter.polls else Via.WEBHOOK,
    }
    about = _job_fields(adapter, kind, folded) if has_jobs else _notice_fields(adapter, folded)
    return Event(**{**fields, **about, **changes})


def run_handler(
    module: ModuleType,
    event: Event,
    *,
    settings: Mapping[str, Any] | None = None,
    job: Job | None = None,
    attempt: int = 1,
    idempotency_key: str = "key-1",
    refresh: Callable[[], Sequence[Output]] | None = None,
    **table: Any,
) -> Outcome | None:
    """What the worker makes of one attempt with the handler in a module; None if that does not want the event.

    `settings` are the handler's own; other keys of its table, such as `max_attempts`, are given by name. `refresh` is
    the context's.

    Raises:
        ConfigError: a setting is wrong.
    """
    name = module.__name__.rpartition(".")[2]
    config = HandlerConfig(**{**(settings or {}), **table})
    handlers = plugins.handlers_of(name, module, config)
    wanting = [handler for handler in handlers if handler.wants(event, event.source)]
    if not wanting:
        return None
    if len(wanting) > 1:
        raise NotConfigured(f"{len(wanting)} functions of {name} want the event; give each a filter of its own")
    claim = Claim(
        id=1,
        token="",
        handler=wanting[0].name,
        attempt=attempt,
        idempotency_key=idempotency_key,
        event=event,
        job=job,
    )
    return executor.run(claim, wanting[0], client=HandlerClient(), refresh=refresh)


def _job_fields(adapter: Provider, kind: str | None, status: Status | None) -> dict[str, Any]:
    kind = adapter.tracked_as(next(iter(adapter.kinds)) if kind is None else kind)
    job_id, raw_status = f"{kind}_1", status and adapter.spelling(status)
    return {
        "key": event_key(job_id, status, raw_status),
        "type": f"job.{status}" if status and status.ours else adapter.event_type(kind, status, raw_status),
        "data": {"id": job_id, "status": raw_status},
        "job_id": job_id,
        "kind": kind,
        "raw_status": raw_status,
        "outputs": (Output("https://cdn.example.com/result.mp4"),) if status is Status.SUCCEEDED else (),
    }


def _notice_fields(adapter: Provider, status: Status | None) -> dict[str, Any]:
    return {
        "key": "notice_1",
        "type": adapter.notice,
        "data": {"type": adapter.notice},
        "raw_status": status and adapter.spelling(status),
    }


class ProviderContract:
    """What Receiver relies on in every adapter.

    Inherit it in a class whose name begins with `Test`, set the attributes that apply, add what is the provider's own.
    """

    provider_class: ClassVar[type[Provider]]
    secret: ClassVar[str] = "the-secret-of-a-test"
    """What `delivery` is signed with."""
    other_secret: ClassVar[str] = "the-other-secret-of-a-test"
    """A secret of the same form that nothing is signed with."""
    delivery: ClassVar[Delivery | None] = None
    """A genuine signed webhook, verified as of its `received_at`; None where webhooks are not signed or not sent."""
    signature_header: ClassVar[str] = ""
    """The header of the signature, in lower case."""
    required_headers: ClassVar[tuple[str, ...]] = ()
    """Headers besides it that a signed delivery must have."""
    webhooks: ClassVar[Mapping[str, Delivery]] = {}
    """A webhook of each kind, by name."""
    answers: ClassVar[Mapping[str, tuple[Job, Response]]] = {}
    """A poll answer of each kind and the job asked about, by name."""
    told_twice: ClassVar[Mapping[str, str]] = {}
    """Names of webhooks, and of poll answers that say the same."""
    listings: ClassVar[Mapping[str, Response]] = {}
    """Pages of the provider's list of jobs, by name, where it has one."""
    submissions: ClassVar[Mapping[str, tuple[str, Mapping[str, Any], Response]]] = {}
    """Create calls that were accepted, by name: the kind, the body and the answer; at least one of each kind."""

    def __init_subclass__(cls) -> None:
        """Leave out the tests that need a sample where there is none, so that one that is skipped is seen."""
        super().__init_subclass__()
        if not hasattr(cls, "provider_class"):
            return
        for name, test in vars(ProviderContract).items():
            if not name.startswith("test_") or name in vars(cls):
                continue
            samples = [values for argument, values in cls._samples().items() if argument in signature(test).parameters]
            if not all(samples):
                setattr(cls, name, None)
            elif getattr(cls, name) is None:
                # A class in between has fewer samples.
                setattr(cls, name, test)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test once for each of the samples that it names as its argument."""
        for argument, values in self._samples().items():
            if argument in metafunc.fixturenames:
                metafunc.parametrize(argument, [pytest.param(value, id=name) for name, value in values.items()])

    @classmethod
    def _samples(cls) -> dict[str, Mapping[str, Any]]:
        """What each argument of a test stands for, by name."""
        adapter = cls.provider_class
        posted = Delivery(source="source", body=b"{}", received_at=_AT)
        return {
            "genuine": {"signed": cls.delivery} if cls.delivery is not None else {},
            "required_header": {name: name for name in (cls.signature_header, *cls.required_headers)},
            "webhook": cls.webhooks,
            "any_webhook": dict(list(cls.webhooks.items())[:1]),
            "posted": {} if adapter.sends_webhooks else {"posted": posted},
            "twice": {names[0]: names for names in cls.told_twice.items()},
            "kind": {kind: kind for kind in adapter.kinds} if adapter.polls else {},
            "answer": cls.answers,
            "answer_with_id": {
                name: (job, response)
                for name, (job, response) in cls.answers.items()
                if job.job_id.encode() in response.body
            },
            # Of a file only the headers matter.
            "answer_in_json": {name: (job, response) for name, (job, response) in cls.answers.items() if response.body},
            "submission": cls.submissions,
            "submission_with_callback": {
                name: (kind, body, response)
                for name, (kind, body, response) in cls.submissions.items()
                if adapter.create_calls[kind].callback
            },
            "kinds_to_create": {"all-kinds": list(adapter.create_calls)} if adapter.create_calls else {},
            "page_of_jobs": cls.listings,
            "any_page_of_jobs": dict(list(cls.listings.items())[:1]),
            "catalog": {} if adapter.read_catalog is Provider.read_catalog else {"catalog": Response(status_code=200)},
        }

    def configured(self, secrets: Sequence[str]) -> Provider:
        """The adapter as for a source with these secrets; override it where it needs settings of its own."""
        return self.provider_class(secrets=secrets, base_url=_BASE_URL)

    def accepts(self, delivery: Delivery, secrets: Sequence[str]) -> bool:
        """Whether a source that verifies what these secrets sign takes a delivery.

        Override it where something else than the secrets verifies, such as public keys.
        """
        return _accepts(self.configured(secrets), delivery)

    @pytest.fixture
    def provider(self) -> Provider:
        """The adapter, configured as for one source."""
        provider = self.configured([self.secret])
        provider.api_key = _API_PAIR if provider.key_pair else _API_KEY
        return provider

    # Verification

    def test_accepts_the_genuine_delivery(self, genuine: Delivery) -> None:
        assert self.accepts(genuine, [self.secret])

    def test_refuses_a_body_with_any_byte_changed(self, genuine: Delivery) -> None:
        changed = [replace(genuine, body=_flipped(genuine.body, index)) for index in range(len(genuine.body))]

        assert not any(self.accepts(delivery, [self.secret]) for delivery in changed)

    def test_refuses_an_empty_body(self, genuine: Delivery) -> None:
        assert not self.accepts(replace(genuine, body=b""), [self.secret])

    def test_refuses_a_signature_by_another_secret(self, genuine: Delivery) -> None:
        assert not self.accepts(genuine, [self.other_secret])

    @pytest.mark.parametrize("secrets", [pytest.param([], id="none"), pytest.param([""], id="empty")])
    def test_refuses_everything_while_no_secret_is_set(self, genuine: Delivery, secrets: list[str]) -> None:
        assert not self.accepts(genuine, secrets)

    def test_accepts_either_secret_while_rotating(self, genuine: Delivery) -> None:
        orders = [[self.secret, self.other_secret], [self.other_secret, self.secret]]

        assert all(self.accepts(genuine, secrets) for secrets in orders)

    def test_refuses_a_delivery_without(self, genuine: Delivery, required_header: str) -> None:
        headers = {name: value for name, value in genuine.headers.items() if name != required_header}

        assert not self.accepts(replace(genuine, headers=headers), [self.secret])

    @pytest.mark.parametrize("spoil", _SIGNATURES)
    def test_refuses_the_signature(self, genuine: Delivery, spoil: Callable[[str], str]) -> None:
        signature = spoil(genuine.headers[self.signature_header])

        assert not self.accepts(self._with_signature(signature), [self.secret])

    @pytest.mark.parametrize("separator", [pytest.param(",", id="commas"), pytest.param(" ", id="spaces")])
    def test_refuses_many_forged_signatures(self, provider: Provider, genuine: Delivery, separator: str) -> None:
        forged = _lower(provider.sign(genuine, self.other_secret))[self.signature_header]

        assert not self.accepts(self._with_signature(separator.join([forged] * 10_000)), [self.secret])

    def test_takes_an_unsigned_delivery_for_a_hint_where_the_source_allows_it(
        self, provider: Provider, any_webhook: Delivery
    ) -> None:
        provider.unsigned = True

        trust = provider.verify(replace(any_webhook, headers={}), any_webhook.received_at, None)

        assert trust is Trust.HINT

    def test_signs_what_it_accepts(self, provider: Provider, genuine: Delivery, webhook: Delivery) -> None:
        headers = {**webhook.headers, **_lower(provider.sign(webhook, self.secret))}

        assert self.accepts(replace(webhook, headers=headers), [self.secret])

    def test_shows_no_secret_when_printed(self, provider: Provider) -> None:
        assert not any(secret in repr(provider) for secret in provider.confidential)

    def test_shows_no_secret_when_refusing(self, genuine: Delivery) -> None:
        provider = self.configured([self.other_secret])

        with pytest.raises(Refused) as refusal:
            provider.verify(genuine, genuine.received_at, None)

        assert self.other_secret not in str(refusal.value)

    # Webhooks

    def test_finds_events_in(self, provider: Provider, webhook: Delivery) -> None:
        events = provider.parse(webhook)

        assert {event.source for event in events} == {webhook.source}

    def test_has_nothing_to_remark_on(self, provider: Provider, webhook: Delivery) -> None:
        assert provider.remark(webhook, provider.parse(webhook)) is None

    def test_gives_each_event_its_own_key(self, provider: Provider, webhook: Delivery) -> None:
        keys = [event.key for event in provider.parse(webhook)]

        assert len(set(keys)) == len(keys)

    def test_makes_the_same_keys_on_redelivery(self, provider: Provider, webhook: Delivery) -> None:
        again = replace(webhook, received_at=webhook.received_at + timedelta(days=1))

        assert [event.key for event in provider.parse(again)] == [event.key for event in provider.parse(webhook)]

    def test_makes_the_same_event_of_webhook_and_poll(self, provider: Provider, twice: tuple[str, str]) -> None:
        webhook, answer = twice
        told = provider.parse(self.webhooks[webhook])
        read = provider.read(*self.answers[answer]).events

        assert set() < _facts(read) <= _facts(told)

    @pytest.mark.parametrize("body", _BODIES)
    def test_survives_the_body(self, provider: Provider, any_webhook: Delivery, body: bytes) -> None:
        assert _storable(_parsed(provider, replace(any_webhook, body=body)))

    def test_survives_an_odd_value_anywhere(self, provider: Provider, webhook: Delivery) -> None:
        bodies = [json.dumps(value).encode() for value in _spoiled(json.loads(webhook.body))]

        assert all(_storable(_parsed(provider, replace(webhook, body=body))) for body in bodies)

    # Polls

    @pytest.mark.parametrize("job_id", _ODD_IDS)
    def test_polls_for_an_odd_id(self, provider: Provider, kind: str, job_id: str) -> None:
        plain = provider.poll(make_job("plain", kind=kind))
        odd = provider.poll(make_job(job_id, kind=kind))

        assert _shape(odd.path) == _shape(plain.path)

    def test_reads(self, provider: Provider, answer: tuple[Job, Response]) -> None:
        reading = provider.read(*answer)

        assert isinstance(reading, Reading)

    def test_calls_events_what_it_says_it_does(self, provider: Provider, answer: tuple[Job, Response]) -> None:
        told = provider.read(*answer).events

        assert [event.type for event in told] == [
            provider.event_type(event.kind, event.status, event.raw_status) for event in told
        ]

    def test_believes_nothing_that_is_said_of_another_job(
        self, provider: Provider, answer_with_id: tuple[Job, Response]
    ) -> None:
        job, response = answer_with_id

        assert _read(provider, replace(job, job_id=f"{job.job_id}-another"), response) is None

    @pytest.mark.parametrize("page", _PAGES)
    def test_survives_every_status_code_with(self, provider: Provider, kind: str, page: bytes) -> None:
        job = make_job("a", kind=kind)
        readings = [_read(provider, job, Response(status_code=code, body=page)) for code in range(200, 600)]

        assert all(_storable(reading.events) for reading in readings if reading)

    @pytest.mark.parametrize("body", _BODIES)
    def test_survives_the_answer(self, provider: Provider, kind: str, body: bytes) -> None:
        reading = _read(provider, make_job("a", kind=kind), Response(status_code=200, body=body))

        assert reading is None or _storable(reading.events)

    def test_survives_an_odd_value_anywhere_in_the_answer(
        self, provider: Provider, answer_in_json: tuple[Job, Response]
    ) -> None:
        job, response = answer_in_json
        bodies = [json.dumps(value).encode() for value in _spoiled(json.loads(response.body))]
        readings = [_read(provider, job, replace(response, body=body)) for body in bodies]

        assert all(_storable(reading.events) for reading in readings if reading)

    def test_sends_its_key_to_no_address_but_its_own(self, provider: Provider, answer: tuple[Job, Response]) -> None:
        outputs = [output for event in provider.read(*answer).events for output in event.outputs]

        assert all(output.url.startswith(f"{_BASE_URL}/") for output in outputs if output.authorized)

    def test_checks_the_key_without_changing_anything(self, provider: Provider) -> None:
        assert {request.method for request in provider.check()} <= {"GET"}

    def test_refuses_what_is_posted_where_there_are_no_webhooks(self, provider: Provider, posted: Delivery) -> None:
        with pytest.raises(Refused) as refusal:
            provider.verify(posted, posted.received_at, None)

        assert refusal.value.reason is Reason.NO_WEBHOOKS

    # Submissions

    def test_has_a_sample_of_each_kind_that_can_be_created(self) -> None:
        assert {kind for kind, _, _ in self.submissions.values()} == set(self.provider_class.create_calls)

    def test_creates(self, provider: Provider, submission: tuple[str, Mapping[str, Any], Response]) -> None:
        kind, body, _ = submission

        request = provider.submit(kind, body, None)

        assert request.method == "POST"
        assert set(body) <= set(_fields(request))

    def test_creates_with_the_callback_url_where_it_is_taken(
        self, provider: Provider, submission: tuple[str, Mapping[str, Any], Response]
    ) -> None:
        kind, body, _ = submission
        field = provider.create_calls[kind].callback

        sent = _fields(provider.submit(kind, body, _CALLBACK))

        assert [name for name, value in sent.items() if value == _CALLBACK] == ([field] if field else [])

    def test_keeps_a_callback_url_of_the_body(
        self, provider: Provider, submission_with_callback: tuple[str, Mapping[str, Any], Response]
    ) -> None:
        kind, body, _ = submission_with_callback
        field = str(provider.create_calls[kind].callback)

        sent = _fields(provider.submit(kind, {**body, field: "https://elsewhere.example.com"}, _CALLBACK))

        assert sent[field] == "https://elsewhere.example.com"

    @pytest.mark.parametrize("empty", [None, "", []])
    def test_asks_for_every_required_field(
        self, provider: Provider, submission: tuple[str, Mapping[str, Any], Response], empty: object
    ) -> None:
        kind, body, _ = submission

        for name in provider.create_calls[kind].required:
            with pytest.raises(InvalidBody, match=name):
                provider.submit(kind, {**body, name: empty}, None)

    def test_reads_which_jobs_were_created(
        self, provider: Provider, submission: tuple[str, Mapping[str, Any], Response]
    ) -> None:
        kind, _, response = submission

        created = provider.read_submission(kind, response)

        assert created
        assert len({job.job_id for job in created}) == len(created)
        assert {job.kind for job in created} <= set(provider.kinds)

    def test_can_ask_about_what_was_created(
        self, provider: Provider, submission: tuple[str, Mapping[str, Any], Response]
    ) -> None:
        kind, _, response = submission

        for created in provider.read_submission(kind, response):
            assert provider.poll(make_job(created.job_id, kind=created.kind)).path

    def test_does_not_take_an_accepted_call_for_refused_because_it_cannot_be_read(
        self, provider: Provider, kinds_to_create: Sequence[str]
    ) -> None:
        for kind in kinds_to_create:
            with pytest.raises(Unreadable):
                provider.read_submission(kind, Response(status_code=202, body=b"<html>Accepted</html>"))

    @pytest.mark.parametrize("body", _BODIES)
    def test_survives_the_answer_to_a_create_call(
        self, provider: Provider, kinds_to_create: Sequence[str], body: bytes
    ) -> None:
        answers = [_created(provider, kind, Response(status_code=200, body=body)) for kind in kinds_to_create]

        assert all(_clean(job.job_id) and len(job.job_id) <= _LONGEST_KEY for created in answers for job in created)

    @pytest.mark.parametrize("page", _PAGES)
    def test_survives_every_status_code_of_a_create_call_with(
        self, provider: Provider, kinds_to_create: Sequence[str], page: bytes
    ) -> None:
        for kind in kinds_to_create:
            for code in range(200, 600):
                assert _created(provider, kind, Response(status_code=code, body=page)) == []

    def test_survives_an_odd_value_anywhere_in_the_answer_to_a_create_call(
        self, provider: Provider, submission: tuple[str, Mapping[str, Any], Response]
    ) -> None:
        kind, _, response = submission
        bodies = [json.dumps(value).encode() for value in _spoiled(json.loads(response.body))]

        created = [job for body in bodies for job in _created(provider, kind, replace(response, body=body))]

        assert all(_clean(job.job_id) and 0 < len(job.job_id) <= _LONGEST_KEY for job in created)

    # The list of jobs

    def test_has_a_sample_of_its_list_of_jobs(self, provider: Provider) -> None:
        assert provider.lists_jobs == bool(self.listings)

    def test_finds_jobs_on(self, provider: Provider, page_of_jobs: Response) -> None:
        jobs = provider.read_listing(page_of_jobs).jobs

        assert jobs
        assert {job.kind for job in jobs} <= set(provider.kinds)
        assert all(provider.poll(make_job(job.job_id, kind=job.kind)).path for job in jobs)

    def test_asks_for_another_page_by_its_cursor(self, provider: Provider, page_of_jobs: Response) -> None:
        cursor = provider.read_listing(page_of_jobs).cursor

        assert cursor is None or provider.listing(cursor) != provider.listing()

    @pytest.mark.parametrize("body", _BODIES)
    def test_survives_the_list_of_jobs(self, provider: Provider, any_page_of_jobs: Response, body: bytes) -> None:
        assert _listed(provider, replace(any_page_of_jobs, body=body)) == []

    @pytest.mark.parametrize("page", _PAGES)
    def test_survives_every_status_code_of_the_list_with(
        self, provider: Provider, any_page_of_jobs: Response, page: bytes
    ) -> None:
        answers = [replace(any_page_of_jobs, status_code=code, body=page) for code in range(200, 600)]

        assert not any(_listed(provider, answer) for answer in answers)

    def test_survives_an_odd_value_anywhere_in_the_list(self, provider: Provider, page_of_jobs: Response) -> None:
        bodies = [json.dumps(value).encode() for value in _spoiled(json.loads(page_of_jobs.body))]

        listed = [job for body in bodies for job in _listed(provider, replace(page_of_jobs, body=body))]

        assert all(_clean(job.job_id) and 0 < len(job.job_id) <= _LONGEST_KEY for job in listed)

    # The catalogue

    def test_asks_for_its_catalog_without_changing_anything(self, provider: Provider) -> None:
        assert {request.method for request in provider.catalog()} <= {"GET"}

    @pytest.mark.parametrize("body", _BODIES)
    def test_survives_the_catalog(self, provider: Provider, catalog: Response, body: bytes) -> None:
        offers = _offered(provider, replace(catalog, body=body))

        assert all(_clean(offer.name) for offer in offers)

    # Constants

    def test_knows_statuses_in_lower_case(self) -> None:
        words = list(self.provider_class.statuses)

        assert words == [word.lower() for word in words]

    def test_understands_its_own_spelling(self) -> None:
        provider = self.configured([self.secret])
        words = {status: provider.spelling(status) for status in Status}

        assert all(provider.fold(word) is status for status, word in words.items() if word is not None)

    def _with_signature(self, signature: str) -> Delivery:
        assert self.delivery is not None
        return replace(self.delivery, headers={**self.delivery.headers, self.signature_header: signature})


def _accepts(provider: Provider, delivery: Delivery) -> bool:
    """Whether a delivery is taken, if only for a hint. Any other exception than our refusal fails the test."""
    try:
        provider.verify(delivery, delivery.received_at, None)
    except Refused:
        return False
    return True


def _parsed(provider: Provider, delivery: Delivery) -> list[Event]:
    try:
        return provider.parse(delivery)
    except Unreadable:
        return []


def _read(provider: Provider, job: Job, response: Response) -> Reading | None:
    try:
        return provider.read(job, response)
    except RequestFailed:
        return None


def _created(provider: Provider, kind: str, response: Response) -> list[Created]:
    try:
        return provider.read_submission(kind, response)
    except (RequestFailed, Unreadable):
        return []


def _listed(provider: Provider, response: Response) -> list[Listed]:
    try:
        return list(provider.read_listing(response).jobs)
    except RequestFailed:
        return []


def _offered(provider: Provider, response: Response) -> list[Offer]:
    try:
        return provider.read_catalog(response)
    except (RequestFailed, Unreadable):
        return []


def _fields(request: Request) -> Mapping[str, Any]:
    """What a create call sends: the fields of its JSON or of its form, and the parameters of its URL."""
    fields: Mapping[str, Any] = request.form if request.form is not None else request.json
    return {**fields, **dict(parse_qsl(urlsplit(request.path).query))}


def _facts(events: Iterable[Event]) -> set[tuple[str, str, str | None]]:
    """What must not depend on the way an event came in: deduplication and routing."""
    return {(event.key, event.type, event.status) for event in events}


def _storable(events: Sequence[Event]) -> bool:
    """Whether any database takes these events: keys fit an index, data is JSON, texts have no NUL and are UTF-8."""
    for event in events:
        json.dumps(event.data, allow_nan=False)
    short = all(len(event.key) <= _LONGEST_KEY for event in events)
    return short and all(_clean(text) for event in events for text in _texts(event) if text is not None)


def _texts(event: Event) -> list[str | None]:
    reasons = [event.failure.message, event.failure.code] if event.failure else []
    urls = [output.url for output in event.outputs]
    return [event.key, event.type, event.job_id, event.kind, event.raw_status, *reasons, *urls]


def _clean(text: str) -> bool:
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text


def _spoiled(value: Any) -> Iterator[Any]:
    """Copies of a JSON value, each with one part of it, at any depth, missing or of an odd type."""
    yield from _ODD_VALUES
    if isinstance(value, dict):
        for name, part in value.items():
            rest = {other: value[other] for other in value if other != name}
            yield rest
            yield from (rest | {name: spoiled} for spoiled in _spoiled(part))
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from ([*value[:index], spoiled, *value[index + 1 :]] for spoiled in _spoiled(part))


def _shape(path: str) -> tuple[int, list[str], str]:
    """How deep a path is once dots are resolved, its parameters and its fragment: what an id must not change."""
    parts = urlsplit(path)
    return posixpath.normpath(parts.path).count("/"), sorted(parse_qs(parts.query)), parts.fragment


def _flipped(body: bytes, index: int) -> bytes:
    return body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
