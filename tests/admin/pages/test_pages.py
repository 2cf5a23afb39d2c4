"""What holds for every page: who sees it, and that nothing on it can hurt."""

import sqlite3
from contextlib import closing

import pytest

from receiver import clock, inbox
from receiver.admin.extension import NAME
from receiver.errors import StoreUnavailable
from receiver.models import Alert, Delivery, Failure, Output, Status, Via
from receiver.testing import make_event
from tests.running import SECRET
from tests.store.contract import a_record

HOSTILE = '"><script>window.hurt = 1</script><img src=x onerror="window.hurt = 1">'

PAGES = [
    "/",
    "/?span=24h&source=creativeai",
    "/events",
    "/events/1",
    "/deliveries",
    "/deliveries/1",
    "/jobs",
    "/jobs/one?source=creativeai&job=vgen_1",
    "/spend",
    "/dead-letters",
    "/dead-letters/group?handler=orders&first_line=no+disk",
    "/quarantine",
    "/quarantine/1",
    "/sources",
    "/handlers",
]


@pytest.fixture
def everything(post, attempted, refuse, store):
    """One of each thing that a page shows."""
    event = post("vgen_1")
    attempted(event, "dead", "no disk")
    refuse()
    store.intend("creativeai", kind="video")
    return event


def rules(app, method):
    """The paths of all pages that take this method, with a value for each parameter."""
    values = {"event": 1, "delivery": 1, "refusal": 1, "source": "creativeai", "handler": "orders"}
    found = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("pages.") and method in rule.methods]
    urls = app.url_map.bind("localhost")
    return [urls.build(rule.endpoint, {name: values[name] for name in rule.arguments}, method) for rule in found]


def dump(database):
    """Everything that is stored, but for what people do who only look."""
    with closing(sqlite3.connect(database)) as db:
        return [
            line for line in db.iterdump() if not line.startswith(('INSERT INTO "tokens"', 'INSERT INTO "sessions"'))
        ]


def test_every_page_is_among_those_that_are_tested(app):
    assert {path.partition("?")[0] for path in PAGES} == set(rules(app, "GET"))


@pytest.mark.parametrize("path", PAGES)
def test_viewer_sees_the_page_without_buttons(everything, viewer, path):
    page = viewer.get(path)

    assert (page.status, page.buttons) == (200, [])


def test_the_group_has_a_letter(everything, viewer):
    [path] = [path for path in PAGES if path.startswith("/dead-letters/group")]

    assert "1 dead" in viewer.get(path)


@pytest.mark.parametrize("path", PAGES)
def test_every_part_of_a_page_has_its_heading(post, everything, operator, store, path):
    charged = make_event("creativeai", id=None, job_id="vgen_2", status=Status.FAILED, data={"credits": 30})
    store.receive(a_record(charged))
    store.route({post("vgen_3").id: ["gone"]})

    page = operator.get(path)

    headings = {values.get("id") for values in page.all("h2")}
    assert headings <= {values.get("aria-labelledby") for values in page.all("section")}


@pytest.mark.parametrize("path", PAGES)
def test_operator_sees_the_page(everything, operator, path):
    assert operator.get(path).status == 200


@pytest.mark.parametrize("path", PAGES)
def test_page_of_an_empty_store_says_something(operator, path):
    page = operator.get(path)

    assert page.status == (404 if "1" in path else 200)


def test_every_page_is_the_same_on_postgresql(tables, postgres_url, request):
    tables["store"] = postgres_url
    request.getfixturevalue("everything")
    operator = request.getfixturevalue("operator")

    assert [path for path in PAGES if operator.get(path).status != 200] == []


def test_stranger_is_led_to_sign_in(everything, stranger):
    answers = [stranger.get(path).response for path in PAGES]

    assert {answer.location.partition("=")[0] for answer in answers} == {"/sign-in?next"}


def test_signing_in_goes_on_with_the_page_that_was_wanted(stranger, token):
    form = stranger.get("/sign-in", next="/jobs?open=true")

    response = stranger.client.post("/sign-in", data={**form.forms[0].fields, "token": token})

    assert response.location == "/jobs?open=true"


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(stranger, token, path):
    response = stranger.client.post("/sign-in", data={"next": path, "token": token})

    assert response.location == "/"


def test_signing_out_ends_the_session(operator):
    operator.press(operator.get("/"), "Sign out")

    assert operator.get("/events").status == 303


def test_every_form_is_refused_to_viewers(app, everything, viewer):
    form = viewer.get("/").form("Sign out")

    assert {viewer.refused(path, form.fields) for path in rules(app, "POST")} == {403}


def test_every_form_is_refused_without_the_token_against_forgery(app, everything, operator):
    assert {operator.refused(path) for path in rules(app, "POST")} == {403}


def test_every_form_is_refused_from_another_site(app, everything, operator):
    form = operator.get("/").form("Sign out")

    found = {operator.post(path, form.fields, Origin="https://evil.example").status for path in rules(app, "POST")}

    assert found == {403}


def test_every_form_of_strangers_leads_to_sign_in(app, everything, stranger):
    assert {stranger.refused(path) for path in rules(app, "POST")} == {303}


def test_looking_changes_nothing(app, everything, operator, database):
    before = dump(database)

    for path in [*PAGES, *rules(app, "POST")]:
        operator.get(path)

    assert dump(database) == before


@pytest.mark.parametrize("secret", [pytest.param(SECRET, id="signing"), pytest.param("the-api-key", id="api-key")])
def test_secrets_never_show(everything, operator, secret):
    assert not [path for path in PAGES if secret in operator.get(path).html]


def test_alert_is_told_on_every_page(everything, operator, store):
    store.keep_alert(Alert(cause="clock", summary="The clock is wrong.", since=clock.now()))

    assert all("The clock is wrong." in operator.get(path) for path in PAGES)


def test_alert_that_is_over_is_told_no_longer(operator, store):
    store.keep_alert(Alert(cause="clock", summary="The clock is wrong.", since=clock.now(), over_at=clock.now()))

    assert "The clock is wrong." not in operator.get("/")


class TestHostile:
    @pytest.fixture
    def hostile(self, app, store, attempted):
        """An event in which nothing is as it should be."""
        event = make_event(
            "creativeai",
            id=None,
            key=HOSTILE,
            type=HOSTILE,
            job_id=HOSTILE,
            raw_status=HOSTILE,
            failure=Failure(HOSTILE, HOSTILE),
            outputs=(Output("javascript:window.hurt=1"), Output(f"https://cdn.example/{HOSTILE}.png")),
            data={HOSTILE: HOSTILE},
        )
        delivery = Delivery(
            source="creativeai",
            body=HOSTILE.encode(),
            headers={"x-hostile": HOSTILE},
            received_at=clock.now(),
            path=HOSTILE,
            via=Via.POLL,
        )
        source = app.extensions[NAME].sources["creativeai"]
        [event] = inbox.learn(source, delivery, [event], store=store).events
        attempted(event, "dead", HOSTILE)
        return event

    @pytest.fixture
    def pages(self, hostile, operator):
        """All pages that show it."""
        asked = [
            ("/", {}),
            ("/events", {}),
            ("/events", {"text": HOSTILE, "source": HOSTILE, "type": HOSTILE}),
            (f"/events/{hostile.id}", {}),
            (f"/events/{hostile.id}", {"shown": "2"}),
            ("/deliveries", {}),
            ("/deliveries/1", {}),
            ("/jobs", {}),
            ("/jobs", {"job": HOSTILE}),
            ("/jobs/one", {"source": "creativeai", "job": HOSTILE}),
            ("/dead-letters", {}),
            ("/dead-letters/group", {"handler": "orders", "first_line": HOSTILE}),
            ("/events", {"status": HOSTILE}),
            ("/events", {"done": HOSTILE, "number": HOSTILE}),
        ]
        return [operator.get(path, **query) for path, query in asked]

    def test_is_found_in_its_group(self, hostile, operator):
        assert "1 dead" in operator.get("/dead-letters/group", handler="orders", first_line=HOSTILE)

    def test_only_our_script_is_there(self, pages):
        assert {values.get("src") for page in pages for values in page.all("script")} == {"/static/htmx.min.js"}

    def test_nothing_runs_when_something_happens(self, pages):
        names = {name for page in pages for _, values in page.elements for name in values}

        assert not {name for name in names if name.startswith("on") or name == "style" or name.startswith("hx-on")}

    def test_every_link_leads_to_the_web(self, pages):
        links = {link for page in pages for link in page.links()}

        assert all(link.startswith(("/", "#", "https://")) for link in links)

    def test_links_to_providers_tell_nothing_of_us(self, pages):
        foreign = [values for page in pages for values in page.all("a") if (values["href"] or "").startswith("http")]

        assert {values["rel"] for values in foreign} == {"noopener noreferrer"}

    def test_only_ids_of_ours_are_there(self, pages):
        assert not [page for page in pages if "hurt" in str([values.get("id") for _, values in page.elements])]

    def test_body_is_downloaded_and_never_shown(self, pages, operator):
        response = operator.get("/api/v1/deliveries/1/body").response

        assert response.headers["Content-Disposition"].startswith("attachment")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_no_page_may_fetch_or_run_what_is_not_ours(everything, operator):
    policies = {operator.get(path).response.headers["Content-Security-Policy"] for path in PAGES}

    assert not [policy for policy in policies if "unsafe" in policy or "https:" in policy]


def test_unknown_page_is_told_as_a_page(operator):
    page = operator.get("/nowhere")

    assert (page.status, "To the overview" in page) == (404, True)


def test_programs_are_told_of_errors_in_json(app):
    response = app.test_client().get("/nowhere")

    assert response.mimetype == "application/problem+json"


def test_wrong_filter_is_named(operator):
    page = operator.get("/events", status="perhaps")

    assert (page.status, "status: " in page) == (400, True)


def test_part_of_a_page_leads_the_whole_page_to_sign_in(stranger):
    response = stranger.client.get("/", headers={"Accept": "text/html", "HX-Request": "true"})

    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/sign-in")


def test_unavailable_store_is_told_as_a_page(app, operator, store, monkeypatch):
    def unavailable(*args, **kwargs):
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(store, "session", unavailable)

    page = operator.get("/events")

    assert (page.status, "the disk is full" in page) == (503, True)


@pytest.mark.parametrize("path", ["/events", "/jobs", "/"])
def test_parameters_that_no_page_knows_change_nothing(operator, path):
    page = operator.get(path, endpoint="x", _method="POST", _external="1", _anchor="y")

    assert page.status == 200
    assert all(link.startswith(("/", "#")) for link in page.links())


@pytest.mark.parametrize("path", ["/events", "/deliveries", "/quarantine"])
@pytest.mark.parametrize("number", [2**63, 10**30, 0])
def test_an_id_that_no_store_can_have_is_not_found(operator, path, number):
    assert operator.get(f"{path}/{number}").status == 404


@pytest.mark.parametrize("path", ["/deliveries/1", "/events/1"])
def test_a_page_reads_a_delivery_once(post, operator, store, monkeypatch, path):
    post("vgen_1")
    read, asked = store.delivery, []
    monkeypatch.setattr(store, "delivery", lambda delivery_id: asked.append(delivery_id) or read(delivery_id))

    page = operator.get(path)

    assert (page.status, asked) == (200, [1])
