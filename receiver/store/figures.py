"""What the figures of a store look like: counts for people, metrics and alerts. Times are aware UTC."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from receiver.clock import from_text
from receiver.errors import Reason
from receiver.models import Status

if TYPE_CHECKING:
    from receiver.store.rows import Kept

NEWEST_ENDS = 200
"""Of how many ended jobs of each source the webhooks are judged."""
FEWEST_ENDS = 20
"""A share of fewer jobs says little."""
NEWEST_DELIVERIES = 10_000
"""Among how many deliveries the last webhook of a source is looked for."""
NEWEST_EVENTS = 10_000
"""How many events are looked at for how jobs ended lately."""
FEW_EVENTS = 10_000
"""Of a source with fewer, all are looked at for how its jobs ended; of one with more, only those among the newest."""
NEWEST_COUNTED = 30_000
"""How many events are counted by the minute."""
NEWEST_COSTS = 30_000
"""What so many jobs cost that ended last is summed."""

_MOMENTS = ("oldest_waiting_at", "oldest_overdue_at", "parked_until", "paused_at")
_SKEW = (Reason.TIMESTAMP_TOO_OLD, Reason.TIMESTAMP_TOO_NEW)
_SIGNATURE = (Reason.SIGNATURE_MISMATCH, Reason.MISSING_SIGNATURE, Reason.MALFORMED, Reason.NO_SUPPORTED_SIGNATURE)


@dataclass(frozen=True, kw_only=True)
class HandlerFigures:
    """How the dispatches of one handler stand."""

    handler: str
    waiting_count: int = 0
    oldest_waiting_at: datetime | None = None
    """Since when the one is due that waits longest; None if none is due."""
    running_count: int = 0
    dead_count: int = 0
    failure_count: int = 0
    """Attempts in a row that failed."""
    parked_until: datetime | None = None
    paused_at: datetime | None = None
    """Since when a person keeps it from running."""


@dataclass(frozen=True, kw_only=True)
class SourceFigures:
    """How the jobs and the quarantine of one source stand."""

    source: str
    open_count: int = 0
    overdue_count: int = 0
    """Open jobs whose poll is due."""
    oldest_overdue_at: datetime | None = None
    """Since when the one is due that waits longest."""
    quarantine_count: int = 0
    paused_at: datetime | None = None
    """Since when a person keeps its jobs from being asked about."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How everything stands now."""

    read_at: datetime
    """When that was, by the store's clock: what its times are to be compared with."""
    unrouted_count: int
    """Events that no worker has routed yet."""
    oldest_unrouted_at: datetime | None
    handlers: tuple[HandlerFigures, ...]
    """Those that have dispatches to do or dead ones, that fail or are paused; by name."""
    sources: tuple[SourceFigures, ...]
    """Those that have open jobs or a quarantine, or are paused; by name."""


@dataclass(frozen=True, kw_only=True)
class WebhookHealth:
    """Whether the webhooks of one source come, judged by its newest jobs that ended."""

    source: str
    ended_count: int = 0
    """How many jobs that is: at most `NEWEST_ENDS`."""
    missed_count: int = 0
    """Of how many of them the webhook never came."""
    missed_in_a_row: int = 0
    """Of how many since one came."""
    median_delay: timedelta | None = None
    """How much later a poll told it than the webhook, where both did; negative if the poll was first."""
    last_webhook_at: datetime | None = None
    indirect: bool = False
    """Its webhooks lead to polls, whose answers are the events: of which job none came is not known."""

    @property
    def missed_share(self) -> float | None:
        """From 0 to 1; None where it is not known."""
        return None if self.indirect or not self.ended_count else self.missed_count / self.ended_count

    @property
    def went_quiet(self) -> bool:
        """Whether webhooks came, and none for the last five jobs."""
        return self.came and not self.indirect and self.missed_in_a_row >= 5

    @property
    def came(self) -> bool:
        """Whether at least one came, as far back as is looked."""
        return self.last_webhook_at is not None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """How many deliveries of a source are in the quarantine for one reason, since some moment."""

    source: str
    reason: str
    count: int

    @property
    def skewed(self) -> bool:
        """Whether the time that was signed was too far from ours: one of the two clocks is wrong."""
        return self.reason in _SKEW

    @property
    def unproven(self) -> bool:
        """Whether the signature was missing or wrong."""
        return self.reason in _SIGNATURE


@dataclass(frozen=True, kw_only=True)
class EventCount:
    """How many events of one source and status were recorded in one minute."""

    minute: datetime
    """When the minute began."""
    source: str
    status: Status | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What jobs of one source, kind and outcome cost, as far as their provider says."""

    source: str
    kind: str
    status: Status
    job_count: int
    credits: float
    charged_count: int = 0
    """How many of them cost something and did not succeed."""


@dataclass(frozen=True, kw_only=True)
class Charged:
    """A job that cost something and did not succeed."""

    source: str
    job_id: str
    kind: str
    status: Status
    credits: float
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Who runs dispatches now."""

    worker: str
    """Its host and process, such as `studio-1:4711`; on Celery `celery:` and the id of the message."""
    running_count: int
    leased_until: datetime
    """When the lease of the first of them ends, which a worker that lives renews long before."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What a database says of itself."""

    version: str
    problems: tuple[str, ...] = ()
    complete: bool = True
    """Whether there was time for all of it."""


def figures_of(*, unrouted: "Sequence[Kept]", dispatches: "Iterable[Kept]", jobs: "Iterable[Kept]") -> Figures:
    """From rows that each tell some of the fields of a handler, or of a source."""
    [first] = unrouted
    return Figures(
        read_at=from_text(first["read_at"]),
        unrouted_count=first["unrouted_count"],
        oldest_unrouted_at=_moment(first["oldest_unrouted_at"]),
        handlers=tuple(HandlerFigures(**fields) for fields in _joined(dispatches, "handler")),
        sources=tuple(SourceFigures(**fields) for fields in _joined(jobs, "source")),
    )


def event_count_of(row: "Kept") -> EventCount:
    status = Status(row["status"]) if row["status"] is not None else None
    return EventCount(minute=from_text(row["minute"]), source=row["source"], status=status, count=row["count"])


def worker_of(row: "Kept") -> Worker:
    return Worker(worker=row["worker"], running_count=row["running_count"], leased_until=from_text(row["leased_until"]))


def health_of(source: str, ends: "Sequence[Kept]", webhooks: "Sequence[Kept]") -> WebhookHealth:
    """From the ends of its jobs, newest first, and webhooks: the last of all, the last hint and incomplete one."""
    indirect = _indirect(ends, webhooks)
    ends = _last_of_each(ends)
    missed = [row["webhook_at"] is None for row in ends]
    delays = [
        (from_text(row["poll_at"]) - from_text(row["webhook_at"])).total_seconds()
        for row in ends
        if row["poll_at"] is not None and row["webhook_at"] is not None
    ]
    came = [row["webhook_at"] for row in ends if row["webhook_at"] is not None]
    came += [row["received_at"] for row in webhooks]
    return WebhookHealth(
        source=source,
        ended_count=len(ends),
        missed_count=sum(missed),
        missed_in_a_row=missed.index(False) if False in missed else len(missed),
        median_delay=timedelta(seconds=median(delays)) if delays else None,
        last_webhook_at=from_text(max(came)) if came else None,
        indirect=indirect,
    )


def _indirect(ends: "Sequence[Kept]", webhooks: "Sequence[Kept]") -> bool:
    """Whether a webhook that only leads to a poll came after the last one that told an end itself."""
    led = [row["received_at"] for row in webhooks if row["verdict"] in ("hint", "incomplete")]
    told = [row["webhook_at"] for row in ends if row["webhook_at"] is not None]
    if not told and len(ends) >= NEWEST_ENDS:
        # Before them one may have told an end, and since then none came at all.
        told = [row["poll_at"] for row in ends if row["poll_at"] is not None][-1:]
    return bool(led) and max(led) > max(told, default="")


def spending_of(row: "Kept") -> Spending:
    return Spending(**{**dict(row), "status": Status(row["status"])})


def charged_of(row: "Kept") -> Charged:
    told = {"status": Status(row["status"]), "finished_at": from_text(row["finished_at"])}
    return Charged(**{**dict(row), **told})


def _last_of_each(ends: "Iterable[Kept]") -> "list[Kept]":
    """Of each job the last of its ends, which come newest first: what failed may have succeeded after all."""
    last: dict[tuple[str, str], Kept] = {}
    for row in ends:
        last.setdefault((row["source"], row["job_id"]), row)
    return list(last.values())


def _joined(rows: "Iterable[Kept]", name: str) -> list[dict[str, Any]]:
    """The fields that the rows tell of each thing of that name, in its order."""
    things: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        told = {key: _moment(row[key]) if key in _MOMENTS else row[key] for key in row.keys()}  # noqa: SIM118
        things[row[name]].update(told)
    return [things[key] for key in sorted(things)]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)
