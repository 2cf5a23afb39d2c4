"""Which handlers want which event."""

import operator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from receiver.models import Event, Status
from receiver.routing import Context, Handler, Route, Router

EVENT = Event(
    source="studio",
    key="job_1:succeeded",
    type="video.generation.completed",
    data={},
    kind="video",
    status=Status.SUCCEEDED,
)
NOTICE = Event(source="studio", key="low", type="credits.low", data={})


def a_handler(router, *, narrowed=None):
    [(function, routes)] = router.routes.items()
    return Handler(
        name="archive",
        function=function,
        routes=tuple(routes),
        filter=narrowed or Route(),
        max_attempts=1,
        timeout=timedelta(seconds=1),
        concurrency=1,
        first_wait=timedelta(seconds=1),
        longest_wait=timedelta(seconds=1),
    )


def handler_of(*patterns, narrowed=None, **conditions):
    router = Router()
    router.on(*patterns, **conditions)(lambda event: None)
    return a_handler(router, narrowed=narrowed)


def wants(*patterns, event=EVENT, narrowed=None, **conditions):
    return handler_of(*patterns, narrowed=narrowed, **conditions).wants(event, "creativeai")


def is_long(event):
    return event.data["seconds"] > 60


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param([], id="everything"),
        pytest.param(["*"], id="star"),
        pytest.param(["studio"], id="source"),
        pytest.param(["creativeai"], id="provider"),
        pytest.param(["creative*"], id="part-of-provider"),
        pytest.param(["*", "video.generation.completed"], id="type"),
        pytest.param(["*", "video.*"], id="beginning"),
        pytest.param(["*", "*.completed"], id="end"),
        pytest.param(["*", "*.generation.*"], id="middle"),
    ],
)
def test_wants_what_fits(patterns):
    assert wants(*patterns)


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(["other"], id="source"),
        pytest.param(["Studio"], id="case-of-source"),
        pytest.param(["stud"], id="part-of-source"),
        pytest.param(["studio", "image.*"], id="type"),
        pytest.param(["studio", "video"], id="part-of-type"),
        pytest.param(["studio", "Video.*"], id="case-of-type"),
        pytest.param(["studio", "*.completed.*"], id="more"),
        pytest.param(["studio", ""], id="empty"),
    ],
)
def test_does_not_want_what_does_not_fit(patterns):
    assert not wants(*patterns)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(Status.SUCCEEDED, True, id="one"),
        pytest.param("succeeded", True, id="text"),
        pytest.param(["failed", Status.SUCCEEDED], True, id="several"),
        pytest.param((), True, id="any"),
        pytest.param("failed", False, id="another"),
    ],
)
def test_looks_at_the_status(status, expected):
    assert wants(status=status) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("video", True, id="one"),
        pytest.param(["image", "video"], True, id="several"),
        pytest.param((), True, id="any"),
        pytest.param("image", False, id="another"),
    ],
)
def test_looks_at_the_kind(kind, expected):
    assert wants(kind=kind) is expected


def test_refuses_a_status_that_does_not_exist():
    with pytest.raises(ValueError, match="completed"):
        Router().on(status="completed")


@pytest.mark.parametrize(
    "conditions", [pytest.param({"status": "succeeded"}, id="status"), pytest.param({"kind": "video"}, id="kind")]
)
def test_a_notice_has_neither_status_nor_kind(conditions):
    assert not wants(event=NOTICE, **conditions)


def test_wants_notices_where_nothing_is_asked():
    assert wants(event=NOTICE)


# A predicate


@pytest.mark.parametrize(("seconds", "expected"), [(90, True), (30, False)])
def test_asks_the_predicate(seconds, expected):
    assert wants(event=replace(EVENT, data={"seconds": seconds}), where=is_long) is expected


@pytest.mark.parametrize(("answer", "expected"), [("yes", True), ("", False), (None, False)])
def test_takes_what_a_predicate_says_as_yes_or_no(answer, expected):
    assert wants(where=lambda event: answer) is expected


@pytest.mark.parametrize(
    "error", [pytest.param(KeyError("seconds"), id="exception"), pytest.param(SystemExit(1), id="exit")]
)
def test_wants_an_event_whose_predicate_fails(error):
    def fails(event):
        raise error

    assert wants(where=fails)


def test_warns_once_for_an_event_whose_predicate_fails(caplog):
    router = Router()
    router.on("studio", where=is_long)(router.on("*", where=is_long)(lambda event: None))

    a_handler(router).wants(replace(EVENT, id=7), "creativeai")

    [record] = caplog.records
    assert (record.levelname, record.where, record.event_id) == ("WARNING", "is_long", 7)
    assert record.error == "KeyError: 'seconds'"


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param({"source": "other"}, id="source"),
        pytest.param({"type": "image.*"}, id="type"),
        pytest.param({"status": "failed"}, id="status"),
        pytest.param({"kind": "image"}, id="kind"),
        pytest.param({"narrowed": Route(type="image.*")}, id="table"),
    ],
)
def test_asks_the_predicate_only_where_all_the_rest_fits(conditions):
    asked = []

    wants(where=asked.append, **conditions)

    assert asked == []


async def later(event): ...


@pytest.mark.parametrize("where", ["succeeded", later], ids=["text", "async"])
def test_refuses_a_predicate_that_cannot_be_asked(where):
    with pytest.raises(TypeError, match="where must be a plain function"):
        Router().on(where=where)


# Why not


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        pytest.param({"source": "other"}, "source is studio, it wants other", id="source"),
        pytest.param({"type": "image.*"}, "type is video.generation.completed, it wants image.*", id="type"),
        pytest.param({"status": "failed"}, "status is succeeded, it wants failed", id="status"),
        pytest.param(
            {"status": ["failed", "expired"]}, "status is succeeded, it wants expired or failed", id="statuses"
        ),
        pytest.param({"kind": "image"}, "kind is video, it wants image", id="kind"),
        pytest.param({"where": lambda event: False}, "<lambda> says no", id="where"),
        pytest.param({"where": partial(operator.eq, None)}, "partial says no", id="nameless-where"),
        pytest.param(
            {"narrowed": Route(kinds=frozenset(["image"]))}, "kind is video, it wants image (in its table)", id="table"
        ),
        pytest.param({}, None, id="none"),
    ],
)
def test_says_why_an_event_is_not_for_a_handler(conditions, reason):
    assert handler_of(**conditions).mismatch(EVENT, "creativeai") == reason


def test_says_what_a_notice_lacks():
    assert handler_of(status="failed").mismatch(NOTICE, "") == "status is not told, it wants failed"


def test_says_why_for_each_of_several_patterns():
    router = Router()
    router.on("studio", "image.*")(router.on("other")(router.on("other", "video.*")(lambda event: None)))

    assert a_handler(router).mismatch(EVENT, "creativeai") == (
        "source is studio, it wants other; type is video.generation.completed, it wants image.*"
    )


# Several patterns


def test_every_part_of_a_pattern_must_fit():
    assert not wants("studio", "video.*", status="failed", kind="video")


def test_any_of_several_patterns_will_do():
    router = Router()

    @router.on("other")
    @router.on("studio", "video.*")
    def archive(event): ...

    assert a_handler(router).wants(EVENT, "creativeai")


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        pytest.param(Route(source="studio"), True, id="source"),
        pytest.param(Route(source="creativeai"), True, id="provider"),
        pytest.param(Route(source="other"), False, id="other-source"),
        pytest.param(Route(type="image.*"), False, id="other-type"),
        pytest.param(Route(statuses=frozenset([Status.FAILED])), False, id="other-status"),
        pytest.param(Route(kinds=frozenset(["image"])), False, id="other-kind"),
    ],
)
def test_the_configuration_narrows_what_a_handler_wants(narrowed, expected):
    assert wants("studio", narrowed=narrowed) is expected


def test_the_configuration_does_not_widen_what_a_handler_wants():
    assert not wants("other", narrowed=Route(source="studio"))


def test_a_decorated_function_stays_a_function():
    @Router().on("studio")
    def archive(event):
        return event.key

    assert archive(EVENT) == "job_1:succeeded"


def test_gives_one_parameter_the_event():
    router = Router()
    router.on()(lambda event: [event])

    assert a_handler(router).call(EVENT, Context()) == [EVENT]


def test_gives_two_parameters_the_event_and_the_context():
    router, context = Router(), Context(attempt=2)
    router.on()(lambda event, context: [event, context])

    assert a_handler(router).call(EVENT, context) == [EVENT, context]


def test_gives_a_method_what_it_has_a_place_for():
    class Archive:
        def store(self, event):
            return event

    router = Router()
    router.on()(Archive().store)

    assert a_handler(router).call(EVENT, Context()) is EVENT
