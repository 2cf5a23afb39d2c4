"""What must not show."""

import pytest

from receiver.masking import MASK, mask_headers, mask_password, mask_urls, mask_values

PRIVATE = "not-for-anybody"


# Headers


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-kgp-api-key",
        "xi-api-key",
    ],
)
def test_masks_a_header_that_carries_a_secret(name):
    assert mask_headers({name: PRIVATE}) == {name: MASK}


def test_leaves_other_headers():
    headers = {"content-type": "application/json", "x-creativeai-signature": "sha256=00"}

    assert mask_headers(headers) == headers


def test_leaves_the_headers_it_was_given():
    headers = {"cookie": PRIVATE}

    mask_headers(headers)

    assert headers == {"cookie": PRIVATE}


# URLs


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("https://cdn.example", "https://cdn.example", id="host"),
        pytest.param("https://cdn.example:8443/", "https://cdn.example:8443/…", id="port"),
        pytest.param(f"https://cdn.example/{PRIVATE}.mp4", "https://cdn.example/…", id="path"),
        pytest.param(f"https://cdn.example/a?X-Amz-Signature={PRIVATE}", "https://cdn.example/…", id="query"),
        pytest.param(f"https://cdn.example?token={PRIVATE}", "https://cdn.example/…", id="query-alone"),
        pytest.param(f"https://cdn.example#{PRIVATE}", "https://cdn.example/…", id="fragment"),
        pytest.param(f"https://user:{PRIVATE}@cdn.example", "https://cdn.example", id="password"),
        pytest.param(f"https://user:{PRIVATE}@cdn.example/a", "https://cdn.example/…", id="password-and-path"),
        pytest.param(f"https://cdn.example/a@{PRIVATE}", "https://cdn.example/…", id="at-in-the-path"),
        pytest.param(f"https://a@{PRIVATE}@cdn.example/", "https://cdn.example/…", id="at-twice"),
        pytest.param(f"HTTPS://cdn.example/{PRIVATE}", "HTTPS://cdn.example/…", id="upper-case"),
        pytest.param(f"http://[::1]:80/{PRIVATE}", "http://[::1]:80/…", id="ipv6"),
        pytest.param(f"'https://cdn.example/{PRIVATE}' failed", "'https://cdn.example/…' failed", id="quoted"),
        pytest.param(f"<https://cdn.example/{PRIVATE}>", "<https://cdn.example/…>", id="in-brackets"),
        pytest.param(
            f"https://a.example/{PRIVATE} and http://b.example/{PRIVATE}",
            "https://a.example/… and http://b.example/…",
            id="several",
        ),
        pytest.param("no such bucket: a/b?c", "no such bucket: a/b?c", id="none"),
        pytest.param("", "", id="empty"),
    ],
)
def test_of_a_url_leaves_only_the_host(text, masked):
    assert mask_urls(text) == masked


# Values


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param(f"Invalid key: {PRIVATE}", f"Invalid key: {MASK}", id="once"),
        pytest.param(f"{PRIVATE}{PRIVATE}, {PRIVATE}", f"{MASK}{MASK}, {MASK}", id="several-times"),
        pytest.param("not-for", "not-for", id="a-part"),
        pytest.param("", "", id="empty"),
    ],
)
def test_masks_a_secret_wherever_it_stands(text, masked):
    assert mask_values(text, [PRIVATE]) == masked


def test_masks_each_secret():
    assert mask_values("first and second", ["first", "second"]) == f"{MASK} and {MASK}"


@pytest.mark.parametrize("secret", ["", "a", "abc"], ids=["empty", "letter", "three-letters"])
def test_leaves_what_is_too_short_to_be_a_secret(secret):
    assert mask_values("abcdef", [secret]) == "abcdef"


def test_masks_the_shortest_secret():
    assert mask_values("abcdef", ["abcd"]) == f"{MASK}ef"


def test_masks_nothing_where_there_is_no_secret():
    assert mask_values("abcdef", []) == "abcdef"


@pytest.mark.parametrize("secrets", [["key1", "key1-and-more"], ["key1-and-more", "key1"]])
def test_masks_the_whole_of_a_secret_that_begins_like_another(secrets):
    assert mask_values("the key1-and-more", secrets) == f"the {MASK}"


# URLs of databases


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        pytest.param("postgresql://me:secret@host/db", f"postgresql://me:{MASK}@host/db", id="password"),
        pytest.param("postgresql://me:s@/e?c:ret@host/db", f"postgresql://me:{MASK}@host/db", id="not-quoted"),
        pytest.param("postgresql://host/db?password=secret", f"postgresql://host/db?password={MASK}", id="parameter"),
        pytest.param(
            "postgresql://host/db?a=b&sslpassword=secret&c=d",
            f"postgresql://host/db?a=b&sslpassword={MASK}&c=d",
            id="among-parameters",
        ),
        pytest.param("postgresql://me@host:5432/db", "postgresql://me@host:5432/db", id="none"),
        pytest.param("sqlite:///receiver.db", "sqlite:///receiver.db", id="file"),
    ],
)
def test_masks_the_password_of_a_database(url, masked):
    assert mask_password(url) == masked
