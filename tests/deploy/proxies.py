"""Real proxies, set up by the files in `deploy/`."""

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from receiver.running import free_port
from tests.brokers import certificate
from tests.deploy.machine import ADMIN, DEPLOY, HOOKS, program
from tests.watch import eventually


class Proxy:
    """A real proxy, set up by one of the files in `deploy/` but for ports and certificates."""

    def __init__(self, folder: Path, *, web: str, admin: str = "127.0.0.1:9") -> None:
        self.folder = folder
        self.web, self.admin = web, admin
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate = certificate(folder)
        self.context = ssl.create_default_context(cafile=str(self.certificate))
        # The certificate is of one address, which stands for all names here.
        self.context.check_hostname = False

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        command, environment = self._command()
        with open(self.folder / "proxy.log", "ab") as log:
            process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
        try:
            eventually(lambda: process.poll() is not None or self._listens(), within=20)
            assert process.poll() is None, (self.folder / "proxy.log").read_text()
            yield self
        finally:
            process.terminate()
            process.wait(20)

    def ask(self, method: str, path: str, *, host: str = HOOKS, **more: object) -> httpx.Response:
        """What it answers when it is called by that name."""
        headers = {"Host": host, **more.pop("headers", {})}
        with httpx.Client(verify=self.context, timeout=20, trust_env=False) as client:
            return client.request(
                method, f"{self.url}{path}", headers=headers, extensions={"sni_hostname": host}, **more
            )

    def connect(self) -> ssl.SSLSocket:
        """A connection of a sender."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.context.wrap_socket(plain, server_hostname=HOOKS)

    def _command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Nginx(Proxy):
    def _command(self) -> tuple[list[str], dict[str, str]]:
        return [program("nginx", "nginx-light"), "-p", str(self.folder), "-c", str(self.write()), "-e", "stderr"], {}

    def write(self) -> Path:
        """The site within what a distribution brings around it."""
        site = (
            (DEPLOY / "nginx.conf")
            .read_text("utf-8")
            .replace("server 127.0.0.1:8080;", f"server {self.web};")
            .replace("server 127.0.0.1:8081;", f"server {self.admin};")
            .replace("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;")
            .replace("listen [::]:443 ssl;", "")
        )
        for name in (HOOKS, ADMIN):
            site = site.replace(f"/etc/letsencrypt/live/{name}/fullchain.pem", str(self.certificate))
            site = site.replace(f"/etc/letsencrypt/live/{name}/privkey.pem", str(self.certificate))
        (self.folder / "site.conf").write_text(site)
        file = self.folder / "nginx.conf"
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # Its workers could not enter a folder of root's.
        user = "user root;\n" if os.geteuid() == 0 else ""
        file.write_text(
            f"{user}daemon off;\npid {self.folder}/nginx.pid;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}include {self.folder}/site.conf;\n}}\n"
        )
        return file


class Caddy(Proxy):
    def _command(self) -> tuple[list[str], dict[str, str]]:
        environment = {
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "RECEIVER_HOST": f"https://{HOOKS}:{self.port}",
            "RECEIVER_ADMIN_HOST": f"https://{ADMIN}:{self.port}",
            "RECEIVER_WEB": self.web,
            "RECEIVER_ADMIN": self.admin,
        }
        file = str(self.write())
        return [program("caddy", "caddy"), "run", "--config", file, "--adapter", "caddyfile"], environment

    def write(self) -> Path:
        """The file with the certificate that stands for all, as Debian's version reads it, which is an old one."""
        pair = f"\ttls {self.certificate} {self.certificate}\n"
        text = (
            (DEPLOY / "Caddyfile")
            .read_text("utf-8")
            .replace("request_buffers 1MiB", "buffer_requests")
            .replace("auto_https disable_redirects", "auto_https off\n\tadmin off\n\tdefault_bind 127.0.0.1")
            .replace(f":{HOOKS}}} {{\n", f":{HOOKS}}} {{\n{pair}")
            .replace(f":{ADMIN}}} {{\n", f":{ADMIN}}} {{\n{pair}")
        )
        file = self.folder / "Caddyfile"
        file.write_text(text)
        return file
