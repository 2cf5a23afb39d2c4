"""The units of `deploy/systemd`: systemd understands them, they are locked up, and start commands that there are."""

import re
import shutil
import socket
import subprocess

import pytest

from receiver.cli import commands
from receiver.config import WebConfig
from receiver.running import free_port
from receiver.supervisor import NICENESS
from tests.deploy.machine import DEPLOY, INSTALLED, Service, program, unit

SERVICES = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
NOTIFYING = [name for name in SERVICES if unit(name)["Service"].get("Type") == "notify"]
CRONTAB = (DEPLOY / "crontab").read_text("utf-8")
# Of 10; what systemd itself calls OK.
MOST_EXPOSED = 2.0


@pytest.fixture
def units(tmp_path):
    """The units with a program that is here, and the settings they share."""
    folder = shutil.copytree(DEPLOY / "systemd", tmp_path / "systemd")
    for file in folder.glob("*.service"):
        file.write_text(file.read_text().replace(INSTALLED, shutil.which("true")))
    return folder


def analyze(*arguments):
    command = [program("systemd-analyze", "systemd"), "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_systemd_understands_them(units):
    files = [path for path in units.iterdir() if path.suffix in (".service", ".socket")]

    result = analyze("verify", "--man=no", *files)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_they_can_do_little_harm(units, name):
    result = analyze("security", "--offline=true", units / name)

    [exposure] = re.findall(rf"exposure level for {re.escape(name)}: ([\d.]+)", result.stdout)
    assert float(exposure) < MOST_EXPOSED, result.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_they_start_commands_that_there_are(name):
    installed, command, *arguments = unit(name)["Service"]["ExecStart"].split()

    assert installed == INSTALLED
    assert commands()[command].make_context(command, arguments)


@pytest.mark.parametrize("name", ["receiver-worker.service", "receiver-reconcile.service"])
def test_the_background_is_as_nice_as_below_serve(name):
    assert int(unit(name)["Service"]["Nice"]) == NICENESS


@pytest.mark.parametrize("name", NOTIFYING)
def test_they_say_when_they_are_ready(name, tmp_path):
    """systemd would wait for it, and give up."""
    (tmp_path / "receiver.toml").write_text("")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(60)
        environment = {
            "RECEIVER_CONFIG": str(tmp_path / "receiver.toml"),
            "RECEIVER_WEB__BIND": f"127.0.0.1:{free_port()}",
            "RECEIVER_ADMIN__BIND": f"127.0.0.1:{free_port()}",
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }
        service = Service(name, environment, tmp_path / "log")
        try:
            told = notified.recv(1000)
        finally:
            service.stop()

    assert b"READY=1" in told.splitlines()


def test_the_user_is_the_one_who_is_made():
    made = (DEPLOY / "systemd" / "receiver.conf").read_text().split()

    assert made[made.index("u") + 1] == unit("receiver-.service.d/common.conf")["Service"]["User"]


def test_the_socket_is_where_the_endpoint_listens_by_default():
    assert unit("receiver-web.socket")["Socket"]["ListenStream"] == WebConfig().bind


@pytest.mark.parametrize("line", re.findall(r"^[\d*]+ [\d*]+ \* \* \* (.*)$", CRONTAB, re.MULTILINE))
def test_the_crontab_runs_commands_that_there_are(line):
    user, installed, command, *arguments = line.split()

    assert (user, installed) == ("receiver", INSTALLED)
    assert commands()[command].make_context(command, arguments)
