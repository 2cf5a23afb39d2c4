"""Commands about the store as a whole: prune, copy."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict

import click

from receiver import retention
from receiver.cli.choose import dry_run_option
from receiver.cli.common import config_option, json_option, loaded_config, opened_store, print_rows
from receiver.config import Config
from receiver.errors import ReceiverError
from receiver.store import copy as copy_tables
from receiver.store import open_tables
from receiver.store.copying import Progress
from receiver.units import written

_TOLD_EVERY = 5.0


@click.command()
@config_option
@dry_run_option
@json_option
def prune(dry_run: bool, as_json: bool) -> None:
    """Drop what is older than `[retention]` says; `receiver serve` does so by itself.

    What is still needed stays, however old: open jobs, dispatches that wait or are dead, and their events. The keys of
    events stay for ever. With --dry-run, what is emptied or dropped once its dispatches are gone is not counted.

    SQLite uses the freed space again, but its file does not become smaller; `sqlite-utils vacuum FILE` makes it so,
    while nothing else runs.
    """
    config = loaded_config()
    with opened_store(config) as store:
        counts = retention.prune(store, config.retention, dry_run=dry_run)
    rows = [
        {"data": str(what), "older_than": written(getattr(config.retention, what)), "count": count}
        for what, count in counts.items()
    ]
    print_rows(rows, as_json=as_json, columns=["data", "older_than", "count"], nothing=None)
    if dry_run and not as_json:
        click.echo("nothing was changed")


@click.command("copy")
@config_option
@click.option(
    "--from",
    "source",
    envvar="RECEIVER_COPY_FROM",
    metavar="URL",
    help="The store to copy, as `store` is written.  [default: `store`]",
)
@click.option(
    "--to",
    "target",
    envvar="RECEIVER_COPY_TO",
    required=True,
    metavar="URL",
    help="Where everything goes; it may not exist yet.",
)
@json_option
def copy_store(source: str | None, target: str, as_json: bool) -> None:
    """Copy everything from one store into another, such as from a file to a server.

    First stop everything that uses either of them: web, workers, reconcile, on every machine. A store that somebody
    uses is refused, as far as that can be seen, and nobody can write to the one that is copied.

    A copy that was interrupted goes on when it is run again. Run again later, it brings what has changed in the source
    since, and removes what is gone there: copy a backup while everything runs, and then, for a short stop, what came
    since. Once a receiver has used the target, it is refused.

    A password need not be on the command line: the options are also read from RECEIVER_COPY_FROM and RECEIVER_COPY_TO.
    """
    config = loaded_config()
    places = [config if source is None else _with_store(config, source), _with_store(config, target)]
    if places[0].store == places[1].store:
        raise click.UsageError("--from and --to are the same store")
    with (
        closing(open_tables(places[0])) as ours,
        closing(open_tables(places[1], target=True)) as theirs,
        _progress() as told,
    ):
        tables = copy_tables(ours, theirs, told=told)
    columns = ["table", "source_count", "target_count", "written", "removed"]
    print_rows([asdict(table) for table in tables], as_json=as_json, columns=columns, nothing=None)
    unequal = [table.table for table in tables if table.source_count != table.target_count]
    if unequal:
        raise ReceiverError(
            f"the counts of {', '.join(unequal)} differ; see that nobody uses the stores, and run it again"
        )


COMMANDS = (prune, copy_store)


def _with_store(config: Config, store: str) -> Config:
    return config.model_copy(update={"store": store})


@contextmanager
def _progress() -> Iterator[Progress]:
    """Says on stderr how far it is: in one line that changes on a terminal, else in a line every few seconds."""
    terminal = sys.stderr.isatty()
    told_at = time.monotonic()

    def told(table: str, done: int, total: int) -> None:
        nonlocal told_at
        text = f"{table}: {done} of {total} ({done / max(total, 1):.0%})"
        if terminal:
            click.echo(f"\r{text:<60}", err=True, nl=False)
        elif time.monotonic() - told_at > _TOLD_EVERY:
            told_at = time.monotonic()
            click.echo(text, err=True)

    yield told
    if terminal:
        click.echo(err=True)
