"""The main job shown in half a minute: four providers, webhooks in, a duplicate, a forgery, and what never came."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
from tabulate import tabulate

from receiver import sandbox
from receiver.config import Config, load
from receiver.errors import ReceiverError
from receiver.receiver import Receiver
from receiver.running import free_port
from receiver.sandbox import Sandbox
from receiver.store import Store, open_store
from receiver.store.base import Row

_SECRET = "demo-signing-secret"  # noqa: S105 - the stand-in's
_API_KEY = "demo-api-key"
_TIME = 28.0
_LOOK_EVERY = 0.1

_CONFIG = """\
# Written by `receiver demo`: a receiver for the stand-ins at {sandbox}
store = "sqlite:///receiver.db"
public_url = "http://127.0.0.1:{port}"

[web]
bind = "127.0.0.1:{port}"

[admin]
enabled = false

{sources}
[handlers.archive]
directory = "{media}"
allow_private = true                 # the stand-ins serve their files on loopback

[handlers.orders]
path = "orders.py"
"""

_HANDLER = '''\
"""A handler of your own: a function of one event."""

from receiver import Context, Done, Event, Router

router = Router()


@router.on(status=["succeeded", "failed"])
def tell(event: Event, context: Context) -> Done:
    order = context.job.metadata.get("order") if context.job else None
    return Done({"told": f"order {order}: {event.kind} {event.status}"})
'''

_JOBS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    # source, kind, body, what it suffers
    ("creativeai", "video", {"prompt": "A drone shot over a coastal city"}, "doubled"),
    ("creativeai", "batch", {"prompts": ["rotating", "transitions", "aerial"]}, ""),
    ("creativeai", "voice", {"text": "Your launch assets are rendering now"}, ""),
    ("creativeai", "video", {"prompt": "A scene nobody can render"}, "failed"),
    ("creativeai", "video", {"prompt": "Mountains at sunset"}, "lost"),
    ("kpainter", "slide_deck", {"prompt": "How a lighthouse works"}, ""),
    ("omnivideo", "gpt-image-2", {"prompt": "A lighthouse in fog"}, ""),
    ("newapi", "videos", {"model": "sora-2", "prompt": "Waves"}, ""),
    ("newapi", "kling-text2video", {"model": "kling-v1", "prompt": "Gulls"}, ""),
)
_FATES = {
    "": "",
    "doubled": " (its webhook will come twice)",
    "failed": " (it will fail)",
    "lost": " (its webhook will never come)",
}
_EVENTS = len(_JOBS) + 3  # one for each job, and one for each of the batch's three clips


def run(directory: Path | None) -> bool:
    """Show it, and say whether everything went as it should. Writes to `directory`, or to a folder it removes."""
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("receiver.db*"):
            if left.is_file():
                left.unlink()
        return _Demo(directory.resolve()).run(keep=True)
    with tempfile.TemporaryDirectory(prefix="receiver-demo-") as folder:
        return _Demo(Path(folder)).run(keep=False)


class _Demo:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._began = time.monotonic()
        self._shown: set[tuple[str, int]] = set()

    def run(self, *, keep: bool) -> bool:
        with Sandbox(secret=_SECRET, api_key=_API_KEY) as sandbox:
            config = self._configure(sandbox)
            self._say("start", f"stand-ins for four providers at {sandbox.url}, a receiver at {config.public_url}")
            with self._serving(config), _opened(config) as store:
                lost = self._submit(config)
                self._forge(config)
                complete = self._watch(store)
        return self._summary(config, lost, complete=complete, keep=keep)

    def _configure(self, sandbox: Sandbox) -> Config:
        text = _CONFIG.format(
            sandbox=sandbox.url,
            port=free_port(),
            sources=sandbox.tables(),
            media=(self._directory / "media").as_posix(),
        )
        file = self._directory / "receiver.toml"
        file.write_text(text, "utf-8")
        (self._directory / "orders.py").write_text(_HANDLER, "utf-8")
        return load(file)

    @contextmanager
    def _serving(self, config: Config) -> Iterator[None]:
        environment = {**os.environ, "RECEIVER_CONFIG": str(self._directory / "receiver.toml")}
        with open(self._directory / "receiver.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "receiver", "serve"], env=environment, stdout=log, stderr=log
            )
        try:
            self._wait_until(lambda: _answers(f"http://{config.web.bind}/readyz"), process)
            yield
        finally:
            process.terminate()
            process.wait(30)

    def _wait_until(self, ready: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
        while not ready():
            if process.poll() is not None or self._seconds() > _TIME:
                log = (self._directory / "receiver.log").read_text("utf-8", "replace")
                raise ReceiverError(f"the receiver did not start:\n{log[-2000:]}")
            time.sleep(_LOOK_EVERY)

    def _submit(self, config: Config) -> str:
        """Create the jobs as an application would. Returns the one whose webhook gets lost."""
        lost = ""
        with Receiver(config) as receiver:
            for order, (source, kind, body, fate) in enumerate(_JOBS, start=1):
                asked = body | ({"sandbox": fate} if fate else {})
                [job, *_] = receiver.submit(source, kind, asked, metadata={"order": order})
                self._say("submit", f"{source} {kind} {job.job_id}{_FATES[fate]}")
                lost = job.job_id if fate == "lost" else lost
        return lost

    def _forge(self, config: Config) -> None:
        body = sandbox.webhook_body("video", "vgen_forged")
        headers = sandbox.signed(body, "not-the-secret")
        answer = httpx.post(f"http://{config.web.bind}/webhooks/creativeai", content=body, headers=headers)
        self._say("forgery", f"answered {answer.status_code}: nobody can make up a result")

    def _watch(self, store: Store) -> bool:
        """Show what happens until everything has, or time is up."""
        while self._seconds() < _TIME:
            events = store.list_events(limit=100).rows
            dispatches = store.list_dispatches(limit=100).rows
            for event in self._new("event", events):
                self._say("event", f"{event['source']} {event['type']} {event['job']} via {event['via']}")
            for dispatch in self._new("handler", [row for row in dispatches if row["finished_at"]]):
                self._say("handler", f"{dispatch['handler']} {dispatch['job']} {dispatch['state']}{_result(dispatch)}")
            finished = all(row["finished_at"] for row in dispatches)
            routed = {row["event"] for row in dispatches} == {row["id"] for row in events}
            if len(events) == _EVENTS and finished and routed:
                return True
            time.sleep(_LOOK_EVERY)
        return False

    def _new(self, kind: str, rows: list[Row]) -> list[Row]:
        new = [row for row in reversed(rows) if (kind, row["id"]) not in self._shown]
        self._shown |= {(kind, row["id"]) for row in new}
        return new

    def _summary(self, config: Config, lost: str, *, complete: bool, keep: bool) -> bool:
        with _opened(config) as store:
            events = store.list_events(limit=100).rows
            repeated = sum(row["seen_count"] - 1 for row in store.list_deliveries(limit=100).rows)
            refused = store.list_refusals(limit=100).rows
            dispatches = store.list_dispatches(limit=100).rows
        recovered = [row for row in events if row["job"] == lost and row["via"] == "poll"]
        done = sum(row["state"] == "done" for row in dispatches)
        facts = [
            ["events recorded", f"{len(events)} of {_EVENTS}"],
            *([f"results of {source}", _ways(events, source)] for source in config.sources),
            ["duplicates counted, not run", repeated],
            ["forgeries refused", len(refused)],
            ["webhooks lost, results recovered by polling", len(recovered)],
            ["handler runs done", f"{done} of {len(dispatches)}"],
        ]
        click.echo(f"\n{tabulate(facts, tablefmt='simple', disable_numparse=True)}\n")
        if keep:
            _say_what_next(self._directory)
        good = complete and repeated >= 1 and len(refused) == 1 and len(recovered) == 1 and done == len(dispatches)
        click.echo(
            "Nothing is missing." if good else f"Something is missing after {self._seconds():.0f} s; that is a bug."
        )
        return good

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _say(self, what: str, text: str) -> None:
        click.echo(f"{self._seconds():5.1f} s  {click.style(f'{what:8}', fg=_COLOURS.get(what))} {text}")


_WAYS = {"webhook": "webhook", "poll": "polling"}
_COLOURS = {"event": "green", "handler": "cyan", "forgery": "red"}


def _say_what_next(directory: Path) -> None:
    file = directory / "receiver.toml"
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    click.echo("Have a look at what it kept:")
    click.echo(f"  export RECEIVER_CONFIG={shown}")
    for command in ("events", "jobs", "dispatches", "deliveries --rejected", "serve", "--help"):
        click.echo(f"  {_this_command()} {command}")
    click.echo()


def _this_command() -> str:
    """How the person can call `receiver` from where they stand."""
    program = Path(sys.argv[0]).absolute()
    return str(program.relative_to(Path.cwd())) if program.is_relative_to(Path.cwd()) else "receiver"


def _ways(events: list[Row], source: str) -> str:
    """`7 by webhook, 1 by polling`"""
    ways = Counter(event["via"] for event in events if event["source"] == source)
    return ", ".join(f"{ways[via]} by {word}" for via, word in _WAYS.items() if ways[via])


def _result(dispatch: Row) -> str:
    result = dispatch["result"] or {}
    files = ", ".join(saved["file"][:12] + "…" + Path(saved["file"]).suffix for saved in result.get("saved", []))
    told = (files and f"saved {files}") or result.get("told", "")
    return f": {told}" if told else ""


@contextmanager
def _opened(config: Config) -> Iterator[Store]:
    store = open_store(config)
    try:
        yield store
    finally:
        store.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
