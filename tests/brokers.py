"""Real brokers on loopback, one of each kind that `publish` speaks to, with what tests ask of them."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aio_pika
import nats
import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from receiver.running import free_port
from tests.watch import eventually

USER, PASSWORD = "default", "pass-of-mine"
_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_LARGEST = 2**20


@dataclass(frozen=True)
class Published:
    """What a broker has, with the id that its readers see."""

    id: str
    body: bytes


class Broker:
    """One broker with a folder of its own. It can be stopped and started again, and keeps what it has."""

    scheme: str
    program: str

    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        # Debian has some of them where only root looks.
        found = shutil.which(self.program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if found is None:
            missing = f"no {self.program}: apt-get install redis-server nats-server rabbitmq-server"
            pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
        self.program = found
        self.folder = folder
        self.certificate = certificate
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def start(self) -> None:
        with open(self.folder / "broker.log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env={**os.environ, "HOME": str(self.folder), **self.environment()},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = self._process
        eventually(
            lambda: process.poll() is not None or (self._listens() and (self.certificate or self.ready())), within=60
        )
        assert process.poll() is None, (self.folder / "broker.log").read_text()

    def stop(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            finally:
                self.signal(signal.SIGKILL)
                self._process.wait()
                self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the broker, and to what it has started."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def ready(self) -> bool:
        """Whether it answers; a port that is open is not enough."""
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, name: str) -> str:
        """Make a place for events, and say how `to` names it."""
        raise NotImplementedError

    def published(self, name: str) -> list[Published]:
        """What is in that place now; it may be gone afterwards."""
        raise NotImplementedError


class Redis(Broker):
    scheme = "redis"
    program = "redis-server"

    def command(self) -> Sequence[str]:
        options = ["--bind", "127.0.0.1", "--dir", str(self.folder), "--requirepass", PASSWORD, "--appendonly", "yes"]
        if self.certificate:
            options += ["--tls-port", str(self.port), "--port", "0", "--tls-auth-clients", "no"]
            options += ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.certificate)]
            return [self.program, *options, "--tls-ca-cert-file", str(self.certificate)]
        return [self.program, *options, "--port", str(self.port)]

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=PASSWORD, decode_responses=True)

    def ready(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def place(self, name: str) -> str:
        return name

    def published(self, name: str) -> list[Published]:
        with self.client() as client:
            return [Published(fields["id"], fields["event"].encode()) for _, fields in client.xrange(name)]


class Nats(Broker):
    scheme = "nats"
    program = "nats-server"
    forbidden = "forbidden"

    def command(self) -> Sequence[str]:
        rights = f'permissions: {{publish: {{deny: "{self.forbidden}"}}}}'
        user = f'{{user: "{USER}", password: "{PASSWORD}", {rights}}}'
        (self.folder / "nats.conf").write_text(f"authorization: {{users: [{user}]}}\n")
        options = ["--addr", "127.0.0.1", "--port", str(self.port), "--config", str(self.folder / "nats.conf")]
        if self.certificate:
            options += ["--tls", "--tlscert", str(self.certificate), "--tlskey", str(self.certificate)]
        return [self.program, *options, "--jetstream", "--store_dir", str(self.folder)]

    def ready(self) -> bool:
        async def answers(connection):
            await connection.jetstream().account_info()
            return True

        with suppress(nats.errors.Error, OSError):
            return self.ask(answers)
        return False

    def place(self, name: str, **limits: int) -> str:
        self.ask(
            lambda connection: connection.jetstream().add_stream(name=name, subjects=[name, f"{name}.>"], **limits)
        )
        return name

    def published(self, name: str) -> list[Published]:
        async def read(connection):
            stream = connection.jetstream()
            last = (await stream.stream_info(name)).state.last_seq
            found = [await stream.get_msg(name, number) for number in range(1, last + 1)]
            return [Published(item.headers["Nats-Msg-Id"], item.data) for item in found]

        return self.ask(read)

    def subjects(self, name: str) -> list[str]:
        """Where in the stream the events are."""

        async def read(connection):
            info = await connection.jetstream().stream_info(name, subjects_filter=">")
            return list(info.state.subjects)

        return self.ask(read)

    def ask(self, what):
        async def asked():
            async def quiet(error):
                pass

            connection = await nats.connect(
                f"nats://127.0.0.1:{self.port}",
                user=USER,
                password=PASSWORD,
                error_cb=quiet,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                allow_reconnect=False,
            )
            try:
                return await what(connection)
            finally:
                await connection.close()

        return asyncio.run(asked())


class RabbitMQ(Broker):
    scheme = "amqp"
    program = _RABBITMQ
    exchange = "media"

    def __init__(self, folder: Path, *, certificate: Path | None = None) -> None:
        super().__init__(folder, certificate=certificate)
        self._names, self._distribution = free_port(), free_port()
        self._register: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # RabbitMQ would start one that stays, for the whole machine.
        self._register = subprocess.Popen(["epmd", "-port", str(self._names), "-address", "127.0.0.1"])
        super().start()

    def stop(self) -> None:
        super().stop()
        if self._register is not None:
            self._register.kill()
            self._register.wait()
            self._register = None

    def command(self) -> Sequence[str]:
        listen = f"listeners.tcp.1 = 127.0.0.1:{self.port}"
        if self.certificate:
            listen = (
                f"listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{self.port}\n"
                f"ssl_options.certfile = {self.certificate}\nssl_options.keyfile = {self.certificate}"
            )
        (self.folder / "rabbitmq.conf").write_text(
            f"{listen}\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\nmax_message_size = {_LARGEST}\n"
        )
        (self.folder / "enabled_plugins").write_text("[].")
        return [self.program]

    def environment(self) -> Mapping[str, str]:
        return {
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def ready(self) -> bool:
        async def answers(channel):
            return True

        with suppress(OSError, aio_pika.exceptions.AMQPError):
            return self.ask(answers)
        return False

    def place(self, name: str) -> str:
        async def declare(channel):
            exchange = await channel.declare_exchange(self.exchange, "topic", durable=True)
            queue = await channel.declare_queue(name, durable=True)
            await queue.bind(exchange, name)
            await queue.bind(exchange, f"{name}.#")

        self.ask(declare)
        return f"{self.exchange}/{name}"

    def published(self, name: str) -> list[Published]:
        return [Published(item.message_id, item.body) for item in self.taken(name)]

    def taken(self, name: str):
        """Everything in the queue, as it came."""

        async def take(channel):
            queue = await channel.get_queue(name)
            found = []
            while item := await queue.get(no_ack=True, fail=False):
                found.append(item)
            return found

        return self.ask(take)

    def ask(self, what):
        async def asked():
            async with await aio_pika.connect(self.url) as connection:
                return await what(await connection.channel())

        return asyncio.run(asked())


def certificate(folder: Path) -> Path:
    """A key, and a certificate for 127.0.0.1 by an authority of its own, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file
