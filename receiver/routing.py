"""Which handlers want which event."""

import inspect
import logging
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from receiver.models import Access, Budget, Event, Job, Output, Status
from receiver.units import Several

if TYPE_CHECKING:
    from receiver.outbound import HandlerClient

HandlerFunction = Callable[..., object]
Predicate = Callable[[Event], object]
_F = TypeVar("_F", bound=HandlerFunction)

_STATUSES: TypeAdapter[tuple[Status, ...]] = TypeAdapter(Several[Status])
_KINDS: TypeAdapter[tuple[str, ...]] = TypeAdapter(Several[str])

_log = logging.getLogger(__name__)


class HandlerSettings(BaseModel):
    """Base of a handler's own settings: the keys of its table that are not Receiver's."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BoundLogger(logging.LoggerAdapter[logging.Logger]):
    """A handler's logger, whose lines say which event, job and attempt they are about."""

    def __init__(self, handler: str = "handler", **facts: object) -> None:
        super().__init__(logging.getLogger(f"receiver.handlers.{handler}"), {"handler": handler, **facts})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the facts to those of the line."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a handler may want besides the event."""

    handler: str = "handler"
    """The name of the handler's table in the configuration: what errors point to."""
    settings: Any = None
    """An instance of the class given to `Router(settings=…)`."""
    job: Job | None = None
    """The job as it is now, with the metadata given when it was tracked."""
    attempt: int = 1
    idempotency_key: str = ""
    """The same on every retry, another on a replay: give it to whatever must not happen twice."""
    deadline: datetime | None = None
    """When the attempt's time is over."""
    client: "HandlerClient | None" = None
    """The way out, for calls of the handler's own."""
    log: BoundLogger = field(default_factory=BoundLogger, repr=False)
    """A logger that says which event, job and attempt its lines are about."""
    access: Access | None = None
    """What `authorized` outputs are fetched with: give it to `download` or `save_all`."""
    refresh: Callable[[], Sequence[Output]] | None = field(default=None, repr=False)
    """Asks the provider for the event's outputs as it names them now: URLs expire. None where nobody can be asked.

    It spends requests of the source's budget, and raises `RequestFailed` if there is no answer.
    """

    traceparent: str | None = None
    """The attempt, as the header `traceparent` names it, for calls of the handler's own; None if nothing is traced.

    What `client` sends has it already.
    """

    @property
    def table(self) -> str:
        """Whose settings these are, for errors: several tables may use one module."""
        return f"[handlers.{self.handler}]"


@dataclass(frozen=True)
class Route:
    """A pattern of events. `source` matches the source's name or its provider's; `*` stands for any text."""

    source: str = "*"
    type: str = "*"
    statuses: frozenset[Status] = frozenset()
    kinds: frozenset[str] = frozenset()
    where: Predicate | None = None
    """What is asked about an event that fits all the rest."""

    @property
    def where_name(self) -> str | None:
        """What the predicate is called."""
        return None if self.where is None else getattr(self.where, "__name__", type(self.where).__name__)

    def matches(self, event: Event, provider: str) -> bool:
        """Whether an event of a source of this provider fits every part of the pattern."""
        return self.mismatch(event, provider) is None

    def mismatch(self, event: Event, provider: str) -> str | None:
        """The first part of the pattern that an event of a source of this provider does not fit, and why."""
        if not (fnmatchcase(event.source, self.source) or fnmatchcase(provider, self.source)):
            return f"source is {event.source}, it wants {self.source}"
        if not fnmatchcase(event.type, self.type):
            return f"type is {event.type}, it wants {self.type}"
        if self.statuses and event.status not in self.statuses:
            return f"status is {event.status or 'not told'}, it wants {_either(self.statuses)}"
        if self.kinds and event.kind not in self.kinds:
            return f"kind is {event.kind or 'not told'}, it wants {_either(self.kinds)}"
        if self.where is not None and not self._holds(self.where, event):
            return f"{self.where_name} says no"
        return None

    def _holds(self, where: Predicate, event: Event) -> bool:
        """What the predicate says; yes, if it fails, because nothing is dropped in silence."""
        try:
            return bool(where(event))
        except (Exception, SystemExit) as error:
            _log.warning(
                "a predicate failed; the event is taken as wanted",
                extra={"where": self.where_name, "event_id": event.id, "error": f"{type(error).__name__}: {error}"},
            )
            return True


class Router:
    """What a handler module owns: its functions, and the events each wants."""

    def __init__(self, *, settings: type[HandlerSettings] | None = None) -> None:
        self.settings = settings
        self.routes: dict[HandlerFunction, list[Route]] = {}

    def on(
        self,
        source: str = "*",
        type: str = "*",
        *,
        status: Status | str | Iterable[Status | str] = (),
        kind: str | Iterable[str] = (),
        where: Predicate | None = None,
    ) -> Callable[[_F], _F]:
        """Run the function for events that match. Give it one parameter (the event) or two (event and context).

        `source` is a source's or provider's name, `type` an event type; both may hold `*`. `status` and `kind` take one
        or several. `where` is a quick function of the event that says whether it is wanted, asked when all the rest
        fits; if it raises, the event counts as wanted.

        Raises:
            TypeError: `where` is not a plain function.
        """
        if where is not None and (not callable(where) or inspect.iscoroutinefunction(where)):
            raise TypeError(f"where must be a plain function of the event, not {where!r}")
        route = Route(
            source=source,
            type=type,
            statuses=frozenset(_STATUSES.validate_python(status)),
            kinds=frozenset(_KINDS.validate_python(kind)),
            where=where,
        )

        def register(function: _F) -> _F:
            self.routes.setdefault(function, []).append(route)
            return function

        return register


@dataclass(frozen=True, kw_only=True)
class Handler:
    """A function that a table in the configuration switched on, with its limits."""

    name: str
    function: HandlerFunction = field(repr=False)
    routes: tuple[Route, ...]
    filter: Route = Route()
    settings: HandlerSettings | None = None
    max_attempts: int
    timeout: timedelta
    concurrency: int
    first_wait: timedelta
    longest_wait: timedelta
    limit: Budget | None = None
    """How many attempts may begin in a span of time."""
    park_after: int = 10
    """After how many failures in a row it is parked."""
    isolated: bool = False
    """Whether each attempt runs in a process of its own."""

    def wants(self, event: Event, provider: str) -> bool:
        """Whether the event is for this handler."""
        return self.mismatch(event, provider) is None

    def mismatch(self, event: Event, provider: str) -> str | None:
        """Why the event is not for this handler; None if it is."""
        narrowed = self.filter.mismatch(event, provider)
        if narrowed is not None:
            return f"{narrowed} (in its table)"
        reasons = []
        for route in self.routes:
            reason = route.mismatch(event, provider)
            if reason is None:
                return None
            reasons.append(reason)
        return "; ".join(dict.fromkeys(reasons))

    def call(self, event: Event, context: Context) -> object:
        """Run the function, with the context if it has a place for one."""
        return self.function(event, context) if self._takes_context else self.function(event)

    @cached_property
    def _takes_context(self) -> bool:
        return len(inspect.signature(self.function).parameters) > 1


def _either(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))
