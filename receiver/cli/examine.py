"""Commands for finding out why: verify and read take recorded traffic and say what Receiver makes of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from receiver import clock, plugins
from receiver.cli.common import (
    config_option,
    configured_source,
    json_option,
    loaded_config,
    opened_store,
    print_rows,
    read_lines,
)
from receiver.errors import NotConfigured, Refused, RequestFailed
from receiver.models import Delivery, Job, KeySet, Response, Trust
from receiver.providers.base import Provider
from receiver.signatures import SCHEMES

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@click.command()
@config_option
@click.argument("file", type=_FILE)
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Say of each recorded request in FILE whether it is genuine, and if not, why.

    One JSON object a line: `scheme` or `source` (or a provider's name), `secret`, `headers`, `body`, and if you like
    `id`, `now` (seconds since 1970), and `expect` (`valid` or `invalid`, with or without `:reason`). A `source` without
    `secret` uses the configured ones. Where the provider publishes its keys, write them as `jwks`, or those count that
    were fetched last. Exit status 1 if any request differs from what it expects.
    """
    rows = _each(file, _verified)
    columns = ["line", "id", "verdict", "reason", "expect", "hint"]
    print_rows(rows, as_json=as_json, columns=columns, nothing=f"{file} is empty")
    if any(row["as_expected"] is False for row in rows):
        raise click.exceptions.Exit(1)


@click.command("read")
@click.argument("provider")
@click.argument("kind")
@click.argument("file", type=_FILE)
@json_option
def read_answers(provider: str, kind: str, file: Path, as_json: bool) -> None:
    """Say what PROVIDER's adapter makes of recorded poll answers about jobs of KIND.

    One JSON object a line in FILE: `http` (the status code), `headers`, `body`, and if you like `job` (the id that was
    asked about).
    """
    adapter = plugins.provider(provider)
    if kind not in adapter.kinds:
        raise click.BadParameter(f"{provider} has the kinds {', '.join(adapter.kinds)}", param_hint="KIND")
    rows = _each(file, partial(_read, adapter(), kind))
    columns = ["line", "status", "terminal", "outputs", "error", "request_error", "retry"]
    print_rows(rows, as_json=as_json, columns=columns, nothing=f"{file} is empty")


COMMANDS = (verify, read_answers)


def _verified(line: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": line.get("id"), "expect": line.get("expect"), "hint": None}
    try:
        row |= {"verdict": _verdict(line), "reason": None}
    except Refused as refused:
        row |= {"verdict": "invalid", "reason": str(refused.reason), "hint": refused.hint}
    except NotConfigured as error:
        row |= {"verdict": "unknown", "reason": "unknown_scheme", "hint": str(error)}
    expected = str(line.get("expect") or "").partition(":")[0]
    row["as_expected"] = expected == row["verdict"] if expected in ("valid", "invalid") else None
    return row


def _verdict(line: dict[str, Any]) -> str:
    """`valid`, or `hint` where the source takes unsigned webhooks.

    Raises:
        Refused: it is not genuine.
        NotConfigured: there is no such scheme or source.
    """
    if "scheme" in line:
        if line["scheme"] not in SCHEMES:
            raise NotConfigured(f"there is no scheme {line['scheme']!r}; there are: {', '.join(SCHEMES)}")
        SCHEMES[line["scheme"]].verify(_headers(line), _body(line), _keys(line), _now(line))
        return "valid"
    name = str(line.get("source"))
    adapter = _adapter(name, line)
    now = _now(line)
    delivery = Delivery(source=name, body=_body(line), headers=_headers(line), received_at=now)
    trust = adapter.verify(delivery, now, _published(name, adapter, line, now))
    return "hint" if trust is Trust.HINT else "valid"


def _published(name: str, adapter: Provider, line: dict[str, Any], now: datetime) -> KeySet | None:
    """The keys that the provider publishes: those in the line, or those that were fetched last for the source."""
    if adapter.keys_url is None:
        return None
    if "jwks" in line:
        return KeySet(keys=tuple(_keys(line)), fetched_at=now)
    config = loaded_config()
    if name not in config.sources:
        return None
    with opened_store(config) as store:
        return store.keys(name)


def _keys(line: dict[str, Any]) -> list[str]:
    """What the signature is checked with: a secret, a public key, or those of a JSON Web Key Set."""
    if "jwks" in line:
        return [str(key.get("x")) for key in line["jwks"]["keys"]]
    return [str(line.get("public_key", line.get("secret", "")))]


def _now(line: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(float(line["now"]), UTC) if "now" in line else clock.now()


def _adapter(name: str, line: dict[str, Any]) -> Provider:
    """The adapter of a configured source, or with what checks it at hand, of a source or a provider that it is for."""
    config = loaded_config()
    secrets = [str(line["secret"])] if line.get("secret") is not None else []
    if name not in config.sources and (secrets or "jwks" in line):
        return plugins.provider(name)(secrets=secrets)
    provider = configured_source(config, name).provider
    return provider.with_secrets(secrets) if secrets else provider


def _read(adapter: Provider, kind: str, line: dict[str, Any]) -> dict[str, Any]:
    response = Response(status_code=int(line.get("http", 200)), headers=_headers(line), body=_body(line))
    job = Job(
        source=adapter.name,
        job_id=str(line.get("job", "")),
        kind=kind,
        created_at=_ANY_TIME,
        deadline_at=_ANY_TIME,
    )
    try:
        reading = adapter.read(job, response)
    except RequestFailed as error:
        return {"status": None, "request_error": str(error), "retry": error.retry}
    terminal = reading.status is not None and reading.status.terminal
    # A batch's own event is the last; the others are its clips'.
    failure = reading.events[-1].failure if terminal and reading.events else None
    return {
        "status": reading.status and str(reading.status),
        "raw_status": reading.raw_status,
        "terminal": terminal,
        "outputs": [output.url for event in reading.events for output in event.outputs],
        "error": failure and failure.message,
        "error_code": failure and failure.code,
        "events": [event.key for event in reading.events],
    }


def _each(file: Path, examine: Callable[[dict[str, Any]], dict[str, Any]]) -> list[dict[str, Any]]:
    """What `examine` makes of each line.

    Raises:
        click.UsageError: a field of a line is not of its type.
    """
    rows = []
    for number, line in read_lines(file):
        try:
            rows.append({"line": number, **examine(line)})
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise click.UsageError(f"{file}:{number}: a field is not what it should be: {error}") from error
    return rows


def _headers(line: dict[str, Any]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in (line.get("headers") or {}).items()}


def _body(line: dict[str, Any]) -> bytes:
    """A body as text, or as the JSON it was."""
    body = line.get("body", "")
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
