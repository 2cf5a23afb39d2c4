"""Save the results of finished jobs before their URLs expire, each in a file named by the hash of its content.

Beside each file, `<sha256>.provenance.json` says where it came from. A retry goes on where the attempt before it
stopped. Nothing a provider says becomes a path, but for a short extension.
"""

import fcntl
import json
import os
import tempfile
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from receiver import Cancel, Context, Done, Event, HandlerSettings, Router, Snooze, clock
from receiver.config import Duration, Size
from receiver.errors import AddressRefused, TooLarge
from receiver.outbound.resumable import Saved, save_all

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
    provenance: bool = True
    """Whether to write beside each file where it came from: `<sha256>.provenance.json`, with the job's metadata."""


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
            kind=event.kind,
            saved=partial(_note, event, context) if settings.provenance else None,
        )
    except BlockingIOError:
        # An attempt that took too long goes on unheard.
        return Snooze(_STILL_AT_IT)
    except (AddressRefused, TooLarge) as error:
        return Cancel(f"{context.table} {error}")
    return Done({"saved": [asdict(file) for file in saved]})


def _note(event: Event, context: Context, file: Saved) -> None:
    """Write where a file came from, beside it; other origins of the same content stay, and so does this one."""
    directory = Path(context.settings.directory)
    path = directory / f"{file.sha256}.provenance.json"
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Other jobs may have made the same content, at the same time.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        origins = _origins(path)
        if origins is None:
            context.log.warning("provenance not written: its place is taken", extra={"file": path.name})
            return
        known = [(origin.get("source"), origin.get("key"), origin.get("url")) for origin in origins]
        if (event.source, event.key, file.url) in known:
            return
        _replace(path, {**_facts(file), "origins": [*origins, _origin(event, context, file)]})
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _origins(path: Path) -> list[dict[str, Any]] | None:
    """Those written so far; None if what is there is something else."""
    try:
        origins = json.loads(path.read_bytes())["origins"]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    ours = isinstance(origins, list) and all(isinstance(origin, dict) for origin in origins)
    return origins if ours else None


def _facts(file: Saved) -> dict[str, Any]:
    return {"sha256": file.sha256, "bytes": file.bytes, "content_type": file.content_type}


def _origin(event: Event, context: Context, file: Saved) -> dict[str, Any]:
    return {
        "source": event.source,
        "job": event.job_id,
        "kind": event.kind,
        "event": event.id,
        "key": event.key,
        "url": file.url,
        "fetched_at": clock.now().isoformat(),
        "metadata": dict(context.job.metadata) if context.job else {},
    }


def _replace(path: Path, facts: dict[str, Any]) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent / ".partial", delete=False) as file:
        file.write(json.dumps(facts, indent=2).encode())
        file.flush()
        os.fchmod(file.fileno(), 0o640)
        os.fsync(file.fileno())
    os.replace(file.name, path)
