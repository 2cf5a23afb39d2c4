"""What authors of handlers test with. What authors of adapters do is shown by the adapters' own tests."""

from datetime import UTC, datetime
from types import ModuleType

import pytest

from receiver import Done, HandlerSettings, Router, plugins
from receiver.errors import ConfigError, NotConfigured
from receiver.models import Delivery, Status, Trust, Via
from receiver.outcomes import Decision
from receiver.providers.creativeai import CreativeAI
from receiver.testing import ProviderContract, make_event, run_handler

EVERY_KIND = [(name, kind) for name, adapter in plugins.providers().items() for kind in adapter.kinds]


class Settings(HandlerSettings):
    greeting: str = "hello"


@pytest.fixture
def module():
    """A handler's module with one function, which wants what succeeded."""
    module = ModuleType("greet")
    module.router = Router(settings=Settings)

    @module.router.on(status="succeeded")
    def greet(event, context):
        return Done({"told": f"{context.settings.greeting} {event.job_id} {context.attempt}"})

    return module


@pytest.mark.parametrize(("provider", "kind"), EVERY_KIND)
@pytest.mark.parametrize("status", Status)
def test_makes_an_event_of_every_kind_and_status(provider, kind, status):
    event = make_event(provider, kind, status=status)

    assert (event.source, event.kind, event.job_id, event.status) == (provider, kind, f"{kind}_1", status)
    assert bool(event.outputs) == (status is Status.SUCCEEDED)
    assert (event.failure is not None) == (status is Status.FAILED)


@pytest.mark.parametrize(
    ("provider", "kind", "status", "type"),
    [
        ("creativeai", "video", "succeeded", "video.generation.completed"),
        ("creativeai", "batch", "succeeded", "video.batch.completed"),
        ("creativeai", "voice", "failed", "voice.generation.failed"),
        ("kpainter", "slide_deck", "succeeded", "creation.succeeded"),
        ("newapi", "videos", "failed", "task.failed"),
        ("omnivideo", "seedance-2", "succeeded", "task.succeeded"),
        ("omnivideo", "video", "lost", "job.lost"),
        ("heygen", "avatar_video", "failed", "avatar_video.fail"),
        ("openai", "video", "succeeded", "video.completed"),
        ("generic", "job", "succeeded", "job.succeeded"),
    ],
)
def test_names_its_type_as_the_adapter_does(provider, kind, status, type):
    assert make_event(provider, kind, status=status).type == type


@pytest.mark.parametrize(
    ("provider", "status", "word"),
    [
        ("kling", "succeeded", "succeed"),
        ("runway", "succeeded", "SUCCEEDED"),
        ("omnivideo", "succeeded", "3"),
        ("replicate", "cancelled", "canceled"),
        ("fal", "running", "IN_PROGRESS"),
        ("creativeai", "queued", "pending"),
        ("stability", "succeeded", None),
        ("creativeai", "lost", None),
    ],
)
def test_spells_the_status_as_the_provider_does(provider, status, word):
    event = make_event(provider, status=status)

    assert (event.raw_status, event.data["status"]) == (word, word)


@pytest.mark.parametrize(
    ("provider", "type", "status"),
    [("elevenlabs", "post_call_transcription", Status.SUCCEEDED), ("standard", "unknown", None)],
)
def test_makes_a_notice_where_there_are_no_jobs(provider, type, status):
    event = make_event(provider)

    assert (event.type, event.status, event.job_id, event.kind) == (type, status, None, None)
    assert (event.trust, event.via) == (Trust.SIGNED, Via.WEBHOOK)


def test_makes_a_notice_of_an_end():
    event = make_event("elevenlabs", status="failed", type="voice_removed")

    assert (event.type, event.raw_status, bool(event.failure)) == ("voice_removed", "failed", True)


def test_makes_the_events_of_providers_that_there_are():
    with pytest.raises(ConfigError, match="no provider 'none'"):
        make_event("none")
    with pytest.raises(NotConfigured, match="no kind 'none'"):
        make_event("creativeai", "none")
    with pytest.raises(NotConfigured, match="no kind 'none'"):
        make_event("elevenlabs", "none")


def test_runs_one_attempt(module):
    outcome = run_handler(module, make_event(), settings={"greeting": "good day"}, attempt=2)

    assert (outcome.decision, outcome.result) == (Decision.DONE, {"told": "good day video_1 2"})


def test_says_that_the_handler_does_not_want_the_event(module):
    assert run_handler(module, make_event(status="failed")) is None
    assert run_handler(module, make_event(), kind="image") is None


def test_finds_a_setting_that_is_wrong(module):
    with pytest.raises(ConfigError, match=r"handlers\.greet\.colour: unknown key"):
        run_handler(module, make_event(), settings={"colour": "red"})


def contract(adapter, genuine=None):
    """The contract, as the test class of an adapter with this sample has it."""

    class Contract(ProviderContract):
        provider_class = adapter
        delivery = genuine

    return Contract


def test_the_contract_finds_an_adapter_that_takes_no_keys_to_verify_with():
    class Old(CreativeAI):
        def verify(self, delivery, now):
            return super().verify(delivery, now)

    genuine = Delivery(source="old", body=b"{}", received_at=datetime(2026, 3, 9, tzinfo=UTC))

    with pytest.raises(TypeError, match="4 were given"):
        contract(Old, genuine)().test_accepts_the_genuine_delivery(genuine)


def test_the_contract_leaves_out_what_there_is_no_sample_of():
    without = contract(CreativeAI)

    class WithSample(without):
        delivery = Delivery(source="creativeai", body=b"{}", received_at=datetime(2026, 3, 9, tzinfo=UTC))

    name = "test_accepts_the_genuine_delivery"
    assert getattr(without, name) is None
    assert getattr(WithSample, name) is getattr(ProviderContract, name)
    assert without.test_knows_statuses_in_lower_case is not None
