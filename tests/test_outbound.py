"""Against real servers on this machine, most of them hostile."""

import errno
import gzip
import io
import socket
import ssl
import struct
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

import pytest

from receiver import __version__
from receiver.errors import AddressRefused, RequestFailed, TooLarge
from receiver.models import Request
from receiver.outbound import Download, ProviderClient, download, is_public, without_query
from receiver.providers.base import Provider

KEY = "the-api-key-of-a-test"
PUBLIC = "93.184.215.14"
SOON = timedelta(seconds=0.3)
LATE = 5.0
RESET = object()


class Server:
    """Records each request and sends the pieces that `answer` makes of it."""

    def __init__(self, answer, *, greeting=b"", keep=False, tls=None):
        self.answer = answer if callable(answer) else lambda request: [answer]
        self.greeting = greeting
        self.keep = keep
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.sockets = []
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._listen)]
        self.threads[0].start()

    def url(self, path="/", *, host="127.0.0.1"):
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def stop(self):
        self.stopped.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            self.threads[0].join()
        self.listener.close()
        for connection in self.sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()

    def _listen(self):
        while True:
            connection, _ = self.listener.accept()
            if self.stopped.is_set():
                connection.close()
                return
            self.connections += 1
            self.sockets.append(connection)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection):
        # A client may go away at any time.
        with connection, suppress(OSError):
            connection.settimeout(LATE)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self.sockets.append(connection)
            with connection, connection.makefile("rb") as incoming:
                connection.sendall(self.greeting)
                while request := read_request(incoming):
                    self.requests.append(request)
                    for piece in self.answer(request):
                        if piece is RESET:
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return
                        if self.stopped.is_set():
                            return
                        connection.sendall(piece)
                    if not self.keep:
                        return

    def trickle(self, *pieces):
        """An answer of these pieces, the last of them for ever, with a pause after each."""

        def answer(request):
            for piece in chain(pieces, repeat(pieces[-1])):
                yield piece
                if self.stopped.wait(0.02):
                    return

        self.answer = answer


def read_request(incoming):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = incoming.readline()
        if not line:
            return ""
        head += line
    length = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return (head + incoming.read(*length or [0])).decode("latin-1")


def http(body=b"", *, status=200, length=None, **headers):
    fields = {"content-length": len(body) if length is None else length, **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1") + body


def endless(request):
    yield b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + bytes(2**16) + b"\r\n"


def header(request, name):
    return [line.partition(": ")[2] for line in request.split("\r\n") if line.lower().startswith(f"{name}: ")]


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


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
def client():
    with ProviderClient() as client:
        yield client


@pytest.fixture
def hasty():
    with ProviderClient(timeout=SOON, max_bytes=2**30) as client:
        yield client


@pytest.fixture
def small():
    with ProviderClient(max_bytes=1000) as client:
        yield client


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


def provider_at(url, *, api_key=KEY):
    return Provider(base_url=url, api_key=api_key)


def ask(client, server, path="/v1/jobs/a", **request):
    return client.send(provider_at(server.url()), Request(path=path, **request))


def fetch(server_or_url, file=None, *, max_bytes=10**6, timeout=timedelta(seconds=LATE), allow_private=True, **options):
    url = server_or_url if isinstance(server_or_url, str) else server_or_url.url("/video.mp4")
    file = io.BytesIO() if file is None else file
    return download(url, file, max_bytes=max_bytes, timeout=timeout, allow_private=allow_private, **options)


class TestProviderClient:
    def test_gives_the_answer(self, client, serve):
        response = ask(client, serve(http(b'{"id": 1}', status=203)))

        assert (response.status_code, response.body) == (203, b'{"id": 1}')

    def test_names_of_headers_are_in_lower_case(self, client, serve):
        response = ask(client, serve(http(Retry_After=3)))

        assert response.headers["retry-after"] == "3"

    def test_repeated_headers_are_joined(self, client, serve):
        response = ask(client, serve(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n"))

        assert response.headers["x-a"] == "1, 2"

    @pytest.mark.parametrize(
        ("base", "path", "line"),
        [
            pytest.param("", "/v1/jobs/a", "GET /v1/jobs/a HTTP/1.1", id="plain"),
            pytest.param("/proxy", "/v1/jobs/a", "GET /proxy/v1/jobs/a HTTP/1.1", id="base-with-a-path"),
            pytest.param("", "/jobs?id=a%26b", "GET /jobs?id=a%26b HTTP/1.1", id="query"),
            pytest.param("", "/jobs/a%2Fb", "GET /jobs/a%2Fb HTTP/1.1", id="quoted-slash"),
            pytest.param("", "/jobs/%2E%2E", "GET /jobs/%2E%2E HTTP/1.1", id="quoted-dots"),
            pytest.param("", "@other.example/", "GET /@other.example/ HTTP/1.1", id="not-a-path"),
            pytest.param("", "//other.example/", "GET //other.example/ HTTP/1.1", id="two-slashes"),
        ],
    )
    def test_joins_base_url_and_path(self, client, serve, base, path, line):
        server = serve(http())
        client.send(provider_at(server.url(base)), Request(path=path))

        assert server.requests[0].startswith(line)

    def test_sends_the_api_key(self, client, serve):
        server = serve(http())
        ask(client, server)

        assert header(server.requests[0], "authorization") == [f"Bearer {KEY}"]

    def test_the_api_key_replaces_what_a_request_says(self, client, serve):
        server = serve(http())
        ask(client, server, headers={"AUTHORIZATION": "none"})

        assert header(server.requests[0], "authorization") == [f"Bearer {KEY}"]

    def test_says_who_asks(self, client, serve):
        server = serve(http())
        ask(client, server)

        assert header(server.requests[0], "user-agent") == [f"receiver/{__version__}"]

    def test_sends_a_body_as_json(self, client, serve):
        server = serve(http())
        ask(client, server, method="POST", json={"prompt": "夜明け"})

        assert server.requests[0].encode("latin-1").endswith('\r\n\r\n{"prompt":"夜明け"}'.encode())

    def test_sends_a_large_body(self, client, serve):
        server = serve(http())
        ask(client, server, method="POST", json="x" * 3_000_000)

        assert len(server.requests[0]) > 3_000_000

    def test_a_redirect_is_an_answer(self, client, serve):
        other = serve(http())
        response = ask(client, serve(http(status=302, location=other.url())))

        assert (response.status_code, other.connections) == (302, 0)

    def test_keeps_the_connection(self, client, serve):
        server = serve(http(b"x"), keep=True)
        ask(client, server)
        ask(client, server)

        assert (len(server.requests), server.connections) == (2, 1)

    def test_connects_again_when_the_connection_was_closed(self, client, serve):
        server = serve(http(b"x", connection="close"))
        ask(client, server)

        assert ask(client, server).status_code == 200

    def test_keeps_no_cookies(self, client, serve):
        server = serve(http(set_cookie="a=b; path=/"), keep=True)
        ask(client, server)
        ask(client, server)

        assert "cookie" not in server.requests[1].lower()

    def test_threads_get_their_own_answers(self, client, serve):
        server = serve(lambda request: [http(request.split()[1].encode())], keep=True)
        paths = [f"/{n}" for n in range(200)]
        with ThreadPoolExecutor(16) as pool:
            bodies = list(pool.map(lambda path: ask(client, server, path).body.decode(), paths))

        assert bodies == paths

    @pytest.mark.parametrize("addresses", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]])
    def test_reaches_a_name_with_a_dead_address(self, client, serve, names, addresses):
        names["api.example"] = addresses
        server = serve(http(b"x"))

        assert client.send(provider_at(server.url(host="api.example")), Request(path="/")).body == b"x"

    def test_does_not_mistake_a_port(self, client, serve):
        server = serve(http())
        with pytest.raises(RequestFailed):
            client.send(provider_at(f"http://127.0.0.1:{server.port + 2**16}"), Request(path="/"))

        assert server.connections == 0


class TestCompressedAnswers:
    def test_inflates(self, client, serve):
        server = serve(http(gzip.compress(b"{}" * 9), content_encoding="gzip"))

        assert ask(client, server).body == b"{}" * 9

    def test_an_empty_one_is_empty(self, client, serve):
        assert ask(client, serve(http(content_encoding="gzip"))).body == b""

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [
            pytest.param("gzip", gzip.compress(bytes(1000))[:-9], id="cut-short"),
            pytest.param("gzip", b"\x1f\x8b" + b"x" * 100, id="damaged"),
            pytest.param("gzip", b"{}", id="not-compressed"),
            pytest.param("br", b"x", id="brotli"),
            pytest.param("gzip, gzip", gzip.compress(gzip.compress(b"x")), id="twice"),
        ],
    )
    def test_refuses(self, client, serve, encoding, body):
        server = serve(http(body, content_encoding=encoding))

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1"):
            ask(client, server)

    def test_a_bomb_is_stopped(self, small, serve):
        server = serve(http(gzip.compress(bytes(2**28)), content_encoding="gzip"))

        with pytest.raises(TooLarge):
            ask(small, server)

    def test_a_bomb_takes_no_memory(self, small, serve):
        server = serve(http(gzip.compress(bytes(2**28)), content_encoding="gzip"))
        tracemalloc.start()
        with suppress(TooLarge):
            ask(small, server)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert most < 2**22

    def test_what_follows_the_end_counts(self, small, serve):
        server = serve(http(gzip.compress(b"x") + bytes(2000), content_encoding="gzip"))

        with pytest.raises(TooLarge):
            ask(small, server)


class TestLimits:
    def test_takes_an_answer_of_the_largest_size(self, small, serve):
        assert len(ask(small, serve(http(bytes(1000)))).body) == 1000

    def test_refuses_a_larger_one(self, small, serve):
        with pytest.raises(TooLarge, match="larger than 1000 bytes"):
            ask(small, serve(http(bytes(1001))))

    def test_refuses_an_endless_one(self, small, serve):
        with pytest.raises(TooLarge):
            ask(small, serve(endless))

    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([b""], id="nothing"),
            pytest.param([b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"], id="headers"),
            pytest.param([b"HTTP/1.1 200 OK\r\nx: ", b"y"], id="bytes-of-a-header"),
            pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n"], id="continue"),
            pytest.param([http(length=10**6), b"x"], id="body"),
            pytest.param([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"], id="chunks"),
        ],
    )
    def test_ends_an_answer_that_trickles_in(self, hasty, serve, pieces):
        server = serve()
        server.trickle(*pieces)
        began = time.monotonic()
        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1 took too long"):
            ask(hasty, server)

        assert time.monotonic() - began < LATE / 2

    def test_ends_an_encrypted_answer_that_trickles_in(self, serve, names, tls):
        names["media.example"] = ["127.0.0.1"]
        server = serve(tls=tls)
        server.trickle(b"HTTP/1.1 200 OK\r\nx: ", b"y")
        began = time.monotonic()
        with ProviderClient(timeout=SOON) as client, pytest.raises(RequestFailed, match="took too long"):
            client.send(provider_at(server.url(host="media.example")), Request(path="/"))

        assert time.monotonic() - began < LATE / 2

    def test_ends_a_handshake_that_never_comes(self, hasty, serve):
        server = serve()

        with pytest.raises(RequestFailed, match="took too long"):
            hasty.send(provider_at(f"https://127.0.0.1:{server.port}"), Request(path="/"))

    def test_the_time_limit_is_of_each_request(self, serve):
        server = serve(http(b"x"), keep=True)
        end = time.monotonic() + 2 * SOON.total_seconds()
        with ProviderClient(timeout=SOON) as client:
            while time.monotonic() < end:
                ask(client, server)

        assert server.connections == 1


class TestFailures:
    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([], id="no-answer"),
            pytest.param([b"nonsense\r\n\r\n"], id="not-http"),
            pytest.param([b"HTTP/1.1 200 OK\r\nsecret"], id="cut-in-the-headers"),
            pytest.param([b"HTTP/1.1 200 OK\r\n secret\r\n\r\n"], id="bad-header"),
            pytest.param([b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000], id="huge-header"),
            pytest.param([http(b"x", length=10)], id="cut-in-the-body"),
            pytest.param([http(b"x", length="ten")], id="length-is-not-a-number"),
            pytest.param([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"], id="bad-chunk"),
            pytest.param([RESET], id="reset"),
            pytest.param([http(b"x", length=10), RESET], id="reset-in-the-body"),
        ],
    )
    def test_a_broken_answer_is_a_failed_request(self, client, serve, pieces):
        server = serve(lambda request: pieces)

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1"):
            ask(client, server)

    @pytest.mark.parametrize(
        "url",
        [
            pytest.param("http://127.0.0.1:9", id="nobody-listens"),
            pytest.param("http://127.0.0.1:x", id="port-is-not-a-number"),
            pytest.param("http://a..b", id="name-is-not-a-name"),
            pytest.param("http://[::1", id="half-an-address"),
            pytest.param("http://\ud800", id="surrogate"),
            pytest.param("http://a\nb", id="newline"),
            pytest.param("http://", id="no-host"),
            pytest.param("ftp://127.0.0.1", id="other-scheme"),
        ],
    )
    def test_a_bad_address_is_a_failed_request(self, client, url):
        with pytest.raises(RequestFailed):
            client.send(provider_at(url), Request(path="/"))

    def test_http_where_https_was_expected_is_a_failed_request(self, client, serve):
        server = serve(greeting=http(status=400))

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1"):
            client.send(provider_at(f"https://127.0.0.1:{server.port}"), Request(path="/"))

    def test_a_certificate_for_another_name_is_a_failed_request(self, serve, tls):
        server = serve(http(), tls=tls)
        with ProviderClient() as client, pytest.raises(RequestFailed, match="certificate verify failed"):
            ask(client, server)

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("abc\r\nx: y", id="newline"),
            pytest.param("abc\0", id="nul"),
            pytest.param("ключ", id="not-ascii"),
        ],
    )
    def test_a_key_that_cannot_be_sent_is_not_shown(self, client, serve, value):
        server = serve(http())
        with pytest.raises(RequestFailed, match="api_key") as caught:
            client.send(provider_at(server.url(), api_key=value), Request(path="/"))

        assert (value[:3] in str(caught.value), caught.value.__cause__) == (False, None)

    def test_what_cannot_be_json_is_a_failed_request(self, client, serve):
        with pytest.raises(RequestFailed):
            ask(client, serve(http()), method="POST", json={"prompt": "\ud800"})

    def test_the_query_is_not_shown(self, client, serve):
        with pytest.raises(RequestFailed) as caught:
            ask(client, serve(), "/?token=abc")

        assert "abc" not in str(caught.value)

    def test_goes_on_after_a_failure(self, client, serve):
        server = serve(lambda request: [http(b"x")] if len(server.requests) > 1 else [RESET])
        with suppress(RequestFailed):
            ask(client, server)

        assert ask(client, server).body == b"x"


class TestDownload:
    def test_writes_the_file(self, serve):
        file = io.BytesIO()
        fetch(serve(http(b"film")), file)

        assert file.getvalue() == b"film"

    def test_says_what_it_got(self, serve):
        server = serve(http(b"film", content_type="Video/MP4; codecs=x", etag='"v1"'))

        assert fetch(server.url("/a.mp4?signature=b")) == Download(
            url=server.url("/a.mp4"), size=4, content_type="video/mp4", etag='"v1"'
        )

    @pytest.mark.parametrize("content_type", ["", "video", "../../etc", "a/" + "b" * 1000, "image/<svg>"])
    def test_leaves_out_an_odd_content_type(self, serve, content_type):
        assert fetch(serve(http(content_type=content_type))).content_type is None

    @pytest.mark.parametrize("etag", ['W/"v1"', "v1", "", '"\xe9"'])
    def test_leaves_out_an_etag_that_proves_nothing(self, serve, etag):
        assert fetch(serve(http(etag=etag))).etag is None

    def test_asks_for_the_bytes_as_they_are(self, serve):
        server = serve(http())
        fetch(server)

        assert header(server.requests[0], "accept-encoding") == ["identity"]

    def test_reads_a_body_that_ends_with_the_connection(self, serve):
        assert fetch(serve(b"HTTP/1.1 200 OK\r\n\r\nfilm")).size == 4

    def test_says_the_name_it_was_given(self, serve, names):
        names["media.example"] = ["127.0.0.1"]
        server = serve(http())
        fetch(server.url(host="media.example"))

        assert header(server.requests[0], "host") == [f"media.example:{server.port}"]

    def test_checks_the_certificate_for_the_name(self, serve, names, tls):
        names["media.example"] = ["127.0.0.1"]
        server = serve(http(b"film"), tls=tls)

        assert fetch(server.url(host="media.example")).size == 4

    def test_refuses_a_certificate_for_another_name(self, serve, names, tls):
        names["other.example"] = ["127.0.0.1"]
        server = serve(http(b"film"), tls=tls)

        with pytest.raises(RequestFailed, match="certificate verify failed"):
            fetch(server.url(host="other.example"))

    def test_takes_a_file_of_the_largest_size(self, serve):
        assert fetch(serve(http(bytes(1000))), max_bytes=1000).size == 1000

    def test_writes_nothing_of_a_file_that_says_it_is_larger(self, serve):
        file = io.BytesIO()
        with pytest.raises(TooLarge, match="raise max_bytes"):
            fetch(serve(http(b"x", length=1001)), file, max_bytes=1000)

        assert file.getvalue() == b""

    def test_writes_no_more_than_the_limit_of_an_endless_file(self, serve):
        file = io.BytesIO()
        with pytest.raises(TooLarge):
            fetch(serve(endless), file, max_bytes=10**6)

        assert 0 < len(file.getvalue()) <= 10**6

    @pytest.mark.parametrize("timeout", [SOON, timedelta(0), timedelta(seconds=-1)])
    def test_ends_a_file_that_trickles_in(self, serve, timeout):
        server = serve()
        server.trickle(http(length=10**6), b"x")
        began = time.monotonic()
        with pytest.raises(RequestFailed, match="took too long"):
            fetch(server, timeout=timeout)

        assert time.monotonic() - began < LATE / 2

    def test_the_time_limit_is_of_all_redirects_together(self, serve):
        def slowly(request):
            server.stopped.wait(SOON.total_seconds() / 3)
            yield http(status=302, location="/video.mp4")

        server = serve(slowly)

        with pytest.raises(RequestFailed, match="took too long"):
            fetch(server, timeout=SOON)

    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([http(b"fi", length=4)], id="short"),
            pytest.param([http(b"fi", length=4), RESET], id="reset"),
        ],
    )
    def test_keeps_what_arrived(self, serve, pieces):
        server = serve(lambda request: pieces[:1])
        file = io.BytesIO()
        with pytest.raises(RequestFailed):
            fetch(server, file)

        assert file.getvalue() == b"fi"

    @pytest.mark.parametrize(("status", "retry"), [(206, False), (304, False), (403, False), (429, True), (503, True)])
    def test_any_other_status_is_a_failure(self, serve, status, retry):
        with pytest.raises(RequestFailed, match=f"answers HTTP {status}") as caught:
            fetch(serve(http(status=status)))

        assert caught.value.retry is retry

    def test_refuses_what_was_compressed_unasked(self, serve):
        with pytest.raises(RequestFailed, match="compresses with gzip"):
            fetch(serve(http(gzip.compress(b"film"), content_encoding="gzip")))

    def test_an_encoding_that_means_nothing_is_let_pass(self, serve):
        assert fetch(serve(http(b"film", content_encoding="aws-chunked"))).size == 4

    def test_what_the_disk_refuses_is_not_a_failed_request(self, serve):
        with pytest.raises(OSError, match="No space left"):
            fetch(serve(http(b"film")), FullDisk())


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "0.0.0.0",  # noqa: S104 - not listened on, but called
            "2130706433",
            "0x7f.1",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "127。0。0。1",
            "10.0.0.1",
            "169.254.169.254",
        ],
    )
    def test_refuses_one_that_is_not_public(self, serve, host):
        server = serve(http())
        with pytest.raises(AddressRefused):
            fetch(server.url(host=host), allow_private=False, timeout=SOON)

        assert server.connections == 0

    def test_says_which_setting_allows_it(self, serve):
        with pytest.raises(AddressRefused, match="set allow_private = true"):
            fetch(serve(http()), allow_private=False)

    def test_refuses_a_name_if_any_of_its_addresses_is_private(self, serve, names, internet):
        server = serve(http())
        internet(server)
        names["media.example"] = [PUBLIC, "10.0.0.1"]
        with pytest.raises(AddressRefused):
            fetch("http://media.example/", allow_private=False)

        assert server.connections == 0

    def test_fetches_from_a_public_one(self, serve, names, internet):
        internet(serve(http(b"film")))
        names["media.example"] = [PUBLIC]

        assert fetch("http://media.example/", allow_private=False).size == 4

    def test_looks_a_name_up_once(self, serve, names, internet):
        internet(serve(http(b"film")))
        names["media.example"] = [PUBLIC]
        fetch("http://media.example/", allow_private=False)

        assert names["asked"].count("media.example") == 1

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://media.example/a",
            "file:///etc/passwd",
            "data:image/png;base64,AA",
            "//media.example/a",
            "media.example/a",
            "http://user:password@127.0.0.1/",
            "http://user@127.0.0.1/",
            "",
        ],
    )
    def test_refuses_what_is_not_a_plain_web_address(self, url):
        with pytest.raises(AddressRefused):
            fetch(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://",
            "http:///a",
            "http://[::1",
            "http://a\nb/",
            "http://a/\ud800",
            "http://a..b/",
            "http://a:0/",
            "http://xn--/",
        ],
    )
    def test_what_is_no_url_is_a_failed_request(self, url):
        with pytest.raises(RequestFailed):
            fetch(url)

    def test_uses_no_proxy_from_the_environment(self, serve, monkeypatch):
        proxy = serve(http())
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        monkeypatch.setenv("ALL_PROXY", proxy.url())
        fetch(serve(http()))

        assert proxy.connections == 0


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_follows(self, serve, status):
        there = serve(http(b"film"))

        assert fetch(serve(http(status=status, location=there.url("/b?c")))).url == there.url("/b")

    def test_follows_a_relative_one(self, serve):
        server = serve(
            lambda request: [http(b"film") if " /b " in request else http(status=302, location="b")], keep=True
        )

        assert fetch(server.url("/a")).size == 4

    def test_follows_five(self, serve):
        server = serve(lambda request: [http(b"film") if len(server.requests) > 5 else http(status=302, location="/")])

        assert fetch(server).size == 4

    def test_does_not_follow_six(self, serve):
        server = serve(lambda request: [http(b"film") if len(server.requests) > 6 else http(status=302, location="/")])

        with pytest.raises(RequestFailed, match="redirects too often"):
            fetch(server)

    def test_refuses_one_to_a_private_address(self, serve, internet):
        secret = serve(http(b"secret"))
        internet(serve(http(status=302, location=secret.url())))
        with pytest.raises(AddressRefused):
            fetch(f"http://{PUBLIC}/", allow_private=False)

        assert secret.connections == 0

    def test_refuses_one_from_https_to_http(self, serve, names, tls):
        names["media.example"] = ["127.0.0.1"]
        plain = serve(http(b"film"))
        server = serve(http(status=302, location=plain.url()), tls=tls)
        with pytest.raises(AddressRefused, match="from https to http"):
            fetch(server.url(host="media.example"))

        assert plain.connections == 0

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://a/", "http://user:password@127.0.0.1/"])
    def test_refuses_one_to_what_is_not_a_plain_web_address(self, serve, location):
        with pytest.raises(AddressRefused):
            fetch(serve(http(status=302, location=location)))

    @pytest.mark.parametrize("location", ["http://[::1", "http://a:b/", "http://\xff\xfe/"])
    def test_one_to_nowhere_is_a_failure(self, serve, location):
        with pytest.raises(RequestFailed):
            fetch(serve(http(status=302, location=location)))

    def test_one_without_a_target_is_a_failure(self, serve):
        with pytest.raises(RequestFailed, match="redirects to nowhere"):
            fetch(serve(http(status=302)))


class TestResume:
    REST = http(b"lm", status=206, content_range="bytes 2-3/4", etag='"v1"')

    def resume(self, server, *, etag='"v1"', **options):
        file = io.BytesIO(b"fi")
        got = fetch(server, file, offset=2, etag=etag, **options)
        return file.getvalue(), got

    def test_asks_for_the_rest(self, serve):
        server = serve(self.REST)
        self.resume(server)

        assert header(server.requests[0], "range") == ["bytes=2-"]

    def test_asks_only_if_nothing_changed(self, serve):
        server = serve(self.REST)
        self.resume(server)

        assert header(server.requests[0], "if-range") == ['"v1"']

    def test_adds_the_rest(self, serve):
        assert self.resume(serve(self.REST))[0] == b"film"

    def test_the_size_is_of_the_whole_file(self, serve):
        assert self.resume(serve(self.REST))[1].size == 4

    def test_starts_again_when_the_file_changed(self, serve):
        assert self.resume(serve(http(b"b", etag='"v2"')))[0] == b"b"

    @pytest.mark.parametrize("etag", [None, 'W/"v1"', "v1", "", '"\xe9"'])
    def test_starts_again_without_a_strong_etag(self, serve, etag):
        server = serve(http(b"film"))
        self.resume(server, etag=etag)

        assert header(server.requests[0], "range") == []

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(http(status=416, content_range="bytes */2"), id="there-is-no-rest"),
            pytest.param(http(b"m", status=206, content_range="bytes 3-3/4", etag='"v1"'), id="another-part"),
            pytest.param(http(b"lm", status=206, content_range="bytes 2-3/4", etag='"v2"'), id="another-version"),
            pytest.param(http(b"lm", status=206, content_range="bytes 2-3/*", etag='"v1"'), id="unknown-size"),
            pytest.param(http(b"lm", status=206, content_range="pages 2-3/4", etag='"v1"'), id="unknown-unit"),
            pytest.param(http(b"lm", status=206, content_type="multipart/byteranges"), id="no-range"),
        ],
    )
    def test_starts_again_after(self, serve, answer):
        server = serve(lambda request: [answer if header(request, "range") else http(b"FILM")])

        assert self.resume(server)[0] == b"FILM"

    def test_what_is_here_counts_towards_the_limit(self, serve):
        with pytest.raises(TooLarge):
            self.resume(serve(self.REST), max_bytes=3)

    def test_less_than_the_rest_is_a_failure(self, serve):
        with pytest.raises(RequestFailed, match="sent 3 of 4 bytes"):
            self.resume(serve(http(b"l", status=206, content_range="bytes 2-2/4", etag='"v1"')))

    def test_more_than_the_rest_is_a_failure(self, serve):
        with pytest.raises(RequestFailed, match="sent 5 of 4 bytes"):
            self.resume(serve(http(b"lms", status=206, content_range="bytes 2-3/4", etag='"v1"')))

    def test_asks_for_the_rest_after_a_redirect(self, serve):
        server = serve(self.REST)
        self.resume(serve(http(status=302, location=server.url())))

        assert header(server.requests[0], "range") == ["bytes=2-"]

    def test_the_etag_is_told_before_the_first_byte(self, serve):
        file = io.BytesIO()
        told = []
        fetch(serve(http(b"film", etag='"v1"')), file, started=lambda etag: told.append((etag, file.getvalue())))

        assert told == [('"v1"', b"")]

    def test_the_etag_that_was_asked_with_stays_known(self, serve):
        told = []
        self.resume(serve(http(b"lm", status=206, content_range="bytes 2-3/4")), started=told.append)

        assert told == ['"v1"']


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("93.184.215.14", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::8.8.8.8", True),
        ("0.0.0.0", False),  # noqa: S104 - an example
        ("0.1.2.3", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("100.100.100.200", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("168.63.129.16", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("192.0.0.192", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.0.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("224.0.0.1", False),
        ("239.255.255.255", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:0:127.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::8.8.8.8", False),
        ("100::1", False),
        ("2001:0:7f00:1::", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("fe80::1%lo", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
    ],
)
def test_tells_public_addresses(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("https://a.example/b.mp4?token=c", "https://a.example/b.mp4"),
        ("https://a.example/b.mp4#token=c", "https://a.example/b.mp4"),
        ("https://a.example?token=c/d@e", "https://a.example"),
        ("https://user:password@a.example/b", "https://a.example/b"),
        ("https://user:pass@word@a.example/b", "https://a.example/b"),
        ("https://a.example/b@c", "https://a.example/b@c"),
        ("https://[a/?b", "https://[a/"),
        ("", ""),
    ],
)
def test_cuts_off_what_may_be_secret(url, rest):
    assert without_query(url) == rest
