"""The cells of the README's tables that depend on more than one constant of an adapter."""

import pytest

from receiver import reference

CELLS = {
    row.split(" | ")[0].strip("| `"): row.strip("| ").split(" | ") for row in reference.providers().splitlines()[2:]
}


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        pytest.param("creativeai", "signed in `X-CreativeAI-Signature`", id="one-header"),
        pytest.param("heygen", "signed in `Heygen-Signature` or `Signature`", id="two-headers"),
        pytest.param("standard", "signed in `webhook-signature` or `svix-signature`", id="two-families"),
        pytest.param("generic", "signed as its settings say", id="settings"),
        pytest.param("kie", "hints: `X-Webhook-Signature` does not cover the body", id="weak"),
        pytest.param("luma", "hints: not signed", id="unsigned"),
        pytest.param("runway", "", id="none"),
    ],
)
def test_says_what_webhooks_prove(name, cell):
    assert CELLS[name][3] == cell


@pytest.mark.parametrize(
    ("name", "ways_in", "finds"),
    [
        pytest.param("fal", "webhooks, else polling, given its `model`", "tracked jobs, given its `model`", id="fal"),
        pytest.param("heygen", "webhooks, else polling", "tracked jobs", id="both"),
        pytest.param("runway", "polling", "tracked jobs", id="polling"),
        pytest.param(
            "newapi", "polling", "tracked jobs, and others in its list, given some settings", id="list-by-settings"
        ),
        pytest.param("elevenlabs", "webhooks", "nothing: it cannot be asked", id="webhooks"),
    ],
)
def test_says_how_results_come_in(name, ways_in, finds):
    assert (CELLS[name][2], CELLS[name][-1]) == (ways_in, finds)
