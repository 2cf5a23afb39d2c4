"""Files from a real server on this machine into a real directory."""

import hashlib
import json
import os
import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import receiver_handlers.archive
from receiver_handlers.archive import Settings, archive, router

from receiver import Cancel, Context, Done, Event, Output, Snooze, Status, plugins
from receiver.config import load
from receiver.engine.local import LocalEngine
from receiver.errors import AddressRefused, CredentialsRefused, RequestFailed, TooLarge
from receiver.inbox import Source
from receiver.models import Access
from receiver.outcomes import Decision
from receiver.providers.creativeai import CreativeAI
from receiver.testing import make_event, make_job, run_handler
from tests.media import FILM, FILM_HASH, serving
from tests.scripted import Answer, Scripted, always, job
from tests.store.contract import SOURCE, a_record, an_event, the_dispatch

PLAN = timedelta(minutes=1)


@pytest.fixture
def storage():
    with serving() as server:
        yield server


@pytest.fixture
def context(tmp_path):
    settings = Settings(directory=str(tmp_path / "media"), allow_private=True, download_timeout=PLAN)
    return Context(handler="archive", settings=settings, idempotency_key="key-1")


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "media"


def finished(*urls, authorized=False):
    return Event(
        source="creative",
        key="vgen_abc123:succeeded",
        type="video.generation.completed",
        data={},
        job_id="vgen_abc123",
        status=Status.SUCCEEDED,
        outputs=tuple(Output(url, authorized) for url in urls),
    )


def files(directory):
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.name != ".partial" and not path.name.endswith(".provenance.json")
    )


def partials(directory):
    return sorted(path.suffix for path in (directory / ".partial").iterdir())


class Told:
    """What a provider names when it is asked anew."""

    def __init__(self):
        self.outputs = []
        self.in_turn = []
        self.error = None
        self.count = 0

    def __call__(self):
        self.count += 1
        if self.error is not None:
            raise self.error
        return self.in_turn.pop(0) if self.in_turn else self.outputs


def changed(context, **settings):
    return replace(context, settings=context.settings.model_copy(update=settings))


def fail(event, context):
    with pytest.raises(RequestFailed):
        archive(event, context)


def test_saves_an_output(storage, context, directory):
    archive(finished(storage.put("/a.mp4")), context)

    assert (directory / f"{FILM_HASH}.mp4").read_bytes() == FILM


def test_says_what_it_saved(storage, context):
    url = storage.put("/a.mp4")

    assert archive(finished(f"{url}?signature=b"), context) == Done(
        {
            "saved": [
                {
                    "url": url,
                    "file": f"{FILM_HASH}.mp4",
                    "bytes": len(FILM),
                    "sha256": FILM_HASH,
                    "content_type": "video/mp4",
                }
            ]
        }
    )


def test_what_it_says_can_be_json(storage, context):
    done = archive(finished(storage.put("/a.mp4")), context)

    assert json.loads(json.dumps(done.result)) == done.result


def test_saves_every_output(storage, context):
    urls = [storage.put(f"/{n}", body=bytes([n]), content_type="image/png") for n in range(3)]
    done = archive(finished(*urls), context)

    assert [saved["url"] for saved in done.result["saved"]] == urls


def test_the_same_content_is_one_file(storage, context, directory):
    archive(finished(storage.put("/a.mp4"), storage.put("/b.mp4")), context)

    assert files(directory) == [f"{FILM_HASH}.mp4"]


def test_leaves_nothing_but_the_files(storage, context, directory):
    archive(finished(storage.put("/a.mp4")), context)

    assert partials(directory) == []


def test_saving_twice_is_harmless(storage, context, directory):
    event = finished(storage.put("/a.mp4"))
    archive(event, context)
    archive(event, context)

    assert files(directory) == [f"{FILM_HASH}.mp4"]


def test_an_event_without_outputs_is_nothing_to_do(context):
    assert archive(finished(), context) is None


def test_wants_jobs_that_succeeded():
    [[route]] = router.routes.values()

    assert route.statuses == {Status.SUCCEEDED}


@pytest.mark.parametrize(
    ("path", "content_type", "extension"),
    [
        pytest.param("/a", "image/png", ".png", id="type"),
        pytest.param("/a", "Audio/MPEG; rate=1", ".mp3", id="type-with-parameters"),
        pytest.param("/a.exe", "video/mp4", ".mp4", id="type-before-url"),
        pytest.param("/a.psd", "application/octet-stream", ".psd", id="url"),
        pytest.param("/a.MP4", None, ".mp4", id="upper-case"),
        pytest.param("/a.b/c", None, "", id="dot-in-a-folder"),
        pytest.param("/a.", None, "", id="nothing-after-the-dot"),
        pytest.param("/a.toolong", None, "", id="too-long"),
        pytest.param("/a.%2e%2f", None, "", id="quoted"),
        pytest.param("/a.j%70g", None, "", id="quoted-letter"),
        pytest.param("/..", None, "", id="dots"),
        pytest.param("/", None, "", id="no-name"),
        pytest.param("/a", "../../etc/passwd", "", id="type-is-a-path"),
    ],
)
def test_chooses_the_extension(storage, context, directory, path, content_type, extension):
    storage.put(path if path != "/.." else "/", content_type=content_type)
    archive(finished(storage.url(path)), context)

    assert files(directory) == [FILM_HASH + extension]


def test_a_host_is_no_extension(storage, context, directory):
    storage.put("/", content_type=None)
    archive(finished(f"http://127.0.0.1:{storage.server_port}"), context)

    assert files(directory) == [FILM_HASH]


class TestRetry:
    def test_goes_on_where_it_stopped(self, storage, context):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert storage.requests[1] == ("/a.mp4", "bytes=100000-")

    def test_puts_the_parts_together(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]

    def test_starts_again_when_the_file_changed(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        storage.put("/a.mp4", body=b"new", etag='"v2"')
        archive(event, context)

        assert files(directory) == [hashlib.sha256(b"new").hexdigest() + ".mp4"]

    def test_starts_again_when_versions_have_no_name(self, storage, context, directory):
        event = finished(storage.put("/a.mp4", etag=None))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]

    def test_starts_again_when_its_notes_are_damaged(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        [notes] = (directory / ".partial").glob("*.json")
        notes.write_bytes(notes.read_bytes()[:10])
        archive(event, context)

        assert storage.requests[1] == ("/a.mp4", None)

    def test_does_not_fetch_again_what_is_saved(self, storage, context):
        event = finished(storage.put("/a.mp4"), storage.url("/b.mp4"))
        fail(event, context)
        storage.put("/b.mp4")
        archive(event, context)

        assert [path for path, _ in storage.requests] == ["/a.mp4", "/b.mp4", "/b.mp4"]

    def test_says_also_what_was_saved_before(self, storage, context):
        event = finished(storage.put("/a.mp4"), storage.url("/b.mp4"))
        fail(event, context)
        storage.put("/b.mp4")
        done = archive(event, context)

        assert [saved["url"] for saved in done.result["saved"]] == [storage.url("/a.mp4"), storage.url("/b.mp4")]

    def test_the_part_of_one_output_is_not_of_the_next(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"), storage.put("/b.mp4", body=b"other" * 50_000))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert len(files(directory)) == 2

    @pytest.mark.parametrize("key", ["key-2", ""])
    def test_a_replay_starts_afresh(self, storage, context, key):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, replace(context, idempotency_key=key))

        assert storage.requests[1] == ("/a.mp4", None)

    def test_another_event_starts_afresh(self, storage, context):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(replace(event, key="vgen_def456:succeeded"), context)

        assert storage.requests[1] == ("/a.mp4", None)

    def test_waits_for_an_attempt_that_goes_on_unheard(self, storage, context):
        event = finished(storage.put("/a.mp4"))
        storage.open.clear()
        with ThreadPoolExecutor(1) as pool:
            unheard = pool.submit(archive, event, context)
            storage.asked.wait(5)
            second = archive(event, context)
            storage.open.set()
            unheard.result()

        assert second == Snooze(timedelta(seconds=30))

    def test_the_time_limit_is_of_all_outputs_together(self, storage, context):
        event = finished(storage.put("/a.mp4"), storage.put("/b.mp4"))

        with pytest.raises(RequestFailed, match="took too long"):
            archive(event, changed(context, download_timeout=timedelta(microseconds=1)))

    def test_throws_away_what_nobody_came_back_for(self, storage, context, directory):
        storage.cut["/a.mp4"] = 100_000
        fail(finished(storage.put("/a.mp4")), context)
        for path in (directory / ".partial").iterdir():
            os.utime(path, (0, 0))
        archive(finished(storage.put("/b.mp4")), replace(context, idempotency_key="key-2"))

        assert partials(directory) == []

    def test_keeps_what_is_recent(self, storage, context, directory):
        storage.cut["/a.mp4"] = 100_000
        fail(finished(storage.put("/a.mp4")), context)
        archive(finished(storage.put("/b.mp4")), replace(context, idempotency_key="key-2"))

        assert partials(directory) == [".json", ".part"]


class TestRefusal:
    def test_a_private_address_cancels(self, storage, context):
        outcome = archive(finished(storage.put("/a.mp4")), changed(context, allow_private=False))

        assert outcome == Cancel(
            "[handlers.archive] 127.0.0.1 leads to 127.0.0.1, which is not a public address; "
            "set allow_private = true if it is one of yours"
        )

    def test_a_private_address_is_not_called(self, storage, context):
        archive(finished(storage.put("/a.mp4")), changed(context, allow_private=False))

        assert storage.requests == []

    def test_a_large_file_cancels(self, storage, context):
        outcome = archive(finished(storage.put("/a.mp4")), changed(context, max_bytes=1000))

        assert outcome == Cancel(
            "[handlers.archive] the file at 127.0.0.1 is larger than 1000 bytes; raise max_bytes if it is wanted"
        )

    def test_leaves_no_part_behind(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, changed(context, max_bytes=1000))

        assert partials(directory) == []

    def test_what_is_no_web_address_cancels(self, context):
        assert isinstance(archive(finished("data:image/png;base64,AA"), context), Cancel)


class TestAuthorized:
    """Outputs behind the provider's own API, at an address that may be private."""

    @pytest.fixture
    def context(self, context, storage):
        access = Access(base_url=storage.url(""), headers={"Authorization": "Bearer private-key"})
        return replace(changed(context, allow_private=False), access=access)

    def test_is_saved_with_the_key(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4"), authorized=True), context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]
        assert storage.keys == ["Bearer private-key"]

    def test_goes_on_where_it_stopped(self, storage, context):
        event = finished(storage.put("/a.mp4"), authorized=True)
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        archive(event, context)

        assert storage.requests[1] == ("/a.mp4", "bytes=100000-")
        assert storage.keys == ["Bearer private-key"] * 2

    def test_what_it_says_has_no_key_in_it(self, storage, context):
        done = archive(finished(storage.put("/a.mp4"), authorized=True), context)

        assert "private-key" not in json.dumps(done.result)

    def test_an_output_that_is_not_is_fetched_without_the_key(self, storage, context):
        archive(finished(storage.put("/a.mp4")), changed(context, allow_private=True))

        assert storage.keys == [None]

    def test_an_output_that_is_not_may_not_be_private(self, storage, context):
        outcome = archive(finished(storage.put("/a.mp4")), context)

        assert isinstance(outcome, Cancel)
        assert storage.requests == []

    def test_each_output_is_fetched_as_it_says(self, storage, context):
        plain = finished(storage.put("/a.mp4"))
        own = finished(storage.put("/b.mp4"), authorized=True)
        event = replace(plain, outputs=(*plain.outputs, *own.outputs))
        archive(event, changed(context, allow_private=True))

        assert storage.keys == [None, "Bearer private-key"]

    def test_elsewhere_is_fetched_without_the_key(self, storage, context):
        elsewhere = replace(context.access, base_url=storage.url("/api"))
        archive(
            finished(storage.put("/a.mp4"), authorized=True),
            replace(changed(context, allow_private=True), access=elsewhere),
        )

        assert storage.keys == [None]

    def test_without_access_it_is_fetched_like_others(self, storage, context):
        archive(
            finished(storage.put("/a.mp4"), authorized=True),
            replace(changed(context, allow_private=True), access=None),
        )

        assert storage.keys == [None]


class TestFresh:
    """URLs that have expired, and what the provider names in their place."""

    @pytest.fixture
    def told(self):
        """What the provider names when it is asked, and how often it was asked."""
        return Told()

    @pytest.fixture
    def context(self, context, told):
        return replace(context, refresh=told)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
    def test_url_is_asked_for_when_the_old_one_is_refused(self, storage, context, directory, told, status):
        old = f"{storage.put('/a.mp4')}?signature=old"
        storage.refused["/a.mp4?signature=old"] = status
        told.outputs = [Output(f"{storage.url('/a.mp4')}?signature=new")]

        archive(finished(old), context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]
        assert storage.targets == ["/a.mp4?signature=old", "/a.mp4?signature=new"]

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_url_is_not_asked_for_when_the_server_is_in_trouble(self, storage, context, told, status):
        storage.refused["/a.mp4"] = status

        fail(finished(storage.url("/a.mp4")), context)

        assert told.count == 0

    def test_url_may_be_somewhere_else(self, storage, context, directory, told):
        told.outputs = [Output(storage.put("/new/place.mp4"))]

        archive(finished(storage.url("/gone.mp4")), context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]

    def test_url_is_not_what_is_reported(self, storage, context, told):
        told.outputs = [Output(storage.put("/new/place.mp4"))]

        done = archive(finished(storage.url("/gone.mp4")), context)

        assert done.result["saved"][0]["url"] == storage.url("/gone.mp4")

    def test_url_that_is_the_old_one_is_not_tried_twice(self, storage, context, told):
        event = finished(storage.url("/gone.mp4"))
        told.outputs = event.outputs

        with pytest.raises(RequestFailed, match=r"^127\.0\.0\.1 answers HTTP 404$"):
            archive(event, context)
        assert len(storage.requests) == 1

    def test_url_that_is_refused_too_is_the_last_of_the_attempt(self, storage, context, told):
        told.outputs = [Output(storage.url("/also-gone.mp4"))]

        fail(finished(storage.url("/gone.mp4")), context)

        assert (told.count, len(storage.requests)) == (1, 2)

    def test_url_is_asked_for_by_each_attempt(self, storage, context, directory, told):
        event = finished(storage.url("/gone.mp4"))
        told.outputs = [Output(storage.url("/also-gone.mp4"))]
        fail(event, context)
        told.outputs = [Output(storage.put("/here.mp4"))]

        archive(event, context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]

    def test_urls_of_all_outputs_are_asked_for_at_once(self, storage, context, directory, told):
        told.outputs = [Output(storage.put(f"/new/{n}.png", body=bytes([n]))) for n in range(3)]

        archive(finished(*[storage.url(f"/gone/{n}.png") for n in range(3)]), context)

        assert told.count == 1
        assert len(files(directory)) == 3

    def test_url_that_expires_meanwhile_is_asked_for_again(self, storage, context, directory, told):
        storage.put("/b.mp4", body=b"other")
        first = [Output(storage.put("/a.mp4")), Output(storage.url("/expired.mp4"))]
        second = [Output(storage.url("/a.mp4")), Output(storage.url("/b.mp4"))]
        told.in_turn = [first, second]

        archive(finished(storage.url("/gone/a.mp4"), storage.url("/gone/b.mp4")), context)

        assert told.count == 2
        assert len(files(directory)) == 2

    def test_outputs_are_told_apart_by_their_addresses(self, storage, context, told):
        one, two = storage.put("/1.png", body=b"1"), storage.put("/2.png", body=b"2")
        storage.refused = {"/1.png?old": 403, "/2.png?old": 403}
        told.outputs = [Output(f"{two}?new"), Output(f"{one}?new"), Output(storage.url("/3.png"))]

        done = archive(finished(f"{one}?old", f"{two}?old"), context)

        assert [saved["sha256"] for saved in done.result["saved"]] == [
            hashlib.sha256(body).hexdigest() for body in (b"1", b"2")
        ]

    def test_output_that_comes_first_now_is_not_taken_for_the_first(self, storage, context, told):
        a, b = storage.put("/a.png", body=b"a"), storage.put("/b2.png", body=b"b")
        told.outputs = [Output(b), Output(a)]

        with pytest.raises(RequestFailed, match="nothing tells"):
            archive(finished(a, storage.url("/b-expired.png")), context)

    def test_outputs_that_cannot_be_told_apart_are_not_guessed(self, storage, context, told):
        told.outputs = [Output(storage.put("/x.png")), Output(storage.put("/y.png"))]

        with pytest.raises(RequestFailed, match="HTTP 404, and there is no fresh URL: which of the 2 results"):
            archive(finished(storage.url("/gone.png")), context)

    def test_output_that_is_not_named_any_more_is_fetched_as_before(self, storage, context, told):
        storage.put("/2.png", body=b"2")
        storage.refused["/1.png?old"] = 403
        told.outputs = [Output(f"{storage.put('/1.png', body=b'1')}?new")]

        done = archive(finished(f"{storage.url('/1.png')}?old", storage.url("/2.png")), context)

        assert len(done.result["saved"]) == 2

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(RequestFailed("creative: no"), id="failed"),
            pytest.param(TooLarge("creative: no"), id="too-large"),
            pytest.param(AddressRefused("creative: no"), id="address"),
        ],
    )
    def test_url_that_is_not_to_be_had_is_asked_for_again_later(self, storage, context, told, error):
        told.error = error

        with pytest.raises(RequestFailed, match="HTTP 404, and there is no fresh URL: creative: no") as failure:
            archive(finished(storage.url("/gone.mp4")), context)
        assert type(failure.value) is RequestFailed

    def test_url_to_a_private_address_cancels(self, storage, context, told):
        storage.refused["/a.mp4"] = 403
        told.outputs = [Output("ftp://10.0.0.1/a.mp4")]

        assert isinstance(archive(finished(storage.url("/a.mp4")), context), Cancel)

    def test_nobody_can_be_asked_without_a_key(self, storage, context):
        with pytest.raises(RequestFailed, match=r"HTTP 404$"):
            archive(finished(storage.url("/gone.mp4")), replace(context, refresh=None))

    def test_part_goes_on_under_a_fresh_signature(self, storage, context, told):
        event = finished(f"{storage.put('/a.mp4')}?signature=old")
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        storage.refused["/a.mp4?signature=old"] = 403
        told.outputs = [Output(f"{storage.url('/a.mp4')}?signature=new")]

        archive(event, context)

        assert storage.requests[1:] == [("/a.mp4", "bytes=100000-")] * 2

    def test_part_of_what_is_elsewhere_is_fetched_anew(self, storage, context, directory, told):
        # The etag is the same: it tells apart the versions of one file, not two files.
        event = finished(storage.put("/a.mp4", etag='"1"'))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        storage.refused["/a.mp4"] = 403
        other = b"other" * 50_000
        told.outputs = [Output(storage.put("/b.mp4", body=other, etag='"1"'))]

        archive(event, context)

        assert storage.requests[-1] == ("/b.mp4", None)
        assert files(directory) == [f"{hashlib.sha256(other).hexdigest()}.mp4"]

    def test_part_from_a_fresh_url_goes_on_in_the_next_attempt(self, storage, context, told):
        told.outputs = [Output(storage.put("/new.mp4"))]
        storage.cut["/new.mp4"] = 100_000
        event = finished(storage.url("/gone.mp4"))
        fail(event, context)

        archive(event, context)

        assert storage.requests[-1] == ("/new.mp4", "bytes=100000-")

    def test_url_is_not_asked_for_where_the_adapter_builds_it(self, storage, context, told):
        access = Access(base_url=storage.url(), headers={"Authorization": "Bearer private-key"})

        fail(finished(storage.url("/gone.mp4"), authorized=True), replace(context, access=access))

        assert told.count == 0

    def test_a_key_that_is_not_accepted_is_named(self, storage, context):
        access = Access(base_url=storage.url(), headers={"Authorization": "Bearer private-key"})
        storage.refused["/a.mp4"] = 401

        with pytest.raises(CredentialsRefused, match="it does not accept the source's api_key") as failure:
            archive(finished(storage.url("/a.mp4"), authorized=True), replace(context, access=access))
        assert "private-key" not in str(failure.value)

    def test_queries_do_not_show(self, storage, context, told):
        told.outputs = [Output(f"{storage.url('/b.mp4')}?signature=private")]

        with pytest.raises(RequestFailed) as failure:
            archive(finished(f"{storage.url('/a.mp4')}?signature=private"), context)
        assert "private" not in str(failure.value)


def test_fetches_from_the_url_that_the_provider_names_when_the_stored_one_has_expired(
    storage, store, directory, tmp_path
):
    storage.put("/a.mp4")
    storage.refused["/a.mp4?signature=old"] = 403
    receive(store, f"{storage.url('/a.mp4')}?signature=old")

    with Scripted(job("completed", output_url=f"{storage.url('/a.mp4')}?signature=new")) as api:
        source = Source(SOURCE, CreativeAI(api_key="private-key", base_url=api.url))
        LocalEngine(store, [configured(tmp_path, directory)], {SOURCE: source}).run_until_idle()

    assert the_dispatch(store)["state"] == "done"
    assert (directory / f"{FILM_HASH}.mp4").read_bytes() == FILM
    assert api.paths == ["/v1/video/generations/job_1"]


def test_an_author_can_say_what_the_provider_names_anew(storage, directory):
    fresh = Output(storage.put("/new.mp4"))
    event = make_event("creativeai", "video", outputs=(Output(storage.url("/gone.mp4")),))
    settings = {"directory": str(directory), "allow_private": True}

    outcome = run_handler(receiver_handlers.archive, event, settings=settings, refresh=lambda: [fresh])

    assert outcome.decision is Decision.DONE


def test_retries_when_the_provider_does_not_know_the_job_any_more(storage, store, directory, tmp_path):
    receive(store, f"{storage.url('/gone.mp4')}?signature=old")

    with Scripted(always(Answer({"error": {"message": "no such job"}}, status=404))) as api:
        source = Source(SOURCE, CreativeAI(api_key="private-key", base_url=api.url))
        LocalEngine(store, [configured(tmp_path, directory)], {SOURCE: source}).run_until_idle()

    row = the_dispatch(store)
    assert row["state"] == "pending"
    assert "HTTP 404, and there is no fresh URL: creative: HTTP 404" in row["error"]


def configured(folder, directory):
    """The handler as a configuration switches it on."""
    file = folder / "receiver.toml"
    file.write_text(f'[handlers.archive]\ndirectory = "{directory}"\nallow_private = true\nfirst_wait = "1h"\n')
    [handler] = plugins.handlers(load(file))
    return handler


def receive(store, url):
    """A finished job whose result is at the URL."""
    store.receive(a_record(replace(an_event(), outputs=(Output(url),))))


class TestContent:
    """What was promised, and what arrived in its place."""

    @pytest.mark.parametrize(
        ("path", "body", "content_type"),
        [
            pytest.param("/a.mp4", b"", "video/mp4", id="empty"),
            pytest.param("/a", b"", None, id="empty-without-a-type"),
            pytest.param("/a.mp4", b"<!DOCTYPE html><p>Busy", "text/html", id="page"),
            pytest.param("/a", b"<!-- busy -->", "text/html", id="page-told-by-its-type"),
            pytest.param("/a.mp4", b"\xef\xbb\xbf \n<HTML>", "video/mp4", id="page-called-a-video"),
            pytest.param("/a", b'{"error": "busy"}', "application/json", id="json"),
            pytest.param("/a.png", b'{\n "error": "busy"}', None, id="json-without-a-type"),
            pytest.param("/a.mp4", b"<?xml version='1.0'?><Error>", "application/xml", id="error-of-a-storage-server"),
        ],
    )
    def test_is_not_kept(self, storage, context, directory, path, body, content_type):
        event = replace(finished(storage.put(path, body=body, content_type=content_type)), kind="video")

        with pytest.raises(RequestFailed, match=r"127\.0\.0\.1 sent (an empty file|a page)"):
            archive(event, context)
        assert files(directory) == []

    def test_is_fetched_anew_after_a_page(self, storage, context, directory):
        event = finished(storage.put("/a.mp4", body=b"<html>", content_type="text/html"))
        fail(event, context)
        storage.put("/a.mp4")
        archive(event, context)

        assert storage.requests == [("/a.mp4", None)] * 2
        assert files(directory) == [f"{FILM_HASH}.mp4"]

    @pytest.mark.parametrize(
        ("path", "body", "content_type", "kind"),
        [
            pytest.param("/a.mp4", b"\0\0\0 ftypisom", "text/html", "video", id="video-called-a-page"),
            pytest.param("/a.png", b"\xff\xd8\xff", "image/png", "image", id="one-image-for-another"),
            pytest.param("/a.mp4", b"whatever", "application/odd", "video", id="unknown"),
            pytest.param("/a.json", b'{"words": []}', "application/json", "voice", id="text-was-promised"),
            pytest.param("/a", b"<?xml version='1.0'?><svg/>", "image/svg+xml", "image", id="drawing"),
            pytest.param("/a", b'{"words": []}', "application/json", "other", id="nothing-promised"),
            pytest.param("/a", b'{"words": []}', "application/json", None, id="kind-not-told"),
        ],
    )
    def test_is_kept(self, storage, context, path, body, content_type, kind):
        event = replace(finished(storage.put(path, body=body, content_type=content_type)), kind=kind)

        assert isinstance(archive(event, context), Done)


class TestProvenance:
    def noted(self, directory):
        return [json.loads(path.read_bytes()) for path in sorted(directory.glob(f"{FILM_HASH}.*.provenance.json"))]

    def test_says_where_a_file_came_from(self, storage, context, directory):
        url = storage.put("/a.mp4")
        job = replace(make_job("vgen_abc123", kind="video"), metadata={"user": "Zoë\n"})
        archive(replace(finished(f"{url}?signature=b"), id=7, kind="video"), replace(context, job=job))

        [noted] = self.noted(directory)
        assert noted.pop("fetched_at")
        assert noted == {
            "sha256": FILM_HASH,
            "bytes": len(FILM),
            "content_type": "video/mp4",
            "source": "creative",
            "job": "vgen_abc123",
            "kind": "video",
            "event": 7,
            "key": "vgen_abc123:succeeded",
            "url": url,
            "metadata": {"user": "Zoë\n"},
        }

    def test_is_one_file_for_each_origin(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4")), context)

        [path] = directory.glob("*.provenance.json")
        assert re.fullmatch(rf"{FILM_HASH}\.[0-9a-f]{{16}}\.provenance\.json", path.name)

    def test_is_not_written_twice_by_a_replay(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        archive(event, context)
        archive(event, replace(context, idempotency_key="key-2"))

        assert len(self.noted(directory)) == 1

    def test_keeps_every_job_that_made_the_same(self, storage, context, directory):
        event = finished(storage.put("/a.mp4"))
        with ThreadPoolExecutor(8) as pool:
            for n in range(8):
                other = replace(event, key=f"job_{n}:succeeded")
                pool.submit(archive, other, replace(context, idempotency_key=f"key-{n}"))

        assert {noted["key"] for noted in self.noted(directory)} == {f"job_{n}:succeeded" for n in range(8)}

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"source": "other"}, id="source"),
            pytest.param({"key": "vgen_abc123:succeeded\nx"}, id="key"),
        ],
    )
    def test_of_another_origin_has_another_name(self, storage, context, directory, other):
        event = finished(storage.put("/a.mp4"))
        archive(event, context)
        archive(replace(event, **other), context)

        assert len(self.noted(directory)) == 2

    def test_can_be_left_out(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4")), changed(context, provenance=False))

        assert not list(directory.glob("*.json"))

    def test_is_written_by_a_retry_after_a_crash_before_it(self, storage, context, directory, tmp_path):
        event = finished(storage.put("/a.mp4"))
        archive(event, changed(context, directory=str(tmp_path / "elsewhere")))
        [name] = [path.name for path in (tmp_path / "elsewhere").glob("*.provenance.json")]
        # What is in its way cannot be replaced: the attempt ends between the two files.
        (directory / name).mkdir(parents=True)
        with pytest.raises(OSError, match="directory"):
            archive(event, context)
        assert (directory / f"{FILM_HASH}.mp4").exists()
        (directory / name).rmdir()

        archive(event, context)

        assert files(directory) == [f"{FILM_HASH}.mp4"]
        assert len(self.noted(directory)) == 1

    @pytest.mark.parametrize("body", [b'{"words": []}', b"[]", b'{"origins": 1}', b"\xff"])
    def test_is_kept_apart_from_a_result_that_is_json(self, storage, context, directory, body):
        event = finished(storage.put("/a.json", body=body, content_type="application/json"))
        archive(event, context)
        archive(event, replace(context, idempotency_key="key-2"))

        [result] = [path for path in directory.glob("*.json") if not path.name.endswith(".provenance.json")]
        [provenance] = directory.glob("*.provenance.json")
        assert result.read_bytes() == body
        assert json.loads(provenance.read_bytes())["bytes"] == len(body)


class TestFiles:
    def test_a_link_in_the_place_of_the_file_is_not_followed(self, storage, context, directory, tmp_path):
        (tmp_path / "victim").write_bytes(b"precious")
        directory.mkdir()
        (directory / f"{FILM_HASH}.mp4").symlink_to(tmp_path / "victim")
        archive(finished(storage.put("/a.mp4")), context)

        assert (tmp_path / "victim").read_bytes() == b"precious"

    @pytest.mark.parametrize("suffix", [".json", ".part"])
    def test_a_link_in_the_place_of_a_part_is_not_followed(self, storage, context, directory, tmp_path, suffix):
        (tmp_path / "victim").write_bytes(b"precious")
        event = finished(storage.put("/a.mp4"))
        storage.cut["/a.mp4"] = 100_000
        fail(event, context)
        [path] = (directory / ".partial").glob(f"*{suffix}")
        path.unlink()
        path.symlink_to(tmp_path / "victim")
        with pytest.raises(OSError, match="symbolic links"):
            archive(event, context)

        assert (tmp_path / "victim").read_bytes() == b"precious"

    def test_files_cannot_be_run(self, storage, context, directory):
        archive(finished(storage.put("/a.mp4")), context)

        assert (directory / f"{FILM_HASH}.mp4").stat().st_mode & 0o137 == 0

    @pytest.mark.parametrize("folder", [".", ".partial"])
    def test_directories_are_ours_alone(self, storage, context, directory, folder):
        archive(finished(storage.put("/a.mp4")), context)

        assert stat.S_IMODE((directory / folder).stat().st_mode) == 0o700

    def test_a_directory_that_is_there_stays_as_it_is(self, storage, context, directory):
        directory.mkdir()
        directory.chmod(0o755)
        archive(finished(storage.put("/a.mp4")), context)

        assert stat.S_IMODE(directory.stat().st_mode) == 0o755

    def test_the_directory_is_relative_to_where_the_process_runs(self, storage, context, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        archive(finished(storage.put("/a.mp4")), changed(context, directory="here/there"))

        assert files(tmp_path / "here" / "there") == [f"{FILM_HASH}.mp4"]


def test_a_url_needs_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)

    with pytest.raises(ValueError, match=re.escape('a URL needs fsspec: pip install "ai-media-receiver[s3]"')):
        Settings(directory="s3://bucket/prefix")


def test_sizes_and_durations_are_written_for_people():
    settings = Settings(max_bytes="1GiB", download_timeout="90s")

    assert (settings.max_bytes, settings.download_timeout) == (2**30, timedelta(seconds=90))
