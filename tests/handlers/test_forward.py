"""Events to a real server on this machine, with signatures that others made first."""

import base64
import hmac
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr, ValidationError
from receiver_handlers.forward import Settings, forward, signatures

from receiver import Cancel, Context, Done, Event, Failure, Job, Output, PermanentError, RetryAfter, Status, Trust
from receiver import config as configuration
from receiver.engine.local import LocalEngine
from receiver.errors import RequestFailed
from receiver.inbox import Source
from receiver.models import Standing, Via
from receiver.outbound import HandlerClient
from receiver.plugins import handlers
from receiver.providers.creativeai import CreativeAI
from tests.running import Running
from tests.scripted import Answer, Scripted, always, in_turn
from tests.store.contract import DUE, SOURCE, a_record, an_event, the_dispatch
from tests.support import sample, vector
from tests.watch import eventually

OLD, NEW = "whsec_b2xkLWtleS1vbGQta2V5LW9sZC1rZXkt", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
EVENT = Event(
    id=7,
    source="creative",
    key="vgen_abc123:succeeded",
    type="video.generation.completed",
    data={"id": "vgen_abc123", "credits": 30},
    kind="video",
    job_id="vgen_abc123",
    status=Status.SUCCEEDED,
    raw_status="completed",
    trust=Trust.SIGNED,
    via=Via.WEBHOOK,
    outputs=(Output("https://cdn.example/a.mp4?signature=b"), Output("https://api.example/c", authorized=True)),
    occurred_at=datetime(2026, 3, 9, 16, 12, 43, tzinfo=UTC),
    recorded_at=datetime(2026, 3, 9, 16, 12, 44, 5000, tzinfo=UTC),
)
JOB = Job(
    source="creative",
    job_id="vgen_abc123",
    kind="video",
    metadata={"order": 17},
    created_at=datetime(2026, 3, 9, tzinfo=UTC),
    deadline_at=datetime(2026, 3, 10, tzinfo=UTC),
)
NOTICE = Event(source="creative", key="n1", type="balance.low", data={})


@pytest.fixture
def target():
    """Who gets the events; answers 200 unless told otherwise."""
    with Scripted(always(Answer())) as server:
        yield server


@pytest.fixture
def context(target):
    settings = Settings(url=f"{target.url}/hook", secrets=NEW, allow_private=True)
    return Context(
        settings=settings,
        job=JOB,
        idempotency_key="key-1",
        client=HandlerClient(),
        handler="orders",
    )


def changed(context, **settings):
    return replace(context, settings=Settings(**{**dict(context.settings), **settings}))


def answering(target, status, body=b"", **headers):
    target.answer = always(Answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()}))


def sent(target):
    [asked] = target.asked
    return json.loads(asked.body)


def verified(asked, secret):
    """Whether one of the signatures is made with the secret, as whoever gets the event would find out."""
    content = b".".join([asked.headers["webhook-id"].encode(), asked.headers["webhook-timestamp"].encode(), asked.body])
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, "sha256").digest()
    return f"v1,{base64.b64encode(digest).decode()}" in asked.headers["webhook-signature"].split(" ")


class TestCloudEvent:
    def test_is_the_event(self, target, context):
        forward(EVENT, context)

        assert sent(target) == {
            "specversion": "1.0",
            "id": "vgen_abc123:succeeded",
            "source": "creative",
            "type": "video.generation.completed",
            "subject": "vgen_abc123",
            "time": "2026-03-09T16:12:43.000Z",
            "datacontenttype": "application/json",
            "data": {
                "event_id": 7,
                "source": "creative",
                "type": "video.generation.completed",
                "kind": "video",
                "job": "vgen_abc123",
                "status": "succeeded",
                "raw_status": "completed",
                "outputs": [
                    {"url": "https://cdn.example/a.mp4?signature=b", "authorized": False},
                    {"url": "https://api.example/c", "authorized": True},
                ],
                "failure": None,
                "metadata": {"order": 17},
                "standing": "current",
                "trust": "signed",
                "via": "webhook",
                "occurred_at": "2026-03-09T16:12:43.000Z",
                "recorded_at": "2026-03-09T16:12:44.005Z",
                "data": {"id": "vgen_abc123", "credits": 30},
            },
        }

    def test_is_posted_in_structured_mode(self, target, context):
        forward(EVENT, context)

        [asked] = target.asked
        assert (asked.path, asked.headers["content-type"]) == ("/hook", "application/cloudevents+json")

    def test_of_a_notice_has_no_empty_attributes(self, target, context):
        forward(NOTICE, replace(context, job=None))

        assert set(sent(target)) == {"specversion", "id", "source", "type", "datacontenttype", "data"}

    def test_of_a_notice_has_no_job(self, target, context):
        forward(NOTICE, replace(context, job=None))

        data = sent(target)["data"]
        assert (data["job"], data["status"], data["outputs"], data["metadata"]) == (None, None, [], {})

    def test_says_why_a_job_failed(self, target, context):
        forward(replace(EVENT, status=Status.FAILED, failure=Failure("too long", "e1")), context)

        assert sent(target)["data"]["failure"] == {"message": "too long", "code": "e1"}

    def test_says_that_it_overrules_an_earlier_one(self, target, context):
        forward(replace(EVENT, standing=Standing.CORRECTION), context)

        assert sent(target)["data"]["standing"] == "correction"

    def test_has_the_time_of_recording_where_no_other_is_known(self, target, context):
        forward(replace(EVENT, occurred_at=None), context)

        assert (sent(target)["time"], sent(target)["data"]["occurred_at"]) == ("2026-03-09T16:12:44.005Z", None)

    def test_leaves_out_what_the_provider_said_if_told_to(self, target, context):
        forward(EVENT, changed(context, include_data=False))

        assert "data" not in sent(target)["data"]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("夜明け 🎬 é", id="unicode"),
            pytest.param('a\nb\r\n\u2028\0"\\', id="newlines"),
            pytest.param("\ud800", id="half-a-surrogate-pair"),
            pytest.param("x" * 3_000_000, id="huge"),
        ],
    )
    def test_takes_any_text(self, target, context, text):
        event = replace(EVENT, type=text, job_id=text, data={text: [text]}, failure=Failure(text))
        forward(event, context)

        [asked] = target.asked
        assert json.loads(asked.body)["data"]["data"] == {text: [text]}
        assert verified(asked, NEW)


class TestSignature:
    @pytest.mark.parametrize(
        "known",
        [
            pytest.param(vector("SW-published"), id="specification"),
            pytest.param(json.loads(sample("standard_webhooks/ping")), id="svix"),
            pytest.param(vector("OA-video.completed"), id="openai-completed"),
            pytest.param(vector("OA-video.failed"), id="openai-failed"),
            pytest.param(vector("RP-completed"), id="replicate"),
        ],
    )
    def test_is_the_known_one(self, known):
        headers, secrets = known["headers"], [SecretStr(known["secret"])]
        made = signatures(headers["webhook-id"], int(headers["webhook-timestamp"]), known["body"].encode(), secrets)

        assert made == headers["webhook-signature"]

    def test_is_made_with_each_secret(self):
        known = vector("SW-rotation")
        secrets = [SecretStr(OLD), SecretStr(known["secret"])]
        made = signatures("msg_demo_01", 1760000000, known["body"].encode(), secrets)

        assert made == known["headers"]["webhook-signature"]

    def test_is_over_what_is_sent(self, target, context):
        forward(EVENT, context)

        assert verified(target.asked[0], NEW)
        assert not verified(target.asked[0], OLD)

    @pytest.mark.parametrize("secret", [OLD, NEW])
    def test_lets_either_secret_verify(self, target, context, secret):
        forward(EVENT, changed(context, secrets=[OLD, NEW]))

        assert verified(target.asked[0], secret)

    def test_is_of_now(self, target, context):
        before = int(time.time())
        forward(EVENT, context)

        assert before <= int(target.asked[0].headers["webhook-timestamp"]) <= time.time()

    def test_has_the_same_id_on_a_retry(self, target, context):
        forward(EVENT, context)
        forward(EVENT, replace(context, attempt=2))

        assert [asked.headers["webhook-id"] for asked in target.asked] == ["key-1", "key-1"]

    def test_has_another_id_on_a_replay_of_the_same_fact(self, target, context):
        forward(EVENT, context)
        forward(EVENT, replace(context, idempotency_key="key-2"))

        assert [asked.headers["webhook-id"] for asked in target.asked] == ["key-1", "key-2"]
        assert len({json.loads(asked.body)["id"] for asked in target.asked}) == 1


class TestAnswer:
    @pytest.mark.parametrize("status", [200, 202, 204, 299])
    def test_of_success_is_done(self, target, context, status):
        answering(target, status)

        assert forward(EVENT, context) == Done({"status": status, "url": f"{target.url}/hook"})

    def test_is_kept_without_the_query(self, target, context):
        outcome = forward(EVENT, changed(context, url=f"{target.url}/hook?token=private"))

        assert target.paths == ["/hook?token=private"]
        assert outcome == Done({"status": 200, "url": f"{target.url}/hook"})

    def test_of_gone_cancels(self, target, context):
        answering(target, 410)

        assert forward(EVENT, context) == Cancel(
            "[handlers.orders] url: 127.0.0.1 answered 410, gone; set enabled = false if it does not come back"
        )

    @pytest.mark.parametrize("status", [429, 503])
    def test_of_not_now_is_obeyed(self, target, context, status):
        answering(target, status, Retry_After="120")

        with pytest.raises(RetryAfter, match=f"127.0.0.1 answered {status}") as raised:
            forward(EVENT, context)
        assert raised.value.wait == timedelta(minutes=2)

    def test_of_not_until_then_is_obeyed(self, target, context):
        answering(target, 503, Retry_After="Fri, 31 Dec 9999 23:59:59 GMT")

        with pytest.raises(RetryAfter) as raised:
            forward(EVENT, context)
        assert raised.value.wait == timedelta(hours=1)

    @pytest.mark.parametrize("asked", ["0", "-1", "soon", "²", "9" * 400 + "x"])
    def test_of_not_now_without_a_time_to_wait_is_tried_again(self, target, context, asked):
        target.answer = always(Answer(status=429, headers={"Retry-After": asked.encode().decode("latin-1")}))

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1 answered 429"):
            forward(EVENT, context)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
    def test_of_trouble_is_tried_again(self, target, context, status):
        answering(target, status)

        with pytest.raises(RequestFailed, match=f"127.0.0.1 answered {status}"):
            forward(EVENT, context)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 451])
    def test_of_refusal_is_final(self, target, context, status):
        answering(target, status)

        with pytest.raises(PermanentError) as raised:
            forward(EVENT, context)
        assert str(raised.value) == (
            f"[handlers.orders] url: 127.0.0.1 answered {status}; "
            "see whether url, secrets and headers are what it wants"
        )

    def test_of_too_large_names_what_makes_it_smaller(self, target, context):
        answering(target, 413)

        with pytest.raises(
            PermanentError, match=r"^\[handlers.orders\] include_data: .* 413, too large; set it to false"
        ):
            forward(EVENT, context)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_of_a_redirect_is_not_followed(self, target, context, status):
        answering(target, status, Location=f"{target.url}/elsewhere")

        with pytest.raises(PermanentError, match="a redirect, which is not followed; write where it leads"):
            forward(EVENT, context)
        assert target.paths == ["/hook"]

    def test_that_is_larger_than_any_is_final(self, target, context):
        answering(target, 200, bytes(2**21))

        with pytest.raises(PermanentError, match=r"^\[handlers.orders\] url: the answer of 127.0.0.1 is larger than"):
            forward(EVENT, context)

    def test_that_does_not_come_is_tried_again(self, target, context):
        target.answer = always(None)

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1"):
            forward(EVENT, context)

    def test_that_does_not_come_in_time_is_tried_again(self, target, context):
        over = threading.Event()
        target.answer = lambda path: Answer() if over.wait(10) else None

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1 took too long"):
            forward(EVENT, changed(context, call_timeout="50ms"))
        over.set()

    def test_that_nobody_is_there_to_give_is_tried_again(self, context):
        with pytest.raises(RequestFailed, match=r"the call to 127\.0\.0\.1 failed"):
            forward(EVENT, changed(context, url="http://127.0.0.1:9"))

    @pytest.mark.parametrize("status", [302, 400, 410, 413, 429, 500])
    def test_leaves_no_secret_in_what_is_said(self, target, context, status):
        answering(target, status, b"hunter2", Location="https://hunter2.example/", X_Echo="hunter2")
        secretive = changed(context, url=f"{target.url}/hunter2?hunter2", headers={"X-Key": "hunter2"})

        try:
            said = repr(forward(EVENT, secretive))
        except Exception as error:
            said = repr(error)
        assert "hunter2" not in said


class TestAddress:
    def test_that_turns_out_private_is_not_called(self, target, context):
        with pytest.raises(PermanentError) as raised:
            forward(EVENT, changed(context, url=target.url.replace("127.0.0.1", "localhost"), allow_private=False))

        assert str(raised.value).startswith("[handlers.orders] url: localhost leads to ")
        assert str(raised.value).endswith(
            ", which is not a public address; set allow_private = true if it is one of yours"
        )
        assert target.asked == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fe80::1]"])
    def test_that_is_private_is_found_at_once(self, host):
        with pytest.raises(ValidationError, match="is not a public address; set it to true if it is one of yours") as e:
            Settings(url=f"http://{host}/", secrets=NEW)

        assert e.value.errors()[0]["loc"] == ("allow_private",)

    @pytest.mark.parametrize("url", ["http://10.0.0.1/", "https://[::1]:8443/hook"])
    def test_that_is_private_may_be_allowed(self, url):
        assert Settings(url=url, secrets=NEW, allow_private=True)

    @pytest.mark.parametrize(
        "url", ["https://orders.example", "http://93.184.215.14:8080/a?b", "https://münchen.example/ü"]
    )
    def test_that_is_public_is_taken(self, url):
        assert Settings(url=url, secrets=NEW)

    @pytest.mark.parametrize(
        "url",
        [
            pytest.param("", id="empty"),
            pytest.param("orders.example/hook", id="no-scheme"),
            pytest.param("ftp://orders.example/", id="ftp"),
            pytest.param("file:///etc/passwd", id="file"),
            pytest.param("https://", id="no-host"),
            pytest.param("https:///hook", id="no-host-but-a-path"),
            pytest.param("https://a b/", id="space-in-the-host"),
            pytest.param("https://orders.example/\nX-A: b", id="newline"),
            pytest.param("https://orders.example:0/", id="no-such-port"),
            pytest.param("https://orders.example:65536/", id="port-too-large"),
            pytest.param("https://user@orders.example/", id="user-name"),
            pytest.param("https://user:password@orders.example/", id="password"),
        ],
    )
    def test_that_is_none_is_refused(self, url):
        with pytest.raises(ValidationError, match=r'such as "https://orders\.example/events"') as e:
            Settings(url=url, secrets=NEW)

        assert [wrong["loc"] for wrong in e.value.errors()] == [("url",)]
        assert "password@" not in e.value.errors(include_input=False)[0]["msg"]


class TestSettings:
    def test_sends_more_headers(self, target, context):
        forward(EVENT, changed(context, headers={"Authorization": "Bearer a b", "X-Team": "7"}))

        headers = target.asked[0].headers
        assert (headers["authorization"], headers["x-team"]) == ("Bearer a b", "7")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            pytest.param("", "a", id="no-name"),
            pytest.param("X A", "a", id="space-in-the-name"),
            pytest.param("X-A:", "a", id="colon-in-the-name"),
            pytest.param("X-Ä", "a", id="name-not-ascii"),
            pytest.param("X-A", "", id="no-value"),
            pytest.param("X-A", "private\r\nX-B: c", id="newline"),
            pytest.param("X-A", "private\n", id="newline-at-the-end"),
            pytest.param("X-A", " private", id="space-before"),
            pytest.param("X-A", "privaté", id="value-not-ascii"),
            pytest.param("content-type", "text/plain", id="content-type"),
            pytest.param("Webhook-ID", "a", id="webhook-id"),
            pytest.param("Host", "a.example", id="host"),
            pytest.param("Content-Length", "0", id="content-length"),
        ],
    )
    def test_refuses_a_header_that_cannot_be_sent(self, name, value):
        with pytest.raises(ValidationError) as e:
            Settings(url="https://orders.example/", secrets=NEW, headers={name: value})

        [wrong] = e.value.errors(include_input=False)
        assert wrong["loc"] == ("headers",)
        assert "privat" not in wrong["msg"]

    @pytest.mark.parametrize(
        "secrets",
        [
            pytest.param([], id="none"),
            pytest.param("", id="empty"),
            pytest.param("whsec_", id="nothing-behind-the-prefix"),
            pytest.param(NEW.removeprefix("whsec_"), id="no-prefix"),
            pytest.param("whsec_" + base64.b64encode(bytes(23)).decode(), id="too-short"),
            pytest.param("whsec_" + base64.b64encode(bytes(65)).decode(), id="too-long"),
            pytest.param("whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(), id="another-base64"),
            pytest.param(NEW[:20] + "\n" + NEW[20:], id="newline"),
            pytest.param("whsec_" + "é" * 32, id="not-ascii"),
            pytest.param([NEW, "hunter2"], id="second-of-two"),
        ],
    )
    def test_refuses_a_secret_that_is_none(self, secrets):
        with pytest.raises(ValidationError, match=r"openssl rand -base64 32") as e:
            Settings(url="https://orders.example/", secrets=secrets)

        [wrong] = e.value.errors(include_input=False)
        assert wrong["loc"] == ("secrets",)
        assert "hunter2" not in wrong["msg"]

    def test_takes_a_secret_without_its_padding(self):
        [made] = {signatures("a", 1, b"", [SecretStr(secret)]) for secret in (NEW, NEW.rstrip("="))}

        assert made.startswith("v1,")

    def test_needs_no_client_from_outside(self, target, context):
        assert forward(EVENT, replace(context, client=None)) == Done({"status": 200, "url": f"{target.url}/hook"})

    def test_must_name_a_url_and_a_secret(self):
        with pytest.raises(ValidationError) as e:
            Settings()

        assert [wrong["loc"] for wrong in e.value.errors()] == [("url",), ("secrets",)]

    def test_do_not_print_what_is_secret(self):
        settings = Settings(
            url="https://orders.example/hook?hunter2", secrets=NEW, headers={"Authorization": "hunter2"}
        )

        assert "hunter2" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
        assert NEW not in repr(settings)

    def test_are_shown_without_what_is_secret(self, tmp_path):
        receiver = Running(
            tmp_path,
            f"""
            [handlers.orders]
            module = "receiver_handlers.forward"
            url = "https://orders.example/hook?hunter2"
            secrets = ["{OLD}", "{NEW}"]
            headers = {{Authorization = "hunter2"}}
            """,
        )
        checked = receiver.run("check", "--offline")

        assert checked.returncode == 0, checked.stderr
        assert 'handlers.orders.url = "https://orders.example/hook"' in checked.stdout.splitlines()
        assert not [secret for secret in ("hunter2", OLD, NEW) if secret in checked.stdout + checked.stderr]


def loaded(**tables):
    """The handlers that these tables switch on."""
    tables = {name: {"module": "receiver_handlers.forward", **table} for name, table in tables.items()}
    return handlers(configuration.from_tables({"handlers": tables}))


def to(target, path="/hook", **table):
    return {"url": target.url + path, "secrets": NEW, "allow_private": True, **table}


class TestInTheEngine:
    """From the store through a worker to the other side and back."""

    @pytest.fixture
    def work(self, store):
        def run(*handlers):
            sources = {name: Source(name, CreativeAI()) for name in (SOURCE, "other")}
            LocalEngine(store, handlers, sources).run_until_idle()

        return run

    def test_keeps_what_was_answered(self, store, target, work):
        store.receive(a_record(an_event()))

        work(*loaded(orders=to(target, "/hook?private")))

        row = the_dispatch(store)
        assert (row["state"], row["result"]) == ("done", {"status": 200, "url": f"{target.url}/hook"})
        assert verified(target.asked[0], NEW)

    def test_sends_the_metadata_of_the_job(self, store, target, work):
        store.track(SOURCE, "job_1", kind="video", schedule=DUE, metadata={"user": 7})
        store.receive(a_record(an_event()))

        work(*loaded(orders=to(target)))

        assert sent(target)["data"]["metadata"] == {"user": 7}

    def test_sends_the_same_id_until_it_is_done(self, store, target, work):
        store.receive(a_record(an_event()))
        target.answer = in_turn(Answer(status=500), Answer(status=200))
        orders = loaded(orders=to(target, first_wait="1ms", longest_wait="1ms"))

        eventually(lambda: work(*orders) or the_dispatch(store)["state"] == "done")

        assert len({asked.headers["webhook-id"] for asked in target.asked}) == 1
        assert len(target.asked) == 2

    def test_waits_as_long_as_it_is_asked_to(self, store, target, work):
        store.receive(a_record(an_event()))
        answering(target, 429, Retry_After="1800")

        work(*loaded(orders=to(target, first_wait="1ms")))

        row = the_dispatch(store)
        [attempt] = store.list_attempts(row["id"])
        assert attempt["error"] == "RetryAfter: 127.0.0.1 answered 429"
        waited = datetime.fromisoformat(row["due_at"]) - datetime.fromisoformat(attempt["ended_at"])
        assert waited == timedelta(minutes=30)

    @pytest.mark.parametrize(("status", "state"), [(404, "dead"), (302, "dead"), (410, "cancelled")])
    def test_gives_up_on_the_first_attempt(self, store, target, work, status, state):
        store.receive(a_record(an_event()))
        answering(target, status)

        work(*loaded(orders=to(target)))

        assert the_dispatch(store)["state"] == state
        assert "[handlers.orders] url: 127.0.0.1 answered" in the_dispatch(store)["error"]

    @pytest.mark.parametrize(
        ("wanted", "got"),
        [
            pytest.param({"source": "other"}, {"job_2"}, id="source"),
            pytest.param({"source": "creativeai"}, {"job_1", "job_2", "job_3"}, id="provider"),
            pytest.param({"type": "image.*"}, {"job_3"}, id="type"),
            pytest.param({"status": ["failed"]}, {"job_2"}, id="status"),
            pytest.param({"kind": "video", "status": "succeeded"}, {"job_1"}, id="kind-and-status"),
        ],
    )
    def test_each_table_has_its_own_url_and_filters(self, store, target, work, wanted, got):
        store.receive(a_record(an_event("job_1")))
        store.receive(a_record(an_event("job_2", Status.FAILED, source="other")))
        store.receive(a_record(an_event("job_3", kind="image", type="image.generation.completed")))

        work(*loaded(everything=to(target, "/everything"), some=to(target, "/some", **wanted)))

        subjects = {
            path: {json.loads(asked.body)["subject"] for asked in target.asked if asked.path == path}
            for path in ("/everything", "/some")
        }
        assert subjects == {"/everything": {"job_1", "job_2", "job_3"}, "/some": got}

    def test_one_url_that_fails_does_not_stop_another(self, store, target, work):
        store.receive(a_record(an_event()))
        target.answer = lambda path: Answer(status=500 if path == "/broken" else 200)

        work(*loaded(broken=to(target, "/broken"), whole=to(target, "/whole")))

        rows = store.list_dispatches(limit=9).rows
        assert {row["handler"]: row["state"] for row in rows} == {"broken": "pending", "whole": "done"}
