"""Servers, the names and addresses that lead to them, and their certificates."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from tests.outbound.servers import PUBLIC, Server


@pytest.fixture
def serve():
    servers = []

    def start(answer=b"", **options):
        servers.append(Server(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def names(monkeypatch):
    """Names that lead where a test wants them to; what was looked up, in order."""
    known, asked, genuine = {}, [], socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        asked.append(host)
        addresses = known.get(host, [host])
        return list(chain.from_iterable(genuine(address, port, *args, **kwargs) for address in addresses))

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    known["asked"] = asked
    return known


@pytest.fixture
def internet(monkeypatch):
    """A public address that leads to a server of the test."""
    genuine, routes = socket.create_connection, {}
    monkeypatch.setattr(
        socket,
        "create_connection",
        lambda address, *args, **kwargs: genuine(routes.get(address[0], address), *args, **kwargs),
    )
    return lambda server: routes.update({PUBLIC: ("127.0.0.1", server.port)})


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A key and a certificate for `media.example` and its authority in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "media.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("media.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def tls(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context
