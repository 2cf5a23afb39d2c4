"""Commands about the store as a whole: prune, copy, reseal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

import click

from receiver import retention
from receiver.cli.choose import dry_run_option
from receiver.cli.common import config_option, json_option, loaded_config, opened_store, print_rows
from receiver.config import Config
from receiver.errors import ConfigError, KeyMissing, ReceiverError
from receiver.store import Store, open_tables
from receiver.store import copy as copy_tables
from receiver.store.base import Resealed
from receiver.units import written

_TOLD_EVERY = 5.0
_OTHER_KEY = (
    "something that runs does not seal with the first key yet, so the others are still needed; "
    "start it again with the new key first, and run this once more"
)
_STILL_SEALED = "something that runs still seals, so the keys are still needed; stop it, and run this once more"


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
        counts = retention.prune(store, config.retention, dry_run=dry_run).counts
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
        _progress() as say,
    ):
        tables = copy_tables(ours, theirs, told=lambda *far: say(_far(*far)))
    columns = ["table", "source_count", "target_count", "written", "removed"]
    print_rows([asdict(table) for table in tables], as_json=as_json, columns=columns, nothing=None)
    unequal = [table.table for table in tables if table.source_count != table.target_count]
    if unequal:
        raise ReceiverError(
            f"the counts of {', '.join(unequal)} differ; see that nobody uses the stores, and run it again"
        )


@click.command()
@config_option
@click.option("--open", "unseal", is_flag=True, help="Open everything instead, so that nothing is sealed any more.")
@json_option
def reseal(unseal: bool, as_json: bool) -> None:
    """Seal with the first of `seal_keys` what another key has sealed, or none.

    Once everything that runs has the new key first, run this; everything may go on meanwhile. When it has ended, remove
    the old one. It looks through everything twice, and fails if something was still sealed with another key in between.
    It can be interrupted and run again.

    What was there in clear may still be in free pages of SQLite's file: `sqlite-utils vacuum FILE` removes those, while
    nothing else runs. It is in older backups in any case.

    With --open, first stop everything, on every machine: it would go on sealing. Then remove `seal_keys`, and start
    again.
    """
    config = loaded_config()
    if not config.seal_keys:
        raise ConfigError(f"{config.file}: seal_keys: is empty; `openssl rand -base64 32` makes a key")
    with opened_store(config) as store, _progress() as say:
        tables = _resealed(store, unseal=unseal, say=say)
        written_since = _written_since(store, tables, unseal=unseal, say=say)
    columns = ["table", "looked_at", "written", "unopened"]
    print_rows([asdict(table) for table in tables], as_json=as_json, columns=columns, nothing="the store is empty")
    if any(table.unopened for table in tables):
        raise KeyMissing
    if written_since:
        raise ReceiverError(_STILL_SEALED if unseal else _OTHER_KEY)


COMMANDS = (prune, copy_store, reseal)


def _resealed(store: Store, *, unseal: bool, say: Callable[[str], None]) -> list[Resealed]:
    """How it went, for each table."""
    tables = dict[str, Resealed]()
    for done in store.reseal(unseal=unseal):
        before = tables.get(done.table, replace(done, looked_at=0, written=0, unopened=0))
        tables[done.table] = replace(
            done,
            looked_at=before.looked_at + done.looked_at,
            written=before.written + done.written,
            unopened=before.unopened + done.unopened,
        )
        say(f"{done.table}: {tables[done.table].looked_at} looked at, {tables[done.table].written} written")
    return list(tables.values())


def _written_since(store: Store, tables: list[Resealed], *, unseal: bool, say: Callable[[str], None]) -> bool:
    """Whether a second look found more to write: somebody seals with another key. None is needed if nothing was."""
    if any(table.unopened for table in tables) or not any(table.written for table in tables):
        return False
    return any(table.written or table.unopened for table in _resealed(store, unseal=unseal, say=say))


def _with_store(config: Config, store: str) -> Config:
    return config.model_copy(update={"store": store})


def _far(table: str, done: int, total: int) -> str:
    return f"{table}: {done} of {total} ({done / max(total, 1):.0%})"


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Says on stderr how far it is: in one line that changes on a terminal, else in a line every few seconds."""
    terminal = sys.stderr.isatty()
    told_at = time.monotonic()

    def say(text: str) -> None:
        nonlocal told_at
        if terminal:
            click.echo(f"\r{text:<60}", err=True, nl=False)
        elif time.monotonic() - told_at > _TOLD_EVERY:
            told_at = time.monotonic()
            click.echo(text, err=True)

    yield say
    if terminal:
        click.echo(err=True)
