"""What a person should know of: looked for once a minute, told once for each cause, and once when it is over."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from receiver import clock
from receiver.config import AlertsConfig, HandlerConfig, runs
from receiver.errors import ConfigError, RequestFailed, StoreUnavailable
from receiver.inbox import Source
from receiver.models import Alert
from receiver.outbound import people
from receiver.store import Store
from receiver.store.figures import FEWEST_ENDS, Figures, HandlerFigures, Refused, SourceFigures, WebhookHealth

_log = logging.getLogger(__name__)

_EVERY = timedelta(minutes=1)
_LOOK_EVERY = 10.0
# What comes and goes is told as one.
_CALM = timedelta(minutes=5)
# All URLs together: the next turn, which another node may take, begins when that is over.
_TELL_WITHIN = timedelta(seconds=30)
_SKEW_SINCE = timedelta(minutes=15)
_REFUSED_SINCE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be told: alerts that began, and alerts that are over."""

    found_at: datetime
    """By the store's clock."""
    begun: tuple[Alert, ...]
    ended: tuple[Alert, ...]

    def __bool__(self) -> bool:
        return bool(self.begun or self.ended)


def check(config: AlertsConfig) -> None:
    """Refuse settings by which nobody could be told.

    Raises:
        ConfigError: a URL is wrong, or the extra is not installed.
    """
    try:
        if config.urls:
            people.check_urls(url.get_secret_value() for url in config.urls)
    except ValueError as error:
        raise ConfigError(f"alerts.urls: {error}") from None


def firing(
    store: Store, sources: Mapping[str, Source], handlers: Mapping[str, HandlerConfig], config: AlertsConfig
) -> dict[str, str]:
    """What is wrong now: a line for people by cause. What waits for handlers that are switched off may wait.

    Raises:
        StoreUnavailable: nobody knows.
    """
    return dict(_causes(store, store.figures(), sources, handlers, config))


def watch(
    store: Store,
    sources: Mapping[str, Source],
    handlers: Mapping[str, HandlerConfig],
    config: AlertsConfig,
    stopped: threading.Event,
) -> None:
    """Look once a minute and tell people, until stopped. Of all who do this with one store, one has the turn."""
    while not stopped.is_set():
        try:
            if store.claim_turn("alerts", every=_EVERY):
                _look(store, sources, handlers, config)
        except StoreUnavailable as error:
            _log.warning("alerts are not looked for; trying again later", extra={"error": str(error)})
        except Exception:
            # Nobody else would go on with it.
            _log.exception("alerts are not looked for; trying again later")
        stopped.wait(_LOOK_EVERY)


def _look(
    store: Store, sources: Mapping[str, Source], handlers: Mapping[str, HandlerConfig], config: AlertsConfig
) -> None:
    figures = store.figures()
    wrong = dict(_causes(store, figures, sources, handlers, config))
    tell(store, update(store, wrong, figures.read_at), config)


def update(store: Store, wrong: Mapping[str, str], now: datetime) -> Changes:
    """Keep what is wrong and what no longer is. Returns what nobody was told of yet. `now` is by the store's clock."""
    known = {alert.cause: alert for alert in store.alerts()}
    alerts = [
        replace(known.get(cause, Alert(cause=cause, summary=summary, since=now)), summary=summary, over_at=None)
        for cause, summary in wrong.items()
    ]
    alerts += [replace(alert, over_at=alert.over_at or now) for cause, alert in known.items() if cause not in wrong]
    for alert in alerts:
        if alert != known.get(alert.cause):
            store.keep_alert(alert)
        if alert.cause not in known:
            _log.warning("alert", extra={"cause": alert.cause, "summary": alert.summary})
    return Changes(
        found_at=now,
        begun=tuple(alert for alert in alerts if alert.told_at is None and alert.over_at is None),
        ended=tuple(alert for alert in alerts if alert.over_at is not None and now - alert.over_at >= _CALM),
    )


def tell(store: Store, changes: Changes, config: AlertsConfig) -> None:
    """Tell everybody, in one text, and note it; if that reached nobody at all, the next look tells it again."""
    ended = [alert for alert in changes.ended if alert.told_at is not None]
    if (changes.begun or ended) and not _told(config, *_text(changes.begun, ended)):
        return
    for alert in changes.begun:
        store.keep_alert(replace(alert, told_at=changes.found_at))
    for alert in changes.ended:
        store.drop_alert(alert.cause)
        _log.info("alert is over", extra={"cause": alert.cause})


def _told(config: AlertsConfig, title: str, body: str) -> bool:
    """Whether it has reached somebody, if there is anybody to tell."""
    reached, ends_at = 0, time.monotonic() + _TELL_WITHIN.total_seconds()
    for number, url in enumerate(config.urls, start=1):
        # One that is slow leaves less for those after it, but always something.
        within = timedelta(seconds=max(ends_at - time.monotonic(), 1)) / (len(config.urls) - number + 1)
        try:
            people.tell(url.get_secret_value(), title, body, kind="warning", within=within)
            reached += 1
        except (RequestFailed, ValueError) as error:
            _log.warning("an alert did not arrive", extra={"url": number, "error": str(error)})
    return reached > 0 or not config.urls


def _text(begun: Sequence[Alert], ended: Sequence[Alert]) -> tuple[str, str]:
    lines = [alert.summary for alert in begun] + [f"over: {alert.summary}" for alert in ended]
    title = f"Receiver: {begun[0].cause if begun else f'{ended[0].cause} is over'}"
    return (title if len(lines) == 1 else f"{title} and {len(lines) - 1} more"), "\n".join(lines)


# What is wrong


def _causes(
    store: Store,
    figures: Figures,
    sources: Mapping[str, Source],
    handlers: Mapping[str, HandlerConfig],
    config: AlertsConfig,
) -> Iterator[tuple[str, str]]:
    now = figures.read_at
    if _older(figures.oldest_unrouted_at, config.backlog_age, now):
        count = figures.unrouted_count
        yield "backlog", f"{count} events wait to be routed: does `receiver work` run?"
    for handler in figures.handlers:
        yield from _of_handler(handler, runs(handler.handler, handlers), config, now)
    for source in figures.sources:
        yield from _of_jobs(source, sources.get(source.source), store, config, now)
    for health in store.webhook_health(sources):
        yield from _of_webhooks(health, sources[health.source], config)
    yield from _of_refusals(store, config)


def _of_handler(
    handler: HandlerFigures, switched_on: bool, config: AlertsConfig, now: datetime
) -> Iterator[tuple[str, str]]:
    name = handler.handler
    if handler.dead_count >= config.dead_letters:
        yield (
            f"dead-letters {name}",
            f"{name} has {handler.dead_count} dead letters: see `receiver dispatches --state dead --handler {name}`",
        )
    if not switched_on:
        return
    if handler.parked_until is not None:
        yield (
            f"parked {name}",
            f"{name} is parked after {handler.failure_count} failures in a row; its dispatches wait: "
            f"see `receiver routes`",
        )
    elif handler.paused_at is None and _older(handler.oldest_waiting_at, config.backlog_age, now):
        yield (
            f"backlog {name}",
            f"{handler.waiting_count} dispatches wait for {name}, the oldest longer than "
            f"{_words(config.backlog_age)}: do enough workers run?",
        )


def _of_jobs(
    figures: SourceFigures, source: Source | None, store: Store, config: AlertsConfig, now: datetime
) -> Iterator[tuple[str, str]]:
    if source is None or not source.askable or figures.paused_at is not None:
        return
    if not _older(figures.oldest_overdue_at, config.backlog_age, now):
        return
    name, waiting = figures.source, f"{figures.overdue_count} jobs of {figures.source} wait to be asked about"
    if source.requests_left(store) == 0:
        yield f"budget {name}", f"{waiting}, and its request budget is spent: raise sources.{name}.budget if you may"
    else:
        yield f"overdue {name}", f"{waiting}: does `receiver reconcile` run, and does the provider answer?"


def _of_webhooks(health: WebhookHealth, source: Source, config: AlertsConfig) -> Iterator[tuple[str, str]]:
    # One cause for both, for at some shares of missed webhooks now this is so and now that.
    cause, name, share = f"webhooks {health.source}", health.source, health.missed_share
    if health.went_quiet:
        yield (
            cause,
            f"no webhook came for the last {health.missed_in_a_row} jobs of {name}: "
            f"is the callback URL right, and can its provider reach it?",
        )
    elif (
        share is not None
        and share >= config.missed_share
        and health.ended_count >= FEWEST_ENDS
        and (health.came or source.expects_webhooks)
    ):
        yield (
            cause,
            f"the webhooks of {health.missed_count} of the last {health.ended_count} jobs of {name} never came",
        )


def _of_refusals(store: Store, config: AlertsConfig) -> Iterator[tuple[str, str]]:
    # Nodes write by their own clocks when they refused: by the store's, one that is far behind would find none of its.
    now = clock.now()
    skewed = [found for found in store.count_refused(since=now - _SKEW_SINCE) if found.skewed]
    for name, count in _by_source(skewed).items():
        if count >= config.skewed:
            yield (
                f"clock {name}",
                f"{count} webhooks of {name} were signed too long ago or in the future: is this machine's clock right?",
            )
    others = [found for found in store.count_refused(since=now - _REFUSED_SINCE) if not found.skewed]
    for name, count in _by_source(others).items():
        if count >= config.refused:
            yield (
                f"quarantine {name}",
                f"{count} deliveries of {name} were refused within an hour: see `receiver deliveries --rejected`",
            )


def _by_source(refused: Sequence[Refused]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for found in refused:
        counts[found.source] = counts.get(found.source, 0) + found.count
    return counts


def _older(since: datetime | None, age: timedelta, now: datetime) -> bool:
    return since is not None and now - since > age


def _words(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes} min" if minutes and not seconds else f"{minutes * 60 + seconds} s"
