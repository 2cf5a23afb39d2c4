"""Every page by the rules of axe-core, in both colour schemes, and on a phone."""

from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe

from receiver import tokens
from receiver.admin import create_app
from receiver.admin.extension import NAME
from receiver.config import from_tables
from receiver.models import Role
from tests.admin.pages import chromium, filled

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}
GROUP = "/dead-letters/group?" + urlencode({"handler": "archive", "first_line": filled.NO_DISK})
PATHS = [
    "/",
    "/events",
    "/events/1",
    "/events?status=lost",
    "/deliveries",
    "/deliveries/1",
    "/jobs",
    "/jobs/one?source=creativeai&job=vgen_2101",
    "/spend",
    "/dead-letters",
    "/dead-letters?handler=archive",
    GROUP,
    "/quarantine",
    "/quarantine/1",
    "/sources",
    "/handlers",
    "/nowhere",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of a store in which everything happened; gives their URL and a token."""
    folder = tmp_path_factory.mktemp("site")
    database = folder / "receiver.db"
    app = create_app(from_tables(filled.tables(folder, database), file=folder / "receiver.toml"))
    filler = filled.Filler(app, database)
    filler.fill(minutes=5)
    filler.alert()
    token = tokens.add(filler.store, "anna", role=Role.OPERATOR)
    with chromium.serving(app) as url:
        yield url, token
    app.extensions[NAME].receiver.close()


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as opened:
        yield opened


@pytest.fixture
def opened(browser, site):
    """A page that is signed in, with the browser's settings."""
    url, token = site
    contexts = []

    def open_page(**settings):
        context = browser.new_context(base_url=url, **settings)
        contexts.append(context)
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [
        pytest.param("light", DESK, id="light-desk"),
        pytest.param("dark", PHONE, id="dark-phone"),
        pytest.param("dark", DESK, id="dark-desk", marks=pytest.mark.drill),
        pytest.param("light", PHONE, id="light-phone", marks=pytest.mark.drill),
    ],
)
def test_breaks_no_rule(opened, scheme, viewport):
    page, axe = opened(color_scheme=scheme, viewport=viewport, reduced_motion="reduce"), Axe()
    broken = {}

    for path in PATHS:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
        found = axe.run(page)
        broken |= {path: found.generate_report()} if found.violations_count else {}

    assert broken == {}


def test_the_group_has_its_letters(opened):
    page = opened()

    page.goto(GROUP)

    assert page.get_by_role("checkbox").count() == 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signing_in_breaks_no_rule(browser, site, scheme):
    context = browser.new_context(base_url=site[0], color_scheme=scheme)
    page = context.new_page()
    page.goto("/sign-in")

    assert Axe().run(page).violations_count == 0
    context.close()


def test_no_page_scrolls_sideways_on_a_phone(opened):
    page = opened(viewport=PHONE)
    wider = {}

    for path in PATHS:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
        wider[path] = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    assert {path: by for path, by in wider.items() if by > 0} == {}
