"""Write every event to standard output, as one line of JSON: something to pipe, and the smallest handler there is."""

import json
import sys
from dataclasses import asdict

from receiver import Event, Router
from receiver.clock import to_text
from receiver.outbound import without_query

router = Router()


@router.on()
def log(event: Event) -> None:
    """Say what happened, and nothing that opens a result: signed URLs end where their query begins."""
    line = {
        "event_id": event.id,
        "source": event.source,
        "type": event.type,
        "kind": event.kind,
        "job": event.job_id,
        "status": event.status,
        "trust": event.trust,
        "via": event.via,
        "outputs": [without_query(output.url) for output in event.outputs],
        "failure": asdict(event.failure) if event.failure else None,
        "occurred_at": to_text(event.occurred_at) if event.occurred_at else None,
        "recorded_at": to_text(event.recorded_at) if event.recorded_at else None,
    }
    # One write, so that the lines of several threads stay whole.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
