"""The image and what runs it: its steps and its promises, one by one. `test_image.py` builds and starts it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import kubernetes_validate
import pytest
import yaml

from receiver.cli import commands
from receiver.config import Config, load
from tests.deploy.machine import DEPLOY
from tests.running import Running

ROOT = DEPLOY.parent
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
COMPOSED = {
    name: yaml.safe_load((DEPLOY / name).read_text("utf-8")) for name in ("compose.yaml", "compose.postgres.yaml")
}
OURS = [
    pytest.param(service, id=f"{file}-{name}")
    for file, composed in COMPOSED.items()
    for name, service in composed["services"].items()
    if "build" in service
]
RESOURCES = [
    resource
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for resource in yaml.safe_load_all(file.read_text("utf-8"))
    if resource is not None
]
NAMED = [pytest.param(resource, id=f"{resource['kind']}-{resource['metadata']['name']}") for resource in RESOURCES]


def instructions(name):
    """What the Containerfile says with one of its words, lines joined."""
    joined = re.sub(r"\\\n\s*", "", CONTAINERFILE)
    return re.findall(rf"^\s*{name} (.*)$", joined, re.MULTILINE)


def copied():
    """What the image is built from."""
    return [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]


def variables():
    """What the image sets."""
    return dict(item.split("=", 1) for line in instructions("ENV") for item in shlex.split(line))


def pods():
    """Every pod that is asked for: whose it is, its labels, and what is in it."""
    for resource in RESOURCES:
        spec = resource.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        if template is not None:
            yield resource["metadata"]["name"], template["metadata"]["labels"], template["spec"]


PODS = [pytest.param(spec, id=name) for name, _, spec in pods()]


def containers(spec):
    return [*spec["containers"], *spec.get("initContainers", [])]


def seconds(duration):
    return int(duration.removesuffix("s"))


def make(arguments):
    """What a command makes of its arguments; fails if there is no such command or option."""
    name, *rest = arguments
    assert commands()[name].make_context(name, rest)


def test_the_image_copies_what_there_is():
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_the_image_installs_extras_that_there_are():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [extras] = re.findall(r'"\.\[(.*)\]"', CONTAINERFILE)

    assert set(extras.split(",")) <= set(known)


def test_the_image_runs_as_nobody_in_particular():
    assert instructions("USER") == ["10001:10001"]
    assert CONTAINERFILE.index("USER ") > CONTAINERFILE.rindex("RUN ")


def test_the_image_sets_variables_that_mean_something(tmp_path, monkeypatch):
    set_here = {name: value for name, value in variables().items() if name.startswith("RECEIVER_")}
    for name, value in set_here.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "receiver.toml"
    file.write_text("")

    config = load(file)

    assert {name.split("__")[0].removeprefix("RECEIVER_").lower() for name in set_here} <= {
        *Config.model_fields,
        "config",
    }
    assert (config.web.bind, config.admin.bind) == ("0.0.0.0:8080", "0.0.0.0:8081")
    assert config.store == "sqlite:////var/lib/receiver/receiver.db"


def test_the_health_check_tells_a_receiver_that_answers_from_none(tmp_path):
    running = Running(tmp_path, "")
    [check] = re.findall(r"CMD (\[.*\])$", instructions("HEALTHCHECK")[0])
    command = [sys.executable, *json.loads(check.replace("http://127.0.0.1:8080", running.url))[1:]]

    before = subprocess.run(command, timeout=20, stderr=subprocess.DEVNULL).returncode
    with running.serving():
        meanwhile = subprocess.run(command, timeout=20).returncode

    assert (before, meanwhile) == (1, 0)


@pytest.mark.drill
def test_the_steps_of_the_image_install_a_receiver(tmp_path):
    """Its own commands, in a folder of their own."""
    installed, source = tmp_path / "installed", tmp_path / "source"
    source.mkdir()
    for name in copied():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    for step in instructions("RUN")[:2]:
        command = step.replace("/opt/receiver", str(installed)).replace("python -m", f"{sys.executable} -m")
        assert subprocess.run(["sh", "-c", command], cwd=source, timeout=540).returncode == 0
    environment = {**os.environ, **variables(), "PATH": f"{installed / 'bin'}:{os.environ['PATH']}"}
    (tmp_path / "receiver.toml").write_text("[handlers.notify]\nurls = 'json://notify.example'\n")
    environment |= {"RECEIVER_CONFIG": str(tmp_path / "receiver.toml"), "RECEIVER_STORE": f"sqlite:///{tmp_path}/a.db"}

    checked = subprocess.run(
        ["receiver", "check", "--offline"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert "handler notify: loaded" in checked.stdout, checked.stderr


@pytest.mark.parametrize("service", OURS)
def test_composed_services_are_locked_up(service):
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", OURS)
def test_composed_services_run_commands_that_there_are_and_may_finish(service):
    make(service.get("command", ["serve"]))

    assert seconds(service["stop_grace_period"]) > Config().worker.drain.total_seconds()


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_services_use_files_that_there_are(name):
    services = COMPOSED[name]["services"].values()
    used = {service["build"]["dockerfile"] for service in services if "build" in service}
    mounted = {volume.split(":")[0] for service in services for volume in service.get("volumes", [])}
    used |= {path for path in mounted if path.startswith("./deploy/")}

    assert [path for path in used if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", COMPOSED)
def test_only_the_proxy_is_reached_from_elsewhere(name):
    published = {
        service: port
        for service, settings in COMPOSED[name]["services"].items()
        for port in settings.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }

    assert set(published) <= {"proxy"}


def test_there_are_two_endpoints_and_two_workers():
    services = COMPOSED["compose.postgres.yaml"]["services"]

    assert {name: services[name]["deploy"]["replicas"] for name in ("web", "worker")} == {"web": 2, "worker": 2}


@pytest.mark.parametrize("resource", NAMED)
def test_kubernetes_knows_every_field(resource):
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("spec", PODS)
def test_pods_are_locked_up(spec):
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    for container in containers(spec):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("spec", PODS)
def test_no_variable_of_the_cluster_looks_like_a_setting(spec):
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("spec", PODS)
def test_pods_run_commands_that_there_are(spec):
    for container in containers(spec):
        make(container["args"])


@pytest.mark.parametrize("spec", PODS)
def test_pods_mount_what_they_have(spec):
    volumes = {volume["name"] for volume in spec["volumes"]}

    assert {mount["name"] for container in containers(spec) for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_what_selects_pods_finds_some(kind):
    for resource in (resource for resource in RESOURCES if resource["kind"] == kind):
        selector = resource["spec"].get("selector") or resource["spec"]["podSelector"]
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= labels.items() for _, labels, _ in pods()), resource["metadata"]["name"]


def test_who_may_call_out_is_who_there_is():
    [policy] = [resource for resource in RESOURCES if resource["metadata"]["name"] == "receiver-outwards"]
    [expression] = policy["spec"]["podSelector"]["matchExpressions"]
    components = {labels["app.kubernetes.io/component"] for _, labels, _ in pods()}

    assert components - set(expression["values"]) == {"web"}
    assert set(expression["values"]) < components


def test_podman_is_told_to_keep_the_health_check():
    [command] = re.findall(r"podman build .*", CONTAINERFILE)

    assert "--format docker" in command


def test_the_probes_ask_the_admin_side_whether_it_lives():
    [admin] = [spec["containers"][0] for name, _, spec in pods() if name == "receiver-admin"]
    asked = [admin[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]

    assert asked == [{"path": "/healthz", "port": "http"}] * 3
    assert {port["containerPort"] for port in admin["ports"]} == {8081}


def test_the_probes_ask_the_endpoint(tmp_path):
    [web] = [spec["containers"][0] for name, _, spec in pods() if name == "receiver-web"]
    paths = {web[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}

    assert paths == {"/healthz", "/readyz"}
    assert {port["containerPort"] for port in web["ports"]} == {8080}
