"""The rules that the values carry with them."""

from datetime import UTC, datetime

import pytest

from receiver.models import Access, Delivery, Request, Standing, Status, standing

# What a job's known status (a row) makes of an event's (a column).
TABLE = """
           none     queued   running  succeeded   failed    cancelled   expired  lost
none       current  current  current  current     current   current     current  current
queued     current  current  current  current     current   current     current  current
running    current  current  current  current     current   current     current  current
succeeded  current  stale    stale    stale       conflict  conflict    stale    stale
failed     current  stale    stale    correction  stale     conflict    stale    stale
cancelled  current  stale    stale    conflict    conflict  stale       stale    stale
expired    current  stale    stale    correction  correction correction stale    stale
lost       current  stale    stale    correction  correction correction stale    stale
"""


def status(name):
    return None if name == "none" else Status(name)


def cells():
    columns, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return [
        pytest.param(status(known), status(told), Standing(expected), id=f"{known}-then-{told}")
        for known, *row in rows
        for told, expected in zip(columns, row, strict=True)
    ]


@pytest.mark.parametrize(("known", "told", "expected"), cells())
def test_standing(known, told, expected):
    assert standing(known, told) is expected


def test_dispatches_what_is_current_or_corrects():
    assert {value for value in Standing if value.dispatched} == {Standing.CURRENT, Standing.CORRECTION}


def test_knows_which_statuses_end_a_job():
    assert {value for value in Status if not value.terminal} == {Status.QUEUED, Status.RUNNING}


def test_a_delivery_does_not_print_its_body_and_headers():
    delivery = Delivery(
        source="s", body=b"private", headers={"x-signature": "private"}, received_at=datetime(2026, 3, 9, tzinfo=UTC)
    )

    assert "private" not in repr(delivery)


def test_a_request_does_not_print_its_headers_and_body():
    request = Request(path="/v1", headers={"Authorization": "private"}, json={"prompt": "private"})

    assert "private" not in repr(request)


@pytest.mark.parametrize(
    ("base_url", "url", "covered"),
    [
        pytest.param("https://api.example", "https://api.example/v1/a", True, id="below"),
        pytest.param("https://api.example/v1", "https://api.example/v1/a?b=c#d", True, id="below-a-path"),
        pytest.param("http://host:1234", "http://host:1234/a", True, id="port"),
        pytest.param("http://host:1234", "http://host:12345/a", False, id="port-that-begins-alike"),
        pytest.param("http://host", "http://host:1234/a", False, id="another-port"),
        pytest.param("https://api.example", "https://api.example.org/a", False, id="host-that-begins-alike"),
        pytest.param("https://api.example", "https://api.example@evil.example/a", False, id="user-name"),
        pytest.param("https://api.example", "https://api.example:b@evil.example/a", False, id="password"),
        pytest.param("https://api.example", "https://evil.example/https://api.example/a", False, id="path-alike"),
        pytest.param("https://api.example/a", "https://api.example/ab/c", False, id="path-that-begins-alike"),
        pytest.param("https://api.example/a", "https://api.example/b", False, id="beside"),
        pytest.param("https://api.example", "http://api.example/a", False, id="not-encrypted"),
        pytest.param("", "https://api.example/a", False, id="no-base-url"),
    ],
)
def test_access_covers_what_is_below_the_base_url(base_url, url, covered):
    assert Access(base_url=base_url, headers={}).covers(url) is covered


def test_access_does_not_print_its_headers():
    assert "private" not in repr(Access(base_url="https://api.example", headers={"Authorization": "Bearer private"}))
