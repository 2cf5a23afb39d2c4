"""An event as what is outside is told of it: whole, for programs, and as single texts by name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from receiver.clock import to_text
from receiver.models import Event, Job

METADATA = "metadata_"
"""What the names of the job's metadata begin with."""

_TEXTS: Mapping[str, Callable[[Event], object]] = {
    "event": lambda event: event.id,
    "source": lambda event: event.source,
    "type": lambda event: event.type,
    "kind": lambda event: event.kind,
    "job": lambda event: event.job_id,
    "status": lambda event: event.status,
    "raw_status": lambda event: event.raw_status,
    "error": lambda event: event.failure and event.failure.message,
    "error_code": lambda event: event.failure and event.failure.code,
    "output_url": lambda event: event.outputs[0].url if event.outputs else None,
    "output_count": lambda event: len(event.outputs),
}
NAMES = tuple(_TEXTS)
"""The names that `texts` gives for every event."""


def facts(event: Event, job: Job | None) -> dict[str, Any]:
    """The event in our words, ready for JSON, with the job's metadata; without the provider's own object."""
    return {
        "event_id": event.id,
        "source": event.source,
        "type": event.type,
        "kind": event.kind,
        "job": event.job_id,
        "status": event.status,
        "raw_status": event.raw_status,
        # With `authorized`, the URL opens only with the source's API key, which stays here.
        "outputs": [asdict(output) for output in event.outputs],
        "failure": asdict(event.failure) if event.failure else None,
        "metadata": dict(job.metadata) if job else {},
        "standing": event.standing,
        "trust": event.trust,
        "via": event.via,
        "occurred_at": _text(event.occurred_at),
        "recorded_at": _text(event.recorded_at),
    }


def texts(event: Event, job: Job | None) -> dict[str, str]:
    """Each fact as a text, by its name: `job`, `error_code`, `metadata_KEY`. What there is not is empty."""
    found = {name: told(event) for name, told in _TEXTS.items()}
    metadata = {f"{METADATA}{key}": value for key, value in (job.metadata if job else {}).items()}
    return {name: _written(value) for name, value in {**found, **metadata}.items()}


def _written(value: object) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(moment: datetime | None) -> str | None:
    return to_text(moment) if moment else None
