"""Secrets that a receiver knows, or is sent, through everything it does: they are nowhere in clear."""

import json
import re
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from datetime import timedelta
from urllib.parse import quote

import httpx
import psycopg
import pytest

from receiver import sandbox, tokens
from receiver.config import load
from receiver.models import Role, Schedule
from receiver.running import free_port
from receiver.store import open_store
from tests.running import Running
from tests.scripted import Answer, Scripted
from tests.watch import eventually

# Each is told apart from all others and from any other text.
SIGNING = "signing-secret-7f3a9c"
OLD_SIGNING = "older-signing-secret-51be0d"
API_KEY = "api-key-e02d4b-a19f"
HINTED_KEY = "hinted-api-key-93c7aa"
FORWARD = "whsec_" + b64encode(b"forward-secret-that-is-long").decode()
FORWARD_HEADER = "forward-header-token-c4418e"
FORWARD_QUERY = "forward-query-token-0b77fd"
SENT_HEADER = "sent-header-token-6e19b3"
SENT_QUERY = "sent-query-token-d28c51"
DATABASE = "database-password-8ad4e6"

SECRETS = [
    *(SIGNING, OLD_SIGNING, API_KEY, HINTED_KEY, FORWARD, FORWARD_HEADER, FORWARD_QUERY, SENT_HEADER, SENT_QUERY),
    DATABASE,
]

_AT_ONCE = Schedule(first=timedelta(0), every={timedelta(0): timedelta(hours=1)}, deadline=timedelta(hours=1))
_HEX = re.compile(r"\\\\x([0-9a-f]+)")

_TABLES = f"""
store = "{{store}}"

[web]
bind = "{{bind}}"

[admin]
bind = "{{admin}}"

[reconcile]
every = "200ms"

[sources.creativeai]
provider = "creativeai"
secrets = ["{SIGNING}", "{OLD_SIGNING}"]
api_key = "{API_KEY}"
base_url = "{{provider}}"

[sources.hinted]
provider = "creativeai"
unsigned = true
api_key = "{HINTED_KEY}"
base_url = "{{provider}}"

[handlers.forward]
url = "{{provider}}/forward?token={FORWARD_QUERY}"
secrets = ["{FORWARD}"]
headers = {{{{ X-Token = "{FORWARD_HEADER}" }}}}
allow_private = true
max_attempts = 1
"""

_PAGES = [
    *("/", "/events", "/jobs", "/deliveries", "/dead-letters", "/quarantine", "/sources", "/handlers", "/spend"),
    *("/events/1", "/deliveries/1", "/quarantine/1"),
]
_API = [
    "/metrics",
    *(f"/api/v1/{what}" for what in ("events", "jobs", "deliveries", "dispatches", "sources", "handlers", "stats")),
    *("/api/v1/events/1", "/api/v1/deliveries/1", "/api/v1/dispatches/1", "/api/v1/alerts"),
]
_COMMANDS = [
    ["check"],
    ["doctor"],
    ["routes"],
    ["alerts"],
    *([what, "--json"] for what in ("jobs", "events", "deliveries", "dispatches")),
    ["deliveries", "--rejected", "--json"],
    ["tokens"],
]


# All in one process, which takes a second for each otherwise.
_RUN = """
import json, sys
from receiver.cli import main

for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit:
        pass
"""


class Telltale(Scripted):
    """A provider that quotes whatever it was asked with, in its errors and in the headers of its answers."""

    def __init__(self) -> None:
        super().__init__(self._quote)

    def _quote(self, path: str) -> Answer:
        asked = self.asked[-1]
        quoted = json.dumps({"path": asked.path, "headers": dict(asked.headers)})
        return Answer({"error": {"message": f"refused: {quoted}"}}, status=401, headers={"X-Quoted": quoted})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.drill)])
def store(request, tmp_path):
    """The setting `store` of a new one, and what gives all that is kept on a server, as text."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/receiver.db", lambda: ""
        return
    with request.getfixturevalue("postgres").copied() as url:
        yield url.replace("receiver@", f"receiver:{DATABASE}@", 1), lambda: everything_in(url)


def everything_in(url: str) -> str:
    with psycopg.connect(url) as server:
        names = [name for (name,) in server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        rows = [row for name in names for (row,) in server.execute(f'SELECT "{name}"::text FROM "{name}"')]  # noqa: S608
    assert len(rows) > 10
    # Bytes are written in hexadecimal.
    stored = [bytes.fromhex(found).decode(errors="replace") for row in rows for found in _HEX.findall(row)]
    return "\n".join(rows + stored)


def spellings(secret: str) -> set[str]:
    """In clear, and as it may stand in a URL or in base64."""
    return {secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("=")}


def test_no_secret_is_kept_logged_or_shown(store, tmp_path):
    url, everything = store
    with Telltale() as provider:
        receiver = Running(tmp_path, "")
        admin = f"http://127.0.0.1:{free_port()}"
        receiver.config.write_text(
            _TABLES.format(
                store=url,
                bind=receiver.url.removeprefix("http://"),
                admin=admin.removeprefix("http://"),
                provider=provider.url,
            )
        )
        (tmp_path / "body.json").write_text('{"prompt": "A lighthouse"}')
        with closing(open_store(load(receiver.config))) as known:
            known.track("creativeai", "vgen_4", kind="video", schedule=_AT_ONCE)
            token = tokens.add(known, "operator", role=Role.OPERATOR)
        with receiver.serving(), httpx.Client(timeout=10, trust_env=False) as client:
            post(client, receiver.url, "vgen_1", secret=SIGNING)
            post(client, receiver.url, "vgen_2", secret="not-ours")
            post(client, receiver.url, "vgen_3", secret="not-ours", source="hinted")
            acted = said(receiver, [["submit", "creativeai", "video", str(tmp_path / "body.json")]])
            eventually(lambda: {"forward", "vgen_3", "vgen_4"} <= asked_for(provider), within=30)
            eventually(lambda: "outcome=dead" in receiver.log, within=30)
            shown = said(receiver, _COMMANDS)
            client.headers["Origin"] = admin
            signed_in = client.post(f"{admin}/sign-in", data={"token": token})
            pages = [client.get(f"{admin}{path}", headers={"Accept": "text/html"}) for path in _PAGES]
            client.cookies.clear()
            bearer = {"Authorization": f"Bearer {token}"}
            pages += [client.get(f"{admin}{path}", headers=bearer) for path in _API]

    with closing(open_store(load(receiver.config))) as known:
        # In the tables they are packed.
        kept = "".join(repr(known.delivery(row["id"])) for row in known.list_deliveries(limit=1000).rows)
    found = everything() + acted + shown + kept + "".join(page.text for page in pages)
    files = [file for file in tmp_path.iterdir() if file.is_file() and file != receiver.config]
    found += "".join(file.read_bytes().decode(errors="replace") for file in files)
    assert signed_in.status_code == 303
    assert {page.status_code for page in pages} == {200}
    assert "(masked)" in found
    assert "vgen_2" in found
    assert [secret for secret in [*SECRETS, token] if any(spelling in found for spelling in spellings(secret))] == []


def post(client: httpx.Client, url: str, job: str, *, secret: str, source: str = "creativeai") -> None:
    """As a provider behind a gateway does that adds secrets of its own."""
    body = sandbox.webhook_body("video", job)
    headers = {
        **sandbox.signed(body, secret),
        "Authorization": f"Bearer {SENT_HEADER}",
        "Cookie": f"session={SENT_HEADER}",
        "X-Api-Key": SENT_HEADER,
    }
    client.post(f"{url}/webhooks/{source}?token={SENT_QUERY}", content=body, headers=headers)


def asked_for(provider: Scripted) -> set[str]:
    """The last parts of the paths that were asked for."""
    return {path.partition("?")[0].rpartition("/")[2] for path in provider.paths}


def said(receiver: Running, commands: list[list[str]]) -> str:
    """What commands print, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(commands)],
        env=receiver.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout
