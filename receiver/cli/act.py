"""Commands that change something: submit, track, withdraw, send, migrate."""

import os
from collections.abc import Mapping
from typing import Any

import click
import httpx

from receiver import clock, plugins, sandbox
from receiver.cli.common import (
    config_option,
    configured_source,
    json_option,
    loaded_config,
    print_rows,
)
from receiver.config import Config
from receiver.errors import ReceiverError, Unreadable
from receiver.models import Delivery
from receiver.providers.base import Provider, json_object
from receiver.receiver import Receiver
from receiver.store import migrate

_SEND_TIMEOUT = 30.0
_MADE_UP = "creativeai"

metadata_option = click.option(
    "--metadata", default="{}", metavar="JSON", help="An object of your own, given to handlers with the job."
)


@click.command()
@config_option
@click.argument("source")
@json_option
def catalog(source: str, as_json: bool) -> None:
    """List what SOURCE's provider offers to make. With --json also its own words about each."""
    with Receiver(loaded_config()) as receiver:
        rows = [{"name": offer.name, "kind": offer.kind, "data": offer.data} for offer in receiver.catalog(source)]
    print_rows(rows, as_json=as_json, columns=["name", "kind"], nothing="it offers nothing")


@click.command()
@config_option
@click.argument("source")
@click.argument("kind")
@click.argument("body", type=click.Path(allow_dash=True))
@metadata_option
@json_option
def submit(source: str, kind: str, body: str, metadata: str, as_json: bool) -> None:
    """Create a job of KIND at SOURCE's provider and track it, in one step.

    BODY is a file with the JSON that the provider's create call takes; `-` reads it from standard input. The call is
    made once and never repeated: should its answer get lost, `receiver jobs` shows what is to be done.
    """
    content, own = _object(_content(body), "BODY"), _object(metadata, "--metadata")
    with Receiver(loaded_config()) as receiver:
        jobs = receiver.submit(source, kind, content, metadata=own)
        if receiver.config.public_url is None and receiver.takes_callback(source, kind):
            click.echo("public_url is not set, so the provider was given no callback URL: it is polled", err=True)
    rows = [{"source": job.source, "job": job.job_id, "kind": job.kind, "status": str(job.status)} for job in jobs]
    print_rows(rows, as_json=as_json, columns=["job", "kind", "status"], nothing=None)


@click.command()
@config_option
@click.argument("source")
@click.argument("job")
@click.option("--kind", help="What kind of job it is; this decides where and when to ask about it.")
@metadata_option
@click.option("--intent", metavar="INTENT", help="The intent that led to it, whose kind and metadata it gets.")
def track(source: str, job: str, kind: str | None, metadata: str, intent: str | None) -> None:
    """Expect JOB at SOURCE to finish: should nobody call back, it is asked about."""
    own = _object(metadata, "--metadata")
    if kind is None and intent is None:
        raise click.UsageError("give --kind, or the --intent that led to it")
    with Receiver(loaded_config()) as receiver:
        new = receiver.track(source, job, kind=kind, metadata=own, intent=intent)
    click.echo(f"{job} is tracked" if new else f"{job} was known already; its kind and metadata are updated")


@click.command()
@config_option
@click.argument("intent")
def withdraw(intent: str) -> None:
    """Drop an INTENT of which you know that it led to no job."""
    with Receiver(loaded_config()) as receiver:
        receiver.withdraw(intent)
    click.echo(f"intent {intent} is dropped")


@click.command()
@config_option
@click.option("--source", metavar="SOURCE", help="The source to send to.  [default: the only one with webhooks]")
@click.option("--type", "event_type", default="video.generation.completed", show_default=True, help="The event's type.")
@click.option("--job", default="vgen_abc123", show_default=True, help="The job's id.")
@click.option(
    "--body", "file", type=click.Path(allow_dash=True), metavar="FILE", help="Send this body instead; `-` reads it."
)
@click.option("--secret", help="The secret to sign with.  [default: the source's first]")
@click.option("--url", help="Where the receiver listens.  [default: where the configuration says]")
@click.option("--tamper", is_flag=True, help="Change the body after signing it.")
@click.option("--unsigned", is_flag=True, help="Leave the signature out.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="Send it so many times.")
def send(
    source: str | None,
    event_type: str,
    job: str,
    file: str | None,
    secret: str | None,
    url: str | None,
    tamper: bool,
    unsigned: bool,
    repeat: int,
) -> None:
    """Sign and post a delivery to a running receiver, and print its answers.

    By default it is one that CreativeAI would send, of that type and job. With --body it may be of any source, signed
    as its provider signs; where that takes a private key, give it as --secret.
    """
    config = loaded_config()
    name = source or _only_source(config, None if file is not None else _MADE_UP)
    provider = configured_source(config, name).provider
    if file is None and provider.name != _MADE_UP:
        raise click.UsageError(f"{name} is no source of {_MADE_UP}; give the --body that {provider.name} would send")
    body = _body(event_type, job) if file is None else _content(file)
    headers = {"Content-Type": "application/json"}
    if not unsigned:
        key = secret or _first_secret(provider, name)
        headers |= provider.sign(Delivery(source=name, body=body, received_at=clock.now()), key)
    if tamper:
        body = body.removesuffix(b"}") + b', "tampered": true}'
    answers = [_post(f"{url or f'http://{config.web.bind}'}/webhooks/{name}", body, headers) for _ in range(repeat)]
    for answer in answers:
        click.echo(f"{answer.status_code} {httpx.codes.get_reason_phrase(answer.status_code)}")
    if not all(answer.is_success for answer in answers):
        raise click.exceptions.Exit(1)


@click.command("migrate")
@config_option
def migrate_store() -> None:
    """Make the tables of a store on a server those of this version; safe from every node at once.

    A file is brought up to date by whoever opens it. A server's tables of an older version are refused until this has
    run, so that nodes which still run that version are not surprised.
    """
    steps = migrate(loaded_config())
    for step in steps:
        click.echo(f"{step}: done")
    if not steps:
        click.echo("the store is up to date")


COMMANDS = (catalog, submit, track, withdraw, send, migrate_store)


def _content(file: str) -> bytes:
    try:
        with click.open_file(file, "rb") as opened:
            content: bytes = opened.read()
    # Standard input may be closed.
    except (OSError, RuntimeError, ValueError) as error:
        raise click.BadParameter(f"{file} cannot be read: {error}", param_hint="BODY") from error
    return content


def _object(content: str | bytes, name: str) -> Mapping[str, Any]:
    try:
        return json_object(os.fsencode(content))
    except Unreadable as error:
        raise click.BadParameter(f'write a JSON object, such as {{"order": 17}}: {error}', param_hint=name) from error


def _only_source(config: Config, provider: str | None) -> str:
    names = [
        name
        for name, source in plugins.sources(config).items()
        if source.provider.sends_webhooks and provider in (None, source.provider.name)
    ]
    if len(names) != 1:
        raise click.UsageError(f"say which --source ({', '.join(names) or 'none that is configured has webhooks'})")
    return names[0]


def _first_secret(provider: Provider, name: str) -> str:
    if provider.scheme is None:
        raise click.UsageError(f"{provider.name} signs nothing; give --unsigned")
    if not provider.secrets:
        raise click.UsageError(f"the source {name} has no secret; give --secret or --unsigned")
    return provider.secrets[0]


def _body(event_type: str, job: str) -> bytes:
    kind, _, rest = event_type.partition(".")
    noun, _, status = rest.partition(".")
    if status not in ("completed", "failed"):
        raise click.BadParameter("such as video.generation.completed or video.batch.completed", param_hint="--type")
    return sandbox.webhook_body("batch" if noun == "batch" else kind, job, status=status)


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    try:
        return httpx.post(url, content=body, headers=dict(headers), timeout=_SEND_TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ReceiverError(f"nothing answers at {url} ({error}); is the receiver running?") from error
