"""Commands that change something: track, retry, replay, send."""

import os
from collections.abc import Mapping
from typing import Any

import click
import httpx

from receiver import plugins, sandbox
from receiver.cli.common import NUMBER, config_option, configured_source, loaded_config, opened_store
from receiver.config import Config
from receiver.errors import NotConfigured, ReceiverError, Unreadable
from receiver.providers.base import identifier, json_object

_SEND_TIMEOUT = 30.0


@click.command()
@config_option
@click.argument("source")
@click.argument("job")
@click.option("--kind", required=True, help="What kind of job it is; this decides where and when to ask about it.")
@click.option("--metadata", default="{}", metavar="JSON", help="An object of your own, given to handlers with the job.")
def track(source: str, job: str, kind: str, metadata: str) -> None:
    """Expect JOB at SOURCE to finish: should nobody call back, it is asked about."""
    config = loaded_config()
    provider = configured_source(config, source).provider
    if kind not in provider.kinds:
        raise click.BadParameter(f"{provider.name} has the kinds {', '.join(provider.kinds)}", param_hint="--kind")
    job_id, own = _job_id(job), _object(metadata)
    with opened_store(config) as store:
        new = store.track(source, job_id, kind=kind, schedule=provider.kinds[kind], metadata=own)
    click.echo(f"{job} is tracked" if new else f"{job} was known already; its kind and metadata are updated")


@click.command()
@config_option
@click.argument("dispatch", type=NUMBER)
def retry(dispatch: int) -> None:
    """Run a dead or cancelled DISPATCH again, with all its attempts and the same idempotency key."""
    with opened_store(loaded_config()) as store:
        if not store.retry(dispatch):
            raise NotConfigured(f"dispatch {dispatch} is neither dead nor cancelled; see `receiver dispatches`")
    click.echo(f"dispatch {dispatch} is due again")


@click.command()
@config_option
@click.argument("event", type=NUMBER)
@click.option("--handler", "names", multiple=True, metavar="HANDLER", help="Only for this handler; may be repeated.")
def replay(event: int, names: tuple[str, ...]) -> None:
    """Run the handlers for a recorded EVENT again, as new dispatches with new idempotency keys."""
    config = loaded_config()
    with opened_store(config) as store:
        recorded = store.event(event)
        if recorded is None:
            raise NotConfigured(f"there is no event {event}; see `receiver events`")
        provider = config.sources[recorded.source].provider if recorded.source in config.sources else ""
        wanting = [handler.name for handler in plugins.handlers(config) if handler.wants(recorded, provider)]
        unknown = set(names) - set(wanting)
        if unknown:
            wanted_by = ", ".join(wanting) or "none"
            raise NotConfigured(
                f"{', '.join(sorted(unknown))}: no handler of that name wants event {event} (these do: {wanted_by})"
            )
        ids = store.replay(event, names or wanting)
    click.echo(f"event {event}: {len(ids)} new dispatches {' '.join(map(str, ids))}".rstrip())


@click.command()
@config_option
@click.option("--source", metavar="SOURCE", help="The source to send to.  [default: the only one configured]")
@click.option("--type", "event_type", default="video.generation.completed", show_default=True, help="The event's type.")
@click.option("--job", default="vgen_abc123", show_default=True, help="The job's id.")
@click.option("--secret", help="The secret to sign with.  [default: the source's first]")
@click.option("--url", help="Where the receiver listens.  [default: where the configuration says]")
@click.option("--tamper", is_flag=True, help="Change the body after signing it.")
@click.option("--unsigned", is_flag=True, help="Leave the signature out.")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1), help="Send it so many times.")
def send(
    source: str | None,
    event_type: str,
    job: str,
    secret: str | None,
    url: str | None,
    tamper: bool,
    unsigned: bool,
    repeat: int,
) -> None:
    """Sign and post a realistic delivery to a running receiver, and print its answers."""
    config = loaded_config()
    name = source or _only_source(config)
    body = _body(event_type, job)
    headers = sandbox.signed(body, secret or _first_secret(config, name, unsigned=unsigned))
    if unsigned:
        headers = {header: value for header, value in headers.items() if not header.lower().endswith("signature")}
    if tamper:
        body = body.removesuffix(b"}") + b', "tampered": true}'
    answers = [_post(f"{url or f'http://{config.web.bind}'}/webhooks/{name}", body, headers) for _ in range(repeat)]
    for answer in answers:
        click.echo(f"{answer.status_code} {httpx.codes.get_reason_phrase(answer.status_code)}")
    if not all(answer.is_success for answer in answers):
        raise click.exceptions.Exit(1)


COMMANDS = (track, retry, replay, send)


def _object(text: str) -> Mapping[str, Any]:
    try:
        return json_object(os.fsencode(text))
    except Unreadable as error:
        raise click.BadParameter(
            f'write a JSON object, such as {{"order": 17}}: {error}', param_hint="--metadata"
        ) from error


def _job_id(text: str) -> str:
    try:
        return identifier(text, field="JOB")
    except Unreadable as error:
        raise click.BadParameter(str(error), param_hint="JOB") from error


def _only_source(config: Config) -> str:
    if len(config.sources) != 1:
        raise click.UsageError(f"say which --source ({', '.join(config.sources) or 'none is configured'})")
    return next(iter(config.sources))


def _first_secret(config: Config, name: str, *, unsigned: bool) -> str:
    configured_source(config, name)
    secrets = config.sources[name].secrets
    if not secrets and not unsigned:
        raise click.UsageError(f"the source {name} has no secret; give --secret or --unsigned")
    return secrets[0].get_secret_value() if secrets else ""


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
