"""Whether an installation is sound: each thing that is looked at, what was found, and what to do about it."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from receiver import alerts, clock
from receiver.config import Config
from receiver.engine import open_engine
from receiver.errors import ConfigError, KeyMissing, RequestFailed, StoreUnavailable
from receiver.inbox import Source
from receiver.models import Response
from receiver.outbound import ProviderClient
from receiver.routing import Handler
from receiver.store import Store, sqlite_file
from receiver.store.figures import Worker

_EXAMINE_WITHIN = timedelta(seconds=10)
# A loop looks for alerts every minute; without one, cron should make a pass as often.
_LONGEST_SILENCE = timedelta(minutes=3)
_SHORTEST_SECRET = 16
# Those of the README and of providers' documentation.
_SAMPLES = frozenset(
    [
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "your-webhook-secret",
        "your_webhook_secret",
        "demo-signing-secret",
        "changeme",
        "change-me",
        "password",
        "secret",
        "test",
        "try-me",
    ]
)
_LITTLE_SPACE, _NO_SPACE = 2**30, 100 * 2**20
_ODD_CLOCK, _WRONG_CLOCK = timedelta(seconds=30), timedelta(minutes=2)
# Most senders give up after ten seconds or more.
_LONGEST_COMMIT = timedelta(seconds=10)


class State(StrEnum):
    """How grave it is."""

    OK = "ok"
    ODD = "odd"
    """It works, but a person should look at it."""
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    about: str
    state: State
    text: str
    """What was found, and what to do if it is not as it should be."""


def examine(
    config: Config, sources: Mapping[str, Source], handlers: Sequence[Handler], store: Store
) -> Iterator[Finding]:
    """Everything that can be told without asking a provider.

    Raises:
        StoreUnavailable: the store cannot be read any more.
    """
    for source in sources.values():
        yield from _secrets(source)
    yield from _limits(config, handlers)
    yield from _alerts(config)
    yield from _disk(config)
    yield from _store(store)
    yield from _seal(config, store)
    trouble = open_engine(config, store, handlers, sources).health()
    if trouble is not None:
        yield Finding(f"engine {config.engine}", State.WRONG, trouble)
    yield from _processes(store, config, handlers)
    wrong = alerts.firing(store, sources, config.handlers, config.alerts)
    yield from (Finding("figures", State.WRONG, summary) for summary in wrong.values())
    if not wrong:
        yield Finding("figures", State.OK, "no dead letters, nothing waits for too long, webhooks come as they should")


def ask(source: Source, client: ProviderClient) -> Iterator[Finding]:
    """Whether the provider accepts the API key, and how its clock differs from ours."""
    about, provider = f"source {source.name}", source.provider
    requests = provider.check()
    if not provider.polls:
        yield Finding(about, State.OK, "its webhooks are all there is")
        return
    if not requests or provider.api_key is None:
        yield Finding(about, State.OK, "no API key; jobs that nobody calls back about will expire unasked")
        return
    dates = list[str]()

    def read(response: Response) -> None:
        dates.append(response.headers.get("date", ""))
        provider.checked(response)

    try:
        client.first(provider, requests, read)
    except RequestFailed as error:
        told = source.masked(str(error))
        yield Finding(about, State.WRONG, f"{told}; check sources.{source.name}.api_key and base_url")
    else:
        yield Finding(about, State.OK, "the API key is accepted")
    yield from _clock(about, dates[-1:], clock.now())


def _clock(about: str, dates: Iterable[str], now: datetime) -> Iterator[Finding]:
    for date in dates:
        try:
            apart = abs(now - parsedate_to_datetime(date))
        except (TypeError, ValueError):
            return
        seconds = f"its clock is {apart.total_seconds():.0f} s off ours"
        if apart > _WRONG_CLOCK:
            yield Finding(
                about, State.WRONG, f"{seconds}: signatures will seem stale; let NTP set this machine's clock"
            )
        elif apart > _ODD_CLOCK:
            yield Finding(about, State.ODD, f"{seconds}; let NTP set this machine's clock")


def _secrets(source: Source) -> Iterator[Finding]:
    for number, secret in enumerate(source.provider.secrets):
        key = f"sources.{source.name}.secrets[{number}]"
        if secret.lower() in _SAMPLES or secret in _SAMPLES:
            yield Finding(key, State.WRONG, "is a sample that everybody knows: take the provider's, or a random one")
        elif len(secret) < _SHORTEST_SECRET:
            yield Finding(key, State.ODD, f"is shorter than {_SHORTEST_SECRET} characters, so it could be guessed")
        else:
            yield Finding(key, State.OK, "is there")


def _limits(config: Config, handlers: Sequence[Handler]) -> Iterator[Finding]:
    before = []
    if config.commit_timeout > _LONGEST_COMMIT:
        text = f"commit_timeout is over {_LONGEST_COMMIT.total_seconds():.0f} s: senders may have given up by then"
        before.append(Finding("limits", State.ODD, text))
    for handler in handlers:
        for name, limit in _own_limits(handler.settings):
            if limit >= handler.timeout:
                text = f"is not below {handler.name}'s timeout, which would end the attempt first: raise that"
                before.append(Finding(f"handlers.{handler.name}.{name}", State.ODD, text))
    yield from before or [Finding("limits", State.OK, "time limits fit each other")]


def _own_limits(settings: BaseModel | None) -> Iterator[tuple[str, timedelta]]:
    for name in type(settings).model_fields if settings is not None else ():
        value = getattr(settings, name)
        if name.endswith("_timeout") and isinstance(value, timedelta):
            yield name, value


def _alerts(config: Config) -> Iterator[Finding]:
    try:
        alerts.check(config.alerts)
    except ConfigError as error:
        yield Finding("alerts.urls", State.WRONG, str(error))
        return
    if config.alerts.urls:
        yield Finding("alerts.urls", State.OK, f"{len(config.alerts.urls)} to tell")
    else:
        yield Finding("alerts.urls", State.ODD, "is empty: when something is wrong, only the log says so")


def _disk(config: Config) -> Iterator[Finding]:
    file = sqlite_file(config)
    if file is None:
        return
    folder = file.resolve().parent
    size = sum(part.stat().st_size for part in (file, Path(f"{file}-wal")) if part.exists())
    free = shutil.disk_usage(folder).free
    text = f"{_size(free)} free for a store of {_size(size)}"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", State.WRONG, f"{folder} may not be written by this user")
    elif free < _NO_SPACE:
        yield Finding("disk", State.WRONG, f"{text}: make room, or deliveries will be answered 503")
    elif free < max(_LITTLE_SPACE, size // 10):
        yield Finding("disk", State.ODD, f"{text}: make room, or set [retention] to keep less")
    else:
        yield Finding("disk", State.OK, text)


def _store(store: Store) -> Iterator[Finding]:
    try:
        store.prove()
    except StoreUnavailable as error:
        yield Finding("store", State.WRONG, str(error))
    examined = store.examine(within=_EXAMINE_WITHIN)
    for problem in examined.problems:
        yield Finding("store", State.WRONG, f"{examined.version}: {problem}")
    if not examined.problems:
        part = "" if examined.complete else f", as far as {_EXAMINE_WITHIN.total_seconds():.0f} s reach"
        yield Finding("store", State.OK, f"{examined.version}: it commits, and is sound{part}")


def _seal(config: Config, store: Store) -> Iterator[Finding]:
    try:
        store.require_keys()
    except KeyMissing as error:
        yield Finding("seal_keys", State.WRONG, str(error).removeprefix("seal_keys: "))
    else:
        if config.seal_keys:
            yield Finding("seal_keys", State.OK, "open everything that is sealed")


def _processes(store: Store, config: Config, handlers: Sequence[Handler]) -> Iterator[Finding]:
    now = store.now()
    for worker in store.workers():
        yield _worker(worker, now)
    lately = {name for name, taken_at in store.last_turns().items() if now - taken_at <= _LONGEST_SILENCE}
    if "alerts" in lately:
        yield Finding("reconcile", State.OK, "its loop runs")
    elif any(name.startswith("reconcile:") for name in lately):
        text = "single passes are made; for alerts start `receiver serve`, or `receiver reconcile --every 2s`"
        yield Finding("reconcile", State.ODD, text)
    else:
        yield Finding(
            "reconcile",
            State.WRONG if config.sources else State.ODD,
            "its loop does not run: nobody asks about open jobs, and no alert is told; start `receiver serve`",
        )
    names = {handler.name for handler in handlers}
    for name, count in store.waiting().items():
        if name not in names:
            yield Finding(f"handler {name}", State.ODD, f"is not configured, and {count} dispatches wait for it")


def _worker(worker: Worker, now: datetime) -> Finding:
    about, running = f"worker {worker.worker}", f"{worker.running_count} dispatches"
    if worker.leased_until < now:
        return Finding(about, State.ODD, f"went silent in the middle of {running}; another worker will run them again")
    return Finding(about, State.OK, f"runs {running}")


def _size(count: int) -> str:
    if count < 2**30:
        return f"{count / 2**20:.0f} MiB"
    return f"{count / 2**30:.1f} GiB"
