"""The configuration: one file, overruled by the environment, merged once and then frozen."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from receiver.errors import ConfigError
from receiver.models import Status
from receiver.units import Duration, RequestBudget, Several, Size

DEFAULT_FILE = "receiver.toml"

_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
QUEUE_NAME = r"^[A-Za-z0-9_.:-]{1,127}$"
_REFERENCE = re.compile(r"\$\{(?P<file>file:)?(?P<name>[^}]*)\}")


def _is_plain_url(text: str) -> bool:
    """Whether it is a URL of the web without a user name, a query or a fragment."""
    try:
        parts = urlsplit(text)
        # Raises for a port that is none.
        port = parts.port
    except ValueError:
        return False
    plain = re.fullmatch(r"https?://[^/@?#]+(/[^@?#]*)?", text) and text.isprintable() and " " not in text
    return bool(plain and parts.hostname and port != 0)


def _is_key(text: str) -> bool:
    """Whether it is 32 bytes as base64, in either alphabet."""
    return re.fullmatch(r"[A-Za-z0-9+/_-]{43}=", text) is not None


def _address_and_port(bind: str) -> str:
    port = bind.rpartition(":")[2]
    if not re.fullmatch(r"[^\s:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", bind) or int(port) > 65535:
        raise ValueError('write an address and a port, such as "127.0.0.1:8080" or "[::1]:8080"')
    return bind


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SourceConfig(BaseModel):
    """`[sources.NAME]`: one configured instance of a provider. Other keys than those below are the adapter's own."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    provider: str
    """Which adapter speaks its dialect."""
    secrets: Several[SecretStr] = ()
    """Signing secrets. Several may be live at once, so that they can be changed without losing a delivery."""
    unsigned: bool = False
    """Take webhooks without a signature. They are only hints: each leads to a poll, and the poll is believed."""
    api_key: SecretStr | None = None
    """The key for the provider's API. Without it, nothing can be polled."""
    base_url: str | None = None
    """Where the API lives, if not where the provider's own is."""
    budget: RequestBudget | None = None
    """The most polls and create calls in a span of time. Unset, the provider's own limits apply."""
    deadline: Duration | None = None
    """How long a job may take before it expires. Unset, it depends on the provider and the kind of job."""

    @property
    def own_settings(self) -> dict[str, Any]:
        """The keys that are for the adapter itself."""
        return dict(self.__pydantic_extra__ or {})

    @field_validator("secrets")
    @classmethod
    def _no_empty_secret(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(secret.get_secret_value() for secret in secrets):
            raise ValueError("a secret is empty; anybody could sign with it")
        return secrets

    @field_validator("api_key")
    @classmethod
    def _no_empty_key(cls, api_key: SecretStr | None) -> SecretStr | None:
        if api_key is not None and not api_key.get_secret_value():
            raise ValueError("is empty; leave the key out if there is none")
        return api_key

    @field_validator("base_url")
    @classmethod
    def _http(cls, base_url: str | None) -> str | None:
        if base_url is not None and not re.match(r"https?://[^/@]+(/[^@]*)?$", base_url):
            raise ValueError("must begin with https:// or http://, and hold no user name or password")
        return base_url


class HandlerConfig(BaseModel):
    """`[handlers.NAME]`: a handler that is switched on. Keys that are not below are the handler's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    path: str | None = None
    """The Python file it is in, relative to the configuration file."""
    module: str | None = None
    """The dotted module it is in, installed or beside the configuration file.

    Without a path or a module, NAME is looked up among the installed handlers.
    """
    enabled: bool = True
    """Whether new events are routed to it. Dispatches that exist are kept."""
    source: str = "*"
    """Only events of this source or provider; `*` stands for any text."""
    type: str = "*"
    """Only events of this type; `*` stands for any text."""
    status: Several[Status] = ()
    """Only events with one of these statuses."""
    kind: Several[str] = ()
    """Only events of one of these kinds of job."""
    max_attempts: int = Field(default=12, ge=1, le=1000)
    """How often a dispatch is tried before it becomes a dead letter."""
    timeout: Duration = timedelta(minutes=5)
    """How long one attempt may take."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """How many of its dispatches one worker runs at once."""
    first_wait: Duration = timedelta(seconds=5)
    """How long to wait after the first failed attempt; the wait doubles with each."""
    longest_wait: Duration = timedelta(hours=1)
    """The longest wait between two attempts."""
    limit: RequestBudget | None = None
    """The most attempts in a span of time, such as `"10/s"`, whatever the number of workers."""
    park_after: int = Field(default=10, ge=1, le=1000)
    """After so many failures in a row its dispatches are parked: no attempts are spent, one is tried now and then."""

    isolated: bool = False
    """Whether each attempt runs in a process of its own, which takes half a second to start and can be killed."""
    queue: str | None = Field(default=None, pattern=QUEUE_NAME)
    """With `engine = "celery"`: the queue of its dispatches, if not that of all others."""

    @property
    def own_settings(self) -> dict[str, Any]:
        """The keys that are for the handler itself."""
        return dict(self.__pydantic_extra__ or {})


def runs(handler: str, handlers: Mapping[str, HandlerConfig]) -> bool:
    """Whether the handler is switched on: it has the name of its table, and a module's function follows a dot."""
    table = handlers.get(handler.partition(".")[0])
    return table is not None and table.enabled


class WebConfig(_Table):
    """`[web]`: the endpoint that providers post to."""

    bind: str = "127.0.0.1:8080"
    """The address and port to listen on."""
    workers: int = Field(default=2, ge=1, le=64)
    """How many processes answer."""
    connections: int = Field(default=900, ge=1, le=10_000)
    """How many connections each of them holds at once; others wait. For more than 900 raise `ulimit -n`."""
    max_body: Size = 2**20
    """The largest body accepted."""
    body_timeout: Duration = timedelta(seconds=10)
    """How long a sender may take for the body of a request."""

    @field_validator("bind")
    @classmethod
    def _listens(cls, bind: str) -> str:
        return _address_and_port(bind)


class AdminConfig(_Table):
    """`[admin]`: the page and the API for people who run it. Nothing is answered there without a token."""

    enabled: bool = True
    """Whether `receiver serve` runs it."""
    bind: str = "127.0.0.1:8081"
    """The address and port to listen on, apart from those that providers post to."""
    threads: int = Field(default=8, ge=2, le=64)
    """How many requests it answers at once; half of them may be streams."""
    public_url: str | None = None
    """Where people reach it, such as `https://admin.example.com`, if a proxy stands before it."""

    @field_validator("bind")
    @classmethod
    def _listens(cls, bind: str) -> str:
        return _address_and_port(bind)

    @field_validator("public_url")
    @classmethod
    def _origin(cls, public_url: str | None) -> str | None:
        if public_url is not None and not (_is_plain_url(public_url) and urlsplit(public_url).path in ("", "/")):
            raise ValueError('write where people reach it, without a path, such as "https://admin.example.com"')
        return public_url and public_url.rstrip("/")


class WorkerConfig(_Table):
    """`[worker]`: the process that runs handlers."""

    lease: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=60)
    """How long a dispatch stays with a worker that went silent, before another may take it."""
    drain: Duration = timedelta(seconds=30)
    """How long to wait for running handlers when asked to stop."""


class CeleryConfig(_Table):
    """`[celery]`: the Celery cluster that runs the handlers, with `engine = "celery"`."""

    broker: SecretStr | None = None
    """RabbitMQ: `amqp://USER:PASSWORD@HOST/VHOST`, or `amqps://`."""
    queue: str = Field(default="receiver", pattern=QUEUE_NAME)
    """The queue of all handlers that name none of their own."""

    @field_validator("broker")
    @classmethod
    def _amqp(cls, broker: SecretStr | None) -> SecretStr | None:
        if broker is not None and not re.match(r"amqps?://[^/\s]", broker.get_secret_value()):
            raise ValueError('write "amqp://USER:PASSWORD@HOST/VHOST"')
        return broker


class ReconcileConfig(_Table):
    """`[reconcile]`: the loop that asks about jobs nobody called back about."""

    every: Duration = timedelta(seconds=2)
    """How often `receiver serve` looks for jobs that are due; each job has its own, longer interval."""


class QuarantineConfig(_Table):
    """`[quarantine]`: the bounded space for what anybody may send: refused deliveries, and hints likewise."""

    max_count: int = Field(default=1000, ge=0)
    """The most of them kept for a source; the oldest make room. Also the most open jobs known only from hints."""
    max_body: Size = 64 * 2**10
    """How much of each body is kept."""


class RetentionConfig(_Table):
    """`[retention]`: how long data is kept. The keys of events are kept for ever, so that nothing is taken twice."""

    dispatches: Duration = timedelta(days=90)
    """How long dispatches are kept that are done or cancelled, with their attempts. Dead letters are kept."""
    events: Duration | None = None
    """How long an event's data, outputs and error are kept, at least as long as its dispatches. Unset, for ever."""
    jobs: Duration | None = None
    """How long jobs are kept that ended, with their metadata. Unset, for ever."""
    quarantine: Duration = timedelta(days=90)
    """How long refused deliveries are kept; `quarantine.max_count` bounds how many."""
    unreadable: Duration = timedelta(days=365)
    """How long deliveries are kept that nobody understood."""
    deliveries: Duration = timedelta(days=90)
    """How long all other deliveries are kept, with headers and body. PostgreSQL drops them a month at a time, but row
    by row where unreadable ones of that month are still kept."""


class AlertsConfig(_Table):
    """`[alerts]`: whom to tell that something is wrong, and when it is. `receiver alerts` lists what is now."""

    urls: Several[SecretStr] = ()
    """Apprise URLs of whom to tell (the extra `notify`), such as `"slack://…"`. Without any, alerts are only logged."""
    dead_letters: int = Field(default=1, ge=1)
    """From so many dead letters of a handler on."""
    backlog_age: Duration = timedelta(minutes=10)
    """When an event, a dispatch or a poll has been due for longer than this."""
    missed_share: float = Field(default=0.2, gt=0, le=1)
    """When the webhooks of such a share of a source's newest jobs never came, from 0 to 1."""
    refused: int = Field(default=100, ge=1)
    """From so many refused deliveries of a source within an hour on; at most `quarantine.max_count` are counted."""
    skewed: int = Field(default=3, ge=1)
    """From so many deliveries within 15 minutes on whose signed time is too far from ours."""


class MetricsConfig(_Table):
    """`[metrics]`: what Prometheus may ask for."""

    directory: Path | None = None
    """The folder in which the processes of one node keep their counters, relative to the configuration file. Each node
    that runs `receiver web`, `work`, `reconcile` or `admin` by themselves needs one; `receiver serve` makes its own."""
    open: bool = False
    """Whether `/metrics` of the admin side is answered without a token."""


class Config(BaseSettings):
    """Everything that can be set. Each key is also a variable: `RECEIVER_STORE`, `RECEIVER_WEB__BIND`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="RECEIVER_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        use_attribute_docstrings=True,
    )

    store: str = Field(default="sqlite:///receiver.db", repr=False)
    """Where everything is kept: `sqlite:///FILE`, relative to the configuration file, `sqlite:////ABSOLUTE`, or
    `postgresql://USER:PASSWORD@HOST/DATABASE` (the extra `postgres`)."""
    public_url: str | None = None
    """Where providers reach this receiver, such as `https://hooks.example.com`. Callback URLs begin with it."""
    seal_keys: Several[SecretStr] = ()
    """Keys to seal with what providers send and what you keep with jobs, such as `["${SEAL_KEY}"]`, each as
    `openssl rand -base64 32` prints it. The first seals, each of them opens. Without any, nothing is sealed."""
    commit_timeout: Duration = timedelta(seconds=5)
    """How long a delivery may wait for the store before it is answered 503."""
    log_format: str = Field(default="text", pattern="^(text|json)$")
    """`text` for people, `json` for programs."""
    web: WebConfig = WebConfig()
    admin: AdminConfig = AdminConfig()
    engine: Literal["local", "celery"] = "local"
    """What runs the handlers: `receiver work` itself, or `celery`, a Celery cluster that it feeds (the extra `celery`).
    """
    worker: WorkerConfig = WorkerConfig()
    celery: CeleryConfig = CeleryConfig()
    reconcile: ReconcileConfig = ReconcileConfig()
    quarantine: QuarantineConfig = QuarantineConfig()
    retention: RetentionConfig = RetentionConfig()
    alerts: AlertsConfig = AlertsConfig()
    metrics: MetricsConfig = MetricsConfig()
    sources: Mapping[Annotated[str, Field(pattern=f"^{_NAME}$")], SourceConfig] = {}
    handlers: Mapping[Annotated[str, Field(pattern=f"^{_NAME}$")], HandlerConfig] = {}
    _file: Path = PrivateAttr(default=Path(DEFAULT_FILE))

    @field_validator("public_url")
    @classmethod
    def _public(cls, public_url: str | None) -> str | None:
        if public_url is not None and not _is_plain_url(public_url):
            raise ValueError('write where providers reach this receiver, such as "https://hooks.example.com"')
        return public_url and public_url.rstrip("/")

    @field_validator("seal_keys")
    @classmethod
    def _seals(cls, seal_keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_is_key(key.get_secret_value()) for key in seal_keys):
            raise ValueError("a key must be 32 random bytes as base64; `openssl rand -base64 32` makes one")
        return seal_keys

    @property
    def file(self) -> Path:
        """Where it was read from; what errors point to."""
        return self._file

    @property
    def directory(self) -> Path:
        """Where relative paths start."""
        return self._file.resolve().parent

    @property
    def metrics_directory(self) -> Path | None:
        """Where the processes of this node keep their counters; None if nothing is counted."""
        return None if self.metrics.directory is None else self.directory / self.metrics.directory

    def provider_of(self, source: str) -> str:
        """The name of a source's provider; empty if there is no such source any more."""
        return self.sources[source].provider if source in self.sources else ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrules the file, which arrives as the arguments."""
        return env_settings, init_settings


_kept: Config | None = None


def load(path: str | os.PathLike[str] | None = None) -> Config:
    """Read the configuration file and the environment.

    `path` defaults to what `keep` was given, to `RECEIVER_CONFIG`, then to `receiver.toml`, which then may be missing.

    Raises:
        ConfigError: naming the file and the key.
    """
    if path is None and _kept is not None:
        return _kept
    named = path or os.environ.get("RECEIVER_CONFIG")
    file = Path(named or DEFAULT_FILE)
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        if named:
            raise ConfigError(f"{file}: there is no such file; write one or set RECEIVER_CONFIG") from error
        tables = {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    return from_tables(tables, file=file)


def keep(config: Config) -> None:
    """Have `load` give this from now on: for the processes of a server, while the file may be half written."""
    global _kept
    _kept = config


def from_tables(tables: Mapping[str, Any], *, file: Path = Path(DEFAULT_FILE)) -> Config:
    """The configuration that these tables and the environment make; `file` is where paths start and errors point."""
    resolved = _resolve(dict(tables), file, "")
    environment = {name: value for name, value in os.environ.items() if name.startswith("RECEIVER_")}
    try:
        config = Config(**resolved)
    except ValidationError as error:
        raise ConfigError("\n".join(_lines(error, file, environment))) from None
    except SettingsError as error:
        raise ConfigError(f"the environment: {error}; it must be JSON") from None
    config._file = file
    return config


@contextmanager
def pointing_to(config: Config) -> Iterator[None]:
    """Have configuration errors that are found later name the file, too."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config.file}: {error}") from error


def _resolve(value: Any, file: Path, key: str) -> Any:
    """The value with `${NAME}` taken from the environment and `${file:PATH}` from a file."""
    if isinstance(value, dict):
        return {name: _resolve(item, file, f"{key}.{name}" if key else name) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, file, f"{key}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _referenced(match, file, key), value)
    return value


def _referenced(match: re.Match[str], file: Path, key: str) -> str:
    name = match["name"]
    if not match["file"]:
        if name not in os.environ:
            raise ConfigError(f"{file}: {key}: the environment has no {name}; set it, or write the value another way")
        return os.environ[name]
    try:
        return (file.parent / name).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {key}: cannot read {name}: {error}") from error


def _lines(error: ValidationError, file: Path, environment: Mapping[str, str]) -> list[str]:
    """One line for each thing that is wrong, without the values, which may be secret."""
    lines = []
    for wrong in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in wrong["loc"] if part != "[key]")
        variable = "RECEIVER_" + "__".join(str(part) for part in wrong["loc"]).upper()
        where = variable if variable in environment else f"{file}: {key}"
        text = "unknown key" if wrong["type"] == "extra_forbidden" else wrong["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {text}")
    return lines
