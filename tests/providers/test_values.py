"""The readers that adapters share: whatever comes in, what comes out can be stored."""

from datetime import UTC, datetime

import pytest

from receiver.errors import Unreadable
from receiver.models import Delivery
from receiver.providers import values

NOW = datetime(2026, 3, 9, tzinfo=UTC)

ODD = [None, True, False, 1.5, "", [], {}, float("inf")]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        pytest.param("https://cdn.example.com/a.mp4?b=c", "https://cdn.example.com/a.mp4?b=c", id="address"),
        pytest.param("http://localhost:8000", "http://localhost:8000", id="port"),
        pytest.param("https://cdn.example.com/a.mp4 has expired", None, id="sentence"),
        pytest.param("upstream: no capacity", None, id="scheme-of-no-web"),
        pytest.param("https:///a.mp4", None, id="no-host"),
        pytest.param("https://[::1", None, id="broken-host"),
        pytest.param("https://cdn.example.com/\n", None, id="newline"),
        *(pytest.param(value, None, id=repr(value)) for value in ODD),
    ],
)
def test_an_address_is_a_url_of_the_web_and_nothing_else(value, found):
    assert values.address(value) == found


@pytest.mark.parametrize("value", ["812345678901234567", 812345678901234567])
def test_a_number_will_do_for_an_id_where_jobs_are_numbered(value):
    assert values.identifier(value, field="id", numbered=True) == "812345678901234567"


@pytest.mark.parametrize("value", [812345678901234567, *ODD])
def test_an_id_is_text(value):
    assert values.identifier_or_none(value) is None
    with pytest.raises(Unreadable, match="task_id is not an id"):
        values.identifier(value, field="task_id")


@pytest.mark.parametrize("value", [0, -1, *ODD])
def test_not_every_number_is_one_of_a_job(value):
    assert values.identifier_or_none(value, numbered=True) is None


def test_what_stands_for_an_id_that_is_none_depends_on_the_body():
    def known_by(told, body=b"{}"):
        return values.signed_id(Delivery(source="s", body=body, headers={"x-id": told}, received_at=NOW), "x-id")

    assert known_by("msg_1") == known_by("msg_1", b"[]") == "msg_1"
    assert len({known_by("a\nb"), known_by("a\nb", b"[]"), known_by("")}) == 3


@pytest.mark.parametrize(("value", "code", "text"), [(0, 0, "0"), (-4, -4, "-4"), ("4", None, "4"), (True, None, True)])
def test_true_is_no_number(value, code, text):
    assert (values.whole(value), values.spelled(value)) == (code, text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"error": {"message": "a", "msg": "b"}}, "a"),
        ({"error": {"msg": "b"}, "message": "c"}, "b"),
        ({"error": "d"}, "d"),
        ({"message": "c"}, "c"),
        ({"error": None, "message": "c"}, None),
        ({"error": [], "detail": "e"}, None),
        ({}, None),
    ],
)
def test_finds_the_reason_where_most_providers_say_it(data, reason):
    assert values.reason_in(data) == reason
