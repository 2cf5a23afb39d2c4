"""ElevenLabs: signed notices of calls, transcriptions and voices. There are no jobs to ask about.

https://elevenlabs.io/docs/product-guides/administration/webhooks
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from receiver.errors import Unreadable
from receiver.models import Delivery, Event, Failure, Status
from receiver.providers.base import Provider
from receiver.providers.values import json_object, sentence, unix_moment, word
from receiver.signatures import SCHEMES


class ElevenLabs(Provider):
    name = "elevenlabs"
    polls = False
    scheme = SCHEMES["elevenlabs"]
    statuses = {"done": Status.SUCCEEDED, "failed": Status.FAILED}
    notice = "post_call_transcription"
    kinds = {}

    def parse(self, delivery: Delivery) -> list[Event]:
        body = json_object(delivery.body)
        named = word(body.get("type"))
        if named is None:
            raise Unreadable("it has no type")
        data = body["data"] if isinstance(body.get("data"), dict) else {}
        raw_status = word(data.get("status"))
        status = self.fold(raw_status) if raw_status else Status.SUCCEEDED
        return [
            Event(
                source=delivery.source,
                # The envelope has no id, and what is sent again is sent as it was.
                key=hashlib.sha256(delivery.body).hexdigest(),
                type=named,
                data=body,
                status=status,
                raw_status=raw_status,
                failure=_failure(data) if status is Status.FAILED else None,
                occurred_at=unix_moment(body.get("event_timestamp")),
            )
        ]


def _failure(data: Mapping[str, Any]) -> Failure:
    return Failure(sentence(data.get("failure_reason")) or "no reason given")
