"""Receiver inside a program of one's own. What a create call can lead to is tested in test_submit."""

import re
import subprocess
import sys

import pytest

from receiver import Receiver
from receiver.config import from_tables
from receiver.errors import ConfigError, InvalidBody, NotConfigured, OutcomeUnknown, RequestFailed
from tests.running import API_KEY, SECRET
from tests.scripted import Answer, Scripted, always

ACCEPTED = Answer({"id": "vgen_1", "status": "processing"}, status=202)


@pytest.fixture
def provider():
    with Scripted(always(ACCEPTED)) as server:
        yield server


@pytest.fixture
def receiver(provider, tmp_path):
    source = {"provider": "creativeai", "secrets": [SECRET], "api_key": API_KEY, "base_url": provider.url}
    config = from_tables({"sources": {"creative": source, "other": source}}, file=tmp_path / "receiver.toml")
    with Receiver(config) as opened:
        yield opened


def test_creates_a_job_and_finds_it_again(receiver):
    [job] = receiver.submit("creative", "video", {"prompt": "a scene"}, metadata={"order": 17})

    assert receiver.job("creative", "vgen_1") == job
    assert job.metadata == {"order": 17}


def test_tracks_a_job_that_was_created_elsewhere(receiver):
    assert receiver.track("creative", "vgen_2", kind="voice", metadata={"order": 17}) is True
    assert receiver.track("creative", "vgen_2", kind="voice") is False
    assert receiver.job("creative", "vgen_2").kind == "voice"


def test_knows_nothing_of_other_jobs(receiver):
    assert receiver.job("creative", "vgen_2") is None


@pytest.mark.parametrize("metadata", [{"a": {1, 2}}, {"a": float("nan")}, {"a": b""}])
def test_refuses_metadata_that_cannot_be_kept(receiver, provider, metadata):
    with pytest.raises(InvalidBody, match="the metadata cannot be kept as JSON"):
        receiver.submit("creative", "video", {"prompt": "a scene"}, metadata=metadata)

    assert provider.asked == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda receiver: receiver.submit("none", "video", {}),
        lambda receiver: receiver.track("none", "vgen_1"),
        lambda receiver: receiver.catalog("none"),
    ],
    ids=["submit", "track", "catalog"],
)
def test_says_which_sources_there_are(receiver, ask):
    with pytest.raises(NotConfigured, match=r"no source 'none' in the configuration \(there are: creative, other\)"):
        ask(receiver)


@pytest.fixture
def in_doubt(receiver, provider):
    """The id of an intent of `creative` that nobody knows the outcome of."""
    provider.answer = always(None)
    with pytest.raises(OutcomeUnknown) as failure:
        receiver.submit("creative", "video", {"prompt": "a scene"}, metadata={"order": 17})
    return re.search(r"--intent (\S+)`", str(failure.value))[1]


def test_takes_an_intent_for_its_own_source_only(receiver, in_doubt):
    with pytest.raises(NotConfigured, match="other has no open intent"):
        receiver.track("other", "vgen_1", intent=in_doubt)

    assert receiver.job("other", "vgen_1") is None


def test_a_kind_that_is_given_counts_more_than_the_intents(receiver, in_doubt):
    receiver.track("creative", "img_1", kind="image", intent=in_doubt)

    job = receiver.job("creative", "img_1")
    assert (job.kind, job.metadata) == ("image", {"order": 17})


def test_tells_no_secret_that_the_refusal_of_a_catalogue_quotes(receiver, provider):
    provider.answer = always(Answer({"error": {"message": f"no such key: {API_KEY}"}}, status=400))

    with pytest.raises(RequestFailed) as failure:
        receiver.catalog("creative")

    assert API_KEY not in str(failure.value)


def test_asks_for_the_other_contracts_catalogue_where_the_first_is_not_known(provider, tmp_path):
    answers = {"/catalog": Answer({"detail": "Not Found"}, status=404)}
    provider.answer = lambda path: answers.get(path, Answer({"capabilities": ["video"]}))
    source = {"provider": "kpainter", "api_key": API_KEY, "base_url": provider.url}
    config = from_tables({"sources": {"kpainter": source}}, file=tmp_path / "receiver.toml")

    with Receiver(config) as receiver:
        offers = receiver.catalog("kpainter")

    assert ([offer.name for offer in offers], provider.paths) == (["video"], ["/catalog", "/capabilities"])


def test_reads_its_configuration_from_the_file_it_is_given(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        Receiver(tmp_path / "none.toml")


def test_the_endpoint_does_without_it():
    code = "import receiver.web, sys; sys.exit('receiver.receiver' in sys.modules or 'httpx' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
