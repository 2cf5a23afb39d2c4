"""What handlers tell others of an event."""

import pytest

from receiver import Event, Failure
from receiver.facts import NAMES, facts, texts
from receiver.testing import make_event, make_job


def test_names_each_fact_of_a_result():
    job = make_job("a", kind="video", metadata={"order": 17, "tags": ["é", True], "note": "as it is", "none": None})

    told = texts(make_event(job_id="a"), job)

    assert (told["job"], told["status"], told["output_count"]) == ("a", "succeeded", "1")
    assert told["output_url"] == "https://cdn.example.com/result.mp4"
    assert {name: text for name, text in told.items() if name.startswith("metadata_")} == {
        "metadata_order": "17",
        "metadata_tags": '["é", true]',
        "metadata_note": "as it is",
        "metadata_none": "",
    }


def test_names_what_a_failure_says():
    told = texts(make_event(status="failed", failure=Failure("too dark", "e1")), None)

    assert (told["error"], told["error_code"], told["output_url"]) == ("too dark", "e1", "")


def test_has_every_name_for_every_event():
    told = texts(Event(source="source", key="key", type="type", data={}), None)

    assert tuple(told) == NAMES
    assert {name: text for name, text in told.items() if text} == {
        "source": "source",
        "type": "type",
        "output_count": "0",
    }


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_tells_programs_the_same(status):
    event = make_event(status=status)

    whole, told = facts(event, None), texts(event, None)

    assert {name: whole[name] for name in ("source", "type", "kind", "job", "status")}.items() <= told.items()
