"""What replay, retry and discard share: choosing by filter, asking before much is done, telling how far it is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from receiver.cli.common import Moment
from receiver.errors import ReceiverError
from receiver.operations import CHUNK

_MANY = 100

source_option = click.option("--source", metavar="SOURCE", help="Choose those of this source.")
type_option = click.option(
    "--type", metavar="PATTERN", help="Choose those of an event of this type, in which * stands for any text."
)
since_option = click.option(
    "--since", type=Moment(), metavar="TIME", help="Choose what is no older: ISO 8601, or so long ago, such as 2h."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Change nothing, and print how many it would be.")
yes_option = click.option("--yes", is_flag=True, help=f"Do not ask, even if it is more than {_MANY}.")


def confirm(question: str, count: int, *, yes: bool) -> None:
    """Ask before many are changed.

    Raises:
        ReceiverError: the answer is no.
        click.UsageError: nobody answers.
    """
    if yes or count <= _MANY:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        raise click.UsageError(f"these are {count}, and nobody is there to be asked; give --yes") from None
    if not agreed:
        raise ReceiverError("nothing was changed")


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives what to call with the number of those just done; shows on stderr how far it is, if it takes long."""
    if total <= CHUNK:
        yield lambda count: None
        return
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield bar.update
