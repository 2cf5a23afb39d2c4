"""Commands for finding out why: verify and read take recorded traffic and say what Receiver makes of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from receiver import clock, plugins
from receiver.cli.common import config_option, configured_source, json_option, loaded_config, print_rows, read_lines
from receiver.errors import NotConfigured, Refused, RequestFailed
from receiver.models import Delivery, Job, Response
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

    One JSON object a line: `scheme` or `source`, `secret`, `headers`, `body`, and if you like `id`, `now` and
    `tolerance` (seconds) and `expect` (`valid` or `invalid`, with or without `:reason`). A `source` without `secret`
    uses the configured ones. Exit status 1 if any request differs from what it expects.
    """
    rows = [_verified(number, line) for number, line in read_lines(file)]
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
    rows = [{"line": number, **_read(adapter(), kind, line)} for number, line in read_lines(file)]
    columns = ["line", "status", "terminal", "outputs", "error", "request_error", "retry"]
    print_rows(rows, as_json=as_json, columns=columns, nothing=f"{file} is empty")


COMMANDS = (verify, read_answers)


def _verified(number: int, line: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"line": number, "id": line.get("id"), "expect": line.get("expect"), "hint": None}
    try:
        _verify(line)
        row |= {"verdict": "valid", "reason": None}
    except Refused as refused:
        row |= {"verdict": "invalid", "reason": str(refused.reason), "hint": refused.hint}
    except NotConfigured as error:
        row |= {"verdict": "unknown", "reason": "unknown_scheme", "hint": str(error)}
    expected = str(line.get("expect") or "").partition(":")[0]
    row["as_expected"] = expected == row["verdict"] if expected in ("valid", "invalid") else None
    return row


def _verify(line: dict[str, Any]) -> None:
    headers = {str(name).lower(): str(value) for name, value in dict(line.get("headers") or {}).items()}
    body = _bytes(line.get("body"))
    if "scheme" in line:
        scheme = SCHEMES.get(line["scheme"])
        if scheme is None:
            raise NotConfigured(f"there is no scheme {line['scheme']!r}; there are: {', '.join(SCHEMES)}")
        scheme.verify(headers, body, [str(line.get("secret", ""))])
        return
    source = configured_source(loaded_config(), str(line.get("source")))
    provider = source.provider
    if "secret" in line:
        provider = type(provider)(secrets=[str(line["secret"])])
    now = datetime.fromtimestamp(line["now"], UTC) if "now" in line else clock.now()
    provider.verify(Delivery(source=source.name, body=body, headers=headers, received_at=now), now)


def _read(adapter: Provider, kind: str, line: dict[str, Any]) -> dict[str, Any]:
    response = Response(
        status_code=int(line.get("http", 200)),
        headers={str(name).lower(): str(value) for name, value in dict(line.get("headers") or {}).items()},
        body=_bytes(line.get("body", "")),
    )
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
    failure = next((event.failure for event in reversed(reading.events) if event.failure), None)
    status = reading.status
    return {
        "status": status and str(status),
        "raw_status": reading.raw_status,
        "terminal": bool(status and status.terminal),
        "outputs": [output.url for event in reading.events for output in event.outputs],
        "error": failure and failure.message,
        "error_code": failure and failure.code,
        "events": [event.key for event in reading.events],
    }


def _bytes(body: object) -> bytes:
    """A body as text, or as the JSON it was."""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
