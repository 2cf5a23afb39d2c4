"""`python -m tests.admin.pages.shots`: take the pictures of the pages that the README shows, anew."""

import tempfile
from pathlib import Path
from urllib.parse import urlencode

from receiver import tokens
from receiver.admin import create_app
from receiver.admin.extension import NAME
from receiver.config import from_tables
from receiver.models import Role
from receiver.store.rules import first_line
from tests.admin.pages import chromium, filled

FOLDER = Path(__file__).parents[3] / "docs" / "images"
DESK, TALL, PHONE = {"width": 1280, "height": 800}, {"width": 1280, "height": 1240}, {"width": 390, "height": 844}
SIGN_IN = "/sign-in"
UNFOLDED = ("delivery", "refusal")


def main() -> None:
    """Fill a store, open each page, and keep what is seen."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        app = create_app(from_tables(filled.tables(folder, folder / "receiver.db"), file=folder / "receiver.toml"))
        filler = filled.Filler(app, folder / "receiver.db")
        filler.fill()
        filler.alert()
        letter = filler.store.list_dispatches(filled.DEAD, limit=1).rows[0]
        refusal = filler.store.list_refusals(limit=1).rows[0]
        delivery = filler.store.event_row(letter["event"])["delivery"]
        group = {"handler": letter["handler"], "first_line": first_line(letter["error"])}
        pages = [
            ("overview", "/", DESK, "light"),
            ("overview-dark", "/", DESK, "dark"),
            ("overview-phone", "/", PHONE, "dark"),
            ("events", "/events", DESK, "light"),
            ("event", f"/events/{letter['event']}", TALL, "light"),
            ("jobs", "/jobs?open=true", DESK, "light"),
            ("job", "/jobs/one?source=kpainter&job=kp-2103", DESK, "light"),
            ("dead-letters", "/dead-letters", DESK, "light"),
            ("dead-letter-group", f"/dead-letters/group?{urlencode(group)}", DESK, "light"),
            ("quarantine", "/quarantine", DESK, "light"),
            ("refusal", f"/quarantine/{refusal['id']}", DESK, "light"),
            ("handlers", "/handlers", DESK, "light"),
            ("deliveries", "/deliveries", DESK, "light"),
            ("delivery", f"/deliveries/{delivery}", DESK, "light"),
            ("spend", "/spend?span=24h", DESK, "light"),
            ("sources", "/sources", TALL, "light"),
            ("sign-in", SIGN_IN, DESK, "light"),
        ]
        token = tokens.add(filler.store, "anna", role=Role.OPERATOR)
        FOLDER.mkdir(parents=True, exist_ok=True)
        with chromium.serving(app) as url, chromium.browser() as browser:
            for name, path, viewport, scheme in pages:
                page = browser.new_page(base_url=url, viewport=viewport, color_scheme=scheme)
                page.goto(SIGN_IN)
                if path != SIGN_IN:
                    page.get_by_label("Token").fill(token)
                    page.get_by_role("button", name="Sign in").click()
                    page.get_by_role("navigation", name="Pages").wait_for()
                    page.goto(path)
                if name in UNFOLDED:
                    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
                page.screenshot(path=FOLDER / f"{name}.png")
                page.close()
        app.extensions[NAME].receiver.close()


if __name__ == "__main__":
    main()
