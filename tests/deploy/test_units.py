"""The units of `deploy/systemd`: systemd understands them, they are locked up, and start commands that there are."""

import contextlib
import re
import shutil
import socket
import subprocess

import httpx
import pytest

from receiver.cli import commands
from receiver.config import WebConfig
from receiver.running import free_port
from receiver.sandbox import Sandbox, signed, webhook_body
from receiver.supervisor import NICENESS
from tests.deploy.machine import DEPLOY, INSTALLED, Service, commands_of, program, unit
from tests.running import API_KEY, SECRET
from tests.watch import eventually

SERVICES = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
NOTIFYING = [name for name in SERVICES if unit(name)["Service"].get("Type") == "notify"]
CRONTAB = (DEPLOY / "crontab").read_text("utf-8")
TABLES = f"""
[sources.creativeai]
provider = "creativeai"
secrets = ["${{{{CREATIVEAI_WEBHOOK_SECRET}}}}"]
api_key = "{API_KEY}"
base_url = "{{base_url}}"

[handlers.log]
"""
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
    files = [path for path in units.iterdir() if path.suffix in (".service", ".socket", ".timer")]

    result = analyze("verify", "--man=no", *files)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_they_can_do_little_harm(units, name):
    result = analyze("security", "--offline=true", units / name)

    [exposure] = re.findall(rf"exposure level for {re.escape(name)}: ([\d.]+)", result.stdout)
    assert float(exposure) < MOST_EXPOSED, result.stdout


def test_a_reload_is_checked_first():
    """systemd runs them in order, and stops at the first that fails."""
    check, tell = commands_of("receiver-web.service", "ExecReload")

    assert check == f"{INSTALLED} check --offline"
    assert tell == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("name", SERVICES)
def test_what_goes_on_is_started_again_and_what_a_timer_starts_is_not(name):
    timed = (DEPLOY / "systemd" / name).with_suffix(".timer").exists()

    assert unit(name)["Service"].get("Restart") == (None if timed else "always")
    assert (unit(name)["Service"].get("Type") == "oneshot") is timed


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


def test_all_together_do_the_main_job(tmp_path):
    """With the variables that systemd would set, in the folders that it would make."""
    disk = {"/etc/receiver/": "etc", "/run/receiver/": "run", "/var/lib/receiver": "var"}
    common = (DEPLOY / "systemd" / "receiver-.service.d" / "common.conf").read_text("utf-8")
    for path, name in disk.items():
        (tmp_path / name).mkdir()
        common = common.replace(path, f"{tmp_path / name}/")
    log, admin = tmp_path / "var" / "log", f"127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as opened:
        sandbox = opened.enter_context(Sandbox(secret=SECRET, api_key=API_KEY))
        environment = {
            **dict(re.findall(r"^Environment=(\w+)=(.*)$", common, re.MULTILINE)),
            "CREATIVEAI_WEBHOOK_SECRET": SECRET,
            "RECEIVER_STORE": f"sqlite:///{tmp_path / 'var' / 'receiver.db'}",
            "RECEIVER_ADMIN__BIND": admin,
        }
        (tmp_path / "etc" / "receiver.toml").write_text(TABLES.format(base_url=sandbox.base_urls["creativeai"]))
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        web = Service("receiver-web.service", environment, log, listener=listener)
        opened.callback(web.stop)
        for name in ("receiver-worker.service", "receiver-reconcile.service", "receiver-admin.service"):
            opened.callback(Service(name, environment, log).stop)
        (tmp_path / "var" / "video.json").write_text('{"prompt": "A lighthouse at dawn"}')
        web.run("submit", "creativeai", "video", "video.json")
        body = webhook_body("video", "vgen_1", status="completed")
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks/creativeai"
        answer = httpx.post(url, content=body, headers=signed(body, SECRET), timeout=60)

        eventually(lambda: web.run("dispatches", "--state", "done", "--json").count("vgen_") == 2, within=60)
        eventually(lambda: answers(f"http://{admin}/healthz"), within=60)

    assert answer.status_code == 202
    assert list((tmp_path / "run" / "metrics").iterdir())


def answers(url):
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


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
