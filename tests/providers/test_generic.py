"""Senders that settings describe: what is their own, beyond the contract of all adapters."""

import hashlib
import hmac
import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from receiver import plugins
from receiver.config import SourceConfig, from_tables
from receiver.errors import ConfigError, Reason, Refused
from receiver.models import Delivery, Event, Failure, Output, Status, Trust
from receiver.providers.generic import Generic, GenericSettings
from receiver.testing import ProviderContract
from tests.support import sample, samples, vector

NOW = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
SECRET = "the-secret-of-a-test"
FORM = "application/x-www-form-urlencoded"
PRESETS = ["github", "mux", "newapi_notify", "shopify", "slack", "stripe"]
OWN = {
    "header": "X-Studio-Signature",
    "encoding": "base64",
    "algorithm": "sha512",
    "key": "base64",
    "signed": "{id}.{timestamp}.{body}",
    "id_header": "X-Studio-Id",
    "timestamp_header": "X-Studio-Time",
    "tolerance": "10m",
    "event_type": "event",
    "job": "render.number",
    "status": "render.state",
    "statuses": {"rendering": "running", "Done": "succeeded", "broken": "failed"},
    "outputs": ["render.video", "render.frames.*.url"],
    "error": "render.reason",
    "occurred_at": "at",
}
KEY = b"a key of thirty-two bytes or so."
OTHER_KEY = b"another key of thirty-two bytes."
JOB = {"header": "X-Signature", "job": "id", "status": "state", "outputs": "urls", "error": "why", "occurred_at": "at"}


def configured(*secrets: str, **settings: Any) -> Generic:
    return Generic(secrets=secrets or (SECRET,), settings=GenericSettings(**settings))


def source(secrets: list[str] | None = None, **keys: Any) -> Any:
    """The adapter of a source with these keys, as it is loaded from a file."""
    table = {"provider": "generic", "secrets": [SECRET] if secrets is None else secrets, **keys}
    return plugins.sources(from_tables({"sources": {"studio": table}}))["studio"].provider


def deliver(body: Any, *, at: datetime = NOW, **headers: str) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Delivery(source="studio", body=raw, headers=named, received_at=at)


def delivered(name: str, **headers: str) -> Delivery:
    """A recorded request, with a signature that other code made."""
    known = vector(name)
    at = datetime.fromtimestamp(known.get("now", 0), UTC)
    signed = deliver(known["body"].encode(), at=at)
    return replace(signed, headers={key.lower(): value for key, value in {**known["headers"], **headers}.items()})


def signed(provider: Generic, delivery: Delivery, secret: str = SECRET) -> Delivery:
    headers = {name.lower(): value for name, value in provider.sign(delivery, secret).items()}
    return replace(delivery, headers={**delivery.headers, **headers})


def parsed(delivery: Delivery, **settings: Any) -> Event:
    [event] = configured(**settings).parse(delivery)
    return event


def told(**body: Any) -> Event:
    """What is made of a body that tells of a job."""
    return parsed(deliver({"id": "job_1", **body}), **JOB)


def remark(body: Any) -> str | None:
    provider = configured(**JOB)
    return provider.remark(deliver(body), provider.parse(deliver(body)))


def verdict(provider: Generic, delivery: Delivery) -> Trust | Reason:
    try:
        return provider.verify(delivery, delivery.received_at)
    except Refused as refused:
        return refused.reason


class Contract(ProviderContract):
    """The contract, of what is never polled."""

    provider_class = Generic
    settings: dict[str, Any]

    def configured(self, secrets):
        return configured(*secrets, **self.settings) if secrets else Generic(settings=GenericSettings(**self.settings))


class TestGitHub(Contract):
    settings = {"preset": "github"}
    secret = vector("GH-published")["secret"]
    signature_header = "x-hub-signature-256"
    delivery = delivered("GH-published")
    webhooks = {
        name: deliver(sample(f"generic/webhooks/github_{name}"), X_GitHub_Event=name, X_GitHub_Delivery="72d3162e")
        for name in ("pull_request", "push")
    }


class TestStripe(Contract):
    settings = {"preset": "stripe"}
    secret = vector("ST-ok")["secret"]
    signature_header = "stripe-signature"
    delivery = delivered("ST-ok")
    webhooks = {"charge": deliver(sample("generic/webhooks/stripe_charge"))}


class TestSlack(Contract):
    settings = {"preset": "slack"}
    secret = vector("SL-ok")["secret"]
    signature_header = "x-slack-signature"
    required_headers = ("x-slack-request-timestamp",)
    delivery = delivered("SL-ok")
    webhooks = {"mention": deliver(sample("generic/webhooks/slack_mention"))}


class TestShopify(Contract):
    settings = {"preset": "shopify"}
    secret = vector("SH-ok")["secret"]
    signature_header = "x-shopify-hmac-sha256"
    delivery = delivered("SH-ok")
    webhooks = {"order": delivered("SH-ok")}


class TestMux(Contract):
    settings = {"preset": "mux"}
    secret = vector("MUX-published")["secret"]
    signature_header = "mux-signature"
    delivery = delivered("MUX-published")
    webhooks = {"asset_ready": deliver(sample("generic/webhooks/mux_asset_ready"))}


class TestNewAPINotify(Contract):
    settings = {"preset": "newapi_notify"}
    secret = vector("NA-notify")["secret"]
    signature_header = "x-webhook-signature"
    delivery = delivered("NA-notify")
    webhooks = {"quota_exceed": delivered("NA-notify")}


def by_hand(body: bytes) -> Delivery:
    """A webhook of the sender of one's own, signed without our code."""
    seconds = str(int(NOW.timestamp()))
    digest = hmac.new(KEY, b"evt_1." + seconds.encode() + b"." + body, hashlib.sha512).digest()
    headers = {
        "x-studio-id": "evt_1",
        "x-studio-time": seconds,
        "x-studio-signature": b64encode(digest).decode(),
    }
    return replace(deliver(body), headers=headers)


class TestSenderOfOnesOwn(Contract):
    settings = OWN
    secret = b64encode(KEY).decode()
    other_secret = b64encode(OTHER_KEY).decode()
    signature_header = "x-studio-signature"
    required_headers = ("x-studio-id", "x-studio-time")
    delivery = by_hand(sample("generic/webhooks/own_succeeded"))
    webhooks = {name: by_hand(body) for name, body in samples("generic/webhooks").items() if name.startswith("own")}


# What is known from outside


@pytest.mark.parametrize(
    ("preset", "name", "verdict_of"),
    [
        pytest.param("github", "GH-published", Trust.SIGNED, id="github-published"),
        pytest.param("github", "GH-computed", Trust.SIGNED, id="github"),
        pytest.param("mux", "MUX-published", Trust.SIGNED, id="mux-published"),
        pytest.param("newapi_notify", "NA-notify", Trust.SIGNED, id="newapi-notify"),
        pytest.param("shopify", "SH-ok", Trust.SIGNED, id="shopify"),
        pytest.param("slack", "SL-ok", Trust.SIGNED, id="slack"),
        pytest.param("stripe", "ST-ok", Trust.SIGNED, id="stripe"),
        pytest.param("stripe", "ST-two-v1", Trust.SIGNED, id="stripe-two-signatures"),
        pytest.param("stripe", "ST-v0-only", Reason.NO_SUPPORTED_SIGNATURE, id="stripe-other-label"),
    ],
)
def test_agrees_with_the_vector(preset, name, verdict_of):
    provider = source([vector(name)["secret"]], preset=preset)

    assert verdict(provider, delivered(name)) == verdict_of


def test_the_same_scheme_given_alone_agrees_with_what_mux_publishes():
    settings = {
        "header": "Mux-Signature",
        "prefix": "v1=",
        "separator": ",",
        "signed": "{timestamp}.{body}",
        "timestamp_header": "mux-signature",
        "timestamp_prefix": "t=",
    }

    assert verdict(source([vector("MUX-published")["secret"]], **settings), delivered("MUX-published")) is Trust.SIGNED


# Presets, and what overrules them


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_accepts_what_it_signs(preset):
    provider = configured("whsec_AAECAwQFBgc=", preset=preset)
    delivery = signed(provider, deliver({"id": "evt_1"}), "whsec_AAECAwQFBgc=")

    assert verdict(provider, delivery) is Trust.SIGNED


def test_names_the_presets_there_are():
    with pytest.raises(ConfigError, match=", ".join(PRESETS)):
        source(preset="kie")
    assert all(f"`{preset}`" in str(GenericSettings.model_fields["preset"].description) for preset in PRESETS)


def test_a_part_of_a_preset_can_be_overruled():
    provider = source(preset="github", header="X-Forge-Signature", algorithm="sha512", event_type="action")

    delivery = signed(provider, deliver({"action": "opened"}, X_GitHub_Event="pull_request"))

    assert len(delivery.headers["x-forge-signature"]) == len("sha256=") + 128
    assert (verdict(provider, delivery), provider.parse(delivery)[0].type) == (Trust.SIGNED, "opened")


def test_the_time_stays_beside_the_signature_where_only_the_header_is_overruled():
    provider = source(preset="stripe", header="Acme-Signature")

    assert list(provider.sign(deliver({}), SECRET)) == ["Acme-Signature"]
    assert verdict(provider, signed(provider, deliver({}))) is Trust.SIGNED


@pytest.mark.parametrize(
    ("tolerance", "seconds"),
    [
        pytest.param("90s", 90, id="seconds"),
        pytest.param("30m", 1800, id="minutes"),
        pytest.param("1.5h", 5400, id="fraction"),
        pytest.param(90, 90, id="number"),
    ],
)
def test_takes_a_signature_until_it_is_too_old(tolerance, seconds):
    provider = source(preset="slack", tolerance=tolerance)
    old = signed(provider, deliver({}))

    assert provider.verify(old, NOW + timedelta(seconds=seconds)) is Trust.SIGNED
    with pytest.raises(Refused, match="timestamp_too_old"):
        provider.verify(old, NOW + timedelta(seconds=seconds + 1))


def test_no_setting_has_the_name_of_one_that_every_source_has():
    assert not set(GenericSettings.model_fields) & set(SourceConfig.model_fields)


def test_says_what_each_setting_means():
    assert all(field.description for field in GenericSettings.model_fields.values())


# What is refused when it is loaded

ALONE = {"header": "X-Signature"}
JOBS = {**ALONE, "job": "id", "status": "state"}


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        pytest.param({}, "give header, where the signature stands, or a preset", id="neither-header-nor-preset"),
        pytest.param({"preset": "git"}, r"preset: there is no preset 'git'; there are: github", id="unknown-preset"),
        pytest.param({"preset": "svix"}, "have a provider of their own, standard", id="preset-that-is-a-provider"),
        pytest.param({"preset": ["github"]}, r"\.preset: ", id="two-presets"),
        pytest.param({**ALONE, "presets": "github"}, "presets: unknown key", id="unknown-key"),
        pytest.param({"header": "X Signature"}, r"header: write the name of a header", id="no-header-name"),
        pytest.param(
            {**ALONE, "signed": "{timestamp}", "timestamp_header": "X-Time"},
            r"signed does not cover the body.*add \{body\} or \{sha256\}",
            id="template-without-the-body",
        ),
        pytest.param(
            {"preset": "slack", "signed": "v0:{timestamp}"}, "does not cover the body", id="preset-without-the-body"
        ),
        pytest.param(
            {**ALONE, "signed": "{id}.{timestamp}", "id_paths": "data.taskId", "timestamp_header": "X-Time"},
            "does not cover the body",
            id="only-the-id-of-the-body",
        ),
        pytest.param(
            {**ALONE, "signed": "{timestamp}{body}", "timestamp_header": "X-Time"},
            "two places with nothing between them; write",
            id="adjacent-places",
        ),
        pytest.param({**ALONE, "signed": "{nonce}.{body}"}, "place that is none of .*; write", id="unknown-place"),
        pytest.param({**ALONE, "signed": "{BODY}"}, "holds no place such as", id="place-in-capitals"),
        pytest.param({**ALONE, "signed": "{timestamp}.{body}"}, "give timestamp_header", id="time-without-header"),
        pytest.param({**ALONE, "signed": "{id}.{body}"}, "give id_header or id_paths", id="id-without-place"),
        pytest.param(
            {**ALONE, "signed": "{body}.{id}", "id_header": "X-Id"}, r"behind \{body\}", id="id-behind-the-body"
        ),
        pytest.param({**ALONE, "signed": "{body}.{header:x-a}"}, r"behind \{body\}", id="header-behind-the-body"),
        pytest.param(
            {**ALONE, "signed": "{id}.{body}", "id_header": "X-Id", "id_paths": "id"},
            "id_header and id_paths say two things",
            id="two-ids",
        ),
        pytest.param({**ALONE, "separator": ""}, r"separator: ", id="empty-separator"),
        pytest.param({**ALONE, "separator": ",", "prefix": "v1,"}, "prefix holds the separator", id="label-is-cut"),
        pytest.param(
            {**ALONE, "timestamp_header": "x-signature", "timestamp_prefix": "t="},
            "give separator, prefix and timestamp_prefix",
            id="time-beside-the-signature",
        ),
        pytest.param({**ALONE, "encoding": "base32"}, "encoding: .*'hex' or 'base64'", id="unknown-encoding"),
        pytest.param({**ALONE, "algorithm": "md5"}, "algorithm: .*'sha1', 'sha256' or 'sha512'", id="weak-algorithm"),
        pytest.param({**ALONE, "key": "base64"}, r"secrets\[0\]: it is not base64", id="secret-of-another-form"),
        pytest.param({**ALONE, "tolerance": "soon"}, 'tolerance: write a duration as "30s"', id="no-duration"),
        pytest.param({**ALONE, "tolerance": "300"}, 'tolerance: write a duration as "30s"', id="duration-without-unit"),
        pytest.param({**ALONE, "tolerance": 0}, "tolerance: ", id="no-time-at-all"),
        pytest.param({**ALONE, "tolerance": float("inf")}, "tolerance: ", id="for-ever"),
        pytest.param(
            {**ALONE, "event_id": "header:"}, "event_id: write the name of a header", id="header-without-name"
        ),
        pytest.param({**ALONE, "event_type": ["type", "$.event"]}, "event_type.1: write names", id="json-path"),
        pytest.param({**ALONE, "outputs": "images[0].url"}, r"outputs.0: write names", id="brackets"),
        pytest.param({**ALONE, "occurred_at": "data..at"}, "occurred_at: write names", id="empty-name"),
        pytest.param({**JOBS, "job": "jobs.*.id"}, "job: write a number", id="many-jobs"),
        pytest.param(
            {**JOBS, "status": "header:X-State"}, "status: write where it is in the body", id="unsigned-status"
        ),
        pytest.param({**JOBS, "statuses": {"done": "finished"}}, "statuses.done: .*'succeeded'", id="no-folded-status"),
        pytest.param({**JOBS, "statuses": {"gone": "lost"}}, "statuses.gone: ", id="status-of-ours"),
        pytest.param(
            {**JOBS, "statuses": {"ok": "succeeded", "OK": "failed"}}, "holds a word twice", id="word-in-two-cases"
        ),
        pytest.param({**ALONE, "job": "id"}, "job says nothing without status; give both", id="job-without-status"),
        pytest.param(
            {**ALONE, "status": "state"}, "status says nothing without job; give both", id="status-without-job"
        ),
        pytest.param({**ALONE, "error": "why"}, "error is about jobs; give job and status", id="error-without-job"),
        pytest.param({**ALONE, "statuses": {"done": "succeeded"}}, "statuses is about jobs", id="statuses-without-job"),
        pytest.param({**ALONE, "secrets": []}, "secrets: generic signs its webhooks", id="no-secret"),
        pytest.param({**ALONE, "secrets": [], "unsigned": True}, "unsigned: generic cannot be asked", id="unsigned"),
        pytest.param({**ALONE, "api_key": "key"}, "api_key: generic cannot be asked", id="api-key"),
    ],
)
def test_refuses_the_settings(keys, text):
    with pytest.raises(ConfigError, match=text):
        source(**keys)


@pytest.mark.parametrize(
    "signed_as",
    ["{body}", "{timestamp}.{body}", "{header:X-Shop}\n{sha256}", "{body}.{timestamp}", "v1:{id}:{timestamp}:{sha256}"],
)
def test_takes_a_template_that_covers_the_body(signed_as):
    provider = source(header="X-Signature", signed=signed_as, id_header="X-Id", timestamp_header="X-Time")
    genuine = signed(provider, deliver({"a": 1}, X_Shop="shop"))

    assert verdict(provider, genuine) is Trust.SIGNED
    assert verdict(provider, replace(genuine, body=b'{"a": 2}')) is Reason.SIGNATURE_MISMATCH


# Events by preset


@pytest.mark.parametrize(
    ("preset", "name", "headers", "type"),
    [
        pytest.param(
            "github",
            "github_pull_request",
            {"X_GitHub_Event": "pull_request"},
            "pull_request.opened",
            id="github-action",
        ),
        pytest.param("github", "github_push", {"X_GitHub_Event": "push"}, "push", id="github"),
        pytest.param("github", "github_push", {}, "notice", id="github-without-its-header"),
        pytest.param("mux", "mux_asset_ready", {}, "video.asset.ready", id="mux"),
        pytest.param("shopify", "github_push", {"X_Shopify_Topic": "orders/create"}, "orders/create", id="shopify"),
        pytest.param("slack", "slack_mention", {}, "event_callback.app_mention", id="slack"),
        pytest.param("stripe", "stripe_charge", {}, "charge.succeeded", id="stripe"),
    ],
)
def test_names_the_event_as_the_sender_does(preset, name, headers, type):
    event = parsed(deliver(sample(f"generic/webhooks/{name}"), **headers), preset=preset)

    assert (event.type, event.job_id, event.kind, event.status) == (type, None, None, None)


@pytest.mark.parametrize(
    ("preset", "name", "at"),
    [
        pytest.param("stripe", "stripe_charge", datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC), id="seconds"),
        pytest.param("mux", "mux_asset_ready", datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC), id="iso"),
    ],
)
def test_tells_when_it_happened(preset, name, at):
    assert parsed(deliver(sample(f"generic/webhooks/{name}")), preset=preset).occurred_at == at


def test_understands_a_notice_of_a_gateway():
    event = parsed(delivered("NA-notify"), preset="newapi_notify")

    assert (event.type, event.data["content"]) == ("quota_exceed", "Remaining quota 12")
    assert event.occurred_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


# What an event is known by


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_an_id_in_the_body_is_the_key():
    assert parsed(delivered("ST-ok"), preset="stripe").key == "evt_demo_1"


def test_what_stripe_sends_again_is_the_same_event_though_it_counts_what_is_pending():
    first = json.loads(sample("generic/webhooks/stripe_charge"))

    again = parsed(deliver({**first, "pending_webhooks": 0}), preset="stripe")

    assert again.key == parsed(deliver(first), preset="stripe").key


@pytest.mark.parametrize(
    ("preset", "header"),
    [
        pytest.param("github", "x-github-delivery", id="github"),
        pytest.param("shopify", "x-shopify-webhook-id", id="shopify"),
        pytest.param("slack", "x-slack-request-timestamp", id="slack"),
    ],
)
def test_a_replay_under_another_unsigned_id_is_the_same_event(preset, header):
    provider = configured(preset=preset)
    genuine = signed(provider, replace(deliver({"a": 1}), headers={header: "1"}))
    replayed = replace(genuine, headers={**genuine.headers, header: "2"})

    assert provider.parse(genuine)[0].key == provider.parse(replayed)[0].key == digest(genuine.body)


def test_a_replay_under_another_type_is_the_same_event():
    keys = {parsed(deliver({"a": 1}, X_Shopify_Topic=topic), preset="shopify").key for topic in ("a/b", "c/d")}

    assert len(keys) == 1


def test_an_id_header_that_is_not_signed_does_not_count_though_it_is_named():
    delivery = deliver({"a": 1}, X_GitHub_Delivery="72d3162e")

    assert parsed(delivery, preset="github", event_id="header:X-GitHub-Delivery").key == digest(delivery.body)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"signed": "{id}.{body}", "id_header": "X-Id"}, id="the-signed-id"),
        pytest.param({"signed": "{id}.{body}", "id_header": "X-Id", "event_id": "header:x-ID"}, id="named-too"),
        pytest.param({"signed": "{header:x-id}.{body}", "event_id": "header:X-Id"}, id="any-signed-header"),
        pytest.param({"signed": "{id}.{body}", "id_paths": ["no", "data.id"]}, id="in-the-body"),
        pytest.param({"event_id": "data.id"}, id="path"),
        pytest.param({"event_id": "data.list.0.id"}, id="path-into-a-list"),
        pytest.param({"event_id": "data.number"}, id="number"),
    ],
)
def test_a_signed_id_is_the_key(settings):
    body = {"data": {"id": "7", "number": 7, "list": [{"id": "7"}]}}

    assert parsed(deliver(body, X_Id="7"), header="X-Signature", **settings).key == "7"


@pytest.mark.parametrize("id", [None, "", "\0", "x" * 257, True, 1.5, [], {}, ["evt_1"]])
def test_what_is_no_id_does_not_become_a_key(id):
    delivery = deliver({"id": id})

    assert parsed(delivery, header="X-Signature", event_id="id").key == digest(delivery.body)


def test_keeps_large_numbers_exact():
    event = parsed(deliver(sample("generic/webhooks/own_succeeded")), **OWN)

    assert (event.job_id, event.key) == ("9007199254740993", "9007199254740993:succeeded")


# Jobs


def test_tells_that_a_job_succeeded():
    event = parsed(deliver(sample("generic/webhooks/own_succeeded")), **OWN)

    assert (event.type, event.kind, event.raw_status, event.status) == ("render.finished", "job", "DONE", "succeeded")
    assert event.outputs == (
        Output("https://cdn.example.com/r.mp4"),
        Output("https://cdn.example.com/1.png"),
        Output("https://cdn.example.com/2.png"),
    )
    assert event.occurred_at == datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)


def test_tells_why_a_job_failed():
    event = parsed(deliver(sample("generic/webhooks/own_failed")), **OWN)

    assert (event.status, event.failure, event.outputs) == (Status.FAILED, Failure("too long", code="413"), ())
    assert event.occurred_at == datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        *[pytest.param(word, status, id=word) for word, status in Generic.statuses.items()],
        pytest.param(" Completed ", Status.SUCCEEDED, id="spaces-and-capitals"),
        pytest.param("DONE", Status.SUCCEEDED, id="of-the-table"),
        pytest.param(3, Status.CANCELLED, id="number"),
        pytest.param(True, Status.RUNNING, id="boolean"),
        pytest.param("expired", None, id="one-of-ours"),
        pytest.param("odd", None, id="unknown"),
    ],
)
def test_folds_the_status(state, status):
    table = {"Done": "succeeded", "3": "cancelled", "true": "running"}

    assert parsed(deliver({"id": "a", "state": state}), **JOB, statuses=table).status is status


def test_the_table_overrules_what_a_word_means_elsewhere():
    assert parsed(deliver({"id": "a", "state": "Pending"}), **JOB, statuses={"pending": "failed"}).status == "failed"


@pytest.mark.parametrize(
    ("state", "type", "key"),
    [
        pytest.param("completed", "job.succeeded", "job_1:succeeded", id="succeeded"),
        pytest.param("succeeded", "job.succeeded", "job_1:succeeded", id="another-word-for-it"),
        pytest.param("failed", "job.failed", "job_1:failed", id="failed"),
        pytest.param("canceled", "job.cancelled", "job_1:cancelled", id="cancelled"),
    ],
)
def test_the_end_of_a_job_is_known_by_job_and_status(state, type, key):
    event = told(state=state, more="anything")

    assert (event.type, event.key) == (type, key)


def test_the_same_end_under_another_event_id_is_the_same_event():
    settings = {**JOB, "event_id": "event"}
    bodies = [{"id": "job_1", "state": "completed", "event": event} for event in ("evt_1", "evt_2")]

    assert {parsed(deliver(body), **settings).key for body in bodies} == {"job_1:succeeded"}


@pytest.mark.parametrize("state", ["running", "odd", None])
def test_progress_told_in_the_same_words_is_news_but_sent_again_is_not(state):
    keys = [told(state=state, percent=percent).key for percent in (10, 50, 50)]

    assert keys[0] != keys[1] == keys[2]
    assert all(key.startswith("job_1:") for key in keys)


def test_progress_is_known_by_its_signed_id_where_it_has_one():
    bodies = [{"id": "job_1", "state": "running", "event": "evt_1", "sent_at": sent_at} for sent_at in (1, 2)]

    assert len({parsed(deliver(body), **JOB, event_id="event").key for body in bodies}) == 1


def test_the_longest_ids_make_a_key_that_can_be_stored():
    event = parsed(deliver({"id": "j" * 256, "state": "s" * 100, "event": "e" * 256}), **JOB, event_id="event")

    assert len(event.key) < 500


@pytest.mark.parametrize(
    "id", [pytest.param(odd, id=repr(odd)) for odd in (None, "", "\0", "x" * 257, False, 0.5, [], {}, ["job_1"])]
)
def test_what_names_no_job_is_a_notice(id):
    event = told(id=id, state="completed", urls="https://cdn.example.com/a.png")

    assert (event.job_id, event.kind, event.status, event.type) == (None, None, None, "notice")
    assert len(event.key) == 64


def test_results_are_told_only_of_a_job_that_succeeded():
    urls = {
        state: told(state=state, urls="https://cdn.example.com/a.png").outputs for state in ("completed", "running")
    }

    assert urls == {"completed": (Output("https://cdn.example.com/a.png"),), "running": ()}


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        pytest.param("https://a.example", ["https://a.example"], id="text"),
        pytest.param(["https://a.example", "https://b.example"], ["https://a.example", "https://b.example"], id="list"),
        pytest.param(["https://a.example"] * 2, ["https://a.example"], id="twice"),
        pytest.param(["https://a.example", None, 7, [], {}], ["https://a.example"], id="odd-items"),
        pytest.param({"url": "https://a.example"}, [], id="object"),
        pytest.param(7, [], id="number"),
        pytest.param("\0", [], id="nul"),
        pytest.param("", [], id="empty"),
    ],
)
def test_finds_results(value, urls):
    assert [output.url for output in told(state="completed", urls=value).outputs] == urls


def test_never_sends_a_key_to_an_address_from_a_body():
    assert not any(output.authorized for output in told(state="completed", urls="https://a.example").outputs)


@pytest.mark.parametrize(
    ("why", "failure"),
    [
        pytest.param("too long", Failure("too long"), id="text"),
        pytest.param({"message": "too long", "code": "E1"}, Failure("too long", code="E1"), id="object"),
        pytest.param({"message": "too long", "type": "limit"}, Failure("too long", code="limit"), id="type"),
        pytest.param({"code": 7}, Failure("no reason given", code="7"), id="only-a-code"),
        pytest.param(None, Failure("no reason given"), id="nothing"),
        pytest.param([1], Failure("no reason given"), id="list"),
    ],
)
def test_finds_the_reason(why, failure):
    assert told(state="failed", why=why).failure == failure


@pytest.mark.parametrize(
    ("at", "moment"),
    [
        pytest.param("2026-03-09T16:12:43Z", datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC), id="iso"),
        pytest.param(1773072763, datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC), id="seconds"),
        pytest.param(1773072763000, datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC), id="milliseconds"),
        pytest.param("1773072763", datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC), id="seconds-as-text"),
        pytest.param("soon", None, id="no-time"),
        pytest.param(10**30, None, id="absurd"),
        pytest.param([], None, id="list"),
    ],
)
def test_a_bad_time_stops_nothing(at, moment):
    assert told(state="completed", at=at).occurred_at == moment


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param("jobs.0.id", "a", id="first"),
        pytest.param("jobs.1.id", "b", id="second"),
        pytest.param("jobs.2.id", None, id="beyond-the-list"),
        pytest.param("jobs.-1.id", None, id="negative"),
        pytest.param("jobs.\uff11.id", None, id="full-width-digit"),
        pytest.param("jobs.99999999999999999999.id", None, id="huge-number"),
        pytest.param("jobs.id", None, id="list-without-number"),
        pytest.param("jobs.0.id.more", None, id="into-a-text"),
        pytest.param("jobs.0", None, id="object"),
        pytest.param("none.at.all", None, id="nothing"),
        pytest.param("numbered.0", "c", id="number-as-a-name"),
        pytest.param("empty.a", None, id="null"),
        pytest.param(".".join(["a"] * 1000), None, id="deep"),
    ],
)
def test_follows_a_path(path, found):
    body = {"jobs": [{"id": "a"}, {"id": "b"}], "numbered": {"0": "c"}, "empty": None}

    assert parsed(deliver(body), header="X-Signature", job=path, status="state").job_id == found


@pytest.mark.parametrize("value", [None, True, 7, "text", [], {}, [[]], [{"url": 7}], {"0": {"url": []}}])
def test_survives_a_path_into(value):
    event = parsed(deliver({"id": "a", "state": "completed", "x": value}), **{**JOB, "outputs": ["x.*.url", "x.0.url"]})

    assert event.outputs == ()


# What an operator is told


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param({"state": "completed"}, "no id of a job at id", id="no-job"),
        pytest.param({"id": "a"}, "no status at state", id="no-status"),
        pytest.param({"id": "a", "state": "completed"}, "no URL at urls", id="no-result"),
        pytest.param(b"Hello, World!", "no id of a job at id", id="no-json"),
    ],
)
def test_remarks_that_a_path_leads_nowhere(body, text):
    assert text in (remark(body) or "")


# Bodies that are no JSON


def test_keeps_the_fields_of_a_form_of_slack():
    event = parsed(delivered("SL-ok"), preset="slack")

    assert event.data == {"token": "demo", "team_id": "T0001", "command": "/render", "text": "hello world"}
    assert event.type == "/render"


def test_keeps_a_text_that_github_publishes():
    event = parsed(delivered("GH-published"), preset="github")

    assert (event.data, event.type) == ({"body": "Hello, World!"}, "notice")


def test_reads_the_json_that_github_puts_into_a_form():
    inside = sample("generic/webhooks/github_pull_request").decode()
    body = urlencode({"payload": inside}).encode()

    event = parsed(deliver(body, Content_Type=FORM, X_GitHub_Event="pull_request"), preset="github")

    assert (event.type, event.data) == ("pull_request.opened", json.loads(inside))


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        pytest.param(b"a=1&b=", FORM, {"a": "1", "b": ""}, id="form"),
        pytest.param(b"a=1&a=2", f"{FORM}; charset=utf-8", {"a": ["1", "2"]}, id="field-twice"),
        pytest.param(b"payload=%5B1", FORM, {"payload": "[1"}, id="broken-json-in-a-form"),
        pytest.param(b"payload=1&payload=2", FORM, {"payload": ["1", "2"]}, id="json-field-twice"),
        pytest.param(b"a=%ED%A0%80", FORM, {"a": "\ufffd\ufffd\ufffd"}, id="half-a-surrogate-pair"),
        pytest.param(b"not a form", FORM, {"body": "not a form"}, id="no-form"),
        pytest.param(b"a=1", "text/plain", {"a": "1"}, id="form-called-text"),
        pytest.param(b"a=1 or so", FORM, {"body": "a=1 or so"}, id="text-called-a-form"),
        pytest.param(b'{"a": 1}', FORM, {"a": 1}, id="json-called-a-form"),
        pytest.param(b'<a b="c"/>', "application/xml", {"body": '<a b="c"/>'}, id="xml"),
        pytest.param(b"[1, 2]", "application/json", {"body": "[1, 2]"}, id="list"),
        pytest.param(b"\xff", "application/json", {"body": "\ufffd"}, id="not-utf-8"),
        pytest.param(b"", "", {"body": ""}, id="empty"),
    ],
)
def test_keeps_the_body(body, content_type, data):
    assert parsed(deliver(body, Content_Type=content_type), **JOB).data == data


def test_a_form_can_tell_of_a_job():
    event = parsed(deliver(b"id=job_1&state=completed&urls=https%3A%2F%2Fa.example", Content_Type=FORM), **JOB)

    assert (event.key, event.outputs) == ("job_1:succeeded", (Output("https://a.example"),))


# What stands for any sender


def test_is_a_plain_sender_without_settings():
    [event] = Generic().parse(deliver({"id": "job_1", "status": "completed"}))

    assert event.key == "job_1:succeeded"
    assert verdict(Generic(), deliver({})) is Reason.MISSING_SIGNATURE
