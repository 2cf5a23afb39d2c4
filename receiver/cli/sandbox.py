"""The command that stands in for the providers."""

import threading
from collections.abc import Callable
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from receiver.cli.stopping import on_stop
from receiver.sandbox import Asked, Conditions, Posted, Sandbox
from receiver.units import Duration, RequestBudget

_SHARE = click.FloatRange(0, 1)


class _Setting(click.ParamType[Any]):
    """A value that is written as in the configuration file."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self._kind: TypeAdapter[Any] = TypeAdapter(kind)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._kind.validate_python(value)
        except ValidationError as error:
            self.fail(error.errors()[0]["msg"].removeprefix("Value error, "), param, ctx)


_DURATION = _Setting("duration", Duration)
_BUDGET = _Setting("budget", RequestBudget)


def _share(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", type=_SHARE, metavar="SHARE", default=0.0, help=text)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes any free one.")
@click.option("--secret", default="sandbox-secret", show_default=True, help="What webhooks are signed with.")
@click.option("--api-key", default="sandbox-key", show_default=True, help="The key that all four APIs ask for.")
@click.option("--duration", type=_DURATION, default="2s", show_default=True, help="How long jobs take.")
@_share("duration-spread", "By how much of it they take less or more.")
@_share("lost", "Webhooks that are never sent.")
@_share("doubled", "Webhooks that are sent twice.")
@_share("delayed", "Webhooks that come late.")
@click.option("--delay", type=_DURATION, default="20s", show_default=True, help="How late they come.")
@_share("reordered", "Webhooks that come after that of a later job.")
@_share("forged", "Jobs of which somebody without the secret posts the opposite.")
@_share("failed", "Jobs that fail.")
@_share("errors", "API requests that are answered 500.")
@click.option("--budget", type=_BUDGET, help="What each API allows, such as 100/min; beyond it, the answer is 429.")
@click.option("--outage-every", type=_DURATION, help="So often the APIs answer 503, and webhooks wait.")
@click.option("--outage-for", type=_DURATION, help="How long they do.")
@click.option(
    "--speed", type=float, default=1.0, show_default=True, help="How many times faster all but the budget goes."
)
@click.option("--seed", type=int, help="With the same number, jobs have the same fates.")
def sandbox(port: int, secret: str, api_key: str, **conditions: Any) -> None:
    """Run a stand-in for CreativeAI, KPainter, Omni Video and new-api on this machine.

    It prints the sources to put into receiver.toml, then each request and each webhook, until Ctrl-C.

    Jobs end by themselves; CreativeAI's are told by signed webhooks. What shall go wrong is said by options, as a SHARE
    from 0 to 1 of all jobs, or for one job in the request that creates it, in the header X-Sandbox or in the body's
    field sandbox: any of lost, doubled, delayed, reordered, forged, failed, unanswered (the job is created, but the
    answer is an error) and paused (at KPainter, until somebody acts), separated by commas.
    """
    try:
        chosen = Conditions(**conditions)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with Sandbox(chosen, secret=secret, api_key=api_key, port=port, tell=_tell) as served:
        stopped = threading.Event()
        on_stop(stopped.set)
        click.echo(served.tables())
        stopped.wait()


COMMANDS = (sandbox,)


def _tell(what: Asked | Posted) -> None:
    # What strangers ask for must not move the cursor or colour the terminal.
    click.echo("".join(letter if letter.isprintable() else "?" for letter in str(what)), err=True)
