"""An event as the CloudEvent that leaves us, whichever way it goes.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from typing import Any

from receiver import clock
from receiver.facts import facts
from receiver.models import Event, Job

CONTENT_TYPE = "application/cloudevents+json"


def cloud_event(event: Event, job: Job | None, *, include_data: bool) -> dict[str, Any]:
    """The event in CloudEvents' words; its `data` is the event in ours, and `data.data` what the provider said."""
    attributes = {
        "specversion": "1.0",
        # Not the dispatch's key: a replay tells the same fact.
        "id": event.key,
        "source": event.source,
        "type": event.type,
        "subject": event.job_id,
        "time": clock.to_text(moment) if (moment := event.occurred_at or event.recorded_at) else None,
        "datacontenttype": "application/json",
    }
    data = facts(event, job)
    if include_data:
        data["data"] = dict(event.data)
    return {**{name: value for name, value in attributes.items() if value}, "data": data}
