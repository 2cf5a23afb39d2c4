"""The README and the pages of `docs/`: what is written in them, and receivers set up as they say."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from receiver.sandbox import Sandbox
from tests.running import Running

ROOT = Path(__file__).parents[1]
# What these hand events to is not here.
_AWAY = ("archive", "forward", "shop", "command", "notify", "publish")
_CALL = r"receiver +[a-z-][^|&;#\n]*"
# The account at each stand-in.
API_KEY = "your-key"
_EXPORT = "export "
# The commands in the pages' blocks that no test runs as they stand, and why. All others are run.
NOT_RUN = {
    "python3 -m venv .venv && . .venv/bin/activate && pip install .": (
        "it takes the network; the drill of tests/test_newcomer.py types it"
    ),
    "make install && . .venv/bin/activate": "the tests run in what it makes",
    "make test": "it runs these tests",
    "pip install pre-commit && pre-commit install": "it changes what git does in this checkout",
    "receiver serve": "`Described.serving` starts it, and it goes on meanwhile",
    "receiver sandbox --lost 0.2 --failed 0.1 --budget 60/min": "it goes on; tests/cli/test_sandbox.py starts one",
    "celery -A receiver.engine.celery worker --hostname node1@%h --concurrency 8": "tests/engine starts such workers",
    "celery -A receiver.engine.celery worker --hostname node2@%h --concurrency 2 --queues receiver.slow": "likewise",
    "pipx install dist/ai_media_receiver-*.whl": "it takes the network; a drill of tests/test_packaging.py runs it",
    "uv tool install dist/ai_media_receiver-*.whl": "likewise",
    "apt-get install postgresql": "the tests bring a PostgreSQL of their own",
    "sudo systemctl daemon-reload": "no systemd runs here",
    "sudo systemctl enable --now receiver-web.socket receiver-web receiver-worker receiver-reconcile receiver-admin "
    "receiver-discover.timer": (
        "likewise; tests/deploy/test_commands.py enables them, tests/deploy/test_units.py starts them"
    ),
    "sudo systemd-run --pty --quiet --uid=receiver --property=EnvironmentFile=/etc/receiver/receiver.env "
    "--setenv=RECEIVER_CONFIG=/etc/receiver/receiver.toml /opt/receiver/bin/receiver doctor": "no systemd runs here",
    "docker compose --file deploy/compose.yaml --project-directory . up --detach --build": (
        "no daemon runs here; tests/deploy/test_image.py builds the image without one, and starts it"
    ),
}
# What may exit with 1 here, and why.
MAY_FAIL = {
    "receiver doctor": "it finds that the secret is a sample",
    "receiver doctor --offline": "likewise",
    "receiver send --job vgen_2 --tamper": "it is refused, as the page shows",
}


@dataclass(frozen=True)
class Block:
    """A fenced block, and the paragraph before it."""

    before: str
    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Shown:
    """A command of a console block, and the output shown below it."""

    command: str
    output: str


class Page:
    """One page as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text("utf-8")

    def __repr__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def blocks(self, *languages: str) -> list[Block]:
        found = re.finditer(r"^( *)```([a-z]+)\n(.*?)^\1```$", self.text, re.MULTILINE | re.DOTALL)
        return [
            Block(
                before=self.text[: match.start()].rstrip().rpartition("\n\n")[2],
                language=match[2],
                text=re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE),
                line=self.text.count("\n", 0, match.start()) + 1,
            )
            for match in found
            if match[2] in languages
        ]

    def console(self) -> list[Shown]:
        commands: list[Shown] = []
        for block in self.blocks("console"):
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    commands.append(Shown(line.removeprefix("$ "), ""))
                else:
                    commands[-1] = Shown(commands[-1].command, f"{commands[-1].output}{line}\n")
        return commands

    def to_run(self) -> list[Shown]:
        """The commands of its console blocks that a test runs; what they export is in the environment already."""
        return [
            shown for shown in self.console() if shown.command not in NOT_RUN and not shown.command.startswith(_EXPORT)
        ]

    def server(self) -> list[str]:
        """The commands of its blocks for a server, without comments, and with lines that go on joined."""
        text = "\n".join(block.text for block in self.blocks("sh"))
        lines = re.sub(r"\s*\\\n\s*", " ", re.sub(r"\s+# .*$", "", text, flags=re.MULTILINE)).splitlines()
        return [line for line in lines if line]

    def server_to_run(self) -> list[str]:
        """Those of them that a test runs."""
        return [command for command in self.server() if command not in NOT_RUN]

    def commands(self) -> list[str]:
        """Every command of its blocks."""
        return [*(shown.command for shown in self.console()), *self.server()]

    def invocations(self) -> list[str]:
        """Every `receiver …` in a block or in the text."""
        written = [
            *(shown.command for shown in self.console()),
            *re.findall(r"`(receiver [^`\n]+)`", self.text),
        ]
        found = {call for text in written for call in re.findall(rf"(?<![\w./-]){_CALL}", text)}
        # Of a server's commands only what begins with ours: others have `receiver` as a name.
        for block in self.blocks("sh"):
            found |= set(re.findall(rf"(?:^|&& |/bin/)({_CALL})", block.text, re.MULTILINE))
        return sorted(found)

    def files(self) -> dict[str, str]:
        """The Python files that it has written, by their paths."""
        return {
            name: block.text for block in self.blocks("python") for name in re.findall(r"`([\w/]+\.py)`", block.before)
        }


def each(pages: list[Page], *languages: str) -> list[object]:
    """The blocks of these pages, as parameters of a test."""
    return [pytest.param(page, block, id=f"{page}-{block.line}") for page in pages for block in page.blocks(*languages)]


class Described(Running):
    """A receiver set up as a page says, but at a free port, without fetching anything, and with stand-ins.

    A block of TOML that begins with `# receiver.toml` is the whole file, one with `# at the top of` comes before what
    is there, and all others after it. Its store is a file, whatever the page says; tests/cluster/test_readme.py takes
    the page at its word.
    """

    def __init__(self, folder: Path, page: Page, sandbox: Sandbox) -> None:
        super().__init__(folder, "")
        self.page = page
        self.sandbox = sandbox
        self.config.unlink()
        (folder / "tests").symlink_to(ROOT / "tests")
        begun = [shown.command for shown in page.console() if shown.command.startswith("receiver init")]
        self.shell(begun[0] if begun else "receiver init")
        blocks = [block.text for block in page.blocks("toml")]
        whole = [text for text in blocks if text.startswith("# receiver.toml")]
        first = [text for text in blocks if text.startswith("# at the top of")]
        last = [text for text in blocks if text not in (*whole, *first)]
        self.config.write_text("\n".join([*first, whole[-1] if whole else self.config.read_text(), *last]))
        for name, text in page.files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        exported = dict(re.findall(r"^ *\$ export (\w+)=(\S+)$", self.page.text, re.MULTILINE))
        tables = tomllib.loads(self.config.read_text()) if self.config.exists() else {}
        sources = {
            f"RECEIVER_SOURCES__{name.upper()}__BASE_URL": self.sandbox.base_urls[table["provider"]]
            for name, table in tables.get("sources", {}).items()
            if table["provider"] in self.sandbox.base_urls
        }
        away = {f"RECEIVER_HANDLERS__{name.upper()}__ENABLED": "false" for name in tables.get("handlers", {})}
        return {
            **super().environment,
            "CREATIVEAI_WEBHOOK_SECRET": "try-me",
            "CREATIVEAI_API_KEY": API_KEY,
            **exported,
            **sources,
            **{name: value for name, value in away.items() if name.split("__")[1].lower() in _AWAY},
            "RECEIVER_STORE": "sqlite:///receiver.db",
            "RECEIVER_WEB__BIND": self.url.removeprefix("http://"),
            "RECEIVER_ADMIN__ENABLED": "false",
            "GITHUB_WEBHOOK_SECRET": "one",
            "STUDIO_WEBHOOK_SECRET": "two",
            "SEAL_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def shell(self, command: str) -> str:
        """What a command of the page prints."""
        process = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60
        )
        allowed = (0, 1) if command in MAY_FAIL else (0,)
        assert process.returncode in allowed, f"{command}: {process.stdout}{process.stderr}"
        assert "Traceback" not in process.stderr, process.stderr
        return process.stdout

    def check(self) -> subprocess.CompletedProcess[str]:
        """`receiver check --offline` with all handlers, also those that have nobody to hand events to."""
        switched_off = [f"-u{name}" for name in self.environment if name.endswith("__ENABLED") and "HANDLERS" in name]
        command = ["env", *switched_off, sys.executable, "-m", "receiver", "check", "--offline"]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def to_run(self) -> list[Shown]:
        """The commands of the page that are not done already."""
        return [shown for shown in self.page.to_run() if not shown.command.startswith("receiver init")]
