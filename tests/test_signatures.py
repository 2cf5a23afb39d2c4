"""Signatures, against answers that other code computed, and against what strangers send."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receiver.errors import Reason, Refused
from receiver.signatures import SCHEMES, AnyOf, Ed25519, Hmac, dummy_check, template_fault
from tests.support import vector, vectors

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
BODY = b'{"data": {"taskId": "task_1"}, "type": "demo.event"}'
SECONDS = timedelta(seconds=1)
USER = {"x-fal-webhook-user-id": "usr_demo"}
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_WHSEC = "whsec_HxwdHhscGxkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE="
PRIVATE = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA=="
PUBLIC = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
OTHER_PUBLIC = "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc"
PAIRS = ("fal", "standard_webhooks_ed25519")
TIMED = [name for name, scheme in SCHEMES.items() if name not in ("creativeai", "github", "heygen_legacy", "kie",
                                                                  "newapi_notify", "shopify")]  # fmt: skip
SEVERAL = [name for name in TIMED if name not in ("fal", "heygen_v3", "slack")]
# The reasons are ours: that there is no signature of a version we check, the vectors call a mismatch there.
REASONS = {
    "CA-upper-hex": "invalid:malformed",
    "SW-only-unknown-version": "invalid:no_supported_signature",
}

STANDARD = SCHEMES["standard_webhooks"]
TIMELESS = Hmac(header="X-Signature", prefix="sha256=")


def signing(name):
    """What signs, and what checks that."""
    if name in PAIRS:
        return PRIVATE, PUBLIC
    return (WHSEC, WHSEC) if name in ("standard_webhooks", "replicate", "openai") else ("secret", "secret")


def signed(name, body=BODY, *, at=NOW, secret=None):
    headers = SCHEMES[name].sign(body, secret or signing(name)[0], at, id="msg_1", headers=USER)
    return {**USER, **{header.lower(): value for header, value in headers.items()}}


def verdict(scheme, headers, body=BODY, secrets=("secret",), now=NOW):
    try:
        scheme.verify(headers, body, secrets, now)
    except Refused as refused:
        return refused.reason
    return "valid"


def judged(name, headers, *, body=BODY, now=NOW):
    return verdict(SCHEMES[name], headers, body, [signing(name)[1]], now)


def answer(known):
    keys = [key["x"] for key in known["jwks"]["keys"]] if "jwks" in known else None
    secrets = keys or [known.get("public_key") or known["secret"]]
    headers = {name.lower(): value for name, value in known["headers"].items()}
    now = datetime.fromtimestamp(known.get("now", 0), UTC)
    found = verdict(SCHEMES[known["scheme"]], headers, known["body"].encode(), secrets, now)
    return found if found == "valid" else f"invalid:{found}"


class TestKnownAnswers:
    @pytest.mark.parametrize("known", vectors(*SCHEMES))
    def test_agrees_with(self, known):
        assert answer(known) == REASONS.get(known["id"], known["expect"])

    def test_every_vector_is_of_a_scheme(self):
        assert {known.values[0]["scheme"] for known in vectors(*SCHEMES)} == set(SCHEMES)

    def test_makes_the_signature_that_github_publishes(self):
        known = vector("GH-published")

        assert SCHEMES["github"].sign(known["body"].encode(), known["secret"], NOW) == known["headers"]

    @pytest.mark.parametrize(
        ("name", "private"),
        [
            pytest.param("SW-published", None, id="standard-webhooks"),
            pytest.param("SW-v1a", "private_key_whsk", id="key-pair"),
            pytest.param("MUX-published", None, id="mux"),
            pytest.param("SL-ok", None, id="slack"),
            pytest.param("EL-ok", None, id="elevenlabs"),
            pytest.param("KIE-ok", None, id="kie"),
        ],
    )
    def test_makes_the_signature_of(self, name, private):
        known = vector(name)
        scheme, headers = SCHEMES[known["scheme"]], known["headers"]
        [seconds] = {int(part) for value in headers.values() for part in _numbers(value)}

        made = scheme.sign(
            known["body"].encode(),
            known[private or "secret"],
            datetime.fromtimestamp(seconds, UTC),
            id=headers.get("webhook-id", ""),
        )

        assert made == headers


@pytest.mark.parametrize("name", SCHEMES)
class TestEveryScheme:
    def test_accepts_what_it_signs(self, name):
        assert judged(name, signed(name)) == "valid"

    def test_refuses_a_request_without_a_signature(self, name):
        assert judged(name, USER) is Reason.MISSING_SIGNATURE

    def test_refuses_another_secret(self, name):
        other = {"whsec": OTHER_WHSEC, "whpk_": OTHER_PUBLIC}.get(signing(name)[1][:5], "another")

        assert verdict(SCHEMES[name], signed(name), secrets=[other]) is Reason.SIGNATURE_MISMATCH

    def test_accepts_the_old_secret_and_the_new(self, name):
        check = signing(name)[1]
        other = {"whsec": OTHER_WHSEC, "whpk_": OTHER_PUBLIC}.get(check[:5], "another")

        assert verdict(SCHEMES[name], signed(name), secrets=[other, check]) == "valid"
        assert verdict(SCHEMES[name], signed(name), secrets=[check, other]) == "valid"

    @pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
    def test_an_empty_secret_proves_nothing(self, name, secrets):
        headers = signed(name) if name in PAIRS else signed(name, secret="")

        assert verdict(SCHEMES[name], headers, secrets=secrets) is Reason.SIGNATURE_MISMATCH

    def test_says_what_is_wrong_with_an_empty_secret(self, name):
        assert SCHEMES[name].fault("") is not None
        assert SCHEMES[name].fault(signing(name)[1]) is None

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("", id="empty"),
            pytest.param(" ", id="space"),
            pytest.param("=", id="equals"),
            pytest.param(",", id="comma"),
            pytest.param("v1", id="label"),
            pytest.param("v1,", id="label-and-comma"),
            pytest.param("t=1,v1=", id="no-digest"),
            pytest.param("0" * 64, id="zeros"),
            pytest.param("sha256=" + "\u0660" * 64, id="arabic-digits"),
            pytest.param("\0" * 64, id="nul"),
            pytest.param("\ud800", id="surrogate"),
            pytest.param("A" * 100_000, id="long"),
            pytest.param("v1,AAAA " * 10_000, id="many-by-space"),
            pytest.param("v1=00," * 10_000, id="many-by-comma"),
        ],
    )
    def test_refuses_the_signature(self, name, value):
        headers = {**signed(name), SCHEMES[name].header.lower(): value}

        assert judged(name, headers) in set(Reason)

    @pytest.mark.parametrize("separator", [" ", ","])
    def test_refuses_more_signatures_than_anybody_sends(self, name, separator):
        header = SCHEMES[name].header.lower()
        genuine = signed(name)

        assert judged(name, {**genuine, header: separator.join([genuine[header]] * 17)}) is Reason.MALFORMED

    @pytest.mark.parametrize(
        "change",
        [
            b"",
            b" ",
            b'{"data": {"taskId": "task_2"}}',
            b"[" * 100_000,
            b"\xff",
            b"null",
            b'{"data": {"taskId": "\\ud800"}}',
        ],
    )
    def test_refuses_another_body(self, name, change):
        assert judged(name, signed(name), body=change) in (Reason.SIGNATURE_MISMATCH, Reason.MALFORMED)


@pytest.mark.parametrize("name", TIMED)
class TestTime:
    def test_takes_a_signature_until_it_is_too_old(self, name):
        tolerance = timedelta(minutes=30) if name == "elevenlabs" else timedelta(minutes=5)

        assert judged(name, signed(name, at=NOW - tolerance)) == "valid"
        assert judged(name, signed(name, at=NOW - tolerance - SECONDS)) is Reason.TIMESTAMP_TOO_OLD

    def test_takes_a_clock_that_is_a_little_ahead(self, name):
        assert judged(name, signed(name, at=NOW + timedelta(minutes=5))) == "valid"
        assert judged(name, signed(name, at=NOW + timedelta(minutes=5) + SECONDS)) is Reason.TIMESTAMP_TOO_NEW

    @pytest.mark.parametrize(
        "time",
        [
            pytest.param("", id="empty"),
            pytest.param("-1", id="negative"),
            pytest.param("1e9", id="exponent"),
            pytest.param("1773072780.0", id="fraction"),
            pytest.param("+1773072780", id="plus"),
            pytest.param("1773072780 ", id="space"),
            pytest.param("\uff11\uff17\uff17\uff13\uff10\uff17\uff12\uff17\uff18\uff10", id="full-width"),
            pytest.param("1_773_072_780", id="underscores"),
            pytest.param("0x69AF0000", id="hex"),
            pytest.param("9" * 14, id="far-future"),
            pytest.param("9" * 400, id="huge"),
            pytest.param("nan", id="nan"),
            pytest.param("2026-03-09T16:13:00Z", id="iso"),
        ],
    )
    def test_refuses_the_time(self, name, time):
        genuine = signed(name)
        now = str(int(NOW.timestamp()))
        spoiled = {header: value.replace(now, time) for header, value in genuine.items()}

        assert judged(name, spoiled) in set(Reason)

    def test_tells_a_wrong_clock_from_a_forgery(self, name):
        old = signed(name, at=NOW - timedelta(days=1))
        header = SCHEMES[name].header.lower()
        forged = {**old, header: signed(name, b"another", at=NOW - timedelta(days=1))[header]}

        assert judged(name, old) is Reason.TIMESTAMP_TOO_OLD
        assert judged(name, forged, body=BODY + b" ") is not Reason.TIMESTAMP_TOO_OLD


@pytest.mark.parametrize("name", SEVERAL)
def test_accepts_one_good_signature_among_others(name):
    header = SCHEMES[name].header.lower()
    old, new = signed(name, b"another"), signed(name)
    separator = "," if "t=" in new[header] else " "
    both = f"{old[header]}{separator}{new[header].removeprefix(f't={int(NOW.timestamp())},')}"

    assert judged(name, {**new, header: both}) == "valid"


class TestStandardWebhooks:
    def test_takes_either_family_of_headers(self):
        headers = signed("standard_webhooks")
        svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}

        assert judged("standard_webhooks", svix) == "valid"

    def test_names_every_header_that_may_hold_the_signature(self):
        both = AnyOf(STANDARD, SCHEMES["standard_webhooks_ed25519"])

        assert STANDARD.headers == both.headers == ("webhook-signature", "svix-signature")

    def test_refuses_an_id_that_could_be_cut_elsewhere(self):
        headers = STANDARD.sign(BODY, WHSEC, NOW, id="msg_1")
        shifted = {**headers, "webhook-id": "msg.1"}

        assert verdict(STANDARD, shifted, secrets=[WHSEC]) is Reason.MALFORMED

    @pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp"])
    def test_needs(self, missing):
        headers = {name: value for name, value in signed("standard_webhooks").items() if name != missing}

        assert judged("standard_webhooks", headers) is Reason.MALFORMED

    def test_a_public_key_signs_nothing(self):
        """Whoever takes it for a secret believes everybody who knows it."""
        forged = replace(SCHEMES["replicate"], key="text").sign(BODY, PUBLIC, NOW, id="msg_1")
        both = AnyOf(SCHEMES["replicate"], SCHEMES["standard_webhooks_ed25519"])

        assert verdict(SCHEMES["replicate"], forged, secrets=[PUBLIC]) is Reason.SIGNATURE_MISMATCH
        assert verdict(both, forged, secrets=[PUBLIC]) != "valid"

    @pytest.mark.parametrize(
        ("scheme", "secret", "fault"),
        [
            pytest.param("standard_webhooks", PUBLIC, "public key", id="public-key"),
            pytest.param("standard_webhooks", "whsec_", "empty", id="nothing-after-the-prefix"),
            pytest.param("standard_webhooks", "whsec_n o", "base64", id="not-base64"),
            pytest.param("standard_webhooks_ed25519", PRIVATE, "whpk_", id="private-key"),
            pytest.param("standard_webhooks_ed25519", WHSEC, "whpk_", id="secret"),
            pytest.param("standard_webhooks_ed25519", "whpk_AAAA", "32 bytes", id="short-key"),
        ],
    )
    def test_says_what_is_wrong_with_a_secret(self, scheme, secret, fault):
        assert fault in SCHEMES[scheme].fault(secret)

    def test_takes_a_secret_without_its_padding(self):
        assert verdict(STANDARD, signed("standard_webhooks"), secrets=[WHSEC.rstrip("=")]) == "valid"


def test_an_ed25519_signature_has_one_form():
    """Adding the order of the group to its second half gives another that the equation holds for."""
    scheme, order = SCHEMES["standard_webhooks_ed25519"], 2**252 + 27742317777372353535851937790883648493
    headers = signed("standard_webhooks_ed25519")
    signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1a,"))
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    forged = {**headers, "webhook-signature": f"v1a,{base64.b64encode(malleable).decode()}"}

    assert verdict(scheme, headers, secrets=[PUBLIC]) == "valid"
    assert verdict(scheme, forged, secrets=[PUBLIC]) is Reason.SIGNATURE_MISMATCH


class TestBase64:
    SHOPIFY = SCHEMES["shopify"]

    def variants(self):
        [(name, value)] = self.SHOPIFY.sign(b"\xfb", "secret-7", NOW).items()
        last = value[-2]
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        twin = alphabet[alphabet.index(last) ^ 1]
        return name.lower(), [
            value.rstrip("="),
            value + "=",
            value.replace("+", "-").replace("/", "_") + ("" if {"+", "/"} & set(value) else "\n"),
            value[:8] + "\n" + value[8:],
            value[:-2] + twin + "=",
        ]

    def test_has_one_spelling(self):
        name, variants = self.variants()

        assert {verdict(self.SHOPIFY, {name: value}, b"\xfb", ["secret-7"]) for value in variants} == {Reason.MALFORMED}


class TestWhatIsSigned:
    def test_says_whether_that_is_the_body(self):
        assert {name for name, scheme in SCHEMES.items() if not scheme.covers_body} == {"kie"}

    def test_a_changed_body_goes_unnoticed_where_only_its_id_is_signed(self):
        known = vector("KIE-body-tampered-still-valid")

        assert "evil.example.net" in json.loads(known["body"])["data"]["resultJson"]
        assert answer(known) == "valid"

    @pytest.mark.parametrize("path", ["taskId", "task_id"])
    def test_finds_the_id_in_either_place(self, path):
        body = json.dumps({"data": {path: "task_1"}}).encode()

        assert judged("kie", signed("kie", body), body=body) == "valid"

    @pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
    def test_uses_the_algorithm(self, algorithm):
        scheme = Hmac(header="X-Signature", algorithm=algorithm)

        assert verdict(scheme, _lower(scheme.sign(BODY, "secret", NOW))) == "valid"

    def test_takes_a_time_in_milliseconds(self):
        scheme = Hmac(header="X-Signature", signed="{timestamp}.{body}", timestamp_header="X-Time")
        time = f"{int(NOW.timestamp())}000"
        digest = TIMELESS.sign(f"{time}.".encode() + BODY, "secret", NOW)["X-Signature"].removeprefix("sha256=")

        assert verdict(scheme, {"x-signature": digest, "x-time": time}) == "valid"
        assert verdict(scheme, {"x-signature": digest, "x-time": time}, now=NOW + timedelta(hours=1)) is (
            Reason.TIMESTAMP_TOO_OLD
        )

    @pytest.mark.parametrize(("signed_as", "found"), [("{body}", "valid"), ("{timestamp}.{body}", Reason.MALFORMED)])
    def test_needs_a_time_only_where_it_is_signed(self, signed_as, found):
        scheme = Hmac(header="X-Signature", signed=signed_as, timestamp_header="X-Time")
        headers = _lower(scheme.sign(BODY, "secret", NOW))
        untimed = {name: value for name, value in headers.items() if name != "x-time"}

        assert verdict(scheme, headers, now=NOW + timedelta(hours=1)) is Reason.TIMESTAMP_TOO_OLD
        assert verdict(scheme, untimed, now=NOW + timedelta(hours=1)) == found

    def test_no_byte_moves_from_the_id_to_the_body(self):
        scheme = Hmac(header="X-Signature", signed="{id}--{body}", id_header="X-Id")
        signature = TIMELESS.sign(b"a---b", "secret", NOW)["X-Signature"].removeprefix("sha256=")

        assert verdict(scheme, {"x-signature": signature, "x-id": "a"}, b"-b") == "valid"
        assert verdict(scheme, {"x-signature": signature, "x-id": "a-"}, b"b") is Reason.MALFORMED

    def test_signs_with_a_secret_that_is_not_ascii(self):
        headers = _lower(TIMELESS.sign(BODY, "señal-夜明け", NOW))

        assert verdict(TIMELESS, headers, secrets=["señal-夜明け"]) == "valid"

    @pytest.mark.parametrize(
        ("template", "fault"),
        [
            pytest.param("body", "no place", id="no-place"),
            pytest.param("{body}{nonce}", "none of", id="unknown-place"),
            pytest.param("{id}{body}", "nothing between", id="nothing-between"),
            pytest.param("{body}:{id}", "behind {body}", id="id-behind-the-body"),
            pytest.param("{body}1{timestamp}", "only digits", id="digits-between"),
            pytest.param("{body}\n{header:x-a}", "behind {body}", id="header-behind-the-body"),
        ],
    )
    def test_says_what_is_wrong_with_a_template(self, template, fault):
        assert fault in template_fault(template)

    @pytest.mark.parametrize(
        "template", ["{body}", "{timestamp}.{body}", "v0:{timestamp}:{body}", "{header:x-a}\n{sha256}"]
    )
    def test_finds_nothing_wrong_with(self, template):
        assert template_fault(template) is None


def test_names_the_header_that_is_missing():
    with pytest.raises(Refused, match="X-Signature"):
        TIMELESS.verify({}, BODY, ["secret"], NOW)


def test_a_private_key_may_be_only_its_seed():
    seed = base64.b64encode(base64.b64decode(PRIVATE.removeprefix("whsk_"))[:32]).decode()
    scheme = Ed25519(header="X-Signature")

    assert verdict(scheme, _lower(scheme.sign(BODY, seed, NOW)), secrets=[PUBLIC]) == "valid"


@pytest.mark.parametrize("body", [pytest.param(b"", id="empty"), pytest.param(b"\xff", id="not-utf-8")])
def test_the_dummy_check_takes_any_body(body):
    assert dummy_check(body) is None


def _lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def _numbers(value):
    """The times in a header: of ten digits, alone or behind `t=`."""
    parts = [part.removeprefix("t=") for part in value.split(",")]
    return [part for part in parts if part.isdigit() and len(part) == 10]
