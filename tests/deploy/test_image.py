"""The image is built by its Containerfile and started, by buildah, which needs no daemon. It takes some minutes.

No registry is asked for the image that it is built on: a Debian with the same Python stands for it.
"""

import json
import os
import shutil
import subprocess

import httpx
import pytest

from receiver.running import free_port
from tests.deploy.machine import DEPLOY, program
from tests.watch import eventually
from tests.wheel import copy_sources

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a Debian"),
]

DEBIAN = "trixie"
PYTHON = "docker.io/library/python:3.13-slim"
PACKAGES = "ca-certificates,python-is-python3,python3,python3-venv"
LONGEST_SECONDS = 540
# Where a company's proxy stands between, the machine knows how to go there; elsewhere these change nothing.
WAYS_OUT = [f"--volume={path}:{path}:ro" for path in ("/etc/ssl/certs", "/etc/resolv.conf")]


class Buildah:
    def __init__(self, folder):
        self._command = [
            program("buildah", "buildah"),
            *(f"--root={folder / 'images'}", f"--runroot={folder / 'run'}", "--storage-driver=vfs"),
        ]
        self.environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def command(self, *arguments):
        return [*self._command, *map(str, arguments)]

    def __call__(self, *arguments):
        result = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
        return result.stdout.strip()


@pytest.fixture(scope="module")
def buildah(tmp_path_factory):
    return Buildah(tmp_path_factory.mktemp("buildah"))


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory):
    """What the Containerfile begins with."""
    debian = tmp_path_factory.mktemp("debian")
    made = subprocess.run(
        [program("debootstrap", "debootstrap"), "--variant=minbase", f"--include={PACKAGES}", DEBIAN, debian],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    assert made.returncode == 0, made.stdout[-5000:]
    container = buildah("from", "scratch")
    buildah("add", container, debian, "/")
    buildah("commit", container, PYTHON)
    shutil.rmtree(debian)


@pytest.fixture(scope="module")
def image(buildah, base, tmp_path_factory):
    """The name of the image, built of a copy of the checkout."""
    checkout = tmp_path_factory.mktemp("checkout")
    copy_sources(checkout)
    shutil.copy(DEPLOY.parent / "requirements.lock", checkout)
    built = ["--pull-never", "--format=docker", "--file=deploy/Containerfile", "--tag=receiver"]
    buildah("build", *WAYS_OUT, *built, checkout)
    return "receiver"


def test_it_has_its_health_check(buildah, image):
    """The format of its own that podman builds by default has none."""
    config = json.loads(buildah("inspect", "--type=image", image))["Docker"]["config"]

    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]


def test_it_serves_as_nobody_in_particular(buildah, image, tmp_path):
    (tmp_path / "receiver.toml").write_text("[handlers.log]\n")
    (tmp_path / "receiver.toml").chmod(0o644)
    tmp_path.chmod(0o755)
    container = buildah("from", "--pull-never", image)
    config = json.loads(buildah("inspect", container))["OCIv1"]["config"]
    web, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = buildah.command(
        "run",
        f"--volume={tmp_path}:/etc/receiver:ro",
        # It has this machine's network.
        *(f"--env=RECEIVER_WEB__BIND={web}", f"--env=RECEIVER_ADMIN__BIND={admin}"),
        *(container, "--", *config["Entrypoint"], *config["Cmd"]),
    )
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, env=buildah.environment, stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or ready(web), within=60)
        assert process.poll() is None, (tmp_path / "log").read_text()
        written = buildah("run", container, "--", "stat", "--format=%u", "/var/lib/receiver/receiver.db")
    finally:
        process.terminate()
        process.wait(60)

    assert written == "10001"
    assert buildah("run", container, "--", "id", "--user") == "10001"


def ready(bind):
    try:
        return httpx.get(f"http://{bind}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False
