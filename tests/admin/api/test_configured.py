"""Sources and handlers over the API."""

import pytest

from receiver import tokens
from receiver.admin.extension import NAME
from receiver.models import Role
from tests.running import SECRET
from tests.scripted import Answer

CATALOG = "/api/v1/sources/creativeai/catalog"


def test_lists_sources_without_secrets(api):
    answer = api.get("/sources")

    [item] = answer.get_json()["items"]
    assert (item["name"], item["provider"], item["has_api_key"]) == ("creativeai", "creativeai", True)
    assert not {SECRET, "the-api-key"} & set(answer.text.split('"'))


def test_tells_which_secrets_are_set_and_shows_none(api):
    source = api.get("/sources/creativeai").get_json()

    assert source["secrets"] == {"secrets": ["**********"], "api_key": "**********"}


def test_tells_where_the_api_is_and_how_many_requests_are_left(api, provider, app):
    source = api.get("/sources/creativeai").get_json()

    left = app.extensions[NAME].sources["creativeai"].provider.budget.count
    assert (source["base_url"], source["requests_left"]) == (provider.url, left)


def test_lists_handlers_and_what_they_want(api):
    [item] = api.get("/handlers").get_json()["items"]

    assert (item["name"], item["routes"]) == (
        "orders",
        [{"source": "creativeai", "type": "*", "status": ["succeeded"], "kind": [], "where": None}],
    )


def test_a_handler_says_how_many_wait(api, post, store):
    store.route({post("vgen_1").id: ["orders"]})

    assert api.get("/handlers/orders").get_json()["waiting_count"] == 1


@pytest.mark.parametrize("path", ["/sources/creativeai", "/handlers/orders"])
def test_is_paused_and_resumed(api, path):
    paused, resumed = (api.post(f"{path}/{what}").get_json()["paused_at"] for what in ("pause", "resume"))

    assert (paused is not None, resumed) == (True, None)
    assert api.get(path).get_json()["paused_at"] is None


@pytest.mark.parametrize("path", ["/sources/nobody", "/handlers/nobody"])
def test_there_is_no_other(api, path):
    assert [api.get(path).status_code, api.post(f"{path}/pause").status_code] == [404, 404]


def test_lists_what_a_provider_offers(api, provider):
    provider.answer = lambda path: Answer({"models": [{"id": "seedance-2.0"}], "data": []})

    answer = api.get("/sources/creativeai/catalog")

    assert (answer.status_code, provider.asked != []) == (200, True)


@pytest.mark.parametrize("role", [pytest.param(Role.VIEWER, id="viewer"), pytest.param(Role.OPERATOR, id="operator")])
def test_asks_the_provider_for_no_session(app, store, provider, role):
    client = app.test_client()
    client.post("/sign-in", data={"token": tokens.add(store, "anna", role=role)})

    answer = client.get(CATALOG)

    assert (client.get("/api/v1/sources").status_code, provider.asked) == (200, [])
    assert answer.status_code == {Role.VIEWER: 403, Role.OPERATOR: 401}[role]


def test_asks_the_provider_for_no_head(app, token, provider):
    answer = app.test_client().head(CATALOG, headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.headers["Allow"], provider.asked) == (405, "GET", [])


def test_says_that_the_provider_cannot_be_asked(api, provider):
    provider.answer = lambda path: None

    assert api.get("/sources/creativeai/catalog").status_code == 502
