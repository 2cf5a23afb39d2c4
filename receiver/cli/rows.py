"""Events and jobs as the rows that commands print."""

from datetime import datetime

from receiver.clock import to_text
from receiver.models import Event, Job
from receiver.store.base import Row


def event_row(event: Event) -> Row:
    """An event as `receiver events --json` prints it."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "job": event.job_id,
        "kind": event.kind,
        "status": event.status,
        "raw_status": event.raw_status,
        "standing": event.standing,
        "trust": event.trust,
        "via": event.via,
        "occurred_at": _text(event.occurred_at),
        "recorded_at": _text(event.recorded_at),
        "outputs": [{"url": output.url, "authorized": output.authorized} for output in event.outputs],
        "failure": event.failure and [event.failure.message, event.failure.code],
        "key": event.key,
        "data": event.data,
    }


def job_row(job: Job) -> Row:
    """A job as `receiver jobs --json` prints it."""
    return {
        "source": job.source,
        "job": job.job_id,
        "kind": job.kind,
        "status": job.status,
        "raw_status": job.raw_status,
        "progress": job.progress,
        "step": job.step,
        "created_at": _text(job.created_at),
        "deadline_at": _text(job.deadline_at),
        "next_poll_at": _text(job.next_poll_at),
        "finished_at": _text(job.finished_at),
        "poll_count": job.poll_count,
        "error_count": job.error_count,
        "last_error": job.last_error,
        "reference": job.reference,
        "metadata": job.metadata,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)
