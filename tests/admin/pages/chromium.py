"""A real browser before the real app, on loopback."""

import os
import shutil
import threading
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from receiver import clock

LOOPBACK = "127.0.0.1"


@contextmanager
def browser():
    """Debian's Chromium without a window; fails in CI where there is none, and skips elsewhere."""
    program = shutil.which("chromium")
    if program is None:
        missing = "no chromium: apt-get install chromium"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        # Its own sandbox wants a user who is not root.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=program, args=options)
        yield opened
        opened.close()


@contextmanager
def serving(app, *, certificate=None):
    """Answer requests to an app; gives its URL. `certificate` is a pair of files."""
    server = make_server(LOOPBACK, 0, app, threaded=True, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"{'https' if certificate else 'http'}://{LOOPBACK}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def own_certificate(folder):
    """A certificate for this machine that nobody vouches for, and its key: a pair of files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOOPBACK)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(clock.now() - timedelta(days=1))
        .not_valid_after(clock.now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "media.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "media.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "media.crt"), str(folder / "media.key")
