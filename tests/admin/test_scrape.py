"""`/metrics`, for Prometheus."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver import tokens
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
