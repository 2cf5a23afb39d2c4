"""Messages to real servers on this machine: web hooks, and a mailbox."""

import importlib
import io
import json
import logging
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from itertools import takewhile
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import parse_qs

import apprise
import pytest
from receiver_handlers import notify as module
from receiver_handlers.notify import Settings, notify, router

from receiver import Context, Done, Event, Failure, Job, Output, Status, clock, plugins
from receiver.config import from_tables
from receiver.engine.local import LocalEngine
from receiver.errors import ConfigError, RequestFailed
from receiver.inbox import Source
from receiver.outbound.people import LOCAL_SERVICES
from receiver.providers.creativeai import CreativeAI
from tests.scripted import Answer, Scripted, always, in_turn
from tests.store.contract import SOURCE, a_record, an_event, the_dispatch
from tests.watch import eventually

# Apprise imports it for encrypted mail, wherever Python still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TOKEN = "t0k3n-of-the-team"
AT = datetime(2026, 3, 9, 16, 13, tzinfo=UTC)
NOBODY = "127.0.0.1:9"
LONG = 10.0

FAILED = Event(
    id=7,
    source="creative",
    key="vgen_abc123:failed",
    type="video.generation.failed",
    data={},
    kind="video",
    job_id="vgen_abc123",
    status=Status.FAILED,
    raw_status="error",
    failure=Failure("The prompt was refused", "content_policy"),
)
SUCCEEDED = replace(
    FAILED,
    key="vgen_abc123:succeeded",
    type="video.generation.completed",
    status=Status.SUCCEEDED,
    failure=None,
    outputs=(Output("https://cdn.example/a.mp4?signature=b"), Output("https://cdn.example/b.mp4")),
)
NOTICE = Event(source="creative", key="n1", type="balance.low", data={})


class Mailbox(ThreadingTCPServer):
    """An SMTP server that keeps what it is given."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.mails = []
        self.recipients = []
        self.refused = ""
        self.port = self.server_address[1]

    @property
    def mail(self):
        [mail] = self.mails
        return message_from_bytes(mail, policy=policy.default)

    @property
    def text(self):
        return self.mail.get_body(("plain",)).get_content()


class Conversation(StreamRequestHandler):
    def handle(self):
        with suppress(OSError):
            self.say("220 ready")
            for line in self.rfile:
                self.answer(line.decode().strip())

    def answer(self, line):
        command = line[:4].upper()
        if command == "RCPT":
            self.server.recipients.append(line)
            self.say("550 no such person" if self.server.refused and self.server.refused in line else "250 fine")
        elif command == "DATA":
            self.say("354 go on")
            lines = takewhile(lambda line: line != b".\r\n", self.rfile)
            self.server.mails.append(b"".join(lines))
            self.say("250 taken")
        else:
            self.say("221 bye" if command == "QUIT" else "250 fine")

    def say(self, line):
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def mailbox():
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def team():
    """A web hook that takes everything."""
    with Scripted(always(Answer({}))) as server:
        yield server


def hook(server, scheme="json", path=TOKEN):
    return f"{scheme}://{server.url.removeprefix('http://')}/{path}"


def mail(mailbox, to="team@example.test"):
    return f"mailto://127.0.0.1:{mailbox.port}?from=receiver@example.test&to={to}"


def telling(*urls, metadata=None, key="key-1", deadline=None, **settings):
    job = Job(source="creative", job_id="vgen_abc123", kind="video", created_at=AT, deadline_at=AT)
    return Context(
        settings=Settings(urls=urls, **settings),
        job=replace(job, metadata=metadata or {}),
        idempotency_key=key,
        deadline=deadline,
    )


def told(server):
    return [json.loads(asked.body) for asked in server.asked]


def told_once(server):
    [message] = told(server)
    return message


def body_of(server, event, body, **more):
    notify(event, telling(hook(server), body=body, **more))
    return told_once(server)["message"]


@pytest.fixture(autouse=True)
def nobody_told_yet():
    """Whom one test told, the next tells again."""
    module._told.cache_clear()


@pytest.fixture
def logged():
    """What a receiver would have logged so far."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lines.getvalue
    root.setLevel(level)
    root.removeHandler(handler)


# What is told


def test_says_what_failed_and_why(team):
    notify(FAILED, telling(hook(team)))

    assert told_once(team) == {
        "version": "1.0",
        "title": "creative: video failed",
        "message": "video.generation.failed vgen_abc123\nThe prompt was refused",
        "attachments": [],
        "type": "failure",
    }


def test_says_where_the_result_is_without_what_opens_it(team):
    notify(SUCCEEDED, telling(hook(team)))

    assert told_once(team)["message"] == "video.generation.completed vgen_abc123\nhttps://cdn.example/a.mp4"


def test_says_what_it_can_of_a_notice(team):
    notify(NOTICE, telling(hook(team)))

    assert (told_once(team)["title"], told_once(team)["message"]) == ("creative:", "balance.low")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(Status.SUCCEEDED, "success", id="succeeded"),
        pytest.param(Status.FAILED, "failure", id="failed"),
        pytest.param(Status.EXPIRED, "failure", id="expired"),
        pytest.param(Status.LOST, "failure", id="lost"),
        pytest.param(Status.CANCELLED, "warning", id="cancelled"),
        pytest.param(Status.RUNNING, "info", id="running"),
        pytest.param(None, "info", id="none"),
    ],
)
def test_gives_each_status_its_colour(team, status, kind):
    notify(replace(FAILED, status=status), telling(hook(team)))

    assert told_once(team)["type"] == kind


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param("$event $source $type", "7 creative video.generation.completed", id="event"),
        pytest.param("$kind $job $status $raw_status", "video vgen_abc123 succeeded error", id="job"),
        pytest.param("$output_count: $output_url", "2: https://cdn.example/a.mp4?signature=b", id="outputs"),
        pytest.param("$metadata_order, $metadata_for", "17, Zoë", id="metadata"),
        pytest.param("$metadata_tags", '["a", "ü"]\u200b', id="list"),
        pytest.param("$metadata_nothing$metadata_missing.", ".", id="nothing"),
        pytest.param("$$5 for   $job's\tframes", "$5 for vgen_abc123's frames", id="text"),
        pytest.param("one\n$error\n\n$error $error_code\ntwo", "one\n\ntwo", id="empty-lines"),
    ],
)
def test_fills_in_the_names(team, body, text):
    metadata = {"order": 17, "for": "Zoë", "tags": ["a", "ü"], "nothing": None}

    assert body_of(team, SUCCEEDED, body, metadata=metadata) == text


def test_fills_in_why(team):
    assert body_of(team, FAILED, "$error_code: $error") == "content_policy: The prompt was refused"


def test_a_job_that_nobody_knows_has_no_metadata(team):
    notify(FAILED, replace(telling(hook(team), body="($metadata_order)"), job=None))

    assert told_once(team)["message"] == "()"


@pytest.mark.parametrize(
    ("title", "body", "message"),
    [
        pytest.param("$type", "$error", ("", "balance.low"), id="no-body"),
        pytest.param("$error", "$error", ("", "creative"), id="neither"),
        pytest.param("", "\n\n$type", ("", "balance.low"), id="no-title"),
        pytest.param("a\n$type", "b", ("a balance.low", "b"), id="title-of-two-lines"),
    ],
)
def test_always_has_something_to_say(team, title, body, message):
    notify(NOTICE, telling(hook(team), title=title, body=body))

    assert (told_once(team)["title"], told_once(team)["message"]) == message


def test_says_how_many_were_told(team):
    assert notify(FAILED, telling(hook(team), hook(team, path="other"))) == Done({"told": 2})


def test_wants_whatever_the_table_wants():
    [routes] = router.routes.values()

    assert all(any(route.matches(event, "creativeai") for route in routes) for event in [FAILED, SUCCEEDED, NOTICE])


# Other services


def test_fills_in_a_form(team):
    notify(FAILED, telling(hook(team, scheme="form")))
    [asked] = team.asked

    assert parse_qs(asked.body.decode())["title"] == ["creative: video failed"]


def test_sends_a_mail(mailbox):
    notify(FAILED, telling(mail(mailbox)))

    assert (mailbox.mail["Subject"], mailbox.mail["To"]) == ("creative: video failed", "team@example.test")
    assert mailbox.text.split() == ["video.generation.failed", "vgen_abc123", "The", "prompt", "was", "refused"]


def test_a_mail_shows_markup_as_it_is_written(mailbox):
    notify(replace(FAILED, failure=Failure("<b>no</b> & <script>")), telling(mail(mailbox) + "&format=html"))
    page = mailbox.mail.get_body(("html",)).get_content()

    assert "&lt;\u200bb&gt;no&lt;" in page
    assert "<script" not in page


# Hostile texts


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        pytest.param("@everyone", "@\u200beveryone", id="discord"),
        pytest.param("\uff20all", "\uff20\u200ball", id="wide"),
        pytest.param("<!channel> <@U1>", "<\u200b!channel> <\u200b@\u200bU1>", id="slack"),
        pytest.param("<@&1>", "<\u200b@\u200b&1>", id="role"),
        pytest.param("<https://evil.example|bank>", "<\u200bhttps://evil.example|bank>", id="slack-link"),
        pytest.param("[bank](https://evil.example)", "[bank]\u200b(https://evil.example)", id="link"),
        pytest.param("```", "`\u200b`\u200b`\u200b", id="code"),
        pytest.param("no\r\nSubject: x\u2028\x00\x1b[31m", "no Subject: x [31m", id="control-characters"),
        pytest.param("\u202eevil\u200d\ud800", "evil", id="invisible"),
        pytest.param("夜 🎬 ünï", "夜 🎬 ünï", id="unicode"),
        pytest.param("$job ${source} {0.__class__} %s", "$job ${source} {0.__class__} %s", id="template"),
        pytest.param("x" * 501, "x" * 499 + "…", id="long"),
        pytest.param("x\n" * 10**6, "x " * 249 + "x…", id="huge"),
    ],
)
def test_a_text_of_the_provider_is_only_text(team, said, shown):
    assert body_of(team, replace(FAILED, failure=Failure(said)), "$error") == shown


@pytest.mark.parametrize("name", ["type", "kind", "job", "raw_status", "error_code", "metadata_order"])
def test_every_name_is_only_text(team, name):
    hostile = replace(
        FAILED,
        type="@here",
        kind="@here",
        job_id="@here",
        raw_status="@here",
        failure=Failure("", "@here"),
    )

    assert body_of(team, hostile, f"${name}", metadata={"order": "@here"}) == "@\u200bhere"


def test_the_pieces_of_a_mention_do_not_make_one(team):
    event = replace(FAILED, job_id="@", kind="here")

    assert body_of(team, event, "$job$kind") == "@\u200bhere"


def test_pings_nobody_where_a_plain_name_would(team):
    notify(replace(FAILED, failure=Failure("@all")), telling(hook(team, "mmost", "abcdefghijklmnopqrstuvwxyz")))

    assert "@\u200ball" in told_once(team)["text"]


def test_whoever_writes_the_template_may_ping(team):
    assert body_of(team, FAILED, "@here $status") == "@here failed"


def test_a_title_is_one_line(mailbox):
    notify(replace(FAILED, kind="x\r\nBcc: evil@example.test\r\n\r\n"), telling(mail(mailbox)))

    assert mailbox.mail["Subject"] == "creative: x Bcc: evil@\u200bexample.test failed"
    assert len(mailbox.recipients) == 1
    assert "Bcc" not in mailbox.mail


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param(
            "https://cdn.example/@everyone/<!here>`]( ",
            "https://cdn.example/%40everyone/%3C!here%3E%60%5D(%20",
            id="markup",
        ),
        pytest.param("https://cdn.example/a%20b", "https://cdn.example/a%20b", id="quoted"),
        pytest.param("https://cdn.example/夜\ud800\n", "https://cdn.example/%E5%A4%9C?%0A", id="letters"),
        pytest.param("https://user:password@cdn.example/a", "https://cdn.example/a", id="password"),
        pytest.param("javascript:alert(1)", "", id="script"),
        pytest.param("data:video/mp4;base64,AA", "", id="data"),
        pytest.param("https://cdn.example/" + "a" * 2000, "", id="long"),
    ],
)
def test_a_link_is_only_a_link(team, url, shown):
    assert body_of(team, replace(SUCCEEDED, outputs=(Output(url),)), "<$output>") == f"<{shown}>"


# Failure


def fail(event, context):
    with pytest.raises(RequestFailed) as failed:
        notify(event, context)
    return str(failed.value)


@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_refusal_says_so(status):
    with Scripted(always(Answer(TOKEN.encode(), status=status, headers={"Location": "/"}))) as server:
        error = fail(FAILED, telling(hook(server)))

    assert error.startswith("URL 1: JSON: Failed to send JSON POST notification")
    assert error.endswith(f"error={status}.")
    assert len(server.asked) == 1


def test_hanging_up_is_a_failure():
    with Scripted(lambda path: None) as server:
        error = fail(FAILED, telling(hook(server)))

    assert error == "URL 1: JSON: A Connection error occurred sending JSON notification to (masked)."


def test_a_refused_recipient_is_a_failure(mailbox):
    mailbox.refused = "gone@"
    error = fail(FAILED, telling(mail(mailbox, to="gone@example.test")))

    assert error == 'URL 1: E-Mail: Sending email to "(masked)@(masked)" failed.'


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"json://user:pass-of-mine@{NOBODY}/{TOKEN}?key=key-of-mine", id="json"),
        pytest.param(f"json://user:p%40ss-of-mine@{NOBODY}/{TOKEN}?key=key-of-mine", id="quoted"),
        pytest.param(f"form://{NOBODY}/{TOKEN}", id="form"),
        pytest.param(f"mmost://{NOBODY}/{TOKEN}", id="mattermost"),
        pytest.param(
            f"mailto://user:pass-of-mine@{NOBODY}?from=a@example.test&to=whom-of-mine@example.test", id="mail"
        ),
        pytest.param(f"gotify://{NOBODY}/{TOKEN}", id="gotify"),
        pytest.param(f"ntfy://{TOKEN}@{NOBODY}/topic-of-mine", id="ntfy"),
        pytest.param(f"matrix://user:pass-of-mine@{NOBODY}/room-of-mine", id="matrix"),
        pytest.param(f"rocket://user:pass-of-mine@{NOBODY}/#channel-of-mine", id="rocketchat"),
    ],
)
def test_neither_errors_nor_logs_show_a_url(url, logged):
    error = fail(FAILED, telling(url))

    assert error.startswith("URL 1: ")
    assert "of-mine" not in error + logged()
    assert TOKEN not in error + logged()


class TestSeveral:
    def test_all_are_told_even_if_one_cannot_be(self, team):
        error = fail(FAILED, telling(f"json://{NOBODY}/", hook(team)))

        assert error.startswith("URL 1: JSON: ")
        assert len(team.asked) == 1

    def test_says_of_each_why_not(self):
        error = fail(FAILED, telling(f"json://{NOBODY}/", f"form://{NOBODY}/"))

        assert error.count("Connection error") == 2
        assert "; URL 2: Form: " in error

    def test_a_retry_tells_only_the_others(self, team):
        with Scripted(always(Answer(status=503))) as other:
            context = telling(hook(team), hook(other))
            fail(FAILED, context)
            other.answer = always(Answer())
            done = notify(FAILED, context)

        assert (len(team.asked), len(other.asked)) == (1, 2)
        assert done == Done({"told": 2})

    def test_a_second_run_tells_nobody_again(self, team):
        context = telling(hook(team))
        notify(FAILED, context)
        notify(FAILED, context)

        assert len(team.asked) == 1

    def test_a_replay_tells_everybody(self, team):
        notify(FAILED, telling(hook(team)))
        notify(FAILED, telling(hook(team), key="key-2"))

        assert len(team.asked) == 2

    def test_another_event_is_told(self, team):
        context = telling(hook(team))
        notify(FAILED, context)
        notify(SUCCEEDED, context)

        assert len(team.asked) == 2


class TestTime:
    @pytest.fixture
    def silent(self):
        """A web hook that never answers."""
        over = threading.Event()
        with Scripted(lambda path: over.wait(LONG) and None) as server:
            yield server
            over.set()

    def test_waits_no_longer_than_the_attempt_may_take(self, silent):
        error = fail(FAILED, telling(hook(silent), deadline=clock.now() + timedelta(seconds=3)))

        assert "Connection error" in error

    def test_waits_no_longer_than_the_url_says(self, silent):
        error = fail(FAILED, telling(hook(silent) + "?rto=0.1"))

        assert "Connection error" in error

    def test_begins_nothing_when_the_time_is_over(self, team):
        error = fail(FAILED, telling(hook(team), hook(team), deadline=clock.now()))

        assert error.count("not tried, because the attempt's time is over") == 2
        assert team.asked == []


def test_cuts_off_what_the_service_would_refuse(team):
    assert len(body_of(team, FAILED, "x" * 40_000)) < 40_000


def test_leaves_whole_what_the_url_says(team):
    notify(FAILED, telling(hook(team) + "?overflow=upstream", body="x" * 40_000))

    assert len(told_once(team)["message"]) == 40_000


# Settings


def refusal(**settings):
    with pytest.raises(ConfigError) as refused:
        configured(**settings)
    return str(refused.value)


def configured(**settings):
    table = {"module": "receiver_handlers.notify", **settings}
    [handler] = plugins.handlers(from_tables({"handlers": {"notify": table}}))
    return handler


def test_one_url_needs_no_list():
    assert len(configured(urls=f"json://{NOBODY}").settings.urls) == 1


def test_takes_the_url_that_a_service_gives_out():
    assert configured(urls="https://hooks.slack.com/services/T12345678/B12345678/abcdefghijklmnopqrstuvwx")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="empty"),
        pytest.param(TOKEN, id="no-url"),
        pytest.param(f"nowhere://{TOKEN}", id="unknown"),
        pytest.param(f"slack://{TOKEN}", id="incomplete"),
        pytest.param(f"json://[{TOKEN}", id="broken"),
        pytest.param(f"http://{NOBODY}/{TOKEN}", id="configuration-from-the-web"),
        pytest.param(f"file:///etc/{TOKEN}", id="configuration-from-a-file"),
    ],
)
def test_a_url_that_apprise_does_not_take_is_found_at_once(url, logged):
    error = refusal(urls=[f"json://{NOBODY}", url])

    assert error.startswith("receiver.toml: handlers.notify.urls: URL 2: Apprise does not accept it")
    assert TOKEN not in error + logged()


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n"])
def test_several_urls_are_not_one(between):
    error = refusal(urls=f"json://{NOBODY}{between}mailto://{TOKEN}@{NOBODY}")

    assert error == "receiver.toml: handlers.notify.urls: URL 1: it is several; write them as a list"


@pytest.mark.parametrize("scheme", sorted(LOCAL_SERVICES))
@pytest.mark.parametrize("form", ["{}://", " {}://_/"])
def test_this_machine_is_not_told(scheme, form):
    error = refusal(urls=form.format(scheme))

    assert error == (
        f"receiver.toml: handlers.notify.urls: URL 1: {scheme}:// is this machine itself; "
        "only services on a network can be told"
    )


def test_no_other_service_does_without_an_address():
    """A new one in a new Apprise fails here, and wants a look."""
    local = set()
    for plugin in apprise.NotificationManager().plugins():
        if any(template.removeprefix("{schema}://").strip("_/") == "" for template in plugin.templates):
            local |= {plugin.protocol} if isinstance(plugin.protocol, str) else set(plugin.protocol)

    assert local == LOCAL_SERVICES


def test_code_that_somebody_registered_is_not_told():
    @apprise.decorators.notify(on="ours")
    def run(*arguments, **options): ...

    try:
        error = refusal(urls="ours://anything")
    finally:
        apprise.NotificationManager().remove("ours")

    assert "Apprise does not accept it" in error


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({}, "urls: Field required", id="no-urls"),
        pytest.param({"urls": []}, "urls: Value should have at least 1 item", id="empty"),
        pytest.param({"title": "$jobs"}, "title: there is no $jobs; there are $event, $source, ", id="unknown"),
        pytest.param({"body": "a\n$job $Status"}, "body: there is no $Status; ", id="upper-case"),
        pytest.param({"body": "$job.__class__ $data"}, "body: there is no $data; ", id="data"),
        pytest.param({"body": "5 $"}, "body: a $ is followed by no name; write $$", id="dollar"),
        pytest.param({"text": ""}, "text: unknown key", id="unknown-key"),
    ],
)
def test_names_the_setting_that_is_wrong(settings, error):
    urls = {} if error.startswith("urls") else {"urls": f"json://{NOBODY}"}

    assert refusal(**urls, **settings).startswith(f"receiver.toml: handlers.notify.{error}")


def test_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)

    assert refusal(urls=f"json://{NOBODY}") == (
        'receiver.toml: handlers.notify.urls: needs the extra: pip install "ai-media-receiver[notify]"'
    )


def test_can_be_imported_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.delitem(sys.modules, "receiver_handlers.notify")

    assert importlib.import_module("receiver_handlers.notify").router.routes


def test_shows_no_url():
    settings = Settings(urls=f"json://{NOBODY}/{TOKEN}")

    assert TOKEN not in repr(settings) + settings.model_dump_json()


# All of it


def test_tells_of_what_the_table_asks_for(store, team):
    handler = configured(urls=hook(team), status="failed", body="$job of $metadata_order: $error")
    store.receive(a_record(an_event("job_1", Status.SUCCEEDED)))
    store.receive(a_record(an_event("job_2", Status.FAILED, failure=Failure("no @all"))))
    LocalEngine(store, [handler], {SOURCE: Source(SOURCE, CreativeAI())}).run_until_idle()

    assert told_once(team)["message"] == "job_2 of : no @\u200ball"
    assert the_dispatch(store)["state"] == "done"


def test_is_tried_again_without_telling_anybody_twice(store, team):
    with Scripted(in_turn(Answer(status=500), Answer())) as other:
        handler = configured(urls=[hook(team), hook(other)], first_wait="1ms", longest_wait="1ms")
        store.receive(a_record(an_event()))
        engine = LocalEngine(store, [handler], {SOURCE: Source(SOURCE, CreativeAI())})
        eventually(lambda: engine.run_until_idle() or the_dispatch(store)["state"] == "done")
    first, second = store.list_attempts(the_dispatch(store)["id"])

    assert first["error"] == (
        "RequestFailed: URL 2: JSON: Failed to send JSON POST notification: Internal server error., error=500."
    )
    assert second["outcome"] == "done"
    assert (len(team.asked), len(other.asked)) == (1, 2)
