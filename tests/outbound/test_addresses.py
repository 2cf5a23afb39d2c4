"""Which addresses are called, and which never are."""

import pytest

from receiver.errors import AddressRefused, RequestFailed
from receiver.outbound import is_public, without_query
from tests.outbound.servers import PUBLIC, SOON, fetch, http


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
