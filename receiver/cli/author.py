"""The command for authors of handlers: new."""

import re
from collections.abc import Mapping
from pathlib import Path

import click

from receiver.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)

_HANDLER = '''\
"""What {name} does, in a sentence."""

from receiver import Context, Done, Event, HandlerSettings, PermanentError, Router


class Settings(HandlerSettings):
    """`[handlers.{name}]`: what can be set."""

    greeting: str = "ready"


router = Router(settings=Settings)


@router.on(status="succeeded")
def {name}(event: Event, context: Context) -> Done:
    """Called at least once for every job that succeeds. Twice must do no harm: `context.idempotency_key` tells."""
    if not event.outputs:
        raise PermanentError("there is nothing to see")
    order = context.job.metadata.get("order") if context.job else None
    context.log.info(context.settings.greeting, extra={{"order": order}})
    return Done({{"order": order, "url": event.outputs[0].url}})
'''

_TEST = '''\
"""What {name} does with events."""

import {name}

from receiver.outcomes import Decision
from receiver.testing import make_event, make_job, run_handler


def test_keeps_the_order_beside_the_url():
    event = make_event(status="succeeded")
    job = make_job(event.job_id, kind=event.kind, metadata={{"order": 17}})

    outcome = run_handler({name}, event, job=job)

    assert outcome.decision is Decision.DONE
    assert outcome.result == {{"order": 17, "url": event.outputs[0].url}}


def test_gives_up_where_there_is_no_output():
    outcome = run_handler({name}, make_event(status="succeeded", outputs=()))

    assert outcome.decision is Decision.DEAD


def test_wants_no_failures():
    assert run_handler({name}, make_event(status="failed")) is None
'''

_TABLE = """\
[handlers.{name}]
path = "{path}"
"""


@click.command()
@click.argument("what", type=click.Choice(["handler"]), metavar="handler")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("my_handlers"),
    show_default=True,
    help="The folder to write to.",
)
def new(what: str, name: str, directory: Path) -> None:
    """Write a handler called NAME and its test, which passes, and print the table that switches it on."""
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            "lower-case letters, digits and underscores, beginning with a letter", param_hint="NAME"
        )
    write_new(handler_files(name, directory))
    click.echo(f"test it with: python -m pytest {directory}", err=True)
    click.echo("and put this at the end of receiver.toml:\n", err=True)
    click.echo(_TABLE.format(name=name, path=(directory / f"{name}.py").as_posix()), nl=False)


COMMANDS = (new,)


def handler_files(name: str, directory: Path) -> dict[Path, str]:
    """A handler and its test: the files, and what to write to them."""
    files = {directory / f"{name}.py": _HANDLER, directory / f"test_{name}.py": _TEST}
    return {file: text.format(name=name) for file, text in files.items()}


def write_new(files: Mapping[Path, str]) -> None:
    """Write files, and the folders they are in.

    Raises:
        ConfigError: one of them is there already; then none is written.
    """
    for file in files:
        if file.exists():
            raise ConfigError(f"{file} is there already; choose another name or folder, or remove it")
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        click.echo(f"wrote {file}", err=True)
