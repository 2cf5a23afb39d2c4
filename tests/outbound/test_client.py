"""Asking a provider: what is sent, what comes back, and what hostile answers do."""

import gzip
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from receiver import __version__
from receiver.errors import RequestFailed, TooLarge
from receiver.models import Request
from receiver.outbound import ProviderClient
from receiver.providers.base import Provider
from tests.outbound.servers import LATE, RESET, SOON, endless, header, http

KEY = "the-api-key-of-a-test"


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


def provider_at(url, *, api_key=KEY):
    return Provider(base_url=url, api_key=api_key)


def ask(client, server, path="/v1/jobs/a", **request):
    return client.send(provider_at(server.url()), Request(path=path, **request))


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
