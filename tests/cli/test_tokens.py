"""The commands for tokens."""

import pytest

from receiver import tokens
from receiver.clock import from_text
from receiver.models import Role, Scope


def test_a_token_is_printed_once_and_works(receiver, store):
    made = receiver("tokens", "add", "me", "--role", "operator").stdout.strip()

    token = store.token(tokens.digest(made))
    assert made.startswith("rcv_")
    assert (token.name, token.role, token.scopes) == ("me", Role.OPERATOR, frozenset(Scope))
    assert made not in receiver("tokens").stdout


def test_tokens_are_listed(receiver, as_json):
    receiver("tokens", "add", "me", "--role", "viewer", "--expires", "90d")

    [row] = as_json("tokens")

    lasts = from_text(row["expires_at"]) - from_text(row["created_at"])
    assert (row["name"], row["role"], row["scopes"], lasts.days) == ("me", "viewer", ["read"], 90)
    assert row["last_used_at"] is None


def test_says_that_there_are_none(receiver):
    assert receiver("tokens").stdout == "no tokens; make one with `receiver tokens add`\n"


def test_a_token_may_do_less_than_its_role(receiver, as_json):
    receiver("tokens", "add", "ci", "--role", "operator", "--scope", "submit", "--scope", "read")

    assert as_json("tokens")[0]["scopes"] == ["read", "submit"]


def test_a_token_may_not_do_more_than_its_role(receiver, as_json):
    result = receiver("tokens", "add", "me", "--role", "viewer", "--scope", "operate")

    assert (result.exit_code, result.stderr) == (2, "receiver: a viewer may not operate; it may read\n")
    assert as_json("tokens") == []


def test_a_name_is_taken_once(receiver):
    receiver("tokens", "add", "me", "--role", "viewer")

    result = receiver("tokens", "add", "me", "--role", "viewer")

    assert (result.exit_code, result.stderr) == (
        2,
        "receiver: there is a token 'me' already; see `receiver tokens`\n",
    )


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "\x1b[31m"])
def test_not_every_text_is_a_name(receiver, name):
    assert receiver("tokens", "add", "--role", "viewer", "--", name).exit_code == 2


def test_removes_a_token(receiver, as_json):
    receiver("tokens", "add", "me", "--role", "viewer")

    result = receiver("tokens", "remove", "me")

    assert (result.exit_code, as_json("tokens")) == (0, [])


def test_removes_no_token_that_is_not_there(receiver):
    result = receiver("tokens", "remove", "me")

    assert (result.exit_code, result.stderr) == (2, "receiver: there is no token 'me'; see `receiver tokens`\n")
