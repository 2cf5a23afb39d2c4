"""An event as programs outside are told of it."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from receiver.clock import to_text
from receiver.models import Event, Job


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


def _text(moment: datetime | None) -> str | None:
    return to_text(moment) if moment else None
