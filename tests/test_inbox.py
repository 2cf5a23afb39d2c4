"""Taking deliveries in."""

import contextlib
import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receiver import clock, inbox, signals
from receiver.errors import Reason, Refused, StoreUnavailable
from receiver.inbox import Source, accept, callback_path, learn
from receiver.models import Delivery, Event, Origin, Status, Trust, Via
from receiver.providers.base import event_key
from receiver.providers.creativeai import CreativeAI
from receiver.signatures import Ed25519
from receiver.store.sqlite import SQLiteStore
from tests.store.contract import all_deliveries, all_events
from tests.support import sample, vector
from tests.trouble import database_locked
from tests.watch import hearing

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
PRIVATE = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
PUBLIC = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
OTHER_PUBLIC = "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc"
KNOWN = vector("CA-video_completed")
SECRET = KNOWN["secret"]
SIGNED = Source("studio", CreativeAI(secrets=[SECRET]))
UNSIGNED = Source("studio", CreativeAI(unsigned=True))
ENDED = Event(source="studio", key="vgen_1:succeeded", type="video.generation.completed", data={}, job_id="vgen_1")


def a_delivery(body=None, **headers):
    """The known one, or another body as genuine as it."""
    if body is None:
        body, headers = KNOWN["body"].encode(), KNOWN["headers"] | headers
    else:
        headers = CreativeAI.scheme.sign(body, SECRET, NOW) | headers
    lower = {name.lower(): value for name, value in headers.items()}
    return Delivery(source="studio", body=body, headers=lower, received_at=NOW, path="/webhooks/studio")


def take(store, delivery, source=SIGNED):
    return accept(source, delivery, store=store, now=NOW)


def told(status):
    """What the provider says of a job with this status."""
    return json.dumps({"id": "vgen_1", "object": "video.generation", "status": status}).encode()


class Thin(CreativeAI):
    """One whose webhooks say that a job ended, and not how."""

    def parse(self, delivery):
        return [replace(event, incomplete=True) for event in super().parse(delivery)]


class Publishing(CreativeAI):
    """One that signs with a key pair, and publishes the public keys."""

    scheme = Ed25519(header="X-CreativeAI-Signature", prefix="sha256=")
    keys_url = "https://keys.example.com/jwks.json"


class Broken(CreativeAI):
    """An adapter with a mistake in it."""

    def parse(self, delivery):
        raise KeyError(delivery.body)


def test_records_what_is_genuine(store):
    [event] = take(store, a_delivery()).events

    assert (event.key, event.trust, event.via) == ("vgen_abc123:succeeded", Trust.SIGNED, Via.WEBHOOK)
    assert store.job("studio", "vgen_abc123").status is Status.SUCCEEDED


def test_knows_a_redelivery(store):
    take(store, a_delivery())

    assert take(store, a_delivery()).repeated


def test_a_header_that_is_not_signed_makes_nothing_new(store):
    take(store, a_delivery())

    receipt = take(store, a_delivery(**{"X-CreativeAI-Delivery-Id": "another"}))

    assert receipt.repeated


def test_notes_a_header_that_differs_from_the_body(store):
    take(store, a_delivery(**{"X-CreativeAI-Delivery-Id": "another"}))

    [row] = all_deliveries(store)
    assert "X-CreativeAI-Delivery-Id" in row["note"]


def test_refuses_a_forgery(store):
    with pytest.raises(Refused) as refused:
        take(store, replace(a_delivery(), body=b"{}"))

    assert refused.value.reason is Reason.SIGNATURE_MISMATCH
    assert all_deliveries(store) == []


def test_keeps_what_is_genuine_but_unreadable(store):
    receipt = take(store, a_delivery(b"<html>"))

    [row] = all_deliveries(store)
    assert (receipt.events, row["verdict"], row["body"]) == ((), "unreadable", b"<html>")
    assert row["note"].startswith("the body is not JSON")


def test_keeps_what_an_adapter_stumbles_over(store):
    take(store, a_delivery(), Source("studio", Broken(secrets=[SECRET])))

    [row] = all_deliveries(store)
    assert (row["verdict"], row["note"]) == ("unreadable", "the adapter failed: KeyError")


def test_takes_a_hint_without_believing_it(store):
    receipt = take(store, a_delivery(sample("creativeai/webhooks/video_completed")), UNSIGNED)

    assert (receipt.events, all_events(store)) == ((), [])
    assert [job.job_id for job in store.due_jobs("studio", limit=1000)] == ["vgen_abc123"]


def test_asks_for_the_result_that_a_genuine_delivery_does_not_hold(store):
    receipt = take(store, a_delivery(), Source("studio", Thin(secrets=[SECRET], api_key="key")))

    assert (receipt.events, all_events(store)) == ((), [])
    assert [job.origin for job in store.due_jobs("studio", limit=10)] == [Origin.EVENT]


def test_believes_a_genuine_delivery_without_the_result_where_nobody_can_be_asked(store):
    [event] = take(store, a_delivery(), Source("studio", Thin(secrets=[SECRET]))).events

    assert (event.status, event.trust) == (Status.SUCCEEDED, Trust.SIGNED)


class TestPublishedKeys:
    def delivered(self):
        body = sample("creativeai/webhooks/video_completed")
        headers = {name.lower(): value for name, value in Publishing.scheme.sign(body, PRIVATE, NOW).items()}
        return Delivery(source="studio", body=body, headers=headers, received_at=NOW)

    def take(self, store, *, api_key="key", now=NOW):
        return accept(Source("studio", Publishing(api_key=api_key)), self.delivered(), store=store, now=now)

    def test_verify_in_place_of_secrets(self, store):
        store.keep_keys("studio", [PUBLIC])

        [event] = self.take(store, now=clock.now()).events

        assert event.trust is Trust.SIGNED

    def test_are_not_believed_for_ever(self, store):
        store.keep_keys("studio", [PUBLIC])

        receipt = self.take(store, now=clock.now() + timedelta(hours=25))

        assert receipt.events == ()
        assert [job.origin for job in store.due_jobs("studio", limit=10)] == [Origin.HINT]

    def test_leave_a_hint_while_they_are_not_known(self, store):
        assert self.take(store).events == ()
        assert len(store.due_jobs("studio", limit=10)) == 1

    def test_refuse_everything_while_they_are_not_known_and_nobody_can_be_asked(self, store):
        with pytest.raises(Refused, match="does `receiver reconcile` run") as refused:
            self.take(store, api_key=None)

        assert refused.value.reason is Reason.NO_KEYS

    def test_are_wanted_again_when_none_of_them_fits(self, store):
        store.keep_keys("studio", [OTHER_PUBLIC])
        with pytest.raises(Refused) as refused:
            self.take(store, now=clock.now())

        assert refused.value.reason is Reason.SIGNATURE_MISMATCH
        assert store.claim_keys("studio", every=timedelta(hours=12), pause=timedelta(minutes=1))

    def test_are_not_wanted_again_for_every_stranger(self, store):
        store.keep_keys("studio", [PUBLIC])
        with pytest.raises(Refused):
            accept(
                Source("studio", Publishing(api_key="key")),
                replace(self.delivered(), headers={}),
                store=store,
                now=clock.now(),
            )

        assert not store.claim_keys("studio", every=timedelta(hours=12), pause=timedelta(minutes=1))


def test_says_that_a_hint_found_no_room(tmp_path):
    hints = [told("completed").replace(b"vgen_1", b"vgen_%d" % number) for number in range(2)]
    with (
        contextlib.closing(SQLiteStore(tmp_path / "small.db", max_hints=1)) as store,
        hearing(signals.hints_turned_away) as heard,
    ):
        for body in hints:
            take(store, a_delivery(body), UNSIGNED)

    assert heard == [("studio", {"count": 1})]


def test_takes_a_batch_apart(store):
    receipt = take(store, a_delivery(sample("creativeai/webhooks/batch_completed")))

    assert [event.job_id for event in receipt.events][-1] == "video_batch_abc123"
    assert len(receipt.events) == 4


def test_a_batch_that_names_a_clip_twice_makes_one_event_of_it(store):
    clip = {"id": "vgen_1", "status": "completed"}
    body = {"object": "video.batch", "batch_id": "batch_1", "status": "completed", "jobs": [clip, clip]}

    receipt = take(store, a_delivery(json.dumps(body).encode()))

    assert [event.job_id for event in receipt.events] == ["vgen_1", "batch_1"]


@pytest.mark.parametrize("word", ["succeeded", "expired", "lost", "queued"])
def test_an_unknown_word_leaves_its_key_to_the_status_that_is_spelled_like_it(store, word):
    take(store, a_delivery(told(word)))

    genuine = replace(ENDED, key=event_key("vgen_1", Status(word), None), kind="video", status=Status(word))
    receipt = learn(SIGNED, a_delivery(), [genuine], store=store)

    assert [event.standing.dispatched for event in receipt.events] == [True]


@pytest.mark.parametrize("word", ["succeeded", "expired", "lost", "queued"])
def test_an_end_counts_after_an_unknown_word_that_is_spelled_like_one(store, word):
    take(store, a_delivery(told(word)))

    [event] = take(store, a_delivery(told("completed"))).events

    assert event.standing.dispatched
    assert store.job("studio", "vgen_1").status is Status.SUCCEEDED


# To the callback URL of an intent


def test_the_path_of_a_callback_names_source_and_intent():
    assert callback_path("studio", "kept-secret") == "/webhooks/studio/intents/kept-secret"


def test_a_callback_to_the_path_of_an_intent_settles_it(store):
    intent = store.intend("studio", kind="video", metadata={"user": 7})

    take(store, replace(a_delivery(), path=callback_path("studio", intent.id)))

    assert store.job("studio", "vgen_abc123").metadata == {"user": 7}
    assert store.intent(intent.id) is None


def test_a_hint_to_the_path_of_an_intent_tells_of_its_job(store):
    intent = store.intend("studio", kind="video", metadata={"user": 7})
    delivery = a_delivery(sample("creativeai/webhooks/video_completed"))

    take(store, replace(delivery, path=callback_path("studio", intent.id)), UNSIGNED)

    job = store.job("studio", "vgen_abc123")
    assert (job.origin, job.status, job.metadata) == (Origin.TRACK, Status.QUEUED, {"user": 7})


def test_a_forgery_settles_no_intent(store):
    intent = store.intend("studio", kind="video")
    with pytest.raises(Refused):
        take(store, replace(a_delivery(), body=b"{}", path=callback_path("studio", intent.id)))

    assert store.intent(intent.id) == intent


@pytest.mark.parametrize(
    ("path", "named"),
    [
        pytest.param("/webhooks/studio/intents/{}", True, id="intent"),
        pytest.param("/webhooks/studio/intents/{}/", True, id="trailing-slash"),
        pytest.param("//webhooks/studio/intents/{}", True, id="public-url-with-a-slash"),
        pytest.param("/webhooks/studio", False, id="source-only"),
        pytest.param("/webhooks/studio/intents/", False, id="no-id"),
        pytest.param("/webhooks/studio/{}", False, id="not-below-intents"),
        pytest.param("/webhooks/studio/my-intents/{}", False, id="another-folder"),
        pytest.param("/webhooks/studio/intents/{}x", False, id="longer"),
        pytest.param("/webhooks/studio/intents/x{}", False, id="longer-before"),
        pytest.param("/webhooks/studio/intents/{}.json", False, id="extension"),
        pytest.param("/webhooks/studio/intents/{}/x", False, id="something-below"),
        pytest.param("/webhooks/studio/intents/{}\n", False, id="line-break"),
    ],
)
def test_finds_the_intent_that_the_path_names(store, path, named):
    intent = store.intend("studio", kind="video", metadata={"user": 7})

    take(store, replace(a_delivery(), path=path.format(intent.id)))

    assert store.job("studio", "vgen_abc123").metadata == ({"user": 7} if named else {})
    assert (store.intent(intent.id) is None) is named


# What we find out ourselves


def test_a_poll_answer_is_confirmed(store):
    delivery = replace(a_delivery(), via=Via.POLL)

    [event] = learn(SIGNED, delivery, [replace(ENDED, kind="video", status=Status.SUCCEEDED)], store=store).events

    assert (event.trust, event.via) == (Trust.CONFIRMED, Via.POLL)


def test_a_poll_answer_that_tells_nothing_is_not_kept(store):
    assert learn(SIGNED, a_delivery(), [], store=store) is None
    assert all_deliveries(store) == []


@pytest.mark.parametrize(
    "webhook_first", [pytest.param(True, id="webhook-first"), pytest.param(False, id="poll-first")]
)
def test_webhook_and_poll_tell_one_event(store, webhook_first):
    polled = replace(a_delivery(), via=Via.POLL)
    told = CreativeAI().parse(polled)
    steps = [lambda: take(store, a_delivery()), lambda: learn(SIGNED, polled, told, store=store)]

    first, second = [step() for step in (steps if webhook_first else reversed(steps))]

    assert (first.repeated, second.repeated) == (False, True)
    [row] = all_events(store)
    assert row["webhook_at"]
    assert row["poll_at"]


# What strangers add

MANY = {f"x-{number}": "x" * 8000 for number in range(60)}


def test_keeps_few_headers_of_a_hint(store):
    take(store, a_delivery(**MANY), source=UNSIGNED)

    [row] = all_deliveries(store)
    assert len(str(row["headers"])) < 2**15


def test_keeps_every_header_of_what_is_genuine(store):
    take(store, a_delivery(**MANY))

    [row] = all_deliveries(store)
    assert MANY.items() <= row["headers"].items()


def test_of_a_name_that_is_there_twice_the_last_counts_and_always_the_same(store):
    body = b'{"id": "vgen_1", "id": "vgen_2", "object": "video.generation", "status": "failed", "status": "completed"}'

    receipts = [take(store, a_delivery(body)) for _ in range(2)]

    assert [receipt.repeated for receipt in receipts] == [False, True]
    assert [event["key"] for event in all_events(store)] == ["vgen_2:succeeded"]


def test_what_is_compressed_is_kept_as_it_is_and_not_inflated(store):
    bomb = gzip.compress(bytes(2**24))

    receipt = take(store, a_delivery(bomb, **{"Content-Encoding": "gzip"}))

    [row] = all_deliveries(store)
    assert (receipt.events, row["verdict"], row["body"]) == ((), "unreadable", bomb)


# Secrets


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "Proxy-Authorization", "X-API-Key", "xi-api-key", "X-Auth-Token"]
)
def test_keeps_no_header_that_may_be_secret(store, name):
    take(store, a_delivery(**{name: "private"}))

    [row] = all_deliveries(store)
    assert row["headers"][name.lower()] == "(masked)"


@pytest.mark.parametrize("name", ["cookie", "set-cookie"])
def test_masks_the_headers_of_poll_answers(store, name):
    delivery = replace(a_delivery(), via=Via.POLL, headers={name: "private"})

    learn(SIGNED, delivery, [ENDED], store=store)

    assert "private" not in str(all_deliveries(store))


def test_masks_what_a_provider_echoes():
    source = Source("studio", CreativeAI(secrets=["first-secret", "second-secret"], api_key="the-key"))

    told = source.masked("the-key, first-secret, second-secret and another")

    assert told == "(masked), (masked), (masked) and another"


def test_masks_nothing_where_a_source_has_no_secret():
    assert Source("studio", CreativeAI()).masked("no key") == "no key"


def test_leaves_the_delivery_itself_as_it_is():
    delivery = a_delivery(Authorization="private")

    masked = inbox.masked(delivery)

    assert delivery.headers["authorization"] == "private"
    assert masked.headers["x-creativeai-delivery-id"] == "vgen_abc123"


# What is announced


def test_announces_a_delivery_and_its_events(store):
    with hearing(signals.delivery_received) as deliveries, hearing(signals.event_recorded) as events:
        receipt = take(store, a_delivery())

    [(source, facts)] = deliveries
    assert (source, facts["delivery"], facts["repeated"]) == ("studio", receipt.delivery_id, False)
    assert events == [("studio", {"event": receipt.events[0]})]


def test_announces_no_event_twice(store):
    take(store, a_delivery())

    with hearing(signals.delivery_received) as deliveries, hearing(signals.event_recorded) as events:
        take(store, a_delivery())

    assert [facts["repeated"] for _, facts in deliveries] == [True]
    assert events == []


def test_announces_a_refusal(store):
    with hearing(signals.delivery_refused) as heard, pytest.raises(Refused):
        take(store, replace(a_delivery(), body=b"{}"))

    assert heard == [("studio", {"reason": Reason.SIGNATURE_MISMATCH})]


def test_announces_an_unknown_status_once(store):
    body = b'{"id": "vgen_1", "object": "video.generation", "status": "paused"}'

    with hearing(signals.status_unknown) as heard:
        take(store, a_delivery(body))
        take(store, a_delivery(body))
        take(store, a_delivery(body + b" "))

    assert heard == [("studio", {"job": "vgen_1", "raw_status": "paused"})]


def test_announces_nothing_that_is_not_stored(database):
    with contextlib.closing(SQLiteStore(database, timeout=timedelta(milliseconds=50))) as store:
        with database_locked(database), hearing(signals.delivery_received) as heard, pytest.raises(StoreUnavailable):
            take(store, a_delivery())

        assert heard == []
