"""Commands for the tokens of the admin side: tokens, tokens add, tokens remove."""

from datetime import timedelta

import click

from receiver import tokens as made
from receiver.cli.common import Duration, config_option, json_option, loaded_config, opened_store, print_rows
from receiver.clock import to_text
from receiver.errors import NotConfigured
from receiver.models import Role, Scope, Token
from receiver.store.base import Row


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def tokens(context: click.Context, as_json: bool) -> None:
    """List the tokens that open the admin page and its API; `add` makes one, `remove` drops one."""
    if context.invoked_subcommand is not None:
        return
    with opened_store(loaded_config()) as store:
        rows = [_row(token, as_json=as_json) for token in store.tokens()]
    columns = ["name", "role", "scopes", "created_at", "expires_at", "last_used_at"]
    print_rows(rows, as_json=as_json, columns=columns, nothing="no tokens; make one with `receiver tokens add`")


@tokens.command()
@config_option
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([str(role) for role in Role]), help="A viewer only reads.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([str(scope) for scope in Scope]),
    help="Only this of what the role may do; may be repeated.",
)
@click.option("--expires", "lasts", type=Duration(), metavar="DURATION", help="How long it is good, such as 90d.")
def add(name: str, role: str, scopes: tuple[str, ...], lasts: timedelta | None) -> None:
    """Make a token called NAME and print it, this once: only a digest of it is kept."""
    with opened_store(loaded_config()) as store:
        secret = made.add(store, name, role=Role(role), scopes=frozenset(map(Scope, scopes)), lasts=lasts)
    click.echo(secret)


@tokens.command()
@config_option
@click.argument("name")
def remove(name: str) -> None:
    """Drop the token called NAME; its sessions end at once."""
    with opened_store(loaded_config()) as store:
        if not store.remove_token(name):
            raise NotConfigured(f"there is no token {name!r}; see `receiver tokens`")
    click.echo(f"token {name} is removed")


COMMANDS = (tokens,)


def _row(token: Token, *, as_json: bool) -> Row:
    return {
        "name": token.name,
        "role": token.role,
        "scopes": sorted(token.scopes) if as_json else ", ".join(sorted(token.scopes)),
        "created_at": to_text(token.created_at),
        "expires_at": token.expires_at and to_text(token.expires_at),
        "last_used_at": token.last_used_at and to_text(token.last_used_at),
    }
