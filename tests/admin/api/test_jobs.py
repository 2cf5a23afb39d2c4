"""Jobs and create calls over the API."""

import pytest

from receiver.models import Schedule
from tests.admin.conftest import LATER
from tests.scripted import Answer

NOT_DUE = Schedule(first=LATER, every={LATER * 0: LATER}, deadline=60 * LATER)
LISTED = {"id": "cr_01", "type": "video", "status": "planning", "createdAt": "2026-03-09T16:05:00Z"}
VIDEO = {"source": "creativeai", "kind": "video", "body": {"prompt": "A drone shot over a coastal city"}}


@pytest.fixture
def track(store):
    def track(job_id):
        store.track("creativeai", job_id, kind="video", schedule=NOT_DUE, metadata={"order": 17})

    return track


def test_jobs_are_filtered(api, track, post):
    for job_id in ("vgen_1", "vgen_2"):
        track(job_id)
    post("vgen_1")

    listed = api.get("/jobs", open="true", source="creativeai").get_json()["items"]

    assert [(item["job"], item["metadata"]) for item in listed] == [("vgen_2", {"order": 17})]


def test_shows_a_jobs_story(api, track, post, attempted):
    track("vgen_1")
    attempted(post("vgen_1"), "dead", "no disk")

    shown = api.get("/jobs/creativeai/vgen_1").get_json()

    assert (shown["status"], [event["status"] for event in shown["events"]]) == ("succeeded", ["succeeded"])
    assert [dispatch["error"] for dispatch in shown["dispatches"]] == ["no disk"]


def test_a_jobs_id_may_hold_a_slash(api, track):
    track("tasks/17")

    assert api.get("/jobs/creativeai/tasks/17").get_json()["job"] == "tasks/17"


def test_there_is_no_other_job(api):
    assert api.get("/jobs/creativeai/vgen_1").status_code == 404


# Tracking


def test_tracks_a_job(api, store):
    answers = [
        api.post("/jobs", {"source": "creativeai", "job": "vgen_1", "kind": "video", "metadata": {"order": 1}})
        for _ in range(2)
    ]

    assert [answer.get_json()["new"] for answer in answers] == [True, False]
    assert store.job("creativeai", "vgen_1").metadata == {"order": 1}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"source": "nobody"}, id="source"),
        pytest.param({"kind": "opera"}, id="kind"),
        pytest.param({"intent": "0" * 22}, id="intent"),
    ],
)
def test_tracks_nothing_that_is_not_configured(api, store, changed):
    answer = api.post("/jobs", {"source": "creativeai", "job": "vgen_1", "kind": "video"} | changed)

    assert answer.status_code == 404
    assert store.list_jobs(limit=1).rows == []


# Submitting


def test_submits_a_job(api, provider, store):
    answer = api.post("/submissions", VIDEO | {"metadata": {"order": 17}})

    assert answer.get_json() == {
        "jobs": [{"source": "creativeai", "job": "vgen_1", "kind": "video", "status": "queued"}]
    }
    assert (answer.status_code, store.job("creativeai", "vgen_1").metadata) == (201, {"order": 17})


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"source": "nobody"}, 404, id="source"),
        pytest.param({"kind": "opera"}, 404, id="kind"),
        pytest.param({"body": {}}, 422, id="body"),
    ],
)
def test_sends_nothing_that_is_wrong(api, provider, changed, status):
    assert api.post("/submissions", VIDEO | changed).status_code == status
    assert provider.asked == []


def test_tells_what_the_provider_says(api, provider):
    provider.answer = lambda path: Answer({"error": {"message": "no credits left"}}, status=402)

    answer = api.post("/submissions", VIDEO)

    assert (answer.status_code, "no credits left" in answer.get_json()["detail"]) == (502, True)


def test_says_when_the_provider_may_be_asked_again(api, provider):
    provider.answer = lambda path: Answer({"error": {}}, status=429, headers={"Retry-After": "7"})

    answer = api.post("/submissions", VIDEO)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


# Polls


def test_a_job_is_asked_about_soon(api, track, store):
    track("vgen_1")

    answer = api.post("/polls", {"source": "creativeai", "job": "vgen_1"})

    assert (answer.status_code, store.count_due_jobs("creativeai")) == (202, 1)


def test_a_job_that_ended_is_not_asked_about(api, post):
    post("vgen_1")

    assert api.post("/polls", {"source": "creativeai", "job": "vgen_1"}).status_code == 404


def test_a_job_of_a_paused_source_is_not_asked_about(api, track, store):
    track("vgen_1")
    store.pause_source("creativeai", paused=True)

    answer = api.post("/polls", {"source": "creativeai", "job": "vgen_1"})

    assert (answer.status_code, "is paused" in answer.get_json()["detail"]) == (409, True)
    assert store.count_due_jobs("creativeai") == 0


def test_a_job_of_a_source_without_an_api_key_is_not_asked_about(tables, request):
    del tables["sources"]["creativeai"]["api_key"]
    api, track = (request.getfixturevalue(name) for name in ("api", "track"))
    track("vgen_1")

    answer = api.post("/polls", {"source": "creativeai", "job": "vgen_1"})

    assert (answer.status_code, "set sources.creativeai.api_key" in answer.get_json()["detail"]) == (409, True)


def test_a_job_of_a_provider_that_cannot_be_asked_is_not_asked_about(tables, request):
    tables["sources"]["others"] = {"provider": "standard", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}
    api = request.getfixturevalue("api")

    answer = api.post("/polls", {"source": "others", "job": "job_1"})

    assert (answer.status_code, "cannot be asked" in answer.get_json()["detail"]) == (409, True)


# Discoveries


class TestDiscoveries:
    @pytest.fixture
    def tables(self, tables, provider):
        """With a source whose provider lists its jobs."""
        tables["sources"]["kpainter"] = {"provider": "kpainter", "api_key": "key", "base_url": provider.url}
        return tables

    def test_finds_jobs_that_nobody_tracked(self, api, provider, store):
        provider.answer = lambda path: Answer({"creations": [LISTED]})

        answer = api.post("/discoveries", {"source": "kpainter", "since": "2026-03-09T16:00:00Z"})

        assert answer.get_json() == {"source": "kpainter", "listed": 1, "tracked": 1, "error": None}
        assert [row["job"] for row in store.list_jobs(limit=2).rows] == ["cr_01"]

    def test_leaves_out_what_is_older(self, api, provider):
        provider.answer = lambda path: Answer({"creations": [LISTED]})

        answer = api.post("/discoveries", {"source": "kpainter", "since": "2026-03-09T16:10:00Z"})

        assert answer.get_json()["listed"] == 0

    def test_says_why_a_list_was_not_read(self, api, provider):
        provider.answer = lambda path: Answer({"detail": "down for maintenance"}, status=500)

        assert "down for maintenance" in api.post("/discoveries", {"source": "kpainter"}).get_json()["error"]

    def test_says_which_provider_has_no_list(self, api, provider):
        answer = api.post("/discoveries", {"source": "creativeai"})

        assert answer.get_json()["error"] == "creativeai cannot be asked for its jobs"
        assert provider.asked == []


# Intents


def test_lists_and_withdraws_intents(api, store):
    intent = store.intend("creativeai", kind="video", metadata={"order": 17})

    [listed] = api.get("/intents", source="creativeai").get_json()["items"]
    answer = api.delete(f"/intents/{intent.id}")

    assert (listed["intent"], listed["metadata"]) == (intent.id, {"order": 17})
    assert (answer.status_code, answer.data, store.intent(intent.id)) == (204, b"", None)


def test_says_that_there_are_older_intents(api, store):
    intents = [store.intend("creativeai", kind="video") for _ in range(2)]

    told = [api.get("/intents", limit=limit).get_json() for limit in (1, 2)]

    assert [[item["intent"] for item in one["items"]] for one in told] == [
        [intents[1].id],
        [intents[1].id, intents[0].id],
    ]
    assert [one["more"] for one in told] == [True, False]


def test_there_is_no_other_intent(api):
    assert api.delete("/intents/unknown").status_code == 404
