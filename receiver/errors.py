"""Everything Receiver raises on purpose.

ReceiverError
├── ConfigError             a setting is missing, unknown or wrong
├── NotConfigured           a handler, source or provider of that name does not exist
├── Refused                 a delivery that is not proven genuine (answered 401)
├── Unreadable              a genuine body that cannot be understood (kept, answered 202)
├── InvalidBody             what is to be submitted lacks something the provider requires
├── StoreUnavailable        nothing was stored; try again (answered 503)
│   └── KeyMissing          what is wanted is sealed with a key that we do not have
└── RequestFailed           a call out failed, which says nothing about the job
    ├── AddressRefused      the address is not one we may call
    ├── TooLarge            the answer is over the size limit
    ├── RateLimited         the provider asks us to wait
    ├── CredentialsRefused  the provider does not accept our key
    ├── NotFound            the provider does not know the job
    └── OutcomeUnknown      a job may have been created, or not

Handlers raise and return the outcomes of `receiver.outcomes`, not these.
"""

from datetime import timedelta
from enum import StrEnum


class ReceiverError(Exception):
    """Base of all of them."""


class ConfigError(ReceiverError):
    """A setting is missing, unknown or wrong; the text names the key and the file."""


class NotConfigured(ReceiverError):
    """A source, handler or provider of that name does not exist."""


class Reason(StrEnum):
    """Why a delivery was refused, as kept in the quarantine."""

    MISSING_SIGNATURE = "missing_signature"
    MALFORMED = "malformed"
    SIGNATURE_MISMATCH = "signature_mismatch"
    NO_SUPPORTED_SIGNATURE = "no_supported_signature"
    """There are signatures, but none of the version that is checked."""
    NO_KEYS = "no_keys"
    """The sender's public keys are not known yet, or no longer."""
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_TOO_NEW = "timestamp_too_new"
    UNKNOWN_SOURCE = "unknown_source"
    TRUNCATED = "truncated"
    NO_WEBHOOKS = "no_webhooks"


class Refused(ReceiverError):
    """A delivery that is not proven genuine. Answered 401 without saying why; the reason is kept."""

    def __init__(self, reason: Reason, hint: str) -> None:
        super().__init__(f"{reason}: {hint}")
        self.reason = reason
        self.hint = hint


class Unreadable(ReceiverError):
    """A genuine body that cannot be understood; it is stored, flagged and answered 202."""


class InvalidBody(ReceiverError):
    """What is to be submitted lacks something the provider documents as required; nothing was sent."""


class StoreUnavailable(ReceiverError):
    """The store could not commit in time; nothing was stored, so the sender should try again."""


class KeyMissing(StoreUnavailable):
    """None of the keys opens what is sealed. It stays as it is, for when the key is there."""

    def __init__(self) -> None:
        super().__init__("seal_keys: none of them opens what is stored; add the key that sealed it, nothing is lost")


class RequestFailed(ReceiverError):
    """A call out failed. This says nothing about the job.

    `retry` says whether asking again makes sense, `sent` whether the other side may have got the request. `status` is
    the HTTP status of a download that was refused.
    """

    retry = True
    sent = True

    def __init__(
        self, message: str, *, retry: bool | None = None, sent: bool | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        if retry is not None:
            self.retry = retry
        if sent is not None:
            self.sent = sent


class AddressRefused(RequestFailed):
    """The address is private, loopback or not HTTP, and no setting allows it."""

    retry = False
    sent = False


class TooLarge(RequestFailed):
    """The answer is larger than the limit."""

    retry = False


class RateLimited(RequestFailed):
    """The provider asks us to wait; `retry_after` is how long, where it said so."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CredentialsRefused(RequestFailed):
    """The provider does not accept the API key."""

    retry = False


class NotFound(RequestFailed):
    """The provider itself says that it does not know the job."""

    retry = False


class OutcomeUnknown(RequestFailed):
    """A create call's answer was lost, cannot be read or could not be recorded: a job may exist. The intent is kept."""

    retry = False
