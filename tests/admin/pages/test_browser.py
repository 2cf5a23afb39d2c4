"""What people do, done in a real browser."""

import struct
import zlib
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from flask import Flask, Response

from receiver import clock, inbox
from receiver.admin.extension import NAME
from receiver.errors import Reason
from receiver.models import Delivery, Failure, Output, State, Via
from receiver.sandbox import signed, webhook_body
from receiver.store.base import DispatchFilter, Refusal
from receiver.testing import make_event
from tests.admin.pages import chromium
from tests.running import SECRET
from tests.watch import eventually

PHONE = {"width": 390, "height": 844}
HOSTILE = '"><script>window.hurt = 1; alert(1)</script><img src=x onerror="window.hurt = 1; alert(1)">'
WITHIN = 10_000


def png():
    """A picture of one red point."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\xff\0\0")),
        (b"IEND", b""),
    ]
    written = [struct.pack(">I", len(data)) + kind + data for kind, data in chunks]
    summed = [part + struct.pack(">I", zlib.crc32(part[4:])) for part in written]
    return b"\x89PNG\r\n\x1a\n" + b"".join(summed)


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as opened:
        yield opened


@pytest.fixture
def url(app):
    with chromium.serving(app) as found:
        yield found


@pytest.fixture
def media(tmp_path):
    """A provider's storage; gives its URL, and what was asked of it."""
    asked = []
    storage = Flask("media")

    @storage.get("/<path:path>")
    def answer(path):
        asked.append(path)
        return Response(png(), mimetype="image/png")

    with chromium.serving(storage, certificate=chromium.own_certificate(tmp_path)) as found:
        yield found, asked


@pytest.fixture
def opened(browser, url, token):
    """Open a page, signed in: `opened("/events")`. The browser's settings may be given."""

    @contextmanager
    def open_page(path="/", **settings):
        context = browser.new_context(base_url=url, ignore_https_errors=True, **settings)
        context.set_default_timeout(WITHIN)
        page = context.new_page()
        page.dialogs = []
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path)
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("navigation", name="Pages").wait_for()
        yield page
        context.close()

    return open_page


@pytest.fixture
def picture(app, store, media):
    """An event whose result is a picture."""
    body = webhook_body("image", "img_17", base_url=media[0])
    headers = {name.lower(): value for name, value in signed(body, SECRET).items()}
    delivery = Delivery(source="creativeai", body=body, headers=headers, received_at=clock.now(), path="/webhooks")
    [event] = inbox.accept(app.extensions[NAME].sources["creativeai"], delivery, store=store, now=clock.now()).events
    return event


def find(page, job_id):
    """From wherever one is to the event of a job."""
    page.get_by_role("link", name="Events", exact=True).click()
    page.get_by_label("Job id").fill(job_id)
    page.get_by_role("button", name="Search").click()
    page.locator("tbody th a").click()


@pytest.mark.parametrize("javascript", [pytest.param(True, id="javascript"), pytest.param(False, id="no-javascript")])
def test_finds_an_event_sees_its_result_and_replays_it(opened, picture, media, attempted, store, javascript):
    attempted(picture)

    with opened(java_script_enabled=javascript) as page:
        find(page, "img_17")
        timeline = " ".join(page.locator(".timeline").inner_text().split())
        asked_before = list(media[1])
        page.get_by_role("link", name="Show the image").click()
        page.get_by_role("img", name="Result 1").wait_for()
        eventually(lambda: media[1])
        page.get_by_role("button", name="Replay for orders").click()
        told = page.get_by_role("status").inner_text()

    assert "Delivery 1" in timeline
    assert "attempt 1" in timeline
    assert asked_before == []
    assert told == "Replayed: 1 dispatch new."
    assert len(store.list_dispatches(DispatchFilter(event_id=picture.id), limit=5).rows) == 2


def test_result_is_seen(opened, picture):
    with opened(f"/events/{picture.id}?shown=1") as page:
        image = page.get_by_role("img", name="Result 1")
        image.wait_for()

        eventually(lambda: image.evaluate("image => image.naturalWidth") == 1)


def test_retries_a_group_of_dead_letters(opened, post, attempted, store):
    letters = [attempted(post(f"vgen_{number}"), "dead", "OSError: no disk") for number in range(3)]

    with opened("/dead-letters") as page:
        page.get_by_role("link", name="OSError: no disk").click()
        page.get_by_role("button", name="Retry all 3").click()
        told = page.get_by_role("status").inner_text()

    assert told == "3 dispatches due again."
    assert {store.dispatch(letter)["state"] for letter in letters} == {State.PENDING}


def test_verifies_again_what_was_refused_before_a_fix(tables, request):
    tables["sources"]["creativeai"]["secrets"] = [SECRET, "another-secret"]
    refusal, opened, store = (request.getfixturevalue(name) for name in ("refuse_then_fixed", "opened", "store"))

    with opened("/quarantine") as page:
        page.get_by_role("link", name=str(refusal), exact=True).click()
        page.get_by_role("button", name="Verify again").click()
        told = page.get_by_role("status").inner_text()

    assert told == "Verified, taken in, and no longer in the quarantine."
    assert [row["job"] for row in store.list_events(limit=5).rows] == ["vgen_1"]


def test_nothing_hostile_runs(opened, app, store, attempted):
    event = make_event(
        "creativeai",
        id=None,
        key=HOSTILE,
        type=HOSTILE,
        job_id=HOSTILE,
        failure=Failure(HOSTILE, HOSTILE),
        outputs=(Output("javascript:window.hurt=1"), Output(f"https://127.0.0.1:9/{HOSTILE}.png")),
        data={HOSTILE: HOSTILE},
    )
    told = Delivery(
        source="creativeai", body=HOSTILE.encode(), received_at=clock.now(), path=HOSTILE, headers={}, via=Via.POLL
    )
    [event] = inbox.learn(app.extensions[NAME].sources["creativeai"], told, [event], store=store).events
    attempted(event, "dead", HOSTILE)
    store.quarantine([Refusal(delivery=told, reason=Reason.MALFORMED, hint=HOSTILE)], max_count=10)
    job = urlencode({"source": "creativeai", "job": HOSTILE})
    group = urlencode({"handler": "orders", "first_line": HOSTILE})
    paths = [
        *("/", "/events", f"/events/{event.id}?shown=2", "/deliveries/1", "/jobs", f"/jobs/one?{job}"),
        *("/dead-letters", f"/dead-letters/group?{group}", "/quarantine", "/quarantine/1"),
    ]

    with opened() as page:
        hurt, shown = [], []
        for path in paths:
            page.goto(path, wait_until="load")
            hurt.append(page.evaluate("window.hurt"))
            shown.append("window.hurt" in page.content())
        dialogs = page.dialogs

    assert (set(hurt), dialogs) == ({None}, [])
    assert [path for path, found in zip(paths, shown, strict=True) if not found] == ["/"]


def test_forged_form_is_refused(opened, post, attempted, store):
    event = post("vgen_1")
    dispatch = attempted(event, "dead", "no disk")

    with opened(f"/events/{event.id}") as page:
        page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(field => { field.value = 'guessed' })")
        page.get_by_role("button", name="Retry").click()
        told = page.get_by_role("alert").inner_text()

    assert "load the page again" in told
    assert store.dispatch(dispatch)["state"] == State.DEAD


def test_form_of_another_site_changes_nothing(opened, url, post, attempted, store):
    event = post("vgen_1")
    attempted(event)

    with opened() as page, chromium.serving(_site(f"{url}/events/{event.id}/replay")) as site:
        page.goto(site.replace("127.0.0.1", "localhost"))
        page.get_by_role("button").click()
        page.wait_for_url(f"{url}/**")

    assert len(store.list_dispatches(DispatchFilter(event_id=event.id), limit=5).rows) == 1


def _site(target):
    site = Flask("another-site")

    @site.get("/")
    def page():
        return f'<form method="post" action="{target}"><button>Win a prize</button></form>'

    return site


def test_is_live(opened, post):
    with opened("/") as page:
        page.get_by_text("No events in the last 1h.").wait_for()
        post("vgen_1")

        page.get_by_text("1 succeeded", exact=True).wait_for()


def test_what_was_unfolded_stays_so(opened, post):
    post("vgen_1")

    with opened("/") as page:
        page.get_by_text("The same in numbers").click()
        post("vgen_2")
        page.get_by_text("2 succeeded", exact=True).wait_for()

        assert page.get_by_role("columnheader", name="Not succeeded").is_visible()


def test_ended_session_leads_to_sign_in(opened, store):
    with opened("/") as page:
        store.remove_token("operator")

        page.get_by_label("Token").wait_for()


def test_is_used_by_keyboard(opened):
    with opened("/") as page:
        page.keyboard.press("Tab")
        skipping = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")

        assert (skipping, page.evaluate("document.activeElement.id")) == ("Skip to content", "main")


def test_what_was_chosen_to_withdraw_stays_chosen(opened, post, store):
    intents = [store.intend("creativeai", kind="video", metadata={}) for _ in range(2)]

    with opened("/jobs") as page:
        page.get_by_label("Intent").select_option(intents[0].id)
        page.get_by_label("I have looked").check()
        store.intend("creativeai", kind="video", metadata={})
        post("vgen_1")
        page.get_by_role("link", name="vgen_1").wait_for(timeout=3 * WITHIN)

        assert page.get_by_label("Intent").input_value() == intents[0].id
        assert page.get_by_label("I have looked").is_checked()


def test_a_reason_that_is_being_written_stays(opened, post, attempted, store):
    event = post("vgen_1")
    attempted(event, "dead", "no disk")
    store.replay({event.id: ["orders"]}, replay_id="again")

    with opened(f"/events/{event.id}") as page:
        page.get_by_label("Reason").fill("it was known")
        store.replay({event.id: ["orders"]}, replay_id="once-more")
        page.get_by_text("replay 2").wait_for()

        assert page.get_by_label("Reason").input_value() == "it was known"


def test_enter_in_the_reason_discards(opened, post, attempted, store):
    dispatch = attempted(post("vgen_1"), "dead", "no disk")

    with opened("/dead-letters/group?handler=orders&first_line=no+disk") as page:
        page.get_by_label(f"Dispatch {dispatch}").check()
        page.locator("form[action='/dead-letters/discard'] [name=reason]").press_sequentially("known")
        page.keyboard.press("Enter")
        page.get_by_role("status").wait_for()

    assert store.dispatch(dispatch)["state"] == State.CANCELLED
