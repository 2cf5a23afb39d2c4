"""Save the results of finished jobs before their URLs expire, each in a file named by the hash of its content.

They go into a folder, or where fsspec can write: S3 and other object stores, SFTP. Beside each file,
`<sha256>.<origin>.provenance.json` says where it came from; the same content from several jobs has several of these.
A retry goes on where the attempt before it stopped: a crash between the two leaves a file without the other, and the
retry writes both. Nothing a provider says becomes a path, but for a short extension.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Secret, ValidationInfo, field_validator

from receiver import Cancel, Context, Done, Event, HandlerSettings, Router, Snooze, clock
from receiver.errors import AddressRefused, TooLarge
from receiver.outbound.places import Folder, Place
from receiver.outbound.remote import Remote, check_url, is_url
from receiver.outbound.resumable import Saved, save_all
from receiver.units import Duration, Size

_STILL_AT_IT = timedelta(seconds=30)


class Settings(HandlerSettings):
    """`[handlers.archive]`: where the files go, and what may be fetched."""

    model_config = ConfigDict(hide_input_in_errors=True)

    directory: str = "media"
    """Where the files go: a folder, relative to the configuration file, or a URL such as `s3://bucket/prefix`."""
    options: Secret[dict[str, Any]] = Secret[dict[str, Any]]({})
    """With a URL: what fsspec opens it with, such as `key`, `secret` and `endpoint_url`. It is never shown."""
    staging: str = "media-staging"
    """With a URL: the folder where files wait until they are there, so that no retry fetches them again."""
    max_bytes: Size = 2 * 2**30
    """The largest file that is fetched."""
    download_timeout: Duration = timedelta(minutes=4)
    """How long one attempt may fetch and put; the next goes on from there. Less than `timeout`, which ends it."""
    allow_private: bool = False
    """Whether to fetch from addresses that are not public, such as a storage server of your own."""
    provenance: bool = True
    """Whether to write beside each file where it came from, with the job's metadata."""

    @field_validator("directory")
    @classmethod
    def _can_be_opened(cls, directory: str) -> str:
        if is_url(directory):
            check_url(directory)
        return directory

    @field_validator("options")
    @classmethod
    def _are_for_a_url(cls, options: Secret[dict[str, Any]], info: ValidationInfo) -> Secret[dict[str, Any]]:
        if options.get_secret_value() and not is_url(info.data.get("directory", "://")):
            raise ValueError("are for a directory that is a URL, and this one is a folder")
        return options


router = Router(settings=Settings)


@router.on(status="succeeded")
def archive(event: Event, context: Context) -> Done | Snooze | Cancel | None:
    """Fetch the outputs that no earlier attempt has fetched, from a fresh URL where theirs has expired."""
    if not event.outputs:
        return None
    settings: Settings = context.settings
    place = _place(context)
    try:
        saved = save_all(
            event.outputs,
            place,
            key="\n".join([context.idempotency_key, event.source, event.key]),
            max_bytes=settings.max_bytes,
            timeout=settings.download_timeout,
            allow_private=settings.allow_private,
            access=context.access,
            kind=event.kind,
            refresh=context.refresh,
            saved=_noting(event, context, place) if settings.provenance else None,
        )
    except BlockingIOError:
        # An attempt that took too long goes on unheard.
        return Snooze(_STILL_AT_IT)
    except (AddressRefused, TooLarge) as error:
        return Cancel(f"{context.table} {error}")
    return Done({"saved": [asdict(file) for file in saved]})


def _place(context: Context) -> Place:
    settings: Settings = context.settings
    if not is_url(settings.directory):
        return Folder(Path(settings.directory))
    return Remote(
        settings.directory,
        options=settings.options.get_secret_value(),
        local=Path(settings.staging),
        timeout=settings.download_timeout,
        setting=f"{context.table} directory",
    )


def _noting(event: Event, context: Context, place: Place) -> Callable[[Saved], None]:
    """What writes where a file came from, beside it: one file for each origin, so that none has to be read."""

    def note(file: Saved) -> None:
        facts = {
            "sha256": file.sha256,
            "bytes": file.bytes,
            "content_type": file.content_type,
            "source": event.source,
            "job": event.job_id,
            "kind": event.kind,
            "event": event.id,
            "key": event.key,
            "url": file.url,
            "fetched_at": clock.now().isoformat(),
            "metadata": dict(context.job.metadata) if context.job else {},
        }
        origin = hashlib.sha256(json.dumps([event.source, event.key, file.url]).encode()).hexdigest()[:16]
        place.write(f"{file.sha256}.{origin}.provenance.json", json.dumps(facts, indent=2).encode())

    return note
