"""The `receiver` command. Exit status: 0 it did it, 1 it could not, 2 it was asked wrongly."""

from importlib import import_module

import click

from receiver import __version__
from receiver.cli.file import config_option
from receiver.errors import ConfigError, InvalidBody, NotConfigured, ReceiverError

HOMES = {
    "run": {
        "serve": "Run everything in one command: web, worker, reconcile loop and admin side.",
        "web": "Run the endpoint that providers post to, on gunicorn.",
        "admin": "Run the page and the API for people, on gunicorn, at the address `admin.bind`.",
        "work": (
            "Run handlers for new events, until stopped; "
            'or feed the Celery cluster that does, with `engine = "celery"`.'
        ),
        "reconcile": "Ask the providers about open jobs whose time has come.",
        "demo": "Show the main job in half a minute, against stand-ins for four providers on this machine.",
    },
    "look": {
        "jobs": "List jobs, newest first, after the intents of which nobody knows whether they became jobs.",
        "events": "List events, newest first.",
        "deliveries": "List deliveries, newest first.",
        "dispatches": "List dispatches, newest first.",
        "show": "Show one DISPATCH with its event, its job and every attempt.",
    },
    "check": {
        "check": "Print the merged configuration, secrets masked, and prove that it works.",
    },
    "doctor": {
        "doctor": "Say what is wrong, and what to do about it.",
        "alerts": "List what is wrong now: what `[alerts]` tells people, whether they were told already or not.",
    },
    "routes": {
        "routes": "List which handler gets what, and which is parked.",
    },
    "act": {
        "catalog": "List what SOURCE's provider offers to make.",
        "submit": "Create a job of KIND at SOURCE's provider and track it, in one step.",
        "track": "Expect JOB at SOURCE to finish: should nobody call back, it is asked about.",
        "withdraw": "Drop an INTENT of which you know that it led to no job.",
        "send": "Sign and post a delivery to a running receiver, and print its answers.",
        "migrate": "Make the tables of a store on a server those of this version; safe from every node at once.",
    },
    "move": {
        "prune": "Drop what is older than `[retention]` says; `receiver serve` does so by itself.",
        "copy": "Copy everything from one store into another, such as from a file to a server.",
        "reseal": "Seal with the first of `seal_keys` what another key has sealed, or none.",
    },
    "letters": {
        "retry": "Run dead or cancelled DISPATCHes again, with all their attempts and the same idempotency keys.",
        "discard": "Drop dead DISPATCHes for good: they are cancelled, and no longer among the dead letters.",
    },
    "replay": {
        "replay": "Run the handlers for recorded EVENTs again, as new dispatches with new idempotency keys.",
    },
    "examine": {
        "verify": "Say of each recorded request in FILE whether it is genuine, and if not, why.",
        "read": "Say what PROVIDER's adapter makes of recorded poll answers about jobs of KIND.",
    },
    "tokens": {
        "tokens": "List the tokens that open the admin page and its API; `add` makes one, `remove` drops one.",
    },
    "sandbox": {
        "sandbox": "Run a stand-in for CreativeAI, KPainter, Omni Video and new-api on this machine.",
    },
    "init": {
        "init": "Write a commented receiver.toml, a first handler with its test, and .env.example into FOLDER.",
    },
    "author": {
        "new": "Write a handler called NAME and its test, which passes, and print the table that switches it on.",
    },
}
"""The commands by the modules that have them, with the first sentence of their help.

A command's module is imported when it is run: to list events takes no adapter, no handler and no HTTP.
"""


class _Group(click.Group):
    """Imports a command when it is asked for, and turns our own errors into one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(name for names in HOMES.values() for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for home, names in HOMES.items():
            if cmd_name in names and cmd_name not in self.commands:
                for command in import_module(f"receiver.cli.{home}").COMMANDS:
                    self.add_command(command)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = sorted((name, text) for names in HOMES.values() for name, text in names.items())
        with formatter.section("Commands"):
            formatter.write_dl(rows)

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


def commands() -> dict[str, click.Command]:
    """Every command by its name."""
    for home in HOMES:
        for command in import_module(f"receiver.cli.{home}").COMMANDS:
            main.add_command(command)
    return dict(main.commands)
