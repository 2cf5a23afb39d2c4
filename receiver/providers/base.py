"""What every provider adapter has in common. Adapters do no I/O and read no clock."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from receiver.backoff import asked_to_wait, rate_limits
from receiver.errors import (
    CredentialsRefused,
    InvalidBody,
    NotConfigured,
    NotFound,
    RateLimited,
    Reason,
    Refused,
    RequestFailed,
    Unreadable,
)
from receiver.models import (
    Budget,
    CreateCall,
    Created,
    Delivery,
    Event,
    Job,
    KeySet,
    Limits,
    Listing,
    Offer,
    Reading,
    Request,
    Response,
    Schedule,
    Status,
    Trust,
)
from receiver.providers.values import (
    identifier,
    json_object,
    link,
    moment,
    number,
    reason_in,
    segment,
    sentence,
    unix_moment,
    word,
)
from receiver.signatures import Scheme

__all__ = [
    "Provider",
    "ProviderSettings",
    "answered_object",
    "event_key",
    "expect_job",
    # Adapters may have these from here, as before they had a module of their own.
    "identifier",
    "json_object",
    "link",
    "moment",
    "number",
    "segment",
    "sentence",
    "understood",
    "unix_moment",
    "word",
]

# Keys that were withdrawn must not be believed for ever because their list cannot be fetched.
_KEYS_LAST = timedelta(hours=24)


class ProviderSettings(BaseModel):
    """Base of an adapter's own settings: the keys of a source's table that are not Receiver's."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Provider:
    """One provider's dialect, configured for one source.

    Subclasses set the constants and write `poll` and `read`, with webhooks also `parse`, and where jobs can be created,
    `read_submission`; those that sign in a way no scheme covers also write `verify`.
    """

    name: ClassVar[str]
    """What `provider = "…"` says in the configuration."""
    base_url: str = ""
    """Where the API lives, unless the source says otherwise; empty where each operator has their own."""
    statuses: ClassVar[Mapping[str, Status]]
    """The provider's words, in lower case, and what they mean."""
    noun: ClassVar[str] = "job"
    """What its events are about: the first word of their types, such as `task` in `task.succeeded`."""
    notice: ClassVar[str] = "notice"
    """A type of its notices, where it tells of other things than jobs; of many, one."""
    kinds: ClassVar[Mapping[str, Schedule]]
    """The kinds of job, and when to poll each. The last one is for jobs of a kind we cannot tell."""
    budget: ClassVar[Budget]
    """What the provider allows when its answers do not say."""
    settings_class: ClassVar[type[ProviderSettings]] = ProviderSettings
    """Its own settings."""
    sends_webhooks: ClassVar[bool] = True
    """Whether it calls back at all. Where not, polling is the delivery, and what is posted in its name is refused."""
    polls: ClassVar[bool] = True
    """Whether it can be asked about its jobs. Where not, there is no API key, and its webhooks are all there is."""
    polls_by: ClassVar[str | None] = None
    """The setting without which it cannot be asked, where there is one."""
    scheme: Scheme | None = None
    """How its webhooks are signed; None where they are not."""
    signed_by: ClassVar[str | None] = None
    """How they are signed in words, where no scheme of the class tells: `as its settings say`."""
    keys_url: str | None = None
    """Where it publishes the keys that check its signatures, which are then used in place of secrets."""
    acknowledgement: ClassVar[str | None] = None
    """The body, in JSON, that it must be answered with, and status 200; None where any success will do."""
    key_pair: ClassVar[bool] = False
    """Whether its API key is two: an access key and a secret one, written `ACCESS:SECRET`."""
    lists_jobs: bool = False
    """Whether it can be asked for its jobs, so that those are found that nobody tracked."""
    lists: ClassVar[Sequence[str | None]] = (None,)
    """The cursors that its lists of jobs begin with, where it has one for each kind."""
    results_last: ClassVar[timedelta | None] = None
    """How long results can be fetched at the least; None where nobody says."""
    create_calls: ClassVar[Mapping[str, CreateCall]] = {}
    """The kinds of job that can be created, and how. One may be tracked as another kind."""
    offers: ClassVar[Sequence[Offer]] = ()
    """What it offers to make, where no request can tell."""

    def __init__(
        self,
        *,
        secrets: Sequence[str] = (),
        api_key: str | None = None,
        base_url: str | None = None,
        unsigned: bool = False,
        settings: ProviderSettings | None = None,
    ) -> None:
        self.secrets = tuple(secrets)
        self.api_key = api_key
        self.base_url = (base_url or type(self).base_url).rstrip("/")
        self.unsigned = unsigned
        self.settings = settings or self.plain_settings()
        self.set_up()

    @classmethod
    def plain_settings(cls) -> ProviderSettings:
        """The settings of a source that has none of its own."""
        return cls.settings_class()

    def set_up(self) -> None:
        """Make of the settings what the adapter needs of them; called once, when all else is known."""

    def with_secrets(self, secrets: Sequence[str]) -> Self:
        """The same source with other secrets."""
        return type(self)(
            secrets=secrets,
            api_key=self.api_key,
            base_url=self.base_url,
            settings=self.settings,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.base_url}>"

    def verify(self, delivery: Delivery, now: datetime, keys: KeySet | None = None) -> Trust:
        """Say how far a delivery can be trusted. `keys` are those at `keys_url`, as far as they are known.

        Raises:
            Refused: it is not proven genuine, and the source does not accept less.
        """
        if not self.sends_webhooks:
            raise Refused(Reason.NO_WEBHOOKS, f"{self.name} sends no webhooks; its results are polled for")
        if self.unsigned or self.scheme is None:
            return Trust.HINT
        secrets = self.secrets
        if self.keys_url is not None:
            if keys is None or now - keys.fetched_at > _KEYS_LAST:
                return self._without_keys()
            secrets = keys.keys
        self.scheme.verify(delivery.headers, delivery.body, secrets, now)
        return Trust.SIGNED if self.scheme.covers_body else Trust.HINT

    def _without_keys(self) -> Trust:
        """What can be believed while the keys are not to be had: what a poll will confirm."""
        if self.api_key is not None:
            return Trust.HINT
        raise Refused(Reason.NO_KEYS, f"the keys at {self.keys_url} are not known; does `receiver reconcile` run?")

    def sign(self, delivery: Delivery, secret: str) -> dict[str, str]:
        """The headers with which the provider would send this body; what `receiver send` posts."""
        if self.scheme is None:
            return {}
        # The same for the same body, as in a retry.
        made_up = f"msg_{hashlib.sha256(delivery.body).hexdigest()[:24]}"
        return self.scheme.sign(
            delivery.body,
            secret,
            delivery.received_at,
            id=made_up,
            headers=delivery.headers,
        )

    def read_keys(self, response: Response) -> tuple[str, ...]:
        """The public keys that an answer from `keys_url` holds.

        Raises:
            RequestFailed: it holds none.
        """
        raise NotImplementedError

    def parse(self, delivery: Delivery) -> list[Event]:
        """The facts in a webhook.

        Raises:
            Unreadable: the body is not what the provider documents.
        """
        raise Unreadable(f"{self.name} is not known to send webhooks")

    def remark(self, delivery: Delivery, events: Sequence[Event]) -> str | None:
        """What is odd about a delivery that was parsed, worth keeping beside it."""
        return None

    def poll(self, job: Job) -> Request:
        """The request that asks about a job."""
        raise NotImplementedError

    def places(self, job: Job) -> int:
        """How many addresses a job may be at, where `poll` tries them in turn: it is lost if none of them knows it."""
        return 1

    def read(self, job: Job, response: Response) -> Reading:
        """What a poll answer says about the job.

        Raises:
            RequestFailed: the request failed, which says nothing about the job.
        """
        raise NotImplementedError

    def submit(self, kind: str, body: Mapping[str, Any], callback_url: str | None) -> Request:
        """The request that creates a job. A callback URL that stands in the body already stays.

        Raises:
            InvalidBody: a field is missing that the provider documents as required.
        """
        creation = self.create_calls[kind]
        if missing := [name for name in creation.required if body.get(name) in (None, "", [], {})]:
            raise InvalidBody(f"a body for {self.name} {kind} needs {' and '.join(missing)}")
        callback = {creation.callback: callback_url} if creation.callback and callback_url else {}
        return Request(method="POST", path=creation.path, json={**callback, **body})

    def read_submission(self, kind: str, response: Response) -> list[Created]:
        """The jobs that a create call made: all of those in a batch, and the batch.

        Raises:
            RequestFailed: it made none.
            Unreadable: it may have made some, but does not say which.
        """
        raise NotImplementedError

    def catalog(self) -> Sequence[Request]:
        """The requests that ask what there is to make, until the API knows one; none where `offers` says it all."""
        return ()

    def read_catalog(self, response: Response) -> list[Offer]:
        """What the provider offers to make.

        Raises:
            RequestFailed: the request failed.
            Unreadable: the answer is not what the provider documents.
        """
        raise NotImplementedError

    def listing(self, cursor: str | None = None) -> Request:
        """The request for a page of the provider's own list of jobs: the first, or the one of that cursor."""
        raise NotImplementedError

    def read_listing(self, response: Response, cursor: str | None = None) -> Listing:
        """The jobs on a page of that list, which `cursor` asked for. What cannot be told apart or polled is left out.

        Raises:
            RequestFailed: the request failed.
        """
        raise NotImplementedError

    def limits(self, response: Response) -> Limits | None:
        """What an answer's headers say of the request budget; None if nothing."""
        return rate_limits(response.headers)

    def answered(self, response: Response) -> dict[str, Any]:
        """The JSON object in an answer that is not an error.

        Raises:
            RequestFailed: it is one.
        """
        return answered_object(response, self.reason)

    def reason(self, data: Mapping[str, Any]) -> str | None:
        """Why a request failed, as the answer says it; `answered` ends its own message with that."""
        return reason_in(data)

    def said(self, data: Mapping[str, Any]) -> str:
        """That reason as the end of a message of ours; nothing where there is none."""
        return _ending(self.reason(data))

    def accepted(self, response: Response) -> dict[str, Any]:
        """The JSON object in the answer to a create call.

        Raises:
            RequestFailed: nothing was created.
            Unreadable: it was accepted, but not in JSON; a job may exist.
        """
        if 200 <= response.status_code < 300:
            json_object(response.body)
        return self.answered(response)

    def check(self) -> Sequence[Request]:
        """Harmless requests of which one proves the API key: the first that the API knows; none where there is none."""
        return ()

    def checked(self, response: Response) -> None:
        """Read the answer to `check`.

        Raises:
            RequestFailed: it does not prove the key.
        """
        self.answered(response)

    def authorize(self) -> dict[str, str]:
        """The headers that carry the API key."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key and not self.key_pair else {}

    def sign_request(self, *, method: str, url: str, body: bytes, now: datetime) -> dict[str, str]:
        """The headers that prove a request of ours, where they depend on it or on the time."""
        return {}

    @property
    def access_keys(self) -> tuple[str, str]:
        """The access key and the secret key that the API key is made of."""
        access, _, secret = (self.api_key or "").partition(":")
        return access, secret

    @property
    def confidential(self) -> list[str]:
        """What must not show, wherever the provider may echo it."""
        parts = self.access_keys if self.key_pair else ()
        return [text for text in (self.api_key, *parts, *self.secrets) if text]

    def kind_or_default(self, kind: str | None) -> str:
        """The kind itself if it is one of ours, else the one for jobs of unknown kind.

        Raises:
            NotConfigured: it has no jobs at all.
        """
        if not self.kinds:
            raise NotConfigured(f"{self.name} has no jobs, only notices")
        return kind if kind is not None and kind in self.kinds else list(self.kinds)[-1]

    def tracked_as(self, kind: str) -> str:
        """The kind of job that one of this kind is tracked as.

        Raises:
            NotConfigured: there is no such kind, neither to create nor to track.
        """
        if kind not in self.kinds and kind not in self.create_calls:
            raise NotConfigured(
                f"{self.name} has no kind {kind!r}; it has {', '.join({**self.kinds, **self.create_calls})}"
            )
        creation = self.create_calls.get(kind)
        return self.kind_or_default((creation and creation.kind) or kind)

    def fold(self, word: str | None) -> Status | None:
        """What a provider's word means, whatever its case; None for a word we do not know."""
        return None if word is None else self.statuses.get(word.strip().lower())

    def spelling(self, status: Status) -> str | None:
        """The provider's own word for a status, the first of those that mean it; None where it has none."""
        return next((word for word, folded in self.statuses.items() if folded is status), None)

    def event_type(self, kind: str | None, status: Status | None, raw_status: str | None = None) -> str:
        """What an event about a job of this kind is called: `task.succeeded`, and `task.unknown` for a word unknown.

        It must not depend on how the provider spells the status, which may differ between a webhook and a poll.
        """
        return f"{self.noun}.{status or 'unknown'}"


@contextmanager
def understood() -> Iterator[None]:
    """Take what cannot be read in a poll answer for a request that failed: it says nothing about the job.

    Raises:
        RequestFailed: in place of `Unreadable`.
    """
    try:
        yield
    except Unreadable as error:
        raise RequestFailed(f"the answer cannot be understood: {error}") from error


def expect_job(told: object, asked: str | None) -> None:
    """Refuse an answer that names another job than the one asked about, if it names one, and one was asked about.

    Raises:
        RequestFailed: it does.
    """
    if asked and told is not None and str(told) != asked:
        raise RequestFailed("the answer is about another job")


def event_key(job_id: str, status: Status | None, raw_status: str | None) -> str:
    """What a fact about a job is known by, whichever way it comes in: `<job id>:<folded status>`.

    A word we do not know is marked, or it could take the key of a status that is spelled the same.
    """
    return f"{job_id}:{status}" if status is not None else f"{job_id}:?{(raw_status or '').lower()}"


def answered_object(
    response: Response, reason: Callable[[Mapping[str, Any]], str | None] = reason_in
) -> dict[str, Any]:
    """The JSON object in a poll answer that is not an error; `reason` finds out why it is one.

    A 404 counts as "the provider does not know the job" only when it speaks JSON: a proxy's or a wrong base URL's
    page says nothing about the job.

    Raises:
        RequestFailed: in the form that says whether and when to ask again.
    """
    code = response.status_code
    try:
        data = json_object(response.body)
    except Unreadable as error:
        if code == 429:
            raise RateLimited("HTTP 429", retry_after=asked_to_wait(response.headers)) from error
        if code == 401:
            raise CredentialsRefused("HTTP 401") from error
        told = f": {error}" if 200 <= code < 300 else " and a page, as from a proxy"
        raise RequestFailed(f"HTTP {code}{told}", retry=_passing(code)) from error
    if 200 <= code < 300:
        return data
    # What web frameworks say to a path they do not have: a wrong base URL, not a missing job.
    if code == 404 and data == {"detail": "Not Found"}:
        raise RequestFailed("HTTP 404: the API has no such path; see base_url", retry=False)
    told = f"HTTP {code}{_ending(reason(data))}"
    if code == 429:
        raise RateLimited(told, retry_after=asked_to_wait(response.headers))
    if code in (401, 403):
        raise CredentialsRefused(told)
    if code in (404, 410):
        raise NotFound(told)
    raise RequestFailed(told, retry=_passing(code))


def _ending(reason: str | None) -> str:
    # It ends up in logs and on terminals, as part of one line.
    return f": {''.join(letter if letter.isprintable() else '?' for letter in reason)}" if reason else ""


def _passing(code: int) -> bool:
    """Whether what an HTTP status code complains of may pass by itself."""
    return not 300 <= code < 500 or code in (408, 425)
