"""Deliveries and the quarantine over the API."""

from datetime import timedelta

import pytest

from receiver import clock
from tests.admin.conftest import another_app
from tests.running import SECRET


def test_lists_deliveries_without_their_bodies(api, post):
    post("vgen_1")

    [item] = api.get("/deliveries", verdict="recorded").get_json()["items"]

    assert (item["source"], item["trust"], item["seen_count"], "body" in item) == ("creativeai", "signed", 1, False)


def test_shows_a_delivery_with_its_headers(api, post, store):
    post("vgen_1")
    [row] = store.list_deliveries(limit=1).rows

    shown = api.get(f"/deliveries/{row['id']}").get_json()

    assert shown["headers"]["x-creativeai-signature"].startswith("sha256=")
    assert shown["body_size"] == len(store.delivery(row["id"])["body"])


def test_a_body_is_downloaded_as_it_came(api, post, store):
    post("vgen_1")
    [row] = store.list_deliveries(limit=1).rows

    answer = api.get(f"/deliveries/{row['id']}/body")

    assert answer.data == store.delivery(row["id"])["body"]
    assert (answer.mimetype, answer.headers["X-Content-Type-Options"]) == ("application/octet-stream", "nosniff")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="delivery-{row["id"]}.bin"'


@pytest.mark.parametrize("path", ["/deliveries/1", "/deliveries/1/body", "/quarantine/1", "/quarantine/1/body"])
def test_there_is_no_other(api, path):
    assert api.get(path).status_code == 404


# The quarantine


def test_lists_what_was_refused_and_why(api, refuse):
    refusal = refuse()

    [item] = api.get("/quarantine", source="creativeai", reason="signature_mismatch").get_json()["items"]

    assert (item["id"], item["reason"]) == (refusal, "signature_mismatch")


def test_shows_what_was_refused(api, refuse, store):
    refusal = refuse()

    assert api.get(f"/quarantine/{refusal}").get_json()["body_size"] == len(store.refusal(refusal)["body"])
    assert api.get(f"/quarantine/{refusal}/body").data == store.refusal(refusal)["body"]


def test_what_is_still_not_genuine_stays(api, refuse, store):
    refusal = refuse()

    answer = api.post(f"/quarantine/{refusal}/verify").get_json()

    assert (answer["accepted"], answer["reason"]) == (False, "signature_mismatch")
    assert store.refusal(refusal) is not None


def test_what_is_genuine_after_a_fix_is_taken_in(refuse, tables, tmp_path, token):
    refusal = refuse("vgen_9", key="the-new-secret", received_at=clock.now() - timedelta(days=3))
    tables["sources"]["creativeai"]["secrets"] = [SECRET, "the-new-secret"]
    with another_app(tables, tmp_path) as fixed:
        headers = {"Authorization": f"Bearer {token}"}
        client = fixed.test_client()
        answer = client.post(f"/api/v1/quarantine/{refusal}/verify", headers=headers).get_json()
        [event] = client.get("/api/v1/events", headers=headers).get_json()["items"]
        left = client.get("/api/v1/quarantine", headers=headers).get_json()["items"]

    assert (answer["accepted"], event["job"], left) == (True, "vgen_9", [])


def test_verifies_nothing_that_is_not_there(api):
    assert api.post("/quarantine/1/verify").status_code == 404
