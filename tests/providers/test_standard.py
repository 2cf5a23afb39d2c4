"""Standard Webhooks: what is its own, beyond the contract of all adapters."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from receiver.config import from_tables
from receiver.errors import ConfigError, Reason, Refused, Unreadable
from receiver.models import Delivery, Event, Trust
from receiver.plugins import sources
from receiver.providers.base import Provider
from receiver.providers.standard import Standard
from receiver.signatures import Hmac
from receiver.testing import ProviderContract
from tests.support import sample, samples, vector, vectors

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_SECRET = "whsec_HxwdHhscGxkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE="
OLD_SECRET = "whsec_b2xkLWtleS1vbGQta2V5LW9sZC1rZXkt"
PUBLIC = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
PRIVATE = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA=="
OTHER_SEED = bytes(range(31, -1, -1))
OTHER_PAIR = OTHER_SEED + Ed25519PrivateKey.from_private_bytes(OTHER_SEED).public_key().public_bytes_raw()
OTHER_PRIVATE = f"whsk_{base64.b64encode(OTHER_PAIR).decode()}"
SIGNED = {"webhook-id": "msg_1", "webhook-signature": "v1,AAAA"}
AT = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
# The reason is ours: a signature of a version that is not checked, the vector calls a mismatch.
REASONS = {"SW-only-unknown-version": "invalid:no_supported_signature"}


def public(private: str) -> str:
    """The public key of a pair, which stands at its end."""
    return f"whpk_{base64.b64encode(base64.b64decode(private.removeprefix('whsk_'))[32:]).decode()}" if private else ""


def deliver(body: bytes, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(source="studio", body=body, headers={**SIGNED, **named}, received_at=AT)


def delivered(known: dict[str, Any]) -> Delivery:
    at = datetime.fromtimestamp(int(known.get("now") or known["headers"]["webhook-timestamp"]), UTC)
    return Delivery(source="studio", body=known["body"].encode(), headers=known["headers"], received_at=at)


def renamed(delivery: Delivery) -> Delivery:
    """The same under Svix's own names."""
    headers = {name.replace("webhook-", "svix-"): value for name, value in delivery.headers.items()}
    return replace(delivery, headers=headers)


def told(**body: Any) -> Event:
    [event] = Standard().parse(deliver(json.dumps(body).encode()))
    return event


def verdict(delivery: Delivery, *secrets: str) -> str:
    try:
        trust = Standard(secrets=secrets).verify(delivery, delivery.received_at)
    except Refused as refused:
        return f"invalid:{refused.reason}"
    assert trust is Trust.SIGNED
    return "valid"


class TestStandard(ProviderContract):
    provider_class = Standard
    secret = vector("SW-published")["secret"]
    other_secret = OTHER_SECRET
    signature_header = "webhook-signature"
    required_headers = ("webhook-id", "webhook-timestamp")
    delivery = delivered(vector("SW-published"))
    webhooks = {name: deliver(body) for name, body in samples("standard").items()}


class TestStandardUnderTheNamesOfSvix(TestStandard):
    def accepts(self, delivery: Delivery, secrets: Sequence[str]) -> bool:
        return super().accepts(renamed(delivery), secrets)


class TestStandardWithAKeyPair(TestStandard):
    secret = PRIVATE
    other_secret = OTHER_PRIVATE
    delivery = delivered(vector("SW-v1a"))

    def configured(self, secrets: Sequence[str]) -> Provider:
        return Standard(secrets=[public(secret) for secret in secrets])


@pytest.mark.parametrize("known", vectors("standard_webhooks"))
def test_agrees_with_the_vector(known):
    assert verdict(delivered(known), known["secret"]) == REASONS.get(known["id"], known["expect"])


@pytest.mark.parametrize("known", vectors("standard_webhooks_ed25519"))
def test_agrees_with_the_vector_of_a_key_pair(known):
    assert verdict(delivered(known), known["public_key"]) == known["expect"]


@pytest.mark.parametrize("known", [*vectors("standard_webhooks"), *vectors("standard_webhooks_ed25519")])
def test_agrees_with_the_vector_under_either_family_of_names(known):
    secret = known.get("public_key") or known["secret"]

    assert verdict(renamed(delivered(known)), secret) == REASONS.get(known["id"], known["expect"])


def test_agrees_with_the_vector_that_svix_publishes():
    known = json.loads(sample("standard_webhooks/ping"))

    assert verdict(delivered(known), known["secret"]) == "valid"


# Secrets and public keys


@pytest.mark.parametrize("secrets", [[SECRET], [PUBLIC], [SECRET, PUBLIC], [PUBLIC, SECRET]])
def test_either_signature_is_enough_for_who_has_its_key(secrets):
    assert verdict(delivered(vector("SW-v1-and-v1a")), *secrets) == "valid"


def test_accepts_what_is_signed_with_the_old_secret_and_the_new():
    both = delivered(vector("SW-rotation"))

    assert verdict(both, OLD_SECRET) == verdict(both, SECRET) == verdict(both, OLD_SECRET, SECRET) == "valid"
    assert verdict(both, OTHER_SECRET) == "invalid:signature_mismatch"


def test_accepts_a_key_pair_while_it_takes_the_place_of_a_secret():
    secrets = [SECRET, PUBLIC]

    assert verdict(delivered(vector("SW-unknown-version")), *secrets) == "valid"
    assert verdict(delivered(vector("SW-v1a")), *secrets) == "valid"


@pytest.mark.parametrize("names", [lambda delivery: delivery, renamed], ids=["webhook", "svix"])
@pytest.mark.parametrize(
    "configured",
    [
        pytest.param(PUBLIC, id="as-it-is"),
        pytest.param(PUBLIC.removeprefix("whpk_"), id="without-its-prefix"),
    ],
)
@pytest.mark.parametrize("key", ["text", "base64", "whsec"])
def test_never_takes_a_public_key_for_a_secret(configured, key, names):
    known = configured if key == "text" else configured.removeprefix("whpk_")
    forger = Hmac(
        header="webhook-signature",
        prefix="v1,",
        encoding="base64",
        key=key,
        signed="{id}.{timestamp}.{body}",
        id_header="webhook-id",
        timestamp_header="webhook-timestamp",
    )
    forged = deliver(b"{}")
    forged = replace(forged, headers=forger.sign(forged.body, known, AT, id="msg_1"))

    assert verdict(names(forged), configured) == "invalid:signature_mismatch"


def test_never_takes_a_secret_for_a_public_key():
    """These are the bytes of the public key, written as a secret."""
    pasted = f"whsec_{PUBLIC.removeprefix('whpk_')}"

    assert verdict(delivered(vector("SW-v1a")), pasted) == "invalid:no_supported_signature"


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        pytest.param("", "neither", id="empty"),
        pytest.param("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "neither", id="no-prefix"),
        pytest.param(PRIVATE, "neither", id="private-key"),
        pytest.param("whsec_", "empty", id="nothing-after-whsec"),
        pytest.param("whsec_n o", "base64", id="secret-not-base64"),
        pytest.param("whpk_AAAA", "32 bytes", id="short-public-key"),
        pytest.param(SECRET, None, id="secret"),
        pytest.param(SECRET.rstrip("="), None, id="secret-without-padding"),
        pytest.param(PUBLIC, None, id="public-key"),
    ],
)
def test_says_what_is_wrong_with_a_secret(secret, fault):
    found = Standard.scheme.fault(secret)

    assert found is None if fault is None else fault in found


@pytest.mark.parametrize("secret", [SECRET, PRIVATE])
def test_signs_as_the_sender_does(secret):
    delivery = deliver(sample("standard/invoice_paid"))
    signed = replace(delivery, headers=Standard().sign(delivery, secret))

    assert verdict(signed, public(secret) if secret == PRIVATE else secret) == "valid"


# Times and ids


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        pytest.param(300, "valid", id="300-old"),
        pytest.param(301, "invalid:timestamp_too_old", id="301-old"),
        pytest.param(-300, "valid", id="300-new"),
        pytest.param(-301, "invalid:timestamp_too_new", id="301-new"),
    ],
)
@pytest.mark.parametrize(("name", "secret"), [("SW-v1a", PUBLIC), ("SW-unknown-version", SECRET)])
def test_takes_a_signature_for_five_minutes_either_way(name, secret, late, expected):
    delivery = delivered(vector(name))
    signed_at = datetime.fromtimestamp(1760000000, UTC)

    assert verdict(replace(delivery, received_at=signed_at + timedelta(seconds=late)), secret) == expected


@pytest.mark.parametrize("names", [lambda delivery: delivery, renamed], ids=["webhook", "svix"])
def test_knows_a_notice_by_the_id_that_is_signed(names):
    [event] = Standard().parse(names(delivered(vector("SW-v1a"))))

    assert event.key == "msg_demo_01"


@pytest.mark.parametrize("names", [lambda delivery: delivery, renamed], ids=["webhook", "svix"])
@pytest.mark.parametrize(
    "added",
    [
        pytest.param({"svix-id": "msg_made_up"}, id="svix-id"),
        pytest.param({"webhook-id": "msg_made_up"}, id="webhook-id"),
        pytest.param({"svix-id": "msg_made_up", "svix-timestamp": "1", "svix-signature": "v1,AAAA"}, id="all-of-svix"),
        pytest.param(
            {"webhook-id": "msg_made_up", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}, id="all-of-webhook"
        ),
    ],
)
def test_a_delivery_cannot_be_played_again_under_an_id_that_is_not_signed(names, added):
    genuine = names(delivered(vector("SW-unknown-version")))
    again = replace(genuine, headers={**added, **genuine.headers})

    known = Standard().parse(again)[0].key == "msg_demo_01"

    assert known or verdict(again, SECRET) != "valid"


@pytest.mark.parametrize("names", [lambda delivery: delivery, renamed], ids=["webhook", "svix"])
@pytest.mark.parametrize("added", ["svix-id", "webhook-id"])
def test_an_id_of_the_other_family_changes_nothing(names, added):
    genuine = names(delivered(vector("SW-unknown-version")))
    beside = replace(genuine, headers={added: "msg_other", **genuine.headers})

    assert verdict(beside, SECRET) == "valid"
    assert Standard().parse(beside)[0].key == "msg_demo_01"


@pytest.mark.parametrize("webhook_id", ["", "msg_\0", "msg_\ud800", "m" * 10_000])
def test_makes_a_key_where_the_id_cannot_be_one(webhook_id):
    first, again, other = (
        Standard().parse(deliver(body, webhook_id=webhook_id))[0].key for body in (b"{}", b"{}", b'{"a": 1}')
    )

    assert first == again != other
    assert len(first) == 64


def test_keeps_long_ids_apart():
    ids = ["m" * 200 + "1", "m" * 200 + "2"]

    assert len({Standard().parse(deliver(b"{}", webhook_id=name))[0].key for name in ids}) == 2


# Notices


@pytest.mark.parametrize(
    ("body", "type"),
    [
        pytest.param({"type": "invoice.paid"}, "invoice.paid", id="type"),
        pytest.param({"event_type": "ping"}, "ping", id="event-type"),
        pytest.param({"type": "invoice.paid", "event_type": "ping"}, "invoice.paid", id="both"),
        pytest.param({"type": 7, "event_type": "ping"}, "ping", id="type-is-no-text"),
        pytest.param({"type": "x" * 1000}, "unknown", id="too-long"),
        pytest.param({"test": 2432232314}, "unknown", id="neither"),
    ],
)
def test_takes_the_type_out_of_the_body(body, type):
    assert told(**body).type == type


def test_tells_notices_and_no_jobs():
    event = told(type="video.completed", data={"id": "video_1", "status": "completed"})

    assert (event.job_id, event.kind, event.status, event.outputs) == (None, None, None, ())
    assert (Standard.polls, dict(Standard.kinds)) == (False, {})


def test_keeps_the_body_whole_and_its_numbers_exact():
    [event] = Standard().parse(deliver(sample("standard/invoice_paid")))

    assert event.data["data"]["number"] == 9007199254740993
    assert event.data == json.loads(sample("standard/invoice_paid"))


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        pytest.param("2022-11-03T20:26:10.344522Z", datetime(2022, 11, 3, 20, 26, 10, 344522, tzinfo=UTC), id="iso"),
        pytest.param(1667507170, datetime(2022, 11, 3, 20, 26, 10, tzinfo=UTC), id="seconds"),
        pytest.param("yesterday", None, id="text"),
        pytest.param(1e300, None, id="absurd"),
        pytest.param(None, None, id="null"),
    ],
)
def test_tells_when_it_happened_and_a_bad_time_stops_nothing(timestamp, expected):
    assert told(timestamp=timestamp).occurred_at == expected


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b"\xff"])
def test_cannot_read_what_is_no_json_object(body):
    with pytest.raises(Unreadable):
        Standard().parse(deliver(body))


# Configuration


def configured(**keys: Any) -> Any:
    return sources(from_tables({"sources": {"studio": {"provider": "standard"} | keys}}))


@pytest.mark.parametrize("secrets", [[SECRET], [PUBLIC], [SECRET, PUBLIC]])
def test_is_configured_with_secrets_and_public_keys(secrets):
    assert configured(secrets=secrets)["studio"].provider.secrets == tuple(secrets)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        pytest.param({}, "secrets", id="no-secret"),
        pytest.param({"secrets": [PUBLIC.removeprefix("whpk_")]}, "neither with whsec_", id="no-prefix"),
        pytest.param({"unsigned": True}, "nothing would ever prove", id="unsigned"),
        pytest.param({"secrets": [SECRET], "api_key": "key"}, "api_key", id="api-key"),
    ],
)
def test_is_not_configured_with(keys, text):
    with pytest.raises(ConfigError, match=text):
        configured(**keys)


def test_says_why_what_is_not_signed_is_refused():
    with pytest.raises(Refused) as refusal:
        Standard(secrets=[SECRET]).verify(replace(deliver(b"{}"), headers={}), AT)

    assert refusal.value.reason is Reason.MISSING_SIGNATURE
