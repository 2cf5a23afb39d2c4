"""fal: what is its own, beyond the contract of all adapters."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from receiver.errors import (
    ConfigError,
    CredentialsRefused,
    InvalidBody,
    NotFound,
    RateLimited,
    Reason,
    Refused,
    RequestFailed,
    Unreadable,
)
from receiver.models import Created, Delivery, Event, Failure, Job, KeySet, Output, Reading, Response, Status, Trust
from receiver.providers.fal import Fal, FalSettings
from receiver.testing import ProviderContract, make_job
from tests.support import sample, samples, vector, vectors

ID = "123e4567-e89b-12d3-a456-426614174000"
FAILED_ID = "123e4567-e89b-12d3-a456-426614174001"
NOW = datetime.fromtimestamp(1760000003, UTC)
MODEL = FalSettings(model="fal-ai/flux/dev")
PROVIDER = Fal(api_key="fal-example", settings=MODEL)
WITHOUT_MODEL = Fal(api_key="fal-example")
# The private twins of the keys in the vectors: the second one of the set, which signed them, and the first.
LIVE = base64.b64encode(bytes(range(32, 64))).decode()
DECOY = vector("SW-v1a")["private_key_whsk"]
CALLBACK = "https://receiver.example.com/webhooks/flux/intents/1?a=b&c"


def deliver(body: bytes, headers: dict[str, str] | None = None, at: datetime = NOW) -> Delivery:
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return Delivery(source="flux", body=body, headers=lower, received_at=at)


def known(name: str) -> Delivery:
    answer = vector(name)
    return deliver(answer["body"].encode(), answer["headers"], datetime.fromtimestamp(answer["now"], UTC))


def jwks(*keys: Any) -> Response:
    return answer({"keys": list(keys)})


def jwk(x: Any = "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc", **other: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig"} | other


def published(name: str = "FAL-ok", age: timedelta = timedelta(0)) -> KeySet:
    """The keys of a vector, as they were fetched that long before it came."""
    keys = PROVIDER.read_keys(answer(vector(name)["jwks"]))
    return KeySet(keys=keys, fetched_at=known(name).received_at - age)


def verdict(provider: Fal, name: str, keys: KeySet | None) -> Reason | Trust:
    delivery = known(name)
    try:
        return provider.verify(delivery, delivery.received_at, keys)
    except Refused as refused:
        return refused.reason


def told(provider: Fal = PROVIDER, **body: Any) -> Event:
    [event] = provider.parse(deliver(json.dumps({"request_id": "r1"} | body).encode()))
    return event


def answer(body: Any, *, status_code: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status_code=status_code, headers=named, body=raw)


def asked(job_id: str = "r1", *, raw_status: str | None = None, reference: str | None = None) -> Job:
    return replace(make_job(job_id, kind="request"), raw_status=raw_status, reference=reference)


def read(*, status_code: int = 200, **body: Any) -> Reading:
    return PROVIDER.read(asked(), answer(body, status_code=status_code))


def result(body: Any, **response: Any) -> Reading:
    return PROVIDER.read(asked(raw_status="COMPLETED"), answer(body, **response))


def refusal(job: Job, body: Any, **response: Any) -> RequestFailed:
    with pytest.raises(RequestFailed) as refused:
        PROVIDER.read(job, answer(body, **response))
    return refused.value


def polled(name: str) -> tuple[Job, Response]:
    waiting = name.startswith("in_")
    job = asked(FAILED_ID if name == "completed_with_error" else ID)
    return job, answer(sample(f"fal/polls/{name}"), status_code=202 if waiting else 200)


RESULTS = {
    "result": (asked(ID, raw_status="COMPLETED"), answer(sample("fal/results/image"))),
    "invalid": (asked(FAILED_ID, raw_status="COMPLETED"), answer(sample("fal/results/invalid"), status_code=422)),
}


class TestFal(ProviderContract):
    provider_class = Fal
    secret = LIVE
    other_secret = DECOY
    signature_header = "x-fal-webhook-signature"
    required_headers = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp")
    delivery = known("FAL-ok")
    webhooks = {name: known(name) for name in ("FAL-ok", "FAL-error", "FAL-payload-error")}
    answers = {name: polled(name) for name in samples("fal/polls")} | RESULTS
    told_twice = {"FAL-ok": "result", "FAL-error": "invalid"}
    submissions = {"request": ("request", {"prompt": "a shoe"}, answer(sample("fal/submissions/created")))}

    def configured(self, secrets: Sequence[str]) -> Fal:
        return Fal(secrets=secrets, base_url="https://api.example.com/of/a/test", settings=MODEL)

    def accepts(self, delivery: Delivery, secrets: Sequence[str]) -> bool:
        """The secrets are private keys here; it is their public twins that verify."""
        keys = KeySet(keys=tuple(map(public, secrets)), fetched_at=delivery.received_at)
        try:
            return self.configured([]).verify(delivery, delivery.received_at, keys) is Trust.SIGNED
        except Refused:
            return False

    # The callback URL is no field of the body, but a parameter of the query.

    def test_creates_with_the_callback_url_where_it_is_taken(self, provider, submission):
        kind, body, _ = submission

        request = provider.submit(kind, body, CALLBACK)

        assert parse_qsl(urlsplit(request.path).query) == [("fal_webhook", CALLBACK)]
        assert request.json == body

    def test_keeps_a_callback_url_of_the_body(self, provider, submission):
        kind, body, _ = submission

        request = provider.submit(kind, {**body, "fal_webhook": "https://elsewhere.example.com"}, CALLBACK)

        assert parse_qsl(urlsplit(request.path).query) == [("fal_webhook", "https://elsewhere.example.com")]
        assert request.json == body


def public(private: str) -> str:
    """The public twin of a key, as a JWKS has it."""
    if not private:
        return ""
    seed = base64.b64decode(private.removeprefix("whsk_"))[:32]
    raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


# Signatures


@pytest.mark.parametrize("expected", vectors("fal"))
def test_agrees_with_the_vector(expected):
    found = verdict(PROVIDER, expected["id"], published(expected["id"]))

    assert ("valid" if found is Trust.SIGNED else f"invalid:{found}") == expected["expect"]


def test_signs_over_four_lines_in_hex():
    delivery = known("FAL-ok")
    signed = PROVIDER.sign(delivery, LIVE)
    digits = signed["X-Fal-Webhook-Signature"]

    assert (len(digits), digits) == (128, digits.lower())
    assert signed["X-Fal-Webhook-Request-Id"] == ID
    assert signed["X-Fal-Webhook-User-Id"] == "usr_demo"


def test_signs_a_body_that_came_without_headers():
    bare = replace(known("FAL-ok"), headers={})
    headers = {name.lower(): value for name, value in PROVIDER.sign(bare, LIVE).items()}

    assert PROVIDER.verify(replace(bare, headers=headers), bare.received_at, published()) is Trust.SIGNED


@pytest.mark.parametrize("keys", [[LIVE], [DECOY, LIVE], [LIVE, DECOY]])
def test_takes_either_key_of_the_set_while_fal_rotates(keys):
    found = KeySet(keys=tuple(map(public, keys)), fetched_at=NOW)

    assert verdict(PROVIDER, "FAL-ok", found) is Trust.SIGNED


def test_refuses_a_key_that_is_not_in_the_set():
    """Which makes the reconciler fetch the set again."""
    assert verdict(PROVIDER, "FAL-ok", KeySet(keys=(public(DECOY),), fetched_at=NOW)) is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("age", "trust"),
    [
        pytest.param(timedelta(hours=24), Trust.SIGNED, id="a-day"),
        pytest.param(timedelta(hours=24, seconds=1), Trust.HINT, id="more-than-a-day"),
    ],
)
def test_believes_keys_for_a_day(age, trust):
    assert verdict(PROVIDER, "FAL-ok", published(age=age)) is trust


@pytest.mark.parametrize("keys", [None, published(age=timedelta(hours=25))])
@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        pytest.param(Fal(api_key="fal-example", settings=MODEL), Trust.HINT, id="can-ask"),
        pytest.param(Fal(settings=MODEL), Reason.NO_KEYS, id="no-api-key"),
        pytest.param(Fal(api_key="fal-example"), Reason.NO_KEYS, id="no-model"),
    ],
)
def test_without_keys_takes_a_hint_where_it_can_ask_and_else_nothing(provider, keys, expected):
    assert verdict(provider, "FAL-ok", keys) is expected


def test_secrets_do_not_stand_in_for_the_keys():
    assert verdict(Fal(secrets=[public(LIVE)]), "FAL-ok", None) is Reason.NO_KEYS


# Keys


def test_reads_the_keys_of_the_set_in_their_order():
    assert PROVIDER.read_keys(answer(vector("FAL-ok")["jwks"])) == (public(DECOY), public(LIVE))


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(jwk(kty="RSA"), id="other-type"),
        pytest.param(jwk(crv="X25519"), id="other-curve"),
        pytest.param(jwk(x=None), id="no-x"),
        pytest.param(jwk(x=7), id="number"),
        pytest.param(jwk(x=""), id="empty"),
        pytest.param(jwk(x="Kay6"), id="short"),
        pytest.param(jwk(x="Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdcAAAA"), id="long"),
        pytest.param(jwk(x="!" * 43), id="not-base64"),
        pytest.param(jwk(x="\u0660" * 43), id="not-ascii"),
        pytest.param({}, id="empty-row"),
        pytest.param("Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc", id="no-row"),
        pytest.param(None, id="null"),
    ],
)
def test_takes_no_key_but_a_good_one_and_fails_where_there_is_none(bad):
    assert PROVIDER.read_keys(jwks(bad, jwk(), bad)) == (jwk()["x"],)
    with pytest.raises(RequestFailed, match="no Ed25519 key"):
        PROVIDER.read_keys(jwks(bad))


@pytest.mark.parametrize("body", [{}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": "a"}])
def test_fails_where_there_is_no_set(body):
    with pytest.raises(RequestFailed, match=r"rest\.fal\.ai"):
        PROVIDER.read_keys(answer(body))


@pytest.mark.parametrize("page", [b"", b"<html></html>", b"[]", b"[" * 100_000])
@pytest.mark.parametrize("status_code", [200, 301, 401, 404, 429, 500])
def test_survives_what_stands_in_place_of_the_set(page, status_code):
    with pytest.raises(RequestFailed):
        PROVIDER.read_keys(answer(page, status_code=status_code))


def test_keeps_a_bounded_number_of_keys():
    assert len(PROVIDER.read_keys(jwks(*[jwk()] * 1000))) == 16


@pytest.mark.parametrize("keys_url", ["https://rest.alpha.fal.ai/.well-known/jwks.json", "http://127.0.0.1:8000/keys"])
def test_fetches_the_keys_from_where_the_settings_say(keys_url):
    assert PROVIDER.keys_url == "https://rest.fal.ai/.well-known/jwks.json"
    assert Fal(settings=FalSettings(keys_url=keys_url)).keys_url == keys_url


@pytest.mark.parametrize("keys_url", ["", "file:///etc/passwd", "rest.fal.ai"])
def test_fetches_no_keys_but_from_the_web(keys_url):
    with pytest.raises(ValidationError):
        FalSettings(keys_url=keys_url)


# Webhooks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("FAL-ok", f"request.succeeded {ID}:succeeded", id="ok"),
        pytest.param("FAL-error", f"request.failed {FAILED_ID}:failed", id="error"),
    ],
)
def test_reads_the_documented_webhook(name, expected):
    [event] = PROVIDER.parse(known(name))

    assert f"{event.type} {event.key}" == expected
    assert event.incomplete is False


def test_keeps_a_seed_of_64_bits_exact():
    [webhook] = PROVIDER.parse(known("FAL-ok"))
    [poll] = PROVIDER.read(*RESULTS["result"]).events

    assert webhook.data["payload"]["seed"] == poll.data["payload"]["seed"] == 196619188014358660


def test_the_id_of_a_try_is_no_identity():
    first = told(status="OK", payload={}, gateway_request_id="try-1")
    retried = told(status="OK", payload={}, gateway_request_id="try-2")

    assert (first.key, first.job_id) == (retried.key, retried.job_id) == ("r1:succeeded", "r1")


def test_needs_the_id_of_the_request_and_takes_no_other():
    with pytest.raises(Unreadable, match="request_id"):
        PROVIDER.parse(deliver(b'{"gateway_request_id": "r1", "status": "OK"}'))


def test_asks_for_a_payload_that_could_not_be_sent():
    [event] = PROVIDER.parse(known("FAL-payload-error"))

    assert (event.status, event.incomplete, event.outputs) == (Status.SUCCEEDED, True, ())


@pytest.mark.parametrize(
    ("body", "incomplete"),
    [
        pytest.param({"status": "OK", "payload": {}}, False, id="empty-payload"),
        pytest.param({"status": "OK", "payload": None}, True, id="null"),
        pytest.param({"status": "OK"}, True, id="missing"),
        pytest.param({"status": "ERROR", "payload": None}, False, id="failed"),
    ],
)
def test_is_incomplete_without_a_payload(body, incomplete):
    assert told(**body).incomplete is incomplete


def test_takes_a_success_without_payload_for_all_there_is_where_no_model_is_set():
    """Or it would wait for an answer to a question that cannot be asked."""
    assert told(WITHOUT_MODEL, status="OK", payload=None).incomplete is False


@pytest.mark.parametrize(
    ("payload", "urls"),
    [
        pytest.param({"images": [{"url": "https://a/1.png"}, {"url": "https://a/2.png"}]},
                     ["https://a/1.png", "https://a/2.png"], id="images"),
        pytest.param({"video": {"url": "https://a/v.mp4", "content_type": "video/mp4"}}, ["https://a/v.mp4"],
                     id="video"),
        pytest.param({"a": {"b": [{"c": {"url": "https://a/d"}}]}}, ["https://a/d"], id="deep"),
        pytest.param([{"url": "https://a/1.png"}, {"url": "https://a/1.png"}], ["https://a/1.png"], id="each-once"),
        pytest.param({"image": {"url": "data:image/png;base64,AAAA"}}, [], id="data-url"),
        pytest.param({"output": "hello", "url": 7}, [], id="no-file"),
        pytest.param("https://a/1.png", [], id="text"),
    ],
)  # fmt: skip
def test_finds_the_files_wherever_the_model_puts_them(payload, urls):
    assert [output.url for output in told(status="OK", payload=payload).outputs] == urls


def test_shows_no_result_of_a_failed_request():
    assert told(status="ERROR", payload={"url": "https://a/1.png"}).outputs == ()


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param({"error": "Invalid status code: 422", "payload": {"detail": [
            {"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}]}},
            Failure("body.prompt: field required", "value_error.missing"), id="a-row"),
        pytest.param({"payload": {"detail": [{"loc": ["body", "n", 0], "msg": "no"}, {"msg": "odd"}, 7]}},
                     Failure("body.n.0: no; odd"), id="rows"),
        pytest.param({"error": "failed", "payload": {"detail": "out of memory"}}, Failure("out of memory"), id="text"),
        pytest.param({"error": "failed", "error_type": "runner_disconnected", "payload": None},
                     Failure("failed", "runner_disconnected"), id="only-an-error"),
        pytest.param({"error": {"message": "failed"}}, Failure("failed"), id="object"),
        pytest.param({"payload": {"detail": [{"loc": 7, "msg": 7, "type": 7}]}}, Failure("no reason given"), id="odd"),
        pytest.param({}, Failure("no reason given"), id="nothing"),
    ],
)  # fmt: skip
def test_finds_the_reason_of_a_failure(body, failure):
    assert told(status="ERROR", **body).failure == failure


def test_keeps_an_unknown_status_of_a_webhook():
    event = told(status="PAUSED")

    assert (event.status, event.raw_status, event.key) == (None, "PAUSED", "r1:?paused")


# What is asked


def test_carries_the_key_in_a_scheme_of_its_own():
    assert PROVIDER.authorize() == {"Authorization": "Key fal-example"}
    assert Fal().authorize() == {}


@pytest.mark.parametrize(
    ("model", "app"),
    [
        pytest.param("fal-ai/flux", "fal-ai/flux", id="owner-and-app"),
        pytest.param("fal-ai/flux/dev", "fal-ai/flux", id="path"),
        pytest.param("fal-ai/kling-video/v2/master/text-to-video", "fal-ai/kling-video", id="long-path"),
        pytest.param("workflows/me/flow", "workflows/me/flow", id="namespace"),
        pytest.param("comfy/me/flow/run", "comfy/me/flow", id="namespace-and-path"),
    ],
)
def test_asks_below_owner_and_app_without_the_rest_of_the_model(model, app):
    provider = Fal(settings=FalSettings(model=model))

    assert provider.poll(asked()).path == f"/{app}/requests/r1/status"
    assert provider.poll(asked(raw_status="COMPLETED")).path == f"/{app}/requests/r1"


@pytest.mark.parametrize(
    "model", ["", "flux", "/flux", "fal-ai/", "fal-ai//flux", "../admin", "fal-ai/..", "a/b?c", "a/b c"]
)
def test_takes_no_model_that_is_none(model):
    with pytest.raises(ValidationError):
        FalSettings(model=model)


def test_asks_about_a_submitted_request_by_the_model_it_was_submitted_to():
    [created] = PROVIDER.read_submission("request", answer(sample("fal/submissions/created")))
    changed = Fal(settings=FalSettings(model="fal-ai/recraft-v3"))

    request = changed.poll(asked(created.job_id, reference=created.reference))

    assert request.path == f"/fal-ai/flux/requests/{ID}/status"


def test_asks_about_a_tracked_request_by_the_model_of_its_source():
    assert PROVIDER.poll(asked()).path == "/fal-ai/flux/requests/r1/status"


def test_asks_about_a_request_that_a_webhook_spoke_of_by_the_model_of_its_source():
    [event] = PROVIDER.parse(known("FAL-payload-error"))

    request = PROVIDER.poll(make_job(str(event.job_id), kind=str(event.kind)))

    assert request.path == f"/fal-ai/flux/requests/{event.job_id}/status"


def test_does_not_guess_the_model_where_nobody_says():
    with pytest.raises(RequestFailed, match="set `model`") as failed:
        WITHOUT_MODEL.poll(asked())

    assert (failed.value.sent, failed.value.retry) == (False, False)


@pytest.mark.parametrize("field", ["status_url", "response_url", "cancel_url"])
@pytest.mark.parametrize("host", ["evil.example.net", "queue.fal.run"])
def test_calls_no_address_out_of_an_answer(field, host):
    """Not even one that looks right: the key would go with it."""
    odd = {field: f"https://{host}/somebody/else/requests/r1"}
    [created] = PROVIDER.read_submission("request", answer({"request_id": "r1", **odd}))
    reading = PROVIDER.read(asked(reference=created.reference), answer({"status": "COMPLETED", **odd}))
    job = asked(raw_status=reading.raw_status, reference=reading.reference or created.reference)

    assert PROVIDER.poll(job).path == "/fal-ai/flux/requests/r1"


# Polls


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("in_queue", Reading(status=Status.QUEUED, raw_status="IN_QUEUE", step="position 2 in the queue"),
                     id="in-queue"),
        pytest.param("in_progress", Reading(status=Status.RUNNING, raw_status="IN_PROGRESS"), id="in-progress"),
        pytest.param("completed", Reading(status=Status.RUNNING, raw_status="COMPLETED", follow_up=True),
                     id="completed"),
        pytest.param("completed_without_metrics",
                     Reading(status=Status.RUNNING, raw_status="COMPLETED", follow_up=True), id="without-metrics"),
    ],
)  # fmt: skip
def test_reads_the_documented_status(name, expected):
    assert PROVIDER.read(*polled(name)) == expected


@pytest.mark.parametrize("status_code", [200, 202])
@pytest.mark.parametrize("word", ["IN_QUEUE", "IN_PROGRESS"])
def test_goes_by_the_word_whatever_the_code(word, status_code):
    assert read(status=word, status_code=status_code).raw_status == word


@pytest.mark.parametrize("word", ["COMPLETED", "completed", " Completed "])
def test_folds_the_case_of_a_status(word):
    assert read(status=word).follow_up is True


def test_keeps_an_unknown_status():
    assert read(status="PAUSED") == Reading(status=None, raw_status="PAUSED")


def test_a_request_that_completed_with_an_error_failed():
    reading = PROVIDER.read(*polled("completed_with_error"))
    [event] = reading.events

    assert (reading.status, reading.raw_status, event.key) == (Status.FAILED, "COMPLETED", f"{FAILED_ID}:failed")
    assert event.failure == Failure("Request timed out", "request_timeout")


@pytest.mark.parametrize("said", [{"error": None}, {"error": ""}, {"error_type": None}])
def test_a_request_that_completed_with_no_error_did_not_fail(said):
    assert read(status="COMPLETED", **said).follow_up is True


def test_an_error_type_alone_is_an_error():
    assert read(status="COMPLETED", error_type="request_timeout").status is Status.FAILED


def test_tells_the_result_in_the_place_where_a_webhook_has_it():
    [webhook] = PROVIDER.parse(known("FAL-ok"))
    [poll] = PROVIDER.read(*RESULTS["result"]).events

    assert poll.data["payload"] == webhook.data["payload"]
    assert poll.outputs == webhook.outputs == (Output("https://fal.media/files/demo/out.png"),)


def test_a_result_that_is_422_says_that_the_input_was_wrong():
    reading = PROVIDER.read(*RESULTS["invalid"])
    [webhook] = PROVIDER.parse(known("FAL-error"))

    assert reading.status is Status.FAILED
    assert reading.events[0].failure == webhook.failure == Failure("body.prompt: field required", "value_error.missing")


def test_a_status_that_is_422_says_nothing_about_the_request():
    failed = refusal(asked(), sample("fal/results/invalid"), status_code=422)

    assert str(failed) == "HTTP 422: body.prompt: field required"


def test_a_result_that_is_not_there_yet_is_asked_for_again():
    assert "not there yet" in str(refusal(asked(raw_status="COMPLETED"), {"status": "IN_PROGRESS"}, status_code=202))


def test_a_result_that_is_gone_is_a_success_without_files():
    reading = result({"detail": "Request not found"}, status_code=404)

    assert (reading.status, reading.incomplete, reading.events[0].outputs) == (Status.SUCCEEDED, True, ())


def test_a_result_may_be_the_file_itself():
    reading = result(b"\x89PNG", content_type="image/png; q=1")
    [event] = reading.events

    assert event.outputs == (Output("https://queue.fal.run/fal-ai/flux/requests/r1", authorized=True),)
    assert event.data == {"request_id": "r1", "status": "COMPLETED", "payload": None}


@pytest.mark.parametrize("media", ["text/html", "text/plain; charset=utf-8", "application/json", "", "odd"])
def test_does_not_take_a_page_for_a_file(media):
    assert "not JSON" in str(refusal(asked(raw_status="COMPLETED"), b"<html></html>", content_type=media))


@pytest.mark.parametrize("raw_status", [None, "COMPLETED"])
@pytest.mark.parametrize("status_code", [500, 502, 503, 400])
def test_a_request_that_fails_says_nothing_about_the_job(raw_status, status_code):
    failed = refusal(asked(raw_status=raw_status), {"detail": "try later"}, status_code=status_code)

    assert str(failed) == f"HTTP {status_code}: try later"


@pytest.mark.parametrize(
    ("status_code", "kind"),
    [
        pytest.param(401, CredentialsRefused, id="wrong-key"),
        pytest.param(404, NotFound, id="no-such-request"),
        pytest.param(429, RateLimited, id="too-many"),
    ],
)
def test_takes_an_http_error_for_what_it_is(status_code, kind):
    assert type(refusal(asked(), {"detail": "no"}, status_code=status_code)) is kind


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": ["COMPLETED"]}, {"images": []}])
def test_takes_an_answer_that_says_nothing_for_a_failed_request(body):
    assert "has no status" in str(refusal(asked(), body))


@pytest.mark.parametrize(
    "named",
    [
        {"request_id": "r2"},
        {"response_url": "https://queue.fal.run/fal-ai/flux/requests/r2"},
        {"status_url": "https://queue.fal.run/fal-ai/flux/requests/r2/status?logs=1"},
    ],
)
def test_does_not_take_an_answer_about_another_request(named):
    assert "another job" in str(refusal(asked(), {"status": "COMPLETED", **named}))


def test_takes_the_id_out_of_the_answer_where_it_is_not_known():
    _, response = polled("completed_with_error")

    [event] = PROVIDER.read(asked(""), response).events

    assert event.job_id == FAILED_ID


@pytest.mark.parametrize(
    ("job", "body"),
    [
        pytest.param(asked(""), {"status": "COMPLETED", "error": "failed"}, id="status"),
        pytest.param(asked("", raw_status="COMPLETED"), {"images": []}, id="result"),
    ],
)
def test_does_not_take_an_answer_about_nobody_knows_what(job, body):
    assert "not an id" in str(refusal(job, body))


# Submissions


def test_creates_at_the_models_own_path():
    request = PROVIDER.submit("request", {"prompt": "a shoe"}, None)

    assert (request.method, request.path, request.json) == ("POST", "/fal-ai/flux/dev", {"prompt": "a shoe"})


def test_creates_nothing_without_a_model():
    with pytest.raises(ConfigError, match="set `model`"):
        WITHOUT_MODEL.submit("request", {"prompt": "a shoe"}, None)


@pytest.mark.parametrize("callback", [7, ["https://a"], {"url": "https://a"}])
def test_takes_no_callback_that_is_no_url(callback):
    with pytest.raises(InvalidBody, match="fal_webhook"):
        PROVIDER.submit("request", {"fal_webhook": callback}, None)


def test_reads_what_was_created():
    created = PROVIDER.read_submission("request", answer(sample("fal/submissions/created")))

    assert created == [Created(job_id=ID, kind="request", reference="fal-ai/flux")]


def test_says_what_is_wrong_with_the_input():
    with pytest.raises(RequestFailed, match=r"HTTP 422: body\.prompt: field required"):
        PROVIDER.read_submission("request", answer(sample("fal/results/invalid"), status_code=422))
