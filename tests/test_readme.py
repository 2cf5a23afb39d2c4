"""The README is true: its tables are up to date, and its blocks can be pasted and work."""

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from receiver import plugins
from receiver.cli import main
from receiver.config import Config, HandlerConfig, SourceConfig
from receiver.sandbox import Sandbox
from tests.running import Running, eventually

# What these hand events to is not here.
_AWAY = ("ARCHIVE", "SHOP", "COMMAND", "NOTIFY", "PUBLISH")
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


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


def blocks(*languages: str) -> list[Block]:
    found = re.finditer(r"^```([a-z]+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [
        Block(
            before=README[: match.start()].rstrip().rpartition("\n\n")[2],
            language=match[1],
            text=match[2],
            line=README.count("\n", 0, match.start()) + 1,
        )
        for match in found
        if match[1] in languages
    ]


def each(*languages: str) -> list[object]:
    return [pytest.param(block, id=f"{block.language}-line-{block.line}") for block in blocks(*languages)]


def console() -> list[Shown]:
    commands: list[Shown] = []
    for block in blocks("console"):
        for line in block.text.splitlines():
            if line.startswith("$ "):
                commands.append(Shown(line.removeprefix("$ "), ""))
            else:
                commands[-1] = Shown(commands[-1].command, f"{commands[-1].output}{line}\n")
    return commands


def invocations() -> list[str]:
    """Every `receiver …` in a block or in the text."""
    written = [
        *(shown.command for shown in console()),
        *(block.text for block in blocks("cron")),
        *re.findall(r"`(receiver [^`\n]+)`", README),
    ]
    return sorted({found for text in written for found in re.findall(r"(?<![\w./-])receiver +[a-z-][^|&;\n]*", text)})


def setting_keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    opened = {"sources": SourceConfig, "handlers": HandlerConfig}
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        if prefix == "" and name in opened:
            yield from setting_keys(opened[name], f"{name}.NAME.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


class FromTheReadme(Running):
    """A receiver set up as the README says, but at a free port, without fetching anything, and with stand-ins."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        super().__init__(folder, "")
        self.sandbox = sandbox
        (folder / "tests").symlink_to(ROOT / "tests")
        self.config.write_text("\n".join(block.text for block in blocks("toml")))
        for block in blocks("python"):
            for name in re.findall(r"`([\w/]+\.py)`", block.before):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(block.text)

    @property
    def environment(self) -> dict[str, str]:
        exported = dict(re.findall(r"^\$ export (\w+)=(\S+)$", README, re.MULTILINE))
        return {
            **super().environment,
            **exported,
            "RECEIVER_WEB__BIND": self.url.removeprefix("http://"),
            **{f"RECEIVER_HANDLERS__{name}__ENABLED": "false" for name in _AWAY},
            "GITHUB_WEBHOOK_SECRET": "one",
            "STUDIO_WEBHOOK_SECRET": "two",
            "RECEIVER_SOURCES__KPAINTER__BASE_URL": self.sandbox.base_urls["kpainter"],
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def shell(self, command: str) -> str:
        """What a command of the README prints."""
        process = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert process.returncode in (0, 1), process.stderr
        return process.stdout


@pytest.fixture
def described(tmp_path):
    """A folder with what the README says to put there."""
    with Sandbox(secret="any", api_key="your-key") as sandbox:
        yield FromTheReadme(tmp_path, sandbox)


def test_its_generated_parts_are_up_to_date():
    process = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "README.md"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert process.returncode == 0, "run `make docs`: " + process.stdout + process.stderr


@pytest.mark.parametrize("name", main.commands)
def test_it_names_every_command(name):
    assert re.search(rf"`receiver {name}[ `]", README)


@pytest.mark.parametrize("key", list(setting_keys()))
def test_it_names_every_setting(key):
    assert f"`{key}`" in README


@pytest.mark.parametrize("name", plugins.providers())
def test_it_names_every_provider(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", plugins.installed_handlers())
def test_it_names_every_shipped_handler(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize("block", each("toml"))
def test_its_tables_can_be_parsed(block):
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", each("python"))
def test_its_code_compiles(block):
    compile(block.text, f"README.md:{block.line}", "exec")


@pytest.mark.parametrize("invocation", invocations())
def test_its_commands_exist(invocation):
    _, name, *arguments = shlex.split(invocation, comments=True)
    options = {
        option
        for command in (main, main.commands.get(name))
        for param in (command.get_params(click.Context(command, help_option_names=["-h", "--help"])) if command else [])
        for option in param.opts
    }

    assert name in main.commands or name.startswith("-")
    assert {word.partition("=")[0] for word in [name, *arguments] if word.startswith("-") and word != "-"} <= options


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^\$ |`)make ([a-z]+)", README, re.MULTILINE))))
def test_its_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:receiver|deploy|tests|handlers)/[\w./-]*)`", README))))
def test_its_files_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(receiver(?:\.\w+)+)`", README)) - {"receiver.toml"}))
def test_its_python_names_exist(name):
    try:
        assert importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert name in (plugins.PROVIDERS, plugins.HANDLERS) or hasattr(importlib.import_module(module), attribute)


def test_its_configuration_and_its_handler_work_as_they_are(described):
    checked = described.run("check", "--offline")

    assert checked.returncode == 0, checked.stderr
    assert "handler orders: loaded" in checked.stdout.splitlines()


def test_its_consoles_show_what_is_printed(described):
    with described.serving():
        shown = [
            shown for shown in console() if re.match(r"receiver (?!serve|sandbox)|sqlite-utils|echo", shown.command)
        ]

        for each_shown in shown:
            printed = described.shell(each_shown.command)
            assert printed == each_shown.output or not each_shown.output

        eventually(lambda: "order 17: https://" in described.log)
        assert "POST" in {asked.method for asked in described.sandbox.requests}
    assert list(described.folder.glob("backup-*.db"))
