"""The `receiver` command. Exit status: 0 it did it, 1 it could not, 2 it was asked wrongly."""

import click

from receiver import __version__
from receiver.cli import act, author, examine, letters, look, replay, routes, run, sandbox
from receiver.cli.common import config_option
from receiver.errors import ConfigError, InvalidBody, NotConfigured, ReceiverError


class _Group(click.Group):
    """Turns our own errors into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ReceiverError as error:
            click.echo(f"receiver: {error}", err=True)
            ctx.exit(2 if isinstance(error, ConfigError | NotConfigured | InvalidBody) else 1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "RECEIVER"})
@click.version_option(__version__, prog_name="receiver")
@config_option
def main() -> None:
    """Take in webhooks from AI media APIs, run handlers, and poll for what never called back."""


for _command in (
    *run.COMMANDS,
    *look.COMMANDS,
    *routes.COMMANDS,
    *act.COMMANDS,
    *letters.COMMANDS,
    *replay.COMMANDS,
    *examine.COMMANDS,
    *sandbox.COMMANDS,
    *author.COMMANDS,
):
    main.add_command(_command)
