"""The quarantine: why, and verifying again."""

from receiver import clock
from receiver.admin.pages.quarantine import REASONS
from receiver.errors import Reason
from receiver.models import Delivery
from receiver.store.base import Refusal
from tests.running import SECRET


def test_every_reason_is_told_in_words():
    assert set(REASONS) == set(Reason)


def test_headers_that_hold_secrets_are_masked(store, operator):
    delivery = Delivery(
        source="creativeai", body=b"", headers={"authorization": "Bearer of-somebody"}, received_at=clock.now()
    )
    store.quarantine([Refusal(delivery=delivery, reason=Reason.MALFORMED, hint="")], max_count=10)

    page = operator.get("/quarantine/1")

    assert "authorization (masked)" in page
    assert "of-somebody" not in page.html


def test_list_says_why(refuse, operator):
    refuse()

    assert "made with another secret" in operator.get("/quarantine")


def test_filters_by_reason(refuse, operator):
    refuse()

    assert "No such deliveries." in operator.get("/quarantine", reason="malformed")


def test_is_still_refused_before_a_fix(refuse, operator, store):
    refusal = refuse()

    page = operator.press(operator.get(f"/quarantine/{refusal}"), "Verify again")

    assert "still refused" in page
    assert store.refusal(refusal) is not None


def test_is_taken_in_after_a_fix(tables, request):
    tables["sources"]["creativeai"]["secrets"] = [SECRET, "another-secret"]
    refuse, operator, store = (request.getfixturevalue(name) for name in ("refuse_then_fixed", "operator", "store"))

    page = operator.press(operator.get(f"/quarantine/{refuse}"), "Verify again")

    assert "taken in" in page
    assert store.refusal(refuse) is None


def test_of_a_source_that_is_gone_it_says_so(app, refuse, operator, monkeypatch):
    refusal = refuse()
    monkeypatch.delitem(app.extensions["receiver.admin"].sources, "creativeai")

    page = operator.get(f"/quarantine/{refusal}")

    assert (page.buttons, "no longer configured" in page) == ([], True)
