"""What authors of handlers test with. What authors of adapters do is shown by the adapters' own tests."""

from types import ModuleType

import pytest

from receiver import Done, HandlerSettings, Router, plugins
from receiver.errors import ConfigError, NotConfigured
from receiver.models import Status
from receiver.outcomes import Decision
from receiver.testing import make_event, run_handler

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

    assert (event.source, event.kind, event.status) == (provider, kind, status)
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
    ],
)
def test_names_its_type_as_the_adapter_does(provider, kind, status, type):
    assert make_event(provider, kind, status=status).type == type


def test_makes_the_events_of_providers_that_there_are():
    with pytest.raises(ConfigError, match="no provider 'none'"):
        make_event("none")
    with pytest.raises(NotConfigured, match="no kind 'none'"):
        make_event("creativeai", "none")


def test_runs_one_attempt(module):
    outcome = run_handler(module, make_event(), settings={"greeting": "good day"}, attempt=2)

    assert (outcome.decision, outcome.result) == (Decision.DONE, {"told": "good day video_1 2"})


def test_says_that_the_handler_does_not_want_the_event(module):
    assert run_handler(module, make_event(status="failed")) is None
    assert run_handler(module, make_event(), kind="image") is None


def test_finds_a_setting_that_is_wrong(module):
    with pytest.raises(ConfigError, match=r"handlers\.greet\.colour: unknown key"):
        run_handler(module, make_event(), settings={"colour": "red"})
