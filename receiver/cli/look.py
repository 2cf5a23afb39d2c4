"""Commands that show what is known: jobs, events, deliveries, dispatches, show."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import click

from receiver import clock
from receiver.cli.common import (
    NUMBER,
    Moment,
    config_option,
    json_option,
    limit_option,
    loaded_config,
    opened_store,
    print_rows,
    printable,
)
from receiver.cli.rows import event_row, job_row
from receiver.clock import from_text
from receiver.errors import NotConfigured
from receiver.models import State, Status, Via
from receiver.store.base import (
    DeliveryFilter,
    DispatchFilter,
    EventFilter,
    JobFilter,
    Page,
    RefusalFilter,
    Row,
    Verdict,
)

_UNKNOWN = "unknown"
_LONGEST_CALL = timedelta(minutes=1)
_CALLING = "the create call is being made"
_NO_ANSWER = "the create call was never answered; see `receiver track --intent` and `receiver withdraw`"

source_option = click.option("--source", metavar="SOURCE", help="Only of this source.")
since_option = click.option(
    "--since", type=Moment(), metavar="TIME", help="Only what is no older: ISO 8601, or so long ago, such as 2h."
)
until_option = click.option("--until", type=Moment(), metavar="TIME", help="Only what is older.")
before_option = click.option(
    "--before", type=NUMBER, metavar="ID", help="Go on below this id, which a list that is cut short names."
)


@click.command()
@config_option
@source_option
@click.option("--job", "job_id", metavar="JOB", help="Only this job.")
@click.option(
    "--status", type=click.Choice([*(str(status) for status in Status), _UNKNOWN]), help="Only with this status."
)
@click.option("--kind", metavar="KIND", help="Only of this kind.")
@click.option("--open", "open", is_flag=True, help="Only those that have not ended.")
@click.option("--overdue", is_flag=True, help="Only those whose poll is due.")
@before_option
@limit_option
@json_option
def jobs(before: int | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List jobs, newest first, after the intents of which nobody knows whether they became jobs."""
    wanted = JobFilter(**filters)
    with opened_store(loaded_config()) as store:
        intents = store.list_intents(source=wanted.source, limit=limit) if _shows_intents(wanted, before) else []
        unknown = wanted.status == _UNKNOWN
        page = Page(rows=[], next=None) if unknown else _filled(partial(store.list_jobs, wanted), limit, before)
    rows = [*intents, *page.rows]
    if not as_json:
        rows = [_with_intent(row) for row in rows]
    columns = [
        "source",
        "job",
        "kind",
        "status",
        "progress",
        "step",
        "created_at",
        "next_poll_at",
        "finished_at",
        "poll_count",
        "last_error",
    ]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no jobs")
    _tell_next(page)


@click.command()
@config_option
@source_option
@click.option("--job", "job_id", metavar="JOB", help="Only about this job.")
@click.option("--type", metavar="PATTERN", help="Only of this type, in which * stands for any text.")
@click.option("--status", type=click.Choice([str(status) for status in Status]), help="Only with this status.")
@click.option("--kind", metavar="KIND", help="Only about jobs of this kind.")
@click.option("--state", type=click.Choice([str(state) for state in State]), help="Only with a dispatch in this state.")
@since_option
@until_option
@click.option("--text", metavar="TEXT", help="Only with this text in its key, job id, type, outputs or data.")
@before_option
@limit_option
@json_option
def events(before: int | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List events, newest first. With --json also their data, outputs and what handlers saved."""
    with opened_store(loaded_config()) as store:
        page = _filled(partial(store.list_events, EventFilter(**filters)), limit, before)
        rows = _whole(page, store.event_row) if as_json else page.rows
    columns = ["id", "source", "type", "job", "status", "standing", "trust", "via", "recorded_at"]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no events")
    _tell_next(page)


@click.command()
@config_option
@source_option
@click.option("--verdict", type=click.Choice([str(verdict) for verdict in Verdict]), help="Only with this verdict.")
@click.option("--via", type=click.Choice([str(via) for via in Via]), help="Only those that came this way.")
@since_option
@until_option
@click.option("--rejected", is_flag=True, help="The quarantine instead: what was refused, and why.")
@click.option("--reason", metavar="REASON", help="With --rejected: only what was refused for this reason.")
@before_option
@limit_option
@json_option
def deliveries(
    rejected: bool, reason: str | None, before: int | None, limit: int, as_json: bool, **filters: Any
) -> None:
    """List deliveries, newest first. With --json also their headers and bodies."""
    wanted = DeliveryFilter(**filters)
    if rejected and wanted != DeliveryFilter(source=wanted.source):
        raise click.UsageError("of what was --rejected, only --source and --reason choose")
    if reason and not rejected:
        raise click.UsageError("only what was --rejected has a --reason")
    with opened_store(loaded_config()) as store:
        if rejected:
            refused = RefusalFilter(source=wanted.source, reason=reason)
            page = _filled(partial(store.list_refusals, refused), limit, before)
            columns = ["id", "source", "received_at", "reason", "path", "hint"]
        else:
            page = _filled(partial(store.list_deliveries, wanted), limit, before)
            columns = ["id", "source", "via", "trust", "verdict", "received_at", "seen_count", "note"]
        rows = _whole(page, store.refusal if rejected else store.delivery) if as_json else page.rows
    print_rows(rows, as_json=as_json, columns=columns, nothing="no deliveries")
    _tell_next(page)


@click.command()
@config_option
@source_option
@click.option("--handler", metavar="HANDLER", help="Only of this handler.")
@click.option(
    "--state", type=click.Choice([str(state) for state in State]), help="Only in this state; dead ones await `retry`."
)
@click.option("--event", "event_id", type=NUMBER, metavar="EVENT", help="Only of this event.")
@click.option("--replay", "replay_id", metavar="REPLAY", help="Only of this replay.")
@click.option("--error", metavar="TEXT", help="Only those whose error holds this text.")
@before_option
@limit_option
@json_option
def dispatches(before: int | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List dispatches, newest first. With --json also every attempt."""
    with opened_store(loaded_config()) as store:
        page = _filled(partial(store.list_dispatches, DispatchFilter(**filters)), limit, before)
        rows = page.rows
        if as_json:
            rows = [{**row, "attempts": store.list_attempts(row["id"])} for row in rows]
    columns = ["id", "event", "handler", "job", "state", "attempt_count", "due_at", "finished_at", "replay_id", "error"]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no dispatches")
    _tell_next(page)


@click.command()
@config_option
@click.argument("dispatch", type=NUMBER)
@json_option
def show(dispatch: int, as_json: bool) -> None:
    """Show one DISPATCH with its event, its job and every attempt. With --json also the event's data."""
    with opened_store(loaded_config()) as store:
        row = store.dispatch(dispatch)
        if row is None:
            raise NotConfigured(f"there is no dispatch {dispatch}; see `receiver dispatches`")
        event = store.event(row["event"])
        job = store.job(row["source"], row["job"]) if row["job"] is not None else None
        attempts = store.list_attempts(dispatch)
    event_shown, job_shown = event and event_row(event), job and job_row(job)
    if as_json:
        whole = {**row, "event": event_shown, "job": job_shown, "attempts": attempts}
        print_rows([whole], as_json=True, columns=[], nothing=None)
        return
    _print_section(f"dispatch {dispatch}", row)
    _print_section("event", event_shown or {}, without=["data"])
    _print_section("job", job_shown or {})
    for attempt in attempts:
        _print_section(f"attempt {attempt['number']}", attempt)


COMMANDS = (jobs, events, deliveries, dispatches, show)


def _print_section(title: str, values: Row, *, without: Collection[str] = ()) -> None:
    """One thing, whole, a line for each value that it has."""
    if not values:
        return
    click.echo(title)
    for name, value in values.items():
        if value is not None and name not in without:
            click.echo(f"  {name.replace('_', ' '):<16} {printable(value)}")


def _shows_intents(wanted: JobFilter, before: int | None) -> bool:
    """Whether intents are asked for, too: those of a source may be, and they stand above all jobs."""
    others = replace(wanted, source=None, status=None)
    return before is None and wanted.status in (None, _UNKNOWN) and others in (JobFilter(), JobFilter(open=True))


def _filled(ask: Callable[..., Page], limit: int, before: int | None) -> Page:
    """A full page, unless the list ends: a search for what is rare goes on where it stopped."""
    page = ask(limit=limit, before=before)
    rows = list(page.rows)
    while page.next is not None and len(rows) < limit:
        page = ask(limit=limit - len(rows), before=page.next)
        rows += page.rows
    return Page(rows=rows, next=page.next)


def _whole(page: Page, get: Callable[[int], Row | None]) -> list[Row]:
    """The page's rows with what is big, but for those that are gone by now."""
    return [row for row in (get(shown["id"]) for shown in page.rows) if row is not None]


def _tell_next(page: Page) -> None:
    if page.next is not None:
        click.echo(f"there are more: --before {page.next}", err=True)


def _with_intent(row: Row) -> Row:
    """An intent among jobs, told in their columns."""
    if "intent" not in row:
        return row
    young = clock.now() - from_text(row["created_at"]) < _LONGEST_CALL
    told = row["last_error"] or (_CALLING if young else _NO_ANSWER)
    return {**row, "job": f"intent {row['intent']}", "last_error": told}
