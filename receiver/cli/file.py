"""Which configuration file a command runs with."""

import click
from click.core import ParameterSource


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    # Both the group and the command have the option: what is written on the line overrules the variable.
    written = ctx.get_parameter_source("config_file") is ParameterSource.COMMANDLINE
    if value is not None and (written or ctx.find_root().obj is None):
        ctx.find_root().obj = value


config_option = click.option(
    "--config",
    "config_file",
    envvar="RECEIVER_CONFIG",
    metavar="FILE",
    expose_value=False,
    is_eager=True,
    callback=_remember,
    help="The configuration file.  [default: receiver.toml]",
)


def config_file() -> str | None:
    """The file that `--config` or `RECEIVER_CONFIG` names."""
    value: str | None = click.get_current_context().find_root().obj
    return value
