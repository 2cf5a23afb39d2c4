"""What the routes of the admin side need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import current_app, g

from receiver.admin.scrapers import Scrapers
from receiver.admin.stream import Stream
from receiver.admin.tries import Tries
from receiver.config import Config
from receiver.inbox import Source
from receiver.receiver import Receiver
from receiver.routing import Handler
from receiver.store import Store

NAME = "receiver.admin"


@dataclass(frozen=True)
class Admin:
    """`app.extensions["receiver.admin"]`."""

    config: Config
    sources: Mapping[str, Source]
    handlers: Sequence[Handler]
    store: Store
    receiver: Receiver
    tries: Tries
    scrapers: Scrapers
    stream: Stream

    @property
    def secure(self) -> bool:
        """Whether people reach it by https."""
        return (self.config.admin.public_url or "").startswith("https://")


def admin() -> Admin:
    """That of the app that answers."""
    found: Admin = current_app.extensions[NAME]
    return found


def now() -> datetime:
    """What the store's clock says, read once for a request."""
    if "now" not in g:
        g.now = admin().store.now()
    told: datetime = g.now
    return told
