"""Commands that say what is wrong: doctor looks at everything, alerts at the figures."""

from collections.abc import Iterator

import click

from receiver import alerts as alarms
from receiver import doctor as examination
from receiver import plugins
from receiver.cli.check import strange_variables
from receiver.cli.common import config_option, json_option, loaded_config, opened_store, print_rows, printable
from receiver.clock import to_text
from receiver.doctor import Finding, State
from receiver.errors import ConfigError, StoreUnavailable
from receiver.models import Alert
from receiver.outbound import ProviderClient
from receiver.store.base import Row


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Do not ask the providers whether they accept the API keys.")
@json_option
def doctor(offline: bool, as_json: bool) -> None:
    """Say what is wrong, and what to do about it.

    Looks at the configuration, the secrets, the store and its disk, the workers that run something, the reconcile loop,
    the credentials and, where a provider was asked, its clock, and at what waits, is dead or was refused. Exit status 1
    if anything is wrong; what is only odd does not count.
    """
    found = list(_findings(offline=offline))
    if as_json:
        rows = [{"about": finding.about, "state": str(finding.state), "found": finding.text} for finding in found]
        print_rows(rows, as_json=True, columns=[], nothing=None)
    else:
        for finding in sorted(found, key=lambda finding: list(State).index(finding.state)):
            click.echo(f"{finding.state:<6}{printable(f'{finding.about}: {finding.text}')}")
    if any(finding.state is State.WRONG for finding in found):
        raise click.exceptions.Exit(1)


@click.command()
@config_option
@json_option
def alerts(as_json: bool) -> None:
    """List what is wrong now: what `[alerts]` tells people, whether they were told already or not."""
    config = loaded_config()
    with opened_store(config) as store:
        wrong = alarms.firing(store, plugins.sources(config), config.handlers, config.alerts)
        known = {alert.cause: alert for alert in store.alerts()}
    rows = [_row(cause, summary, known.get(cause)) for cause, summary in wrong.items()]
    if as_json:
        print_rows(rows, as_json=True, columns=[], nothing=None)
        return
    for row in rows:
        click.echo(f"{row['since'] or 'just now':<26}{printable(row['summary'])}")
    if not rows:
        click.echo("nothing is wrong")


COMMANDS = (doctor, alerts)


def _row(cause: str, summary: str, alert: Alert | None) -> Row:
    """An alert as it is printed; one that nobody has looked for yet has no times."""
    told_at = alert.told_at if alert is not None else None
    return {
        "cause": cause,
        "summary": summary,
        "since": to_text(alert.since) if alert is not None else None,
        "told_at": to_text(told_at) if told_at is not None else None,
    }


def _findings(*, offline: bool) -> Iterator[Finding]:
    try:
        config = loaded_config()
        sources, handlers = plugins.sources(config), plugins.handlers(config)
    except ConfigError as error:
        yield Finding("configuration", State.WRONG, str(error))
        return
    yield Finding("configuration", State.OK, f"{config.file} can be used")
    for variable in strange_variables(click.get_current_context()):
        yield Finding(variable, State.ODD, "no setting or option has that name")
    try:
        with opened_store(config) as store:
            yield from examination.examine(config, sources, handlers, store)
    except StoreUnavailable as error:
        yield Finding("store", State.WRONG, str(error))
    with ProviderClient() as client:
        for source in () if offline else sources.values():
            yield from examination.ask(source, client)
