"""The wheel, installed away from the checkout, is complete."""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.pages import ROOT, Page

TABLES = """
[sources.creativeai]
provider = "creativeai"
secrets = ["a-secret"]

[handlers.log]

[handlers.archive]
directory = "media"
"""


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SUPPORTED = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel's content, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), wheel])
    return folder


@pytest.fixture
def python(installed, tmp_path):
    """Runs Python with the installed wheel and the libraries, without the checkout."""
    (tmp_path / "receiver.toml").write_text(TABLES)

    def run_python(*arguments):
        # Without `site`, the file that leads to the checkout is not read.
        paths = [str(installed), *site.getsitepackages()]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
        return run([sys.executable, "-S", *arguments], cwd=tmp_path, env=environment)

    return run_python


def run(command, **more):
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, **more)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def files(folder, pattern):
    return {path.relative_to(folder) for path in folder.rglob(pattern)}


@pytest.mark.parametrize(
    ("folder", "package"),
    [("receiver", "receiver"), ("handlers", "receiver_handlers"), ("deploy", "receiver_deploy")],
    ids=lambda name: name,
)
def test_every_module_is_in_it(installed, folder, package):
    assert files(installed / package, "*.py") == files(ROOT / folder, "*.py")


def test_nothing_else_takes_a_name(installed):
    names = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}

    assert names == {"bin", "receiver", "receiver_deploy", "receiver_handlers"}


def test_it_says_that_it_is_typed(installed):
    assert (installed / "receiver" / "py.typed").exists()


def test_it_has_the_licence(wheel):
    assert any(name.endswith("/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_it_is_not_the_checkout_that_runs(python, installed):
    printed = python("-c", "import receiver, receiver_handlers; print(receiver.__file__, receiver_handlers.__file__)")

    assert all(Path(file).is_relative_to(installed) for file in printed.split())


def test_its_configuration_is_checked_with_the_shipped_handlers(python):
    lines = python("-m", "receiver", "check", "--offline").splitlines()

    assert lines[-2:] == ["handler log: loaded", "handler archive: loaded"]


def test_it_finds_every_provider(python):
    printed = python("-c", "import json; from receiver import plugins; print(json.dumps(sorted(plugins.providers())))")

    files = (ROOT / "receiver" / "providers").glob("*.py")
    shipped = {path.stem for path in files if "(Provider):" in path.read_text("utf-8")}
    assert len(shipped) > 15
    assert set(json.loads(printed)) >= shipped


@pytest.mark.parametrize("what", ["gunicorn_command()", "gunicorn_command(*ADMIN)"])
def test_it_finds_what_gunicorn_needs(python, what):
    program = f"""
from gunicorn.app.wsgiapp import WSGIApplication
from receiver.cli.run import ADMIN, gunicorn_command
import sys

sys.argv = ["gunicorn", "--check-config", *{what}[3:]]
WSGIApplication().run()
"""

    python("-c", program)


def test_it_has_the_pages_of_the_admin_side(installed):
    checkout = {
        path.name for folder in ("templates", "static") for path in (ROOT / "receiver/admin" / folder).iterdir()
    }

    packed = {
        path.name for folder in ("templates", "static") for path in (installed / "receiver/admin" / folder).iterdir()
    }
    assert checkout
    assert packed == checkout


def test_what_it_is_deployed_with_is_in_it(installed):
    there = {path for path in files(ROOT / "deploy", "*") if (ROOT / "deploy" / path).is_file()}

    assert {path for path in there if "__pycache__" not in path.parts} <= files(installed / "receiver_deploy", "*")


@pytest.mark.parametrize("package", ["receiver", "receiver/admin"])
def test_its_pages_are_in_it(installed, package):
    there = {path for path in files(ROOT / package, "*") if path.suffix in (".html", ".css", ".js", ".svg")}

    assert there <= files(installed / package, "*")


def test_the_readme_says_which_pythons_it_is_tested_with():
    oldest, *others = SUPPORTED
    told = f"All tests are run with {oldest}, the installation and the demonstration with {' and '.join(others)}, too."
    assert told in " ".join(Page(ROOT / "README.md").text.split())


@pytest.mark.drill
@pytest.mark.parametrize("version", SUPPORTED)
def test_it_runs_with_every_python_it_names(version, wheel, tmp_path):
    """Installed into an empty environment, with what it says it needs, it does its main job."""
    created = subprocess.run([interpreter(version), "-m", "venv", tmp_path / "venv"], timeout=120)
    assert created.returncode == 0
    program = tmp_path / "venv" / "bin" / "receiver"
    run_long([tmp_path / "venv" / "bin" / "pip", "install", "--quiet", str(wheel)])
    environment = {**os.environ, "CREATIVEAI_WEBHOOK_SECRET": "a-secret", "CREATIVEAI_API_KEY": "a-key"}

    run([program, "init", "."], cwd=tmp_path)
    checked = run([program, "check", "--offline"], cwd=tmp_path, env=environment)
    run_long([program, "demo"])

    assert "handler results: loaded" in checked


@pytest.mark.drill
@pytest.mark.parametrize("tool", ["pipx", "uv"])
def test_it_can_be_installed_as_a_tool(tool, wheel, tmp_path):
    """As the README says."""
    [command] = [command for command in Page(ROOT / "README.md").server() if command.startswith(f"{tool} ")]
    run([sys.executable, "-m", "venv", tmp_path / "venv"])
    run_long([tmp_path / "venv" / "bin" / "pip", "install", "--quiet", tool])
    (tmp_path / "dist").symlink_to(wheel.parent)
    program = tmp_path / "bin" / "receiver"
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}",
        "PIPX_HOME": str(tmp_path / "tools"),
        "PIPX_BIN_DIR": str(program.parent),
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(program.parent),
    }

    run_long(["bash", "-c", command], cwd=tmp_path, env=environment)
    run([program, "init", "."], cwd=tmp_path)

    assert "Nothing is missing." in run_long([program, "demo"])


@pytest.mark.drill
def test_its_extras_can_be_had_together(wheel):
    extras = ",".join(PROJECT["optional-dependencies"])

    run_long(
        [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", f"{wheel}[{extras}]"]
    )


def interpreter(version):
    """A Python of that version; without it the test is skipped on a desk, and fails in CI."""
    found = [
        *filter(None, [shutil.which(f"python{version}")]),
        *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))),
    ]
    working = [path for path in found if subprocess.run([path, "--version"], capture_output=True).returncode == 0]
    if not working:
        missing = f"no python{version}"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return working[0]


def run_long(command, **more):
    process = subprocess.run(command, capture_output=True, text=True, timeout=540, **more)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout
