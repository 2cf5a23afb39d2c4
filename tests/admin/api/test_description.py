"""The API against its own description: requests made up from it find nothing."""

import subprocess
import sys

import pytest

from receiver.admin.api import OPERATIONS, PREFIX
from tests.admin.serving import serving

# The stream is left out, because it does not end.
COMMAND = ["run", "--exclude-path", "/stream", "--no-color", "--generation-database", "none", "--request-timeout", "20"]

CONFIGURATION = """
[parameters]
event = 1
dispatch = 1
delivery = 1
refusal = 2

# What a provider requires is not in the description, and it may not answer.
[[operations]]
include-path = ["/submissions", "/sources/{source}/catalog"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "5xx"]
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "502"]

# A key that another request had is refused.
[[operations]]
include-path = "/replays"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "5xx"]
"""


@pytest.fixture
def full(post, attempted, refuse):
    """Something of everything, so that not all that is asked for is missing."""
    for number in range(3):
        attempted(post(f"vgen_{number}"), "dead", "no disk")
        refuse(f"vgen_{number}")


def test_describes_every_operation_and_no_other(api, app):
    described = api.get("/openapi.json").get_json()["paths"]

    routed = {
        (method.lower(), rule.rule.removeprefix(PREFIX).replace("<path:", "{").replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for path, methods in described.items() for method in methods} == routed


def test_every_operation_says_what_it_does():
    assert [operation.name for operation in OPERATIONS if not operation.summary] == []


def test_describes_where_the_stream_is_taken_up_again(api):
    [parameter] = api.get("/openapi.json").get_json()["paths"]["/stream"]["get"]["parameters"]

    assert (parameter["name"], parameter["in"]) == ("Last-Event-ID", "header")


@pytest.mark.parametrize(
    "thoroughly",
    [
        pytest.param(["--phases", "examples,coverage", "--max-examples", "2"], id="at-the-edges"),
        pytest.param(["--max-examples", "30", "--max-time", "90"], id="at-random", marks=pytest.mark.drill),
    ],
)
@pytest.mark.usefixtures("full")
def test_does_what_it_says(app, token, tmp_path, thoroughly):
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with serving(app) as url:
        found = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", *COMMAND, *thoroughly),
                *("--header", f"Authorization: Bearer {token}", f"{url}{PREFIX}/openapi.json"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
        )

    assert found.returncode == 0, found.stdout
