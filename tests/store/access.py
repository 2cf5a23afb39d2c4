"""What every store promises to people: tokens, sessions, answers that are given once, and what they may pause."""

from datetime import timedelta

import pytest

from receiver.models import KeptAnswer, Role, Scope, Token
from receiver.store.sqlite.access import MOST_SESSIONS
from tests.store.contract import (
    DONE,
    HANDLER,
    HOUR,
    MANY,
    MINUTE,
    NOT_DUE,
    SOURCE,
    a_record,
    an_event,
    at_once,
    claim,
    claim_polls,
    claimed_jobs,
    dispatch,
    refusals,
    track,
)

DAY = timedelta(days=1)


class AccessContract:
    """Inherit it beside `StoreContract`."""

    # Tokens

    def test_a_token_is_known_by_its_digest(self, store):
        store.add_token("me", "digest", role=Role.VIEWER, scopes=frozenset([Scope.READ]), lasts=HOUR)

        token = store.token("digest")
        assert token == Token(
            name="me",
            role=Role.VIEWER,
            scopes=frozenset([Scope.READ]),
            created_at=token.created_at,
            expires_at=token.created_at + HOUR,
        )

    def test_another_digest_is_nobodys(self, store):
        a_token(store)

        assert store.token("another") is None

    def test_a_name_is_taken_once(self, store):
        a_token(store)

        assert not store.add_token("me", "another", role=Role.VIEWER, scopes=frozenset())
        assert store.token("another") is None

    def test_a_token_expires(self, store, let_pass):
        a_token(store, lasts=MINUTE)
        let_pass(MINUTE)

        assert store.token("digest") is None
        assert [token.name for token in store.tokens()] == ["me"]

    def test_a_token_that_is_removed_is_nobodys(self, store):
        a_token(store)

        assert [store.remove_token("me"), store.remove_token("me")] == [True, False]
        assert store.token("digest") is None

    def test_tokens_are_listed_by_name(self, store):
        for name in ("beta", "alpha", "Gamma"):
            a_token(store, name, digest=name)

        assert [token.name for token in store.tokens()] == ["Gamma", "alpha", "beta"]

    def test_the_use_of_a_token_is_noted_once_a_minute(self, store, let_pass):
        a_token(store)
        store.note_use("me")
        first = store.token("digest").last_used_at
        store.note_use("me")
        second = store.token("digest").last_used_at
        let_pass(MINUTE + timedelta(seconds=1))
        store.note_use("me")

        assert first == second
        assert store.token("digest").last_used_at >= first

    # Sessions

    def test_a_session_is_its_tokens(self, store):
        a_token(store)
        store.open_session("session", token_digest="digest", lasts=HOUR)

        assert store.session("session") == store.token("digest")

    def test_another_session_is_nobodys(self, store):
        a_token(store)
        store.open_session("session", token_digest="digest", lasts=HOUR)

        assert store.session("another") is None

    def test_a_session_ends_when_it_is_closed(self, store):
        a_token(store)
        store.open_session("session", token_digest="digest", lasts=HOUR)
        store.close_session("session")

        assert store.session("session") is None

    def test_a_session_expires(self, store, let_pass):
        a_token(store)
        store.open_session("session", token_digest="digest", lasts=MINUTE)
        let_pass(MINUTE)

        assert store.session("session") is None

    def test_a_session_expires_with_its_token(self, store, let_pass):
        a_token(store, lasts=MINUTE)
        store.open_session("session", token_digest="digest", lasts=HOUR)
        let_pass(MINUTE)

        assert store.session("session") is None

    def test_a_session_ends_with_its_token(self, store):
        a_token(store)
        store.open_session("session", token_digest="digest", lasts=HOUR)
        store.remove_token("me")

        assert store.session("session") is None

    def test_a_session_is_not_that_of_a_later_token_of_the_same_name(self, store):
        a_token(store)
        store.open_session("session", token_digest="digest", lasts=HOUR)
        store.remove_token("me")
        a_token(store, digest="new")

        assert store.session("session") is None

    def test_a_token_has_so_many_sessions_and_the_oldest_ends(self, store, let_pass):
        a_token(store)
        store.open_session("first", token_digest="digest", lasts=MINUTE)
        for number in range(MOST_SESSIONS):
            store.open_session(f"later {number}", token_digest="digest", lasts=HOUR)

        assert [store.session("first"), store.session("later 0")] == [None, store.token("digest")]

    # Answers that are given once

    def test_a_request_is_new_once(self, store):
        first = begin(store)
        second = begin(store)

        assert first is None
        assert second == KeptAnswer(fingerprint="body", status=None, body=None, began_at=second.began_at)

    def test_an_answer_is_kept(self, store):
        begin(store)
        store.keep_answer("me", "key", status=201, body="{}")

        kept = begin(store)
        assert (kept.status, kept.body) == (201, "{}")

    def test_a_request_that_is_forgotten_is_new_again(self, store):
        begin(store)
        store.forget_request("me", "key")

        assert begin(store) is None

    def test_an_answer_is_forgotten_after_its_time(self, store, let_pass):
        begin(store)
        let_pass(DAY)

        assert begin(store) is None

    def test_a_key_is_its_tokens_own(self, store):
        begin(store)

        assert store.begin_request("you", "key", fingerprint="body", keep=DAY) is None

    def test_of_requests_at_once_one_is_new(self, store):
        answers = at_once(*[lambda: begin(store)] * 8)

        assert answers.count(None) == 1

    # What a person pauses

    def test_a_paused_handlers_dispatches_wait(self, store):
        dispatch(store, an_event())
        store.pause_handler(HANDLER, paused=True)

        assert claim(store) == []

    def test_a_paused_handler_is_not_looked_at(self, store):
        dispatch(store, an_event())
        store.pause_handler(HANDLER, paused=True)

        assert store.next_due([HANDLER]) is None

    def test_a_paused_handler_holds_up_no_other(self, store):
        dispatch(store, an_event(), handlers=[HANDLER, "another"])
        store.pause_handler(HANDLER, paused=True)

        assert store.next_due([HANDLER, "another"]) == timedelta(0)
        assert claimed_jobs(claim(store, handler="another")) == ["job_1"]

    def test_a_handler_that_is_resumed_runs(self, store):
        dispatch(store, an_event())
        store.pause_handler(HANDLER, paused=True)
        store.pause_handler(HANDLER, paused=False)

        assert claimed_jobs(claim(store)) == ["job_1"]

    def test_what_ran_as_its_handler_was_paused_ends_and_leaves_it_paused(self, store):
        dispatch(store, an_event())
        [claimed] = claim(store)
        store.pause_handler(HANDLER, paused=True)
        store.finish(claimed, DONE)
        dispatch(store, an_event("job_2"))

        assert claim(store) == []

    def test_says_since_when_a_handler_is_paused(self, store):
        store.pause_handler(HANDLER, paused=True)
        since = store.hold(HANDLER).paused_at
        store.pause_handler(HANDLER, paused=True)

        assert since is not None
        assert store.hold(HANDLER).paused_at == since

    def test_a_paused_source_is_not_polled(self, store):
        track(store, "job_1")
        store.pause_source(SOURCE, paused=True)

        assert claim_polls(store) == []

    def test_a_paused_sources_webhooks_come_in(self, store):
        store.pause_source(SOURCE, paused=True)

        assert len(store.receive(a_record(an_event())).events) == 1

    def test_a_source_that_is_resumed_is_polled(self, store):
        track(store, "job_1")
        store.pause_source(SOURCE, paused=True)
        store.pause_source(SOURCE, paused=False)

        assert claim_polls(store) == ["job_1"]
        assert store.source_paused_at(SOURCE) is None

    def test_says_since_when_a_source_is_paused(self, store):
        store.pause_source(SOURCE, paused=True)
        since = store.source_paused_at(SOURCE)
        store.pause_source(SOURCE, paused=True)

        assert since is not None
        assert store.source_paused_at(SOURCE) == since

    # Jobs that are asked about soon, and what leaves the quarantine

    def test_an_open_job_is_asked_about_soon(self, store):
        track(store, "job_1", schedule=NOT_DUE)

        assert store.poll_soon(SOURCE, "job_1")
        assert claim_polls(store) == ["job_1"]

    @pytest.mark.parametrize(
        "prepare",
        [
            pytest.param(lambda store: None, id="unknown"),
            pytest.param(lambda store: store.receive(a_record(an_event())), id="ended"),
        ],
    )
    def test_a_job_that_is_not_open_is_not_asked_about(self, store, prepare):
        prepare(store)

        assert not store.poll_soon(SOURCE, "job_1")
        assert claim_polls(store) == []

    def test_a_refused_delivery_is_released_once(self, store):
        [refused] = in_quarantine(store)

        assert [store.release(refused["id"]), store.release(refused["id"])] == [True, False]
        assert store.list_refusals(limit=MANY).rows == []

    def test_a_refused_delivery_gets_another_reason(self, store):
        [refused] = in_quarantine(store)

        assert store.refuse_again(refused["id"], reason="timestamp_too_old", hint="an hour ago")
        [row] = store.list_refusals(limit=MANY).rows
        assert (row["reason"], row["hint"]) == ("timestamp_too_old", "an hour ago")

    def test_what_left_the_quarantine_gets_no_other_reason(self, store):
        [refused] = in_quarantine(store)
        store.release(refused["id"])

        assert not store.refuse_again(refused["id"], reason="timestamp_too_old", hint="an hour ago")


def a_token(store, name="me", *, digest="digest", lasts=None):
    assert store.add_token(name, digest, role=Role.OPERATOR, scopes=Role.OPERATOR.scopes, lasts=lasts)


def begin(store):
    return store.begin_request("me", "key", fingerprint="body", keep=DAY)


def in_quarantine(store):
    store.quarantine(refusals(1), max_count=MANY)
    return store.list_refusals(limit=MANY).rows
