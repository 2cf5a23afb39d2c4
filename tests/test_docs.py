"""The pages of `docs/` are true: what they build works as they say."""

import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from receiver import Context, Event, alerts, plugins, reference
from receiver.config import AlertsConfig
from receiver.models import Output, Reading, Request
from tests.pages import ROOT, Page

DOCS = ROOT / "docs"
PAGE = Page(DOCS / "adapter.md").text
HANDLER = Page(DOCS / "handler.md").text


def block(language, *, after="# Adding a provider", page=PAGE):
    """The first fenced block of a language that comes after a text."""
    rest = page[page.index(after) :]
    return re.search(rf"^```{language}\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def package(tmp_path):
    """A folder with what the page writes, as if it were installed."""
    (tmp_path / "acme.py").write_text(block("python", after="`acme.py`:"))
    (tmp_path / "test_acme.py").write_text(block("python", after="`test_acme.py`:"))
    (tmp_path / "answers.jsonl").write_text(block("json"))
    information = tmp_path / "acme-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    entry = re.search(r'"(\S+)"\]\n(.*)', block("toml"))
    (information / "entry_points.txt").write_text(f"[{entry[1]}]\n{entry[2].replace(chr(34), '')}\n")
    return tmp_path


def run(folder, command):
    """A command of a page, with what is in the folder installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def run_all(folder, page):
    """Every command of a page; what each printed."""
    printed = {}
    for shown in Page(page).to_run():
        result = run(folder, shown.command)
        assert result.returncode == 0, result.stdout + result.stderr
        printed[shown.command] = result.stdout
    return printed


def test_the_adapter_keeps_the_contract_and_reads_the_recorded_answer(package):
    tested, read = run_all(package, DOCS / "adapter.md").values()

    assert int(re.search(r"(\d+) passed", tested)[1]) > 100
    assert "skipped" not in tested
    assert "https://cdn.acme.example/r_1.mp4" in read


def test_every_field_it_names_is_one():
    known = {field.name for kind in (Reading, Request, Output) for field in fields(kind)}
    named = set(re.findall(r"(?:Reading|Request|Output)\([^)]*?(\w+)=", PAGE)) | set(re.findall(r"(\w+)=True\)", PAGE))

    assert named <= known


# What to say of an odd provider, and the adapter that shows it.
ODD = re.findall(
    r"^\| [^|`]+ \| (.+) \| (?:`(\w+)`)? \|$", PAGE[PAGE.index("## When a provider is odd") :], re.MULTILINE
)


@pytest.mark.parametrize(("told", "name"), [pytest.param(*row, id=row[0][:40]) for row in ODD if row[1]])
def test_the_adapter_it_points_to_shows_it(told, name):
    adapter = plugins.provider(name)
    word, parts = re.search(r"`(\w+)(.*?)`", told).groups()

    if word in ("Event", "Output", "Reading", "Request"):
        source = inspect.getsource(inspect.getmodule(adapter))
        assert [field for field in re.findall(r"(\w+)=", parts) if f"{field}=" not in source] == []
    else:
        assert (word in vars(adapter)) == (not told.startswith("leave"))


def test_points_to_an_adapter_for_almost_everything():
    assert [told for told, name in ODD if not name] == [told for told, _ in ODD if "verify(delivery" in told]
    assert len(ODD) > 25


def test_the_handlers_can_be_written_step_by_step(tmp_path):
    # Or pytest would go by our own settings, should this folder be inside the checkout.
    (tmp_path / "pytest.ini").write_text("[pytest]")
    *_, tested = run_all(tmp_path, DOCS / "handler.md").values()
    for file in re.findall(r"`(my_handlers/.*\.py)`:$", HANDLER, re.MULTILINE):
        (tmp_path / file).write_text(block("python", after=f"`{file}`:", page=HANDLER))
    tables = re.findall(r"^```toml\n(.*?)^```$", HANDLER, re.MULTILINE | re.DOTALL)
    (tmp_path / "receiver.toml").write_text("\n".join(tables))

    retested = run(tmp_path, "python -m pytest my_handlers")
    checked = run(tmp_path, "receiver check --offline")

    assert "3 passed" in tested
    assert (retested.returncode, "7 passed" in retested.stdout) == (0, True), retested.stdout
    assert {"handler charge: loaded", "handler thumbs: loaded"} <= set(checked.stdout.splitlines()), checked.stderr


def test_the_fields_of_events_and_contexts_that_it_names_are_there():
    _, event, context, _ = re.split(r"\| `event\.` |\| `context\.` |## What it says", HANDLER)

    for table, kind in ((event, Event), (context, Context)):
        named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
        assert set(named) <= {field.name for field in fields(kind)}


OPERATING = (DOCS / "operating.md").read_text("utf-8")


def test_the_metrics_are_those_there_are():
    told = OPERATING.partition("]]] -->")[2].partition("<!-- [[[end]]]")[0]

    assert told.strip() == reference.metrics()


def test_every_cause_of_an_alert_is_explained():
    explained = set(re.findall(r"`([a-z-]+)(?: (?:HANDLER|SOURCE))?`[,\w` ]* \| ", OPERATING))

    assert set(re.findall(r'f"([a-z-]+) {name}"', inspect.getsource(alerts))) <= explained


def test_the_settings_of_alerts_that_it_names_are_there():
    assert set(re.findall(r"`alerts\.(\w+)`", OPERATING)) <= set(AlertsConfig.model_fields)
