"""`/metrics`, for Prometheus."""

from contextlib import contextmanager

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver import tokens
from receiver.admin.extension import NAME
from receiver.models import Role
from tests.admin.conftest import another_app


def samples(response):
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(response.get_data(as_text=True))
        for sample in family.samples
    }


def test_tells_a_token_that_may_read(app, store):
    secret = tokens.add(store, "prometheus", role=Role.VIEWER)

    response = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {secret}"})

    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert samples(response)["receiver_store_up"] == 1


@pytest.mark.parametrize(
    "headers", [pytest.param({}, id="none"), pytest.param({"Authorization": "Bearer rcv_wrong"}, id="wrong")]
)
def test_tells_nobody_without_a_token(app, headers):
    assert app.test_client().get("/metrics", headers=headers).status_code == 401


def test_tells_everybody_if_a_setting_says_so(tables, tmp_path):
    with another_app(tables | {"metrics": {"open": True}}, tmp_path) as app:
        assert app.test_client().get("/metrics").status_code == 200


@pytest.fixture
def on_postgres(tables, tmp_path, postgres_url):
    """An app whose store can be taken away."""
    with another_app(tables | {"store": postgres_url}, tmp_path) as app:
        yield app


@pytest.fixture
def secret(on_postgres):
    return tokens.add(on_postgres.extensions[NAME].store, "prometheus", role=Role.VIEWER)


@pytest.fixture
def scrape(on_postgres, secret):
    """Asks with a good token, or with another."""

    def ask(secret=secret):
        return on_postgres.test_client().get("/metrics", headers={"Authorization": f"Bearer {secret}"})

    return ask


@contextmanager
def unreadable(url):
    """A store without its tables."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("ALTER SCHEMA public RENAME TO hidden")
        yield
        db.execute("ALTER SCHEMA hidden RENAME TO public")


def test_tells_whom_it_knows_that_the_store_is_gone(scrape, postgres_url):
    scrape()

    with unreadable(postgres_url):
        response = scrape()

    assert (response.status_code, samples(response)["receiver_store_up"]) == (200, 0)


def test_lets_in_nobody_else_without_the_store(scrape, postgres_url):
    scrape()
    scrape("rcv_wrong")

    with unreadable(postgres_url):
        response = scrape("rcv_wrong")

    assert response.status_code == 503


def test_a_session_of_the_page_lets_in_nobody_else_without_the_store(on_postgres, secret, postgres_url):
    person, stranger = on_postgres.test_client(), on_postgres.test_client()
    person.post("/sign-in", data={"token": secret})
    looked = person.get("/metrics")

    with unreadable(postgres_url):
        stranger.set_cookie("receiver", "junk")
        response = stranger.get("/metrics")

    assert (looked.status_code, response.status_code) == (200, 503)
