"""Answers have the same shape, whichever store keeps what is in them."""

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def tables(request, tables):
    if request.param == "postgresql":
        tables["store"] = request.getfixturevalue("postgres_url")
    return tables


@pytest.fixture
def full(post, attempted, refuse, store):
    """Something of everything."""
    attempted(post("vgen_1"), "dead", "no disk")
    store.route({post("vgen_2", status="failed").id: ["orders"]})
    store.intend("creativeai", kind="video", metadata={"order": 17})
    refuse("vgen_3")


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/events", 2),
        ("/dispatches", 2),
        ("/deliveries", 2),
        ("/quarantine", 1),
        ("/jobs", 2),
        ("/intents", 1),
        ("/sources", 1),
        ("/handlers", 1),
    ],
)
@pytest.mark.usefixtures("full")
def test_lists_all_there_is(api, path, count):
    answer = api.get(path)

    assert (answer.status_code, len(answer.get_json()["items"])) == (200, count)


@pytest.mark.parametrize("path", ["/events", "/dispatches", "/deliveries", "/quarantine"])
@pytest.mark.usefixtures("full")
def test_shows_each_of_them_whole(api, path):
    items = api.get(path).get_json()["items"]

    whole = [api.get(f"{path}/{item['id']}").get_json() for item in items]

    assert [{name: shown[name] for name in item} for item, shown in zip(items, whole, strict=True)] == items


@pytest.mark.usefixtures("full")
def test_shows_each_job_whole(api):
    items = api.get("/jobs").get_json()["items"]

    whole = [api.get(f"/jobs/creativeai/{item['job']}").get_json() for item in items]

    assert [{name: shown[name] for name in item} for item, shown in zip(items, whole, strict=True)] == items
    assert [len(shown["events"]) for shown in whole] == [1, 1]


@pytest.mark.usefixtures("full")
def test_shows_how_everything_stands(api):
    [source] = api.get("/stats").get_json()["sources"]

    assert (source["source"], source["quarantine_count"]) == ("creativeai", 1)
