"""What the pages have people type on a server is run, in a folder that stands for the whole disk."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from receiver.config import load
from receiver.store.postgres import PostgresStore
from receiver.store.sqlite import SQLiteStore
from tests.deploy.machine import DEPLOY, program, unit
from tests.pages import ROOT, Page
from tests.postgres import Server, programs, temporary
from tests.store.contract import a_record, an_event
from tests.test_pages import PAGES

TESTED = {name: Page(ROOT / "docs" / f"{name}.md") for name in ("backup", "celery", "deploy", "postgres", "secure")}
TESTED["README"] = Page(ROOT / "README.md")
# What a page writes as an address of a store.
STORE = "postgresql://receiver:password@db.example/receiver"
# Where a page has a checkout, this has the wheel.
CHECKOUT = re.compile(r'(?<=^pip install ")\.(?=\[)')
# The places that its commands write to.
ABSOLUTE = re.compile(r"(?<![\w.])/(?=(?:etc|opt)/)")
# Here nobody becomes somebody else, and no user of this machine is made.
STAND_INS = {
    "sudo": 'if [ "$1" = -u ]; then export PGUSER="$2"; shift 2; fi; exec "$@"',
    "systemd-sysusers": 'exec {real} --root="$DISK"',
}


class Disk:
    """A folder with the wheel and `deploy`, as somebody has it who begins on a server."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.wheel = wheel.name
        (folder / wheel.name).symlink_to(wheel)
        (folder / "dist").symlink_to(wheel.parent)
        (folder / "deploy").symlink_to(DEPLOY)
        (folder / "etc" / "systemd" / "system").mkdir(parents=True)
        (folder / "bin").mkdir()
        for name, script in STAND_INS.items():
            real = program(name, "systemd") if name.startswith("systemd") else ""
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{script.format(real=real)}\n")
            (folder / "bin" / name).chmod(0o755)

    def run(self, page: Page, *, store: str = "", variables: Mapping[str, str] | None = None) -> str:
        """What every command of the page prints, one after the other, with the address of a store; none may fail."""
        printed = []
        for command in page.server_to_run():
            result = subprocess.run(
                ["bash", "-c", self._as_here(command).replace(STORE, store)],
                cwd=self.folder,
                env=self._environment(command) | dict(variables or {}),
                # Without a terminal, passwords are read from here.
                start_new_session=True,
                input="password\n" * 2,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
            assert "does not provide the extra" not in result.stderr
            printed.append(result.stdout)
        return "".join(printed)

    def _as_here(self, command: str) -> str:
        return ABSOLUTE.sub(f"{self.folder}/", CHECKOUT.sub(f"./{self.wheel}", command))

    def _environment(self, command: str) -> dict[str, str]:
        path = [self.folder / "bin", programs() / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        environment = {
            "PATH": os.pathsep.join(map(str, path)),
            "DISK": str(self.folder),
            # Only the wheel is installed. What it needs is what the tests have.
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_FIND_LINKS": str(self.folder),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        if command.startswith("pip "):
            environment["PIP_TARGET"] = str(self.folder / "installed")
        if "bin/receiver" in command:
            environment["PYTHONPATH"] = str(Path(psycopg.__file__).parents[1])
        return environment


@pytest.fixture
def disk(tmp_path, wheel):
    return Disk(tmp_path, wheel)


@pytest.fixture
def new_server():
    """A PostgreSQL as it is once it is installed: only its superuser is there, called as everywhere."""
    with temporary() as folder:
        server = Server(folder, programs())
        server.create()
        server.start()
        try:
            url = server.url("postgres")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE ROLE another SUPERUSER LOGIN")
            with psycopg.connect(url.replace("//receiver@", "//another@"), autocommit=True) as connection:
                connection.execute("ALTER ROLE receiver RENAME TO postgres")
            yield server
        finally:
            server.kill()


def test_every_page_with_commands_for_a_server_is_tested_here():
    assert {str(page) for page in PAGES if page.server_to_run()} == {str(page) for page in TESTED.values()}


def test_a_server_with_systemd_can_be_set_up(disk):
    disk.run(TESTED["deploy"])

    etc = disk.folder / "etc"
    user = unit("receiver-.service.d/common.conf")["Service"]["User"]
    assert (disk.folder / "opt" / "receiver" / "bin" / "receiver").exists()
    assert re.search(rf"^{user}:.*:/var/lib/receiver:", (etc / "passwd").read_text(), re.MULTILINE)
    assert stat.S_IMODE((etc / "receiver" / "receiver.env").stat().st_mode) == 0o600
    assert {path.name for path in (etc / "systemd" / "system").iterdir()} == {
        path.name for path in (DEPLOY / "systemd").glob("receiver-*")
    }


def test_its_units_can_be_enabled(tmp_path):
    [command] = [command for command in TESTED["deploy"].server() if "systemctl enable" in command]
    files = [path for path in (DEPLOY / "systemd").glob("receiver-*") if path.is_file()]
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    for path in files:
        shutil.copy(path, tmp_path / "etc" / "systemd" / "system")

    result = subprocess.run(
        [program("systemctl", "systemd"), f"--root={tmp_path}", "enable", *command.split("--now ")[1].split()],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert result.returncode == 0, result.stderr
    timed = {path.with_suffix(".service").name for path in files if path.suffix == ".timer"}
    assert {path.name for path in tmp_path.rglob("*.wants/*")} == {path.name for path in files} - timed


@pytest.mark.parametrize("page", ["README", "postgres"])
def test_a_file_can_be_moved_to_a_new_server(disk, new_server, page):
    url = new_server.url("receiver")
    # The pages have this written before the file is moved.
    (disk.folder / "receiver.toml").write_text(f'store = "{url}"')
    with closing(SQLiteStore(disk.folder / "receiver.db")) as store:
        store.receive(a_record(an_event()))

    disk.run(TESTED[page], store=url, variables={"PGHOST": str(new_server.folder), "PGDATABASE": "postgres"})

    assert "receiver" in {path.name for path in (disk.folder / "installed").iterdir()}
    with closing(PostgresStore(url)) as store:
        assert len(store.list_events(limit=9).rows) == 1


def test_a_dump_can_be_restored(disk, postgres, postgres_url):
    with closing(PostgresStore(postgres_url)) as store, postgres.empty() as empty:
        store.receive(a_record(an_event()))

        disk.run(TESTED["backup"], variables={"RECEIVER_STORE": postgres_url, "RESTORED_STORE": empty})

        with closing(PostgresStore(empty)) as restored:
            assert len(restored.list_events(limit=9).rows) == 1


def test_the_extras_it_installs_are_there(disk):
    disk.run(TESTED["celery"])

    assert "receiver" in {path.name for path in (disk.folder / "installed").iterdir()}


def test_a_key_is_one_to_seal_with(disk, monkeypatch):
    monkeypatch.setenv("SEAL_KEY", disk.run(TESTED["secure"]).strip())
    config = disk.folder / "receiver.toml"
    config.write_text('seal_keys = ["${SEAL_KEY}"]')

    assert len(load(config).seal_keys) == 1


def test_the_crontab_needs_no_path_and_no_other_variables(disk):
    crontab = ABSOLUTE.sub(f"{disk.folder}/", (DEPLOY / "crontab").read_text("utf-8"))
    (disk.folder / "etc" / "receiver").mkdir()
    (disk.folder / "etc" / "receiver" / "receiver.toml").write_text("")
    installed = disk.folder / "opt" / "receiver" / "bin" / "receiver"
    installed.parent.mkdir(parents=True)
    installed.write_text(f'#!/bin/sh\nexec {sys.executable} -m receiver "$@"\n')
    installed.chmod(0o755)
    variables = dict(re.findall(r"^([A-Z_]+)=(.*)$", crontab, re.MULTILINE))

    for command in re.findall(r"^[\d*]+ [\d*]+ \* \* \* receiver (.*)$", crontab, re.MULTILINE):
        result = subprocess.run(["/bin/sh", "-c", command], env=variables, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
    assert (disk.folder / "etc" / "receiver" / "receiver.db").exists()
