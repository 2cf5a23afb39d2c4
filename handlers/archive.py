"""Save the results of finished jobs before their URLs expire, each in a file named by the hash of its content.

A retry goes on where the attempt before it stopped. Nothing a provider says becomes a path, but for a short extension.
"""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from receiver import Cancel, Context, Done, Event, HandlerSettings, Router, Snooze
from receiver.config import Duration, Size
from receiver.errors import AddressRefused, TooLarge
from receiver.outbound.resumable import save_all

_STILL_AT_IT = timedelta(seconds=30)


class Settings(HandlerSettings):
    """`[handlers.archive]`: where the files go, and what may be fetched."""

    directory: str = "media"
    """Where the files go, relative to the configuration file."""
    max_bytes: Size = 2 * 2**30
    """The largest file that is fetched."""
    download_timeout: Duration = timedelta(minutes=4)
    """How long one attempt may fetch; the next goes on from there. Less than `timeout`, which ends the attempt."""
    allow_private: bool = False
    """Whether to fetch from addresses that are not public, such as a storage server of your own."""


router = Router(settings=Settings)


@router.on(status="succeeded")
def archive(event: Event, context: Context) -> Done | Snooze | Cancel | None:
    """Fetch the outputs that no earlier attempt has fetched."""
    if not event.outputs:
        return None
    settings: Settings = context.settings
    try:
        saved = save_all(
            event.outputs,
            Path(settings.directory),
            key="\n".join([context.idempotency_key, event.source, event.key]),
            max_bytes=settings.max_bytes,
            timeout=settings.download_timeout,
            allow_private=settings.allow_private,
            access=context.access,
        )
    except BlockingIOError:
        # An attempt that took too long goes on unheard.
        return Snooze(_STILL_AT_IT)
    except (AddressRefused, TooLarge) as error:
        return Cancel(f"[handlers.{context.handler}] {error}")
    return Done({"saved": [asdict(file) for file in saved]})
