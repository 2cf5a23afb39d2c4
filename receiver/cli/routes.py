"""The command that says which handler gets what, and why."""

import json
from collections.abc import Iterable
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from receiver import logs, plugins
from receiver.cli.common import config_option, json_option, loaded_config, opened_store, print_rows
from receiver.clock import to_text
from receiver.config import Config
from receiver.models import Event, Hold
from receiver.routing import Handler, Route
from receiver.store.base import Row

_EVENT = TypeAdapter(Event)


@click.command()
@config_option
@click.option(
    "--event",
    "file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Say instead which handlers get the event in FILE, and why the others do not; - is standard input.",
)
@json_option
def routes(file: str | None, as_json: bool) -> None:
    """List which handler gets what, and which is parked. With --event say who gets one event, and if not, why not.

    Where a handler's module and its table both ask for something, an event has to fit both. A handler that is parked
    failed too often in a row: one of its dispatches is tried at the time shown. FILE holds an event as `receiver events
    --json` prints it; of several lines the first counts.
    """
    config = loaded_config()
    if file is None:
        handlers = plugins.handlers(config)
        with opened_store(config) as store:
            holds = {handler.name: _held(store.hold(handler.name)) for handler in handlers}
        rows = [
            {**_route_row(handler, route, as_json=as_json), **holds[handler.name]}
            for handler in handlers
            for route in handler.routes
        ]
        columns = ["handler", "source", "type", "status", "kind", "where", "failure_count", "parked_until", "paused_at"]
    else:
        # A predicate that fails is told as a warning.
        logs.configure(config.log_format)
        event = _first_event(file)
        rows = [_verdict_row(handler, event, config) for handler in plugins.handlers(config)]
        columns = ["handler", "gets_it", "why_not"]
        if not as_json:
            rows = [{**row, "gets_it": "yes" if row["gets_it"] else "no"} for row in rows]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no handlers are configured")


COMMANDS = (routes,)


def _route_row(handler: Handler, route: Route, *, as_json: bool) -> Row:
    narrowed = handler.filter
    if as_json:
        return {"handler": handler.name, **_parts(route), "table": _parts(narrowed)}
    return {
        "handler": handler.name,
        "source": _both_patterns(route.source, narrowed.source),
        "type": _both_patterns(route.type, narrowed.type),
        "status": _in_both(route.statuses, narrowed.statuses),
        "kind": _in_both(route.kinds, narrowed.kinds),
        "where": route.where_name,
    }


def _held(hold: Hold) -> Row:
    return {
        "failure_count": hold.failure_count,
        "parked_until": to_text(hold.parked_until) if hold.parked_until else None,
        "paused_at": to_text(hold.paused_at) if hold.paused_at else None,
    }


def _parts(route: Route) -> Row:
    return {
        "source": route.source,
        "type": route.type,
        "status": sorted(route.statuses),
        "kind": sorted(route.kinds),
        "where": route.where_name,
    }


def _both_patterns(own: str, narrowed: str) -> str:
    return " and ".join(pattern for pattern in dict.fromkeys([own, narrowed]) if pattern != "*") or "*"


def _in_both(own: Iterable[str], narrowed: Iterable[str]) -> str:
    if not own or not narrowed:
        return " or ".join(sorted(own or narrowed)) or "*"
    return " or ".join(sorted(set(own) & set(narrowed))) or "nothing"


def _verdict_row(handler: Handler, event: Event, config: Config) -> Row:
    reason = handler.mismatch(event, config.provider_of(event.source))
    if reason is None and not event.standing.dispatched:
        reason = f"the event is only kept, as it is {event.standing}"
    return {"handler": handler.name, "gets_it": reason is None, "why_not": reason}


def _first_event(file: str) -> Event:
    """The first event in a file.

    Raises:
        click.BadParameter: there is none.
    """
    try:
        with click.open_file(file, encoding="utf-8") as opened:
            text = opened.read()
        value, _ = json.JSONDecoder().raw_decode(text.lstrip())
        if not isinstance(value, dict):
            raise ValueError("a JSON object is expected")
        return _event_of(value)
    # Standard input may be closed.
    except (OSError, RuntimeError, ValueError) as error:
        told = f"{file}: holds no event as `receiver events --json` prints it: {error}"
        raise click.BadParameter(told, param_hint="--event") from error


def _event_of(row: Row) -> Event:
    """The event of a row that may lack all but its source and its type.

    Raises:
        ValueError: naming what is wrong.
    """
    fields: dict[str, Any] = {"key": "", "data": {}, "job_id": row.get("job")} | row
    if isinstance(row.get("failure"), list):
        fields["failure"] = dict(zip(("message", "code"), row["failure"], strict=False))
    try:
        return _EVENT.validate_python(fields)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
