"""Getting files at URLs that somebody else named."""

import errno
import gzip
import io
import time
from datetime import timedelta

import pytest

from receiver.errors import AddressRefused, CredentialsRefused, RequestFailed, TooLarge
from receiver.models import Access
from receiver.outbound import Download
from tests.outbound.servers import LATE, PUBLIC, RESET, SOON, endless, fetch, header, http


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


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

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 503])
    def test_tells_the_status_that_it_was_refused_with(self, serve, status):
        with pytest.raises(RequestFailed) as caught:
            fetch(serve(http(status=status)))

        assert caught.value.status == status

    def test_tells_no_status_where_there_was_no_answer(self, serve):
        with pytest.raises(RequestFailed) as caught:
            fetch(serve(b""))

        assert caught.value.status is None

    def test_refuses_what_was_compressed_unasked(self, serve):
        with pytest.raises(RequestFailed, match="compresses with gzip"):
            fetch(serve(http(gzip.compress(b"film"), content_encoding="gzip")))

    def test_an_encoding_that_means_nothing_is_let_pass(self, serve):
        assert fetch(serve(http(b"film", content_encoding="aws-chunked"))).size == 4

    def test_what_the_disk_refuses_is_not_a_failed_request(self, serve):
        with pytest.raises(OSError, match="No space left"):
            fetch(serve(http(b"film")), FullDisk())


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


KEY = "Bearer private-key"


def access(base_url, key=KEY):
    return Access(base_url=base_url, headers={"Authorization": key})


def keys(server):
    """What the server was sent of the key, request by request."""
    return [header(request, "authorization") for request in server.requests]


class TestAccess:
    def test_goes_to_an_address_that_it_covers(self, serve):
        server = serve(http(b"film"))

        assert fetch(server, access=access(server.url(""))).size == 4
        assert keys(server) == [[KEY]]

    def test_what_it_covers_may_be_private(self, serve):
        server = serve(http(b"film"))

        assert fetch(server, access=access(server.url("")), allow_private=False).size == 4

    def test_what_it_does_not_cover_may_not_be_private(self, serve):
        server = serve(http(b"film"))
        with pytest.raises(AddressRefused):
            fetch(server, access=access(server.url("/files")), allow_private=False)

        assert server.connections == 0

    def test_asks_for_the_rest_with_the_key_too(self, serve):
        server = serve(TestResume.REST)
        fetch(server, io.BytesIO(b"fi"), offset=2, etag='"v1"', access=access(server.url("")))

        assert (keys(server), header(server.requests[0], "range")) == ([[KEY]], ["bytes=2-"])

    def test_nothing_is_sent_without_it(self, serve):
        server = serve(http(b"film"))
        fetch(server)

        assert keys(server) == [[]]

    def test_is_not_sent_to_where_a_covered_address_redirects(self, serve):
        there = serve(http(b"film"))
        here = serve(http(status=302, location=there.url()))
        fetch(here, access=access(here.url("")))

        assert (keys(here), keys(there)) == ([[KEY]], [[]])

    def test_does_not_open_a_private_address_that_a_covered_one_redirects_to(self, serve):
        secret = serve(http(b"secret"))
        here = serve(http(status=302, location=secret.url()))
        with pytest.raises(AddressRefused):
            fetch(here, access=access(here.url("")), allow_private=False)

        assert secret.connections == 0

    def test_a_redirect_out_of_the_base_path_loses_it(self, serve):
        server = serve(
            lambda request: [http(b"film") if " /files " in request else http(status=302, location="/files")]
        )
        fetch(server.url("/api/a"), access=access(server.url("/api")))

        assert keys(server) == [[KEY], []]

    @pytest.mark.parametrize(
        ("base_path", "path"),
        [
            pytest.param("/a", "/ab/c", id="begins-alike"),
            pytest.param("/a", "/a/../b", id="dots"),
            pytest.param("/a", "/a/%2e%2e/b", id="quoted-dots"),
            pytest.param("/a", "/a/..%2fb", id="quoted-slash"),
            pytest.param("/a", "/a/%252e%252e/b", id="quoted-twice"),
            pytest.param("/a", "/a/..\\b", id="backslash"),
            pytest.param("/a", "/b?x=/a/", id="query"),
            pytest.param("/a", "/b/a/", id="below-another"),
        ],
    )
    def test_is_not_sent_beside_the_base_path(self, serve, base_path, path):
        server = serve(http(b"film"))
        fetch(server.url(path), access=access(server.url(base_path)))

        assert keys(server) == [[]]

    def test_is_not_sent_to_a_port_that_begins_alike(self, serve):
        server = serve(http(b"film"))
        fetch(server, access=access(server.url("")[:-1]))

        assert keys(server) == [[]]

    @pytest.mark.parametrize("host", ["api.example.evil.example", "xapi.example", "evil.example"])
    def test_is_not_sent_to_a_host_that_looks_alike(self, serve, names, host):
        names[host] = ["127.0.0.1"]
        server = serve(http(b"film"))
        fetch(server.url(host=host), access=access(server.url("", host="api.example")))

        assert keys(server) == [[]]

    @pytest.mark.parametrize("between", ["@", ":1@", "\\@"])
    def test_is_not_sent_to_a_host_behind_a_user_name(self, serve, names, between):
        names["api.example"] = ["127.0.0.1"]
        server = serve(http(b"film"))
        with pytest.raises(RequestFailed):
            fetch(f"http://api.example{between}127.0.0.1:{server.port}/", access=access("http://api.example"))

        assert keys(server) == []

    def test_is_not_sent_in_clear(self, serve, names):
        names["api.example"] = ["127.0.0.1"]
        server = serve(http(b"film"))
        fetch(server.url(host="api.example"), access=access(f"https://api.example:{server.port}"))

        assert keys(server) == [[]]

    @pytest.mark.parametrize(
        "base_url",
        [
            pytest.param("http://API.Example:{}", id="upper-case"),
            pytest.param("http://api.example:{}/a/../b", id="dots"),
        ],
    )
    def test_a_base_url_may_be_written_in_any_way(self, serve, names, base_url):
        names["api.example"] = ["127.0.0.1"]
        server = serve(http(b"film"))
        configured = base_url.format(server.port)
        fetch(f"{configured}/video.mp4", access=access(configured))

        assert keys(server) == [[KEY]]

    def test_a_base_url_may_name_the_usual_port(self, serve, internet):
        server = serve(http(b"film"))
        internet(server)
        fetch(f"http://{PUBLIC}:80/video.mp4", access=access(f"http://{PUBLIC}:80"))

        assert keys(server) == [[KEY]]

    @pytest.mark.parametrize("key", ["Bearer k\u00e9y", "Bearer key\nX-Other: 1"])
    def test_a_key_that_cannot_be_sent_is_a_failure_that_does_not_show_it(self, serve, key):
        server = serve(http(b"film"))
        with pytest.raises(RequestFailed, match="see the api_key") as caught:
            fetch(server, access=access(server.url(""), key))

        assert "key\n" not in str(caught.value)
        assert "\u00e9" not in str(caught.value)
        assert caught.value.retry is False

    def test_says_that_the_key_is_not_accepted(self, serve):
        server = serve(http(status=401))

        with pytest.raises(CredentialsRefused, match="it does not accept the source's api_key") as caught:
            fetch(server, access=access(server.url("")))
        assert caught.value.status == 401

    def test_elsewhere_says_nothing_of_the_key(self, serve):
        elsewhere = serve(http(status=401))
        here = serve(http(status=302, location=elsewhere.url("/")))

        with pytest.raises(RequestFailed, match=r"answers HTTP 401$") as caught:
            fetch(here, access=access(here.url("")))
        assert type(caught.value) is RequestFailed


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
            pytest.param(http(b"lm", status=206, content_range="bytes 2-3/4", etag='W/"v2"'), id="perhaps-another"),
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
