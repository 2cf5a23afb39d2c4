"""Every page is true: its generated parts are up to date, its links lead somewhere, and its commands work."""

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import click
import pytest
from pydantic import BaseModel

from receiver import plugins, signals
from receiver.admin.api import OPERATIONS, PREFIX
from receiver.cli import commands, main
from receiver.config import Config, HandlerConfig, SourceConfig
from receiver.sandbox import Sandbox
from tests.pages import API_KEY, NOT_RUN, ROOT, Described, Page, each

PAGES = [Page(ROOT / "README.md"), *map(Page, sorted((ROOT / "docs").rglob("*.md")))]
BY_NAME = {str(page): page for page in PAGES}
# What these build is put together, and their commands are run, by tests of their own.
BUILT = ("README.md", "docs/adapter.md", "docs/handler.md")
# It wants a broker.
CLUSTERED = "docs/celery.md"
CONFIGURED = [page for page in PAGES if page.blocks("toml") and str(page) not in (*BUILT, CLUSTERED)]
RUN = [page for page in PAGES if page.to_run() and str(page) not in BUILT]
# What the page about adapters has its readers make.
EXAMPLE = "tests/samples/acme"
LAYERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]


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


def found(pattern: str) -> list[object]:
    """What a pattern finds in each page, as parameters of a test."""
    return [
        pytest.param(text, id=f"{page}-{text}")
        for page in PAGES
        for text in sorted(set(re.findall(pattern, page.text, re.MULTILINE)))
    ]


def test_their_generated_parts_are_up_to_date():
    process = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", *BY_NAME], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert process.returncode == 0, "run `make docs`: " + process.stdout + process.stderr


def test_they_make_a_site_without_a_warning(tmp_path):
    """A link that leads nowhere is one."""
    build = ["sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--builder", "html", "docs", str(tmp_path)]

    process = subprocess.run([sys.executable, "-m", *build], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert process.returncode == 0, process.stderr
    assert len(list(tmp_path.rglob("*.html"))) > len(PAGES)


@pytest.mark.parametrize(
    ("page", "link"),
    [
        pytest.param(page, link, id=f"{page}-{link}")
        for page in PAGES
        for link in sorted(set(re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.text)))
    ],
)
def test_their_links_lead_to_files(page, link):
    assert (page.path.parent / link).exists()


@pytest.mark.parametrize("key", list(setting_keys()))
def test_every_setting_is_there(key):
    assert f"| `{key}` |" in BY_NAME["docs/reference/settings.md"].text


@pytest.mark.parametrize("name", commands())
def test_every_command_is_there(name):
    assert f"## receiver {name}\n" in BY_NAME["docs/reference/commands.md"].text


@pytest.mark.parametrize("name", plugins.providers())
def test_every_provider_is_there(name):
    assert f"| `{name}` |" in BY_NAME["docs/reference/sources.md"].text


@pytest.mark.parametrize("name", plugins.installed_handlers())
def test_every_shipped_handler_is_there(name):
    assert f"| `{name}` |" in BY_NAME["docs/shipped-handlers.md"].text


@pytest.mark.parametrize("name", [name for name in signals.__all__ if name != "announce"])
def test_every_signal_is_there(name):
    assert f"| `{getattr(signals, name).name}` |" in BY_NAME["docs/reference/signals.md"].text


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_operation_of_the_api_is_there(operation):
    assert f"| `{operation.method} {PREFIX}{operation.path}` |" in BY_NAME["docs/reference/api.md"].text


@pytest.mark.parametrize("name", [name for layer in LAYERS for name in layer.split(" : ")])
def test_every_layer_is_on_the_page_about_the_architecture(name):
    assert f"| `{name}` |" in BY_NAME["docs/architecture.md"].text


@pytest.mark.parametrize(("page", "block"), each(PAGES, "toml"))
def test_their_tables_can_be_parsed(page, block):
    assert tomllib.loads(block.text)


@pytest.mark.parametrize(("page", "block"), each(PAGES, "python"))
def test_their_code_compiles(page, block):
    compile(block.text, f"{page}:{block.line}", "exec")


@pytest.mark.parametrize("invocation", sorted({text for page in PAGES for text in page.invocations()}))
def test_their_commands_exist(invocation):
    _, name, *arguments = shlex.split(invocation, comments=True)
    command = commands().get(name)
    below = command.commands.get(arguments[0]) if isinstance(command, click.Group) and arguments else None
    options = {
        option
        for known in (main, command, below)
        for param in (known.get_params(click.Context(known, help_option_names=["-h", "--help"])) if known else [])
        for option in param.opts
    }

    assert name in commands() or name.startswith("-")
    assert {word.partition("=")[0] for word in [name, *arguments] if word.startswith("-") and word != "-"} <= options


def test_only_commands_that_there_are_have_a_reason_not_to_be_run():
    assert set(NOT_RUN) <= {command for page in PAGES for command in page.commands()}


@pytest.mark.parametrize("path", found(r"(?<![\w/])((?>(?:receiver|deploy|tests|handlers|bench|\.ci)/[\w./-]*))(?!\*)"))
def test_their_files_exist(path):
    assert (ROOT / path.rstrip(".")).exists() or path.startswith(EXAMPLE)


@pytest.mark.parametrize("target", found(r"(?:^\$ |`|```sh\n)make ([a-z]+)"))
def test_their_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", found(r"`(receiver(?:\.\w+)+)`"))
def test_their_python_names_exist(name):
    if name in ("receiver.toml", "receiver.db", "receiver.env", "receiver.slow", plugins.PROVIDERS, plugins.HANDLERS):
        return
    try:
        assert importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("page", CONFIGURED, ids=str)
def test_their_configuration_is_accepted(page, tmp_path):
    with Sandbox(secret="any", api_key=API_KEY) as sandbox:
        checked = Described(tmp_path, page, sandbox).check()

    names = {name for block in page.blocks("toml") for name in tomllib.loads(block.text).get("handlers", {})}
    assert checked.returncode == 0, checked.stderr
    assert {f"handler {name}: loaded" for name in names} <= set(checked.stdout.splitlines())


@pytest.mark.parametrize("page", RUN, ids=str)
def test_their_commands_print_what_is_shown(page, tmp_path):
    with Sandbox(secret="any", api_key=API_KEY) as sandbox:
        described = Described(tmp_path, page, sandbox)
        with described.serving():
            for shown in described.to_run():
                printed = described.shell(shown.command)
                assert printed == shown.output or not shown.output
